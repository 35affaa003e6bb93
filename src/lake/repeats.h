/* Requests that were done under an Idempotency-Key, and what was answered to them: kept for a day,
 * so that a repetition gets the same answer and nothing is done twice.
 *
 *   begin ─▶ not known: the caller does the work ─▶ end: the answer is durable ─▶ answered
 *      └──▶ known: the first answer again
 *
 * One file per key in _idempotency/, named by the SHA-256 of the key, written after the work and
 * before the answer. A process that dies between the two has done the work and does not know it: a
 * repetition does it again, unless the work itself keeps the key, as commits do. Answers that hold
 * a secret are kept in memory only; a repetition to the next process learns that it was done.
 *
 * Threads: any thread may call anything. begin and end read and write a small file.
 */
#ifndef LAKEHOUSE_LAKE_REPEATS_H
#define LAKEHOUSE_LAKE_REPEATS_H

#include "base/field.h"

#define LAKE_REPEAT_KEPT_MS ((int64_t)86400000)
#define LAKE_REPEAT_BODY_BYTES_MAX ((size_t)4 << 20)

struct lake;

struct lake_answer {
    int64_t format;
    struct lh_str request_hash; /* of what was asked for */
    struct lh_time at;
    int64_t status;
    struct lh_str content_type;
    struct lh_str etag;
    struct lh_str location;
    struct lh_str body;
    bool is_secret; /* the body is not written to the disk */
};

/* `key` names the principal too. *ret NULL: nobody did it yet, and the caller must call end,
 * whatever happens. Else the first answer, in `arena`. LH_KEY_REUSED: it came with another request;
 * LH_RACE: the same request is under way; LH_CONFLICT: it was done, but its answer was a secret. */
enum lh_code lake_repeat_begin(struct lake *lake, struct lh_str key, struct lh_str request_hash,
                               struct lh_arena *arena, const struct lake_answer **ret,
                               struct lh_error *err) LH_MUST_USE;
/* `answer` NULL: it failed, and may be tried again. A failure to keep it is logged: the work is
 * done, and that is what the caller is told. */
void lake_repeat_end(struct lake *lake, struct lh_str key, const struct lake_answer *answer);

#endif
