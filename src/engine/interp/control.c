/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control and debug registers, and the flags that steer the system: MOV CR and
 * DR, LMSW, CLTS, CLI, STI, CLAC, STAC, INVLPG, INVPCID. SDM 3, 2.5, 4.10.4,
 * 17.2.
 */
#include "engine/interp/mmu.h"
#include "engine/interp/operand.h"
#include "engine/interp/privilege.h"
#include "engine/interp/segment.h"

/* --- CR0 ------------------------------------------------------------------ */

#define CR0_WRITABLE                                                    \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | \
	 CR0_NW | CR0_CD | CR0_PG)

/* Reads the four PDPTE registers of PAE paging; #GP(0) for reserved bits. */
static void load_pdptes(struct interp *cpu, uint64_t cr3)
{
	uint64_t pdpte[4];

	for (unsigned i = 0; i < 4; i++) {
		gpa_t gpa = ((cr3 & 0xffffffe0) + i * 8) & cpu->address_mask;
		bool is_writable;
		const uint8_t *page = cpu->ops->page(
			cpu->world, gpa & PAGE_MASK, &is_writable);

		pdpte[i] = page ? load_u64(page + (gpa & ~PAGE_MASK)) : ~0ull;
		if (!walk_pdpte_is_valid(pdpte[i], mmu_maxphyaddr(cpu)))
			fault_gp(cpu, 0);
	}
	memcpy(cpu->s.pdpte, pdpte, sizeof(pdpte));
}

static bool is_pae(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(efer & EFER_LMA);
}

/* Switching paging on with EFER.LME enters long mode (SDM 3, 9.8.5). */
static uint64_t efer_after(struct interp *cpu, uint64_t cr0)
{
	const struct cpu_state *s = &cpu->s;
	uint64_t efer = s->msr.efer;

	if (!((s->cr0 ^ cr0) & CR0_PG))
		return efer;
	if (!(cr0 & CR0_PG)) {
		if (cpu->mode == X86_MODE_64 || (s->cr4 & CR4_PCIDE))
			fault_gp(cpu, 0);
		return efer & ~EFER_LMA;
	}
	if (!(efer & EFER_LME))
		return efer;
	if (!(s->cr4 & CR4_PAE) ||
	    (s->segment[SEG_CS].attributes & SEGMENT_L) ||
	    (s->tr.attributes & SEGMENT_TYPE) <= SYSTEM_TSS16_BUSY)
		fault_gp(cpu, 0);
	return efer | EFER_LMA;
}

static void write_cr0(struct interp *cpu, uint64_t value)
{
	struct cpu_state *s = &cpu->s;
	uint64_t changed, efer;

	if (value >> 32 || ((value & CR0_PG) && !(value & CR0_PE)) ||
	    ((value & CR0_NW) && !(value & CR0_CD)))
		fault_gp(cpu, 0);
	value = (value & CR0_WRITABLE) | CR0_ET;
	efer = efer_after(cpu, value);
	changed = s->cr0 ^ value;
	if ((changed & (CR0_PG | CR0_CD | CR0_NW)) &&
	    is_pae(value, s->cr4, efer))
		load_pdptes(cpu, s->cr3);
	s->cr0 = value;
	s->msr.efer = efer;
	if (changed & (CR0_PG | CR0_WP | CR0_PE))
		tlb_flush(cpu);
	interp_mode_changed(cpu);
}

static void exec_lmsw(struct interp *cpu, const struct insn *insn)
{
	uint64_t low = CR0_PE | CR0_MP | CR0_EM | CR0_TS;
	uint64_t value;

	require_cpl0(cpu);
	value = operand_read(cpu, insn, 0, 2) & low;
	/* PE can be set, not cleared. */
	write_cr0(cpu, (cpu->s.cr0 & ~(low & ~CR0_PE)) | value);
}

static void exec_clts(struct interp *cpu, const struct insn *insn)
{
	require_cpl0(cpu);
	cpu->s.cr0 &= ~CR0_TS;
	interp_mode_changed(cpu);
}

/* --- CR3, CR4, CR8 -------------------------------------------------------- */

