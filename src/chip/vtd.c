/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DMA and interrupt remapping. Chapters of the VT-d specification (D51397,
 * revision 2.5): 3 for the tables of DMA remapping, 5 for interrupt remapping,
 * 6.5 for invalidations, 7 for faults, 9 and 10 for table entries and
 * registers.
 *
 * Nothing is cached: each access walks the guest's tables, so what an
 * invalidation asks for is done when it is asked for. Legacy mode with 3- and
 * 4-level tables, pages of up to 1 GiB, pass-through; the invalidation queue;
 * interrupt remapping without x2APIC destinations and without posting; one
 * fault record.
 *
 * Guest memory is written and messages are sent without the lock: who gets them
 * may come here again.
 */
#include "chip/vtd.h"

#include <string.h>

#include "base/bits.h"
#include "base/cleanup.h"
#include "core/state.h"
#include "core/vm.h"

/* Register offsets, 10.4. */
#define VER	0x00
#define CAP	0x08
#define ECAP	0x10
#define GCMD	0x18
#define GSTS	0x1c
#define RTADDR	0x20
#define CCMD	0x28
#define FSTS	0x34
#define FECTL	0x38
#define FEDATA	0x3c
#define FEADDR	0x40
#define FEUADDR 0x44
#define IQH	0x80
#define IQT	0x88
#define IQA	0x90
#define ICS	0x9c
#define IECTL	0xa0
#define IEDATA	0xa4
#define IEADDR	0xa8
#define IEUADDR 0xac
#define IRTA	0xb8
#define IVA	0x100
#define IOTLB	0x108
#define FRCD	0x220 /* 16 bytes */

/* Of GCMD and GSTS. */
#define TE	 BIT(31) /* DMA is translated */
#define SRTP	 BIT(30)
#define QIE	 BIT(26) /* the queue is on */
#define IRE	 BIT(25) /* interrupts are remapped */
#define SIRTP	 BIT(24)
#define CFI	 BIT(23) /* compatibility format passes */
#define SWITCHES (TE | QIE | IRE | CFI)

/* 16-bit domain ids; 39 and 48 bits; pages of 2 MiB and 1 GiB; one fault
 * record; page-selective invalidation; drains are complete. */
#define CAP_VALUE                                                              \
	(6 | BIT(9) | BIT(10) | 47ull << 16 | (FRCD / 16ull) << 24 | BIT(34) | \
	 BIT(35) | BIT(39) | 18ull << 48 | BIT(54) | BIT(55))
/* Coherent tables, queue, interrupt remapping, pass-through. */
#define ECAP_VALUE \
	(BIT(0) | BIT(1) | BIT(3) | BIT(6) | (IVA / 16ull) << 8 | 15ull << 20)

#define FSTS_OVERFLOW BIT(0)
#define FSTS_PENDING  BIT(1)
#define FSTS_QUEUE    BIT(4)
#define FSTS_CLEARED  (FSTS_OVERFLOW | FSTS_QUEUE | BIT(5) | BIT(6))

#define EVENT_MASKED  BIT(31) /* of FECTL and IECTL */
#define EVENT_PENDING BIT(30)

#define ENTRY_P	      BIT(0)
#define ENTRY_FPD     BIT(1) /* its faults are not recorded */
#define ENTRY_ADDRESS BITS(51, 12)
#define PAGE_READ     BIT(0)
#define PAGE_WRITE    BIT(1)
#define PAGE_LARGE    BIT(7)

/* 7.1.3, tables 15 and 16. */
enum fault {
	FAULT_NONE = 0,
	FAULT_ROOT_ABSENT = 1,
	FAULT_CONTEXT_ABSENT = 2,
	FAULT_CONTEXT_INVALID = 3,
	FAULT_BEYOND_WIDTH = 4,
	FAULT_WRITE = 5,
	FAULT_READ = 6,
	FAULT_TABLE_UNREACHABLE = 7,
	FAULT_ROOT_UNREACHABLE = 8,
	FAULT_CONTEXT_UNREACHABLE = 9,
	FAULT_PAGE_RESERVED = 0xc,
	FAULT_MESSAGE_RESERVED = 0x20,
	FAULT_INDEX = 0x21,
	FAULT_IRTE_ABSENT = 0x22,
	FAULT_IRTE_UNREACHABLE = 0x23,
	FAULT_IRTE_RESERVED = 0x24,
	FAULT_COMPATIBILITY = 0x25,
	FAULT_SOURCE = 0x26,
};

