#include "storage/failures.h"

#include <stdlib.h>

#include "base/clock.h"
#include "storage/internal.h"

#define FOLDER "_errors"
#define FORMAT 1
#define PENDING_MAX ((size_t)256)
#define BATCHES_MAX ((size_t)64) /* more become one */
#define BATCH_BYTES_MAX ((size_t)32 << 20)

static const struct lh_field failure_rows[] = {
    LH_STR(struct storage_failure, id, .required = true,
           .doc = "Of the failure: the later, the "
                  "higher."),
    LH_TIME(struct storage_failure, at, .required = true, .doc = "When it first came."),
    LH_STR(struct storage_failure, bucket, .required = true, .doc = "That failed."),
    LH_STR(struct storage_failure, key, .doc = "Of the object."),
    LH_STR(struct storage_failure, operation, .required = true, .doc = "What was tried."),
    LH_STR(struct storage_failure, code, .required = true, .doc = "Of the error."),
    LH_STR(struct storage_failure, message, .required = true, .doc = "What was said."),
    LH_INT(struct storage_failure, times, .required = true, .min = 1, .doc = "In a row."),
};
const struct lh_fields storage_failure_fields =
    LH_FIELDS_OF(struct storage_failure, "StorageFailure", failure_rows);

struct batch {
    int64_t format;
    struct lh_list items; /* oldest first */
};
static const struct lh_field batch_rows[] = {
    LH_INT(struct batch, format, .required = true, .min = 1, .doc = "Of this file."),
    LH_LIST(struct batch, items, .fields = &storage_failure_fields, .doc = "Oldest first."),
};
static const struct lh_fields batch_fields =
    LH_FIELDS_OF(struct batch, "StorageFailures", batch_rows);

struct pending {
    struct lh_uuid id;
    int64_t at_ms, times;
    char bucket[STORAGE_BUCKET_NAME_BYTES_MAX + 1];
    char key[256];
    char operation[24];
    char message[LH_ERROR_MESSAGE_BYTES];
    enum lh_code code;
};

struct failures {
    pthread_mutex_t file_mutex; /* one thread reads or writes batches; taken before `mutex` */
    pthread_mutex_t mutex;      /* guards the rest */
    struct pending items[PENDING_MAX];
    size_t count;
};

enum lh_code failures_open(struct storage *storage, struct lh_error *err)
{
    storage->failures = calloc(1, sizeof *storage->failures);
    if (!storage->failures)
        return lh_fail(err, LH_BUSY, "There is no memory for what fails.");
    pthread_mutex_init(&storage->failures->file_mutex, NULL);
    pthread_mutex_init(&storage->failures->mutex, NULL);
    return LH_OK;
}

void failures_close(struct storage *storage)
{
    size_t count = 0;
    if (!storage->failures)
        return;
    if (storage->is_writable && storage->primary.state &&
        storage_failures_flush(storage, &count, NULL) != LH_OK)
        count = 0; /* they were logged */
    pthread_mutex_destroy(&storage->failures->file_mutex);
    pthread_mutex_destroy(&storage->failures->mutex);
    free(storage->failures);
    storage->failures = NULL;
}

static void copy_text(struct lh_str text, char *ret, size_t size)
{
    struct lh_str head = lh_str_head(text, size - 1);
    if (head.len)
        memcpy(ret, head.data, head.len);
    ret[head.len] = '\0';
}

void storage_failure_note(struct storage *storage, struct lh_str bucket, struct lh_str key,
                          const char *operation, const struct lh_error *err)
{
    struct failures *failures = storage->failures;
    struct pending fresh = {
        .id = lh_uuid_new(), .at_ms = lh_clock_unix_ms(), .times = 1, .code = err->code};
    if (!failures)
        return;
    copy_text(bucket, fresh.bucket, sizeof fresh.bucket);
    copy_text(key, fresh.key, sizeof fresh.key);
    copy_text(lh_str_of(operation), fresh.operation, sizeof fresh.operation);
    copy_text(lh_str_of(err->message), fresh.message, sizeof fresh.message);
    pthread_mutex_lock(&failures->mutex);
    struct pending *last = failures->count ? &failures->items[failures->count - 1] : NULL;
    bool is_again = last && last->code == fresh.code && strcmp(last->bucket, fresh.bucket) == 0 &&
                    strcmp(last->operation, fresh.operation) == 0 &&
                    strcmp(last->key, fresh.key) == 0;
    if (is_again || failures->count == PENDING_MAX)
        last->times++; /* full: that something failed is still told */
    else
        failures->items[failures->count++] = fresh;
    pthread_mutex_unlock(&failures->mutex);
}

