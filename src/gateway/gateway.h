/* The HTTP door: the table of operations as routes of a server.
 *
 *   header ─▶ route: host, origin, path, method, content type, limits ─▶ body
 *          ─▶ bind: arguments from path, query, JSON or form ─▶ op_run
 *          ─▶ a whole reply, or a stream with back-pressure ─▶ one line of the log
 *
 * Every refusal is a problem document (RFC 9457) from one function. Nothing here names an
 * operation: what a row says is all there is to know.
 *
 * Threads: start and stop belong to one thread; requests run on the lake's pool.
 */
#ifndef LAKEHOUSE_GATEWAY_GATEWAY_H
#define LAKEHOUSE_GATEWAY_GATEWAY_H

#include "base/error.h"

struct lake;
struct settings;
struct gateway; /* opaque; made by gateway_start, ended by gateway_stop */

/* Before a lake is made or opened: LH_BUSY or LH_INVALID as gateway_start would answer for the
 * address. A folder that a server has open is left to lake_open, which tells whose it is. */
enum lh_code gateway_check(const struct settings *settings, struct lh_error *err) LH_MUST_USE;

/* Listens as the lake's settings say, serves, and announces the address in the lake's lock.
 * LH_BUSY: the port is taken; LH_INVALID: not an address of this machine. The lake outlives the
 * gateway. */
enum lh_code gateway_start(struct lake *lake, struct gateway **ret,
                           struct lh_error *err) LH_MUST_USE;

/* "http://127.0.0.1:3100", with the port that was really taken. Lives as long as the gateway. */
struct lh_str gateway_url(const struct gateway *gateway);

/* Tells running requests to end, without waiting; stop comes later. Any thread. */
void gateway_hurry(struct gateway *gateway);

/* Stops accepting, lets running requests go on for up to grace_ms, then ends them. NULL is fine. */
void gateway_stop(struct gateway *gateway, int64_t grace_ms);

#endif
