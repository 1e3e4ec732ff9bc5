/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Saving a machine and loading it again.
 *
 * The order of the sections is the order of loading: the machine's shape, the
 * clock (deadlines need it), the devices in the order of the board, the
 * processors, what firmware was handed, then memory. A local APIC follows its processor, whose CR8 is a
 * part of it, and the devices, which drive its pins.
 */

#include "machine/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "core/apic_state.h"
#include "core/cpu_table.h"
#include "core/state.h"
#include "core/vm.h"
#include "machine/state_file.h"
#include "machine/state_items.h"
#include "x86/cpu_model.h"

#define BOARD	 "q35"
#define ROMS_MAX (16u << 20) /* below 4 GiB, with the flash chips */

/* --- the shape ------------------------------------------------------------ */

static const struct state_field leaf_fields[] = {
	STATE_FIELD(struct cpuid_leaf, leaf, STATE_UINT, 1),
	STATE_FIELD(struct cpuid_leaf, subleaf, STATE_UINT, 1),
	STATE_FIELD(struct cpuid_leaf, has_subleaf, STATE_BOOL, 1),
	STATE_FIELD(struct cpuid_leaf, eax, STATE_UINT, 1),
	STATE_FIELD(struct cpuid_leaf, ebx, STATE_UINT, 1),
	STATE_FIELD(struct cpuid_leaf, ecx, STATE_UINT, 1),
	STATE_FIELD(struct cpuid_leaf, edx, STATE_UINT, 1),
	{ .name = NULL },
};

static const struct state_table leaf_table = {
	.name = "cpuid-leaf",
	.version = 1,
	.field = leaf_fields,
};

static const struct state_field cpuid_fields[] = {
	STATE_FIELD(struct cpuid_table, count, STATE_UINT, 1),
	STATE_FIELD(struct cpuid_table, arch_capabilities, STATE_UINT, 1),
	STATE_NESTED_ARRAY(struct cpuid_table, leaf, leaf_table, 1),
	{ .name = NULL },
};

static const struct state_table cpuid_table_table = {
	.name = "cpuid",
	.version = 1,
	.field = cpuid_fields,
};

/* What of the memfd is not RAM: the ROM and the chips, of whole pages. */
static bool are_roms_possible(struct state_shape *shape)
{
	uint64_t size = shape->fd_size - shape->ram_size, sum;

	/* Version 1 knew of the ROM only. */
	if (!shape->rom_size && !shape->flash_size[0])
		shape->rom_size = size;
	sum = shape->rom_size;
	for (unsigned i = 0; i < PC_FLASH_MAX; i++) {
		if (shape->flash_size[i] > size ||
		    (i && shape->flash_size[i] && !shape->flash_size[i - 1]) ||
		    !is_aligned(shape->flash_size[i], PAGE_SIZE))
			return false;
		sum += shape->flash_size[i];
	}
	return sum == size && size <= ROMS_MAX &&
	       is_aligned(shape->rom_size, PAGE_SIZE);
}

static int shape_restored(void *instance)
{
	struct state_shape *shape = instance;

	shape->board[sizeof(shape->board) - 1] = 0;
	shape->cpu[sizeof(shape->cpu) - 1] = 0;
	shape->vendor[sizeof(shape->vendor) - 1] = 0;
	if (shape->cpuid.count > CPUID_LEAVES_MAX || !shape->tsc_khz)
		return -EINVAL;
	if (shape->vcpus < 1 || shape->vcpus > VM_VCPUS_MAX)
		return -EINVAL;
	return shape->ram_size && is_aligned(shape->ram_size, 1 << 20) &&
			       shape->fd_size >= shape->ram_size &&
			       are_roms_possible(shape) ?
		       0 :
		       -EINVAL;
}

