/* Lists of objects, in the order of their keys' parts. */
#include <stdlib.h>

#include "storage/objects_internal.h"

struct listing {
    struct storage *storage;
    struct lh_str bucket;
    struct lh_str prefix;
    struct lh_str after;
    size_t limit;
    struct lh_arena *arena;
    struct object_info *items;
    size_t count;
    bool has_more;
};

/* Part by part, so that the order is that of folders: "a", "a/b", "a-b". */
static int compare_keys(struct lh_str a, struct lh_str b)
{
    while (a.data && b.data) {
        int order = lh_str_compare(lh_str_cut(&a, '/'), lh_str_cut(&b, '/'));
        if (order)
            return order;
    }
    return (a.data != NULL) - (b.data != NULL);
}

/* Of two keys' first parts: as many as `folder` has. */
static int compare_folder(struct lh_str folder, struct lh_str key)
{
    while (folder.data && key.data) {
        int order = lh_str_compare(lh_str_cut(&folder, '/'), lh_str_cut(&key, '/'));
        if (order)
            return order;
    }
    return folder.data ? 1 : 0;
}

/* By the name without its mark; an object before the folder of the same name. */
static int compare_entries(const void *a, const void *b)
{
    struct lh_str name_a = ((const struct storage_entry *)a)->name;
    struct lh_str name_b = ((const struct storage_entry *)b)->name;
    int order =
        lh_str_compare(lh_str_slice(name_a, 1, name_a.len), lh_str_slice(name_b, 1, name_b.len));
    return order ? order : -lh_str_compare(lh_str_slice(name_a, 0, 1), lh_str_slice(name_b, 0, 1));
}

static enum lh_code add(struct listing *listing, struct lh_str key, struct lh_error *err)
{
    struct object_head head;
    struct lh_error why = LH_ERROR_NONE;
    if (listing->count == listing->limit) {
        listing->has_more = true;
        return LH_OK;
    }
    enum lh_code code =
        object_head_read(listing->storage, listing->bucket, key, listing->arena, &head, &why);
    if (code == LH_NOT_FOUND)
        return LH_OK; /* deleted meanwhile */
    key = lh_arena_str(listing->arena, key);
    struct object_info *item = &listing->items[listing->count++];
    if (!code) {
        object_info_of(&head, listing->arena, item);
        return LH_OK;
    }
    /* One that cannot be read hides no other. */
    *item = (struct object_info){.key = key,
                                 .problem = lh_arena_str(listing->arena, lh_str_of(why.message))};
    if (code == LH_DAMAGED || code == LH_FORMAT)
        return LH_OK;
    if (err)
        *err = why;
    return code;
}

/* May hold keys that are wanted: neither all before `after`, nor all without the prefix. */
static bool is_wanted(const struct listing *listing, struct lh_str folder, struct lh_arena *arena)
{
    struct lh_str start = lh_arena_printf(arena, "%.*s/", LH_ARG(folder));
    if (!lh_str_starts_with(start, listing->prefix) && !lh_str_starts_with(listing->prefix, start))
        return false;
    return !listing->after.len || compare_folder(folder, listing->after) >= 0;
}

static enum lh_code list_folder(struct listing *listing, struct lh_str path, struct lh_str base,
                                struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_entry *entries = NULL;
    size_t count = 0;
    enum lh_code code =
        storage_list(listing->storage, listing->bucket, path, arena, &entries, &count, err);
    if (!code && count)
        qsort(entries, count, sizeof *entries, compare_entries);
    for (size_t i = 0; !code && i < count && !listing->has_more; i++) {
        struct lh_str name = entries[i].name;
        if (entries[i].is_special || name.len < 2)
            continue;
        struct lh_str key = lh_arena_printf(arena, "%.*s%s%.*s", LH_ARG(base), base.len ? "/" : "",
                                            LH_ARG(lh_str_slice(name, 1, name.len)));
        if (entries[i].is_folder && name.data[0] == '+' && is_wanted(listing, key, arena))
            code = list_folder(listing, entries[i].key, key, err);
        else if (!entries[i].is_folder && name.data[0] == '=' &&
                 lh_str_starts_with(key, listing->prefix) &&
                 (!listing->after.len || compare_keys(key, listing->after) > 0))
            code = add(listing, key, err);
    }
    lh_arena_free(arena);
    return code;
}

/* The folder that all keys with the prefix are in: "a/b" of "a/b/c". */
static struct lh_str folder_of(struct lh_str prefix)
{
    while (prefix.len && prefix.data[prefix.len - 1] != '/')
        prefix.len--;
    if (prefix.len)
        prefix.len--;
    return prefix;
}

enum lh_code objects_list(struct objects *objects, struct lh_str bucket, struct lh_str prefix,
                          struct lh_str after, size_t limit, struct lh_arena *arena,
                          struct object_info **ret, size_t *ret_count, bool *ret_has_more,
                          struct lh_error *err)
{
    struct listing listing = {
        .storage = objects->storage,
        .bucket = bucket,
        .prefix = prefix,
        .after = after,
        .limit = limit,
        .arena = arena,
        .items = lh_arena_array(arena, limit + 1, sizeof *listing.items),
    };
    struct lh_str folder = folder_of(prefix);
    struct lh_str path = lh_lit(OBJECTS_HEADS);
    for (struct lh_str rest = folder; rest.len;) {
        struct lh_str part = lh_str_cut(&rest, '/');
        path = lh_arena_printf(arena, "%.*s/+%.*s", LH_ARG(path), LH_ARG(part));
    }
    /* Of a prefix that no key can have, there are none. */
    bool is_possible = !lh_str_starts_with(prefix, lh_lit("/")) &&
                       (!folder.len || object_key_check(folder, NULL) == LH_OK);
    enum lh_code code = storage_bucket_check(objects->storage, bucket, err);
    if (!code && is_possible)
        code = list_folder(&listing, path, folder, err);
    if (code)
        return code;
    *ret = listing.items;
    *ret_count = listing.count;
    *ret_has_more = listing.has_more;
    return LH_OK;
}
