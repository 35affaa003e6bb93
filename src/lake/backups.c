#include "lake/backups.h"

#include <time.h>

#include "base/json.h"
#include "catalog/moment.h"
#include "jobs/jobs.h"
#include "lake/lake.h"
#include "search/place.h"

/* Another backup has the folder, or a file went: what was copied is kept, so once more. */
#define AGAIN_NS 500000000
#define AGAIN_MAX 20

struct backup_args {    /* of the job, as its record keeps them */
    struct lh_str lake; /* its id: a restored lake does not write to its original's backups */
    struct lh_str to;
    bool recheck;
    bool primary_only;
};
static const struct lh_field args_rows[] = {
    LH_STR(struct backup_args, lake, .required = true, .doc = "Whose backup it is."),
    LH_STR(struct backup_args, to, .required = true, .doc = "The backup's folder."),
    LH_BOOL(struct backup_args, recheck, .doc = "Read what is there, and mend it."),
    LH_BOOL(struct backup_args, primary_only, .doc = "Without other buckets."),
};
static const struct lh_fields args_fields =
    LH_FIELDS_OF(struct backup_args, "BackupJobArgs", args_rows);

static const struct lh_field result_rows[] = {
    LH_STR(struct lake_backup_result, job_id, .required = true, .doc = "Of the job that made it."),
    LH_STR(struct lake_backup_result, to, .required = true, .doc = "The backup's folder."),
    LH_INT(struct lake_backup_result, number, .required = true,
           .doc = "Which backup of that folder it is: 1, 2, 3 …"),
    LH_INT(struct lake_backup_result, sequence, .required = true,
           .doc = "Of the lake's last commit that is in it; no later one is, not even in part."),
    LH_INT(struct lake_backup_result, files, .required = true, .doc = "Files of the lake."),
    LH_INT(struct lake_backup_result, bytes, .required = true, .doc = "Their size."),
    LH_INT(struct lake_backup_result, copied_files, .required = true,
           .doc = "That were read now; the others were copied before."),
    LH_INT(struct lake_backup_result, copied_bytes, .required = true, .doc = "Their size."),
    LH_INT(struct lake_backup_result, mended_files, .required = true,
           .doc = "Of earlier backups, that were damaged and were copied anew."),
    LH_DOUBLE(struct lake_backup_result, held_ms, .required = true,
              .doc = "How long commits had to wait."),
    LH_STR_LIST(struct lake_backup_result, buckets_not_included, .required = true,
                .doc = "Buckets that hold something, or do not answer: it is not in the backup."),
};
const struct lh_fields lake_backup_result_fields =
    LH_FIELDS_OF(struct lake_backup_result, "SystemBackup", result_rows);

/* --- the job */

static void on_progress(void *context, const struct storage_backup_progress *progress)
{
    struct job *job = context;
    bool is_known = progress->files_total > 0;
    job_set_progress(job, &(struct job_progress){
                              .phase = lh_str_of(progress->phase),
                              .bytes_done = progress->bytes_done,
                              .bytes_total = progress->bytes_total,
                              .files_done = {is_known, progress->files_done},
                              .files_total = {is_known, progress->files_total},
                          });
    /* What was copied is not copied again: a lake that needs more than one process for its backup
     * gets it. */
    if (progress->files_done > 0)
        job_checkpoint(job);
}

static void set_result(struct job *job, struct lh_str to,
                       const struct storage_backup_result *result, struct lh_arena *arena)
{
    const struct lake_backup_result view = {
        .job_id = job_id(job),
        .to = to,
        .number = result->number,
        .sequence = (int64_t)result->sequence,
        .files = result->file_count,
        .bytes = result->byte_count,
        .copied_files = result->copied_count,
        .copied_bytes = result->copied_bytes,
        .mended_files = result->mended_count,
        .held_ms = (double)result->held_us / 1000,
        .buckets_not_included = {result->left_out, result->left_out_count},
    };
    job_set_result(job,
                   lh_fields_text(&lake_backup_result_fields, &view, JOBS_RESULT_BYTES_MAX, arena));
}

/* A lake that is restored has the records of the jobs that waited when it was copied, this one's
 * too. */
static enum lh_code read_args(struct lake *lake, const struct job *job, struct lh_arena *arena,
                              struct backup_args *ret, struct lh_error *err)
{
    enum lh_code code = lh_fields_parse(&args_fields, job_args(job), "The job's record",
                                        JOBS_ARGS_BYTES_MAX, arena, ret, err);
    if (code || lh_str_equal(ret->lake, storage_id(lake_storage(lake))))
        return code;
    lh_fail(err, LH_CONFLICT, "The backup was asked of the lake that this one was restored from.");
    return lh_error_hint(err, "Back this lake up to a folder of its own.");
}

enum lh_code lake_backup_effect(void *context, struct job *job, bool *ret_is_done,
                                struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct backup_args args;
    struct storage_backup_result result;
    bool is_done = false;
    enum lh_code code = read_args(context, job, arena, &args, err);
    if (!code)
        code = storage_backup_of_job(args.to, job_id(job), arena, &is_done, &result, err);
    if (!code && is_done)
        set_result(job, args.to, &result, arena);
    if (!code)
        *ret_is_done = is_done;
    lh_arena_free(arena);
    return code;
}

