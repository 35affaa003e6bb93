#include "lake/repeats.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/secret.h"
#include "lake/internal.h"
#include "storage/findings.h"
#include "storage/storage.h"

#define FOLDER "_idempotency"
#define FORMAT 1
#define RECORD_BYTES_MAX (LAKE_REPEAT_BODY_BYTES_MAX * 7) /* a byte takes at most six in JSON */
#define SECRETS_MAX 1000

static const struct lh_field rows[] = {
    LH_INT(struct lake_answer, format, .required = true, .doc = "Of this file."),
    LH_STR(struct lake_answer, request_hash, .required = true, .doc = "Of what was asked for."),
    LH_TIME(struct lake_answer, at, .required = true, .doc = "When it was done."),
    LH_INT(struct lake_answer, status, .required = true, .doc = "Of the answer."),
    LH_STR(struct lake_answer, content_type, .doc = "Of the body."),
    LH_STR(struct lake_answer, etag, .doc = "Of the answer."),
    LH_STR(struct lake_answer, location, .doc = "Of the answer."),
    LH_STR(struct lake_answer, body, .doc = "Of the answer; absent: none, or a secret."),
    LH_BOOL(struct lake_answer, is_secret, .doc = "The body was not written."),
};
static const struct lh_fields fields = LH_FIELDS_OF(struct lake_answer, "IdempotencyRecord", rows);

/* A key that somebody works under, or a secret answer. */
struct held {
    struct held *next; /* newer */
    uint8_t sum[LH_SHA256_BYTES];
    bool is_done; /* then it holds a secret body */
    int64_t from_us;
    size_t body_len;
    char body[];
};

struct repeats {
    struct storage *storage;
    pthread_mutex_t lock; /* guards the rest */
    struct held *first;   /* oldest */
    size_t secret_count;
};

enum lh_code repeats_new(struct storage *storage, struct repeats **ret, struct lh_error *err)
{
    struct repeats *repeats = calloc(1, sizeof(*repeats));
    if (!repeats)
        return lh_fail(err, LH_BUSY, "There is no memory for the list of requests.");
    repeats->storage = storage;
    pthread_mutex_init(&repeats->lock, NULL);
    *ret = repeats;
    return LH_OK;
}

static void held_free(struct held *held)
{
    lh_wipe(held->body, held->body_len);
    free(held);
}

void repeats_free(struct repeats *repeats)
{
    if (!repeats)
        return;
    while (repeats->first) {
        struct held *held = repeats->first;
        repeats->first = held->next;
        held_free(held);
    }
    pthread_mutex_destroy(&repeats->lock);
    free(repeats);
}

/* --- held: with the lock */

static struct held **place_of(struct repeats *repeats, const uint8_t *sum)
{
    struct held **at = &repeats->first;
    while (*at && memcmp((*at)->sum, sum, LH_SHA256_BYTES) != 0)
        at = &(*at)->next;
    return at;
}

static void take_out(struct repeats *repeats, struct held **at)
{
    struct held *held = *at;
    if (!held)
        return;
    *at = held->next;
    repeats->secret_count -= held->is_done;
    held_free(held);
}

static void drop_oldest_secret(struct repeats *repeats)
{
    struct held **at = &repeats->first;
    while (*at && !(*at)->is_done)
        at = &(*at)->next;
    take_out(repeats, at);
}

static bool add(struct repeats *repeats, const uint8_t *sum, bool is_done, struct lh_str body)
{
    struct held *held = malloc(sizeof(*held) + body.len);
    if (!held)
        return false;
    memcpy(held->sum, sum, LH_SHA256_BYTES);
    held->next = NULL;
    held->from_us = lh_clock_monotonic_us();
    held->is_done = is_done;
    held->body_len = body.len;
    if (body.len)
        memcpy(held->body, body.data, body.len);
    struct held **at = &repeats->first;
    while (*at)
        at = &(*at)->next;
    *at = held;
    repeats->secret_count += is_done;
    return true;
}

/* --- records */

static struct lh_str record_key(const uint8_t *sum, struct lh_arena *arena)
{
    char hex[LH_SHA256_HEX_BYTES + 1];
    lh_hex(sum, LH_SHA256_BYTES, hex);
    return lh_arena_printf(arena, FOLDER "/%.2s/%s.json", hex, hex);
}

static enum lh_code parse(struct lh_str text, struct lh_arena *arena, struct lake_answer *ret,
                          struct lh_error *err)
{
    json_t *object = NULL;
    enum lh_code code = lh_json_parse(text, "The record", RECORD_BYTES_MAX, &object, err);
    if (!code) {
        lh_json_keep(object, arena);
        lh_fields_preset(&fields, ret);
        code = lh_fields_bind_json(&fields, object, arena, ret, err);
    }
    if (!code)
        code = lh_fields_check(&fields, ret, err);
    if (!code && ret->format == FORMAT)
        return LH_OK;
    /* What it stands for was done or not: only who sent it can find out. */
    lh_fail(err, LH_DAMAGED, "The record of this Idempotency-Key cannot be read.");
    return lh_error_hint(err, "Look whether the request was done; then use another key.");
}

