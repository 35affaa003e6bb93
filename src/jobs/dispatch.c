/* From queued to begun: the dispatcher's thread, which hands jobs to the pool. */
#include "jobs/internal.h"

#define POOL_RETRY_MS 100 /* when its queue is full */

static void perform_pooled(void *context)
{
    struct job *job = context;
    struct jobs *jobs = job->jobs;
    struct lh_error err = LH_ERROR_NONE;
    (void)jobs_perform(job, &err);
    jobs_forget_old(jobs);
    pthread_mutex_lock(&jobs->lock);
    jobs->pooled--;
    pthread_cond_broadcast(&jobs->changed);
    pthread_mutex_unlock(&jobs->lock); /* from here on jobs_close may end everything */
}

void jobs_leave_queue(struct jobs *jobs, struct job *job)
{
    struct job **link = &jobs->queue_first;
    struct job *last = NULL;
    while (*link && *link != job) {
        last = *link;
        link = &last->next_queued;
    }
    if (!*link)
        return;
    *link = job->next_queued;
    if (jobs->queue_last == job)
        jobs->queue_last = last;
    job->next_queued = NULL;
    jobs->queued--;
}

static bool must_stay(struct jobs *jobs, const struct job *job)
{
    const struct job_kind *kind = jobs_find_kind(jobs, job->kind_name);
    if (!kind || !kind->is_alone)
        return false;
    for (const struct job *other = jobs->newest; other; other = other->older)
        if (other != job && (other->state == JOB_RUNNING || other->is_handed_over) &&
            lh_str_equal(other->kind_name, job->kind_name))
            return true;
    return false;
}

/* The first in the queue that may be run now. */
static struct job *next_job(struct jobs *jobs)
{
    struct job *job = jobs->pooled < jobs->options.running_max ? jobs->queue_first : NULL;
    while (job && must_stay(jobs, job))
        job = job->next_queued;
    return job;
}

void *jobs_dispatch(void *context)
{
    struct jobs *jobs = context;
    pthread_mutex_lock(&jobs->lock);
    while (!jobs->is_stopping) {
        int64_t due_ms = batches_due_ms(jobs);
        struct job *job = due_ms == 0 ? NULL : next_job(jobs);
        if (due_ms == 0) {
            pthread_mutex_unlock(&jobs->lock);
            batches_write(jobs);
            pthread_mutex_lock(&jobs->lock);
            continue;
        }
        if (!job && due_ms > 0)
            jobs_wait_a_while(jobs, due_ms);
        else if (!job)
            pthread_cond_wait(&jobs->changed, &jobs->lock);
        if (!job)
            continue;
        jobs_leave_queue(jobs, job);
        job->is_handed_over = true;
        jobs->pooled++;
        pthread_mutex_unlock(&jobs->lock);
        enum lh_code code = lh_pool_submit(jobs->pool, LH_LANE_SLOW, perform_pooled, job, NULL);
        pthread_mutex_lock(&jobs->lock);
        if (!code)
            continue;
        jobs->pooled--;
        job->is_handed_over = false;
        job->next_queued = jobs->queue_first;
        jobs->queue_first = job;
        if (!jobs->queue_last)
            jobs->queue_last = job;
        jobs->queued++;
        jobs_wait_a_while(jobs, POOL_RETRY_MS);
    }
    pthread_mutex_unlock(&jobs->lock);
    return NULL;
}
