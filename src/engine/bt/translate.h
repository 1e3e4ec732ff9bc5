/* SPDX-License-Identifier: BSD-2-Clause */
/* What the translator's files share: the block in the making. */
#pragma once

#include "engine/bt/code.h"
#include "x86/reencode.h"

/* Where the guest's status flags are at a point of the code. */
enum flags_at {
	FLAGS_DEAD, /* nobody will read them */
	FLAGS_IN_RFLAGS,
	FLAGS_SAVED, /* bt_vcpu.flags */
};

/* A piece to be emitted behind the block: what seldom runs. */
enum cold_kind {
	COLD_INTERPRET, /* the instruction, then on at `resume` */
	COLD_MISS, /* fill the TLB and again at `retry`, or as above */
	COLD_PERCPU, /* the same for a page of bt_vcpu.percpu */
	COLD_RECORD, /* the struct bt_stop for `branch`, a LEA's displacement */
	COLD_HERE, /* whatever instruction is at `rip` now */
	COLD_RUN, /* fill struct bt_stack and again at `retry`, or by the TLB */
	COLD_ATTENTION, /* leave at `rip` */
	COLD_CALLED, /* the same behind a CALL that returns to `resume` */
	COLD_ASK, /* link `link`, to `rip`: the dispatcher may chain it */
	COLD_MISSED, /* an id differs: look `rip` up again */
	COLD_BRANCHED, /* a JMP to register `target`: look that up again */
};

struct cold {
	enum cold_kind kind;
	uint8_t *branch; /* displacement to land here */
	uint8_t *resume; /* executable; NULL: by the dispatcher */
	uint8_t *retry; /* executable; NULL: not possible */
	uint64_t rip;
	bool restore_flags; /* before going on at `resume` */
	unsigned link;
	/* COLD_MISS: what was looked for, at SCRATCH + offset; or, BY_ENTRY, at
	 * SCRATCH ^ the tag of the entry at SPARE */
	uint8_t access;
	uint16_t size; /* COLD_RUN: of all that was checked */
	int32_t offset;
	uint32_t percpu; /* COLD_PERCPU: the distance from GS's base */
	/* COLD_BRANCHED: that, and another branch to be landed */
	unsigned target;
	uint8_t *other;
};

#define COLD_BY_ENTRY (-1)

/*
 * Where the code holds the block's linear address or one at a distance from it,
 * so that it can be moved (move.c): the kind, and how far behind the check, or
 * behind the copies of its bytes.
 */
enum place_kind {
	PLACE_ADDRESS = 0x0000, /* 64 bits */
	PLACE_LOW = 0x1000, /* 32 bits of an address, and .. */
	PLACE_HIGH = 0x2000, /* .. the others, next in the list */
	PLACE_SLOT = 0x3000, /* displacement of the page's id in bt_vcpu.exec */
	PLACE_TLB = 0x4000, /* displacement of a field of a TLB's entry */
};

#define PLACE_KIND	     0x7000
#define PLACE_IS_COLD	     0x8000
#define PLACE_OFFSET	     0x0fff

#define TRANSLATE_INSNS_MAX  48
#define TRANSLATE_PLACES_MAX 256
#define TRANSLATE_COLD_MAX   (6 * TRANSLATE_INSNS_MAX)

/* The status flags that code behind a branch needs, and its bytes. */
#define LOOK_INSNS 8

struct look {
	uint64_t rip;
	uint32_t needed;
	struct bt_span span;
	uint8_t bytes[LOOK_INSNS * INSN_MAX_LEN];
};

/* Accesses to the stack that one check is for: stack.c. */
struct stack_run {
	unsigned first; /* instruction, before which the check stands */
	int32_t low, high; /* by RSP there */
	int32_t origin; /* RSP there, while the plan is made */
	bool is_leave; /* by RBP instead: `first` is a LEAVE */
};

/* The stack that one instruction uses, by RSP before it. */
struct stack_use {
	int32_t low, high; /* low == high: no access */
	int32_t change; /* of RSP */
	bool is_lost; /* RSP is not known behind it */
	bool is_leave; /* RSP becomes RBP first */
};

#define STACK_RUNS (BT_LINKS - 2)

