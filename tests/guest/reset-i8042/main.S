/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keyboard controller's pulse of the reset line, feh to port 64h.
 * expect: status=0 io=1
 * options: --no-reboot
 */
#include "start.inc"
start:
	outb_to	0x64 0xfe
1:	hlt
	jmp	1b
