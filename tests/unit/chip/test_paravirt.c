/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The paravirtual interface: what tests/guest/paravirt cannot see of it. Other
 * rates of the TSC, features that are left out, addresses that are no RAM, an
 * EOI on offer when the machine is saved.
 */
#include "board.h"

#include <string.h>

#include "chip/lapic.h"
#include "chip/paravirt.h"
#include "core/apic_state.h"
#include "x86/cpuid.h"
#include "x86/kvm_para.h"

#define CLOCK_GPA 0x1000
#define STEAL_GPA 0x1040
#define EOI_GPA	  0x1080
#define WALL_GPA  0x10c0
#define NOWHERE	  0xd0000000
#define ALL	  0x01000aeb

static struct board *board;
static struct paravirt pv;
static struct cpuid_table cpuid;

static struct vcpu *cpu(unsigned index)
{
	return board->vm.vcpus[index];
}

static void set_features(uint32_t features)
{
	cpuid = (struct cpuid_table){
		.count = 2,
		.leaf = { { .leaf = KVM_PARA_SIGNATURE,
			    .eax = KVM_PARA_FEATURES },
			  { .leaf = KVM_PARA_FEATURES, .eax = features } },
	};
}

static bool wrmsr(unsigned index, uint32_t msr, uint64_t value)
{
	struct exit exit = { .reason = EXIT_WRMSR,
			     .msr = { .index = msr, .value = value } };

	return exit_handle(cpu(index), &exit) != EXIT_FAULT;
}

static uint64_t call(unsigned cpl, uint64_t number, uint64_t a0, uint64_t a1,
		     uint64_t a2, uint64_t a3)
{
	struct exit exit = { .reason = EXIT_VMCALL,
			     .vmcall = { .number = number,
					 .argument = { a0, a1, a2, a3 },
					 .is_64bit = true,
					 .cpl = (uint8_t)cpl } };

	exit_handle(cpu(0), &exit);
	return exit.vmcall.result;
}

static uint8_t *ram(gpa_t gpa)
{
	return board->vm.memory.host + gpa;
}

static struct kvm_para_clock clock_page(void)
{
	struct kvm_para_clock page;

	memcpy(&page, ram(CLOCK_GPA), sizeof(page));
	return page;
}

/* As a guest computes it. */
static uint64_t guest_ns(uint64_t tsc)
{
	struct kvm_para_clock page = clock_page();
	uint64_t ticks = tsc - page.tsc_timestamp;

	ticks = page.tsc_shift < 0 ? ticks >> -page.tsc_shift :
				     ticks << page.tsc_shift;
	return page.system_time +
	       (uint64_t)(((unsigned __int128)ticks * page.tsc_to_system_mul) >>
			  32);
}

static int setup(void **state)
{
	board = board_create_smp(2);
	assert_int_equal(memory_init(&board->vm.memory, &board->vm, 1 << 20, 0),
			 0);
	set_features(ALL);
	board->vm.cpuid = &cpuid;
	assert_int_equal(paravirt_init(&pv, &board->vm, false), 0);
	return 0;
}

static int teardown(void **state)
{
	board_destroy(board);
	return 0;
}

static void test_clock(void **state)
{
	clock_set(&board->vm.clock, 5000, 0);
	assert_true(wrmsr(0, MSR_KVM_CLOCK, CLOCK_GPA | 1));
	assert_int_equal(clock_page().version % 2, 0);
	assert_int_equal(clock_page().flags, KVM_PARA_CLOCK_STABLE);
	/* Two ticks a nanosecond. */
	assert_int_equal(guest_ns(10000), 5000);
	assert_int_equal(guest_ns(10000 + 2000000000), 1000005000);
	/* Without the enabling bit nothing is written. */
	memset(ram(CLOCK_GPA), 0, 32);
	assert_true(wrmsr(0, MSR_KVM_CLOCK, CLOCK_GPA));
	assert_int_equal(clock_page().version, 0);
	/* The old number is the same register; and nothing is there. */
	assert_true(wrmsr(0, MSR_KVM_CLOCK_OLD, CLOCK_GPA | 1));
	assert_int_equal(clock_page().version, 2);
	assert_true(wrmsr(0, MSR_KVM_CLOCK, NOWHERE | 1));
	assert_true(wrmsr(0, MSR_KVM_WALL, ~0ull));
	assert_true(wrmsr(0, MSR_KVM_STEAL, NOWHERE | 1));
	board->vm.paravirt_ops->sleeps(cpu(0));
	assert_false(board->vm.paravirt_ops->wakes(cpu(0)));
}

