/* SPDX-License-Identifier: BSD-2-Clause */
/* Dies of a triple fault: no interrupt table, and then an exception. */
#include "tiny.inc"
start:
	lidt	nothing
	ud2
nothing:
	.word	0
	.long	0
