/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tiny guests on the kvm engine, through core's own VM: counts of exits, state,
 * interrupts, kicks, memory. They run on a slow KVM too; without one all are
 * skipped.
 */
#include <cpuid.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bits.h"
#include "base/log.h"
#include "core/apic_state.h"
#include "core/doorbell.h"
#include "core/vm.h"
#include "engine/kvm/kvm.h"
#include "../../scale.h"
#include "x86/cpu_model.h"

#define SKIPPED	 77
#define MEMORY	 0x100000
#define CODE	 0x1000
#define STACK	 0x8000
#define TABLES	 0x20000 /* GDT, IDT */
#define END_PORT 0xf4
#define LOG_PORT 0x50
#define DEVICE	 0xd0000000u
#define ROM	 0x200000u

/* 32-bit flat code, copied to CODE; it ends the VM by writing END_PORT. */
#define GUEST(name, text)                                          \
	extern const uint8_t name[], name##_end[];                 \
	__asm__(".pushsection .rodata\n.code32\n" #name ":\n" text \
		"\nmov $7, %al\nout %al, $0xf4\n1: jmp 1b\n" #name \
		"_end:\n.code64\n.popsection")

GUEST(guest_three_writes, "out %al, $0x50; out %ax, $0x50; out %eax, $0x50");
GUEST(guest_strings, "mov $0x3000, %esi; mov $5, %ecx; mov $0x50, %edx; cld;"
		     "rep outsb; mov $0x3100, %edi; mov $4, %ecx; rep insb");
GUEST(guest_read, "in $0x50, %al; mov %al, 0x3000; in $0x51, %ax;"
		  "mov %ax, 0x3002; in $0x60, %eax; mov %eax, 0x3004");
GUEST(guest_mmio, "mov $0xd0000000, %ebx; movl $0x11223344, (%ebx);"
		  "mov 4(%ebx), %eax; mov %eax, 0x3000; movb $5, 9(%ebx);"
		  "addl $1, 0x10(%ebx)");
GUEST(guest_vmcall, "mov $99, %eax; vmcall; mov %eax, 0x3000");
GUEST(guest_halt, "hlt");
GUEST(guest_spin, "1: incl 0x3000; jmp 1b");
GUEST(guest_die, "lidt 0x3000; ud2");
GUEST(guest_msr, "mov $0x8b, %ecx; rdmsr; mov %edx, 0x3000; mov $0x12345, %ecx;"
		 "wrmsr; mov $0x12345, %ecx; rdmsr; mov %eax, 0x3004");
GUEST(guest_bad_msr, "mov $0x54321, %ecx; rdmsr");
GUEST(guest_rom, "mov $0x200000, %ebx; movl $1, (%ebx); mov (%ebx), %eax;"
		 "mov %eax, 0x3000; movl $2, 0x1000(%ebx);"
		 "mov 0x1000(%ebx), %eax; mov %eax, 0x3004");
GUEST(guest_bell, "mov $0xd0000000, %ebx; movl $1, 0x100(%ebx);"
		  "movl $2, 0x104(%ebx); mov $3, %al; out %al, $0x50");
/* Waits for an interrupt with HLT; its handler writes the vector it knows. */
GUEST(guest_wait, "mov $0x1b, %ecx; rdmsr; mov $0xfee00000, %ebx;"
		  "movl $0x1ff, 0xf0(%ebx); movl $0x700, 0x350(%ebx);"
		  "mov $1, %al; out %al, $0x50; sti; hlt; cli");
/* One-shot, 1.2 s, vector 60h; interrupts are off. */
GUEST(guest_timer, "mov $0xfee00000, %ebx; movl $0x1ff, 0xf0(%ebx);"
		   "movl $0xb, 0x3e0(%ebx); movl $0x60, 0x320(%ebx);"
		   "movl $1200000000, 0x380(%ebx); movl $1, 0x3000; 1: jmp 1b");
/* A TSC deadline of 2^31 ticks, vector 61h. */
GUEST(guest_deadline, "mov $0xfee00000, %ebx; movl $0x1ff, 0xf0(%ebx);"
		      "movl $0x40061, 0x320(%ebx); rdtsc; mov $0x6e0, %ecx;"
		      "add $0x80000000, %eax; adc $0, %edx; wrmsr;"
		      "movl $1, 0x3000; 1: jmp 1b");
GUEST(guest_clock, "mov $0x4b564d01, %ecx; mov $0x4001, %eax; xor %edx, %edx;"
		   "wrmsr; mov $0x4b564d03, %ecx; mov $0x5001, %eax; wrmsr;"
		   "movl $1, 0x3000; 1: jmp 1b");
GUEST(guest_dirty, "movl $1, 0x10000; movl $1, 0x15000");
GUEST(guest_xsetbv, "mov %cr4, %eax; or $0x40000, %eax; mov %eax, %cr4;"
		    "xor %ecx, %ecx; xor %edx, %edx; mov $7, %eax; xsetbv;"
		    "mov $0xd, %eax; xor %ecx, %ecx; cpuid; mov %ebx, 0x3000");
/* Its own INT3, whose handler counts, around one of a debugger's. */
GUEST(guest_int3, "int3; nop; inc %esi; int3; inc %edi");
GUEST(handler_int3, "incl 0x3000; iret");
GUEST(guest_step, "nop; mov $0x1234, %ebx; nop; mov $0x5678, %ecx");

struct machine {
	struct vm vm;
	struct bus_region end, log, window;
	struct cpuid_table cpuid;
	uint64_t log_sum;
	uint64_t written[32];
	unsigned writes, reads;
	void (*on_write)(struct machine *machine);
	bool pic_pending;
	int eoi_vector;
};

static enum bus_result on_end(void *device, struct access *access)
{
	struct machine *m = device;

	vm_stop(&m->vm, STOP_GUEST_EXIT, (int)access->value);
	return BUS_HANDLED;
}

