#include "base/clock.h"
#include "base/json.h"
#include "base/little.h"
#include "journal/internal.h"

#include <stdlib.h>

/* A frame, numbers little-endian:
 *
 *    0 magic "LHJ1"       4 bytes of the frame   8 sequence      16 epoch
 *   24 lake sequence     32 version             40 time (ms)     48 intent
 *   56 kind (1)          57 flags (1)           58 texts (2)     60 of its write before it (4)
 *   64 hash of the record before (32)           96 texts: length (4; all ones = absent), bytes
 *      at the end: CRC-32C of all before it
 *
 * The record's hash is the SHA-256 of the frame without its checksum, with zeros at 60: what stands
 * there is of the log alone. */
#define FRAME_MAGIC "LHJ1"
#define HEAD_MAGIC "LHJH"
#define FRAME_BEFORE 60
#define FRAME_FIXED 96
#define FRAME_LEAST (FRAME_FIXED + 4 * JOURNAL_TEXT_COUNT + 4)
#define FLAG_MORE 1
#define ABSENT UINT32_MAX

enum { TEXT_ID, TEXT_ACTION, TEXT_ENTITY };

void journal_event_texts(struct journal_event *event, struct lh_str **ret)
{
    struct lh_str *const texts[JOURNAL_TEXT_COUNT] = {
        &event->id,         &event->action,    &event->entity,    &event->dataset,
        &event->dataset_id, &event->field,     &event->old_value, &event->new_value,
        &event->actor,      &event->principal, &event->source,    &event->workspace,
        &event->model,      &event->reason,    &event->detail,    &event->request,
    };
    memcpy(ret, texts, sizeof texts);
}

/* --- in memory */

static const char *const text_names[JOURNAL_TEXT_COUNT] = {
    "id",    "action",    "entity", "dataset",   "dataset_id", "field",  "old_value", "new_value",
    "actor", "principal", "source", "workspace", "model",      "reason", "detail",    "request",
};

static size_t text_max(size_t at)
{
    static const bool is_long[JOURNAL_TEXT_COUNT] = {
        [6] = true, [7] = true, [13] = true, [14] = true};
    if (at == TEXT_ACTION)
        return JOURNAL_ACTION_BYTES_MAX;
    return is_long[at] ? JOURNAL_VALUE_BYTES_MAX : JOURNAL_NAME_BYTES_MAX;
}

enum lh_code record_check(const struct journal_event *event, struct lh_error *err)
{
    struct journal_event copy = *event;
    struct lh_str *texts[JOURNAL_TEXT_COUNT];
    json_t *detail = NULL;
    journal_event_texts(&copy, texts);
    for (size_t i = 0; i < JOURNAL_TEXT_COUNT; i++) {
        if (texts[i]->len > text_max(i))
            return lh_fail(err, LH_INVALID, "The event's %s has %zu bytes; at most %zu are taken.",
                           text_names[i], texts[i]->len, text_max(i));
        if (!lh_str_is_utf8(*texts[i], NULL) ||
            (texts[i]->len && memchr(texts[i]->data, 0, texts[i]->len)))
            return lh_fail(err, LH_INVALID, "The event's %s is no text.", text_names[i]);
    }
    if (!event->action.len || !event->entity.len)
        return lh_fail(err, LH_INVALID, "An event needs an action and an entity.");
    if (event->id.data && !lh_uuid_is_valid(event->id))
        return lh_fail(err, LH_INVALID, "The event's id is no UUID.");
    if (!event->detail.data)
        return LH_OK;
    enum lh_code code = LH_OK;
    if (lh_json_parse(event->detail, "The detail", JOURNAL_VALUE_BYTES_MAX, &detail, NULL) ||
        !json_is_object(detail))
        code = lh_fail(err, LH_INVALID, "The event's detail is no JSON object.");
    json_decref(detail);
    return code;
}

