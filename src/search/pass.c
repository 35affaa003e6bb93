/* The dataset's rows, one after the other, against what is indexed of them.
 *
 * A build, a refresh, a resumed build, a fresh tail and the count of what is stale are the same
 * walk: each row is new, changed, as indexed, or left out (no id, or an id that came before: the
 * first one counts). Rows come in the order of the dataset's files, which never change, so walks
 * over one version are equal. */
#include "search/view.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "search/pieces.h"

#define WINDOW_ROWS                                                                                \
    INT64_C(4000000) /* of one statement: below the limit of rows that it may return */
#define FLUSH_TEXT_BYTES ((size_t)128 << 20)
/* The chunks of a row stand in one part, so they are in memory together. */
#define ROW_VECTOR_BYTES_MAX ((size_t)256 << 20)
/* What a search keeps of rows that are not indexed yet. */
#define FRESH_TEXT_BYTES_MAX ((size_t)64 << 20)
#define FRESH_VECTOR_BYTES_MAX ((size_t)128 << 20)
#define SQL_BYTES_MAX ((size_t)1 << 20)

/* --- ids that were met and are not in the view */

struct id_set {
    struct lh_arena *arena;
    struct lh_str *slots;
    size_t slot_count, count;
};

static struct id_set *id_set_new(void)
{
    struct id_set *set = lh_allocate(1, sizeof *set);
    set->arena = lh_arena_new(0);
    set->slot_count = 1024;
    set->slots = lh_allocate(set->slot_count, sizeof *set->slots);
    return set;
}

static void id_set_free(struct id_set *set)
{
    if (!set)
        return;
    lh_arena_free(set->arena);
    free(set->slots);
    free(set);
}

static struct lh_str *id_slot(const struct id_set *set, struct lh_str id)
{
    size_t slot = (size_t)lh_str_hash(id) & (set->slot_count - 1);
    while (set->slots[slot].data && !lh_str_equal(set->slots[slot], id))
        slot = (slot + 1) & (set->slot_count - 1);
    return &set->slots[slot];
}

static bool id_set_grow(struct id_set *set)
{
    struct id_set grown = {.slot_count = set->slot_count * 2};
    grown.slots = calloc(grown.slot_count, sizeof *grown.slots);
    if (!grown.slots)
        return false;
    for (size_t i = 0; i < set->slot_count; i++)
        if (set->slots[i].data)
            *id_slot(&grown, set->slots[i]) = set->slots[i];
    free(set->slots);
    set->slots = grown.slots;
    set->slot_count = grown.slot_count;
    return true;
}

/* *ret_is_new is false if it was there. */
static enum lh_code id_set_add(struct id_set *set, struct lh_str id, bool *ret_is_new,
                               struct lh_error *err)
{
    struct lh_str *slot = id_slot(set, id);
    *ret_is_new = !slot->data;
    if (slot->data)
        return LH_OK;
    if (!lh_arena_try_str(set->arena, id, slot) ||
        (++set->count * 2 > set->slot_count && !id_set_grow(set)))
        return lh_fail(err, LH_BUSY, "There is no memory for the ids of an index.");
    return LH_OK;
}

/* --- reading the dataset */

static void append_text_cast(struct lh_buf *sql, struct lh_str column)
{
    lh_buf_append_str(sql, lh_lit("CAST("));
    engine_quote_ident(sql, column);
    lh_buf_append_str(sql, lh_lit(" AS VARCHAR)"));
}

struct reading {
    struct search *search;
    const struct index_manifest *manifest;
    struct lh_str dataset_name;
    int64_t dataset_version;
    const struct lh_cancel *cancel;
    bool is_texts_only;
    struct lh_buf text; /* of the row at hand */
    enum lh_code (*row)(void *context, const struct engine_chunk *chunk, size_t row,
                        struct lh_error *err);
    void *context;
};

