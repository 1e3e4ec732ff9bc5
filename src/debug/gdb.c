/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gdb stub's connection and its hold on the VM.
 *
 * The VM stands (is_stopped) from the moment a debugger connects, until it says
 * to go on; then it stands again when it sends ^C or a vCPU traps. Whoever
 * traps parks itself and has vm->notify called, so that gdb_notified, on the
 * loop's thread, stops the others and tells the debugger.
 */

#include "debug/gdb.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "debug/gdb_internal.h"
#include "debug/gdb_registers.h"

/* More than this unread: the debugger does not read at all. */
#define OUT_MAX (1u << 20)

/* --- the hold on the VM --------------------------------------------------- */

void gdb_pause(struct gdb *gdb)
{
	if (gdb->is_stopped)
		return;
	vm_pause(gdb->vm);
	gdb->is_stopped = true;
}

void gdb_resume(struct gdb *gdb)
{
	for (unsigned i = 0; i < gdb->vm->vcpu_count; i++)
		atomic_store(&gdb->vm->vcpus[i]->has_trapped, false);
	gdb->is_stopped = false;
	vm_resume(gdb->vm);
}

void gdb_release(struct gdb *gdb)
{
	struct vm *vm = gdb->vm;

	gdb_pause(gdb);
	gdb->point_count = 0;
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		vm->engine_ops->set_breakpoints(vm->vcpus[i], NULL, 0);
		vm->vcpus[i]->is_held = false;
		vm->vcpus[i]->is_stepping = false;
	}
	gdb_resume(gdb);
}

bool gdb_holds(const struct gdb *gdb)
{
	return gdb && gdb->is_stopped;
}

/* --- the connection ------------------------------------------------------- */

static void forget_peer(struct gdb *gdb)
{
	loop_remove(gdb->loop, &gdb->watch);
	close(take_fd(&gdb->fd));
	free(take_pointer(&gdb->out));
	gdb->out_size = gdb->out_sent = 0;
	gdb->is_awaited = gdb->no_ack = gdb->wants_close = false;
	gdb->says_swbreak = gdb->says_hwbreak = false;
	memset(&gdb->parser, 0, sizeof(gdb->parser));
}

static void disconnect(struct gdb *gdb)
{
	if (gdb->fd < 0)
		return;
	forget_peer(gdb);
	gdb_release(gdb);
}

