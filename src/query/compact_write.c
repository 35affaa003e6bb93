/* One dataset: its groups are written, compared, published and committed together. */
#include "query/compact_internal.h"
#include "storage/buckets.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "base/fault.h"
#include "base/json.h"
#include "base/log.h"
#include "catalog/data_file.h"
#include "catalog/files.h"
#include "query/internal.h"

#define FREE_BYTES_MIN ((int64_t)32 << 20)
#define SELECT_BYTES_MAX ((size_t)64 << 20)
#define DETAIL_BYTES_MAX ((size_t)4096)
#define RACES_MAX 4
#define STAMPS_MAX 16
#define DISK_TRIES_MAX 2
/* Two thirds of what the engine puts into a row group. What is smaller on the average costs every
 * later statement more than writing it anew costs once. */
#define GROUP_ROWS_MIN INT64_C(40960)

struct attempt {
    struct compact_run *run;
    struct lh_arena *arena;            /* of this attempt */
    struct catalog_snapshot *snapshot; /* keeps the files that are read */
    const struct catalog_dataset *dataset;
    struct engine_connection *connection;
    struct compact_plan plan;
    struct data_file *files;        /* of each group */
    struct catalog_object *objects; /* likewise */
    struct lh_str *keys;            /* likewise */
    int64_t rows_before;            /* of groups that are done */
};

static void show(struct attempt *attempt, const char *phase, int64_t rows)
{
    const struct compact_run *run = attempt->run;
    struct job_progress progress = {.phase = lh_str_of(phase),
                                    .rows_done = run->rows_done + attempt->rows_before + rows,
                                    .rows_total = {true, run->rows_total},
                                    .bytes_total = run->bytes_total};
    if (run->rows_total > 0)
        progress.bytes_done = (int64_t)((double)progress.rows_done / (double)run->rows_total *
                                        (double)run->bytes_total);
    job_set_progress(run->job, &progress);
}

static void show_rows(void *context, int64_t rows)
{
    show(context, "merging", rows);
}

static enum lh_code check_space(const struct attempt *attempt, struct lh_error *err)
{
    int64_t free_bytes = 0, needed = FREE_BYTES_MIN + attempt->plan.bytes;
    if (attempt->run->has_room)
        return LH_OK;
    enum lh_code code = storage_free_bytes(attempt->run->compactor->storage, &free_bytes, err);
    if (code || free_bytes >= needed)
        return code;
    lh_fail(err, LH_FULL,
            "Only %lld MB are free where the lake lies; to compact '%.*s' needs about %lld MB.",
            (long long)(free_bytes >> 20), LH_ARG(attempt->dataset->name),
            (long long)(needed >> 20));
    return lh_error_hint(err, "The old files stay as long as their versions: make room, or let "
                              "versions expire first; nothing was changed.");
}

/* --- one group */

/* A wrong row is left out, as if the filter erred: tests ask whether it is noticed. */
static bool hides_wrongly(const struct compact_group *group)
{
    return group->hidden && LH_FAULT("compact.hide") && errno == EDOM;
}

static enum lh_code write_select(struct attempt *attempt, const struct compact_group *group,
                                 struct lh_str *ret, struct lh_error *err)
{
    struct lh_buf buf;
    struct query_relation_writer writer = {.arena = attempt->arena, .buf = &buf};
    const struct query_objects objects = {.storage = attempt->run->compactor->storage,
                                          .engine = attempt->run->compactor->engine,
                                          .dataset = attempt->dataset,
                                          .hidden = attempt->plan.rows_hidden,
                                          .first = group->first,
                                          .count = group->count,
                                          .is_stored = true,
                                          .hides_beside = hides_wrongly(group)};
    lh_buf_init(&buf, SELECT_BYTES_MAX);
    enum lh_code code = query_write_objects(&objects, &writer, err);
    if (!code)
        code = lh_buf_check(&buf, "The statement that merges files", err);
    if (!code)
        *ret = lh_arena_str(attempt->arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return code;
}

static enum lh_code trust_files(struct attempt *attempt, const struct compact_group *group,
                                struct data_file_part **ret, struct lh_error *err)
{
    struct data_file_part *parts = lh_arena_array(attempt->arena, group->count, sizeof *parts);
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < group->count && !code; i++) {
        const struct catalog_object *object = attempt->dataset->objects[group->first + i];
        parts[i] = (struct data_file_part){.key = object->key,
                                           .bytes = object->bytes,
                                           .rows = object->rows,
                                           .sha256 = object->sha256};
        code = catalog_own_file(attempt->run->compactor->catalog, object, attempt->run->cancel,
                                attempt->arena, &parts[i].path, err);
    }
    *ret = parts;
    return code;
}

