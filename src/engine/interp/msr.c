/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RDMSR and WRMSR. Registers that are the CPU's own state (struct cpu_msrs) are
 * handled here, from a table; all others are exits: local APIC, paravirtual
 * interface, constants of the model. SDM 4, and SDM 3, 11.11 for MTRRs.
 */
#include "engine/interp/mmu.h"
#include "engine/interp/operand.h"
#include "engine/interp/privilege.h"
#include "x86/msr.h"

/* False: #GP(0). A writer may change `value` into what is stored. */
typedef bool msr_writer(struct interp *cpu, uint64_t *value);

/* --- values a register takes ---------------------------------------------- */

static bool write_canonical(struct interp *cpu, uint64_t *value)
{
	return gva_is_canonical(*value);
}

static bool write_32bit(struct interp *cpu, uint64_t *value)
{
	return !(*value >> 32);
}

static bool write_efer(struct interp *cpu, uint64_t *value)
{
	uint64_t old = cpu->s.msr.efer;
	uint64_t allowed = EFER_SCE | EFER_LME | EFER_LMA;

	if (!cpu->cpuid ||
	    cpuid_has_bit(cpu->cpuid, 0x80000001, 0, CPUID_EDX, 20))
		allowed |= EFER_NXE;
	if (*value & ~allowed)
		return false;
	if ((cpu->s.cr0 & CR0_PG) && ((*value ^ old) & EFER_LME))
		return false;
	/* LMA is the processor's. */
	*value = (*value & ~EFER_LMA) | (old & EFER_LMA);
	if ((*value ^ old) & EFER_NXE)
		tlb_flush(cpu);
	cpu->end_block = true;
	return true;
}

static bool is_pat_type(uint8_t type)
{
	return type <= MEMORY_TYPE_UC_MINUS && type != 2 && type != 3;
}

static bool is_mtrr_type(uint8_t type)
{
	return is_pat_type(type) && type != MEMORY_TYPE_UC_MINUS;
}

static bool write_pat(struct interp *cpu, uint64_t *value)
{
	for (unsigned i = 0; i < 8; i++)
		if (!is_pat_type(*value >> 8 * i))
			return false;
	return true;
}

static bool write_mtrr_fixed(struct interp *cpu, uint64_t *value)
{
	for (unsigned i = 0; i < 8; i++)
		if (!is_mtrr_type(*value >> 8 * i))
			return false;
	return true;
}

static bool write_mtrr_def_type(struct interp *cpu, uint64_t *value)
{
	return is_mtrr_type(*value) &&
	       !(*value &
		 ~(uint64_t)(0xff | MTRR_DEF_TYPE_FE | MTRR_DEF_TYPE_E));
}

static bool write_mtrr_base(struct interp *cpu, uint64_t *value)
{
	return is_mtrr_type(*value) && !(*value & BITS(11, 8)) &&
	       !(*value >> mmu_maxphyaddr(cpu));
}

static bool write_mtrr_mask(struct interp *cpu, uint64_t *value)
{
	return !(*value & BITS(10, 0)) && !(*value >> mmu_maxphyaddr(cpu));
}

/* What says that a feature is missing stays. The switches of CPUID's maximum,
 * XD and MWAIT are kept but turn nothing: CPUID is the model's to choose, and
 * KVM does the same. */
static bool write_misc_enable(struct interp *cpu, uint64_t *value)
{
	*value |= MISC_ENABLE_BTS_UNAVAIL | MISC_ENABLE_PEBS_UNAVAIL;
	return true;
}

static bool leaf7_edx(const struct interp *cpu, unsigned bit)
{
	return cpu->cpuid && cpuid_has_bit(cpu->cpuid, 7, 0, CPUID_EDX, bit);
}

