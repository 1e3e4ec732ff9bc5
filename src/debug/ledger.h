/* SPDX-License-Identifier: BSD-2-Clause */
/* The exit ledger for people and for programs. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

struct vm;

/*
 * Prints exits and engine events of a VM, running or stopped: a table, or one
 * JSON object ("exits": rows of vcpu, reason, device, count, cycles; "events":
 * rows of name and count per vCPU). Any thread but a vCPU's.
 */
void ledger_print(FILE *file, struct vm *vm, bool is_json);
