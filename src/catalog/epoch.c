#include "base/clock.h"
#include "base/json.h"
#include "catalog/internal.h"

/* `_catalog/epochs/<20 digits>.json` is made by every writer as its first act, `<20
 * digits>.closed.json` as its last. Both are made exclusively and never changed. */

#define EPOCHS_KEPT 64

static struct lh_str epoch_key(uint64_t epoch, bool is_closed, struct lh_arena *arena)
{
    return lh_arena_printf(arena, CATALOG_EPOCH_FOLDER "/%020llu%s", (unsigned long long)epoch,
                           is_closed ? ".closed.json" : ".json");
}

static bool parse_name(struct lh_str name, uint64_t *ret, bool *ret_is_closed)
{
    int64_t number = 0;
    bool is_closed = lh_str_ends_with(name, lh_lit(".closed.json"));
    size_t suffix = is_closed ? sizeof ".closed.json" - 1 : sizeof ".json" - 1;
    if (name.len != 20 + suffix || !lh_str_ends_with(name, lh_lit(".json")) ||
        !lh_str_to_int(lh_str_slice(name, 0, 20), &number) || number < 1)
        return false;
    *ret = (uint64_t)number;
    *ret_is_closed = is_closed;
    return true;
}

/* How far every dataset had come: a version that vanishes later is missed, for nothing above it
 * leaves a gap. What is damaged now keeps the number that it had. */
static void put_heads(const struct catalog_snapshot *snapshot, struct lh_json *json)
{
    char id[LH_UUID_TEXT_BYTES + 1];
    lh_json_key(json, "heads");
    lh_json_object(json);
    for (size_t i = 0; i < snapshot->item_count; i++) {
        const struct catalog_dataset *view = &snapshot->items[i]->view;
        memcpy(id, view->id.data, LH_UUID_TEXT_BYTES);
        id[LH_UUID_TEXT_BYTES] = '\0';
        lh_json_put_int(json, id, view->version);
    }
    lh_json_object_end(json);
}

/* With the heads of a snapshot: the note of an end. */
static void write_epoch(const struct catalog *catalog, const struct catalog_snapshot *heads,
                        uint64_t sequence, struct lh_buf *buf)
{
    char time[LH_TIME_TEXT_BYTES + 1];
    struct lh_json json;
    lh_time_format(lh_clock_unix_ms(), time);
    lh_json_init(&json, buf);
    lh_json_object(&json);
    lh_json_put_int(&json, "epoch", (int64_t)catalog->epoch);
    lh_json_put_int(&json, "format", MANIFEST_FORMAT);
    if (heads)
        put_heads(heads, &json);
    lh_json_put_int(&json, "sequence", (int64_t)sequence);
    lh_json_put_cstr(&json, "time", time);
    lh_json_object_end(&json);
    lh_buf_append_char(buf, '\n');
}

enum lh_code epoch_note_of(const struct catalog *catalog, const struct catalog_snapshot *snapshot,
                           struct lh_arena *arena, struct lh_str *ret_key, struct lh_str *ret_bytes,
                           struct lh_error *err)
{
    struct lh_buf buf;
    lh_buf_init(&buf, EPOCH_BYTES_MAX);
    write_epoch(catalog, snapshot, snapshot->sequence, &buf);
    enum lh_code code = lh_buf_check(&buf, "An epoch", err);
    if (!code) {
        *ret_key = epoch_key(catalog->epoch, true, arena);
        *ret_bytes = lh_arena_str(arena, lh_buf_str(&buf));
    }
    lh_buf_release(&buf);
    return code;
}

static enum lh_code put_epoch(struct catalog *catalog, bool is_closed, struct lh_arena *arena,
                              struct lh_error *err)
{
    struct lh_buf buf;
    lh_buf_init(&buf, EPOCH_BYTES_MAX);
    write_epoch(catalog, is_closed ? catalog->snapshot : NULL, catalog->sequence, &buf);
    enum lh_code code = lh_buf_check(&buf, "An epoch", err);
    if (!code)
        code =
            storage_put_vital(catalog->storage, STORAGE_PRIMARY,
                              epoch_key(catalog->epoch, is_closed, arena), lh_buf_str(&buf), err);
    lh_buf_release(&buf);
    return code;
}

/* Old ones tell nothing any more. What cannot be removed now is removed another time. */
static void trim(struct catalog *catalog, const struct storage_entry *entries, size_t count,
                 struct lh_arena *arena)
{
    struct lh_str *keys = lh_arena_array(arena, count + 1, sizeof *keys);
    size_t key_count = 0;
    uint64_t epoch = 0;
    bool is_closed = false;
    for (size_t i = 0; i < count; i++)
        if (parse_name(entries[i].name, &epoch, &is_closed) &&
            epoch + EPOCHS_KEPT < catalog->epoch && epoch != catalog->closed_epoch)
            keys[key_count++] = entries[i].key;
    if (key_count < EPOCHS_KEPT ||
        storage_trash(catalog->storage, STORAGE_PRIMARY, keys, key_count, NULL))
        return;
}