static uint64_t spec_ctrl_bits(const struct interp *cpu)
{
	uint64_t bits = 0;

	if (leaf7_edx(cpu, 26))
		bits |= SPEC_CTRL_IBRS | SPEC_CTRL_STIBP;
	if (leaf7_edx(cpu, 27))
		bits |= SPEC_CTRL_STIBP;
	if (leaf7_edx(cpu, 31))
		bits |= SPEC_CTRL_SSBD;
	if (cpu->cpuid && cpuid_has_bit(cpu->cpuid, 7, 2, CPUID_EDX, 4))
		bits |= SPEC_CTRL_BHI_DIS_S;
	return bits;
}

static bool write_spec_ctrl(struct interp *cpu, uint64_t *value)
{
	return !(*value & ~spec_ctrl_bits(cpu));
}

static bool write_debugctl(struct interp *cpu, uint64_t *value)
{
	return !(*value & ~(DEBUGCTL_LBR | DEBUGCTL_BTF));
}

static bool write_pkrs(struct interp *cpu, uint64_t *value)
{
	if (*value >> 32)
		return false;
	tlb_pkrs_changes(cpu, (uint32_t)(*value ^ cpu->s.msr.pkrs));
	return true;
}

static bool has_pks(const struct interp *cpu)
{
	return !cpu->cpuid || cpuid_has_bit(cpu->cpuid, 7, 0, CPUID_ECX, 31);
}

static bool has_spec_ctrl(const struct interp *cpu)
{
	return spec_ctrl_bits(cpu);
}

static bool has_tsc_adjust(const struct interp *cpu)
{
	return !cpu->cpuid || cpuid_has_bit(cpu->cpuid, 7, 0, CPUID_EBX, 1);
}

static bool has_tsc_aux(const struct interp *cpu)
{
	return !cpu->cpuid || cpuid_has(cpu->cpuid, FEAT_RDTSCP) ||
	       cpuid_has(cpu->cpuid, FEAT_RDPID);
}

static bool has_long_mode(const struct interp *cpu)
{
	return !cpu->cpuid || cpuid_has(cpu->cpuid, FEAT_LM);
}

/* --- the table ------------------------------------------------------------ */

/* A register kept in a uint64_t of struct cpu_state. */
struct msr_field {
	uint32_t index;
	uint16_t offset;
	msr_writer *write; /* NULL: any value */
	bool (*is_offered)(const struct interp *cpu); /* NULL: always */
};

#define FIELD(msr, member) (msr), offsetof(struct cpu_state, member)

static const struct msr_field fields[] = {
	{ FIELD(MSR_EFER, msr.efer), write_efer },
	{ FIELD(MSR_FS_BASE, segment[SEG_FS].base), write_canonical,
	  has_long_mode },
	{ FIELD(MSR_GS_BASE, segment[SEG_GS].base), write_canonical,
	  has_long_mode },
	{ FIELD(MSR_KERNEL_GS_BASE, msr.kernel_gs_base), write_canonical,
	  has_long_mode },
	{ FIELD(MSR_TSC_AUX, msr.tsc_aux), write_32bit, has_tsc_aux },
	{ FIELD(MSR_SPEC_CTRL, msr.spec_ctrl), write_spec_ctrl, has_spec_ctrl },
	{ FIELD(MSR_STAR, msr.star), NULL, has_long_mode },
	{ FIELD(MSR_LSTAR, msr.lstar), write_canonical, has_long_mode },
	{ FIELD(MSR_CSTAR, msr.cstar), write_canonical, has_long_mode },
	{ FIELD(MSR_FMASK, msr.fmask), write_32bit, has_long_mode },
	{ FIELD(MSR_SYSENTER_CS, msr.sysenter_cs), write_32bit },
	{ FIELD(MSR_SYSENTER_ESP, msr.sysenter_esp), write_canonical },
	{ FIELD(MSR_SYSENTER_EIP, msr.sysenter_eip), write_canonical },
	{ FIELD(MSR_TSC_ADJUST, msr.tsc_adjust), NULL, has_tsc_adjust },
	{ FIELD(MSR_PAT, msr.pat), write_pat },
	{ FIELD(MSR_PKRS, msr.pkrs), write_pkrs, has_pks },
	{ FIELD(MSR_MISC_ENABLE, msr.misc_enable), write_misc_enable },
	{ FIELD(MSR_DEBUGCTL, msr.debugctl), write_debugctl },
	{ FIELD(MSR_MTRR_DEF_TYPE, msr.mtrr_def_type), write_mtrr_def_type },
	{ FIELD(MSR_MTRR_FIX64K_00000, msr.mtrr_fixed[0]), write_mtrr_fixed },
	{ FIELD(MSR_MTRR_FIX16K_80000, msr.mtrr_fixed[1]), write_mtrr_fixed },
	{ FIELD(MSR_MTRR_FIX16K_A0000, msr.mtrr_fixed[2]), write_mtrr_fixed },
};

