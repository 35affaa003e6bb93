/* Whether the work of a job is there: jobs/ asks it of a job that it does not run again, and knows
 * neither what a commit is nor who made it. */
#include "base/json.h"
#include "catalog/catalog.h"
#include "ingest/ingest.h"
#include "jobs/jobs.h"
#include "lake/internal.h"

static void drop_json(void *json)
{
    json_decref(json);
}

/* The commit keeps what the work gave, but not what was only known after it. */
static enum lh_code set_result(struct job *job, const struct catalog_commit_result *commit,
                               struct lh_arena *arena, struct lh_error *err)
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
        lh_arena_defer(arena, drop_json, kept);
        code = lh_fields_bind_json(&ingest_result_fields, kept, arena, &result, err);
    }
    if (code)
        return code;
    result.job_id = job_id(job);
    result.version = commit->version;
    result.bytes = job_input(job).bytes;
    lh_buf_init(&buf, JOBS_RESULT_BYTES_MAX);
    lh_json_init(&json, &buf);
    lh_fields_write(&ingest_result_fields, &result, &json);
    code = lh_buf_check(&buf, "The job's result", err);
    if (!code)
        job_set_result(job, lh_buf_str(&buf));
    lh_buf_release(&buf);
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
