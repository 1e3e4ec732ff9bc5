/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MOVS STOS LODS SCAS CMPS and their REP forms, SDM 2.
 *
 * A repeated instruction goes in chunks that lie within one page of plain RAM
 * on each side, where the host's own string instruction does the work: that
 * also gives overlapping moves and the flags of SCAS and CMPS their meaning.
 * Whatever is not that goes element by element. After each chunk or element
 * the registers are those of an interrupted instruction, so a fault or an
 * interrupt at that point finds them right.
 */
#include "engine/interp/handlers.h"
#include "engine/interp/flags.h"
#include "engine/interp/operand.h"

/* Between chunks an interrupt may be taken; a chunk is at most a page. */
#define ELEMENTS_PER_POLL 256

/* Advances rSI or rDI, which have the address size. */
ALWAYS_INLINE void advance(struct interp *cpu, unsigned reg, uint64_t bytes,
			   unsigned adsize)
{
	if (cpu->s.rflags & RFLAGS_DF)
		bytes = -bytes;
	reg_write(cpu, reg, cpu->s.gpr[reg] + bytes, adsize);
}

ALWAYS_INLINE uint64_t index_of(const struct interp *cpu, unsigned reg,
				const struct insn *insn)
{
	return truncate(cpu->s.gpr[reg], insn->adsize);
}

/* --- one element ---------------------------------------------------------- */

static void compare(struct interp *cpu, uint64_t a, uint64_t b, unsigned size)
{
	uint32_t ax;

	switch (size) {
	case 1:
		asm("cmpb %b2, %b1" FLAGS_STORE : "=&a"(ax) : "r"(a), "r"(b));
		break;
	case 2:
		asm("cmpw %w2, %w1" FLAGS_STORE : "=&a"(ax) : "r"(a), "r"(b));
		break;
	case 4:
		asm("cmpl %k2, %k1" FLAGS_STORE : "=&a"(ax) : "r"(a), "r"(b));
		break;
	default:
		asm("cmpq %2, %1" FLAGS_STORE : "=&a"(ax) : "r"(a), "r"(b));
	}
	flags_set(cpu, ax);
}

static void movs_once(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size;
	uint64_t value =
		mem_load(cpu, insn->seg, index_of(cpu, RSI, insn), size);

	mem_store(cpu, SEG_ES, index_of(cpu, RDI, insn), value, size);
	advance(cpu, RSI, size, insn->adsize);
	advance(cpu, RDI, size, insn->adsize);
}

static void stos_once(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size;

	mem_store(cpu, SEG_ES, index_of(cpu, RDI, insn), cpu->s.gpr[RAX], size);
	advance(cpu, RDI, size, insn->adsize);
}

static void lods_once(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size;

	reg_write(cpu, RAX,
		  mem_load(cpu, insn->seg, index_of(cpu, RSI, insn), size),
		  size);
	advance(cpu, RSI, size, insn->adsize);
}

static void scas_once(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size;
	uint64_t value = mem_load(cpu, SEG_ES, index_of(cpu, RDI, insn), size);

	compare(cpu, cpu->s.gpr[RAX], value, size);
	advance(cpu, RDI, size, insn->adsize);
}

static void cmps_once(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size;
	/* The host reads in this order, as faults on both show. */
	uint64_t b = mem_load(cpu, SEG_ES, index_of(cpu, RDI, insn), size);
	uint64_t a = mem_load(cpu, insn->seg, index_of(cpu, RSI, insn), size);

	compare(cpu, a, b, size);
	advance(cpu, RSI, size, insn->adsize);
	advance(cpu, RDI, size, insn->adsize);
}

/* --- chunks --------------------------------------------------------------- */

/* What a chunk works on; NULL where the operation has no such side. */
struct chunk {
	uint8_t *from, *to;
	uint64_t count; /* elements */
};

/* Cuts *count to what is in one span; false: element by element. */
static bool chunk_side(struct interp *cpu, const struct insn *insn,
		       unsigned segment, unsigned reg, enum mmu_access access,
		       uint8_t **host, uint64_t *count)
{
	unsigned size = insn->operand[0].size, bytes;
	uint64_t offset = index_of(cpu, reg, insn);

	bytes = (unsigned)MIN(*count, PAGE_SIZE / size) * size;
	/* An index that wraps at the address size is no plain range. */
	if (insn->adsize != 8 &&
	    offset + bytes - 1 > truncate(~0ull, insn->adsize))
		return false;
	*host = mem_span(cpu, segment, offset, &bytes, access);
	*count = bytes / size;
	return *host && *count;
}

static bool chunk_find(struct interp *cpu, const struct insn *insn,
		       struct chunk *chunk)
{
	bool has_from = insn->op == OP_MOVS || insn->op == OP_CMPS;
	bool writes = insn->op == OP_MOVS || insn->op == OP_STOS;

