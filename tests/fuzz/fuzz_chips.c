/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The whole board against a guest that writes anything anywhere: eight bytes of
 * input are one step, an access to a port, to MMIO, to a local APIC, an MSR, or
 * time going by. Nothing may crash, hang or overrun.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/bits.h"
#include "base/log.h"
#include "chip/acpi_pm.h"
#include "chip/debugexit.h"
#include "chip/debugport.h"
#include "chip/hpet.h"
#include "chip/i8042.h"
#include "chip/i8254.h"
#include "chip/i8259.h"
#include "chip/ich9_lpc.h"
#include "chip/ioapic.h"
#include "chip/lapic.h"
#include "chip/mc146818.h"
#include "chip/ns16550.h"
#include "chip/q35.h"
#include "chip/reset_control.h"
#include "core/vm.h"
#include "pci/pci.h"

#define VCPUS 2
#define NIC   PCI_DEVFN(2, 0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct board {
	struct vm vm;
	struct ioapic ioapic;
	struct i8259 pic;
	struct i8254 pit;
	struct acpi_pm pm;
	struct i8042 keyboard;
	struct reset_control reset_control;
	struct mc146818 rtc;
	struct hpet hpet;
	struct ns16550 com1;
	struct debugport debugport;
	struct debugexit debugexit;
	struct pci_bus pci;
	struct q35 q35;
	struct ich9_lpc lpc;
	struct pci_device nic;
	pthread_mutex_t nic_lock;
	bool is_full; /* the serial port's back end takes nothing */
};

static int vcpu_create(struct vcpu *vcpu, const struct cpuid_table *cpuid)
{
	return 0;
}

static const struct engine_ops engine = {
	.name = "none",
	.vcpu_create = vcpu_create,
};

static void set_gsi(void *argument, unsigned gsi, bool level)
{
	struct board *board = argument;

	ioapic_set(&board->ioapic, gsi, level);
	if (gsi < 16 && gsi != 2)
		i8259_set(&board->pic, gsi, level);
}

static void set_lint0(void *argument, unsigned pin, bool level)
{
	struct board *board = argument;

	lapic_ops.set_lint(board->vm.vcpus[0], 0, level);
}

static struct irq_line gsi(struct board *board, unsigned pin)
{
	return (struct irq_line){ set_gsi, board, pin };
}

static void nothing(void *argument)
{
}

static void no_byte(void *argument, uint8_t byte)
{
}

static void no_exit(void *argument, int status)
{
}

static size_t serial_write(void *argument, const uint8_t *bytes, size_t count)
{
	return ((struct board *)argument)->is_full ? 0 : count;
}

static enum bus_result on_nic(void *device, struct access *access)
{
	access->value = ~0ull;
	return BUS_HANDLED;
}

static void legacy(void *argument, bool is_on)
{
	struct board *board = argument;

	i8254_disconnect(&board->pit, is_on);
	mc146818_disconnect(&board->rtc, is_on);
}

static int create_pci(struct board *board)
{
	const struct pci_id id = { .vendor = 0x1af4, .device = 0x1041 };
	struct irq_line intx[PCI_INTX_LINES];
	int error;

	for (unsigned i = 0; i < PCI_INTX_LINES; i++)
		intx[i] = gsi(board, 16 + i);
	error = pci_bus_init(&board->pci, &board->vm, intx);
	error = error ? error : q35_init(&board->q35, &board->pci, NULL, false);
	error = error ? error :
			ich9_lpc_init(&board->lpc, &board->pci, &board->pic);
	pthread_mutex_init(&board->nic_lock, NULL);
	pci_device_init(&board->nic, "nic", &id);
	pci_intx_init(&board->nic);
	pci_bar_init(&board->nic, 0, PCI_BAR_IO, 64, on_nic, board,
		     &board->nic_lock, 0);
	pci_msix_init(&board->nic, 1, 5);
	pci_bar_init(&board->nic, 2, PCI_BAR_MEMORY64, 0x10000, on_nic, board,
		     &board->nic_lock, 0);
	pci_msi_init(&board->nic);
	return error ? error : pci_device_add(&board->pci, &board->nic, NIC);
}

