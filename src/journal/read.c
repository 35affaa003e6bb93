/* Reading: the newest records from memory, the rest from segments. */
#include "engine/engine.h"
#include "journal/internal.h"

#include <stdlib.h>

#define SQL_BYTES_MAX ((size_t)16 << 20)

uint64_t journal_stamp(struct journal *journal)
{
    pthread_mutex_lock(&journal->mutex);
    uint64_t stamp = journal->generation + 1;
    pthread_mutex_unlock(&journal->mutex);
    return stamp;
}

/* A SELECT of the rows of segments that have sums, or of those that have none: of these only the
 * rows are known to be sound, not what a Parquet file says of them besides, by which the engine
 * leaves rows out; a LIMIT keeps conditions away from it. */
static void write_group(const struct journal *journal, bool has_sum, struct lh_buf *buf)
{
    size_t count = 0;
    for (size_t i = 0; i < journal->segment_count; i++) {
        if (journal->segments[i].has_sum != has_sum)
            continue;
        if (count++)
            lh_buf_append_str(buf, lh_lit(", "));
        else
            lh_buf_printf(buf, "(SELECT %s FROM read_parquet([", segment_columns);
        engine_quote_path(buf, lh_str_of(journal->segments[i].path));
    }
    if (!count)
        return;
    lh_buf_append_str(buf, lh_lit("], hive_partitioning = false)"));
    if (!has_sum)
        lh_buf_printf(buf, " LIMIT %lld", (long long)INT64_MAX);
    lh_buf_append_str(buf, lh_lit(") UNION ALL "));
}

/* SELECTs, each with UNION ALL behind it. */
static void write_segments(const struct journal *journal, struct lh_buf *buf)
{
    write_group(journal, true, buf);
    write_group(journal, false, buf);
}

/* What stands in memory behind a record: a SELECT. */
static void write_memory(uint64_t after, struct lh_buf *buf)
{
    lh_buf_printf(buf, "SELECT %s FROM lakehouse_journal(%llu, 0)", segment_columns,
                  (unsigned long long)after);
}

enum lh_code journal_write_sql(struct journal *journal, struct lh_buf *buf, struct lh_error *err)
{
    pthread_mutex_lock(&journal->mutex);
    lh_buf_append_str(
        buf,
        lh_lit("SELECT sequence, happened_at, action, entity, dataset, version, field, "
               "old_value, new_value, actor, principal, source, workspace, model, reason, detail, "
               "dataset_id, id, lake_sequence, epoch, lower(hex(hash)) AS hash FROM ("));
    write_segments(journal, buf);
    write_memory(journal->rolled, buf);
    lh_buf_append_str(buf, lh_lit(") WHERE kind = 1"));
    pthread_mutex_unlock(&journal->mutex);
    return lh_buf_check(buf, "The journal's list of segments", err);
}

/* --- lists */

struct listing {
    const struct journal_filter *filter;
    struct lh_arena *arena;
    struct journal_record *items;
    size_t count, limit; /* one more than the caller wants */
};

static bool is_wanted(struct lh_str wanted, struct lh_str text)
{
    return !wanted.data || lh_str_equal(wanted, text);
}

static bool fits_dataset(const struct journal_event *event, const struct journal_filter *filter)
{
    return !filter->dataset.data || lh_str_equal_nocase(filter->dataset, event->dataset) ||
           (filter->dataset_id.len && lh_str_equal(filter->dataset_id, event->dataset_id));
}

static bool fits(const struct record *record, const struct journal_filter *filter)
{
    const struct journal_event *event = &record->event;
    return record->kind == RECORD_EVENT && is_wanted(filter->entity, event->entity) &&
           fits_dataset(event, filter) && is_wanted(filter->action, event->action) &&
           is_wanted(filter->actor, event->actor) &&
           is_wanted(filter->workspace, event->workspace) &&
           is_wanted(filter->source, event->source) && event->time_ms >= filter->since_ms &&
           (!filter->until_ms || event->time_ms < filter->until_ms);
}

static void add(struct listing *listing, const struct record *record)
{
    struct lh_str *texts[JOURNAL_TEXT_COUNT];
    char hex[LH_SHA256_HEX_BYTES + 1];
    struct journal_record *item = &listing->items[listing->count++];
    *item = (struct journal_record){
        .sequence = record->sequence, .epoch = record->epoch, .event = record->event};
    journal_event_texts(&item->event, texts);
    for (size_t i = 0; i < JOURNAL_TEXT_COUNT; i++)
        *texts[i] = lh_arena_str(listing->arena, *texts[i]);
    lh_hex(record->hash, LH_SHA256_BYTES, hex);
    item->hash = lh_arena_str(listing->arena, lh_str_of(hex));
}

static enum lh_code add_each(void *context, struct record *record, struct lh_error *err)
{
    struct listing *listing = context;
    if (!record_is_sound(record)) {
        lh_fail(err, LH_DAMAGED, "Record %llu of the journal is not what was written.",
                (unsigned long long)record->sequence);
        return lh_error_hint(err, "lakehouse verify --journal finds all that is damaged.");
    }
    if (listing->count < listing->limit)
        add(listing, record);
    return LH_OK;
}

