/* The journal: every change of the lake, in order, once.
 *
 *            journal_append            full, a day old, or asked for
 *   (caller) ──────────────▶ the log ────────────────────────────────▶ Parquet segment
 *             one fsync for     (and in memory)   journal_roll           (the log is removed)
 *             all who wait
 *
 * A record is durable when journal_append returns LH_OK, and never changes afterwards. Records
 * carry a sequence without holes, and each holds the hash of the one before it: what was edited,
 * removed or swapped is found (journal/verify.h). The events of one call are one atom: all of
 * them or none.
 *
 * Changes that are commits of the catalog carry their events in the manifest; who drains them
 * appends them with their lake sequence, and journal_drained says how far that went: so each comes
 * once, whatever happens in between. A change that is no commit is announced first and settled
 * afterwards:
 *
 *   journal_intend ──▶ (the change) ──▶ journal_settle(event)   it happened
 *          │                       └──▶ journal_settle(NULL)    it did not
 *          └── the process ends ──▶ journal_open_intents of the next one, who looks, and settles
 *
 * Damage is told, not hidden: journal_damage and verify say where. The lake goes on: the records
 * behind it are read, and new ones follow them. The chain stays broken there for ever.
 *
 * Threads: any thread may call anything between open and close; whoever finds nobody writing writes
 * for all who wait. Blocking: append, intend and settle wait for the disk; reading asks the engine
 * for what is no longer in memory. Knows nothing of datasets or rights: what an event means is its
 * writer's affair. Format: docs/formats/journal.md.
 */
#ifndef LAKEHOUSE_JOURNAL_JOURNAL_H
#define LAKEHOUSE_JOURNAL_JOURNAL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/cancel.h"

struct storage;
struct engine;
struct journal; /* opaque; made by journal_open, ended by journal_close */

#define JOURNAL_FOLDER "_journal"
#define JOURNAL_NAME_BYTES_MAX 1024 /* of entities, actors and the like */
#define JOURNAL_ACTION_BYTES_MAX 64
#define JOURNAL_VALUE_BYTES_MAX 65536 /* of values, reasons and details */
#define JOURNAL_EVENTS_MAX 262144     /* of one call */

/* Text is UTF-8 without NUL; absent text stays absent. */
struct journal_event {
    struct lh_str id;         /* a UUID; absent: a fresh one */
    struct lh_str action;     /* "append", "key.create": lower case, stable; required */
    struct lh_str entity;     /* what changed: a dataset's name, a row's key; required */
    struct lh_str dataset;    /* in which dataset; absent = in none */
    struct lh_str dataset_id; /* of it, for ever */
    struct lh_str field;      /* of the entity */
    struct lh_str old_value;
    struct lh_str new_value;
    struct lh_str actor;     /* who did it */
    struct lh_str principal; /* as whom that was asked for; absent: the lake itself */
    struct lh_str source;    /* where it came from */
    struct lh_str workspace;
    struct lh_str model; /* the id of the model that proposed it */
    struct lh_str reason;
    struct lh_str detail;   /* one JSON object */
    struct lh_str request;  /* names the request: a second one with this name is not made */
    int64_t version;        /* of the dataset, after the change; 0 = none */
    int64_t time_ms;        /* 0 = now */
    uint64_t lake_sequence; /* of the commit; 0 = it is none */
};

/* Cuts what is too long, drops a detail that is no JSON object, and names what has no name: for
 * events that stand in commits already, and must not be lost. */
void journal_event_fit(struct journal_event *event);

/* The texts of an event in the order in which they are stored. */
#define JOURNAL_TEXT_COUNT 16
void journal_event_texts(struct journal_event *event, struct lh_str **ret);

struct journal_options {
    struct storage *storage;   /* open for writing; borrowed */
    struct engine *engine;     /* borrowed */
    uint64_t epoch;            /* of the writing process */
    int64_t roll_records;      /* a log with as many is turned into a segment; 0 = 10,000 */
    int64_t roll_bytes;        /* or one as long, which also begins another file; 0 = 64 MiB */
    int64_t waiting_bytes_max; /* in no segment yet: more is only taken if vital; 0 = 512 MiB */
    int64_t roll_age_ms;       /* or one whose oldest record is as old; 0 = a day */
};

/* Opens or creates the journal, cutting a torn tail that was never acknowledged. LH_FORMAT: of a
 * newer release. */
enum lh_code journal_open(const struct journal_options *options, struct journal **ret,
                          struct lh_error *err) LH_MUST_USE;
/* No call may be running. Notes where the journal ends, if the end is clean. NULL is fine. */
void journal_close(struct journal *journal);

/* --- writing */

/* Appends the events as one atom and waits until they are durable; `events` is only borrowed.
 * `is_vital`: it must be possible on a full disk. *ret_sequence (may be NULL) is the first one's;
 * it is that of the first time, and *ret_is_repeat (may be NULL) true, if the first event's
 * `request` came before and is still in memory. LH_INVALID: a text is too long, absent or no
 * UTF-8; LH_FULL, LH_IO: nothing was appended; LH_UNKNOWN: nothing more can be until the next
 * opening; LH_BUSY: too much waits to become a segment. */
enum lh_code journal_append(struct journal *journal, const struct journal_event *events,
                            size_t event_count, bool is_vital, uint64_t *ret_sequence,
                            bool *ret_is_repeat, struct lh_error *err) LH_MUST_USE;

