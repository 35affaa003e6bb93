/* The thread behind recall contracts and the agent. */
#include "lake/tuner.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "jobs/jobs.h"
#include "lake/activation.h"
#include "lake/changes.h"
#include "lake/internal.h"
#include "lake/lake.h"
#include "search/proposal.h"
#include "search/tuning.h"
#include "search/watch.h"

#define LOOK_MS 500 /* between two looks */
#define INDEXES_MAX 10000
#define TRIALS_MAX 10000
#define HOUR_MS INT64_C(3600000)
#define HOURLY_MAX 1000
#define FASTER 0.95 /* of the p50, to be worth a promotion */

/* What is remembered of an index between two looks. */
struct tuned {
    struct tuned *next;
    struct lh_uuid id;
    int64_t tried_ms;    /* by the agent */
    int64_t breached_ms; /* when its contract was last acted on */
};

struct tuner {
    struct lake *lake;
    const struct settings_agent *settings;
    struct lh_cancel cancel; /* fired at the end */
    pthread_t thread;
    struct tuned *tuned;  /* the thread's own */
    int64_t cycled_ms;    /* likewise */
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    bool is_running, is_ending, is_wanted, has_news;
    char queue[LAKE_AGENT_QUEUE_MAX][SEARCH_NAME_BYTES_MAX + 1];
    size_t queue_count;
    int64_t hourly[HOURLY_MAX]; /* when the last trials were, a ring */
    size_t hourly_at;
    int64_t trials, promotions;
    char working_on[SEARCH_NAME_BYTES_MAX + 1];
    char last_index[SEARCH_NAME_BYTES_MAX + 1];
    char last_trial_id[LH_UUID_TEXT_BYTES + 1];
    char last_note[256];
    int64_t last_ms;
};

static void copy_text(char *to, size_t size, struct lh_str text)
{
    struct lh_str head = lh_str_head(text, size - 1);
    if (head.len)
        memcpy(to, head.data, head.len);
    to[head.len] = '\0';
}

static struct tuned *find_tuned(struct tuner *tuner, struct lh_str id)
{
    struct tuned *tuned = tuner->tuned;
    while (tuned && !lh_str_equal(lh_uuid_str(&tuned->id), id))
        tuned = tuned->next;
    if (tuned)
        return tuned;
    tuned = lh_allocate(1, sizeof *tuned);
    memcpy(tuned->id.text, id.data, LH_UUID_TEXT_BYTES);
    tuned->next = tuner->tuned;
    tuner->tuned = tuned;
    return tuned;
}

static void log_failure(const char *event, enum lh_code code, const struct lh_error *err)
{
    if (code && code != LH_STOPPING && code != LH_CANCELLED)
        lh_log_error(LH_LOG_WARN, event, err);
}

/* --- changes, with their events */

static struct journal_event event_of(const char *action, const char *actor,
                                     const struct search_index_info *index, struct lh_arena *arena)
{
    return (struct journal_event){
        .action = lh_str_of(action),
        .entity = index->name,
        .dataset = index->source,
        .actor = lh_str_of(actor),
        .detail = lh_arena_printf(arena, "{\"index_id\":\"%.*s\",\"version\":%lld}",
                                  LH_ARG(index->id), (long long)index->version)};
}

static enum lh_code promote(struct tuner *tuner, const struct search_index_info *index,
                            struct lh_str trial_id, struct lh_str note, struct lh_arena *arena,
                            struct lh_error *err)
{
    struct journal_event event = event_of("index.promote", LAKE_AGENT_NAME, index, arena);
    const struct search_promote_request request = {.index_name = index->name,
                                                   .trial_id = trial_id,
                                                   .promoted_by = lh_lit(LAKE_AGENT_NAME),
                                                   .note = note};
    struct lake_change change;
    struct search_promotion promotion;
    enum lh_code code = lake_change_begin(tuner->lake, &event, false, &change, err);
    if (code)
        return code;
    code =
        search_promote(lake_search(tuner->lake), &request, &tuner->cancel, arena, &promotion, err);
    lake_change_end(tuner->lake, &change, code, &event);
    return code;
}

