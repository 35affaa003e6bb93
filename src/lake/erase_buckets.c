/* The buckets besides primary: what must not be there goes, and all that is left is searched.
 *
 * Nothing tells where a killed writer, a move that came to nothing, or a person that filled the
 * rescue bucket left a copy: so every bucket that the lake knows is looked through, whether the
 * datasets ever were in it or not. One that does not answer, or whose store does not tell all that
 * it holds, makes an erasure incomplete; it is never taken for an empty one. */
#include <stdlib.h>
#include <time.h>

#include "catalog/erase.h"
#include "lake/erase_scan.h"
#include "search/place.h"
#include "storage/buckets.h"
#include "storage/held.h"

#define WAIT_NS 100000000
#define QUIET_WAITS_MAX 50   /* for whoever publishes there now */
#define BACKUP_WAITS_MAX 600 /* for a backup that runs */
#define ROUNDS_MAX 3         /* of what moves about while it is searched */
#define TROUBLES_MAX 20      /* objects of a bucket that are told one by one */

struct bucket_run {
    struct erase_scanning *scanning;
    struct lh_str_list ids;
    struct lh_str bucket;
    struct lh_arena *arena; /* of one list */
    struct storage_holdings holdings;
    struct lh_str_list named;   /* by a version that is kept */
    struct lh_str_list indexed; /* by an index */
    bool knows_named; /* false: somebody published all the while, so nothing unnamed goes */
    bool *goes;       /* of the holdings */
    bool has_moved;   /* something went while it was searched */
    size_t troubles;
    struct lake_erased_bucket told;
};

static struct lh_str shown(const struct bucket_run *run, const struct storage_held *held)
{
    return lh_arena_printf(run->scanning->arena, "%.*s://%.*s%s%.*s", LH_ARG(run->bucket),
                           LH_ARG(held->key),
                           !held->version.len ? ""
                           : held->is_upload  ? "?uploadId="
                                              : "?versionId=",
                           LH_ARG(held->version));
}

static void rest(void)
{
    (void)nanosleep(&(struct timespec){0, WAIT_NS}, NULL);
}

/* --- what must go */

static int compare_keys(const void *a, const void *b)
{
    return lh_str_compare(*(const struct lh_str *)a, *(const struct lh_str *)b);
}

static bool is_below(const struct bucket_run *run, struct lh_str key)
{
    struct lh_str rest_of = key;
    if (!lh_str_equal(lh_str_cut(&rest_of, '/'), lh_lit("datasets")))
        return false;
    struct lh_str id = lh_str_cut(&rest_of, '/');
    for (size_t i = 0; i < run->ids.count; i++)
        if (id.len && lh_str_equal(run->ids.items[i], id))
            return true;
    return false;
}

/* "_trash/<uuid>/<key>"; of indexes, all: they are made from any dataset. */
static bool is_trash(const struct bucket_run *run, struct lh_str key)
{
    struct lh_str rest_of = key;
    if (!lh_str_equal(lh_str_cut(&rest_of, '/'), lh_lit("_trash")))
        return false;
    (void)lh_str_cut(&rest_of, '/');
    return is_below(run, rest_of) || search_is_key(rest_of);
}

static bool is_named(const struct lh_str_list *named, struct lh_str key)
{
    return named->count &&
           bsearch(&key, named->items, named->count, sizeof *named->items, compare_keys);
}

static bool must_go(const struct bucket_run *run, const struct storage_held *held)
{
    if (run->scanning->looks_only)
        return false;
    if (held->is_upload || is_trash(run, held->key))
        return true;
    if (search_is_key(held->key)) /* what was replaced there is in no other list */
        return held->is_past || (run->knows_named && !is_named(&run->indexed, held->key));
    return run->knows_named && is_below(run, held->key) && !is_named(&run->named, held->key);
}

/* Lists the bucket at a moment when nobody has published there what is not committed yet: what no
 * version names then, nobody will. */