/* All vCPUs count from one moment, whenever they ask. */
static void test_clocks_agree(void **state)
{
	struct kvm_para_clock first;

	assert_true(wrmsr(0, MSR_KVM_CLOCK, CLOCK_GPA | 1));
	first = clock_page();
	clock_set(&board->vm.clock, 123456789, 0);
	assert_true(wrmsr(1, MSR_KVM_CLOCK, CLOCK_GPA | 1));
	assert_int_equal(clock_page().tsc_timestamp, first.tsc_timestamp);
	assert_int_equal(clock_page().system_time, first.system_time);
}

/* The machine goes on where the TSC runs at another rate. */
static void test_other_rate(void **state)
{
	struct clock *clock = &board->vm.clock;
	uint64_t then;

	assert_true(wrmsr(0, MSR_KVM_CLOCK, CLOCK_GPA | 1));
	clock_set(clock, 1000000, 0);
	then = guest_ns(clock_tsc(clock));
	assert_int_equal(then, 1000000);
	devices_start(&board->vm);
	assert_int_equal(clock_page().version, 2);
	clock->tsc_khz = 500000;
	devices_start(&board->vm);
	assert_int_equal(clock_page().version, 4);
	assert_int_equal(guest_ns(clock_tsc(clock)), then);
	assert_int_equal(guest_ns(clock_tsc(clock) + 1000), then + 2000);
}

static void test_wall(void **state)
{
	struct kvm_para_wall wall;

	clock_set(&board->vm.clock, 3600 * 1000000000ull, 0);
	assert_true(wrmsr(0, MSR_KVM_WALL, WALL_GPA));
	memcpy(&wall, ram(WALL_GPA), sizeof(wall));
	assert_int_equal(wall.version, 2);
	assert_true(wall.nanoseconds < 1000000000);
	assert_in_range(wall.seconds, time(NULL) - 3610, time(NULL) - 3590);
}

static void test_left_out(void **state)
{
	set_features(BIT(KVM_PARA_NO_DELAY));
	assert_false(wrmsr(0, MSR_KVM_CLOCK, CLOCK_GPA | 1));
	assert_false(wrmsr(0, MSR_KVM_WALL_OLD, CLOCK_GPA));
	assert_false(wrmsr(0, MSR_KVM_STEAL, STEAL_GPA | 1));
	assert_false(wrmsr(0, MSR_KVM_EOI, EOI_GPA | 1));
	assert_int_equal(call(0, KVM_PARA_KICK_CPU, 0, 1, 0, 0),
			 KVM_PARA_ENOSYS);
	assert_int_equal(call(0, KVM_PARA_SEND_IPI, 1, 0, 0, 0x60),
			 KVM_PARA_ENOSYS);
	assert_int_equal(call(0, KVM_PARA_POLL_IRQ, 0, 0, 0, 0), 0);
	assert_int_equal(call(3, KVM_PARA_POLL_IRQ, 0, 0, 0, 0),
			 KVM_PARA_EPERM);
}

static void test_sleep(void **state)
{
	const struct paravirt_ops *ops = board->vm.paravirt_ops;
	struct kvm_para_steal *steal = (void *)ram(STEAL_GPA);

	assert_true(wrmsr(0, MSR_KVM_STEAL, STEAL_GPA | 1));
	assert_int_equal(steal->preempted, 0);
	ops->sleeps(cpu(0));
	assert_int_equal(steal->preempted, KVM_PARA_PREEMPTED);
	assert_false(ops->wakes(cpu(0)));
	assert_int_equal(steal->preempted, 0);
	ops->sleeps(cpu(0));
	steal->preempted |= KVM_PARA_FLUSH;
	assert_true(ops->wakes(cpu(0)));
	assert_int_equal(steal->preempted, 0);
	assert_int_equal(steal->version % 2, 0);
	/* INIT forgets it. */
	ops->init(cpu(0));
	ops->sleeps(cpu(0));
	assert_int_equal(steal->preempted, 0);
}

/* Lost time: another thread would have to take it. Told as it was found. */
static void test_steal(void **state)
{
	struct kvm_para_steal *steal = (void *)ram(STEAL_GPA);

	assert_true(wrmsr(0, MSR_KVM_STEAL, STEAL_GPA | 1));
	/* As if the thread had begun to run a second ago. */
	cpu(0)->steal.wall_ns -= 1000000000;
	board->vm.paravirt_ops->sleeps(cpu(0));
	assert_in_range(steal->steal, 900000000, 100000000000ull);
	/* Sleep is nobody's. */
	cpu(0)->steal.wall_ns -= 1000000000;
	board->vm.paravirt_ops->wakes(cpu(0));
	cpu(0)->steal.stolen_ns = 5;
	board->vm.paravirt_ops->sleeps(cpu(0));
	assert_in_range(steal->steal, 5, 900000000);
}

