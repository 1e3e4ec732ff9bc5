/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Drives a fuzz target without libFuzzer: seeded random inputs, so that any
 * compiler can run a few thousand of them and a failure can be repeated.
 *
 * usage: fuzz_x [SEED [COUNT [MAX_BYTES [SECONDS]]]], or fuzz_x -f FILE... to
 * repeat inputs that a fuzzer kept. It ends after COUNT inputs or SECONDS of its
 * own processor time, whichever comes first.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t next(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static int run_file(const char *name)
{
	static uint8_t data[1 << 20];
	FILE *file = fopen(name, "rb");
	size_t size;

	if (!file) {
		perror(name);
		return 1;
	}
	size = fread(data, 1, sizeof(data), file);
	fclose(file);
	LLVMFuzzerTestOneInput(data, size);
	return 0;
}

/* Half of the inputs are noise; half are small values, which reach deeper into
 * formats whose fields are lengths and indices. */
static void fill(uint8_t *data, size_t size, uint64_t *state)
{
	int small = next(state) & 1;

	for (size_t i = 0; i < size; i++) {
		uint64_t bits = next(state);

		data[i] = small && (bits & 0x700) ? bits & 7 : bits;
	}
}

static double spent(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 0) : 10000;
	size_t max = argc > 3 ? strtoull(argv[3], NULL, 0) : 256;
	double seconds = argc > 4 ? strtod(argv[4], NULL) : 1e9;
	int failed = 0;
	uint64_t done;

	if (argc > 2 && strcmp(argv[1], "-f") == 0) {
		for (int n = 2; n < argc; n++)
			failed |= run_file(argv[n]);
		return failed;
	}
	for (done = 0; done < count && spent() < seconds; done++) {
		uint64_t state = seed + done;
		size_t size = next(&state) % (max + 1);
		/* Of the exact size, so that a read beyond it is caught. */
		uint8_t *data = malloc(size ? size : 1);

		if (!data)
			abort();
		fill(data, size, &state);
		LLVMFuzzerTestOneInput(data, size);
		free(data);
	}
	printf("%llu inputs, seed %llu\n", (unsigned long long)done,
	       (unsigned long long)seed);
	return 0;
}