void interp_load_cr3(struct interp *cpu, uint64_t value)
{
	struct cpu_state *s = &cpu->s;
	bool keep = false;

	if (s->cr4 & CR4_PCIDE) {
		keep = value & CR3_NOFLUSH;
		value &= ~CR3_NOFLUSH;
	}
	if (is_pae(s->cr0, s->cr4, s->msr.efer))
		load_pdptes(cpu, value);
	s->cr3 = value;
	tlb_load_cr3(cpu, keep);
}

static void write_cr3(struct interp *cpu, uint64_t value)
{
	uint64_t address = value;

	if (cpu->s.cr4 & CR4_PCIDE)
		address &= ~CR3_NOFLUSH;
	if (cpu->mode == X86_MODE_64 && address >> mmu_maxphyaddr(cpu))
		fault_gp(cpu, 0);
	interp_load_cr3(cpu, value);
}

/* Which bits of CR4 the model has, by the CPUID bit that announces each. */
static const struct {
	uint64_t cr4;
	uint32_t leaf;
	uint8_t reg, bit;
} cr4_bits[] = {
	{ CR4_VME | CR4_PVI, 1, CPUID_EDX, 1 },
	{ CR4_TSD, 1, CPUID_EDX, 4 },
	{ CR4_DE, 1, CPUID_EDX, 2 },
	{ CR4_PSE, 1, CPUID_EDX, 3 },
	{ CR4_PAE, 1, CPUID_EDX, 6 },
	{ CR4_MCE, 1, CPUID_EDX, 7 },
	{ CR4_PGE, 1, CPUID_EDX, 13 },
	{ CR4_OSFXSR, 1, CPUID_EDX, 24 },
	{ CR4_OSXMMEXCPT, 1, CPUID_EDX, 25 },
	{ CR4_PCIDE, 1, CPUID_ECX, 17 },
	{ CR4_OSXSAVE, 1, CPUID_ECX, 26 },
	{ CR4_FSGSBASE, 7, CPUID_EBX, 0 },
	{ CR4_SMEP, 7, CPUID_EBX, 7 },
	{ CR4_SMAP, 7, CPUID_EBX, 20 },
	{ CR4_UMIP, 7, CPUID_ECX, 2 },
	{ CR4_PKE, 7, CPUID_ECX, 3 },
	{ CR4_PKS, 7, CPUID_ECX, 31 },
};

static uint64_t cr4_allowed(const struct interp *cpu)
{
	uint64_t allowed = CR4_PCE;

	for (unsigned i = 0; i < ARRAY_SIZE(cr4_bits); i++)
		if (!cpu->cpuid ||
		    cpuid_has_bit(cpu->cpuid, cr4_bits[i].leaf, 0,
				  cr4_bits[i].reg, cr4_bits[i].bit))
			allowed |= cr4_bits[i].cr4;
	return allowed;
}

#define CR4_PAGING                                                       \
	(CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP | \
	 CR4_PKE | CR4_PKS)

static void write_cr4(struct interp *cpu, uint64_t value)
{
	struct cpu_state *s = &cpu->s;
	uint64_t changed = s->cr4 ^ value;

	if (value & ~cr4_allowed(cpu))
		fault_gp(cpu, 0);
	if (cpu_is_long_mode(s) && !(value & CR4_PAE))
		fault_gp(cpu, 0);
	if ((changed & value & CR4_PCIDE) &&
	    (!cpu_is_long_mode(s) || (s->cr3 & CR3_PCID)))
		fault_gp(cpu, 0);
	if ((changed & (CR4_PAE | CR4_PSE | CR4_PGE | CR4_SMEP)) &&
	    is_pae(s->cr0, value, s->msr.efer))
		load_pdptes(cpu, s->cr3);
	s->cr4 = value;
	if (changed & CR4_PAGING)
		tlb_flush(cpu);
	interp_mode_changed(cpu);
}

static uint64_t read_cr(struct interp *cpu, unsigned number)
{
	switch (number) {
	case 0:
		return cpu->s.cr0;
	case 2:
		return cpu->s.cr2;
	case 3:
		return cpu->s.cr3;
	case 4:
		return cpu->s.cr4;
	default:
		return cpu->ops->get_tpr(cpu->world);
	}
}