static enum bus_result on_access(void *device, struct access *access)
{
	struct machine *m = device;

	if (!access->is_write) {
		access->value = 0xa0a1a2a3a4a5a6a7 + m->reads++;
		return BUS_HANDLED;
	}
	if (m->writes < ARRAY_SIZE(m->written))
		m->written[m->writes] = access->value;
	/* wait_until_ready looks at it meanwhile. */
	__atomic_store_n(&m->writes, m->writes + 1, __ATOMIC_RELEASE);
	if (m->on_write && m->writes == 1)
		m->on_write(m);
	return BUS_HANDLED;
}

static bool read_msr(void *device, struct vcpu *vcpu, uint32_t index,
		     uint64_t *value)
{
	*value = 0xc0ffee;
	return true;
}

static bool write_msr(void *device, struct vcpu *vcpu, uint32_t index,
		      uint64_t value)
{
	return true;
}

static void set_segment(struct cpu_segment *segment, uint16_t selector,
			uint32_t attributes)
{
	*segment = (struct cpu_segment){ selector, attributes, ~0u, 0 };
}

/* Flat 32-bit, no paging, a GDT for interrupts to load CS from. */
static void set_flat(struct vcpu *vcpu)
{
	static const uint64_t gdt[] = { 0, 0x00cf9b000000ffff,
					0x00cf93000000ffff };
	struct cpu_state state;

	cpu_state_reset(&state, true);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		set_segment(&state.segment[i], 16, 0xc093);
	set_segment(&state.segment[SEG_CS], 8, 0xc09b);
	state.cr0 = CR0_PE | CR0_ET | CR0_NE;
	state.gdtr = (struct cpu_table){ TABLES, sizeof(gdt) - 1 };
	state.idtr = (struct cpu_table){ TABLES + 0x1000, 0x7ff };
	state.gpr[RSP] = STACK;
	state.rip = CODE;
	assert_int_equal(
		memory_load(&vcpu->vm->memory, TABLES, gdt, sizeof(gdt)), 0);
	assert_int_equal(kvm_engine.set_state(vcpu, &state), 0);
}

static void make_region(struct bus_region *region, const char *name,
			uint64_t base, uint64_t size, bus_handler *handler,
			struct machine *m)
{
	*region = (struct bus_region){ .name = name,
				       .base = base,
				       .size = size,
				       .handler = handler,
				       .device = m };
}

static void build(struct machine *m)
{
	struct msr_range range = { .name = "test",
				   .first = 0x12345,
				   .last = 0x12345,
				   .read = read_msr,
				   .write = write_msr };
	char dropped[CPU_DROPPED_MAX];
	struct cpuid_table offer;
	struct cpu_request request = {
		.model = CPU_MODEL_DEFAULT,
		.offer = &offer,
		.vcpus = 1,
	};

	*m = (struct machine){ .eoi_vector = -1 };
	assert_int_equal(vm_init(&m->vm, "test", &kvm_engine), 0);
	assert_int_equal(memory_init(&m->vm.memory, &m->vm, MEMORY, 0x2000), 0);
	assert_int_equal(kvm_engine.cpuid_offer(&offer), 0);
	assert_int_equal(cpu_model_build(&request, &m->cpuid, dropped), 0);
	m->vm.cpuid = &m->cpuid;
	assert_int_equal(kvm_engine.vm_create(&m->vm), 0);
	make_region(&m->end, "end", END_PORT, 1, on_end, m);
	make_region(&m->log, "log", LOG_PORT, 8, on_access, m);
	make_region(&m->window, "window", DEVICE, 0x1000, on_access, m);
	assert_int_equal(bus_add(&m->vm.io, &m->end), 0);
	assert_int_equal(bus_add(&m->vm.io, &m->log), 0);
	assert_int_equal(bus_add(&m->vm.mmio, &m->window), 0);
	assert_int_equal(msr_add(&m->vm.msrs, &m->vm.sources, &range), 0);
}

static void add_vcpu(struct machine *m, const uint8_t *code, const uint8_t *end)
{
	assert_int_equal(memory_load(&m->vm.memory, CODE, code, end - code), 0);
	assert_int_equal(vm_add_vcpu(&m->vm), 0);
	set_flat(m->vm.vcpus[0]);
}

static void start(struct machine *m)
{
	assert_int_equal(vm_start(&m->vm), 0);
	vm_resume(&m->vm);
}

#define load_guest(m, name) (build(m), add_vcpu(m, name, name##_end))
#define run_guest(m, name)  (load_guest(m, name), start(m), vm_join(&(m)->vm))

static void sleep_ms(unsigned ms)
{
	struct timespec time = { .tv_nsec = ms * 1000000l };

	nanosleep(&time, NULL);
}

/* guest_wait says so: its APIC is on, and it halts next. */
static void wait_until_ready(struct machine *m)
{
	while (!__atomic_load_n(&m->writes, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	sleep_ms(20);
}

static uint64_t count(struct machine *m, enum exit_reason reason)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < EXIT_SOURCES_MAX; i++)
		sum += m->vm.vcpus[0]->exits.cell[reason][i].count;
	return sum;
}

static uint32_t word(struct machine *m, gpa_t gpa)
{
	uint32_t value;

	assert_int_equal(memory_read(&m->vm.memory, gpa, &value, 4), 0);
	return value;
}

static void ended_well(struct machine *m)
{
	assert_int_equal(m->vm.stop_reason, STOP_GUEST_EXIT);
	assert_int_equal(m->vm.stop_status, 7);
}

static void test_ports(void **state)
{
	struct machine m;

	run_guest(&m, guest_three_writes);
	ended_well(&m);
	assert_int_equal(count(&m, EXIT_IO), 3 + 1);
	assert_int_equal(m.writes, 3);
	vm_fini(&m.vm);

	run_guest(&m, guest_read);
	ended_well(&m);
	assert_int_equal(count(&m, EXIT_IO), 3 + 1);
	assert_int_equal(word(&m, 0x3000), 0xa6a800a7);
	assert_int_equal(word(&m, 0x3004), 0xffffffff); /* nobody there */
	vm_fini(&m.vm);
}

