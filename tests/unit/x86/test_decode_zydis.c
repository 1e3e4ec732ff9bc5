/* SPDX-License-Identifier: BSD-2-Clause */
/* link: -lZydis */
/*
 * The decoder against Zydis 4.0: length, legality, mnemonic, and each
 * operand's kind, size, register, address and access.  Over the text of this
 * process's C library, of a kernel where tools/fetch left one, and over random
 * encodings in 64-, 32- and 16-bit code.  Where the two differ on purpose, a
 * table below says why.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <Zydis/Zydis.h>
#include <elf.h>
#include <fcntl.h>
#include <glob.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../scale.h"
#include "encodings.h"
#include "x86/decode.h"

struct comparison {
	ZydisDecoder zydis;
	enum x86_mode mode;
	const uint8_t *bytes;
	int ret;
	struct insn insn;
	bool is_ok; /* Zydis: */
	ZydisDecodedInstruction other;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	unsigned int count; /* of operands that the text would show */
	uint64_t failures, cases;
};

static void report(struct comparison *c, const char *what, int64_t ours,
		   int64_t theirs)
{
	char text[80];

	if (c->failures++ > 30)
		return;
	encoding_print(text, c->mode, c->bytes, 15);
	printf("%s: %s/%s: %s: %lld, Zydis %lld\n", text,
	       c->ret > 0 ? insn_op_name(c->insn.op) : "-",
	       c->is_ok ? ZydisMnemonicGetString(c->other.mnemonic) : "-", what,
	       (long long)ours, (long long)theirs);
}

/* --- what differs on purpose ---------------------------------------------- */

/* Beginnings of mnemonics that Zydis knows and Intel's processors do not. */
static const struct {
	const char *name;
	const char *why;
} foreign[] = {
	{ "pf", "3DNow!" },
	{ "pi2f", "3DNow!" },
	{ "pavgusb", "3DNow!" },
	{ "pswapd", "3DNow!" },
	{ "pmulhrw", "3DNow!" },
	{ "femms", "3DNow!" },
	{ "extrq", "SSE4a" },
	{ "insertq", "SSE4a" },
	{ "movnts", "SSE4a" },
	{ "clzero", "AMD" },
	{ "monitorx", "AMD" },
	{ "mwaitx", "AMD" },
	{ "rdpru", "AMD" },
	{ "mcommit", "AMD" },
	{ "rmp", "AMD" },
	{ "pvalidate", "AMD" },
	{ "psmash", "AMD" },
	{ "vmgexit", "AMD" },
	{ "invlpgb", "AMD" },
	{ "tlbsync", "AMD" },
	{ "montmul", "VIA" },
	{ "xcrypt", "VIA" },
	{ "xsha", "VIA" },
	{ "xstore", "VIA" },
	{ "ccs_", "VIA" },
	{ "jk", "Knights Corner" },
	{ "kconcat", "Knights Corner" },
	{ "kand", "Knights Corner" },
	{ "kmerge", "Knights Corner" },
	{ "kextract", "Knights Corner" },
	{ "clevict", "Knights Corner" },
	{ "delay", "Knights Corner" },
	{ "spflt", "Knights Corner" },
	{ "vprefetch", "Knights Corner" },
	{ "vp4dp", "Knights Mill" },
	{ "v4f", "Knights Mill" },
	{ "vexp2", "Knights Landing" },
	{ "vrcp28", "Knights Landing" },
	{ "vrsqrt28", "Knights Landing" },
	{ "vscatterpf", "Knights Landing" },
	{ "vgatherpf", "Knights Landing" },
	{ "vpermil2", "XOP" },
	{ "tdcall", "TDX" },
	{ "seam", "TDX" },
	{ "jmpe", "Itanium" },
};

/* AMD's FMA4 shares its names with FMA but for the operand order. */
static bool is_fma4(const struct comparison *c)
{
	return c->other.meta.isa_set == ZYDIS_ISA_SET_FMA4;
}

