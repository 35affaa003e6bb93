/* Named records: files on the disk, the newest of each name in memory. */
#include "storage/records.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sealed.h"
#include "storage/findings.h"
#include "storage/storage.h"

#define VERSION_DIGITS 20
#define PATH_BYTES 160

struct entry {
    struct lh_arena *arena;        /* holds the entry itself */
    struct storage_record *record; /* of the kind's size */
    struct lh_str key;             /* its name in lower case */
    bool is_damaged;               /* only key and version are known */
};

struct storage_records {
    struct storage *storage;
    const struct storage_record_kind *kind;
    pthread_mutex_t write_lock; /* one save or removal at a time, disk calls included */
    pthread_rwlock_t lock;      /* guards what follows; never held during disk calls */
    struct entry **entries;     /* ascending by key; removed names stay, for their version */
    size_t count;
    size_t capacity;
};

/* --- entries */

static struct lh_str lower(struct lh_arena *arena, struct lh_str name)
{
    char *text = lh_arena_alloc(arena, name.len + 1);
    for (size_t i = 0; i < name.len; i++)
        text[i] =
            (char)(name.data[i] >= 'A' && name.data[i] <= 'Z' ? name.data[i] | 0x20 : name.data[i]);
    return (struct lh_str){text, name.len};
}

