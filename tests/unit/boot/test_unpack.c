/* SPDX-License-Identifier: BSD-2-Clause */
/* link: -lz -llzma -lbz2 -lzstd -llz4 */
/* Every kind of payload through ringfence-unpack, sound and damaged. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <bzlib.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <lz4.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/bits.h"
#include "boot/unpack.h"

#define SIZE   (300u << 10)
#define ROOM   (400u << 10)
#define OFFSET 123

/* Text-like: it packs, but not to nothing. */
static uint8_t plain[SIZE];

static size_t pack_gzip(uint8_t *out)
{
	z_stream z = { .next_in = plain,
		       .avail_in = SIZE,
		       .next_out = out,
		       .avail_out = ROOM };

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, 0), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return z.total_out;
}

static size_t pack_xz(uint8_t *out)
{
	lzma_options_lzma options;
	lzma_filter filters[] = { { LZMA_FILTER_X86, NULL },
				  { LZMA_FILTER_LZMA2, &options },
				  { LZMA_VLI_UNKNOWN, NULL } };
	size_t at = 0;

	lzma_lzma_preset(&options, 6);
	assert_int_equal(lzma_stream_buffer_encode(filters, LZMA_CHECK_CRC32,
						   NULL, plain, SIZE, out, &at,
						   ROOM),
			 LZMA_OK);
	return at;
}

static size_t pack_lzma(uint8_t *out)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	lzma_options_lzma options;
	size_t size;

	lzma_lzma_preset(&options, 6);
	assert_int_equal(lzma_alone_encoder(&stream, &options), LZMA_OK);
	stream.next_in = plain;
	stream.avail_in = SIZE;
	stream.next_out = out;
	stream.avail_out = ROOM;
	assert_int_equal(lzma_code(&stream, LZMA_FINISH), LZMA_STREAM_END);
	size = stream.total_out;
	lzma_end(&stream);
	return size;
}

static size_t pack_bzip2(uint8_t *out)
{
	unsigned size = ROOM;

	assert_int_equal(BZ2_bzBuffToBuffCompress((char *)out, &size,
						  (char *)plain, SIZE, 9, 0, 0),
			 BZ_OK);
	return size;
}

static size_t pack_zstd(uint8_t *out)
{
	ZSTD_CCtx *context = ZSTD_createCCtx();
	size_t size;

	/* As the program zstd does. */
	ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
	size = ZSTD_compress2(context, out, ROOM, plain, SIZE);
	ZSTD_freeCCtx(context);
	assert_false(ZSTD_isError(size));
	return size;
}

static size_t pack_lz4(uint8_t *out)
{
	int size = LZ4_compress_default((char *)plain, (char *)out + 8, SIZE,
					ROOM - 8);

	assert_true(size > 0);
	store_u32(out, 0x184c2102);
	store_u32(out + 4, size);
	return size + 8;
}

static const struct {
	enum payload_kind kind;
	size_t (*pack)(uint8_t *out);
} packers[] = {
	{ PAYLOAD_GZIP, pack_gzip }, { PAYLOAD_XZ, pack_xz },
	{ PAYLOAD_LZMA, pack_lzma }, { PAYLOAD_BZIP2, pack_bzip2 },
	{ PAYLOAD_ZSTD, pack_zstd }, { PAYLOAD_LZ4, pack_lz4 },
};

/* A file with `size` bytes at OFFSET, and four more, as a bzImage has. */
static struct boot_source file_of(const uint8_t *bytes, size_t size)
{
	struct boot_source source = { .offset = OFFSET, .size = size + 4 };
	uint8_t tail[4];

	store_u32(tail, SIZE);
	source.fd = memfd_create("packed", 0);
	assert_true(source.fd >= 0);
	assert_int_equal(pwrite(source.fd, bytes, size, OFFSET), size);
	assert_int_equal(pwrite(source.fd, tail, 4, OFFSET + size), 4);
	return source;
}

static int unpack(const uint8_t *bytes, size_t size, enum payload_kind kind,
		  uint64_t unpacked, int *fd, char *reason)
{
	struct boot_source source = file_of(bytes, size);
	int error = unpack_payload(&source, kind, unpacked, fd, reason);

	close(source.fd);
	return error;
}

