#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 200
# engines: interp bt
# SIGTERM and stop press the ACPI power button, and a Debian kernel whose user
# space listens powers off, by itself and long before the grace time ends.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

export XDG_RUNTIME_DIR=$TMPDIR
tools/mkinitramfs --modules cloud button,evdev \
	--command 'echo "report: ready"; sleep 1000' "$TMPDIR/initramfs"

# press WHAT COMMAND...: boots, waits until the guest is ready, runs the
# command, which gets the process number.
press() {
	local what=$1 pid start took
	shift
	"$RINGFENCE" run --kernel "$GUEST/cloud/vmlinuz" --engine "$ENGINE" \
		--initrd "$TMPDIR/initramfs" --append "console=ttyS0 quiet" \
		--grace 60 >"$TMPDIR/out" 2>"$TMPDIR/err" </dev/null &
	pid=$!
	for _ in $(seq 600); do
		stdout_has '^report: ready' && break
		sleep 0.1
	done
	ok "$what: the guest listens" stdout_has '^report: ready'
	start=$(now_ms)
	"$@" $pid
	wait $pid
	status=$?
	took=$(($(now_ms) - start))
	ok "$what: it has powered off, after $took ms" at_least 30000 $took
}

press SIGTERM kill -TERM
ok "SIGTERM: status $status" is "$status" 0
press stop "$RINGFENCE" stop --grace 60
ok "stop: status $status" is "$status" 0
finish
