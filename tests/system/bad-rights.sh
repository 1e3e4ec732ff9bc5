#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 120
# Files and devices that this user may not read, and disks that are full.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

chmod 755 "$TMPDIR"
kernel=$(tiny hello)
cp "$kernel" "$TMPDIR/secret"
chmod 000 "$TMPDIR/secret"
: >"$TMPDIR/out"
: >"$TMPDIR/err"
chmod 666 "$TMPDIR/out" "$TMPDIR/err"

# As somebody whom permissions bind.
unprivileged=()
if [ "$(id -u)" = 0 ]; then
	unprivileged=(setpriv --reuid 65534 --regid 65534 --clear-groups
		env "HOME=$TMPDIR" XDG_RUNTIME_DIR=)
	cp "$RINGFENCE" "$TMPDIR/ringfence"
	RINGFENCE=$TMPDIR/ringfence
fi
run_as_nobody() {
	timeout -k 5 30 "${unprivileged[@]}" "$RINGFENCE" "$@" \
		>"$TMPDIR/out" 2>"$TMPDIR/err" </dev/null
	status=$?
}

run_as_nobody run --kernel "$kernel" --engine interp
ok "without any privilege a guest runs" is "$status" 42
run_as_nobody run --kernel "$TMPDIR/secret"
ok "unreadable kernel: status 125" is "$status" 125
ok "unreadable kernel: says why" stderr_has 'secret.*Permission denied'
run_as_nobody run --kernel "$GUEST/cloud/vmlinuz" --initrd "$TMPDIR/secret"
ok "unreadable initrd: status 125" is "$status" 125
ok "unreadable initrd: says why" stderr_has 'secret.*Permission denied'

if [ -e /dev/kvm ] && "${unprivileged[@]}" test ! -w /dev/kvm; then
	run_as_nobody run --kernel "$kernel" --engine kvm
	ok "/dev/kvm without permission: status 125" is "$status" 125
	ok "/dev/kvm without permission: says why" \
		stderr_has '/dev/kvm.*Permission denied'
	run_as_nobody run --kernel "$kernel"
	ok "auto takes the software engine" is "$status" 42
	ok "and says so" stderr_has '/dev/kvm'
	ok "in one line" is "$(wc -l <"$TMPDIR/err")" 1
	run_as_nobody doctor
	ok "doctor says so" stdout_has '/dev/kvm.*Permission denied'
else
	skip "/dev/kvm without permission" "there is none that we may not use"
fi

# A full disk for a console: what the guest wrote cannot be kept. That is an
# error of ours, not of the guest, and it is said once.
run_full() {
	timeout -k 5 30 "$RINGFENCE" "$@" >/dev/full 2>"$TMPDIR/err" </dev/null
	status=$?
}
run_full run --kernel "$kernel" --engine interp
ok "full disk: status 125" is "$status" 125
ok "full disk: says why" stderr_has 'No space left on device'
ok "full disk: once" is "$(wc -l <"$TMPDIR/err")" 1
timeout 20 "$RINGFENCE" doctor >/dev/full 2>"$TMPDIR/err"
ok "doctor on a full disk: fails" is "$?" 125
finish
