/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CPU models and how their CPUID tables are made (SDM 2, CPUID; APM 3,
 * appendix E; leaves 40000000h to 40000010h as KVM and VMware document them).
 *
 * The vendor is the host's: it decides what SYSCALL and SYSENTER mean. A
 * software engine knows both ways and can be asked for the other ("vendor=amd"). A software engine shows a family and model of our choice
 * (Intel 06_AFH, the one with these features and no AVX-512; AMD 1Ah) for which
 * operating systems know no errata; an engine on the hardware shows the
 * hardware's, because the guest's guards against its vulnerabilities hang on
 * it.
 *
 * The hypervisor leaves carry KVM's signature. Linux takes it for leave to use
 * the x2APIC without interrupt remapping, and asks the feature bits about all
 * else: those of chip/paravirt on a software engine, the kernel's own under kvm,
 * and that no delay is needed after port I/O. Asynchronous page faults are never offered, as they
 * cannot move between engines.
 */
#include "x86/cpu_model.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "x86/kvm_para.h"

const struct cpu_model cpu_models[] = {
	{ "x86-64-v3", "Haswell's instructions (AVX2, BMI, FMA), and ADX, AES, "
		       "RDRAND, RDPID; the default" },
	{ "x86-64-v2", "SSE4.2, POPCNT, CMPXCHG16B; no AVX" },
	{ "i686", "a 32-bit processor with SSE2: no PAE, no long mode" },
	{ "host", "everything that the host has; engine kvm only" },
	{ NULL, NULL },
};

enum model {
	MODEL_I686 = 1,
	MODEL_V2 = 2,
	MODEL_V3 = 3,
	MODEL_HOST = 9,
	MODEL_NONE, /* since: only where it is asked for by name */
};

/* Who must have it for a software engine to offer it. */
enum carrier {
	HOST, /* it runs on the host's own units */
	OURS, /* the engine does it all by itself */
	KERNELS, /* ours, or of the kernel's KVM: nobody lacks it elsewhere */
};

struct feature {
	uint32_t leaf, subleaf;
	enum cpuid_register reg;
	uint8_t bit;
	uint8_t since; /* enum model */
	uint8_t carrier;
	const char *name; /* as Linux calls it */
};

#define ROW(leaf, subleaf, reg, bit, since, carrier, name)            \
	{                                                             \
		leaf, subleaf, CPUID_##reg, bit, since, carrier, name \
	}