struct journal_atom {
    const struct journal_event *events;
    size_t event_count;
};
/* Several atoms with one fsync: those at the front may be there, and the rest not, if the process
 * ends meanwhile. Errors as above. */
enum lh_code journal_append_atoms(struct journal *journal, const struct journal_atom *atoms,
                                  size_t atom_count, bool is_vital,
                                  struct lh_error *err) LH_MUST_USE;

/* Announces a change, durably: what would be its event. *ret names it for journal_settle. Errors
 * as above, and then the change must not be made. */
enum lh_code journal_intend(struct journal *journal, const struct journal_event *event,
                            bool is_vital, uint64_t *ret, struct lh_error *err) LH_MUST_USE;
/* What became of it: the event, durably, or (NULL) nothing, which needs not be durable. After a
 * failure it is settled by who opens the journal next. */
enum lh_code journal_settle(struct journal *journal, uint64_t intent,
                            const struct journal_event *event, struct lh_error *err) LH_MUST_USE;

/* True if an event of that request is in memory: of the last ten thousands. Absent: false. */
bool journal_has_request(struct journal *journal, struct lh_str request);

struct journal_intent {
    uint64_t sequence;
    struct journal_event event;
};
/* Announced and not settled, oldest first, copied into `arena`. */
void journal_open_intents(struct journal *journal, struct lh_arena *arena,
                          struct journal_intent **ret, size_t *ret_count);

/* How far the catalog's commits were drained, and the ids of the last one's events. */
uint64_t journal_drained(struct journal *journal, struct lh_arena *arena, struct lh_str **ret_ids,
                         size_t *ret_count);

/* Before anybody drains: `newest` is the highest lake sequence that the catalog has given. A
 * journal that says more is counted anew, by its records; *ret is how far they go, which may be
 * more than `newest` still: then the catalog has lost commits. Errors of the engine. */
enum lh_code journal_check_drained(struct journal *journal, uint64_t newest, uint64_t *ret,
                                   struct lh_error *err) LH_MUST_USE;

/* Turns the log into a segment if that is due, or (`is_forced`) if it holds a record at all. A log
 * with an announcement that is not settled stays beside its segment until it is. */
enum lh_code journal_roll(struct journal *journal, bool is_forced,
                          struct lh_error *err) LH_MUST_USE;

/* Who is called, under a lock of the journal, after each append while the log is due: to wake who
 * rolls it, no more. NULL ends that. */
void journal_on_due(struct journal *journal, void (*on_due)(void *context), void *context);

/* --- reading */

struct journal_record {
    uint64_t sequence;
    uint64_t epoch;
    struct journal_event event;
    struct lh_str hash; /* hexadecimal */
};

struct journal_filter { /* absent = any */
    struct lh_str entity;
    struct lh_str dataset;    /* case is ignored */
    struct lh_str dataset_id; /* beside `dataset`: events with this id fit too, whatever the name */
    struct lh_str action;
    struct lh_str actor;
    struct lh_str workspace;
    struct lh_str source;
    int64_t since_ms; /* 0 = any */
    int64_t until_ms; /* before it; 0 = any */
};

/* Events (never intents) below `before` (0 = from the newest), newest first, at most `limit`,
 * copied into `arena`. *ret_has_more: there are older ones that fit. LH_DAMAGED; those of the
 * engine. */
enum lh_code journal_list(struct journal *journal, const struct journal_filter *filter,
                          uint64_t before, size_t limit, const struct lh_cancel *cancel,
                          struct lh_arena *arena, struct journal_record **ret, size_t *ret_count,
                          bool *ret_has_more, struct lh_error *err) LH_MUST_USE;

struct journal_stats {
    int64_t events;    /* ever */
    int64_t buffered;  /* of them in the log */
    int64_t persisted; /* of them in segments */
    int64_t segments;
    int64_t appends; /* since the start: atoms */
    int64_t syncs;   /* since the start: that made them durable */
    int64_t open_intents;
    uint64_t sequence; /* of the newest record */
    char hash[65];     /* of it: who keeps that elsewhere can prove what came before */
    bool is_writable;
};
void journal_stats(struct journal *journal, struct journal_stats *ret);
/* Copies what is wrong into `arena`; absent text: nothing is. */
struct lh_str journal_damage(struct journal *journal, struct lh_arena *arena);

/* --- as a relation */

/* A number that changes whenever the text of journal_write_sql would. */
uint64_t journal_stamp(struct journal *journal);
/* Before what it wrote is run: LH_DAMAGED, and which object, if a segment is not what was written.
 * Each is read once for as long as its file stays the same; else this is a look at its attributes.
 */
enum lh_code journal_ensure_sound(struct journal *journal, const struct lh_cancel *cancel,
                                  struct lh_error *err) LH_MUST_USE;
/* Appends a SELECT of all events: sequence, happened_at, action, entity, dataset, version, field,
 * old_value, new_value, actor, principal, source, workspace, model, reason, detail, dataset_id,
 * id, lake_sequence, epoch, hash. It reads what is there when it is run. */
enum lh_code journal_write_sql(struct journal *journal, struct lh_buf *buf,
                               struct lh_error *err) LH_MUST_USE;

#endif