static uint32_t *reg(struct vtd *vtd, unsigned offset)
{
	return &vtd->reg[offset / 4];
}

static uint64_t reg64(struct vtd *vtd, unsigned offset)
{
	return *reg(vtd, offset) | (uint64_t)*reg(vtd, offset + 4) << 32;
}

static void set_reg64(struct vtd *vtd, unsigned offset, uint64_t value)
{
	*reg(vtd, offset) = (uint32_t)value;
	*reg(vtd, offset + 4) = value >> 32;
}

/* --- events and faults ----------------------------------------------------- */

/* A message of the unit's own, which is not remapped itself (5.1). */
static void send(struct vtd *vtd, const struct msi *msi)
{
	if ((msi->address & ~0xfffffull) == MSI_ADDRESS_BASE)
		vtd->vm->apic_ops->deliver(vtd->vm, msi);
}

/* Lock held. True: *msi is to be sent when it is no longer. The four registers
 * are control, data, address and upper address. */
static bool raise_event(struct vtd *vtd, unsigned control, struct msi *msi)
{
	if (*reg(vtd, control) & EVENT_MASKED) {
		*reg(vtd, control) |= EVENT_PENDING;
		return false;
	}
	*reg(vtd, control) &= ~EVENT_PENDING;
	*msi = (struct msi){
		.requester = MSI_FROM_IOAPIC,
		.address = reg64(vtd, control + 8),
		.data = *reg(vtd, control + 4),
	};
	return true;
}

/* Lock held; as raise_event. */
static bool record_fault(struct vtd *vtd, uint32_t requester, uint64_t address,
			 enum fault fault, bool is_write, struct msi *msi)
{
	bool was_pending = *reg(vtd, FSTS) &
			   (FSTS_OVERFLOW | FSTS_PENDING | FSTS_QUEUE);

	if (*reg(vtd, FRCD + 12) & BIT(31)) {
		*reg(vtd, FSTS) |= FSTS_OVERFLOW;
		return false;
	}
	set_reg64(vtd, FRCD, address & ~0xfffull);
	*reg(vtd, FRCD + 8) = requester & 0xffff;
	*reg(vtd, FRCD + 12) =
		(uint32_t)(BIT(31) | (is_write ? 0 : BIT(30)) | fault);
	*reg(vtd, FSTS) |= FSTS_PENDING;
	return !was_pending && raise_event(vtd, FECTL, msi);
}

/* --- DMA remapping, 3.4 to 3.7 --------------------------------------------- */

/* Two quads, or one. */
static bool read_entry(struct vtd *vtd, uint64_t gpa, void *entry, size_t size)
{
	return memory_read(&vtd->vm->memory, gpa, entry, size) == 0;
}

struct context {
	uint64_t low, high;
};

static enum fault find_context(struct vtd *vtd, uint32_t requester,
			       struct context *context)
{
	uint64_t root[2];

	if (!read_entry(vtd,
			(vtd->root_table & ENTRY_ADDRESS) +
				16 * (requester >> 8 & 0xff),
			root, sizeof(root)))
		return FAULT_ROOT_UNREACHABLE;
	if (!(root[0] & ENTRY_P))
		return FAULT_ROOT_ABSENT;
	if (!read_entry(vtd,
			(root[0] & ENTRY_ADDRESS) + 16 * (requester & 0xff),
			context, sizeof(*context)))
		return FAULT_CONTEXT_UNREACHABLE;
	return context->low & ENTRY_P ? FAULT_NONE : FAULT_CONTEXT_ABSENT;
}

/* From `address` to *gpa, with what is left of the page in *contiguous. */
static enum fault walk(struct vtd *vtd, const struct context *context,
		       uint64_t address, bool is_write, gpa_t *gpa,
		       size_t *contiguous)
{
	unsigned levels = 2 + (context->high & 7);
	uint64_t table = context->low & ENTRY_ADDRESS;
	uint64_t wanted = is_write ? PAGE_WRITE : PAGE_READ;

	if (levels != 3 && levels != 4)
		return FAULT_CONTEXT_INVALID;
	if (address >> (12 + 9 * levels))
		return FAULT_BEYOND_WIDTH;
	for (unsigned level = levels;; level--) {
		unsigned shift = 12 + 9 * (level - 1);
		uint64_t entry, rest = address & (BIT(shift) - 1);

		if (!read_entry(vtd, table + 8 * (address >> shift & 0x1ff),
				&entry, sizeof(entry)))
			return FAULT_TABLE_UNREACHABLE;
		if (!(entry & wanted))
			return is_write ? FAULT_WRITE : FAULT_READ;
		if (level == 1 || (entry & PAGE_LARGE)) {
			if (level > 3)
				return FAULT_PAGE_RESERVED;
			*gpa = (entry & ENTRY_ADDRESS & ~(BIT(shift) - 1)) |
			       rest;
			*contiguous = BIT(shift) - rest;
			return FAULT_NONE;
		}
		table = entry & ENTRY_ADDRESS;
	}
}

