/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptor-table registers and the rest of the system instructions: LGDT to
 * STR, SMSW, HLT, CPUID, the time stamp, caches, XCR0, hypercalls. SDM 2.
 */
#include "engine/interp/fpu.h"
#include "engine/interp/mmu.h"
#include "engine/interp/operand.h"
#include "engine/interp/privilege.h"
#include "engine/interp/segment.h"

/* --- GDTR and IDTR -------------------------------------------------------- */

static unsigned base_size(const struct insn *insn)
{
	return insn->mode == X86_MODE_64 ? 8 : 4;
}

static void store_table(struct interp *cpu, const struct insn *insn,
			const struct cpu_table *table)
{
	uint8_t image[10];

	require_umip(cpu);
	store_u16(image, table->limit);
	store_u64(image + 2, table->base);
	mem_write_bytes(cpu, insn->seg, operand_address(cpu, insn), image,
			2 + base_size(insn));
}

static void load_table(struct interp *cpu, const struct insn *insn,
		       struct cpu_table *table)
{
	uint8_t image[10] = { 0 };
	uint64_t base;

	require_cpl0(cpu);
	mem_read_bytes(cpu, insn->seg, operand_address(cpu, insn), image,
		       2 + base_size(insn));
	base = load_u64(image + 2);
	if (!gva_is_canonical(base) && insn->mode == X86_MODE_64)
		fault_gp(cpu, 0);
	if (insn->opsize == 2)
		base &= 0xffffff;
	table->limit = load_u16(image);
	table->base = base;
}

static void exec_sgdt(struct interp *cpu, const struct insn *insn)
{
	store_table(cpu, insn, &cpu->s.gdtr);
}

static void exec_sidt(struct interp *cpu, const struct insn *insn)
{
	store_table(cpu, insn, &cpu->s.idtr);
}

static void exec_lgdt(struct interp *cpu, const struct insn *insn)
{
	load_table(cpu, insn, &cpu->s.gdtr);
}

static void exec_lidt(struct interp *cpu, const struct insn *insn)
{
	load_table(cpu, insn, &cpu->s.idtr);
}

/* --- LDTR and TR ---------------------------------------------------------- */

/* A selector or SMSW's word: zero-extended to a register, 16 bits in memory. */
static void store_word(struct interp *cpu, const struct insn *insn,
		       uint64_t value)
{
	require_umip(cpu);
	if (insn->operand[0].kind == OPND_REG)
		reg_write(cpu, insn->operand[0].reg, value, insn->opsize);
	else
		operand_write(cpu, insn, 0, value, 2);
}

static void exec_sldt(struct interp *cpu, const struct insn *insn)
{
	store_word(cpu, insn, cpu->s.ldtr.selector);
}

static void exec_str(struct interp *cpu, const struct insn *insn)
{
	store_word(cpu, insn, cpu->s.tr.selector);
}

static void exec_smsw(struct interp *cpu, const struct insn *insn)
{
	store_word(cpu, insn, cpu->s.cr0);
}

/* A system segment of one of `types` from the GDT; 16 bytes in long mode. */
static struct cpu_segment load_system(struct interp *cpu, uint16_t selector,
				      uint64_t types,
				      struct descriptor *descriptor)
{
	struct cpu_segment segment;

	if ((selector & SELECTOR_TI) ||
	    !descriptor_read(cpu, selector, descriptor))
		fault_selector(cpu, VECTOR_GP, selector, 0);
	segment = segment_from_descriptor(selector, descriptor->low);
	if ((segment.attributes & SEGMENT_S) ||
	    !(types & BIT(segment.attributes & SEGMENT_TYPE)))
		fault_selector(cpu, VECTOR_GP, selector, 0);
	if (!(segment.attributes & SEGMENT_P))
		fault_selector(cpu, VECTOR_NP, selector, 0);
	if (!cpu_is_long_mode(&cpu->s))
		return segment;
	if (!descriptor_read_high(cpu, selector, descriptor) ||
	    bits_get(descriptor->high, 44, 40))
		fault_selector(cpu, VECTOR_GP, selector, 0);
	segment.base |= descriptor->high << 32;
	if (!gva_is_canonical(segment.base))
		fault_selector(cpu, VECTOR_GP, selector, 0);
	return segment;
}