static void view_of(const struct pending *pending, struct lh_arena *arena,
                    struct storage_failure *ret)
{
    *ret = (struct storage_failure){
        .id = lh_arena_str(arena, lh_uuid_str(&pending->id)),
        .at = {pending->at_ms},
        .bucket = lh_arena_str(arena, lh_str_of(pending->bucket)),
        .operation = lh_arena_str(arena, lh_str_of(pending->operation)),
        .code = lh_str_of(lh_error_row(pending->code)->id),
        .message = lh_arena_str(arena, lh_str_of(pending->message)),
        .times = pending->times,
    };
    if (pending->key[0])
        ret->key = lh_arena_str(arena, lh_str_of(pending->key));
}

/* --- batches, under file_mutex */

static enum lh_code read_batch(struct storage *storage, struct lh_str key, struct lh_arena *arena,
                               struct batch *ret, struct lh_error *err)
{
    struct lh_str text = {0};
    json_t *root = NULL;
    lh_fields_preset(&batch_fields, ret);
    enum lh_code code =
        storage_get(storage, STORAGE_PRIMARY, key, BATCH_BYTES_MAX, arena, &text, err);
    if (!code)
        code = lh_json_parse(text, "A batch of failures", BATCH_BYTES_MAX, &root, err);
    if (code)
        return code;
    lh_json_keep(root, arena);
    code = json_is_object(root) ? lh_fields_bind_json(&batch_fields, root, arena, ret, err)
                                : lh_fail(err, LH_DAMAGED, "A batch of failures is none.");
    if (!code)
        code = lh_fields_check(&batch_fields, ret, err);
    return code;
}

static enum lh_code write_batch(struct storage *storage, const struct storage_failure *items,
                                size_t count, struct lh_error *err)
{
    struct lh_uuid uuid = lh_uuid_new();
    struct lh_arena *arena = lh_arena_new(0);
    const struct batch batch = {.format = FORMAT, .items = {items, count}};
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, BATCH_BYTES_MAX);
    lh_json_init(&json, &buf);
    lh_fields_write(&batch_fields, &batch, &json);
    lh_buf_append_str(&buf, lh_lit("\n"));
    enum lh_code code = lh_buf_check(&buf, "A batch of failures", err);
    if (!code)
        code = storage_put_exclusive(storage, STORAGE_PRIMARY,
                                     lh_arena_printf(arena, FOLDER "/%s.json", uuid.text),
                                     lh_buf_str(&buf), err);
    lh_buf_release(&buf);
    lh_arena_free(arena);
    return code;
}

static enum lh_code list_batches(struct storage *storage, struct lh_arena *arena,
                                 struct storage_entry **ret, size_t *ret_count,
                                 struct lh_error *err)
{
    struct storage_entry *entries = NULL;
    size_t count = 0, kept = 0;
    enum lh_code code =
        storage_list(storage, STORAGE_PRIMARY, lh_lit(FOLDER), arena, &entries, &count, err);
    for (size_t i = 0; i < count; i++)
        if (!entries[i].is_folder && !entries[i].is_special)
            entries[kept++] = entries[i];
    *ret = entries;
    *ret_count = kept;
    return code;
}

/* The newest of all batches, oldest first, into one; the others go. */
static enum lh_code compact(struct storage *storage, struct storage_failures_compacted *ret,
                            struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_entry *entries = NULL;
    size_t count = 0, total = 0;
    *ret = (struct storage_failures_compacted){0};
    enum lh_code code = list_batches(storage, arena, &entries, &count, err);
    struct batch *batches = lh_arena_array(arena, count + 1, sizeof *batches);
    struct lh_str *keys = lh_arena_array(arena, count + 1, sizeof *keys);
    ret->batches_before = ret->batches_after = count;
    for (size_t i = 0; i < count && !code; i++) {
        keys[i] = entries[i].key;
        if (read_batch(storage, keys[i], arena, &batches[i], NULL))
            batches[i] = (struct batch){0}; /* nobody can read it: it goes with the others */
        total += batches[i].items.count;
    }
    if (code || count < 2)
        goto out;
    size_t skip = total > STORAGE_FAILURES_KEPT ? total - STORAGE_FAILURES_KEPT : 0;
    struct storage_failure *items = lh_arena_array(arena, total - skip + 1, sizeof *items);
    for (size_t i = 0; i < count; i++) {
        const struct storage_failure *from = batches[i].items.items;
        for (size_t k = 0; k < batches[i].items.count; k++) {
            if (ret->dropped < skip)
                ret->dropped++;
            else
                items[ret->kept++] = from[k];
        }
    }
    code = write_batch(storage, items, ret->kept, err);
    if (!code) /* a kill in between shows some of them twice, until the next time */
        code = storage_trash(storage, STORAGE_PRIMARY, keys, count, err);
    ret->batches_after = code ? count : 1;
out:
    lh_arena_free(arena);
    return code;
}