/* The catalog's moment, and what indexes have in other buckets. */
struct whole_moment {
    struct search *search;
    struct storage_backup_source catalog;
    struct search_moment *indexes;
};

static enum lh_code take(void *context, struct lh_arena *arena, uint64_t *ret_sequence,
                         const struct storage_document **ret, size_t *ret_count,
                         struct lh_error *err)
{
    struct whole_moment *moment = context;
    enum lh_code code = search_moment_new(moment->search, &moment->indexes, err);
    return code ? code
                : moment->catalog.hold(moment->catalog.context, arena, ret_sequence, ret, ret_count,
                                       err);
}

static bool wants(void *context, struct lh_str bucket, struct lh_str key)
{
    const struct whole_moment *moment = context;
    return moment->catalog.wants(moment->catalog.context, bucket, key);
}

static bool sum_of(void *context, struct lh_str bucket, struct lh_str key,
                   uint8_t ret[LH_SHA256_BYTES])
{
    const struct whole_moment *moment = context;
    return moment->catalog.sum_of(moment->catalog.context, bucket, key, ret);
}

static enum lh_code elsewhere(void *context, struct lh_arena *arena,
                              const struct storage_placed **ret, size_t *ret_count,
                              struct lh_error *err)
{
    const struct whole_moment *moment = context;
    const struct storage_placed *data = NULL;
    struct storage_placed *indexed = NULL;
    size_t data_count = 0, indexed_count = 0;
    enum lh_code code =
        moment->catalog.elsewhere(moment->catalog.context, arena, &data, &data_count, err);
    if (!code)
        code = search_moment_list(moment->indexes, arena, &indexed, &indexed_count, err);
    if (code)
        return code;
    struct storage_placed *all = lh_arena_array(arena, data_count + indexed_count + 1, sizeof *all);
    for (size_t i = 0; i < data_count + indexed_count; i++)
        all[i] = i < data_count ? data[i] : indexed[i - data_count];
    *ret = all;
    *ret_count = data_count + indexed_count;
    return LH_OK;
}

static enum lh_code back_up(struct lake *lake, struct job *job, const struct backup_args *args,
                            struct lh_arena *arena, struct lh_error *err)
{
    struct storage_backup_result result;
    struct catalog_moment *catalog = catalog_moment_new(lake_catalog(lake));
    struct whole_moment moment = {lake_search(lake), catalog_moment_source(catalog), NULL};
    const struct storage_backup_options options = {
        .path = args->to,
        .is_primary_only = args->primary_only,
        .is_rechecked = args->recheck,
        .source = {&moment, take, wants, sum_of, elsewhere},
        .job = job_id(job),
        .arena = arena,
        .cancel = job_cancel(job),
        .tell = on_progress,
        .tell_context = job,
    };
    enum lh_code code = storage_backup(lake_storage(lake), &options, &result, err);
    if (!code)
        set_result(job, args->to, &result, arena);
    search_moment_free(moment.indexes);
    catalog_moment_free(catalog);
    return code;
}

enum lh_code lake_backup_job(void *context, struct job *job, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct backup_args args;
    bool is_done = false;
    enum lh_code code = read_args(context, job, arena, &args, err);
    if (!code && job_attempt(job) > 1)
        code = lake_backup_effect(context, job, &is_done, err);
    if (!code && !is_done)
        code = back_up(context, job, &args, arena, err);
    for (int i = 0; i < AGAIN_MAX && code == LH_BUSY; i++) {
        (void)nanosleep(&(struct timespec){0, AGAIN_NS}, NULL);
        code = lh_cancel_fail(job_cancel(job), "The backup", err);
        if (!code)
            code = back_up(context, job, &args, arena, err);
    }
    lh_arena_free(arena);
    return code;
}

/* --- the door */

static struct job_spec spec_of(struct lake *lake, const struct lake_backup_request *request,
                               struct lh_arena *arena)
{
    const struct backup_args args = {storage_id(lake_storage(lake)), request->to, request->recheck,
                                     request->primary_only};
    return (struct job_spec){.kind = lh_lit(LAKE_BACKUP_JOB_KIND),
                             .actor = request->actor,
                             .args =
                                 lh_fields_text(&args_fields, &args, JOBS_RESULT_BYTES_MAX, arena)};
}

enum lh_code lake_backup(struct lake *lake, const struct lake_backup_request *request,
                         const struct lh_cancel *cancel, struct lh_arena *arena,
                         struct lake_backup_result *ret, struct lh_error *err)
{
    const struct job_spec spec = spec_of(lake, request, arena);
    struct lh_str result = {0};
    enum lh_code code = jobs_run(lake_jobs(lake), &spec, cancel, arena, NULL, &result, err);
    return code ? code
                : lh_fields_parse(&lake_backup_result_fields, result, "The job's record",
                                  JOBS_ARGS_BYTES_MAX, arena, ret, err);
}

enum lh_code lake_backup_begin(struct lake *lake, const struct lake_backup_request *request,
                               struct lh_uuid *ret_job, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    const struct job_spec spec = spec_of(lake, request, arena);
    enum lh_code code = storage_backup_check(lake_storage(lake), request->to, err);
    if (!code)
        code = jobs_submit(lake_jobs(lake), &spec, ret_job, err);
    lh_arena_free(arena);
    return code;
}
