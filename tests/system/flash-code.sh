#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 60
# engines: interp bt
# Code in a flash chip, and in its alias below 1 MiB, that is programmed.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

gcc -m32 -c -o "$TMPDIR/flash.o" tests/system/tiny/flash.S &&
	ld -m elf_i386 -Ttext=0 --oformat binary -o "$TMPDIR/flash" \
		"$TMPDIR/flash.o" || exit 1
run_ringfence 30 run --engine "$ENGINE" --pflash "$TMPDIR/flash" -m 64M
ok "what runs is what the chip holds" is "$status" 0
ok "and the file holds it too" is \
	"$(dd if="$TMPDIR/flash" bs=1 skip=4097 count=1 status=none)" U
finish