void journal_event_fit(struct journal_event *event)
{
    struct lh_str *texts[JOURNAL_TEXT_COUNT];
    journal_event_texts(event, texts);
    for (size_t i = 0; i < JOURNAL_TEXT_COUNT; i++) {
        const char *end = texts[i]->len ? memchr(texts[i]->data, 0, texts[i]->len) : NULL;
        if (end)
            texts[i]->len = (size_t)(end - texts[i]->data);
        *texts[i] = lh_str_head(*texts[i], text_max(i));
    }
    if (!event->action.len)
        event->action = lh_lit("change");
    if (!event->entity.len)
        event->entity = event->dataset.len ? event->dataset : lh_lit("-");
    if (record_check(event, NULL))
        event->detail = (struct lh_str){0};
}

struct record *record_new(const struct journal_event *event)
{
    struct journal_event copy = *event;
    struct lh_uuid uuid = {.text = ""};
    struct lh_str *texts[JOURNAL_TEXT_COUNT];
    size_t bytes = 0;
    if (!copy.id.data) {
        uuid = lh_uuid_new();
        copy.id = lh_uuid_str(&uuid);
    }
    if (!copy.time_ms)
        copy.time_ms = lh_clock_unix_ms();
    journal_event_texts(&copy, texts);
    for (size_t i = 0; i < JOURNAL_TEXT_COUNT; i++)
        bytes += texts[i]->len + 1;
    struct record *record = calloc(1, sizeof *record + bytes);
    if (!record)
        return NULL;
    char *at = (char *)(record + 1);
    atomic_init(&record->refs, 1);
    record->kind = RECORD_EVENT;
    for (size_t i = 0; i < JOURNAL_TEXT_COUNT; i++) {
        if (!texts[i]->data)
            continue;
        memcpy(at, texts[i]->data, texts[i]->len);
        texts[i]->data = at;
        at += texts[i]->len + 1;
    }
    record->event = copy;
    return record;
}

struct record *record_ref(struct record *record)
{
    atomic_fetch_add_explicit(&record->refs, 1, memory_order_relaxed);
    return record;
}

void record_unref(struct record *record)
{
    if (record && atomic_fetch_sub_explicit(&record->refs, 1, memory_order_acq_rel) == 1)
        free(record);
}

/* --- as bytes */

static void append_number(struct lh_buf *buf, uint64_t value, size_t bytes)
{
    char text[8];
    lh_little_put(text, value, bytes);
    lh_buf_append(buf, text, bytes);
}

static void append_text(struct lh_buf *buf, struct lh_str text)
{
    append_number(buf, text.data ? (uint32_t)text.len : ABSENT, 4);
    lh_buf_append(buf, text.data ? text.data : "", text.len);
}

size_t record_bytes(struct record *record)
{
    struct lh_str *texts[JOURNAL_TEXT_COUNT];
    size_t bytes = FRAME_LEAST;
    journal_event_texts(&record->event, texts);
    for (size_t i = 0; i < JOURNAL_TEXT_COUNT; i++)
        bytes += texts[i]->len;
    return bytes;
}

static void encode(struct record *record, struct lh_buf *buf)
{
    struct lh_str *texts[JOURNAL_TEXT_COUNT];
    const struct journal_event *event = &record->event;
    char fixed[FRAME_FIXED] = FRAME_MAGIC;
    journal_event_texts(&record->event, texts);
    lh_little_put(fixed + 4, record_bytes(record), 4);
    lh_little_put(fixed + 8, record->sequence, 8);
    lh_little_put(fixed + 16, record->epoch, 8);
    lh_little_put(fixed + 24, event->lake_sequence, 8);
    lh_little_put(fixed + 32, (uint64_t)event->version, 8);
    lh_little_put(fixed + 40, (uint64_t)event->time_ms, 8);
    lh_little_put(fixed + 48, record->intent, 8);
    lh_little_put(fixed + 56, (uint64_t)record->kind, 1);
    lh_little_put(fixed + 57, record->has_more ? FLAG_MORE : 0, 1);
    lh_little_put(fixed + 58, JOURNAL_TEXT_COUNT, 2);
    lh_little_put(fixed + FRAME_BEFORE, record->before, 4);
    memcpy(fixed + 64, record->previous, sizeof record->previous);
    lh_buf_append(buf, fixed, sizeof fixed);
    for (size_t i = 0; i < JOURNAL_TEXT_COUNT; i++)
        append_text(buf, *texts[i]);
}

