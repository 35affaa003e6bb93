#include "catalog/move.h"

#include <stdlib.h>

#include "base/log.h"
#include "catalog/internal.h"
#include "catalog/moment.h"
#include "storage/buckets.h"
#include "storage/held.h"

#define ROUNDS_MAX 16 /* of listing again what came meanwhile */

struct moved_file {
    struct lh_str bucket, key;
    struct storage_sum sum;
    bool is_done;
};
/* What is to be moved of a dataset at one version. */
struct move_plan {
    struct lh_arena *arena;
    struct moved_file *files; /* each once, by key */
    size_t count, capacity;
    struct lh_str id, name;
    int64_t version, retained;
};
struct move_run {
    struct catalog *catalog;
    const struct catalog_move_options *options;
    struct lh_arena *arena; /* of the done keys */
    struct move_plan done;  /* what was copied; only its files */
    struct catalog_move result;
    int64_t bytes_done, files_done;
    int64_t bytes_total, files_total;
};

/* --- what there is to move */

static int compare_files(const void *a, const void *b)
{
    return lh_str_compare(((const struct moved_file *)a)->key, ((const struct moved_file *)b)->key);
}

static void add_file(struct move_plan *plan, const struct moved_file *file)
{
    if (plan->count == plan->capacity) {
        size_t capacity = plan->capacity ? plan->capacity * 2 : 64;
        struct moved_file *files = lh_arena_array(plan->arena, capacity, sizeof *files);
        if (plan->count)
            memcpy(files, plan->files, plan->count * sizeof *files);
        plan->files = files;
        plan->capacity = capacity;
    }
    struct moved_file *added = &plan->files[plan->count++];
    *added = *file;
    added->bucket = lh_arena_str(plan->arena, file->bucket);
    added->key = lh_arena_str(plan->arena, file->key);
}

/* A file that a version names: `version` says how far its bucket is true. */
static void add_object(struct move_plan *plan, const struct catalog_move_options *options,
                       const struct catalog_dataset *now, const struct catalog_object *object,
                       int64_t version)
{
    struct moved_file file = {
        .bucket = object_place(object, version, now->moves, now->move_count),
        .key = object->key,
        .sum.bytes = object->bytes,
    };
    memcpy(file.sum.sha256, object->sha256, sizeof file.sum.sha256);
    if (!lh_str_equal(file.bucket, options->to) &&
        (!options->from.len || lh_str_equal(file.bucket, options->from)))
        add_file(plan, &file);
}

static void sort_plan(struct move_plan *plan)
{
    size_t kept = 0;
    if (plan->count)
        qsort(plan->files, plan->count, sizeof *plan->files, compare_files);
    for (size_t i = 0; i < plan->count; i++)
        if (!kept || compare_files(&plan->files[kept - 1], &plan->files[i]) != 0)
            plan->files[kept++] = plan->files[i];
    plan->count = kept;
}

/* The oldest version whole, and what each later one added. */
static enum lh_code list_versions(struct catalog *catalog,
                                  const struct catalog_move_options *options,
                                  const struct catalog_dataset *now, struct move_plan *plan,
                                  struct lh_error *err)
{
    struct lh_arena *scratch = lh_arena_new(0), *arena = lh_arena_new(0);
    struct chain_head oldest = {0};
    struct chain_file *files = NULL;
    size_t count = 0;
    enum lh_code code = chain_replay(catalog->storage, now->id, plan->retained, &oldest, err);
    for (size_t i = 0; !code && i < oldest.state->view.object_count; i++)
        add_object(plan, options, now, oldest.state->view.objects[i], plan->retained);
    state_unref(oldest.state);
    if (!code)
        code = chain_list(catalog->storage, now->id, arena, &files, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        struct manifest manifest;
        if (files[i].is_checkpoint || files[i].version <= plan->retained ||
            files[i].version > now->version)
            continue;
        lh_arena_clear(scratch);
        code = chain_read(catalog->storage, now->id, files[i], scratch, &manifest, err);
        for (size_t k = 0; !code && k < manifest.added.count; k++)
            add_object(plan, options, now, &manifest.added.items[k], manifest.version);
        if (!code)
            code = lh_cancel_fail(options->cancel, "The move", err);
    }
    lh_arena_free(arena);
    lh_arena_free(scratch);
    return code;
}

