/* SPDX-License-Identifier: BSD-2-Clause */
/* CPU models and what CPUID answers for them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bits.h"
#include "x86/cpu_model.h"

#define INTEL 0x756e6547, 0x6c65746e, 0x49656e69
#define AMD   0x68747541, 0x444d4163, 0x69746e65

static void add(struct cpuid_table *table, uint32_t leaf, uint32_t subleaf,
		uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx)
{
	table->leaf[table->count++] = (struct cpuid_leaf){
		leaf, subleaf, leaf == 7 || leaf == 0xd, eax, ebx, ecx, edx,
	};
}

/* A processor that has every feature there is. */
static void make_host(struct cpuid_table *table, uint32_t ebx, uint32_t ecx,
		      uint32_t edx)
{
	*table = (struct cpuid_table){ 0 };
	add(table, 0, 0, 0x20, ebx, ecx, edx);
	add(table, 1, 0, 0x00a20f10, 0, ~0u, ~0u);
	add(table, 6, 0, ~0u, 0, 0, 0);
	add(table, 7, 0, 2, ~0u, ~0u, ~0u);
	add(table, 7, 1, ~0u, ~0u, ~0u, ~0u);
	add(table, 7, 2, 0, 0, 0, ~0u);
	add(table, 0xd, 0, ~0u, 2696, 2696, 0);
	add(table, 0xd, 1, ~0u, 2696, 0, 0);
	add(table, 0x80000001, 0, 0, 0, ~0u, ~0u);
	add(table, 0x80000007, 0, 0, 0, 0, ~0u);
	add(table, 0x80000008, 0, 0x3934, ~0u, 0, 0);
	add(table, 0x80000021, 0, ~0u, 0, ~0u, 0);
	table->arch_capabilities = 0x2b;
}

static struct cpuid_leaf *find(struct cpuid_table *table, uint32_t leaf,
			       uint32_t subleaf)
{
	return (struct cpuid_leaf *)cpuid_find(table, leaf, subleaf);
}

static void test_default_model_carries_what_it_says(void **state)
{
	struct cpuid_table host, table;
	struct cpu_request request = {
		.model = CPU_MODEL_DEFAULT,
		.host = &host,
		.vcpus = 1,
		.tsc_khz = 2300000,
	};
	char dropped[CPU_DROPPED_MAX];
	const char *brand;

	make_host(&host, INTEL);
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	assert_string_equal(dropped, "");
	/* AVX2, SMEP, INVPCID, ADX, SMAP, RDPID, XSAVEC, 1 GiB pages */
	/* MCE, which every x86-64 processor has: OVMF enables it unasked */
	assert_true(cpuid_has_bit(&table, 1, 0, CPUID_EDX, 7));
	assert_true(cpuid_has_bit(&table, 7, 0, CPUID_EBX, 5));
	assert_true(cpuid_has_bit(&table, 7, 0, CPUID_EBX, 7));
	assert_true(cpuid_has_bit(&table, 7, 0, CPUID_EBX, 10));
	assert_true(cpuid_has_bit(&table, 7, 0, CPUID_EBX, 19));
	assert_true(cpuid_has_bit(&table, 7, 0, CPUID_EBX, 20));
	assert_true(cpuid_has_bit(&table, 7, 0, CPUID_ECX, 22));
	assert_true(cpuid_has_bit(&table, 0xd, 1, CPUID_EAX, 1));
	assert_true(cpuid_has_bit(&table, 0x80000001, 0, CPUID_EDX, 26));
	/* Neither MONITOR, VMX, RTM, MPX, AVX512F, PKU, CET, LA57, AMX, XSAVES,
	 * SVM nor a performance unit. */
	assert_false(cpuid_has_bit(&table, 1, 0, CPUID_ECX, 3));
	assert_false(cpuid_has_bit(&table, 1, 0, CPUID_ECX, 5));
	assert_false(cpuid_has_bit(&table, 7, 0, CPUID_EBX, 11));
	assert_false(cpuid_has_bit(&table, 7, 0, CPUID_EBX, 14));
	assert_false(cpuid_has_bit(&table, 7, 0, CPUID_EBX, 16));
	assert_false(cpuid_has_bit(&table, 7, 0, CPUID_ECX, 3));
	assert_false(cpuid_has_bit(&table, 7, 0, CPUID_ECX, 7));
	assert_false(cpuid_has_bit(&table, 7, 0, CPUID_ECX, 16));
	assert_false(cpuid_has_bit(&table, 7, 0, CPUID_EDX, 24));
	assert_false(cpuid_has_bit(&table, 0xd, 1, CPUID_EAX, 3));
	assert_false(cpuid_has_bit(&table, 0x80000001, 0, CPUID_ECX, 2));
	assert_int_equal(cpuid_value(&table, 0xa, 0, CPUID_EAX), 0);
	/* A software engine is unaffected by Meltdown, and says so. */
	assert_true(cpuid_has_bit(&table, 7, 0, CPUID_EDX, 29));
	assert_true(table.arch_capabilities & 1);
	assert_int_equal(cpuid_value(&table, 7, 0, CPUID_EAX), 2);
	assert_true(cpuid_has_bit(&table, 7, 2, CPUID_EDX, 4));
	assert_true(cpuid_has_bit(&table, 1, 0, CPUID_ECX, 31));
	brand = (const char *)&find(&table, 0x80000002, 0)->eax;
	assert_memory_equal(brand, "Ringfence x86-64", 16);
}

