/* Backups as jobs: one runs at a time, tells how far it is, is cancelled and goes on after a kill;
 * what it had copied serves the next attempt, and one that had ended is not made twice.
 *
 * Threads: any. Blocking: lake_backup until it is made.
 */
#ifndef LAKEHOUSE_LAKE_BACKUPS_H
#define LAKEHOUSE_LAKE_BACKUPS_H

#include "base/field.h"
#include "base/uuid.h"

struct lake;
struct lh_cancel;
struct job;

#define LAKE_BACKUP_JOB_KIND "system.backup"

struct lake_backup_request {
    struct lh_str to; /* an absolute path outside the lake */
    bool recheck;
    bool primary_only;
    struct lh_str actor;
};
struct lake_backup_result {
    struct lh_str job_id;
    struct lh_str to;
    int64_t number;
    int64_t sequence;
    int64_t files;
    int64_t bytes;
    int64_t copied_files;
    int64_t copied_bytes;
    int64_t mended_files;
    double held_ms;
    struct lh_str_list buckets_not_included;
};
extern const struct lh_fields lake_backup_result_fields;

/* Makes it here and now, as a job without records. The codes of storage_backup. */
enum lh_code lake_backup(struct lake *lake, const struct lake_backup_request *request,
                         const struct lh_cancel *cancel, struct lh_arena *arena,
                         struct lake_backup_result *ret, struct lh_error *err) LH_MUST_USE;
/* Accepts it as a job. LH_INVALID, LH_CONFLICT: no backup can be in that folder. */
enum lh_code lake_backup_begin(struct lake *lake, const struct lake_backup_request *request,
                               struct lh_uuid *ret_job, struct lh_error *err) LH_MUST_USE;

/* The rows of the table of jobs. */
enum lh_code lake_backup_job(void *context, struct job *job, struct lh_error *err) LH_MUST_USE;
enum lh_code lake_backup_effect(void *context, struct job *job, bool *ret_is_done,
                                struct lh_error *err) LH_MUST_USE;

#endif