/* What a dropped dataset held may have expired: then it has nothing. */
static enum lh_code plan_state(struct catalog *catalog, const struct catalog_move_options *options,
                               const struct dataset_state *state, struct move_plan *plan,
                               struct lh_error *err)
{
    const struct catalog_dataset *now = &state->view;
    if (state->damage)
        return state_fail_damaged(state, err);
    plan->id = lh_arena_str(plan->arena, now->id);
    plan->name = lh_arena_str(plan->arena, now->name);
    plan->version = now->version;
    plan->retained = now->retained_version ? now->retained_version : 1;
    enum lh_code code = list_versions(catalog, options, now, plan, err);
    sort_plan(plan);
    return code;
}

static enum lh_code make_plan(struct catalog *catalog, const struct catalog_move_options *options,
                              struct move_plan *plan, struct lh_error *err)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    size_t place = snapshot_find_id(snapshot, options->dataset_id);
    plan->count = plan->capacity = 0;
    enum lh_code code =
        place == SIZE_MAX ? lh_fail(err, LH_NOT_FOUND, "The dataset was dropped, or never existed.")
                          : plan_state(catalog, options, snapshot->items[place], plan, err);
    catalog_snapshot_unref(snapshot);
    return code;
}

enum lh_code move_list_elsewhere(struct catalog *catalog, const struct dataset_state *state,
                                 struct lh_arena *arena, struct storage_placed **ret,
                                 size_t *ret_count, struct lh_error *err)
{
    const struct catalog_move_options options = {.to = STORAGE_PRIMARY};
    struct move_plan plan = {.arena = lh_arena_new(0)};
    enum lh_code code = plan_state(catalog, &options, state, &plan, err);
    struct storage_placed *files = lh_arena_array(arena, plan.count + 1, sizeof *files);
    for (size_t i = 0; i < plan.count && !code; i++) {
        files[i] = (struct storage_placed){.bucket = lh_arena_str(arena, plan.files[i].bucket),
                                           .key = lh_arena_str(arena, plan.files[i].key),
                                           .bytes = plan.files[i].sum.bytes};
        memcpy(files[i].sha256, plan.files[i].sum.sha256, sizeof files[i].sha256);
    }
    *ret = files;
    *ret_count = plan.count;
    lh_arena_free(plan.arena);
    return code;
}

/* --- space */

#define FREE_BYTES_MIN ((int64_t)4 << 20) /* that stay free for all else */

static enum lh_code fail_space(const struct move_run *run, const struct move_plan *plan,
                               struct lh_str bucket, int64_t needed, int64_t free_bytes,
                               struct lh_error *err)
{
    lh_fail(err, LH_FULL,
            "Only %lld MB are free where the bucket '%.*s' lies; to move '%.*s' to '%.*s' needs "
            "about %lld MB there.",
            (long long)(free_bytes >> 20), LH_ARG(bucket), LH_ARG(plan->name),
            LH_ARG(run->options->to), (long long)((needed + (1 << 20) - 1) >> 20));
    return lh_error_hint(err, "Make room there; nothing was changed.");
}

/* Of what an earlier move that was killed has copied there, nothing is needed again. The largest
 * file is in the data folder, too, on its way. */
static enum lh_code check_space(const struct move_run *run, const struct move_plan *plan,
                                struct lh_error *err)
{
    struct storage *storage = run->catalog->storage;
    struct lh_str to = run->options->to;
    int64_t needed = FREE_BYTES_MIN, largest = FREE_BYTES_MIN, free_bytes = INT64_MAX;
    for (size_t i = 0; i < plan->count; i++) {
        const struct moved_file *file = &plan->files[i];
        struct storage_info info;
        bool is_there = !storage_is_remote(storage, to) &&
                        !storage_info(storage, to, file->key, &info, NULL) &&
                        info.bytes == file->sum.bytes;
        needed += is_there ? 0 : file->sum.bytes;
        if (file->sum.bytes + FREE_BYTES_MIN > largest)
            largest = file->sum.bytes + FREE_BYTES_MIN;
    }
    enum lh_code code = storage_bucket_free_bytes(storage, to, &free_bytes, err);
    if (!code && free_bytes < needed)
        return fail_space(run, plan, to, needed, free_bytes, err);
    if (!code)
        code = storage_free_bytes(storage, &free_bytes, err);
    if (!code && free_bytes < largest)
        return fail_space(run, plan, STORAGE_PRIMARY, largest, free_bytes, err);
    return code;
}

/* --- copying */

static void tell(struct move_run *run)
{
    const struct catalog_move_options *options = run->options;
    if (options->progress)
        options->progress(options->context, run->files_done, run->files_total, run->bytes_done,
                          run->bytes_total);
}

static bool is_copied(const struct move_run *run, const struct moved_file *file)
{
    return run->done.count &&
           bsearch(file, run->done.files, run->done.count, sizeof *file, compare_files);
}

