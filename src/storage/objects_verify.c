/* Looking at all objects: what no head names is swept, and whether every head keeps its promise. */
#include <stdlib.h>

#include "storage/objects_internal.h"

/* The UUIDs that heads name, as text, sorted once all are known. */
struct names {
    char (*items)[LH_UUID_TEXT_BYTES];
    size_t count, capacity;
};

static enum lh_code names_add(struct names *names, struct lh_str uuid, struct lh_error *err)
{
    if (names->count == names->capacity) {
        size_t capacity = names->capacity ? names->capacity * 2 : 1024;
        void *items = realloc(names->items, capacity * sizeof *names->items);
        if (!items)
            return lh_fail(err, LH_BUSY, "There is no memory for the list of objects.");
        names->items = items;
        names->capacity = capacity;
    }
    memcpy(names->items[names->count++], uuid.data, LH_UUID_TEXT_BYTES);
    return LH_OK;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, LH_UUID_TEXT_BYTES);
}

static void names_sort(struct names *names)
{
    if (names->count)
        qsort(names->items, names->count, sizeof *names->items, compare);
}

static bool names_have(const struct names *names, struct lh_str uuid)
{
    return names->count && uuid.len == LH_UUID_TEXT_BYTES &&
           bsearch(uuid.data, names->items, names->count, sizeof *names->items, compare);
}

struct look {
    struct storage *storage;
    struct lh_str bucket;
    struct names names;
    size_t damaged;
    /* of the sweep */
    struct lh_str before;
    size_t moved;
    /* of the verifier */
    const struct lh_cancel *cancel;
    struct lh_arena *arena;
    struct objects_finding *findings; /* NULL: it is a sweep */
    struct objects_report report;
};

static void find(struct look *look, bool is_error, struct lh_str object, const char *what)
{
    look->report.error_count += is_error;
    if (look->report.finding_count == OBJECTS_FINDINGS_MAX)
        return;
    look->findings[look->report.finding_count++] = (struct objects_finding){
        is_error, lh_arena_str(look->arena, object), lh_arena_str(look->arena, lh_str_of(what))};
}

static void check_bytes(struct look *look, const struct object_head *head, struct lh_str object,
                        struct lh_arena *arena)
{
    struct lh_error why = LH_ERROR_NONE;
    struct storage_sum sum;
    char hex[LH_SHA256_HEX_BYTES + 1];
    if (storage_sum(look->storage, look->bucket, object_data_key(head->data, arena), NULL, &sum,
                    &why)) {
        find(look, true, object, why.message);
        return;
    }
    lh_hex(sum.sha256, sizeof sum.sha256, hex);
    if (sum.bytes != head->bytes || !lh_str_equal(head->sha256, lh_str_of(hex)))
        find(look, true, object, "Its bytes are not those that were put.");
    look->report.objects++;
    look->report.object_bytes += sum.bytes;
}

static enum lh_code look_at_head(void *context, const struct storage_entry *entry,
                                 struct lh_error *err)
{
    struct look *look = context;
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_error why = LH_ERROR_NONE;
    struct lh_str key = {0};
    struct object_head head = {0};
    enum lh_code code = LH_OK;
    if (entry->is_special || !object_key_of_head(entry->key, arena, &key)) {
        lh_fail(&why, LH_DAMAGED, "It is no file that a lakehouse makes.");
        code = LH_DAMAGED;
    } else {
        code = object_head_read(look->storage, look->bucket, key, arena, &head, &why);
    }
    if (!code) {
        code = names_add(&look->names, head.data, err);
        if (!code && look->findings)
            check_bytes(look, &head, entry->key, arena);
    } else if (code == LH_NOT_FOUND) {
        code = LH_OK; /* deleted meanwhile */
    } else if (code == LH_DAMAGED || code == LH_FORMAT) {
        look->damaged++;
        if (look->findings)
            find(look, true, entry->key, why.message);
        code = LH_OK;
    } else if (err) {
        *err = why;
    }
    lh_arena_free(arena);
    return code ? code : lh_cancel_fail(look->cancel, "Looking at the objects", err);
}

