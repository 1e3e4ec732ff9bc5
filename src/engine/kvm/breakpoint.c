/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A debugger's breakpoints and steps (api.rst, KVM_SET_GUEST_DEBUG).
 *
 * The four debug registers, which are then not the guest's, serve first. What
 * is beyond them and may change code becomes an INT3 in guest memory. INT3s stand
 * there while vCPUs run and no longer: put there as a vCPU enters the guest,
 * taken away as the VM stops, so that nobody saves or shows them. kvm->point_lock
 * holds what vCPUs share of them.
 *
 * Where they cannot work: QEMU 7.2's SVM asks for INT3 whether INTn is intercepted,
 * not #BP, and its VMRUN takes DR7 over without arming what it says: there only
 * steps work. A KVM that emulates every instruction has no INT3 outside real mode
 * and looks for no data breakpoints. Bochs's VMX has both (kvm-vmx.sh).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "engine/kvm/internal.h"

#define INT3	 0xcc
#define DR_COUNT 4

/* --- INT3 in guest memory ------------------------------------------------- */

/* What stood there before the first of all vCPUs; point_lock held. */
static bool find_old(struct vm *vm, gpa_t gpa, uint8_t *old)
{
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		const struct kvm_vcpu *kvm = kvm_vcpu(vm->vcpus[i]);

		for (size_t n = 0; n < kvm->patch_count; n++)
			if (kvm->patch[n].gpa == gpa) {
				*old = kvm->patch[n].old;
				return true;
			}
	}
	return false;
}

/* False: nothing there, or nothing that can be changed. point_lock held. */
static bool put_patch(struct vcpu *vcpu, gva_t gva)
{
	static const uint8_t int3 = INT3;
	struct kvm_vcpu *kvm = kvm_vcpu(vcpu);
	struct memory *memory = &vcpu->vm->memory;
	struct kvm_patch patch = { .gva = gva };
	struct memory_slot slot;

	if (kvm_translate(vcpu, gva, &patch.gpa) ||
	    !memory_find(memory, patch.gpa, &slot) || slot.kind != MEMORY_RAM)
		return false;
	if (!find_old(vcpu->vm, patch.gpa, &patch.old) &&
	    (memory_read(memory, patch.gpa, &patch.old, 1) ||
	     memory_write(memory, patch.gpa, &int3, 1)))
		return false;
	kvm->patch[kvm->patch_count++] = patch;
	return true;
}

/* Where the guest has put something else since, that stays. */
static void remove_patches(struct vcpu *vcpu)
{
	struct memory *memory = &vcpu->vm->memory;
	struct kvm_vcpu *kvm = kvm_vcpu(vcpu);
	LOCKED(&kvm_vm(vcpu->vm)->point_lock);

	while (kvm->patch_count) {
		struct kvm_patch patch = kvm->patch[--kvm->patch_count];
		uint8_t now, old;

		/* Another vCPU's, too: the last one puts it back. */
		if (find_old(vcpu->vm, patch.gpa, &old))
			continue;
		if (!memory_read(memory, patch.gpa, &now, 1) && now == INT3)
			memory_write(memory, patch.gpa, &patch.old, 1);
	}
}

/* --- debug registers ------------------------------------------------------ */

/* DR7's fields of breakpoint n: SDM 3, 17.2.4. */
static int debug_register(const struct breakpoint *breakpoint, unsigned n,
			  uint64_t *dr7)
{
	static const unsigned rw[] = {
		[BREAKPOINT_EXECUTE] = 0,
		[BREAKPOINT_WRITE] = 1,
		[BREAKPOINT_ACCESS] = 3,
	};
	static const unsigned length[] = { [1] = 0, [2] = 1, [4] = 3, [8] = 2 };
	unsigned size = breakpoint->size;

	if (breakpoint->kind == BREAKPOINT_EXECUTE)
		size = 1;
	if (size > 8 || !is_power_of_two(size))
		return -EINVAL;
	*dr7 |= BIT(2 * n + 1);
	*dr7 |= (uint64_t)(rw[breakpoint->kind] | length[size] << 2)
		<< (16 + 4 * n);
	return 0;
}

