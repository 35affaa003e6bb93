/* Whether the work of a job is there: jobs/ asks it of a job that it does not run again, and knows
 * neither what a commit is nor who made it. */
#include "base/json.h"
#include "catalog/catalog.h"
#include "ingest/ingest.h"
#include "jobs/jobs.h"
#include "lake/internal.h"
#include "lake/lake.h"

/* The commit keeps what the work gave, but not what was only known after it. LH_UNKNOWN_FIELD: it
 * was other work. */
static enum lh_code write_result(const struct catalog_commit_result *commit, struct lh_str id,
                                 int64_t bytes, struct lh_arena *arena, struct lh_str *ret,
                                 struct lh_error *err)
{
    struct ingest_result result;
    struct lh_buf buf;
    struct lh_json json;
    json_t *kept = NULL;
    enum lh_code code = LH_OK;
    lh_fields_preset(&ingest_result_fields, &result);
    if (commit->result.len)
        code =
            lh_json_parse(commit->result, "The commit's result", JOBS_RESULT_BYTES_MAX, &kept, err);
    if (code)
        return code;
    if (kept) {
        lh_json_keep(kept, arena);
        code = lh_fields_bind_json(&ingest_result_fields, kept, arena, &result, err);
    }
    if (code)
        return code;
    result.job_id = id;
    result.version = commit->version;
    result.bytes = bytes;
    lh_buf_init(&buf, JOBS_RESULT_BYTES_MAX);
    lh_json_init(&json, &buf);
    lh_fields_write(&ingest_result_fields, &result, &json);
    code = lh_buf_check(&buf, "The job's result", err);
    if (!code)
        *ret = lh_arena_str(arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return code;
}

static enum lh_code set_result(struct job *job, const struct catalog_commit_result *commit,
                               struct lh_arena *arena, struct lh_error *err)
{
    struct lh_str result = {0};
    enum lh_code code =
        write_result(commit, job_id(job), job_input(job).bytes, arena, &result, err);
    if (!code)
        job_set_result(job, result);
    return code;
}

enum lh_code effect_of_ingest(void *context, struct job *job, bool *ret_is_done,
                              struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct catalog_commit_result commit = {0};
    bool is_done = false;
    const struct lh_str none = {0}; /* its id alone: under its key another may have come first */
    enum lh_code code =
        catalog_fulfilled(context, job_id(job), none, none, arena, &is_done, &commit, err);
    if (!code && is_done)
        code = set_result(job, &commit, arena, err);
    if (!code)
        *ret_is_done = is_done;
    lh_arena_free(arena);
    return code;
}

/* Jobs of every kind keep their result in the commit; that of an ingest is told as its job did. */
enum lh_code lake_find_effect(struct lake *lake, struct lh_str job_id, struct lh_arena *arena,
                              struct job_info *ret, struct lh_error *err)
{
    struct catalog_commit_result commit = {0};
    struct catalog_snapshot *snapshot = NULL;
    struct job_progress *progress = lh_arena_alloc(arena, sizeof *progress);
    bool is_found = false;
    const struct lh_str none = {0};
    struct lh_str result = {0};
    enum lh_code code =
        catalog_fulfilled(lake_catalog(lake), job_id, none, none, arena, &is_found, &commit, err);
    if (code)
        return code;
    if (!is_found)
        return lh_fail(err, LH_NOT_FOUND, "No commit names the job '%.*s'.", LH_ARG(job_id));
    bool is_ingest = write_result(&commit, job_id, 0, arena, &result, NULL) == LH_OK;
    snapshot = catalog_snapshot_ref(lake_catalog(lake));
    const struct catalog_dataset *dataset = NULL;
    (void)!catalog_find_id(snapshot, commit.dataset_id, &dataset, NULL); /* dropped since */
    progress->phase = lh_lit("done");
    *ret = (struct job_info){
        .id = job_id,
        .kind = is_ingest ? lh_lit(INGEST_JOB_KIND) : lh_lit("unknown"),
        .state = JOB_SUCCEEDED,
        .dataset = dataset ? lh_arena_str(arena, dataset->name) : none,
        .ended_at = {commit.time_ms},
        .progress = progress,
        .result.text = is_ingest           ? result
                       : commit.result.len ? commit.result
                                           : lh_lit("{}"),
    };
    catalog_snapshot_unref(snapshot);
    return LH_OK;
}
