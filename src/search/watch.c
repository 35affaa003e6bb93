/* Samples of answers, and windows of what came of them. */
#include "search/watching.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"

#define SAMPLES_MAX 32 /* that wait */
#define SAMPLE_K_MAX 100
#define WINDOW 200              /* answers of an index that are remembered */
#define PAUSE_US INT64_C(20000) /* between two samples of an index */

struct sample {
    struct lh_uuid index_id;
    char graph[SEARCH_GRAPH_KEY_BYTES];
    int64_t index_version, dataset_version, k;
    size_t dimensions, count;
    float *vector;
    float scores[SAMPLE_K_MAX];
};

/* The last answers through one graph. */
struct window {
    struct window *next;
    struct lh_uuid index_id;
    char graph[SEARCH_GRAPH_KEY_BYTES];
    int64_t ef;
    int64_t sampled_us, measured_ms;
    size_t count, at;
    uint8_t right[WINDOW], wanted[WINDOW];
    size_t dimensions;
    float *vectors; /* that asked, WINDOW of them; NULL: none did yet */
};

struct watch {
    pthread_mutex_t lock; /* guards all of it; nothing is taken under it */
    struct sample samples[SAMPLES_MAX];
    size_t sample_count;
    struct window *windows;
    int64_t rest_until_us;
};

struct watch *watch_new(void)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch)
        pthread_mutex_init(&watch->lock, NULL);
    return watch;
}

void watch_free(struct watch *watch)
{
    if (!watch)
        return;
    for (size_t i = 0; i < watch->sample_count; i++)
        free(watch->samples[i].vector);
    while (watch->windows) {
        struct window *next = watch->windows->next;
        free(watch->windows->vectors);
        free(watch->windows);
        watch->windows = next;
    }
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}

/* Locked. */
static struct window *find_window(struct watch *watch, struct lh_str id)
{
    struct window *window = watch->windows;
    while (window && !lh_str_equal(lh_uuid_str(&window->index_id), id))
        window = window->next;
    return window;
}

static void copy_key(char to[SEARCH_GRAPH_KEY_BYTES], struct lh_str key)
{
    size_t len = key.len < SEARCH_GRAPH_KEY_BYTES - 1 ? key.len : SEARCH_GRAPH_KEY_BYTES - 1;
    memcpy(to, key.data, len);
    to[len] = '\0';
}

/* Locked. The window of this graph, asked in this way; another one's is begun anew. */
static struct window *take_window(struct watch *watch, const struct index_manifest *manifest)
{
    struct window *window = find_window(watch, manifest->id);
    if (!window) {
        window = lh_allocate(1, sizeof *window);
        memcpy(window->index_id.text, manifest->id.data, LH_UUID_TEXT_BYTES);
        window->next = watch->windows;
        watch->windows = window;
    }
    if (!lh_str_equal(lh_str_of(window->graph), manifest->graph->file->key) ||
        window->ef != manifest->graph->ef_search) {
        copy_key(window->graph, manifest->graph->file->key);
        window->ef = manifest->graph->ef_search;
        window->count = window->at = 0;
    }
    return window;
}

/* --- sampling */

static bool is_plain(const struct asking *asking, const struct search_answer *answer)
{
    const struct search_ask *ask = asking->ask;
    return asking->ef && !ask->ef && ask->mode == SEARCH_VECTOR && !ask->is_exact &&
           !ask->filter.len && !ask->per_chunk && answer->hit_count > 0 && ask->k <= SAMPLE_K_MAX &&
           asking->vector;
}

void watch_offer(const struct asking *asking, const struct search_answer *answer)
{
    struct watch *watch = asking->search->watch;
    const struct index_manifest *manifest = asking->pin.overlay->view->manifest;
    int64_t now_us = lh_clock_monotonic_us();
    if (!is_plain(asking, answer))
        return;
    pthread_mutex_lock(&watch->lock);
    struct window *window = take_window(watch, manifest);
    bool is_taken = now_us >= window->sampled_us + PAUSE_US && watch->sample_count < SAMPLES_MAX;
    size_t dimensions = (size_t)manifest->dimensions;
    float *vector = is_taken ? malloc(dimensions * sizeof *vector) : NULL;
    if (vector) {
        struct sample *sample = &watch->samples[watch->sample_count++];
        window->sampled_us = now_us;
        memcpy(vector, asking->vector, dimensions * sizeof *vector);
        *sample = (struct sample){.index_id = window->index_id,
                                  .index_version = answer->index_version,
                                  .dataset_version = answer->dataset_version,
                                  .k = asking->ask->k,
                                  .dimensions = dimensions,
                                  .count = answer->hit_count,
                                  .vector = vector};
        memcpy(sample->graph, window->graph, sizeof sample->graph);
        for (size_t i = 0; i < sample->count; i++)
            sample->scores[i] = (float)answer->hits[i].score;
    }
    pthread_mutex_unlock(&watch->lock);
}