static uint64_t *field_value(struct interp *cpu, const struct msr_field *field)
{
	return (uint64_t *)((char *)&cpu->s + field->offset);
}

/* The MTRRs that come in rows: built on the fly in *row. */
static const struct msr_field *find_mtrr(uint32_t index, struct msr_field *row)
{
	row->index = index;
	row->is_offered = NULL;
	if (index >= MSR_MTRR_PHYSBASE0 && index <= MSR_MTRR_PHYSMASK7) {
		unsigned n = index - MSR_MTRR_PHYSBASE0;

		row->offset =
			offsetof(struct cpu_state, msr.mtrr_physical) + 8 * n;
		row->write = n % 2 ? write_mtrr_mask : write_mtrr_base;
		return row;
	}
	if (index >= MSR_MTRR_FIX4K_C0000 && index <= MSR_MTRR_FIX4K_F8000) {
		row->offset = offsetof(struct cpu_state, msr.mtrr_fixed[3]) +
			      8 * (index - MSR_MTRR_FIX4K_C0000);
		row->write = write_mtrr_fixed;
		return row;
	}
	return NULL;
}

static const struct msr_field *find_field(const struct interp *cpu,
					  uint32_t index, struct msr_field *row)
{
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].index == index)
			return !fields[i].is_offered ||
					       fields[i].is_offered(cpu) ?
				       &fields[i] :
				       NULL;
	return find_mtrr(index, row);
}

/* --- registers that are computed ------------------------------------------ */

uint64_t interp_tsc(struct interp *cpu)
{
	return cpu->ops->tsc(cpu->world) + cpu->s.msr.tsc_adjust;
}

static void tell_tsc_moved(struct interp *cpu)
{
	if (cpu->ops->tsc_moved)
		cpu->ops->tsc_moved(cpu->world);
}

enum special { NOT_SPECIAL, DONE, REFUSED };

static enum special read_special(struct interp *cpu, uint32_t index,
				 uint64_t *value)
{
	*value = 0;
	switch (index) {
	case MSR_TSC:
		*value = interp_tsc(cpu);
		return DONE;
	case MSR_MTRRCAP:
		*value = MTRRCAP_VARIABLE | MTRRCAP_FIXED | MTRRCAP_WC;
		return DONE;
	/* A machine-check architecture without banks, and no errors. */
	case MSR_MCG_CAP:
	case MSR_MCG_STATUS:
	case MSR_P5_MC_ADDR:
	case MSR_P5_MC_TYPE:
	/* No last branch is recorded. */
	case MSR_LASTBRANCH_FROM:
	case MSR_LASTBRANCH_TO:
	case MSR_LASTINT_FROM:
	case MSR_LASTINT_TO:
		return DONE;
	case MSR_PRED_CMD:
	case MSR_FLUSH_CMD:
		return REFUSED;
	case MSR_XSS:
		return !cpu->cpuid || cpuid_has(cpu->cpuid, FEAT_XSAVES) ?
			       DONE :
			       REFUSED;
	default:
		return NOT_SPECIAL;
	}
}

