/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI fixed hardware: PM1 event and control blocks, the PM timer, GPE0. ACPI
 * 6.4, 4.8; register layout: ICH9 data sheet, 13.8.3.
 *
 * There is no SMI that would hand power management over: SCI_EN is always set,
 * which a FADT without SMI_CMD says (ACPI 6.4, 4.8.2.5).
 */
#include "chip/acpi_pm.h"

#include <string.h>

#include "base/bits.h"
#include "base/cleanup.h"
#include "core/state.h"
#include "core/vm.h"

enum {
	PM1_STATUS = 0x00,
	PM1_ENABLE = 0x02,
	PM1_CONTROL = 0x04,
	PM_TIMER = 0x08,
	GPE_STATUS = 0x20,
	GPE_ENABLE = 0x28,
	SMI_ENABLE = 0x30,
};

#define PM1_TIMER  BIT(0)
#define PM1_GLOBAL BIT(5)
#define PM1_POWER  BIT(8)
#define PM1_RTC	   BIT(10)
#define PM1_EVENTS (PM1_TIMER | PM1_GLOBAL | PM1_POWER | PM1_RTC)

/*
 * There is no SMM to set up. Firmware that finds the APM port's SMI enabled
 * takes it that somebody has done so.
 */
#define SMI_APMC      BIT(5)

#define CONTROL_SCI   BIT(0)
#define CONTROL_KEPT  (BIT(1) | BITS(12, 10)) /* BM_RLD, SLP_TYP */
#define CONTROL_SLEEP BIT(13)

static uint64_t ticks(const struct acpi_pm *pm)
{
	return (unsigned __int128)clock_ns(pm->clock) * ACPI_PM_TIMER_HZ /
	       1000000000ull;
}

static unsigned top_bit(const struct acpi_pm *pm)
{
	return pm->config.is_32bit ? 31 : 23;
}

static void update_sci(struct acpi_pm *pm)
{
	irq_set(&pm->config.sci,
		(pm->pm1_status & pm->pm1_enable & PM1_EVENTS) ||
			(pm->gpe_status & pm->gpe_enable));
}

/* TMR_STS is set each time the timer's highest bit changes (4.8.3.3). */
static void update_timer(struct acpi_pm *pm)
{
	uint64_t wraps = ticks(pm) >> top_bit(pm);
	uint64_t next = (wraps + 1) << top_bit(pm);

	if (wraps != pm->timer_wraps)
		pm->pm1_status |= PM1_TIMER;
	pm->timer_wraps = wraps;
	if (pm->pm1_enable & PM1_TIMER)
		timer_set(&pm->timer, (unsigned __int128)next * 1000000000ull /
						      ACPI_PM_TIMER_HZ +
					      1);
	else
		timer_cancel(&pm->timer);
}

static void on_timer(void *argument)
{
	struct acpi_pm *pm = argument;

	update_timer(pm);
	update_sci(pm);
}

void acpi_pm_power_button(struct acpi_pm *pm)
{
	LOCKED(&pm->lock);
	pm->pm1_status |= PM1_POWER;
	update_sci(pm);
}

void acpi_pm_gpe(struct acpi_pm *pm, unsigned bit)
{
	LOCKED(&pm->lock);
	pm->gpe_status |= BIT(bit & 63);
	update_sci(pm);
}

static uint32_t read_dword(struct acpi_pm *pm, unsigned offset)
{
	switch (offset) {
	case PM1_STATUS:
		return pm->pm1_status | (uint32_t)pm->pm1_enable << 16;
	case PM1_CONTROL:
		return pm->pm1_control | CONTROL_SCI;
	case PM_TIMER:
		return ticks(pm) & (pm->config.is_32bit ? ~0u : 0xffffff);
	case GPE_STATUS:
	case GPE_STATUS + 4:
		return pm->gpe_status >> 8 * (offset - GPE_STATUS);
	case GPE_ENABLE:
	case GPE_ENABLE + 4:
		return pm->gpe_enable >> 8 * (offset - GPE_ENABLE);
	case SMI_ENABLE:
		return pm->smi_enable;
	default:
		return 0;
	}
}

static void put_byte(void *reg, unsigned index, uint8_t value)
{
	((uint8_t *)reg)[index] = value;
}

/* SLP_TYP and SLP_EN share the control register's second byte. */
static void write_control(struct acpi_pm *pm, unsigned index, uint8_t value)
{
	uint16_t control = pm->pm1_control;

	put_byte(&control, index, value);
	pm->pm1_control = control & CONTROL_KEPT;
	/* The board has no sleep states but soft-off. */
	if ((control & CONTROL_SLEEP) &&
	    bits_get(control, 12, 10) == ACPI_PM_SLP_TYP_S5)
		pm->config.power_off(pm->config.argument);
}