static void write_condition(struct lh_buf *buf, const char *column, struct lh_str wanted)
{
    if (!wanted.data)
        return;
    lh_buf_printf(buf, " AND %s = ", column);
    engine_quote_literal(buf, wanted);
}

/* Conditions of the rows of segments below `before`. */
static void write_where(const struct journal_filter *filter, uint64_t before, struct lh_buf *buf)
{
    lh_buf_printf(buf, " WHERE kind = 1 AND sequence < %llu", (unsigned long long)before);
    write_condition(buf, "entity", filter->entity);
    write_condition(buf, "action", filter->action);
    write_condition(buf, "actor", filter->actor);
    write_condition(buf, "workspace", filter->workspace);
    write_condition(buf, "source", filter->source);
    if (filter->dataset.data) {
        lh_buf_append_str(buf, lh_lit(" AND (lower(dataset) = lower("));
        engine_quote_literal(buf, filter->dataset);
        if (filter->dataset_id.len) {
            lh_buf_append_str(buf, lh_lit(") OR dataset_id = ("));
            engine_quote_literal(buf, filter->dataset_id);
        }
        lh_buf_append_str(buf, lh_lit("))"));
    }
    if (filter->since_ms)
        lh_buf_printf(buf, " AND happened_at >= epoch_ms(%lld)", (long long)filter->since_ms);
    if (filter->until_ms)
        lh_buf_printf(buf, " AND happened_at < epoch_ms(%lld)", (long long)filter->until_ms);
}

/* Under the mutex: from memory, newest first; returns where memory begins. */
static uint64_t list_memory(const struct journal *journal, uint64_t before, struct listing *listing)
{
    const struct record_list *tail = &journal->tail;
    for (size_t i = tail->count; i > 0 && listing->count < listing->limit; i--) {
        const struct record *record = tail->items[i - 1];
        if ((!before || record->sequence < before) && fits(record, listing->filter))
            add(listing, record);
    }
    uint64_t from = tail->count ? tail->items[0]->sequence : journal->sequence + 1;
    return before && before < from ? before : from;
}

static enum lh_code list_once(struct journal *journal, const struct journal_filter *filter,
                              uint64_t before, size_t limit, const struct lh_cancel *cancel,
                              struct lh_arena *arena, struct journal_record **ret,
                              size_t *ret_count, bool *ret_has_more, struct lh_error *err)
{
    struct listing listing = {.filter = filter, .arena = arena, .limit = limit + 1};
    struct lh_buf sql;
    enum lh_code code = LH_OK;
    listing.items = lh_arena_array(arena, limit + 2, sizeof *listing.items);
    lh_buf_init(&sql, SQL_BYTES_MAX);
    pthread_mutex_lock(&journal->mutex);
    uint64_t from = list_memory(journal, before, &listing);
    bool has_segments = journal->segment_count && journal->segments[0].first < from;
    bool is_asked = has_segments && listing.count < listing.limit;
    if (is_asked) {
        lh_buf_printf(&sql, "SELECT %s FROM (", segment_columns);
        write_segments(journal, &sql);
        write_memory(journal->sequence, &sql); /* nothing: what stands there is listed already */
        lh_buf_append_str(&sql, lh_lit(")"));
        write_where(filter, from, &sql);
        lh_buf_printf(&sql, " ORDER BY sequence DESC LIMIT %zu", listing.limit - listing.count);
        code = lh_buf_check(&sql, "The journal's list of segments", err);
    }
    pthread_mutex_unlock(&journal->mutex);
    if (!code && is_asked)
        code = journal_ensure_sound(journal, cancel, err);
    if (!code && is_asked)
        code = segment_rows(journal->options.engine, lh_buf_str(&sql), cancel, add_each, &listing,
                            err);
    lh_buf_release(&sql);
    if (code)
        return code;
    *ret_has_more = listing.count > limit;
    *ret = listing.items;
    *ret_count = *ret_has_more ? limit : listing.count;
    return LH_OK;
}

/* When the records were written anew meanwhile (journal/erase.h), the segments that it began with
 * are gone: what it failed with is no failure. */
enum lh_code journal_list(struct journal *journal, const struct journal_filter *filter,
                          uint64_t before, size_t limit, const struct lh_cancel *cancel,
                          struct lh_arena *arena, struct journal_record **ret, size_t *ret_count,
                          bool *ret_has_more, struct lh_error *err)
{
    struct lh_error own = LH_ERROR_NONE;
    uint64_t stamp = 0;
    enum lh_code code = LH_OK;
    do {
        own = (struct lh_error)LH_ERROR_NONE;
        stamp = journal_stamp(journal);
        code = list_once(journal, filter, before, limit, cancel, arena, ret, ret_count,
                         ret_has_more, &own);
    } while (code && !lh_cancel_check(cancel) && journal_stamp(journal) != stamp);
    if (code && err)
        *err = own;
    return code;
}