static void test_what_is_missing_is_named(void **state)
{
	struct cpuid_table host, offer, table;
	struct cpu_request request = {
		.model = "x86-64-v3",
		.host = &host,
		.vcpus = 1,
	};
	char dropped[CPU_DROPPED_MAX];

	make_host(&host, INTEL);
	find(&host, 7, 0)->ebx &= ~BIT(5);
	find(&host, 1, 0)->ecx &= ~BIT(17);
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	/* AVX2 runs on the host's units; PCID the engine does by itself. */
	assert_string_equal(dropped, "avx2");
	assert_false(cpuid_has_bit(&table, 7, 0, CPUID_EBX, 5));
	assert_true(cpuid_has_bit(&table, 1, 0, CPUID_ECX, 17));

	make_host(&offer, INTEL);
	find(&offer, 1, 0)->ecx &= ~BIT(17);
	request.offer = &offer;
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	assert_string_equal(dropped, "pcid");
	/* On the hardware the truth is the hardware's. */
	assert_int_equal(table.arch_capabilities, 0x2b);

	memset(&host.leaf[1], 0, sizeof(host.leaf) - sizeof(host.leaf[0]));
	request.offer = NULL;
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	assert_non_null(strstr(dropped, "sse4_2 "));
	assert_true(strlen(dropped) < CPU_DROPPED_MAX - 1);
}

static void test_bad_requests_are_refused(void **state)
{
	struct cpuid_table host, table;
	struct cpu_request request = { .host = &host, .vcpus = 1 };
	char dropped[CPU_DROPPED_MAX];

	make_host(&host, INTEL);
	request.model = "pentium";
	assert_int_equal(cpu_model_build(&request, &table, dropped), -ENOENT);
	request.model = "host";
	assert_int_equal(cpu_model_build(&request, &table, dropped), -ENOTSUP);
	request.model = "x86-64-v2";
	request.vcpus = 0;
	assert_int_equal(cpu_model_build(&request, &table, dropped), -EINVAL);
	request.vcpus = 33;
	assert_int_equal(cpu_model_build(&request, &table, dropped), -EINVAL);
}