/* How much of the plan is yet to be copied. */
static size_t count_new(struct move_run *run, const struct move_plan *plan)
{
    size_t count = 0;
    int64_t bytes = 0;
    for (size_t i = 0; i < plan->count; i++)
        if (!is_copied(run, &plan->files[i])) {
            count++;
            bytes += plan->files[i].sum.bytes;
        }
    run->files_total = run->files_done + (int64_t)count;
    run->bytes_total = run->bytes_done + bytes;
    return count;
}

static enum lh_code copy_files(struct move_run *run, struct move_plan *plan, struct lh_error *err)
{
    const struct catalog_move_options *options = run->options;
    enum lh_code code = LH_OK;
    tell(run);
    for (size_t i = 0; i < plan->count && !code; i++) {
        struct moved_file *file = &plan->files[i];
        if (is_copied(run, file))
            continue;
        code = lh_cancel_fail(options->cancel, "The move", err);
        if (!code)
            code = storage_copy(run->catalog->storage, file->bucket, options->to, file->key,
                                &file->sum, options->cancel, err);
        if (code)
            break;
        file->is_done = true;
        run->files_done++;
        run->bytes_done += file->sum.bytes;
        tell(run);
    }
    for (size_t i = 0; i < plan->count; i++)
        if (plan->files[i].is_done)
            add_file(&run->done, &plan->files[i]);
    sort_plan(&run->done);
    return code;
}

/* Copies until nothing is listed that was not copied; *plan is the last list. A version may expire
 * while its files are copied: then one is looked for in vain, and the next list lacks it. */
static enum lh_code copy_all(struct move_run *run, struct move_plan *plan, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (int i = 0; i < ROUNDS_MAX && !code; i++) {
        struct lh_error own = LH_ERROR_NONE;
        int64_t retained = plan->retained;
        enum lh_code copied = copy_files(run, plan, &own);
        if (!copied || copied == LH_DAMAGED)
            code = make_plan(run->catalog, run->options, plan, err);
        if (copied && (copied != LH_DAMAGED || code || plan->retained == retained)) {
            if (err)
                *err = own;
            return copied;
        }
        if (!code && !count_new(run, plan))
            return LH_OK;
    }
    if (code)
        return code;
    lh_fail(err, LH_RACE, "Dataset '%.*s' grows faster than it can be moved.", LH_ARG(plan->name));
    return lh_error_hint(err, "Move it when less is written to it.");
}

/* --- the commit */

