#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 300
# An initrd is the guest's matter: a broken one makes the guest panic, say why,
# and, told so by panic=-1, reset; with a way out that is defined.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

tools/mkinitramfs --gzip --command 'exit 42' "$TMPDIR/whole"
head -c 300000 "$TMPDIR/whole" >"$TMPDIR/initramfs"
run_ringfence 200 run --kernel "$GUEST/cloud/vmlinuz" --engine interp \
	--initrd "$TMPDIR/initramfs" --append "console=ttyS0 panic=-1" \
	--no-reboot
ok "truncated initrd: the guest says so" stdout_has 'Initramfs unpacking failed'
ok "truncated initrd: it panics" stdout_has 'Kernel panic'
ok "truncated initrd: and ends by itself" [ "$status" != 124 ]
finish