static const struct feature features[] = {
	ROW(1, 0, EDX, 0, 1, HOST, "fpu"),
	ROW(1, 0, EDX, 2, 1, OURS, "de"),
	ROW(1, 0, EDX, 3, 1, OURS, "pse"),
	ROW(1, 0, EDX, 4, 1, OURS, "tsc"),
	ROW(1, 0, EDX, 5, 1, OURS, "msr"),
	ROW(1, 0, EDX, 6, 2, OURS, "pae"),
	ROW(1, 0, EDX, 7, 1, OURS, "mce"),
	ROW(1, 0, EDX, 8, 1, HOST, "cx8"),
	ROW(1, 0, EDX, 9, 1, OURS, "apic"),
	ROW(1, 0, EDX, 11, 1, OURS, "sep"),
	ROW(1, 0, EDX, 12, 1, OURS, "mtrr"),
	ROW(1, 0, EDX, 13, 1, OURS, "pge"),
	ROW(1, 0, EDX, 15, 1, HOST, "cmov"),
	ROW(1, 0, EDX, 16, 1, OURS, "pat"),
	ROW(1, 0, EDX, 17, 2, OURS, "pse36"),
	ROW(1, 0, EDX, 19, 1, OURS, "clflush"),
	ROW(1, 0, EDX, 23, 1, HOST, "mmx"),
	ROW(1, 0, EDX, 24, 1, HOST, "fxsr"),
	ROW(1, 0, EDX, 25, 1, HOST, "sse"),
	ROW(1, 0, EDX, 26, 1, HOST, "sse2"),
	ROW(1, 0, ECX, 0, 2, HOST, "pni"),
	ROW(1, 0, ECX, 1, 3, HOST, "pclmulqdq"),
	ROW(1, 0, ECX, 9, 2, HOST, "ssse3"),
	ROW(1, 0, ECX, 12, 3, HOST, "fma"),
	ROW(1, 0, ECX, 13, 2, HOST, "cx16"),
	ROW(1, 0, ECX, 17, 2, OURS, "pcid"),
	ROW(1, 0, ECX, 19, 2, HOST, "sse4_1"),
	ROW(1, 0, ECX, 20, 2, HOST, "sse4_2"),
	ROW(1, 0, ECX, 21, 2, OURS, "x2apic"),
	ROW(1, 0, ECX, 22, 3, OURS, "movbe"),
	ROW(1, 0, ECX, 23, 2, HOST, "popcnt"),
	ROW(1, 0, ECX, 24, 2, OURS, "tsc_deadline_timer"),
	ROW(1, 0, ECX, 25, 3, HOST, "aes"),
	ROW(1, 0, ECX, 26, 2, OURS, "xsave"),
	ROW(1, 0, ECX, 28, 3, HOST, "avx"),
	ROW(1, 0, ECX, 29, 3, HOST, "f16c"),
	ROW(1, 0, ECX, 30, 3, OURS, "rdrand"),
	ROW(6, 0, EAX, 2, 1, OURS, "arat"),
	ROW(7, 0, EBX, 0, 2, OURS, "fsgsbase"),
	ROW(7, 0, EBX, 1, 2, OURS, "tsc_adjust"),
	ROW(7, 0, EBX, 3, 3, HOST, "bmi1"),
	ROW(7, 0, EBX, 5, 3, HOST, "avx2"),
	ROW(7, 0, EBX, 7, 2, OURS, "smep"),
	ROW(7, 0, EBX, 8, 3, HOST, "bmi2"),
	ROW(7, 0, EBX, 9, 2, OURS, "erms"),
	ROW(7, 0, EBX, 10, 2, OURS, "invpcid"),
	ROW(7, 0, EBX, 18, 3, OURS, "rdseed"),
	ROW(7, 0, EBX, 19, 3, HOST, "adx"),
	ROW(7, 0, EBX, 20, 2, OURS, "smap"),
	ROW(7, 0, EBX, 23, 3, OURS, "clflushopt"),
	ROW(7, 0, ECX, 2, 2, OURS, "umip"),
	ROW(7, 0, ECX, 3, MODEL_NONE, OURS, "pku"),
	ROW(7, 0, ECX, 22, 3, OURS, "rdpid"),
	ROW(7, 0, ECX, 31, MODEL_NONE, OURS, "pks"),
	ROW(7, 0, EDX, 4, 2, OURS, "fsrm"),
	ROW(0xd, 1, EAX, 0, 2, OURS, "xsaveopt"),
	ROW(0xd, 1, EAX, 1, 2, OURS, "xsavec"),
	ROW(0x80000001, 0, ECX, 0, 2, OURS, "lahf_lm"),
	ROW(0x80000001, 0, ECX, 5, 3, HOST, "abm"),
	ROW(0x80000001, 0, ECX, 8, 3, OURS, "3dnowprefetch"),
	ROW(0x80000001, 0, EDX, 11, 2, OURS, "syscall"),
	ROW(0x80000001, 0, EDX, 20, 2, OURS, "nx"),
	ROW(0x80000001, 0, EDX, 26, 2, OURS, "pdpe1gb"),
	ROW(0x80000001, 0, EDX, 27, 2, OURS, "rdtscp"),
	ROW(0x80000001, 0, EDX, 29, 2, OURS, "lm"),
	ROW(0x80000007, 0, EDX, 8, 1, OURS, "nonstop_tsc"),
	ROW(KVM_PARA_FEATURES, 0, EAX, KVM_PARA_CLOCK_OLD, 1, KERNELS,
	    "kvmclock"),
	ROW(KVM_PARA_FEATURES, 0, EAX, KVM_PARA_CLOCK, 1, KERNELS, "kvmclock"),
	ROW(KVM_PARA_FEATURES, 0, EAX, KVM_PARA_STABLE, 1, KERNELS, "kvmclock"),
	ROW(KVM_PARA_FEATURES, 0, EAX, KVM_PARA_STEAL, 1, KERNELS,
	    "kvm_steal_time"),
	ROW(KVM_PARA_FEATURES, 0, EAX, KVM_PARA_EOI, 1, KERNELS, "kvm_pv_eoi"),
	ROW(KVM_PARA_FEATURES, 0, EAX, KVM_PARA_UNHALT, 1, KERNELS,
	    "kvm_pv_unhalt"),
	ROW(KVM_PARA_FEATURES, 0, EAX, KVM_PARA_TLB_FLUSH, 1, KERNELS,
	    "kvm_pv_tlb_flush"),
	ROW(KVM_PARA_FEATURES, 0, EAX, KVM_PARA_IPI, 1, KERNELS, "kvm_pv_ipi"),
};

/*
 * What a processor says about its vulnerabilities and the guards it offers:
 * passed on from the hardware as it is.
 */
