/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Three bytes to the serial port, then the end: four port writes.
 * expect: status=42 output=hi io=4 io/com1=3 io/debugexit=1 hlt=0 mmio=0
 */
#include "start.inc"
start:
	outb_to	SERIAL 'h'
	outb_to	SERIAL 'i'
	outb_to	SERIAL '\n'
	finish	42
