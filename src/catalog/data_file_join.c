/* Data files put behind one another without decoding them.
 *
 * Places in a footer are relative to the file's start, so a body that moves as a whole moves all of
 * its places by the same number: bodies are copied whole, with what lies between row groups.
 *
 *   copied ─▶ durable ─▶ read back: the body of each part with the part's own footer behind it has
 *   the sum that the part was committed with ─▶ the engine finds in the new footer what it finds in
 *   the old ones, each place moved as far as its body was
 *
 * So every byte that a row, a statistic or a filter is made of is what was committed, and is found
 * where it is. Decoding all rows to sum them up again would show less (no statistics, no order) and
 * take three times as long as everything else together. */
#include <assert.h>
#include <stdlib.h>

#include "base/file.h"
#include "catalog/data_file_joined.h"
#include "catalog/parquet_footer.h"
#include "engine/joined.h"
#include "storage/witness.h"

#define COPY_BYTES ((size_t)1 << 20)
#define FOOTER_BYTES_MAX ((size_t)64 << 20)     /* of all parts, */
#define JOINED_BYTES_MAX (2 * FOOTER_BYTES_MAX) /* and of what they become: numbers grow */

struct data_file_joined {
    struct lh_arena *arena;
    const struct data_file_part *parts; /* the caller's */
    size_t count;
    struct lh_str *ends; /* footer and tail of each part */
    struct parquet_footer *footers;
    size_t footer_bytes;
    struct lh_buf end; /* footer and tail of the whole */
};

struct joining {
    const struct data_file_join *join;
    const struct lh_cancel *cancel;
    struct data_file_joined *joined;
    struct storage_staged *staged;
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

static enum lh_code read_end(struct data_file_joined *joined, int fd, size_t index,
                             bool *ret_is_fit, struct lh_error *err)
{
    const struct data_file_part *part = &joined->parts[index];
    uint8_t tail[PARQUET_TAIL_BYTES] = {0}, mark[PARQUET_MARK_BYTES] = {0};
    *ret_is_fit = false;
    if (part->bytes < (int64_t)(PARQUET_MARK_BYTES + PARQUET_TAIL_BYTES))
        return LH_OK;
    enum lh_code code =
        read_whole(fd, part, tail, sizeof tail, part->bytes - (int64_t)sizeof tail, err);
    if (!code) /* which stays behind, but for the first one's */
        code = read_whole(fd, part, mark, sizeof mark, 0, err);
    if (code || memcmp(mark, PARQUET_MARK, sizeof mark) != 0)
        return code;
    size_t len = parquet_footer_len(tail);
    int64_t body_end = part->bytes - (int64_t)sizeof tail - (int64_t)len;
    joined->footer_bytes += len;
    if (len == 0 || body_end < (int64_t)PARQUET_MARK_BYTES ||
        joined->footer_bytes > FOOTER_BYTES_MAX)
        return LH_OK;
    char *bytes = lh_arena_try(joined->arena, len + sizeof tail);
    if (!bytes)
        return lh_fail(err, LH_BUSY, "There is no memory to merge files.");
    code = read_whole(fd, part, bytes, len + sizeof tail, body_end, err);
    joined->ends[index] = (struct lh_str){bytes, len + sizeof tail};
    struct parquet_footer *footer = &joined->footers[index];
    if (!code)
        *ret_is_fit = parquet_footer_read((struct lh_str){bytes, len}, body_end, footer) &&
                      footer->rows == part->rows &&
                      parquet_footer_fits(&joined->footers[0], footer);
    return code;
}

static enum lh_code read_ends(struct data_file_joined *joined, int64_t group_rows_min,
                              bool *ret_are_fit, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    size_t group_count = 0;
    int64_t rows = 0;
    *ret_are_fit = true;
    for (size_t i = 0; i < joined->count && *ret_are_fit && !code; i++) {
        int fd = -1;
        code = lh_file_open_path(joined->parts[i].path, &fd, err);
        if (!code)
            code = read_end(joined, fd, i, ret_are_fit, err);
        lh_file_abandon(fd); /* only read */
        group_count += joined->footers[i].group_count;
        rows += joined->footers[i].rows;
    }
    *ret_are_fit &= !code && (int64_t)group_count <= rows / group_rows_min;
    return code;
}

/* --- copying */

static enum lh_code copy_body(struct joining *joining, int fd, size_t index, uint8_t *bytes,
                              struct lh_error *err)
{
    const struct data_file_part *part = &joining->joined->parts[index];
    int64_t end = joining->joined->footers[index].body_end;
    enum lh_code code = LH_OK;
    for (int64_t at = index ? (int64_t)PARQUET_MARK_BYTES : 0; at < end && !code;) {
        size_t count = end - at < (int64_t)COPY_BYTES ? (size_t)(end - at) : COPY_BYTES;
        code = lh_cancel_fail(joining->cancel, "Merging files", err);
        if (!code)
            code = read_whole(fd, part, bytes, count, at, err);
        if (!code)
            code = storage_staged_copy(joining->staged, bytes, count, err);
        at += (int64_t)count;
    }
    return code;
}

static enum lh_code copy_part(struct joining *joining, size_t index, uint8_t *bytes,
                              struct lh_error *err)
{
    const struct data_file_part *part = &joining->joined->parts[index];
    int fd = -1;
    enum lh_code code = lh_file_open_path(part->path, &fd, err);
    if (!code)
        code = copy_body(joining, fd, index, bytes, err);
    lh_file_abandon(fd); /* only read */
    joining->rows += part->rows;
    if (!code && joining->join->progress)
        joining->join->progress(joining->join->context, joining->rows);
    return code;
}

static enum lh_code copy_all(struct joining *joining, struct lh_error *err)
{
    struct data_file_joined *joined = joining->joined;
    uint8_t *bytes = malloc(COPY_BYTES);
    enum lh_code code = bytes ? LH_OK : lh_fail(err, LH_BUSY, "There is no memory to merge files.");
    if (!code) {
        parquet_footer_join(joined->footers, joined->count, &joined->end);
        code = lh_buf_check(&joined->end, "The footer of the merged file", err);
    }
    for (size_t i = 0; i < joined->count && !code; i++)
        code = copy_part(joining, i, bytes, err);
    if (!code)
        code = storage_staged_copy(joining->staged, joined->end.data, joined->end.len, err);
    free(bytes);
    return code;
}

static struct data_file_joined *joined_new(const struct data_file_join *join)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct data_file_joined *joined = lh_arena_alloc(arena, sizeof *joined);
    *joined = (struct data_file_joined){
        .arena = arena,
        .parts = join->parts,
        .count = join->count,
        .ends = lh_arena_array(arena, join->count, sizeof *joined->ends),
        .footers = lh_arena_array(arena, join->count, sizeof *joined->footers),
    };
    memset(joined->footers, 0, join->count * sizeof *joined->footers);
    lh_buf_init(&joined->end, JOINED_BYTES_MAX);
    return joined;
}