/* Column 0 is the id, then the texts, then the vector. */
static void write_select(const struct reading *reading, int64_t offset, struct lh_buf *sql)
{
    const struct index_manifest *manifest = reading->manifest;
    lh_buf_append_str(sql, lh_lit("SELECT "));
    append_text_cast(sql, manifest->id_column);
    for (size_t i = 0; i < manifest->text_columns.count; i++) {
        lh_buf_append_str(sql, lh_lit(", "));
        append_text_cast(sql, manifest->text_columns.items[i]);
    }
    if (manifest->vector_column.len && !reading->is_texts_only) {
        lh_buf_append_str(sql, lh_lit(", TRY_CAST("));
        engine_quote_ident(sql, manifest->vector_column);
        lh_buf_append_str(sql, lh_lit(" AS FLOAT[])"));
    }
    lh_buf_append_str(sql, lh_lit(" FROM "));
    engine_quote_ident(sql, reading->dataset_name);
    lh_buf_printf(sql, " AT (VERSION => %" PRId64 ") LIMIT %" PRId64 " OFFSET %" PRId64,
                  reading->dataset_version, WINDOW_ROWS, offset);
}

static enum lh_code read_window(struct reading *reading, int64_t offset, int64_t *ret_rows,
                                struct lh_error *err)
{
    const struct search_source *source = &reading->search->options.source;
    const struct engine_chunk *chunk = NULL;
    void *rows = NULL;
    struct lh_buf sql;
    int64_t count = 0;
    lh_buf_init(&sql, SQL_BYTES_MAX);
    write_select(reading, offset, &sql);
    enum lh_code code = lh_buf_check(&sql, "The statement that reads the dataset", err);
    if (!code)
        code = source->open(source->context, lh_buf_str(&sql), NULL, reading->cancel, &rows, err);
    while (!code && !(code = source->next(rows, &chunk, err)) && chunk) {
        count += (int64_t)chunk->row_count;
        for (size_t row = 0; row < chunk->row_count && !code; row++)
            code = reading->row(reading->context, chunk, row, err);
        if (!code)
            code = lh_cancel_fail(reading->cancel, "The index", err);
    }
    source->close(rows);
    lh_buf_release(&sql);
    *ret_rows = count;
    return code;
}

static enum lh_code read_dataset(struct reading *reading, struct lh_error *err)
{
    int64_t offset = 0, rows = 0;
    enum lh_code code = LH_OK;
    lh_buf_init(&reading->text, SEARCH_DOCUMENT_BYTES_MAX);
    do {
        code = read_window(reading, offset, &rows, err);
        offset += rows;
    } while (!code && rows == WINDOW_ROWS);
    lh_buf_release(&reading->text);
    return code;
}

static enum lh_code fail_text(const struct engine_chunk *chunk, size_t row, struct lh_error *err)
{
    struct lh_str id = lh_lit("NULL");
    if (!engine_vector_is_null(&chunk->columns[0], row))
        id = lh_str_head(engine_vector_str(&chunk->columns[0], row), 200);
    lh_fail(err, LH_TOO_LARGE,
            "The row with the id '%.*s' has a text of more than %zu MB, the most that is indexed.",
            LH_ARG(id), SEARCH_DOCUMENT_BYTES_MAX >> 20);
    return lh_error_hint(err, "Cut such texts into several rows.");
}

static size_t text_bytes(const struct reading *reading, const struct engine_chunk *chunk,
                         size_t row)
{
    size_t count = reading->manifest->text_columns.count, bytes = count ? count - 1 : 0;
    for (size_t i = 1; i <= count; i++)
        if (!engine_vector_is_null(&chunk->columns[i], row))
            bytes += engine_vector_str(&chunk->columns[i], row).len;
    return bytes;
}

/* The text columns of a row, those that have a value, each on a line of its own. */
static enum lh_code join_texts(struct reading *reading, const struct engine_chunk *chunk,
                               size_t row, struct lh_str *ret, struct lh_error *err)
{
    size_t count = reading->manifest->text_columns.count, given = 0;
    struct lh_str only = {0};
    if (text_bytes(reading, chunk, row) > SEARCH_DOCUMENT_BYTES_MAX)
        return fail_text(chunk, row, err);
    for (size_t i = 1; i <= count; i++) {
        if (engine_vector_is_null(&chunk->columns[i], row))
            continue;
        only = engine_vector_str(&chunk->columns[i], row);
        given += only.len > 0;
        if (given == 1 && only.len > 0)
            *ret = only;
    }
    if (given == 0)
        *ret = (struct lh_str){0};
    if (given <= 1)
        return LH_OK;
    lh_buf_clear(&reading->text);
    for (size_t i = 1; i <= count; i++) {
        struct lh_str text = {0};
        if (!engine_vector_is_null(&chunk->columns[i], row))
            text = engine_vector_str(&chunk->columns[i], row);
        if (text.len && reading->text.len)
            lh_buf_append_char(&reading->text, '\n');
        lh_buf_append_str(&reading->text, text);
    }
    *ret = lh_buf_str(&reading->text);
    return lh_buf_check(&reading->text, "A row's text", err);
}

