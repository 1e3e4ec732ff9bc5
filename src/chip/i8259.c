/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 8259A pair: initialization and operation command words, priorities and
 * their rotation, automatic EOI, special mask and nested modes, polling,
 * spurious interrupts. Intel 8259A data sheet (231468); ELCR: ICH9 data sheet,
 * 13.4.
 *
 * An edge, once latched, stays in the IRR until it is acknowledged or ICW1
 * comes, even if the line drops before: our devices pulse their lines. A
 * level-triggered line that drops leaves the IRR, and an acknowledge that
 * finds nothing gives input 7 (page 18 of the data sheet).
 */
#include "chip/i8259.h"

#include <string.h>

#include "base/bits.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "core/state.h"
#include "core/vm.h"

enum { MASTER, SLAVE };

#define CASCADE	     2
#define SPURIOUS     7

#define ICW1	     BIT(4)
#define ICW1_IC4     BIT(0)
#define ICW4_AEOI    BIT(1)
#define ICW4_SFNM    BIT(4)

#define OCW3	     BIT(3)
#define OCW3_RIS     BIT(0)
#define OCW3_RR	     BIT(1)
#define OCW3_POLL    BIT(2)
#define OCW3_SMM     BIT(5)
#define OCW3_ESMM    BIT(6)

#define POLL_PENDING BIT(7)

/* Inputs that ELCR may make level-triggered: not 0, 1, 2, 8, 13. */
static const uint8_t elcr_writable[2] = { 0xf8, 0xde };

/* --- priorities ------------------------------------------------------------ */

/* 0 is the highest: the input after the lowest. 8 for no bit set. */
static unsigned highest_priority(const struct i8259_chip *chip, uint8_t set)
{
	unsigned priority;

	for (priority = 0; priority < 8; priority++)
		if (set & BIT((chip->lowest + 1 + priority) & 7))
			break;
	return priority;
}

static unsigned input_of(const struct i8259_chip *chip, unsigned priority)
{
	return (chip->lowest + 1 + priority) & 7;
}

/*
 * The input that INT is asserted for, or -1. In special mask mode a masked
 * level in service blocks nobody; in special fully nested mode the master lets
 * the slave interrupt itself (page 15).
 */
static int requested(const struct i8259 *pic, unsigned which)
{
	const struct i8259_chip *chip = &pic->chip[which];
	uint8_t serving = chip->isr;
	unsigned priority;

	if (chip->special_mask)
		serving &= ~chip->imr;
	if (chip->special_nested && which == MASTER)
		serving &= ~BIT(CASCADE);
	priority = highest_priority(chip, chip->irr & ~chip->imr);
	if (priority == 8 || priority >= highest_priority(chip, serving))
		return -1;
	return input_of(chip, priority);
}

/* The slave's INT is the master's input 2; the master's is INTR. */
static void update(struct i8259 *pic)
{
	bool is_pending;

	if (requested(pic, SLAVE) >= 0)
		pic->chip[MASTER].irr |= BIT(CASCADE);
	is_pending = requested(pic, MASTER) >= 0;
	if (atomic_exchange(&pic->is_pending, is_pending) != is_pending)
		irq_set(&pic->output, is_pending);
}

/* The input goes to what its drivers make of it. Lock held. */
static void update_line(struct i8259 *pic, struct i8259_chip *chip, uint8_t bit)
{
	bool level = (chip->isa | chip->pci) & bit;

	if (chip->level & bit)
		chip->irr = level ? chip->irr | bit : chip->irr & ~bit;
	else if (level && !(chip->lines & bit))
		chip->irr |= bit;
	chip->lines = level ? chip->lines | bit : chip->lines & ~bit;
	update(pic);
}

void i8259_set(void *device, unsigned irq, bool level)
{
	struct i8259 *pic = device;
	struct i8259_chip *chip = &pic->chip[irq >> 3 & 1];
	uint8_t bit = BIT(irq & 7);

	if (irq > 15 || irq == CASCADE)
		return;
	LOCKED(&pic->lock);
	chip->isa = level ? chip->isa | bit : chip->isa & ~bit;
	update_line(pic, chip, bit);
}

void i8259_set_pci(struct i8259 *pic, unsigned irq, bool level)
{
	struct i8259_chip *chip = &pic->chip[irq >> 3 & 1];
	uint8_t bit = BIT(irq & 7);

	if (irq > 15 || irq == CASCADE)
		return;
	LOCKED(&pic->lock);
	chip->pci = level ? chip->pci | bit : chip->pci & ~bit;
	update_line(pic, chip, bit);
}

/* --- acknowledge and EOI --------------------------------------------------- */

static void acknowledge_input(struct i8259_chip *chip, unsigned input)
{
	if (!chip->auto_eoi)
		chip->isr |= BIT(input);
	else if (chip->rotate_auto_eoi)
		chip->lowest = input;
	if (!(chip->level & BIT(input)))
		chip->irr &= ~BIT(input);
}