static int64_t count_hidden(const struct catalog_rows *rows, int64_t from, int64_t to)
{
    int64_t count = 0;
    for (int64_t row = from; rows && row < to; row++) {
        size_t page = (size_t)row / CATALOG_ROWS_PER_PAGE;
        if (page >= rows->page_count)
            break;
        if (rows->pages[page])
            count += catalog_rows_has(rows, (uint64_t)row);
        else
            row = (int64_t)(page + 1) * CATALOG_ROWS_PER_PAGE - 1;
    }
    return count;
}

/* Neighbours of which nothing is known but that they are there are one. */
static void add_source(struct catalog_object *object, struct catalog_source *sources,
                       const struct catalog_source *source)
{
    struct catalog_source *last = object->source_count ? &sources[object->source_count - 1] : NULL;
    bool is_plain = !source->sha256.len && !source->rejects.len;
    if (is_plain && last && !last->sha256.len && !last->rejects.len) {
        last->rows += source->rows;
        last->kept += source->kept;
    } else {
        assert(sources);
        sources[object->source_count++] = *source;
    }
}

/* A source of which rows were deleted may come in again: it is no longer known by its sum. */
static enum lh_code take_sources(const struct attempt *attempt, const struct compact_group *group,
                                 struct catalog_object *object, struct lh_error *err)
{
    const struct catalog_dataset *dataset = attempt->dataset;
    struct catalog_hidden *hidden = attempt->plan.rows_hidden;
    struct catalog_source *sources =
        lh_arena_array(attempt->arena, group->source_count + 1, sizeof *sources);
    enum lh_code code = LH_OK;
    for (size_t i = group->first; i < group->first + group->count && !code; i++) {
        const struct catalog_object *from = dataset->objects[i];
        const struct catalog_rows *rows = hidden ? catalog_hidden_of(hidden, i) : NULL;
        int64_t at = 0;
        for (size_t k = from->source_count ? 1 : 0; k <= from->source_count && !code; k++) {
            struct catalog_source source = {.rows = from->rows, .kept = from->rows};
            bool is_whole = false;
            (void)catalog_object_source(from, k, &source);
            code = catalog_source_is_whole(attempt->run->compactor->catalog, dataset, hidden, i, k,
                                           &is_whole, err);
            if (!is_whole)
                source.sha256 = source.options = (struct lh_str){0};
            int64_t end = at + source.kept;
            source.kept -= count_hidden(rows, at, end);
            at = end;
            add_source(object, sources, &source);
        }
    }
    object->sources = sources;
    return code;
}

/* The engine decodes all rows and encodes those that stay. */
static enum lh_code rewrite(struct attempt *attempt, const struct compact_group *group,
                            const char *what, struct data_file *file, struct lh_error *err)
{
    const struct compact_run *run = attempt->run;
    struct lh_str select = {0};
    const struct engine_copy_options options = {
        .codec = lh_lit("snappy"), .progress = show_rows, .progress_context = attempt};
    const struct compact_sums sums = {.compactor = run->compactor,
                                      .dataset = attempt->dataset,
                                      .hidden = attempt->plan.rows_hidden,
                                      .connection = attempt->connection,
                                      .cancel = run->cancel,
                                      .arena = attempt->arena};
    enum lh_code code = write_select(attempt, group, &select, err);
    if (!code)
        code = data_file_copy(run->compactor->storage, attempt->connection, select, &options,
                              run->cancel, file, err);
    if (!code)
        code = compact_compare(&sums, group, &file->content, err);
    return code ? code : data_file_seal(file, attempt->connection, what, run->cancel, err);
}

/* Where all rows stay, all columns are the same and row groups are large already, the bytes are
 * copied, and known again as those of the parts when they are read back: then the sums of the rows
 * are those of the files' manifests. What does not read back as expected is for rewrite() to
 * decide. */