static int create_chips(struct board *board)
{
	const struct irq_line lint0 = { set_lint0, board, 0 };
	const struct irq_line irq0 = gsi(board, 0), irq8 = gsi(board, 8);
	const struct acpi_pm_config pm = { .sci = gsi(board, 9),
					   .power_off = nothing };
	const struct i8042_config keyboard = { .irq = gsi(board, 1),
					       .reset = nothing };
	const struct ns16550_config com1 = { .name = "com1",
					     .port = 0x3f8,
					     .irq = gsi(board, 4),
					     .write = serial_write,
					     .backend = board };
	struct hpet_config hpet = {
		.irq0 = irq0, .irq8 = irq8, .legacy = legacy, .argument = board
	};
	struct vm *vm = &board->vm;

	hpet.gsi[10] = gsi(board, 10);
	return ioapic_init(&board->ioapic, vm) ||
	       i8259_init(&board->pic, vm, &lint0) ||
	       i8254_init(&board->pit, vm, &irq0) ||
	       acpi_pm_init(&board->pm, vm, &pm) ||
	       i8042_init(&board->keyboard, vm, &keyboard) ||
	       reset_control_init(&board->reset_control, vm, nothing, NULL) ||
	       create_pci(board) || mc146818_init(&board->rtc, vm, &irq8) ||
	       hpet_init(&board->hpet, vm, &hpet) ||
	       ns16550_init(&board->com1, vm, &com1) ||
	       debugport_init(&board->debugport, vm, no_byte, NULL) ||
	       debugexit_init(&board->debugexit, vm, no_exit, NULL);
}

static struct board *board_create(void)
{
	struct board *board = calloc(1, sizeof(*board));
	int error;

	BUG_ON(!board);
	log_set_level(LOG_ERROR);
	error = vm_init(&board->vm, "fuzz", &engine);
	error = error ? error : lapic_init(&board->vm);
	for (unsigned i = 0; i < VCPUS && !error; i++) {
		error = vm_add_vcpu(&board->vm);
		error = error ? error : lapic_create(board->vm.vcpus[i]);
	}
	BUG_ON(error || create_chips(board));
	return board;
}

/* --- steps ----------------------------------------------------------------- */

static const uint16_t ports[] = {
	0x20,  0x21,  0xa0,  0xa1,  0x4d0, 0x4d1, 0x40,	  0x41,	 0x42,	0x43,
	0x61,  0x60,  0x64,  0x92,  0x70,  0x71,  0x3f8,  0x3f9, 0x3fa, 0x3fb,
	0x3fc, 0x3fd, 0x3fe, 0x600, 0x602, 0x604, 0x608,  0x620, 0x628, 0x630,
	0xcf8, 0xcf9, 0xcfc, 0x402, 0x501, 0x505, 0xc000,
};

static const uint64_t mmio[] = {
	0xfec00000, 0xfec00010, 0xfec00040, 0xfed00000, 0xfed000f0, 0xfed00100,
	0xfed00120, 0xb0000000, 0xb0000060, 0xb0010000, 0xb00f8000, 0xc0000000,
};

static const uint32_t msrs[] = { 0x1b,	0x6e0, 0x800, 0x808, 0x80b,
				 0x80f, 0x828, 0x830, 0x832, 0x835,
				 0x838, 0x83e, 0x83f };

struct step {
	uint8_t op, where, offset, shape;
	uint32_t value;
};

static struct access access_of(const struct step *step)
{
	return (struct access){
		.size = 1u << (step->shape & 3),
		.is_write = step->shape & 4,
		.value = step->value | (uint64_t)step->value << 32,
	};
}

static void do_bus(struct bus *bus, uint64_t address, const struct step *step)
{
	struct access access = access_of(step);
	unsigned source;

	if (bus->kind == BUS_IO && access.size == 8)
		access.size = 4;
	bus_access(bus, address, &access, &source);
}

static void do_lapic(struct vcpu *vcpu, const struct step *step)
{
	struct access access = access_of(step);

	access.offset = (step->where & 0x3f) << 4;
	if (step->shape & 8)
		access.offset += step->offset;
	else
		access.size = 4;
	lapic_ops.access(vcpu, &access);
}

static void do_msr(struct board *board, struct vcpu *vcpu,
		   const struct step *step)
{
	uint32_t index = msrs[step->where % ARRAY_SIZE(msrs)] +
			 (step->shape & 8 ? step->offset & 0x3f : 0);
	const struct msr_range *range = msr_find(&board->vm.msrs, index);
	uint64_t value = step->value | (uint64_t)step->offset << 32;

	if (!range)
		return;
	if (step->shape & 4)
		range->write(range->device, vcpu, index, value);
	else
		range->read(range->device, vcpu, index, &value);
}

