/* What the rows of an erasure hold, and how their keys are written: made once, while they are
 * hidden and before their files are rewritten, for nobody knows it afterwards. */
#include <ctype.h>

#include "catalog/erase.h"
#include "lake/erase_run.h"
#include "lake/lake.h"

#define TEXTS_MAX ((size_t)200000)
#define TEXT_BYTES_MAX ((size_t)256)
#define TEXT_BYTES_MIN ((size_t)12) /* of a row's text, to be known by it */
#define TELLING_BYTES_MIN ((size_t)8)

struct gathering {
    struct canaries *set; /* to have each once */
    struct lh_arena *arena;
    struct lh_str *texts;
    size_t count;
    int64_t short_count, left_out;
    struct lh_str_list *keys; /* as the datasets write them, one list for each */
    size_t key_lists;
    bool is_loose;
};

/* A short one that is a name or a word of a language may be anybody's; what is made of letters and
 * digits, or is an address, is as good as a key. Packed files have shorter ones by chance. */
static bool is_telling(struct lh_str text)
{
    bool has_digit = false, has_letter = false, has_at = false;
    for (size_t i = 0; i < text.len; i++) {
        has_digit |= isdigit((unsigned char)text.data[i]) != 0;
        has_letter |= isalpha((unsigned char)text.data[i]) != 0;
        has_at |= text.data[i] == '@';
    }
    return text.len >= TEXT_BYTES_MIN ||
           (text.len >= TELLING_BYTES_MIN && has_letter && (has_digit || has_at));
}

static void gather_piece(struct gathering *gathering, struct lh_str text)
{
    size_t before = canaries_count(gathering->set);
    if (before == TEXTS_MAX) {
        gathering->left_out++;
        return;
    }
    (void)canaries_add(gathering->set, text, false);
    if (canaries_count(gathering->set) > before)
        gathering->texts[gathering->count++] = lh_arena_str(gathering->arena, text);
}

/* A long one is known by its beginning, and by its end. */
static void gather(void *context, struct lh_str text)
{
    struct gathering *gathering = context;
    struct lh_str head = lh_str_head(text, TEXT_BYTES_MAX);
    size_t from = text.len - head.len > TEXT_BYTES_MAX ? text.len - TEXT_BYTES_MAX : head.len;
    while (from < text.len && ((unsigned char)text.data[from] & 0xC0) == 0x80)
        from++; /* not in the middle of a letter */
    struct lh_str tail = lh_str_slice(text, from, text.len);
    if (!lh_str_is_utf8(head, NULL) || !is_telling(head)) {
        gathering->short_count++;
        return;
    }
    gather_piece(gathering, head);
    if (tail.len >= TEXT_BYTES_MIN && lh_str_is_utf8(tail, NULL))
        gather_piece(gathering, tail);
}

struct erase_rows erase_run_rows(const struct erase_run *run, const struct catalog_dataset *dataset)
{
    const struct catalog_column *column =
        catalog_dataset_column(dataset, run->request.row_key_column);
    return (struct erase_rows){.storage = lake_storage(run->lake),
                               .engine = lake_engine(run->lake),
                               .column = column ? column->stored_name : (struct lh_str){0},
                               .type = column ? column->type : (struct lh_str){0},
                               .values = run->request.row_key_values.value,
                               .cancel = run->cancel};
}