static struct lh_str result_text(const struct move_run *run, const struct move_plan *plan,
                                 struct lh_arena *arena)
{
    struct lh_buf buf;
    struct lh_json json;
    int64_t bytes = 0;
    for (size_t i = 0; i < plan->count; i++)
        bytes += plan->files[i].sum.bytes;
    lh_buf_init(&buf, 4096);
    lh_json_init(&json, &buf);
    lh_json_object(&json);
    lh_json_put_int(&json, "bytes", bytes);
    lh_json_put_int(&json, "files", (int64_t)plan->count);
    if (run->options->from.len)
        lh_json_put_str(&json, "from", run->options->from);
    lh_json_put_str(&json, "to", run->options->to);
    lh_json_object_end(&json);
    struct lh_str text = lh_arena_str(arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return text;
}

/* One for each bucket that something was copied from. */
static size_t list_moves(const struct move_run *run, const struct move_plan *plan,
                         struct lh_arena *arena, struct catalog_moved **ret)
{
    struct catalog_moved *moves = lh_arena_array(arena, STORAGE_BUCKETS_MAX, sizeof *moves);
    size_t count = 0;
    for (size_t i = 0; i < plan->count; i++) {
        bool is_known = false;
        for (size_t k = 0; k < count && !is_known; k++)
            is_known = lh_str_equal(moves[k].from, plan->files[i].bucket);
        if (!is_known && count < STORAGE_BUCKETS_MAX)
            moves[count++] = (struct catalog_moved){
                .from = plan->files[i].bucket, .to = run->options->to, .through = plan->version};
    }
    *ret = moves;
    return count;
}

/* Later versions do no harm: what they brought is not of the move. */
static enum lh_code commit(struct move_run *run, const struct move_plan *plan, struct lh_error *err)
{
    const struct catalog_move_options *options = run->options;
    struct lh_arena *arena = lh_arena_new(0);
    struct catalog_moved *moves = NULL;
    struct catalog_commit_result result;
    struct lh_str detail = result_text(run, plan, arena);
    const struct catalog_event event = {plan->name, lh_lit("move"), detail};
    struct catalog_change change = {
        .action = CATALOG_MOVE,
        .dataset_id = plan->id,
        .actor = options->actor,
        .reason = options->reason,
        .result = detail,
        .events = &event,
        .event_count = 1,
    };
    if (!run->result.file_count)
        change.job_id = options->job_id;
    change.move_count = list_moves(run, plan, arena, &moves);
    change.moves = moves;
    enum lh_code code = catalog_commit(run->catalog, &change, arena, &result, err);
    if (!code) {
        run->result.version = result.version;
        run->result.file_count += (int64_t)plan->count;
        for (size_t i = 0; i < plan->count; i++)
            run->result.byte_count += plan->files[i].sum.bytes;
    }
    lh_arena_free(arena);
    return code;
}

static enum lh_code move_all(struct move_run *run, struct lh_error *err)
{
    struct move_plan plan = {.arena = run->arena};
    enum lh_code code = make_plan(run->catalog, run->options, &plan, err);
    if (code)
        return code;
    run->result.dataset_id = plan.id;
    run->result.name = plan.name;
    run->result.version = plan.version;
    if (plan.count && !run->options->is_dry_run)
        code = check_space(run, &plan, err);
    for (int i = 0; i < ROUNDS_MAX && !code && plan.count; i++) {
        if (run->options->is_dry_run)
            break;
        (void)count_new(run, &plan);
        code = copy_all(run, &plan, err);
        if (!code && plan.count)
            code = commit(run, &plan, err);
        if (!code)
            code = make_plan(run->catalog, run->options, &plan, err);
    }
    if (!code && run->options->is_dry_run) {
        run->result.file_count = (int64_t)plan.count;
        for (size_t i = 0; i < plan.count; i++)
            run->result.byte_count += plan.files[i].sum.bytes;
    } else if (!code) {
        run->result.left_count = (int64_t)plan.count;
    }
    return code;
}

/* --- the door */

/* It will be gone on with, by this process or the next: copies serve it. */
static bool is_to_be_resumed(enum lh_code code)
{
    return code == LH_STOPPING || code == LH_UNKNOWN || code == LH_LOCKED;
}

static enum lh_code move_claimed(struct move_run *run, struct lh_error *err)
{
    struct catalog *catalog = run->catalog;
    struct lh_error late = LH_ERROR_NONE;
    struct moving moving = {.dataset_id = run->options->dataset_id, .to = run->options->to};
    enum lh_code code = retention_begin_move(catalog, &moving, moving.dataset_id, err);
    if (code)
        return code;
    code = move_all(run, err);
    retention_end_move(catalog, &moving);
    /* What readers hold yet goes when they have ended, with what expires. */
    if (!is_to_be_resumed(code) && retention_tidy(catalog, moving.dataset_id, moving.to, &late))
        lh_log_error(LH_LOG_WARN, "catalog.move", &late);
    return code;
}

enum lh_code catalog_move(struct catalog *catalog, const struct catalog_move_options *options,
                          struct lh_arena *arena, struct catalog_move *ret, struct lh_error *err)
{
    struct move_run run = {.catalog = catalog, .options = options, .arena = lh_arena_new(0)};
    run.done.arena = run.arena;
    enum lh_code code = storage_bucket_check(catalog->storage, options->to, err);
    if (!code && options->is_dry_run) {
        code = move_all(&run, err);
    } else if (!code && !(code = storage_bucket_hold(catalog->storage, options->to, err))) {
        code = move_claimed(&run, err);
        storage_bucket_let_go(catalog->storage, options->to);
    }
    if (!code) {
        *ret = run.result;
        ret->dataset_id = lh_arena_str(arena, run.result.dataset_id);
        ret->name = lh_arena_str(arena, run.result.name);
    }
    lh_arena_free(run.arena);
    return code;
}

enum lh_code catalog_list_in_bucket(struct catalog *catalog, struct lh_str bucket,
                                    struct lh_arena *arena, struct lh_str_list *ret,
                                    struct lh_error *err)
{
    const struct catalog_move_options options = {.from = bucket};
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    struct lh_str *ids = lh_arena_array(arena, snapshot->item_count + 1, sizeof *ids);
    size_t count = 0;
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < snapshot->item_count && !code; i++) {
        struct move_plan plan = {.arena = lh_arena_new(0)};
        const struct dataset_state *state = snapshot->items[i];
        /* A damaged one is told when it is to be moved; what expired whole has nothing. */
        bool is_in = state->damage;
        if (!is_in)
            code = plan_state(catalog, &options, state, &plan, err);
        if (is_in || plan.count)
            ids[count++] = lh_arena_str(arena, state->view.id);
        lh_arena_free(plan.arena);
    }
    catalog_snapshot_unref(snapshot);
    *ret = (struct lh_str_list){ids, count};
    return code;
}
