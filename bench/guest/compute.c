/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usage: compute NAME N: loops that stay in user space, N rounds. Status 3: this
 * processor lacks the instructions.
 */
#include <immintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Results go here, so that no loop is optimized away. */
static volatile uint64_t sink;

/* --- integers ----------------------------------------------------------------- */

/* Counts primes by a sieve, and hashes where they are. */
static void do_integer(long n)
{
	static uint8_t is_composite[16384];
	const unsigned size = sizeof(is_composite);
	uint64_t sum = 0;

	while (n--) {
		memset(is_composite, 0, size);
		for (unsigned i = 2; i < size; i++) {
			if (is_composite[i])
				continue;
			sum = (sum ^ i) * 0x100000001b3u;
			for (unsigned j = 2 * i; j < size; j += i)
				is_composite[j] = 1;
		}
	}
	sink = sum;
}

/* --- floating point and vectors ------------------------------------------------- */

#define SIDE 48

static void do_scalar(long n)
{
	static double a[SIDE][SIDE], b[SIDE][SIDE], c[SIDE][SIDE];

	for (int i = 0; i < SIDE; i++)
		for (int j = 0; j < SIDE; j++) {
			a[i][j] = i * 0.5 + j;
			b[i][j] = 1.0 / (i + j + 1);
		}
	while (n--)
		for (int i = 0; i < SIDE; i++)
			for (int j = 0; j < SIDE; j++) {
				volatile double *to = &c[i][j];
				double sum = 0;

				for (int k = 0; k < SIDE; k++)
					sum += a[i][k] * b[k][j];
				*to = sum / 3.0;
			}
	sink = (uint64_t)c[3][5];
}

#define FLOATS 4096

static float left[FLOATS] __attribute__((aligned(64)));
static float right[FLOATS] __attribute__((aligned(64)));

static void do_sse(long n)
{
	const __m128 factor = _mm_set1_ps(0.99f), least = _mm_set1_ps(1e-3f);

	while (n--)
		for (int i = 0; i < FLOATS; i += 4) {
			__m128 x = _mm_load_ps(left + i);
			__m128 y = _mm_load_ps(right + i);

			x = _mm_add_ps(_mm_mul_ps(x, factor), y);
			y = _mm_max_ps(_mm_sub_ps(y, x), least);
			_mm_store_ps(left + i, x);
			_mm_store_ps(right + i, _mm_shuffle_ps(y, x, 0x1b));
		}
	sink = (uint64_t)left[7];
}

__attribute__((target("avx2"))) static void do_avx2(long n)
{
	__m256i *to = (__m256i *)left, *from = (__m256i *)right;
	const __m256i seed = _mm256_set1_epi32(0x01234567);

	while (n--)
		for (int i = 0; i < FLOATS / 8; i++) {
			__m256i x = _mm256_load_si256(to + i);
			__m256i y = _mm256_load_si256(from + i);

			x = _mm256_add_epi32(_mm256_mullo_epi32(x, seed), y);
			y = _mm256_xor_si256(_mm256_slli_epi32(y, 7),
					     _mm256_shuffle_epi8(x, seed));
			_mm256_store_si256(to + i, x);
			_mm256_store_si256(from + i, y);
		}
	sink = (uint64_t)left[7];
}

/* CTR over a buffer, four blocks at a time. */
__attribute__((target("aes,sse4.1"))) static void do_aes(long n)
{
	__m128i key[11], *buffer = (__m128i *)left;

	for (int i = 0; i < 11; i++)
		key[i] = _mm_set1_epi32(i * 0x1234567);
	for (long round = 0; round < n; round++)
		for (int i = 0; i < FLOATS / 4; i += 4) {
			__m128i x[4];

			for (int k = 0; k < 4; k++)
				x[k] = _mm_xor_si128(
					_mm_set_epi64x(round, i + k), key[0]);
			for (int j = 1; j < 10; j++)
				for (int k = 0; k < 4; k++)
					x[k] = _mm_aesenc_si128(x[k], key[j]);
			for (int k = 0; k < 4; k++)
				buffer[i + k] = _mm_xor_si128(
					buffer[i + k],
					_mm_aesenclast_si128(x[k], key[10]));
		}
	sink = (uint64_t)left[7];
}

/* --- calls and jumps ---------------------------------------------------------------- */

