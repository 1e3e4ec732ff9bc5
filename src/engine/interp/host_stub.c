/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stubs: routines that execute one x87, MMX, SSE or AVX instruction of the
 * guest on the host. SDM 2, chapter 2 for the encodings.
 *
 * A stub is called as stub(context, memory, ymm) by the System V ABI, so RDI is
 * the context, RSI the memory operand's bytes and RDX the guest's vector
 * registers. The copy keeps its vector and x87 register numbers (all of them
 * are the callee's to destroy); a general register becomes RAX and a memory
 * operand [RSI]. Results go to the context: the caller commits them when
 * nothing can fault any more. Only a vector that comes without exceptions goes
 * straight to the guest.
 *
 * The arena is one memfd mapped twice, writable here and executable there. When
 * it or the table is full, all stubs are forgotten.
 */
#include "engine/interp/host_unit.h"

#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "x86/insn_table.h"
#include "x86/regs.h"

#define ARENA_SIZE (256u << 10)
#define STUB_SIZE  224u /* the longest is below 200 bytes */

/* --- the copy ------------------------------------------------------------- */

/* An instruction's encoding with its fields taken apart. */
struct copy {
	uint8_t map, encoding, pp, vl, opcode, modrm, vvvv, immediate;
	bool w, r, b, has_opsize, has_modrm, has_immediate;
	bool is_mem;
};

struct emitter {
	uint8_t bytes[STUB_SIZE];
	unsigned count;
};

static void emit(struct emitter *out, uint8_t byte)
{
	BUG_ON(out->count >= sizeof(out->bytes));
	out->bytes[out->count++] = byte;
}

/* op modrm with mod = 2: [base + disp32], base RDI (7) or RDX (2). */
static void emit_access(struct emitter *out, uint8_t opcode, unsigned reg,
			unsigned base, unsigned displacement)
{
	emit(out, opcode);
	emit(out, 0x80 | (reg & 7) << 3 | base);
	for (unsigned i = 0; i < 4; i++)
		emit(out, displacement >> (8 * i));
}

enum { BASE_YMM = 2, BASE_CONTEXT = 7 };

#define AT(field) BASE_CONTEXT, offsetof(struct host_context, field)

/*
 * VMOVDQU ymm around VEX instructions, MOVUPS xmm around legacy ones: those
 * leave the upper halves alone, and processors charge 100 cycles or more for
 * going from one kind to the other with something in the upper halves.
 */
static void emit_vector(struct emitter *out, bool is_vex, bool is_store,
			unsigned reg, unsigned base, unsigned displacement)
{
	if (is_vex) {
		emit(out, 0xc5);
		emit(out, reg < 8 ? 0xfe : 0x7e);
		emit_access(out, is_store ? 0x7f : 0x6f, reg, base,
			    displacement);
		return;
	}
	if (reg >= 8)
		emit(out, 0x44);
	emit(out, 0x0f);
	emit_access(out, is_store ? 0x11 : 0x10, reg, base, displacement);
}

static void emit_legacy(struct emitter *out, const struct copy *copy)
{
	static const uint8_t prefix[] = { 0, 0x66, 0xf3, 0xf2 };
	uint8_t rex = copy->w << 3 | copy->r << 2 | copy->b;

	if (copy->has_opsize && copy->pp != 1)
		emit(out, 0x66);
	if (copy->pp)
		emit(out, prefix[copy->pp]);
	if (rex)
		emit(out, 0x40 | rex);
	if (copy->map != MAP_ONE)
		emit(out, 0x0f);
	if (copy->map == MAP_0F38)
		emit(out, 0x38);
	if (copy->map == MAP_0F3A)
		emit(out, 0x3a);
}

static void emit_vex(struct emitter *out, const struct copy *copy)
{
	emit(out, 0xc4);
	emit(out, !copy->r << 7 | 1 << 6 | !copy->b << 5 |
			  (copy->map == MAP_0F	 ? 1 :
			   copy->map == MAP_0F38 ? 2 :
						   3));
	emit(out,
	     copy->w << 7 | (~copy->vvvv & 15) << 3 | copy->vl << 2 | copy->pp);
}

static void emit_copy(struct emitter *out, const struct copy *copy)
{
	if (copy->encoding == ENC_VEX)
		emit_vex(out, copy);
	else
		emit_legacy(out, copy);
	emit(out, copy->opcode);
	if (copy->has_modrm)
		emit(out, copy->modrm);
	if (copy->has_immediate)
		emit(out, copy->immediate);
}

static bool is_x87(const struct insn *insn)
{
	return insn->map == MAP_ONE && insn->encoding == ENC_LEGACY;
}

/* FLDENV, FNSTENV, FRSTOR, FNSAVE: the only ones whose format 66 changes. */
static bool is_environment(const struct insn *insn)
{
	unsigned reg = bits_get(insn->modrm, 5, 3);

	return is_x87(insn) && insn->modrm < 0xc0 &&
	       ((insn->opcode == 0xd9 && (reg == 4 || reg == 6)) ||
		(insn->opcode == 0xdd && (reg == 4 || reg == 6)));
}

enum field { FIELD_NONE, FIELD_REG, FIELD_RM, FIELD_IMMEDIATE };

/* Which field of the encoding names the operand. */
static enum field operand_field(const struct insn_row *row, unsigned n)
{
	const struct operand_letters *letters =
		&insn_operand_letters[row->operands[n]];

	if (letters->special == SPECIAL_IMM_REG)
		return FIELD_IMMEDIATE;
	switch (letters->number) {
	case NUMBER_REG:
	case NUMBER_REG3:
		return FIELD_REG;
	case NUMBER_RM:
	case NUMBER_RM3:
	case NUMBER_RM_VECTOR:
		return FIELD_RM;
	default:
		return FIELD_NONE;
	}
}

static void copy_operand(struct copy *copy, const struct operand *operand,
			 enum field field)
{
	/* A general register becomes RAX. */
	unsigned reg = operand->kind == OPND_REG ? 0 : operand->reg;

	if (operand->kind == OPND_MM)
		reg &= 7;
	if (field == FIELD_REG) {
		copy->r = reg >> 3;
		copy->modrm = (copy->modrm & 0xc7) | (reg & 7) << 3;
	} else if (field == FIELD_RM && !operand_is_mem(operand)) {
		copy->b = reg >> 3;
		copy->modrm = (copy->modrm & 0xf8) | (reg & 7);
	} else if (field == FIELD_IMMEDIATE) {
		copy->immediate = reg << 4;
	}
}

static void copy_make(struct copy *copy, const struct insn *insn,
		      const struct insn_row *row)
{
	bool has_gpr = false;

	*copy = (struct copy){
		.map = insn->map,
		.encoding = insn->encoding,
		.pp = is_x87(insn) ? 0 : insn->pp,
		.vl = insn->vl,
		.opcode = insn->opcode,
		.modrm = insn->modrm,
		.vvvv = insn->encoding == ENC_VEX ? insn->vvvv : 0,
		.w = insn->w && !is_x87(insn),
		.has_modrm = insn->has_modrm,
		.has_opsize = is_environment(insn) && insn->opsize == 2,
		.immediate = insn->imm,
		.has_immediate = insn->imm_len != 0,
	};
	for (unsigned i = 0; i < insn->nops; i++) {
		const struct operand *operand = &insn->operand[i];

		copy_operand(copy, operand, operand_field(row, i));
		/* As a register: a memory operand counts too. */
		has_gpr |= insn_operand_letters[row->operands[i]]
				   .forms[0][0]
				   .kind == OPND_REG;
		copy->is_mem |= operand_is_mem(operand);
	}
	if (copy->is_mem) { /* [RSI] */
		copy->modrm = (copy->modrm & 0x38) | RSI;
		copy->b = false;
	}
	/* Outside 64-bit mode W never makes a general operand 64 bits. */
	if (insn->mode != X86_MODE_64 &&
	    (has_gpr || insn->op == OP_VPCMPESTRM ||
	     insn->op == OP_VPCMPESTRI || insn->encoding == ENC_LEGACY))
		copy->w = false;
}

/*
 * What tells stubs apart, quicker to have than the copy: the row with its
 * opcode, ModRM, constant and registers. General registers and the parts of a
 * memory operand's address do not count.
 */
static uint64_t stub_key(const struct insn *insn)
{
	uint64_t key = BIT(63) | insn->row | (uint64_t)insn->opcode << 12 |
		       (uint64_t)(insn->imm & 0xff) << 28 |
		       (uint64_t)insn->vl << 52 | (uint64_t)insn->w << 54 |
		       (uint64_t)(insn->mode == X86_MODE_64) << 55 |
		       (uint64_t)(insn->opsize == 2) << 56;

	for (unsigned i = 0; i < insn->nops; i++) {
		const struct operand *operand = &insn->operand[i];

		if (operand->kind >= OPND_ST)
			key |= (uint64_t)(operand->reg & 15) << (36 + 4 * i);
	}
	return key |
	       (uint64_t)(insn->modrm < 0xc0 ? insn->modrm & 0x38 : insn->modrm)
		       << 20;
}

/* --- what an instruction uses --------------------------------------------- */

/* Opcodes that read or raise what is in MXCSR (SDM 1, 10.2.3 and tables of
 * appendix C); a row too many costs time only. */
static bool uses_mxcsr(const struct insn *insn)
{
	uint8_t op = insn->opcode;

	switch (insn->map) {
	case MAP_0F:
		return op == 0x2a || (op >= 0x2c && op <= 0x2f) ||
		       (op >= 0x51 && op <= 0x53) ||
		       (op >= 0x58 && op <= 0x5f) || op == 0x7c || op == 0x7d ||
		       op == 0xc2 || op == 0xd0 || op == 0xe6;
	case MAP_0F38:
		return op == 0x13 || (op >= 0x96 && op <= 0xbf);
	case MAP_0F3A:
		return (op >= 0x08 && op <= 0x0b) || op == 0x1d || op == 0x40 ||
		       op == 0x41;
	default:
		return false;
	}
}

/* PCMPESTRM, PCMPESTRI, PCMPISTRM, PCMPISTRI: 60h to 63h. */
static uint16_t string_compare_use(const struct insn *insn)
{
	uint16_t use = 0;

	if (insn->map != MAP_0F3A || (insn->opcode & 0xfc) != 0x60)
		return 0;
	if (!(insn->opcode & 2))
		use |= STUB_LENGTHS;
	return use | (insn->opcode & 1 ? STUB_INDEX : STUB_XMM0);
}

static void stub_describe(struct host_stub *stub, const struct insn *insn,
			  const struct insn_row *row)
{
	stub->use = string_compare_use(insn);
	stub->memory = -1;
	if (row->class & (CLASS_X87 | CLASS_MMX))
		stub->use |= STUB_X87;
	if (uses_mxcsr(insn) && !is_x87(insn))
		stub->use |= STUB_MXCSR;
	if (row->flags_read)
		stub->use |= STUB_FLAGS_IN;
	if (row->flags_written)
		stub->use |= STUB_FLAGS_OUT;
	stub->flags_written = row->flags_written & RFLAGS_STATUS;
	for (unsigned i = 0; i < insn->nops; i++) {
		const struct operand *operand = &insn->operand[i];

		if (operand_is_mem(operand)) {
			stub->memory = i;
		} else if (operand->kind == OPND_MM) {
			stub->use |= STUB_MMX;
		} else if (operand->kind == OPND_REG) {
			stub->use |= STUB_GPR;
			stub->gpr = i;
		} else if (operand->kind == OPND_VREG &&
			   (operand->access & ACCESS_W)) {
			stub->use |= STUB_VECTOR;
			stub->vector = operand->reg;
		}
	}
	/* Nothing can fault behind it: no way over the context. */
	if ((stub->use & (STUB_VECTOR | STUB_MXCSR)) == STUB_VECTOR)
		stub->use = (stub->use & ~STUB_VECTOR) | STUB_DIRECT;
	if (!host_has_feature(row->feature))
		stub->use |= STUB_ILLEGAL;
}

/* --- building ------------------------------------------------------------- */

static void emit_loads(struct emitter *out, const struct host_stub *stub,
		       const struct insn *insn)
{
	uint32_t loaded = stub->use & STUB_XMM0 ? 1 : 0;

	if (stub->use & STUB_X87) { /* FXRSTOR64 */
		emit(out, 0x48);
		emit(out, 0x0f);
		emit_access(out, 0xae, 1, AT(image));
	}
	for (unsigned i = 0; i < insn->nops; i++)
		if (insn->operand[i].kind == OPND_VREG)
			loaded |= 1u << insn->operand[i].reg;
	for (unsigned reg = 0; reg < 16; reg++)
		if (loaded & 1u << reg)
			emit_vector(out, insn->encoding == ENC_VEX, false, reg,
				    BASE_YMM, 32 * reg);
	if (stub->use & STUB_MXCSR) { /* LDMXCSR */
		emit(out, 0x0f);
		emit_access(out, 0xae, 2, AT(mxcsr));
	}
	if (stub->use & STUB_FLAGS_IN) { /* PUSH; POPFQ */
		emit_access(out, 0xff, 6, AT(rflags));
		emit(out, 0x9d);
	}
	if (stub->use & (STUB_GPR | STUB_LENGTHS)) { /* MOV RAX */
		emit(out, 0x48);
		emit_access(out, 0x8b, RAX, AT(rax));
	}
	if (stub->use & STUB_LENGTHS) { /* MOV RDX */
		emit(out, 0x48);
		emit_access(out, 0x8b, RDX, AT(rdx));
	}
}

static void emit_stores(struct emitter *out, const struct host_stub *stub,
			bool is_vex)
{
	if (stub->use & STUB_FLAGS_OUT) { /* PUSHFQ; POP */
		emit(out, 0x9c);
		emit_access(out, 0x8f, 0, AT(rflags));
	}
	if (stub->use & STUB_GPR) {
		emit(out, 0x48);
		emit_access(out, 0x89, RAX, AT(rax));
	}
	if (stub->use & STUB_INDEX) {
		emit(out, 0x48);
		emit_access(out, 0x89, RCX, AT(rcx));
	}
	if (stub->use & (STUB_MXCSR | STUB_MXCSR_OUT)) { /* STMXCSR */
		emit(out, 0x0f);
		emit_access(out, 0xae, 3, AT(mxcsr));
	}
	if (stub->use & STUB_MXCSR) { /* LDMXCSR */
		emit(out, 0x0f);
		emit_access(out, 0xae, 2, AT(host_mxcsr));
	}
	if (stub->use & STUB_DIRECT)
		emit_vector(out, is_vex, true, stub->vector, BASE_YMM,
			    32 * stub->vector);
	else if (stub->use & STUB_VECTOR)
		emit_vector(out, is_vex, true, stub->vector, AT(result[0]));
	if (stub->use & STUB_XMM0)
		emit_vector(out, is_vex, true, 0, AT(result[1]));
	if (stub->use & STUB_X87) { /* FXSAVE64; FNINIT */
		emit(out, 0x48);
		emit(out, 0x0f);
		emit_access(out, 0xae, 0, AT(image));
		emit(out, 0xdb);
		emit(out, 0xe3);
	}
	if (is_vex) { /* VZEROUPPER */
		emit(out, 0xc5);
		emit(out, 0xf8);
		emit(out, 0x77);
	}
	emit(out, 0xc3);
}

static void forget_all(struct host_unit *unit)
{
	memset(unit->table, 0, sizeof(unit->table));
	unit->count = 0;
	unit->used = 0;
}

/* Written at one address and executed at another: SDM 3, 8.1.3 asks for a
 * serializing instruction between the two. */
static void serialize(void)
{
	unsigned a, b, c, d;

	__cpuid(0, a, b, c, d);
}

/* One routine with these of the stub's uses. */
static stub_fn *stub_emit(struct host_unit *unit, struct host_stub *stub,
			  const struct insn *insn, const struct copy *copy,
			  uint16_t use)
{
	struct emitter out = { .count = 0 };
	stub_fn *run = (stub_fn *)(void *)(unit->executable + unit->used);
	struct host_stub part = *stub;

	part.use = use;
	emit_loads(&out, &part, insn);
	stub->insn_offset = out.count;
	emit_copy(&out, copy);
	stub->insn_end = out.count;
	emit_stores(&out, &part, insn->encoding == ENC_VEX);
	memcpy(unit->writable + unit->used, out.bytes, out.count);
	unit->used += align_up(out.count, 32);
	return run;
}

static void stub_build(struct host_unit *unit, struct host_stub *stub,
		       const struct insn *insn)
{
	uint16_t plain;
	struct copy copy;

	copy_make(&copy, insn, insn_row(insn));
	stub_describe(stub, insn, insn_row(insn));
	if (stub->use & STUB_ILLEGAL)
		return;
	plain = (stub->use & ~STUB_MXCSR) | STUB_MXCSR_OUT;
	if (stub->use & STUB_MXCSR)
		stub->run_plain = stub_emit(unit, stub, insn, &copy, plain);
	stub->run = stub_emit(unit, stub, insn, &copy, stub->use);
	serialize();
}

static unsigned key_hash(uint64_t key)
{
	return (key * 0x9e3779b97f4a7c15ull) >> 40;
}

const struct host_stub *host_stub_find(struct host_unit *unit,
				       const struct insn *insn)
{
	uint64_t key = stub_key(insn);
	unsigned slot = key_hash(key) % HOST_STUBS;
	struct host_stub *stub;

	for (stub = &unit->table[slot]; stub->key; stub = &unit->table[slot]) {
		if (stub->key == key)
			return stub;
		slot = (slot + 1) % HOST_STUBS;
	}
	if (unit->count >= HOST_STUBS / 2 ||
	    unit->used + 2 * STUB_SIZE > ARENA_SIZE) {
		forget_all(unit);
		stub = &unit->table[key_hash(key) % HOST_STUBS];
	}
	stub_build(unit, stub, insn);
	stub->key = key;
	unit->count++;
	return stub;
}

/* --- creation ------------------------------------------------------------- */

bool host_has_feature(enum insn_feature feature)
{
	const struct insn_feature_info *info = insn_feature_info(feature);
	unsigned regs[4];

	if (!info->leaf)
		return true;
	if (!__get_cpuid_count(info->leaf, info->subleaf, &regs[0], &regs[1],
			       &regs[2], &regs[3]) ||
	    !(regs[info->reg] & 1u << info->bit))
		return false;
	return !(info->class & CLASS_AVX) || __builtin_cpu_supports("avx");
}

static int arena_map(struct host_unit *unit)
{
	cleanup_fd int fd = memfd_create("ringfence-stubs", MFD_CLOEXEC);
	void *writable, *executable;

	if (fd < 0 || ftruncate(fd, ARENA_SIZE) < 0)
		return -errno;
	writable = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			fd, 0);
	if (writable == MAP_FAILED)
		return -errno;
	unit->writable = writable;
	executable = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED,
			  fd, 0);
	if (executable == MAP_FAILED)
		return -errno;
	unit->executable = executable;
	return 0;
}

