/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs an instruction test as a process of the host and prints what it left, in
 * the form that tests/insn/start.S sends from a guest: for every 64 bytes of
 * the area a digest, eight bytes. With an argument: the bytes themselves.
 */
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

#define AREA	65536
#define SCRATCH 4096

uint8_t *test(uint8_t *area, uint8_t *scratch);

int main(int argc, char **argv)
{
	uint8_t *area = mmap(NULL, AREA + 2 * SCRATCH, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t *word;
	size_t size;

	if (area == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	size = test(area, area + AREA) - area;
	if (argc > 1)
		return fwrite(area, 1, size, stdout) != size;
	word = (uint64_t *)area;
	for (size_t i = 0; i < size; i += 64) {
		uint64_t digest = 0;

		for (int j = 0; j < 8; j++)
			digest = digest * 0x9e3779b97f4a7c15 + *word++;
		if (fwrite(&digest, 8, 1, stdout) != 1)
			return 1;
	}
	return 0;
}
