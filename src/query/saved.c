/* Saved queries: records on the disk, the newest of each name in memory. */
#include "query/saved.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/sealed.h"
#include "query/query.h"
#include "storage/findings.h"
#include "storage/storage.h"

#define FOLDER "_catalog/queries"
#define RECORD_BYTES_MAX ((size_t)1 << 20)
#define VERSION_DIGITS 20
#define PATH_BYTES 160

static const struct lh_field query_rows[] = {
    LH_STR(struct query_saved_query, name, .required = true, .doc = "By which it is run."),
    LH_STR(struct query_saved_query, description, .doc = "What it tells."),
    LH_STR(struct query_saved_query, sql,
           .doc = "The statement; absent where the stored record is damaged."),
    LH_STR_LIST(struct query_saved_query, parameters, .max = QUERY_PARAMETERS_MAX,
                .doc = "Names of its parameters: $name in the statement."),
    LH_JSON(struct query_saved_query, defaults,
            .doc = "Values of parameters that need not be given, by name."),
    LH_INT(struct query_saved_query, version, .required = true, .doc = "Counts its saves."),
    LH_TIME(struct query_saved_query, saved_at, .doc = "When; absent likewise."),
    LH_STR(struct query_saved_query, saved_by, .doc = "Who saved it."),
};
const struct lh_fields query_saved_fields =
    LH_FIELDS_OF(struct query_saved_query, "SavedQuery", query_rows);

/* What a file holds: a query, or that its name means nothing any more. */
static const struct lh_field record_rows[] = {
    LH_STR(struct query_saved_query, name, .required = true),
    LH_STR(struct query_saved_query, description),
    LH_STR(struct query_saved_query, sql),
    LH_STR_LIST(struct query_saved_query, parameters, .max = QUERY_PARAMETERS_MAX),
    LH_JSON(struct query_saved_query, defaults),
    LH_INT(struct query_saved_query, version, .required = true, .min = 1),
    LH_TIME(struct query_saved_query, saved_at),
    LH_STR(struct query_saved_query, saved_by),
    LH_BOOL(struct query_saved_query, is_removed),
};
static const struct lh_fields record_fields =
    LH_FIELDS_OF(struct query_saved_query, "SavedQueryRecord", record_rows);

struct entry {
    struct lh_arena *arena; /* holds the entry itself */
    struct query_saved_query query;
    struct lh_str key; /* its name in lower case */
    bool is_damaged;   /* only key and version are known */
};

