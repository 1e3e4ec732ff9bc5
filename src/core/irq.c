/* SPDX-License-Identifier: BSD-2-Clause */
/* Interrupt messages: through the remapping hook to the local APICs. */

#include "core/irq.h"

#include <inttypes.h>

#include "core/vm.h"

void msi_send(struct vm *vm, const struct msi *msi)
{
	struct msi remapped = *msi;

	if (vm->remap && !vm->remap(vm->iommu, &remapped))
		return;
	/* Only FEEx_xxxxh reaches an APIC (SDM 3, 10.11.1); a device that
	 * writes elsewhere writes memory, which is its own affair. */
	if ((remapped.address & ~0xfffffull) != MSI_ADDRESS_BASE)
		return;
	if (trace_is_on(&vm->trace, TRACE_INTERRUPT))
		trace_put(vm, NULL, TRACE_INTERRUPT,
			  "message %" PRIx64 " = %" PRIx32, remapped.address,
			  remapped.data);
	vm->apic_ops->deliver(vm, &remapped);
}