static enum lh_code roll_back(struct tuner *tuner, const struct search_index_info *index,
                              struct lh_str note, struct lh_arena *arena, struct lh_error *err)
{
    struct journal_event event = event_of("index.rollback", LAKE_CONTRACT_NAME, index, arena);
    struct lake_change change;
    struct search_promotion promotion;
    struct search_configuration wanted;
    const struct search_rollback_request request = {
        .index_name = index->name,
        .rolled_back_by = lh_lit(LAKE_CONTRACT_NAME),
        .note = note,
        .otherwise = lake_profile_wants(tuner->lake, index->name, &wanted) ? &wanted : NULL,
    };
    enum lh_code code = lake_change_begin(tuner->lake, &event, false, &change, err);
    if (code)
        return code;
    code =
        search_rollback(lake_search(tuner->lake), &request, &tuner->cancel, arena, &promotion, err);
    lake_change_end(tuner->lake, &change, code, &event);
    return code;
}

/* --- the contract */

/* What came of tuning an index. */
struct tuning {
    bool is_promoted;
    struct lh_str winner; /* a trial; absent: there is none */
    double recall;        /* that it found */
};

/* `tuning` NULL: there was none yet. */
static void note_breach(struct tuner *tuner, const char *action,
                        const struct search_watched *watched, const struct search_index_info *index,
                        const struct tuning *tuning, struct lh_arena *arena)
{
    struct lh_str best = lh_lit("");
    if (tuning && tuning->winner.len)
        best = lh_arena_printf(arena, ",\"best_recall\":%.4f,\"best_trial_id\":\"%.*s\"",
                               tuning->recall, LH_ARG(tuning->winner));
    struct lh_error err = LH_ERROR_NONE;
    struct journal_event event = {
        .action = lh_str_of(action),
        .entity = index->name,
        .dataset = index->source,
        .actor = lh_lit(LAKE_CONTRACT_NAME),
        .detail = lh_arena_printf(
            arena, "{\"recall\":%.4f,\"min_recall\":%.4f,\"answers\":%lld%.*s}", watched->recall,
            watched->min_recall, (long long)watched->answers, LH_ARG(best))};
    if (journal_append(lake_journal(tuner->lake), &event, 1, false, NULL, NULL, &err))
        lh_log_error(LH_LOG_WARN, "lake.tuner", &err);
    lh_log(LH_LOG_WARN, "lake.tuner", "The index '%.*s' finds %.4f of the nearest, not %.4f.",
           LH_ARG(index->name), watched->recall, watched->min_recall);
}

static void read_result(struct lh_str text, struct lh_arena *arena, struct tuning *ret)
{
    struct search_autotune_result result;
    if (lh_fields_parse(&search_autotune_result_fields, text, "The result", JOBS_RESULT_BYTES_MAX,
                        arena, &result, NULL))
        return;
    const struct search_trial *trials = result.trials.items;
    ret->is_promoted = result.is_promoted;
    ret->winner = result.winner;
    for (size_t i = 0; i < result.trials.count; i++)
        if (lh_str_equal(trials[i].trial_id, result.winner))
            ret->recall = trials[i].recall;
}

