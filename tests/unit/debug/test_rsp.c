/* SPDX-License-Identifier: BSD-2-Clause */
/* gdb's packets: framing, checksums, escapes, numbers; garbage between them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "debug/rsp.h"

/* The last event that was not nothing. */
static enum rsp_event feed(struct rsp_parser *parser, const char *bytes,
			   size_t size)
{
	enum rsp_event last = RSP_NOTHING;

	for (size_t i = 0; i < size; i++) {
		enum rsp_event event = rsp_feed(parser, (uint8_t)bytes[i]);

		if (event != RSP_NOTHING)
			last = event;
	}
	return last;
}

static enum rsp_event feed_text(struct rsp_parser *parser, const char *text)
{
	return feed(parser, text, strlen(text));
}

static void test_packets(void **state)
{
	struct rsp_parser *p = calloc(1, sizeof(*p));

	assert_int_equal(feed_text(p, "$g#67"), RSP_PACKET);
	assert_string_equal(p->data, "g");
	assert_int_equal(feed_text(p, "$#00"), RSP_PACKET);
	assert_int_equal(p->size, 0);
	assert_int_equal(feed_text(p, "$g#68"), RSP_DAMAGED);
	assert_int_equal(feed_text(p, "$g#zz"), RSP_DAMAGED);
	assert_int_equal(feed_text(p, "$g#6z"), RSP_DAMAGED);
	assert_int_equal(feed_text(p, "+"), RSP_ACK);
	assert_int_equal(feed_text(p, "-"), RSP_NACK);
	assert_int_equal(feed_text(p, "\x03"), RSP_INTERRUPT);
	assert_int_equal(feed_text(p, "GET / HTTP/1.1\r\n\r\n"), RSP_NOTHING);
	/* Upper-case sums too; and the end of one lost, the next is heard. */
	assert_int_equal(feed_text(p, "$m1,2$k#6B"), RSP_PACKET);
	assert_string_equal(p->data, "k");
	/* In a packet, 3 is a byte like others. */
	assert_int_equal(feed_text(p, "$\x03#03"), RSP_PACKET);
	assert_int_equal(p->data[0], 3);
	/* '}' and what follows it, with bit 5 changed. */
	assert_int_equal(feed_text(p, "$}\x03#80"), RSP_PACKET);
	assert_int_equal(p->size, 1);
	assert_int_equal(p->data[0], '#');
	free(p);
}

static void test_longest(void **state)
{
	struct rsp_parser *p = calloc(1, sizeof(*p));

	for (size_t size = RSP_PACKET_MAX - 1; size <= RSP_PACKET_MAX + 1;
	     size++) {
		char end[8];
		uint8_t sum = 0;

		assert_int_equal(rsp_feed(p, '$'), RSP_NOTHING);
		for (size_t i = 0; i < size; i++, sum += 'a')
			assert_int_equal(rsp_feed(p, 'a'), RSP_NOTHING);
		snprintf(end, sizeof(end), "#%02x", sum);
		assert_int_equal(feed_text(p, end), size <= RSP_PACKET_MAX ?
							    RSP_PACKET :
							    RSP_DAMAGED);
	}
	assert_int_equal(feed_text(p, "$g#67"), RSP_PACKET);
	free(p);
}

/* What we send we understand, whatever is in it. */
static void test_round_trip(void **state)
{
	struct rsp_reply *reply = calloc(1, sizeof(*reply));
	struct rsp_parser *p = calloc(1, sizeof(*p));
	char *frame = malloc(2 * RSP_PACKET_MAX + 8);
	uint8_t bytes[256];

	for (unsigned i = 0; i < 256; i++)
		bytes[i] = (uint8_t)i;
	rsp_put(reply, "m");
	rsp_put_bytes(reply, bytes, sizeof(bytes));
	assert_int_equal(feed(p, frame, rsp_frame(reply, frame)), RSP_PACKET);
	assert_int_equal(p->size, 257);
	assert_memory_equal(p->data + 1, bytes, 256);
	/* Too much is cut, and said. */
	reply->size = 0;
	for (unsigned i = 0; i < RSP_PACKET_MAX / 512; i++)
		rsp_put_hex(reply, bytes, 256);
	assert_false(reply->is_full);
	rsp_put(reply, "1");
	assert_true(reply->is_full);
	assert_int_equal(reply->size, RSP_PACKET_MAX);
	free(frame);
	free(p);
	free(reply);
}

static void test_texts(void **state)
{
	const char *at = "ffffffff82a079c0,8:0aFF";
	uint8_t bytes[2];
	uint64_t number;

	assert_true(rsp_take_number(&at, &number));
	assert_true(number == 0xffffffff82a079c0);
	assert_true(rsp_take(&at, ','));
	assert_true(rsp_take_number(&at, &number));
	assert_false(rsp_take(&at, ';'));
	assert_true(rsp_take(&at, ':'));
	assert_true(rsp_take_hex(&at, bytes, 2));
	assert_int_equal(bytes[1], 0xff);
	assert_false(rsp_take_hex(&at, bytes, 1));
	assert_false(rsp_take_number(&at, &number));
	at = "10000000000000000";
	assert_false(rsp_take_number(&at, &number));
	at = "a";
	assert_false(rsp_take_hex(&at, bytes, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