static enum lh_code look_at_bytes(void *context, const struct storage_entry *entry,
                                  struct lh_error *err)
{
    struct look *look = context;
    bool is_ours = !entry->is_special && lh_uuid_is_valid(entry->name);
    if (is_ours && names_have(&look->names, entry->name))
        return LH_OK;
    if (look->findings) {
        look->report.orphans += is_ours;
        if (is_ours)
            find(look, false, entry->key, "No object has these bytes; a crashed writer left them.");
        else
            find(look, true, entry->key, "It is no file that a lakehouse makes.");
    } else if (is_ours && lh_str_compare(entry->name, look->before) < 0) {
        enum lh_code code = storage_trash(look->storage, look->bucket, &entry->key, 1, err);
        look->moved += code == LH_OK;
        return code;
    }
    return lh_cancel_fail(look->cancel, "Looking at the objects", err);
}

/* First the heads, then the bytes: what a put names in between is younger than this opening. */
static enum lh_code look_at_all(struct look *look, struct lh_error *err)
{
    enum lh_code code =
        storage_walk(look->storage, look->bucket, lh_lit(OBJECTS_HEADS), look_at_head, look, err);
    names_sort(&look->names);
    /* A head that cannot be read may name anything: then nothing is swept. */
    if (!code && (look->findings || !look->damaged))
        code = storage_walk(look->storage, look->bucket, lh_lit(OBJECTS_DATA), look_at_bytes, look,
                            err);
    free(look->names.items);
    look->names = (struct names){0};
    return code;
}

/* A bucket that does not answer hides no other. */
static enum lh_code look_everywhere(struct look *look, struct lh_arena *arena, struct lh_error *err)
{
    struct lh_str *names = NULL;
    size_t count = 0, damaged = 0;
    enum lh_code code = LH_OK;
    storage_bucket_names(look->storage, arena, &names, &count);
    for (size_t i = 0; i < count && !code; i++) {
        struct lh_error why = LH_ERROR_NONE;
        look->bucket = names[i];
        look->damaged = 0;
        code = look_at_all(look, &why);
        damaged += look->damaged;
        bool is_away = code == LH_IO && !lh_str_equal(names[i], STORAGE_PRIMARY);
        if (code && is_away) {
            code = LH_OK;
            if (look->findings)
                find(look, !storage_bucket_is_inherited(look->storage, names[i]), names[i],
                     why.message);
        } else if (code && err) {
            *err = why;
        }
    }
    look->damaged = damaged;
    return code;
}

enum lh_code objects_sweep(struct objects *objects, size_t *ret_moved, struct lh_error *err)
{
    struct look look = {.storage = objects->storage, .before = lh_uuid_str(&objects->opening)};
    struct lh_arena *arena = lh_arena_new(0);
    enum lh_code code = look_everywhere(&look, arena, err);
    lh_arena_free(arena);
    atomic_store(&objects->damaged, look.damaged);
    if (!code)
        *ret_moved = look.moved;
    return code;
}

enum lh_code objects_verify(struct storage *storage, const struct lh_cancel *cancel,
                            struct lh_arena *arena, struct objects_report *ret,
                            struct lh_error *err)
{
    struct look look = {.storage = storage, .cancel = cancel, .arena = arena};
    look.findings = lh_arena_array(arena, OBJECTS_FINDINGS_MAX, sizeof *look.findings);
    enum lh_code code = look_everywhere(&look, arena, err);
    if (code)
        return code;
    *ret = look.report;
    ret->findings = look.findings;
    return LH_OK;
}

/* --- how much there is */

struct sum {
    struct storage *storage;
    int64_t bytes;
};

static enum lh_code add_bytes(void *context, const struct storage_entry *entry,
                              struct lh_error *err)
{
    struct sum *sum = context;
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str key = {0};
    struct object_head head;
    enum lh_code code = LH_OK;
    if (!entry->is_special && object_key_of_head(entry->key, arena, &key)) {
        code = object_head_read(sum->storage, STORAGE_PRIMARY, key, arena, &head, err);
        if (!code)
            sum->bytes += head.bytes;
        else if (code == LH_DAMAGED || code == LH_FORMAT)
            code = LH_OK;
    }
    lh_arena_free(arena);
    return code;
}

enum lh_code objects_count_bytes(struct storage *storage, int64_t *ret, struct lh_error *err)
{
    struct sum sum = {.storage = storage};
    enum lh_code code =
        storage_walk(storage, STORAGE_PRIMARY, lh_lit(OBJECTS_HEADS), add_bytes, &sum, err);
    if (!code)
        *ret = sum.bytes;
    return code;
}