static const struct state_field shape_fields[] = {
	STATE_FIELD(struct state_shape, board, STATE_BYTES, 1),
	STATE_FIELD(struct state_shape, no_acpi, STATE_BOOL, 1),
	STATE_FIELD(struct state_shape, no_hpet, STATE_BOOL, 1),
	STATE_FIELD(struct state_shape, has_testdev, STATE_BOOL, 1),
	STATE_FIELD(struct state_shape, has_iommu, STATE_BOOL, 3),
	STATE_FIELD(struct state_shape, cpu, STATE_BYTES, 1),
	STATE_FIELD(struct state_shape, vendor, STATE_BYTES, 1),
	STATE_FIELD(struct state_shape, ram_size, STATE_UINT, 1),
	STATE_FIELD(struct state_shape, fd_size, STATE_UINT, 1),
	STATE_FIELD(struct state_shape, rom_size, STATE_UINT, 2),
	STATE_ARRAY(struct state_shape, flash_size, STATE_UINT, 2),
	STATE_ARRAY(struct state_shape, flash_is_readonly, STATE_BOOL, 2),
	STATE_FIELD(struct state_shape, tsc_khz, STATE_UINT, 1),
	STATE_FIELD(struct state_shape, vcpus, STATE_UINT, 1),
	STATE_NESTED(struct state_shape, cpuid, cpuid_table_table, 1),
	{ .name = NULL },
};

static const struct state_table shape_table = {
	.name = "machine",
	.version = 3,
	.field = shape_fields,
	.restored = shape_restored,
};

/* Leaf 0 spells it in EBX, EDX, ECX. */
static void get_vendor(const struct cpuid_table *cpuid, char vendor[16])
{
	memset(vendor, 0, 16);
	store_u32(vendor, cpuid_value(cpuid, 0, 0, CPUID_EBX));
	store_u32(vendor + 4, cpuid_value(cpuid, 0, 0, CPUID_EDX));
	store_u32(vendor + 8, cpuid_value(cpuid, 0, 0, CPUID_ECX));
}

static void describe(struct vm *vm, const struct state_parts *parts,
		     struct state_shape *shape)
{
	*shape = (struct state_shape){
		.board = BOARD,
		.no_acpi = parts->no_acpi,
		.no_hpet = parts->no_hpet,
		.has_testdev = parts->has_testdev,
		.has_iommu = parts->has_iommu,
		.ram_size = vm->memory.ram_size,
		.fd_size = vm->memory.fd_size,
		.rom_size = vm->memory.fd_size - vm->memory.ram_size,
		.tsc_khz = vm->clock.tsc_khz,
		.vcpus = vm->vcpu_count,
		.cpuid = *vm->cpuid,
	};
	for (unsigned i = 0; parts->host && i < PC_FLASH_MAX; i++) {
		shape->flash_size[i] = parts->host->flash[i].size;
		shape->flash_is_readonly[i] = parts->host->flash[i].is_readonly;
		shape->rom_size -= shape->flash_size[i];
	}
	snprintf(shape->cpu, sizeof(shape->cpu), "%s", parts->cpu);
	get_vendor(vm->cpuid, shape->vendor);
}

/* --- the clock ------------------------------------------------------------ */

struct saved_clock {
	uint64_t ns, tsc;
};

static const struct state_field clock_fields[] = {
	STATE_FIELD(struct saved_clock, ns, STATE_UINT, 1),
	STATE_FIELD(struct saved_clock, tsc, STATE_UINT, 1),
	{ .name = NULL },
};

static const struct state_table clock_table = {
	.name = "clock",
	.version = 1,
	.field = clock_fields,
};

/* --- saving --------------------------------------------------------------- */

static void add_table(struct state_file_writer *file, const char *name,
		      const struct state_table *table, const void *instance)
{
	struct state_writer writer = { 0 };

	state_write(&writer, table, instance);
	if (writer.has_failed)
		file->error = file->error ? file->error : -ENOMEM;
	else
		state_file_add(file, name, table->version, writer.bytes,
			       writer.size);
	free(writer.bytes);
}

static void section_name(char name[STATE_SECTION_NAME_MAX], const char *kind,
			 const char *which)
{
	snprintf(name, STATE_SECTION_NAME_MAX, "%s:%s", kind, which);
}

static void numbered_name(char name[STATE_SECTION_NAME_MAX], const char *kind,
			  unsigned number)
{
	snprintf(name, STATE_SECTION_NAME_MAX, "%s:%u", kind, number);
}

static void save_devices(struct state_file_writer *file, struct vm *vm)
{
	char name[STATE_SECTION_NAME_MAX];
	struct device *device;

	list_for_each(device, &vm->devices, link) {
		if (!device->ops->state)
			continue;
		section_name(name, "device", device->name);
		add_table(file, name, device->ops->state, device->self);
	}
}