void data_file_joined_free(struct data_file_joined *joined)
{
    if (!joined)
        return;
    lh_buf_release(&joined->end);
    lh_arena_free(joined->arena);
}

enum lh_code data_file_join(struct storage *storage, const struct data_file_join *join,
                            const struct lh_cancel *cancel, struct data_file *ret,
                            bool *ret_is_joined, struct lh_error *err)
{
    struct joining joining = {.join = join, .cancel = cancel};
    bool are_fit = false;
    assert(join->count > 0 && join->group_rows_min > 0);
    joining.joined = joined_new(join);
    enum lh_code code = read_ends(joining.joined, join->group_rows_min, &are_fit, err);
    if (!code && are_fit)
        code = storage_stage(storage, lh_lit(".parquet"), &ret->staged, err);
    if (!code && are_fit) {
        joining.staged = ret->staged;
        code = copy_all(&joining, err);
    }
    ret->content = join->content;
    *ret_is_joined = !code && are_fit;
    if (*ret_is_joined)
        ret->joined = joining.joined;
    else
        data_file_joined_free(joining.joined);
    return code;
}

/* --- reading back */

struct seeing {
    const struct data_file_joined *joined;
    const struct lh_cancel *cancel;
    struct lh_sha256 *sum;
    size_t part; /* whose bytes come next; joined->count: the footer's */
    int64_t at;  /* in the part, or in the footer */
    bool is_other;
};