/* A job that failed has no result: then nothing is promoted by it. */
static enum lh_code tune(struct tuner *tuner, const struct search_watched *watched,
                         struct lh_arena *arena, struct tuning *ret, struct lh_error *err)
{
    /* What callers ask is not what rows of the index ask: it is measured on them, and wide. */
    static const struct search_configuration grid[] = {
        {80, 60, SEARCH_SEED_PRESET, SEARCH_M_PRESET},
        {80, 120, SEARCH_SEED_PRESET, SEARCH_M_PRESET},
        {160, 60, SEARCH_SEED_PRESET, SEARCH_M_PRESET},
        {160, 120, SEARCH_SEED_PRESET, SEARCH_M_PRESET},
        {160, 200, SEARCH_SEED_PRESET, SEARCH_M_PRESET},
    };
    const struct search_autotune_request request = {.index_name = watched->index_name,
                                                    .harness = lh_lit(SEARCH_HARNESS_CALLERS),
                                                    .min_recall = watched->min_recall,
                                                    .metric = SEARCH_BEST_LATENCY,
                                                    .grid = {grid, sizeof grid / sizeof grid[0]}};
    struct jobs *jobs = lake_jobs(tuner->lake);
    struct job_info info;
    struct lh_uuid id;
    *ret = (struct tuning){0};
    enum lh_code code = search_autotune_submit(lake_search(tuner->lake), jobs, &request,
                                               lh_lit(LAKE_CONTRACT_NAME), &id, err);
    if (!code)
        code = jobs_wait(jobs, lh_uuid_str(&id), &tuner->cancel, arena, &info, err);
    if (!code && info.state == JOB_SUCCEEDED)
        read_result(info.result.text, arena, ret);
    return code;
}

/* Was there a promotion before this one that promised enough? */
static bool has_better_past(struct tuner *tuner, const struct search_watched *watched,
                            struct lh_arena *arena)
{
    struct search_promoted promoted;
    if (search_promoted_get(lake_search(tuner->lake), watched->index_name, arena, &promoted,
                            NULL) ||
        !promoted.current || !promoted.current->previous.len)
        return false;
    const struct search_promotion *history = promoted.history.items;
    for (size_t i = 0; i < promoted.history.count; i++)
        if (lh_str_equal(history[i].promotion_id, promoted.current->previous))
            return history[i].recall >= watched->min_recall;
    return false;
}

static void keep_contract(struct tuner *tuner, const struct search_watched *watched,
                          struct lh_arena *arena)
{
    struct search *search = lake_search(tuner->lake);
    struct lh_error err = LH_ERROR_NONE;
    struct search_index_info index;
    struct tuning tuning = {0};
    if (search_get(search, watched->index_name, arena, &index, NULL))
        return;
    struct tuned *tuned = find_tuned(tuner, index.id);
    if (tuned->breached_ms &&
        lh_clock_unix_ms() < tuned->breached_ms + tuner->settings->cooldown_s * 1000)
        return;
    tuned->breached_ms = lh_clock_unix_ms();
    note_breach(tuner, "index.recall_breach", watched, &index, NULL, arena);
    enum lh_code code = tune(tuner, watched, arena, &tuning, &err);
    if (!code && !tuning.is_promoted && has_better_past(tuner, watched, arena))
        code = roll_back(tuner, &index, lh_lit("its recall is below min_recall"), arena, &err);
    else if (!code && !tuning.is_promoted)
        note_breach(tuner, "index.recall_unmet", watched, &index, &tuning, arena);
    log_failure("lake.tuner", code, &err);
    if (!code)
        search_watch_forget(search, watched->index_name);
}

static void keep_contracts(struct tuner *tuner)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_error err = LH_ERROR_NONE;
    struct search_watched *items = NULL;
    size_t count = 0;
    log_failure("lake.tuner", search_watch_run(lake_search(tuner->lake), &tuner->cancel, &err),
                &err);
    search_watch_list(lake_search(tuner->lake), arena, &items, &count);
    for (size_t i = 0; i < count && !lh_cancel_check(&tuner->cancel); i++)
        if (items[i].is_breached)
            keep_contract(tuner, &items[i], arena);
    lh_arena_free(arena);
}

/* --- the agent */

/* Locked. */
static int64_t hourly_count(const struct tuner *tuner)
{
    int64_t count = 0, since = lh_clock_unix_ms() - HOUR_MS;
    for (size_t i = 0; i < HOURLY_MAX; i++)
        count += tuner->hourly[i] && tuner->hourly[i] > since;
    return count;
}

