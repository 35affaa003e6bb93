/* Backups: a lake's files as they were at one moment, kept by content in a folder elsewhere.
 *
 *   data folder ──▶ listed ──▶ the moment ──▶ copied ──▶ objects/<sum>, durable
 *                   while others write;       │                    │ all of them
 *                   nobody publishes while ◀──┘                    ▼
 *                   the last changes are read            snapshots/<number>: the backup
 *
 * A backup is there once its list is: a kill before leaves those that there were, and what was
 * copied serves the next one. What an earlier list names unchanged is not read again. Lists and
 * objects never change; every byte is summed when it is copied and when it comes back. A restore
 * reads and compares everything before it writes, into an empty folder, which becomes a lake by its
 * last step; one that was killed is continued. Format: docs/formats/backup.md.
 *
 * What other buckets hold is copied after the moment: data files never change, objects of people
 * are as they were when they were read, each whole.
 *
 * Threads: any; one backup or restore of a folder at a time (a lock). Everything blocks. Knows
 * nothing of datasets: the caller says which files count and what they must sum up to.
 */
#ifndef LAKEHOUSE_STORAGE_BACKUP_H
#define LAKEHOUSE_STORAGE_BACKUP_H

#include "base/cancel.h"
#include "base/uuid.h"
#include "storage/storage.h"

struct storage_document { /* a file of the backup that the data folder does not have */
    struct lh_str key;
    struct lh_str bytes;
};

struct storage_placed { /* a file of another bucket than primary, with what it must be */
    struct lh_str bucket, key;
    int64_t bytes;
    uint8_t sha256[LH_SHA256_BYTES];
    struct lh_str text; /* all of it, if it is small and may be replaced meanwhile; else absent */
};

/* What the owner of the lake says about the moment; all of it but `context` may be NULL. */
struct storage_backup_source {
    void *context;
    /* Called when nobody can publish, replace or remove anything: what there is from here on is the
     * moment. Documents are added to the files, in the place of those with their keys; texts live
     * in the arena. *ret_sequence is told with the backup. */
    enum lh_code (*hold)(void *context, struct lh_arena *arena, uint64_t *ret_sequence,
                         const struct storage_document **ret, size_t *ret_count,
                         struct lh_error *err);
    /* Whether a file belongs to the moment. */
    bool (*wants)(void *context, struct lh_str bucket, struct lh_str key);
    /* What a file must sum up to; false: that is not known. Called when others write again. */
    bool (*sum_of)(void *context, struct lh_str bucket, struct lh_str key,
                   uint8_t ret[LH_SHA256_BYTES]);
    /* The files of the moment in other buckets, beside objects of people. Called when others write
     * again; what it gives lives in the arena. */
    enum lh_code (*elsewhere)(void *context, struct lh_arena *arena,
                              const struct storage_placed **ret, size_t *ret_count,
                              struct lh_error *err);
};

struct storage_backup_progress {
    const char *phase;               /* "listing", "comparing", "copying", "ending": static */
    int64_t files_done, files_total; /* of those that are read; in all: known when copying begins */
    int64_t bytes_done, bytes_total;
};

struct storage_backup_options {
    struct lh_str path;   /* of the backup: an absolute path, outside the data folder */
    bool is_primary_only; /* leave out what other buckets hold: the list names them */
    bool is_rechecked;    /* read what earlier backups copied, and mend what is damaged of it */
    struct storage_backup_source source;
    struct lh_str job;              /* kept with the list: storage_backup_of_job; absent: none */
    struct lh_arena *arena;         /* of the result's texts; NULL: they are not told */
    const struct lh_cancel *cancel; /* may be NULL */
    /* Called several times a second at most, and at each phase's begin; may be NULL. */
    void (*tell)(void *tell_context, const struct storage_backup_progress *progress);
    void *tell_context;
};
struct storage_backup_result {
    int64_t number; /* of the list: 1, 2, 3 … */
    uint64_t sequence;
    int64_t file_count;
    int64_t byte_count;
    int64_t copied_count; /* files that were read; the others were in an earlier backup */
    int64_t copied_bytes;
    int64_t mended_count;    /* objects of earlier backups that were damaged */
    int64_t held_us;         /* how long nobody could publish */
    struct lh_str *left_out; /* buckets that hold something that is not in it */
    size_t left_out_count;
};
/* LH_CONFLICT: the folder is another lake's backup, something else, inside the lake or a bucket of
 * it, or where nothing can be made; or a bucket does not answer, and it is not `is_primary_only`.
 * LH_BUSY: a file went meanwhile, or another backup runs there: again a little later. LH_DAMAGED
 * names a file of the lake that is not what it must be: nothing was added. LH_FORMAT: the backup is
 * of a newer release. */
enum lh_code storage_backup(struct storage *storage, const struct storage_backup_options *options,
                            struct storage_backup_result *ret, struct lh_error *err) LH_MUST_USE;

/* Whether a backup may be in that folder: an absolute path outside the lake and its buckets.
 * LH_INVALID, LH_CONFLICT. */
enum lh_code storage_backup_check(struct storage *storage, struct lh_str path,
                                  struct lh_error *err) LH_MUST_USE;
/* Whether the job (a UUIDv7) made a backup there, which is durable then, and what its answer was;
 * the texts live in `arena`. Where there is no backup yet it has not. */
enum lh_code storage_backup_of_job(struct lh_str path, struct lh_str job, struct lh_arena *arena,
                                   bool *ret_is_there, struct storage_backup_result *ret,
                                   struct lh_error *err) LH_MUST_USE;

#define STORAGE_RESTORE_PLACES_MAX 64
struct storage_restore_place { /* where a bucket's files come: a local bucket from then on */
    struct lh_str bucket;
    struct lh_str folder; /* absolute, empty or none yet; not in nor around the target */
};
struct storage_restore_options {
    struct lh_str path;   /* of the backup */
    int64_t number;       /* which; 0 = the newest */
    bool is_primary_only; /* without other buckets, whether the backup has them or not */
    const struct storage_restore_place *places; /* of each bucket that the backup has files of */
    size_t place_count;
    struct lh_str target;   /* an empty folder, or none yet; absent: only check the backup */
    struct lh_arena *arena; /* of the result's texts; NULL: they are not told */
    const struct lh_cancel *cancel;
};
struct storage_restore_result {
    int64_t number;
    uint64_t sequence;
    int64_t made_ms;
    int64_t file_count;
    int64_t byte_count;
    struct lh_str left_out; /* buckets whose files are not in it, to be shown; absent: none */
    char lake[LH_UUID_TEXT_BYTES + 1];
};
/* LH_NOT_FOUND: no backup there, or none of that number. LH_DAMAGED names what of the backup is
 * missing or is not what was copied; the target was not touched. LH_CONFLICT: the target or a place
 * is not empty, or buckets have no place or are not in the backup and it is not `is_primary_only`.
 * LH_INVALID: a place is no absolute path, or in or around the target. LH_FORMAT. */
enum lh_code storage_restore(const struct storage_restore_options *options,
                             struct storage_restore_result *ret, struct lh_error *err) LH_MUST_USE;

#endif