enum lh_code epoch_begin(struct catalog *catalog, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_entry *entries = NULL;
    size_t count = 0;
    uint64_t newest = catalog->epoch, epoch = 0;
    bool is_closed = false;
    enum lh_code code = storage_list(catalog->storage, STORAGE_PRIMARY,
                                     lh_lit(CATALOG_EPOCH_FOLDER), arena, &entries, &count, err);
    if (code)
        goto out;
    for (size_t i = 0; i < count; i++)
        if (parse_name(entries[i].name, &epoch, &is_closed)) {
            newest = epoch > newest ? epoch : newest;
            if (is_closed && epoch > catalog->closed_epoch)
                catalog->closed_epoch = epoch;
        }
    catalog->epoch = newest + 1;
    code = put_epoch(catalog, false, arena, err);
    if (code == LH_EXISTS)
        code = lh_fail(err, LH_LOCKED, "Another process has just opened this lake for writing.");
    if (!code)
        trim(catalog, entries, count, arena);
out:
    lh_arena_free(arena);
    return code;
}

static enum lh_code look(struct catalog *catalog, uint64_t epoch, bool is_closed,
                         struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_info info;
    enum lh_code code = storage_info(catalog->storage, STORAGE_PRIMARY,
                                     epoch_key(epoch, is_closed, arena), &info, err);
    lh_arena_free(arena);
    return code;
}

enum lh_code epoch_check(struct catalog *catalog, struct lh_error *err)
{
    enum lh_code code = look(catalog, catalog->epoch + 1, false, err);
    if (code == LH_NOT_FOUND)
        return LH_OK;
    if (code)
        return code;
    catalog_stop_writing(catalog, LH_LOCKED);
    lh_fail(err, LH_LOCKED, "Another process took this lake over; this one no longer writes.");
    return lh_error_hint(err, "Stop one of the two servers, then restart the other.");
}

bool epoch_ended_cleanly(struct catalog *catalog, uint64_t epoch)
{
    return look(catalog, epoch, true, NULL) == LH_OK;
}

static json_t *read_note(struct storage *storage, struct lh_str key, struct lh_arena *arena)
{
    struct lh_str bytes = {0};
    json_t *root = NULL;
    if (storage_get(storage, STORAGE_PRIMARY, key, EPOCH_BYTES_MAX, arena, &bytes, NULL) ||
        lh_json_parse(bytes, "An epoch", EPOCH_BYTES_MAX, &root, NULL))
        return NULL;
    if (json_integer_value(json_object_get(root, "sequence")) > 0)
        return root;
    json_decref(root);
    return NULL;
}

static void drop_note(void *root)
{
    json_decref(root);
}

void epoch_read_note(struct storage *storage, struct lh_arena *arena, struct epoch_note *ret)
{
    struct storage_entry *entries = NULL;
    size_t count = 0;
    uint64_t epoch = 0, newest = 0, closed = 0;
    bool is_closed = false;
    json_t *root = NULL;
    *ret = (struct epoch_note){.was_clean = true};
    if (storage_list(storage, STORAGE_PRIMARY, lh_lit(CATALOG_EPOCH_FOLDER), arena, &entries,
                     &count, NULL))
        return;
    /* Only a clean end counts: then everything up to that sequence was durable. Sequences ascend
     * with epochs, and names sort by epoch: the last readable file knows most. */
    for (size_t i = count; i > 0; i--) {
        if (!parse_name(entries[i - 1].name, &epoch, &is_closed))
            continue;
        newest = epoch > newest ? epoch : newest;
        if (is_closed && !root && (root = read_note(storage, entries[i - 1].key, arena)))
            closed = epoch;
    }
    ret->was_clean = closed == newest;
    if (!root)
        return;
    lh_arena_defer(arena, drop_note, root);
    ret->sequence = (uint64_t)json_integer_value(json_object_get(root, "sequence"));
    ret->heads = json_object_get(root, "heads");
}

void epoch_end(struct catalog *catalog)
{
    struct lh_arena *arena = lh_arena_new(0);
    /* Without the note the next open republishes the newest commit, which is right, only slower. */
    if (catalog->stopped || put_epoch(catalog, true, arena, NULL))
        catalog->closed_epoch = 0;
    lh_arena_free(arena);
}