static void hash_frame(const char *frame, size_t len, uint8_t ret[LH_SHA256_BYTES])
{
    static const char zeros[4];
    struct lh_sha256 *sum = lh_sha256_new();
    lh_sha256_add(sum, frame, FRAME_BEFORE);
    lh_sha256_add(sum, zeros, sizeof zeros);
    lh_sha256_add(sum, frame + FRAME_BEFORE + 4, len - FRAME_BEFORE - 4);
    lh_sha256_finish(sum, ret);
    lh_sha256_free(sum);
}

void record_encode(struct record *record, struct lh_buf *buf)
{
    size_t from = buf->len;
    encode(record, buf);
    if (buf->is_over)
        return;
    hash_frame(buf->data + from, buf->len - from, record->hash);
    append_number(buf, lh_crc32c(0, buf->data + from, buf->len - from), 4);
}

void record_sum(struct record *record)
{
    struct lh_buf buf;
    lh_buf_init(&buf, JOURNAL_FRAME_BYTES_MAX);
    encode(record, &buf);
    hash_frame(buf.data, buf.len, record->hash);
    lh_buf_release(&buf);
}

bool record_is_sound(struct record *record)
{
    uint8_t stored[LH_SHA256_BYTES];
    memcpy(stored, record->hash, sizeof stored);
    record_sum(record);
    bool is_sound = memcmp(stored, record->hash, sizeof stored) == 0;
    memcpy(record->hash, stored, sizeof stored);
    return is_sound;
}

static bool read_texts(struct lh_str rest, struct journal_event *event)
{
    struct lh_str *texts[JOURNAL_TEXT_COUNT];
    journal_event_texts(event, texts);
    for (size_t i = 0; i < JOURNAL_TEXT_COUNT; i++) {
        if (rest.len < 4)
            return false;
        uint32_t len = (uint32_t)lh_little_get(rest.data, 4);
        rest = lh_str_slice(rest, 4, rest.len);
        if (len == ABSENT)
            continue;
        if (len > rest.len || len > text_max(i))
            return false;
        *texts[i] = (struct lh_str){rest.data, len};
        rest = lh_str_slice(rest, len, rest.len);
    }
    return rest.len == 0 && event->id.data && event->action.len && event->entity.len;
}

enum lh_code record_decode(struct lh_str bytes, struct record **ret, size_t *ret_bytes)
{
    struct journal_event event = {.version = 0};
    if (bytes.len < FRAME_LEAST || memcmp(bytes.data, FRAME_MAGIC, 4) != 0)
        return LH_DAMAGED;
    size_t len = (size_t)lh_little_get(bytes.data + 4, 4);
    if (len < FRAME_LEAST || len > bytes.len || len > JOURNAL_FRAME_BYTES_MAX)
        return LH_DAMAGED;
    if (lh_little_get(bytes.data + len - 4, 4) != lh_crc32c(0, bytes.data, len - 4))
        return LH_DAMAGED;
    uint64_t kind = lh_little_get(bytes.data + 56, 1), flags = lh_little_get(bytes.data + 57, 1);
    if (kind < RECORD_EVENT || kind > RECORD_VOID || flags > FLAG_MORE ||
        lh_little_get(bytes.data + 58, 2) != JOURNAL_TEXT_COUNT ||
        lh_little_get(bytes.data + FRAME_BEFORE, 4) >= lh_little_get(bytes.data + 8, 8) ||
        !read_texts((struct lh_str){bytes.data + FRAME_FIXED, len - FRAME_FIXED - 4}, &event))
        return LH_DAMAGED;
    event.lake_sequence = lh_little_get(bytes.data + 24, 8);
    event.version = (int64_t)lh_little_get(bytes.data + 32, 8);
    event.time_ms = (int64_t)lh_little_get(bytes.data + 40, 8);
    struct record *record = record_new(&event);
    if (!record)
        lh_die_without_memory(); /* said to be no record, it would be cut off */
    record->event.time_ms = event.time_ms;
    record->sequence = lh_little_get(bytes.data + 8, 8);
    record->epoch = lh_little_get(bytes.data + 16, 8);
    record->intent = lh_little_get(bytes.data + 48, 8);
    record->kind = (enum record_kind)kind;
    record->has_more = flags & FLAG_MORE;
    record->before = (uint32_t)lh_little_get(bytes.data + FRAME_BEFORE, 4);
    memcpy(record->previous, bytes.data + 64, sizeof record->previous);
    hash_frame(bytes.data, len - 4, record->hash);
    *ret = record;
    *ret_bytes = len;
    return LH_OK;
}

