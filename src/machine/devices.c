/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * THE list of devices: what is on the board, and how each is wired. A new
 * device is one function here and one line in the table.
 */

#include <errno.h>
#include <unistd.h>

#include "core/vm.h"
#include "machine/pc_internal.h"
#include "x86/cpuid.h"
#include "x86/kvm_para.h"

#define ISA_TIMER    0
#define ISA_KEYBOARD 1
#define ISA_COM1     4
#define ISA_RTC	     8
#define ISA_SCI	     9
#define ISA_FPU	     13

static int create_lapics(struct pc *pc)
{
	struct vm *vm = pc->vm;
	int error;

	/* An engine that brought its own has set apic_ops already. */
	if (vm->apic_ops)
		return 0;
	error = lapic_init(vm);
	for (unsigned i = 0; i < vm->vcpu_count && !error; i++)
		error = lapic_create(vm->vcpus[i]);
	return error;
}

/* Where the guest has been told of it; a state that is moved says the same. */
static int create_paravirt(struct pc *pc)
{
	const struct cpuid_table *cpuid = pc->vm->cpuid;
	uint32_t offered = cpuid_value(cpuid, KVM_PARA_FEATURES, 0, CPUID_EAX);

	if (!(offered & ~BIT(KVM_PARA_NO_DELAY)))
		return 0;
	return paravirt_init(&pc->paravirt, pc->vm,
			     pc->vm->engine_ops->cpuid_offer != NULL);
}

static int create_ioapic(struct pc *pc)
{
	return ioapic_init(&pc->ioapic, pc->vm);
}

/* INTR of the i8259 pair is LINT0 of the bootstrap processor. */
static void set_lint0(void *vcpu, unsigned pin, bool level)
{
	struct vcpu *bootstrap = vcpu;

	bootstrap->vm->apic_ops->set_lint(bootstrap, 0, level);
}

static int create_pic(struct pc *pc)
{
	const struct irq_line lint0 = { .set = set_lint0,
					.chip = pc->vm->vcpus[0] };

	return i8259_init(&pc->pic, pc->vm, &lint0);
}

static int create_pit(struct pc *pc)
{
	const struct irq_line irq = pc_isa_irq(pc, ISA_TIMER);

	return i8254_init(&pc->pit, pc->vm, &irq);
}

static int create_com1(struct pc *pc)
{
	const struct ns16550_config config = {
		.name = "com1",
		.acpi_name = "COM1",
		.uid = 1,
		.port = 0x3f8,
		.gsi = ISA_COM1,
		.irq = pc_isa_irq(pc, ISA_COM1),
		.write = pc->host.console_write,
		.receive_ready = pc->host.console_receive_ready,
		.backend = pc->host.argument,
	};

	return ns16550_init(&pc->com1, pc->vm, &config);
}

/* Soft-off, by SLP_EN in PM1_CNT. Any thread, under a chip's lock. */
static void power_off(void *argument)
{
	struct pc *pc = argument;

	vm_stop(pc->vm, STOP_POWEROFF, 0);
}

static void reset(void *argument)
{
	struct pc *pc = argument;

	vm_request_reset(pc->vm);
}

static int create_pm(struct pc *pc)
{
	const struct acpi_pm_config config = {
		.sci = pc_isa_irq(pc, ISA_SCI),
		.power_off = power_off,
		.argument = pc,
		.is_32bit = true,
	};

	return acpi_pm_init(&pc->pm, pc->vm, &config);
}

static void set_a20(void *argument, bool is_on)
{
	struct pc *pc = argument;

	vm_set_a20(pc->vm, is_on);
}

static int create_keyboard(struct pc *pc)
{
	const struct i8042_config config = {
		.irq = pc_isa_irq(pc, ISA_KEYBOARD),
		.reset = reset,
		.a20 = pc->vm->engine_ops->a20_changed ? set_a20 : NULL,
		.argument = pc,
	};

	return i8042_init(&pc->keyboard, pc->vm, &config);
}

static int create_reset_control(struct pc *pc)
{
	return reset_control_init(&pc->reset_control, pc->vm, reset, pc);
}

