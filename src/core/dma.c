/* SPDX-License-Identifier: BSD-2-Clause */
/* A device's way to guest memory, an IOMMU permitting. */

#include "core/dma.h"

#include <errno.h>

#include "base/checked.h"
#include "core/vm.h"

/* How much of [address, +size) is contiguous from *gpa on; 0: refused. */
static size_t translate(struct dma *dma, dma_addr_t address, size_t size,
			bool is_write, gpa_t *gpa)
{
	size_t contiguous = size;
	uint64_t end;

	if (!__atomic_load_n(&dma->is_enabled, __ATOMIC_RELAXED) ||
	    !checked_add(address, size, &end))
		return 0;
	*gpa = address;
	if (dma->translate &&
	    !dma->translate(dma->iommu, dma->requester, address, is_write, gpa,
			    &contiguous))
		return 0;
	return MIN(contiguous, size);
}

/* True when every byte may be reached and is memory of the right kind. */
static bool is_reachable(struct dma *dma, dma_addr_t address, size_t size,
			 bool is_write)
{
	struct memory *memory = &dma->vm->memory;
	size_t done = 0;

	while (done < size) {
		struct memory_slot slot;
		gpa_t gpa;
		size_t n = translate(dma, address + done, size - done, is_write,
				     &gpa);

		if (!n || !memory_find(memory, gpa, &slot) ||
		    (is_write && slot.kind != MEMORY_RAM))
			return false;
		done += MIN(n, slot.base + slot.size - gpa);
	}
	return true;
}

int dma_read(struct dma *dma, dma_addr_t address, void *to, size_t size)
{
	size_t done = 0;

	if (!is_reachable(dma, address, size, false))
		return -EFAULT;
	while (done < size) {
		gpa_t gpa;
		size_t n = translate(dma, address + done, size - done, false,
				     &gpa);

		if (!n ||
		    memory_read(&dma->vm->memory, gpa, (uint8_t *)to + done, n))
			return -EFAULT;
		done += n;
	}
	return 0;
}

int dma_write(struct dma *dma, dma_addr_t address, const void *from,
	      size_t size)
{
	size_t done = 0;

	if (!is_reachable(dma, address, size, true))
		return -EFAULT;
	while (done < size) {
		gpa_t gpa;
		size_t n =
			translate(dma, address + done, size - done, true, &gpa);

		if (!n || memory_write(&dma->vm->memory, gpa,
				       (const uint8_t *)from + done, n))
			return -EFAULT;
		done += n;
	}
	return 0;
}

const uint8_t *dma_read_begin(struct dma *dma, dma_addr_t address, size_t size)
{
	gpa_t gpa;

	if (translate(dma, address, size, false, &gpa) != size)
		return NULL;
	return memory_read_begin(&dma->vm->memory, gpa, size);
}

uint8_t *dma_write_begin(struct dma *dma, dma_addr_t address, size_t size)
{
	gpa_t gpa;

	if (translate(dma, address, size, true, &gpa) != size)
		return NULL;
	return memory_write_begin(&dma->vm->memory, gpa, size);
}

void dma_write_end(struct dma *dma, dma_addr_t address, size_t size)
{
	gpa_t gpa;

	/* A mapping that went away meanwhile was written all the same, but
	 * only its owner can still name the pages: it flushes on unmap. */
	if (translate(dma, address, size, true, &gpa) == size)
		memory_write_end(&dma->vm->memory, gpa, size);
}
