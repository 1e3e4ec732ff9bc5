/* SPDX-License-Identifier: BSD-2-Clause */
/* link: -lz -llzma -lbz2 -lzstd -llz4 */
/*
 * ringfence-unpack KIND OFFSET LENGTH SIZE: unpacks a part of the file on
 * descriptor 0 into the memfd on descriptor 1, which has SIZE bytes, and fills
 * it exactly. What goes wrong is said in one line on descriptor 2, status 1.
 *
 * The libraries that parse what somebody else wrote run here and nowhere else,
 * under a filter that leaves them anonymous memory, descriptor 2, and the end.
 */
#include <bzlib.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <lz4.h>
#include <lzma.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/bits.h"

#define PACKED_MAX   (512ull << 20)
#define UNPACKED_MAX (1ull << 30)
#define MEMORY_MAX   (1ull << 30)

struct job {
	const uint8_t *in;
	size_t in_size;
	uint8_t *out;
	size_t out_size;
};

__attribute__((format(printf, 1, 2))) _Noreturn static void
fail(const char *format, ...)
{
	char line[160];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	n = MIN(n, (int)sizeof(line) - 2);
	line[n] = '\n';
	if (write(2, line, n + 1) < 0)
		_exit(2);
	_exit(1);
}

/* How every decoder's end is put into words. */
static void check_size(const struct job *job, size_t size)
{
	if (size != job->out_size)
		fail("damaged: unpacks to %zu bytes, not the %zu it claims",
		     size, job->out_size);
}

static void unpack_gzip(const struct job *job)
{
	z_stream z = { 0 };
	int rc;

	z.next_in = (uint8_t *)job->in;
	z.avail_in = job->in_size;
	z.next_out = job->out;
	z.avail_out = job->out_size;
	rc = inflateInit2(&z, 15 + 16);
	if (rc == Z_OK)
		rc = inflate(&z, Z_FINISH);
	if (rc != Z_STREAM_END && z.avail_out == 0)
		fail("damaged: unpacks to more bytes than it claims");
	if (rc != Z_STREAM_END)
		fail("damaged gzip data: %s",
		     z.msg ? z.msg : "it ends too early");
	check_size(job, z.total_out);
}

static void unpack_lzma(const struct job *job, lzma_stream *stream)
{
	lzma_ret rc;

	stream->next_in = job->in;
	stream->avail_in = job->in_size;
	stream->next_out = job->out;
	stream->avail_out = job->out_size;
	do {
		rc = lzma_code(stream, LZMA_FINISH);
	} while (rc == LZMA_OK);
	if (rc != LZMA_STREAM_END)
		fail("damaged xz or lzma data (%s)",
		     rc == LZMA_MEMLIMIT_ERROR ? "wants too much memory" :
		     rc == LZMA_OPTIONS_ERROR  ? "unknown options" :
		     stream->avail_out	       ? "corrupt or cut off" :
						 "longer than it claims");
	check_size(job, stream->total_out);
}

static void unpack_xz(const struct job *job)
{
	lzma_stream stream = LZMA_STREAM_INIT;

	if (lzma_stream_decoder(&stream, MEMORY_MAX, 0) != LZMA_OK)
		fail("no memory for xz");
	unpack_lzma(job, &stream);
}

static void unpack_lzma_alone(const struct job *job)
{
	lzma_stream stream = LZMA_STREAM_INIT;

	if (lzma_alone_decoder(&stream, MEMORY_MAX) != LZMA_OK)
		fail("no memory for lzma");
	unpack_lzma(job, &stream);
}

static void unpack_bzip2(const struct job *job)
{
	bz_stream bz = { 0 };
	int rc;

	bz.next_in = (char *)job->in;
	bz.avail_in = job->in_size;
	bz.next_out = (char *)job->out;
	bz.avail_out = job->out_size;
	rc = BZ2_bzDecompressInit(&bz, 0, 0);
	if (rc == BZ_OK)
		rc = BZ2_bzDecompress(&bz);
	/* A full buffer before the end of the stream: one more call may only
	 * find the end. */
	if (rc == BZ_OK && bz.avail_out == 0 && bz.avail_in)
		rc = BZ2_bzDecompress(&bz);
	if (rc != BZ_STREAM_END)
		fail("damaged bzip2 data (%d)", rc);
	check_size(job, (size_t)bz.total_out_hi32 << 32 | bz.total_out_lo32);
}

