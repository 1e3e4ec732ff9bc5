/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC: priority, EOI, timer, IPIs, modes. */
#include "board.h"

#include <string.h>

#include "chip/lapic.h"
#include "x86/cpuid.h"
#include "x86/msr.h"

#define APIC_ID	    0x20
#define APIC_TPR    0x80
#define APIC_PPR    0xa0
#define APIC_EOI    0xb0
#define APIC_LDR    0xd0
#define APIC_DFR    0xe0
#define APIC_SVR    0xf0
#define APIC_ISR    0x100
#define APIC_IRR    0x200
#define APIC_ESR    0x280
#define APIC_ICR    0x300
#define APIC_ICR2   0x310
#define APIC_LVTT   0x320
#define APIC_LINT0  0x350
#define APIC_LVTE   0x370
#define APIC_TMICT  0x380
#define APIC_TMCCT  0x390
#define APIC_TDCR   0x3e0

#define MSR_X2(reg) (MSR_X2APIC_FIRST + (reg) / 16)

static struct board *board;
static int eoi_vector;
static bool pic_is_pending;

static struct vcpu *cpu(unsigned index)
{
	return board->vm.vcpus[index];
}

static void reg_write(unsigned index, unsigned reg, uint32_t value)
{
	struct access access = {
		.offset = reg, .size = 4, .value = value, .is_write = true
	};

	lapic_ops.access(cpu(index), &access);
}

static uint32_t reg_read(unsigned index, unsigned reg)
{
	struct access access = { .offset = reg, .size = 4 };

	lapic_ops.access(cpu(index), &access);
	return access.value;
}

static bool wrmsr(unsigned index, uint32_t msr, uint64_t value)
{
	const struct msr_range *range = msr_find(&board->vm.msrs, msr);

	assert_non_null(range);
	return range->write(range->device, cpu(index), msr, value);
}

static bool rdmsr(unsigned index, uint32_t msr, uint64_t *value)
{
	const struct msr_range *range = msr_find(&board->vm.msrs, msr);

	assert_non_null(range);
	return range->read(range->device, cpu(index), msr, value);
}

static uint64_t msr(unsigned index, uint32_t number)
{
	uint64_t value;

	assert_true(rdmsr(index, number, &value));
	return value;
}

static void send_msi(uint64_t address, uint32_t data)
{
	struct msi msi = { .address = MSI_ADDRESS_BASE | address,
			   .data = data };

	msi_send(&board->vm, &msi);
}

static void on_eoi(void *ioapic, uint8_t vector)
{
	eoi_vector = vector;
}

static bool on_is_pending(void *pic)
{
	return pic_is_pending;
}

static int on_acknowledge(void *pic)
{
	pic_is_pending = false;
	lapic_ops.set_lint(cpu(0), 0, false);
	return 0x31;
}

static const struct eoi_ops eoi = { .eoi = on_eoi };
static const struct extint_ops extint = { on_is_pending, on_acknowledge };

static int setup(void **state)
{
	unsigned i;

	board = board_create_smp(4);
	board->vm.eoi_ops = &eoi;
	board->vm.extint_ops = &extint;
	eoi_vector = -1;
	pic_is_pending = false;
	for (i = 0; i < 4; i++)
		reg_write(i, APIC_SVR, 0x1ff);
	return 0;
}

static int teardown(void **state)
{
	board_destroy(board);
	return 0;
}

static int take(unsigned index)
{
	return vcpu_has_interrupt(cpu(index)) ?
		       vcpu_take_interrupt(cpu(index)) :
		       -1;
}

static void reset_state(void **state)
{
	assert_int_equal(reg_read(0, 0x30), 0x01050015);
	assert_int_equal(reg_read(2, APIC_ID), 2u << 24);
	assert_int_equal(msr(0, MSR_APIC_BASE), 0xfee00900);
	assert_int_equal(msr(1, MSR_APIC_BASE), 0xfee00800);
	assert_int_equal(lapic_ops.page(cpu(0)), 0xfee00000);
	assert_int_equal(reg_read(1, APIC_LINT0), 0x10000);
	assert_int_equal(reg_read(0, APIC_DFR), ~0u);
}

