/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Port cf9h resets; with --no-reboot that ends the VM.
 * expect: status=0 io=2
 * options: --no-reboot
 */
#include "start.inc"
start:
	outb_to	0xcf9 2
	outb_to	0xcf9 6
1:	hlt
	jmp	1b