static const struct {
	uint32_t leaf, subleaf;
	enum cpuid_register reg;
	uint32_t mask;
} guards[] = {
	/* MD_CLEAR, SPEC_CTRL, STIBP, L1D_FLUSH, ARCH_CAPABILITIES, SSBD */
	{ 7, 0, CPUID_EDX, 0xbc000400 },
	/* PSFD, IPRED, RRSBA, DDPD, BHI controls, MCDT_NO */
	{ 7, 2, CPUID_EDX, 0x0000003f },
	/* IBPB, IBRS, STIBP, their modes, SSBD, VIRT_SSBD, SSB_NO, PSFD,
	 * BTC_NO */
	{ 0x80000008, 0, CPUID_EBX, 0x370fd000 },
	/* LFENCE serializes, VERW_CLEAR, null selectors, AutoIBRS, SBPB,
	 * IBPB_BRTYPE, SRSO_NO */
	{ 0x80000021, 0, CPUID_EAX, 0x38000164 },
	/* TSA_SQ_NO, TSA_L1_NO */
	{ 0x80000021, 0, CPUID_ECX, 0x00000006 },
};

/* x87 facts that hold on whatever runs x87 code: the host's units, always.
 * FDP only on exceptions; FCS and FDS are zero. */
#define X87_FACTS (BIT(6) | BIT(13))

/* IA32_ARCH_CAPABILITIES, SDM 4, table 2-2. */
#define ARCH_RDCL_NO	  BIT(0)
#define ARCH_IBRS_ALL	  BIT(1)
#define ARCH_SKIP_L1DFL	  BIT(3)
#define ARCH_SSB_NO	  BIT(4)
#define ARCH_MDS_NO	  BIT(5)
#define ARCH_PSCHANGE_NO  BIT(6)
#define ARCH_TAA_NO	  BIT(8)
#define ARCH_SBDR_SSDP_NO BIT(13)
#define ARCH_FBSDP_NO	  BIT(14)
#define ARCH_PSDP_NO	  BIT(15)
#define ARCH_BHI_NO	  BIT(20)
#define ARCH_PBRSB_NO	  BIT(24)
#define ARCH_GDS_NO	  BIT(26)
#define ARCH_RFDS_NO	  BIT(27)
#define ARCH_ITS_NO	  BIT(62)

/* True of software engines: guest code meets no speculation of its own. */
#define ARCH_UNAFFECTED                                                     \
	(ARCH_RDCL_NO | ARCH_IBRS_ALL | ARCH_SKIP_L1DFL | ARCH_SSB_NO |     \
	 ARCH_MDS_NO | ARCH_PSCHANGE_NO | ARCH_TAA_NO | ARCH_SBDR_SSDP_NO | \
	 ARCH_FBSDP_NO | ARCH_PSDP_NO | ARCH_BHI_NO | ARCH_PBRSB_NO |       \
	 ARCH_GDS_NO | ARCH_RFDS_NO | ARCH_ITS_NO)

/* Type, model, family and stepping as leaf 1 has them (SDM 2, figure 3-6). */
#define SIGNATURE_INTEL	 0x000a06f3 /* 06_AFH, 3 */
#define SIGNATURE_AMD	 0x00b00f21 /* family 1Ah, model 2, 1 */

#define LEAF7_SPEC_CTRL	 BIT(26)
#define LEAF7_ARCH_CAPS	 BIT(29)
#define LEAF7_2_BHI_CTRL BIT(4)

struct build {
	const struct cpu_request *request;
	const struct cpuid_table *host;
	struct cpuid_table *table;
	enum model model;
	bool is_amd;
	unsigned core_bits; /* of the APIC id */
	char *dropped;
};

/* The entry, added when it is not there yet; the table never fills up. */
static struct cpuid_leaf *put(struct build *b, uint32_t leaf, int subleaf)
{
	struct cpuid_leaf *entry;

	for (unsigned i = 0; i < b->table->count; i++) {
		entry = &b->table->leaf[i];
		if (entry->leaf == leaf &&
		    (subleaf < 0 || entry->subleaf == (uint32_t)subleaf))
			return entry;
	}
	if (b->table->count == CPUID_LEAVES_MAX)
		return &b->table->leaf[CPUID_LEAVES_MAX - 1];
	entry = &b->table->leaf[b->table->count++];
	*entry = (struct cpuid_leaf){
		.leaf = leaf,
		.subleaf = MAX(subleaf, 0),
		.has_subleaf = subleaf >= 0,
	};
	return entry;
}

static void put_values(struct build *b, uint32_t leaf, int subleaf,
		       uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx)
{
	struct cpuid_leaf *entry = put(b, leaf, subleaf);

	entry->eax = eax;
	entry->ebx = ebx;
	entry->ecx = ecx;
	entry->edx = edx;
}

