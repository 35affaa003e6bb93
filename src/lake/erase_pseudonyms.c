/* Texts that stay and say a key: it becomes a pseudonym, in the journal, in what a dataset says of
 * where its rows came from, and in receipts. */
#include "base/json.h"
#include "catalog/erase.h"
#include "lake/erase_run.h"
#include "lake/internal.h"
#include "lake/lake.h"

#define RACES_MAX 8

struct lh_str erase_pseudonym(struct catalog *catalog, struct lh_str key, struct lh_arena *arena)
{
    struct lh_str pseudonym = lh_lit("erased");
    (void)!catalog_pseudonym(catalog, key, arena, &pseudonym, NULL);
    return pseudonym;
}

struct replacing {
    const struct canaries *canaries;
    struct catalog *catalog;
    struct lh_str text;
    struct lh_arena *arena;
    struct lh_buf buf;
    size_t from;           /* what stands before it is done */
    size_t at, len, index; /* of the key that comes next; len 0: none is known */
    size_t texts;          /* of rows, which no row has that is left */
};

static void flush(struct replacing *replacing)
{
    if (!replacing->len)
        return;
    struct lh_str key = canaries_text(replacing->canaries, replacing->index);
    lh_buf_append_str(&replacing->buf, lh_str_slice(replacing->text, replacing->from,
                                                    replacing->at - replacing->from));
    lh_buf_append_str(&replacing->buf, erase_pseudonym(replacing->catalog, key, replacing->arena));
    replacing->from = replacing->at + replacing->len;
    replacing->len = 0;
}

/* Of two that begin at one place the longer one; else the first of those that overlap. */
static void take_hit(void *context, size_t index, size_t at, size_t len)
{
    struct replacing *replacing = context;
    if (!canaries_is_key(replacing->canaries, index)) {
        replacing->texts += !canaries_is_dropped(replacing->canaries, index);
        return;
    }
    if (replacing->len && at >= replacing->at + replacing->len)
        flush(replacing);
    bool is_longer = replacing->len && at == replacing->at && len > replacing->len;
    if ((!replacing->len && at >= replacing->from) || is_longer) {
        replacing->at = at;
        replacing->len = len;
        replacing->index = index;
    }
}

static struct lh_str replace(struct replacing *replacing)
{
    struct lh_str text = replacing->text;
    lh_buf_init(&replacing->buf, 32 * (text.len + 1));
    canaries_search(replacing->canaries, text, 0, text.len, take_hit, replacing);
    flush(replacing);
    if (replacing->from) {
        lh_buf_append_str(&replacing->buf,
                          lh_str_slice(text, replacing->from, text.len - replacing->from));
        text = lh_arena_str(replacing->arena, lh_buf_str(&replacing->buf));
    }
    lh_buf_release(&replacing->buf);
    return text;
}

struct lh_str erase_without_keys(const struct canaries *canaries, struct catalog *catalog,
                                 struct lh_str text, struct lh_arena *arena)
{
    struct replacing replacing = {
        .canaries = canaries, .catalog = catalog, .text = text, .arena = arena};
    return replace(&replacing);
}

/* --- where the rows of a dataset came from */

enum lh_code erase_lineage(struct erase_run *run, struct lake_erased_dataset *dataset,
                           struct lh_error *err)
{
    enum lh_code code = LH_RACE;
    for (int i = 0; i < RACES_MAX && code == LH_RACE; i++) {
        struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(run->lake));
        const struct catalog_dataset *now = NULL;
        struct catalog_commit_result result;
        struct lh_error found = LH_ERROR_NONE;
        code = catalog_find_id(snapshot, dataset->dataset_id, &now, &found);
        if (!code) {
            struct replacing replacing = {.canaries = run->canaries,
                                          .catalog = lake_catalog(run->lake),
                                          .text = now->lineage.source_file,
                                          .arena = run->arena};
            struct catalog_change change = {
                .action = CATALOG_UPDATE,
                .dataset_id = now->id,
                .base_version = now->version,
                .set_bits = CATALOG_SET_LINEAGE,
                .set = {.lineage = now->lineage},
                .actor = run->request.committer,
                .reason = lh_lit("Where rows came from is told without the keys of erased ones."),
            };
            change.set.lineage.source_file = replace(&replacing);
            if (replacing.texts)
                change.set.lineage.source_file = lh_lit("erased");
            if (!lh_str_equal(change.set.lineage.source_file, now->lineage.source_file))
                code =
                    catalog_commit(lake_catalog(run->lake), &change, run->arena, &result, &found);
        }
        catalog_snapshot_unref(snapshot);
        if (code && err)
            *err = found;
    }
    return code == LH_NOT_FOUND ? LH_OK : code; /* dropped meanwhile */
}

