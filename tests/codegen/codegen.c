/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the translator makes of snippets of guest code, as a listing.
 *
 * usage: codegen <FILE
 *
 * FILE has snippets, "guest VIEW BYTES...", VIEW being user, kernel or smap, or
 * for 16-bit code with segments of 64 KiB real or protected; each is written out
 * again with its instructions and the host code of its block behind it, in the
 * place of what stands there. Comments (#) and empty lines stay. A snippet lies
 * at the end of its page, alone in a new VM, so that its listing depends on
 * nothing else.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/bt/bt.h"
#include "engine/bt/dump.h"
#include "engine/bt/engine.h"
#include "guest.h"
#include "x86/decode.h"
#include "x86/format.h"

#define BYTES_MAX 512

static const struct view {
	const char *name;
	enum mmu_view view;
	enum x86_mode mode;
} views[] = {
	{ "user", MMU_USER, X86_MODE_64 },
	{ "kernel", MMU_SUPERVISOR, X86_MODE_64 },
	{ "smap", MMU_SMAP, X86_MODE_64 },
	{ "real", MMU_SUPERVISOR, X86_MODE_REAL },
	{ "protected", MMU_SUPERVISOR, X86_MODE_16 },
};

struct snippet {
	const struct view *view;
	uint8_t bytes[BYTES_MAX];
	unsigned size;
};

static bool snippet_parse(struct snippet *snippet, const char *line)
{
	char view[16], *end;
	int at;

	if (sscanf(line, "guest %15s%n", view, &at) != 1)
		return false;
	for (snippet->view = views; strcmp(view, snippet->view->name);)
		if (++snippet->view == views + ARRAY_SIZE(views))
			return false;
	for (snippet->size = 0; snippet->size < BYTES_MAX; snippet->size++) {
		unsigned long byte = strtoul(line + at, &end, 16);

		if (end == line + at)
			break;
		at = (int)(end - line);
		snippet->bytes[snippet->size] = (uint8_t)byte;
	}
	return snippet->size && line[at] == '\n';
}

static void print_guest(const struct snippet *snippet, uint64_t rip)
{
	char text[INSN_TEXT_SIZE];
	struct insn insn;

	for (unsigned at = 0; at < snippet->size; at += insn.len) {
		if (insn_decode(&insn, snippet->bytes + at, snippet->size - at,
				snippet->view->mode) <= 0) {
			printf("\t(no instruction)\n");
			return;
		}
		insn_format(text, sizeof(text), &insn, rip + at);
		printf("\t%s\n", text);
	}
}

static void print_line(void *sink, const uint8_t *at, const char *text)
{
	const uint8_t *start = sink;

	printf("\t%3lx  %s\n", (unsigned long)(at - start), text);
}

static void print_host(const struct bt_vm *bt, const struct bt_block *block)
{
	uint8_t *start = bt->writable + block->code;

	printf("host\n");
	bt_host_list(bt, start, bt->writable + block->end, print_line, start);
}

static void set_16bit(struct bt_vcpu *vcpu, const struct view *view,
		      unsigned ip)
{
	struct bt_flavour *flavour = &vcpu->flavour;
	struct cpu_state *s = &vcpu->cpu.s;

	flavour->is_32 = flavour->is_16 = flavour->is_segmented = true;
	flavour->is_protected = view->mode == X86_MODE_16;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		flavour->limit[i] = BT_LIMIT_64K;
	vcpu->bt->code_limit[flavour->code_limit] = 0xffff;
	s->segment[SEG_CS].base = WORLD_AT(PAGE_CODE);
	s->rip = ip;
}

static bool translate(struct guest *guest, const struct snippet *snippet)
{
	struct bt_vcpu *vcpu = (struct bt_vcpu *)guest->cpu;
	unsigned offset = (unsigned)PAGE_SIZE - snippet->size;
	uint8_t *host = guest_page(guest, PAGE_CODE) + offset;
	const struct bt_block *block;
	struct bt_ahead ahead;

	memcpy(host, snippet->bytes, snippet->size);
	guest_reset(guest, WORLD_AT(PAGE_CODE) + offset);
	vcpu->flavour = (struct bt_flavour){
		.view = (uint8_t)snippet->view->view,
		.has_smap = snippet->view->view == MMU_SMAP,
		.has_x87 = true,
		.has_sse = true,
		.has_avx = true,
	};
	if (snippet->view->mode != X86_MODE_64)
		set_16bit(vcpu, snippet->view, offset);
	vcpu->bt->has_bmi2 = true; /* whatever the host is */
	if (snippet->view != MMU_USER)
		guest->cpu->s.segment[SEG_GS].base = 0xffff888000000000;
	print_guest(snippet, guest->cpu->s.rip);
	pthread_mutex_lock(&vcpu->bt->lock);
	block = bt_translate(vcpu, bt_rip(vcpu), host, &ahead);
	pthread_mutex_unlock(&vcpu->bt->lock);
	if (block)
		print_host(vcpu->bt, block);
	return block;
}

int main(void)
{
	struct snippet snippet;
	char line[3 * BYTES_MAX];
	bool is_ok = true;

	while (is_ok && fgets(line, sizeof(line), stdin)) {
		struct guest guest;

		if (line[0] == '\t' || !strcmp(line, "host\n"))
			continue;
		fputs(line, stdout);
		if (line[0] == '#' || line[0] == '\n')
			continue;
		is_ok = snippet_parse(&snippet, line) &&
			guest_init(&guest, &bt_engine, NULL) == 0;
		if (!is_ok)
			break;
		is_ok = translate(&guest, &snippet);
		guest_fini(&guest);
	}
	if (!is_ok)
		fprintf(stderr, "codegen: cannot translate: %s", line);
	return !is_ok;
}