static uint32_t *leaf_register(struct cpuid_leaf *entry,
			       enum cpuid_register reg)
{
	switch (reg) {
	case CPUID_EAX:
		return &entry->eax;
	case CPUID_EBX:
		return &entry->ebx;
	case CPUID_ECX:
		return &entry->ecx;
	default:
		return &entry->edx;
	}
}

/* Only these of the leaves that features live in have subleaves. */
static int subleaf_of(uint32_t leaf, uint32_t subleaf)
{
	return leaf == 7 || leaf == 0xd ? (int)subleaf : -1;
}

static bool can_carry(const struct build *b, const struct feature *f)
{
	const struct cpuid_table *from = b->request->offer;

	if (!from && f->carrier != HOST)
		return true;
	return cpuid_has_bit(from ? from : b->host, f->leaf, f->subleaf, f->reg,
			     f->bit);
}

static void add_name(char names[CPU_DROPPED_MAX], const char *name)
{
	size_t used = strlen(names);

	snprintf(names + used, CPU_DROPPED_MAX - used, "%s%s", used ? " " : "",
		 name);
}

/* Whether `key` is one of the model's, "NAME,key,key". */
static bool has_key(const char *model, const char *key)
{
	size_t length = strlen(key);

	for (const char *at = strchr(model, ','); at; at = strchr(at, ','))
		if (strncmp(++at, key, length) == 0 &&
		    (!at[length] || at[length] == ','))
			return true;
	return false;
}

static bool is_left_out(const struct build *b, const char *feature)
{
	char key[40];

	snprintf(key, sizeof(key), "%s=off", feature);
	return has_key(b->request->model, key);
}

static bool is_asked_for(const struct build *b, const char *feature)
{
	char key[40];

	snprintf(key, sizeof(key), "+%s", feature);
	return has_key(b->request->model, key);
}

/* "host" has what it has; what it lacks may be asked for in vain. */
static bool is_wanted(const struct build *b, const struct feature *f)
{
	if (is_left_out(b, f->name))
		return false;
	return is_asked_for(b, f->name) ||
	       (b->model != MODEL_HOST && f->since <= b->model);
}

/* Hygon's stay Hygon's. */
static bool is_amd(const struct build *b)
{
	if (!b->request->offer && has_key(b->request->model, "vendor=amd"))
		return true;
	if (!b->request->offer && has_key(b->request->model, "vendor=intel"))
		return false;
	return cpuid_is_amd(b->host);
}

/* Every key is one that means something. */
static bool keys_are_known(const struct build *b)
{
	unsigned commas = 0,
		 known = has_key(b->request->model, "mitigations=on");

	if (!b->request->offer)
		known += has_key(b->request->model, "vendor=amd") +
			 has_key(b->request->model, "vendor=intel");

	for (const char *at = b->request->model; *at; at++)
		commas += *at == ',';
	for (size_t i = 0; i < ARRAY_SIZE(features); i++)
		if (!i || strcmp(features[i].name, features[i - 1].name) != 0)
			known += is_left_out(b, features[i].name) +
				 is_asked_for(b, features[i].name);
	return known == commas;
}

static void put_features(struct build *b)
{
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		const struct feature *f = &features[i];
		struct cpuid_leaf *entry;

		if (!is_wanted(b, f))
			continue;
		if (!can_carry(b, f)) {
			if (f->carrier != KERNELS)
				add_name(b->dropped, f->name);
			continue;
		}
		entry = put(b, f->leaf, subleaf_of(f->leaf, f->subleaf));
		*leaf_register(entry, f->reg) |= BIT(f->bit);
	}
}

static void put_guards(struct build *b)
{
	struct cpuid_leaf *leaf7 = put(b, 7, 0);

	leaf7->ebx |= cpuid_value(b->host, 7, 0, CPUID_EBX) & X87_FACTS;
	if (!b->request->offer) {
		if (b->request->wants_mitigations ||
		    has_key(b->request->model, "mitigations=on"))
			return;
		leaf7->edx |= LEAF7_SPEC_CTRL | LEAF7_ARCH_CAPS;
		b->table->arch_capabilities = ARCH_UNAFFECTED;
		/* Linux believes this control more readily than BHI_NO, and
		 * without it clears the branch history in a loop at each
		 * system call. */
		leaf7->eax = 2;
		put(b, 7, 2)->edx |= LEAF7_2_BHI_CTRL;
		/* LFENCE serializes, loading a null selector clears the base */
		if (b->is_amd)
			put(b, 0x80000021, -1)->eax |= BIT(2) | BIT(6);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(guards); i++) {
		uint32_t bits = cpuid_value(b->request->offer, guards[i].leaf,
					    guards[i].subleaf, guards[i].reg) &
				guards[i].mask;
		struct cpuid_leaf *entry;

		if (!bits || (guards[i].leaf >= 0x80000000 && !b->is_amd))
			continue;
		entry = put(b, guards[i].leaf,
			    subleaf_of(guards[i].leaf, guards[i].subleaf));
		*leaf_register(entry, guards[i].reg) |= bits;
		if (guards[i].leaf == 7 && guards[i].subleaf)
			leaf7->eax = MAX(leaf7->eax, guards[i].subleaf);
	}
	leaf7 = put(b, 7, 0);
	if (leaf7->edx & LEAF7_ARCH_CAPS)
		b->table->arch_capabilities =
			b->request->offer->arch_capabilities;
}