static void test_v2_has_no_avx(void **state)
{
	struct cpuid_table host, table;
	struct cpu_request request = {
		.model = "x86-64-v2",
		.host = &host,
		.vcpus = 1,
	};
	char dropped[CPU_DROPPED_MAX];
	uint32_t regs[4];

	make_host(&host, AMD);
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	assert_true(cpuid_has_bit(&table, 1, 0, CPUID_ECX, 20));
	assert_false(cpuid_has_bit(&table, 1, 0, CPUID_ECX, 28));
	cpuid_query(&table, 0, 0, XCR0_X87 | XCR0_SSE, 0xd, 0, regs);
	assert_int_equal(regs[0], 3);
	assert_int_equal(regs[2], 576);
}

static void test_topology(void **state)
{
	struct cpuid_table host, table;
	struct cpu_request request = {
		.model = CPU_MODEL_DEFAULT,
		.host = &host,
	};
	char dropped[CPU_DROPPED_MAX];

	make_host(&host, INTEL);
	for (unsigned vcpus = 1; vcpus <= 32; vcpus++) {
		uint32_t regs[4], shift;

		request.vcpus = vcpus;
		assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
		cpuid_query(&table, vcpus - 1, 0, 1, 0xb, 1, regs);
		shift = regs[0];
		assert_true(1u << shift >= vcpus);
		assert_true(shift == 0 || 1u << (shift - 1) < vcpus);
		assert_int_equal(regs[1], vcpus);
		assert_int_equal(regs[2], 0x201);
		assert_int_equal(regs[3], vcpus - 1);
		cpuid_query(&table, vcpus - 1, 0, 1, 1, 0, regs);
		assert_int_equal(regs[1] >> 24, vcpus - 1);
		assert_int_equal(regs[1] >> 16 & 0xff, 1u << shift);
		assert_int_equal(regs[3] >> 28 & 1, vcpus > 1);
		/* Levels past the last have type 0 and still the id. */
		cpuid_query(&table, vcpus - 1, 0, 1, 0x1f, 7, regs);
		assert_int_equal(regs[0] | regs[1], 0);
		assert_int_equal(regs[2], 7);
		assert_int_equal(regs[3], vcpus - 1);
		/* L2 is private, L3 everybody's. */
		cpuid_query(&table, 0, 0, 1, 4, 2, regs);
		assert_int_equal(regs[0] >> 14 & 0xfff, 0);
		cpuid_query(&table, 0, 0, 1, 4, 3, regs);
		assert_int_equal(regs[0] >> 14 & 0xfff, (1u << shift) - 1);
	}
}

static void test_frequencies(void **state)
{
	static const uint64_t khz[] = { 800000,	 2299998, 2000100,
					2300000, 3600123, 4999999 };
	struct cpuid_table host, table;
	struct cpu_request request = {
		.model = CPU_MODEL_DEFAULT,
		.host = &host,
		.vcpus = 1,
	};
	char dropped[CPU_DROPPED_MAX];

	make_host(&host, INTEL);
	for (unsigned i = 0; i < ARRAY_SIZE(khz); i++) {
		uint32_t regs[4], linux_khz;

		request.tsc_khz = khz[i];
		assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
		cpuid_query(&table, 0, 0, 1, 0x15, 0, regs);
		assert_int_equal(regs[2], CPU_APIC_TIMER_HZ);
		/* In 32 bits, as Linux does it; good to 125 in a million. */
		linux_khz = regs[2] / 1000 * regs[1] / regs[0];
		assert_in_range(linux_khz, khz[i] - khz[i] / 8000,
				khz[i] + khz[i] / 8000);
		cpuid_query(&table, 0, 0, 1, 0x40000010, 0, regs);
		assert_int_equal(regs[0], khz[i]);
	}
}