static void unpack_zstd(const struct job *job)
{
	ZSTD_DStream *stream = ZSTD_createDStream();
	ZSTD_inBuffer in = { job->in, job->in_size, 0 };
	ZSTD_outBuffer out = { job->out, job->out_size, 0 };
	size_t rc;

	if (!stream)
		fail("no memory for zstd");
	/* The kernel is packed with windows up to 128 MiB (--ultra -22). */
	ZSTD_DCtx_setParameter(stream, ZSTD_d_windowLogMax, 27);
	do {
		size_t before = in.pos + out.pos;

		rc = ZSTD_decompressStream(stream, &out, &in);
		if (ZSTD_isError(rc))
			fail("damaged zstd data: %s", ZSTD_getErrorName(rc));
		if (rc && in.pos + out.pos == before)
			fail("damaged zstd data: %s",
			     out.pos == out.size ?
				     "it is longer than it claims" :
				     "it ends too early");
	} while (rc);
	check_size(job, out.pos);
}

/* The legacy frame (lz4 -l): blocks of 8 MiB, each with its packed size. */
static void unpack_lz4(const struct job *job)
{
	size_t at = 4, done = 0;

	while (done < job->out_size) {
		size_t room = MIN(job->out_size - done, 8u << 20);
		uint32_t size;
		int n;

		if (job->in_size - at < 4)
			fail("damaged lz4 data: it ends too early");
		size = load_u32(job->in + at);
		at += 4;
		if (size > job->in_size - at || size > 16u << 20)
			fail("damaged lz4 data: a block is cut off");
		n = LZ4_decompress_safe((const char *)job->in + at,
					(char *)job->out + done, size, room);
		if (n <= 0)
			fail("damaged lz4 data");
		at += size;
		done += n;
	}
	check_size(job, done);
}

static const struct {
	const char *name;
	void (*unpack)(const struct job *job);
} kinds[] = {
	{ "gzip", unpack_gzip },       { "xz", unpack_xz },
	{ "lzma", unpack_lzma_alone }, { "bzip2", unpack_bzip2 },
	{ "zstd", unpack_zstd },       { "lz4", unpack_lz4 },
};

#define LOAD(field) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_##action)
/* Goes on at the next statement if equal, and past `skip` of them if not. */
#define IF_EQUAL(value, skip) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (skip))
#define ALLOW(nr) IF_EQUAL(nr, 1), RETURN(ALLOW)

/*
 * mmap: anonymous and not executable. write: descriptor 2. Arguments are
 * looked at by their low halves, where these bits live; a descriptor is an int.
 */
static void confine(void)
{
	struct sock_filter filter[] = {
		LOAD(arch),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		RETURN(KILL_PROCESS),
		LOAD(nr),
		/* The x32 numbers. */
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1),
		RETURN(KILL_PROCESS),
		ALLOW(SYS_exit_group),
		ALLOW(SYS_brk),
		ALLOW(SYS_munmap),
		ALLOW(SYS_mremap),
		ALLOW(SYS_madvise),
		IF_EQUAL(SYS_write, 3),
		LOAD(args[0]),
		IF_EQUAL(2, 7),
		RETURN(ALLOW),
		IF_EQUAL(SYS_mmap, 5),
		LOAD(args[2]),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 3, 0),
		LOAD(args[3]),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_ANONYMOUS, 0, 1),
		RETURN(ALLOW),
		RETURN(KILL_PROCESS),
	};
	struct sock_fprog program = { ARRAY_SIZE(filter), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		fail("the host refuses a seccomp filter: %s", strerror(errno));
}

static uint64_t number(const char *text, uint64_t max)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *end || end == text || value > max)
		fail("ringfence-unpack: %s: not a number in range", text);
	return value;
}

static void *read_input(uint64_t offset, size_t size)
{
	uint8_t *in = malloc(size);

	if (!in)
		fail("no memory for %zu packed bytes", size);
	for (size_t done = 0; done < size;) {
		ssize_t n = pread(0, in + done, size - done, offset + done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			fail("read: %s", strerror(errno));
		if (n == 0)
			fail("truncated: the file ends within its payload");
		done += n;
	}
	return in;
}

int main(int argc, char **argv)
{
	struct job job;
	uint64_t offset;

	if (argc != 5)
		fail("usage: ringfence-unpack KIND OFFSET LENGTH SIZE");
	offset = number(argv[2], INT64_MAX);
	job.in_size = number(argv[3], PACKED_MAX);
	job.out_size = number(argv[4], UNPACKED_MAX);
	job.in = read_input(offset, job.in_size);
	job.out = mmap(NULL, job.out_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		       1, 0);
	if (job.out == MAP_FAILED)
		fail("map the result: %s", strerror(errno));
	confine();
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(argv[1], kinds[i].name) == 0) {
			kinds[i].unpack(&job);
			_exit(0);
		}
	}
	fail("%s: unknown way of packing", argv[1]);
}