/* --- asking again */

static bool take_sample(struct watch *watch, struct sample *ret)
{
    bool is_taken = false;
    pthread_mutex_lock(&watch->lock);
    if (watch->sample_count && lh_clock_monotonic_us() >= watch->rest_until_us) {
        *ret = watch->samples[0];
        watch->sample_count--;
        memmove(watch->samples, watch->samples + 1, watch->sample_count * sizeof *ret);
        is_taken = true;
    }
    pthread_mutex_unlock(&watch->lock);
    return is_taken;
}

static struct lh_str name_of(struct search *search, struct lh_str id, struct lh_arena *arena)
{
    struct lh_str name = {0};
    pthread_mutex_lock(&search->lock);
    for (const struct search_index *index = search->indexes; index; index = index->next)
        if (lh_str_equal(lh_uuid_str(&index->id), id))
            name = lh_arena_str(arena, index->head->name);
    pthread_mutex_unlock(&search->lock);
    return name;
}

/* What scores what the last of the true ones does is one of them; a rounding is no difference. */
static size_t count_right(const struct sample *sample, const struct search_answer *truth)
{
    size_t right = 0;
    double worst = truth->hits[truth->hit_count - 1].score;
    for (size_t i = 0; i < sample->count && right < truth->hit_count; i++)
        right += (double)sample->scores[i] >= worst - 1e-6;
    return right;
}

/* Locked. What asked is kept beside what came of it. */
static void keep_vector(struct window *window, const struct sample *sample)
{
    if (window->dimensions != sample->dimensions) {
        free(window->vectors);
        window->vectors = NULL;
        window->dimensions = sample->dimensions;
    }
    if (!window->vectors)
        window->vectors = calloc(WINDOW, window->dimensions * sizeof *window->vectors);
    if (window->vectors)
        memcpy(window->vectors + window->at * window->dimensions, sample->vector,
               window->dimensions * sizeof *window->vectors);
}

static void note(struct watch *watch, const struct sample *sample,
                 const struct search_answer *truth)
{
    pthread_mutex_lock(&watch->lock);
    struct window *window = find_window(watch, lh_uuid_str(&sample->index_id));
    if (window && strcmp(window->graph, sample->graph) == 0) {
        keep_vector(window, sample);
        window->right[window->at] = (uint8_t)count_right(sample, truth);
        window->wanted[window->at] = (uint8_t)truth->hit_count;
        window->at = (window->at + 1) % WINDOW;
        window->count += window->count < WINDOW;
        window->measured_ms = lh_clock_unix_ms();
    }
    pthread_mutex_unlock(&watch->lock);
}

static enum lh_code ask_again(struct search *search, const struct sample *sample,
                              const struct lh_cancel *cancel, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct search_answer truth;
    const struct search_ask ask = {.index = name_of(search, lh_uuid_str(&sample->index_id), arena),
                                   .mode = SEARCH_VECTOR,
                                   .vector = sample->vector,
                                   .vector_count = sample->dimensions,
                                   .k = sample->k,
                                   .is_exact = true};
    enum lh_code code = LH_OK;
    if (ask.index.len)
        code = search_run(search, &ask, cancel, arena, &truth, err);
    /* Of other rows the truth is another one. */
    if (!code && ask.index.len && truth.hit_count && truth.index_version == sample->index_version &&
        truth.dataset_version == sample->dataset_version)
        note(search->watch, sample, &truth);
    lh_arena_free(arena);
    return code;
}

enum lh_code search_watch_run(struct search *search, const struct lh_cancel *cancel,
                              struct lh_error *err)
{
    struct watch *watch = search->watch;
    struct sample sample;
    int64_t percent = search->options.watch_percent;
    percent = percent ? percent : SEARCH_WATCH_PERCENT_PRESET;
    enum lh_code code = LH_OK;
    while (!code && take_sample(watch, &sample)) {
        int64_t started_us = lh_clock_monotonic_us();
        code = ask_again(search, &sample, cancel, err);
        free(sample.vector);
        int64_t now_us = lh_clock_monotonic_us();
        pthread_mutex_lock(&watch->lock);
        watch->rest_until_us = now_us + (now_us - started_us) * (100 - percent) / percent;
        pthread_mutex_unlock(&watch->lock);
    }
    /* The index, or its dataset, went meanwhile, or is being made anew. */
    return code == LH_NOT_FOUND || code == LH_CONFLICT ? LH_OK : code;
}

