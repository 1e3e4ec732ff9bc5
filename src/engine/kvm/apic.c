/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts: the kernel has the local APICs, we have the i8259 and the IOAPIC
 * (api.rst, KVM_CAP_SPLIT_IRQCHIP).
 *
 * Messages go in by KVM_SIGNAL_MSI. The i8259's INTR is LINT0 of a vCPU: its
 * thread fetches the vector and hands it over when the kernel says that the
 * guest can take it. The kernel tells us of an EOI only where a GSI route says
 * that the vector is level-triggered, so each IOAPIC entry becomes one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "core/apic_state.h"
#include "engine/kvm/internal.h"

#define MSR_IA32_APIC_BASE 0x1b
#define APIC_BASE_ENABLE   BIT(11)
#define APIC_BASE_BSP	   BIT(8)

/* Register offsets, SDM 3, table 10-1. */
#define APIC_ID		      0x20
#define APIC_VERSION	      0x30
#define APIC_DFR	      0xe0
#define APIC_SVR	      0xf0
#define APIC_LVT_MIN	      0x320
#define APIC_TIMER_INITIAL    0x380
#define APIC_TIMER_CURRENT    0x390
#define LVT_TIMER_DEADLINE    BIT(18)
#define MSR_IA32_TSC_DEADLINE 0x6e0
#define APIC_LINT0	      0x350
#define APIC_LINT1	      0x360
#define APIC_LVT_MAX	      0x370
#define LVT_MASKED	      BIT(16)
#define LVT_TIMER_PERIODIC    BIT(17)
#define LVT_MODE_SHIFT	      8

int kvm_routes_init(struct kvm_vm *kvm)
{
	for (unsigned i = 0; i < KVM_MSI_FDS_MAX; i++)
		kvm->msi_fd[i] = -1;
	kvm->routes =
		calloc(1, sizeof(*kvm->routes) +
				  (IOAPIC_PINS + KVM_MSI_FDS_MAX) *
					  sizeof(kvm->routes->entries[0]));
	return kvm->routes ? 0 : -ENOMEM;
}

/* The entry of a GSI, or the free one after the last. */
static struct kvm_irq_routing_entry *find_route(struct kvm_irq_routing *routes,
						unsigned gsi)
{
	unsigned i = 0;

	while (i < routes->nr && routes->entries[i].gsi != gsi)
		i++;
	return &routes->entries[i];
}

/* Under route_lock. */
static int set_route(struct kvm_vm *kvm, unsigned gsi, const struct msi *msi)
{
	struct kvm_irq_routing_entry *entry = find_route(kvm->routes, gsi);
	struct kvm_irq_routing_entry wanted = {
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi.address_lo = (uint32_t)msi->address,
		.u.msi.address_hi = (uint32_t)(msi->address >> 32),
		.u.msi.data = msi->data,
	};
	int error;

	if (entry == &kvm->routes->entries[kvm->routes->nr])
		kvm->routes->nr++;
	else if (memcmp(entry, &wanted, sizeof(wanted)) == 0)
		return 0;
	*entry = wanted;
	error = kvm_call(kvm->fd, KVM_SET_GSI_ROUTING, kvm->routes);
	if (error)
		log_guest(&kvm->route_log, LOG_ERROR,
			  "kvm: interrupt route of GSI %u: %s", gsi,
			  strerror(-error));
	return error;
}

static void route_changed(struct vm *vm, unsigned pin, const struct msi *msi)
{
	struct kvm_vm *kvm = kvm_vm(vm);
	LOCKED(&kvm->route_lock);

	if (pin < IOAPIC_PINS)
		set_route(kvm, pin, msi);
}

static int irqfd(struct kvm_vm *kvm, int event_fd, unsigned gsi, uint32_t flags)
{
	struct kvm_irqfd irqfd = {
		.fd = (uint32_t)event_fd,
		.gsi = gsi,
		.flags = flags,
	};

	return kvm_must(kvm->fd, KVM_IRQFD, &irqfd, "irqfd");
}

/* Where event_fd is, or -1 for a free place, in msi_fd[]. */
static unsigned find_place(const struct kvm_vm *kvm, int event_fd)
{
	unsigned i = 0;

	while (i < KVM_MSI_FDS_MAX && kvm->msi_fd[i] != event_fd)
		i++;
	return i;
}

