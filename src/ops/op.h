/* The operations: one row for every thing that the program can do, and the one runner of them all.
 *
 * From a row come the route, input checking, the OpenAPI document, the command line, access control
 * and the docs; a new endpoint is one row here and one function. An operation takes a const struct
 * that its field table describes and answers through the reply: it knows neither HTTP nor a
 * terminal.
 *
 *   door: bytes ─▶ arguments ─▶ op_run ─ permission, limits ─▶ run() ─▶ op_reply_* ─▶ sink
 *
 * Threads: rows are constant; a call belongs to the thread that runs it. op_run blocks as long as
 * the work.
 */
#ifndef LAKEHOUSE_OPS_OP_H
#define LAKEHOUSE_OPS_OP_H

#include "access/access.h"
#include "base/cancel.h"
#include "base/field.h"
#include "base/pool.h"

struct lake;
struct query;
struct query_encoder;
struct query_encode_options;

enum op_method { OP_METHOD_NONE, OP_GET, OP_POST, OP_PUT, OP_PATCH, OP_DELETE };
enum op_effect {
    OP_EFFECT_NONE,
    OP_READ,
    OP_WRITE
}; /* a write takes an Idempotency-Key and is audited */
enum op_body {
    OP_BODY_NONE,      /* arguments come from path and query */
    OP_BODY_JSON,      /* from path and a JSON object */
    OP_BODY_MULTIPART, /* from path and the parts of a form, files among them */
    OP_BODY_RAW,       /* from path and query; the body as it is becomes the one FILE field, and its
                          content type the field `content_type`, unless that was given */
};
enum op_result {
    OP_RESULT_NONE, /* 204, no body */
    OP_RECORD,      /* one object of `result` */
    OP_LIST,        /* {"items": [objects of `result`], "next": text or null} */
    OP_ROWS,        /* a table of rows, through an encoder that the caller chooses */
    OP_TEXT,        /* a document of `media_type` */
    OP_BYTES,       /* what somebody put there, of any media type; or a range of it */
};

struct op_http {
    enum op_method method;
    /* "/catalog/datasets/by-name/{name}": each {x} is a field of that name; {*x}, at the end, takes
     * all that follows, slashes included. */
    const char *path;
};

struct op_example {
    const char *summary;
    const char *request; /* a JSON object of arguments */
    const char *reply;   /* JSON, shortened; NULL = none */
};

struct op_call;
struct op_reply;

struct op {
    const char *name;        /* "datasets.get": the command line is `lakehouse datasets get` */
    const char *command;     /* a short command beside it: "sql"; NULL = none */
    const char *summary;     /* one sentence */
    const char *description; /* NULL = the summary says it all */
    struct op_http http;
    enum op_effect effect;
    const char
        *permission; /* a row of access_permissions; without one the program does not start */
    enum lh_lane lane;
    enum op_body body;
    const struct lh_fields *fields; /* of the arguments; NULL = none */
    /* Beside JSON: a body of type application/octet-stream is put into the struct lh_str at
     * `octets` of the arguments' struct, and the arguments come from the query. */
    bool takes_octets;
    size_t octets;
    enum op_result kind;
    const struct lh_fields *result; /* RECORD: the object; LIST: an item; ROWS: for the docs */
    const char *media_type;         /* TEXT */
    int status;                     /* of success; 0 = 200 (204 for NONE) */
    int other_status;               /* a second success: 202, 206; 0 = none */
    const struct lh_fields *other_result; /* the object of other_status; NULL = `result` */
    bool may_be_partial;      /* 207 with `result`: a part was done, a part failed; it says which */
    bool is_secret;           /* the reply is for this caller once, kept nowhere */
    bool takes_bucket;        /* LH_NOT_FOUND when there is no such bucket */
    bool takes_if_match;      /* LH_PRECONDITION when the version is another */
    bool takes_if_none_match; /* LH_PRECONDITION when there is such an object */
    bool has_etag;            /* replies carry an ETag: the version, or a sum */
    const enum lh_code *errors; /* what it may answer, LH_OK-ended; see OP_ERRORS */
    const struct op_example *examples;
    size_t example_count;
    enum lh_code (*run)(struct op_call *call, const void *args, struct op_reply *reply,
                        struct lh_error *err);
};

#define OP_STATUS_PARTIAL 207
#define OP_ERRORS(...)                                                                             \
    (const enum lh_code[])                                                                         \
    {                                                                                              \
        __VA_ARGS__, LH_OK                                                                         \
    }
#define OP_OCTETS(struct_type, member)                                                             \
    .takes_octets = true, .octets = LH_FIELD_OFFSET(struct_type, member, struct lh_str)
#define OP_EXAMPLES(rows) .examples = (rows), .example_count = sizeof(rows) / sizeof((rows)[0])

/* Every operation, in the order of the docs: by domain. */
extern const struct op *const op_table[];
extern const size_t op_table_count;

const struct op *op_find(struct lh_str name); /* NULL: none */

/* Checks every row: name, permission, path and fields that match, results, unique routes.
 * LH_INTERNAL naming the row; a program that gets it does not start. */
enum lh_code op_table_check(const struct op *const *ops, size_t op_count,
                            struct lh_error *err) LH_MUST_USE;

/* Who calls, and what goes beside the arguments. Const for the operation. */
struct op_call {
    struct lake *lake;
    const struct principal *principal;
    struct lh_arena *arena; /* ends with the call */
    struct lh_cancel *cancel;
    int64_t received_us; /* monotonic: where time limits count from; 0 = when it is run */
    struct lh_str request_id;
    struct lh_str if_match;        /* as sent: "\"7\""; absent = none */
    struct lh_str if_none_match;   /* as sent; absent = none */
    struct lh_str bucket;          /* that the call is for; absent = none is named */
    struct lh_str range;           /* as sent: "bytes=0-99"; absent = none */
    struct lh_str if_range;        /* as sent; absent = none */
    bool is_head;                  /* only what stands before the body is wanted */
    struct lh_str idempotency_key; /* absent = none */
    struct lh_str request_hash;    /* op_run: of all that is asked for, with a key */
    struct lh_str accept;          /* media types that the caller takes, for ROWS; absent = any */
};

