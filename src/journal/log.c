#include "journal/internal.h"

#include <stdlib.h>

#define NUMBER_DIGITS 20

void record_list_add(struct record_list *list, struct record *record)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 256;
        struct record **items = lh_allocate(capacity, sizeof *items);
        if (list->count)
            memcpy(items, list->items, list->count * sizeof *items);
        free(list->items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = record;
}

void record_list_release(struct record_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        record_unref(list->items[i]);
    free(list->items);
    *list = (struct record_list){0};
}

/* --- names */

struct lh_str log_key(uint64_t first, struct lh_arena *arena)
{
    return lh_arena_printf(arena, JOURNAL_LOG_FOLDER "/%020llu.log", (unsigned long long)first);
}

struct lh_str segment_key(uint64_t first, uint64_t last, const uint8_t sum[LH_SHA256_BYTES],
                          struct lh_arena *arena)
{
    char hex[LH_SHA256_HEX_BYTES + 1];
    lh_hex(sum, LH_SHA256_BYTES, hex);
    return lh_arena_printf(arena, JOURNAL_SEGMENT_FOLDER "/%020llu-%020llu-%s.parquet",
                           (unsigned long long)first, (unsigned long long)last, hex);
}

static bool read_number(struct lh_str digits, uint64_t *ret)
{
    int64_t value = 0;
    if (digits.len != NUMBER_DIGITS || !lh_str_to_int(digits, &value) || value < 1)
        return false;
    *ret = (uint64_t)value;
    return true;
}

static bool read_log_name(struct lh_str name, struct journal_file *ret)
{
    return name.len == NUMBER_DIGITS + 4 && lh_str_ends_with(name, lh_lit(".log")) &&
           read_number(lh_str_slice(name, 0, NUMBER_DIGITS), &ret->first);
}

/* "-" and the sum behind the numbers; nothing in format 2. */
static bool read_sum(struct lh_str text, struct lh_str *ret)
{
    *ret = lh_str_slice(text, 1, text.len);
    return !text.len || (text.len == 1 + LH_SHA256_HEX_BYTES && text.data[0] == '-');
}

static bool read_segment_name(struct lh_str name, struct journal_file *ret)
{
    static const size_t numbers = 2 * NUMBER_DIGITS + 1, suffix = sizeof ".parquet" - 1;
    return name.len >= numbers + suffix && name.data[NUMBER_DIGITS] == '-' &&
           lh_str_ends_with(name, lh_lit(".parquet")) &&
           read_number(lh_str_slice(name, 0, NUMBER_DIGITS), &ret->first) &&
           read_number(lh_str_slice(name, NUMBER_DIGITS + 1, NUMBER_DIGITS), &ret->last) &&
           read_sum(lh_str_slice(name, numbers, name.len - numbers - suffix), &ret->sum) &&
           ret->last >= ret->first;
}

bool segment_read_key(struct lh_str key, struct journal_file *ret)
{
    static const size_t folder = sizeof JOURNAL_SEGMENT_FOLDER; /* and its slash */
    *ret = (struct journal_file){.key = key};
    return lh_str_starts_with(key, lh_lit(JOURNAL_SEGMENT_FOLDER "/")) &&
           read_segment_name(lh_str_slice(key, folder, key.len - folder), ret);
}

static int compare_files(const void *a, const void *b)
{
    const struct journal_file *x = a, *y = b;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    if (x->last != y->last)
        return x->last > y->last ? -1 : 1;
    return lh_str_compare(x->key, y->key);
}

static enum lh_code list_files(struct storage *storage, struct lh_str folder,
                               bool (*read_name)(struct lh_str, struct journal_file *),
                               struct lh_arena *arena, struct journal_file **ret, size_t *ret_count,
                               struct lh_error *err)
{
    struct storage_entry *entries = NULL;
    size_t count = 0, kept = 0;
    enum lh_code code =
        storage_list(storage, STORAGE_PRIMARY, folder, arena, &entries, &count, err);
    if (code)
        return code;
    struct journal_file *files = lh_arena_array(arena, count + 1, sizeof *files);
    for (size_t i = 0; i < count; i++) {
        struct journal_file file = {.key = entries[i].key, .bytes = entries[i].bytes};
        if (!entries[i].is_folder && !entries[i].is_special && read_name(entries[i].name, &file))
            files[kept++] = file;
    }
    if (kept)
        qsort(files, kept, sizeof *files, compare_files);
    *ret = files;
    *ret_count = kept;
    return LH_OK;
}

enum lh_code log_list(struct storage *storage, struct lh_arena *arena, struct journal_file **ret,
                      size_t *ret_count, struct lh_error *err)
{
    return list_files(storage, lh_lit(JOURNAL_LOG_FOLDER), read_log_name, arena, ret, ret_count,
                      err);
}