/* INTx of the slots go to GSI 16 to 23, as _PRT in boot/dsdt.c has it, and
 * where the LPC bridge wants it, to the i8259s. */
#define PCI_FIRST_GSI 16

static void set_pirq(void *argument, unsigned pirq, bool level)
{
	struct pc *pc = argument;

	ioapic_set(&pc->ioapic, PCI_FIRST_GSI + pirq, level);
	ich9_lpc_set_pirq(&pc->lpc, pirq, level);
}

static int create_pci(struct pc *pc)
{
	struct irq_line intx[PCI_INTX_LINES];

	for (unsigned i = 0; i < PCI_INTX_LINES; i++)
		intx[i] = (struct irq_line){ set_pirq, pc, i };
	return pci_bus_init(&pc->pci, pc->vm, intx);
}

/* What ends at 4 GiB, where a processor starts: the ROM, or a flash chip. */
static uint64_t firmware_size(const struct pc *pc)
{
	return pc->host.rom_size ? pc->host.rom_size : pc->host.flash[0].size;
}

/* The ROM below 4 GiB, and what is seen of it and of RAM below 1 MiB. */
static int create_memory(struct pc *pc)
{
	struct memory *memory = &pc->vm->memory;
	uint64_t size = pc->host.rom_size, offset = memory->ram_size;
	int slot = 0;

	if (size)
		slot = memory_add(memory, MEMORY_HOLE_END - size, size, offset,
				  MEMORY_ROM);
	return slot < 0 ? slot :
			  pam_init(&pc->pam, pc->vm, offset, firmware_size(pc));
}

static int create_flash(struct pc *pc)
{
	static const char *const names[PC_FLASH_MAX] = { "pflash0", "pflash1" };
	uint64_t below = pc->host.rom_size;
	int error = 0;

	for (unsigned i = 0; i < PC_FLASH_MAX && !error; i++) {
		const struct pc_flash *flash = &pc->host.flash[i];
		const struct pflash_config config = {
			.name = names[i],
			.base = MEMORY_HOLE_END - below - flash->size,
			.size = flash->size,
			.offset = pc->vm->memory.ram_size + below,
			.is_readonly = flash->is_readonly,
			.write = flash->write,
			.argument = flash->argument,
		};

		if (!flash->size)
			break;
		error = pflash_init(&pc->flash[i], pc->vm, &config);
		below += flash->size;
	}
	return error;
}

static int create_host_bridge(struct pc *pc)
{
	return q35_init(&pc->q35, &pc->pci, &pc->pam, firmware_size(pc) != 0);
}

static int create_lpc(struct pc *pc)
{
	int error = ich9_lpc_init(&pc->lpc, &pc->pci, &pc->pic);

	pc->lpc.ioapic = &pc->ioapic;
	return error;
}

static int create_rtc(struct pc *pc)
{
	const struct irq_line irq = pc_isa_irq(pc, ISA_RTC);

	int error = mc146818_init(&pc->rtc, pc->vm, &irq);

	pc_fill_cmos(pc);
	return error;
}

static int create_fpu_error(struct pc *pc)
{
	const struct irq_line irq = pc_isa_irq(pc, ISA_FPU);

	return fpu_error_init(&pc->fpu_error, pc->vm, &irq);
}

static void hpet_legacy(void *argument, bool is_on)
{
	struct pc *pc = argument;

	i8254_disconnect(&pc->pit, is_on);
	mc146818_disconnect(&pc->rtc, is_on);
}

static int create_hpet(struct pc *pc)
{
	struct hpet_config config = {
		.irq0 = pc_isa_irq(pc, ISA_TIMER),
		.irq8 = pc_isa_irq(pc, ISA_RTC),
		.legacy = hpet_legacy,
		.argument = pc,
	};

	if (pc->host.no_hpet)
		return 0;
	/* ISA interrupts that no chip of the board has. */
	config.gsi[10] = pc_gsi(pc, 10);
	config.gsi[11] = pc_gsi(pc, 11);
	return hpet_init(&pc->hpet, pc->vm, &config);
}