static void priority_and_eoi(void **state)
{
	send_msi(0, 0x41);
	assert_true(cpu(0)->requests & VCPU_INTERRUPT);
	assert_false(vcpu_has_interrupt(cpu(1)));
	send_msi(0, 0x45);
	send_msi(0, 0x62);
	assert_int_equal(take(0), 0x62);
	assert_int_equal(reg_read(0, APIC_PPR), 0x60);
	/* Lower classes wait, the same class too. */
	assert_int_equal(take(0), -1);
	send_msi(0, 0x6f);
	assert_int_equal(take(0), -1);
	reg_write(0, APIC_EOI, 0);
	assert_int_equal(take(0), 0x6f);
	reg_write(0, APIC_EOI, 0);
	assert_int_equal(take(0), 0x45);
	assert_int_equal(reg_read(0, APIC_ISR + 0x20), 1 << 5);
	assert_int_equal(reg_read(0, APIC_IRR + 0x20), 1 << 1);
	/* Edge-triggered: the IOAPIC hears nothing. */
	assert_int_equal(eoi_vector, -1);
	cpu(0)->requests = 0;
	reg_write(0, APIC_EOI, 0);
	assert_true(cpu(0)->requests & VCPU_INTERRUPT);
	lapic_ops.set_tpr(cpu(0), 4);
	assert_int_equal(reg_read(0, APIC_TPR), 0x40);
	assert_int_equal(take(0), -1);
	reg_write(0, APIC_TPR, 0x3f);
	assert_int_equal(lapic_ops.get_tpr(cpu(0)), 3);
	assert_int_equal(take(0), 0x41);
}

static void level_eoi_is_broadcast(void **state)
{
	send_msi(0, 0x8051);
	assert_int_equal(take(0), 0x51);
	reg_write(0, APIC_EOI, 0);
	assert_int_equal(eoi_vector, 0x51);
	/* Unless the guest suppresses it. */
	eoi_vector = -1;
	reg_write(0, APIC_SVR, 0x11ff);
	send_msi(0, 0x8051);
	assert_int_equal(take(0), 0x51);
	reg_write(0, APIC_EOI, 0);
	assert_int_equal(eoi_vector, -1);
}

static void software_disabled(void **state)
{
	reg_write(1, APIC_LVTT, 0x40);
	reg_write(1, APIC_SVR, 0xff);
	assert_int_equal(reg_read(1, APIC_LVTT), 0x10040);
	reg_write(1, APIC_LVTT, 0x40);
	assert_int_equal(reg_read(1, APIC_LVTT), 0x10040);
	send_msi(1 << 12, 0x41);
	assert_int_equal(reg_read(1, APIC_IRR + 0x20), 0);
	/* NMI, INIT and SIPI still come through. */
	reg_write(0, APIC_ICR2, 1 << 24);
	reg_write(0, APIC_ICR, 0x4500);
	reg_write(0, APIC_ICR, 0x469a);
	reg_write(0, APIC_ICR, 0x4400);
	assert_int_equal(cpu(1)->requests, VCPU_INIT | VCPU_SIPI | VCPU_NMI);
	assert_int_equal(cpu(1)->sipi_vector, 0x9a);
}

static void init_deassert_does_nothing(void **state)
{
	reg_write(0, APIC_ICR2, 1 << 24);
	reg_write(0, APIC_ICR, 0x8500);
	assert_int_equal(cpu(1)->requests, 0);
	reg_write(0, APIC_ICR, 0xc500);
	assert_int_equal(cpu(1)->requests, VCPU_INIT);
}

static unsigned pending_set(uint8_t vector)
{
	unsigned i, set = 0;

	for (i = 0; i < 4; i++) {
		if (take(i) != vector)
			continue;
		set |= 1 << i;
		lapic_ops.access(cpu(i), &(struct access){ .offset = APIC_EOI,
							   .size = 4,
							   .is_write = true });
	}
	return set;
}