int kvm_msi_fd(struct vm *vm, int event_fd, const struct msi *msi)
{
	struct kvm_vm *kvm = kvm_vm(vm);
	unsigned place;
	int error;
	LOCKED(&kvm->route_lock);

	if (event_fd < 0)
		return -EBADF;
	place = find_place(kvm, event_fd);
	if (!msi) {
		if (place == KVM_MSI_FDS_MAX)
			return -ENOENT;
		kvm->msi_fd[place] = -1;
		return irqfd(kvm, event_fd, IOAPIC_PINS + place,
			     KVM_IRQFD_FLAG_DEASSIGN);
	}
	if (place == KVM_MSI_FDS_MAX)
		place = find_place(kvm, -1);
	if (place == KVM_MSI_FDS_MAX)
		return -ENOSPC;
	error = set_route(kvm, IOAPIC_PINS + place, msi);
	if (error || kvm->msi_fd[place] == event_fd)
		return error;
	error = irqfd(kvm, event_fd, IOAPIC_PINS + place, 0);
	if (!error)
		kvm->msi_fd[place] = event_fd;
	return error;
}

static void deliver(struct vm *vm, const struct msi *msi)
{
	struct kvm_msi message = {
		.address_lo = (uint32_t)msi->address,
		.address_hi = (uint32_t)(msi->address >> 32),
		.data = msi->data,
	};

	/* Nobody takes it: the guest's own business. */
	kvm_call(kvm_vm(vm)->fd, KVM_SIGNAL_MSI, &message);
}

static void set_lint(struct vcpu *vcpu, unsigned pin, bool level)
{
	struct kvm_vcpu *kvm = kvm_vcpu(vcpu);

	if (pin == 0) {
		if (atomic_exchange(&kvm->extint, level) == level || !level)
			return;
	} else {
		if (!level)
			return;
		atomic_store(&kvm->lint1, true);
	}
	kvm_kick(vcpu);
}

static uint32_t *apic_register(struct kvm_lapic_state *apic, unsigned offset)
{
	return (uint32_t *)(apic->regs + offset);
}

/* LINT1 counts only where its LVT entry says NMI and is not masked. */
static void inject_lint1(struct vcpu *vcpu)
{
	struct kvm_lapic_state apic;
	uint32_t lvt;

	if (kvm_must(kvm_vcpu(vcpu)->fd, KVM_GET_LAPIC, &apic,
		     "get local APIC"))
		return;
	lvt = *apic_register(&apic, APIC_LINT1);
	if (!(lvt & LVT_MASKED) && bits_get(lvt, 10, 8) == APIC_NMI)
		kvm_must(kvm_vcpu(vcpu)->fd, KVM_NMI, NULL, "NMI");
}

static void inject_extint(struct vcpu *vcpu)
{
	struct kvm_vcpu *kvm = kvm_vcpu(vcpu);
	struct vm *vm = vcpu->vm;
	struct kvm_interrupt interrupt;
	int vector;

	if (!vm->extint_ops || !vm->extint_ops->is_pending(vm->extint))
		return;
	if (!kvm->run->ready_for_interrupt_injection) {
		kvm->run->request_interrupt_window = 1;
		return;
	}
	vector = vm->extint_ops->acknowledge(vm->extint);
	if (vector < 0)
		return;
	interrupt.irq = (uint32_t)vector;
	kvm_must(kvm->fd, KVM_INTERRUPT, &interrupt, "ExtINT");
	vcpu_event(vcpu, KVM_EVENT_EXTINT, 1);
	if (trace_is_on(&vm->trace, TRACE_INTERRUPT))
		trace_put(vm, vcpu, TRACE_INTERRUPT, "interrupt %02x",
			  (unsigned)vector);
	/* One at a time: the next when the guest has taken this one. */
	kvm->run->ready_for_interrupt_injection = 0;
	if (vm->extint_ops->is_pending(vm->extint))
		kvm->run->request_interrupt_window = 1;
}

void kvm_inject(struct vcpu *vcpu)
{
	struct kvm_vcpu *kvm = kvm_vcpu(vcpu);

	kvm->run->request_interrupt_window = 0;
	if (vcpu_take(vcpu, VCPU_NMI))
		kvm_must(kvm->fd, KVM_NMI, NULL, "NMI");
	if (atomic_load(&kvm->lint1) && atomic_exchange(&kvm->lint1, false))
		inject_lint1(vcpu);
	if (atomic_load(&kvm->extint))
		inject_extint(vcpu);
}

