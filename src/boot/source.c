/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads parts of boot images into buffers and into guest RAM. */
#include "boot/source.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "core/memory.h"

#define LOAD_CHUNK (1u << 20)

int source_open(struct boot_source *source, const char *path,
		const char **reason)
{
	/* O_NONBLOCK: opening a FIFO must not hang. */
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	uint64_t size;

	*reason = NULL;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (S_ISREG(st.st_mode)) {
		size = st.st_size;
	} else if (S_ISBLK(st.st_mode)) {
		if (ioctl(fd, BLKGETSIZE64, &size) < 0)
			return -errno;
	} else {
		*reason = "not a regular file";
		return -EINVAL;
	}
	if (size == 0) {
		*reason = "the file is empty";
		return -EINVAL;
	}
	*source = (struct boot_source){ .fd = take_fd(&fd), .size = size };
	return 0;
}

static bool read_fully(int fd, uint64_t offset, uint8_t *to, size_t size)
{
	while (size) {
		ssize_t n = pread(fd, to, size, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		to += n;
		offset += n;
		size -= n;
	}
	return true;
}

bool source_read(const struct boot_source *source, uint64_t offset, void *to,
		 size_t size)
{
	if (!range_inside(offset, size, source->size))
		return false;
	if (source->bytes) {
		memcpy(to, source->bytes + source->offset + offset, size);
		return true;
	}
	return read_fully(source->fd, source->offset + offset, to, size);
}

int source_load(const struct boot_source *source, uint64_t offset,
		struct memory *memory, gpa_t gpa, uint64_t size)
{
	while (size) {
		size_t chunk = MIN(size, LOAD_CHUNK);
		uint8_t *to = memory_write_begin(memory, gpa, chunk);
		bool is_read;

		if (!to)
			return -EFAULT;
		is_read = source_read(source, offset, to, chunk);
		memory_write_end(memory, gpa, chunk);
		if (!is_read)
			return -EIO;
		offset += chunk;
		gpa += chunk;
		size -= chunk;
	}
	return 0;
}