/* The first that was asked for, else the one with a graph that waited longest. */
static bool choose(struct tuner *tuner, struct lh_arena *arena, struct search_index_info *ret)
{
    struct search *search = lake_search(tuner->lake);
    struct search_index_info *items = NULL;
    size_t count = 0;
    struct lh_str next;
    const struct tuned *longest = NULL;
    char name[SEARCH_NAME_BYTES_MAX + 1] = "";
    pthread_mutex_lock(&tuner->lock);
    if (tuner->queue_count) {
        memcpy(name, tuner->queue[0], sizeof name);
        tuner->queue_count--;
        memmove(tuner->queue[0], tuner->queue[1], tuner->queue_count * sizeof tuner->queue[0]);
    }
    pthread_mutex_unlock(&tuner->lock);
    if (name[0])
        return !search_get(search, lh_str_of(name), arena, ret, NULL);
    if (search_list(search, NULL, (struct lh_str){0}, INDEXES_MAX, arena, &items, &count, &next,
                    NULL))
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct tuned *tuned = find_tuned(tuner, items[i].id);
        bool is_rested = lh_clock_unix_ms() >= tuned->tried_ms + tuner->settings->cooldown_s * 1000;
        if (items[i].graph && is_rested && (!longest || tuned->tried_ms < longest->tried_ms)) {
            longest = tuned;
            *ret = items[i];
        }
    }
    return longest != NULL;
}

/* What was tried on today's vectors, and how the champion did: NULL: it was not tried. */
struct history {
    struct search_configuration *tried;
    size_t count;
    struct search_configuration champion;
    const struct search_trial *champion_trial;
};

static enum lh_code read_history(struct tuner *tuner, const struct search_index_info *index,
                                 struct lh_arena *arena, struct history *ret, struct lh_error *err)
{
    struct search_trial *trials = NULL;
    size_t count = 0;
    struct lh_str next;
    *ret = (struct history){.champion = *index->configuration};
    enum lh_code code = search_trial_list(lake_search(tuner->lake), index->name, (struct lh_str){0},
                                          TRIALS_MAX, arena, &trials, &count, &next, err);
    if (code)
        return code;
    ret->tried = lh_arena_array(arena, count + 1, sizeof *ret->tried);
    for (size_t i = 0; i < count; i++) { /* newest first */
        if (trials[i].generation != index->generation)
            continue;
        ret->tried[ret->count++] = *trials[i].config;
        if (!ret->champion_trial && search_configuration_equal(trials[i].config, &ret->champion))
            ret->champion_trial = &trials[i];
    }
    return LH_OK;
}

/* The champion itself is measured first: what is better is better than that. */
static bool propose(const struct search_index_info *index, const struct history *history,
                    struct search_configuration *ret)
{
    const struct search_proposal from = {.tried = history->tried,
                                         .tried_count = history->count,
                                         .champion = history->champion,
                                         .seed = lh_str_hash(index->id)};
    *ret = history->champion;
    return !history->champion_trial || search_propose(&from, ret);
}

static bool is_better(const struct search_trial *trial, const struct search_trial *champion,
                      double min_recall)
{
    if (trial->recall < min_recall || !champion)
        return false;
    if (champion->recall < min_recall || trial->recall > champion->recall)
        return true;
    return trial->recall == champion->recall && trial->p50_us < champion->p50_us * FASTER;
}

static void note_work(struct tuner *tuner, const struct search_index_info *index,
                      const struct search_trial *trial, bool is_promoted, struct lh_str note)
{
    pthread_mutex_lock(&tuner->lock);
    tuner->working_on[0] = '\0';
    tuner->trials += trial != NULL;
    tuner->promotions += is_promoted;
    tuner->last_ms = lh_clock_unix_ms();
    copy_text(tuner->last_index, sizeof tuner->last_index, index->name);
    copy_text(tuner->last_trial_id, sizeof tuner->last_trial_id,
              trial ? trial->trial_id : (struct lh_str){0});
    copy_text(tuner->last_note, sizeof tuner->last_note, note);
    pthread_mutex_unlock(&tuner->lock);
}

