/* Segments: records as Parquet objects, written through the engine by a function that COPY reads
 * from; the same function is what a statement reads of the records that are only in memory. */
#include "engine/engine.h"
#include "engine/function.h"
#include "journal/internal.h"

#include <assert.h>
#include <stdlib.h>

#define FUNCTION "lakehouse_journal"

enum column {
    COLUMN_SEQUENCE,
    COLUMN_AT,
    COLUMN_KIND,
    COLUMN_MORE,
    COLUMN_EPOCH,
    COLUMN_INTENT,
    COLUMN_LAKE_SEQUENCE,
    COLUMN_VERSION,
    COLUMN_TEXTS,
    COLUMN_PREVIOUS = COLUMN_TEXTS + JOURNAL_TEXT_COUNT,
    COLUMN_HASH,
    COLUMN_COUNT
};

static const struct {
    const char *name;
    enum engine_type type;
} columns[COLUMN_COUNT] = {
    {"sequence", ENGINE_INT64},
    {"happened_at", ENGINE_TIMESTAMP},
    {"kind", ENGINE_INT32},
    {"more", ENGINE_BOOL},
    {"epoch", ENGINE_INT64},
    {"intent", ENGINE_INT64},
    {"lake_sequence", ENGINE_INT64},
    {"version", ENGINE_INT64},
    {"id", ENGINE_TEXT},
    {"action", ENGINE_TEXT},
    {"entity", ENGINE_TEXT},
    {"dataset", ENGINE_TEXT},
    {"dataset_id", ENGINE_TEXT},
    {"field", ENGINE_TEXT},
    {"old_value", ENGINE_TEXT},
    {"new_value", ENGINE_TEXT},
    {"actor", ENGINE_TEXT},
    {"principal", ENGINE_TEXT},
    {"source", ENGINE_TEXT},
    {"workspace", ENGINE_TEXT},
    {"model", ENGINE_TEXT},
    {"reason", ENGINE_TEXT},
    {"detail", ENGINE_TEXT},
    {"request", ENGINE_TEXT},
    {"previous", ENGINE_BLOB},
    {"hash", ENGINE_BLOB},
};

const char segment_columns[] =
    "sequence, happened_at, kind, more, epoch, intent, lake_sequence, version, id, action, entity, "
    "dataset, dataset_id, field, old_value, new_value, actor, principal, source, workspace, model, "
    "reason, "
    "detail, request, previous, hash";

/* --- the function */

#define ANEW ((uint64_t)INT64_MAX) /* instead of an end: the records of journal->anew */
struct bounds {
    uint64_t after;
    uint64_t upto; /* 0 = all */
};

struct scan {
    struct record_list records;
    size_t at;
};

static enum lh_code bind(void *context, struct engine_bind *bind, void **ret_bound,
                         struct lh_error *err)
{
    (void)context;
    (void)err;
    struct bounds *bounds = lh_allocate(1, sizeof *bounds);
    bounds->after = (uint64_t)engine_bind_int(bind, 0);
    bounds->upto = (uint64_t)engine_bind_int(bind, 1);
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        engine_bind_column(bind, lh_str_of(columns[i].name), columns[i].type, false);
    *ret_bound = bounds;
    return LH_OK;
}

static enum lh_code start(void *context, void *bound, struct engine_scan *engine_scan,
                          void **ret_state, struct lh_error *err)
{
    struct journal *journal = context;
    const struct bounds *bounds = bound;
    struct scan *scan = lh_allocate(1, sizeof *scan);
    (void)engine_scan;
    if (bounds->upto == ANEW) {
        for (size_t i = 0; i < journal->anew->count; i++)
            record_list_add(&scan->records, record_ref(journal->anew->items[i]));
        *ret_state = scan;
        return LH_OK;
    }
    pthread_mutex_lock(&journal->mutex);
    const struct record_list *tail = &journal->tail;
    uint64_t kept_from = tail->count ? tail->items[0]->sequence : journal->rolled + 1;
    bool is_gone = journal->rolled > bounds->after && kept_from > bounds->after + 1;
    for (size_t i = 0; i < tail->count && !is_gone; i++)
        if (tail->items[i]->sequence > bounds->after &&
            (!bounds->upto || tail->items[i]->sequence <= bounds->upto))
            record_list_add(&scan->records, record_ref(tail->items[i]));
    pthread_mutex_unlock(&journal->mutex);
    *ret_state = scan;
    if (!is_gone)
        return LH_OK;
    lh_fail(err, LH_RACE, "The journal was written to a segment while the statement began.");
    return lh_error_hint(err, "Send the statement again.");
}