/* 9.3: T is 0 for tables, 2 to pass through. */
static enum fault translate_by(struct vtd *vtd, const struct context *context,
			       uint64_t address, bool is_write, gpa_t *gpa,
			       size_t *contiguous)
{
	switch (bits_get(context->low, 3, 2)) {
	case 0:
		return walk(vtd, context, address, is_write, gpa, contiguous);
	case 2:
		return FAULT_NONE;
	default:
		return FAULT_CONTEXT_INVALID;
	}
}

static bool translate(void *iommu, uint32_t requester, dma_addr_t address,
		      bool is_write, gpa_t *gpa, size_t *contiguous)
{
	struct vtd *vtd = iommu;
	struct context context = { 0 };
	enum fault fault;
	struct msi msi;
	bool has_event = false;

	pthread_mutex_lock(&vtd->lock);
	if (!(*reg(vtd, GSTS) & TE)) {
		pthread_mutex_unlock(&vtd->lock);
		return true;
	}
	fault = find_context(vtd, requester, &context);
	if (!fault)
		fault = translate_by(vtd, &context, address, is_write, gpa,
				     contiguous);
	if (fault && !(context.low & ENTRY_FPD))
		has_event = record_fault(vtd, requester, address, fault,
					 is_write, &msi);
	pthread_mutex_unlock(&vtd->lock);
	if (has_event)
		send(vtd, &msi);
	return !fault;
}

/* --- interrupt remapping, 5.1 ----------------------------------------------- */

#define MESSAGE_REMAPPABLE BIT(4)
#define MESSAGE_SUBHANDLE  BIT(3)
#define IRTE_LOGICAL	   BIT(2)
#define IRTE_REDIRECTION   BIT(3)
#define IRTE_LEVEL	   BIT(4)
#define IRTE_POSTED	   BIT(15)
/* 9.10: reserved where posting and x2APIC destinations are not offered. */
#define IRTE_RESERVED \
	(BITS(14, 12) | BITS(31, 24) | BITS(39, 32) | BITS(63, 48))

/* 9.10, SVT and SQ. The IOAPIC is the chipset's own: nobody else can speak for
 * it, and whose pin it speaks for the entry may say. */
static bool is_from(uint64_t high, uint32_t requester)
{
	static const uint16_t ignored[] = { 0, BIT(2), BITS(2, 1), BITS(2, 0) };
	uint32_t source = high & 0xffff;

	if (requester == MSI_FROM_IOAPIC)
		return true;
	switch (bits_get(high, 19, 18)) {
	case 0:
		return true;
	case 1:
		return !((source ^ requester) & 0xffff &
			 ~(uint32_t)ignored[bits_get(high, 17, 16)]);
	case 2: /* from bus to bus */
		return (requester >> 8 & 0xff) >= source >> 8 &&
		       (requester >> 8 & 0xff) <= (source & 0xff);
	default:
		return false;
	}
}

static uint32_t index_of(const struct msi *msi)
{
	uint32_t index = bits_get(msi->address, 19, 5) |
			 (uint32_t)bits_get(msi->address, 2, 2) << 15;

	if (msi->address & MESSAGE_SUBHANDLE)
		index += msi->data & 0xffff;
	return index;
}

static enum fault read_irte(struct vtd *vtd, const struct msi *msi,
			    uint64_t irte[2])
{
	uint32_t index = index_of(msi);

	if (index >= 2u << (vtd->interrupt_table & 0xf))
		return FAULT_INDEX;
	if (!read_entry(vtd,
			(vtd->interrupt_table & ENTRY_ADDRESS) + 16ull * index,
			irte, 16))
		return FAULT_IRTE_UNREACHABLE;
	if (!(irte[0] & ENTRY_P))
		return FAULT_IRTE_ABSENT;
	if ((irte[0] & (IRTE_POSTED | IRTE_RESERVED)) || irte[1] >> 20)
		return FAULT_IRTE_RESERVED;
	return is_from(irte[1], msi->requester) ? FAULT_NONE : FAULT_SOURCE;
}