static void test_patches_of_a_query(void **state)
{
	struct cpuid_table host, table;
	struct cpu_request request = {
		.model = CPU_MODEL_DEFAULT,
		.host = &host,
		.vcpus = 1,
	};
	char dropped[CPU_DROPPED_MAX];
	uint32_t regs[4], last[4];

	make_host(&host, INTEL);
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	cpuid_query(&table, 0, 0, 1, 1, 0, regs);
	assert_int_equal(regs[2] >> 27 & 1, 0);
	cpuid_query(&table, 0, CR4_OSXSAVE, 1, 1, 0, regs);
	assert_int_equal(regs[2] >> 27 & 1, 1);
	cpuid_query(&table, 0, 0, 7, 0xd, 0, regs);
	assert_int_equal(regs[0], 7);
	assert_int_equal(regs[1], 832);
	assert_int_equal(regs[2], 832);
	cpuid_query(&table, 0, 0, 3, 0xd, 0, regs);
	assert_int_equal(regs[1], 576);
	cpuid_query(&table, 0, 0, 3, 0xd, 1, regs);
	assert_int_equal(regs[0], 3);
	assert_int_equal(regs[1], 576);
	/* A subleaf that is not there, inside the range. */
	cpuid_query(&table, 0, 0, 3, 0xd, 9, regs);
	assert_int_equal(regs[0] | regs[1] | regs[2] | regs[3], 0);

	/* Past the maximum: Intel as the highest basic leaf, AMD zeros. */
	cpuid_query(&table, 3, 0, 1, 0x1f, 1, last);
	cpuid_query(&table, 3, 0, 1, 0x999, 1, regs);
	assert_memory_equal(regs, last, sizeof(regs));
	cpuid_query(&table, 3, 0, 1, 0x40000999, 1, regs);
	assert_memory_equal(regs, last, sizeof(regs));
	cpuid_query(&table, 3, 0, 1, 0x80000999, 1, regs);
	assert_memory_equal(regs, last, sizeof(regs));
	make_host(&host, AMD);
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	cpuid_query(&table, 3, 0, 1, 0x999, 1, regs);
	assert_int_equal(regs[0] | regs[1] | regs[2] | regs[3], 0);
}

static void test_signature_and_features_of_kvm(void **state)
{
	struct cpuid_table host, table;
	struct cpu_request request = {
		.model = CPU_MODEL_DEFAULT,
		.host = &host,
		.vcpus = 1,
	};
	char dropped[CPU_DROPPED_MAX];
	uint32_t regs[4];

	make_host(&host, AMD);
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	cpuid_query(&table, 0, 0, 1, 0x40000000, 0, regs);
	assert_memory_equal(&regs[1], "KVMKVMKVM\0\0\0", 12);
	cpuid_query(&table, 0, 0, 1, 0x40000001, 0, regs);
	/* Clock, no delay, steal time, EOI, kick, TLB flush, IPI; never
	 * asynchronous page faults (4, 10, 14). */
	assert_int_equal(regs[0], 0x01000aeb);
	/* Of AMD's own: family 1Ah for software, the host's on hardware; the
	 * copies of leaf 1. */
	cpuid_query(&table, 0, 0, 1, 1, 0, regs);
	assert_int_equal(regs[0], 0x00b00f21);
	cpuid_query(&table, 0, 0, 1, 0x80000001, 0, regs);
	assert_int_equal(regs[3] & 0x1ff, 0x1fd);
	request.offer = &host;
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	cpuid_query(&table, 0, 0, 1, 1, 0, regs);
	assert_int_equal(regs[0], 0x00a20f10);
	assert_int_equal(cpuid_value(&table, 7, 0, CPUID_EAX), 2);
	/* Nothing of it where the kernel would have to do it. */
	assert_int_equal(cpuid_value(&table, 0x40000001, 0, CPUID_EAX), 2);
	request.offer = NULL;
	request.model = "x86-64-v3,kvmclock=off,kvm_pv_ipi=off";
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	assert_int_equal(cpuid_value(&table, 0x40000001, 0, CPUID_EAX), 0x2e2);
}