struct query_saved {
    struct storage *storage;
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
static size_t lower_bound(const struct query_saved *saved, struct lh_str key)
{
    size_t low = 0, high = saved->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (lh_str_compare(saved->entries[middle]->key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct entry *entry_of(const struct query_saved *saved, struct lh_str key)
{
    size_t at = lower_bound(saved, key);
    bool is_there = at < saved->count && lh_str_equal(saved->entries[at]->key, key);
    return is_there ? saved->entries[at] : NULL;
}

static bool is_live(const struct entry *entry)
{
    return entry && !entry->query.is_removed;
}

static void copy_query(const struct query_saved_query *from, struct lh_arena *arena,
                       struct query_saved_query *ret)
{
    struct lh_str *names = lh_arena_array(arena, from->parameters.count + 1, sizeof *names);
    for (size_t i = 0; i < from->parameters.count; i++)
        names[i] = lh_arena_str(arena, from->parameters.items[i]);
    *ret = *from;
    ret->name = lh_arena_str(arena, from->name);
    ret->description = lh_arena_str(arena, from->description);
    ret->sql = lh_arena_str(arena, from->sql);
    ret->saved_by = lh_arena_str(arena, from->saved_by);
    ret->parameters = (struct lh_str_list){names, from->parameters.count};
    ret->defaults = (struct lh_json_value){.text = lh_arena_str(arena, from->defaults.text)};
}

static struct entry *entry_new(struct lh_str key)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct entry *entry = lh_arena_alloc(arena, sizeof *entry);
    *entry = (struct entry){.arena = arena, .key = lh_arena_str(arena, key)};
    return entry;
}

static void entry_free(struct entry *entry)
{
    if (entry)
        lh_arena_free(entry->arena);
}

/* Takes the entry in the place of the one with its key. Under write_lock. */
static enum lh_code adopt(struct query_saved *saved, struct entry *entry, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    pthread_rwlock_wrlock(&saved->lock);
    size_t at = lower_bound(saved, entry->key);
    if (at < saved->count && lh_str_equal(saved->entries[at]->key, entry->key)) {
        entry_free(saved->entries[at]);
        saved->entries[at] = entry;
    } else {
        size_t capacity = saved->count == saved->capacity ? saved->capacity * 2 + 16 : 0;
        struct entry **grown =
            capacity ? realloc(saved->entries, capacity * sizeof(struct entry *)) : saved->entries;
        if (grown) {
            saved->capacity = capacity ? capacity : saved->capacity;
            saved->entries = grown;
            memmove(grown + at + 1, grown + at, (saved->count - at) * sizeof(struct entry *));
            grown[at] = entry;
            saved->count++;
        } else {
            code = lh_fail(err, LH_BUSY, "There is no memory for another saved query.");
        }
    }
    pthread_rwlock_unlock(&saved->lock);
    return code;
}

/* --- records */

static struct lh_str path_of(struct lh_str key, int64_t version, char buffer[PATH_BYTES])
{
    int len = snprintf(buffer, PATH_BYTES, FOLDER "/%.*s.%0*lld.json", LH_ARG(key), VERSION_DIGITS,
                       (long long)version);
    return (struct lh_str){buffer, (size_t)len};
}

static bool is_name(struct lh_str name)
{
    bool is_fine = name.len && name.len <= QUERY_SAVED_NAME_BYTES_MAX;
    for (size_t i = 0; is_fine && i < name.len; i++) {
        char c = name.data[i];
        bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        is_fine = is_letter || (i && c >= '0' && c <= '9');
    }
    return is_fine && !lh_str_starts_with(name, lh_lit("__"));
}

/* "by_city.00000000000000000003.json" */
static bool read_file_name(struct lh_str name, struct lh_str *ret_key, int64_t *ret_version)
{
    struct lh_str rest = name, key = lh_str_cut(&rest, '.'), digits = lh_str_cut(&rest, '.');
    *ret_key = key;
    return is_name(key) && digits.len == VERSION_DIGITS && lh_str_to_int(digits, ret_version) &&
           *ret_version > 0 && lh_str_equal(rest, lh_lit("json"));
}

static enum lh_code bind_record(const json_t *json, struct lh_str key, int64_t version,
                                struct entry *entry, struct lh_error *err)
{
    struct query_saved_query query;
    lh_fields_preset(&record_fields, &query);
    enum lh_code code = lh_fields_bind_json(&record_fields, json, entry->arena, &query, err);
    if (!code)
        code = lh_fields_check(&record_fields, &query, err);
    if (code)
        return code;
    struct lh_arena *arena = entry->arena;
    bool has_defaults = query.defaults.value && json_object_size(query.defaults.value);
    char *text = has_defaults ? json_dumps(query.defaults.value, JSON_COMPACT) : NULL;
    if (has_defaults && !text)
        return lh_fail(err, LH_BUSY, "There is no memory for a saved query.");
    query.defaults = (struct lh_json_value){.text = lh_str_of(text)};
    if (!lh_str_equal(lower(arena, query.name), key) || query.version != version ||
        (!query.is_removed && !query.sql.len))
        code = lh_fail(err, LH_DAMAGED, "The record is not the one that its file is named for.");
    else
        copy_query(&query, arena, &entry->query);
    free(text);
    return code;
}

/* Written by a release whose records had no checksum. */
static bool is_from_before(struct lh_str text)
{
    return lh_str_starts_with(text, lh_lit("{\"name\":"));
}

static enum lh_code read_record(struct storage *storage, struct lh_str path, struct lh_str key,
                                int64_t version, struct entry *entry, struct lh_error *err)
{
    static const struct lh_str what = LH_LIT("The record of a saved query");
    struct lh_str text;
    json_t *json = NULL;
    enum lh_code code =
        storage_get(storage, STORAGE_PRIMARY, path, RECORD_BYTES_MAX, entry->arena, &text, err);
    if (!code && !is_from_before(text))
        code = lh_sealed_check(text, what, err);
    if (!code)
        code = lh_json_parse(text, what.data, RECORD_BYTES_MAX, &json, err);
    if (!code) {
        json_object_del(json, LH_SEALED_MEMBER);
        code = bind_record(json, key, version, entry, err);
    }
    json_decref(json);
    return code;
}

/* --- opening */

/* Files come in the order of their names, so the last of a key is its newest. */
static enum lh_code load(struct query_saved *saved, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_entry *files = NULL;
    size_t count = 0;
    enum lh_code code =
        storage_list(saved->storage, STORAGE_PRIMARY, lh_lit(FOLDER), arena, &files, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        struct lh_error found = LH_ERROR_NONE;
        struct lh_str key, next;
        int64_t version, ignored;
        if (files[i].is_folder || !read_file_name(files[i].name, &key, &version))
            continue;
        if (i + 1 < count && read_file_name(files[i + 1].name, &next, &ignored) &&
            lh_str_equal(next, key))
            continue;
        struct entry *entry = entry_new(key);
        if (read_record(saved->storage, files[i].key, key, version, entry, &found)) {
            entry->is_damaged = true;
            entry->query = (struct query_saved_query){.name = entry->key, .version = version};
            lh_log_error(LH_LOG_ERROR, "query.saved.damaged", &found);
        }
        code = adopt(saved, entry, err);
        if (code)
            entry_free(entry);
    }
    lh_arena_free(arena);
    return code;
}

enum lh_code query_saved_open(struct storage *storage, struct query_saved **ret,
                              struct lh_error *err)
{
    struct query_saved *saved = calloc(1, sizeof *saved);
    if (!saved)
        return lh_fail(err, LH_BUSY, "There is no memory for the saved queries.");
    saved->storage = storage;
    pthread_mutex_init(&saved->write_lock, NULL);
    pthread_rwlock_init(&saved->lock, NULL);
    enum lh_code code = load(saved, err);
    if (code)
        query_saved_close(saved);
    else
        *ret = saved;
    return code;
}

void query_saved_close(struct query_saved *saved)
{
    if (!saved)
        return;
    for (size_t i = 0; i < saved->count; i++)
        entry_free(saved->entries[i]);
    free(saved->entries);
    pthread_rwlock_destroy(&saved->lock);
    pthread_mutex_destroy(&saved->write_lock);
    free(saved);
}

size_t query_saved_damaged(struct query_saved *saved)
{
    size_t damaged = 0;
    pthread_rwlock_rdlock(&saved->lock);
    for (size_t i = 0; i < saved->count; i++)
        damaged += saved->entries[i]->is_damaged;
    pthread_rwlock_unlock(&saved->lock);
    return damaged;
}

/* --- checks */

static bool has_parameter(const struct query_saved_query *query, struct lh_str name)
{
    for (size_t i = 0; i < query->parameters.count; i++)
        if (lh_str_equal_nocase(query->parameters.items[i], name))
            return true;
    return false;
}

static enum lh_code no_such_parameter(const struct query_saved_query *query, struct lh_str name,
                                      const char *field, struct lh_error *err)
{
    struct lh_str nearest = lh_str_nearest(name, query->parameters.items, query->parameters.count);
    lh_fail(err, LH_INVALID, "The query '%.*s' has no parameter $%.*s.", LH_ARG(query->name),
            LH_ARG(lh_str_head(name, 100)));
    if (nearest.len)
        lh_error_hint(err, "Did you mean $%.*s?", LH_ARG(nearest));
    return lh_error_field(err, lh_str_of(field));
}

static enum lh_code check_names(const struct query_saved_query *query, const json_t *values,
                                const char *field, struct lh_error *err)
{
    const char *name;
    json_t *value;
    if (values && !json_is_object(values) && !json_is_null(values)) {
        lh_fail(err, LH_INVALID, "'%s' is an object of parameters' names and values.", field);
        return lh_error_field(err, lh_str_of(field));
    }
    json_object_foreach((json_t *)(uintptr_t)values, name, value)
    {
        if (!has_parameter(query, lh_str_of(name)))
            return no_such_parameter(query, lh_str_of(name), field, err);
    }
    return LH_OK;
}

enum lh_code query_saved_check(const struct query_saved_query *query, struct lh_error *err)
{
    if (!is_name(query->name)) {
        lh_fail(err, LH_INVALID, "'%.*s' cannot be the name of a saved query.",
                LH_ARG(lh_str_head(query->name, 64)));
        lh_error_hint(err, "Take up to 63 letters, digits and _, a letter or _ first, and not __.");
        return lh_error_field(err, lh_lit("name"));
    }
    for (size_t i = 0; i < query->parameters.count; i++) {
        struct lh_str name = query->parameters.items[i];
        if (name.len && (name.data[0] < '0' || name.data[0] > '9'))
            continue;
        lh_fail(err, LH_INVALID, "A saved query's parameters have names.");
        lh_error_hint(err, "Write $city, say, instead of ? and $1.");
        return lh_error_field(err, lh_lit("sql"));
    }
    return check_names(query, query->defaults.value, "defaults", err);
}

/* --- saving and removing */

static enum lh_code put_record(struct query_saved *saved, const struct entry *entry, bool is_vital,
                               struct lh_error *err)
{
    char path[PATH_BYTES];
    struct lh_buf body, buf;
    struct lh_json json;
    lh_buf_init(&body, RECORD_BYTES_MAX);
    lh_buf_init(&buf, RECORD_BYTES_MAX);
    lh_json_init(&json, &body);
    lh_fields_write(&record_fields, &entry->query, &json);
    enum lh_code code = lh_buf_check(&body, "The saved query with its defaults", err);
    if (!code) {
        lh_sealed_append(&buf, lh_buf_str(&body));
        code = lh_buf_check(&buf, "The saved query with its defaults", err);
    }
    if (!code) /* removing must be possible on a full disk */
        code = (is_vital ? storage_put_vital : storage_put_exclusive)(
            saved->storage, STORAGE_PRIMARY, path_of(entry->key, entry->query.version, path),
            lh_buf_str(&buf), err);
    lh_buf_release(&buf);
    lh_buf_release(&body);
    return code;
}

/* A try whose outcome was not known has left a record after all: it is what the name means now. */
static enum lh_code adopt_found(struct query_saved *saved, const struct entry *tried,
                                struct lh_error *err)
{
    char path[PATH_BYTES];
    struct entry *found = entry_new(tried->key);
    enum lh_code code = read_record(saved->storage, path_of(tried->key, tried->query.version, path),
                                    tried->key, tried->query.version, found, err);
    if (!code)
        code = adopt(saved, found, err);
    if (code)
        entry_free(found);
    return code ? code
                : lh_fail(err, LH_RACE, "The query '%.*s' was changed by somebody else meanwhile.",
                          LH_ARG(tried->query.name));
}

static enum lh_code commit(struct query_saved *saved, struct entry *entry, struct lh_error *err)
{
    enum lh_code code = put_record(saved, entry, entry->query.is_removed, err);
    if (code == LH_EXISTS) {
        code = adopt_found(saved, entry, err);
        entry_free(entry);
        return code;
    }
    if (!code)
        code = adopt(saved, entry, err);
    if (code)
        entry_free(entry);
    return code;
}

static enum lh_code no_such_query(const struct query_saved *saved, struct lh_str name,
                                  struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str *names = lh_arena_array(arena, saved->count + 1, sizeof *names);
    size_t count = 0;
    for (size_t i = 0; i < saved->count; i++)
        if (is_live(saved->entries[i]))
            names[count++] = saved->entries[i]->query.name;
    struct lh_str nearest = lh_str_nearest(name, names, count);
    lh_fail(err, LH_NOT_FOUND, "There is no saved query '%.*s'.", LH_ARG(lh_str_head(name, 64)));
    if (nearest.len)
        lh_error_hint(err, "Did you mean '%.*s'?", LH_ARG(nearest));
    lh_arena_free(arena);
    return LH_NOT_FOUND;
}

static enum lh_code check_over(const struct query_saved *saved, const struct entry *entry,
                               struct lh_str name, int64_t over, struct lh_error *err)
{
    bool is_there = is_live(entry);
    if (over && !is_there)
        return no_such_query(saved, name, err);
    if (!over && is_there) {
        lh_fail(err, LH_EXISTS, "There is a saved query '%.*s'.", LH_ARG(entry->query.name));
        return lh_error_hint(err, "PUT /query/saved/%.*s replaces it.", LH_ARG(entry->query.name));
    }
    if (over > 0 && entry->query.version != over) {
        lh_fail(err, LH_PRECONDITION, "The query '%.*s' is at version %lld, not %lld.",
                LH_ARG(entry->query.name), (long long)entry->query.version, (long long)over);
        return lh_error_hint(err, "Read it again, and decide anew.");
    }
    if (!entry && saved->count >= QUERY_SAVED_MAX)
        return lh_fail(err, LH_TOO_LARGE, "%d names of queries were saved, and no more are.",
                       QUERY_SAVED_MAX);
    return LH_OK;
}

/* Writes what `query` says as the next version of its name. */
static enum lh_code save(struct query_saved *saved, const struct query_saved_query *query,
                         int64_t over, struct lh_arena *arena, struct query_saved_query *ret,
                         struct lh_error *err)
{
    struct lh_arena *own = lh_arena_new(0);
    struct lh_str key = lower(own, query->name);
    pthread_mutex_lock(&saved->write_lock);
    const struct entry *before = entry_of(saved, key); /* only writers move entries */
    enum lh_code code = check_over(saved, before, query->name, over, err);
    if (!code) {
        struct entry *entry = entry_new(key);
        copy_query(query, entry->arena, &entry->query);
        entry->query.version = (before ? before->query.version : 0) + 1;
        entry->query.saved_at.unix_ms = lh_clock_unix_ms();
        if (ret)
            copy_query(&entry->query, arena, ret);
        code = commit(saved, entry, err);
    }
    pthread_mutex_unlock(&saved->write_lock);
    lh_arena_free(own);
    return code;
}

enum lh_code query_saved_put(struct query_saved *saved, const struct query_saved_query *query,
                             int64_t over, struct lh_arena *arena, struct query_saved_query *ret,
                             struct lh_error *err)
{
    struct query_saved_query own = *query, made;
    bool has_defaults = json_object_size(query->defaults.value) > 0;
    char *text = has_defaults ? json_dumps(query->defaults.value, JSON_COMPACT) : NULL;
    if (has_defaults && !text)
        return lh_fail(err, LH_BUSY, "There is no memory for the defaults.");
    own.defaults = (struct lh_json_value){.text = lh_str_of(text)};
    own.is_removed = false;
    enum lh_code code = save(saved, &own, over, arena, &made, err);
    free(text);
    if (!code)
        *ret = made;
    return code;
}

enum lh_code query_saved_remove(struct query_saved *saved, struct lh_str name, int64_t over,
                                struct lh_str actor, struct lh_error *err)
{
    const struct query_saved_query none = {.name = name, .saved_by = actor, .is_removed = true};
    return save(saved, &none, over, NULL, NULL, err);
}

/* --- reading */

void query_saved_list(struct query_saved *saved, struct lh_str after, size_t limit,
                      struct lh_arena *arena, struct query_saved_query **ret, size_t *ret_count,
                      struct lh_str *ret_next)
{
    struct lh_str key = lower(arena, after);
    size_t count = 0;
    *ret_next = (struct lh_str){0};
    pthread_rwlock_rdlock(&saved->lock);
    size_t at = after.len ? lower_bound(saved, key) : 0;
    if (at < saved->count && lh_str_equal(saved->entries[at]->key, key))
        at++;
    *ret = lh_arena_array(arena, limit + 1, sizeof **ret);
    for (; at < saved->count; at++) {
        if (!is_live(saved->entries[at]))
            continue;
        if (count == limit) {
            *ret_next = (*ret)[count - 1].name;
            break;
        }
        copy_query(&saved->entries[at]->query, arena, &(*ret)[count++]);
    }
    pthread_rwlock_unlock(&saved->lock);
    *ret_count = count;
}

enum lh_code query_saved_get(struct query_saved *saved, struct lh_str name, struct lh_arena *arena,
                             struct query_saved_query *ret, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    struct lh_str key = lower(arena, name);
    pthread_rwlock_rdlock(&saved->lock);
    const struct entry *entry = entry_of(saved, key);
    if (!is_live(entry))
        code = no_such_query(saved, name, err);
    else if (entry->is_damaged)
        code = lh_fail(err, LH_DAMAGED, "The record of the saved query '%.*s' cannot be read.",
                       LH_ARG(entry->query.name));
    else
        copy_query(&entry->query, arena, ret);
    pthread_rwlock_unlock(&saved->lock);
    if (code == LH_DAMAGED)
        lh_error_hint(err, "Save it anew with PUT, or delete it.");
    return code;
}

static void drop_json(void *json)
{
    json_decref(json);
}

/* The engine compares names as SQL does, so each parameter gets one value under its own name. */
static const json_t *value_of(const json_t *values, struct lh_str parameter)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)values, name, value)
    {
        if (lh_str_equal_nocase(lh_str_of(name), parameter))
            return value;
    }
    return NULL;
}

