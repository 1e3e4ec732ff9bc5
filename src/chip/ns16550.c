/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PC16550D serial port: both FIFOs, interrupts in order of priority,
 * loopback, modem status. National Semiconductor, PC16550D data sheet (1995),
 * section 8.
 *
 * Sending takes no time: a byte goes to the back end when it is written, and
 * THRE is high again at once. When the back end refuses, nobody reads at the
 * other end; the bytes wait in the transmitter, THRE and TEMT stay low, and a
 * guest that looks at them waits. That is the port's flow control: no thread
 * of ours blocks and no byte that was written on THRE is lost. A guest that
 * does not look loses what does not fit in 16 bytes, as on the chip.
 */
#include "chip/ns16550.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/cleanup.h"
#include "core/state.h"
#include "core/vm.h"

enum { RBR_THR, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR };

#define IER_RECEIVED	 BIT(0)
#define IER_THRE	 BIT(1)
#define IER_LINE	 BIT(2)
#define IER_MODEM	 BIT(3)

#define IIR_NONE	 0x01
#define IIR_MODEM	 0x00
#define IIR_THRE	 0x02
#define IIR_RECEIVED	 0x04
#define IIR_LINE	 0x06
#define IIR_TIMEOUT	 0x0c
#define IIR_FIFOS	 0xc0

#define FCR_ENABLE	 BIT(0)
#define FCR_CLEAR_RX	 BIT(1)
#define FCR_TRIGGER	 BITS(7, 6)

#define LCR_DLAB	 BIT(7)
#define LCR_PARITY	 BIT(3)
#define LCR_STOP	 BIT(2)

#define MCR_DTR		 BIT(0)
#define MCR_RTS		 BIT(1)
#define MCR_OUT1	 BIT(2)
#define MCR_OUT2	 BIT(3)
#define MCR_LOOP	 BIT(4)
#define MCR_WRITABLE	 BITS(4, 0)

#define LSR_READY	 BIT(0)
#define LSR_OVERRUN	 BIT(1)
#define LSR_BREAK	 BIT(4)
#define LSR_THRE	 BIT(5)
#define LSR_TEMT	 BIT(6)
#define LSR_FIFO_ERROR	 BIT(7)

#define MSR_CTS		 BIT(4)
#define MSR_DSR		 BIT(5)
#define MSR_RI		 BIT(6)
#define MSR_DCD		 BIT(7)
#define MSR_DELTA_SHIFT	 4
#define MSR_TERI	 BIT(2)

#define UART_CLOCK_HZ	 1843200ull
#define DIVISOR_AT_RESET 12 /* 9600 baud */

static bool has_fifos(const struct ns16550 *uart)
{
	return uart->fcr & FCR_ENABLE;
}

static unsigned capacity(const struct ns16550 *uart)
{
	return has_fifos(uart) ? NS16550_FIFO : 1;
}

static unsigned trigger_level(const struct ns16550 *uart)
{
	static const uint8_t level[] = { 1, 4, 8, 14 };

	return has_fifos(uart) ? level[bits_get(uart->fcr, 7, 6)] : 1;
}

/* --- interrupts ----------------------------------------------------------- */

/* The highest pending interrupt, table 4 of the data sheet. */
static uint8_t interrupt(const struct ns16550 *uart)
{
	uint8_t errors = uart->lsr_errors;

	if (uart->rx_count)
		errors |= uart->rx_errors[0];
	if ((uart->ier & IER_LINE) && errors)
		return IIR_LINE;
	if (uart->ier & IER_RECEIVED) {
		if (uart->rx_count >= trigger_level(uart))
			return IIR_RECEIVED;
		if (uart->timeout_pending && uart->rx_count)
			return IIR_TIMEOUT;
	}
	if ((uart->ier & IER_THRE) && uart->thre_pending)
		return IIR_THRE;
	if ((uart->ier & IER_MODEM) && (uart->msr & BITS(3, 0)))
		return IIR_MODEM;
	return IIR_NONE;
}

/*
 * On a PC, OUT2 opens the gate between the chip and the interrupt line; in
 * loopback the outputs are inactive, so the gate is shut.
 */
