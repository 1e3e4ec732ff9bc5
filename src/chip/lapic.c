/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC: interrupt acceptance and priority, the registers, the local
 * vector table, and the page they are on in xAPIC mode. SDM 3, chapter 10.
 *
 * Threads. Anybody may make an interrupt pending, under the lapic's lock. The
 * vCPU's own thread does everything else; what only it writes (base, tpr, svr)
 * it may read without the lock. has_interrupt reads two atomics that
 * lapic_update derives under the lock, and every change that makes one true is
 * followed by vcpu_request(VCPU_INTERRUPT), so that no wake-up is lost. While
 * one stays true there is no further request: the engine looks again whenever
 * it becomes able to take an interrupt.
 *
 * Lock order: the i8259 and the IOAPIC come before a lapic (core/vm.h), so the
 * INTA cycle and the EOI broadcast happen after the lapic's lock is released.
 */
#include "chip/lapic_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "core/apic_state.h"
#include "core/vm.h"

/* Integrated, EOI broadcast can be suppressed (10.4.8). */
#define VERSION (0x15u | (LAPIC_LVT_COUNT - 1) << 16 | BIT(24))

/* Delivery status (bit 12) and remote IRR (14) are read-only. */
const uint32_t lapic_lvt_writable[LAPIC_LVT_COUNT] = {
	[LAPIC_LVT_TIMER] = 0x700ff,	   [LAPIC_LVT_THERMAL] = 0x107ff,
	[LAPIC_LVT_PERFORMANCE] = 0x107ff, [LAPIC_LVT_LINT0] = 0x1a7ff,
	[LAPIC_LVT_LINT1] = 0x1a7ff,	   [LAPIC_LVT_ERROR] = 0x100ff,
};

/* --- vectors and priority -------------------------------------------------- */

int lapic_highest(const uint32_t bits[8])
{
	int i;

	for (i = 7; i >= 0; i--)
		if (bits[i])
			return i * 32 + 31 - __builtin_clz(bits[i]);
	return -1;
}

static void vector_set(uint32_t bits[8], uint8_t vector, bool on)
{
	bits[vector / 32] &= ~(1u << vector % 32);
	bits[vector / 32] |= (uint32_t)on << vector % 32;
}

static bool vector_is_set(const uint32_t bits[8], uint8_t vector)
{
	return bits[vector / 32] >> vector % 32 & 1;
}

/* The processor priority register, 10.8.3.1. */
uint32_t lapic_priority(const struct lapic *lapic)
{
	int in_service = lapic_highest(lapic->isr);
	uint32_t class = in_service < 0 ? 0 : in_service & 0xf0;

	return (lapic->tpr & 0xf0) >= class ? lapic->tpr : class;
}

/* The vector to take now, or -1. */
static int deliverable(const struct lapic *lapic)
{
	int vector = lapic_highest(lapic->irr);

	if (vector < 0 || !lapic_is_enabled(lapic) ||
	    !(lapic->svr & SVR_ENABLED))
		return -1;
	return (vector & 0xf0) > (lapic_priority(lapic) & 0xf0) ? vector : -1;
}

static enum apic_delivery lvt_delivery(uint32_t lvt)
{
	return bits_get(lvt, 10, LVT_MODE_SHIFT);
}

/* LINT0 is INTR while the APIC is disabled (10.4.3), or when it is ExtINT. */
static bool wants_extint(const struct lapic *lapic)
{
	uint32_t lvt = lapic->lvt[LAPIC_LVT_LINT0];

	if (lapic->extint_message)
		return true;
	if (!lapic->lint[0])
		return false;
	return !lapic_is_enabled(lapic) ||
	       (!(lvt & LVT_MASKED) && lvt_delivery(lvt) == APIC_EXTINT);
}

/* Something waits behind an interrupt that may be over. */
static bool must_look(const struct lapic *lapic)
{
	return atomic_load_explicit(&lapic->has_offered_eoi,
				    memory_order_relaxed) &&
	       lapic_highest(lapic->irr) >= 0;
}