static void test_an_exit_for_each_element_of_a_string(void **state)
{
	struct machine m;

	load_guest(&m, guest_strings);
	assert_int_equal(memory_load(&m.vm.memory, 0x3000, "abcde", 5), 0);
	start(&m);
	vm_join(&m.vm);
	ended_well(&m);
	assert_int_equal(count(&m, EXIT_IO), 5 + 4 + 1);
	assert_int_equal(m.writes, 5);
	assert_int_equal(m.written[4], 'e');
	assert_int_equal(word(&m, 0x3100), 0xaaa9a8a7);
	vm_fini(&m.vm);
}

static void test_mmio(void **state)
{
	struct machine m;

	run_guest(&m, guest_mmio);
	ended_well(&m);
	assert_int_equal(count(&m, EXIT_MMIO), 5);
	assert_int_equal(m.written[0], 0x11223344);
	assert_int_equal(word(&m, 0x3000), 0xa4a5a6a7);
	assert_int_equal(m.written[1], 5);
	assert_int_equal(m.written[2], 0xa4a5a6a9);
	vm_fini(&m.vm);
}

static void test_vmcall_is_answered_and_counted(void **state)
{
	struct engine_probe probe;
	struct machine m;

	kvm_engine.probe(&probe);
	if (!probe.is_fast)
		skip(); /* paravirtual KVM never gets past VMCALL */
	run_guest(&m, guest_vmcall);
	ended_well(&m);
	assert_int_equal((int32_t)word(&m, 0x3000), -1000);
	assert_int_equal(count(&m, EXIT_VMCALL), 1);
	vm_fini(&m.vm);
}

static void test_halted_vcpu_can_be_stopped(void **state)
{
	struct machine m;

	load_guest(&m, guest_halt);
	start(&m);
	/* The kernel's count, while the vCPU is inside KVM_RUN. */
	do {
		sleep_ms(20);
		vm_count_exits(&m.vm);
	} while (!count(&m, EXIT_HLT));
	assert_int_equal(m.vm.stop_reason, STOP_NONE);
	assert_int_equal(count(&m, EXIT_HLT), 1);
	vm_stop(&m.vm, STOP_HOST, 0);
	vm_join(&m.vm);
	assert_int_equal(count(&m, EXIT_HLT), 1);
	vm_fini(&m.vm);
}

static void test_triple_fault_ends_the_vm(void **state)
{
	struct machine m;

	run_guest(&m, guest_die);
	assert_int_equal(m.vm.stop_reason, STOP_TRIPLE_FAULT);
	assert_int_equal(count(&m, EXIT_TRIPLE_FAULT), 1);
	vm_fini(&m.vm);
}

static void test_spinning_vcpu_pauses_and_goes_on(void **state)
{
	unsigned rounds = test_scale(20, 200, 10000);
	struct machine m;

	load_guest(&m, guest_spin);
	start(&m);
	for (unsigned i = 0; i < rounds; i++) {
		struct cpu_state cpu;
		uint32_t before;

		vm_pause(&m.vm);
		before = word(&m, 0x3000);
		assert_int_equal(kvm_engine.get_state(m.vm.vcpus[0], &cpu), 0);
		assert_in_range(cpu.rip, CODE, CODE + 8);
		assert_int_equal(word(&m, 0x3000), before);
		vm_resume(&m.vm);
	}
	vm_stop(&m.vm, STOP_HOST, 0);
	vm_join(&m.vm);
	vm_fini(&m.vm);
}

static void test_msrs_come_to_us(void **state)
{
	struct machine m;

	run_guest(&m, guest_msr);
	ended_well(&m);
	assert_int_equal(word(&m, 0x3004), 0xc0ffee);
	assert_int_equal(count(&m, EXIT_WRMSR), 1);
	assert_true(count(&m, EXIT_RDMSR) >= 1);
	vm_fini(&m.vm);

	/* Nobody has it: #GP, for which there is no handler. */
	run_guest(&m, guest_bad_msr);
	assert_int_equal(m.vm.stop_reason, STOP_TRIPLE_FAULT);
	assert_int_equal(count(&m, EXIT_RDMSR), 1);
	vm_fini(&m.vm);
}

static void test_rom_ignores_writes_and_romd_exits(void **state)
{
	struct machine m;

	build(&m);
	assert_true(memory_add(&m.vm.memory, ROM, 0x1000, MEMORY, MEMORY_ROM) >=
		    0);
	assert_true(memory_add(&m.vm.memory, ROM + 0x1000, 0x1000,
			       MEMORY + 0x1000, MEMORY_ROMD) >= 0);
	assert_int_equal(memory_load(&m.vm.memory, ROM, "ROM!", 4), 0);
	assert_int_equal(memory_load(&m.vm.memory, ROM + 0x1000, "ROMD", 4), 0);
	add_vcpu(&m, guest_rom, guest_rom_end);
	start(&m);
	vm_join(&m.vm);
	ended_well(&m);
	assert_int_equal(word(&m, 0x3000), load_u32("ROM!"));
	assert_int_equal(word(&m, 0x3004), load_u32("ROMD"));
	assert_int_equal(count(&m, EXIT_MMIO), 1);
	vm_fini(&m.vm);
}