/*
 * A stub that runs with the guest's exception masks has trapped: let it go on
 * after the instruction, which has changed nothing but MXCSR. RDI is the
 * context while a stub runs, and the arena is the only code that traps.
 */
static void on_sigfpe(int number, siginfo_t *info, void *frame)
{
	greg_t *gregs = ((ucontext_t *)frame)->uc_mcontext.gregs;
	struct host_context *context = (void *)gregs[REG_RDI];

	if (info->si_code <= 0 || gregs[REG_TRAPNO] != VECTOR_XM ||
	    context->trap_rip != (uint64_t)gregs[REG_RIP]) {
		signal(SIGFPE, SIG_DFL); /* not ours: die of it */
		return;
	}
	context->has_trapped = true;
	gregs[REG_RIP] = context->resume_rip;
}

void host_traps_catch(void)
{
	struct sigaction action = { .sa_sigaction = on_sigfpe,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK };

	BUG_ON(sigaction(SIGFPE, &action, NULL) < 0);
}

struct host_unit *host_unit_create(void)
{
	struct host_unit *unit = aligned_alloc(64, sizeof(*unit));
	int error;

	if (!unit)
		return NULL;
	memset(unit, 0, sizeof(*unit));
	unit->context.host_mxcsr = 0x1f80;
	error = arena_map(unit);
	if (error) {
		log_error("interp: executable memory: %s", strerror(-error));
		host_unit_destroy(unit);
		return NULL;
	}
	return unit;
}

void host_unit_destroy(struct host_unit *unit)
{
	if (!unit)
		return;
	if (unit->writable)
		munmap(unit->writable, ARENA_SIZE);
	if (unit->executable)
		munmap(unit->executable, ARENA_SIZE);
	free(unit);
}