void lapic_update(struct lapic *lapic)
{
	bool is_ready = deliverable(lapic) >= 0 || must_look(lapic);
	bool is_extint = wants_extint(lapic);
	bool was_ready = atomic_exchange(&lapic->is_ready, is_ready);
	bool was_extint = atomic_exchange(&lapic->is_extint, is_extint);

	if ((is_ready && !was_ready) || (is_extint && !was_extint))
		vcpu_request(lapic->vcpu, VCPU_INTERRUPT);
}

void lapic_error(struct lapic *lapic, uint32_t esr_bit)
{
	bool is_new = !(lapic->esr_pending & esr_bit);

	lapic->esr_pending |= esr_bit;
	/* An illegal vector in LVT error itself must not recurse for ever. */
	if (is_new)
		lapic_fire(lapic, LAPIC_LVT_ERROR);
}

void lapic_accept(struct lapic *lapic, uint8_t vector, bool is_level)
{
	if (!(lapic->svr & SVR_ENABLED))
		return;
	if (vector < 16) {
		lapic_error(lapic, ESR_RECEIVE_VECTOR);
		return;
	}
	vector_set(lapic->irr, vector, true);
	vector_set(lapic->tmr, vector, is_level);
}

void lapic_fire(struct lapic *lapic, enum lapic_lvt index)
{
	uint32_t lvt = lapic->lvt[index];

	if (lvt & LVT_MASKED)
		return;
	switch (lvt_delivery(lvt)) {
	case APIC_FIXED:
		lapic_accept(lapic, lvt & LVT_VECTOR, false);
		break;
	case APIC_NMI:
		vcpu_nmi(lapic->vcpu);
		break;
	case APIC_INIT:
		vcpu_request(lapic->vcpu, VCPU_INIT);
		break;
	default: /* ExtINT follows the pin's level; there is no SMM */
		break;
	}
}

static void set_lint(struct vcpu *vcpu, unsigned pin, bool level)
{
	struct lapic *lapic = lapic_of(vcpu);
	bool rises;

	LOCKED(&lapic->lock);
	rises = level && !lapic->lint[pin];
	lapic->lint[pin] = level;
	if (rises && lapic_is_enabled(lapic))
		lapic_fire(lapic, pin ? LAPIC_LVT_LINT1 : LAPIC_LVT_LINT0);
	else if (rises && pin)
		vcpu_nmi(vcpu);
	lapic_update(lapic);
}

static void look(struct lapic *lapic)
{
	if (!atomic_load_explicit(&lapic->has_offered_eoi,
				  memory_order_relaxed))
		return;
	lapic_pv_sync(lapic);
	LOCKED(&lapic->lock);
	lapic_update(lapic);
}

static bool has_interrupt(struct vcpu *vcpu)
{
	struct lapic *lapic = lapic_of(vcpu);

	if (atomic_load_explicit(&lapic->is_ready, memory_order_acquire))
		look(lapic);
	return atomic_load_explicit(&lapic->is_ready, memory_order_acquire) ||
	       atomic_load_explicit(&lapic->is_extint, memory_order_acquire);
}

/* The INTA cycle at the i8259, -1 if it has withdrawn its request. */
static int acknowledge_extint(struct vm *vm, struct lapic *lapic)
{
	if (!atomic_load_explicit(&lapic->is_extint, memory_order_acquire))
		return -1;
	pthread_mutex_lock(&lapic->lock);
	lapic->extint_message = false;
	lapic_update(lapic);
	pthread_mutex_unlock(&lapic->lock);
	if (!vm->extint_ops || !vm->extint_ops->is_pending(vm->extint))
		return -1;
	return vm->extint_ops->acknowledge(vm->extint);
}

static bool is_alone(const uint32_t bits[8], uint8_t vector)
{
	for (unsigned i = 0; i < 8; i++)
		if (bits[i] & ~(i == vector / 32u ? 1u << vector % 32 : 0))
			return false;
	return true;
}

