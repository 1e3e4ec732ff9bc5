/* SPDX-License-Identifier: BSD-2-Clause */
/* What people want to see of translations: -d g and h, perf's map. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct bt_vm;
struct translation;

/*
 * The host code of a block, [start, end) as it is written, not where it runs, a
 * line an instruction: fields of struct bt_vcpu, stubs and places after `start`
 * by their names. `put` gets each line.
 */
void bt_host_list(const struct bt_vm *bt, const uint8_t *start,
		  const uint8_t *end,
		  void (*put)(void *sink, const uint8_t *at, const char *text),
		  void *sink);

/* A block that has been translated, to whoever wants to know. Lock held. */
void bt_dump_block(const struct translation *t);

/* /tmp/perf-PID.map. 0, or -errno when one line has said what is wrong. */
int bt_perf_map_open(struct bt_vm *bt);
void bt_perf_map_close(struct bt_vm *bt);