/*
 * Whole leaves that "host" leaves out: what is ours to say (caches, topology,
 * frequencies, hypervisor) and what a VM of ours does not have.
 */
static const uint32_t not_of_host[] = {
	4,	    0xa,	0xb,	    0xf,	0x10,
	0x12,	    0x14,	0x15,	    0x16,	0x19,
	0x1b,	    0x1c,	0x1d,	    0x1e,	0x1f,
	0x80000000, 0x8000000a, 0x8000001b, 0x8000001c, 0x8000001d,
	0x8000001e, 0x8000001f, 0x80000020, 0x80000022, 0x80000026,
};

/* And single features: those with MSRs or state of their own. */
static const struct {
	uint32_t leaf, subleaf;
	enum cpuid_register reg;
	uint32_t mask;
} not_of_host_bits[] = {
	/* DTES64, MONITOR, DS-CPL, VMX, SMX, EST, TM2, PDCM, DCA */
	{ 1, 0, CPUID_ECX, 0x000481fc },
	/* MCA, PSN, DS, ACPI, TM, PBE */
	{ 1, 0, CPUID_EDX, 0xa0644000 },
	/* all but ARAT */
	{ 6, 0, CPUID_EAX, ~0x00000004u },
	{ 6, 0, CPUID_ECX, ~0u },
	/* SGX, HLE, RTM, PQM, MPX, PQE, PT */
	{ 7, 0, CPUID_EBX, 0x0200d814 },
	/* WAITPKG, CET_SS, TME, ENQCMD, SGX_LC, PKS */
	{ 7, 0, CPUID_ECX, 0xe00020a0 },
	/* UINTR, SRBDS_CTRL, TSX_FORCE_ABORT, PCONFIG, ARCH_LBR, CET_IBT,
	 * AMX, CORE_CAPABILITIES */
	{ 7, 0, CPUID_EDX, 0x435c2220 },
	/* FRED, HRESET, LAM */
	{ 7, 1, CPUID_EAX, 0x04420000 },
	/* XSAVES, XFD and what they save */
	{ 0xd, 1, CPUID_EAX, ~0x00000007u },
	{ 0xd, 1, CPUID_ECX, ~0u },
	{ 0xd, 1, CPUID_EDX, ~0u },
	/* SVM, IBS, SKINIT, WDT, LWP, NodeId, TOPOEXT, counters, MWAITX */
	{ 0x80000001, 0, CPUID_ECX, 0x31c8b404 },
};

static bool is_of_host(const struct cpuid_leaf *entry)
{
	if ((entry->leaf & 0xf0000000) == 0x40000000)
		return false;
	/* Components of IA32_XSS: bit 0 of ECX (SDM 1, 13.2). */
	if (entry->leaf == 0xd && entry->subleaf > 1 && (entry->ecx & 1))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(not_of_host); i++)
		if (entry->leaf == not_of_host[i])
			return false;
	return true;
}

/* "host": all that the engine offers, but for the above. */
static void put_host(struct build *b)
{
	const struct cpuid_table *offer = b->request->offer;

	for (unsigned i = 0; i < offer->count; i++) {
		struct cpuid_leaf entry = offer->leaf[i];

		/* Room for what is ours. */
		if (!is_of_host(&entry) ||
		    b->table->count > CPUID_LEAVES_MAX - 32)
			continue;
		for (size_t j = 0; j < ARRAY_SIZE(not_of_host_bits); j++)
			if (entry.leaf == not_of_host_bits[j].leaf &&
			    entry.subleaf == not_of_host_bits[j].subleaf)
				*leaf_register(&entry,
					       not_of_host_bits[j].reg) &=
					~not_of_host_bits[j].mask;
		b->table->leaf[b->table->count++] = entry;
	}
	b->table->arch_capabilities = offer->arch_capabilities;
}

static void swap(uint64_t *a, uint64_t *b)
{
	uint64_t old = *a;

	*a = *b;
	*b = old;
}

/*
 * A p / q close to value / unit with p at most `limit`: the last convergent of
 * the continued fraction that fits, or the intermediate one after it.
 */