static void test_doorbells_do_not_exit(void **state)
{
	struct doorbell any = { .kind = BUS_MMIO,
				.address = DEVICE + 0x100,
				.size = 4 };
	struct doorbell one = { .kind = BUS_MMIO,
				.address = DEVICE + 0x104,
				.size = 4,
				.has_value = true,
				.value = 1 };
	struct doorbell port = { .kind = BUS_IO,
				 .address = LOG_PORT,
				 .size = 1 };
	struct machine m;
	uint64_t value;

	load_guest(&m, guest_bell);
	any.event_fd = eventfd(0, EFD_NONBLOCK);
	one.event_fd = eventfd(0, EFD_NONBLOCK);
	port.event_fd = eventfd(0, EFD_NONBLOCK);
	assert_int_equal(doorbell_add(&m.vm, &any, "bell"), 0);
	assert_int_equal(doorbell_add(&m.vm, &one, "bell"), 0);
	assert_int_equal(doorbell_add(&m.vm, &port, "bell"), 0);
	start(&m);
	vm_join(&m.vm);
	ended_well(&m);
	assert_int_equal(read(any.event_fd, &value, 8), 8);
	assert_int_equal(read(port.event_fd, &value, 8), 8);
	/* The wrong value is a plain access. */
	assert_int_equal(read(one.event_fd, &value, 8), -1);
	assert_int_equal(count(&m, EXIT_MMIO), 1);
	assert_int_equal(count(&m, EXIT_IO), 1);
	doorbell_remove(&m.vm, &any);
	doorbell_remove(&m.vm, &one);
	doorbell_remove(&m.vm, &port);
	close(any.event_fd);
	close(one.event_fd);
	close(port.event_fd);
	vm_fini(&m.vm);
}

/*
 * Gate and handler at 0x2000: movl $vector, 0x3000; EOI; the end. No IRET,
 * which a paravirtual KVM emulates in real mode only.
 */
static void set_handler(struct machine *m, uint8_t vector)
{
	const uint8_t code[] = {
		/* clang-format off */
		0xc7, 0x05, 0, 0x30, 0, 0, vector, 0, 0, 0, /* movl */
		0xc7, 0x05, 0xb0, 0, 0xe0, 0xfe, 0, 0, 0, 0, /* movl: EOI */
		0xe6, LOG_PORT, /* out: a chance for the EOI's exit */
		0xb0, 7, 0xe6, END_PORT, 0xeb, 0xfe, /* the end */
		/* clang-format on */
	};
	const uint64_t gate = 0x00008e0000082000;

	assert_int_equal(memory_load(&m->vm.memory, 0x2000, code, sizeof(code)),
			 0);
	assert_int_equal(memory_load(&m->vm.memory,
				     TABLES + 0x1000 + 8 * vector, &gate, 8),
			 0);
}

static void send_msi(struct machine *m)
{
	const struct msi msi = { .address = MSI_ADDRESS_BASE, .data = 0x41 };

	msi_send(&m->vm, &msi);
}

static void test_message_wakes_a_halted_vcpu(void **state)
{
	struct machine m;

	load_guest(&m, guest_wait);
	set_handler(&m, 0x41);
	start(&m);
	wait_until_ready(&m);
	send_msi(&m);
	vm_join(&m.vm);
	ended_well(&m);
	assert_int_equal(word(&m, 0x3000), 0x41);
	assert_int_equal(count(&m, EXIT_HLT), 1);
	vm_fini(&m.vm);
}

static void test_eventfd_sends_a_message(void **state)
{
	const struct msi wrong = { .address = MSI_ADDRESS_BASE, .data = 0x42 };
	const struct msi msi = { .address = MSI_ADDRESS_BASE, .data = 0x41 };
	const uint64_t one = 1;
	int fd = eventfd(0, 0), other = eventfd(0, 0);
	struct machine m;

	load_guest(&m, guest_wait);
	set_handler(&m, 0x41);
	assert_int_equal(kvm_engine.msi_fd(&m.vm, fd, &wrong), 0);
	assert_int_equal(kvm_engine.msi_fd(&m.vm, other, &wrong), 0);
	assert_int_equal(kvm_engine.msi_fd(&m.vm, other, NULL), 0);
	assert_int_equal(kvm_engine.msi_fd(&m.vm, other, NULL), -ENOENT);
	assert_int_equal(kvm_engine.msi_fd(&m.vm, fd, &msi), 0);
	start(&m);
	wait_until_ready(&m);
	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
	vm_join(&m.vm);
	ended_well(&m);
	assert_int_equal(word(&m, 0x3000), 0x41);
	assert_int_equal(kvm_engine.msi_fd(&m.vm, fd, NULL), 0);
	close(fd);
	close(other);
	vm_fini(&m.vm);
}

static void on_ioapic_eoi(void *ioapic, uint8_t vector)
{
	struct machine *m = ioapic;

	m->eoi_vector = vector;
}

static void test_eoi_of_a_level_triggered_vector_is_heard(void **state)
{
	static const struct eoi_ops ops = { on_ioapic_eoi };
	const struct msi msi = {
		.requester = MSI_FROM_IOAPIC,
		.address = MSI_ADDRESS_BASE,
		.data = 0x51 | MSI_DATA_LEVEL | MSI_DATA_ASSERT,
	};
	struct machine m;

	load_guest(&m, guest_wait);
	m.vm.eoi_ops = &ops;
	m.vm.eoi = &m;
	set_handler(&m, 0x51);
	m.vm.apic_ops->route_changed(&m.vm, 5, &msi);
	start(&m);
	wait_until_ready(&m);
	msi_send(&m.vm, &msi);
	vm_join(&m.vm);
	ended_well(&m);
	assert_int_equal(word(&m, 0x3000), 0x51);
	assert_int_equal(m.eoi_vector, 0x51);
	assert_int_equal(count(&m, EXIT_EOI_INDUCED), 1);
	vm_fini(&m.vm);
}

static bool pic_is_pending(void *pic)
{
	struct machine *m = pic;

	return __atomic_load_n(&m->pic_pending, __ATOMIC_SEQ_CST);
}

static int pic_acknowledge(void *pic)
{
	struct machine *m = pic;

	__atomic_store_n(&m->pic_pending, false, __ATOMIC_SEQ_CST);
	m->vm.apic_ops->set_lint(m->vm.vcpus[0], 0, false);
	return 0x61;
}