/* It is the only one, and nobody else wants to hear of its end. */
static bool may_offer_eoi(const struct lapic *lapic, int vector)
{
	return (lapic->vcpu->paravirt.eoi & 1) &&
	       lapic_highest(lapic->isr) < 0 &&
	       !vector_is_set(lapic->tmr, vector) &&
	       is_alone(lapic->irr, vector);
}

static int acknowledge(struct vcpu *vcpu)
{
	struct lapic *lapic = lapic_of(vcpu);
	int vector = acknowledge_extint(vcpu->vm, lapic);
	bool offers_eoi = false;

	if (vector >= 0)
		return vector;
	lapic_pv_sync(lapic);
	pthread_mutex_lock(&lapic->lock);
	vector = deliverable(lapic);
	if (vector >= 0) {
		offers_eoi = may_offer_eoi(lapic, vector);
		vector_set(lapic->irr, vector, false);
		vector_set(lapic->isr, vector, true);
		atomic_store(&lapic->has_offered_eoi, offers_eoi);
	}
	lapic_update(lapic);
	pthread_mutex_unlock(&lapic->lock);
	if (offers_eoi)
		lapic_pv_offer(lapic);
	return vector;
}

/* --- registers ------------------------------------------------------------- */

static uint8_t get_tpr(struct vcpu *vcpu)
{
	return lapic_of(vcpu)->tpr >> 4;
}

static void write_tpr(struct lapic *lapic, uint8_t value)
{
	if (lapic->tpr == value)
		return;
	lapic->tpr = value;
	lapic_update(lapic);
}

static void set_tpr(struct vcpu *vcpu, uint8_t cr8)
{
	struct lapic *lapic = lapic_of(vcpu);

	LOCKED(&lapic->lock);
	write_tpr(lapic, cr8 << 4);
}

/* Takes and releases the lock: the IOAPIC is told without it. */
void lapic_end_of_interrupt(struct lapic *lapic)
{
	struct vm *vm = lapic->vcpu->vm;
	bool is_broadcast = false;
	int vector;

	pthread_mutex_lock(&lapic->lock);
	vector = lapic_highest(lapic->isr);
	if (vector >= 0) {
		vector_set(lapic->isr, vector, false);
		is_broadcast = vector_is_set(lapic->tmr, vector) &&
			       !(lapic->svr & SVR_NO_EOI_BROADCAST);
		lapic_update(lapic);
	}
	pthread_mutex_unlock(&lapic->lock);
	if (is_broadcast && vm->eoi_ops)
		vm->eoi_ops->eoi(vm->eoi, vector);
}

/* 10.5.5: a vector below 16 in a fixed interrupt is not sent. */
void lapic_command(struct lapic *lapic, uint32_t low, uint32_t destination)
{
	uint32_t delivery = bits_get(low, 10, 8);

	if (delivery <= APIC_LOWEST && (low & LVT_VECTOR) < 16) {
		LOCKED(&lapic->lock);
		lapic_error(lapic, ESR_SEND_VECTOR);
		lapic_update(lapic);
		return;
	}
	lapic_send_ipi(lapic, low, destination);
}

static void write_lvt(struct lapic *lapic, enum lapic_lvt index, uint32_t value)
{
	uint32_t old = lapic->lvt[index];

	value &= lapic_lvt_writable[index];
	if (!(lapic->svr & SVR_ENABLED))
		value |= LVT_MASKED;
	lapic->lvt[index] = value;
	if (index == LAPIC_LVT_TIMER)
		lapic_timer_mode_changed(lapic, old);
	lapic_update(lapic);
}

/* 10.4.7.2: while the APIC is software disabled every entry is masked. */
static void write_svr(struct lapic *lapic, uint32_t value)
{
	unsigned i;

	lapic->svr = value & SVR_WRITABLE;
	for (i = 0; !(value & SVR_ENABLED) && i < LAPIC_LVT_COUNT; i++)
		lapic->lvt[i] |= LVT_MASKED;
	lapic_update(lapic);
}

static uint32_t read_id(const struct lapic *lapic)
{
	uint32_t id = lapic->vcpu->apic_id;

	return lapic_is_x2apic(lapic) ? id : id << 24;
}