static void close_ratio(uint64_t value, uint64_t unit, uint64_t limit,
			uint32_t *p, uint32_t *q)
{
	uint64_t p0 = 0, p1 = 1, q0 = 1, q1 = 0;

	while (unit) {
		uint64_t a = value / unit, rest = value % unit, next;
		uint64_t fits = p1 ? (limit - p0) / p1 : a;

		if (fits < a && 2 * fits <= a)
			break;
		next = MIN(a, fits);
		p0 += next * p1;
		q0 += next * q1;
		swap(&p0, &p1);
		swap(&q0, &q1);
		if (fits < a)
			break;
		value = unit, unit = rest;
	}
	*p = p1;
	*q = q1;
}

static void put_frequencies(struct build *b)
{
	uint64_t khz = b->request->tsc_khz;
	uint32_t p = 0, q = 0;

	if (!khz)
		return;
	/*
	 * Linux multiplies crystal kHz and numerator in 32 bits. With a
	 * numerator so small the ratio is still exact for multiples of 1 MHz,
	 * within a few millionths near one of 100 MHz, as most are, and within
	 * 125 millionths anywhere.
	 */
	close_ratio(khz, CPU_APIC_TIMER_HZ / 1000,
		    UINT32_MAX / (CPU_APIC_TIMER_HZ / 1000), &p, &q);
	put_values(b, 0x15, -1, q, p, CPU_APIC_TIMER_HZ, 0);
	put_values(b, 0x16, -1, khz / 1000, khz / 1000, 100, 0);
	put_values(b, KVM_PARA_TIMING, -1, khz, CPU_APIC_TIMER_HZ / 1000, 0, 0);
}

/* Leaf 4: type, level, ways, sets, shared by how many. Lines of 64 bytes. */
static void put_cache(struct build *b, int subleaf, unsigned type,
		      unsigned level, unsigned ways, unsigned sets,
		      unsigned share_bits)
{
	put_values(b, 4, subleaf,
		   type | level << 5 | 1 << 8 | (BIT(share_bits) - 1) << 14 |
			   (BIT(b->core_bits) - 1) << 26,
		   (ways - 1) << 22 | 63, sets - 1, 0);
}

static void put_caches(struct build *b)
{
	if (b->is_amd) {
		/* L1: 32 KiB, 8 ways, lines of 64; L2: 1 MiB, 16 ways; TLBs */
		put_values(b, 0x80000005, -1, 0xff40ff40, 0xff40ff40,
			   0x20080140, 0x20080140);
		put_values(b, 0x80000006, -1, 0, 0x42004200, 0x04008140, 0);
		return;
	}
	/* Caches are in leaf 4, the TLBs in 18h, which says nothing. */
	put_values(b, 2, -1, 0x00feff01, 0xf0, 0, 0);
	put_cache(b, 0, 1, 1, 8, 64, 0);
	put_cache(b, 1, 2, 1, 8, 64, 0);
	put_cache(b, 2, 3, 2, 16, 1024, 0);
	put_cache(b, 3, 3, 3, 16, 16384, b->core_bits);
	put_values(b, 4, 4, 0, 0, 0, 0);
	put_values(b, 0x80000006, -1, 0, 0, 0x04008040, 0);
}

/* One package, one thread a core; APIC ids 0 .. vcpus - 1. */
static void put_topology(struct build *b)
{
	static const uint32_t leaves[] = { 0xb, 0x1f };
	unsigned vcpus = b->request->vcpus;
	struct cpuid_leaf *leaf1 = put(b, 1, -1);

	leaf1->ebx = 8 << 8; /* CLFLUSH of 64 bytes */
	leaf1->ebx |= (uint32_t)BIT(b->core_bits) << 16;
	leaf1->edx &= ~BIT(28);
	if (vcpus > 1)
		leaf1->edx |= BIT(28); /* HTT: the count above is valid */
	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++) {
		put_values(b, leaves[i], 0, 0, 1, 1 << 8, 0);
		put_values(b, leaves[i], 1, b->core_bits, vcpus, 2 << 8 | 1, 0);
		put_values(b, leaves[i], 2, 0, 0, 2, 0);
	}
	if (b->is_amd) {
		put(b, 0x80000008, -1)->ecx = b->core_bits << 12 | (vcpus - 1);
		if (vcpus > 1)
			put(b, 0x80000001, -1)->ecx |= BIT(1); /* CMP_LEGACY */
	}
}