/* SDM 3, 10.4.7.1. INIT is the kernel's: it comes by an IPI. */
static void reset(struct vcpu *vcpu, bool is_init)
{
	struct kvm_vcpu *kvm = kvm_vcpu(vcpu);
	struct kvm_lapic_state apic;
	uint32_t version;

	if (is_init ||
	    kvm_must(kvm->fd, KVM_GET_LAPIC, &apic, "get local APIC"))
		return;
	version = *apic_register(&apic, APIC_VERSION);
	memset(&apic, 0, sizeof(apic));
	*apic_register(&apic, APIC_ID) = vcpu->apic_id << 24;
	*apic_register(&apic, APIC_VERSION) = version;
	*apic_register(&apic, APIC_DFR) = ~0u;
	*apic_register(&apic, APIC_SVR) = 0xff;
	for (unsigned i = APIC_LVT_MIN; i <= APIC_LVT_MAX; i += 0x10)
		*apic_register(&apic, i) = LVT_MASKED;
	/* As chip/lapic leaves them: virtual wire mode, MP 1.4, 3.6.2.2. */
	if (vcpu->index == 0) {
		*apic_register(&apic, APIC_LINT0) = APIC_EXTINT
						    << LVT_MODE_SHIFT;
		*apic_register(&apic, APIC_LINT1) = APIC_NMI << LVT_MODE_SHIFT;
	}
	if (kvm_set_msr(vcpu, MSR_IA32_APIC_BASE,
			MSI_ADDRESS_BASE | APIC_BASE_ENABLE |
				(vcpu->index == 0 ? APIC_BASE_BSP : 0)))
		log_error("kvm: the APIC base cannot be reset");
	memset(&kvm->stopped_timer, 0, sizeof(kvm->stopped_timer));
	kvm_must(kvm->fd, KVM_SET_LAPIC, &apic, "reset local APIC");
	atomic_store(&kvm->extint, false);
	atomic_store(&kvm->lint1, false);
}

/* --- state: KVM_GET_LAPIC has the registers as the xAPIC page does --------- */

/* 10.5.4, figure 10-10: bits 3, 1, 0; 0 divides by 2 and 7 by 1. */
static unsigned timer_divider(uint32_t value)
{
	unsigned code = ((value >> 1) & 4) | (value & 3);

	return 1u << ((code + 1) & 7);
}

static bool is_deadline_mode(const struct apic_state *state)
{
	return state->lvt[0] & LVT_TIMER_DEADLINE;
}

static void get_vectors(struct kvm_lapic_state *apic, unsigned offset,
			uint32_t bits[8])
{
	for (unsigned i = 0; i < 8; i++)
		bits[i] = *apic_register(apic, offset + 0x10 * i);
}

static void set_vectors(struct kvm_lapic_state *apic, unsigned offset,
			const uint32_t bits[8])
{
	for (unsigned i = 0; i < 8; i++)
		*apic_register(apic, offset + 0x10 * i) = bits[i];
}

/* Where the registers lie that are one number each. */
static const struct {
	uint16_t offset;
	uint16_t member;
} apic_registers[] = {
	{ 0x80, offsetof(struct apic_state, tpr) },
	{ APIC_SVR, offsetof(struct apic_state, svr) },
	{ 0xd0, offsetof(struct apic_state, ldr) },
	{ APIC_DFR, offsetof(struct apic_state, dfr) },
	{ 0x280, offsetof(struct apic_state, esr) },
	{ 0x300, offsetof(struct apic_state, icr_low) },
	{ 0x310, offsetof(struct apic_state, icr_high) },
	{ 0x320, offsetof(struct apic_state, lvt[0]) },
	{ 0x330, offsetof(struct apic_state, lvt[1]) },
	{ 0x340, offsetof(struct apic_state, lvt[2]) },
	{ 0x350, offsetof(struct apic_state, lvt[3]) },
	{ 0x360, offsetof(struct apic_state, lvt[4]) },
	{ 0x370, offsetof(struct apic_state, lvt[5]) },
	{ APIC_TIMER_INITIAL, offsetof(struct apic_state, timer_initial) },
	{ 0x3e0, offsetof(struct apic_state, timer_divide) },
};