static void do_time(struct board *board, const struct step *step)
{
	struct clock *clock = &board->vm.clock;
	uint64_t ns = (uint64_t)step->value << (step->shape & 15);

	clock_set(clock, clock_ns(clock) + ns, clock_tsc(clock) + 2 * ns);
	clock_start(clock);
	/* One round of what is due: a timer may well be due again. */
	for (unsigned i = 0; i < 4 && clock_next_ns(clock) == 0; i++)
		clock_run(clock);
	clock_stop(clock);
}

static void do_outside(struct board *board, const struct step *step)
{
	uint8_t bytes[32] = { 0 };

	switch (step->where & 7) {
	case 0:
		ns16550_receive(&board->com1, bytes, step->offset & 31);
		break;
	case 1:
		ns16550_receive_break(&board->com1);
		break;
	case 2:
		board->is_full = step->offset & 1;
		ns16550_writable(&board->com1);
		break;
	case 3:
		acpi_pm_power_button(&board->pm);
		acpi_pm_gpe(&board->pm, step->offset);
		break;
	case 4:
		pci_intx_set(&board->nic, step->offset & 1);
		break;
	case 5:
		pci_msix_send(&board->nic, step->offset);
		pci_msi_send(&board->nic);
		break;
	case 6:
		set_gsi(board, step->offset & 31, step->shape & 4);
		break;
	default:
		devices_reset(&board->vm);
		pci_device_reset(&board->nic);
		break;
	}
}

static void do_step(struct board *board, const struct step *step)
{
	struct vcpu *vcpu = board->vm.vcpus[step->op >> 7 & 1];

	switch (step->op & 7) {
	case 0:
	case 1:
		do_bus(&board->vm.io,
		       ports[step->where % ARRAY_SIZE(ports)] +
			       (step->offset & 7),
		       step);
		break;
	case 2:
		do_bus(&board->vm.mmio,
		       mmio[step->where % ARRAY_SIZE(mmio)] + step->offset,
		       step);
		break;
	case 3:
		do_lapic(vcpu, step);
		break;
	case 4:
		do_msr(board, vcpu, step);
		break;
	case 5:
		do_time(board, step);
		break;
	case 6:
		do_outside(board, step);
		break;
	default:
		if (vcpu_has_interrupt(vcpu))
			vcpu_take_interrupt(vcpu);
		lapic_ops.set_tpr(vcpu, step->value & 15);
		break;
	}
}

/* About what firmware leaves, so that a short input reaches something. */
static void boot(struct board *board)
{
	static const uint8_t icw[][2] = {
		{ 0x20, 0x11 }, { 0x21, 0x30 }, { 0x21, 0x04 }, { 0x21, 0x01 },
		{ 0xa0, 0x11 }, { 0xa1, 0x38 }, { 0xa1, 0x02 }, { 0xa1, 0x01 },
	};
	const struct pci_windows windows = {
		.io = 0xc000,
		.io_end = 0xd000,
		.memory = 0xc0000000,
		.memory_end = 0xd0000000,
		.memory64 = 0x800000000,
		.memory64_end = 0x900000000,
	};

	clock_set(&board->vm.clock, 0, 0);
	devices_reset(&board->vm);
	pci_device_reset(&board->nic);
	pci_bus_assign(&board->pci, &windows);
	board->is_full = false;
	for (unsigned i = 0; i < ARRAY_SIZE(icw); i++)
		do_bus(&board->vm.io, icw[i][0],
		       &(struct step){ .shape = 4, .value = icw[i][1] });
	for (unsigned i = 0; i < VCPUS; i++) {
		do_lapic(board->vm.vcpus[i], &(struct step){ .where = 0x0f,
							     .shape = 4,
							     .value = 0x1ff });
		do_lapic(board->vm.vcpus[i],
			 &(struct step){
				 .where = 0x32, .shape = 4, .value = 0x200ec });
	}
	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		board->ioapic.entry[i] = 0x40 + i + (i > 15 ? 0x8000 : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct board *board;

	if (!board)
		board = board_create();
	boot(board);
	for (; size >= 8; data += 8, size -= 8) {
		const struct step step = { data[0], data[1], data[2], data[3],
					   load_u32(data + 4) };

		do_step(board, &step);
	}
	return 0;
}