/* One chip's part of the INTA cycle: the input it names. */
static unsigned acknowledge_chip(struct i8259 *pic, unsigned which)
{
	int input = requested(pic, which);

	if (input < 0)
		return SPURIOUS;
	acknowledge_input(&pic->chip[which], input);
	return input;
}

static int acknowledge(void *device)
{
	struct i8259 *pic = device;
	unsigned which = MASTER, input;

	LOCKED(&pic->lock);
	input = acknowledge_chip(pic, MASTER);
	if (input == CASCADE) {
		which = SLAVE;
		input = acknowledge_chip(pic, SLAVE);
	}
	update(pic);
	return pic->chip[which].vectors + input;
}

static bool is_pending(void *device)
{
	struct i8259 *pic = device;

	return atomic_load_explicit(&pic->is_pending, memory_order_acquire);
}

static void non_specific_eoi(struct i8259_chip *chip, bool rotate)
{
	uint8_t serving = chip->isr;
	unsigned priority;

	/* It does not clear what special mask mode hides (page 16). */
	if (chip->special_mask)
		serving &= ~chip->imr;
	priority = highest_priority(chip, serving);
	if (priority == 8)
		return;
	chip->isr &= ~BIT(input_of(chip, priority));
	if (rotate)
		chip->lowest = input_of(chip, priority);
}

/* Figure 8: R, SL and EOI are bits 7 to 5. */
static void write_ocw2(struct i8259_chip *chip, uint8_t value)
{
	unsigned input = value & 7;

	switch (value >> 5) {
	case 0:
	case 4:
		chip->rotate_auto_eoi = value >> 5 == 4;
		break;
	case 1:
	case 5:
		non_specific_eoi(chip, value >> 5 == 5);
		break;
	case 3:
		chip->isr &= ~BIT(input);
		break;
	case 7:
		chip->isr &= ~BIT(input);
		chip->lowest = input;
		break;
	case 6:
		chip->lowest = input;
		break;
	default: /* 2: no operation */
		break;
	}
}

static void write_ocw3(struct i8259_chip *chip, uint8_t value)
{
	chip->poll = value & OCW3_POLL;
	if (value & OCW3_RR)
		chip->read_isr = value & OCW3_RIS;
	if (value & OCW3_ESMM)
		chip->special_mask = value & OCW3_SMM;
}

/* --- initialization -------------------------------------------------------- */

/* Page 10. Whether inputs are levels stays with ELCR (ICH9, 13.4.2). */
static void write_icw1(struct i8259_chip *chip, uint8_t value)
{
	chip->irr &= chip->level & chip->lines;
	chip->isr = chip->imr = 0;
	chip->lowest = 7;
	chip->special_mask = chip->read_isr = chip->poll = false;
	chip->auto_eoi = chip->rotate_auto_eoi = chip->special_nested = false;
	chip->icw4_wanted = value & ICW1_IC4;
	chip->icw_next = 2;
}

static void write_icw(struct i8259_chip *chip, uint8_t value)
{
	switch (chip->icw_next) {
	case 2:
		chip->vectors = value & 0xf8;
		chip->icw_next = 3; /* a PC's pair is always cascaded */
		break;
	case 3:
		chip->icw_next = chip->icw4_wanted ? 4 : 0;
		break;
	default:
		chip->auto_eoi = value & ICW4_AEOI;
		chip->special_nested = value & ICW4_SFNM;
		chip->icw_next = 0;
		break;
	}
}

/* --- ports ----------------------------------------------------------------- */

/* A read in poll mode is the acknowledge (page 17). */
static uint8_t poll(struct i8259 *pic, unsigned which)
{
	int input = requested(pic, which);

	pic->chip[which].poll = false;
	if (input < 0)
		return 0;
	acknowledge_input(&pic->chip[which], input);
	return POLL_PENDING | input;
}

static uint8_t read_port(struct i8259 *pic, unsigned which, unsigned offset)
{
	const struct i8259_chip *chip = &pic->chip[which];

	if (chip->poll)
		return poll(pic, which);
	if (offset == 1)
		return chip->imr;
	return chip->read_isr ? chip->isr : chip->irr;
}

static void write_port(struct i8259_chip *chip, unsigned offset, uint8_t value)
{
	if (offset == 0 && (value & ICW1))
		write_icw1(chip, value);
	else if (offset == 0 && (value & OCW3))
		write_ocw3(chip, value);
	else if (offset == 0)
		write_ocw2(chip, value);
	else if (chip->icw_next)
		write_icw(chip, value);
	else
		chip->imr = value;
}

static enum bus_result access_chip(struct i8259 *pic, unsigned which,
				   struct access *access)
{
	if (access->is_write)
		write_port(&pic->chip[which], access->offset, access->value);
	else
		access->value = read_port(pic, which, access->offset);
	update(pic);
	return BUS_HANDLED;
}

static enum bus_result on_master(void *device, struct access *access)
{
	return access_chip(device, MASTER, access);
}

static enum bus_result on_slave(void *device, struct access *access)
{
	return access_chip(device, SLAVE, access);
}

