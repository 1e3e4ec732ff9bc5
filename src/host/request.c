/* SPDX-License-Identifier: BSD-2-Clause */
/* Parses and prints requests: as much of JSON as a flat object needs. */
#include "host/request.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum value_kind { VALUE_STRING, VALUE_NUMBER, VALUE_BOOL };

struct value {
	enum value_kind kind;
	char text[REQUEST_FILE_MAX];
	uint64_t number; /* also of a boolean */
};

static const char *skip_space(const char *at)
{
	return at + strspn(at, " \t\r\n");
}

/* A string without escapes other than \" \\ and \/; NULL when it is none or
 * too long. */
static const char *parse_string(const char *at, char *text, size_t room)
{
	size_t used = 0;

	if (*at++ != '"')
		return NULL;
	for (; *at != '"'; at++) {
		if (*at == '\\' &&
		    (at[1] == '"' || at[1] == '\\' || at[1] == '/'))
			at++;
		else if (*at == '\\' || (unsigned char)*at < ' ')
			return NULL;
		if (used + 1 >= room)
			return NULL;
		text[used++] = *at;
	}
	text[used] = 0;
	return at + 1;
}

static const char *parse_number(const char *at, uint64_t *number)
{
	*number = 0;
	if (!isdigit((unsigned char)*at))
		return NULL;
	for (; isdigit((unsigned char)*at); at++)
		if (__builtin_mul_overflow(*number, 10, number) ||
		    __builtin_add_overflow(*number, *at - '0', number))
			return NULL;
	return at;
}

static const char *parse_value(const char *at, struct value *value)
{
	if (*at == '"') {
		value->kind = VALUE_STRING;
		return parse_string(at, value->text, sizeof(value->text));
	}
	if (strncmp(at, "true", 4) == 0 || strncmp(at, "false", 5) == 0) {
		value->kind = VALUE_BOOL;
		value->number = *at == 't';
		return at + (*at == 't' ? 4 : 5);
	}
	value->kind = VALUE_NUMBER;
	return parse_number(at, &value->number);
}

static const char *take(struct request *request, const char *key,
			const struct value *value)
{
	if (strcmp(key, "command") == 0) {
		if (value->kind != VALUE_STRING ||
		    strlen(value->text) >= sizeof(request->command))
			return "command: not a command's name";
		strcpy(request->command, value->text);
	} else if (strcmp(key, "json") == 0) {
		if (value->kind != VALUE_BOOL)
			return "json: not true or false";
		request->json = value->number;
	} else if (strcmp(key, "stop") == 0) {
		if (value->kind != VALUE_BOOL)
			return "stop: not true or false";
		request->stop = value->number;
	} else if (strcmp(key, "file") == 0) {
		if (value->kind != VALUE_STRING)
			return "file: not a name";
		strcpy(request->file, value->text);
	} else if (strcmp(key, "grace_ms") == 0) {
		if (value->kind != VALUE_NUMBER)
			return "grace_ms: not a number";
		request->grace_ms = value->number;
	}
	return NULL;
}

const char *request_parse(const char *line, struct request *request)
{
	static const char not_json[] = "not a flat JSON object";
	const char *at = skip_space(line), *error;
	struct value value = { 0 };
	char key[32];

	*request = (struct request){ 0 };
	if (*at++ != '{')
		return not_json;
	do {
		at = parse_string(skip_space(at), key, sizeof(key));
		if (!at)
			return not_json;
		at = skip_space(at);
		if (*at++ != ':')
			return not_json;
		at = parse_value(skip_space(at), &value);
		if (!at)
			return not_json;
		error = take(request, key, &value);
		if (error)
			return error;
		at = skip_space(at);
	} while (*at++ == ',');
	if (at[-1] != '}' || *skip_space(at))
		return not_json;
	return request->command[0] ? NULL : "no command";
}

int request_format(const struct request *request, char *line, size_t room)
{
	FILE *file = fmemopen(line, room, "w");
	long size;

	if (!file)
		return -1;
	fprintf(file, "{\"command\": \"%s\", \"json\": %s, \"grace_ms\": %llu",
		request->command, request->json ? "true" : "false",
		(unsigned long long)request->grace_ms);
	if (request->file[0]) {
		fprintf(file, ", \"file\": ");
		json_print_string(file, request->file);
	}
	fprintf(file, ", \"stop\": %s}\n", request->stop ? "true" : "false");
	size = fflush(file) ? -1 : ftell(file);
	fclose(file);
	return (int)size;
}

void json_print_string(FILE *file, const char *text)
{
	fputc('"', file);
	for (; *text; text++) {
		unsigned char c = *text;

		if (c == '"' || c == '\\')
			fprintf(file, "\\%c", c);
		else if (c < 0x20)
			fprintf(file, "\\u%04x", c);
		else
			fputc(c, file);
	}
	fputc('"', file);
}
