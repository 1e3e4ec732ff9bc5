/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is asked over a control socket: one line, a flat JSON object (RFC 8259)
 * such as {"command": "stat", "json": true}. The answer is a line, {"ok": true}
 * or {"error": "why"}, and what was asked for, up to the end of the stream.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define REQUEST_LINE_MAX 8704
#define REQUEST_FILE_MAX 4096

struct request {
	char command[16];
	bool json;
	uint64_t grace_ms; /* of stop */
	char file[REQUEST_FILE_MAX]; /* of save: an absolute path */
	bool stop; /* of save: end the VM */
};

/* NULL, or what is wrong with the line, which may be hostile. Keys that nobody
 * knows are skipped: a newer client may send them. */
const char *request_parse(const char *line, struct request *request);

/* The line, with its newline: its length, or -1 when there is no room. A
 * file's name has no control characters. */
int request_format(const struct request *request, char *line, size_t room);

/* Prints text as a JSON string, quotes included. */
void json_print_string(FILE *file, const char *text);