static enum lh_code plan_dataset(struct erase_run *run, struct lh_str id,
                                 struct gathering *gathering, struct lake_erased_dataset *ret,
                                 struct lh_error *err)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(run->lake));
    const struct catalog_dataset *dataset = NULL;
    enum lh_code code = catalog_find_id(snapshot, id, &dataset, err);
    *ret = (struct lake_erased_dataset){.dataset = id, .dataset_id = id};
    if (code == LH_NOT_FOUND) { /* dropped meanwhile */
        catalog_snapshot_unref(snapshot);
        return LH_OK;
    }
    if (!code) {
        *ret = (struct lake_erased_dataset){.dataset = lh_arena_str(run->arena, dataset->name),
                                            .dataset_id = lh_arena_str(run->arena, dataset->id),
                                            .version_before = dataset->version};
        const struct erase_rows rows = erase_run_rows(run, dataset);
        struct lh_str_list buckets = {0};
        gathering->is_loose |= !lh_str_equal_nocase(rows.type, lh_lit("VARCHAR"));
        code = catalog_erase_buckets(lake_catalog(run->lake), dataset, run->arena, &buckets, err);
        if (!code)
            code = erase_objects_kept(lake_catalog(run->lake), dataset, run->arena,
                                      &ret->objects_removed, err);
        if (!code)
            code = erase_rows_texts(&rows, id, buckets, gather, gathering, err);
    }
    if (!code)
        code = catalog_erase_texts(lake_catalog(run->lake), lake_engine(run->lake), dataset,
                                   run->request.row_key_column, run->request.row_key_values.value,
                                   run->cancel, run->arena, &gathering->keys[gathering->key_lists],
                                   err);
    gathering->key_lists += !code;
    catalog_snapshot_unref(snapshot);
    return code;
}

/* The rows are hidden: what is written down of them cannot come back. */
static enum lh_code make_plan(struct erase_run *run, struct lh_error *err)
{
    struct gathering gathering = {.set = canaries_new(), .arena = run->arena};
    size_t count = run->request.dataset_ids.count;
    struct lake_erased_dataset *datasets = lh_arena_array(run->arena, count + 1, sizeof *datasets);
    enum lh_code code = LH_OK;
    gathering.texts = lh_arena_array(run->arena, TEXTS_MAX, sizeof *gathering.texts);
    gathering.keys = lh_arena_array(run->arena, count + 2, sizeof *gathering.keys);
    gathering.keys[gathering.key_lists++] =
        erase_keys_of(run->request.row_key_values.value, run->arena);
    for (size_t i = 0; i < count && !code; i++)
        code = plan_dataset(run, run->request.dataset_ids.items[i], &gathering, &datasets[i], err);
    run->plan = (struct erase_plan){
        .datasets = {datasets, count},
        .keys = erase_keys_join(gathering.keys, gathering.key_lists, run->arena),
        .is_loose = gathering.is_loose,
        .texts = {gathering.texts, gathering.count},
        .texts_short = gathering.short_count,
        .texts_left_out = gathering.left_out};
    if (!code && run->id.len)
        code = erase_write(lake_storage(run->lake), run->id, "plan", &erase_plan_fields, &run->plan,
                           err);
    canaries_free(gathering.set);
    return code;
}

static void take_plan(struct erase_run *run)
{
    const struct lake_erased_dataset *datasets = run->plan.datasets.items;
    run->dataset_count = run->plan.datasets.count;
    run->datasets = lh_arena_array(run->arena, run->dataset_count + 1, sizeof *run->datasets);
    for (size_t i = 0; i < run->dataset_count; i++)
        run->datasets[i] = datasets[i];
    run->canaries = canaries_new();
    for (size_t i = 0; i < run->plan.keys.count; i++)
        run->plan.texts_short += !erase_key_is_distinctive(run->plan.keys.items[i]) ||
                                 !canaries_add(run->canaries, run->plan.keys.items[i], true);
    for (size_t i = 0; i < run->plan.texts.count; i++)
        (void)canaries_add(run->canaries, run->plan.texts.items[i], false);
    canaries_seal(run->canaries);
    run->keys = erase_keys_new(run->plan.keys, run->plan.is_loose, run->arena);
}

enum lh_code erase_find_plan(struct erase_run *run, struct lh_error *err)
{
    struct lh_error found = LH_ERROR_NONE;
    enum lh_code code = erase_read(lake_storage(run->lake), run->id, "plan", &erase_plan_fields,
                                   run->arena, &run->plan, &found);
    if (code == LH_NOT_FOUND) {
        code = make_plan(run, err);
        if (!code && run->job)
            job_checkpoint(run->job);
    } else if (code && err) {
        *err = found;
    }
    if (!code)
        take_plan(run);
    return code;
}
