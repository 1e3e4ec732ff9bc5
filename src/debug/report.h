/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is printed when a guest cannot go on: registers, code, stack, the page
 * walk of its RIP; the same on every engine, and of bounded length.
 */
#pragma once

struct symbols;
struct vcpu;
struct vm;

/*
 * Lines of log of a vCPU that stands: all of it. symbols may be NULL. -errno
 * when its engine does not tell its state.
 */
int report_vcpu(struct vcpu *vcpu, const struct symbols *symbols);

/*
 * For a bug of ours, from any thread with any lock held: registers of the first
 * few vCPUs, as far as they are known, and no memory. They may be running.
 */
void report_bug(struct vm *vm);

/*
 * After the VM's end: the vCPU that could not go on, in full, and a line for
 * each of the first few others. Nothing when it was not a vCPU that ended it.
 */
void report_fatal(struct vm *vm, const struct symbols *symbols);