static void ipi_destinations(void **state)
{
	unsigned i;

	reg_write(1, APIC_ICR, 0x40041); /* self */
	assert_int_equal(pending_set(0x41), 2);
	reg_write(1, APIC_ICR, 0x80042);
	assert_int_equal(pending_set(0x42), 0xf);
	reg_write(1, APIC_ICR, 0xc0043);
	assert_int_equal(pending_set(0x43), 0xd);
	reg_write(0, APIC_ICR2, 0xff000000);
	reg_write(0, APIC_ICR, 0x44);
	assert_int_equal(pending_set(0x44), 0xf);

	for (i = 0; i < 4; i++)
		reg_write(i, APIC_LDR, 1u << (24 + i));
	reg_write(0, APIC_ICR2, 0x0a000000);
	reg_write(0, APIC_ICR, 0x845);
	assert_int_equal(pending_set(0x45), 0xa);
	/* Cluster model: two clusters of two. */
	for (i = 0; i < 4; i++) {
		reg_write(i, APIC_DFR, 0x0fffffff);
		reg_write(i, APIC_LDR, (i / 2) << 28 | 1u << (24 + i % 2));
	}
	reg_write(0, APIC_ICR2, 0x13000000);
	reg_write(0, APIC_ICR, 0x846);
	assert_int_equal(pending_set(0x46), 0xc);
	reg_write(0, APIC_ICR2, 0x02000000);
	reg_write(0, APIC_ICR, 0x847);
	assert_int_equal(pending_set(0x47), 0x2);
}

static void lowest_priority(void **state)
{
	unsigned i, seen = 0;

	for (i = 0; i < 4; i++)
		reg_write(i, APIC_LDR, 1u << (24 + i));
	reg_write(0, APIC_TPR, 0x20);
	reg_write(1, APIC_TPR, 0x10);
	reg_write(2, APIC_TPR, 0x30);
	reg_write(3, APIC_TPR, 0x20);
	send_msi(0xff004, 0x151);
	assert_int_equal(pending_set(0x51), 2);
	/* Ties take turns; the redirection hint means the same. */
	for (i = 0; i < 4; i++)
		reg_write(i, APIC_TPR, 0);
	for (i = 0; i < 8; i++) {
		unsigned set;

		send_msi(0x0f00c, 0x52);
		set = pending_set(0x52);
		assert_true(set && !(set & (set - 1)));
		seen |= set;
	}
	assert_int_equal(seen, 0xf);
}

static void errors(void **state)
{
	reg_write(0, APIC_LVTE, 0xfe);
	reg_write(0, APIC_ICR, 0x40005);
	assert_int_equal(take(0), 0xfe);
	assert_int_equal(reg_read(0, APIC_ESR), 0);
	reg_write(0, APIC_ESR, 0);
	assert_int_equal(reg_read(0, APIC_ESR), 0x20);
	send_msi(0, 0x05);
	reg_read(0, 0x3d0);
	reg_write(0, APIC_ESR, 0);
	assert_int_equal(reg_read(0, APIC_ESR), 0xc0);
	/* An illegal vector in LVT error does not recurse. */
	reg_write(0, APIC_LVTE, 0x01);
	reg_write(0, APIC_ICR, 0x40005);
	reg_write(0, APIC_ESR, 0);
	assert_int_equal(reg_read(0, APIC_ESR), 0x60);
}

static void timer_one_shot(void **state)
{
	reg_write(0, APIC_TDCR, 0x3); /* by 16 */
	reg_write(0, APIC_LVTT, 0xec);
	reg_write(0, APIC_TMICT, 1000);
	assert_int_equal(reg_read(0, APIC_TMCCT), 1000);
	board_advance(board, 15999);
	assert_int_equal(take(0), -1);
	assert_int_equal(reg_read(0, APIC_TMCCT), 0);
	board_advance(board, 1);
	assert_int_equal(take(0), 0xec);
	reg_write(0, APIC_EOI, 0);
	board_advance(board, 100000);
	assert_int_equal(take(0), -1);
	/* Writing 0 stops it; a masked one counts but is silent. */
	reg_write(0, APIC_TMICT, 1000);
	reg_write(0, APIC_TMICT, 0);
	board_advance(board, 100000);
	assert_int_equal(take(0), -1);
	reg_write(0, APIC_LVTT, 0x100ec);
	reg_write(0, APIC_TDCR, 0xb); /* by 1 */
	reg_write(0, APIC_TMICT, 1000);
	board_advance(board, 400);
	assert_int_equal(reg_read(0, APIC_TMCCT), 600);
	/* The divider changes the pace, not the count. */
	reg_write(0, APIC_TDCR, 0x0);
	assert_int_equal(reg_read(0, APIC_TMCCT), 600);
	board_advance(board, 200);
	assert_int_equal(reg_read(0, APIC_TMCCT), 500);
	board_advance(board, 100000);
	assert_int_equal(take(0), -1);
}

