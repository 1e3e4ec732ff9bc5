/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PCI as a device model and the board see it: bus 0, config space, base address
 * registers, INTx, MSI and MSI-X. PCI Local Bus Specification 3.0; ECAM: PCI
 * Express Base Specification 3.0, 7.2.2.
 *
 * Locks, outermost first: pci_bus.lock (a config access), the device's own lock
 * (taken by its config_written or its BAR handlers), pci_device.lock,
 * pci_bus.intx_lock; then the interrupt chips'. So a device may raise an
 * interrupt while it holds its own lock.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/dma.h"
#include "core/irq.h"
#include "core/state.h"

struct vm;

#define PCI_CONFIG_SIZE		  256
#define PCI_BARS		  6
#define PCI_INTX_LINES		  8
#define PCI_MSIX_MAX		  128

#define PCI_DEVFN(slot, function) ((slot) << 3 | (function))

/* Offsets in config space, 6.1. */
enum {
	PCI_VENDOR = 0x00,
	PCI_DEVICE = 0x02,
	PCI_COMMAND = 0x04,
	PCI_STATUS = 0x06,
	PCI_REVISION = 0x08,
	PCI_CLASS = 0x09,
	PCI_HEADER_TYPE = 0x0e,
	PCI_BAR0 = 0x10,
	PCI_SUBSYSTEM_VENDOR = 0x2c,
	PCI_SUBSYSTEM = 0x2e,
	PCI_ROM = 0x30,
	PCI_CAPABILITIES = 0x34,
	PCI_INTERRUPT_LINE = 0x3c,
	PCI_INTERRUPT_PIN = 0x3d,
};

#define PCI_COMMAND_IO	       BIT(0)
#define PCI_COMMAND_MEMORY     BIT(1)
#define PCI_COMMAND_MASTER     BIT(2)
#define PCI_COMMAND_NO_INTX    BIT(10)
#define PCI_STATUS_INTX	       BIT(3)
#define PCI_STATUS_CAPABILITY  BIT(4)

#define PCI_CAPABILITY_MSI     0x05
#define PCI_CAPABILITY_VENDOR  0x09
#define PCI_CAPABILITY_EXPRESS 0x10
#define PCI_CAPABILITY_MSIX    0x11

struct pci_id {
	uint16_t vendor, device;
	uint16_t subsystem_vendor, subsystem;
	uint32_t class_code; /* base class, sub-class, interface: 24 bits */
	uint8_t revision;
};

enum pci_bar_kind {
	PCI_BAR_NONE,
	PCI_BAR_IO,
	PCI_BAR_MEMORY,
	PCI_BAR_MEMORY64, /* takes the next BAR, too */
	PCI_BAR_PREFETCH64, /* the same, prefetchable */
};

struct pci_bar {
	enum pci_bar_kind kind;
	struct bus_region region; /* base PCI_UNMAPPED while not decoded */
};

/* No bus address reaches so high. */
#define PCI_UNMAPPED BIT(56)

struct pci_msix_entry {
	uint32_t address_low, address_high, data, control;
};

/* Embedded in the device model. */
struct pci_device {
	const char *name;
	struct pci_bus *bus;
	uint8_t devfn;
	struct pci_bar bar[PCI_BARS];
	struct bus_region rom; /* size 0: there is none */
	const uint8_t *rom_bytes;
	struct dma dma; /* enabled with bus mastering */
	/*
	 * After the guest wrote config space, or NULL. On a vCPU's thread,
	 * pci_bus.lock held.
	 */
	void (*config_written)(void *device, unsigned offset, unsigned size);
	void *device;

	pthread_mutex_t lock; /* over everything below */
	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t writable[PCI_CONFIG_SIZE]; /* bits that a write changes */
	uint8_t clearable[PCI_CONFIG_SIZE]; /* bits that writing 1 clears */
	uint8_t initial[PCI_CONFIG_SIZE]; /* config after reset */
	uint8_t capabilities_end;
	bool intx; /* what the device drives */
	bool intx_is_out; /* what arrives on the line */

	uint8_t msi, msix; /* offsets of the capabilities; 0: none */
	uint16_t msix_count;
	struct pci_msix_entry msix_entry[PCI_MSIX_MAX];
	uint32_t msix_pending[PCI_MSIX_MAX / 32];
};

struct pci_bus {
	pthread_mutex_t lock; /* over config accesses and `address` */
	struct vm *vm;
	uint32_t address; /* CF8h */
	/* Bits 1:0 of CF8h, which are 0 (PCI 3.0, 3.2.2.3.2), add to the data
	 * port's: as QEMU has it, and test programs know no other. Set before
	 * vCPUs run. */
	bool keeps_low_bits;
	struct pci_device *device[256]; /* by device and function */
	struct irq_line intx[PCI_INTX_LINES];
	pthread_mutex_t intx_lock;
	uint16_t intx_count[PCI_INTX_LINES]; /* devices that assert it */
	struct bus_region address_region, data_region, ecam_region;
	struct device self;
};