static enum special write_special(struct interp *cpu, uint32_t index,
				  uint64_t value)
{
	switch (index) {
	case MSR_TSC:
		/* SDM 3, 17.17.3: the change goes to TSC_ADJUST. */
		cpu->s.msr.tsc_adjust += value - interp_tsc(cpu);
		tell_tsc_moved(cpu);
		return DONE;
	case MSR_PRED_CMD:
		return leaf7_edx(cpu, 26) && !(value & ~PRED_CMD_IBPB) ?
			       DONE :
			       REFUSED;
	case MSR_FLUSH_CMD:
		return leaf7_edx(cpu, 28) && !(value & ~BIT(0)) ? DONE :
								  REFUSED;
	case MSR_MCG_STATUS:
	case MSR_P5_MC_ADDR:
	case MSR_P5_MC_TYPE:
		return value ? REFUSED : DONE;
	case MSR_XSS: /* no supervisor state component is offered */
		return !value && (!cpu->cpuid ||
				  cpuid_has(cpu->cpuid, FEAT_XSAVES)) ?
			       DONE :
			       REFUSED;
	case MSR_MTRRCAP:
	case MSR_MCG_CAP:
		return REFUSED;
	default:
		return NOT_SPECIAL;
	}
}

/* --- the instructions ----------------------------------------------------- */

/*
 * TSC_DEADLINE is in the guest's TSC; the local APIC knows only the clock's,
 * which TSC_ADJUST does not shift. 0 disarms and stays.
 */
static uint64_t deadline_shift(const struct interp *cpu, uint32_t index,
			       uint64_t value)
{
	return index == MSR_TSC_DEADLINE && value ? cpu->s.msr.tsc_adjust : 0;
}

static uint64_t msr_read(struct interp *cpu, uint32_t index)
{
	struct exit exit = { .reason = EXIT_RDMSR, .msr = { .index = index } };
	const struct msr_field *field;
	struct msr_field row;
	uint64_t value;

	field = find_field(cpu, index, &row);
	if (field)
		return *field_value(cpu, field);
	switch (read_special(cpu, index, &value)) {
	case DONE:
		return value;
	case REFUSED:
		fault_gp(cpu, 0);
	case NOT_SPECIAL:
		break;
	}
	if (interp_exit(cpu, &exit) == EXIT_FAULT)
		fault_gp(cpu, 0);
	value = exit.msr.value;
	return value + deadline_shift(cpu, index, value);
}

static void msr_write(struct interp *cpu, uint32_t index, uint64_t value)
{
	struct exit exit = { .reason = EXIT_WRMSR, .msr = { .index = index } };
	const struct msr_field *field;
	struct msr_field row;

	field = find_field(cpu, index, &row);
	if (field) {
		if (field->write && !field->write(cpu, &value))
			fault_gp(cpu, 0);
		*field_value(cpu, field) = value;
		if (index == MSR_TSC_ADJUST)
			tell_tsc_moved(cpu);
		return;
	}
	switch (write_special(cpu, index, value)) {
	case DONE:
		return;
	case REFUSED:
		fault_gp(cpu, 0);
	case NOT_SPECIAL:
		break;
	}
	exit.msr.value = value - deadline_shift(cpu, index, value);
	if (interp_exit(cpu, &exit) == EXIT_FAULT)
		fault_gp(cpu, 0);
	/* A local APIC may have an interrupt for us now. */
	cpu->end_block = true;
}

static void exec_rdmsr(struct interp *cpu, const struct insn *insn)
{
	uint64_t value;

	require_cpl0(cpu);
	value = msr_read(cpu, (uint32_t)cpu->s.gpr[RCX]);
	cpu->s.gpr[RAX] = (uint32_t)value;
	cpu->s.gpr[RDX] = value >> 32;
}

static void exec_wrmsr(struct interp *cpu, const struct insn *insn)
{
	require_cpl0(cpu);
	msr_write(cpu, (uint32_t)cpu->s.gpr[RCX],
		  (uint32_t)cpu->s.gpr[RAX] | cpu->s.gpr[RDX] << 32);
}

const struct interp_handler msr_handlers[] = {
	{ OP_RDMSR, exec_rdmsr },
	{ OP_WRMSR, exec_wrmsr },
	{ 0 },
};
