/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The debug-exit port: v ends the process with (v << 1) | 1.
 * expect: status=67 io=1
 */
#include "start.inc"
start:
	outb_to	DEBUG_EXIT 33
1:	hlt
	jmp	1b
