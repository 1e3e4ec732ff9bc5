/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes to the decoder and the formatter: nothing past the end is read
 * (the copy below ends where the sanitizer looks), lengths stay within what
 * is there, the same bytes give the same result, and so do more bytes than
 * the instruction has and, with "too short" for fewer, every piece of it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "x86/decode.h"
#include "x86/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void check_format(const struct insn *insn)
{
	char text[INSN_TEXT_SIZE + 1];
	size_t length;

	memset(text, '!', sizeof(text));
	length = insn_format(text, INSN_TEXT_SIZE, insn, 0x1000);
	check(length < INSN_TEXT_SIZE);
	check(strlen(text) == length);
	check(text[INSN_TEXT_SIZE] == '!');
	/* truncated: the same beginning, nothing behind it */
	memset(text, '!', sizeof(text));
	check(insn_format(text, 8, insn, 0x1000) == length);
	check(text[8] == '!');
	check(length < 8 || strlen(text) == 7);
}

static void check_insn(const struct insn *insn)
{
	check(insn->op > OP_INVALID && insn->op < OP_COUNT);
	check(insn->row < insn_row_count);
	check(insn_row(insn)->op == insn->op);
	check(insn->nops <= INSN_MAX_OPERANDS);
	check(insn->off_opcode < insn->len);
	check(insn->off_modrm < insn->len);
	check(insn->off_disp + insn->disp_len <= insn->len);
	check(insn->off_imm + insn->imm_len <= insn->len);
	for (unsigned int i = 0; i < insn->nops; i++)
		check(insn->operand[i].kind != OPND_NONE);
	check_format(insn);
}

static void check_mode(const uint8_t *data, size_t size, enum x86_mode mode)
{
	struct insn insn, again;
	int ret, other;

	memset(&insn, 0, sizeof(insn));
	memset(&again, 0xff, sizeof(again));
	ret = insn_decode(&insn, data, size, mode);
	other = insn_decode(&again, data, size, mode);
	check(ret == other);
	check(ret >= -INSN_LONG && ret != 0 && ret <= INSN_MAX_LEN);
	check(ret <= (int)size);
	check(ret != -INSN_SHORT || size < INSN_MAX_LEN);
	check(ret != -INSN_LONG || size >= INSN_MAX_LEN);
	if (ret <= 0)
		return;
	check(insn.len == ret);
	check(memcmp(&insn, &again, sizeof(insn)) == 0);
	check_insn(&insn);
	for (int piece = 0; piece < ret; piece++) {
		/* of its own size, so that a byte too many is caught */
		uint8_t *copy = malloc(piece ? piece : 1);

		memcpy(copy, data, piece);
		check(insn_decode(&again, copy, piece, mode) == -INSN_SHORT);
		free(copy);
	}
	check(insn_decode(&again, data, ret, mode) == ret);
	check(memcmp(&insn, &again, sizeof(insn)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if (size == 0 || size > 64)
		return 0;
	copy = malloc(size);
	memcpy(copy, data, size);
	for (int mode = X86_MODE_REAL; mode <= X86_MODE_64; mode++)
		check_mode(copy, size, mode);
	free(copy);
	return 0;
}