/* --- one row */

struct walk {
    struct pass *pass;
    struct reading reading;
};

struct row {
    struct lh_str id;
    struct lh_str text;
    const float *vector; /* NULL: none is given */
    size_t vector_count;
    bool is_too_large; /* its text was not read */
    uint8_t hash[SEARCH_HASH_BYTES];
};

static enum lh_code fail_vector(const struct row *row, struct lh_error *err, const char *what)
{
    lh_fail(err, LH_INVALID, "The row with the id '%.*s' has a vector that %s.",
            LH_ARG(lh_str_head(row->id, 200)), what);
    return lh_error_hint(err,
                         "All vectors need the same number of finite values; NULL means none.");
}

static enum lh_code read_given(struct pass *pass, const struct engine_vector *column, size_t at,
                               struct row *row, struct lh_error *err)
{
    if (engine_vector_is_null(column, at))
        return LH_OK;
    struct engine_list_entry list = engine_vector_list(column, at);
    row->vector = (const float *)column->children[0].data + list.offset;
    row->vector_count = (size_t)list.length;
    if (list.length == 0 || list.length > SEARCH_DIMENSIONS_MAX)
        return fail_vector(row, err, list.length ? "is too long" : "is empty");
    if (pass->dimensions && pass->dimensions != row->vector_count)
        return fail_vector(row, err, "is not as long as those before it");
    for (size_t i = 0; i < row->vector_count; i++)
        if (engine_vector_is_null(&column->children[0], list.offset + i) ||
            !isfinite(row->vector[i]))
            return fail_vector(row, err, "holds NULL, NaN or an infinity");
    pass->dimensions = row->vector_count;
    return LH_OK;
}

static void hash_row(struct row *row)
{
    uint8_t sum[LH_SHA256_BYTES];
    if (!row->vector) {
        lh_sha256_of(row->text, sum);
    } else {
        struct lh_sha256 *running = lh_sha256_new();
        lh_sha256_add(running, row->vector, row->vector_count * sizeof *row->vector);
        lh_sha256_add(running, row->text.data ? row->text.data : "", row->text.len);
        lh_sha256_finish(running, sum);
        lh_sha256_free(running);
    }
    memcpy(row->hash, sum, SEARCH_HASH_BYTES);
}

static enum lh_code add_chunks(struct pass *pass, const struct row *row, struct lh_error *err)
{
    const struct index_manifest *manifest = pass->manifest;
    struct entry entry = {.id = row->id, .hash = row->hash};
    struct search_pieces pieces;
    struct search_piece piece;
    enum lh_code code = LH_OK;
    if (row->vector || !row->text.len) { /* a given vector stands for the whole row */
        entry.text = row->text;
        code = entries_add(pass->fresh, &entry, err);
        if (!code && row->vector)
            entries_set_vector(pass->fresh, pass->fresh->count - 1, row->vector);
        return code;
    }
    search_pieces_init(&pieces, row->text, (size_t)manifest->chunk_size, (size_t)manifest->overlap);
    while (!code && search_pieces_next(&pieces, &piece)) {
        entry.text = piece.text;
        entry.start = (int64_t)piece.start;
        code = entries_add(pass->fresh, &entry, err);
        entry.chunk++;
    }
    if (!code && entry.chunk == 0) /* nothing but blanks */
        code = entries_add(pass->fresh, &entry, err);
    return code;
}

/* Whether its chunks have more vectors than that; only what may be too long is counted. */
static bool has_more_chunks(const struct pass *pass, const struct row *row, size_t most)
{
    const struct index_manifest *manifest = pass->manifest;
    size_t size = (size_t)manifest->chunk_size, count = 0;
    struct search_pieces pieces;
    struct search_piece piece;
    /* A piece ends in its last third and the next one begins at most half a size before; where
     * marks belong to letters, one in two may be shorter. */
    if (row->vector || row->text.len / (size / 16 + 1) < most)
        return false;
    search_pieces_init(&pieces, row->text, size, (size_t)manifest->overlap);
    while (count <= most && search_pieces_next(&pieces, &piece))
        count++;
    return count > most;
}