static void exec_lldt(struct interp *cpu, const struct insn *insn)
{
	struct descriptor descriptor;
	uint16_t selector;

	require_cpl0(cpu);
	selector = operand_read(cpu, insn, 0, 2);
	if (selector_is_null(selector))
		cpu->s.ldtr = (struct cpu_segment){
			.selector = selector,
			.attributes = SEGMENT_UNUSABLE,
		};
	else
		cpu->s.ldtr = load_system(cpu, selector, BIT(SYSTEM_LDT),
					  &descriptor);
}

static void exec_ltr(struct interp *cpu, const struct insn *insn)
{
	uint64_t types = BIT(SYSTEM_TSS32);
	struct descriptor descriptor;
	struct cpu_segment segment;
	uint16_t selector;

	require_cpl0(cpu);
	selector = operand_read(cpu, insn, 0, 2);
	if (selector_is_null(selector))
		fault_gp(cpu, 0);
	if (!cpu_is_long_mode(&cpu->s))
		types |= BIT(SYSTEM_TSS16);
	segment = load_system(cpu, selector, types, &descriptor);
	segment.attributes |= 2; /* busy */
	mem_write_system(cpu, descriptor.address + 5,
			 (uint8_t)segment.attributes, 1);
	cpu->s.tr = segment;
}

/* --- the rest ------------------------------------------------------------- */

static void exec_hlt(struct interp *cpu, const struct insn *insn)
{
	struct exit exit = { .reason = EXIT_HLT };

	require_cpl0(cpu);
	switch (interp_exit(cpu, &exit)) {
	case EXIT_WAIT:
	case EXIT_LEAVE:
		cpu->s.activity = CPU_HALTED;
		cpu->end_block = true;
		break;
	case EXIT_FAULT:
		fault_gp(cpu, 0);
	case EXIT_RESUME:
		break;
	}
}

static void exec_cpuid(struct interp *cpu, const struct insn *insn)
{
	uint64_t *gpr = cpu->s.gpr;
	struct exit exit = {
		.reason = EXIT_CPUID,
		.cpuid = {
			.eax = (uint32_t)gpr[RAX],
			.ecx = (uint32_t)gpr[RCX],
			.cr4 = cpu->s.cr4,
			.xcr0 = cpu->s.xcr0,
		},
	};

	if (interp_exit(cpu, &exit) == EXIT_FAULT)
		fault_gp(cpu, 0);
	gpr[RAX] = exit.cpuid.eax;
	gpr[RBX] = exit.cpuid.ebx;
	gpr[RCX] = exit.cpuid.ecx;
	gpr[RDX] = exit.cpuid.edx;
}

static void check_tsd(struct interp *cpu)
{
	if (cpu->cpl && (cpu->s.cr4 & CR4_TSD))
		fault_gp(cpu, 0);
}

static void exec_rdtsc(struct interp *cpu, const struct insn *insn)
{
	uint64_t tsc;

	check_tsd(cpu);
	tsc = interp_tsc(cpu);
	cpu->s.gpr[RAX] = (uint32_t)tsc;
	cpu->s.gpr[RDX] = tsc >> 32;
}

static void exec_rdtscp(struct interp *cpu, const struct insn *insn)
{
	exec_rdtsc(cpu, insn);
	cpu->s.gpr[RCX] = (uint32_t)cpu->s.msr.tsc_aux;
}

static void exec_rdpid(struct interp *cpu, const struct insn *insn)
{
	reg_write(cpu, insn->operand[0].reg, (uint32_t)cpu->s.msr.tsc_aux,
		  insn->operand[0].size);
}

/* The model has no performance counters: every index is out of range. */
static void exec_rdpmc(struct interp *cpu, const struct insn *insn)
{
	fault_gp(cpu, 0);
}

/* Guest memory is as coherent as the host's: nothing to write back. */
static void exec_wbinvd(struct interp *cpu, const struct insn *insn)
{
	require_cpl0(cpu);
}

#define XCR0_KNOWN (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_PKRU)

static void exec_xgetbv(struct interp *cpu, const struct insn *insn)
{
	uint32_t index = (uint32_t)cpu->s.gpr[RCX];
	uint64_t value = cpu->s.xcr0;

	if (!(cpu->s.cr4 & CR4_OSXSAVE))
		fault_ud(cpu);
	/* XINUSE, where XSAVEC's leaf says so: CPUID.(0Dh,1):EAX[2]. */
	if (index == 1 && cpu->cpuid &&
	    cpuid_has_bit(cpu->cpuid, 13, 1, CPUID_EAX, 2))
		value &= fpu_in_use(&cpu->s.fpu) |
			 (cpu->s.pkru ? XCR0_PKRU : 0);
	else if (index)
		fault_gp(cpu, 0);
	cpu->s.gpr[RAX] = (uint32_t)value;
	cpu->s.gpr[RDX] = value >> 32;
}

