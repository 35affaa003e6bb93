/* The listening socket, and the thread that takes connections in and deals them out to the I/O
 * threads in turn.
 */
#ifndef LAKEHOUSE_HTTP_ACCEPT_H
#define LAKEHOUSE_HTTP_ACCEPT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/str.h"

struct http_server;

struct acceptor {
    pthread_t thread;
    int listen_fd;
    _Atomic bool is_stopping;
};

/* Port 0 takes a free one. LH_BUSY: the port is taken; LH_INVALID: not an address. The socket is
 * the caller's. */
enum lh_code listen_open(struct lh_str address, uint16_t port, int *ret_fd, uint16_t *ret_port,
                         struct lh_error *err) LH_MUST_USE;
/* As text without port; empty for what is not IPv4 or IPv6. */
void address_text(const struct sockaddr *address, char *ret, size_t size);

/* Owns `listen_fd` from here on, but not when it fails. */
enum lh_code accept_start(struct http_server *server, int listen_fd,
                          struct lh_error *err) LH_MUST_USE;
/* Nobody is let in any more: the kernel refuses who knocks. Blocks until the thread has ended;
 * closes the socket. */
void accept_stop(struct http_server *server);

#endif