/* *ret_found: false if there is none, or an old one. */
static enum lh_code read_record(struct repeats *repeats, const uint8_t *sum, struct lh_arena *arena,
                                struct lake_answer *ret, bool *ret_found, struct lh_error *err)
{
    struct lh_str text = {0};
    *ret_found = false;
    enum lh_code code = storage_get(repeats->storage, STORAGE_PRIMARY, record_key(sum, arena),
                                    RECORD_BYTES_MAX, arena, &text, err);
    if (code == LH_NOT_FOUND)
        return LH_OK;
    if (!code)
        code = parse(text, arena, ret, err);
    if (!code)
        *ret_found = lh_clock_unix_ms() - ret->at.unix_ms < LAKE_REPEAT_KEPT_MS;
    return code;
}

static enum lh_code put_record(struct storage *storage, struct lh_str key,
                               const struct lake_answer *record, struct lh_error *err)
{
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, RECORD_BYTES_MAX);
    lh_json_init(&json, &buf);
    lh_fields_write(&fields, record, &json);
    enum lh_code code = lh_buf_check(&buf, "The record of the request", err);
    if (!code)
        code = storage_put_replacing(storage, STORAGE_PRIMARY, key, lh_buf_str(&buf), err);
    lh_buf_release(&buf);
    return code;
}

static void write_record(struct repeats *repeats, const uint8_t *sum,
                         const struct lake_answer *answer)
{
    struct lh_error err = LH_ERROR_NONE;
    struct lake_answer record = *answer;
    struct lh_arena *arena = lh_arena_new(0);
    record.format = FORMAT;
    record.at = (struct lh_time){lh_clock_unix_ms()};
    if (record.is_secret)
        record.body = (struct lh_str){0};
    if (put_record(repeats->storage, record_key(sum, arena), &record, &err))
        lh_log_error(LH_LOG_WARN, "lake.idempotency", &err);
    lh_arena_free(arena);
}

enum lh_code repeats_redact(struct storage *storage, struct lh_str key, struct lh_str text,
                            bool (*must_go)(void *context, struct lh_str text), void *context,
                            bool *ret_changed, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lake_answer answer = {0};
    enum lh_code code = parse(text, arena, &answer, err);
    *ret_changed = false;
    if (!code && (must_go(context, answer.body) || must_go(context, answer.location) ||
                  must_go(context, answer.etag))) {
        answer.body = answer.location = answer.etag = (struct lh_str){0};
        answer.is_secret = true;
        code = put_record(storage, key, &answer, err);
        *ret_changed = !code;
    }
    lh_arena_free(arena);
    return code == LH_DAMAGED ? LH_OK : code; /* nobody gets it as an answer */
}

/* --- begin and end */

/* Claims the key for the caller, or tells what stands in the way. *ret_body: of a secret answer. */
static enum lh_code claim(struct repeats *repeats, const uint8_t *sum, struct lh_arena *arena,
                          struct lh_str *ret_body, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    pthread_mutex_lock(&repeats->lock);
    const struct held *held = *place_of(repeats, sum);
    if (held && held->is_done)
        *ret_body = lh_arena_str(arena, (struct lh_str){held->body, held->body_len});
    else if (held)
        code = lh_fail(err, LH_RACE, "A request with this Idempotency-Key is under way.");
    else if (!add(repeats, sum, false, (struct lh_str){0}))
        code = lh_fail(err, LH_BUSY, "There is no memory for another request with a key.");
    pthread_mutex_unlock(&repeats->lock);
    return code;
}

static void give_back(struct repeats *repeats, const uint8_t *sum)
{
    pthread_mutex_lock(&repeats->lock);
    take_out(repeats, place_of(repeats, sum));
    pthread_mutex_unlock(&repeats->lock);
}

static enum lh_code check_found(const struct lake_answer *answer, struct lh_str request_hash,
                                struct lh_error *err)
{
    if (!lh_str_equal(answer->request_hash, request_hash)) {
        lh_fail(err, LH_KEY_REUSED, "This Idempotency-Key came before, with another request.");
        return lh_error_hint(err, "Send every request with a key of its own; only a repetition of "
                                  "the same request has the same key.");
    }
    if (!answer->is_secret || answer->body.data)
        return LH_OK;
    lh_fail(err, LH_CONFLICT,
            "This request was done%s%.*s; its answer held a secret, which is not "
            "kept.",
            answer->location.len ? ", and made " : "", LH_ARG(answer->location));
    return lh_error_hint(err, "Revoke what it made, and ask again under another Idempotency-Key.");
}