static void begin_work(struct tuner *tuner, const struct search_index_info *index)
{
    find_tuned(tuner, index->id)->tried_ms = lh_clock_unix_ms();
    pthread_mutex_lock(&tuner->lock);
    tuner->hourly[tuner->hourly_at] = lh_clock_unix_ms();
    tuner->hourly_at = (tuner->hourly_at + 1) % HOURLY_MAX;
    copy_text(tuner->working_on, sizeof tuner->working_on, index->name);
    pthread_mutex_unlock(&tuner->lock);
}

static void work_on(struct tuner *tuner, const struct search_index_info *index,
                    struct lh_arena *arena)
{
    struct lh_error err = LH_ERROR_NONE;
    struct history history;
    struct search_trial trial;
    double least = index->min_recall > 0 ? index->min_recall : tuner->settings->min_recall;
    struct search_trial_request request = {.index_name = index->name,
                                           .actor = lh_lit(LAKE_AGENT_NAME)};
    enum lh_code code = read_history(tuner, index, arena, &history, &err);
    if (!code && !propose(index, &history, &request.configuration)) {
        find_tuned(tuner, index->id)->tried_ms = lh_clock_unix_ms();
        note_work(tuner, index, NULL, false, lh_lit("Nothing near the champion is left to try."));
        return;
    }
    begin_work(tuner, index);
    if (!code)
        code = search_trial_run(lake_search(tuner->lake), &request, &tuner->cancel, arena, &trial,
                                &err);
    if (code) {
        note_work(tuner, index, NULL, false, lh_str_of(err.message));
        log_failure("lake.agent", code, &err);
        return;
    }
    struct lh_str note =
        lh_arena_printf(arena, "ef_construction=%lld ef_search=%lld recall=%.4f p50=%.0fus",
                        (long long)trial.config->ef_construction,
                        (long long)trial.config->ef_search, trial.recall, trial.p50_us);
    bool is_promoted = is_better(&trial, history.champion_trial, least);
    if (is_promoted) {
        note = lh_arena_printf(arena, "agent winner: recall=%.4f p50=%.0fus", trial.recall,
                               trial.p50_us);
        code = promote(tuner, index, trial.trial_id, note, arena, &err);
        log_failure("lake.agent", code, &err);
    }
    note_work(tuner, index, &trial, is_promoted && !code, code ? lh_str_of(err.message) : note);
}

/* What was asked for, and rows that came, do not wait for the next cycle. */
static void cycle(struct tuner *tuner)
{
    pthread_mutex_lock(&tuner->lock);
    bool is_due =
        tuner->is_running && hourly_count(tuner) < tuner->settings->max_trials_per_hour &&
        (tuner->queue_count || tuner->has_news ||
         lh_clock_unix_ms() >= tuner->cycled_ms + tuner->settings->cycle_interval_s * 1000);
    tuner->has_news &= !is_due;
    pthread_mutex_unlock(&tuner->lock);
    if (!is_due)
        return;
    struct lh_arena *arena = lh_arena_new(0);
    struct search_index_info index;
    if (choose(tuner, arena, &index))
        work_on(tuner, &index, arena);
    tuner->cycled_ms = lh_clock_unix_ms();
    lh_arena_free(arena);
}

/* --- the thread */

static void *run(void *context)
{
    struct tuner *tuner = context;
    pthread_mutex_lock(&tuner->lock);
    while (!tuner->is_ending) {
        struct timespec until;
        pthread_mutex_unlock(&tuner->lock);
        keep_contracts(tuner);
        cycle(tuner);
        pthread_mutex_lock(&tuner->lock);
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += LOOK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (!tuner->is_ending && !tuner->is_wanted)
            pthread_cond_timedwait(&tuner->wake, &tuner->lock, &until);
        tuner->is_wanted = false;
    }
    pthread_mutex_unlock(&tuner->lock);
    return NULL;
}