static enum lh_code look(struct bucket_run *run, struct lh_error *err)
{
    struct erase_scanning *scanning = run->scanning;
    bool is_busy = true;
    enum lh_code code = LH_OK;
    for (int i = 0; i < QUIET_WAITS_MAX && is_busy && !code; i++) {
        if (i)
            rest();
        lh_arena_clear(run->arena);
        code = storage_held_list(scanning->storage, run->bucket, scanning->cancel, run->arena,
                                 &run->holdings, err);
        is_busy = !scanning->looks_only && storage_bucket_is_held(scanning->storage, run->bucket);
    }
    run->knows_named = !is_busy && !scanning->looks_only;
    if (!code && run->knows_named)
        code = catalog_erase_named(scanning->catalog, run->arena, &run->named, err);
    if (!code && run->knows_named)
        code = search_list_named(scanning->search, run->bucket, run->arena, &run->indexed, err);
    if (code)
        return code;
    run->goes = lh_arena_array(run->arena, run->holdings.count + 1, sizeof *run->goes);
    for (size_t i = 0; i < run->holdings.count; i++)
        run->goes[i] = must_go(run, &run->holdings.items[i]);
    return LH_OK;
}

static void tell_trouble(struct bucket_run *run, const struct storage_held *held, const char *what)
{
    if (run->troubles++ < TROUBLES_MAX)
        erase_scan_find(run->scanning, shown(run, held), lh_str_of(what));
    if (!run->told.problem.len)
        run->told.problem = lh_arena_str(run->scanning->arena, lh_str_of(what));
}

static enum lh_code remove_one(struct bucket_run *run, const struct storage_held *held,
                               struct lh_error *err)
{
    enum lh_code code = LH_BUSY;
    for (int i = 0; i < BACKUP_WAITS_MAX && code == LH_BUSY; i++) {
        if (i)
            rest();
        *err = (struct lh_error)LH_ERROR_NONE;
        code = lh_cancel_fail(run->scanning->cancel, "The erasure", err);
        if (!code)
            code = storage_held_remove(run->scanning->storage, run->bucket, held,
                                       run->scanning->cancel, err);
    }
    return code;
}

/* What a mark says is deleted comes back without it: marks go last. What the store keeps is told,
 * and the rest goes all the same. */
static enum lh_code remove_all(struct bucket_run *run, size_t *ret_count, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    *ret_count = 0;
    for (int pass = 0; pass < 2 && !code; pass++)
        for (size_t i = 0; i < run->holdings.count && !code; i++) {
            const struct storage_held *held = &run->holdings.items[i];
            struct lh_error own = LH_ERROR_NONE;
            if (!run->goes[i] || held->is_marker != (pass == 1))
                continue;
            code = remove_one(run, held, &own);
            if (!code) {
                run->told.objects_removed += !held->is_marker && !held->is_upload;
                run->told.uploads_removed += held->is_upload;
                ++*ret_count;
            } else if (code == LH_FORBIDDEN) {
                tell_trouble(run, held, own.message);
                code = LH_OK;
            } else if (err) {
                *err = own;
            }
        }
    return code;
}

/* --- primary
 *
 * Its own files go by way of versions and the trash. A copy for rescues of a file that lay in
 * another bucket is named by nothing, and has that file's key; no writer brings a key twice. Of
 * files that went before, with versions that had expired, the keys are not known any more: their
 * copies are what lies beside a dataset's files at a moment when nobody publishes, and no version
 * names. */

static bool is_copied(const struct bucket_run *run, struct lh_str key)
{
    struct storage_info info;
    return storage_info(run->scanning->storage, STORAGE_PRIMARY, key, &info, NULL) == LH_OK;
}

static enum lh_code remove_copy(struct bucket_run *run, struct lh_str key, struct lh_error *err)
{
    const struct storage_held held = {.key = key};
    struct lh_error own = LH_ERROR_NONE;
    enum lh_code code = remove_one(run, &held, &own);
    run->told.objects_removed += !code;
    if (code == LH_FORBIDDEN) {
        tell_trouble(run, &held, own.message);
        return LH_OK;
    }
    if (code && err)
        *err = own;
    return code;
}

/* Those of one dataset; `named` is read when there is the first. */
static enum lh_code remove_copies(struct bucket_run *run, const struct lake_erased_dataset *erased,
                                  struct lh_error *err)
{
    const struct lake_erase_object *objects = erased->objects_removed.items;
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < erased->objects_removed.count && !code; i++) {
        if (!is_copied(run, objects[i].key))
            continue;
        if (!run->knows_named)
            code = catalog_erase_named(run->scanning->catalog, run->arena, &run->named, err);
        run->knows_named = !code;
        if (!code && !is_named(&run->named, objects[i].key))
            code = remove_copy(run, objects[i].key, err);
    }
    return code;
}

struct beside {
    struct lh_str *keys;
    size_t count;
};