enum lh_code repeats_begin(struct repeats *repeats, struct lh_str key, struct lh_str request_hash,
                           struct lh_arena *arena, const struct lake_answer **ret,
                           struct lh_error *err)
{
    uint8_t sum[LH_SHA256_BYTES];
    struct lh_str body = {0};
    struct lake_answer *answer = lh_arena_alloc(arena, sizeof(*answer));
    bool has_found = false;
    lh_sha256_of(key, sum);
    enum lh_code code = claim(repeats, sum, arena, &body, err);
    if (code)
        return code;
    code = read_record(repeats, sum, arena, answer, &has_found, err);
    if (!code && has_found) {
        if (body.data)
            answer->body = body;
        code = check_found(answer, request_hash, err);
    }
    if (!body.data && (code || has_found))
        give_back(repeats, sum);
    if (!code)
        *ret = has_found ? answer : NULL;
    return code;
}

void repeats_end(struct repeats *repeats, struct lh_str key, const struct lake_answer *answer)
{
    uint8_t sum[LH_SHA256_BYTES];
    lh_sha256_of(key, sum);
    if (answer)
        write_record(repeats, sum, answer);
    pthread_mutex_lock(&repeats->lock);
    take_out(repeats, place_of(repeats, sum));
    if (answer && answer->is_secret) {
        if (repeats->secret_count >= SECRETS_MAX)
            drop_oldest_secret(repeats);
        /* Without memory a repetition learns that it was done, and not the secret. */
        (void)!add(repeats, sum, true, answer->body);
    }
    pthread_mutex_unlock(&repeats->lock);
}

/* --- offline */

struct look {
    struct storage *storage;
    struct storage_findings *findings;
    int64_t count;
};

static bool is_record(struct lh_str name)
{
    uint8_t sum[LH_SHA256_BYTES];
    return name.len == LH_SHA256_HEX_BYTES + strlen(".json") &&
           lh_str_ends_with(name, lh_lit(".json")) &&
           lh_hex_parse(lh_str_slice(name, 0, LH_SHA256_HEX_BYTES), sum, sizeof(sum));
}

static enum lh_code verify_file(void *context, const struct storage_entry *entry,
                                struct lh_error *err)
{
    struct look *look = context;
    struct lh_error found = LH_ERROR_NONE;
    struct lake_answer answer;
    struct lh_str text;
    (void)err; /* what is wrong is a finding */
    if (entry->is_special || !is_record(entry->name)) {
        storage_find(look->findings, entry->is_special, entry->key,
                     entry->is_special ? "It is a link or a device, not a file."
                                       : "It is not the record of a request.");
        return LH_OK;
    }
    struct lh_arena *arena = lh_arena_new(0);
    look->count++;
    if (storage_get(look->storage, STORAGE_PRIMARY, entry->key, RECORD_BYTES_MAX, arena, &text,
                    &found) ||
        parse(text, arena, &answer, &found))
        storage_find(look->findings, true, entry->key, "%s", found.message);
    lh_arena_free(arena);
    return LH_OK;
}

enum lh_code repeats_verify(struct storage *storage, struct storage_findings *findings,
                            int64_t *ret_count, struct lh_error *err)
{
    struct look look = {.storage = storage, .findings = findings};
    enum lh_code code =
        storage_walk(storage, STORAGE_PRIMARY, lh_lit(FOLDER), verify_file, &look, err);
    if (!code)
        *ret_count = look.count;
    return code;
}

/* --- old ones */

struct sweep {
    struct repeats *repeats;
    int64_t now_ms;
    size_t moved;
};

static enum lh_code look_at(void *context, const struct storage_entry *entry, struct lh_error *err)
{
    struct sweep *sweep = context;
    if (entry->is_special || sweep->now_ms - entry->modified_ms < LAKE_REPEAT_KEPT_MS)
        return LH_OK;
    enum lh_code code =
        storage_trash(sweep->repeats->storage, STORAGE_PRIMARY, &entry->key, 1, err);
    sweep->moved += code == LH_OK;
    return code;
}

static void drop_old_secrets(struct repeats *repeats)
{
    int64_t before_us = lh_clock_monotonic_us() - LAKE_REPEAT_KEPT_MS * 1000;
    pthread_mutex_lock(&repeats->lock);
    for (struct held **at = &repeats->first; *at;)
        if ((*at)->is_done && (*at)->from_us < before_us)
            take_out(repeats, at);
        else
            at = &(*at)->next;
    pthread_mutex_unlock(&repeats->lock);
}

enum lh_code repeats_sweep(struct repeats *repeats, struct lh_error *err)
{
    struct sweep sweep = {.repeats = repeats, .now_ms = lh_clock_unix_ms()};
    drop_old_secrets(repeats);
    return storage_walk(repeats->storage, STORAGE_PRIMARY, lh_lit(FOLDER), look_at, &sweep, err);
}
