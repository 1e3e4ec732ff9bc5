/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets of gdb's remote serial protocol: framing, checksums, hexadecimal. */

#include "debug/rsp.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ESCAPE 0x7d

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* --- from bytes ----------------------------------------------------------- */

static enum rsp_event between(struct rsp_parser *parser, uint8_t byte)
{
	switch (byte) {
	case '$':
		parser->state = RSP_INSIDE;
		parser->sum = 0;
		parser->size = 0;
		parser->is_bad = false;
		return RSP_NOTHING;
	case 0x03:
		return RSP_INTERRUPT;
	case '+':
		return RSP_ACK;
	case '-':
		return RSP_NACK;
	default:
		return RSP_NOTHING;
	}
}

static void keep(struct rsp_parser *parser, uint8_t byte)
{
	if (parser->size == RSP_PACKET_MAX)
		parser->is_bad = true;
	else
		parser->data[parser->size++] = (char)byte;
}

static enum rsp_event inside(struct rsp_parser *parser, uint8_t byte)
{
	/* A new beginning: the end of the last was lost. */
	if (byte == '$')
		return between(parser, byte);
	if (byte == '#') {
		parser->state = RSP_SUM_HIGH;
		return RSP_NOTHING;
	}
	parser->sum += byte;
	if (byte == ESCAPE)
		parser->state = RSP_ESCAPED;
	else
		keep(parser, byte);
	return RSP_NOTHING;
}

static enum rsp_event finish(struct rsp_parser *parser, uint8_t byte)
{
	int low = hex_digit((char)byte);

	parser->state = RSP_BETWEEN;
	parser->data[parser->size] = 0;
	if (low < 0 || parser->is_bad ||
	    (uint8_t)(parser->wanted | low) != parser->sum)
		return RSP_DAMAGED;
	return RSP_PACKET;
}

enum rsp_event rsp_feed(struct rsp_parser *parser, uint8_t byte)
{
	int digit;

	switch (parser->state) {
	case RSP_INSIDE:
		return inside(parser, byte);
	case RSP_ESCAPED:
		parser->sum += byte;
		keep(parser, byte ^ 0x20);
		parser->state = RSP_INSIDE;
		return RSP_NOTHING;
	case RSP_SUM_HIGH:
		digit = hex_digit((char)byte);
		parser->is_bad |= digit < 0;
		parser->wanted = (uint8_t)((unsigned)digit << 4);
		parser->state = RSP_SUM_LOW;
		return RSP_NOTHING;
	case RSP_SUM_LOW:
		return finish(parser, byte);
	case RSP_BETWEEN:
		break;
	}
	return between(parser, byte);
}

/* --- to bytes ------------------------------------------------------------- */

void rsp_put_bytes(struct rsp_reply *reply, const void *bytes, size_t size)
{
	if (size > RSP_PACKET_MAX - reply->size) {
		reply->is_full = true;
		return;
	}
	memcpy(reply->data + reply->size, bytes, size);
	reply->size += size;
}

void rsp_put(struct rsp_reply *reply, const char *text)
{
	rsp_put_bytes(reply, text, strlen(text));
}

void rsp_print(struct rsp_reply *reply, const char *format, ...)
{
	char text[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	rsp_put(reply, text);
}

void rsp_put_hex(struct rsp_reply *reply, const void *bytes, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *from = bytes;

	for (size_t i = 0; i < size; i++) {
		char pair[2] = { digits[from[i] >> 4], digits[from[i] & 15] };

		rsp_put_bytes(reply, pair, 2);
	}
}

static bool is_special(char c)
{
	return c == '#' || c == '$' || c == '*' || c == ESCAPE;
}

size_t rsp_frame(const struct rsp_reply *reply, char *to)
{
	char *at = to;
	uint8_t sum = 0;

	*at++ = '$';
	for (size_t i = 0; i < reply->size; i++) {
		char c = reply->data[i];

		if (is_special(c)) {
			*at++ = ESCAPE;
			sum += ESCAPE;
			c ^= 0x20;
		}
		*at++ = c;
		sum += (uint8_t)c;
	}
	at += sprintf(at, "#%02x", sum);
	return (size_t)(at - to);
}

/* --- texts of packets ----------------------------------------------------- */

bool rsp_take(const char **at, char c)
{
	if (**at != c)
		return false;
	(*at)++;
	return true;
}

bool rsp_take_number(const char **at, uint64_t *number)
{
	const char *start = *at;
	int digit;

	*number = 0;
	while ((digit = hex_digit(**at)) >= 0) {
		if (*number >> 60)
			return false;
		*number = *number << 4 | (unsigned)digit;
		(*at)++;
	}
	return *at != start;
}

bool rsp_take_hex(const char **at, void *bytes, size_t size)
{
	uint8_t *to = bytes;

	for (size_t i = 0; i < size; i++) {
		int high = hex_digit((*at)[0]);
		int low = high < 0 ? -1 : hex_digit((*at)[1]);

		if (low < 0)
			return false;
		to[i] = (uint8_t)(high << 4 | low);
		*at += 2;
	}
	return true;
}
