/* The offline verifier of the journal: every record is there, is what was written, and follows the
 * one before it. Reads only; nobody may have the lake open. */
#ifndef LAKEHOUSE_JOURNAL_VERIFY_H
#define LAKEHOUSE_JOURNAL_VERIFY_H

#include "base/cancel.h"
#include "journal/journal.h"

struct storage_findings;

struct journal_verify_options {
    struct engine *engine; /* reads the segments; NULL: they are not looked into */
    /* Told of every event, in order; may be NULL. */
    void (*visit)(void *context, uint64_t sequence, const struct journal_event *event);
    void *context;
    const struct lh_cancel *cancel; /* may be NULL */
};

/* Findings are the result, not a failure; *ret_count is how many records there are. */
enum lh_code journal_verify(struct storage *storage, const struct journal_verify_options *options,
                            struct storage_findings *findings, int64_t *ret_count,
                            struct lh_error *err) LH_MUST_USE;

#endif