static void test_host_model_keeps_what_the_offer_has(void **state)
{
	struct cpuid_table host, table;
	struct cpu_request request = {
		.model = "host",
		.host = &host,
		.offer = &host,
		.vcpus = 4,
	};
	char dropped[CPU_DROPPED_MAX];

	make_host(&host, INTEL);
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	assert_true(cpuid_has_bit(&table, 7, 0, CPUID_EBX, 16));
	assert_false(cpuid_has_bit(&table, 1, 0, CPUID_ECX, 5));
	assert_int_equal(cpuid_value(&table, 0xb, 1, CPUID_EBX), 4);
	assert_int_equal(cpuid_value(&table, 0xd, 0, CPUID_ECX), 2696);
	/* What would need MSRs that are not carried. */
	assert_int_equal(cpuid_value(&table, 0xd, 1, CPUID_EAX), 7);
	assert_int_equal(cpuid_value(&table, 6, 0, CPUID_EAX), 4);
	assert_false(cpuid_has_bit(&table, 7, 0, CPUID_ECX, 5));
	assert_false(cpuid_has_bit(&table, 7, 0, CPUID_ECX, 7));
	assert_false(cpuid_has_bit(&table, 7, 0, CPUID_EDX, 24));
}

static void test_constant_msrs(void **state)
{
	struct cpuid_table host, table;
	struct cpu_request request = {
		.model = CPU_MODEL_DEFAULT,
		.host = &host,
		.vcpus = 1,
	};
	char dropped[CPU_DROPPED_MAX];
	uint64_t value;

	make_host(&host, INTEL);
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	assert_true(cpu_constant_msr(&table, 0x10a, &value));
	assert_true(value & 1);
	assert_true(cpu_constant_msr(&table, 0x8b, &value));
	assert_false(cpu_constant_msr(&table, 0xc0010015, &value));
	assert_false(cpu_constant_msr(&table, 0x12345, &value));
	assert_true(cpu_constant_msr_write(&table, 0x8b));
	assert_false(cpu_constant_msr_write(&table, 0x10a));
	request.wants_mitigations = true;
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	assert_false(cpu_constant_msr(&table, 0x10a, &value));
}

static void test_features_of_instructions(void **state)
{
	struct cpuid_table host, table;
	struct cpu_request request = {
		.model = CPU_MODEL_DEFAULT,
		.host = &host,
		.vcpus = 1,
	};
	char dropped[CPU_DROPPED_MAX];

	make_host(&host, INTEL);
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	assert_true(cpuid_has(&table, FEAT_BASE));
	assert_true(cpuid_has(&table, FEAT_AVX2));
	assert_true(cpuid_has(&table, FEAT_AES_AVX));
	assert_true(cpuid_has(&table, FEAT_XSAVEOPT));
	assert_true(cpuid_has(&table, FEAT_LZCNT));
	assert_true(cpuid_has(&table, FEAT_RDTSCP));
	assert_false(cpuid_has(&table, FEAT_AVX512F));
	assert_false(cpuid_has(&table, FEAT_AVX_VNNI));
	assert_false(cpuid_has(&table, FEAT_PKU));
	assert_false(cpuid_has(&table, FEAT_WBNOINVD));
}

/* KVM's own: where the kernel has them, and nobody lacks them elsewhere. */
static void test_paravirtual_features(void **state)
{
	struct cpuid_table host, offer, table;
	struct cpu_request request = {
		.model = "x86-64-v3,kvm_pv_ipi=off",
		.host = &host,
		.offer = &offer,
		.vcpus = 1,
	};
	char dropped[CPU_DROPPED_MAX];

	make_host(&host, INTEL);
	make_host(&offer, INTEL);
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	assert_string_equal(dropped, "");
	assert_int_equal(cpuid_value(&table, 0x40000001, 0, CPUID_EAX), BIT(1));
	/* Clock, steal time, EOI, IPI; and page faults, which cannot move. */
	add(&offer, 0x40000001, 0,
	    BIT(0) | BIT(3) | BIT(24) | BIT(5) | BIT(6) | BIT(11) | BIT(4) |
		    BIT(14),
	    0, 0, 0);
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	assert_string_equal(dropped, "");
	assert_int_equal(cpuid_value(&table, 0x40000001, 0, CPUID_EAX),
			 BIT(0) | BIT(1) | BIT(3) | BIT(24) | BIT(5) | BIT(6));
}