static void write_number(struct engine_write *write, size_t at, size_t row, uint64_t value,
                         bool is_absent)
{
    ((int64_t *)engine_write_data(write, at))[row] = (int64_t)value;
    if (is_absent)
        engine_write_null(write, at, row);
}

static void write_text(struct engine_write *write, size_t at, size_t row, struct lh_str text)
{
    if (text.data)
        engine_write_str(write, at, row, text);
    else
        engine_write_null(write, at, row);
}

static void write_cell(struct record *record, enum column column, struct engine_write *write,
                       size_t at, size_t row)
{
    struct lh_str *texts[JOURNAL_TEXT_COUNT];
    struct journal_event *event = &record->event;
    switch (column) {
    case COLUMN_SEQUENCE:
        write_number(write, at, row, record->sequence, false);
        return;
    case COLUMN_AT:
        write_number(write, at, row, (uint64_t)(event->time_ms * 1000), false);
        return;
    case COLUMN_KIND:
        ((int32_t *)engine_write_data(write, at))[row] = (int32_t)record->kind;
        return;
    case COLUMN_MORE:
        ((uint8_t *)engine_write_data(write, at))[row] = record->has_more;
        return;
    case COLUMN_EPOCH:
        write_number(write, at, row, record->epoch, false);
        return;
    case COLUMN_INTENT:
        write_number(write, at, row, record->intent, !record->intent);
        return;
    case COLUMN_LAKE_SEQUENCE:
        write_number(write, at, row, event->lake_sequence, !event->lake_sequence);
        return;
    case COLUMN_VERSION:
        write_number(write, at, row, (uint64_t)event->version, !event->version);
        return;
    case COLUMN_PREVIOUS:
    case COLUMN_HASH:
        write_text(
            write, at, row,
            (struct lh_str){(const char *)(column == COLUMN_HASH ? record->hash : record->previous),
                            LH_SHA256_BYTES});
        return;
    default:
        journal_event_texts(event, texts);
        write_text(write, at, row, *texts[column - COLUMN_TEXTS]);
    }
}

static enum lh_code next(void *context, void *bound, void *state, struct engine_scan *engine_scan,
                         struct engine_write *write, size_t *ret_rows, struct lh_error *err)
{
    struct scan *scan = state;
    size_t rows = scan->records.count - scan->at;
    (void)context;
    (void)bound;
    (void)err;
    if (rows > ENGINE_CHUNK_ROWS)
        rows = ENGINE_CHUNK_ROWS;
    for (size_t at = 0; at < engine_scan_column_count(engine_scan); at++)
        for (size_t row = 0; row < rows; row++)
            write_cell(scan->records.items[scan->at + row],
                       (enum column)engine_scan_column(engine_scan, at), write, at, row);
    scan->at += rows;
    *ret_rows = rows;
    return LH_OK;
}

static void free_scan(void *state)
{
    struct scan *scan = state;
    if (scan)
        record_list_release(&scan->records);
    free(scan);
}