/* False: there is no such register. */
bool lapic_read_register(struct lapic *lapic, unsigned reg, uint32_t *value)
{
	switch (reg) {
	case REG_ID:
		*value = read_id(lapic);
		break;
	case REG_VERSION:
		*value = VERSION;
		break;
	case REG_TPR:
		*value = lapic->tpr;
		break;
	case REG_APR: /* not since the Pentium 4: as PPR */
	case REG_PPR:
		*value = lapic_priority(lapic);
		break;
	case REG_EOI:
	case REG_RRD:
		*value = 0;
		break;
	case REG_LDR:
		*value = lapic->ldr;
		break;
	case REG_DFR:
		*value = lapic->dfr;
		break;
	case REG_SVR:
		*value = lapic->svr;
		break;
	case REG_ISR ... REG_ISR + 7:
		*value = lapic->isr[reg - REG_ISR];
		break;
	case REG_TMR ... REG_TMR + 7:
		*value = lapic->tmr[reg - REG_TMR];
		break;
	case REG_IRR ... REG_IRR + 7:
		*value = lapic->irr[reg - REG_IRR];
		break;
	case REG_ESR:
		*value = lapic->esr;
		break;
	case REG_ICR_LOW:
		*value = lapic->icr_low;
		break;
	case REG_ICR_HIGH:
		*value = lapic->icr_high;
		break;
	case REG_LVT_TIMER ... REG_LVT_ERROR:
		*value = lapic->lvt[reg - REG_LVT_TIMER];
		break;
	case REG_INITIAL:
		*value = lapic->timer_initial;
		break;
	case REG_CURRENT:
		*value = lapic_timer_current(lapic);
		break;
	case REG_DIVIDE:
		*value = lapic->timer_divide;
		break;
	default:
		*value = 0;
		return false;
	}
	return true;
}

/* False: there is no such register. EOI and the ICR are not for here. */
bool lapic_write_register(struct lapic *lapic, unsigned reg, uint32_t value)
{
	switch (reg) {
	case REG_ID: /* read-only, as on current processors */
	case REG_VERSION ... REG_VERSION + 4:
	case REG_APR ... REG_PPR:
	case REG_RRD:
	case REG_ISR ... REG_ISR + 7:
	case REG_TMR ... REG_TMR + 7:
	case REG_IRR ... REG_IRR + 7:
	case REG_CURRENT:
		break;
	case REG_TPR:
		write_tpr(lapic, value);
		break;
	case REG_LDR:
		lapic->ldr = value & 0xff000000;
		break;
	case REG_DFR:
		lapic->dfr = value | 0x0fffffff;
		break;
	case REG_SVR:
		write_svr(lapic, value);
		break;
	case REG_ESR: /* a write latches what came since the last (10.5.3) */
		lapic->esr = lapic->esr_pending;
		lapic->esr_pending = 0;
		break;
	case REG_ICR_HIGH:
		lapic->icr_high = value;
		break;
	case REG_LVT_TIMER ... REG_LVT_ERROR:
		write_lvt(lapic, reg - REG_LVT_TIMER, value);
		break;
	case REG_INITIAL:
		lapic_timer_set_initial(lapic, value);
		break;
	case REG_DIVIDE:
		lapic_timer_set_divide(lapic, value);
		break;
	default:
		return false;
	}
	return true;
}

/* --- the page (xAPIC) ------------------------------------------------------ */

static uint64_t page(struct vcpu *vcpu)
{
	uint64_t base = lapic_of(vcpu)->base;

	if ((base & (APIC_BASE_ENABLED | APIC_BASE_X2APIC)) !=
	    APIC_BASE_ENABLED)
		return ~0ull;
	return base & APIC_BASE_PAGE;
}

static bool is_enabled(struct vcpu *vcpu)
{
	return lapic_is_enabled(lapic_of(vcpu));
}