enum lh_code segment_list(struct storage *storage, struct lh_arena *arena,
                          struct journal_file **ret, size_t *ret_count, struct lh_error *err)
{
    return list_files(storage, lh_lit(JOURNAL_SEGMENT_FOLDER), read_segment_name, arena, ret,
                      ret_count, err);
}

/* --- reading a log */

struct reading {
    struct lh_str bytes;
    size_t at;
    uint64_t expected;
    uint8_t previous[LH_SHA256_BYTES];
    size_t whole; /* records up to the last whole atom */
    struct log_content *content;
};

static void note_damage(struct reading *reading)
{
    if (!reading->content->damaged_at)
        reading->content->damaged_at = reading->expected;
    reading->content->damage_count++;
}

/* True if there is a frame at or behind `at`; then that is where it is. */
static bool find_frame(struct reading *reading, struct record **ret, size_t *ret_bytes)
{
    for (size_t at = reading->at; at + 4 <= reading->bytes.len; at++) {
        const char *next = memchr(reading->bytes.data + at, 'L', reading->bytes.len - at);
        if (!next)
            return false;
        at = (size_t)(next - reading->bytes.data);
        struct lh_str rest = {next, reading->bytes.len - at};
        if (record_decode(rest, ret, ret_bytes) == LH_OK) {
            reading->at = at;
            return true;
        }
    }
    return false;
}

static void take(struct reading *reading, struct record *record, size_t bytes)
{
    struct log_content *content = reading->content;
    bool is_next = record->sequence == reading->expected &&
                   memcmp(record->previous, reading->previous, LH_SHA256_BYTES) == 0;
    if (!is_next)
        note_damage(reading);
    reading->at += bytes;
    if (record->sequence < reading->expected) { /* out of its place: it has none */
        record_unref(record);
        return;
    }
    reading->expected = record->sequence + 1;
    memcpy(reading->previous, record->hash, LH_SHA256_BYTES);
    record_list_add(&content->records, record);
    if (!record->has_more) {
        reading->whole = content->records.count;
        content->good_bytes = (int64_t)reading->at;
    }
}

/* At a place where the next record should begin: whether all that is whole behind it was written
 * together with what is missing there. One write may reach the disk in any order, and a power cut
 * may leave its end without its beginning: then none of it was acknowledged. A record of a later
 * write proves that what is missing was durable. */
static bool is_torn_write(const struct reading *reading)
{
    struct reading rest = *reading;
    struct record *record = NULL;
    size_t bytes = 0;
    bool is_torn = true;
    while (is_torn && find_frame(&rest, &record, &bytes)) {
        is_torn = record->sequence > reading->expected &&
                  record->sequence - record->before <= reading->expected;
        rest.at += bytes;
        record_unref(record);
    }
    return is_torn;
}

static void read_records(struct reading *reading)
{
    struct log_content *content = reading->content;
    while (reading->at < reading->bytes.len) {
        struct record *record = NULL;
        size_t bytes = 0, at = reading->at;
        if (!find_frame(reading, &record, &bytes))
            break;
        if (reading->at != at && record->sequence > reading->expected) {
            struct reading here = *reading;
            here.at = at;
            if (is_torn_write(&here)) {
                record_unref(record);
                break;
            }
        }
        if (reading->at != at)
            note_damage(reading); /* something whole stands behind what is not */
        take(reading, record, bytes);
    }
    /* An atom without its end was never acknowledged. */
    while (content->records.count > reading->whole)
        record_unref(content->records.items[--content->records.count]);
    content->torn_bytes = (int64_t)reading->bytes.len - content->good_bytes;
}

enum lh_code log_read(struct storage *storage, const struct journal_file *file,
                      struct lh_arena *arena, struct log_content *ret, struct lh_error *err)
{
    struct reading reading = {.content = ret};
    struct lh_arena *scratch = lh_arena_new(0);
    struct lh_str bytes = {0};
    struct log_head head;
    size_t head_bytes = 0;
    *ret = (struct log_content){.head.first_sequence = file->first};
    /* However long it is: what was acknowledged must come back. Only the records stay. */
    enum lh_code code =
        storage_get(storage, STORAGE_PRIMARY, file->key, SIZE_MAX / 2, scratch, &bytes, err);
    if (!code)
        code = log_head_decode(bytes, file->key, arena, &head, &head_bytes, err);
    if (code && (code != LH_DAMAGED || !bytes.data)) {
        lh_arena_free(scratch);
        return code;
    }
    reading.bytes = bytes;
    reading.expected = file->first;
    if (!code && head.first_sequence == file->first) {
        ret->head = head;
        ret->has_head = true;
        ret->good_bytes = (int64_t)head_bytes;
        reading.at = head_bytes;
        memcpy(reading.previous, head.previous, sizeof head.previous);
    } else {
        note_damage(&reading);
    }
    read_records(&reading);
    lh_arena_free(scratch);
    return LH_OK;
}