static void write_cr(struct interp *cpu, unsigned number, uint64_t value)
{
	switch (number) {
	case 0:
		write_cr0(cpu, value);
		break;
	case 2:
		cpu->s.cr2 = value;
		break;
	case 3:
		write_cr3(cpu, value);
		break;
	case 4:
		write_cr4(cpu, value);
		break;
	default:
		if (value > 15)
			fault_gp(cpu, 0);
		cpu->s.cr8 = value;
		cpu->ops->set_tpr(cpu->world, value);
		cpu->end_block = true;
		break;
	}
}

#define CR_NUMBERS (BIT(0) | BIT(2) | BIT(3) | BIT(4) | BIT(8))

static void exec_mov_cr(struct interp *cpu, const struct insn *insn)
{
	bool is_write = insn->operand[0].kind == OPND_CR;
	unsigned number = insn->operand[is_write ? 0 : 1].reg;
	unsigned reg = insn->operand[is_write ? 1 : 0].reg;
	unsigned size = insn->mode == X86_MODE_64 ? 8 : 4;

	if (number > 15 || !(CR_NUMBERS & BIT(number)))
		fault_ud(cpu);
	require_cpl0(cpu);
	if (is_write)
		write_cr(cpu, number, reg_read(cpu, reg, size));
	else
		reg_write(cpu, reg, read_cr(cpu, number), size);
}

/* --- debug registers ------------------------------------------------------ */

/* RTM's bit 16 of DR6 and bit 11 of DR7 are fixed without RTM. */
#define DR6_WRITABLE (BITS(3, 0) | DR6_BD | DR6_BS | DR6_BT)
#define DR7_WRITABLE (BITS(31, 16) | DR7_GD | BITS(9, 0))

/* General detect: a fault before the access (SDM 3, 17.2.4). */
_Noreturn static void raise_general_detect(struct interp *cpu)
{
	/* A fault pushes RF set, but for an instruction breakpoint's
	 * (17.3.1.1). */
	cpu->s.rflags |= RFLAGS_RF;
	cpu->pending = (struct cpu_event){
		.is_valid = true,
		.kind = CPU_EVENT_EXCEPTION,
		.vector = VECTOR_DB,
		.payload = DR6_BD,
	};
	longjmp(cpu->fault, 1);
}

static void write_dr(struct interp *cpu, unsigned number, uint64_t value)
{
	uint64_t *dr = cpu->s.dr;

	if (number >= 6 && value >> 32)
		fault_gp(cpu, 0);
	if (number == 6)
		dr[6] = (value & DR6_WRITABLE) | DR6_FIXED1;
	else if (number == 7)
		dr[7] = (value & DR7_WRITABLE) | DR7_FIXED1;
	else
		dr[number] = value;
	interp_mode_changed(cpu);
}

static void exec_mov_dr(struct interp *cpu, const struct insn *insn)
{
	bool is_write = insn->operand[0].kind == OPND_DR;
	unsigned number = insn->operand[is_write ? 0 : 1].reg;
	unsigned reg = insn->operand[is_write ? 1 : 0].reg;
	unsigned size = insn->mode == X86_MODE_64 ? 8 : 4;

	if (number > 7)
		fault_ud(cpu);
	if (number == 4 || number == 5) {
		if (cpu->s.cr4 & CR4_DE)
			fault_ud(cpu);
		number += 2;
	}
	require_cpl0(cpu);
	if (cpu->s.dr[7] & DR7_GD)
		raise_general_detect(cpu);
	if (is_write)
		write_dr(cpu, number, reg_read(cpu, reg, size));
	else
		reg_write(cpu, reg, cpu->s.dr[number], size);
}

/* --- flags ---------------------------------------------------------------- */

enum if_right { IF_REAL, IF_VIRTUAL };

/* Who may change IF, and where VIF stands in for it: SDM 2, CLI, table 3-6. */
static enum if_right interrupt_flag_right(struct interp *cpu)
{
	const struct cpu_state *s = &cpu->s;
	unsigned iopl = bits_get(s->rflags, 13, 12);

	if (!(s->cr0 & CR0_PE))
		return IF_REAL;
	if (s->rflags & RFLAGS_VM) {
		if (iopl == 3)
			return IF_REAL;
		if (s->cr4 & CR4_VME)
			return IF_VIRTUAL;
		fault_gp(cpu, 0);
	}
	if (cpu->cpl <= iopl)
		return IF_REAL;
	if (cpu->cpl == 3 && (s->cr4 & CR4_PVI))
		return IF_VIRTUAL;
	fault_gp(cpu, 0);
}