/* Whose fault it is that a part's bytes have another sum. */
static enum lh_code judge(struct seeing *seeing, const struct data_file_part *part,
                          struct lh_error *err)
{
    uint8_t found[LH_SHA256_BYTES];
    int fd = -1;
    enum lh_code code = lh_file_open_path(part->path, &fd, err);
    if (!code)
        code = lh_sha256_of_file(fd, seeing->cancel, found, NULL, err);
    lh_file_abandon(fd); /* only read */
    if (!code && memcmp(found, part->sha256, sizeof found) != 0)
        return fail_changed(part, err);
    seeing->is_other = true;
    return code;
}

/* Goes on to what the next byte belongs to, past parts without bodies. */
static enum lh_code pass_ends(struct seeing *seeing, struct lh_error *err)
{
    const struct data_file_joined *joined = seeing->joined;
    uint8_t found[LH_SHA256_BYTES];
    while (seeing->part < joined->count && !seeing->is_other) {
        const struct data_file_part *part = &joined->parts[seeing->part];
        const struct lh_str *end = &joined->ends[seeing->part];
        if (seeing->at < joined->footers[seeing->part].body_end)
            return LH_OK;
        lh_sha256_add(seeing->sum, end->data, end->len);
        lh_sha256_finish(seeing->sum, found);
        if (memcmp(found, part->sha256, sizeof found) != 0)
            return judge(seeing, part, err);
        seeing->at = 0;
        if (++seeing->part < joined->count) {
            lh_sha256_add(seeing->sum, PARQUET_MARK, PARQUET_MARK_BYTES);
            seeing->at = (int64_t)PARQUET_MARK_BYTES;
        }
    }
    return LH_OK;
}

static enum lh_code see(void *context, const uint8_t *bytes, size_t count, struct lh_error *err)
{
    struct seeing *seeing = context;
    const struct data_file_joined *joined = seeing->joined;
    enum lh_code code = lh_cancel_fail(seeing->cancel, "Merging files", err);
    while (count && !code && !seeing->is_other) {
        bool is_body = seeing->part < joined->count;
        int64_t end = is_body ? joined->footers[seeing->part].body_end : (int64_t)joined->end.len;
        size_t rest = (size_t)(end - seeing->at), taken = count < rest ? count : rest;
        if (is_body)
            lh_sha256_add(seeing->sum, bytes, taken);
        else
            seeing->is_other = !taken || memcmp(bytes, joined->end.data + seeing->at, taken) != 0;
        seeing->at += (int64_t)taken;
        bytes += taken;
        count -= taken;
        if (is_body)
            code = pass_ends(seeing, err);
    }
    return code;
}

static enum lh_code compare_footers(const struct data_file *file,
                                    struct engine_connection *connection,
                                    const struct lh_cancel *cancel, bool *ret_is_same,
                                    struct lh_error *err)
{
    const struct data_file_joined *joined = file->joined;
    struct engine_joined_part *parts = lh_arena_array(joined->arena, joined->count, sizeof *parts);
    int64_t shift = 0, group_count = 0, rows = 0;
    for (size_t i = 0; i < joined->count; i++) {
        const struct parquet_footer *footer = &joined->footers[i];
        parts[i] = (struct engine_joined_part){joined->parts[i].path, shift, group_count};
        shift += footer->body_end - (int64_t)PARQUET_MARK_BYTES;
        group_count += (int64_t)footer->group_count;
        rows += joined->parts[i].rows;
    }
    return engine_parquet_is_joined(connection, storage_staged_path(file->staged), parts,
                                    joined->count, rows, cancel, ret_is_same, err);
}

enum lh_code data_file_joined_seal(struct data_file *file, struct engine_connection *connection,
                                   const struct lh_cancel *cancel, bool *ret_is_same,
                                   struct lh_error *err)
{
    const struct data_file_joined *joined = file->joined;
    struct seeing seeing = {.joined = joined, .cancel = cancel, .sum = lh_sha256_new()};
    const struct storage_witness witness = {see, &seeing};
    enum lh_code code = storage_staged_seal_seen(file->staged, &witness, &file->sum, err);
    lh_sha256_free(seeing.sum);
    *ret_is_same = false;
    if (code || seeing.is_other || seeing.part < joined->count ||
        seeing.at < (int64_t)joined->end.len)
        return code;
    return compare_footers(file, connection, cancel, ret_is_same, err);
}