/* The data files that lie in the datasets' folders. */
static enum lh_code list_beside(struct bucket_run *run, struct beside *ret, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    ret->count = 0;
    for (size_t i = 0; i < run->ids.count && !code; i++) {
        struct storage_entry *entries = NULL;
        size_t count = 0;
        struct lh_str folder =
            lh_arena_printf(run->arena, "datasets/%.*s", LH_ARG(run->ids.items[i]));
        code = storage_list(run->scanning->storage, STORAGE_PRIMARY, folder, run->arena, &entries,
                            &count, err);
        struct lh_str *keys = lh_arena_array(run->arena, ret->count + count + 1, sizeof *keys);
        for (size_t k = 0; k < ret->count; k++)
            keys[k] = ret->keys[k];
        for (size_t k = 0; k < count; k++)
            if (!entries[k].is_folder && lh_str_ends_with(entries[k].name, lh_lit(".parquet")))
                keys[ret->count++] = entries[k].key;
        ret->keys = keys;
    }
    return code;
}

static enum lh_code remove_beside(struct bucket_run *run, struct lh_error *err)
{
    struct beside beside = {0};
    bool is_busy = true;
    enum lh_code code = LH_OK;
    for (int i = 0; i < QUIET_WAITS_MAX && is_busy && !code; i++) {
        if (i)
            rest();
        lh_arena_clear(run->arena);
        code = list_beside(run, &beside, err);
        is_busy = storage_bucket_is_held(run->scanning->storage, STORAGE_PRIMARY);
    }
    if (code || is_busy)
        return code; /* what is left is a finding */
    code = catalog_erase_named(run->scanning->catalog, run->arena, &run->named, err);
    for (size_t i = 0; i < beside.count && !code; i++)
        if (!is_named(&run->named, beside.keys[i]))
            code = remove_copy(run, beside.keys[i], err);
    return code;
}

static enum lh_code do_primary(struct bucket_run *run, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < run->scanning->erased_count && !code; i++)
        code = remove_copies(run, &run->scanning->erased[i], err);
    return code || run->scanning->looks_only ? code : remove_beside(run, err);
}

/* --- what is left */

static enum lh_code search_one(struct bucket_run *run, const struct storage_held *held,
                               struct lh_error *err)
{
    struct erase_scanning *scanning = run->scanning;
    struct storage_held_file file;
    struct lh_arena *arena = lh_arena_new(0);
    enum lh_code code = storage_held_open(scanning->storage, run->bucket, held, scanning->cancel,
                                          arena, &file, err);
    if (code == LH_NOT_FOUND) {
        run->has_moved = true;
        code = LH_OK;
    } else if (!code) {
        int64_t before = scanning->result.bytes;
        code = erase_scan_file(scanning, shown(run, held), file.path, file.fd, err);
        storage_held_close(&file);
        run->told.files++;
        run->told.bytes += scanning->result.bytes - before;
    }
    lh_arena_free(arena);
    return code;
}

static enum lh_code search_all(struct bucket_run *run, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    run->has_moved = false;
    run->told.files = run->told.bytes = 0;
    for (size_t i = 0; i < run->holdings.count && !code; i++) {
        const struct storage_held *held = &run->holdings.items[i];
        if (held->is_upload && run->scanning->looks_only)
            tell_trouble(run, held, "Parts of an upload lie there that was never ended.");
        if (held->is_upload || held->is_marker || run->goes[i])
            continue;
        code = search_one(run, held, err);
    }
    return code;
}

/* Until nothing went while it was searched: that may be elsewhere now, where nobody looked. */
static enum lh_code do_bucket(struct bucket_run *run, struct lh_error *err)
{
    struct erase_scanning *scanning = run->scanning;
    const struct lake_erase_scan result = scanning->result;
    const size_t found = scanning->found_count;
    enum lh_code code = LH_OK;
    run->has_moved = true;
    for (int round = 0; round < ROUNDS_MAX && run->has_moved && !code; round++) {
        size_t removed = 0;
        scanning->result = result;
        scanning->found_count = found;
        run->troubles = 0;
        run->told.problem = (struct lh_str){0};
        code = look(run, err);
        if (!code)
            code = remove_all(run, &removed, err);
        if (!code && removed)
            code = look(run, err);
        for (size_t i = 0; !code && removed && !run->troubles && i < run->holdings.count; i++)
            if (run->goes[i])
                tell_trouble(run, &run->holdings.items[i], "It was removed, and is there again.");
        if (!code)
            code = search_all(run, err);
    }
    const struct storage_held all = {0};
    if (!code && run->has_moved)
        tell_trouble(run, &all, "Objects went to other places all the while it was searched.");
    if (!code && run->holdings.special)
        tell_trouble(run, &all, "Links or devices lie there, which nobody can look into.");
    return code;
}