static void raise_pic(struct machine *m)
{
	__atomic_store_n(&m->pic_pending, true, __ATOMIC_SEQ_CST);
	m->vm.apic_ops->set_lint(m->vm.vcpus[0], 0, true);
}

static const struct extint_ops pic_ops = { pic_is_pending, pic_acknowledge };

static void test_extint_wakes_a_halted_vcpu(void **state)
{
	struct machine m;

	load_guest(&m, guest_wait);
	m.vm.extint_ops = &pic_ops;
	m.vm.extint = &m;
	set_handler(&m, 0x61);
	start(&m);
	wait_until_ready(&m);
	raise_pic(&m);
	vm_join(&m.vm);
	ended_well(&m);
	assert_int_equal(word(&m, 0x3000), 0x61);
	assert_false(m.pic_pending);
	vm_fini(&m.vm);
}

static void test_extint_from_the_vcpus_own_thread(void **state)
{
	struct machine m;

	/* Interrupts are still off when it comes: the window is awaited. */
	load_guest(&m, guest_wait);
	m.vm.extint_ops = &pic_ops;
	m.vm.extint = &m;
	m.on_write = raise_pic;
	set_handler(&m, 0x61);
	start(&m);
	vm_join(&m.vm);
	ended_well(&m);
	assert_int_equal(word(&m, 0x3000), 0x61);
	vm_fini(&m.vm);
}

static void test_state_goes_in_and_comes_out(void **state)
{
	struct cpu_state in, out;
	struct machine m;

	load_guest(&m, guest_halt);
	cpu_state_reset(&in, true);
	for (unsigned i = 0; i < GPR_COUNT; i++)
		in.gpr[i] = 0x0123456789abcdefull * (i + 1);
	for (unsigned i = 0; i < 16; i++)
		memset(in.fpu.ymm[i], 0x10 + (int)i, 32);
	for (unsigned i = 0; i < 8; i++)
		in.fpu.st[i] =
			(struct cpu_x87_register){ 0x8000000000000000 + i,
						   (uint16_t)(0x3fff + i) };
	in.fpu.fcw = 0x27f;
	in.fpu.fsw = 0x3800;
	in.fpu.ftw = 0xff;
	in.fpu.mxcsr = 0x1fa0;
	in.fpu.xstate_bv = 7;
	in.xcr0 = 7;
	for (unsigned i = 0; i < 4; i++)
		in.dr[i] = 0x1000 * (i + 1);
	in.dr[6] = DR6_FIXED1 | 1;
	in.dr[7] = DR7_FIXED1 | 1;
	in.cr3 = 0x5000;
	in.cr4 = CR4_PAE | CR4_OSXSAVE | CR4_OSFXSR;
	in.cr8 = 5;
	in.msr.lstar = 0xffffffff81000000;
	in.msr.star = 0x0023001000000000;
	in.msr.fmask = 0x47700;
	in.msr.kernel_gs_base = 0xffff888000000000;
	in.msr.pat = 0x0007040600070406;
	in.msr.sysenter_eip = 0x81234567; /* AMD keeps 32 bits */
	in.msr.tsc_aux = 3;
	in.msr.mtrr_def_type = 0xc06;
	in.msr.mtrr_fixed[3] = 0x0606060606060606;
	in.msr.mtrr_physical[2][0] = 0xc0000000;
	in.msr.mtrr_physical[2][1] = 0xffc0000800;
	in.rflags = RFLAGS_FIXED1 | RFLAGS_CF | RFLAGS_IF;
	in.sti_shadow = true;
	in.nmi_is_blocked = true;
	in.activity = CPU_HALTED;
	in.event = (struct cpu_event){
		.is_valid = true,
		.kind = CPU_EVENT_INTERRUPT,
		.vector = 0x33,
	};
	assert_int_equal(kvm_engine.set_state(m.vm.vcpus[0], &in), 0);
	assert_int_equal(kvm_engine.get_state(m.vm.vcpus[0], &out), 0);
	assert_memory_equal(in.gpr, out.gpr, sizeof(in.gpr));
	assert_memory_equal(in.fpu.ymm, out.fpu.ymm, sizeof(in.fpu.ymm));
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(in.fpu.st[i].mantissa, out.fpu.st[i].mantissa);
		assert_int_equal(in.fpu.st[i].sign_exponent,
				 out.fpu.st[i].sign_exponent);
	}
	assert_int_equal(in.fpu.fcw, out.fpu.fcw);
	assert_int_equal(in.fpu.fsw, out.fpu.fsw);
	assert_int_equal(in.fpu.ftw, out.fpu.ftw);
	assert_int_equal(in.fpu.mxcsr, out.fpu.mxcsr);
	assert_int_equal(in.fpu.xstate_bv, out.fpu.xstate_bv);
	assert_int_equal(in.xcr0, out.xcr0);
	assert_memory_equal(in.dr, out.dr, sizeof(in.dr));
	assert_int_equal(in.rip, out.rip);
	assert_int_equal(in.rflags, out.rflags);
	assert_int_equal(in.cr0, out.cr0);
	assert_int_equal(in.cr3, out.cr3);
	assert_int_equal(in.cr4, out.cr4);
	assert_int_equal(in.cr8, out.cr8);
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		assert_int_equal(in.segment[i].selector,
				 out.segment[i].selector);
		assert_int_equal(in.segment[i].base, out.segment[i].base);
		assert_int_equal(in.segment[i].limit, out.segment[i].limit);
		assert_int_equal(in.segment[i].attributes,
				 out.segment[i].attributes);
	}
	assert_int_equal(in.msr.lstar, out.msr.lstar);
	assert_int_equal(in.msr.star, out.msr.star);
	assert_int_equal(in.msr.fmask, out.msr.fmask);
	assert_int_equal(in.msr.kernel_gs_base, out.msr.kernel_gs_base);
	assert_int_equal(in.msr.pat, out.msr.pat);
	assert_int_equal(in.msr.sysenter_eip, out.msr.sysenter_eip);
	assert_int_equal(in.msr.tsc_aux, out.msr.tsc_aux);
	assert_int_equal(in.msr.mtrr_def_type, out.msr.mtrr_def_type);
	assert_memory_equal(in.msr.mtrr_fixed, out.msr.mtrr_fixed,
			    sizeof(in.msr.mtrr_fixed));
	assert_memory_equal(in.msr.mtrr_physical, out.msr.mtrr_physical,
			    sizeof(in.msr.mtrr_physical));
	assert_true(out.sti_shadow);
	assert_true(out.nmi_is_blocked);
	assert_int_equal(out.activity, CPU_HALTED);
	assert_true(out.event.is_valid);
	assert_int_equal(out.event.kind, CPU_EVENT_INTERRUPT);
	assert_int_equal(out.event.vector, 0x33);
	vm_fini(&m.vm);
}

