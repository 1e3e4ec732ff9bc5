/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets of gdb's remote serial protocol (gdb's manual, appendix E): from bytes
 * that anybody may have sent, and to bytes. No VM knowledge.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The largest packet we take, after unescaping; PacketSize of qSupported. */
#define RSP_PACKET_MAX 0x4000

enum rsp_event {
	RSP_NOTHING, /* more bytes are needed */
	RSP_PACKET, /* parser->data has one, zero after it */
	RSP_DAMAGED, /* a checksum that is wrong, or one too long */
	RSP_INTERRUPT, /* ^C between packets */
	RSP_ACK,
	RSP_NACK,
};

/* Zero-initialized is ready. */
struct rsp_parser {
	enum {
		RSP_BETWEEN,
		RSP_INSIDE,
		RSP_ESCAPED,
		RSP_SUM_HIGH,
		RSP_SUM_LOW
	} state;
	uint8_t sum, wanted;
	bool is_bad;
	size_t size;
	char data[RSP_PACKET_MAX + 1];
};

enum rsp_event rsp_feed(struct rsp_parser *parser, uint8_t byte);

/* A reply under construction; what does not fit is cut and said by is_full. */
struct rsp_reply {
	size_t size;
	bool is_full;
	char data[RSP_PACKET_MAX + 1];
};

void rsp_put(struct rsp_reply *reply, const char *text);
__attribute__((format(printf, 2, 3))) void rsp_print(struct rsp_reply *reply,
						     const char *format, ...);
/* Bytes as two hexadecimal digits each, in the order of memory. */
void rsp_put_hex(struct rsp_reply *reply, const void *bytes, size_t size);
/* As they are: rsp_frame escapes what would end a packet. */
void rsp_put_bytes(struct rsp_reply *reply, const void *bytes, size_t size);
/* "$data#sum", at most 2 * RSP_PACKET_MAX + 5 bytes; returns how many. */
size_t rsp_frame(const struct rsp_reply *reply, char *to);

/*
 * Readers of a packet's text; *at moves past what was taken. False: nothing
 * there, or too large.
 */
bool rsp_take(const char **at, char c);
bool rsp_take_number(const char **at, uint64_t *number);
/* Exactly `size` bytes from hexadecimal digits. */
bool rsp_take_hex(const char **at, void *bytes, size_t size);