static void page_write(struct lapic *lapic, unsigned reg, uint32_t value)
{
	if (reg == REG_EOI) {
		lapic_end_of_interrupt(lapic);
		return;
	}
	if (reg == REG_ICR_LOW) {
		pthread_mutex_lock(&lapic->lock);
		lapic->icr_low = value & ICR_LOW_WRITABLE;
		pthread_mutex_unlock(&lapic->lock);
		lapic_command(lapic, lapic->icr_low, lapic->icr_high >> 24);
		return;
	}
	LOCKED(&lapic->lock);
	if (lapic_write_register(lapic, reg, value))
		return;
	lapic_error(lapic, ESR_REGISTER);
	lapic_update(lapic);
}

static uint64_t page_read(struct lapic *lapic, unsigned reg, unsigned byte)
{
	uint32_t value;

	LOCKED(&lapic->lock);
	if (!lapic_read_register(lapic, reg, &value)) {
		lapic_error(lapic, ESR_REGISTER);
		lapic_update(lapic);
	}
	return byte < 4 ? value >> 8 * byte : 0;
}

/*
 * 10.4.1: registers are 32 bits wide at 16-byte boundaries. Writes of any other
 * kind do nothing; reads give what lies there.
 */
static enum bus_result on_page(struct vcpu *vcpu, struct access *access)
{
	struct lapic *lapic = lapic_of(vcpu);
	unsigned reg = access->offset >> 4 & 0xff, byte = access->offset & 15;

	lapic_pv_sync(lapic);
	if (!access->is_write)
		access->value = page_read(lapic, reg, byte);
	else if (access->size == 4 && byte == 0)
		page_write(lapic, reg, access->value);
	return BUS_HANDLED;
}

/* --- reset and operations ------------------------------------------------- */

/*
 * After RESET# the entries are masked and the APIC is software disabled; what
 * firmware then makes of LINT0 and LINT1 of the bootstrap processor, virtual
 * wire mode (MultiProcessor Specification 3.6.2.2), is set here already, since
 * a directly booted kernel may rely on it.
 */
void lapic_reset_registers(struct lapic *lapic)
{
	uint32_t id = lapic->vcpu->apic_id;
	unsigned i;

	lapic->tpr = lapic->esr = lapic->esr_pending = 0;
	lapic->icr_low = lapic->icr_high = 0;
	lapic->ldr = lapic_is_x2apic(lapic) ? lapic_x2apic_ldr(id) : 0;
	lapic->dfr = ~0u;
	lapic->svr = 0xff;
	lapic->extint_message = false;
	atomic_store(&lapic->has_offered_eoi, false);
	memset(lapic->irr, 0, sizeof(lapic->irr));
	memset(lapic->isr, 0, sizeof(lapic->isr));
	memset(lapic->tmr, 0, sizeof(lapic->tmr));
	for (i = 0; i < LAPIC_LVT_COUNT; i++)
		lapic->lvt[i] = LVT_MASKED;
	if (lapic->base & APIC_BASE_BSP) {
		lapic->lvt[LAPIC_LVT_LINT0] = APIC_EXTINT << LVT_MODE_SHIFT;
		lapic->lvt[LAPIC_LVT_LINT1] = APIC_NMI << LVT_MODE_SHIFT;
	}
	lapic_timer_reset(lapic);
}

static void reset(struct vcpu *vcpu, bool is_init)
{
	struct lapic *lapic = lapic_of(vcpu);

	LOCKED(&lapic->lock);
	/* INIT keeps IA32_APIC_BASE and with it the mode (10.12.5.1). */
	if (!is_init) {
		lapic->base = LAPIC_DEFAULT_PAGE | APIC_BASE_ENABLED;
		if (vcpu->index == 0)
			lapic->base |= APIC_BASE_BSP;
	}
	lapic_reset_registers(lapic);
	lapic_update(lapic);
}

/* --- state ---------------------------------------------------------------- */

