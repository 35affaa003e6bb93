#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <unistd.h>

#include "http/internal.h"

#define BACKLOG 1024

static bool address_parse(struct lh_str text, uint16_t port, struct sockaddr_storage *ret,
                          socklen_t *ret_len)
{
    char name[INET6_ADDRSTRLEN];
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (text.len == 0 || text.len >= sizeof name)
        return false;
    memcpy(name, text.data, text.len);
    name[text.len] = '\0';
    memset(ret, 0, sizeof *ret);
    if (inet_pton(AF_INET, name, &v4.sin_addr) == 1) {
        memcpy(ret, &v4, sizeof v4);
        *ret_len = sizeof v4;
        return true;
    }
    if (inet_pton(AF_INET6, name, &v6.sin6_addr) == 1) {
        memcpy(ret, &v6, sizeof v6);
        *ret_len = sizeof v6;
        return true;
    }
    return false;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &len))
        return 0;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    memcpy(&v4, &address, sizeof v4);
    memcpy(&v6, &address, sizeof v6);
    return ntohs(address.ss_family == AF_INET6 ? v6.sin6_port : v4.sin_port);
}

static enum lh_code fail_listen(int error_number, struct lh_str address, uint16_t port,
                                struct lh_error *err)
{
    switch (error_number) {
    case EADDRINUSE:
        lh_fail(err, LH_BUSY, "Port %u of %.*s is in use by another program.", port,
                LH_ARG(address));
        return lh_error_hint(err, "Stop that program (`ss -ltnp` shows it), or choose another port "
                                  "with --listen ADDRESS:PORT.");
    case EADDRNOTAVAIL:
        lh_fail(err, LH_INVALID, "%.*s is not an address of this machine.", LH_ARG(address));
        return lh_error_hint(err, "`ip address` shows those that are; 127.0.0.1 always is.");
    case EACCES:
        lh_fail(err, LH_INVALID, "Port %u of %.*s may not be opened by this user.", port,
                LH_ARG(address));
        return lh_error_hint(err, "Choose a port from 1024 upwards.");
    default:
        return lh_fail_errno(err, error_number, "The server cannot listen on %.*s, port %u",
                             LH_ARG(address), port);
    }
}

enum lh_code listen_open(struct lh_str address, uint16_t port, int *ret_fd, uint16_t *ret_port,
                         struct lh_error *err)
{
    struct sockaddr_storage where;
    socklen_t len = 0;
    if (!address_parse(address, port, &where, &len)) {
        lh_fail(err, LH_INVALID, "'%.*s' is not an IPv4 or IPv6 address.",
                LH_ARG(lh_str_slice(address, 0, 100)));
        return lh_error_hint(err, "Names are not looked up: write 127.0.0.1 or ::1.");
    }
    const int on = 1;
    const int fd = socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail_listen(errno, address, port, err);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); /* only past TIME_WAIT */
    if (where.ss_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&where, len) || listen(fd, BACKLOG)) {
        const enum lh_code code = fail_listen(errno, address, port, err);
        close(fd);
        return code;
    }
    *ret_port = port_of(fd);
    *ret_fd = fd;
    return LH_OK;
}

void address_text(const struct sockaddr *address, char *ret, size_t size)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    ret[0] = '\0';
    if (address && address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof v4);
        inet_ntop(AF_INET, &v4.sin_addr, ret, (socklen_t)size);
    } else if (address && address->sa_family == AF_INET6) {
        memcpy(&v6, address, sizeof v6);
        inet_ntop(AF_INET6, &v6.sin6_addr, ret, (socklen_t)size);
    }
}