enum lh_code segment_register(struct journal *journal, struct lh_error *err)
{
    const struct engine_argument arguments[] = {{NULL, ENGINE_INT64, false},
                                                {NULL, ENGINE_INT64, false}};
    const struct engine_table_function function = {
        .name = FUNCTION,
        .arguments = arguments,
        .argument_count = 2,
        .context = journal,
        .bind = bind,
        .start = start,
        .next = next,
        .free_bound = free,
        .free_state = free_scan,
    };
    return engine_register_table(journal->options.engine, &function, err);
}

/* --- writing */

enum lh_code segment_add(struct journal *journal, const struct journal_file *file,
                         struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str path;
    enum lh_code code = storage_object_path(journal->options.storage, STORAGE_PRIMARY, file->key,
                                            arena, &path, err);
    if (!code && journal->segment_count == journal->segment_capacity) {
        size_t capacity = journal->segment_capacity ? journal->segment_capacity * 2 : 16;
        struct segment *grown = realloc(journal->segments, capacity * sizeof *grown);
        if (grown) {
            journal->segments = grown;
            journal->segment_capacity = capacity;
        } else {
            code = lh_fail(err, LH_BUSY, "There is no memory for the list of segments.");
        }
    }
    if (!code) {
        struct segment *segment = &journal->segments[journal->segment_count++];
        *segment = (struct segment){.first = file->first, .last = file->last};
        segment->path = lh_allocate_text(path);
        segment->key = lh_allocate_text(file->key);
        segment->has_sum = file->sum.len > 0;
        journal->rolled = file->last;
        journal->generation++;
    }
    lh_arena_free(arena);
    return code;
}

void segment_drop_all(struct journal *journal)
{
    for (size_t i = 0; i < journal->segment_count; i++) {
        free(journal->segments[i].path);
        free(journal->segments[i].key);
    }
    journal->segment_count = 0;
}

static enum lh_code copy(struct journal *journal, uint64_t first, uint64_t last,
                         struct storage_staged *staged, size_t rows, struct storage_sum *ret_sum,
                         struct lh_error *err)
{
    struct engine_connection *connection = NULL;
    struct engine_content content = {0}, again = {0};
    struct lh_buf select;
    const struct engine_copy_options options = {.codec = lh_lit("zstd")};
    lh_buf_init(&select, 4096);
    lh_buf_printf(&select, "SELECT %s FROM " FUNCTION "(%llu, %llu) ORDER BY sequence",
                  segment_columns, (unsigned long long)first - 1,
                  (unsigned long long)(journal->anew ? ANEW : last));
    enum lh_code code =
        engine_acquire(journal->options.engine, (struct lh_str){0}, NULL, &connection, err);
    if (!code)
        code = engine_copy(connection, lh_buf_str(&select), storage_staged_path(staged), &options,
                           NULL, NULL, &content, err);
    if (!code)
        code = storage_staged_seal(staged, ret_sum, err);
    if (!code)
        code = engine_parquet_check(connection, storage_staged_path(staged), NULL, &again, err);
    if (!code && (again.rows != content.rows || again.sums[0] != content.sums[0] ||
                  again.sums[1] != content.sums[1] || content.rows != rows))
        code = lh_fail(err, LH_IO, "A segment of the journal does not read back as written.");
    engine_release(connection);
    lh_buf_release(&select);
    return code;
}

enum lh_code segment_write(struct journal *journal, const struct record_list *records,
                           struct lh_arena *arena, struct journal_file *ret, struct lh_error *err)
{
    struct storage *storage = journal->options.storage;
    struct storage_staged *staged = NULL;
    struct storage_sum sum = {0};
    struct journal_file file = {.first = records->items[0]->sequence,
                                .last = records->items[records->count - 1]->sequence};
    enum lh_code code = storage_stage(storage, lh_lit(".parquet"), &staged, err);
    if (!code)
        code = copy(journal, file.first, file.last, staged, records->count, &sum, err);
    struct lh_str key = segment_key(file.first, file.last, sum.sha256, arena);
    if (!code)
        code = storage_staged_publish(staged, STORAGE_PRIMARY, key, err);
    storage_staged_discard(staged);
    if (!code) {
        bool is_ours = segment_read_key(key, ret);
        assert(is_ours);
        (void)is_ours;
    }
    return code;
}