__attribute__((noinline, optimize("no-optimize-sibling-calls"))) static uint64_t
fib(unsigned n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

/* 256 functions that call each other: more return addresses than a loop has. */
#define LEAF(n)                                                        \
	__attribute__((noinline)) static uint64_t leaf_##n(uint64_t x) \
	{                                                              \
		__asm__ volatile("" : "+r"(x));                        \
		return x * (2 * n + 1) + n;                            \
	}
#define NODE(name, n, a, b)                                              \
	__attribute__((noinline)) static uint64_t name##_##n(uint64_t x) \
	{                                                                \
		uint64_t y = a(x + n);                                   \
                                                                         \
		__asm__ volatile("" : "+r"(y));                          \
		return b(y ^ x) + y;                                     \
	}
#define FOUR(m, n)    m(n##0) m(n##1) m(n##2) m(n##3)
#define SIXTEEN(m, n) FOUR(m, n##0) FOUR(m, n##1) FOUR(m, n##2) FOUR(m, n##3)
#define SIXTY_FOUR(m) SIXTEEN(m, 1) SIXTEEN(m, 2) SIXTEEN(m, 3) SIXTEEN(m, 4)
#define MIDDLE(n)     NODE(middle, n, leaf_##n, leaf_##n)
#define UPPER(n)      NODE(upper, n, middle_##n, middle_##n)
#define CALL(n)	      x += upper_##n(x);
SIXTY_FOUR(LEAF)
SIXTY_FOUR(MIDDLE)
SIXTY_FOUR(UPPER)

static void do_calls(long n)
{
	uint64_t x = 1;

	while (n--) {
		x += fib(15);
		SIXTY_FOUR(CALL)
	}
	sink = x;
}

/* A bytecode interpreter, with a jump of its own behind each operation. */
static void do_indirect(long n)
{
	static const uint8_t program[] = { 0, 1, 2, 3, 1, 4, 5, 0, 2, 6, 3, 1,
					   5, 4, 2, 0, 6, 5, 1, 3, 4, 0, 2, 7 };
	static const void *const label[] = { &&add,	 &&xor,	 &&rotate,
					     &&multiply, &&push, &&pop,
					     &&swap,	 &&end };
	uint64_t a = 1, b = 2, slot[4] = { 3, 4, 5, 6 };
	const uint8_t *at = program;

#define NEXT goto *label[*at++]
	NEXT;
add:
	a += b;
	NEXT;
	xor : a ^= slot[b & 3];
	NEXT;
rotate:
	a = a << 9 | a >> 55;
	NEXT;
multiply:
	b = b * 5 + a;
	NEXT;
push:
	slot[a & 3] = b;
	NEXT;
pop:
	b = slot[a >> 8 & 3];
	NEXT;
swap : {
	uint64_t c = a;

	a = b;
	b = c;
	NEXT;
}
end:
	at = program;
	if (--n > 0)
		NEXT;
	sink = a + b;
}

/* --- copies ---------------------------------------------------------------------------- */

#define COPY 65536

static char from_bytes[COPY] __attribute__((aligned(4096)));
static char to_bytes[COPY] __attribute__((aligned(4096)));

static void do_memcpy(long n)
{
	while (n--) {
		memcpy(to_bytes, from_bytes, COPY);
		__asm__ volatile("" ::: "memory");
	}
}

static void do_rep_movs(long n)
{
	while (n--) {
		void *to = to_bytes;
		const void *from = from_bytes;
		size_t count = COPY;

		__asm__ volatile("rep movsb"
				 : "+D"(to), "+S"(from), "+c"(count)
				 :
				 : "memory");
	}
}

static const struct {
	const char *name;
	void (*run)(long n);
} kinds[] = {
	{ "integer", do_integer },   { "scalar", do_scalar },
	{ "sse", do_sse },	     { "avx2", do_avx2 },
	{ "aes", do_aes },	     { "calls", do_calls },
	{ "indirect", do_indirect }, { "memcpy", do_memcpy },
	{ "rep-movs", do_rep_movs },
};

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "avx2") &&
	    !__builtin_cpu_supports("avx2"))
		return 3;
	if (argc == 3 && !strcmp(argv[1], "aes") &&
	    !__builtin_cpu_supports("aes"))
		return 3;
	memset(from_bytes, 1, COPY);
	for (size_t i = 0; argc == 3 && i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(argv[1], kinds[i].name)) {
			kinds[i].run(atol(argv[2]));
			return 0;
		}
	fprintf(stderr, "usage: compute NAME N\n");
	return 2;
}
