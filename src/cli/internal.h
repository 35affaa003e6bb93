/* What the files of the command line share: a call that was read from words, its two ways, and
 * showing what came back.
 */
#ifndef LAKEHOUSE_CLI_INTERNAL_H
#define LAKEHOUSE_CLI_INTERNAL_H

#include "cli/cli.h"
#include "cli/progress.h"
#include "ops/op.h"

#define CLI_BODY_BYTES_MAX ((size_t)1 << 30) /* of a reply that is shown as a table */

struct cli_given {
    const struct lh_field *field;
    struct lh_str text;
};

/* One operation with its arguments. */
struct cli_call {
    const struct op *op;
    void *args; /* bound and checked; NULL without fields */
    struct cli_given *given;
    size_t given_count;
    bool is_json;
    bool is_help;
    bool is_partial;        /* a part of what was asked for failed; the reply says which */
    bool was_interrupted;   /* by Ctrl-C, while it was followed */
    bool is_followed;       /* it was sent with wait = false, and is to be shown until it ends */
    struct lh_str progress; /* --progress */
    struct cli_progress shown;
    struct lh_str data;   /* --data; absent = not given */
    struct lh_str config; /* --config */
    struct lh_str server; /* --server, or LAKEHOUSE_SERVER without --data; absent = none */
    struct lh_str key;    /* LAKEHOUSE_KEY, or the lake's own administrator's; absent = none */
    struct lh_str bucket;
    struct lh_str if_match;
    struct lh_str if_none_match;
    struct lh_str range;
    struct lh_str idempotency_key;
    struct lh_arena *arena;
};

/* Binds words. LH_INVALID or LH_UNKNOWN_FIELD: wrong usage. */
enum lh_code cli_read_call(int word_count, char *const *words, struct cli_call *call,
                           struct lh_error *err) LH_MUST_USE;

/* A stream of a job's events, which may be followed instead of printed. */
bool cli_tells_events(const struct op *op);
/* True if the reply is to be passed on as it comes instead of shown as a table. */
bool cli_is_raw(const struct cli_call *call);

/* Both run the call. What comes back goes to standard output if raw, else into `body`. */
enum lh_code cli_run_remote(struct cli_call *call, struct lh_str url, struct lh_buf *body,
                            struct lh_error *err) LH_MUST_USE;
enum lh_code cli_run_local(struct cli_call *call, const struct settings *settings,
                           struct lh_buf *body, struct lh_error *err) LH_MUST_USE;

struct http_client;
/* Shows how far a job is until it ends; its result goes into ret_result, or what then stands at
 * `place`, a path of the server (absent: the result). A result with "is_partial": true is that of
 * a call of which a part failed. The error of a job that failed is that of the call. LH_CANCELLED:
 * Ctrl-C, and the job was told to stop. */
enum lh_code cli_follow_job(struct cli_call *call, struct http_client *client, struct lh_str url,
                            struct lh_str id, struct lh_str place, struct cli_progress *progress,
                            struct lh_buf *ret_result, struct lh_error *err) LH_MUST_USE;
/* A problem document as the error that it was on the other side. */
enum lh_code cli_fail_as_told(struct lh_str body, int status, struct lh_arena *arena,
                              struct lh_error *err);
enum lh_code cli_code_of(struct lh_str id); /* of a stable id; LH_INTERNAL: there is none */

/* Shows a reply to people. */
enum lh_code cli_show(const struct op *op, struct lh_str body, struct lh_arena *arena,
                      struct lh_buf *out, struct lh_error *err) LH_MUST_USE;
enum lh_code cli_print(struct lh_str text,
                       struct lh_error *err) LH_MUST_USE; /* to standard output */

/* JSON with its numbers as the text they were: a reply may carry integers that no C type holds. */
enum cli_kind { CLI_NULL, CLI_BOOL, CLI_NUMBER, CLI_TEXT, CLI_LIST, CLI_OBJECT };
struct cli_value {
    enum cli_kind kind;
    struct lh_str key;  /* as a member; absent else */
    struct lh_str text; /* TEXT: unescaped; LIST, OBJECT: the JSON; others: as written */
    struct cli_value *first;
    struct cli_value *next;
};
enum lh_code cli_parse(struct lh_str json, struct lh_arena *arena, struct cli_value **ret,
                       struct lh_error *err) LH_MUST_USE;
const struct cli_value *cli_get(const struct cli_value *object, const char *key); /* NULL: none */

bool cli_has_json_flag(void); /* among the words of this run */

/* The table that cli_main was given. */
const struct cli_command *const *cli_all_commands(size_t *ret_count);

/* The page of all settings, for docs/. */
enum lh_code cli_write_settings_page(struct lh_buf *buf, struct lh_error *err) LH_MUST_USE;

/* Help texts, on standard output. */
void cli_help_all(const struct cli_command *const *commands, size_t command_count);
void cli_help_group(struct lh_str group);
void cli_help_op(const struct op *op);
void cli_help_command(const struct cli_command *command);

#endif
