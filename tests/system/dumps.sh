#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 120
# What is printed of a guest: -d's letters, --single-step, symbols, and the
# registers and memory of one that cannot go on, on every engine there is.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

tiny hello >/dev/null
tiny die-no-idt >/dev/null
tiny die-nowhere >/dev/null

engines="interp bt"
run_ringfence 20 run --kernel "$TMPDIR/hello.elf" --engine kvm
[ "$status" != 42 ] || engines="$engines kvm"
echo "# engines: $engines"
for engine in $engines; do
	run_ringfence 20 run --kernel "$TMPDIR/die-no-idt.elf" --engine "$engine"
	ok "$engine: a triple fault: status 125" is "$status" 125
	ok "$engine: RIP with its symbol" \
		stderr_has 'rip 0010:0000000000100007 start\+7  32-bit, CPL 0'
	ok "$engine: every register" stderr_has 'r12 0{16}  r13 0{16}  r14'
	ok "$engine: segments and tables" stderr_has 'gdtr .* idtr 0{16} limit 0000'
	ok "$engine: code bytes and the instruction" stderr_has 'code.*\[0f\]0b'
	ok "$engine: disassembled" stderr_has 'next ud2'
	ok "$engine: the stack" stderr_has 'stack( 0{8}){4}'
	ok "$engine: paging" stderr_has 'paging is off'
	ok "$engine: of bounded length" at_least 60 "$(wc -l <"$TMPDIR/err")"
	run_ringfence 20 run --kernel "$TMPDIR/die-nowhere.elf" --engine "$engine"
	ok "$engine: no code there: says so" \
		stderr_has 'next \((not mapped|no instruction)\)'

	run_ringfence 20 run --kernel "$TMPDIR/hello.elf" --engine "$engine" \
		--stat --json -d p,file="$TMPDIR/ports"
	cp "$TMPDIR/err" "$TMPDIR/stat.json"
	ok "$engine: -d p: a line for each of the ledger's port accesses" \
		is "$(wc -l <"$TMPDIR/ports")" "$(stat_count io)"
	ok "$engine: -d p: what was written where" \
		grep -qE '^ +[0-9]+\.[0-9]{6} 0 p io port 3f8 write 1 = [0-9a-f]+ com1$' \
		"$TMPDIR/ports"
	run_ringfence 20 run --kernel "$TMPDIR/hello.elf" --engine "$engine" \
		--single-step
	ok "$engine: --single-step: the first instruction, by name" \
		stderr_has ' 0 s 0010:[0-9a-f]+ start  .* \| rax='
	ok "$engine: --single-step: no instruction without its line" \
		is "$(grep -cE ' s .* (out|outsb) ' "$TMPDIR/err")" \
		"$(grep -c 'write' "$TMPDIR/ports")"
	ok "$engine: --single-step: the guest says what it says" \
		stdout_has .
done

run_ringfence 20 run --kernel "$TMPDIR/hello.elf" --engine interp \
	-d es,file="$TMPDIR/limited",limit=300
ok "a limit: the guest does not notice" is "$status" 42
ok "a limit is kept" at_least 400 "$(stat -c %s "$TMPDIR/limited")"
ok "a limit: the last line says how much is missing" \
	grep -qE '^\(the limit: [0-9]+ more lines\)$' "$TMPDIR/limited"

run_ringfence 20 run --kernel "$TMPDIR/hello.elf" --engine interp -d gp
ok "letters of bt alone: another engine says so" \
	stderr_has 'g and h are of --engine bt; interp translates nothing'
ok "and shows the others" stderr_has ' p io port 3f8 '
run_ringfence 20 run --kernel "$TMPDIR/hello.elf" --engine interp -d ""
ok "no letter at all: status 125" is "$status" 125
ok "no letter at all: where they are" stderr_has 'dump help'

# Symbols as the guest's own root reads them, of a kernel that moves itself:
# the second boot is somewhere else, and LSTAR says where.
run_guest 60 cloud/vmlinuz 'cat /proc/kallsyms; exit 0' --engine interp \
	--append "console=ttyS0 quiet nokaslr"
tr -d '\r' <"$TMPDIR/out" | grep -aE '^[0-9a-f]{16} [A-Za-z] ' \
	>"$TMPDIR/kallsyms"
ok "kallsyms as the guest has it" at_least "$(wc -l <"$TMPDIR/kallsyms")" 50000
# Told to reset by a triple fault, it does after a panic.
run_guest 60 cloud/vmlinuz 'echo c >/proc/sysrq-trigger' --engine interp \
	--append "console=ttyS0 quiet panic=-1 reboot=t" --no-reboot \
	--symbols "$TMPDIR/kallsyms"
ok "Linux's own triple fault: the function's name" stderr_has \
	'rip 0010:ffffffff[0-9a-f]{8} (native_machine_emergency_restart|machine_real_restart|emergency_restart|panic)[+ ]'
ok "and who called it" stderr_has '\[stack\+[0-9a-f]+\] [0-9a-f]+ (panic|emergency_restart|sysrq|machine|native)'
ok "the page walk ends in a page" \
	stderr_has '  is [0-9a-f]{12}, page of (4|2048|1048576) KiB'

refused() {
	run_ringfence 10 run --kernel "$TMPDIR/hello.elf" --engine interp "$@"
	[ "$status" = 125 ] && [ "$(wc -l <"$TMPDIR/err")" = 1 ]
}
ok "a letter that there is not" refused -d '?'
ok "a key that there is not" refused -d e,nonsense=1
ok "a limit that is no size" refused -d e,limit=much
ok "a file that cannot be" refused -d e,file=/nonexistent/x
ok "no symbols" refused --symbols /nonexistent
ok "symbols of nothing" refused --symbols "$RINGFENCE-unpack"
run_ringfence 10 run -d help
ok "-d help lists the letters" stdout_has '^s  every instruction'
finish