static bool is_in_irr(struct machine *m, unsigned vector,
		      struct apic_state *apic)
{
	assert_int_equal(m->vm.apic_ops->get_state(m->vm.vcpus[0], apic), 0);
	return apic->irr[vector / 32] >> vector % 32 & 1;
}

/* A pause behind the guest's word that its timer is armed. */
static void pause_armed(struct machine *m)
{
	start(m);
	for (unsigned i = 0; i < 5000 && !word(m, 0x3000); i++)
		sleep_ms(1);
	vm_pause(&m->vm);
	assert_int_equal(word(m, 0x3000), 1);
}

/* On, for longer than the timer has, and stopped again. */
static void go_on(struct machine *m)
{
	vm_resume(&m->vm);
	sleep_ms(900);
	sleep_ms(900);
	vm_pause(&m->vm);
}

static void end(struct machine *m)
{
	vm_resume(&m->vm);
	vm_stop(&m->vm, STOP_HOST, 0);
	vm_join(&m->vm);
	vm_fini(&m->vm);
}

/* The timer stands with the clock, and runs out when that has gone on. */
static void test_timer_stands_in_a_pause(void **state)
{
	struct apic_state apic, again;
	struct cpu_state cpu;
	struct machine m;

	load_guest(&m, guest_timer);
	pause_armed(&m);
	assert_false(is_in_irr(&m, 0x60, &apic));
	assert_int_equal(apic.timer_initial, 1200000000);
	assert_true(apic.timer_expiry_ns > clock_ns(&m.vm.clock));
	sleep_ms(900);
	sleep_ms(900);
	assert_false(is_in_irr(&m, 0x60, &again));
	assert_memory_equal(&apic, &again, sizeof(apic));
	/* Twice the same pause. */
	vm_pause(&m.vm);
	assert_false(is_in_irr(&m, 0x60, &again));
	assert_memory_equal(&apic, &again, sizeof(apic));
	go_on(&m);
	assert_true(is_in_irr(&m, 0x60, &apic));
	assert_int_equal(apic.timer_expiry_ns, 0);
	assert_int_equal(kvm_engine.get_state(m.vm.vcpus[0], &cpu), 0);
	assert_false(cpu.event.is_valid);
	end(&m);
}

static void test_deadline_stands_in_a_pause(void **state)
{
	struct apic_state apic;
	uint64_t deadline;
	struct machine m;

	load_guest(&m, guest_deadline);
	pause_armed(&m);
	assert_false(is_in_irr(&m, 0x61, &apic));
	deadline = apic.tsc_deadline;
	assert_int_not_equal(deadline, 0);
	sleep_ms(900);
	sleep_ms(900);
	assert_false(is_in_irr(&m, 0x61, &apic));
	assert_int_equal(apic.tsc_deadline, deadline);
	go_on(&m);
	assert_true(is_in_irr(&m, 0x61, &apic));
	assert_int_equal(apic.tsc_deadline, 0);
	end(&m);
}

#define CLOCK_PAGE 0x4000u

static bool has_kvmclock(struct machine *m)
{
	return cpuid_has_bit(&m->cpuid, 0x40000001, 0, CPUID_EAX, 3);
}

static uint64_t system_time(struct machine *m)
{
	return word(m, CLOCK_PAGE + 16) | (uint64_t)word(m, CLOCK_PAGE + 20)
						  << 32;
}

/* What the guest registered comes out, goes in elsewhere, and goes with reset;
 * the clock counts as the VM's. */
static void test_kvmclock(void **state)
{
	const uint64_t later = 5000000000000;
	uint64_t stolen;
	struct machine m, other;
	uint64_t first;

	load_guest(&m, guest_clock);
	pause_armed(&m);
	if (!has_kvmclock(&m)) {
		end(&m);
		skip();
	}
	assert_int_equal(m.vm.vcpus[0]->paravirt.clock, CLOCK_PAGE | 1);
	assert_int_not_equal(word(&m, CLOCK_PAGE), 0);
	/* The sum of stolen time is the guest's, in memory. */
	assert_int_equal(m.vm.vcpus[0]->paravirt.steal, 0x5001);
	stolen = word(&m, 0x5000) + 1000000;
	assert_int_equal(memory_write(&m.vm.memory, 0x5000, &stolen, 8), 0);
	m.vm.vcpus[0]->steal.stolen_ns = 0;
	go_on(&m);
	assert_true(m.vm.vcpus[0]->steal.stolen_ns >= stolen);
	assert_true(system_time(&m) < later);
	assert_true(system_time(&m) <= clock_ns(&m.vm.clock));

	load_guest(&other, guest_spin);
	clock_set(&other.vm.clock, later, 1000000);
	other.vm.vcpus[0]->paravirt = m.vm.vcpus[0]->paravirt;
	start(&other);
	for (unsigned i = 0; i < 400 && !word(&other, CLOCK_PAGE); i++)
		sleep_ms(5);
	vm_pause(&other.vm);
	first = system_time(&other);
	assert_true(first >= later);
	assert_true(first <= clock_ns(&other.vm.clock));
	assert_int_equal(other.vm.vcpus[0]->paravirt.clock, CLOCK_PAGE | 1);
	other.vm.vcpus[0]->paravirt.clock = 0; /* as a reset has it */
	go_on(&other);
	assert_int_equal(other.vm.vcpus[0]->paravirt.clock, 0);
	end(&other);
	end(&m);
}

