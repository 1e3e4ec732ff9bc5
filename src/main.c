/* SPDX-License-Identifier: BSD-2-Clause */
/* Where it begins. */
#include <fcntl.h>
#include <unistd.h>

#include "cli/cli.h"

/* A caller that closed 0, 1 or 2 must not have our files appear there. */
static void fill_standard_descriptors(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	fill_standard_descriptors();
	return cli_main(argc, argv);
}