static int save_vcpu(struct state_file_writer *file, struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	char name[STATE_SECTION_NAME_MAX];
	struct saved_cpu cpu = {
		.sipi_vector = atomic_load(&vcpu->sipi_vector),
	};
	struct apic_state apic;
	int error = vm->engine_ops->get_state(vcpu, &cpu.state);

	if (error)
		return error;
	/* Now, as the engine may have put something back. */
	cpu.requests = atomic_load(&vcpu->requests) & SAVED_REQUESTS;
	cpu.paravirt = vcpu->paravirt;
	cpu.stolen_ns = vcpu->steal.stolen_ns;
	numbered_name(name, "vcpu", vcpu->index);
	add_table(file, name, &saved_cpu_table, &cpu);
	if (!vm->apic_ops || !vm->apic_ops->get_state)
		return 0;
	error = vm->apic_ops->get_state(vcpu, &apic);
	if (error)
		return error;
	numbered_name(name, "apic", vcpu->index);
	add_table(file, name, &apic_state_table, &apic);
	return 0;
}

/*
 * Memory comes in sections of up to 256 pages: the offset in the memfd, a bit
 * for each page that is not zero, those pages.
 */
#define CHUNK_PAGES  256
#define CHUNK_SIZE   ((uint64_t)CHUNK_PAGES << PAGE_SHIFT)
#define CHUNK_HEAD   (8 + CHUNK_PAGES / 8)
#define CHUNK_LAYOUT 1

static bool page_is_zero(const uint8_t *page)
{
	return load_u64(page) == 0 &&
	       memcmp(page, page + 8, PAGE_SIZE - 8) == 0;
}

static int save_chunk(struct state_file_writer *file, struct vm *vm,
		      uint64_t offset, uint8_t *bytes)
{
	uint64_t size = MIN(CHUNK_SIZE, vm->memory.fd_size - offset);
	uint8_t *pages = bytes + CHUNK_HEAD, *to = pages;
	ssize_t n = pread(vm->memory.fd, pages, size, (off_t)offset);

	if (n != (ssize_t)size)
		return n < 0 ? -errno : -EIO;
	memset(bytes, 0, CHUNK_HEAD);
	store_u64(bytes, offset);
	for (unsigned i = 0; i < size >> PAGE_SHIFT; i++) {
		const uint8_t *page = pages + ((uint64_t)i << PAGE_SHIFT);

		if (page_is_zero(page))
			continue;
		bytes[8 + i / 8] |= BIT(i % 8);
		if (to != page)
			memcpy(to, page, PAGE_SIZE);
		to += PAGE_SIZE;
	}
	if (to != pages)
		state_file_add(file, "memory", CHUNK_LAYOUT, bytes,
			       (size_t)(to - bytes));
	return 0;
}

/* What was never touched is a hole in the memfd, and stays one. */
static int save_memory(struct state_file_writer *file, struct vm *vm)
{
	cleanup_free uint8_t *bytes = malloc(CHUNK_HEAD + CHUNK_SIZE);
	int error = bytes ? 0 : -ENOMEM;
	uint64_t at = 0;

	while (!error && !file->error && at < vm->memory.fd_size) {
		off_t data = lseek(vm->memory.fd, (off_t)at, SEEK_DATA);

		if (data < 0)
			return errno == ENXIO ? 0 : -errno;
		at = align_down((uint64_t)data, CHUNK_SIZE);
		error = save_chunk(file, vm, at, bytes);
		at += CHUNK_SIZE;
	}
	return error;
}

int state_save_to(struct vm *vm, const struct state_parts *parts, int fd)
{
	const struct saved_clock now = { clock_ns(&vm->clock),
					 clock_tsc(&vm->clock) };
	cleanup_free struct state_shape *shape = malloc(sizeof(*shape));
	struct state_file_writer file;
	int error = 0;

	if (!shape)
		return -ENOMEM;
	describe(vm, parts, shape);
	state_file_begin(&file, fd);
	add_table(&file, "machine", &shape_table, shape);
	add_table(&file, "clock", &clock_table, &now);
	save_devices(&file, vm);
	for (unsigned i = 0; i < vm->vcpu_count && !error; i++)
		error = save_vcpu(&file, vm->vcpus[i]);
	state_items_save(&file, vm);
	if (!error)
		error = save_memory(&file, vm);
	if (error)
		return error;
	return state_file_finish(&file);
}

/* That the new name is on the disk, too. Nothing is lost if it is not. */
static void sync_folder(const char *path)
{
	cleanup_free char *copy = strdup(path);
	cleanup_fd int fd = copy ? open(dirname(copy), O_RDONLY | O_CLOEXEC) :
				   -1;

	if (fd >= 0 && fsync(fd))
		log_debug("%s: %s", path, strerror(errno));
}