/*
 * An interrupt that came in the meantime would make every step one into its
 * handler; held back from a halted vCPU it would never wake.
 */
static bool may_block_interrupts(struct vcpu *vcpu)
{
	struct kvm_mp_state mp;

	return kvm_vm(vcpu->vm)->has_block_irq &&
	       kvm_call(kvm_vcpu(vcpu)->fd, KVM_GET_MP_STATE, &mp) == 0 &&
	       mp.mp_state == KVM_MP_STATE_RUNNABLE;
}

static int set_debug(struct vcpu *vcpu, const struct kvm_guest_debug *debug)
{
	struct kvm_vcpu *kvm = kvm_vcpu(vcpu);

	if (memcmp(debug, &kvm->debug, sizeof(*debug)) == 0)
		return 0;
	kvm->debug = *debug;
	return kvm_must(kvm->fd, KVM_SET_GUEST_DEBUG, &kvm->debug,
			"breakpoints");
}

/* Debug registers for the first of those that need one, then of the others. */
static unsigned use_registers(const struct kvm_vcpu *kvm, bool may_patch,
			      unsigned used, struct kvm_guest_debug *debug)
{
	for (size_t i = 0; i < kvm->point_count && used < DR_COUNT; i++) {
		const struct breakpoint *point = &kvm->point[i];

		if (point->may_patch != may_patch)
			continue;
		debug->arch.debugreg[used] = point->address;
		debug_register(point, used++,
			       (uint64_t *)&debug->arch.debugreg[7]);
		debug->control |= KVM_GUESTDBG_USE_HW_BP;
	}
	return used;
}

static bool has_register(const struct kvm_guest_debug *debug, unsigned used,
			 gva_t gva)
{
	for (unsigned i = 0; i < used; i++)
		if (debug->arch.debugreg[i] == gva)
			return true;
	return false;
}

static void put_patches(struct vcpu *vcpu, unsigned used,
			struct kvm_guest_debug *debug)
{
	struct kvm_vcpu *kvm = kvm_vcpu(vcpu);
	LOCKED(&kvm_vm(vcpu->vm)->point_lock);

	for (size_t i = 0; i < kvm->point_count; i++)
		if (kvm->point[i].may_patch &&
		    !has_register(debug, used, kvm->point[i].address) &&
		    put_patch(vcpu, kvm->point[i].address))
			debug->control |= KVM_GUESTDBG_USE_SW_BP;
}

/* Everything that run needs, in memory and in the kernel. */
int kvm_enter_debug(struct vcpu *vcpu, const struct run_until *until)
{
	struct kvm_guest_debug debug = { .arch.debugreg[7] = DR7_FIXED1 };
	struct kvm_vcpu *kvm = kvm_vcpu(vcpu);
	unsigned used;

	if (!until && !kvm->point_count && !kvm->debug.control)
		return 0;
	kvm_leave_debug(vcpu);
	used = use_registers(kvm, false, 0, &debug);
	used = use_registers(kvm, true, used, &debug);
	if (kvm->point_count > used)
		put_patches(vcpu, used, &debug);
	if (until) {
		debug.control |= KVM_GUESTDBG_SINGLESTEP;
		if (until->holds_interrupts && may_block_interrupts(vcpu))
			debug.control |= KVM_GUESTDBG_BLOCKIRQ;
	}
	if (debug.control)
		debug.control |= KVM_GUESTDBG_ENABLE;
	else
		debug = (struct kvm_guest_debug){ 0 };
	return set_debug(vcpu, &debug);
}

void kvm_leave_debug(struct vcpu *vcpu)
{
	if (kvm_vcpu(vcpu)->patch_count)
		remove_patches(vcpu);
}