static bool is_foreign(const struct comparison *c)
{
	const char *name = ZydisMnemonicGetString(c->other.mnemonic);

	if (c->other.meta.isa_set == ZYDIS_ISA_SET_XOP || is_fma4(c) ||
	    c->other.encoding == ZYDIS_INSTRUCTION_ENCODING_XOP ||
	    c->other.encoding == ZYDIS_INSTRUCTION_ENCODING_MVEX ||
	    c->other.encoding == ZYDIS_INSTRUCTION_ENCODING_3DNOW)
		return true;
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (!strncmp(name, foreign[i].name, strlen(foreign[i].name)))
			return true;
	switch (c->other.meta.isa_set) {
	case ZYDIS_ISA_SET_KNCE:
	case ZYDIS_ISA_SET_KNCJKBR:
	case ZYDIS_ISA_SET_KNCSTREAM:
	case ZYDIS_ISA_SET_KNCV:
	case ZYDIS_ISA_SET_KNC_MISC:
	case ZYDIS_ISA_SET_KNC_PF_HINT:
		return true;
	default:
		break;
	}
	/* Intel: 64-bit mode only (SDM 2, SYSCALL, SYSRET) */
	return (c->other.mnemonic == ZYDIS_MNEMONIC_SYSCALL ||
		c->other.mnemonic == ZYDIS_MNEMONIC_SYSRET) &&
	       c->mode != X86_MODE_64;
}

/* AMD's SVM ignores selecting prefixes, on its CPUs; Intel has none of it. */
static bool is_svm(const struct comparison *c)
{
	return c->other.meta.isa_set == ZYDIS_ISA_SET_SVM;
}

/*
 * What we take and Zydis does not, and the CPU check agrees with us: MPX and
 * CET names with registers that do not exist are NOPs where these are not
 * offered; outside of 64-bit mode bit 3 of vvvv is ignored, and W1 of the
 * half-precision conversions from and to general registers.
 */
static bool may_accept(const struct comparison *c)
{
	if (c->insn.op == OP_NOP)
		return true;
	return c->mode != X86_MODE_64 && c->insn.encoding != ENC_LEGACY;
}

/* --- names ---------------------------------------------------------------- */

/* Families of ours: Zydis's names begin with the second column. */
static const struct {
	enum x86_op op;
	const char *names;
} families[] = {
	{ OP_JCC, "j" },
	{ OP_SETCC, "set" },
	{ OP_CMOVCC, "cmov" },
	{ OP_JCXZ, "j" },
	{ OP_MOVS, "movs" },
	{ OP_STOS, "stos" },
	{ OP_LODS, "lods" },
	{ OP_SCAS, "scas" },
	{ OP_CMPS, "cmps" },
	{ OP_INS, "ins" },
	{ OP_OUTS, "outs" },
	{ OP_CBW, "c" },
	{ OP_CWD, "c" },
	{ OP_IRET, "iret" },
	{ OP_PUSHF, "pushf" },
	{ OP_POPF, "popf" },
	{ OP_PUSHA, "pusha" },
	{ OP_POPA, "popa" },
	{ OP_PUSH_SREG, "push" },
	{ OP_POP_SREG, "pop" },
	{ OP_MOV_SREG, "mov" },
	{ OP_MOV_CR, "mov" },
	{ OP_MOV_DR, "mov" },
	{ OP_CALL_FAR, "call" },
	{ OP_JMP_FAR, "jmp" },
	{ OP_RET_FAR, "ret" },
	{ OP_UD, "ud" },
	{ OP_WRSS, "wrss" },
	{ OP_WRUSS, "wruss" },
	{ OP_INCSSP, "incssp" },
	{ OP_FENI, "feni" },
	{ OP_FDISI, "fdisi" },
	{ OP_FSETPM, "fsetpm" },
	{ OP_FXSAVE, "fxsave" },
	{ OP_FXRSTOR, "fxrstor" },
	{ OP_XSAVE, "xsave" },
	{ OP_XRSTOR, "xrstor" },
	{ OP_XSAVEOPT, "xsaveopt" },
	{ OP_XSAVEC, "xsavec" },
	{ OP_XSAVES, "xsaves" },
	{ OP_XRSTORS, "xrstors" },
	{ OP_SYSRET, "sysret" },
	{ OP_SYSEXIT, "sysexit" },
	{ OP_WBNOINVD, "wb" },
	/* hints that are NOPs where CET, MPX, CLDEMOTE are not offered */
	{ OP_NOP, "" },
};

