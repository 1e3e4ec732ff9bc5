/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Would kvm run a VM here, and at the processor's speed? /dev/kvm may exist and
 * still emulate every instruction of a stock kernel (paravirtual KVM on a
 * processor without VT-x or AMD-V), so a known loop is run and timed.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/kvm/internal.h"

#define KVM_API_VERSION_EXPECTED 12

/* Slower than this is no hardware: the interpreter needs about 30 ns. */
#define FAST_NS	  20.0

#define LIMIT_NS  300000000ull
#define TINY_SIZE 0x5000
#define CODE_GPA  0x1000
#define PML4_GPA  0x2000
#define PDPT_GPA  0x3000
#define PD_GPA	  0x4000

static const struct {
	int capability;
	const char *name;
} required[] = {
	{ KVM_CAP_USER_MEMORY, "USER_MEMORY" },
	{ KVM_CAP_SPLIT_IRQCHIP, "SPLIT_IRQCHIP" },
	{ KVM_CAP_SIGNAL_MSI, "SIGNAL_MSI" },
	{ KVM_CAP_IOEVENTFD, "IOEVENTFD" },
	{ KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT" },
	{ KVM_CAP_READONLY_MEM, "READONLY_MEM" },
	{ KVM_CAP_EXT_CPUID, "EXT_CPUID" },
	{ KVM_CAP_MP_STATE, "MP_STATE" },
	{ KVM_CAP_VCPU_EVENTS, "VCPU_EVENTS" },
	{ KVM_CAP_DEBUGREGS, "DEBUGREGS" },
	{ KVM_CAP_XSAVE, "XSAVE" },
	{ KVM_CAP_XCRS, "XCRS" },
	{ KVM_CAP_X86_USER_SPACE_MSR, "X86_USER_SPACE_MSR" },
	{ KVM_CAP_X86_MSR_FILTER, "X86_MSR_FILTER" },
};

static void refused(struct engine_probe *probe)
{
	struct group group, *found = NULL;
	struct stat status;
	char names[1024];

	snprintf(probe->finding, sizeof(probe->finding),
		 "/dev/kvm: Permission denied");
	if (stat("/dev/kvm", &status) == 0)
		getgrgid_r(status.st_gid, &group, names, sizeof(names), &found);
	if (found && (status.st_mode & 060) == 060)
		snprintf(probe->advice, sizeof(probe->advice),
			 "It belongs to group %s: sudo usermod -aG %s $USER, "
			 "then log in again.",
			 found->gr_name, found->gr_name);
	else
		snprintf(probe->advice, sizeof(probe->advice),
			 "Only its owner may use it: sudo setfacl -m "
			 "u:$USER:rw /dev/kvm, or have it given to group kvm "
			 "with mode 660.");
}

static void cannot_open(struct engine_probe *probe, int error)
{
	if (error == EACCES || error == EPERM) {
		refused(probe);
		return;
	}
	snprintf(probe->finding, sizeof(probe->finding), "/dev/kvm: %s",
		 strerror(error));
	snprintf(probe->advice, sizeof(probe->advice),
		 "Load kvm_intel or kvm_amd. In a VM, its host must offer "
		 "nested virtualization; in a container, pass the device in "
		 "(--device /dev/kvm).");
}

/* All missing ones by name; false when there are any. */
static bool has_capabilities(int fd, struct engine_probe *probe)
{
	size_t used = 0;

	for (size_t i = 0; i < ARRAY_SIZE(required); i++) {
		if (kvm_extension(fd, required[i].capability) > 0)
			continue;
		used += snprintf(probe->finding + used,
				 sizeof(probe->finding) - used, "%s%s",
				 used ? ", " : "/dev/kvm lacks ",
				 required[i].name);
		if (used >= sizeof(probe->finding))
			break;
	}
	if (used)
		snprintf(probe->advice, sizeof(probe->advice),
			 "Use a newer host kernel: Linux 5.10 has all that is "
			 "needed.");
	return !used;
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

/* The tiny guest: one vCPU, a page of 64-bit code, three of page tables. */
struct tiny {
	int vm, vcpu;
	uint8_t *memory;
	struct kvm_run *run;
	size_t run_size;
};

static void tiny_destroy(struct tiny *tiny)
{
	if (tiny->run)
		munmap(tiny->run, tiny->run_size);
	if (tiny->memory)
		munmap(tiny->memory, TINY_SIZE);
	if (tiny->vcpu >= 0)
		close(tiny->vcpu);
	if (tiny->vm >= 0)
		close(tiny->vm);
}

static int tiny_map(struct tiny *tiny, int system)
{
	struct kvm_userspace_memory_region region = {
		.memory_size = TINY_SIZE,
	};
	int size = kvm_call(system, KVM_GET_VCPU_MMAP_SIZE, NULL);

	if (size < 0)
		return size;
	tiny->memory = mmap(NULL, TINY_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (tiny->memory == MAP_FAILED) {
		tiny->memory = NULL;
		return -errno;
	}
	tiny->run_size = (size_t)size;
	tiny->run = mmap(NULL, tiny->run_size, PROT_READ | PROT_WRITE,
			 MAP_SHARED, tiny->vcpu, 0);
	if (tiny->run == MAP_FAILED) {
		tiny->run = NULL;
		return -errno;
	}
	region.userspace_addr = (uintptr_t)tiny->memory;
	return kvm_call(tiny->vm, KVM_SET_USER_MEMORY_REGION, &region);
}

static int tiny_create(struct tiny *tiny, int system)
{
	*tiny = (struct tiny){ .vm = -1, .vcpu = -1 };
	tiny->vm = ioctl(system, KVM_CREATE_VM, 0);
	if (tiny->vm < 0)
		return -errno;
	if (kvm_extension(tiny->vm, KVM_CAP_SET_TSS_ADDR))
		ioctl(tiny->vm, KVM_SET_TSS_ADDR, 0xfffbd000ul);
	tiny->vcpu = ioctl(tiny->vm, KVM_CREATE_VCPU, 0ul);
	if (tiny->vcpu < 0)
		return -errno;
	return tiny_map(tiny, system);
}

static void flat(struct kvm_segment *segment, unsigned type, bool is_code)
{
	*segment = (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = 8,
		.type = type,
		.present = 1,
		.s = 1,
		.l = is_code,
		.db = !is_code,
		.g = 1,
	};
}

/* mov ecx, loops; 1: dec ecx; jnz 1b; hlt. The first 2 MiB map to themselves
 * (present, writable, accessed, dirty, large: SDM 3, table 4-17). */
static int tiny_load(struct tiny *tiny, uint32_t loops)
{
	static const uint8_t tail[] = { 0xff, 0xc9, 0x75, 0xfc, 0xf4 };
	struct kvm_regs regs = { .rip = CODE_GPA, .rflags = RFLAGS_FIXED1 };
	struct kvm_sregs sregs;
	uint8_t *code = tiny->memory + CODE_GPA;
	int error = kvm_call(tiny->vcpu, KVM_GET_SREGS, &sregs);

	if (error)
		return error;
	code[0] = 0xb9;
	store_u32(code + 1, loops);
	memcpy(code + 5, tail, sizeof(tail));
	store_u64(tiny->memory + PML4_GPA, PDPT_GPA | 0x23);
	store_u64(tiny->memory + PDPT_GPA, PD_GPA | 0x23);
	store_u64(tiny->memory + PD_GPA, 0xe3);
	flat(&sregs.cs, 11, true);
	flat(&sregs.ds, 3, false);
	sregs.es = sregs.fs = sregs.gs = sregs.ss = sregs.ds;
	sregs.cr3 = PML4_GPA;
	sregs.cr4 |= CR4_PAE;
	sregs.cr0 |= CR0_PE | CR0_PG;
	sregs.efer |= EFER_LME | EFER_LMA;
	error = kvm_call(tiny->vcpu, KVM_SET_SREGS, &sregs);
	return error ? error : kvm_call(tiny->vcpu, KVM_SET_REGS, &regs);
}

/* A signal every 10 ms: KVM_RUN never keeps us. */
static int start_timer(timer_t *timer)
{
	struct itimerspec interval = {
		.it_value.tv_nsec = 10000000,
		.it_interval.tv_nsec = 10000000,
	};
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = kvm_kick_signal(),
	};

	event._sigev_un._tid = gettid();
	if (timer_create(CLOCK_MONOTONIC, &event, timer))
		return -errno;
	timer_settime(*timer, 0, &interval, NULL);
	return 0;
}

/*
 * Nanoseconds of this thread (guest code included) for the loop, whatever else
 * the host is busy with; -errno, or -ETIME past the limit.
 */
static int64_t tiny_time(struct tiny *tiny, uint32_t loops)
{
	uint64_t limit = now_ns(CLOCK_MONOTONIC) + LIMIT_NS;
	uint64_t start;
	int error = tiny_load(tiny, loops);

	if (error)
		return error;
	start = now_ns(CLOCK_THREAD_CPUTIME_ID);
	do {
		error = kvm_call(tiny->vcpu, KVM_RUN, NULL);
		if (error == 0)
			return tiny->run->exit_reason == KVM_EXIT_HLT ?
				       (int64_t)(now_ns(CLOCK_THREAD_CPUTIME_ID) -
						 start) :
				       -EIO;
		if (error != -EINTR && error != -EAGAIN)
			return error;
	} while (now_ns(CLOCK_MONOTONIC) < limit);
	return -ETIME;
}

/*
 * Nanoseconds an instruction: the slope between two lengths of loop, so that
 * entering and leaving the guest does not count. The long one only where the
 * short ones were quick, for a slow KVM shall not be asked for much.
 */
static double tiny_measure(struct tiny *tiny, int *error)
{
	static const uint32_t lengths[] = { 1000, 1000, 5000, 200000 };
	double each = 0;
	int64_t base = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		int64_t ns = tiny_time(tiny, lengths[i]);

		if (ns < 0) {
			*error = (int)ns;
			return 0;
		}
		if (i < 2) {
			base = ns; /* of the second: the first warms up */
			continue;
		}
		each = (double)MAX(ns - base, 1) /
		       (2.0 * (lengths[i] - lengths[1]));
		if (each > 5 * FAST_NS)
			break;
	}
	return each;
}

static bool is_fast(double ns)
{
	return ns > 0 && ns < FAST_NS;
}

static double measure(int system, int *error)
{
	struct tiny tiny;
	timer_t timer;
	sigset_t set, old;
	double ns = 0;

	kvm_install_kick_handler();
	sigemptyset(&set);
	sigaddset(&set, kvm_kick_signal());
	pthread_sigmask(SIG_UNBLOCK, &set, &old);
	*error = tiny_create(&tiny, system);
	if (!*error)
		*error = start_timer(&timer);
	if (!*error) {
		/* A neighbour's interrupts may spoil one try, not all. */
		for (unsigned i = 0; i < 3 && !*error && !is_fast(ns); i++)
			ns = tiny_measure(&tiny, error);
		timer_delete(timer);
	}
	tiny_destroy(&tiny);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ns;
}

static void judge(struct engine_probe *probe, double ns)
{
	probe->ns_per_instruction = ns;
	probe->is_usable = true;
	probe->is_fast = is_fast(ns);
	if (probe->is_fast) {
		snprintf(probe->finding, sizeof(probe->finding),
			 "/dev/kvm runs guests on the processor (%.2f ns an "
			 "instruction)",
			 ns);
		return;
	}
	snprintf(probe->finding, sizeof(probe->finding),
		 "/dev/kvm emulates a stock kernel's instructions one by one "
		 "(%.0f ns each in a loop)",
		 ns);
	snprintf(probe->advice, sizeof(probe->advice),
		 "This KVM has no VT-x or AMD-V beneath it; the software "
		 "engine is faster. For kvm use a host, or a VM type, with "
		 "hardware virtualization.");
}

void kvm_probe(struct engine_probe *probe)
{
	cleanup_fd int system = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int version, error = 0;
	double ns;

	*probe = (struct engine_probe){ 0 };
	if (system < 0) {
		cannot_open(probe, errno);
		return;
	}
	version = kvm_call(system, KVM_GET_API_VERSION, NULL);
	if (version != KVM_API_VERSION_EXPECTED) {
		snprintf(probe->finding, sizeof(probe->finding),
			 "/dev/kvm: API version %d, not %d", version,
			 KVM_API_VERSION_EXPECTED);
		snprintf(probe->advice, sizeof(probe->advice),
			 "This is no KVM that we know; use a stock kernel.");
		return;
	}
	if (!has_capabilities(system, probe))
		return;
	ns = measure(system, &error);
	if (!error) {
		judge(probe, ns);
		return;
	}
	snprintf(probe->finding, sizeof(probe->finding),
		 "/dev/kvm: a tiny guest does not run: %s", strerror(-error));
	snprintf(probe->advice, sizeof(probe->advice),
		 error == -EBUSY ?
			 "Another hypervisor has the processor; end it." :
			 "See the kernel's log (dmesg).");
}