static size_t vector_bytes(const struct pass *pass)
{
    size_t dimensions = pass->model ? pass->model->embedder->dimensions : pass->dimensions;
    return (dimensions ? dimensions : 1) * sizeof(float);
}

/* Whether a search has no room for one more row that is not indexed. */
static bool is_full(const struct pass *pass, const struct row *row)
{
    const struct entries *fresh = pass->fresh;
    size_t vectors = FRESH_VECTOR_BYTES_MAX / vector_bytes(pass);
    if (pass->new_rows + pass->changed - pass->pending > pass->rows_max || row->is_too_large)
        return true;
    size_t texts = fresh ? fresh->text_bytes : 0, chunks = fresh ? fresh->count : 0;
    return texts + row->text.len > FRESH_TEXT_BYTES_MAX || chunks >= vectors ||
           has_more_chunks(pass, row, vectors - chunks);
}

static enum lh_code check_chunks(const struct pass *pass, const struct row *row,
                                 struct lh_error *err)
{
    size_t most = ROW_VECTOR_BYTES_MAX / vector_bytes(pass);
    if (!has_more_chunks(pass, row, most))
        return LH_OK;
    lh_fail(
        err, LH_TOO_LARGE,
        "The row with the id '%.*s' has a text of %zu MB: more than %zu chunks, the most of one "
        "row.",
        LH_ARG(lh_str_head(row->id, 200)), row->text.len >> 20, most);
    return lh_error_hint(err, "Take a larger chunk_size, or cut such texts into several rows.");
}

static enum lh_code collect(struct pass *pass, const struct row *row, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    if (pass->is_count_only)
        return LH_OK;
    if (!pass->flush && is_full(pass, row)) {
        pass->pending++;
        return LH_OK;
    }
    if (pass->flush && (code = check_chunks(pass, row, err)))
        return code;
    if (!pass->fresh)
        pass->fresh =
            entries_new(pass->model ? pass->model->embedder->dimensions : pass->dimensions, true);
    code = add_chunks(pass, row, err);
    if (!code && pass->flush &&
        (pass->fresh->count >= pass->flush_entries || pass->fresh->text_bytes >= FLUSH_TEXT_BYTES))
        code = pass->flush(pass, err);
    return code;
}

/* New, changed, as it was, or there already. */
static enum lh_code judge(struct pass *pass, const struct row *row, struct lh_error *err)
{
    size_t at = 0, ordinal = view_find(pass->view, row->id);
    bool is_new = true;
    enum lh_code code = LH_OK;
    if (ordinal == VIEW_NONE) {
        code = id_set_add(pass->ids, row->id, &is_new, err);
    } else {
        is_new = !bit_is_set(pass->seen, ordinal);
        bit_set(pass->seen, ordinal);
    }
    if (code)
        return code;
    if (!is_new) {
        pass->duplicate_ids++;
        return LH_OK;
    }
    pass->rows++;
    pass->empty_rows += !row->text.len && !row->vector && !row->is_too_large;
    if (ordinal == VIEW_NONE) {
        pass->new_rows++;
        return collect(pass, row, err);
    }
    const struct entries *part = view_entry(pass->view, ordinal, &at);
    if (!row->is_too_large && memcmp(part->hashes[at], row->hash, SEARCH_HASH_BYTES) == 0)
        return LH_OK;
    bit_set(pass->stale, ordinal);
    pass->changed++;
    return collect(pass, row, err);
}

#define PROGRESS_EVERY 1024