static void timer_periodic(void **state)
{
	unsigned i;

	reg_write(0, APIC_TDCR, 0xb);
	reg_write(0, APIC_LVTT, 0x200ec);
	reg_write(0, APIC_TMICT, 1000000);
	for (i = 0; i < 5; i++) {
		board_advance(board, 999999);
		assert_int_equal(take(0), -1);
		assert_int_equal(reg_read(0, APIC_TMCCT), 1);
		board_advance(board, 1);
		assert_int_equal(take(0), 0xec);
		assert_int_equal(reg_read(0, APIC_TMCCT), 1000000);
		reg_write(0, APIC_EOI, 0);
	}
	/* Three and a half periods late: one interrupt, then in step. */
	board_advance_late(board, 3500000);
	assert_int_equal(take(0), 0xec);
	reg_write(0, APIC_EOI, 0);
	assert_int_equal(take(0), -1);
	assert_int_equal(reg_read(0, APIC_TMCCT), 500000);
	board_advance(board, 500000);
	assert_int_equal(take(0), 0xec);
	reg_write(0, APIC_EOI, 0);
	/* A period of one nanosecond does not hang the event loop. */
	reg_write(0, APIC_TMICT, 1);
	board_advance(board, 100000);
	assert_int_equal(take(0), 0xec);
}

/* The mode changes when the count has run out, before the event loop came. */
static void timer_mode_changes_late(void **state)
{
	struct clock *clock = &board->vm.clock;

	reg_write(0, APIC_TDCR, 0xb);
	reg_write(0, APIC_LVTT, 0xec);
	reg_write(0, APIC_TMICT, 1000000);
	clock_set(clock, clock_ns(clock) + 1500000, 0);
	reg_write(0, APIC_LVTT, 0x200ec);
	assert_int_equal(reg_read(0, APIC_TMCCT), 0);
	assert_int_equal(take(0), 0xec);
	reg_write(0, APIC_EOI, 0);
	board_advance(board, 10000000);
	assert_int_equal(take(0), -1);
	/* The other way the period under way is the last. */
	reg_write(0, APIC_TMICT, 1000000);
	clock_set(clock, clock_ns(clock) + 1500000, 0);
	reg_write(0, APIC_LVTT, 0xec);
	assert_int_equal(reg_read(0, APIC_TMCCT), 500000);
	assert_int_equal(take(0), 0xec);
	reg_write(0, APIC_EOI, 0);
	board_advance(board, 500000);
	assert_int_equal(take(0), 0xec);
	reg_write(0, APIC_EOI, 0);
	board_advance(board, 10000000);
	assert_int_equal(take(0), -1);
}

/* SDM 3, 10.4.3: CPUID.1:EDX.APIC follows IA32_APIC_BASE. */
static void cpuid_follows_base(void **state)
{
	static const struct cpuid_table table = {
		.count = 2,
		.leaf = { { .leaf = 0, .eax = 1 },
			  { .leaf = 1, .edx = BIT(9) | BIT(4) } },
	};
	struct exit exit = { .reason = EXIT_CPUID, .cpuid.eax = 1 };
	uint64_t base = msr(0, MSR_APIC_BASE);

	board->vm.cpuid = &table;
	exit_handle(cpu(0), &exit);
	assert_int_equal(exit.cpuid.edx, BIT(9) | BIT(4));
	assert_true(wrmsr(0, MSR_APIC_BASE, base & ~BIT(11)));
	exit.cpuid.eax = 1;
	exit_handle(cpu(0), &exit);
	assert_int_equal(exit.cpuid.edx, BIT(4));
	exit.cpuid.eax = 1;
	exit_handle(cpu(1), &exit);
	assert_int_equal(exit.cpuid.edx, BIT(9) | BIT(4));
	assert_true(wrmsr(0, MSR_APIC_BASE, base));
	exit.cpuid.eax = 1;
	exit_handle(cpu(0), &exit);
	assert_int_equal(exit.cpuid.edx, BIT(9) | BIT(4));
	board->vm.cpuid = NULL;
}