static enum lh_code join(struct attempt *attempt, const struct compact_group *group,
                         const struct data_file_part *parts, const char *what,
                         struct data_file *file, bool *ret_is_joined, struct lh_error *err)
{
    const struct compact_run *run = attempt->run;
    struct lh_error why = LH_ERROR_NONE;
    struct data_file_join joined = {.parts = parts,
                                    .count = group->count,
                                    .group_rows_min = GROUP_ROWS_MIN,
                                    .progress = show_rows,
                                    .context = attempt};
    *ret_is_joined = false;
    if (group->hidden || !compact_known_content(attempt->dataset, group, &joined.content))
        return LH_OK;
    enum lh_code code =
        data_file_join(run->compactor->storage, &joined, run->cancel, file, ret_is_joined, err);
    if (code || !*ret_is_joined)
        return code;
    code = data_file_seal(file, attempt->connection, what, run->cancel, &why);
    if (code != LH_IO && code != LH_UNREADABLE) {
        if (code && err)
            *err = why;
        return code;
    }
    lh_log_error(LH_LOG_WARN, "compact.join", &why);
    data_file_discard(file);
    *file = (struct data_file){0};
    *ret_is_joined = false;
    return LH_OK;
}

static enum lh_code write_file(struct attempt *attempt, const struct compact_group *group,
                               struct data_file *file, struct lh_error *err)
{
    char what[CATALOG_NAME_BYTES_MAX + 32];
    struct data_file_part *parts = NULL;
    bool is_joined = false;
    snprintf(what, sizeof what, "a merged file of '%.*s'", LH_ARG(attempt->dataset->name));
    enum lh_code code = trust_files(attempt, group, &parts, err);
    if (!code)
        code = join(attempt, group, parts, what, file, &is_joined, err);
    return code || is_joined ? code : rewrite(attempt, group, what, file, err);
}

static enum lh_code write_group(struct attempt *attempt, size_t index, struct lh_error *err)
{
    const struct compact_group *group = &attempt->plan.groups[index];
    const struct catalog_object *first = attempt->dataset->objects[group->first];
    struct data_file *file = &attempt->files[index];
    struct lh_uuid id = lh_uuid_new();
    enum lh_code code = write_file(attempt, group, file, err);
    if (code)
        return code;
    struct catalog_object *object = &attempt->objects[index];
    *object = (struct catalog_object){
        .bucket = first->bucket,
        .key = lh_arena_printf(attempt->arena, "datasets/%.*s/%s.parquet",
                               LH_ARG(attempt->dataset->id), id.text),
        .bytes = file->sum.bytes,
        .rows = group->rows - group->hidden,
        .content_hash = data_file_content_text(&file->content, attempt->arena),
        .schema = attempt->dataset->schema,
        .stands_for = first->key,
        .tombstones_through = attempt->dataset->tombstone_count ? attempt->dataset->version : 0,
    };
    memcpy(object->sha256, file->sum.sha256, sizeof object->sha256);
    code = take_sources(attempt, group, object, err);
    attempt->keys[index] = object->key;
    attempt->rows_before += group->rows;
    return code;
}

/* While files are there that no commit names yet, nobody takes them for leftovers. */
static enum lh_code hold_buckets(struct attempt *attempt, size_t *ret_held, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (*ret_held = 0; *ret_held < attempt->plan.group_count; ++*ret_held) {
        code = storage_bucket_hold(attempt->run->compactor->storage,
                                   attempt->objects[*ret_held].bucket, err);
        if (code)
            break;
    }
    return code;
}

static void let_go(struct attempt *attempt, size_t held)
{
    for (size_t i = 0; i < held; i++)
        storage_bucket_let_go(attempt->run->compactor->storage, attempt->objects[i].bucket);
}

static enum lh_code publish(struct attempt *attempt, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < attempt->plan.group_count && !code; i++)
        code = storage_staged_publish(attempt->files[i].staged, attempt->objects[i].bucket,
                                      attempt->objects[i].key, err);
    return code;
}

/* --- the commit */