static enum lh_code walk_row(void *context, const struct engine_chunk *chunk, size_t at,
                             struct lh_error *err)
{
    struct walk *walk = context;
    struct pass *pass = walk->pass;
    struct row row = {.vector = NULL};
    if (engine_vector_is_null(&chunk->columns[0], at)) {
        pass->null_ids++;
        return LH_OK;
    }
    row.id = engine_vector_str(&chunk->columns[0], at);
    enum lh_code code = LH_OK;
    /* A build refuses it; for a search it is one that is not indexed, and its earlier text was
     * another one. */
    row.is_too_large =
        !pass->flush && text_bytes(&walk->reading, chunk, at) > SEARCH_DOCUMENT_BYTES_MAX;
    if (!row.is_too_large)
        code = join_texts(&walk->reading, chunk, at, &row.text, err);
    if (!code && pass->manifest->vector_column.len)
        code = read_given(pass, &chunk->columns[chunk->column_count - 1], at, &row, err);
    if (code)
        return code;
    hash_row(&row);
    code = judge(pass, &row, err);
    if (!code && pass->progress && (pass->rows & (PROGRESS_EVERY - 1)) == 0)
        pass->progress(pass);
    return code;
}

enum lh_code pass_run(struct pass *pass, struct lh_error *err)
{
    struct walk walk = {.pass = pass,
                        .reading = {.search = pass->search,
                                    .manifest = pass->manifest,
                                    .dataset_name = pass->dataset_name,
                                    .dataset_version = pass->dataset_version,
                                    .cancel = pass->cancel,
                                    .row = walk_row}};
    walk.reading.context = &walk;
    size_t words = pass->view->span / 64 + 1;
    pass->seen = calloc(words, sizeof *pass->seen);
    pass->stale = calloc(words, sizeof *pass->stale);
    pass->ids = id_set_new();
    pass->dimensions = (size_t)pass->manifest->dimensions;
    if (!pass->seen || !pass->stale)
        return lh_fail(err, LH_BUSY, "There is no memory to compare the index.");
    return read_dataset(&walk.reading, err);
}

void pass_release(struct pass *pass)
{
    entries_unref(pass->fresh);
    id_set_free(pass->ids);
    free(pass->seen);
    free(pass->stale);
}

/* --- texts alone */

struct text_walk {
    struct reading reading;
    enum lh_code (*each)(void *context, struct lh_str text, struct lh_error *err);
    void *context;
};

static enum lh_code walk_text(void *context, const struct engine_chunk *chunk, size_t at,
                              struct lh_error *err)
{
    struct text_walk *walk = context;
    struct lh_str text = {0};
    enum lh_code code = join_texts(&walk->reading, chunk, at, &text, err);
    return code || !text.len ? code : walk->each(walk->context, text, err);
}

enum lh_code
pass_texts(struct search *search, const struct index_manifest *manifest, struct lh_str dataset_name,
           int64_t dataset_version, const struct lh_cancel *cancel,
           enum lh_code (*each)(void *context, struct lh_str text, struct lh_error *err),
           void *context, struct lh_error *err)
{
    struct text_walk walk = {.reading = {.search = search,
                                         .manifest = manifest,
                                         .dataset_name = dataset_name,
                                         .dataset_version = dataset_version,
                                         .cancel = cancel,
                                         .is_texts_only = true,
                                         .row = walk_text},
                             .each = each,
                             .context = context};
    walk.reading.context = &walk;
    return read_dataset(&walk.reading, err);
}

/* --- vectors */

#define EMBED_BATCH_MAX 256

static enum lh_code embed_range(struct pass *pass, size_t from, size_t to, struct lh_error *err)
{
    const struct search_embedder *embedder = pass->model->embedder;
    struct entries *fresh = pass->fresh;
    size_t dimensions = fresh->dimensions, most = embedder->batch ? embedder->batch : 32;
    most = most < EMBED_BATCH_MAX ? most : EMBED_BATCH_MAX;
    enum lh_code code = LH_OK;
    for (size_t at = from; at < to && !code; at += most) {
        size_t count = to - at < most ? to - at : most;
        code = embedder->embed(pass->model->loaded, fresh->texts_of + at, count,
                               fresh->vectors + at * dimensions, pass->cancel, err);
        for (size_t i = at; i < at + count && !code; i++)
            entries_set_vector(fresh, i, fresh->vectors + i * dimensions);
        if (!code)
            code = lh_cancel_fail(pass->cancel, "The index", err);
    }
    return code;
}

enum lh_code pass_embed(struct pass *pass, struct lh_error *err)
{
    if (!pass->fresh || !pass->model)
        return LH_OK;
    return embed_range(pass, 0, pass->fresh->count, err);
}
