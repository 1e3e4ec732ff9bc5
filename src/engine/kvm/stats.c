/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exits that the kernel handled by itself, from its per-vCPU statistics file
 * (api.rst, KVM_GET_STATS_FD). It tells HLT and hypercalls apart; CPUID, MSRs,
 * control registers and EPT violations share one row.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/kvm/internal.h"

/* More than any kernel has; a file that says otherwise is not for us. */
#define DESCRIPTORS_MAX 512

/* Row 0 is the total; the rest is what is known of it. */
static const struct {
	const char *name;
	enum exit_reason reason;
} known[] = {
	{ "exits", EXIT_IN_KERNEL },
	{ "halt_exits", EXIT_HLT },
	{ "hypercalls", EXIT_VMCALL },
	{ "irq_exits", EXIT_EXTERNAL_INTERRUPT },
	{ "irq_window_exits", EXIT_INTERRUPT_WINDOW },
	{ "nmi_window_exits", EXIT_INTERRUPT_WINDOW },
};

_Static_assert(ARRAY_SIZE(known) <= ARRAY_SIZE(((struct kvm_vcpu *)0)->stat),
	       "stat[] is too small");

static void find_offset(struct kvm_vcpu *kvm,
			const struct kvm_stats_header *header,
			const struct kvm_stats_desc *desc, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strncmp(name, known[i].name, header->name_size) == 0)
			kvm->stat[i].offset =
				header->data_offset + desc->offset;
}

int kvm_stats_open(struct kvm_vcpu *kvm)
{
	cleanup_fd int fd = ioctl(kvm->fd, KVM_GET_STATS_FD, NULL);
	cleanup_free uint8_t *table = NULL;
	struct kvm_stats_header header;
	size_t entry, size;

	if (fd < 0)
		return -errno;
	if (pread(fd, &header, sizeof(header), 0) != sizeof(header) ||
	    header.num_desc > DESCRIPTORS_MAX || header.name_size > 256)
		return -EINVAL;
	entry = sizeof(struct kvm_stats_desc) + header.name_size;
	size = entry * header.num_desc;
	table = malloc(size);
	if (!table)
		return -ENOMEM;
	if (pread(fd, table, size, header.desc_offset) != (ssize_t)size)
		return -EINVAL;
	for (size_t i = 0; i < header.num_desc; i++) {
		const void *desc = table + i * entry;

		find_offset(kvm, &header, desc,
			    (const char *)desc + sizeof(struct kvm_stats_desc));
	}
	kvm->stats_fd = take_fd(&fd);
	return 0;
}

/* What was added to counter i since it was last booked. */
static uint64_t take_new(struct kvm_vcpu *kvm, size_t i)
{
	uint64_t now, added;

	if (!kvm->stat[i].offset ||
	    pread(kvm->stats_fd, &now, sizeof(now),
		  (off_t)kvm->stat[i].offset) != sizeof(now))
		return 0;
	added = now - kvm->stat[i].booked;
	kvm->stat[i].booked = now;
	return added;
}

void kvm_count_exits(struct vcpu *vcpu)
{
	struct kvm_vcpu *kvm = kvm_vcpu(vcpu);
	uint64_t attributed, total;

	if (kvm->stats_fd < 0)
		return;
	/* The parts before the total, which grows meanwhile. */
	attributed = kvm->user_exits - kvm->user_exits_booked;
	kvm->user_exits_booked = kvm->user_exits;
	for (size_t i = 1; i < ARRAY_SIZE(known); i++) {
		uint64_t added = take_new(kvm, i);

		attributed += added;
		exit_count(vcpu, known[i].reason, added);
	}
	total = take_new(kvm, 0);
	/* One exit of the processor may be many of ours (REP OUTS). */
	if (total > attributed)
		exit_count(vcpu, EXIT_IN_KERNEL, total - attributed);
}