static void put_addresses(struct build *b)
{
	const struct cpuid_table *from = b->request->offer ? b->request->offer :
							     b->host;
	uint32_t bits = cpuid_value(from, 0x80000008, 0, CPUID_EAX) & 0xff;
	struct cpuid_leaf *entry = put(b, 0x80000008, -1);

	if (!bits)
		bits = 36;
	if (b->model != MODEL_HOST)
		bits = MIN(bits, CPU_PHYSICAL_BITS);
	entry->eax = bits | 48 << 8;
	if (b->model == MODEL_I686)
		entry->eax = 32 | 32 << 8;
	if (b->model == MODEL_HOST &&
	    cpuid_has_bit(from, 7, 0, CPUID_ECX, 16)) /* LA57 */
		entry->eax = bits | 57 << 8;
}

/*
 * Where PKRU stands in the XSAVE area's standard format: as on the hardware,
 * since a guest's memory keeps such areas from engine to engine.
 */
static uint32_t pkru_offset(const struct build *b)
{
	uint32_t offset =
		cpuid_value(b->request->offer ? b->request->offer : b->host,
			    0xd, 9, CPUID_EBX);

	if (offset)
		return offset;
	return b->is_amd ? 2432 : 2688; /* as Intel's and AMD's have it */
}

static void put_xsave(struct build *b)
{
	uint32_t xcr0 = XCR0_X87 | XCR0_SSE;
	bool has_avx = cpuid_has_bit(b->table, 1, 0, CPUID_ECX, 28);
	bool has_pku = cpuid_has_bit(b->table, 7, 0, CPUID_ECX, 3);
	uint32_t size = has_avx ? 832 : 576, pkru = pkru_offset(b);

	if (b->model == MODEL_HOST ||
	    !cpuid_has_bit(b->table, 1, 0, CPUID_ECX, 26))
		return;
	if (has_avx)
		xcr0 |= XCR0_AVX;
	if (has_pku)
		xcr0 |= XCR0_PKRU;
	put_values(b, 0xd, 0, xcr0, size, has_pku ? pkru + 8 : size, 0);
	put(b, 0xd, 1)->ebx = size;
	if (has_avx)
		put_values(b, 0xd, 2, 256, 576, 0, 0);
	if (has_pku)
		put_values(b, 0xd, 9, 8, pkru, 0, 0);
}

/* Hardware of a family of which operating systems know nothing odd. */
static bool is_modern(bool is_amd, uint32_t signature)
{
	unsigned family = bits_get(signature, 11, 8);

	if (family == 15)
		family += bits_get(signature, 27, 20);
	return is_amd ? family >= 0x17 : family == 6 || family > 15;
}

static uint32_t signature_of(const struct build *b)
{
	uint32_t hosts = cpuid_value(b->host, 1, 0, CPUID_EAX);

	if (b->model == MODEL_HOST ||
	    (b->request->offer && is_modern(b->is_amd, hosts)))
		return hosts;
	return b->is_amd ? SIGNATURE_AMD : SIGNATURE_INTEL;
}

static void put_names(struct build *b)
{
	static const struct cpuid_leaf intel = { .ebx = 0x756e6547,
						 .edx = 0x49656e69,
						 .ecx = 0x6c65746e };
	static const struct cpuid_leaf amd = { .ebx = 0x68747541,
					       .edx = 0x69746e65,
					       .ecx = 0x444d4163 };
	const struct cpuid_leaf *vendor = cpuid_find(b->host, 0, 0);
	char brand[48] = "";
	uint32_t words[12];

	if (b->is_amd != cpuid_is_amd(b->host))
		vendor = b->is_amd ? &amd : &intel;
	put_values(b, 0, -1,
		   b->model == MODEL_HOST ? MAX(vendor->eax, 0x1f) : 0x1f,
		   vendor->ebx, vendor->ecx, vendor->edx);
	put(b, 1, -1)->eax = signature_of(b);
	put(b, 1, -1)->ecx |= BIT(31); /* a hypervisor is there */
	put_values(b, KVM_PARA_SIGNATURE, -1, KVM_PARA_TIMING, 0x4b4d564b,
		   0x564b4d56, 0x0000004d); /* KVMKVMKVM */
	put(b, KVM_PARA_FEATURES, -1)->eax |= BIT(KVM_PARA_NO_DELAY);
	put_values(b, 0x80000000, -1, b->is_amd ? 0x80000021 : 0x80000008,
		   b->is_amd ? vendor->ebx : 0, b->is_amd ? vendor->ecx : 0,
		   b->is_amd ? vendor->edx : 0);
	if (b->model == MODEL_HOST)
		return;
	snprintf(brand, sizeof(brand), "Ringfence %.*s",
		 (int)strcspn(b->request->model, ","), b->request->model);
	memcpy(words, brand, sizeof(words));
	for (unsigned i = 0; i < 3; i++)
		put_values(b, 0x80000002 + i, -1, words[4 * i],
			   words[4 * i + 1], words[4 * i + 2],
			   words[4 * i + 3]);
}

