/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM of the kernel's: creation, memory slots, dirty log, doorbells
 * (Linux, Documentation/virt/kvm/api.rst).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "core/doorbell.h"
#include "engine/kvm/internal.h"
#include "engine/kvm/kvm.h"

/*
 * Three pages and one that the kernel uses on processors that cannot run real
 * mode by themselves (api.rst, 4.41 and 4.59): below the 16 MiB that ROM and
 * flash chips may have.
 */
#define IDENTITY_MAP_ADDRESS 0xfeffc000ull
#define TSS_ADDRESS	     0xfeffd000ull

int kvm_call(int fd, unsigned long request, void *argument)
{
	int result = ioctl(fd, request, argument);

	return result < 0 ? -errno : result;
}

int kvm_must(int fd, unsigned long request, void *argument, const char *what)
{
	int result = kvm_call(fd, request, argument);

	if (result < 0)
		log_error("kvm: %s: %s", what, strerror(-result));
	return result;
}

int kvm_extension(int fd, int capability)
{
	int result = ioctl(fd, KVM_CHECK_EXTENSION, capability);

	return MAX(result, 0);
}

static int enable(struct kvm_vm *kvm, uint32_t capability, uint64_t argument,
		  const char *what)
{
	struct kvm_enable_cap cap = { .cap = capability, .args = { argument } };

	return kvm_must(kvm->fd, KVM_ENABLE_CAP, &cap, what);
}

static int setup(struct kvm_vm *kvm)
{
	uint64_t identity_map = IDENTITY_MAP_ADDRESS;
	int error;

	if (kvm_extension(kvm->fd, KVM_CAP_SET_IDENTITY_MAP_ADDR) &&
	    kvm_must(kvm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map,
		     "identity map"))
		return -EIO;
	if (kvm_extension(kvm->fd, KVM_CAP_SET_TSS_ADDR) &&
	    ioctl(kvm->fd, KVM_SET_TSS_ADDR, TSS_ADDRESS) < 0) {
		error = -errno;
		log_error("kvm: TSS address: %s", strerror(-error));
		return error;
	}
	error = enable(kvm, KVM_CAP_SPLIT_IRQCHIP, IOAPIC_PINS,
		       "split interrupt chip");
	if (error < 0)
		return error;
	if (kvm_extension(kvm->fd, KVM_CAP_EXCEPTION_PAYLOAD)) {
		error = enable(kvm, KVM_CAP_EXCEPTION_PAYLOAD, 1,
			       "exception payload");
		if (error < 0)
			return error;
	}
	if (kvm_extension(kvm->fd, KVM_CAP_PMU_CAPABILITY))
		enable(kvm, KVM_CAP_PMU_CAPABILITY, KVM_PMU_CAP_DISABLE,
		       "no performance unit");
	error = kvm_filter_msrs(kvm);
	if (error)
		return error;
	return kvm_routes_init(kvm);
}

static void vm_destroy(struct vm *vm)
{
	struct kvm_vm *kvm = kvm_vm(vm);

	if (!kvm)
		return;
	vm->engine = NULL;
	if (kvm->fd >= 0)
		close(kvm->fd);
	if (kvm->system_fd >= 0)
		close(kvm->system_fd);
	pthread_mutex_destroy(&kvm->route_lock);
	pthread_mutex_destroy(&kvm->point_lock);
	free(kvm->routes);
	free(kvm);
}

static int memory_changed(struct vm *vm, const struct memory_slot *slot);

/* The slots that memory_init made before there was an engine. */
static int add_slots(struct vm *vm)
{
	for (unsigned i = 0; i < MEMORY_SLOTS_MAX; i++) {
		int error = 0;

		if (vm->memory.slot[i].is_used)
			error = memory_changed(vm, &vm->memory.slot[i]);
		if (error)
			return error;
	}
	return 0;
}