struct translation {
	struct bt_vcpu *vcpu;
	struct bt_vm *bt;
	struct bt_flavour flavour;
	enum x86_mode mode;
	unsigned wide; /* OP_SIZE_64, or OP_SIZE_32: of addresses, stack, branches */
	unsigned word; /* the same in bytes */
	struct code c;
	uint64_t rip; /* of the block */
	const uint8_t *host; /* guest memory there; may change meanwhile */
	unsigned room; /* to the end of the page */
	/* A copy: what was decoded is what is compared later. */
	uint8_t bytes[TRANSLATE_INSNS_MAX * INSN_MAX_LEN];
	unsigned copied; /* so many of them; at the end the next page's too */
	struct look look[BT_SPANS - 1];
	unsigned looks;

	unsigned count;
	struct insn insn[TRANSLATE_INSNS_MAX];
	uint16_t offset[TRANSLATE_INSNS_MAX + 1]; /* of insn i in bytes */
	uint32_t live_after[TRANSLATE_INSNS_MAX]; /* status flags */
	uint32_t live; /* at the start */

	/* stack.c's: the plan, and where the emitting is */
	struct stack_run run[STACK_RUNS];
	unsigned runs, next_run;
	struct stack_use use[TRANSLATE_INSNS_MAX];
	const struct stack_run *current_run; /* checked; NULL: none */
	int32_t rsp; /* less what it was at its check */
	int32_t lag; /* of the guest's RSP over R11 */
	bool has_delta; /* R10 is bt_stack.delta */
	enum flags_at flags;
	/* SPARE and SCRATCH have the values of these guest registers, which live
	 * in memory, or of none (NO_REGISTER), as long as nothing is emitted
	 * behind held_at. */
	uint8_t held[2];
	const uint8_t *held_at;
	uint8_t *retry; /* of the access that emit_translate comes to next */
	struct cold cold[TRANSLATE_COLD_MAX];
	unsigned colds;
	uint64_t interpreted; /* a bit per instruction: always, as a whole */
	struct bt_block *block;
	uint32_t id; /* of its page */
	unsigned links;
	bool has_places; /* it may move */
	unsigned places;
	uint16_t place[TRANSLATE_PLACES_MAX];
};

/* The code at `at` depends on the block's address. */
void place_note(struct translation *t, enum place_kind kind, const uint8_t *at);
/* `reg` = an address at a distance from the block's; flags stay. */
void emit_rip(struct translation *t, unsigned reg, uint64_t rip);

/* A RIP near the block's, with the linear address of 32 bits in 32-bit code. */
static inline uint64_t truncate_rip(const struct translation *t, uint64_t rip)
{
	return t->flavour.is_32 ?
		       (t->rip & ~(uint64_t)UINT32_MAX) | (uint32_t)rip :
		       rip;
}

/* Where near branch i leads, and what follows it. */
static inline uint64_t insn_next(const struct translation *t, unsigned i)
{
	return truncate_rip(t, t->rip + t->offset[i] + t->insn[i].len);
}

static inline uint64_t insn_target(const struct translation *t, unsigned i)
{
	uint64_t target = insn_next(t, i) + (uint64_t)t->insn[i].imm;

	if (t->insn[i].opsize == 2) /* IP has 16 bits then */
		return bt_rip_make(
			bt_rip_base(t->rip),
			(uint16_t)bt_rip_ip(truncate_rip(t, target)));
	return truncate_rip(t, target);
}

/* The limit of CS, where there is one. */
static inline uint32_t code_limit(const struct translation *t)
{
	return atomic_load_explicit(&t->bt->code_limit[t->flavour.code_limit],
				    memory_order_relaxed);
}

static inline bool is_kernel(const struct translation *t)
{
	return t->flavour.view != MMU_USER;
}

static inline uint64_t insn_rip(const struct translation *t, unsigned i)
{
	return t->rip + t->offset[i];
}

static inline const uint8_t *insn_bytes(const struct translation *t, unsigned i)
{
	return t->bytes + t->offset[i];
}

/* --- access.c: memory operands --- */

/*
 * Leaves the host address of [R10's effective address, +size) in R10, or goes
 * to the interpreter for instruction i. Clobbers RFLAGS: flags that are live
 * were saved before; and SPARE.
 */
void emit_translate(struct translation *t, unsigned i, unsigned size,
		    enum mmu_access access, unsigned alignment);