static void timer_deadline(void **state)
{
	/* Two TSC ticks a nanosecond here. */
	assert_true(wrmsr(0, MSR_TSC_DEADLINE, 1000));
	assert_int_equal(msr(0, MSR_TSC_DEADLINE), 0);
	reg_write(0, APIC_LVTT, 0x400ec);
	assert_true(wrmsr(0, MSR_TSC_DEADLINE, 1000));
	assert_int_equal(msr(0, MSR_TSC_DEADLINE), 1000);
	reg_write(0, APIC_TMICT, 5);
	assert_int_equal(reg_read(0, APIC_TMICT), 0);
	board_advance(board, 499);
	assert_int_equal(take(0), -1);
	board_advance(board, 2);
	assert_int_equal(take(0), 0xec);
	assert_int_equal(msr(0, MSR_TSC_DEADLINE), 0);
	reg_write(0, APIC_EOI, 0);
	/* In the past: at once. Too far away: never. Zero: disarmed. */
	assert_true(wrmsr(0, MSR_TSC_DEADLINE, 3));
	assert_int_equal(take(0), 0xec);
	reg_write(0, APIC_EOI, 0);
	assert_true(wrmsr(0, MSR_TSC_DEADLINE, ~0ull));
	board_advance(board, 1ull << 40);
	assert_int_equal(take(0), -1);
	assert_true(wrmsr(0, MSR_TSC_DEADLINE, (1ull << 41) + 5000000));
	assert_true(wrmsr(0, MSR_TSC_DEADLINE, 0));
	board_advance(board, 1ull << 40);
	assert_int_equal(take(0), -1);
	/* Leaving the mode disarms. */
	assert_true(wrmsr(0, MSR_TSC_DEADLINE, ~0ull >> 20));
	reg_write(0, APIC_LVTT, 0xec);
	assert_int_equal(msr(0, MSR_TSC_DEADLINE), 0);
}

static void extint_through_lint0(void **state)
{
	pic_is_pending = true;
	lapic_ops.set_lint(cpu(0), 0, true);
	assert_true(cpu(0)->requests & VCPU_INTERRUPT);
	/* No task priority keeps it out, and there is no EOI for it. */
	reg_write(0, APIC_TPR, 0xff);
	assert_int_equal(take(0), 0x31);
	assert_int_equal(take(0), -1);
	assert_int_equal(reg_read(0, APIC_PPR), 0xff);
	/* Masked it waits; with the APIC off it is INTR itself. */
	reg_write(0, APIC_LINT0, 0x10700);
	pic_is_pending = true;
	lapic_ops.set_lint(cpu(0), 0, true);
	assert_int_equal(take(0), -1);
	assert_true(wrmsr(0, MSR_APIC_BASE, 0xfee00100));
	assert_int_equal(lapic_ops.page(cpu(0)), ~0ull);
	assert_int_equal(take(0), 0x31);
	/* LINT1 is NMI, on the edge. */
	lapic_ops.set_lint(cpu(0), 1, true);
	assert_true(cpu(0)->requests & VCPU_NMI);
}

