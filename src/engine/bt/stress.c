/* SPDX-License-Identifier: BSD-2-Clause */
/* What the stress switches have in common, and those of the dispatcher. */
#include "engine/bt/stress.h"

#include <errno.h>
#include <string.h>

#include "engine/bt/bt.h"

static const struct {
	const char *name;
	uint32_t kinds;
} names[] = {
	{ "tlb", STRESS_TLB },
	{ "cache", STRESS_CACHE },
	{ "attention", STRESS_ATTENTION },
	{ "smc", STRESS_SMC },
	{ "slow", STRESS_SLOW },
	{ "short", STRESS_SHORT },
	{ "all", STRESS_TLB | STRESS_CACHE | STRESS_ATTENTION | STRESS_SMC |
			 STRESS_SLOW | STRESS_SHORT },
};

static uint32_t kinds_of(const char *name, size_t length)
{
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (strlen(names[i].name) == length &&
		    memcmp(names[i].name, name, length) == 0)
			return names[i].kinds;
	return 0;
}

int bt_stress_parse(struct bt_stress *stress, const char *list)
{
	uint32_t all = 0;

	while (*list) {
		size_t length = strcspn(list, "+");
		uint32_t kinds = kinds_of(list, length);

		if (!kinds)
			return -EINVAL;
		all |= kinds;
		list += length;
		if (*list && !*++list)
			return -EINVAL;
	}
	stress->kinds = all;
	return 0;
}

/* splitmix64 of seed and number. */
static uint64_t mix(const struct bt_stress *stress, uint64_t n)
{
	uint64_t z = stress->seed + (n + 1) * 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* The same draws for the same seed, as far as threads let them come in the same
 * order. */
static uint64_t draw(struct bt_stress *stress)
{
	return mix(stress, atomic_fetch_add_explicit(&stress->draws, 1,
						     memory_order_relaxed));
}

static unsigned every(const struct bt_stress *stress)
{
	return MAX(stress->every, 1u);
}

bool bt_stress_hits(struct bt_stress *stress, enum bt_stress_kind kind,
		    unsigned n)
{
	return (stress->kinds & kind) &&
	       draw(stress) % ((uint64_t)n * every(stress)) == 0;
}

bool bt_stress_chooses(const struct bt_stress *stress, enum bt_stress_kind kind,
		       uint64_t thing)
{
	return (stress->kinds & kind) &&
	       mix(stress, thing) % every(stress) == 0;
}

unsigned bt_stress_choose(struct bt_stress *stress, unsigned n)
{
	return 1 + (unsigned)(draw(stress) % n);
}

void bt_stress_vcpu(struct bt_vcpu *vcpu)
{
	struct bt_stress *stress = &vcpu->bt->stress;

	if (bt_stress_hits(stress, STRESS_TLB, 1)) {
		vcpu->cpu.tlb.has_one_entry = every(stress) == 1;
		if (!vcpu->cpu.tlb.has_one_entry)
			tlb_flush(&vcpu->cpu);
		for (unsigned view = 0; view < MMU_VIEWS; view++)
			bt_forget_stack(vcpu, view);
		bt_percpu_forget(vcpu);
	}
	if (bt_stress_hits(stress, STRESS_ATTENTION, 1))
		atomic_store_explicit(&vcpu->cpu.attention, INTERP_ATTENTION,
				      memory_order_relaxed);
}
