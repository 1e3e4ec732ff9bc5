/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Must die: an exception without a table to take it. A triple fault ends the
 * VM with status 125 and a line that says so.
 * expect: status=125 stderr=triple triple-fault=1
 * options: --no-reboot
 */
#include "start.inc"
start:
	lidt	nothing
	ud2
nothing:
	.word	0
	.long	0