static void enable_apics(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct access access = {
			.offset = 0xf0,
			.size = 4,
			.value = 0x1ff,
			.is_write = true,
		};

		lapic_ops.access(cpu(i), &access);
	}
}

static void send_msi(uint8_t vector)
{
	const struct msi msi = { .address = MSI_ADDRESS_BASE, .data = vector };

	msi_send(&board->vm, &msi);
}

static void test_eoi(void **state)
{
	struct apic_state saved;

	enable_apics();
	assert_true(wrmsr(0, MSR_KVM_EOI, EOI_GPA | 1));
	send_msi(0x41);
	assert_true(lapic_ops.has_interrupt(cpu(0)));
	assert_int_equal(lapic_ops.acknowledge(cpu(0)), 0x41);
	assert_int_equal(*ram(EOI_GPA), 1);
	/* Nothing new: it is left alone. */
	assert_false(lapic_ops.has_interrupt(cpu(0)));
	assert_int_equal(*ram(EOI_GPA), 1);
	/* A lower one comes from elsewhere, before the EOI: it is withdrawn. */
	send_msi(0x31);
	assert_false(lapic_ops.has_interrupt(cpu(0)));
	assert_int_equal(*ram(EOI_GPA), 0);
	assert_true(wrmsr(0, MSR_KVM_EOI, 0));
	assert_true(wrmsr(0, MSR_KVM_EOI, EOI_GPA | 1));
	lapic_ops.reset(cpu(0), true);
	enable_apics();
	/* And after the EOI: it is seen at once. */
	send_msi(0x41);
	assert_int_equal(lapic_ops.acknowledge(cpu(0)), 0x41);
	*ram(EOI_GPA) = 0;
	send_msi(0x31);
	assert_true(lapic_ops.has_interrupt(cpu(0)));
	assert_int_equal(lapic_ops.acknowledge(cpu(0)), 0x31);
	/* A saved state has no offer in it. */
	assert_int_equal(*ram(EOI_GPA), 1);
	assert_int_equal(lapic_ops.get_state(cpu(0), &saved), 0);
	assert_int_equal(*ram(EOI_GPA), 0);
	assert_int_equal(saved.isr[1], BIT(0x31 - 32));
	/* Nor one that was taken up. */
	lapic_ops.reset(cpu(0), true);
	enable_apics();
	send_msi(0x41);
	assert_int_equal(lapic_ops.acknowledge(cpu(0)), 0x41);
	*ram(EOI_GPA) = 0;
	assert_int_equal(lapic_ops.get_state(cpu(0), &saved), 0);
	assert_int_equal(saved.isr[2], 0);
	/* Where there is no RAM the register is all there is. */
	assert_true(wrmsr(0, MSR_KVM_EOI, NOWHERE | 1));
	send_msi(0x41);
	assert_int_equal(lapic_ops.acknowledge(cpu(0)), 0x41);
	assert_int_equal(lapic_ops.get_state(cpu(0), &saved), 0);
	assert_int_equal(saved.isr[2], BIT(0x41 - 64));
}

static void test_kick_and_ipi(void **state)
{
	enable_apics();
	assert_int_equal(call(0, KVM_PARA_KICK_CPU, 0, 1, 0, 0), 0);
	assert_true(atomic_load(&cpu(1)->requests) & VCPU_UNHALT);
	assert_false(atomic_load(&cpu(0)->requests) & VCPU_UNHALT);
	assert_int_equal(call(0, KVM_PARA_KICK_CPU, 0, 77, 0, 0), 0);
	assert_int_equal(call(0, KVM_PARA_SEND_IPI, 3, 0, 0, 0x61), 2);
	assert_int_equal(lapic_ops.acknowledge(cpu(0)), 0x61);
	assert_int_equal(lapic_ops.acknowledge(cpu(1)), 0x61);
	/* Bits beyond the vCPUs there are; the sum wraps. */
	assert_int_equal(call(0, KVM_PARA_SEND_IPI, ~0ull, ~0ull, 1, 0x61), 1);
	assert_int_equal(call(0, KVM_PARA_SEND_IPI, ~0ull, ~0ull, ~0ull, 0x61),
			 0);
	assert_int_equal(call(0, KVM_PARA_SEND_IPI, 1, 0, 0, 0x861),
			 KVM_PARA_EINVAL);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_clock), T(test_clocks_agree), T(test_other_rate),
		T(test_wall),  T(test_left_out),     T(test_sleep),
		T(test_steal), T(test_eoi),	     T(test_kick_and_ipi),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