static void apply_irte(uint64_t irte, struct msi *msi)
{
	msi->address = MSI_ADDRESS_BASE | bits_get(irte, 47, 40)
						  << MSI_ADDRESS_DEST_SHIFT;
	if (irte & IRTE_LOGICAL)
		msi->address |= MSI_ADDRESS_LOGICAL;
	if (irte & IRTE_REDIRECTION)
		msi->address |= MSI_ADDRESS_REDIRECTION;
	msi->data = (uint32_t)(bits_get(irte, 23, 16) |
			       bits_get(irte, 7, 5) << MSI_DATA_DELIVERY_SHIFT);
	if (irte & IRTE_LEVEL)
		msi->data |= MSI_DATA_LEVEL | MSI_DATA_ASSERT;
}

static bool remap(void *iommu, struct msi *msi)
{
	struct vtd *vtd = iommu;
	uint64_t irte[2] = { 0 };
	enum fault fault = FAULT_NONE;
	bool has_event = false;
	struct msi event;

	pthread_mutex_lock(&vtd->lock);
	if (!(*reg(vtd, GSTS) & IRE)) {
		pthread_mutex_unlock(&vtd->lock);
		return true;
	}
	if (msi->address & MESSAGE_REMAPPABLE)
		fault = read_irte(vtd, msi, irte);
	else if (!(*reg(vtd, GSTS) & CFI))
		fault = FAULT_COMPATIBILITY;
	/* 7.1.1: the index is where an address would be. */
	if (fault && !(irte[0] & ENTRY_FPD))
		has_event = record_fault(vtd, msi->requester,
					 (uint64_t)index_of(msi) << 48, fault,
					 true, &event);
	pthread_mutex_unlock(&vtd->lock);
	if (has_event)
		send(vtd, &event);
	if (!fault && (msi->address & MESSAGE_REMAPPABLE))
		apply_irte(irte[0], msi);
	return !fault;
}

/* --- the invalidation queue, 6.5.2 ------------------------------------------ */

#define DESCRIPTOR_CONTEXT   1
#define DESCRIPTOR_IOTLB     2
#define DESCRIPTOR_DEVICE    3
#define DESCRIPTOR_INTERRUPT 4
#define DESCRIPTOR_WAIT	     5
#define WAIT_INTERRUPTS	     BIT(4)
#define WAIT_WRITES	     BIT(5)

/* What a wait descriptor asks for, done without the lock. */
struct wait {
	bool writes, has_event;
	uint64_t gpa;
	uint32_t status;
	struct msi msi;
};

static void take_wait(struct vtd *vtd, const uint64_t descriptor[2],
		      struct wait *wait)
{
	wait->writes = descriptor[0] & WAIT_WRITES;
	wait->status = descriptor[0] >> 32;
	wait->gpa = descriptor[1] & ~3ull;
	if (descriptor[0] & WAIT_INTERRUPTS) {
		bool was_set = *reg(vtd, ICS) & BIT(0);

		*reg(vtd, ICS) |= BIT(0);
		wait->has_event = !was_set &&
				  raise_event(vtd, IECTL, &wait->msi);
	}
}

static void fail_queue(struct vtd *vtd, struct wait *wait)
{
	bool was_pending = *reg(vtd, FSTS) &
			   (FSTS_OVERFLOW | FSTS_PENDING | FSTS_QUEUE);

	*reg(vtd, FSTS) |= FSTS_QUEUE;
	wait->has_event = !was_pending && raise_event(vtd, FECTL, &wait->msi);
}

/* One descriptor. False: there is none, or the queue stands. */
static bool step(struct vtd *vtd, struct wait *wait)
{
	LOCKED(&vtd->lock);
	uint64_t base = reg64(vtd, IQA) & ENTRY_ADDRESS, descriptor[2];
	uint32_t size = (uint32_t)PAGE_SIZE << (*reg(vtd, IQA) & 7);
	uint32_t head = *reg(vtd, IQH);

	if (!(*reg(vtd, GSTS) & QIE) || (*reg(vtd, FSTS) & FSTS_QUEUE) ||
	    head == *reg(vtd, IQT))
		return false;
	if (head >= size || *reg(vtd, IQT) >= size ||
	    !read_entry(vtd, base + head, descriptor, sizeof(descriptor))) {
		fail_queue(vtd, wait);
		return true;
	}
	switch (descriptor[0] & 0xf) {
	case DESCRIPTOR_CONTEXT:
	case DESCRIPTOR_IOTLB:
	case DESCRIPTOR_DEVICE:
	case DESCRIPTOR_INTERRUPT:
		break;
	case DESCRIPTOR_WAIT:
		take_wait(vtd, descriptor, wait);
		break;
	default:
		fail_queue(vtd, wait);
		return true;
	}
	*reg(vtd, IQH) = (head + sizeof(descriptor)) % size;
	return true;
}