/* Protection keys: in no model, but to be had. */
static void test_features_asked_for(void **state)
{
	struct cpuid_table host, offer, table;
	struct cpu_request request = {
		.model = "x86-64-v3,+pku,+pks",
		.host = &host,
		.vcpus = 1,
	};
	char dropped[CPU_DROPPED_MAX];
	uint32_t regs[4];

	make_host(&host, INTEL);
	add(&host, 0xd, 9, 8, 2432, 0, 0);
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	assert_string_equal(dropped, "");
	assert_true(cpuid_has(&table, FEAT_PKU));
	assert_true(cpuid_has_bit(&table, 7, 0, CPUID_ECX, 31));
	/* PKRU stands where the host has it. */
	assert_int_equal(cpuid_value(&table, 0xd, 0, CPUID_EAX), 0x207);
	assert_int_equal(cpuid_value(&table, 0xd, 0, CPUID_ECX), 2440);
	assert_int_equal(cpuid_value(&table, 0xd, 9, CPUID_EBX), 2432);
	/* Sizes by XCR0: the standard format, then the compacted one. */
	cpuid_query(&table, 0, 0, 7, 0xd, 0, regs);
	assert_int_equal(regs[1], 832);
	cpuid_query(&table, 0, 0, 0x207, 0xd, 0, regs);
	assert_int_equal(regs[1], 2440);
	cpuid_query(&table, 0, 0, 0x207, 0xd, 1, regs);
	assert_int_equal(regs[1], 840);
	cpuid_query(&table, 0, 0, 0x203, 0xd, 1, regs);
	assert_int_equal(regs[1], 584);
	/* OSPKE is CR4.PKE. */
	cpuid_query(&table, 0, 0, 7, 7, 0, regs);
	assert_false(regs[2] & BIT(4));
	cpuid_query(&table, 0, CR4_PKE, 7, 7, 0, regs);
	assert_true(regs[2] & BIT(4));

	/* What the hardware's engine has not is named. */
	make_host(&offer, INTEL);
	find(&offer, 7, 0)->ecx &= ~BIT(31);
	request.offer = &offer;
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	assert_string_equal(dropped, "pks");
	assert_true(cpuid_has(&table, FEAT_PKU));
	assert_int_equal(cpuid_value(&table, 0xd, 9, CPUID_EBX), 2688);
	request.model = "host,+pks";
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	assert_string_equal(dropped, "pks");

	request.offer = NULL;
	request.model = "x86-64-v2,+aes";
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	assert_true(cpuid_has(&table, FEAT_AES));
	assert_false(cpuid_has(&table, FEAT_AVX2));
	request.model = "x86-64-v3,+pkx";
	assert_int_equal(cpu_model_build(&request, &table, dropped), -ENOENT);
	request.model = "x86-64-v3,pku";
	assert_int_equal(cpu_model_build(&request, &table, dropped), -ENOENT);
	request.model = "x86-64-v3,+pku,pku=off";
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	assert_false(cpuid_has(&table, FEAT_PKU));
}

