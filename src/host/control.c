/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The serving end of the control socket. A peer sends a line and gets an
 * answer that was made in one go; then it is only waited for its reading.
 */
#include "host/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "host/loop.h"
#include "host/registry.h"

#define PEERS_MAX 8

struct peer {
	struct control_server *server;
	int fd; /* -1: free */
	uint64_t since; /* number of the connection: the least is the oldest */
	struct loop_watch watch;
	char line[REQUEST_LINE_MAX];
	size_t used;
	char *answer;
	size_t answer_size, sent;
};

struct control_server {
	struct loop *loop;
	control_handler *handle;
	void *argument;
	char *name;
	int folder, listener;
	bool is_watched;
	struct loop_watch watch;
	uint64_t accepted;
	struct peer peer[PEERS_MAX];
};

static void peer_close(struct peer *peer)
{
	if (peer->fd < 0)
		return;
	loop_remove(peer->server->loop, &peer->watch);
	close(peer->fd);
	free(peer->answer);
	*peer = (struct peer){ .server = peer->server, .fd = -1 };
}

static void peer_send(struct peer *peer)
{
	while (peer->sent < peer->answer_size) {
		ssize_t n = send(peer->fd, peer->answer + peer->sent,
				 peer->answer_size - peer->sent,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			loop_change(peer->server->loop, &peer->watch, EPOLLOUT);
			return;
		}
		if (n < 0)
			break;
		peer->sent += n;
	}
	peer_close(peer);
}

/* The whole answer, the line of its outcome first. */
static void make_answer(struct peer *peer)
{
	struct control_server *server = peer->server;
	cleanup_free char *body = NULL;
	struct request request;
	size_t size = 0;
	const char *error = request_parse(peer->line, &request);
	FILE *file = open_memstream(&body, &size);
	FILE *out = open_memstream(&peer->answer, &peer->answer_size);

	if (file && !error)
		error = server->handle(server->argument, &request, file);
	if (file)
		fclose(file);
	if (!out)
		return;
	if (error) {
		fprintf(out, "{\"error\": ");
		json_print_string(out, error);
		fprintf(out, "}\n");
	} else {
		fprintf(out, "{\"ok\": true}\n");
		fwrite(body, 1, size, out);
	}
	fclose(out);
}

static void peer_receive(struct peer *peer)
{
	ssize_t n = recv(peer->fd, peer->line + peer->used,
			 sizeof(peer->line) - 1 - peer->used, MSG_DONTWAIT);
	char *end;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		peer_close(peer);
		return;
	}
	peer->used += n;
	peer->line[peer->used] = 0;
	end = memchr(peer->line, '\n', peer->used);
	if (!end && peer->used < sizeof(peer->line) - 1)
		return;
	if (end)
		*end = 0;
	make_answer(peer);
	peer_send(peer);
}

static void on_peer(void *argument, uint32_t events)
{
	struct peer *peer = argument;

	if (peer->answer)
		peer_send(peer);
	else
		peer_receive(peer);
}

static struct peer *free_peer(struct control_server *server)
{
	struct peer *oldest = &server->peer[0];

	for (int i = 0; i < PEERS_MAX; i++) {
		struct peer *peer = &server->peer[i];

		if (peer->fd < 0)
			return peer;
		if (peer->since < oldest->since)
			oldest = peer;
	}
	peer_close(oldest);
	return oldest;
}

/* The folder lets nobody else in; this is the second lock. */
static bool is_our_user(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

static void on_connection(void *argument, uint32_t events)
{
	struct control_server *server = argument;
	cleanup_fd int fd = accept4(server->listener, NULL, NULL,
				    SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct peer *peer;

	if (fd < 0 || !is_our_user(fd))
		return;
	peer = free_peer(server);
	peer->fd = fd;
	peer->since = server->accepted++;
	peer->watch = (struct loop_watch){
		.fd = fd, .events = EPOLLIN, .fn = on_peer, .argument = peer
	};
	if (loop_add(server->loop, &peer->watch))
		peer->fd = -1;
	else
		take_fd(&fd);
}

static int start(struct control_server *server, const char *name)
{
	char where[256];
	pid_t holder = 0;
	int error;

	server->folder = registry_open(where, sizeof(where));
	if (server->folder < 0) {
		log_debug("%s: %s", where, strerror(-server->folder));
		return server->folder;
	}
	server->listener = registry_listen(server->folder);
	if (server->listener < 0) {
		log_debug("control socket in %s: %s", where,
			  strerror(-server->listener));
		return server->listener;
	}
	if (name) {
		error = registry_take_name(server->folder, name, &holder);
		if (error == -EEXIST)
			log_error("--name %s: process %d has that name", name,
				  (int)holder);
		if (error)
			return error;
		server->name = strdup(name);
	}
	server->watch = (struct loop_watch){ .fd = server->listener,
					     .events = EPOLLIN,
					     .fn = on_connection,
					     .argument = server };
	error = loop_add(server->loop, &server->watch);
	server->is_watched = !error;
	return error;
}

int control_serve(struct loop *loop, const char *name, control_handler *handle,
		  void *argument, struct control_server **result)
{
	struct control_server *server = calloc(1, sizeof(*server));
	int error;

	if (!server)
		return -ENOMEM;
	server->loop = loop;
	server->handle = handle;
	server->argument = argument;
	server->folder = server->listener = -1;
	for (int i = 0; i < PEERS_MAX; i++)
		server->peer[i] = (struct peer){ .server = server, .fd = -1 };
	error = start(server, name);
	if (error) {
		control_server_destroy(server);
		return error;
	}
	*result = server;
	return 0;
}

void control_server_destroy(struct control_server *server)
{
	if (!server)
		return;
	for (int i = 0; i < PEERS_MAX; i++)
		peer_close(&server->peer[i]);
	if (server->is_watched)
		loop_remove(server->loop, &server->watch);
	if (server->listener >= 0) {
		registry_leave(server->folder, server->name);
		close(server->listener);
	}
	if (server->folder >= 0)
		close(server->folder);
	free(server->name);
	free(server);
}