	if ((cpu->s.rflags & RFLAGS_DF) || chunk->count < 4)
		return false;
	if (has_from && !chunk_side(cpu, insn, insn->seg, RSI, MMU_READ,
				    &chunk->from, &chunk->count))
		return false;
	return chunk_side(cpu, insn, SEG_ES, RDI, writes ? MMU_WRITE : MMU_READ,
			  &chunk->to, &chunk->count);
}

#define BY_SIZE(text, ...)                                   \
	do {                                                 \
		switch (size) {                              \
		case 1:                                      \
			asm volatile(text("b") __VA_ARGS__); \
			break;                               \
		case 2:                                      \
			asm volatile(text("w") __VA_ARGS__); \
			break;                               \
		case 4:                                      \
			asm volatile(text("l") __VA_ARGS__); \
			break;                               \
		default:                                     \
			asm volatile(text("q") __VA_ARGS__); \
		}                                            \
	} while (0)

#define REP_MOVS(s) "rep movs" s
#define REP_STOS(s) "rep stos" s
/* The flags of the last comparison; the count is not 0. */
#define REPE_CMPS(s)  "repe cmps" s FLAGS_STORE
#define REPNE_CMPS(s) "repne cmps" s FLAGS_STORE
#define REPE_SCAS(s)  "repe scas" s FLAGS_STORE
#define REPNE_SCAS(s) "repne scas" s FLAGS_STORE

/* Performs the chunk; returns how many elements were not reached because the
 * comparison ended the repetition. */
static uint64_t chunk_run(struct interp *cpu, const struct insn *insn,
			  struct chunk *chunk)
{
	unsigned size = insn->operand[0].size;
	uint64_t count = chunk->count, ax = cpu->s.gpr[RAX];
	uint8_t *from = chunk->from, *to = chunk->to;
	bool is_repne = insn->prefixes & PREFIX_REPNE;

	switch (insn->op) {
	case OP_MOVS:
		BY_SIZE(REP_MOVS,
			: "+S"(from), "+D"(to), "+c"(count)
			:
			: "memory");
		return 0;
	case OP_STOS:
		BY_SIZE(REP_STOS, : "+D"(to), "+c"(count) : "a"(ax) : "memory");
		return 0;
	case OP_CMPS:
		if (is_repne)
			BY_SIZE(REPNE_CMPS,
				: "+S"(from), "+D"(to), "+c"(count), "=a"(ax)
				:
				: "memory", "cc");
		else
			BY_SIZE(REPE_CMPS,
				: "+S"(from), "+D"(to), "+c"(count), "=a"(ax)
				:
				: "memory", "cc");
		break;
	default:
		if (is_repne)
			BY_SIZE(REPNE_SCAS,
				: "+D"(to), "+c"(count), "+a"(ax)
				:
				: "memory", "cc");
		else
			BY_SIZE(REPE_SCAS,
				: "+D"(to), "+c"(count), "+a"(ax)
				:
				: "memory", "cc");
	}
	flags_set(cpu, (uint32_t)ax);
	return count;
}

/* --- repetition ----------------------------------------------------------- */

static bool is_compare(const struct insn *insn)
{
	return insn->op == OP_CMPS || insn->op == OP_SCAS;
}

/* REPE goes on while ZF is 1, REPNE while it is 0; others look at rCX only. */
static bool goes_on(const struct interp *cpu, const struct insn *insn)
{
	bool is_equal = cpu->s.rflags & RFLAGS_ZF;

	if (!is_compare(insn))
		return true;
	return insn->prefixes & PREFIX_REPNE ? !is_equal : is_equal;
}

static void count_down(struct interp *cpu, const struct insn *insn,
		       uint64_t elements)
{
	reg_write(cpu, RCX, cpu->s.gpr[RCX] - elements, insn->adsize);
}

/* One chunk of the fast kind; false when it takes the slow way. */
static bool repeat_chunk(struct interp *cpu, const struct insn *insn,
			 uint64_t count)
{
	unsigned size = insn->operand[0].size;
	struct chunk chunk = { .count = count };
	uint64_t done;

	if (insn->op == OP_LODS || !chunk_find(cpu, insn, &chunk))
		return false;
	done = chunk.count - chunk_run(cpu, insn, &chunk);
	if (chunk.from)
		advance(cpu, RSI, done * size, insn->adsize);
	advance(cpu, RDI, done * size, insn->adsize);
	if (insn->op == OP_MOVS || insn->op == OP_STOS)
		mem_written(cpu, chunk.to);
	count_down(cpu, insn, done);
	return true;
}

/*
 * Leaves before the repetition is done: the same instruction again, after
 * whatever is due. It has not retired. RF keeps a breakpoint on it from being
 * hit once more (SDM 3, 17.3.1.1).
 */
