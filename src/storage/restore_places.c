/* The folders that a restore puts other buckets into. Each becomes a local bucket of the restored
 * lake, whatever it was before: its mark and its record name the new lake, and are written right
 * before that becomes one; so a restore that is continued writes them once more. */
#include "base/json.h"
#include "storage/backup_internal.h"

#define NEW_FILE "_restoring.new"

static const struct storage_restore_place *find(const struct storage_restore_options *options,
                                                struct lh_str bucket)
{
    for (size_t i = 0; i < options->place_count; i++)
        if (lh_str_equal(options->places[i].bucket, bucket))
            return &options->places[i];
    return NULL;
}

static bool is_below(struct lh_str path, struct lh_str folder)
{
    return lh_str_starts_with(path, folder) &&
           (path.len == folder.len || path.data[folder.len] == '/');
}

static enum lh_code check_folder(const struct storage_restore_options *options,
                                 const struct storage_restore_place *place, struct lh_error *err)
{
    struct lh_str folder = place->folder;
    size_t at = 0;
    if (!folder.len || folder.data[0] != '/' || lh_str_find(folder, lh_lit(".."), &at))
        return lh_fail(err, LH_INVALID,
                       "The folder of the bucket '%.*s' is an absolute path without '..'.",
                       LH_ARG(place->bucket));
    if (is_below(folder, options->target) || is_below(options->target, folder))
        return lh_fail(err, LH_INVALID,
                       "The bucket '%.*s' would lie in or around the folder of the lake.",
                       LH_ARG(place->bucket));
    for (size_t i = 0; i < options->place_count; i++)
        if (&options->places[i] != place && (is_below(folder, options->places[i].folder) ||
                                             is_below(options->places[i].folder, folder)))
            return lh_fail(err, LH_INVALID, "The buckets '%.*s' and '%.*s' cannot share a folder.",
                           LH_ARG(place->bucket), LH_ARG(options->places[i].bucket));
    return LH_OK;
}

enum lh_code restore_places_find(struct restore_places *places,
                                 const struct storage_restore_options *options,
                                 const struct backup_list *list, struct lh_error *err)
{
    struct lh_str last = STORAGE_PRIMARY;
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < list->count && !code && !options->is_primary_only; i++) {
        struct lh_str bucket = list->items[i].bucket;
        if (lh_str_equal(bucket, last) || lh_str_equal(bucket, STORAGE_PRIMARY))
            continue;
        const struct storage_restore_place *place = find(options, bucket);
        last = bucket;
        if (!place || places->count == STORAGE_RESTORE_PLACES_MAX) {
            lh_fail(err, LH_CONFLICT,
                    "Backup %lld has files of the bucket '%.*s', and nobody said where they shall "
                    "be.",
                    (long long)list->number, LH_ARG(bucket));
            return lh_error_hint(err,
                                 "Name an empty folder: --buckets %.*s=/a/folder; with "
                                 "--primary-only they are left out.",
                                 LH_ARG(bucket));
        }
        code = check_folder(options, place, err);
        places->items[places->count++].place = place;
    }
    return code;
}

static enum lh_code check_empty(const struct restore_place *place, struct lh_str marker,
                                bool is_complete, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_dir_entry *entries = NULL;
    struct lh_str text = {0};
    size_t count = 0;
    enum lh_code code = lh_file_read(place->dir, RESTORING_FILE, 4096, arena, &text, NULL);
    if (!code && (!text.len || lh_str_equal(text, marker)))
        goto out;
    if (code == LH_NOT_FOUND && is_complete) { /* its marker went before that of the target */
        code = LH_OK;
        goto out;
    }
    code = lh_dir_list(place->dir, "", arena, &entries, &count, err);
    for (size_t i = 0; i < count && !code; i++)
        if (!lh_str_equal(entries[i].name, lh_lit("lost+found")) &&
            !lh_str_equal(entries[i].name, lh_lit(NEW_FILE))) { /* of a marker on its way */
            lh_fail(err, LH_CONFLICT, "The folder '%.*s' of the bucket '%.*s' is not empty.",
                    LH_ARG(place->place->folder), LH_ARG(place->place->bucket));
            code = lh_error_hint(err, "A bucket is restored into an empty folder, or one that "
                                      "does not exist.");
        }
out:
    lh_arena_free(arena);
    return code;
}

/* In the place of what is there, durably. */
static enum lh_code put(struct lh_dir *dir, const char *path, struct lh_str text,
                        struct lh_str folder, struct lh_error *err)
{
    enum lh_code code = lh_file_remove(dir, NEW_FILE, err);
    if (!code)
        code = lh_file_make(dir, NEW_FILE, text, err);
    if (!code)
        code = lh_file_replace(dir, NEW_FILE, path, err);
    if (!code)
        code = lh_dir_sync(dir, folder.data, err);
    return code ? code : lh_dir_sync(dir, "", err); /* where the fresh one was */
}

enum lh_code restore_places_open(struct restore_places *places, struct lh_str marker,
                                 bool is_complete, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < places->count && !code; i++) {
        struct restore_place *place = &places->items[i];
        code = lh_dir_open(place->place->folder, true, &place->dir, err);
        if (!code)
            code = check_empty(place, marker, is_complete, err);
        if (!code && !is_complete)
            code = put(place->dir, RESTORING_FILE, marker, lh_lit(""), err);
    }
    return code;
}

static enum lh_code claim(const struct restore_place *place, struct lh_dir *target,
                          const struct lh_uuid *id, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    const struct storage_bucket_options options = {
        .name = place->place->bucket, .backend = STORAGE_LOCAL, .root = lh_dir_path(place->dir)};
    struct lh_str mark = bucket_mark_text_of(lh_uuid_str(id), arena), record = {0};
    enum lh_code code = bucket_record_text(lh_uuid_str(id), &options, arena, &record, err);
    if (!code)
        code = put(place->dir, BUCKET_FILE, mark, lh_lit(""), err);
    if (!code)
        code = lh_dir_make(target, BUCKETS_FOLDER, NULL, err);
    if (!code)
        code = put(target, bucket_record_key(options.name, arena).data, record,
                   lh_lit(BUCKETS_FOLDER), err);
    lh_arena_free(arena);
    return code;
}

enum lh_code restore_places_claim(struct restore_places *places, struct lh_dir *target,
                                  const struct lh_uuid *id, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < places->count && !code; i++)
        code = claim(&places->items[i], target, id, err);
    return code;
}

enum lh_code restore_places_end(struct restore_places *places, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < places->count && !code; i++) {
        code = lh_file_remove(places->items[i].dir, RESTORING_FILE, err);
        if (!code)
            code = lh_dir_sync(places->items[i].dir, "", err);
    }
    return code;
}

void restore_places_release(struct restore_places *places)
{
    for (size_t i = 0; i < places->count; i++)
        lh_dir_close(places->items[i].dir);
}
