/* What the files of the journal share; never leaves this folder.
 *
 * Locks, in the order in which they may be taken (docs/concurrency.md):
 *   journal.roll_mutex  who turns logs into segments; held over the engine and the disk
 *   journal.mutex       the queue, who leads, the tail in memory, the segments; never over a disk
 * The log file, the head's hash and the sequence belong to the leader: there is one at a time.
 */
#ifndef LAKEHOUSE_JOURNAL_INTERNAL_H
#define LAKEHOUSE_JOURNAL_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "base/uuid.h"
#include "journal/journal.h"
#include "storage/log.h"
#include "storage/mark.h"
#include "storage/storage.h"

#define JOURNAL_FORMAT 3
#define JOURNAL_LOG_FOLDER JOURNAL_FOLDER "/log"
#define JOURNAL_SEGMENT_FOLDER JOURNAL_FOLDER "/segments"
#define JOURNAL_NOTE_KEY JOURNAL_FOLDER "/closed.json"
#define JOURNAL_MARK_KEY "_heads/journal" /* not in the folder that it is about */
#define JOURNAL_FRAME_BYTES_MAX ((size_t)1 << 20)
#define JOURNAL_TAIL_RECORDS_MAX 1000000 /* more wait to become segments: no more are taken */
#define JOURNAL_TAIL_BYTES_MAX ((int64_t)512 << 20) /* likewise */
#define JOURNAL_IDS_MAX 1024                        /* of one commit's events that are remembered */

/* --- record.c: one record as bytes */

enum record_kind { RECORD_EVENT = 1, RECORD_INTENT = 2, RECORD_VOID = 3 };

struct record {
    atomic_size_t refs;
    uint64_t sequence;
    uint64_t epoch;
    uint64_t intent; /* the one that this settles; 0 = none */
    enum record_kind kind;
    bool has_more;   /* the next record belongs to the same atom */
    uint32_t before; /* records that were written to the log together with it, before it */
    uint8_t previous[LH_SHA256_BYTES];
    uint8_t hash[LH_SHA256_BYTES];
    struct journal_event event; /* texts behind the struct, in the same piece of memory */
};

enum lh_code record_check(const struct journal_event *event, struct lh_error *err) LH_MUST_USE;
/* Copies the event's texts. NULL without memory. One reference. */
struct record *record_new(const struct journal_event *event);
struct record *record_ref(struct record *record);
void record_unref(struct record *record); /* NULL is fine */
/* How long its frame is. */
size_t record_bytes(struct record *record);
/* Appends the frame and fills record->hash. */
void record_encode(struct record *record, struct lh_buf *buf);
/* The hash alone: of rows that came back from a segment. */
void record_sum(struct record *record);
/* Is the record what its hash says? Nobody else has it. */
bool record_is_sound(struct record *record);
/* Reads the frame at the start of `bytes`; *ret_bytes is how long it is. LH_DAMAGED: there is none
 * (nothing is said in `err`). */
enum lh_code record_decode(struct lh_str bytes, struct record **ret, size_t *ret_bytes) LH_MUST_USE;

/* The head of a log: what comes before its first record. */
struct log_head {
    uint32_t format; /* when read */
    uint64_t first_sequence;
    uint64_t epoch;
    uint64_t event_count; /* before it */
    uint64_t drained;     /* the lake sequence up to which commits stand before it */
    uint8_t previous[LH_SHA256_BYTES];
    struct lh_str *ids; /* of the last drained commit's events */
    size_t id_count;
};
void log_head_encode(const struct log_head *head, struct lh_buf *buf);
/* LH_DAMAGED; LH_FORMAT: of a newer release. */
enum lh_code log_head_decode(struct lh_str bytes, struct lh_str key, struct lh_arena *arena,
                             struct log_head *ret, size_t *ret_bytes,
                             struct lh_error *err) LH_MUST_USE;

/* --- log.c: a log file as records */

