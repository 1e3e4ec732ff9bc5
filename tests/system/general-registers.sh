#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What runs between translated code and bt_vectors_leave has the guest's vector
# registers in the processor (src/engine/bt/vectors.c): its objects use general
# registers only, and call nothing else than each other and what stands here.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
objects=build/release/src

path=()
for file in "$objects"/engine/interp/*.o "$objects"/x86/{walk,xsave_image,cpuid,decode,decode_cache,reencode,insn_table}.o \
	"$objects"/engine/bt/{run,return,xstate,exec,stop,vectors,world,stress}.o \
	"$objects"/engine/bt/{translate,access,branch,crossing,leave,percpu,rules,stack}.o \
	"$objects"/engine/bt/{string,system,syscall,stub,block,cache,move,page}.o \
	"$objects"/engine/bt/{flavour,legacy,segment,percpu}.o; do
	case ${file#"$objects"/engine/interp/} in
	# Creation; the engine's own loop, behind `leave`; and what executes
	# vector instructions or looks at s.fpu, behind `sync`.
	create.o | engine.o) ;;
	block.o | fpu.o | host_stub.o | host_unit.o | masked.o | xsave.o) ;;
	*) path+=("$file") ;;
	esac
done
ok "there is something to look at" [ ${#path[@]} -gt 30 ]

# Moving the registers is the business of vectors.o and xstate.o.
moved=("${path[@]/*vectors.o/}")
objdump -d --no-show-raw-insn "${moved[@]/*xstate.o/}" 2>/dev/null |
	sed -n 's/^ *[0-9a-f]*:\t\([^<#]*\).*/\1/p' >"$TMPDIR/instructions"
ok "they disassemble" [ -s "$TMPDIR/instructions" ]
grep -E '%[xyz]mm|%st\b|%mm[0-7]|^f[a-z]|^(ld|st)mxcsr|^x(save|rstor)' \
	"$TMPDIR/instructions" >"$TMPDIR/vectors"
ok "no vector or x87 instruction" [ ! -s "$TMPDIR/vectors" ]
head -5 "$TMPDIR/vectors"

# "object symbol...": _setjmp and longjmp keep general registers, a mutex waits
# by a system call.
allowed='
any _GLOBAL_OFFSET_TABLE_ __stack_chk_fail log_bug
access pthread_mutex_lock pthread_mutex_unlock
branch longjmp
control longjmp
cpu _setjmp longjmp
event _setjmp
move sched_yield
'
# After bt_vectors_leave (interp.leave) or bt_vectors_to_state.
allowed+='
cpu block_find
event snprintf trace_put
block calloc free
page calloc memcmp
translate bt_check_note bt_dump_block
run bt_check_aborted bt_check_enter bt_check_left bt_check_start
flavour bt_check_wants
run block_find_one pthread_mutex_lock pthread_mutex_trylock
run pthread_mutex_unlock
page pthread_mutex_lock pthread_mutex_unlock
stop pthread_mutex_lock pthread_mutex_unlock sched_yield
system fpu_in_use
handlers exec_host_unit fpu_handlers
world interp_world_ops
'
# They read a few words, and are compiled for general registers too.
allowed+='
world input_tsc memory_mark_dirty vcpu_has_interrupt
'
# At creation and at the end, while no guest runs.
allowed+='
debug calloc free memcpy
cache __errno_location aligned_alloc calloc close free ftruncate
cache memfd_create memset mmap munmap pthread_mutex_destroy pthread_mutex_init
stress memcmp strcspn strlen
'
nm --defined-only "${path[@]}" | awk 'NF == 3 { print $3 }' >"$TMPDIR/defined"
for file in "${path[@]}"; do
	name=${file##*/}
	nm -u "$file" | awk -v name="${name%.o}" '{ print name, $2 }'
done >"$TMPDIR/used"
awk -v allowed="$allowed" '
BEGIN {
	lines = split(allowed, line, "\n")
	for (i = 1; i <= lines; i++)
		for (n = split(line[i], word, " "); n > 1; n--)
			may[word[1], word[n]] = 1
}
FNR == NR { defined[$1] = 1; next }
!($2 in defined) && !(($1, $2) in may) && !(("any", $2) in may) {
	print $1 " calls " $2
}' "$TMPDIR/defined" "$TMPDIR/used" >"$TMPDIR/calls"
ok "no call that may use vector registers" [ ! -s "$TMPDIR/calls" ]
cat "$TMPDIR/calls"
finish