/* --- the head of a log
 *
 *    0 magic "LHJH"   4 bytes of the head   8 format (4)   12 ids (4)   16 first sequence
 *   24 epoch         32 events before it   40 drained     48 hash of the record before (32)
 *   80 ids: 36 bytes each; at the end: CRC-32C of all before it */
#define HEAD_FIXED 80

void log_head_encode(const struct log_head *head, struct lh_buf *buf)
{
    size_t from = buf->len;
    char fixed[HEAD_FIXED] = HEAD_MAGIC;
    lh_little_put(fixed + 4, HEAD_FIXED + head->id_count * LH_UUID_TEXT_BYTES + 4, 4);
    lh_little_put(fixed + 8, JOURNAL_FORMAT, 4);
    lh_little_put(fixed + 12, head->id_count, 4);
    lh_little_put(fixed + 16, head->first_sequence, 8);
    lh_little_put(fixed + 24, head->epoch, 8);
    lh_little_put(fixed + 32, head->event_count, 8);
    lh_little_put(fixed + 40, head->drained, 8);
    memcpy(fixed + 48, head->previous, sizeof head->previous);
    lh_buf_append(buf, fixed, sizeof fixed);
    for (size_t i = 0; i < head->id_count; i++)
        lh_buf_append(buf, head->ids[i].data, LH_UUID_TEXT_BYTES);
    if (!buf->is_over)
        append_number(buf, lh_crc32c(0, buf->data + from, buf->len - from), 4);
}

enum lh_code log_head_decode(struct lh_str bytes, struct lh_str key, struct lh_arena *arena,
                             struct log_head *ret, size_t *ret_bytes, struct lh_error *err)
{
    size_t len = bytes.len >= HEAD_FIXED + 4 ? (size_t)lh_little_get(bytes.data + 4, 4) : 0;
    if (len < HEAD_FIXED + 4 || len > bytes.len || memcmp(bytes.data, HEAD_MAGIC, 4) != 0 ||
        lh_little_get(bytes.data + len - 4, 4) != lh_crc32c(0, bytes.data, len - 4))
        return lh_fail(err, LH_DAMAGED, "The head of '%.*s' is not what was written.", LH_ARG(key));
    if (lh_little_get(bytes.data + 8, 4) > JOURNAL_FORMAT)
        return lh_fail(err, LH_FORMAT, "'%.*s' was written by a newer release.", LH_ARG(key));
    *ret = (struct log_head){
        .format = (uint32_t)lh_little_get(bytes.data + 8, 4),
        .first_sequence = lh_little_get(bytes.data + 16, 8),
        .epoch = lh_little_get(bytes.data + 24, 8),
        .event_count = lh_little_get(bytes.data + 32, 8),
        .drained = lh_little_get(bytes.data + 40, 8),
        .id_count = (size_t)lh_little_get(bytes.data + 12, 4),
    };
    if (ret->id_count > JOURNAL_IDS_MAX ||
        len != HEAD_FIXED + ret->id_count * LH_UUID_TEXT_BYTES + 4)
        return lh_fail(err, LH_DAMAGED, "The head of '%.*s' contradicts itself.", LH_ARG(key));
    memcpy(ret->previous, bytes.data + 48, sizeof ret->previous);
    ret->ids = lh_arena_array(arena, ret->id_count + 1, sizeof *ret->ids);
    for (size_t i = 0; i < ret->id_count; i++)
        ret->ids[i] =
            lh_arena_str(arena, (struct lh_str){bytes.data + HEAD_FIXED + i * LH_UUID_TEXT_BYTES,
                                                LH_UUID_TEXT_BYTES});
    *ret_bytes = len;
    return LH_OK;
}
