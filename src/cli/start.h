/* SPDX-License-Identifier: BSD-2-Clause */
/* What run and restore do alike once their options are read. */
#pragma once

struct machine_config;

/*
 * Checks the machine's name, takes the engine and its options from `engine`
 * ("bt,key=value"), builds the machine and runs it to its end. Returns the
 * process's exit status; what is wrong has been logged.
 */
int start_machine(struct machine_config *config, const char *engine);