/* --- reading */

static int64_t number_at(const struct engine_chunk *chunk, enum column column, size_t row)
{
    const struct engine_vector *vector = &chunk->columns[column];
    return engine_vector_is_null(vector, row) ? 0 : ((const int64_t *)vector->data)[row];
}

static bool hash_at(const struct engine_chunk *chunk, enum column column, size_t row,
                    uint8_t ret[LH_SHA256_BYTES])
{
    const struct engine_vector *vector = &chunk->columns[column];
    struct lh_str text = {0};
    if (!engine_vector_is_null(vector, row))
        text = engine_vector_str(vector, row);
    if (text.len != LH_SHA256_BYTES)
        return false;
    memcpy(ret, text.data, LH_SHA256_BYTES);
    return true;
}

static enum lh_code read_row(const struct engine_chunk *chunk, size_t row, struct record **ret,
                             struct lh_error *err)
{
    struct journal_event event = {
        .time_ms = number_at(chunk, COLUMN_AT, row) / 1000,
        .lake_sequence = (uint64_t)number_at(chunk, COLUMN_LAKE_SEQUENCE, row),
        .version = number_at(chunk, COLUMN_VERSION, row),
    };
    struct lh_str *texts[JOURNAL_TEXT_COUNT];
    journal_event_texts(&event, texts);
    for (size_t i = 0; i < JOURNAL_TEXT_COUNT; i++) {
        const struct engine_vector *vector = &chunk->columns[COLUMN_TEXTS + i];
        if (!engine_vector_is_null(vector, row))
            *texts[i] = engine_vector_str(vector, row);
    }
    struct record *record = record_new(&event);
    if (!record)
        return lh_fail(err, LH_BUSY, "There is no memory for a record of the journal.");
    record->event.time_ms = event.time_ms;
    record->sequence = (uint64_t)number_at(chunk, COLUMN_SEQUENCE, row);
    record->epoch = (uint64_t)number_at(chunk, COLUMN_EPOCH, row);
    record->intent = (uint64_t)number_at(chunk, COLUMN_INTENT, row);
    record->kind = (enum record_kind)((const int32_t *)chunk->columns[COLUMN_KIND].data)[row];
    record->has_more = ((const uint8_t *)chunk->columns[COLUMN_MORE].data)[row];
    if (!hash_at(chunk, COLUMN_PREVIOUS, row, record->previous) ||
        !hash_at(chunk, COLUMN_HASH, row, record->hash)) {
        record_unref(record);
        return lh_fail(err, LH_DAMAGED, "A record of the journal has no hash.");
    }
    *ret = record;
    return LH_OK;
}

/* A file may say that its columns are of other types than they were written with. */
static enum lh_code check_types(const struct engine_chunk *chunk, struct lh_error *err)
{
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        if (i >= chunk->column_count || chunk->columns[i].type != columns[i].type)
            return lh_fail(err, LH_DAMAGED,
                           "The column '%s' of a segment of the journal is of another type.",
                           columns[i].name);
    return LH_OK;
}

enum lh_code segment_rows(struct engine *engine, struct lh_str sql, const struct lh_cancel *cancel,
                          enum lh_code (*each)(void *context, struct record *record,
                                               struct lh_error *err),
                          void *context, struct lh_error *err)
{
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    enum lh_code code = engine_query(engine, sql, NULL, cancel, &cursor, err);
    while (!code && !(code = engine_cursor_next(cursor, &chunk, err)) && chunk) {
        code = check_types(chunk, err);
        for (size_t row = 0; row < chunk->row_count && !code; row++) {
            struct record *record = NULL;
            code = read_row(chunk, row, &record, err);
            if (!code)
                code = each(context, record, err);
            record_unref(record);
        }
    }
    engine_cursor_close(cursor);
    return code;
}