static bool is_same_name(const struct comparison *c)
{
	const char *theirs = ZydisMnemonicGetString(c->other.mnemonic);
	const char *ours = insn_op_name(c->insn.op);

	if (!strcasecmp(ours, theirs))
		return true;
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		if (families[i].op == c->insn.op)
			return !strncmp(theirs, families[i].names,
					strlen(families[i].names));
	return false;
}

/* Zydis shows what the text shows: no string operands, no implied ones. */
static bool has_other_operands(const struct insn *insn)
{
	switch (insn->op) {
	case OP_NOP:
	case OP_UD:
	case OP_MOVS:
	case OP_STOS:
	case OP_LODS:
	case OP_SCAS:
	case OP_CMPS:
	case OP_INS:
	case OP_OUTS:
	case OP_SKINIT:
	case OP_INVLPGA:
	case OP_VMRUN:
	case OP_VMLOAD:
	case OP_VMSAVE:
	case OP_BLENDVPS:
	case OP_BLENDVPD:
	case OP_PBLENDVB:
	case OP_SHA256RNDS2:
	case OP_FCOM:
	case OP_FCOMP:
	case OP_FUCOM:
	case OP_FUCOMP:
	case OP_FXCH:
	case OP_FSTPNCE:
		return true;
	default:
		return false;
	}
}

/* --- operands ------------------------------------------------------------- */

/*
 * Accesses that we call otherwise: BSF and BSR leave their destination when
 * the source is 0; prefetches access nothing; Zydis counts the kept upper part
 * of CVTSI2SS and CVTSI2SD but of no other scalar; VMCLEAR writes without
 * reading; a blend's mask chooses and keeps nothing, VCOMPRESS's keeps.
 */
static bool has_other_access(const struct insn *insn)
{
	switch (insn->op) {
	case OP_BSF:
	case OP_BSR:
	case OP_PREFETCHNTA:
	case OP_PREFETCHT0:
	case OP_PREFETCHT1:
	case OP_PREFETCHT2:
	case OP_PREFETCHW:
	case OP_PREFETCHWT1:
	case OP_CVTSI2SS:
	case OP_CVTSI2SD:
	case OP_VMCLEAR:
	case OP_LEA:
	case OP_VPBLENDMB:
	case OP_VPBLENDMW:
	case OP_VPBLENDMD:
	case OP_VPBLENDMQ:
	case OP_VBLENDMPS:
	case OP_VBLENDMPD:
	case OP_VCOMPRESSPS:
	case OP_VCOMPRESSPD:
	case OP_VPCOMPRESSB:
	case OP_VPCOMPRESSW:
	case OP_VPCOMPRESSD:
	case OP_VPCOMPRESSQ:
		return true;
	default:
		/* into an opmask: what is masked out becomes 0 */
		return insn->operand[0].kind == OPND_KREG ||
		       (operand_is_mem(&insn->operand[0]) && insn->evex_k);
	}
}