static int get_state(struct vcpu *vcpu, struct apic_state *state)
{
	struct lapic *lapic = lapic_of(vcpu);

	lapic_pv_sync(lapic);
	LOCKED(&lapic->lock);
	*state = (struct apic_state){
		.base = lapic->base,
		.tpr = lapic->tpr,
		.svr = lapic->svr,
		.ldr = lapic->ldr,
		.dfr = lapic->dfr,
		.esr = lapic->esr,
		.esr_pending = lapic->esr_pending,
		.icr_low = lapic->icr_low,
		.icr_high = lapic->icr_high,
		.lint = { lapic->lint[0], lapic->lint[1] },
		.extint_message = lapic->extint_message,
		.timer_initial = lapic->timer_initial,
		.timer_divide = lapic->timer_divide,
		.timer_expiry_ns = lapic->timer_expiry_ns,
		.tsc_deadline = lapic->tsc_deadline,
	};
	memcpy(state->lvt, lapic->lvt, sizeof(state->lvt));
	memcpy(state->irr, lapic->irr, sizeof(state->irr));
	memcpy(state->isr, lapic->isr, sizeof(state->isr));
	memcpy(state->tmr, lapic->tmr, sizeof(state->tmr));
	return 0;
}

static int set_state(struct vcpu *vcpu, const struct apic_state *state)
{
	struct lapic *lapic = lapic_of(vcpu);

	LOCKED(&lapic->lock);
	lapic->base = state->base;
	lapic->tpr = state->tpr;
	lapic->svr = state->svr;
	lapic->ldr = state->ldr;
	lapic->dfr = state->dfr;
	lapic->esr = state->esr;
	lapic->esr_pending = state->esr_pending;
	lapic->icr_low = state->icr_low;
	lapic->icr_high = state->icr_high;
	memcpy(lapic->lvt, state->lvt, sizeof(lapic->lvt));
	memcpy(lapic->irr, state->irr, sizeof(lapic->irr));
	memcpy(lapic->isr, state->isr, sizeof(lapic->isr));
	memcpy(lapic->tmr, state->tmr, sizeof(lapic->tmr));
	lapic->lint[0] = state->lint[0];
	lapic->lint[1] = state->lint[1];
	lapic->extint_message = state->extint_message;
	lapic_timer_restore(lapic, state);
	lapic_update(lapic);
	return 0;
}

const struct apic_ops lapic_ops = {
	.deliver = lapic_deliver,
	.set_lint = set_lint,
	.get_state = get_state,
	.set_state = set_state,
	.has_interrupt = has_interrupt,
	.acknowledge = acknowledge,
	.get_tpr = get_tpr,
	.set_tpr = set_tpr,
	.access = on_page,
	.page = page,
	.is_enabled = is_enabled,
	.read_msr = lapic_read_msr,
	.write_msr = lapic_write_msr,
	.reset = reset,
};

/* --- the device ------------------------------------------------------------ */

static void on_reset(void *device)
{
	struct lapic *lapic = device;

	reset(lapic->vcpu, false);
}

static void on_destroy(void *device)
{
	struct lapic *lapic = device;

	pthread_mutex_lock(&lapic->lock);
	timer_cancel(&lapic->timer);
	pthread_mutex_unlock(&lapic->lock);
	lapic->vcpu->apic = NULL;
	pthread_mutex_destroy(&lapic->lock);
	free(lapic);
}

static const struct device_ops ops = {
	.reset = on_reset,
	.destroy = on_destroy,
};

int lapic_create(struct vcpu *vcpu)
{
	struct lapic *lapic = calloc(1, sizeof(*lapic));

	if (!lapic)
		return -ENOMEM;
	pthread_mutex_init(&lapic->lock, NULL);
	lapic->vcpu = vcpu;
	snprintf(lapic->name, sizeof(lapic->name), "lapic%u",
		 vcpu->index % VM_VCPUS_MAX);
	lapic_timer_init(lapic, &vcpu->vm->clock);
	lapic->device = (struct device){
		.name = lapic->name,
		.ops = &ops,
		.self = lapic,
	};
	vcpu->apic = lapic;
	reset(vcpu, false);
	device_add(vcpu->vm, &lapic->device);
	return 0;
}