static void exec_xsetbv(struct interp *cpu, const struct insn *insn)
{
	uint64_t value = (uint32_t)cpu->s.gpr[RAX] | cpu->s.gpr[RDX] << 32;
	uint64_t offered = XCR0_KNOWN;

	if (!(cpu->s.cr4 & CR4_OSXSAVE))
		fault_ud(cpu);
	require_cpl0(cpu);
	if (cpu->cpuid)
		offered &= cpuid_value(cpu->cpuid, 13, 0, CPUID_EAX);
	if ((uint32_t)cpu->s.gpr[RCX] || !(value & XCR0_X87) ||
	    (value & ~offered) || ((value & XCR0_AVX) && !(value & XCR0_SSE)))
		fault_gp(cpu, 0);
	cpu->s.xcr0 = value;
	interp_mode_changed(cpu);
}

/* SDM 2, RDPKRU and WRPKRU: at every privilege level. */
static void check_pkru(struct interp *cpu)
{
	if (!(cpu->s.cr4 & CR4_PKE))
		fault_ud(cpu);
	if ((uint32_t)cpu->s.gpr[RCX])
		fault_gp(cpu, 0);
}

static void exec_rdpkru(struct interp *cpu, const struct insn *insn)
{
	check_pkru(cpu);
	cpu->s.gpr[RAX] = cpu->s.pkru;
	cpu->s.gpr[RDX] = 0;
}

static void exec_wrpkru(struct interp *cpu, const struct insn *insn)
{
	check_pkru(cpu);
	if ((uint32_t)cpu->s.gpr[RDX])
		fault_gp(cpu, 0);
	interp_load_pkru(cpu, (uint32_t)cpu->s.gpr[RAX]);
}

/* KVM's convention; outside 64-bit mode registers have 32 bits. */
static void exec_vmcall(struct interp *cpu, const struct insn *insn)
{
	bool is_64bit = cpu->mode == X86_MODE_64;
	uint64_t mask = is_64bit ? ~0ull : 0xffffffff;
	uint64_t *gpr = cpu->s.gpr;
	struct exit exit = {
		.reason = EXIT_VMCALL,
		.vmcall = {
			.number = gpr[RAX] & mask,
			.argument = { gpr[RBX] & mask, gpr[RCX] & mask,
				      gpr[RDX] & mask, gpr[RSI] & mask },
			.is_64bit = is_64bit,
			.cpl = cpu->cpl,
		},
	};

	if (interp_exit(cpu, &exit) == EXIT_FAULT)
		fault_gp(cpu, 0);
	gpr[RAX] = exit.vmcall.result & mask;
	cpu->end_block = true;
}

const struct interp_handler system_handlers[] = {
	{ OP_SGDT, exec_sgdt },
	{ OP_SIDT, exec_sidt },
	{ OP_LGDT, exec_lgdt },
	{ OP_LIDT, exec_lidt },
	{ OP_SLDT, exec_sldt },
	{ OP_STR, exec_str },
	{ OP_LLDT, exec_lldt },
	{ OP_LTR, exec_ltr },
	{ OP_SMSW, exec_smsw },
	{ OP_HLT, exec_hlt },
	{ OP_CPUID, exec_cpuid },
	{ OP_RDTSC, exec_rdtsc },
	{ OP_RDTSCP, exec_rdtscp },
	{ OP_RDPID, exec_rdpid },
	{ OP_RDPMC, exec_rdpmc },
	{ OP_WBINVD, exec_wbinvd },
	{ OP_INVD, exec_wbinvd },
	{ OP_WBNOINVD, exec_wbinvd },
	{ OP_XGETBV, exec_xgetbv },
	{ OP_XSETBV, exec_xsetbv },
	{ OP_RDPKRU, exec_rdpkru },
	{ OP_WRPKRU, exec_wrpkru },
	{ OP_VMCALL, exec_vmcall },
	{ OP_VMMCALL, exec_vmcall },
	{ 0 },
};