/* --- what is known */

static double recall_of(const struct window *window, size_t *ret_wanted)
{
    size_t right = 0, wanted = 0;
    for (size_t i = 0; i < window->count; i++) {
        right += window->right[i];
        wanted += window->wanted[i];
    }
    *ret_wanted = wanted;
    return wanted ? (double)right / (double)wanted : 1;
}

bool watch_recall(struct search *search, const struct index_manifest *manifest, double *ret_recall,
                  struct lh_time *ret_at, int64_t *ret_answers)
{
    struct watch *watch = search->watch;
    size_t wanted = 0;
    bool is_known = false;
    pthread_mutex_lock(&watch->lock);
    const struct window *window = find_window(watch, manifest->id);
    if (window && window->count >= SEARCH_WATCH_TOLD_MIN && manifest->graph &&
        lh_str_equal(lh_str_of(window->graph), manifest->graph->file->key) &&
        window->ef == manifest->graph->ef_search) {
        *ret_recall = recall_of(window, &wanted);
        ret_at->unix_ms = window->measured_ms;
        *ret_answers = (int64_t)window->count;
        is_known = true;
    }
    pthread_mutex_unlock(&watch->lock);
    return is_known;
}

size_t watch_queries(struct search *search, const struct index_manifest *manifest,
                     struct lh_arena *arena, float **ret)
{
    struct watch *watch = search->watch;
    size_t count = 0, dimensions = (size_t)manifest->dimensions;
    pthread_mutex_lock(&watch->lock);
    const struct window *window = find_window(watch, manifest->id);
    if (window && window->vectors && window->dimensions == dimensions)
        count = window->count;
    if (count) {
        *ret = lh_arena_array(arena, count * dimensions, sizeof **ret);
        memcpy(*ret, window->vectors, count * dimensions * sizeof **ret);
    }
    pthread_mutex_unlock(&watch->lock);
    return count;
}

/* Answers, not neighbours, are drawn by chance: the spread is that between answers, twice the
 * standard error. */
static double most_likely(const struct window *window, double recall)
{
    double squares = 0;
    for (size_t i = 0; i < window->count; i++) {
        double one = (double)window->right[i] / (double)window->wanted[i] - recall;
        squares += one * one;
    }
    return recall + 2 * sqrt(squares) / (double)window->count;
}

static bool describe(struct watch *watch, const struct index_manifest *head,
                     struct search_watched *ret)
{
    size_t wanted = 0;
    const struct window *window = find_window(watch, head->id);
    if (!window || !window->count || !head->graph ||
        !lh_str_equal(lh_str_of(window->graph), head->graph->file->key))
        return false;
    *ret = (struct search_watched){.answers = (int64_t)window->count,
                                   .recall = recall_of(window, &wanted),
                                   .min_recall = head->min_recall,
                                   .measured_at = {window->measured_ms}};
    ret->recall_most = most_likely(window, ret->recall);
    ret->is_breached = window->count >= SEARCH_WATCH_BREACH_MIN && head->min_recall > 0 &&
                       ret->recall_most < head->min_recall;
    return true;
}

void search_watch_list(struct search *search, struct lh_arena *arena, struct search_watched **ret,
                       size_t *ret_count)
{
    struct index_manifest **heads = NULL;
    size_t count = 0, kept = 0;
    registry_heads(search, &heads, &count);
    struct search_watched *items = lh_arena_array(arena, count + 1, sizeof *items);
    for (size_t i = 0; i < count; i++) {
        pthread_mutex_lock(&search->watch->lock);
        bool is_known = describe(search->watch, heads[i], &items[kept]);
        pthread_mutex_unlock(&search->watch->lock);
        if (is_known)
            items[kept++].index_name = lh_arena_str(arena, heads[i]->name);
        index_manifest_unref(heads[i]);
    }
    free(heads);
    *ret = items;
    *ret_count = kept;
}

void search_watch_forget(struct search *search, struct lh_str index_name)
{
    struct search_index *index = NULL;
    if (index_find(search, index_name, &index, NULL))
        return;
    pthread_mutex_lock(&search->watch->lock);
    struct window *window = find_window(search->watch, lh_uuid_str(&index->id));
    if (window)
        window->count = window->at = 0;
    pthread_mutex_unlock(&search->watch->lock);
    index_unref(index);
}