/* Index of the first entry whose key is not below `key`. */
static size_t lower_bound(const struct storage_records *records, struct lh_str key)
{
    size_t low = 0, high = records->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (lh_str_compare(records->entries[middle]->key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct entry *entry_of(const struct storage_records *records, struct lh_str key)
{
    size_t at = lower_bound(records, key);
    bool is_there = at < records->count && lh_str_equal(records->entries[at]->key, key);
    return is_there ? records->entries[at] : NULL;
}

static bool is_live(const struct entry *entry)
{
    return entry && !entry->record->is_removed;
}

static struct entry *entry_new(const struct storage_record_kind *kind, struct lh_str key)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct entry *entry = lh_arena_alloc(arena, sizeof *entry);
    *entry = (struct entry){.arena = arena,
                            .record = lh_arena_alloc(arena, kind->fields->size),
                            .key = lh_arena_str(arena, key)};
    lh_fields_preset(kind->fields, entry->record);
    return entry;
}

static void entry_free(struct entry *entry)
{
    if (entry)
        lh_arena_free(entry->arena);
}

/* Takes the entry in the place of the one with its key. Under write_lock. */
static enum lh_code adopt(struct storage_records *records, struct entry *entry,
                          struct lh_error *err)
{
    enum lh_code code = LH_OK;
    pthread_rwlock_wrlock(&records->lock);
    size_t at = lower_bound(records, entry->key);
    if (at < records->count && lh_str_equal(records->entries[at]->key, entry->key)) {
        entry_free(records->entries[at]);
        records->entries[at] = entry;
    } else {
        size_t capacity = records->count == records->capacity ? records->capacity * 2 + 16 : 0;
        struct entry **grown = capacity
                                   ? realloc(records->entries, capacity * sizeof(struct entry *))
                                   : records->entries;
        if (grown) {
            records->capacity = capacity ? capacity : records->capacity;
            records->entries = grown;
            memmove(grown + at + 1, grown + at, (records->count - at) * sizeof(struct entry *));
            grown[at] = entry;
            records->count++;
        } else {
            code = lh_fail(err, LH_BUSY, "There is no memory for another record.");
        }
    }
    pthread_rwlock_unlock(&records->lock);
    return code;
}

/* --- files */

static struct lh_str path_of(const struct storage_record_kind *kind, struct lh_str key,
                             int64_t version, char buffer[PATH_BYTES])
{
    int len = snprintf(buffer, PATH_BYTES, "%s/%.*s.%0*lld.json", kind->folder, LH_ARG(key),
                       VERSION_DIGITS, (long long)version);
    return (struct lh_str){buffer, (size_t)len};
}

/* "by_city.00000000000000000003.json" */
static bool read_file_name(const struct storage_record_kind *kind, struct lh_str name,
                           struct lh_str *ret_key, int64_t *ret_version)
{
    struct lh_str rest = name, key = lh_str_cut(&rest, '.'), digits = lh_str_cut(&rest, '.');
    *ret_key = key;
    return kind->is_name(key) && digits.len == VERSION_DIGITS &&
           lh_str_to_int(digits, ret_version) && *ret_version > 0 &&
           lh_str_equal(rest, lh_lit("json"));
}

static enum lh_code bind_record(const struct storage_record_kind *kind, const json_t *json,
                                int64_t version, struct entry *entry, struct lh_error *err)
{
    struct storage_record *record = entry->record;
    enum lh_code code = lh_fields_bind_json(kind->fields, json, entry->arena, record, err);
    if (!code)
        code = lh_fields_check(kind->fields, record, err);
    if (!code)
        code = lh_fields_copy(kind->fields, record, entry->arena, record, err);
    if (code)
        return code;
    if (!lh_str_equal(lower(entry->arena, record->name), entry->key) || record->version != version)
        return lh_fail(err, LH_DAMAGED, "The record is not the one that its file is named for.");
    return kind->check && !record->is_removed ? kind->check(record, err) : LH_OK;
}

/* Written by a release whose records had no checksum. */
static bool is_from_before(struct lh_str text)
{
    return lh_str_starts_with(text, lh_lit("{\"name\":"));
}

static enum lh_code read_record(struct storage *storage, const struct storage_record_kind *kind,
                                struct lh_str path, int64_t version, struct entry *entry,
                                struct lh_error *err)
{
    struct lh_str text, what = lh_arena_printf(entry->arena, "The record of a %s", kind->what);
    json_t *json = NULL;
    enum lh_code code = storage_get(storage, STORAGE_PRIMARY, path, STORAGE_RECORD_BYTES_MAX,
                                    entry->arena, &text, err);
    if (!code && !is_from_before(text))
        code = lh_sealed_check(text, what, err);
    if (!code)
        code = lh_json_parse(text, what.data, STORAGE_RECORD_BYTES_MAX, &json, err);
    if (!code) {
        json_object_del(json, LH_SEALED_MEMBER);
        code = bind_record(kind, json, version, entry, err);
    }
    json_decref(json);
    return code;
}

/* --- opening */

/* What is left of an entry whose file cannot be read. */
static void mark_damaged(const struct storage_record_kind *kind, int64_t version,
                         struct entry *entry)
{
    lh_fields_preset(kind->fields, entry->record);
    entry->record->name = entry->key;
    entry->record->version = version;
    entry->is_damaged = true;
}

/* Files come in the order of their names, so the last of a key is its newest. */
static enum lh_code load(struct storage_records *records, struct lh_error *err)
{
    const struct storage_record_kind *kind = records->kind;
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_entry *files = NULL;
    size_t count = 0;
    enum lh_code code = storage_list(records->storage, STORAGE_PRIMARY, lh_str_of(kind->folder),
                                     arena, &files, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        struct lh_error found = LH_ERROR_NONE;
        struct lh_str key, next;
        int64_t version, ignored;
        if (files[i].is_folder || !read_file_name(kind, files[i].name, &key, &version))
            continue;
        if (i + 1 < count && read_file_name(kind, files[i + 1].name, &next, &ignored) &&
            lh_str_equal(next, key))
            continue;
        struct entry *entry = entry_new(kind, key);
        if (read_record(records->storage, kind, files[i].key, version, entry, &found)) {
            mark_damaged(kind, version, entry);
            lh_log_error(LH_LOG_ERROR, "record.damaged", &found);
        }
        code = adopt(records, entry, err);
        if (code)
            entry_free(entry);
    }
    lh_arena_free(arena);
    return code;
}

enum lh_code storage_records_open(struct storage *storage, const struct storage_record_kind *kind,
                                  struct storage_records **ret, struct lh_error *err)
{
    struct storage_records *records = calloc(1, sizeof *records);
    if (!records)
        return lh_fail(err, LH_BUSY, "There is no memory for the records of each %s.", kind->what);
    records->storage = storage;
    records->kind = kind;
    pthread_mutex_init(&records->write_lock, NULL);
    pthread_rwlock_init(&records->lock, NULL);
    enum lh_code code = load(records, err);
    if (code)
        storage_records_close(records);
    else
        *ret = records;
    return code;
}

void storage_records_close(struct storage_records *records)
{
    if (!records)
        return;
    for (size_t i = 0; i < records->count; i++)
        entry_free(records->entries[i]);
    free(records->entries);
    pthread_rwlock_destroy(&records->lock);
    pthread_mutex_destroy(&records->write_lock);
    free(records);
}

size_t storage_records_damaged(struct storage_records *records, struct lh_arena *arena,
                               struct lh_str *ret, size_t most)
{
    size_t damaged = 0;
    pthread_rwlock_rdlock(&records->lock);
    for (size_t i = 0; i < records->count; i++) {
        const struct entry *entry = records->entries[i];
        if (entry->is_damaged && damaged < most)
            ret[damaged] = lh_arena_str(arena, entry->record->name);
        damaged += entry->is_damaged;
    }
    pthread_rwlock_unlock(&records->lock);
    return damaged;
}

/* --- saving and removing */

static enum lh_code put_record(struct storage_records *records, const struct entry *entry,
                               struct lh_error *err)
{
    char path[PATH_BYTES], what[64];
    struct lh_buf body, buf;
    struct lh_json json;
    bool is_removal = entry->record->is_removed;
    snprintf(what, sizeof what, "The %s", records->kind->what);
    lh_buf_init(&body, STORAGE_RECORD_BYTES_MAX);
    lh_buf_init(&buf, STORAGE_RECORD_BYTES_MAX);
    lh_json_init(&json, &body);
    lh_fields_write(records->kind->fields, entry->record, &json);
    enum lh_code code = lh_buf_check(&body, what, err);
    if (!code) {
        lh_sealed_append(&buf, lh_buf_str(&body));
        code = lh_buf_check(&buf, what, err);
    }
    if (!code) /* removing must be possible on a full disk */
        code = (is_removal ? storage_put_vital : storage_put_exclusive)(
            records->storage, STORAGE_PRIMARY,
            path_of(records->kind, entry->key, entry->record->version, path), lh_buf_str(&buf),
            err);
    lh_buf_release(&buf);
    lh_buf_release(&body);
    return code;
}

/* A try whose outcome was not known has left a record after all: it is what the name means now. */
static enum lh_code adopt_found(struct storage_records *records, const struct entry *tried,
                                struct lh_error *err)
{
    char path[PATH_BYTES];
    struct entry *found = entry_new(records->kind, tried->key);
    int64_t version = tried->record->version;
    enum lh_code code =
        read_record(records->storage, records->kind,
                    path_of(records->kind, tried->key, version, path), version, found, err);
    if (!code)
        code = adopt(records, found, err);
    if (code)
        entry_free(found);
    return code ? code
                : lh_fail(err, LH_RACE, "The %s '%.*s' was changed by somebody else meanwhile.",
                          records->kind->what, LH_ARG(tried->record->name));
}

static enum lh_code commit(struct storage_records *records, struct entry *entry,
                           struct lh_error *err)
{
    enum lh_code code = put_record(records, entry, err);
    if (code == LH_EXISTS) {
        code = adopt_found(records, entry, err);
        entry_free(entry);
        return code;
    }
    if (!code)
        code = adopt(records, entry, err);
    if (code)
        entry_free(entry);
    return code;
}

static enum lh_code no_such_record(const struct storage_records *records, struct lh_str name,
                                   struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str *names = lh_arena_array(arena, records->count + 1, sizeof *names);
    size_t count = 0;
    for (size_t i = 0; i < records->count; i++)
        if (is_live(records->entries[i]))
            names[count++] = records->entries[i]->record->name;
    struct lh_str nearest = lh_str_nearest(name, names, count);
    lh_fail(err, LH_NOT_FOUND, "There is no %s '%.*s'.", records->kind->what,
            LH_ARG(lh_str_head(name, 64)));
    if (nearest.len)
        lh_error_hint(err, "Did you mean '%.*s'?", LH_ARG(nearest));
    lh_arena_free(arena);
    return LH_NOT_FOUND;
}

static enum lh_code check_over(const struct storage_records *records, const struct entry *entry,
                               struct lh_str name, int64_t over, struct lh_error *err)
{
    const struct storage_record_kind *kind = records->kind;
    bool is_there = is_live(entry);
    if (over && !is_there)
        return no_such_record(records, name, err);
    if (!over && is_there) {
        lh_fail(err, LH_EXISTS, "There is a %s '%.*s'.", kind->what, LH_ARG(entry->record->name));
        return lh_error_hint(err, "%s", kind->replace);
    }
    if (over > 0 && entry->record->version != over) {
        lh_fail(err, LH_PRECONDITION, "The %s '%.*s' is at version %lld, not %lld.", kind->what,
                LH_ARG(entry->record->name), (long long)entry->record->version, (long long)over);
        return lh_error_hint(err, "Read it again, and decide anew.");
    }
    if (!entry && records->count >= kind->count_max)
        return lh_fail(err, LH_TOO_LARGE, "%zu names were given to a %s, and no more are.",
                       kind->count_max, kind->what);
    return LH_OK;
}

/* Writes what `record` says as the next version of its name. */
static enum lh_code save(struct storage_records *records, const struct storage_record *record,
                         int64_t over, struct lh_arena *arena, void *ret, struct lh_error *err)
{
    const struct lh_fields *fields = records->kind->fields;
    struct lh_arena *own = lh_arena_new(0);
    struct lh_str key = lower(own, record->name);
    pthread_mutex_lock(&records->write_lock);
    const struct entry *before = entry_of(records, key); /* only writers move entries */
    enum lh_code code = check_over(records, before, record->name, over, err);
    if (!code) {
        struct entry *entry = entry_new(records->kind, key);
        code = lh_fields_copy(fields, record, entry->arena, entry->record, err);
        entry->record->version = (before ? before->record->version : 0) + 1;
        entry->record->saved_at.unix_ms = lh_clock_unix_ms();
        if (!code && ret)
            code = lh_fields_copy(fields, entry->record, arena, ret, err);
        if (code)
            entry_free(entry);
        else
            code = commit(records, entry, err);
    }
    pthread_mutex_unlock(&records->write_lock);
    lh_arena_free(own);
    return code;
}

enum lh_code storage_records_put(struct storage_records *records, const void *record, int64_t over,
                                 struct lh_arena *arena, void *ret, struct lh_error *err)
{
    void *made = lh_arena_alloc(arena, records->kind->fields->size);
    enum lh_code code = save(records, record, over, arena, made, err);
    if (!code)
        memcpy(ret, made, records->kind->fields->size);
    return code;
}

enum lh_code storage_records_remove(struct storage_records *records, struct lh_str name,
                                    int64_t over, struct lh_str actor, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_record *none = lh_arena_alloc(arena, records->kind->fields->size);
    lh_fields_preset(records->kind->fields, none);
    none->name = name;
    none->saved_by = actor;
    none->is_removed = true;
    enum lh_code code = save(records, none, over, NULL, NULL, err);
    lh_arena_free(arena);
    return code;
}

/* --- reading */

enum lh_code storage_records_list(struct storage_records *records, struct lh_str after,
                                  size_t limit, struct lh_arena *arena, void **ret,
                                  size_t *ret_count, struct lh_str *ret_next, struct lh_error *err)
{
    const struct lh_fields *fields = records->kind->fields;
    struct lh_str key = lower(arena, after), next = {0};
    char *items = lh_arena_array(arena, limit + 1, fields->size);
    enum lh_code code = LH_OK;
    size_t count = 0;
    pthread_rwlock_rdlock(&records->lock);
    size_t at = after.len ? lower_bound(records, key) : 0;
    if (at < records->count && lh_str_equal(records->entries[at]->key, key))
        at++;
    for (; !code && at < records->count; at++) {
        const struct entry *entry = records->entries[at];
        if (!is_live(entry))
            continue;
        if (count == limit) {
            next = ((struct storage_record *)(void *)(items + (count - 1) * fields->size))->name;
            break;
        }
        code = lh_fields_copy(fields, entry->record, arena, items + count++ * fields->size, err);
    }
    pthread_rwlock_unlock(&records->lock);
    if (code)
        return code;
    *ret = items;
    *ret_count = count;
    *ret_next = next;
    return LH_OK;
}

enum lh_code storage_records_get(struct storage_records *records, struct lh_str name,
                                 struct lh_arena *arena, void *ret, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    struct lh_str key = lower(arena, name);
    pthread_rwlock_rdlock(&records->lock);
    const struct entry *entry = entry_of(records, key);
    if (!is_live(entry))
        code = no_such_record(records, name, err);
    else if (entry->is_damaged)
        code = lh_fail(err, LH_DAMAGED, "The record of the %s '%.*s' cannot be read.",
                       records->kind->what, LH_ARG(entry->record->name));
    else
        code = lh_fields_copy(records->kind->fields, entry->record, arena, ret, err);
    pthread_rwlock_unlock(&records->lock);
    if (code == LH_DAMAGED)
        lh_error_hint(err, "%s", records->kind->mend);
    return code;
}

/* --- offline */

enum lh_code storage_records_verify(struct storage *storage, const struct storage_record_kind *kind,
                                    struct storage_findings *findings, int64_t *ret_count,
                                    struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_entry *files = NULL;
    struct lh_str last = {0};
    size_t count = 0;
    enum lh_code code =
        storage_list(storage, STORAGE_PRIMARY, lh_str_of(kind->folder), arena, &files, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        struct lh_error found = LH_ERROR_NONE;
        struct lh_str key;
        int64_t version;
        if (files[i].is_special) {
            storage_find(findings, true, files[i].key, "It is a link or a device, not a file.");
        } else if (files[i].is_folder || !read_file_name(kind, files[i].name, &key, &version)) {
            storage_find(findings, false, files[i].key, "It is not the record of a %s.",
                         kind->what);
        } else {
            struct entry *entry = entry_new(kind, key);
            if (read_record(storage, kind, files[i].key, version, entry, &found))
                storage_find(findings, true, files[i].key, "%s", found.message);
            entry_free(entry);
            *ret_count += !lh_str_equal(key, last);
            last = key;
        }
    }
    lh_arena_free(arena);
    return code;
}