static void exec_cli(struct interp *cpu, const struct insn *insn)
{
	if (interrupt_flag_right(cpu) == IF_REAL)
		cpu->s.rflags &= ~RFLAGS_IF;
	else
		cpu->s.rflags &= ~RFLAGS_VIF;
}

static void exec_sti(struct interp *cpu, const struct insn *insn)
{
	struct cpu_state *s = &cpu->s;

	if (interrupt_flag_right(cpu) == IF_VIRTUAL) {
		if (s->rflags & RFLAGS_VIP)
			fault_gp(cpu, 0);
		s->rflags |= RFLAGS_VIF;
		return;
	}
	if (!(s->rflags & RFLAGS_IF)) {
		s->rflags |= RFLAGS_IF;
		s->sti_shadow = true;
		cpu->end_block = true;
	}
}

static void set_ac(struct interp *cpu, uint64_t value)
{
	if (cpu->cpl)
		fault_ud(cpu);
	cpu->s.rflags = (cpu->s.rflags & ~RFLAGS_AC) | value;
	/* What interp_mode_changed derives from AC at CPL 0, without ending
	 * the block: the mode of the code is as it was. */
	cpu->view = (cpu->s.cr4 & CR4_SMAP) && !value ? MMU_SMAP :
							MMU_SUPERVISOR;
}

static void exec_clac(struct interp *cpu, const struct insn *insn)
{
	set_ac(cpu, 0);
}

static void exec_stac(struct interp *cpu, const struct insn *insn)
{
	set_ac(cpu, RFLAGS_AC);
}

/* --- invalidation --------------------------------------------------------- */

static void exec_invlpg(struct interp *cpu, const struct insn *insn)
{
	gva_t gva;

	require_cpl0(cpu);
	/* No segment check: a non-canonical address does nothing. */
	gva = operand_address(cpu, insn);
	if (cpu->mode == X86_MODE_64)
		gva = mem_flat(cpu, insn->seg, gva);
	else
		gva = (uint32_t)(gva + cpu->s.segment[insn->seg].base);
	if (gva_is_canonical(gva))
		tlb_flush_page(cpu, gva);
}

enum invpcid_type {
	INVPCID_ADDRESS,
	INVPCID_SINGLE,
	INVPCID_ALL_GLOBAL,
	INVPCID_ALL,
};

static void exec_invpcid(struct interp *cpu, const struct insn *insn)
{
	uint64_t type, pcid, gva;
	uint8_t descriptor[16];

	require_cpl0(cpu);
	type = reg_read(cpu, insn->operand[0].reg,
			insn->mode == X86_MODE_64 ? 8 : 4);
	mem_read_bytes(cpu, insn->seg, operand_address(cpu, insn), descriptor,
		       sizeof(descriptor));
	pcid = load_u64(descriptor);
	gva = load_u64(descriptor + 8);
	if (type > INVPCID_ALL || pcid & ~CR3_PCID)
		fault_gp(cpu, 0);
	if (type <= INVPCID_SINGLE && pcid && !(cpu->s.cr4 & CR4_PCIDE))
		fault_gp(cpu, 0);
	switch ((enum invpcid_type)type) {
	case INVPCID_ADDRESS:
		if (!gva_is_canonical(gva))
			fault_gp(cpu, 0);
		tlb_flush_page(cpu, gva);
		break;
	case INVPCID_SINGLE:
		tlb_flush_pcid(cpu, pcid);
		break;
	case INVPCID_ALL_GLOBAL:
		tlb_flush(cpu);
		break;
	case INVPCID_ALL:
		tlb_flush_local(cpu);
		break;
	}
}

const struct interp_handler control_handlers[] = {
	{ OP_MOV_CR, exec_mov_cr },
	{ OP_MOV_DR, exec_mov_dr },
	{ OP_LMSW, exec_lmsw },
	{ OP_CLTS, exec_clts },
	{ OP_CLI, exec_cli },
	{ OP_STI, exec_sti },
	{ OP_CLAC, exec_clac },
	{ OP_STAC, exec_stac },
	{ OP_INVLPG, exec_invlpg },
	{ OP_INVPCID, exec_invpcid },
	{ 0 },
};