int state_save(struct vm *vm, const struct state_parts *parts, const char *path,
	       char why[STATE_WHY_MAX])
{
	cleanup_free char *part = NULL;
	cleanup_fd int fd = -1;
	int error = 0;

	if (asprintf(&part, "%s.XXXXXX", path) < 0) {
		part = NULL;
		error = -ENOMEM;
	} else {
		fd = mkostemp(part, O_CLOEXEC);
		error = fd < 0 ? -errno : 0;
	}
	if (!error) {
		error = state_save_to(vm, parts, fd);
		if (!error && rename(part, path))
			error = -errno;
		if (error)
			unlink(part);
		else
			sync_folder(path);
	}
	if (error)
		snprintf(why, STATE_WHY_MAX, "%s", strerror(-error));
	return error;
}

/* --- loading -------------------------------------------------------------- */

struct state_source {
	char *path;
	int fd;
	struct state_file_reader file;
	struct state_shape shape;
};

__attribute__((format(printf, 2, 3))) static int
refuse(const struct state_source *source, const char *format, ...)
{
	char why[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, sizeof(why), format, arguments);
	va_end(arguments);
	log_error("%s: %s", source->path, why);
	return -EINVAL;
}

/* The next section, which must be `name`; NULL: any. 0: none, 1, -EINVAL. */
static int next_section(struct state_source *source, const char *name,
			struct state_section *section)
{
	int n = state_file_next(&source->file, section);

	if (n < 0)
		return refuse(source, "%s", source->file.why);
	if (!name)
		return n;
	if (n == 0)
		return refuse(source, "%s is missing", name);
	if (strcmp(section->name, name) != 0)
		return refuse(
			source,
			"of another machine: it has %s where this one has "
			"%s",
			section->name, name);
	return 1;
}

static int read_table(struct state_source *source, const char *name,
		      const struct state_table *table, void *instance)
{
	struct state_section section;
	struct state_reader reader = { 0 };

	if (next_section(source, name, &section) < 0)
		return -EINVAL;
	reader.bytes = section.bytes;
	reader.size = section.size;
	state_read(&reader, table, section.version, instance);
	if (!reader.has_failed && reader.at != reader.size)
		state_fail(&reader, "it has more than belongs there");
	if (reader.has_failed)
		return refuse(source, "%s: %s", name, reader.why);
	return 0;
}

int state_open(const char *path, struct state_source **result)
{
	struct state_source *source = calloc(1, sizeof(*source));

	if (!source)
		return -ENOMEM;
	source->path = strdup(path);
	source->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (!source->path || source->fd < 0) {
		log_error("%s: %s", path, strerror(errno));
		state_close(source);
		return -EINVAL;
	}
	if (state_file_open(&source->file, source->fd)) {
		refuse(source, "%s", source->file.why);
		state_close(source);
		return -EINVAL;
	}
	if (read_table(source, "machine", &shape_table, &source->shape)) {
		state_close(source);
		return -EINVAL;
	}
	*result = source;
	return 0;
}

const struct state_shape *state_describe(const struct state_source *source)
{
	return &source->shape;
}

void state_close(struct state_source *source)
{
	if (!source)
		return;
	state_file_close(&source->file);
	if (source->fd >= 0)
		close(source->fd);
	free(source->path);
	free(source);
}

/* Registers of CPUID whose bits are features that a guest may use. */
static const struct {
	uint32_t leaf, subleaf;
	enum cpuid_register reg;
	uint32_t ignored; /* bits that say something else */
	/* What a software engine carries unasked: that it is unaffected, that
	 * there is a register that says so, and that VERW clears buffers. */
	uint32_t software;
} feature_words[] = {
	{ 1, 0, CPUID_ECX, BIT(27) | BIT(31) }, /* OSXSAVE, hypervisor */
	{ 1, 0, CPUID_EDX, 0 },
	{ 6, 0, CPUID_EAX, 0 },
	{ 7, 0, CPUID_EBX, 0 },
	{ 7, 0, CPUID_ECX, BIT(4) }, /* OSPKE */
	{ 7, 0, CPUID_EDX, 0, BIT(10) | BIT(29) },
	{ 7, 1, CPUID_EAX, 0 },
	{ 7, 2, CPUID_EDX, 0 },
	{ 0xd, 0, CPUID_EAX, 0 },
	{ 0xd, 1, CPUID_EAX, 0 },
	{ 0x80000001, 0, CPUID_ECX, 0 },
	{ 0x80000001, 0, CPUID_EDX, 0 },
	/* SSB_NO, BTC_NO: APM 3, E.4.6 */
	{ 0x80000008, 0, CPUID_EBX, 0, BIT(26) | BIT(29) },
	{ 0x40000001, 0, CPUID_EAX, 0 },
};