/* As many as a queue can hold at most: a tail that runs ahead ends nothing. */
#define STEPS_MAX (256u << 7)

static void run_queue(struct vtd *vtd)
{
	for (unsigned i = 0; i < STEPS_MAX; i++) {
		struct wait wait = { 0 };

		if (!step(vtd, &wait))
			break;
		if (wait.writes)
			memory_write(&vtd->vm->memory, wait.gpa, &wait.status,
				     sizeof(wait.status));
		if (wait.has_event)
			send(vtd, &wait.msi);
	}
}

/* --- registers -------------------------------------------------------------- */

static const struct {
	uint16_t offset;
	uint32_t writable, cleared; /* by writing 1 */
} registers[] = {
	{ RTADDR, 0xfffff000, 0 },
	{ RTADDR + 4, 0xffffffff, 0 },
	{ CCMD, 0xffffffff, 0 },
	{ CCMD + 4, 0x60000003, 0 },
	{ FSTS, 0, FSTS_CLEARED },
	{ FECTL, EVENT_MASKED, 0 },
	{ FEDATA, 0xffff, 0 },
	{ FEADDR, 0xfffffffc, 0 },
	{ FEUADDR, 0xffffffff, 0 },
	{ IQT, 0x7fff0, 0 },
	{ IQA, 0xfffff007, 0 },
	{ IQA + 4, 0xffffffff, 0 },
	{ ICS, 0, 1 },
	{ IECTL, EVENT_MASKED, 0 },
	{ IEDATA, 0xffff, 0 },
	{ IEADDR, 0xfffffffc, 0 },
	{ IEUADDR, 0xffffffff, 0 },
	{ IRTA, 0xfffff00f, 0 },
	{ IRTA + 4, 0xffffffff, 0 },
	{ IVA, 0xffffffff, 0 },
	{ IVA + 4, 0xffffffff, 0 },
	{ IOTLB, 0xffffffff, 0 },
	{ IOTLB + 4, 0x3003ffff, 0 },
	{ FRCD + 12, 0, BIT(31) },
};

static void store(struct vtd *vtd, unsigned offset, uint32_t value)
{
	for (unsigned i = 0; i < ARRAY_SIZE(registers); i++) {
		uint32_t *to = reg(vtd, offset);

		if (registers[i].offset != offset)
			continue;
		*to = (*to & ~registers[i].writable) |
		      (value & registers[i].writable);
		*to &= ~(value & registers[i].cleared);
	}
}

/* One-shot commands latch their address register; the rest are switches. */
static void command(struct vtd *vtd, uint32_t value)
{
	uint32_t *status = reg(vtd, GSTS), old = *status;

	*status = (old & (SRTP | SIRTP)) | (value & SWITCHES);
	if (value & SRTP) {
		vtd->root_table = reg64(vtd, RTADDR);
		*status |= SRTP;
	}
	if (value & SIRTP) {
		vtd->interrupt_table = reg64(vtd, IRTA);
		*status |= SIRTP;
	}
	if (*status & ~old & QIE)
		*reg(vtd, IQH) = 0;
}

/* What the write asks for is done: invalidations by register at once. Lock
 * held; as raise_event. */
static bool act(struct vtd *vtd, unsigned offset, uint32_t value,
		struct msi *msi)
{
	uint32_t *to = reg(vtd, offset);