static void test_features_left_out(void **state)
{
	struct cpuid_table host, table;
	struct cpu_request request = {
		.model = "x86-64-v3,pcid=off,invpcid=off,mitigations=on",
		.host = &host,
		.vcpus = 1,
	};
	char dropped[CPU_DROPPED_MAX];

	make_host(&host, INTEL);
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	assert_string_equal(dropped, "");
	assert_false(cpuid_has_bit(&table, 1, 0, CPUID_ECX, 17));
	assert_false(cpuid_has_bit(&table, 7, 0, CPUID_EBX, 10));
	/* MCE, which every x86-64 processor has: OVMF enables it unasked */
	assert_true(cpuid_has_bit(&table, 1, 0, CPUID_EDX, 7));
	assert_true(cpuid_has_bit(&table, 7, 0, CPUID_EBX, 5));
	assert_false(cpuid_has_bit(&table, 7, 0, CPUID_EDX, 29));
	request.model = "x86-64-v3,pci=off";
	assert_int_equal(cpu_model_build(&request, &table, dropped), -ENOENT);
	request.model = "x86-64-v3,pcid";
	assert_int_equal(cpu_model_build(&request, &table, dropped), -ENOENT);
	request.model = "x86-64-v3,";
	assert_int_equal(cpu_model_build(&request, &table, dropped), -ENOENT);
	request.model = "x86-64-v,pcid=off";
	assert_int_equal(cpu_model_build(&request, &table, dropped), -ENOENT);
}

/* The other vendor's processor, on a software engine only. */
static void test_vendor(void **state)
{
	struct cpuid_table host, table;
	struct cpu_request request = {
		.model = "x86-64-v3,vendor=amd",
		.host = &host,
		.vcpus = 2,
	};
	char dropped[CPU_DROPPED_MAX];
	uint64_t value;

	make_host(&host, INTEL);
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	assert_true(cpuid_is_amd(&table));
	assert_int_equal(cpuid_value(&table, 0, 0, CPUID_ECX), 0x444d4163);
	assert_int_equal(cpuid_value(&table, 0x80000000, 0, CPUID_EBX),
			 0x68747541);
	/* The counters that every AMD processor has. */
	assert_true(cpu_constant_msr(&table, 0xc0010004, &value));
	assert_int_equal(value, 0);
	assert_true(cpu_constant_msr_write(&table, 0xc0010000));
	request.model = "x86-64-v3,vendor=intel";
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	assert_int_equal(cpuid_value(&table, 0, 0, CPUID_EDX), 0x49656e69);
	assert_false(cpu_constant_msr(&table, 0xc0010004, &value));
	make_host(&host, AMD);
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	assert_false(cpuid_is_amd(&table));
	request.model = "x86-64-v3,vendor=via";
	assert_int_equal(cpu_model_build(&request, &table, dropped), -ENOENT);
	request.model = "x86-64-v3,vendor=amd";
	request.offer = &host;
	assert_int_equal(cpu_model_build(&request, &table, dropped), -ENOENT);
}

static void test_real_host(void **state)
{
	struct cpuid_table host, table;
	struct cpu_request request = {
		.model = "x86-64-v2",
		.vcpus = 32,
		.tsc_khz = 2000000,
	};
	char dropped[CPU_DROPPED_MAX];

	cpuid_host(&host);
	assert_true(host.count > 8);
	assert_true(cpuid_has_bit(&host, 0x80000001, 0, CPUID_EDX, 29));
	assert_int_equal(cpu_model_build(&request, &table, dropped), 0);
	assert_int_equal(cpuid_value(&table, 0, 0, CPUID_EBX),
			 cpuid_value(&host, 0, 0, CPUID_EBX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default_model_carries_what_it_says),
		cmocka_unit_test(test_what_is_missing_is_named),
		cmocka_unit_test(test_bad_requests_are_refused),
		cmocka_unit_test(test_v2_has_no_avx),
		cmocka_unit_test(test_topology),
		cmocka_unit_test(test_frequencies),
		cmocka_unit_test(test_patches_of_a_query),
		cmocka_unit_test(test_signature_and_features_of_kvm),
		cmocka_unit_test(test_host_model_keeps_what_the_offer_has),
		cmocka_unit_test(test_constant_msrs),
		cmocka_unit_test(test_features_of_instructions),
		cmocka_unit_test(test_paravirtual_features),
		cmocka_unit_test(test_features_asked_for),
		cmocka_unit_test(test_features_left_out),
		cmocka_unit_test(test_vendor),
		cmocka_unit_test(test_real_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
