#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 200
# engines: interp bt
# A gdb session with Debian's cloud kernel on a software engine: a function, steps,
# a watched variable, another processor's registers; and debuggers that go away
# or send garbage, after which the guest runs on to its end.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

command -v gdb >/dev/null || skip_all "there is no gdb"
export XDG_RUNTIME_DIR=$TMPDIR
started=
cleanup() { [ -z "$started" ] || kill -9 "$started" 2>/dev/null; }
trap cleanup EXIT

# Where the kernel's symbols are: it says so itself, and without KASLR they stay.
run_guest 200 cloud/vmlinuz '
grep -E " (start_kernel|kernel_init|jiffies_64|default_idle)$" /proc/kallsyms
exit 42' --engine "$ENGINE" --append "console=ttyS0 nokaslr"
ok "the symbols are known" is "$status" 42
symbol() {
	tr -d '\r' <"$TMPDIR/symbols" | awk -v n="$1" '$3 == n {print "0x" $1}'
}
mv "$TMPDIR/out" "$TMPDIR/symbols"

tools/mkinitramfs --command 'i=0
while [ $i -lt 10 ]; do echo "report: tick $i"; sleep 0.1; i=$((i + 1)); done
exit 42' "$TMPDIR/initramfs"
start() {
	rm -f "$TMPDIR/gdb"
	"$RINGFENCE" run --kernel "$GUEST/cloud/vmlinuz" --engine "$ENGINE" -c 2 \
		--initrd "$TMPDIR/initramfs" --gdb "unix:$TMPDIR/gdb" \
		--append "console=ttyS0 nokaslr" "$@" \
		>"$TMPDIR/out" 2>"$TMPDIR/err" </dev/null &
	started=$!
	until [ -S "$TMPDIR/gdb" ] || ! kill -0 "$started" 2>/dev/null; do
		sleep 0.05
	done
}
gone() {
	wait "$started"
	status=$?
	started=
}
ends_well() {
	ok "$1: the guest runs on to its end" is "$status" 42
	ok "$1: nothing is lost" is \
		"$(tr -d '\r' <"$TMPDIR/out" | grep -a '^report: tick' |
			tr -dc 0-9)" 0123456789
}
says() { grep -qE -- "$1" "$TMPDIR/session" || { sed 's/^/# /' \
	"$TMPDIR/session"; false; }; }

start --gdb-wait
cat >"$TMPDIR/commands" <<END
set pagination off
set confirm off
set architecture i386:x86-64
target remote $TMPDIR/gdb
info threads
hbreak *$(symbol start_kernel)
continue
printf "at start_kernel: %d\n", \$rip == $(symbol start_kernel)
set \$before = \$rip
stepi
printf "stepped: %d\n", \$rip != \$before
delete
break *$(symbol kernel_init)
continue
printf "at kernel_init: %d\n", \$rip == $(symbol kernel_init)
printf "paging: %d\n", (\$cr0 >> 31) & 1
printf "kernel code: %d\n", \$cs & 3
delete
set \$jiffies = *(unsigned long *)$(symbol jiffies_64)
watch *(unsigned long *)$(symbol jiffies_64)
continue
printf "watched: %d\n", *(unsigned long *)$(symbol jiffies_64) - \$jiffies
delete
tbreak *$(symbol default_idle)
continue
printf "idle: %d\n", \$rip == $(symbol default_idle)
thread 2
printf "second processor in the kernel: %d\n", \$rip > 0xffffffff80000000
printf "its own stack and data: %d\n", \$gs_base != 0
thread 1
set \$saved = \$r15
set \$r15 = 0x1234
printf "written: %x\n", \$r15
set \$r15 = \$saved
stepi
stepi
x/i \$rip
p *(char *)0xffff000000000000
detach
END
timeout 1000 gdb -nx -batch -x "$TMPDIR/commands" >"$TMPDIR/session" 2>&1
ok "gdb: two threads, one of them waiting" says 'Thread 2 .vCPU 1, waiting'
ok "gdb: breaks at a function" says '^at start_kernel: 1$'
ok "gdb: steps" says '^stepped: 1$'
ok "gdb: a breakpoint in the middle" says '^at kernel_init: 1$'
ok "gdb: control registers" says '^paging: 1$'
ok "gdb: selectors" says '^kernel code: 0$'
ok "gdb: watches a variable" says '^watched: [1-9]'
ok "gdb: a temporary breakpoint" says '^idle: 1$'
ok "gdb: another processor's registers" says '^second processor in the kernel: 1$'
ok "gdb: and its segment bases" says '^its own stack and data: 1$'
ok "gdb: writes a register" says '^written: 1234$'
ok "gdb: memory that is not there" says 'Cannot access memory'
gone
ends_well "detached"

# ^C in the middle, and gone without a word, with a breakpoint set.
start
sleep 1
timeout 500 python3 - "$TMPDIR/gdb" <<'END' >"$TMPDIR/session" 2>&1
import socket, sys, time
def packet(text):
    return b"$%s#%02x" % (text, sum(text) & 255)
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.settimeout(200)
def ask(text):
    s.sendall(packet(text))
    reply = b""
    while not (len(reply) > 3 and reply[-3:-2] == b"#"):
        reply += s.recv(65536)
    return reply
print("registers", len(ask(b"g")) > 500)
s.sendall(packet(b"vCont;c"))
time.sleep(.3)
s.recv(100)
s.sendall(b"\x03")
print("interrupted", b"$T02" in s.recv(1000))
print("set", b"OK" in ask(b"Z0,ffffffff81000000,1"))
print("too many", any(b"E1c" in ask(b"Z0,%x,1" % (4096 * i)) for i in range(70)))
print("unknown", b"$#00" in ask(b"vMustReplyEmpty"))
print("damaged", (s.sendall(b"$g#00"), s.recv(1))[1] == b"-")
END
ok "a client: $(tr '\n' ';' <"$TMPDIR/session")" \
	is "$(grep -c True "$TMPDIR/session")" 6
head -c 300000 /dev/urandom | timeout 500 python3 -c '
import socket, sys
for i in range(3):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    try:
        s.sendall(sys.stdin.buffer.read(100000))
    except OSError:
        pass
    s.close()' "$TMPDIR/gdb"
gone
ends_well "after garbage"
run_ringfence 10 run --kernel "$GUEST/cloud/vmlinuz" --engine "$ENGINE" \
	--gdb nonsense
ok "--gdb nonsense: status 125" is "$status" 125
ok "--gdb nonsense: one line" is "$(wc -l <"$TMPDIR/err")" 1
finish
