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
#include "engine/kvm/internal.h"

#define MSR_IA32_APIC_BASE 0x1b
#define APIC_BASE_ENABLE   BIT(11)
#define APIC_BASE_BSP	   BIT(8)

/* Register offsets, SDM 3, table 10-1. */
#define APIC_ID	       0x20
#define APIC_VERSION   0x30
#define APIC_DFR       0xe0
#define APIC_SVR       0xf0
#define APIC_LVT_MIN   0x320
#define APIC_LINT0     0x350
#define APIC_LINT1     0x360
#define APIC_LVT_MAX   0x370
#define LVT_MASKED     BIT(16)
#define LVT_MODE_SHIFT 8

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
	kvm_must(kvm->fd, KVM_SET_LAPIC, &apic, "reset local APIC");
	atomic_store(&kvm->extint, false);
	atomic_store(&kvm->lint1, false);
}

const struct apic_ops kvm_apic_ops = {
	.deliver = deliver,
	.set_lint = set_lint,
	.route_changed = route_changed,
	.reset = reset,
};