static void update_irq(struct ns16550 *uart)
{
	bool is_open = (uart->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;
	bool level = is_open && interrupt(uart) != IIR_NONE;

	/* Most accesses change nothing, and the line goes to two chips. */
	if (uart->irq == level)
		return;
	uart->irq = level;
	irq_set(&uart->config.irq, level);
}

/* --- receiver ------------------------------------------------------------- */

/* Start bit, 5 to 8 data bits, parity and stop bits, four times. */
static uint64_t timeout_ns(const struct ns16550 *uart)
{
	unsigned bits = 1 + 5 + (uart->lcr & 3) + !!(uart->lcr & LCR_PARITY) +
			1 + !!(uart->lcr & LCR_STOP);
	uint64_t divisor = uart->divisor ? uart->divisor : 0x10000;

	return 4 * bits * divisor * 16 * 1000000000ull / UART_CLOCK_HZ;
}

/* The character timeout runs while bytes wait below the trigger level. */
static void restart_timeout(struct ns16550 *uart)
{
	uart->timeout_pending = false;
	if (uart->rx_count && has_fifos(uart))
		timer_set(&uart->timeout,
			  clock_ns(uart->timeout.clock) + timeout_ns(uart));
	else
		timer_cancel(&uart->timeout);
}

static void on_timeout(void *argument)
{
	struct ns16550 *uart = argument;

	uart->timeout_pending = uart->rx_count != 0;
	update_irq(uart);
}

static void receive_one(struct ns16550 *uart, uint8_t byte, uint8_t errors)
{
	if (uart->rx_count == capacity(uart)) {
		uart->lsr_errors |= LSR_OVERRUN;
		/* Without FIFOs the new byte replaces the old (8.4). */
		if (has_fifos(uart))
			return;
		uart->rx_count = 0;
	}
	uart->rx[uart->rx_count] = byte;
	uart->rx_errors[uart->rx_count] = errors;
	uart->rx_count++;
}

static void tell_receive_ready(struct ns16550 *uart)
{
	if (!uart->receive_refused || (uart->mcr & MCR_LOOP) ||
	    uart->rx_count == capacity(uart))
		return;
	uart->receive_refused = false;
	if (uart->config.receive_ready)
		uart->config.receive_ready(uart->config.backend);
}

static uint8_t read_rbr(struct ns16550 *uart)
{
	uint8_t byte = uart->rx[0];

	if (!uart->rx_count)
		return byte;
	/* An error that LSR was not read for is lost with its byte. */
	uart->rx_count--;
	memmove(uart->rx, uart->rx + 1, uart->rx_count);
	memmove(uart->rx_errors, uart->rx_errors + 1, uart->rx_count);
	restart_timeout(uart);
	tell_receive_ready(uart);
	return byte;
}

static void clear_receiver(struct ns16550 *uart)
{
	uart->rx_count = 0;
	restart_timeout(uart);
	tell_receive_ready(uart);
}

size_t ns16550_receive(struct ns16550 *uart, const uint8_t *bytes, size_t count)
{
	size_t taken = 0;

	LOCKED(&uart->lock);
	/* In loopback the receiver is cut off from the line. */
	if (!(uart->mcr & MCR_LOOP)) {
		while (taken < count && uart->rx_count < capacity(uart))
			receive_one(uart, bytes[taken++], 0);
	}
	if (taken) {
		restart_timeout(uart);
		update_irq(uart);
	}
	uart->receive_refused = taken < count;
	return taken;
}

void ns16550_receive_break(struct ns16550 *uart)
{
	LOCKED(&uart->lock);
	if ((uart->mcr & MCR_LOOP) || uart->rx_count == capacity(uart))
		return;
	receive_one(uart, 0, LSR_BREAK);
	restart_timeout(uart);
	update_irq(uart);
}

/* --- transmitter ---------------------------------------------------------- */

static void transmit(struct ns16550 *uart)
{
	const struct ns16550_config *config = &uart->config;
	size_t taken = uart->tx_count;

	if (!uart->tx_count)
		return;
	if (config->write)
		taken = config->write(config->backend, uart->tx,
				      uart->tx_count);
	BUG_ON(taken > uart->tx_count);
	uart->tx_count -= taken;
	memmove(uart->tx, uart->tx + taken, uart->tx_count);
	if (!uart->tx_count)
		uart->thre_pending = true;
}

static void write_thr(struct ns16550 *uart, uint8_t byte)
{
	uart->thre_pending = false;
	if (uart->mcr & MCR_LOOP) {
		receive_one(uart, byte & size_mask(1), 0);
		restart_timeout(uart);
		uart->thre_pending = true;
		return;
	}
	if (uart->tx_count == capacity(uart)) {
		transmit(uart);
		uart->thre_pending = false;
	}
	if (uart->tx_count >= capacity(uart)) {
		uart->tx_lost++;
		log_guest(&uart->tx_lost_limit, LOG_DEBUG,
			  "%s: written while the transmitter was full",
			  uart->config.name);
		return;
	}
	uart->tx[uart->tx_count++] = byte;
	/* While the back end refuses, it says when to go on. */
	transmit(uart);
}

void ns16550_writable(struct ns16550 *uart)
{
	LOCKED(&uart->lock);
	transmit(uart);
	update_irq(uart);
}

/* --- the other registers -------------------------------------------------- */

static uint8_t read_lsr(struct ns16550 *uart)
{
	uint8_t lsr = uart->lsr_errors;
	unsigned i;

	uart->lsr_errors = 0;
	if (!uart->tx_count)
		lsr |= LSR_THRE | LSR_TEMT;
	if (uart->rx_count) {
		lsr |= LSR_READY | uart->rx_errors[0];
		uart->rx_errors[0] = 0;
	}
	for (i = 1; has_fifos(uart) && i < uart->rx_count; i++)
		if (uart->rx_errors[i])
			lsr |= LSR_FIFO_ERROR;
	return lsr;
}

static uint8_t read_iir(struct ns16550 *uart)
{
	uint8_t iir = interrupt(uart);

	if (iir == IIR_THRE)
		uart->thre_pending = false;
	return iir | (has_fifos(uart) ? IIR_FIFOS : 0);
}

static uint8_t read_msr(struct ns16550 *uart)
{
	uint8_t msr = uart->msr;

	uart->msr &= ~BITS(3, 0);
	return msr;
}

/* A terminal that is always there, or in loopback the chip's own outputs. */
static void update_modem(struct ns16550 *uart)
{
	uint8_t lines = MSR_CTS | MSR_DSR | MSR_DCD, changed, delta;

	if (uart->mcr & MCR_LOOP) {
		lines = 0;
		if (uart->mcr & MCR_RTS)
			lines |= MSR_CTS;
		if (uart->mcr & MCR_DTR)
			lines |= MSR_DSR;
		if (uart->mcr & MCR_OUT1)
			lines |= MSR_RI;
		if (uart->mcr & MCR_OUT2)
			lines |= MSR_DCD;
	}
	changed = (uart->msr ^ lines) & BITS(7, 4);
	delta = changed >> MSR_DELTA_SHIFT;
	/* Of the ring indicator only the trailing edge counts. */
	if (lines & MSR_RI)
		delta &= ~MSR_TERI;
	uart->msr = lines | (uart->msr & BITS(3, 0)) | delta;
}

static void write_ier(struct ns16550 *uart, uint8_t value)
{
	/* Enabling THRE while the transmitter is empty interrupts at once. */
	if ((value & ~uart->ier & IER_THRE) && !uart->tx_count)
		uart->thre_pending = true;
	uart->ier = value & BITS(3, 0);
}

/*
 * Clearing the transmit FIFO (bit 2) drops nothing: what is still in it was
 * refused by the back end, and on the chip had long been sent.
 */
static void write_fcr(struct ns16550 *uart, uint8_t value)
{
	bool was_on = has_fifos(uart);

	uart->fcr = value & FCR_ENABLE ? value & (FCR_ENABLE | FCR_TRIGGER) : 0;
	if (was_on != has_fifos(uart) ||
	    (has_fifos(uart) && (value & FCR_CLEAR_RX)))
		clear_receiver(uart);
}

static void write_mcr(struct ns16550 *uart, uint8_t value)
{
	uart->mcr = value & MCR_WRITABLE;
	update_modem(uart);
	tell_receive_ready(uart);
}

static void write_divisor(struct ns16550 *uart, unsigned shift, uint8_t value)
{
	uart->divisor &= ~(0xff << shift);
	uart->divisor |= value << shift;
}

static uint8_t read_register(struct ns16550 *uart, unsigned offset)
{
	bool dlab = uart->lcr & LCR_DLAB;

	switch (offset) {
	case RBR_THR:
		return dlab ? (uint8_t)uart->divisor : read_rbr(uart);
	case IER:
		return dlab ? uart->divisor >> 8 : uart->ier;
	case IIR_FCR:
		return read_iir(uart);
	case LCR:
		return uart->lcr;
	case MCR:
		return uart->mcr;
	case LSR:
		return read_lsr(uart);
	case MSR:
		return read_msr(uart);
	default:
		return uart->scr;
	}
}

static void write_register(struct ns16550 *uart, unsigned offset, uint8_t value)
{
	bool dlab = uart->lcr & LCR_DLAB;

	switch (offset) {
	case RBR_THR:
		if (dlab)
			write_divisor(uart, 0, value);
		else
			write_thr(uart, value);
		break;
	case IER:
		if (dlab)
			write_divisor(uart, 8, value);
		else
			write_ier(uart, value);
		break;
	case IIR_FCR:
		write_fcr(uart, value);
		break;
	case LCR:
		uart->lcr = value;
		break;
	case MCR:
		write_mcr(uart, value);
		break;
	case SCR:
		uart->scr = value;
		break;
	default: /* LSR and MSR: factory test only */
		break;
	}
}

static enum bus_result on_access(void *device, struct access *access)
{
	struct ns16550 *uart = device;

	if (access->is_write)
		write_register(uart, access->offset, access->value);
	else
		access->value = read_register(uart, access->offset);
	update_irq(uart);
	return BUS_HANDLED;
}

/* --- the device ----------------------------------------------------------- */

static void on_reset(void *device)
{
	struct ns16550 *uart = device;

	LOCKED(&uart->lock);
	uart->ier = uart->lcr = uart->mcr = uart->fcr = 0;
	uart->lsr_errors = 0;
	uart->divisor = DIVISOR_AT_RESET;
	uart->msr = 0;
	update_modem(uart);
	uart->msr &= ~BITS(3, 0);
	uart->thre_pending = false;
	clear_receiver(uart);
	update_irq(uart);
}

static int on_restored(void *instance)
{
	struct ns16550 *uart = instance;

	return uart->rx_count > NS16550_FIFO || uart->tx_count > NS16550_FIFO ?
		       -EINVAL :
		       0;
}

static const struct state_field fields[] = {
	STATE_FIELD(struct ns16550, ier, STATE_UINT, 1),
	STATE_FIELD(struct ns16550, lcr, STATE_UINT, 1),
	STATE_FIELD(struct ns16550, mcr, STATE_UINT, 1),
	STATE_FIELD(struct ns16550, msr, STATE_UINT, 1),
	STATE_FIELD(struct ns16550, scr, STATE_UINT, 1),
	STATE_FIELD(struct ns16550, fcr, STATE_UINT, 1),
	STATE_FIELD(struct ns16550, lsr_errors, STATE_UINT, 1),
	STATE_FIELD(struct ns16550, divisor, STATE_UINT, 1),
	STATE_FIELD(struct ns16550, thre_pending, STATE_BOOL, 1),
	STATE_FIELD(struct ns16550, timeout_pending, STATE_BOOL, 1),
	STATE_FIELD(struct ns16550, irq, STATE_BOOL, 1),
	STATE_FIELD(struct ns16550, rx, STATE_BYTES, 1),
	STATE_FIELD(struct ns16550, rx_errors, STATE_BYTES, 1),
	STATE_FIELD(struct ns16550, rx_count, STATE_UINT, 1),
	STATE_FIELD(struct ns16550, tx, STATE_BYTES, 1),
	STATE_FIELD(struct ns16550, tx_count, STATE_UINT, 1),
	STATE_FIELD(struct ns16550, timeout, STATE_TIMER, 1),
	{ .name = NULL },
};

static const struct state_table state = {
	.name = "ns16550",
	.version = 1,
	.field = fields,
	.restored = on_restored,
};

/* After a restore the back end is another, which owes us no call. */
static void on_start(void *device)
{
	ns16550_writable(device);
}

static const struct device_ops ops = {
	.reset = on_reset,
	.start = on_start,
	.state = &state,
};

int ns16550_init(struct ns16550 *uart, struct vm *vm,
		 const struct ns16550_config *config)
{
	memset(uart, 0, sizeof(*uart));
	pthread_mutex_init(&uart->lock, NULL);
	uart->config = *config;
	timer_init(&uart->timeout, &vm->clock, &uart->lock, on_timeout, uart);
	uart->resources = (struct device_resources){
		.acpi_name = config->acpi_name,
		.hid = "PNP0501",
		.uid = config->uid,
		.port = { { config->port, NS16550_PORTS } },
		.irq = { config->gsi, -1 },
	};
	uart->device = (struct device){
		.name = uart->config.name,
		.ops = &ops,
		.resources = &uart->resources,
		.self = uart,
	};
	uart->region = (struct bus_region){
		.name = uart->config.name,
		.base = config->port,
		.size = NS16550_PORTS,
		.sizes = 1,
		.handler = on_access,
		.device = uart,
		.lock = &uart->lock,
	};
	on_reset(uart);
	device_add(vm, &uart->device);
	return bus_add(&vm->io, &uart->region);
}
