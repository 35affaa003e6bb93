/* What happened to an index, as records that are only added: trials, promotions. Inside search/
 * only.
 *
 *   ledger_append ─▶ <folder>/<index id>/<uuid>.json (sealed, never changed) ─▶ many become one
 *
 * A record is durable when ledger_append returns. Each begins with an id of its own, the later the
 * higher: by it they are ordered, and told apart when a kill between the making of a merged batch
 * and the removal of the others shows them twice.
 *
 * Threads: any. Every call blocks on the disk. Format: docs/formats/tuning.md.
 */
#ifndef LAKEHOUSE_SEARCH_LEDGER_H
#define LAKEHOUSE_SEARCH_LEDGER_H

#include "search/internal.h"

struct storage_entry;

#define LEDGER_FORMAT 1
#define LEDGER_BYTES_MAX ((size_t)64 << 20) /* of a batch */
#define LEDGER_BATCHES_MAX ((size_t)64)     /* more become one */

/* A kind of records; the first member of their struct is a struct lh_str, the id. */
struct ledger {
    const char *folder;
    const struct lh_fields *fields;
    size_t kept; /* of the newest, when batches are merged; 0: all */
};

/* LH_FULL, LH_IO: nothing was added; LH_UNKNOWN. */
enum lh_code ledger_append(struct search *search, const struct ledger *ledger, struct lh_str id,
                           const void *records, size_t count, struct lh_error *err) LH_MUST_USE;
/* All records, oldest first, in `arena`. Batches that cannot be read are left out and logged:
 * `lakehouse verify` names them. */
enum lh_code ledger_read(struct search *search, const struct ledger *ledger, struct lh_str id,
                         struct lh_arena *arena, struct lh_list *ret,
                         struct lh_error *err) LH_MUST_USE;
/* Those in which `must_go` finds something are written anew, changed by `redact`. Returns how many
 * in *ret_changed. For erasures; nobody appends to these meanwhile that something stands in. */
enum lh_code ledger_redact(struct search *search, const struct ledger *ledger, struct lh_str id,
                           bool (*redact)(void *context, void *record), void *context,
                           int64_t *ret_changed, struct lh_error *err) LH_MUST_USE;
/* Is the file's content a batch of this kind? LH_DAMAGED. */
enum lh_code ledger_check(const struct ledger *ledger, struct lh_str bytes, struct lh_str key,
                          struct lh_error *err) LH_MUST_USE;

/* --- small sealed files: eval sets are such, and batches */

/* `record` as sealed JSON in the place of the object that has the key, or exclusively. */
enum lh_code sealed_put(struct search *search, struct lh_str key, const struct lh_fields *fields,
                        const void *record, bool replaces, struct lh_error *err) LH_MUST_USE;
/* Parsed JSON stays as long as the arena. LH_DAMAGED, LH_FORMAT. */
enum lh_code sealed_bind(struct lh_str bytes, struct lh_str key, const struct lh_fields *fields,
                         struct lh_arena *arena, void *ret, struct lh_error *err) LH_MUST_USE;
/* LH_NOT_FOUND too. */
enum lh_code sealed_get(struct search *search, struct lh_str key, const struct lh_fields *fields,
                        struct lh_arena *arena, void *ret, struct lh_error *err) LH_MUST_USE;
/* The files of one index in a folder of such, ascending. */
enum lh_code sealed_list(struct search *search, const char *folder, struct lh_str id,
                         struct lh_arena *arena, struct storage_entry **ret, size_t *ret_count,
                         struct lh_error *err) LH_MUST_USE;
/* Some of one index go. */
enum lh_code sealed_trash(struct search *search, const struct lh_str *keys, size_t count,
                          struct lh_error *err) LH_MUST_USE;

#endif