/* Sizes that are not the operation's: whole lines and areas, LEA's address. */
static bool has_other_size(const struct insn *insn)
{
	switch (insn->op) {
	case OP_LEA:
	case OP_INVLPG:
	case OP_CLFLUSH:
	case OP_CLFLUSHOPT:
	case OP_CLWB:
	case OP_XSAVE:
	case OP_XSAVEC:
	case OP_XSAVEOPT:
	case OP_XSAVES:
	case OP_XRSTOR:
	case OP_XRSTORS:
	case OP_LAR: /* SDM: r32/m16; only 16 bits count */
	case OP_LSL:
	case OP_MOVSXD: /* with 66 it reads 16 bits, Intel's CPUs do so */
	case OP_MOVMSKPS: /* 32 bits with or without REX.W: the rest is 0 */
	case OP_MOVMSKPD:
	case OP_SENDUIPI:
	case OP_LDTILECFG:
	case OP_STTILECFG:
	case OP_TILELOADD:
	case OP_TILELOADDT1:
	case OP_TILESTORED:
		return true;
	default:
		return insn_row(insn)->feature == FEAT_KL;
	}
}

static enum operand_kind kind_of_register(ZydisRegister reg)
{
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return OPND_REG;
	case ZYDIS_REGCLASS_X87:
		return OPND_ST;
	case ZYDIS_REGCLASS_MMX:
		return OPND_MM;
	case ZYDIS_REGCLASS_SEGMENT:
		return OPND_SREG;
	case ZYDIS_REGCLASS_MASK:
		return OPND_KREG;
	case ZYDIS_REGCLASS_CONTROL:
		return OPND_CR;
	case ZYDIS_REGCLASS_DEBUG:
		return OPND_DR;
	case ZYDIS_REGCLASS_TMM:
		return OPND_TILE;
	default:
		return OPND_VREG;
	}
}

/* Zydis numbers byte registers AL CL DL BL AH CH DH BH SPL BPL SIL DIL R8B. */
static int number_of_register(ZydisRegister reg)
{
	int number = ZydisRegisterGetId(reg);

	if (reg == ZYDIS_REGISTER_NONE)
		return INSN_REG_NONE;
	if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP)
		return INSN_REG_RIP;
	if (ZydisRegisterGetClass(reg) != ZYDIS_REGCLASS_GPR8 || number < 4)
		return number;
	return number < 8 ? number - 4 + INSN_REG_AH : number - 4;
}

static void compare_register(struct comparison *c,
			     const struct operand *operand,
			     const ZydisDecodedOperand *other)
{
	ZydisRegister reg = other->reg.value;

	if (operand->kind != kind_of_register(reg)) {
		report(c, "kind", operand->kind, kind_of_register(reg));
		return;
	}
	if (operand->reg != number_of_register(reg))
		report(c, "register", operand->reg, number_of_register(reg));
	if (operand->kind == OPND_REG && operand->size != other->size / 8 &&
	    !has_other_size(&c->insn))
		report(c, "size", operand->size, other->size / 8);
	if (operand->kind == OPND_VREG) {
		int width = ZydisRegisterGetWidth(c->other.machine_mode, reg);
		int ours = operand->size > 32 ? 512 :
			   operand->size > 16 ? 256 :
						128;

		if (ours != width)
			report(c, "vector width", ours, width);
	}
}

/*
 * Zydis takes R13 for the base where SIB says "disp32, no base" and both a 67
 * prefix and REX.B are there; without the 67 it agrees with the SDM and us.
 */
static bool is_wrong_base(const struct comparison *c, int base)
{
	return c->mode == X86_MODE_64 && c->insn.adsize == 4 &&
	       c->insn.has_sib && c->insn.base == INSN_REG_NONE && base == R13;
}