/* A branch to what is to be landed: on a condition, or under stress always. */
uint8_t *emit_branch_slow(struct translation *t, unsigned condition);

/*
 * R10 = effective address of the memory operand of instruction i; SPARE goes.
 * An access that misses begins here again, when emit_translate follows.
 */
void emit_address(struct translation *t, unsigned i);

/* LEA, of 32 or 64 bits. */
void emit_lea(struct translation *t, unsigned i);

/* True for [RSP + displacement] alone, without FS or GS. */
bool is_stack_operand(const struct translation *t, const struct insn *insn);

#define AT_SCRATCH ((struct insn_place){ SCRATCH, INSN_NO_INDEX, 1, 0 })

/* R10 = the host address of a memory operand that has a size, by the TLB: all
 * the above. */
void emit_memory(struct translation *t, unsigned i,
		 const struct operand *memory);
/* The same, where insn_reencode makes up the address at last. `keeps_spare`: of
 * R10, and registers that guest code has, not of SPARE. */
struct insn_place emit_place(struct translation *t, unsigned i,
			     const struct operand *memory, bool keeps_spare);

/* R10 = the host address of a memory operand, wherever it is. */
void emit_operand_address(struct translation *t, unsigned i,
			  const struct operand *memory);

/* To the interpreter for instruction i where the condition holds. */
void interpret_if(struct translation *t, unsigned i, unsigned condition);

/* Instruction i by the interpreter, here and now. */
void emit_interpret(struct translation *t, unsigned i);

/* Adds a cold part whose branch is to be landed. */
struct cold *cold_add(struct translation *t, enum cold_kind kind,
		      uint8_t *branch, uint64_t rip);
/* The instruction is complete: those that C did go on here. */
void cold_resume_here(struct translation *t, unsigned first);
void emit_cold(struct translation *t);

/* --- leave.c: the cold parts that leave for one instruction --- */

void emit_cold_interpret(struct translation *t, const struct cold *cold);
void emit_cold_miss(struct translation *t, const struct cold *cold);
void emit_cold_stack(struct translation *t, const struct cold *cold);
void emit_cold_percpu(struct translation *t, const struct cold *cold);
void emit_cold_record(struct translation *t, const struct cold *cold);

/* --- flags --- */

/* Before code of ours that clobbers RFLAGS while `live` are needed later. */
void need_flags_saved(struct translation *t, uint32_t live);
/* Before an instruction that reads flags, or writes only part of the live. */
void need_flags_in_rflags(struct translation *t);

/* Of the six, which may be read at `rip` before they are written. */
uint32_t flags_needed_at(struct translation *t, uint64_t rip);

/* Of the six, which an instruction looks at, here or in the interpreter. */
uint32_t insn_reads_status(const struct insn *insn);
/* Of those that its row says it writes, which may stay as they were. */
uint32_t insn_keeps_status(const struct insn *insn);

/* --- branch.c --- */

/* Instruction i, a near branch; the block ends with it. */
void emit_branch(struct translation *t, unsigned i);
/* To the code at `rip`, of this block, that has every access by the TLB. */
void emit_link_by_tlb(struct translation *t, uint64_t rip);

/* --- stub.c --- */

/* Register `target` is a guest address, flags are saved: to its code, of the kind
 * `codes`, or by the branches in `missed`, to be landed. SPARE goes. */
void emit_lookup(struct code *c, unsigned codes, unsigned target,
		 uint8_t *missed[2]);

/* --- rules.c --- */

/* Not so in 32-bit code: segments that differ, and addresses of 16 bits. */
bool address_is_carried(const struct translation *t, const struct insn *insn);

/* Emits instruction i. True: the block ends with it. */
bool emit_insn(struct translation *t, unsigned i);
/* To `rip` by a direct jump at the end of the block, after instruction i. */
void emit_goto(struct translation *t, unsigned i, uint64_t rip);

/* Is it emitted by this file's rule, unable to leave, without the value of RSP
 * that operands name? */
bool insn_may_lag(const struct translation *t, const struct insn *insn);

/* --- stack.c --- */

/* Finds the runs, when live flags are known. */
void stack_plan(struct translation *t);
/* Before instruction i: the check, if a run begins; R11 is the guest's RSP,
 * unless the instruction allows for the difference. Behind it. */
