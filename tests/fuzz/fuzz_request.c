/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a peer sends over the control socket: the parser of requests. Half of
 * the inputs are put together from the pieces that JSON is made of, so that
 * they get past the first character.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "host/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const pieces[] = {
	"{",
	"}",
	"\"",
	"command",
	"stat",
	"json",
	"grace_ms",
	":",
	",",
	"true",
	"false",
	"0",
	"4294967296",
	"\\",
	"\\\"",
	" ",
	"{\"command\":\"stat\"",
	"\"json\":",
	"\"grace_ms\":1",
	"99999999999999999999999999",
};

static size_t assemble(const uint8_t *data, size_t size, char *line,
		       size_t room)
{
	size_t used = 0;

	for (size_t i = 0; i < size; i++) {
		const char *piece = pieces[data[i] % ARRAY_SIZE(pieces)];
		size_t length = strlen(piece);

		if (used + length >= room)
			break;
		memcpy(line + used, piece, length);
		used += length;
	}
	return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char again[REQUEST_LINE_MAX], assembled[REQUEST_LINE_MAX];
	struct request request, second;
	size_t length = size;
	char *line;

	if (size && (data[0] & 1)) {
		length = assemble(data + 1, size - 1, assembled,
				  sizeof(assembled));
		data = (const uint8_t *)assembled;
	}
	/* Of the exact size, so that a read beyond it is caught. */
	line = malloc(length + 1);
	if (!line)
		return 0;
	memcpy(line, data, length);
	line[length] = 0;
	if (!request_parse(line, &request)) {
		BUG_ON(strlen(request.command) >= sizeof(request.command));
		/* Printed and parsed again it is the same, unless its name has
		 * characters that no command has. */
		request_format(&request, again, sizeof(again));
		if (!strpbrk(request.command, "\"\\")) {
			BUG_ON(request_parse(again, &second));
			BUG_ON(second.grace_ms != request.grace_ms);
			BUG_ON(second.json != request.json);
		}
	}
	free(line);
	return 0;
}