static void compare_memory(struct comparison *c, const struct operand *operand,
			   const ZydisDecodedOperand *other)
{
	const struct insn *insn = &c->insn;
	int base = number_of_register(other->mem.base);
	int index = number_of_register(other->mem.index);
	int segment = ZydisRegisterGetId(other->mem.segment);
	int64_t disp = other->mem.disp.value;

	if (!operand_is_mem(operand)) {
		report(c, "kind", operand->kind, OPND_MEM);
		return;
	}
	if (operand->size != other->size / 8 && !has_other_size(insn))
		report(c, "memory size", operand->size, other->size / 8);
	if (is_wrong_base(c, base))
		return;
	if (insn->base != base)
		report(c, "base", insn->base, base);
	if (insn->index != index)
		report(c, "index", insn->index, index);
	else if (index != INSN_REG_NONE && insn->scale != other->mem.scale)
		report(c, "scale", insn->scale, other->mem.scale);
	/* a moffs is an address, not a signed offset */
	if (operand->kind == OPND_MOFFS && insn->adsize < 8)
		disp &= (1ull << 8 * insn->adsize) - 1;
	if (insn->disp != disp)
		report(c, "displacement", insn->disp, disp);
	if (insn->seg != segment && insn->op != OP_LEA)
		report(c, "segment", insn->seg, segment);
}

static void compare_imm(struct comparison *c, const struct operand *operand,
			const ZydisDecodedOperand *other)
{
	const struct insn *insn = &c->insn;
	uint64_t ours = operand->kind == OPND_IMM2 ? insn->imm2 : insn->imm;
	uint64_t theirs = other->imm.value.u;
	uint64_t mask = ~0ull;

	/* Zydis extends a byte's sign also where only the byte counts */
	if (operand->size < 8)
		mask = (1ull << 8 * operand->size) - 1;
	if (operand->kind == OPND_REL)
		mask = ~0ull;
	if ((ours ^ theirs) & mask)
		report(c, "immediate", ours, theirs);
}

static void compare_access(struct comparison *c, const struct operand *operand,
			   const ZydisDecodedOperand *other)
{
	const unsigned int reads = ZYDIS_OPERAND_ACTION_READ |
				   ZYDIS_OPERAND_ACTION_CONDREAD |
				   ZYDIS_OPERAND_ACTION_CONDWRITE;
	const unsigned int writes = ZYDIS_OPERAND_ACTION_WRITE |
				    ZYDIS_OPERAND_ACTION_CONDWRITE;
	int theirs = (other->actions & reads ? ACCESS_R : 0) |
		     (other->actions & writes ? ACCESS_W : 0);

	if (operand->access != theirs && !has_other_access(&c->insn))
		report(c, "access", operand->access, theirs);
}