static void assert_is_plain(int fd)
{
	uint8_t *out = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);

	assert_ptr_not_equal(out, MAP_FAILED);
	assert_memory_equal(out, plain, SIZE);
	munmap(out, SIZE);
	/* Sealed: nobody makes it shorter under a reader. */
	assert_int_equal(ftruncate(fd, 0), -1);
	close(fd);
}

static void test_every_kind(void **state)
{
	uint8_t *packed = malloc(ROOM);

	for (unsigned i = 0; i < ARRAY_SIZE(packers); i++) {
		char reason[UNPACK_REASON_MAX];
		size_t size = packers[i].pack(packed);
		int fd = -1;

		assert_int_equal(payload_kind_of(packed), packers[i].kind);
		assert_int_equal(unpack(packed, size, packers[i].kind, SIZE,
					&fd, reason),
				 0);
		assert_is_plain(fd);
	}
	free(packed);
}

/* Each gets a line, whatever is wrong, and no descriptor. */
static void assert_refused(const uint8_t *packed, size_t size,
			   enum payload_kind kind, uint64_t unpacked)
{
	char reason[UNPACK_REASON_MAX] = "";
	int fd = -1;

	assert_true(unpack(packed, size, kind, unpacked, &fd, reason) < 0);
	assert_int_equal(fd, -1);
	assert_true(strlen(reason) > 8);
	assert_null(strchr(reason, '\n'));
	/* The filter was never in the way of an ordinary failure. */
	assert_null(strstr(reason, "system call"));
	assert_null(strstr(reason, "signal"));
}

static void test_cut_off(void **state)
{
	uint8_t *packed = malloc(ROOM);

	for (unsigned i = 0; i < ARRAY_SIZE(packers); i++) {
		size_t size = packers[i].pack(packed);

		assert_refused(packed, size / 2, packers[i].kind, SIZE);
		assert_refused(packed, 7, packers[i].kind, SIZE);
	}
	free(packed);
}

static void test_wrong_size(void **state)
{
	uint8_t *packed = malloc(ROOM);

	for (unsigned i = 0; i < ARRAY_SIZE(packers); i++) {
		size_t size = packers[i].pack(packed);

		assert_refused(packed, size, packers[i].kind, SIZE - 1);
		assert_refused(packed, size, packers[i].kind, SIZE + 1);
	}
	free(packed);
}

static void test_flipped_bits(void **state)
{
	uint8_t *packed = malloc(ROOM);

	for (unsigned i = 0; i < ARRAY_SIZE(packers); i++) {
		size_t size = packers[i].pack(packed);

		if (packers[i].kind == PAYLOAD_LZ4 ||
		    packers[i].kind == PAYLOAD_LZMA)
			continue; /* no checksum in these formats */
		packed[size / 2] ^= 0x55;
		assert_refused(packed, size, packers[i].kind, SIZE);
	}
	free(packed);
}

static void test_noise(void **state)
{
	uint8_t *noise = malloc(ROOM);

	for (unsigned i = 0; i < ROOM; i++)
		noise[i] = i * 2654435761u >> 13;
	for (unsigned i = 0; i < ARRAY_SIZE(packers); i++)
		assert_refused(noise, 1000, packers[i].kind, SIZE);
	free(noise);
}

static void test_helper_is_missing(void **state)
{
	char reason[UNPACK_REASON_MAX];
	char *folder = strdup(getenv("RINGFENCE_LIBEXEC"));
	int fd = -1;

	setenv("RINGFENCE_LIBEXEC", "/nowhere", 1);
	assert_int_equal(unpack(plain, 100, PAYLOAD_GZIP, SIZE, &fd, reason),
			 -ENOENT);
	assert_non_null(strstr(reason, "not installed"));
	setenv("RINGFENCE_LIBEXEC", folder, 1);
	free(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind),
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_wrong_size),
		cmocka_unit_test(test_flipped_bits),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_helper_is_missing),
	};
	char self[PATH_MAX] = "";
	uint32_t seed = 1;

	/* build/<variant>/tests/unit/boot/test_unpack: four folders up. */
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 1;
	for (int i = 0; i < 4; i++)
		*strrchr(self, '/') = 0;
	setenv("RINGFENCE_LIBEXEC", self, 1);
	for (unsigned i = 0; i < SIZE; i++) {
		seed = seed * 1103515245 + 12345;
		plain[i] = "etaoinshrdlu\0\1\x48\xe8"[seed >> 28];
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
