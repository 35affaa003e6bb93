/* The demo: starts a server, loads the sample that every Debian machine carries, shows three
 * statements over it, and keeps serving.
 *
 *   lake and gateway open ─▶ sample there? ── no ─▶ package index ─▶ two files ─▶ POST /ingest/file
 *                                    │ yes                                             │
 *                                    └──────────────▶ tour: POST /query/sql ◀──────────┘
 *                                                       │
 *                                     addresses ─▶ wait for SIGINT or SIGTERM ─▶ closed
 *
 * A user of the doors, nothing else: the sample goes in through the operation that everybody uses.
 */
#ifndef LAKEHOUSE_DEMO_DEMO_H
#define LAKEHOUSE_DEMO_DEMO_H

#include "lake/settings.h"

struct demo_options {
    const struct settings *settings; /* server.data and server.listen count most */
    bool is_tour_only;               /* end after the tour instead of serving on */
};

/* Runs the demo on the calling thread, printing to standard output, until the tour's end or a
 * signal. Blocks SIGINT and SIGTERM for itself; call it before other threads are started. */
enum lh_code demo_run(const struct demo_options *options, struct lh_error *err) LH_MUST_USE;

#endif
