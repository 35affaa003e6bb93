#include "base/clock.h"
#include "http/internal.h"

/* More connections than may be. Most of a crowd is idle: clients that keep a connection for later,
 * or that say their header byte by byte for as long as they may. So the one that has been silent
 * longest is closed for the newcomer, which a client that may use its connection again expects at
 * any time. If all of them are new or busy, the newcomer is surplus: its request is answered with
 * 503 and Retry-After, but for the vital ones, so that who looks after the server sees it. Surplus
 * connections are few: the oldest silent one goes for the next.
 *
 * Rejected: the library's own limits. At the limit it leaves newcomers in the kernel's queue, where
 * they wait without a word for as long as the idle ones like, and by address it closes them without
 * an answer. */

#define SILENT_US INT64_C(1000000)

struct crowd {
    struct http_server *server;
    struct connection *newcomer;
    unsigned count; /* of connections that are served, the newcomer included */
    unsigned count_of_address;
    unsigned count_of_surplus;
    struct connection *silent; /* longest of all; NULL: none */
    struct connection *silent_of_address;
    struct connection *silent_surplus;
    int64_t since_us, since_of_address_us, since_surplus_us;
};

static void note_silent(struct connection *connection, int64_t since_us, struct connection **silent,
                        int64_t *silent_since_us)
{
    if (*silent && *silent_since_us <= since_us)
        return;
    *silent = connection;
    *silent_since_us = since_us;
}

static void count_in(struct crowd *crowd, struct connection *connection)
{
    pthread_mutex_lock(&connection->lock);
    const bool is_cut = connection->is_cut || connection->is_hung_up;
    const bool is_silent = connection->phase == PHASE_IDLE || connection->phase == PHASE_HEADER;
    const int64_t since_us = connection->phase_us;
    const bool is_surplus = connection->is_surplus;
    pthread_mutex_unlock(&connection->lock);
    const bool is_neighbour = strcmp(connection->remote, crowd->newcomer->remote) == 0;
    if (is_cut)
        return;
    crowd->count += !is_surplus;
    crowd->count_of_address += !is_surplus && is_neighbour;
    crowd->count_of_surplus += is_surplus;
    if (!is_silent || connection == crowd->newcomer)
        return;
    if (is_surplus) {
        note_silent(connection, since_us, &crowd->silent_surplus, &crowd->since_surplus_us);
        return;
    }
    note_silent(connection, since_us, &crowd->silent, &crowd->since_us);
    if (is_neighbour)
        note_silent(connection, since_us, &crowd->silent_of_address, &crowd->since_of_address_us);
}

/* With watch.lock held, which keeps the connection alive. Its I/O thread sees the end of the socket
 * and cleans up. */
static void evict(struct crowd *crowd, struct connection *connection)
{
    pthread_mutex_lock(&connection->lock);
    connection->is_cut = true;
    shutdown(connection->fd, SHUT_RDWR);
    pthread_mutex_unlock(&connection->lock);
    count_add(&crowd->server->counters.evicted, 1);
}

static void make_room(struct crowd *crowd, int64_t now_us)
{
    const struct http_server_options *options = &crowd->server->options;
    const bool is_address = crowd->count_of_address > options->connections_per_address_max;
    if (!is_address && crowd->count <= options->connections_max)
        return;
    struct connection *silent = is_address ? crowd->silent_of_address : crowd->silent;
    const int64_t since_us = is_address ? crowd->since_of_address_us : crowd->since_us;
    if (silent && now_us - since_us >= SILENT_US) {
        evict(crowd, silent);
        return;
    }
    pthread_mutex_lock(&crowd->newcomer->lock);
    crowd->newcomer->is_surplus = true;
    pthread_mutex_unlock(&crowd->newcomer->lock);
    count_add(&crowd->server->counters.surplus, 1);
    if (crowd->count_of_surplus >= SURPLUS_MAX && crowd->silent_surplus)
        evict(crowd, crowd->silent_surplus);
}

void crowd_enter(struct http_server *server, struct connection *connection)
{
    struct watch *watch = &server->watch;
    struct crowd crowd = {.server = server, .newcomer = connection};
    const int64_t open = atomic_load(&server->counters.connections);
    /* Nearly always: no limit is near, and nobody is counted. */
    if (!connection->is_watched || (open <= server->options.connections_max &&
                                    open <= server->options.connections_per_address_max))
        return;
    pthread_mutex_lock(&watch->lock);
    for (size_t at = 0; at < watch->slot_count; at++)
        if (watch->slots[at].connection)
            count_in(&crowd, watch->slots[at].connection);
    make_room(&crowd, lh_clock_monotonic_us());
    pthread_mutex_unlock(&watch->lock);
}

enum lh_code crowd_check(const struct exchange *exchange, struct lh_error *err)
{
    if (!exchange->connection->is_surplus || exchange->route.lane == LH_LANE_VITAL)
        return LH_OK;
    lh_fail(err, LH_BUSY, "The server has as many connections as it takes.");
    return lh_error_hint(err, "Try again in a moment, with fewer connections at once.");
}