static int vm_create(struct vm *vm)
{
	struct kvm_vm *kvm = calloc(1, sizeof(*kvm));
	int error, size;

	if (!kvm)
		return -ENOMEM;
	vm->engine = kvm;
	kvm->fd = -1;
	pthread_mutex_init(&kvm->route_lock, NULL);
	pthread_mutex_init(&kvm->point_lock, NULL);
	kvm->system_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm->system_fd < 0) {
		error = -errno;
		log_error("/dev/kvm: %s", strerror(-error));
		goto fail;
	}
	kvm_install_kick_handler();
	do {
		kvm->fd = ioctl(kvm->system_fd, KVM_CREATE_VM, 0);
	} while (kvm->fd < 0 && errno == EINTR);
	if (kvm->fd < 0) {
		error = -errno;
		log_error("kvm: create a VM: %s", strerror(-error));
		goto fail;
	}
	size = kvm_must(kvm->system_fd, KVM_GET_VCPU_MMAP_SIZE, NULL,
			"size of a vCPU");
	error = size < 0 ? size : setup(kvm);
	if (error)
		goto fail;
	kvm->run_size = (size_t)size;
	kvm->xsave_size = MAX(sizeof(struct kvm_xsave),
			      kvm_extension(kvm->fd, KVM_CAP_XSAVE2));
	kvm->pkru_offset = kvm_host_pkru_offset(kvm->xsave_size);
	kvm->has_sregs2 = kvm_extension(kvm->fd, KVM_CAP_SREGS2);
	kvm->has_tsc_offset = kvm_extension(kvm->fd, KVM_CAP_VCPU_ATTRIBUTES);
	kvm->has_block_irq = kvm_extension(kvm->fd, KVM_CAP_SET_GUEST_DEBUG2) &
			     KVM_GUESTDBG_BLOCKIRQ;
	error = add_slots(vm);
	if (error)
		goto fail;
	vm->apic_ops = &kvm_apic_ops;
	return 0;
fail:
	vm_destroy(vm);
	return error;
}

/* memory->lock is held, or the VM is being built. */
static bool any_rom(const struct memory *memory)
{
	for (unsigned i = 0; i < MEMORY_SLOTS_MAX; i++)
		if (memory->slot[i].is_used &&
		    memory->slot[i].kind == MEMORY_ROM)
			return true;
	return false;
}