enum lh_code storage_failures_compact(struct storage *storage,
                                      struct storage_failures_compacted *ret, struct lh_error *err)
{
    pthread_mutex_lock(&storage->failures->file_mutex);
    enum lh_code code = compact(storage, ret, err);
    pthread_mutex_unlock(&storage->failures->file_mutex);
    return code;
}

static enum lh_code flush(struct storage *storage, size_t *ret_count, struct lh_error *err)
{
    struct failures *failures = storage->failures;
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_failures_compacted compacted;
    struct storage_entry *entries = NULL;
    size_t count = 0, batches = 0;
    pthread_mutex_lock(&failures->mutex);
    count = failures->count;
    struct storage_failure *items = lh_arena_array(arena, count + 1, sizeof *items);
    for (size_t i = 0; i < count; i++)
        view_of(&failures->items[i], arena, &items[i]);
    pthread_mutex_unlock(&failures->mutex);
    enum lh_code code = count ? write_batch(storage, items, count, err) : LH_OK;
    if (!code && count) { /* what came meanwhile stays */
        pthread_mutex_lock(&failures->mutex);
        failures->count -= count;
        memmove(failures->items, failures->items + count,
                failures->count * sizeof *failures->items);
        pthread_mutex_unlock(&failures->mutex);
        code = list_batches(storage, arena, &entries, &batches, err);
        if (!code && batches > BATCHES_MAX)
            code = compact(storage, &compacted, err);
    }
    lh_arena_free(arena);
    if (!code)
        *ret_count = count;
    return code;
}

enum lh_code storage_failures_flush(struct storage *storage, size_t *ret_count,
                                    struct lh_error *err)
{
    pthread_mutex_lock(&storage->failures->file_mutex);
    enum lh_code code = flush(storage, ret_count, err);
    pthread_mutex_unlock(&storage->failures->file_mutex);
    return code;
}

/* --- lists */

struct paging {
    struct lh_str bucket, after;
    size_t limit;
    struct storage_failures_page *page;
};

static void add(struct paging *paging, const struct storage_failure *failure)
{
    struct storage_failures_page *page = paging->page;
    if (paging->bucket.len && !lh_str_equal(failure->bucket, paging->bucket))
        return;
    if (paging->after.len && lh_str_compare(failure->id, paging->after) >= 0)
        return;
    if (page->count == paging->limit)
        page->has_more = true;
    else
        page->items[page->count++] = *failure;
}

enum lh_code storage_failures_list(struct storage *storage, struct lh_str bucket,
                                   struct lh_str after, size_t limit, struct lh_arena *arena,
                                   struct storage_failures_page *ret, struct lh_error *err)
{
    struct failures *failures = storage->failures;
    struct storage_failures_page page = {.items =
                                             lh_arena_array(arena, limit + 1, sizeof *page.items)};
    struct paging paging = {bucket, after, limit, &page};
    struct storage_entry *entries = NULL;
    size_t count = 0;
    pthread_mutex_lock(&failures->file_mutex);
    pthread_mutex_lock(&failures->mutex);
    for (size_t i = failures->count; i > 0; i--) {
        struct storage_failure failure;
        view_of(&failures->items[i - 1], arena, &failure);
        add(&paging, &failure);
    }
    pthread_mutex_unlock(&failures->mutex);
    enum lh_code code = list_batches(storage, arena, &entries, &count, err);
    for (size_t i = count; i > 0 && !code && !page.has_more; i--) {
        struct batch batch;
        if (read_batch(storage, entries[i - 1].key, arena, &batch, NULL)) {
            page.damaged++;
            continue;
        }
        const struct storage_failure *items = batch.items.items;
        for (size_t k = batch.items.count; k > 0; k--)
            add(&paging, &items[k - 1]);
    }
    pthread_mutex_unlock(&failures->file_mutex);
    if (!code)
        *ret = page;
    return code;
}