static void repeat_later(struct interp *cpu)
{
	if (cpu->has_breakpoints)
		cpu->s.rflags |= RFLAGS_RF;
	cpu->next_rip = cpu->s.rip;
	cpu->end_block = true;
	cpu->instructions--;
}

/*
 * With 32-bit addresses in 64-bit mode the registers that count are zero-
 * extended before anything else, even for a count of 0 or a fault (so does the
 * silicon; the SDM does not say).
 */
static void begin_repetition(struct interp *cpu, const struct insn *insn)
{
	if (insn->adsize != 4)
		return;
	reg_write(cpu, RCX, cpu->s.gpr[RCX], 4);
	if (insn->op == OP_MOVS)
		reg_write(cpu, RSI, cpu->s.gpr[RSI], 4);
	if (insn->op == OP_MOVS || insn->op == OP_STOS)
		reg_write(cpu, RDI, cpu->s.gpr[RDI], 4);
}

/* One element or one chunk; returns how many elements that is in polls. */
static unsigned repeat_part(struct interp *cpu, const struct insn *insn,
			    interp_fn *once, uint64_t count)
{
	/* A single step is one element (SDM 3, 17.3.1.4). */
	if (!(cpu->s.rflags & RFLAGS_TF) && repeat_chunk(cpu, insn, count))
		return ELEMENTS_PER_POLL;
	once(cpu, insn);
	count_down(cpu, insn, 1);
	return 1;
}

/*
 * A fault in a repeated comparison finds the flags as they were before the
 * instruction (SDM 2, REP): they stand in s.rflags while memory is accessed.
 */
static void exec_repeated(struct interp *cpu, const struct insn *insn,
			  interp_fn *once)
{
	const uint64_t before = cpu->s.rflags;
	unsigned polls = 0;

	begin_repetition(cpu, insn);
	if (!index_of(cpu, RCX, insn))
		return;
	for (;;) {
		polls += repeat_part(cpu, insn, once, index_of(cpu, RCX, insn));
		if (!index_of(cpu, RCX, insn) || !goes_on(cpu, insn))
			return;
		if ((before & RFLAGS_TF) || cpu->debug_hits)
			break;
		if (polls >= ELEMENTS_PER_POLL) {
			polls = 0;
			if (atomic_load_explicit(&cpu->attention,
						 memory_order_relaxed))
				break;
		}
		cpu->s.rflags = before;
	}
	repeat_later(cpu);
}

#define STRING(name)                                                         \
	static void exec_##name(struct interp *cpu, const struct insn *insn) \
	{                                                                    \
		if (insn->prefixes & (PREFIX_REP | PREFIX_REPNE))            \
			exec_repeated(cpu, insn, name##_once);               \
		else                                                         \
			name##_once(cpu, insn);                              \
	}

STRING(movs)
STRING(stos)
STRING(lods)
STRING(scas)
STRING(cmps)

/* --- INS and OUTS: one exit per element ------------------------------------ */

static void ins_once(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size;
	uint64_t offset = index_of(cpu, RDI, insn);
	uint16_t port = (uint16_t)cpu->s.gpr[RDX];

	mem_check_write(cpu, SEG_ES, offset, size);
	mem_store(cpu, SEG_ES, offset, io_read(cpu, port, size), size);
	advance(cpu, RDI, size, insn->adsize);
}

static void outs_once(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[1].size;
	uint16_t port = (uint16_t)cpu->s.gpr[RDX];
	uint64_t value;

	value = mem_load(cpu, insn->seg, index_of(cpu, RSI, insn), size);
	io_write(cpu, port, value, size);
	advance(cpu, RSI, size, insn->adsize);
}

/* Permission is asked even for no elements. Device accesses may want attention
 * at once: polled after each element. */
static void exec_io_string(struct interp *cpu, const struct insn *insn)
{
	interp_fn *once = insn->op == OP_INS ? ins_once : outs_once;
	unsigned size = insn->operand[insn->op == OP_OUTS].size;

	io_check(cpu, (uint16_t)cpu->s.gpr[RDX], size);
	if (!(insn->prefixes & (PREFIX_REP | PREFIX_REPNE))) {
		once(cpu, insn);
		return;
	}
	while (index_of(cpu, RCX, insn)) {
		once(cpu, insn);
		count_down(cpu, insn, 1);
		if (!index_of(cpu, RCX, insn))
			return;
		if ((cpu->s.rflags & RFLAGS_TF) || cpu->debug_hits ||
		    atomic_load_explicit(&cpu->attention,
					 memory_order_relaxed)) {
			repeat_later(cpu);
			return;
		}
	}
}

const struct interp_handler string_handlers[] = {
	{ OP_MOVS, exec_movs },	     { OP_STOS, exec_stos },
	{ OP_LODS, exec_lods },	     { OP_SCAS, exec_scas },
	{ OP_CMPS, exec_cmps },	     { OP_INS, exec_io_string },
	{ OP_OUTS, exec_io_string }, { 0 },
};
