/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PC/AT's 8042 keyboard controller with nothing plugged in: command byte,
 * self tests, the output port with A20 and RESET#, and the chipset's port 92h.
 * IBM PC/AT Technical Reference (1502494), "Keyboard controller"; port 92h:
 * ICH9 data sheet, 13.7.2.
 *
 * A byte for the absent keyboard is answered as the controller does when the
 * keyboard does not clock it in: FEh with the time-out bit, at once. So a
 * driver finds nothing without waiting. The auxiliary interface fails its test.
 */
#include "chip/i8042.h"

#include <string.h>

#include "base/bits.h"
#include "base/cleanup.h"
#include "core/state.h"
#include "core/vm.h"

#define STATUS_OUTPUT_FULL BIT(0)
#define STATUS_SYSTEM	   BIT(2)
#define STATUS_COMMAND	   BIT(3) /* the last write was to 64h */
#define STATUS_UNLOCKED	   BIT(4)
#define STATUS_AUX	   BIT(5)
#define STATUS_TIMEOUT	   BIT(6)

#define CTR_KBD_INTERRUPT  BIT(0)
#define CTR_SYSTEM	   BIT(2)
#define CTR_KBD_DISABLED   BIT(4)
#define CTR_AUX_DISABLED   BIT(5)

#define OUTPUT_RESET	   BIT(0)
#define OUTPUT_A20	   BIT(1)
#define OUTPUT_FULL	   BIT(4)
#define OUTPUT_IDLE	   0xc0

#define PORT92_RESET	   BIT(0)
#define PORT92_A20	   BIT(1)

enum command {
	READ_RAM = 0x20, /* to 3fh */
	WRITE_RAM = 0x60, /* to 7fh */
	AUX_DISABLE = 0xa7,
	AUX_ENABLE = 0xa8,
	AUX_TEST = 0xa9,
	SELF_TEST = 0xaa,
	KBD_TEST = 0xab,
	KBD_DISABLE = 0xad,
	KBD_ENABLE = 0xae,
	READ_INPUT = 0xc0,
	READ_OUTPUT = 0xd0,
	WRITE_OUTPUT = 0xd1,
	WRITE_KBD_BUFFER = 0xd2,
	WRITE_AUX_BUFFER = 0xd3,
	WRITE_AUX = 0xd4,
	A20_OFF = 0xdd,
	A20_ON = 0xdf,
	PULSE = 0xf0, /* to ffh: a 0 bit pulses its output low */
};

#define SELF_TEST_PASSED   0x55
#define KBD_TEST_PASSED	   0x00
#define AUX_TEST_CLOCK_LOW 0x01
#define INPUT_PORT	   0x80 /* keyboard not locked */
#define NO_DEVICE	   0xfe

static void update_irq(struct i8042 *kbc)
{
	irq_set(&kbc->config.irq, (kbc->status & STATUS_OUTPUT_FULL) &&
					  (kbc->ram[0] & CTR_KBD_INTERRUPT));
}

static void answer(struct i8042 *kbc, uint8_t data, uint8_t flags)
{
	kbc->data = data;
	kbc->status &= ~(STATUS_AUX | STATUS_TIMEOUT);
	kbc->status |= STATUS_OUTPUT_FULL | flags;
}

static void set_a20(struct i8042 *kbc, bool is_on)
{
	if (kbc->a20 == is_on || !kbc->config.a20)
		return;
	kbc->a20 = is_on;
	kbc->config.a20(kbc->config.argument, is_on);
}

static void write_output_port(struct i8042 *kbc, uint8_t value)
{
	set_a20(kbc, value & OUTPUT_A20);
	if (!(value & OUTPUT_RESET))
		kbc->config.reset(kbc->config.argument);
}

static uint8_t read_output_port(const struct i8042 *kbc)
{
	return OUTPUT_IDLE | OUTPUT_RESET | (kbc->a20 ? OUTPUT_A20 : 0) |
	       (kbc->status & STATUS_OUTPUT_FULL ? OUTPUT_FULL : 0);
}

static void write_ram(struct i8042 *kbc, unsigned index, uint8_t value)
{
	kbc->ram[index] = value;
	if (index)
		return;
	kbc->status &= ~STATUS_SYSTEM;
	kbc->status |= value & CTR_SYSTEM ? STATUS_SYSTEM : 0;
}

static void self_test(struct i8042 *kbc)
{
	write_ram(kbc, 0, CTR_SYSTEM | CTR_KBD_DISABLED | CTR_AUX_DISABLED);
	answer(kbc, SELF_TEST_PASSED, 0);
}