/*
 * Whether the timer may have run out with nobody having noticed: the kernel
 * makes an interrupt of that in KVM_RUN, and keeps it out of the registers
 * until then. (A TSC deadline stays in its MSR as long.)
 */
static bool may_have_expired(struct kvm_lapic_state *apic)
{
	uint32_t lvt = *apic_register(apic, APIC_LVT_MIN);

	if (lvt & (LVT_MASKED | LVT_TIMER_DEADLINE) ||
	    !*apic_register(apic, APIC_TIMER_INITIAL))
		return false;
	return (lvt & LVT_TIMER_PERIODIC) ||
	       !*apic_register(apic, APIC_TIMER_CURRENT);
}

static int get_injected(struct vcpu *vcpu, int *vector)
{
	struct kvm_vcpu_events events;
	int error = kvm_must(kvm_vcpu(vcpu)->fd, KVM_GET_VCPU_EVENTS, &events,
			     "get pending events");

	*vector = !error && events.interrupt.injected ? events.interrupt.nr :
							-1;
	return error;
}

/* The registers, with an interrupt of a timer that ran out in IRR. */
static int read_settled(struct vcpu *vcpu, struct kvm_lapic_state *apic)
{
	int fd = kvm_vcpu(vcpu)->fd, before, after;
	int error = kvm_must(fd, KVM_GET_LAPIC, apic, "get local APIC");

	if (error || !may_have_expired(apic))
		return error;
	error = get_injected(vcpu, &before);
	error = error ? error : kvm_settle(vcpu);
	error = error ? error : get_injected(vcpu, &after);
	error = error ? error :
			kvm_must(fd, KVM_GET_LAPIC, apic, "get local APIC");
	if (error || after < 0 || after == before)
		return error;
	/* It was on its way to the processor, whose state has been read. */
	*apic_register(apic, 0x100 + 0x10 * (after / 32)) &=
		~(1u << after % 32);
	*apic_register(apic, 0x200 + 0x10 * (after / 32)) |= 1u << after % 32;
	return 0;
}

/*
 * The kernel's timer would run on while the VM's clock stands. So it is taken
 * out of the registers meanwhile: nothing else changes them then.
 */
void kvm_apic_stop_timer(struct vcpu *vcpu)
{
	struct kvm_vcpu *kvm = kvm_vcpu(vcpu);
	struct kvm_lapic_state apic;
	uint64_t deadline = 0;

	memset(&kvm->stopped_timer, 0, sizeof(kvm->stopped_timer));
	if (read_settled(vcpu, &apic))
		return;
	if (*apic_register(&apic, APIC_LVT_MIN) & LVT_TIMER_DEADLINE) {
		kvm_get_msr(vcpu, MSR_IA32_TSC_DEADLINE, &deadline);
		if (deadline && !kvm_set_msr(vcpu, MSR_IA32_TSC_DEADLINE, 0))
			kvm->stopped_timer.deadline = deadline;
		return;
	}
	kvm->stopped_timer.initial = *apic_register(&apic, APIC_TIMER_INITIAL);
	kvm->stopped_timer.left = *apic_register(&apic, APIC_TIMER_CURRENT);
	if (!kvm->stopped_timer.initial || !kvm->stopped_timer.left) {
		kvm->stopped_timer.initial = kvm->stopped_timer.left = 0;
		return;
	}
	*apic_register(&apic, APIC_TIMER_INITIAL) = 0;
	*apic_register(&apic, APIC_TIMER_CURRENT) = 0;
	kvm_must(kvm->fd, KVM_SET_LAPIC, &apic, "stop the timer");
}

void kvm_apic_start_timer(struct vcpu *vcpu)
{
	struct kvm_vcpu *kvm = kvm_vcpu(vcpu);
	struct kvm_lapic_state apic;

	if (kvm->stopped_timer.deadline)
		kvm_set_msr(vcpu, MSR_IA32_TSC_DEADLINE,
			    kvm->stopped_timer.deadline);
	if (kvm->stopped_timer.left &&
	    !kvm_must(kvm->fd, KVM_GET_LAPIC, &apic, "get local APIC")) {
		*apic_register(&apic, APIC_TIMER_INITIAL) =
			kvm->stopped_timer.initial;
		*apic_register(&apic, APIC_TIMER_CURRENT) =
			kvm->stopped_timer.left;
		kvm_must(kvm->fd, KVM_SET_LAPIC, &apic, "start the timer");
	}
	memset(&kvm->stopped_timer, 0, sizeof(kvm->stopped_timer));
}

