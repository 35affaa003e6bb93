/* Taking texts out of records that were written: the one thing that changes the past of a journal,
 * and it is in the journal itself.
 *
 * The records are written anew, with another chain, as one segment that takes the place of all
 * others; the last of them is an event, journal.erase, that says how many were changed and what the
 * hash of the newest record was before. A kill leaves the old records or the new ones, whole.
 *
 * Threads: any; nobody appends meanwhile. Blocks: as long as it takes to read and write all.
 */
#ifndef LAKEHOUSE_JOURNAL_ERASE_H
#define LAKEHOUSE_JOURNAL_ERASE_H

#include "journal/journal.h"

#define JOURNAL_ERASE_RECORDS_MAX ((size_t)2000000)
#define JOURNAL_ERASE_BYTES_MAX ((int64_t)1 << 30)

struct journal_erase_options {
    /* Changes texts of a record's event that must not stay, in `arena`; true: it did. */
    bool (*rewrite)(void *context, struct journal_event *event, struct lh_arena *arena);
    void *context;
    struct lh_str actor; /* of the event that tells of it */
    struct lh_str reason;
    const struct lh_cancel *cancel; /* may be NULL; not looked at once it is written */
};
struct journal_erased {
    int64_t records;      /* that were changed; 0: nothing was written */
    char hash_before[65]; /* of the newest record before */
    char hash_after[65];  /* of the same record now */
};
/* What was there before lies in the trash of primary, under JOURNAL_FOLDER: whoever calls empties
 * it. LH_DAMAGED: the chain is broken, and what broke it must stay to be seen; LH_TOO_LARGE: there
 * are too many records; LH_BUSY: a change was announced and is not settled: try again. LH_UNKNOWN:
 * nothing more is taken until the journal is opened again. */
enum lh_code journal_erase(struct journal *journal, const struct journal_erase_options *options,
                           struct journal_erased *ret, struct lh_error *err) LH_MUST_USE;

#endif