static void write_byte(struct acpi_pm *pm, unsigned offset, uint8_t value)
{
	switch (offset) {
	case PM1_STATUS ... PM1_STATUS + 1: /* write 1 to clear */
		pm->pm1_status &= ~(value << 8 * (offset - PM1_STATUS));
		break;
	case PM1_ENABLE ... PM1_ENABLE + 1:
		put_byte(&pm->pm1_enable, offset - PM1_ENABLE, value);
		pm->pm1_enable &= PM1_EVENTS;
		break;
	case PM1_CONTROL ... PM1_CONTROL + 1:
		write_control(pm, offset - PM1_CONTROL, value);
		break;
	case GPE_STATUS ... GPE_STATUS + 7:
		pm->gpe_status &=
			~((uint64_t)value << 8 * (offset - GPE_STATUS));
		break;
	case GPE_ENABLE ... GPE_ENABLE + 7:
		put_byte(&pm->gpe_enable, offset - GPE_ENABLE, value);
		break;
	case SMI_ENABLE ... SMI_ENABLE + 3:
		put_byte(&pm->smi_enable, offset - SMI_ENABLE, value);
		break;
	default:
		break;
	}
}

static enum bus_result on_access(void *device, struct access *access)
{
	struct acpi_pm *pm = device;
	unsigned offset = access->offset, aligned = offset & ~3u, i;
	uint64_t value;

	/* A clock source reads nothing else, and often. */
	if (!access->is_write && aligned == PM_TIMER) {
		access->value = read_dword(pm, PM_TIMER) >>
				8 * (offset - PM_TIMER);
		return BUS_HANDLED;
	}
	update_timer(pm);
	if (access->is_write) {
		for (i = 0; i < access->size; i++)
			write_byte(pm, offset + i, access->value >> 8 * i);
		update_timer(pm);
	} else {
		value = read_dword(pm, aligned);
		if (offset + access->size > aligned + 4)
			value |= (uint64_t)read_dword(pm, aligned + 4) << 32;
		access->value = value >> 8 * (offset - aligned);
	}
	update_sci(pm);
	return BUS_HANDLED;
}

static void on_reset(void *device)
{
	struct acpi_pm *pm = device;

	LOCKED(&pm->lock);
	pm->pm1_status = pm->pm1_enable = pm->pm1_control = 0;
	pm->gpe_status = pm->gpe_enable = 0;
	pm->smi_enable = SMI_APMC;
	pm->timer_wraps = ticks(pm) >> top_bit(pm);
	update_timer(pm);
	update_sci(pm);
}

static const struct state_field fields[] = {
	STATE_FIELD(struct acpi_pm, pm1_status, STATE_UINT, 1),
	STATE_FIELD(struct acpi_pm, pm1_enable, STATE_UINT, 1),
	STATE_FIELD(struct acpi_pm, pm1_control, STATE_UINT, 1),
	STATE_FIELD(struct acpi_pm, gpe_status, STATE_UINT, 1),
	STATE_FIELD(struct acpi_pm, gpe_enable, STATE_UINT, 1),
	STATE_FIELD(struct acpi_pm, smi_enable, STATE_UINT, 1),
	STATE_FIELD(struct acpi_pm, timer_wraps, STATE_UINT, 1),
	STATE_FIELD(struct acpi_pm, timer, STATE_TIMER, 1),
	{ .name = NULL },
};

static const struct state_table state = {
	.name = "acpi-pm",
	.version = 1,
	.field = fields,
};

static const struct device_ops ops = {
	.reset = on_reset,
	.state = &state,
};

int acpi_pm_init(struct acpi_pm *pm, struct vm *vm,
		 const struct acpi_pm_config *config)
{
	memset(pm, 0, sizeof(*pm));
	pthread_mutex_init(&pm->lock, NULL);
	pm->config = *config;
	pm->clock = &vm->clock;
	timer_init(&pm->timer, &vm->clock, &pm->lock, on_timer, pm);
	pm->device = (struct device){
		.name = "acpi-pm",
		.ops = &ops,
		.self = pm,
	};
	pm->region = (struct bus_region){
		.name = "acpi-pm",
		.base = ACPI_PM_BASE,
		.size = ACPI_PM_SIZE,
		.handler = on_access,
		.device = pm,
		.lock = &pm->lock,
	};
	on_reset(pm);
	device_add(vm, &pm->device);
	return bus_add(&vm->io, &pm->region);
}