void stack_prepare(struct translation *t, unsigned i);
void stack_end(struct translation *t, unsigned i);
/* R11 is the guest's RSP from here on. Flags and R10 stay. */
void stack_settle(struct translation *t);

/* [RSP + offset, +size) is checked: it is there, writable, on one page. */
bool stack_has(const struct translation *t, int32_t offset, unsigned size);
/* Then it is at R10 + R11 + the displacement that is returned, */
int32_t stack_delta(struct translation *t, int32_t offset);
/* or at R10. */
void stack_address(struct translation *t, int32_t offset);

/* As all of an instruction i that pushes `value`, a return address. */
void stack_push_constant(struct translation *t, unsigned i, uint64_t value);
/* The same of what FIELD(spill[1]) holds. */
void emit_push_spilled(struct translation *t, unsigned i);
/* R10 = the word at RSP, which stays. */
void stack_load(struct translation *t, unsigned i);
/* RET i: that word to where the return site looks for it; and RSP on. */
void stack_leave_return(struct translation *t, unsigned i, unsigned more);

/* ADD, SUB or LEA that changes RSP by a constant. False: it is none. */
bool emit_stack_change(struct translation *t, unsigned i);
/* PUSH, POP, LEAVE. False: none of them. */
bool emit_stack(struct translation *t, unsigned i);
void emit_cold_run(struct translation *t, const struct cold *cold);

/* --- percpu.c --- */

/* emit_operand_address for what is a constant distance from a kernel's GS base.
 * False: it is not. */
bool emit_percpu(struct translation *t, unsigned i,
		 const struct operand *memory);
/* Register `base` is GS's now. Clobbers `spare` and RFLAGS. */
void emit_percpu_choose(struct code *c, unsigned base, unsigned spare);

/* --- segment.c: addresses in segments that are not flat --- */

/* The code checks such an access itself. */
bool segment_is_carried(const struct translation *t, enum segment segment,
			bool is_write);
/* R10 = the linear address of `size` bytes at R10 in the segment; to the
 * interpreter for instruction i where its limit does not allow that. Flags that
 * are live were saved before. `address_size` of R10: 2 or 4. */
void emit_segment(struct translation *t, unsigned i, enum segment segment,
		  unsigned size, unsigned address_size);
/* The same for the memory operand of instruction i. */
void emit_operand_segment(struct translation *t, unsigned i,
			  const struct operand *memory);

/* --- legacy.c: what uses the stack or segments in such code --- */

enum carried { CARRIED_NOT, CARRIED, CARRIED_AND_ENDS };

/* Emits instruction i if it is one of this file's. */
enum carried emit_legacy(struct translation *t, unsigned i);
/* Parts of near branches: R10 = where instruction i goes; `rip` is pushed; all of
 * RET. */
void emit_target_legacy(struct translation *t, unsigned i);
void emit_push_return_legacy(struct translation *t, unsigned i, uint64_t rip);
void emit_ret_legacy(struct translation *t, unsigned i);

/* --- crossing.c --- */

/* The bytes of the next page, while a fetch from there is allowed and the TLB
 * knows it; else NULL. */
const uint8_t *crossing_bytes(const struct translation *t);
/* Before instruction i, which continues there. */
void emit_crossing_check(struct translation *t, unsigned i);

/* --- system.c --- */

/* spill[1] = RFLAGS as PUSHF has them; the status flags are saved. R9 and R10 go. */
void emit_spill_rflags(struct code *c);
/* The saved status flags become those of R10, as POPF has them. R9 and R10 go. */
void emit_take_status(struct translation *t);
/* POPF, with what changes in R10: an interrupt waits that a change of IF may let
 * in: the interpreter's. */
void emit_check_if(struct translation *t, unsigned i);
/* Emits instruction i if it is one of this file's. */
enum carried emit_system(struct translation *t, unsigned i);
/* The same for MOVS, STOS and LODS: string.c. */
enum carried emit_string(struct translation *t, unsigned i);
/* Its meaning does not depend on status flags, in the interpreter either. */
bool system_ignores_status(const struct insn *insn);
/* The code behind it runs in another view. */
bool system_changes_view(const struct insn *insn);
/* Before a DIV or IDIV by host register `by`, or by [R10] (NO_REGISTER): those
 * that raise #DE go to the interpreter. False: all of them must. */
bool emit_divide_check(struct translation *t, unsigned i, unsigned by);