struct record_list {
    struct record **items;
    size_t count, capacity;
};
void record_list_add(struct record_list *list, struct record *record); /* takes the reference */
void record_list_release(struct record_list *list);

struct log_content {
    struct log_head head; /* without one: only the first sequence, by the file's name */
    bool has_head;
    struct record_list records;
    int64_t good_bytes;  /* up to the last whole atom */
    int64_t torn_bytes;  /* behind it, with nothing whole among them */
    uint64_t damaged_at; /* what the first missing or wrong record should have been; 0: none */
    size_t damage_count; /* places where the chain is broken */
};
struct journal_file { /* a log or a segment, by what its name says */
    struct lh_str key;
    uint64_t first, last; /* last = 0: a log */
    int64_t bytes;
    struct lh_str sum; /* of a segment, hexadecimal; absent: one of format 2, or a log */
};
/* Reads a whole log. What is wrong with its head or records is in *ret; the call fails only if the
 * file cannot be read at all. Release *ret's records. */
enum lh_code log_read(struct storage *storage, const struct journal_file *file,
                      struct lh_arena *arena, struct log_content *ret,
                      struct lh_error *err) LH_MUST_USE;
/* Ascending by first sequence, the longer first. */
enum lh_code log_list(struct storage *storage, struct lh_arena *arena, struct journal_file **ret,
                      size_t *ret_count, struct lh_error *err) LH_MUST_USE;
enum lh_code segment_list(struct storage *storage, struct lh_arena *arena,
                          struct journal_file **ret, size_t *ret_count,
                          struct lh_error *err) LH_MUST_USE;
struct lh_str log_key(uint64_t first, struct lh_arena *arena);
bool segment_read_key(struct lh_str key, struct journal_file *ret); /* false: none of a segment */
struct lh_str segment_key(uint64_t first, uint64_t last, const uint8_t sum[LH_SHA256_BYTES],
                          struct lh_arena *arena);

/* --- head.c: where the journal ended, said elsewhere */

struct journal_note {
    bool is_there;
    uint64_t sequence;
    uint8_t hash[LH_SHA256_BYTES];
};
/* Of a clean end. One that cannot be read is as none. */
void note_read(struct storage *storage, struct lh_arena *arena, struct journal_note *ret);
enum lh_code note_write(struct storage *storage, uint64_t sequence,
                        const uint8_t hash[LH_SHA256_BYTES], struct lh_error *err) LH_MUST_USE;
/* Of any end: written over after every group of records, and never waited for. */
void mark_read(struct storage *storage, struct lh_arena *arena, struct journal_note *ret);
struct storage_mark *mark_open(struct journal *journal); /* NULL: it could not be, and was logged */
/* Its caller leads. */
void mark_write(struct journal *journal, uint64_t sequence, const uint8_t hash[LH_SHA256_BYTES]);
/* While opening: what is less now than was noted was taken away. The hole stays where it is: later
 * records do not take the numbers of those that are gone. */
void journal_compare_note(struct journal *journal, const struct journal_note *note);

/* --- the journal */

struct segment {
    uint64_t first, last;
    char *path;    /* absolute */
    char *key;     /* of the object */
    bool has_sum;  /* in its key; else of format 2 */
    bool is_sound; /* somebody looked (sound.c) when the file was this one: */
    struct storage_info info;
};

struct append_request {
    struct append_request *next;
    struct record **records;
    size_t count;
    bool is_vital;
    uint64_t first_sequence;
    bool is_repeat;
    enum lh_code code;
    struct lh_error *err;
    bool is_done;
};

struct journal {
    struct journal_options options;
    pthread_mutex_t roll_mutex;
    const struct record_list *anew; /* what is written in the place of all; under roll_mutex */

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct append_request *queue_first, *queue_last;
    size_t queue_count, last_group;
    int64_t last_append_us;
    bool has_leader, is_stopped; /* the latter after LH_UNKNOWN */

