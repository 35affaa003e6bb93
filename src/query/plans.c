/* Resolved statements, remembered by their text: the most recently used ones stay.
 *
 * A plan holds as long as its sources give the stamps that it was made with, so a commit to another
 * dataset costs nothing. Plans are immutable; the lock guards the table and the order only. */
#include <stdlib.h>

#include "query/internal.h"

#define PLAN_PRESET 1024
#define PLAN_BYTES_MAX ((size_t)128 << 20)

struct query_plans {
    pthread_mutex_t lock;
    size_t plan_max;
    size_t count;
    size_t bytes;
    struct query_plan **buckets;
    size_t bucket_mask;
    struct query_plan *newest, *oldest;
};

struct query_plans *query_plans_new(size_t plan_max)
{
    struct query_plans *plans = calloc(1, sizeof *plans);
    if (!plans)
        return NULL;
    plans->plan_max = plan_max ? plan_max : PLAN_PRESET;
    size_t buckets = 64;
    while (buckets < plans->plan_max)
        buckets *= 2;
    plans->bucket_mask = buckets - 1;
    plans->buckets = calloc(buckets, sizeof(struct query_plan *));
    if (!plans->buckets) {
        free(plans);
        return NULL;
    }
    pthread_mutex_init(&plans->lock, NULL);
    return plans;
}

static uint64_t hash_of(struct lh_str sql, struct lh_str key)
{
    return lh_str_hash(sql) * UINT64_C(0x9E3779B97F4A7C15) ^ lh_str_hash(key);
}

static struct query_plan **slot_of(struct query_plans *plans, const struct query_plan *plan)
{
    struct query_plan **slot = &plans->buckets[plan->hash & plans->bucket_mask];
    while (*slot && *slot != plan)
        slot = &(*slot)->next;
    return slot;
}

static void unlink_order(struct query_plans *plans, struct query_plan *plan)
{
    *(plan->newer ? &plan->newer->older : &plans->newest) = plan->older;
    *(plan->older ? &plan->older->newer : &plans->oldest) = plan->newer;
    plan->newer = plan->older = NULL;
}

static void link_newest(struct query_plans *plans, struct query_plan *plan)
{
    plan->older = plans->newest;
    *(plans->newest ? &plans->newest->newer : &plans->oldest) = plan;
    plans->newest = plan;
}

/* With the lock held; false: it was not there. */
static bool take_out(struct query_plans *plans, struct query_plan *plan)
{
    struct query_plan **slot = slot_of(plans, plan);
    if (*slot != plan)
        return false;
    *slot = plan->next;
    plan->next = NULL;
    unlink_order(plans, plan);
    plans->count--;
    plans->bytes -= lh_arena_bytes(plan->arena);
    return true;
}

static struct query_plan *look_up(struct query_plans *plans, uint64_t hash, struct lh_str sql,
                                  struct lh_str key)
{
    struct query_plan *plan = plans->buckets[hash & plans->bucket_mask];
    while (plan &&
           !(plan->hash == hash && lh_str_equal(plan->sql, sql) && lh_str_equal(plan->key, key)))
        plan = plan->next;
    return plan;
}

struct query_plan *query_plans_find(struct query_plans *plans, struct lh_str sql, struct lh_str key)
{
    uint64_t hash = hash_of(sql, key);
    pthread_mutex_lock(&plans->lock);
    struct query_plan *plan = look_up(plans, hash, sql, key);
    if (plan) {
        atomic_fetch_add(&plan->ref_count, 1);
        if (plans->newest != plan) {
            unlink_order(plans, plan);
            link_newest(plans, plan);
        }
    }
    pthread_mutex_unlock(&plans->lock);
    return plan;
}

void query_plans_put(struct query_plans *plans, struct query_plan *plan)
{
    plan->hash = hash_of(plan->sql, plan->key);
    struct query_plan *gone = NULL; /* chained by next: freed outside the lock */
    pthread_mutex_lock(&plans->lock);
    struct query_plan *old = look_up(plans, plan->hash, plan->sql, plan->key);
    if (old && take_out(plans, old)) {
        old->next = gone;
        gone = old;
    }
    atomic_fetch_add(&plan->ref_count, 1);
    struct query_plan **bucket = &plans->buckets[plan->hash & plans->bucket_mask];
    plan->next = *bucket;
    *bucket = plan;
    link_newest(plans, plan);
    plans->count++;
    plans->bytes += lh_arena_bytes(plan->arena);
    while (plans->oldest != plan &&
           (plans->count > plans->plan_max || plans->bytes > PLAN_BYTES_MAX)) {
        old = plans->oldest;
        take_out(plans, old);
        old->next = gone;
        gone = old;
    }
    pthread_mutex_unlock(&plans->lock);
    while (gone) {
        old = gone;
        gone = gone->next;
        query_plan_unref(old);
    }
}

void query_plans_drop(struct query_plans *plans, struct query_plan *plan)
{
    pthread_mutex_lock(&plans->lock);
    bool was_there = take_out(plans, plan);
    pthread_mutex_unlock(&plans->lock);
    if (was_there)
        query_plan_unref(plan);
}

size_t query_plans_count(struct query_plans *plans)
{
    pthread_mutex_lock(&plans->lock);
    size_t count = plans->count;
    pthread_mutex_unlock(&plans->lock);
    return count;
}

size_t query_plans_bytes(struct query_plans *plans)
{
    pthread_mutex_lock(&plans->lock);
    size_t bytes = plans->bytes;
    pthread_mutex_unlock(&plans->lock);
    return bytes;
}

void query_plans_free(struct query_plans *plans)
{
    if (!plans)
        return;
    while (plans->newest) {
        struct query_plan *plan = plans->newest;
        take_out(plans, plan);
        query_plan_unref(plan);
    }
    pthread_mutex_destroy(&plans->lock);
    free(plans->buckets);
    free(plans);
}

void query_plan_unref(struct query_plan *plan)
{
    if (plan && atomic_fetch_sub(&plan->ref_count, 1) == 1)
        lh_arena_free(plan->arena); /* the plan lives in it */
}