/* False: the debugger is gone. */
static bool flush_out(struct gdb *gdb)
{
	while (gdb->out_sent < gdb->out_size) {
		ssize_t n = send(gdb->fd, gdb->out + gdb->out_sent,
				 gdb->out_size - gdb->out_sent,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return false;
		gdb->out_sent += (size_t)n;
	}
	if (gdb->out_sent == gdb->out_size) {
		gdb->out_sent = gdb->out_size = 0;
		loop_change(gdb->loop, &gdb->watch, EPOLLIN);
		return !gdb->wants_close;
	}
	loop_change(gdb->loop, &gdb->watch, EPOLLIN | EPOLLOUT);
	return true;
}

static bool send_bytes(struct gdb *gdb, const char *bytes, size_t size)
{
	char *out;

	if (gdb->out_size + size > OUT_MAX)
		return false;
	out = realloc(gdb->out, gdb->out_size + size);
	if (!out)
		return false;
	memcpy(out + gdb->out_size, bytes, size);
	gdb->out = out;
	gdb->out_size += size;
	return flush_out(gdb);
}

static bool send_reply(struct gdb *gdb)
{
	cleanup_free char *frame = malloc(2 * gdb->reply.size + 8);

	return frame && send_bytes(gdb, frame, rsp_frame(&gdb->reply, frame));
}

static void clear_reply(struct gdb *gdb)
{
	gdb->reply.size = 0;
	gdb->reply.is_full = false;
}

static bool tell_stop(struct gdb *gdb, unsigned signal)
{
	gdb->is_awaited = false;
	clear_reply(gdb);
	gdb_stop_reply(gdb, signal);
	return send_reply(gdb);
}

/* False: close the connection. */
static bool on_packet(struct gdb *gdb)
{
	enum gdb_next next;

	if (!gdb->no_ack && !send_bytes(gdb, "+", 1))
		return false;
	clear_reply(gdb);
	next = gdb_command(gdb);
	if (gdb->reply.is_full) {
		clear_reply(gdb);
		rsp_put(&gdb->reply, "E0c");
	}
	switch (next) {
	case GDB_SILENT:
		return true;
	case GDB_KILL:
		vm_stop(gdb->vm, STOP_HOST, 0);
		return false;
	case GDB_DETACH:
		gdb->wants_close = true;
		break;
	case GDB_REPLY:
		break;
	}
	return send_reply(gdb);
}

static bool on_byte(struct gdb *gdb, uint8_t byte)
{
	switch (rsp_feed(&gdb->parser, byte)) {
	case RSP_PACKET:
		return on_packet(gdb);
	case RSP_DAMAGED:
		return gdb->no_ack || send_bytes(gdb, "-", 1);
	case RSP_INTERRUPT:
		if (gdb->is_stopped)
			return true;
		gdb_pause(gdb);
		return tell_stop(gdb, 2);
	case RSP_NACK: /* the stream is reliable: it would be damaged again */
	case RSP_ACK:
	case RSP_NOTHING:
		break;
	}
	return true;
}

static void on_peer(void *argument, uint32_t events)
{
	struct gdb *gdb = argument;
	uint8_t bytes[4096];
	ssize_t n;

	if ((events & EPOLLOUT) && !flush_out(gdb)) {
		disconnect(gdb);
		return;
	}
	if (!(events & ~(uint32_t)EPOLLOUT))
		return;
	n = recv(gdb->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	for (ssize_t i = 0; i < n; i++)
		if (!on_byte(gdb, bytes[i])) {
			disconnect(gdb);
			return;
		}
	if (n <= 0)
		disconnect(gdb);
}

static void on_connection(void *argument, uint32_t events)
{
	struct gdb *gdb = argument;
	const int one = 1;
	cleanup_fd int fd = accept4(gdb->listener, NULL, NULL,
				    SOCK_CLOEXEC | SOCK_NONBLOCK);

	/* One at a time: a second finds the door closed. */
	if (fd < 0 || gdb->fd >= 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	gdb->fd = fd;
	gdb->watch = (struct loop_watch){
		.fd = fd, .events = EPOLLIN, .fn = on_peer, .argument = gdb
	};
	if (loop_add(gdb->loop, &gdb->watch)) {
		gdb->fd = -1;
		return;
	}
	take_fd(&fd);
	gdb->current = 0;
	gdb_pause(gdb);
}

void gdb_notified(struct gdb *gdb)
{
	bool has_trapped = false;

	if (!gdb || gdb->is_stopped)
		return;
	for (unsigned i = 0; i < gdb->vm->vcpu_count; i++)
		has_trapped |= atomic_load(&gdb->vm->vcpus[i]->has_trapped);
	if (!has_trapped)
		return;
	gdb_pause(gdb);
	if (gdb->fd < 0)
		gdb_release(gdb);
	else if (!tell_stop(gdb, 5))
		disconnect(gdb);
}

/* --- life ----------------------------------------------------------------- */

static int listen_unix(struct gdb *gdb, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	gdb->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (gdb->listener < 0 ||
	    bind(gdb->listener, (struct sockaddr *)&address, sizeof(address)))
		return -errno;
	gdb->path = strdup(path);
	return listen(gdb->listener, 1) ? -errno : 0;
}

static int listen_tcp(struct gdb *gdb, const char *port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t size = sizeof(address);
	const int one = 1;
	unsigned long number;
	char *end;

	number = strtoul(port, &end, 10);
	if (*end || end == port || number > 65535)
		return -EINVAL;
	address.sin_port = htons((uint16_t)number);
	gdb->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (gdb->listener < 0)
		return -errno;
	setsockopt(gdb->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(gdb->listener, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(gdb->listener, 1) ||
	    getsockname(gdb->listener, (struct sockaddr *)&address, &size))
		return -errno;
	log_info("gdb: target remote 127.0.0.1:%u", ntohs(address.sin_port));
	return 0;
}

static int start(struct gdb *gdb, const char *where)
{
	int error;

	if (strncmp(where, "unix:", 5) == 0)
		error = listen_unix(gdb, where + 5);
	else
		error = listen_tcp(gdb, strncmp(where, "tcp:", 4) ? where :
								    where + 4);
	if (error == -EINVAL)
		log_error("--gdb %s: a port's number, tcp:PORT or unix:PATH",
			  where);
	else if (error)
		log_error("--gdb %s: %s", where, strerror(-error));
	if (error)
		return error;
	gdb->listen_watch = (struct loop_watch){ .fd = gdb->listener,
						 .events = EPOLLIN,
						 .fn = on_connection,
						 .argument = gdb };
	return loop_add(gdb->loop, &gdb->listen_watch);
}

int gdb_create(struct vm *vm, struct loop *loop, const char *where,
	       bool is_waiting, struct gdb **result)
{
	struct gdb *gdb = calloc(1, sizeof(*gdb));
	int error;

	if (!gdb)
		return -ENOMEM;
	gdb->vm = vm;
	gdb->loop = loop;
	gdb->listener = gdb->fd = -1;
	gdb->is_stopped = is_waiting;
	gdb->description = gdb_target_description(&gdb->description_size);
	error = gdb->description ? start(gdb, where) : -ENOMEM;
	if (error) {
		gdb_destroy(gdb);
		return error;
	}
	*result = gdb;
	return 0;
}

void gdb_destroy(struct gdb *gdb)
{
	if (!gdb)
		return;
	if (gdb->fd >= 0) {
		/* The process that was debugged has ended. */
		clear_reply(gdb);
		rsp_put(&gdb->reply, "W00");
		send_reply(gdb);
		forget_peer(gdb);
	}
	if (gdb->listen_watch.fn)
		loop_remove(gdb->loop, &gdb->listen_watch);
	if (gdb->listener >= 0)
		close(gdb->listener);
	if (gdb->path)
		unlink(gdb->path);
	free(gdb->path);
	free(gdb->description);
	free(gdb);
}