static bool is_qemu_tcg(void)
{
	uint32_t eax, ebx, ecx, edx;

	__cpuid(0x40000000, eax, ebx, ecx, edx);
	return ebx == load_u32("TCGT");
}

static void test_cpuid_follows_xcr0(void **state)
{
	struct cpu_state cpu;
	struct machine m;

	if (is_qemu_tcg())
		skip(); /* QEMU's SVM does not intercept XSETBV */
	run_guest(&m, guest_xsetbv);
	ended_well(&m);
	assert_int_equal(kvm_engine.get_state(m.vm.vcpus[0], &cpu), 0);
	assert_int_equal(cpu.xcr0, 7);
	assert_int_equal(word(&m, 0x3000), 832);
	vm_fini(&m.vm);
}

static void test_dirty_log(void **state)
{
	struct machine m;

	load_guest(&m, guest_dirty);
	m.vm.memory.dirty = calloc(m.vm.memory.fd_size / PAGE_SIZE / 64 + 1, 8);
	assert_int_equal(kvm_engine.dirty_log(&m.vm, true), 0);
	start(&m);
	vm_join(&m.vm);
	ended_well(&m);
	assert_int_equal(kvm_engine.dirty_sync(&m.vm), 0);
	assert_true(m.vm.memory.dirty[0] & BIT(0x10));
	assert_true(m.vm.memory.dirty[0] & BIT(0x15));
	assert_false(m.vm.memory.dirty[0] & BIT(0x11));
	assert_int_equal(kvm_engine.dirty_log(&m.vm, false), 0);
	vm_fini(&m.vm);
}

static void test_steps_and_breakpoints(void **state)
{
	const struct run_until once = { .kind = RUN_ONE_INSTRUCTION };
	const struct breakpoint breakpoint = { BREAKPOINT_EXECUTE, CODE + 7,
					       1 };
	struct cpu_state cpu;
	struct machine m;
	struct vcpu *vcpu;
	gpa_t gpa;

	load_guest(&m, guest_step);
	vcpu = m.vm.vcpus[0];
	/* Bochs 2.7 traps before an instruction whose fetch was an EPT
	 * violation: once for nothing. */
	assert_int_equal(kvm_engine.run(vcpu, &once), RUN_POSITION);
	set_flat(vcpu);
	assert_int_equal(kvm_engine.run(vcpu, &once), RUN_POSITION);
	assert_int_equal(kvm_engine.get_state(vcpu, &cpu), 0);
	assert_int_equal(cpu.rip, CODE + 1);
	assert_int_equal(kvm_engine.run(vcpu, &once), RUN_POSITION);
	assert_int_equal(kvm_engine.get_state(vcpu, &cpu), 0);
	assert_int_equal(cpu.rip, CODE + 6);
	assert_int_equal(cpu.gpr[RBX], 0x1234);
	assert_int_equal(kvm_engine.translate(vcpu, 0x5123, &gpa), 0);
	assert_int_equal(gpa, 0x5123);
	if (is_qemu_tcg()) {
		vm_fini(&m.vm);
		skip(); /* QEMU's SVM takes no debug registers into the guest */
	}
	assert_int_equal(kvm_engine.set_breakpoints(vcpu, &breakpoint, 1), 0);
	assert_int_equal(kvm_engine.run(vcpu, NULL), RUN_BREAKPOINT);
	assert_int_equal(kvm_engine.get_state(vcpu, &cpu), 0);
	assert_int_equal(cpu.rip, CODE + 7);
	assert_int_equal(kvm_engine.set_breakpoints(vcpu, NULL, 0), 0);
	assert_int_equal(kvm_engine.run(vcpu, NULL), RUN_STOP);
	vm_fini(&m.vm);
}

/* Trapped after the access; the next instruction runs with the next run. */
static void test_watched_data(void **state)
{
	const struct breakpoint breakpoint = { BREAKPOINT_WRITE, 0x15000, 4 };
	enum run_result result;
	struct cpu_state cpu;
	struct machine m;
	struct vcpu *vcpu;

	load_guest(&m, guest_dirty);
	vcpu = m.vm.vcpus[0];
	assert_int_equal(kvm_engine.set_breakpoints(vcpu, &breakpoint, 1), 0);
	result = kvm_engine.run(vcpu, NULL);
	if (result == RUN_STOP || is_qemu_tcg()) {
		vm_fini(&m.vm);
		skip(); /* a KVM that emulates, which watches no data; QEMU */
	}
	assert_int_equal(result, RUN_BREAKPOINT);
	assert_int_equal(vcpu->hit.kind, BREAKPOINT_WRITE);
	assert_int_equal(vcpu->hit.address, 0x15000);
	assert_int_equal(word(&m, 0x15000), 1);
	assert_int_equal(kvm_engine.get_state(vcpu, &cpu), 0);
	assert_int_equal(cpu.rip, CODE + 20);
	assert_int_equal(kvm_engine.run(vcpu, NULL), RUN_STOP);
	ended_well(&m);
	vm_fini(&m.vm);
}

/* More than there are debug registers, in memory; the guest's own INT3s stay
 * its own. */