/* --- receipts */

static void clean_value(const struct erase_run *run, json_t *parent, const char *member,
                        size_t index, json_t *value)
{
    const char *key = NULL;
    size_t at = 0;
    json_t *item = NULL;
    void *next = NULL;
    if (json_is_object(value))
        json_object_foreach_safe(value, next, key, item) clean_value(run, value, key, 0, item);
    else if (json_is_array(value))
        json_array_foreach(value, at, item) clean_value(run, value, NULL, at, item);
    if (!json_is_string(value))
        return;
    struct lh_str text = lh_json_text(value);
    struct lh_str clean =
        erase_without_keys(run->canaries, lake_catalog(run->lake), text, run->arena);
    if (lh_str_equal(text, clean))
        return;
    if (member)
        (void)json_object_set_new(parent, member, json_stringn(clean.data, clean.len));
    else
        (void)json_array_set_new(parent, index, json_stringn(clean.data, clean.len));
}

enum lh_code erase_clean_receipt(struct erase_run *run, struct lake_erasure *receipt,
                                 struct lh_error *err)
{
    struct lh_buf buf;
    struct lh_json json;
    json_t *value = NULL;
    lh_buf_init(&buf, ERASE_BYTES_MAX);
    lh_json_init(&json, &buf);
    lh_fields_write(&lake_erasure_fields, receipt, &json);
    enum lh_code code = lh_buf_check(&buf, "The receipt of the erasure", err);
    if (!code)
        code = lh_json_parse(lh_buf_str(&buf), "The receipt", ERASE_BYTES_MAX, &value, err);
    lh_buf_release(&buf);
    if (code)
        return code;
    lh_json_keep(value, run->arena);
    clean_value(run, NULL, NULL, 0, value);
    lh_fields_preset(&lake_erasure_fields, receipt);
    return lh_fields_bind_json(&lake_erasure_fields, value, run->arena, receipt, err);
}

static enum lh_code clean_old(struct erase_run *run, struct lh_str name, struct lh_error *err)
{
    struct lake_erasure old;
    struct lh_str id = lh_str_head(name, LH_UUID_TEXT_BYTES);
    if (erase_read(lake_storage(run->lake), id, "receipt", &lake_erasure_fields, run->arena, &old,
                   NULL)) /* gone, or damaged: the scan tells what stands in it */
        return LH_OK;
    enum lh_code code = erase_clean_receipt(run, &old, err);
    return code ? code
                : erase_write(lake_storage(run->lake), id, "receipt", &lake_erasure_fields, &old,
                              err);
}

enum lh_code erase_clean_receipts(struct erase_run *run, struct lh_error *err)
{
    struct storage *storage = lake_storage(run->lake);
    struct storage_entry *entries = NULL;
    size_t count = 0;
    enum lh_code code = storage_list(storage, STORAGE_PRIMARY, lh_lit(ERASE_FOLDER), run->arena,
                                     &entries, &count, err);
    for (size_t i = 0; i < count && !code; i++) {
        struct lh_arena *scratch = lh_arena_new(0);
        struct lh_str text = {0};
        bool is_one = lh_str_ends_with(entries[i].name, lh_lit(".receipt.json"));
        if (is_one &&
            !storage_get(storage, STORAGE_PRIMARY, entries[i].key, ERASE_BYTES_MAX, scratch, &text,
                         NULL) &&
            !lh_str_equal(erase_without_keys(run->canaries, lake_catalog(run->lake), text, scratch),
                          text))
            code = clean_old(run, entries[i].name, err);
        lh_arena_free(scratch);
    }
    return code;
}
