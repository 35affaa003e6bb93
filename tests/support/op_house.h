/* A whole lake without a socket: operations are called as doors call them, with JSON in and out.
 *
 *     op_house_make(&house);
 *     op_house_rows(&house, "people", "id,name\n1,Ann\n", "create");
 *     json_t *reply = op_house_call(&house, "datasets.get", "{\"name\": \"people\"}");
 *     …
 *     op_house_remove(&house);     // verifies the lake, fails the test on a leaked descriptor
 *
 * Replies are held against the result that the row declares, and every call is noted in
 * build/operations-called.txt (or LAKEHOUSE_CALLED): an operation that no test calls fails the run.
 */
#ifndef LAKEHOUSE_TESTS_SUPPORT_OP_HOUSE_H
#define LAKEHOUSE_TESTS_SUPPORT_OP_HOUSE_H

#include "lake/lake.h"
#include "ops/op.h"
#include "support/temp_lake.h"

struct op_house {
    struct temp_lake folder;
    struct settings settings;
    int64_t
        graph_rows; /* from which on indexes have graphs, if set before the opening; 0: preset */
    struct lake *lake;
    struct lh_arena *arena;            /* of the whole test */
    const struct principal *principal; /* the local administrator */
    struct lh_str if_match;            /* of the next call alone */
    struct lh_str idempotency_key;     /* of the next call alone */
    struct lh_str accept;              /* of the next call alone */
    int status;                        /* of the last reply */
    struct lh_str content_type;
    struct lh_str etag;
    struct lh_str location;
    struct lh_str body;
    struct lh_error err; /* of the last call that failed */
};

void op_house_make(struct op_house *house);
/* The same over a folder that somebody else made and removes; `house` is zeroed before. */
void op_house_open(struct op_house *house, struct lh_str path);
void op_house_close(struct op_house *house); /* verifies */
void op_house_remove(struct op_house *house);
void op_house_reopen(struct op_house *house); /* closes and opens the lake again */
/* For each test a house of its own, which is its state. */
int op_house_set_up(void **state);
int op_house_tear_down(void **state);

/* Calls an operation with a JSON object of arguments (NULL = none). */
enum lh_code op_house_try(struct op_house *house, const char *name, const char *args);
/* The same with a file of these bytes for the argument that is one. */
enum lh_code op_house_try_file(struct op_house *house, const char *name, const char *args,
                               const char *filename, const void *bytes, size_t count);
/* Fails the test unless it succeeds; the reply lives as long as the house. NULL: no JSON. */
json_t *op_house_call(struct op_house *house, const char *name, const char *args);
/* Fails the test unless it fails with that code. */
void op_house_refuses(struct op_house *house, const char *name, const char *args,
                      enum lh_code code);

/* A member of a reply: fails the test unless it is a number; "" unless it is a text. */
int64_t reply_int(const json_t *object, const char *member);
const char *reply_text(const json_t *object, const char *member);

json_t *op_house_rows(struct op_house *house, const char *dataset, const char *csv,
                      const char *mode);
/* The rows of a statement as JSON text without blanks: "[[1,\"Ann\"]]". */
const char *op_house_sql(struct op_house *house, const char *sql);

/* Files that an attempt left in the staging folder. */
int op_house_staged_count(const struct op_house *house);

#endif
