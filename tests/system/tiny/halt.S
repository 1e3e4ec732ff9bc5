/* SPDX-License-Identifier: BSD-2-Clause */
/* Halts with interrupts off: nothing in the guest can ever wake it. */
#include "start.inc"
start:
	cli
1:	hlt
	jmp	1b
