/* What the parts of the demo share: one client of one server, and how a line is printed. */
#ifndef LAKEHOUSE_DEMO_INTERNAL_H
#define LAKEHOUSE_DEMO_INTERNAL_H

#include "base/arena.h"
#include "base/cancel.h"
#include "base/json.h"
#include "http/http_client.h"

struct demo {
    struct http_client *client;
    struct lh_str url; /* "http://127.0.0.1:3100" */
    struct lh_str
        key; /* of an administrator, sent with every request; absent = none is asked for */
    struct lh_cancel cancel;
    struct lh_arena *arena;
};

/* Sends one request and parses the JSON that comes back; *ret is owned by the demo's arena. A
 * status of 400 and above becomes an error with the server's own words, unless `ret_status` is
 * given. */
enum lh_code demo_request(struct demo *demo, const char *method, const char *path,
                          struct lh_str json_body, const json_t **ret, int *ret_status,
                          struct lh_error *err) LH_MUST_USE;
/* Posts a file to /ingest/file as `dataset`; *ret is the answer. */
enum lh_code demo_ingest(struct demo *demo, struct lh_str dataset, struct lh_str path,
                         const json_t **ret, struct lh_error *err) LH_MUST_USE;

/* Loads the sample unless it is there already; says what it does. */
enum lh_code demo_load_sample(struct demo *demo, struct lh_error *err) LH_MUST_USE;
/* Runs and prints the statements of the tour. */
enum lh_code demo_tour(struct demo *demo, struct lh_error *err) LH_MUST_USE;

/* Builds the index unless it is there already, then runs and prints the searches, numbered from
 * `first_number`. */
enum lh_code demo_searches(struct demo *demo, size_t first_number,
                           struct lh_error *err) LH_MUST_USE;

/* 63666 as "63,666". */
struct lh_str demo_count(struct lh_arena *arena, int64_t count);

#endif