static void test_breakpoints_in_code(void **state)
{
	const uint64_t gate = 0x00008e0000089000;
	const gva_t target = CODE + 2;
	struct breakpoint list[10];
	struct cpu_state cpu;
	enum run_result result;
	struct machine m;
	struct vcpu *vcpu;
	uint8_t byte;

	load_guest(&m, guest_int3);
	vcpu = m.vm.vcpus[0];
	assert_int_equal(memory_load(&m.vm.memory, 0x9000, handler_int3,
				     handler_int3_end - handler_int3),
			 0);
	assert_int_equal(memory_load(&m.vm.memory,
				     TABLES + 0x1000 + 8 * VECTOR_BP, &gate, 8),
			 0);
	for (unsigned i = 0; i < ARRAY_SIZE(list); i++)
		list[i] = (struct breakpoint){
			.kind = BREAKPOINT_EXECUTE,
			.address = i < 9 ? 0x5000 + i : target,
			.size = 1,
			.may_patch = true,
		};
	assert_int_equal(
		kvm_engine.set_breakpoints(vcpu, list, ARRAY_SIZE(list)), 0);
	result = kvm_engine.run(vcpu, NULL);
	assert_int_equal(memory_read(&m.vm.memory, target, &byte, 1), 0);
	assert_int_equal(byte, 0xcc);
	assert_int_equal(memory_read(&m.vm.memory, 0x5000, &byte, 1), 0);
	assert_int_equal(byte, 0);
	/* The clock stops: it is out of memory. */
	kvm_engine.clock_changed(&m.vm, false, 0);
	assert_int_equal(memory_read(&m.vm.memory, target, &byte, 1), 0);
	assert_int_equal(byte, 0x46);
	/* Of the other kind there are four. */
	for (unsigned i = 0; i < 5; i++)
		list[i].may_patch = false;
	assert_int_equal(kvm_engine.set_breakpoints(vcpu, list, 5), -ENOSPC);
	assert_int_equal(kvm_engine.set_breakpoints(vcpu, list, 4), 0);
	assert_int_equal(kvm_engine.set_breakpoints(vcpu, NULL, 0), 0);
	if (result == RUN_ERROR || is_qemu_tcg()) {
		vm_fini(&m.vm);
		skip(); /* a KVM that emulates, but not INT3; QEMU (breakpoint.c) */
	}
	assert_int_equal(result, RUN_BREAKPOINT);
	assert_int_equal(vcpu->hit.address, target);
	assert_int_equal(kvm_engine.get_state(vcpu, &cpu), 0);
	assert_int_equal(cpu.rip, target);
	assert_int_equal(word(&m, 0x3000), 1);
	assert_int_equal(kvm_engine.run(vcpu, NULL), RUN_STOP);
	assert_int_equal(word(&m, 0x3000), 2);
	assert_int_equal(kvm_engine.get_state(vcpu, &cpu), 0);
	assert_int_equal(cpu.gpr[RSI], 1);
	assert_int_equal(cpu.gpr[RDI], 1);
	vm_fini(&m.vm);
}

/* The access that asks for a pause is complete when the state is read. */
static void test_no_half_instruction_is_seen(void **state)
{
	struct cpu_state cpu;
	struct machine m;

	load_guest(&m, guest_read);
	atomic_store(&m.vm.vcpus[0]->requests, 0);
	m.vm.vcpus[0]->requests |= VCPU_PAUSE;
	assert_int_equal(kvm_engine.run(m.vm.vcpus[0], NULL), RUN_PAUSE);
	assert_int_equal(kvm_engine.get_state(m.vm.vcpus[0], &cpu), 0);
	assert_int_equal(cpu.rip, CODE);
	vm_fini(&m.vm);
}

static enum bus_result on_pausing_read(void *device, struct access *access)
{
	struct machine *m = device;

	vcpu_request(m->vm.vcpus[0], VCPU_PAUSE);
	access->value = 0x5a;
	return BUS_HANDLED;
}

static void test_read_is_complete_after_run(void **state)
{
	struct cpu_state cpu;
	struct machine m;

	load_guest(&m, guest_read);
	m.log.handler = on_pausing_read;
	assert_int_equal(kvm_engine.run(m.vm.vcpus[0], NULL), RUN_PAUSE);
	assert_int_equal(kvm_engine.get_state(m.vm.vcpus[0], &cpu), 0);
	assert_int_equal(cpu.rip, CODE + 2);
	assert_int_equal(cpu.gpr[RAX] & 0xff, 0x5a);
	vm_fini(&m.vm);
}

/* An argument: the tests to leave out, with * and ?. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_an_exit_for_each_element_of_a_string),
		cmocka_unit_test(test_mmio),
		cmocka_unit_test(test_vmcall_is_answered_and_counted),
		cmocka_unit_test(test_halted_vcpu_can_be_stopped),
		cmocka_unit_test(test_triple_fault_ends_the_vm),
		cmocka_unit_test(test_spinning_vcpu_pauses_and_goes_on),
		cmocka_unit_test(test_msrs_come_to_us),
		cmocka_unit_test(test_rom_ignores_writes_and_romd_exits),
		cmocka_unit_test(test_doorbells_do_not_exit),
		cmocka_unit_test(test_message_wakes_a_halted_vcpu),
		cmocka_unit_test(test_eventfd_sends_a_message),
		cmocka_unit_test(test_eoi_of_a_level_triggered_vector_is_heard),
		cmocka_unit_test(test_extint_wakes_a_halted_vcpu),
		cmocka_unit_test(test_extint_from_the_vcpus_own_thread),
		cmocka_unit_test(test_timer_stands_in_a_pause),
		cmocka_unit_test(test_deadline_stands_in_a_pause),
		cmocka_unit_test(test_kvmclock),
		cmocka_unit_test(test_state_goes_in_and_comes_out),
		cmocka_unit_test(test_cpuid_follows_xcr0),
		cmocka_unit_test(test_dirty_log),
		cmocka_unit_test(test_steps_and_breakpoints),
		cmocka_unit_test(test_watched_data),
		cmocka_unit_test(test_breakpoints_in_code),
		cmocka_unit_test(test_no_half_instruction_is_seen),
		cmocka_unit_test(test_read_is_complete_after_run),
	};
	struct engine_probe probe;

	kvm_engine.probe(&probe);
	printf("%s\n", probe.finding);
	if (!probe.is_usable)
		return SKIPPED;
	if (argc > 1)
		cmocka_set_skip_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
