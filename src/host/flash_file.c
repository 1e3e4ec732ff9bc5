/* SPDX-License-Identifier: BSD-2-Clause */
/* A flash chip's file: see flash_file.h. Locks are open file description locks
 * (fcntl(2), F_OFD_SETLK). */
#include "host/flash_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

static int fail(const char *path, int error, const char *reason)
{
	log_error("pflash %s: %s", path, reason ? reason : strerror(-error));
	return error;
}

/* Its size, or -errno with *reason where the errno does not say it. */
static int64_t size_of(int fd, const char **reason)
{
	struct stat status;
	off_t end;

	*reason = NULL;
	if (fstat(fd, &status))
		return -errno;
	if (S_ISREG(status.st_mode))
		return status.st_size;
	*reason = "neither a file nor a block device";
	if (!S_ISBLK(status.st_mode))
		return -EINVAL;
	*reason = NULL;
	end = lseek(fd, 0, SEEK_END);
	return end < 0 ? -errno : end;
}

/* A file system without locks has none of them to respect. */
static int lock(int fd, bool is_readonly)
{
	struct flock whole = {
		.l_type = is_readonly ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
	};

	if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : 0;
}

int flash_file_open(struct flash_file *file, const char *path, bool is_readonly)
{
	cleanup_fd int fd = -1;
	const char *reason;
	int64_t size;

	*file = (struct flash_file){
		.fd = -1,
		.path = path,
		.is_readonly = is_readonly,
	};
	/* Nonblocking: a FIFO must not keep us. */
	fd = open(path, (is_readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC |
				O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && !is_readonly && (errno == EACCES || errno == EROFS))
		return fail(path, -errno,
			    "may not be written; with ,readonly it is a chip "
			    "that cannot be");
	if (fd < 0)
		return fail(path, -errno, NULL);
	size = size_of(fd, &reason);
	if (size < 0)
		return fail(path, size, reason);
	if (lock(fd, is_readonly))
		return fail(path, -EBUSY, "in use by another machine");
	file->size = size;
	file->fd = take_fd(&fd);
	return 0;
}

int flash_file_read(const struct flash_file *file, uint8_t *to)
{
	uint64_t done = 0;

	while (done < file->size) {
		ssize_t n = pread(file->fd, to + done, file->size - done,
				  (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(file->path, -errno, NULL);
		if (n == 0)
			return fail(file->path, -EIO,
				    "cannot be read to its end");
		done += n;
	}
	return 0;
}

static int write_all(const struct flash_file *file, uint64_t offset,
		     const uint8_t *bytes, size_t size)
{
	while (size) {
		ssize_t n = pwrite(file->fd, bytes, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		bytes += n;
		offset += n;
		size -= n;
	}
	return 0;
}

int flash_file_write(void *argument, uint64_t offset, const uint8_t *bytes,
		     size_t size)
{
	struct flash_file *file = argument;
	int error;

	if (file->fd < 0)
		return 0;
	error = write_all(file, offset, bytes, size);
	if (error && !file->is_failing)
		log_error("pflash %s: %s; the guest is told that its flash "
			  "cannot be written",
			  file->path, strerror(-error));
	file->is_failing = error != 0;
	return error;
}

void flash_file_close(struct flash_file *file)
{
	if (file->fd < 0)
		return;
	if (!file->is_readonly && fsync(file->fd) && errno != EINVAL)
		log_error("pflash %s: %s", file->path, strerror(errno));
	close(file->fd);
	file->fd = -1;
}
