#include <errno.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/pool.h"
#include "http/internal.h"

#define ACCEPT_PAUSE_MS 10 /* while the machine has no descriptor to give, say */

/* Why we accept ourselves: told to stop accepting, libmicrohttpd takes the listening socket out of
 * an epoll set from two threads at once, and aborts the program when both come to it. */
static void *accept_run(void *context)
{
    struct http_server *server = context;
    for (unsigned turn = 0;; turn++) {
        struct sockaddr_storage from;
        socklen_t len = sizeof from;
        const int fd = accept4(server->acceptor.listen_fd, (struct sockaddr *)&from, &len,
                               SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (atomic_load(&server->acceptor.is_stopping)) {
            if (fd >= 0)
                close(fd);
            return NULL;
        }
        if (fd >= 0) {
            /* Owns the socket, also when it refuses it. */
            (void)MHD_add_connection(server->daemons[turn % server->options.io_threads], fd,
                                     (struct sockaddr *)&from, len);
        } else if (errno != ECONNABORTED && errno != EINTR) {
            nanosleep(&(struct timespec){0, ACCEPT_PAUSE_MS * 1000000L}, NULL);
        } /* else that connection ended before it began */
    }
}

enum lh_code accept_start(struct http_server *server, int listen_fd, struct lh_error *err)
{
    server->acceptor.listen_fd = listen_fd;
    return lh_thread_start("http-accept", accept_run, server, &server->acceptor.thread, err);
}

void accept_stop(struct http_server *server)
{
    struct acceptor *acceptor = &server->acceptor;
    atomic_store(&acceptor->is_stopping, true);
    (void)shutdown(acceptor->listen_fd, SHUT_RDWR); /* wakes it: accept fails from here on */
    pthread_join(acceptor->thread, NULL);
    close(acceptor->listen_fd);
}
