/* Small records besides those of the rows: old versions of saved queries, jobs, and answers.
 *
 * Kept answers to requests with an Idempotency-Key: one in which something of the rows stands goes;
 * of one in which a key may stand that is too short to be known, only the body does, for a
 * repetition must not be taken for a new request. */
#include "jobs/jobs.h"
#include "lake/erasing_internal.h"
#include "lake/internal.h"
#include "lake/repeats.h"

#define ANSWER_BYTES_MAX ((size_t)64 << 20)

static void note_hit(void *context, size_t index, size_t at, size_t len)
{
    (void)index;
    (void)at;
    (void)len;
    ++*(size_t *)context;
}

static size_t count_hits(const struct canaries *canaries, struct lh_str text)
{
    size_t hits = 0;
    canaries_search(canaries, text, 0, text.len, note_hit, &hits);
    return hits;
}

bool erase_holds(const struct canaries *canaries, const struct erase_keys *keys, struct lh_str text)
{
    return count_hits(canaries, text) || (keys && erase_keys_in(keys, text));
}

static bool has_key(void *context, struct lh_str text)
{
    return erase_keys_in(context, text);
}

static enum lh_code look_at(void *context, const struct storage_entry *entry, struct lh_error *err)
{
    const struct erase_answers *of = context;
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_error found = LH_ERROR_NONE;
    struct lh_str text = {0};
    bool is_changed = false;
    enum lh_code code = entry->is_special ? LH_NOT_FOUND
                                          : storage_get(of->storage, STORAGE_PRIMARY, entry->key,
                                                        ANSWER_BYTES_MAX, arena, &text, &found);
    if (!code && of->is_trial) {
        is_changed = erase_holds(of->canaries, of->keys, text);
    } else if (!code && count_hits(of->canaries, text)) {
        code = storage_trash(of->storage, STORAGE_PRIMARY, &entry->key, 1, &found);
        is_changed = !code;
    } else if (!code) {
        code = repeats_redact(of->storage, entry->key, text, has_key, (void *)(uintptr_t)of->keys,
                              &is_changed, &found);
    }
    *of->count += is_changed;
    lh_arena_free(arena);
    if (code == LH_NOT_FOUND) /* it went meanwhile */
        return LH_OK;
    if (code && err)
        *err = found;
    return code;
}

enum lh_code erase_answers(const struct erase_answers *of, struct lh_error *err)
{
    return storage_walk(of->storage, STORAGE_PRIMARY, lh_lit("_idempotency"), look_at,
                        (void *)(uintptr_t)of, err);
}

/* "<name>.<20 digits>.json" */
static struct lh_str name_of(struct lh_str file)
{
    size_t suffix = 1 + 20 + strlen(".json");
    return file.len > suffix ? lh_str_head(file, file.len - suffix) : file;
}

static enum lh_code erase_old_of(struct storage *storage, struct lh_str folder,
                                 const struct canaries *canaries, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_entry *files = NULL;
    size_t count = 0;
    enum lh_code code = storage_list(storage, STORAGE_PRIMARY, folder, arena, &files, &count, err);
    for (size_t i = 0; i + 1 < count && !code; i++) {
        struct lh_str text = {0};
        if (files[i].is_special || files[i].is_folder ||
            !lh_str_equal(name_of(files[i].name), name_of(files[i + 1].name)))
            continue;
        code = storage_get(storage, STORAGE_PRIMARY, files[i].key, ANSWER_BYTES_MAX, arena, &text,
                           err);
        if (!code && count_hits(canaries, text))
            code = storage_trash(storage, STORAGE_PRIMARY, &files[i].key, 1, err);
    }
    lh_arena_free(arena);
    return code;
}

enum lh_code erase_old_records(struct storage *storage, const struct canaries *canaries,
                               struct lh_error *err)
{
    static const struct lh_str folders[] = {ERASE_RECORD_FOLDERS};
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0] && !code; i++)
        code = erase_old_of(storage, folders[i], canaries, err);
    return code;
}

static bool has_hits(void *context, struct lh_str text)
{
    return count_hits(context, text) > 0;
}

/* One that has not ended is found by the scan. */
enum lh_code erase_jobs(struct jobs *jobs, const struct canaries *canaries, struct lh_error *err)
{
    return jobs_forget_found(jobs, has_hits, (void *)(uintptr_t)canaries, err);
}