static bool is_final(enum lh_code code)
{
    return code == LH_CANCELLED || code == LH_STOPPING || code == LH_FULL;
}

enum lh_code erase_buckets(struct erase_scanning *scanning, struct lh_str_list dataset_ids,
                           struct lh_list *ret, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str *names = NULL;
    size_t count = 0, told = 0;
    enum lh_code code = LH_OK;
    storage_bucket_names(scanning->storage, scanning->arena, &names, &count);
    struct lake_erased_bucket *items = lh_arena_array(scanning->arena, count + 1, sizeof *items);
    if (!scanning->looks_only)
        storage_cache_empty(scanning->storage);
    for (size_t i = 0; i < count && !code; i++) {
        const struct storage_held all = {0};
        struct lh_error own = LH_ERROR_NONE;
        struct bucket_run run = {.scanning = scanning,
                                 .ids = dataset_ids,
                                 .bucket = names[i],
                                 .arena = arena,
                                 .told.bucket = names[i]};
        bool is_primary = lh_str_equal(names[i], STORAGE_PRIMARY);
        code = is_primary ? do_primary(&run, &own) : do_bucket(&run, &own);
        if (code && is_final(code)) {
            if (err)
                *err = own;
            break;
        }
        if (code)
            tell_trouble(&run, &all, own.message);
        code = LH_OK;
        if (!is_primary || run.told.objects_removed || run.told.problem.len)
            items[told++] = run.told;
    }
    *ret = (struct lh_list){items, told};
    lh_arena_free(arena);
    return code;
}

/* --- rows of the keys */

struct visiting {
    const struct lh_cancel *cancel;
    enum lh_code (*each)(void *context, struct lh_str object, struct lh_str path,
                         struct lh_error *err);
    void *context;
};

static enum lh_code visit_one(const struct visiting *visiting, const struct bucket_run *run,
                              const struct storage_held *held, struct lh_error *err)
{
    struct storage_held_file file;
    struct lh_error own = LH_ERROR_NONE;
    enum lh_code code = storage_held_open(run->scanning->storage, run->bucket, held,
                                          visiting->cancel, run->scanning->arena, &file, &own);
    if (!code) {
        code = visiting->each(visiting->context, shown(run, held), file.path, err);
        storage_held_close(&file);
    } else if (is_final(code) && err) {
        *err = own;
    } else if (!is_final(code)) {
        code = LH_OK;
    }
    return code;
}

enum lh_code erase_buckets_each(struct storage *storage, struct lh_str_list dataset_ids,
                                const struct lh_cancel *cancel,
                                enum lh_code (*each)(void *context, struct lh_str object,
                                                     struct lh_str path, struct lh_error *err),
                                void *context, struct lh_error *err)
{
    const struct visiting visiting = {cancel, each, context};
    struct lh_arena *arena = lh_arena_new(0);
    struct erase_scanning scanning = {.storage = storage, .arena = arena};
    struct lh_str *names = NULL;
    size_t count = 0;
    enum lh_code code = LH_OK;
    storage_bucket_names(storage, arena, &names, &count);
    for (size_t i = 0; i < count && !code; i++) {
        struct bucket_run run = {.scanning = &scanning, .ids = dataset_ids, .bucket = names[i]};
        struct lh_error own = LH_ERROR_NONE;
        if (lh_str_equal(names[i], STORAGE_PRIMARY))
            continue;
        code = storage_held_list(storage, names[i], cancel, arena, &run.holdings, &own);
        for (size_t k = 0; k < run.holdings.count && !code; k++) {
            const struct storage_held *held = &run.holdings.items[k];
            bool is_file = !held->is_marker && !held->is_upload &&
                           lh_str_ends_with(held->key, lh_lit(".parquet"));
            if (is_file && (is_below(&run, held->key) || is_trash(&run, held->key) ||
                            search_is_key(held->key)))
                code = visit_one(&visiting, &run, held, &own);
        }
        if (code && is_final(code) && err)
            *err = own;
        code = is_final(code) ? code : LH_OK;
    }
    lh_arena_free(arena);
    return code;
}