static void compare_operands(struct comparison *c)
{
	const struct insn *insn = &c->insn;
	unsigned int count = 0;

	for (unsigned int i = 0; i < c->other.operand_count; i++) {
		const ZydisDecodedOperand *other = &c->operands[i];
		const struct operand *operand = &insn->operand[count];

		if (other->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN ||
		    other->encoding == ZYDIS_OPERAND_ENCODING_MASK)
			continue;
		if (count++ >= insn->nops)
			continue;
		compare_access(c, operand, other);
		if (other->type == ZYDIS_OPERAND_TYPE_REGISTER)
			compare_register(c, operand, other);
		else if (other->type == ZYDIS_OPERAND_TYPE_MEMORY)
			compare_memory(c, operand, other);
		else if (other->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
			compare_imm(c, operand, other);
	}
	if (count != insn->nops)
		report(c, "operands", insn->nops, count);
}

/* Where the parts lie in the bytes: what re-encoding an instruction needs. */
static void compare_layout(struct comparison *c)
{
	const struct insn *insn = &c->insn;
	const ZydisDecodedInstructionRaw *raw = &c->other.raw;
	unsigned int imm = raw->imm[0].size / 8 + raw->imm[1].size / 8;
	bool has_modrm = c->other.attributes & ZYDIS_ATTRIB_HAS_MODRM;

	if (insn->opcode != c->other.opcode)
		report(c, "opcode", insn->opcode, c->other.opcode);
	if (insn->has_modrm != has_modrm)
		report(c, "has ModRM", insn->has_modrm, has_modrm);
	if (has_modrm && insn->off_modrm != raw->modrm.offset)
		report(c, "ModRM at", insn->off_modrm, raw->modrm.offset);
	if (insn->disp_len != raw->disp.size / 8)
		report(c, "disp length", insn->disp_len, raw->disp.size / 8);
	if (insn->disp_len && insn->off_disp != raw->disp.offset)
		report(c, "disp at", insn->off_disp, raw->disp.offset);
	if (insn->imm_len != imm)
		report(c, "imm length", insn->imm_len, imm);
	if (imm && insn->off_imm != raw->imm[0].offset)
		report(c, "imm at", insn->off_imm, raw->imm[0].offset);
}

/*
 * RFLAGS: what is written must be the same, what is read at least what Zydis
 * says (a row that may leave flags alone reads them).  The engine's own
 * instructions are left out: Zydis counts only what they do without events.
 */
static void compare_flags(struct comparison *c)
{
	const struct insn_row *row = insn_row(&c->insn);
	const ZydisAccessedFlags *other = c->other.cpu_flags;
	uint32_t written = 0, read = 0;

	if (row->bt == BT_SYSTEM)
		return;
	/* SDM: VPTEST and VTEST clear AF, OF, PF, SF as PTEST does */
	if (c->insn.op == OP_VPTEST || c->insn.op == OP_VTESTPS ||
	    c->insn.op == OP_VTESTPD)
		return;
	if (other) {
		written = other->modified | other->set_0 | other->set_1 |
			  other->undefined;
		read = other->tested;
	}
	if (row->flags_written != written)
		report(c, "flags written", row->flags_written, written);
	if (read & ~row->flags_read)
		report(c, "flags read", row->flags_read, read);
}

/* Returns how far to go on. */
static unsigned int compare(struct comparison *c, const uint8_t *bytes,
			    size_t avail)
{
	c->cases++;
	c->bytes = bytes;
	c->ret = insn_decode(&c->insn, bytes, avail, c->mode);
	c->is_ok = ZYAN_SUCCESS(ZydisDecoderDecodeFull(&c->zydis, bytes,
						       avail > 15 ? 15 : avail,
						       &c->other, c->operands));
	if (c->is_ok && c->ret <= 0) {
		if (!is_foreign(c) && !is_svm(c))
			report(c, "refused", c->ret, c->other.length);
	} else if (!c->is_ok && c->ret > 0) {
		if (!may_accept(c))
			report(c, "accepted", c->ret, 0);
	} else if (c->is_ok && c->ret != c->other.length) {
		report(c, "length", c->ret, c->other.length);
	} else if (c->is_ok && !is_same_name(c)) {
		report(c, "name", c->insn.op, c->other.mnemonic);
	} else if (c->is_ok) {
		compare_layout(c);
		compare_flags(c);
		if (!has_other_operands(&c->insn))
			compare_operands(c);
	}
	return c->is_ok ? c->other.length : 1;
}

static void comparison_init(struct comparison *c, enum x86_mode mode)
{
	static const struct {
		ZydisMachineMode mode;
		ZydisStackWidth width;
	} modes[] = {
		[X86_MODE_16] = { ZYDIS_MACHINE_MODE_LONG_COMPAT_16,
				  ZYDIS_STACK_WIDTH_16 },
		[X86_MODE_32] = { ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
				  ZYDIS_STACK_WIDTH_32 },
		[X86_MODE_64] = { ZYDIS_MACHINE_MODE_LONG_64,
				  ZYDIS_STACK_WIDTH_64 },
	};

	memset(c, 0, sizeof(*c));
	c->mode = mode;
	ZydisDecoderInit(&c->zydis, modes[mode].mode, modes[mode].width);
}

/* --- where the bytes come from -------------------------------------------- */

static void random_encodings(enum x86_mode mode)
{
	uint64_t count = test_scale(100000, 2000000, 40000000);
	uint64_t seed = count + mode;
	struct comparison c;

	comparison_init(&c, mode);
	while (count--) {
		uint8_t bytes[ENCODING_BYTES];

		encoding_fill(bytes, &seed);
		compare(&c, bytes, sizeof(bytes));
	}
	assert_int_equal(c.failures, 0);
}

static void random_encodings_64(void **state)
{
	random_encodings(X86_MODE_64);
}

static void random_encodings_32(void **state)
{
	random_encodings(X86_MODE_32);
}

static void random_encodings_16(void **state)
{
	random_encodings(X86_MODE_16);
}

/* The fastest of five passes: ns of CPU time an instruction. */
static void print_speed(const uint8_t *text, size_t size)
{
	double best = 1e9;

	for (int pass = 0; pass < 5; pass++) {
		clock_t start = clock();
		uint64_t count = 0;
		double took;
		struct insn insn;

		for (size_t at = 0; at < size; count++) {
			int ret = insn_decode(&insn, text + at, size - at,
					      X86_MODE_64);

			at += ret > 0 ? ret : 1;
		}
		took = (double)(clock() - start) / CLOCKS_PER_SEC;
		if (took * 1e9 / count < best)
			best = took * 1e9 / count;
	}
	printf("%.1f ns an instruction\n", best);
}

/* Executable sections of an ELF file; false when it cannot be read. */
static bool sweep(const char *name, uint64_t *cases)
{
	int fd = open(name, O_RDONLY);
	struct comparison c;
	struct stat stat;
	const uint8_t *file;
	const Elf64_Ehdr *header;
	const Elf64_Shdr *sections;

	if (fd < 0)
		return false;
	assert_int_equal(fstat(fd, &stat), 0);
	file = mmap(NULL, stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	assert_true(file != MAP_FAILED);
	header = (const void *)file;
	assert_memory_equal(header->e_ident, ELFMAG, SELFMAG);
	sections = (const void *)(file + header->e_shoff);
	comparison_init(&c, X86_MODE_64);
	for (int i = 0; i < header->e_shnum; i++) {
		const uint8_t *text = file + sections[i].sh_offset;
		size_t size = sections[i].sh_size, at = 0;

		if (sections[i].sh_type != SHT_PROGBITS ||
		    !(sections[i].sh_flags & SHF_EXECINSTR))
			continue;
		while (at < size)
			at += compare(&c, text + at, size - at);
		if (size > 1 << 20)
			print_speed(text, size);
	}
	munmap((void *)file, stat.st_size);
	printf("%s: %llu instructions\n", name, (unsigned long long)c.cases);
	assert_int_equal(c.failures, 0);
	*cases += c.cases;
	return true;
}

static int on_object(struct dl_phdr_info *info, size_t size, void *argument)
{
	if (strstr(info->dlpi_name, "libc.so"))
		*(const char **)argument = strdup(info->dlpi_name);
	return 0;
}

static void c_library(void **state)
{
	const char *name = NULL;
	uint64_t cases = 0;

	dl_iterate_phdr(on_object, &name);
	if (!name)
		skip();
	assert_true(sweep(name, &cases));
	assert_true(cases > 100000);
	free((char *)name);
}

static void kernel(void **state)
{
	glob_t found = { 0 };
	uint64_t cases = 0;

	if (test_scale(0, 1, 1) == 0 ||
	    glob("build/guest/*/vmlinux", 0, NULL, &found))
		skip();
	for (size_t i = 0; i < found.gl_pathc; i++)
		assert_true(sweep(found.gl_pathv[i], &cases));
	assert_true(cases > 1000000);
	globfree(&found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c_library),
		cmocka_unit_test(kernel),
		cmocka_unit_test(random_encodings_64),
		cmocka_unit_test(random_encodings_32),
		cmocka_unit_test(random_encodings_16),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