/* --- the bus (bus.c) --- */

/**
 * Bus 0 with ports CF8h and CFCh; ECAM is off until pci_bus_move_ecam. intx are
 * the lines that pci_intx_line numbers, shared and level. -errno of bus_add.
 */
int pci_bus_init(struct pci_bus *bus, struct vm *vm,
		 const struct irq_line intx[PCI_INTX_LINES]);

#define PCI_ECAM_SIZE 0x10000000ull

/** Base of the 256 MiB of ECAM, PCI_UNMAPPED for none. Any thread. */
void pci_bus_move_ecam(struct pci_bus *bus, uint64_t base);

/** The line of a slot's pin (0 is INTA): as _PRT of the DSDT tells. */
static inline unsigned pci_intx_line(unsigned slot, unsigned pin)
{
	return (slot + pin) % PCI_INTX_LINES;
}

/**
 * Puts a finished device at device and function number `devfn` of bus 0. Before
 * vCPUs run. -EEXIST if somebody is there, -errno of bus_add.
 */
int pci_device_add(struct pci_bus *bus, struct pci_device *pci, uint8_t devfn);

/**
 * Gives every BAR an address in these windows, largest first, and switches
 * decoding on: what firmware does. Windows are base and end, naturally aligned
 * BARs; one that does not fit stays 0. After a reset, before vCPUs run.
 */
struct pci_windows {
	uint64_t io, io_end;
	uint64_t memory, memory_end;
	uint64_t memory64, memory64_end;
};
void pci_bus_assign(struct pci_bus *bus, const struct pci_windows *windows);

/* --- a device (device.c) --- */

/** First of all. `name` outlives the device. */
void pci_device_init(struct pci_device *pci, const char *name,
		     const struct pci_id *id);

/**
 * BAR `index` decodes `size` bytes, a power of two, 16 or more of memory and 4
 * or more of ports. handler, device, lock and sizes as in struct bus_region.
 */
void pci_bar_init(struct pci_device *pci, unsigned index,
		  enum pci_bar_kind kind, uint64_t size, bus_handler *handler,
		  void *device, pthread_mutex_t *lock, uint8_t sizes);

/**
 * The expansion ROM BAR (6.2.5.2) shows `size` bytes, a power of two from 2 KiB
 * to 16 MiB, which outlive the device. Firmware places and enables it.
 */
void pci_rom_init(struct pci_device *pci, const uint8_t *bytes, uint32_t size);

/** The device has interrupt pin INTA. */
void pci_intx_init(struct pci_device *pci);

/**
 * Room for a capability of `size` bytes, header included, all read-only.
 * Returns its offset; BUG when config space is full.
 */
unsigned pci_capability_add(struct pci_device *pci, uint8_t id, unsigned size);

/** Little-endian field of config space; the guest may change `writable`. */
void pci_config_set(struct pci_device *pci, unsigned offset, unsigned size,
		    uint32_t value, uint32_t writable);
uint32_t pci_config_get(struct pci_device *pci, unsigned offset, unsigned size);

/** RESET#: config space as it was when the device was added, no interrupts. */
void pci_device_reset(struct pci_device *pci);

/* Inside pci/: a config access, pci_bus.lock held. */
uint32_t pci_config_read(struct pci_device *pci, unsigned offset,
			 unsigned size);
void pci_config_write(struct pci_device *pci, unsigned offset, unsigned size,
		      uint32_t value);

/** For a device's state table: STATE_STRUCT of its struct pci_device. */
extern const struct state_table pci_device_state;

/* --- interrupts (msi.c) --- */

/** 64-bit MSI with per-vector masking, one vector. */
void pci_msi_init(struct pci_device *pci);
/** MSI-X with `count` vectors; table and PBA fill BAR `bar`, 4 KiB. */
void pci_msix_init(struct pci_device *pci, unsigned bar, unsigned count);

/** Drives INTA; nothing arrives while the guest disabled INTx. Any thread. */
void pci_intx_set(struct pci_device *pci, bool level);
/**
 * Sends the message of a vector, or keeps it pending while it is masked. False
 * when the guest has not enabled this kind: use the next best. Any thread.
 */
bool pci_msi_send(struct pci_device *pci);
bool pci_msix_send(struct pci_device *pci, unsigned vector);
bool pci_msix_is_enabled(struct pci_device *pci);

/* Inside pci/, pci_device.lock held: after config space changed. */
void pci_interrupts_update(struct pci_device *pci);