	switch (offset) {
	case GCMD:
		command(vtd, value);
		break;
	case CCMD + 4: /* CAIG is CIRG */
		if (value & BIT(31))
			*to = (*to & ~(uint32_t)BITS(28, 27)) |
			      (*to >> 2 & (uint32_t)BITS(28, 27));
		break;
	case IOTLB + 4: /* IAIG is IIRG */
		if (value & BIT(31))
			*to = (*to & ~(uint32_t)BITS(26, 25)) |
			      (*to >> 3 & (uint32_t)BITS(26, 25));
		break;
	case FRCD + 12:
	case FSTS:
		if (!(*reg(vtd, FRCD + 12) & BIT(31)))
			*reg(vtd, FSTS) &= ~(uint32_t)FSTS_PENDING;
		if (!*reg(vtd, FSTS))
			*reg(vtd, FECTL) &= ~(uint32_t)EVENT_PENDING;
		break;
	case ICS:
		if (!(*to & BIT(0)))
			*reg(vtd, IECTL) &= ~(uint32_t)EVENT_PENDING;
		break;
	case FECTL:
	case IECTL:
		return (*to & EVENT_PENDING) && !(*to & EVENT_MASKED) &&
		       raise_event(vtd, offset, msi);
	default:
		break;
	}
	return false;
}

static void write_register(struct vtd *vtd, unsigned offset, uint32_t value)
{
	struct msi msi;
	bool has_event;

	pthread_mutex_lock(&vtd->lock);
	store(vtd, offset, value);
	has_event = act(vtd, offset, value, &msi);
	pthread_mutex_unlock(&vtd->lock);
	if (has_event)
		send(vtd, &msi);
	if (offset == IQT || offset == GCMD || offset == FSTS)
		run_queue(vtd);
}

static uint32_t read_register(struct vtd *vtd, unsigned offset)
{
	LOCKED(&vtd->lock);
	return *reg(vtd, offset);
}

/* 64 bits are two times 32, the lower ones first (10.2). */
static enum bus_result on_access(void *device, struct access *access)
{
	struct vtd *vtd = device;

	if (access->offset % access->size)
		return BUS_ERROR;
	if (!access->is_write)
		access->value = 0;
	for (unsigned i = 0; i < access->size; i += 4) {
		unsigned offset = access->offset + i;

		if (offset >= VTD_REGISTERS)
			continue;
		if (access->is_write)
			write_register(vtd, offset,
				       (uint32_t)(access->value >> 8 * i));
		else
			access->value |= (uint64_t)read_register(vtd, offset)
					 << 8 * i;
	}
	return BUS_HANDLED;
}

/* --- the device ------------------------------------------------------------- */

static void on_reset(void *device)
{
	struct vtd *vtd = device;
	LOCKED(&vtd->lock);

	memset(vtd->reg, 0, sizeof(vtd->reg));
	vtd->root_table = vtd->interrupt_table = 0;
	*reg(vtd, VER) = 0x10;
	set_reg64(vtd, CAP, CAP_VALUE);
	set_reg64(vtd, ECAP, ECAP_VALUE);
	*reg(vtd, FECTL) = EVENT_MASKED;
	*reg(vtd, IECTL) = EVENT_MASKED;
}

/* What it can do is what this program can. */
static int on_restored(void *device)
{
	struct vtd *vtd = device;

	set_reg64(vtd, CAP, CAP_VALUE);
	set_reg64(vtd, ECAP, ECAP_VALUE);
	*reg(vtd, IQH) &= 0x7fff0;
	return 0;
}

static const struct state_field fields[] = {
	STATE_ARRAY(struct vtd, reg, STATE_UINT, 1),
	STATE_FIELD(struct vtd, root_table, STATE_UINT, 1),
	STATE_FIELD(struct vtd, interrupt_table, STATE_UINT, 1),
	{ .name = NULL },
};

static const struct state_table state = {
	.name = "vtd",
	.version = 1,
	.field = fields,
	.restored = on_restored,
};

static const struct device_ops ops = {
	.reset = on_reset,
	.state = &state,
};

void vtd_attach(struct vtd *vtd, struct dma *dma)
{
	dma->translate = translate;
	dma->iommu = vtd;
}

int vtd_init(struct vtd *vtd, struct vm *vm)
{
	memset(vtd, 0, sizeof(*vtd));
	pthread_mutex_init(&vtd->lock, NULL);
	vtd->vm = vm;
	on_reset(vtd);
	vtd->device = (struct device){
		.name = "vtd",
		.ops = &ops,
		.self = vtd,
	};
	device_add(vm, &vtd->device);
	vtd->region = (struct bus_region){
		.name = "vtd",
		.base = VTD_BASE,
		.size = PAGE_SIZE,
		.sizes = 4 | 8,
		.handler = on_access,
		.device = vtd,
	};
	vm->remap = remap;
	vm->iommu = vtd;
	return bus_add(&vm->mmio, &vtd->region);
}