/* --- the reply: written by operations, read by doors */

/* Where a long reply goes while it is made. Both may wait for a slow reader, and fail when it is
 * gone. */
struct op_sink {
    /* The head is settled: status, content type and headers of `reply` are final. */
    enum lh_code (*begin)(void *context, struct op_reply *reply, struct lh_error *err);
    enum lh_code (*write)(void *context, struct lh_str bytes, struct lh_error *err);
    void *context;
    /* Sends what was written so far; NULL: it is sent anyway. */
    enum lh_code (*flush)(void *context, struct lh_error *err);
};

/* A reply starts as op_reply_init left it. A short one ends up whole in `body`; one that grows past
 * OP_REPLY_WHOLE_BYTES goes through the sink, and `has_begun` says so: an error that op_run returns
 * after that can only cut the stream. */
#define OP_REPLY_WHOLE_BYTES ((size_t)65536)
struct op_reply {
    const struct op *op;
    int status;                 /* of the success */
    struct lh_str content_type; /* of the body; absent = no body */
    struct lh_str etag;         /* quoted; absent = none */
    struct lh_str location;     /* of what was made; absent = none */
    /* Of BYTES: */
    int64_t length;         /* of the body, said before it is made; -1 = not known */
    struct lh_str range;    /* which part of the whole: "bytes 0-99/1234"; absent = none */
    struct lh_str filename; /* under which the body is to be kept, not shown; absent = none */
    int64_t modified_ms;    /* 0 = not said */
    struct lh_buf body;
    struct op_sink sink;
    bool has_begun;
    bool is_failed;    /* the body is complete and tells of an error: for logs */
    int64_t row_count; /* of ROWS and LIST, for logs and meters */
};

/* `sink` NULL: everything ends up in the body, at most `body_bytes_max`. */
void op_reply_init(struct op_reply *reply, const struct op *op, const struct op_sink *sink,
                   size_t body_bytes_max);
void op_reply_release(struct op_reply *reply); /* NULL is fine */

/* The field of a row's path parameter: "name" of "{name}" and of "{*name}"; absent text of any
 * other part. */
struct lh_str op_path_field(struct lh_str part, bool *ret_takes_rest);

/* One object, of the row's `result` (or `other_result`, when the status was set to other_status).
 */
enum lh_code op_reply_record(struct op_reply *reply, const void *record,
                             struct lh_error *err) LH_MUST_USE;
/* An array of the structs that `result` describes; `next` is the `after` of the following page,
 * absent at the end. */
enum lh_code op_reply_list(struct op_reply *reply, const void *items, size_t count,
                           struct lh_str next, struct lh_error *err) LH_MUST_USE;
enum lh_code op_reply_text(struct op_reply *reply, struct lh_str text,
                           struct lh_error *err) LH_MUST_USE;
/* Bytes of a body that is made piece by piece: kept, or given to the sink. content_type was set
 * before. */
enum lh_code op_reply_write(struct op_reply *reply, struct lh_str bytes,
                            struct lh_error *err) LH_MUST_USE;
/* For events: begins the body now, and from here on what is written leaves at once. */
enum lh_code op_reply_stream(struct op_reply *reply, struct lh_error *err) LH_MUST_USE;
enum lh_code op_reply_flush(struct op_reply *reply, struct lh_error *err) LH_MUST_USE;
/* The encoder of the named format; absent: the one that call->accept wants, else JSON. LH_INVALID:
 * no such format; LH_NOT_ACCEPTABLE: none of the accepted ones. Asked before a query is opened,
 * which must know. */
enum lh_code op_choose_encoder(struct op_call *call, struct lh_str format,
                               const struct query_encoder **ret, struct lh_error *err) LH_MUST_USE;
/* A query's rows; it is at its end afterwards. `options` may be NULL. */
enum lh_code op_reply_rows(struct op_reply *reply, struct query *query,
                           const struct query_encoder *encoder,
                           const struct query_encode_options *options,
                           struct lh_error *err) LH_MUST_USE;
void op_reply_status(struct op_reply *reply, int status); /* the row's other_status */
void op_reply_partial(struct op_reply *reply);            /* of a row that may_be_partial */
/* Says which version the reply shows, as the ETag "7". */
void op_reply_version(struct op_reply *reply, struct op_call *call, int64_t version);

/* --- the runner */

/* Checks the permission and the arguments' limits, runs, counts. `args` is the struct of op->fields
 * (NULL without fields), bound and checked for unknown members by the door. This is the only way to
 * run an operation. */
enum lh_code op_run(const struct op *op, struct op_call *call, const void *args,
                    struct op_reply *reply, struct lh_error *err) LH_MUST_USE;

/* The version that If-Match names: 0 without one, or for "*". LH_PRECONDITION: a tag that no
 * version has; LH_INVALID: more than one tag. */
enum lh_code op_if_match(const struct op_call *call, int64_t *ret_version,
                         struct lh_error *err) LH_MUST_USE;
/* The idempotency key, of this principal alone; absent = none. In the call's arena. */
struct lh_str op_idempotency_key(const struct op_call *call);

struct op_counts {
    int64_t calls;
    int64_t failures[6]; /* by status class of the error: [4], [5] */
    int64_t micros;      /* of all calls */
    int64_t running;
};
struct op_counts op_counts_of(size_t table_index);

#endif