static enum bus_result on_elcr(void *device, struct access *access)
{
	struct i8259 *pic = device;
	struct i8259_chip *chip = &pic->chip[access->offset & 1];

	if (access->is_write) {
		chip->level = access->value & elcr_writable[access->offset & 1];
		/* What a level input requests is its line. */
		chip->irr &= ~chip->level | chip->lines;
		chip->irr |= chip->level & chip->lines;
		update(pic);
	} else {
		access->value = chip->level;
	}
	return BUS_HANDLED;
}

/* --- the device ------------------------------------------------------------ */

static void on_reset(void *device)
{
	struct i8259 *pic = device;
	unsigned i;

	LOCKED(&pic->lock);
	for (i = 0; i < 2; i++)
		pic->chip[i] = (struct i8259_chip){
			.lines = pic->chip[i].lines,
			.isa = pic->chip[i].isa,
			.pci = pic->chip[i].pci,
			.lowest = 7,
		};
	update(pic);
}

static int on_restored(void *device)
{
	struct i8259 *pic = device;

	/* Version 1 had ISA's drivers only. */
	for (unsigned i = 0; i < 2; i++)
		if (!(pic->chip[i].isa | pic->chip[i].pci))
			pic->chip[i].isa = pic->chip[i].lines;
	update(pic);
	return 0;
}

static const struct state_field chip_fields[] = {
	STATE_FIELD(struct i8259_chip, irr, STATE_UINT, 1),
	STATE_FIELD(struct i8259_chip, isr, STATE_UINT, 1),
	STATE_FIELD(struct i8259_chip, imr, STATE_UINT, 1),
	STATE_FIELD(struct i8259_chip, lines, STATE_UINT, 1),
	STATE_FIELD(struct i8259_chip, isa, STATE_UINT, 2),
	STATE_FIELD(struct i8259_chip, pci, STATE_UINT, 2),
	STATE_FIELD(struct i8259_chip, level, STATE_UINT, 1),
	STATE_FIELD(struct i8259_chip, vectors, STATE_UINT, 1),
	STATE_FIELD(struct i8259_chip, lowest, STATE_UINT, 1),
	STATE_FIELD(struct i8259_chip, icw_next, STATE_UINT, 1),
	STATE_FIELD(struct i8259_chip, icw4_wanted, STATE_BOOL, 1),
	STATE_FIELD(struct i8259_chip, auto_eoi, STATE_BOOL, 1),
	STATE_FIELD(struct i8259_chip, rotate_auto_eoi, STATE_BOOL, 1),
	STATE_FIELD(struct i8259_chip, special_mask, STATE_BOOL, 1),
	STATE_FIELD(struct i8259_chip, special_nested, STATE_BOOL, 1),
	STATE_FIELD(struct i8259_chip, read_isr, STATE_BOOL, 1),
	STATE_FIELD(struct i8259_chip, poll, STATE_BOOL, 1),
	{ .name = NULL },
};

static const struct state_table chip_state = {
	.name = "i8259-chip",
	.version = 2,
	.field = chip_fields,
};

static const struct state_field fields[] = {
	STATE_NESTED_ARRAY(struct i8259, chip, chip_state, 1),
	{ .name = NULL },
};

static const struct state_table state = {
	.name = "i8259",
	.version = 1,
	.field = fields,
	.restored = on_restored,
};

static const struct device_ops ops = {
	.reset = on_reset,
	.state = &state,
};

static const struct extint_ops extint_ops = {
	.is_pending = is_pending,
	.acknowledge = acknowledge,
};

int i8259_init(struct i8259 *pic, struct vm *vm, const struct irq_line *output)
{
	static const struct {
		uint16_t base;
		bus_handler *handler;
	} ports[3] = {
		{ 0x20, on_master },
		{ 0xa0, on_slave },
		{ 0x4d0, on_elcr },
	};
	int error = 0;
	unsigned i;

	memset(pic, 0, sizeof(*pic));
	pthread_mutex_init(&pic->lock, NULL);
	pic->output = *output;
	pic->resources = (struct device_resources){
		.acpi_name = "PIC_",
		.hid = "PNP0000",
		.port = { { 0x20, 2 }, { 0xa0, 2 }, { 0x4d0, 2 } },
		.irq = { 2, -1 },
	};
	pic->device = (struct device){
		.name = "i8259",
		.ops = &ops,
		.resources = &pic->resources,
		.self = pic,
	};
	on_reset(pic);
	vm->extint_ops = &extint_ops;
	vm->extint = pic;
	device_add(vm, &pic->device);
	for (i = 0; i < ARRAY_SIZE(ports) && !error; i++) {
		pic->region[i] = (struct bus_region){
			.name = "i8259",
			.base = ports[i].base,
			.size = 2,
			.sizes = 1,
			.handler = ports[i].handler,
			.device = pic,
			.lock = &pic->lock,
		};
		error = bus_add(&vm->io, &pic->region[i]);
	}
	return error;
}
