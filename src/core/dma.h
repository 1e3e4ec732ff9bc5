/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device's way to guest memory and to interrupt messages. Addresses are bus
 * addresses of that device: an IOMMU may stand in between, and nothing gets
 * through while bus mastering is off (PCI 3.0, 6.2.2).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "x86/addr.h"

struct vm;

typedef uint64_t dma_addr_t;

struct dma {
	struct vm *vm;
	uint32_t requester; /* PCI bus:device.function, 16 bits */
	bool is_enabled; /* bus master enable; atomic */
	/* An IOMMU's translation; NULL: identity. False: blocked. */
	bool (*translate)(void *iommu, uint32_t requester, dma_addr_t address,
			  bool is_write, gpa_t *gpa, size_t *contiguous);
	void *iommu;
};

/* All or nothing: -EFAULT when any byte is outside or refused. Any thread. */
int dma_read(struct dma *dma, dma_addr_t address, void *to, size_t size);
int dma_write(struct dma *dma, dma_addr_t address, const void *from,
	      size_t size);

/*
 * A host pointer for a contiguous range, NULL when refused. A write lasts until
 * dma_write_end, which marks the range dirty and drops translations of it.
 */
const uint8_t *dma_read_begin(struct dma *dma, dma_addr_t address, size_t size);
uint8_t *dma_write_begin(struct dma *dma, dma_addr_t address, size_t size);
void dma_write_end(struct dma *dma, dma_addr_t address, size_t size);