static struct lh_str event_detail(const struct attempt *attempt,
                                  const struct query_compact_item *item)
{
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, DETAIL_BYTES_MAX);
    lh_json_init(&json, &buf);
    lh_json_object(&json);
    lh_json_put_int(&json, "files_before", item->files_before);
    lh_json_put_int(&json, "files_after", item->files_after);
    lh_json_put_int(&json, "bytes_before", item->bytes_before);
    lh_json_put_int(&json, "bytes_after", item->bytes_after.value);
    lh_json_put_int(&json, "rows", item->rows);
    lh_json_put_int(&json, "rows_dropped_by_tombstones", item->rows_dropped_by_tombstones);
    lh_json_put_int(&json, "rows_dropped_by_upserts", item->rows_dropped_by_upserts);
    lh_json_put_bool(&json, "is_automatic", attempt->run->is_automatic);
    lh_json_put_str(&json, "job_id", job_id(attempt->run->job));
    lh_json_object_end(&json);
    struct lh_str text = lh_arena_str(attempt->arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return text;
}

/* Where it is sure that nothing names them, the new files go now; else the next opening decides. */
static void trash(struct attempt *attempt, enum lh_code code)
{
    struct lh_error late = LH_ERROR_NONE;
    if (code == LH_UNKNOWN || code == LH_LOCKED)
        return;
    for (size_t i = 0; i < attempt->plan.group_count; i++)
        if (attempt->keys[i].len &&
            storage_trash(attempt->run->compactor->storage, attempt->objects[i].bucket,
                          &attempt->keys[i], 1, &late))
            lh_log_error(LH_LOG_WARN, "compact.trash", &late);
}

/* Tombstones that came while the files were written: rows of their keys are found in the new files
 * by whoever reads them. But a row that was left out and may be seen again is missing in them. */
static enum lh_code check_tombstones(struct attempt *attempt, uint64_t *ret_stamp,
                                     struct lh_error *err)
{
    struct catalog *catalog = attempt->run->compactor->catalog;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    const struct catalog_dataset *now = NULL;
    bool differ = false;
    enum lh_code code = catalog_find_id(snapshot, attempt->dataset->id, &now, err);
    if (!code)
        code = catalog_tombstones_differ(catalog, now, attempt->dataset, &differ, err);
    if (!code && differ)
        code =
            lh_fail(err, LH_RACE, "Deleted rows of '%.*s' came back while its files were merged.",
                    LH_ARG(attempt->dataset->name));
    if (!code)
        *ret_stamp = now->tombstone_stamp;
    catalog_snapshot_unref(snapshot);
    return code;
}

/* Who deletes again and again does not keep the files from being merged: only the tombstones are
 * looked at anew. */
static enum lh_code commit_change(struct attempt *attempt, struct catalog_change *change,
                                  struct catalog_commit_result *ret, struct lh_error *err)
{
    enum lh_code code = check_tombstones(attempt, &change->tombstone_stamp, err);
    for (int i = 0; i < STAMPS_MAX && !code; i++) {
        uint64_t stamp = 0;
        code = catalog_commit(attempt->run->compactor->catalog, change, attempt->arena, ret, err);
        if (code != LH_RACE)
            return code;
        code = check_tombstones(attempt, &stamp, err);
        if (!code && stamp == change->tombstone_stamp)
            return LH_RACE; /* of the files */
        change->tombstone_stamp = stamp;
    }
    return code ? code
                : lh_fail(err, LH_RACE, "Rows of '%.*s' are deleted all the time.",
                          LH_ARG(attempt->dataset->name));
}