/* AMD repeats most of leaf 1 in 80000001h (APM 3, E.4.2). */
static void put_amd_copies(struct build *b)
{
	uint32_t edx = cpuid_value(b->table, 1, 0, CPUID_EDX);

	if (!b->is_amd)
		return;
	put(b, 0x80000001, -1)->edx |= edx & 0x0183f3ff;
	put(b, 0x80000001, -1)->eax = cpuid_value(b->table, 1, 0, CPUID_EAX);
}

static int model_number(const char *name, enum model *model)
{
	static const enum model numbers[] = { MODEL_V3, MODEL_V2, MODEL_I686,
					      MODEL_HOST };

	for (unsigned i = 0; cpu_models[i].name; i++) {
		size_t length = strlen(cpu_models[i].name);

		if (strncmp(cpu_models[i].name, name, length) == 0 &&
		    (!name[length] || name[length] == ',')) {
			*model = numbers[i];
			return 0;
		}
	}
	return -ENOENT;
}

int cpu_model_build(const struct cpu_request *request,
		    struct cpuid_table *table, char dropped[CPU_DROPPED_MAX])
{
	struct cpuid_table host;
	struct build b = {
		.request = request,
		.host = request->host,
		.table = table,
		.dropped = dropped,
	};
	int error = model_number(request->model, &b.model);

	*table = (struct cpuid_table){ 0 };
	dropped[0] = '\0';
	if (error)
		return error;
	if (b.model == MODEL_HOST && !request->offer)
		return -ENOTSUP;
	if (request->vcpus < 1 || request->vcpus > 32)
		return -EINVAL;
	if (!keys_are_known(&b))
		return -ENOENT;
	if (!b.host) {
		cpuid_host(&host);
		b.host = &host;
	}
	b.is_amd = is_amd(&b);
	while (BIT(b.core_bits) < request->vcpus)
		b.core_bits++;

	if (b.model == MODEL_HOST)
		put_host(&b);
	put_features(&b);
	if (b.model != MODEL_HOST)
		put_guards(&b);
	put_names(&b);
	put_caches(&b);
	put_addresses(&b);
	put_topology(&b);
	put_xsave(&b);
	put_frequencies(&b);
	put_amd_copies(&b);
	return 0;
}

void cpu_feature_names(uint32_t leaf, uint32_t subleaf, enum cpuid_register reg,
		       uint32_t bits, char names[CPU_DROPPED_MAX])
{
	names[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		const struct feature *f = &features[i];

		if (f->leaf == leaf && f->subleaf == subleaf && f->reg == reg &&
		    (bits >> f->bit & 1))
			add_name(names, f->name);
	}
}

bool cpu_constant_msr(const struct cpuid_table *table, uint32_t index,
		      uint64_t *value)
{
	bool is_amd = cpuid_is_amd(table);

	*value = 0;
	switch (index) {
	case 0x8b: /* BIOS_SIGN_ID: the microcode revision, Intel's in 63:32 */
		*value = is_amd ? 0x01000065 : 0x100000000ull;
		return true;
	case 0x17: /* PLATFORM_ID */
		return !is_amd;
	case 0x10a:
		*value = table->arch_capabilities;
		return cpuid_has_bit(table, 7, 0, CPUID_EDX, 29);
	/* Four performance counters, which no leaf tells of: they stand. */
	case 0xc0010000 ... 0xc0010007:
	case 0xc0010010: /* SYSCFG */
	case 0xc001001f: /* NB_CFG */
	case 0xc0010055: /* interrupt pending and CMP-halt */
	case 0xc0010058: /* MMIO_CFG_BASE: none but what PCIEXBAR says */
	case 0xc0010112: /* TSEG base and mask: no SMM */
	case 0xc0010113:
	case 0xc0011022: /* DC_CFG */
	case 0xc0011023: /* BU_CFG2 */
		return is_amd;
	case 0xc0010015: /* HWCR: the TSC counts at P0's frequency */
		*value = BIT(24);
		return is_amd;
	case 0xc0011029: /* DE_CFG: LFENCE serializes */
		*value = BIT(1);
		return is_amd;
	default:
		return false;
	}
}

bool cpu_constant_msr_write(const struct cpuid_table *table, uint32_t index)
{
	switch (index) {
	case 0x8b: /* written with 0 before it is read: SDM 3, 9.11.7.1 */
		return true;
	case 0xc0010000 ... 0xc0010007:
	case 0xc0010010:
	case 0xc0010015:
	case 0xc001001f:
	case 0xc0010020: /* the microcode loader's */
	case 0xc0011022:
	case 0xc0011023:
	case 0xc0011029:
		return cpuid_is_amd(table);
	default:
		return false;
	}
}