/* IA32_ARCH_CAPABILITIES: "not affected by ...", which guests rely on. */
#define UNAFFECTED                                                        \
	(BIT(0) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | BIT(13) | BIT(14) | \
	 BIT(15) | BIT(20) | BIT(24) | BIT(26) | BIT(27))

int state_check_cpu(const struct state_source *source,
		    const struct cpuid_table *offer, bool is_software)
{
	static const char registers[][4] = { "EAX", "EBX", "ECX", "EDX" };
	const struct cpuid_table *told = &source->shape.cpuid;
	char vendor[16], names[CPU_DROPPED_MAX];

	get_vendor(offer, vendor);
	if (strcmp(vendor, source->shape.vendor) != 0)
		return refuse(source,
			      "its processor is of %s, this host's of %s; the "
			      "vendor cannot change",
			      source->shape.vendor, vendor);
	for (unsigned i = 0; i < ARRAY_SIZE(feature_words); i++) {
		uint32_t leaf = feature_words[i].leaf;
		uint32_t subleaf = feature_words[i].subleaf;
		enum cpuid_register reg = feature_words[i].reg;
		uint32_t missing = cpuid_value(told, leaf, subleaf, reg) &
				   ~cpuid_value(offer, leaf, subleaf, reg) &
				   ~feature_words[i].ignored;

		if (is_software)
			missing &= ~feature_words[i].software;
		if (!missing)
			continue;
		cpu_feature_names(leaf, subleaf, reg, missing, names);
		return refuse(source,
			      "its processor has features that this host or "
			      "engine has not: %s%sCPUID %" PRIx32 "h.%" PRIu32
			      " %s %" PRIx32 "h",
			      names, names[0] ? ", " : "", leaf, subleaf,
			      registers[reg], missing);
	}
	if (!is_software &&
	    (told->arch_capabilities & ~offer->arch_capabilities & UNAFFECTED))
		return refuse(source,
			      "its guest was told that vulnerabilities do not "
			      "concern it which this host's processor has");
	return 0;
}

/* A quarter of a per mille: two measurements of one clock differ by less. */
#define TSC_TOLERANCE 4000

static int check_shape(struct state_source *source, struct vm *vm)
{
	const struct state_shape *shape = &source->shape;
	uint64_t ours = vm->clock.tsc_khz, theirs = shape->tsc_khz;
	uint64_t difference = ours > theirs ? ours - theirs : theirs - ours;

	if (strcmp(shape->board, BOARD) != 0)
		return refuse(source, "of board %s, not " BOARD, shape->board);
	if (shape->ram_size != vm->memory.ram_size)
		return refuse(source,
			      "%" PRIu64 " MiB of memory, not the %" PRIu64
			      " MiB of this machine",
			      shape->ram_size >> 20, vm->memory.ram_size >> 20);
	if (shape->fd_size != vm->memory.fd_size)
		return refuse(source, "its ROMs are of another size");
	if (shape->vcpus != vm->vcpu_count)
		return refuse(source,
			      "%u processors, not the %u of this machine",
			      shape->vcpus, vm->vcpu_count);
	if (difference > ours / TSC_TOLERANCE)
		return refuse(source,
			      "its TSC runs at %" PRIu64 " kHz, this host's at "
			      "%" PRIu64 "; the guest's time would be wrong",
			      theirs, ours);
	return 0;
}

static int load_clock(struct state_source *source, struct vm *vm)
{
	struct saved_clock now = { 0 };

	if (read_table(source, "clock", &clock_table, &now))
		return -EINVAL;
	clock_set(&vm->clock, now.ns, now.tsc);
	/* An engine that keeps timers itself must not think them past. */
	if (vm->engine_ops->clock_changed)
		vm->engine_ops->clock_changed(vm, true,
					      clock_tsc_offset(&vm->clock));
	return 0;
}