static enum lh_code commit(struct attempt *attempt, struct query_compact_item *item,
                           struct lh_error *err)
{
    struct compact_run *run = attempt->run;
    const struct catalog_dataset *dataset = attempt->dataset;
    struct catalog_commit_result committed = {0};
    struct lh_str *removed =
        lh_arena_array(attempt->arena, attempt->plan.file_count + 1, sizeof *removed);
    size_t removed_count = 0;
    for (size_t i = 0; i < attempt->plan.group_count; i++)
        for (size_t k = 0; k < attempt->plan.groups[i].count; k++)
            removed[removed_count++] = dataset->objects[attempt->plan.groups[i].first + k]->key;
    const struct catalog_event event = {.entity = dataset->name,
                                        .action = lh_lit("compact"),
                                        .detail = event_detail(attempt, item)};
    struct catalog_change change = {
        .action = CATALOG_REWRITE,
        .dataset_id = dataset->id,
        .base_schema = dataset->schema,
        .objects = attempt->objects,
        .object_count = attempt->plan.group_count,
        .removed = removed,
        .removed_count = removed_count,
        .rows_dropped = attempt->plan.hidden,
        .actor = run->actor,
        .reason = run->reason,
        .job_id = run->is_alone ? job_id(run->job) : (struct lh_str){0},
        .result = run->is_alone ? compact_tell(run, item) : (struct lh_str){0},
        .events = &event,
        .event_count = 1,
    };
    enum lh_code code = commit_change(attempt, &change, &committed, err);
    if (!code)
        item->version = committed.version;
    if (code || committed.is_repeat)
        trash(attempt, code);
    return code;
}

/* --- one attempt */

static enum lh_code write_and_commit(struct attempt *attempt, struct query_compact_item *item,
                                     struct lh_error *err)
{
    size_t count = attempt->plan.group_count, held = 0;
    int64_t bytes = item->bytes_before - attempt->plan.bytes;
    attempt->files = lh_arena_array(attempt->arena, count, sizeof *attempt->files);
    attempt->objects = lh_arena_array(attempt->arena, count, sizeof *attempt->objects);
    attempt->keys = lh_arena_array(attempt->arena, count, sizeof *attempt->keys);
    memset(attempt->files, 0, count * sizeof *attempt->files);
    memset(attempt->keys, 0, count * sizeof *attempt->keys);
    enum lh_code code = check_space(attempt, err);
    if (!code)
        code = engine_acquire(attempt->run->compactor->engine, (struct lh_str){0},
                              attempt->run->cancel, &attempt->connection, err);
    for (size_t i = 0; i < count && !code; i++) {
        show(attempt, "merging", 0);
        code = write_group(attempt, i, err);
        bytes += attempt->files[i].sum.bytes;
    }
    if (!code)
        code = lh_cancel_fail(attempt->run->cancel, "The compaction", err);
    if (!code)
        code = hold_buckets(attempt, &held, err);
    if (!code) {
        show(attempt, "committing", 0);
        code = publish(attempt, err);
        if (code)
            trash(attempt, code);
    }
    if (!code) {
        item->bytes_after = (struct lh_opt_int){true, bytes};
        code = commit(attempt, item, err);
        attempt->run->rows_done += code ? 0 : attempt->plan.rows;
    }
    let_go(attempt, held);
    for (size_t i = 0; i < count; i++)
        data_file_discard(&attempt->files[i]);
    engine_release(attempt->connection);
    return code;
}

static enum lh_code try_once(struct compact_run *run, struct lh_str dataset_id,
                             struct query_compact_item *ret, struct lh_error *err)
{
    struct attempt attempt = {.run = run, .arena = lh_arena_new(0)};
    attempt.snapshot = catalog_snapshot_ref(run->compactor->catalog);
    enum lh_code code = catalog_find_id(attempt.snapshot, dataset_id, &attempt.dataset, err);
    if (!code)
        code = compact_look(run->compactor, attempt.snapshot, attempt.dataset, run->is_automatic,
                            run->cancel, attempt.arena, &attempt.plan, ret, err);
    if (!code && attempt.plan.group_count)
        code = write_and_commit(&attempt, ret, err);
    if (ret->dataset.len)
        ret->dataset = lh_arena_str(run->arena, ret->dataset);
    catalog_snapshot_unref(attempt.snapshot);
    lh_arena_free(attempt.arena);
    return code;
}

enum lh_code compact_dataset(struct compact_run *run, struct lh_str dataset_id,
                             struct query_compact_item *ret, struct lh_error *err)
{
    enum lh_code code = LH_RACE;
    int races = 0, failures = 0;
    while ((code == LH_RACE && races < RACES_MAX) || (code == LH_IO && failures < DISK_TRIES_MAX)) {
        *ret = (struct query_compact_item){0};
        code = try_once(run, dataset_id, ret, err);
        races += code == LH_RACE;
        failures += code == LH_IO;
    }
    return code;
}