enum lh_code tuner_start(struct lake *lake, struct tuner **ret, struct lh_error *err)
{
    struct tuner *tuner = lh_allocate(1, sizeof *tuner);
    pthread_condattr_t attributes;
    tuner->lake = lake;
    tuner->settings = &lake_settings(lake)->agent;
    tuner->is_running = tuner->settings->enabled;
    tuner->cycled_ms = lh_clock_unix_ms();
    lh_cancel_init(&tuner->cancel);
    pthread_mutex_init(&tuner->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&tuner->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    enum lh_code code = lh_thread_start("tuner", run, tuner, &tuner->thread, err);
    if (code) {
        tuner_free(tuner);
        return code;
    }
    *ret = tuner;
    return LH_OK;
}

void tuner_wake(struct tuner *tuner)
{
    pthread_mutex_lock(&tuner->lock);
    tuner->has_news = true; /* it looks soon enough by itself */
    pthread_mutex_unlock(&tuner->lock);
}

void tuner_stop(struct tuner *tuner)
{
    if (!tuner)
        return;
    lh_cancel_fire(&tuner->cancel, LH_STOPPING);
    pthread_mutex_lock(&tuner->lock);
    tuner->is_ending = true;
    pthread_cond_signal(&tuner->wake);
    pthread_mutex_unlock(&tuner->lock);
    pthread_join(tuner->thread, NULL);
}

void tuner_free(struct tuner *tuner)
{
    if (!tuner)
        return;
    while (tuner->tuned) {
        struct tuned *next = tuner->tuned->next;
        free(tuner->tuned);
        tuner->tuned = next;
    }
    pthread_cond_destroy(&tuner->wake);
    pthread_mutex_destroy(&tuner->lock);
    free(tuner);
}

/* --- from outside */

static const struct lh_field contract_rows[] = {
    LH_STR(struct lake_agent_contract, index_name, .required = true, .doc = "The index."),
    LH_DOUBLE(struct lake_agent_contract, recall, .doc = "Of its last answers to callers."),
    LH_DOUBLE(struct lake_agent_contract, min_recall, .doc = "0: none is promised."),
    LH_INT(struct lake_agent_contract, answers, .doc = "That were asked again."),
    LH_BOOL(struct lake_agent_contract, is_breached,
            .doc = "Less is found than promised, and not by chance."),
    LH_TIME(struct lake_agent_contract, measured_at, .doc = "When the last one was."),
};
static const struct lh_fields contract_fields =
    LH_FIELDS_OF(struct lake_agent_contract, "RecallContract", contract_rows);

static const struct lh_field status_rows[] = {
    LH_BOOL(struct lake_agent_status, is_running, .doc = "It tries configurations by itself."),
    LH_STR(struct lake_agent_status, working_on, .nullable = true, .doc = "null: it rests."),
    LH_INT(struct lake_agent_status, cycle_interval_s, .doc = "Between two trials."),
    LH_INT(struct lake_agent_status, cooldown_s, .doc = "Between two trials of an index."),
    LH_DOUBLE(struct lake_agent_status, min_recall,
              .doc = "Below it nothing is promoted, unless the index says another."),
    LH_INT(struct lake_agent_status, max_trials_per_hour, .doc = "At most."),
    LH_INT(struct lake_agent_status, trials_this_hour, .doc = "In the last 60 minutes."),
    LH_INT(struct lake_agent_status, trials, .doc = "Since the server was started."),
    LH_INT(struct lake_agent_status, promotions, .doc = "Likewise."),
    LH_STR_LIST(struct lake_agent_status, queue, .doc = "Indexes that were asked for, in turn."),
    LH_STR(struct lake_agent_status, last_index, .doc = "That was worked on."),
    LH_STR(struct lake_agent_status, last_trial_id, .doc = "What was tried."),
    LH_STR(struct lake_agent_status, last_note, .doc = "What came of it."),
    LH_TIME(struct lake_agent_status, last_at, .doc = "When."),
    LH_LIST(struct lake_agent_status, contracts, .fields = &contract_fields,
            .doc = "What searches of callers found, of indexes with a graph."),
};
const struct lh_fields lake_agent_status_fields =
    LH_FIELDS_OF(struct lake_agent_status, "AgentStatus", status_rows);

static struct lh_str text_of(const char *text, struct lh_arena *arena)
{
    return text[0] ? lh_arena_str(arena, lh_str_of(text)) : (struct lh_str){0};
}

static void list_contracts(struct lake *lake, struct lh_arena *arena, struct lh_list *ret)
{
    struct search_watched *items = NULL;
    size_t count = 0;
    search_watch_list(lake_search(lake), arena, &items, &count);
    struct lake_agent_contract *contracts = lh_arena_array(arena, count + 1, sizeof *contracts);
    for (size_t i = 0; i < count; i++)
        contracts[i] = (struct lake_agent_contract){items[i].index_name,  items[i].recall,
                                                    items[i].min_recall,  items[i].answers,
                                                    items[i].is_breached, items[i].measured_at};
    *ret = (struct lh_list){contracts, count};
}

void lake_agent_status(struct lake *lake, struct lh_arena *arena, struct lake_agent_status *ret)
{
    struct tuner *tuner = lake_tuner(lake);
    pthread_mutex_lock(&tuner->lock);
    struct lh_str *queue = lh_arena_array(arena, tuner->queue_count + 1, sizeof *queue);
    for (size_t i = 0; i < tuner->queue_count; i++)
        queue[i] = text_of(tuner->queue[i], arena);
    *ret = (struct lake_agent_status){
        .is_running = tuner->is_running,
        .working_on = text_of(tuner->working_on, arena),
        .cycle_interval_s = tuner->settings->cycle_interval_s,
        .cooldown_s = tuner->settings->cooldown_s,
        .min_recall = tuner->settings->min_recall,
        .max_trials_per_hour = tuner->settings->max_trials_per_hour,
        .trials_this_hour = hourly_count(tuner),
        .trials = tuner->trials,
        .promotions = tuner->promotions,
        .queue = {queue, tuner->queue_count},
        .last_index = text_of(tuner->last_index, arena),
        .last_trial_id = text_of(tuner->last_trial_id, arena),
        .last_note = text_of(tuner->last_note, arena),
        .last_at = {tuner->last_ms},
    };
    pthread_mutex_unlock(&tuner->lock);
    list_contracts(lake, arena, &ret->contracts);
}

void lake_agent_switch(struct lake *lake, bool is_on)
{
    struct tuner *tuner = lake_tuner(lake);
    pthread_mutex_lock(&tuner->lock);
    tuner->is_running = is_on;
    tuner->is_wanted = true;
    pthread_cond_signal(&tuner->wake);
    pthread_mutex_unlock(&tuner->lock);
}

enum lh_code lake_agent_enqueue(struct lake *lake, struct lh_str index_name, struct lh_error *err)
{
    struct tuner *tuner = lake_tuner(lake);
    struct lh_arena *arena = lh_arena_new(0);
    struct search_index_info index;
    enum lh_code code = search_get(lake_search(lake), index_name, arena, &index, err);
    if (!code) {
        bool is_there = false;
        pthread_mutex_lock(&tuner->lock);
        for (size_t i = 0; i < tuner->queue_count; i++)
            is_there |= lh_str_equal(lh_str_of(tuner->queue[i]), index.name);
        if (!is_there && tuner->queue_count == LAKE_AGENT_QUEUE_MAX)
            code = lh_fail(err, LH_CONFLICT, "%d indexes wait for the agent already.",
                           LAKE_AGENT_QUEUE_MAX);
        else if (!is_there)
            copy_text(tuner->queue[tuner->queue_count++], sizeof tuner->queue[0], index.name);
        tuner->is_wanted = true;
        pthread_cond_signal(&tuner->wake);
        pthread_mutex_unlock(&tuner->lock);
    }
    lh_arena_free(arena);
    return code;
}