static int set_region(struct kvm_vm *kvm, const struct memory_slot *slot,
		      uint64_t size, const uint8_t *host)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot->id,
		.guest_phys_addr = slot->base,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};

	if (slot->kind != MEMORY_RAM)
		region.flags |= KVM_MEM_READONLY;
	if (slot->is_logged && slot->kind == MEMORY_RAM)
		region.flags |= KVM_MEM_LOG_DIRTY_PAGES;
	return kvm_call(kvm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

/*
 * A slot's protection cannot change while it exists, so it goes and comes back.
 * A vCPU that touches it in between takes an MMIO exit: guests move ROM and
 * BARs only where nobody else looks.
 */
static int memory_changed(struct vm *vm, const struct memory_slot *slot)
{
	struct kvm_vm *kvm = kvm_vm(vm);
	int error;

	__atomic_store_n(&kvm->has_rom, any_rom(&vm->memory), __ATOMIC_RELAXED);
	error = set_region(kvm, slot, 0, NULL);
	if (error == -EINVAL || error == -ENOENT)
		error = 0; /* it was not there */
	if (!error && slot->is_used)
		error = set_region(kvm, slot, slot->size,
				   vm->memory.guest + slot->offset);
	if (error)
		log_error("kvm: memory slot %u at %#llx, %#llx bytes: %s",
			  slot->id, (unsigned long long)slot->base,
			  (unsigned long long)slot->size, strerror(-error));
	return error;
}

static int dirty_log(struct vm *vm, bool is_on)
{
	int error = 0;

	pthread_rwlock_wrlock(&vm->memory.lock);
	for (unsigned i = 0; i < MEMORY_SLOTS_MAX && !error; i++) {
		struct memory_slot *slot = &vm->memory.slot[i];

		if (!slot->is_used || slot->kind != MEMORY_RAM)
			continue;
		slot->is_logged = is_on;
		error = set_region(kvm_vm(vm), slot, slot->size,
				   vm->memory.guest + slot->offset);
	}
	pthread_rwlock_unlock(&vm->memory.lock);
	return error;
}

/* One slot's log into memory->dirty, in runs of pages. */
static int sync_slot(struct vm *vm, const struct memory_slot *slot,
		     uint64_t *bitmap)
{
	struct kvm_dirty_log log = { .slot = slot->id };
	uint64_t pages = slot->size >> PAGE_SHIFT;
	int error;

	log.dirty_bitmap = bitmap;
	error = kvm_must(kvm_vm(vm)->fd, KVM_GET_DIRTY_LOG, &log, "dirty log");
	if (error)
		return error;
	for (uint64_t page = 0; page < pages; page++) {
		if (!bitmap[page / 64]) {
			page |= 63;
			continue;
		}
		if (bitmap[page / 64] & BIT(page % 64))
			memory_mark_dirty(&vm->memory,
					  slot->offset + (page << PAGE_SHIFT),
					  PAGE_SIZE);
	}
	return 0;
}

static int dirty_sync(struct vm *vm)
{
	uint64_t *bitmap = calloc(vm->memory.fd_size / PAGE_SIZE / 64 + 1,
				  sizeof(*bitmap));
	int error = 0;

	if (!bitmap)
		return -ENOMEM;
	pthread_rwlock_rdlock(&vm->memory.lock);
	for (unsigned i = 0; i < MEMORY_SLOTS_MAX && !error; i++) {
		const struct memory_slot *slot = &vm->memory.slot[i];

		if (slot->is_used && slot->is_logged)
			error = sync_slot(vm, slot, bitmap);
	}
	pthread_rwlock_unlock(&vm->memory.lock);
	free(bitmap);
	return error;
}

static int ioeventfd(struct vm *vm, const struct doorbell *doorbell,
		     uint32_t flags)
{
	struct kvm_ioeventfd event = {
		.datamatch = doorbell->value,
		.addr = doorbell->address,
		.len = doorbell->size,
		.fd = doorbell->event_fd,
		.flags = flags,
	};

	if (doorbell->kind == BUS_IO)
		event.flags |= KVM_IOEVENTFD_FLAG_PIO;
	if (doorbell->has_value)
		event.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
	return kvm_call(kvm_vm(vm)->fd, KVM_IOEVENTFD, &event);
}

static int kvm_doorbell_add(struct vm *vm, struct doorbell *doorbell)
{
	return ioeventfd(vm, doorbell, 0);
}

static void kvm_doorbell_remove(struct vm *vm, struct doorbell *doorbell)
{
	ioeventfd(vm, doorbell, KVM_IOEVENTFD_FLAG_DEASSIGN);
}

/* Indexed by enum kvm_event. */
static const struct engine_event events[] = {
	{ "kvm-run", "calls of KVM_RUN" },
	{ "kvm-kicked", "calls of KVM_RUN that a signal ended" },
	{ "kvm-extint", "vectors of the i8259 handed to the kernel" },
	{ NULL, NULL },
};

const struct engine_ops kvm_engine = {
	.name = "kvm",
	.help = "hardware virtualization through Linux's KVM",
	.events = events,
	.probe = kvm_probe,
	.cpuid_offer = kvm_cpuid_offer,
	.vm_create = vm_create,
	.vm_destroy = vm_destroy,
	.memory_changed = memory_changed,
	.dirty_log = dirty_log,
	.dirty_sync = dirty_sync,
	.doorbell_add = kvm_doorbell_add,
	.doorbell_remove = kvm_doorbell_remove,
	.msi_fd = kvm_msi_fd,
	.vcpu_create = kvm_vcpu_create,
	.vcpu_destroy = kvm_vcpu_destroy,
	.run = kvm_run,
	.kick = kvm_kick,
	.get_state = kvm_get_state,
	.set_state = kvm_set_state,
	.translate = kvm_translate,
	.set_breakpoints = kvm_set_breakpoints,
	.clock_changed = kvm_clock_changed,
	.count_exits = kvm_count_exits,
};