static int load_devices(struct state_source *source, struct vm *vm)
{
	char name[STATE_SECTION_NAME_MAX];
	struct device *device;

	list_for_each(device, &vm->devices, link) {
		if (!device->ops->state)
			continue;
		section_name(name, "device", device->name);
		if (read_table(source, name, device->ops->state, device->self))
			return -EINVAL;
	}
	return 0;
}

static int load_vcpu(struct state_source *source, struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	char name[STATE_SECTION_NAME_MAX];
	struct saved_cpu cpu = { 0 };
	struct apic_state apic = { 0 };

	numbered_name(name, "vcpu", vcpu->index);
	if (read_table(source, name, &saved_cpu_table, &cpu))
		return -EINVAL;
	if (vm->engine_ops->set_state(vcpu, &cpu.state))
		return refuse(source, "%s: this engine cannot take it", name);
	if (vm->apic_ops && vm->apic_ops->set_state) {
		numbered_name(name, "apic", vcpu->index);
		if (read_table(source, name, &apic_state_table, &apic))
			return -EINVAL;
		if (vm->apic_ops->set_state(vcpu, &apic))
			return refuse(source, "%s: this engine cannot take it",
				      name);
	}
	atomic_store(&vcpu->sipi_vector, cpu.sipi_vector);
	vcpu->paravirt = cpu.paravirt;
	vcpu->steal.stolen_ns = cpu.stolen_ns;
	atomic_store(&vcpu->nmis, cpu.requests & VCPU_NMI ? 1 : 0);
	atomic_fetch_or(&vcpu->requests, cpu.requests | VCPU_INTERRUPT);
	return 0;
}

/* *next: where the next chunk may begin; each part of memory comes once. */
static int load_chunk(struct state_source *source, struct vm *vm,
		      const struct state_section *section, uint64_t *next)
{
	const uint8_t *page = section->bytes + CHUNK_HEAD;
	uint64_t offset, left = section->size;

	if (section->version != CHUNK_LAYOUT || left < CHUNK_HEAD)
		return refuse(source, "memory: a layout that is not known");
	left -= CHUNK_HEAD;
	offset = load_u64(section->bytes);
	if (offset < *next || !is_aligned(offset, CHUNK_SIZE) ||
	    offset >= vm->memory.fd_size)
		return refuse(source, "memory: pages out of place");
	*next = offset + CHUNK_SIZE;
	for (unsigned i = 0; i < CHUNK_PAGES; i++) {
		uint64_t at = offset + ((uint64_t)i << PAGE_SHIFT);

		if (!(section->bytes[8 + i / 8] >> i % 8 & 1))
			continue;
		if (left < PAGE_SIZE ||
		    !range_inside(at, PAGE_SIZE, vm->memory.fd_size))
			return refuse(source, "memory: pages out of place");
		memcpy(vm->memory.host + at, page, PAGE_SIZE);
		page += PAGE_SIZE;
		left -= PAGE_SIZE;
	}
	return left ? refuse(source, "memory: more pages than announced") : 0;
}

static int load_item(struct state_source *source, struct vm *vm,
		     struct state_items *items,
		     const struct state_section *section)
{
	int error = section ? state_items_load(items, vm, section) :
			      state_items_finish(items);

	return error ? refuse(source, "%s",
			      error == -EINVAL ? items->why :
						 strerror(-error)) :
		       0;
}

static int load_rest(struct state_source *source, struct vm *vm,
		     struct state_items *items)
{
	struct state_section section;
	uint64_t next = 0;
	int n;

	while ((n = next_section(source, NULL, &section)) > 0) {
		if (!next && strcmp(section.name, STATE_ITEMS_SECTION) == 0) {
			if (load_item(source, vm, items, &section))
				return -EINVAL;
			continue;
		}
		if (strcmp(section.name, "memory") != 0)
			return refuse(source,
				      "of another machine: it has %s, which "
				      "this one has not",
				      section.name);
		if (load_chunk(source, vm, &section, &next))
			return -EINVAL;
	}
	return n ? n : load_item(source, vm, items, NULL);
}

int state_load(struct state_source *source, struct vm *vm)
{
	struct state_items items = { 0 };
	int error = check_shape(source, vm);

	if (!error)
		error = load_clock(source, vm);
	if (!error)
		error = load_devices(source, vm);
	for (unsigned i = 0; i < vm->vcpu_count && !error; i++)
		error = load_vcpu(source, vm->vcpus[i]);
	if (!error)
		error = load_rest(source, vm, &items);
	state_items_fini(&items);
	return error;
}