    /* The leader's, and whoever else holds has_leader */
    struct storage_log *log;
    struct storage_mark *mark; /* NULL: the end is not noted */
    bool has_mark_failed;      /* it was logged */
    uint64_t log_first;        /* the first sequence of the log that is open */
    uint32_t log_format;
    uint64_t sequence;
    uint8_t hash[LH_SHA256_BYTES];

    /* Under `mutex`: */
    struct record_list tail; /* everything behind `kept_from`, in order of sequence */
    size_t tail_rolled;      /* how many of them stand in segments already */
    int64_t waiting_bytes;   /* of the others, as frames */
    void (*on_due)(void *);  /* NULL = nobody wants to know that the log should roll */
    void *due_context;
    struct record_list intents; /* not settled */
    struct segment *segments;
    size_t segment_count, segment_capacity;
    uint64_t rolled;     /* the last sequence that stands in a segment */
    uint64_t generation; /* of the segments */
    uint64_t drained;
    char (*ids)[LH_UUID_TEXT_BYTES + 1];
    size_t id_count;
    uint64_t event_count;
    int64_t buffered;     /* events in the log */
    int64_t log_since_ms; /* since when it holds a record; 0 = it is empty */
    int64_t appends, syncs;
    uint64_t noted; /* the sequence in the note of the last clean end */
    char *damage;   /* NULL = none */
};

/* What a record changes in memory: drained, ids, intents. Under `mutex` (or while opening). */
void journal_note_record(struct journal *journal, struct record *record);
void journal_say_damage(struct journal *journal, const char *format, ...) LH_PRINTF(2, 3);
/* Under the mutex: whether the log should become a segment. */
bool journal_is_due(const struct journal *journal, bool is_forced);
/* Ends the log that is open and begins another behind the newest record. Its caller leads. */
enum lh_code journal_new_log(struct journal *journal, struct lh_error *err) LH_MUST_USE;
/* Before a segment: so that no older release, which does not know it, goes on. Its caller leads. */
enum lh_code journal_renew_log(struct journal *journal, struct lh_error *err) LH_MUST_USE;
/* Under the mutex: the first record for which the logs are needed: it stands in no segment, or it
 * announces what is not settled. */
uint64_t journal_kept_from(const struct journal *journal);
/* Takes the lead as an append does, so that nobody appends meanwhile; and gives it away. */
void journal_take_lead(struct journal *journal);
void journal_give_lead(struct journal *journal);

/* --- segment.c */

enum lh_code segment_register(struct journal *journal, struct lh_error *err) LH_MUST_USE;
/* Writes records as a Parquet object and publishes it; *ret is in `arena`. */
enum lh_code segment_write(struct journal *journal, const struct record_list *records,
                           struct lh_arena *arena, struct journal_file *ret,
                           struct lh_error *err) LH_MUST_USE;
/* Under the mutex (or while opening). */
enum lh_code segment_add(struct journal *journal, const struct journal_file *file,
                         struct lh_error *err) LH_MUST_USE;
void segment_drop_all(struct journal *journal); /* likewise */
/* The columns of a segment, as they are stored. */
extern const char segment_columns[];
/* Calls each(record) for the rows of a statement that returns those columns; hashes come as they
 * are stored. */
enum lh_code segment_rows(struct engine *engine, struct lh_str sql, const struct lh_cancel *cancel,
                          enum lh_code (*each)(void *context, struct record *record,
                                               struct lh_error *err),
                          void *context, struct lh_error *err) LH_MUST_USE;

/* --- sound.c: whether a segment is what was written */

/* LH_DAMAGED: the object's bytes do not have the sum that its name says. No sum: LH_OK. */
enum lh_code segment_compare_sum(struct storage *storage, const struct journal_file *file,
                                 const struct lh_cancel *cancel, struct lh_error *err) LH_MUST_USE;

#endif