enum lh_code query_saved_values(const struct query_saved_query *query, const json_t *given,
                                struct lh_arena *arena, const json_t **ret, struct lh_error *err)
{
    json_t *defaults = NULL, *values = json_object();
    enum lh_code code = check_names(query, given, "parameters", err);
    if (!values)
        return lh_fail(err, LH_BUSY, "There is no memory for the parameters.");
    lh_arena_defer(arena, drop_json, values);
    if (!code && query->defaults.text.len)
        code =
            lh_json_parse(query->defaults.text, "The defaults", RECORD_BYTES_MAX, &defaults, err);
    for (size_t i = 0; !code && i < query->parameters.count; i++) {
        struct lh_str name = query->parameters.items[i];
        const json_t *value = value_of(given, name);
        value = value ? value : value_of(defaults, name);
        if (!value) {
            lh_fail(err, LH_INVALID, "The query '%.*s' needs a value for $%.*s.",
                    LH_ARG(query->name), LH_ARG(name));
            lh_error_hint(err, "Give it in 'parameters': {\"%.*s\": …}.", LH_ARG(name));
            code = lh_error_field(err, lh_lit("parameters"));
        } else if (json_object_setn(values, name.data, name.len, (json_t *)(uintptr_t)value)) {
            code = lh_fail(err, LH_BUSY, "There is no memory for the parameters.");
        }
    }
    json_decref(defaults);
    if (!code)
        *ret = query->parameters.count ? values : NULL;
    return code;
}

/* --- offline */

enum lh_code query_saved_verify(struct storage *storage, struct storage_findings *findings,
                                int64_t *ret_count, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_entry *files = NULL;
    struct lh_str last = {0};
    size_t count = 0;
    enum lh_code code =
        storage_list(storage, STORAGE_PRIMARY, lh_lit(FOLDER), arena, &files, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        struct lh_error found = LH_ERROR_NONE;
        struct lh_str key;
        int64_t version;
        if (files[i].is_special) {
            storage_find(findings, true, files[i].key, "It is a link or a device, not a file.");
        } else if (files[i].is_folder || !read_file_name(files[i].name, &key, &version)) {
            storage_find(findings, false, files[i].key, "It is not a saved query's record.");
        } else {
            struct entry *entry = entry_new(key);
            if (read_record(storage, files[i].key, key, version, entry, &found))
                storage_find(findings, true, files[i].key, "%s", found.message);
            entry_free(entry);
            *ret_count += !lh_str_equal(key, last);
            last = key;
        }
    }
    lh_arena_free(arena);
    return code;
}