static int get_state(struct vcpu *vcpu, struct apic_state *state)
{
	struct kvm_vcpu *kvm = kvm_vcpu(vcpu);
	struct kvm_lapic_state apic;
	uint32_t left;
	int error;

	*state = (struct apic_state){ 0 };
	error = read_settled(vcpu, &apic);
	if (error)
		return error;
	if (kvm_get_msr(vcpu, MSR_IA32_APIC_BASE, &state->base))
		return -EIO;
	for (unsigned i = 0; i < ARRAY_SIZE(apic_registers); i++)
		*(uint32_t *)((char *)state + apic_registers[i].member) =
			*apic_register(&apic, apic_registers[i].offset);
	get_vectors(&apic, 0x100, state->isr);
	get_vectors(&apic, 0x180, state->tmr);
	get_vectors(&apic, 0x200, state->irr);
	state->lint[0] = atomic_load(&kvm->extint);
	left = *apic_register(&apic, APIC_TIMER_CURRENT);
	if (kvm->stopped_timer.left) {
		state->timer_initial = kvm->stopped_timer.initial;
		left = kvm->stopped_timer.left;
	}
	if (is_deadline_mode(state) && kvm->stopped_timer.deadline)
		state->tsc_deadline = kvm->stopped_timer.deadline;
	else if (is_deadline_mode(state))
		kvm_get_msr(vcpu, MSR_IA32_TSC_DEADLINE, &state->tsc_deadline);
	else if (state->timer_initial && left)
		state->timer_expiry_ns =
			clock_ns(&vcpu->vm->clock) +
			(uint64_t)left * timer_divider(state->timer_divide);
	return 0;
}

/* The count that is left, or 0 when the timer stands. A one-shot that is due
 * has one to go. */
static uint32_t timer_left(struct vcpu *vcpu, const struct apic_state *state)
{
	uint64_t now = clock_ns(&vcpu->vm->clock), left;

	if (is_deadline_mode(state) || !state->timer_expiry_ns)
		return 0;
	if (state->timer_expiry_ns <= now)
		return 1;
	left = (state->timer_expiry_ns - now) /
	       timer_divider(state->timer_divide);
	return left ? (uint32_t)MIN(left, UINT32_MAX) : 1;
}

static int set_state(struct vcpu *vcpu, const struct apic_state *state)
{
	struct kvm_vcpu *kvm = kvm_vcpu(vcpu);
	struct kvm_lapic_state apic;
	int error;

	error = kvm_must(kvm->fd, KVM_GET_LAPIC, &apic, "get local APIC");
	if (error)
		return error;
	/* The mode first: the kernel reads the registers by it. */
	if (kvm_set_msr(vcpu, MSR_IA32_APIC_BASE, state->base)) {
		log_error("kvm: the APIC base cannot be set");
		return -EIO;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(apic_registers); i++)
		*apic_register(&apic, apic_registers[i].offset) =
			*(const uint32_t *)((const char *)state +
					    apic_registers[i].member);
	set_vectors(&apic, 0x100, state->isr);
	set_vectors(&apic, 0x180, state->tmr);
	set_vectors(&apic, 0x200, state->irr);
	*apic_register(&apic, APIC_ID) = vcpu->apic_id << 24;
	*apic_register(&apic, APIC_TIMER_CURRENT) = timer_left(vcpu, state);
	memset(&kvm->stopped_timer, 0, sizeof(kvm->stopped_timer));
	error = kvm_must(kvm->fd, KVM_SET_LAPIC, &apic, "set local APIC");
	if (!error && is_deadline_mode(state) && state->tsc_deadline)
		kvm_set_msr(vcpu, MSR_IA32_TSC_DEADLINE, state->tsc_deadline);
	atomic_store(&kvm->extint, state->lint[0]);
	atomic_store(&kvm->lint1, false);
	return error;
}

const struct apic_ops kvm_apic_ops = {
	.deliver = deliver,
	.set_lint = set_lint,
	.get_state = get_state,
	.set_state = set_state,
	.route_changed = route_changed,
	.reset = reset,
};