int kvm_set_breakpoints(struct vcpu *vcpu, const struct breakpoint *breakpoints,
			size_t count)
{
	struct kvm_vcpu *kvm = kvm_vcpu(vcpu);
	struct breakpoint *point;
	struct kvm_patch *patch;
	unsigned registers = 0;
	uint64_t unused = 0;

	for (size_t i = 0; i < count; i++) {
		if (!breakpoints[i].may_patch && registers++ == DR_COUNT)
			return -ENOSPC;
		if (debug_register(&breakpoints[i], 0, &unused))
			return -EINVAL;
	}
	remove_patches(vcpu);
	point = calloc(count + 1, sizeof(*point));
	patch = calloc(count + 1, sizeof(*patch));
	if (!point || !patch) {
		free(point);
		free(patch);
		return -ENOMEM;
	}
	if (count)
		memcpy(point, breakpoints, count * sizeof(*point));
	free(kvm->point);
	free(kvm->patch);
	kvm->point = point;
	kvm->patch = patch;
	kvm->point_count = count;
	return 0;
}

void kvm_fini_breakpoints(struct kvm_vcpu *kvm)
{
	free(kvm->point);
	free(kvm->patch);
}

/* --- what they caught ----------------------------------------------------- */

static bool hit_register(struct vcpu *vcpu, const struct kvm_run *run)
{
	const struct kvm_guest_debug *set = &kvm_vcpu(vcpu)->debug;
	uint64_t dr7 = set->arch.debugreg[7], dr6 = run->debug.arch.dr6;

	if (!(set->control & KVM_GUESTDBG_USE_HW_BP))
		return false;
	for (unsigned n = 0; n < DR_COUNT; n++) {
		unsigned rw = bits_get(dr7, 17 + 4 * n, 16 + 4 * n);

		if (!(dr6 >> n & 1) || !(dr7 >> (2 * n) & 3))
			continue;
		vcpu->hit = (struct breakpoint){
			.kind = rw == 0 ? BREAKPOINT_EXECUTE :
				rw == 1 ? BREAKPOINT_WRITE :
					  BREAKPOINT_ACCESS,
			.address = set->arch.debugreg[n],
		};
		return true;
	}
	return false;
}

/* RIP is at the INT3 or, as some processors have it, behind it. */
static bool hit_patch(struct vcpu *vcpu, gva_t rip)
{
	struct kvm_vcpu *kvm = kvm_vcpu(vcpu);
	struct kvm_regs regs;

	for (size_t i = 0; i < kvm->patch_count; i++) {
		gva_t gva = kvm->patch[i].gva;

		if (rip != gva && rip != gva + 1)
			continue;
		if (rip != gva &&
		    !kvm_must(kvm->fd, KVM_GET_REGS, &regs, "get registers")) {
			regs.rip--;
			kvm_must(kvm->fd, KVM_SET_REGS, &regs, "set registers");
		}
		vcpu->hit = (struct breakpoint){ .kind = BREAKPOINT_EXECUTE,
						 .address = gva };
		return true;
	}
	return false;
}

/* An INT3 of the guest's own, of which we heard because of ours. */
static void give_back(struct vcpu *vcpu)
{
	int fd = kvm_vcpu(vcpu)->fd;
	struct kvm_vcpu_events events;

	if (kvm_must(fd, KVM_GET_VCPU_EVENTS, &events, "get pending events"))
		return;
	events.flags = 0;
	events.exception.injected = 1;
	events.exception.pending = 0;
	events.exception.nr = VECTOR_BP;
	events.exception.has_error_code = 0;
	kvm_must(fd, KVM_SET_VCPU_EVENTS, &events, "set pending events");
}

enum kvm_debug_event kvm_debug_event(struct vcpu *vcpu,
				     const struct kvm_run *run)
{
	if (run->debug.arch.exception == VECTOR_BP) {
		if (hit_patch(vcpu, run->debug.arch.pc))
			return DEBUG_BREAKPOINT;
		give_back(vcpu);
		return DEBUG_OF_GUEST;
	}
	if (hit_register(vcpu, run))
		return DEBUG_BREAKPOINT;
	return kvm_vcpu(vcpu)->debug.control & KVM_GUESTDBG_SINGLESTEP ?
		       DEBUG_STEP :
		       DEBUG_BREAKPOINT;
}