static int create_debugport(struct pc *pc)
{
	return debugport_init(&pc->debugport, pc->vm, debug_log_byte,
			      &pc->debug_log);
}

static void guest_exit(void *argument, int status)
{
	struct pc *pc = argument;

	vm_stop(pc->vm, STOP_GUEST_EXIT, status);
}

static int create_debugexit(struct pc *pc)
{
	return debugexit_init(&pc->debugexit, pc->vm, guest_exit, pc);
}

/* Last, when all devices that ACPI tells of are there. */
static int create_fw_cfg(struct pc *pc)
{
	int error = fw_cfg_init(&pc->fw_cfg, pc->vm);

	return error ? error : pc_fill_fw_cfg(pc);
}

static int create_testdev(struct pc *pc)
{
	struct testdev_config config = {
		.exit = guest_exit,
		.argument = pc,
	};

	if (!pc->host.has_testdev)
		return 0;
	for (unsigned i = 0; i < TESTDEV_LINES; i++)
		config.line[i] = pc_isa_irq(pc, i);
	return testdev_init(&pc->testdev, pc->vm, &config);
}

#define PCI_TESTDEV PCI_DEVFN(1, 0)

static int create_pci_testdev(struct pc *pc)
{
	if (!pc->host.has_testdev)
		return 0;
	pc->pci.keeps_low_bits = true;
	return pci_testdev_init(&pc->pci_testdev, &pc->pci, PCI_TESTDEV);
}

#define PCI_EDU PCI_DEVFN(2, 0)

static int create_pci_edu(struct pc *pc)
{
	if (!pc->host.has_testdev)
		return 0;
	return pci_edu_init(&pc->pci_edu, &pc->pci, PCI_EDU);
}

/* Behind all PCI devices. KVM's routes would have to follow the guest's table,
 * and nobody tells when that changes. */
static int create_vtd(struct pc *pc)
{
	int error;

	if (!pc->host.has_iommu)
		return 0;
	if (pc->vm->engine_ops->cpuid_offer) {
		log_error("--machine iommu: only with a software engine");
		return -ENOTSUP;
	}
	error = vtd_init(&pc->vtd, pc->vm);
	for (unsigned i = 0; i < ARRAY_SIZE(pc->pci.device) && !error; i++)
		if (pc->pci.device[i])
			vtd_attach(&pc->vtd, &pc->pci.device[i]->dma);
	return error;
}

static void on_reset(void *argument)
{
	pc_do_firmware_work(argument);
}

/* Behind all others, which it finds as RESET# leaves them. */
static int create_firmware_work(struct pc *pc)
{
	static const struct device_ops ops = { .reset = on_reset };

	if (firmware_size(pc))
		return 0;
	pc->firmware_work = (struct device){
		.name = "firmware-work",
		.ops = &ops,
		.self = pc,
	};
	device_add(pc->vm, &pc->firmware_work);
	pc_do_firmware_work(pc);
	return 0;
}

const struct pc_device pc_devices[] = {
	{ "memory", create_memory },
	{ "pflash", create_flash },
	{ "lapic", create_lapics },
	{ "paravirt", create_paravirt },
	{ "ioapic", create_ioapic },
	{ "i8259", create_pic },
	{ "i8254", create_pit },
	{ "acpi-pm", create_pm },
	{ "i8042", create_keyboard },
	/* Before PCI, whose CF8h to CFBh would hide its CF9h. */
	{ "reset-control", create_reset_control },
	{ "pci", create_pci },
	{ "host-bridge", create_host_bridge },
	{ "lpc", create_lpc },
	{ "mc146818", create_rtc },
	{ "fpu-error", create_fpu_error },
	{ "hpet", create_hpet },
	{ "com1", create_com1 },
	{ "debugport", create_debugport },
	{ "debugexit", create_debugexit },
	{ "fw_cfg", create_fw_cfg },
	{ "testdev", create_testdev },
	{ "pci-testdev", create_pci_testdev },
	{ "edu", create_pci_edu },
	{ "vtd", create_vtd },
	{ "firmware-work", create_firmware_work },
	{ NULL },
};