static void base_transitions(void **state)
{
	const uint64_t off = 0xfee00000, on = off | 0x800, x2 = on | 0x400;

	assert_true(wrmsr(1, MSR_APIC_BASE, on));
	assert_false(wrmsr(1, MSR_APIC_BASE, off | 0x400));
	assert_true(wrmsr(1, MSR_APIC_BASE, off));
	assert_false(wrmsr(1, MSR_APIC_BASE, x2));
	assert_true(wrmsr(1, MSR_APIC_BASE, on));
	/* It comes back as after a power-up. */
	assert_int_equal(reg_read(1, APIC_SVR), 0xff);
	assert_true(wrmsr(1, MSR_APIC_BASE, x2));
	assert_false(wrmsr(1, MSR_APIC_BASE, on));
	assert_true(wrmsr(1, MSR_APIC_BASE, off));
	assert_false(wrmsr(1, MSR_APIC_BASE, on | 1));
	assert_false(wrmsr(1, MSR_APIC_BASE, on | 1ull << 60));
	assert_true(wrmsr(1, MSR_APIC_BASE, 0x12345800));
	assert_int_equal(lapic_ops.page(cpu(1)), 0x12345000);
}

static void x2apic(void **state)
{
	uint64_t value;
	unsigned i;

	assert_false(rdmsr(0, MSR_X2(APIC_ID), &value));
	for (i = 0; i < 4; i++)
		assert_true(wrmsr(i, MSR_APIC_BASE, 0xfee00c00));
	assert_int_equal(lapic_ops.page(cpu(0)), ~0ull);
	assert_int_equal(msr(2, MSR_X2(APIC_ID)), 2);
	assert_int_equal(msr(2, MSR_X2(APIC_LDR)), 4);
	/* What is not there, read-only or reserved faults. */
	assert_false(rdmsr(0, MSR_X2(APIC_DFR), &value));
	assert_false(rdmsr(0, MSR_X2(APIC_EOI), &value));
	assert_false(rdmsr(0, MSR_X2(APIC_ICR2), &value));
	assert_false(wrmsr(0, MSR_X2(APIC_ID), 0));
	assert_false(wrmsr(0, MSR_X2(APIC_LDR), 0));
	assert_false(wrmsr(0, MSR_X2(APIC_EOI), 1));
	assert_false(wrmsr(0, MSR_X2(APIC_ESR), 1));
	assert_false(wrmsr(0, MSR_X2(APIC_SVR), 0x10000));
	assert_false(wrmsr(0, MSR_X2(APIC_TMCCT), 1));
	assert_false(wrmsr(0, MSR_X2APIC_FIRST, 1));
	/* Physical, logical, broadcast, shorthand, self. */
	assert_true(wrmsr(0, MSR_X2(APIC_ICR), 3ull << 32 | 0x41));
	assert_int_equal(take(0), -1);
	assert_int_equal(take(3), 0x41);
	assert_int_equal(msr(3, MSR_X2(APIC_ISR) + 2), 2);
	assert_true(wrmsr(3, MSR_X2(APIC_EOI), 0));
	assert_true(wrmsr(0, MSR_X2(APIC_ICR), 6ull << 32 | 0x842));
	assert_int_equal(take(1), 0x42);
	assert_int_equal(take(2), 0x42);
	assert_int_equal(take(3), -1);
	assert_true(wrmsr(0, MSR_X2(APIC_ICR), ~0u * (1ull << 32) | 0x53));
	for (i = 0; i < 4; i++)
		assert_int_equal(take(i), 0x53);
	assert_true(wrmsr(3, MSR_X2(0x3f0), 0x61));
	assert_int_equal(take(3), 0x61);
	assert_int_equal(msr(0, MSR_X2(APIC_ICR)) >> 32, ~0u);
	/* INIT keeps the mode. */
	lapic_ops.reset(cpu(1), true);
	assert_int_equal(msr(1, MSR_X2(APIC_LDR)), 2);
	assert_int_equal(msr(1, MSR_X2(APIC_SVR)), 0xff);
	lapic_ops.reset(cpu(1), false);
	assert_int_equal(msr(1, MSR_APIC_BASE), 0xfee00800);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(reset_state),
		T(priority_and_eoi),
		T(level_eoi_is_broadcast),
		T(software_disabled),
		T(init_deassert_does_nothing),
		T(ipi_destinations),
		T(lowest_priority),
		T(errors),
		T(timer_one_shot),
		T(timer_periodic),
		T(timer_mode_changes_late),
		T(timer_deadline),
		T(cpuid_follows_base),
		T(extint_through_lint0),
		T(base_transitions),
		T(x2apic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
