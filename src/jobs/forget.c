/* Ended jobs go before their time: nothing of what an erasure looks for may stand in their
 * records. */
#include "base/json.h"
#include "base/log.h"
#include "jobs/internal.h"
#include "jobs/records.h"

#define LOOK_BYTES_MAX ((size_t)64 << 20) /* damaged ones may be of any size */

struct forgetting {
    struct jobs *jobs;
    bool (*is_found)(void *context, struct lh_str text);
    void *context;
};

/* Takes it out of the list, if it has ended; NULL: it stays. */
static struct job *take_ended(struct jobs *jobs, struct lh_str id)
{
    pthread_mutex_lock(&jobs->lock);
    struct job *job = jobs_find(jobs, id);
    if (job && (job->state < JOB_SUCCEEDED || job->is_awaited))
        job = NULL;
    if (job) {
        jobs_unlink(jobs, job);
        jobs->ended_kept--;
        job->next_queued = NULL;
    }
    pthread_mutex_unlock(&jobs->lock);
    return job;
}

static void forget_submitted(struct jobs *jobs, struct lh_str id)
{
    struct job *job = take_ended(jobs, id);
    if (job)
        record_remove(jobs, job);
    jobs_free_job(job);
}

/* The lines that stay; false: none does, or what is found stands in no line of it. */
static bool keep_lines(const struct forgetting *of, const struct record_batch *batch,
                       struct lh_buf *buf, bool *ret_is_gone)
{
    bool is_any_found = false;
    for (size_t i = 0; i < batch->count; i++) {
        ret_is_gone[i] = of->is_found(of->context, batch->lines[i]);
        is_any_found = is_any_found || ret_is_gone[i];
        if (ret_is_gone[i])
            continue;
        lh_buf_append_str(buf, batch->lines[i]);
        lh_buf_append_char(buf, '\n');
    }
    if (!buf->len || !is_any_found)
        return false;
    record_batch_seal(buf);
    return true;
}

/* Those that stay stand in another file now, or in none. */
static void move_jobs(struct jobs *jobs, struct lh_str from, const struct lh_uuid *to)
{
    pthread_mutex_lock(&jobs->lock);
    for (struct job *job = jobs->newest; job; job = job->older)
        if (job->batch && lh_str_equal(lh_uuid_str(&job->batch->id), from)) {
            job->batch->id = *to;
            break; /* they share it */
        }
    pthread_mutex_unlock(&jobs->lock);
}

/* The new file stands there before the old one goes: in between, both tell the same of those that
 * stay. One that cannot be read goes as a whole: nobody can tell what of it may stay. */
static enum lh_code clean_batch(const struct forgetting *of, struct lh_str key, struct lh_str id,
                                struct lh_str text, struct lh_arena *arena, struct lh_error *err)
{
    struct jobs *jobs = of->jobs;
    struct record_batch batch = {0};
    struct lh_buf buf;
    struct lh_uuid next = lh_uuid_new();
    char buffer[RECORD_KEY_BYTES];
    enum lh_code code = LH_OK;
    if (record_batch_parse(text, arena, &batch, NULL))
        batch.count = 0;
    bool *is_gone = lh_arena_array(arena, batch.count + 1, sizeof *is_gone);
    lh_buf_init(&buf, JOBS_RECORD_BYTES_MAX);
    bool is_kept = keep_lines(of, &batch, &buf, is_gone);
    if (is_kept)
        code = storage_put_vital(jobs->storage, STORAGE_PRIMARY,
                                 record_key(lh_uuid_str(&next), RECORD_BATCH, buffer),
                                 lh_buf_str(&buf), err);
    if (!code)
        code = storage_trash(jobs->storage, STORAGE_PRIMARY, &key, 1, err);
    lh_buf_release(&buf);
    if (code && code != LH_NOT_FOUND) /* with the last of its jobs it went meanwhile */
        return code;
    move_jobs(jobs, id, &next);
    for (size_t i = 0; i < batch.count; i++)
        if (is_gone[i] || !is_kept)
            jobs_free_job(take_ended(jobs, batch.jobs[i].id));
    return LH_OK;
}

static enum lh_code look_at(const struct forgetting *of, const struct storage_entry *entry,
                            struct lh_arena *arena, struct lh_error *err)
{
    struct lh_str text = {0};
    struct lh_str id = lh_str_head(entry->name, LH_UUID_TEXT_BYTES);
    bool is_batch = lh_str_ends_with(entry->name, lh_lit("." RECORD_BATCH));
    if (entry->is_special || entry->is_folder ||
        (!is_batch && !lh_str_ends_with(entry->name, lh_lit(".json"))))
        return LH_OK;
    enum lh_code code = storage_get(of->jobs->storage, STORAGE_PRIMARY, entry->key, LOOK_BYTES_MAX,
                                    arena, &text, err);
    if (code)
        return code == LH_NOT_FOUND ? LH_OK : code; /* it went meanwhile */
    if (!of->is_found(of->context, text))
        return LH_OK;
    if (is_batch)
        return clean_batch(of, entry->key, id, text, arena, err);
    forget_submitted(of->jobs, id);
    return LH_OK;
}

enum lh_code jobs_forget_found(struct jobs *jobs,
                               bool (*is_found)(void *context, struct lh_str text), void *context,
                               struct lh_error *err)
{
    const struct forgetting of = {jobs, is_found, context};
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_arena *scratch = lh_arena_new(0);
    struct storage_entry *entries = NULL;
    size_t count = 0;
    enum lh_code code = batches_begin(jobs, err); /* what waits to be written is looked at too */
    if (!code)
        code = storage_list(jobs->storage, STORAGE_PRIMARY, lh_lit(JOBS_FOLDER), arena, &entries,
                            &count, err);
    for (size_t i = 0; i < count && !code; i++) {
        lh_arena_clear(scratch);
        code = look_at(&of, &entries[i], scratch, err);
    }
    batches_end(jobs);
    lh_arena_free(scratch);
    lh_arena_free(arena);
    return code;
}