static void write_command(struct i8042 *kbc, uint8_t value)
{
	kbc->status |= STATUS_COMMAND;
	kbc->command = 0;
	switch (value) {
	case READ_RAM ... READ_RAM + 31:
		answer(kbc, kbc->ram[value & 31], 0);
		break;
	case WRITE_RAM ... WRITE_RAM + 31:
	case WRITE_OUTPUT:
	case WRITE_KBD_BUFFER:
	case WRITE_AUX_BUFFER:
	case WRITE_AUX:
		kbc->command = value;
		break;
	case AUX_DISABLE:
		kbc->ram[0] |= CTR_AUX_DISABLED;
		break;
	case AUX_ENABLE:
		kbc->ram[0] &= ~CTR_AUX_DISABLED;
		break;
	case AUX_TEST:
		answer(kbc, AUX_TEST_CLOCK_LOW, 0);
		break;
	case SELF_TEST:
		self_test(kbc);
		break;
	case KBD_TEST:
		answer(kbc, KBD_TEST_PASSED, 0);
		break;
	case KBD_DISABLE:
		kbc->ram[0] |= CTR_KBD_DISABLED;
		break;
	case KBD_ENABLE:
		kbc->ram[0] &= ~CTR_KBD_DISABLED;
		break;
	case READ_INPUT:
		answer(kbc, INPUT_PORT, 0);
		break;
	case READ_OUTPUT:
		answer(kbc, read_output_port(kbc), 0);
		break;
	case A20_OFF:
	case A20_ON:
		set_a20(kbc, value == A20_ON);
		break;
	case PULSE ... PULSE + 15:
		if (!(value & OUTPUT_RESET))
			kbc->config.reset(kbc->config.argument);
		break;
	default: /* unknown commands are ignored */
		break;
	}
}

static void write_data(struct i8042 *kbc, uint8_t value)
{
	uint8_t command = kbc->command;

	kbc->status &= ~STATUS_COMMAND;
	kbc->command = 0;
	switch (command) {
	case 0:
		answer(kbc, NO_DEVICE, STATUS_TIMEOUT);
		break;
	case WRITE_OUTPUT:
		write_output_port(kbc, value);
		break;
	case WRITE_KBD_BUFFER:
	case WRITE_AUX_BUFFER: /* as an AT's, which has no such command */
		answer(kbc, value, 0);
		break;
	case WRITE_AUX:
		answer(kbc, NO_DEVICE, STATUS_AUX | STATUS_TIMEOUT);
		break;
	default:
		write_ram(kbc, command & 31, value);
		break;
	}
}

static enum bus_result on_data(void *device, struct access *access)
{
	struct i8042 *kbc = device;

	if (access->is_write) {
		write_data(kbc, access->value);
	} else {
		access->value = kbc->data;
		kbc->status &=
			~(STATUS_OUTPUT_FULL | STATUS_AUX | STATUS_TIMEOUT);
	}
	update_irq(kbc);
	return BUS_HANDLED;
}

static enum bus_result on_command(void *device, struct access *access)
{
	struct i8042 *kbc = device;

	if (access->is_write)
		write_command(kbc, access->value);
	else
		access->value = kbc->status;
	update_irq(kbc);
	return BUS_HANDLED;
}

static enum bus_result on_port92(void *device, struct access *access)
{
	struct i8042 *kbc = device;

	if (!access->is_write) {
		access->value = kbc->a20 ? PORT92_A20 : 0;
		return BUS_HANDLED;
	}
	set_a20(kbc, access->value & PORT92_A20);
	if (access->value & PORT92_RESET)
		kbc->config.reset(kbc->config.argument);
	return BUS_HANDLED;
}

/* A20 comes up open: there is no firmware here that would open it. */
static void on_reset(void *device)
{
	struct i8042 *kbc = device;

	LOCKED(&kbc->lock);
	memset(kbc->ram, 0, sizeof(kbc->ram));
	kbc->ram[0] = CTR_SYSTEM | CTR_KBD_DISABLED | CTR_AUX_DISABLED;
	kbc->status = STATUS_UNLOCKED | STATUS_SYSTEM;
	kbc->data = kbc->command = 0;
	set_a20(kbc, true);
	update_irq(kbc);
}

static int on_restored(void *device)
{
	struct i8042 *kbc = device;

	if (kbc->config.a20)
		kbc->config.a20(kbc->config.argument, kbc->a20);
	return 0;
}

static const struct state_field fields[] = {
	STATE_FIELD(struct i8042, ram, STATE_BYTES, 1),
	STATE_FIELD(struct i8042, status, STATE_UINT, 1),
	STATE_FIELD(struct i8042, data, STATE_UINT, 1),
	STATE_FIELD(struct i8042, command, STATE_UINT, 1),
	STATE_FIELD(struct i8042, a20, STATE_BOOL, 1),
	{ .name = NULL },
};

static const struct state_table state = {
	.name = "i8042",
	.version = 1,
	.field = fields,
	.restored = on_restored,
};

static const struct device_ops ops = {
	.reset = on_reset,
	.state = &state,
};

int i8042_init(struct i8042 *kbc, struct vm *vm,
	       const struct i8042_config *config)
{
	static const struct {
		uint16_t port;
		bus_handler *handler;
	} ports[3] = {
		{ 0x60, on_data },
		{ 0x64, on_command },
		{ 0x92, on_port92 },
	};
	int error = 0;
	unsigned i;

	memset(kbc, 0, sizeof(*kbc));
	pthread_mutex_init(&kbc->lock, NULL);
	kbc->config = *config;
	kbc->a20 = true;
	kbc->device = (struct device){
		.name = "i8042",
		.ops = &ops,
		.self = kbc,
	};
	on_reset(kbc);
	device_add(vm, &kbc->device);
	for (i = 0; i < ARRAY_SIZE(ports) && !error; i++) {
		kbc->region[i] = (struct bus_region){
			.name = "i8042",
			.base = ports[i].port,
			.size = 1,
			.sizes = 1,
			.handler = ports[i].handler,
			.device = kbc,
			.lock = &kbc->lock,
		};
		error = bus_add(&vm->io, &kbc->region[i]);
	}
	return error;
}
