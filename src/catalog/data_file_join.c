/* Data files put behind one another without decoding them.
 *
 * Places in a footer are relative to the file's start, so a body that moves as a whole moves all of
 * its places by the same number: bodies are copied whole, with what lies between row groups. Every
 * part is summed on its way through and compared with what was committed, for statistics and
 * filters are carried over too, and no reading back of rows would find damage in those. */
#include "catalog/data_file.h"

#include <assert.h>
#include <stdlib.h>

#include "base/file.h"
#include "catalog/parquet_footer.h"

#define COPY_BYTES ((size_t)1 << 20)
#define FOOTER_BYTES_MAX ((size_t)64 << 20)     /* of all parts, */
#define JOINED_BYTES_MAX (2 * FOOTER_BYTES_MAX) /* and of what they become: numbers grow */

struct joining {
    const struct data_file_join *join;
    struct storage *storage;
    const struct lh_cancel *cancel;
    struct lh_arena *arena;
    struct lh_str *ends; /* footer and tail of each part */
    struct parquet_footer *footers;
    size_t footer_bytes;
    struct data_file *file;
    int64_t rows; /* that are copied */
};

static enum lh_code fail_changed(const struct data_file_part *part, struct lh_error *err)
{
    return lh_fail(err, LH_DAMAGED,
                   "The data file '%.*s' is not what was written: its checksum differs.",
                   LH_ARG(part->key));
}

static enum lh_code read_whole(int fd, const struct data_file_part *part, void *bytes, size_t count,
                               int64_t at, struct lh_error *err)
{
    size_t got = 0;
    enum lh_code code = lh_file_read_at(fd, bytes, count, at, &got, err);
    return code || got == count ? code : fail_changed(part, err);
}

static enum lh_code read_end(struct joining *joining, int fd, size_t index, bool *ret_is_fit,
                             struct lh_error *err)
{
    const struct data_file_part *part = &joining->join->parts[index];
    uint8_t tail[PARQUET_TAIL_BYTES] = {0};
    *ret_is_fit = false;
    if (part->bytes < (int64_t)(PARQUET_MARK_BYTES + PARQUET_TAIL_BYTES))
        return LH_OK;
    enum lh_code code =
        read_whole(fd, part, tail, sizeof tail, part->bytes - (int64_t)sizeof tail, err);
    if (code)
        return code;
    size_t len = parquet_footer_len(tail);
    int64_t body_end = part->bytes - (int64_t)sizeof tail - (int64_t)len;
    joining->footer_bytes += len;
    if (len == 0 || body_end < (int64_t)PARQUET_MARK_BYTES ||
        joining->footer_bytes > FOOTER_BYTES_MAX)
        return LH_OK;
    char *bytes = lh_arena_try(joining->arena, len + sizeof tail);
    if (!bytes)
        return lh_fail(err, LH_BUSY, "There is no memory to merge files.");
    code = read_whole(fd, part, bytes, len + sizeof tail, body_end, err);
    joining->ends[index] = (struct lh_str){bytes, len + sizeof tail};
    struct parquet_footer *footer = &joining->footers[index];
    if (!code)
        *ret_is_fit = parquet_footer_read((struct lh_str){bytes, len}, body_end, footer) &&
                      footer->rows == part->rows &&
                      parquet_footer_fits(&joining->footers[0], footer);
    return code;
}

static enum lh_code read_ends(struct joining *joining, bool *ret_are_fit, struct lh_error *err)
{
    const struct data_file_join *join = joining->join;
    enum lh_code code = LH_OK;
    size_t group_count = 0;
    int64_t rows = 0;
    *ret_are_fit = true;
    for (size_t i = 0; i < join->count && *ret_are_fit && !code; i++) {
        int fd = -1;
        code = lh_file_open_path(join->parts[i].path, &fd, err);
        if (!code)
            code = read_end(joining, fd, i, ret_are_fit, err);
        lh_file_abandon(fd); /* only read */
        group_count += joining->footers[i].group_count;
        rows += joining->footers[i].rows;
    }
    *ret_are_fit &= !code && (int64_t)group_count <= rows / join->group_rows_min;
    return code;
}

