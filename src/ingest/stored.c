/* Parquet that is stored already. A key is its owner's: another object may come under it, or none,
 * at any time. So a dataset never refers to one: what is read is a copy of the object as it was
 * found, its rows become a data file of the dataset's own, and the object stays what it was. */
#include "base/file.h"
#include "base/hash.h"
#include "ingest/internal.h"
#include "storage/objects.h"

#include <stdlib.h>

#define COPY_BYTES ((size_t)1 << 20)

static const struct ingest_object *object_at(const struct task *task, size_t i)
{
    return (const struct ingest_object *)task->args.objects.items + i;
}

static enum lh_code check_once(const struct task *task, size_t at, struct lh_error *err)
{
    const struct ingest_object *object = object_at(task, at);
    for (size_t i = 0; i < at; i++)
        if (lh_str_equal(object_at(task, i)->key, object->key) &&
            lh_str_equal(object_at(task, i)->bucket, object->bucket)) {
            lh_fail(err, LH_INVALID, "%.*s is named twice: its rows would come twice.",
                    LH_ARG(task->stored_files[at].name));
            return lh_error_field(err, lh_lit("objects"));
        }
    return LH_OK;
}

/* What they are together, for the dataset's lineage. */
static void describe(struct task *task, int64_t bytes, const struct lh_buf *etags)
{
    const struct ingest_object *first = object_at(task, 0);
    size_t count = task->args.objects.count;
    struct lh_str name =
        lh_arena_printf(task->arena, "%.*s/%.*s", LH_ARG(first->bucket), LH_ARG(first->key));
    task->input.bytes = bytes;
    task->input.filename =
        count > 1 ? lh_arena_printf(task->arena, "%.*s and %zu more", LH_ARG(name), count - 1)
                  : name;
    lh_sha256_of(lh_buf_str(etags), task->input.sha256);
}

enum lh_code stored_find(struct task *task, struct lh_error *err)
{
    size_t count = task->args.objects.count;
    int64_t bytes = 0;
    struct lh_buf etags;
    enum lh_code code = LH_OK;
    lh_buf_init(&etags, INGEST_OBJECTS_MAX * (LH_SHA256_HEX_BYTES + 2));
    task->stored_files = lh_arena_array(task->arena, count, sizeof(*task->stored_files));
    for (size_t i = 0; i < count && !code; i++) {
        const struct ingest_object *object = object_at(task, i);
        struct object_info info;
        task->stored_files[i].name =
            lh_arena_printf(task->arena, "The object '%.*s' of the bucket '%.*s'",
                            LH_ARG(lh_str_head(object->key, 300)), LH_ARG(object->bucket));
        code = check_once(task, i, err);
        if (!code)
            code = objects_get(task->ingest->objects, object->bucket, object->key, task->arena,
                               &info, err);
        if (!code) {
            bytes += info.bytes;
            task->stored_files[i].etag = info.etag;
            lh_buf_append_str(&etags, info.etag);
        }
    }
    if (!code)
        code = lh_buf_check(&etags, "The list of objects", err);
    if (!code)
        describe(task, bytes, &etags);
    lh_buf_release(&etags);
    return code == LH_INVALID || code == LH_NOT_FOUND ? lh_error_field(err, lh_lit("objects"))
                                                      : code;
}

static enum lh_code copy_bytes(struct task *task, int fd, struct storage_staged *staged,
                               struct lh_sha256 *hash, struct lh_error *err)
{
    char *space = lh_allocate(COPY_BYTES, 1);
    int64_t at = 0;
    size_t got = 1;
    enum lh_code code = LH_OK;
    while (!code && got) {
        code = lh_cancel_fail(task->cancel, "The ingest", err);
        if (!code)
            code = lh_file_read_at(fd, space, COPY_BYTES, at, &got, err);
        if (!code && got) {
            lh_sha256_add(hash, space, got);
            code = storage_staged_write(staged, space, got, err);
            at += (int64_t)got;
        }
    }
    free(space);
    return code;
}

/* The bytes that are read are those that the object's tag is the checksum of. */
static enum lh_code stage(struct task *task, size_t at, struct lh_error *err)
{
    const struct ingest_object *object = object_at(task, at);
    struct stored *file = &task->stored_files[at];
    struct storage_staged *staged = NULL;
    struct object_info info;
    struct lh_sha256 *hash = lh_sha256_new();
    uint8_t sum[LH_SHA256_BYTES];
    char hex[LH_SHA256_HEX_BYTES + 1];
    int fd = -1;
    enum lh_code code = objects_read(task->ingest->objects, object->bucket, object->key,
                                     task->arena, &info, &fd, err);
    if (!code && !lh_str_equal(info.etag, file->etag))
        code = lh_fail(err, LH_RACE, "%.*s was replaced meanwhile.", LH_ARG(file->name));
    if (!code)
        code = task_stage(task, lh_lit(".stored"), &staged, err);
    if (!code)
        code = copy_bytes(task, fd, staged, hash, err);
    lh_sha256_finish(hash, sum);
    lh_sha256_free(hash);
    lh_file_abandon(fd);
    lh_hex(sum, sizeof(sum), hex);
    if (!code && !lh_str_equal(lh_arena_printf(task->arena, "\"%s\"", hex), file->etag))
        code = lh_fail(err, LH_DAMAGED, "%.*s is not what was put there.", LH_ARG(file->name));
    if (!code)
        file->path = storage_staged_path(staged);
    return code;
}

enum lh_code stored_stage(struct task *task, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < task->args.objects.count && !code; i++)
        code = stage(task, i, err);
    for (size_t i = 0; i < ingest_source_count; i++)
        if (ingest_sources[i].format == FORMAT_PARQUET)
            task->source = &ingest_sources[i];
    return code;
}
