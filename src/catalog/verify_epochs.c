/* The epochs' files: each says its own number, and the clean ends among them how far the lake had
 * come, in the order of the epochs. */
#include "base/clock.h"
#include "catalog/internal.h"
#include "catalog/verify.h"
#include "storage/findings.h"

#define DIGITS 20

struct epochs {
    struct storage *storage;
    struct storage_findings *findings;
    int64_t count;
    int64_t sequence; /* of the last clean end */
};

static bool parse_name(struct lh_str name, int64_t *ret_epoch, bool *ret_is_closed)
{
    struct lh_str ending = lh_str_slice(name, DIGITS, SIZE_MAX);
    *ret_is_closed = lh_str_equal(ending, lh_lit(".closed.json"));
    return (*ret_is_closed || lh_str_equal(ending, lh_lit(".json"))) &&
           lh_str_to_int(lh_str_slice(name, 0, DIGITS), ret_epoch) && *ret_epoch > 0;
}

static int64_t number(const json_t *root, const char *member)
{
    const json_t *value = json_object_get(root, member);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

static void check_members(struct epochs *epochs, struct lh_str key, const json_t *root,
                          int64_t epoch, bool is_closed)
{
    int64_t time_ms = 0;
    int64_t format = number(root, "format");
    int64_t sequence = number(root, "sequence");
    if (number(root, "epoch") != epoch)
        storage_find(epochs->findings, true, key, "It does not say the epoch of its name.");
    if (format < 1 || format > MANIFEST_FORMAT)
        storage_find(epochs->findings, true, key, "Its format is not one that is known.");
    if (sequence < 0)
        storage_find(epochs->findings, true, key, "It does not say the sequence of its time.");
    if (!lh_time_parse(lh_json_text(json_object_get(root, "time")), &time_ms))
        storage_find(epochs->findings, true, key, "It does not say when it was written.");
    const json_t *heads = json_object_get(root, "heads");
    if (heads && !json_is_object(heads))
        storage_find(epochs->findings, true, key, "Its list of datasets cannot be read.");
    if (is_closed && sequence >= 0 && sequence < epochs->sequence)
        storage_find(epochs->findings, true, key,
                     "Its sequence %lld is below that of an earlier epoch's end, %lld.",
                     (long long)sequence, (long long)epochs->sequence);
    if (is_closed && sequence > epochs->sequence)
        epochs->sequence = sequence;
}

static void check_file(struct epochs *epochs, struct lh_str key, int64_t epoch, bool is_closed)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_error err = LH_ERROR_NONE;
    struct lh_str bytes;
    json_t *root = NULL;
    enum lh_code code =
        storage_get(epochs->storage, STORAGE_PRIMARY, key, EPOCH_BYTES_MAX, arena, &bytes, &err);
    if (!code)
        code = lh_json_parse(bytes, "The epoch's file", EPOCH_BYTES_MAX, &root, &err);
    if (code)
        storage_find(epochs->findings, true, key, "%s", err.message);
    else
        check_members(epochs, key, root, epoch, is_closed);
    json_decref(root);
    lh_arena_free(arena);
}

/* Names ascend, and "<epoch>.closed.json" stands just before "<epoch>.json". */
static void check_entries(struct epochs *epochs, const struct storage_entry *entries, size_t count)
{
    int64_t ended = 0; /* the epoch whose clean end came last */
    struct lh_str end_key = {0};
    for (size_t i = 0; i < count; i++) {
        int64_t epoch = 0;
        bool is_closed = false;
        if (entries[i].is_special) {
            storage_find(epochs->findings, true, entries[i].key,
                         "It is a link or a device, not a file.");
            continue;
        }
        if (entries[i].is_folder || !parse_name(entries[i].name, &epoch, &is_closed)) {
            storage_find(epochs->findings, false, entries[i].key, "It is not an epoch's file.");
            continue;
        }
        if (end_key.data && (is_closed || epoch != ended))
            storage_find(epochs->findings, true, end_key, "It ends an epoch that never began.");
        end_key = is_closed ? entries[i].key : (struct lh_str){0};
        ended = epoch;
        epochs->count += !is_closed;
        check_file(epochs, entries[i].key, epoch, is_closed);
    }
    if (end_key.data)
        storage_find(epochs->findings, true, end_key, "It ends an epoch that never began.");
}

enum lh_code catalog_verify_epochs(struct storage *storage, struct storage_findings *findings,
                                   int64_t *ret_count, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_entry *entries = NULL;
    size_t count = 0;
    struct epochs epochs = {.storage = storage, .findings = findings};
    enum lh_code code = storage_list(storage, STORAGE_PRIMARY, lh_lit(CATALOG_EPOCH_FOLDER), arena,
                                     &entries, &count, err);
    if (!code) {
        check_entries(&epochs, entries, count);
        *ret_count = epochs.count;
    }
    lh_arena_free(arena);
    return code;
}