static enum lh_code copy_body(struct joining *joining, int fd, size_t index, uint8_t *bytes,
                              struct lh_sha256 *sum, struct lh_error *err)
{
    const struct data_file_part *part = &joining->join->parts[index];
    struct storage_staged *staged = joining->file->staged;
    int64_t end = joining->footers[index].body_end;
    size_t skipped = index ? PARQUET_MARK_BYTES : 0;
    enum lh_code code = LH_OK;
    for (int64_t at = 0; at < end && !code;) {
        size_t count = end - at < (int64_t)COPY_BYTES ? (size_t)(end - at) : COPY_BYTES;
        code = lh_cancel_fail(joining->cancel, "Merging files", err);
        if (!code)
            code = read_whole(fd, part, bytes, count, at, err);
        if (code)
            return code;
        lh_sha256_add(sum, bytes, count);
        code = storage_staged_write(staged, bytes + skipped, count - skipped, err);
        skipped = 0;
        at += (int64_t)count;
    }
    return code;
}

static enum lh_code copy_part(struct joining *joining, size_t index, uint8_t *bytes,
                              struct lh_error *err)
{
    const struct data_file_part *part = &joining->join->parts[index];
    struct lh_sha256 *sum = lh_sha256_new();
    uint8_t found[LH_SHA256_BYTES];
    int fd = -1;
    enum lh_code code = lh_file_open_path(part->path, &fd, err);
    if (!code)
        code = copy_body(joining, fd, index, bytes, sum, err);
    lh_file_abandon(fd); /* only read */
    if (!code) {
        lh_sha256_add(sum, joining->ends[index].data, joining->ends[index].len);
        lh_sha256_finish(sum, found);
        if (memcmp(found, part->sha256, sizeof found) != 0)
            code = fail_changed(part, err);
    }
    lh_sha256_free(sum);
    joining->rows += part->rows;
    if (!code && joining->join->progress)
        joining->join->progress(joining->join->context, joining->rows);
    return code;
}

static enum lh_code write_all(struct joining *joining, struct lh_error *err)
{
    struct lh_buf end;
    uint8_t *bytes = malloc(COPY_BYTES);
    lh_buf_init(&end, JOINED_BYTES_MAX);
    enum lh_code code = bytes ? LH_OK : lh_fail(err, LH_BUSY, "There is no memory to merge files.");
    if (!code) {
        parquet_footer_join(joining->footers, joining->join->count, &end);
        code = lh_buf_check(&end, "The footer of the merged file", err);
    }
    if (!code)
        code = storage_stage(joining->storage, lh_lit(".parquet"), &joining->file->staged, err);
    for (size_t i = 0; i < joining->join->count && !code; i++)
        code = copy_part(joining, i, bytes, err);
    if (!code)
        code = storage_staged_write(joining->file->staged, end.data, end.len, err);
    lh_buf_release(&end);
    free(bytes);
    return code;
}

enum lh_code data_file_join(struct storage *storage, const struct data_file_join *join,
                            const struct lh_cancel *cancel, struct data_file *ret,
                            bool *ret_is_joined, struct lh_error *err)
{
    struct joining joining = {
        .join = join, .storage = storage, .cancel = cancel, .arena = lh_arena_new(0), .file = ret};
    bool are_fit = false;
    assert(join->count > 0 && join->group_rows_min > 0);
    joining.ends = lh_arena_array(joining.arena, join->count, sizeof *joining.ends);
    joining.footers = lh_arena_array(joining.arena, join->count, sizeof *joining.footers);
    memset(joining.footers, 0, join->count * sizeof *joining.footers);
    enum lh_code code = read_ends(&joining, &are_fit, err);
    if (!code && are_fit)
        code = write_all(&joining, err);
    ret->content = join->content;
    *ret_is_joined = !code && are_fit;
    lh_arena_free(joining.arena);
    return code;
}
