#include "access/keys.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/sealed.h"
#include "base/secret.h"
#include "storage/findings.h"
#include "storage/storage.h"

#define KEYS_FOLDER "_access/keys"
#define RECORD_BYTES_MAX ((size_t)4096)
#define SECRET_BYTES 32
#define PATH_BYTES 64
#define PREFIX "lh_"
#define ID_AT (sizeof(PREFIX) - 1)
#define SECRET_AT (ID_AT + ACCESS_KEY_ID_BYTES + 1)
_Static_assert(SECRET_AT + 2 * (size_t)SECRET_BYTES == ACCESS_KEY_BYTES, "the parts of a key");
#define SECONDS_MAX ((int64_t)10 * 365 * 86400)

const char *const access_key_states[] = {"active", "expired", "revoked", NULL};
enum { STATE_ACTIVE, STATE_EXPIRED, STATE_REVOKED };

static const struct lh_field key_rows[] = {
    LH_STR(struct access_key, id, .required = true, .doc = "Names the key; no secret."),
    LH_STR(struct access_key, name, .required = true, .doc = "Who uses it."),
    LH_STR(struct access_key, role, .required = true, .doc = "What it may."),
    LH_CHOICE(struct access_key, state, .choices = access_key_states, .required = true,
              .doc = "Whether it opens anything."),
    LH_TIME(struct access_key, created_at, .required = true, .doc = "When it was made."),
    LH_STR(struct access_key, created_by, .doc = "Who made it."),
    LH_TIME(struct access_key, expires_at, .doc = "From when on it opens nothing."),
    LH_TIME(struct access_key, revoked_at, .doc = "When it was taken back."),
    LH_STR(struct access_key, revoked_by, .doc = "Who took it back."),
};
const struct lh_fields access_key_fields = LH_FIELDS_OF(struct access_key, "AccessKey", key_rows);

/* --- records -------------------------------------------------------------------------------- */

struct record {
    struct lh_str name;
    struct lh_str role;
    struct lh_str secret_sha256; /* hex */
    struct lh_time created_at;
    struct lh_str created_by;
    struct lh_time expires_at;
};
static const struct lh_field record_rows[] = {
    LH_STR(struct record, name, .required = true),
    LH_STR(struct record, role, .required = true),
    LH_STR(struct record, secret_sha256, .required = true),
    LH_TIME(struct record, created_at),
    LH_STR(struct record, created_by),
    LH_TIME(struct record, expires_at),
};
static const struct lh_fields record_fields =
    LH_FIELDS_OF(struct record, "AccessKeyRecord", record_rows);

struct revocation {
    struct lh_time revoked_at;
    struct lh_str revoked_by;
};
static const struct lh_field revocation_rows[] = {
    LH_TIME(struct revocation, revoked_at),
    LH_STR(struct revocation, revoked_by),
};
static const struct lh_fields revocation_fields =
    LH_FIELDS_OF(struct revocation, "AccessKeyRevocation", revocation_rows);

struct entry {
    struct access_key shown; /* its state is worked out when it is shown */
    const struct access_role *role;
    bool is_revocation_kept; /* its record is durable */
    uint8_t secret_sha256[LH_SHA256_BYTES];
};

struct access_keys {
    struct storage *storage;
    struct lh_arena *arena;     /* texts of the entries; under write_lock */
    pthread_mutex_t write_lock; /* one create or revoke at a time, disk calls included */
    pthread_rwlock_t lock;      /* guards what follows; never held during disk calls */
    struct entry *entries;      /* ascending by id */
    size_t count;
    size_t capacity;
    size_t damaged; /* fixed once open */
};

static int state_of(const struct entry *entry)
{
    if (entry->shown.revoked_at.unix_ms)
        return STATE_REVOKED;
    int64_t end = entry->shown.expires_at.unix_ms;
    return end && lh_clock_unix_ms() >= end ? STATE_EXPIRED : STATE_ACTIVE;
}

/* Index of the first entry whose id is not below `id`. */
static size_t lower_bound(const struct access_keys *keys, struct lh_str id)
{
    size_t low = 0;
    size_t high = keys->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (lh_str_compare(keys->entries[middle].shown.id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct entry *entry_of(const struct access_keys *keys, struct lh_str id)
{
    size_t at = lower_bound(keys, id);
    if (at < keys->count && lh_str_equal(keys->entries[at].shown.id, id))
        return &keys->entries[at];
    return NULL;
}

static enum lh_code insert(struct access_keys *keys, const struct entry *entry,
                           struct lh_error *err)
{
    if (keys->count == keys->capacity) {
        size_t capacity = keys->capacity ? keys->capacity * 2 : 16;
        struct entry *grown = realloc(keys->entries, capacity * sizeof(*grown));
        if (!grown)
            return lh_fail(err, LH_BUSY, "There is no memory for another key.");
        keys->entries = grown;
        keys->capacity = capacity;
    }
    size_t at = lower_bound(keys, entry->shown.id);
    memmove(keys->entries + at + 1, keys->entries + at,
            (keys->count - at) * sizeof(*keys->entries));
    keys->entries[at] = *entry;
    keys->count++;
    return LH_OK;
}

static struct lh_str path_of(struct lh_str id, const char *ending, char buffer[PATH_BYTES])
{
    snprintf(buffer, PATH_BYTES, KEYS_FOLDER "/%.*s%s", LH_ARG(id), ending);
    return lh_str_of(buffer);
}

static enum lh_code put(struct access_keys *keys, struct lh_str id, const char *ending,
                        const struct lh_fields *fields, const void *record, struct lh_error *err)
{
    char path[PATH_BYTES];
    struct lh_buf body, buf;
    struct lh_json json;
    lh_buf_init(&body, RECORD_BYTES_MAX);
    lh_buf_init(&buf, RECORD_BYTES_MAX);
    lh_json_init(&json, &body);
    lh_fields_write(fields, record, &json);
    enum lh_code code = lh_buf_check(&body, "The key's record", err);
    if (!code) {
        lh_sealed_append(&buf, lh_buf_str(&body));
        code = lh_buf_check(&buf, "The key's record", err);
    }
    if (!code) /* taking a key back must be possible on a full disk */
        code = (fields == &revocation_fields ? storage_put_vital : storage_put_exclusive)(
            keys->storage, STORAGE_PRIMARY, path_of(id, ending, path), lh_buf_str(&buf), err);
    lh_buf_release(&buf);
    lh_buf_release(&body);
    return code;
}

/* --- opening -------------------------------------------------------------------------------- */

/* Written by a release whose records had no checksum. */
static bool is_from_before(struct lh_str text)
{
    return lh_str_starts_with(text, lh_lit("{\"name\":")) ||
           lh_str_starts_with(text, lh_lit("{\"revoked_at\":"));
}

static enum lh_code read_record(struct access_keys *keys, struct lh_str path,
                                const struct lh_fields *fields, void *record, struct lh_error *err)
{
    struct lh_str text;
    json_t *json = NULL;
    lh_fields_preset(fields, record);
    enum lh_code code = storage_get(keys->storage, STORAGE_PRIMARY, path, RECORD_BYTES_MAX,
                                    keys->arena, &text, err);
    if (!code && !is_from_before(text))
        code = lh_sealed_check(text, lh_lit("The key's record"), err);
    if (!code)
        code = lh_json_parse(text, "The key's record", RECORD_BYTES_MAX, &json, err);
    if (!code)
        json_object_del(json, LH_SEALED_MEMBER);
    if (!code)
        code = lh_fields_bind_json(fields, json, keys->arena, record, err);
    if (!code)
        code = lh_fields_check(fields, record, err);
    json_decref(json);
    return code;
}

static enum lh_code load_key(struct access_keys *keys, struct lh_str path, struct lh_str id,
                             struct lh_error *err)
{
    struct record record;
    struct entry entry = {0};
    enum lh_code code = read_record(keys, path, &record_fields, &record, err);
    if (code)
        return code;
    entry.role = access_role_find(record.role);
    if (!entry.role || !lh_hex_parse(record.secret_sha256, entry.secret_sha256, LH_SHA256_BYTES))
        return lh_fail(err, LH_DAMAGED, "The record of the key '%.*s' names no role and sum.",
                       LH_ARG(id));
    entry.shown = (struct access_key){
        .id = lh_arena_str(keys->arena, id),
        .name = record.name,
        .role = lh_str_of(entry.role->name),
        .created_at = record.created_at,
        .created_by = record.created_by,
        .expires_at = record.expires_at,
    };
    return insert(keys, &entry, err);
}

/* That it is there revokes; what it says only decorates. */
static void load_revocation(struct access_keys *keys, struct lh_str path, struct lh_str id)
{
    struct entry *entry = entry_of(keys, id);
    struct revocation record;
    if (!entry)
        return;
    entry->is_revocation_kept = true;
    entry->shown.revoked_at.unix_ms = 1;
    if (read_record(keys, path, &revocation_fields, &record, NULL) == LH_OK &&
        record.revoked_at.unix_ms > 0) {
        entry->shown.revoked_at = record.revoked_at;
        entry->shown.revoked_by = record.revoked_by;
    }
}

static bool id_before(struct lh_str name, const char *ending, struct lh_str *ret_id)
{
    *ret_id = lh_str_slice(name, 0, ACCESS_KEY_ID_BYTES);
    return name.len > ACCESS_KEY_ID_BYTES &&
           lh_str_equal(lh_str_slice(name, ACCESS_KEY_ID_BYTES, name.len), lh_str_of(ending));
}

static enum lh_code load_all(struct access_keys *keys, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_entry *files = NULL;
    size_t count = 0;
    struct lh_str id;
    enum lh_code code = storage_list(keys->storage, STORAGE_PRIMARY, lh_lit(KEYS_FOLDER), arena,
                                     &files, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        struct lh_error found = LH_ERROR_NONE;
        if (!id_before(files[i].name, ".json", &id) || !load_key(keys, files[i].key, id, &found))
            continue;
        keys->damaged++;
        lh_log_error(LH_LOG_ERROR, "access.damaged", &found);
    }
    for (size_t i = 0; !code && i < count; i++)
        if (id_before(files[i].name, ".revoked.json", &id))
            load_revocation(keys, files[i].key, id);
    lh_arena_free(arena);
    return code;
}

enum lh_code access_keys_open(struct storage *storage, struct access_keys **ret,
                              struct lh_error *err)
{
    struct access_keys *keys = calloc(1, sizeof(*keys));
    if (!keys)
        return lh_fail(err, LH_BUSY, "There is no memory for the keys.");
    keys->storage = storage;
    keys->arena = lh_arena_new(0);
    pthread_mutex_init(&keys->write_lock, NULL);
    pthread_rwlock_init(&keys->lock, NULL);
    enum lh_code code = load_all(keys, err);
    if (code) {
        access_keys_close(keys);
        return code;
    }
    *ret = keys;
    return LH_OK;
}

void access_keys_close(struct access_keys *keys)
{
    if (!keys)
        return;
    pthread_rwlock_destroy(&keys->lock);
    pthread_mutex_destroy(&keys->write_lock);
    lh_arena_free(keys->arena);
    free(keys->entries);
    free(keys);
}

size_t access_keys_damaged(const struct access_keys *keys)
{
    return keys->damaged;
}

/* --- making and taking back ------------------------------------------------------------------- */

static enum lh_code check_name(struct lh_str name, struct lh_error *err)
{
    bool is_fine = name.len && name.len <= ACCESS_KEY_NAME_BYTES_MAX;
    for (size_t i = 0; is_fine && i < name.len; i++) {
        char c = name.data[i];
        bool is_word = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        is_fine = is_word || (i && (c == '.' || c == '_' || c == '-' || c == '@'));
    }
    if (is_fine && !lh_str_equal_nocase(name, access_local_admin()->id))
        return LH_OK;
    lh_fail(err, LH_INVALID, "'%.*s' cannot be the name of a key.", LH_ARG(lh_str_head(name, 64)));
    lh_error_hint(err, "Take 1 to 63 letters, digits, '.', '_', '-' or '@', a letter or digit "
                       "first, and not 'local-admin'.");
    return lh_error_field(err, lh_lit("name"));
}

static enum lh_code check_spec(struct access_keys *keys, const struct access_key_spec *spec,
                               struct lh_error *err)
{
    enum lh_code code = check_name(spec->name, err);
    if (code)
        return code;
    if (!access_role_find(spec->role)) {
        lh_fail(err, LH_INVALID, "There is no role '%.*s'.", LH_ARG(lh_str_head(spec->role, 64)));
        lh_error_hint(err, "GET /access/roles lists them.");
        return lh_error_field(err, lh_lit("role"));
    }
    if (spec->expires_in_s < 0 || spec->expires_in_s > SECONDS_MAX) {
        lh_fail(err, LH_INVALID, "A key may last up to ten years, or for ever.");
        return lh_error_field(err, lh_lit("expires_in_s"));
    }
    if (keys->count >= ACCESS_KEYS_MAX)
        return lh_fail(err, LH_TOO_LARGE, "There are %d keys, and no more are made.",
                       ACCESS_KEYS_MAX);
    for (size_t i = 0; i < keys->count; i++)
        if (lh_str_equal_nocase(keys->entries[i].shown.name, spec->name) &&
            state_of(&keys->entries[i]) == STATE_ACTIVE) {
            lh_fail(err, LH_EXISTS, "The name '%.*s' belongs to a key that is in force.",
                    LH_ARG(spec->name));
            return lh_error_hint(err, "Revoke the key %.*s first, or take another name.",
                                 LH_ARG(keys->entries[i].shown.id));
        }
    return LH_OK;
}

static void make_entry(struct access_keys *keys, const struct access_key_spec *spec,
                       struct lh_str text, struct entry *ret)
{
    int64_t now = lh_clock_unix_ms();
    *ret = (struct entry){.role = access_role_find(spec->role)};
    ret->shown = (struct access_key){
        .id = lh_arena_str(keys->arena, lh_str_slice(text, ID_AT, ACCESS_KEY_ID_BYTES)),
        .name = lh_arena_str(keys->arena, spec->name),
        .role = lh_str_of(ret->role->name),
        .created_at = {now},
        .created_by = lh_arena_str(keys->arena, spec->actor),
        .expires_at = {spec->expires_in_s ? now + spec->expires_in_s * 1000 : 0},
    };
    lh_sha256_of(lh_str_slice(text, SECRET_AT, SIZE_MAX), ret->secret_sha256);
}

static enum lh_code put_key(struct access_keys *keys, const struct entry *entry,
                            struct lh_error *err)
{
    char sum[LH_SHA256_HEX_BYTES + 1];
    lh_hex(entry->secret_sha256, LH_SHA256_BYTES, sum);
    const struct record record = {
        .name = entry->shown.name,
        .role = entry->shown.role,
        .secret_sha256 = lh_str_of(sum),
        .created_at = entry->shown.created_at,
        .created_by = entry->shown.created_by,
        .expires_at = entry->shown.expires_at,
    };
    return put(keys, entry->shown.id, ".json", &record_fields, &record, err);
}

static void copy_shown(const struct entry *entry, struct lh_arena *arena, struct access_key *ret)
{
    *ret = entry->shown;
    ret->state = state_of(entry);
    ret->id = lh_arena_str(arena, ret->id);
    ret->name = lh_arena_str(arena, ret->name);
    ret->created_by = lh_arena_str(arena, ret->created_by);
    ret->revoked_by = lh_arena_str(arena, ret->revoked_by);
}

void access_key_generate(char ret[ACCESS_KEY_BYTES + 1])
{
    uint8_t random[ACCESS_KEY_ID_BYTES / 2 + SECRET_BYTES];
    lh_random_bytes(random, sizeof random);
    memcpy(ret, PREFIX, sizeof(PREFIX) - 1);
    lh_hex(random, ACCESS_KEY_ID_BYTES / 2, ret + ID_AT);
    lh_hex(random + ACCESS_KEY_ID_BYTES / 2, SECRET_BYTES, ret + SECRET_AT);
    ret[SECRET_AT - 1] = '_';
    lh_wipe(random, sizeof random);
}

enum lh_code access_keys_create(struct access_keys *keys, const struct access_key_spec *spec,
                                struct lh_arena *arena, struct access_key *ret,
                                struct lh_str *ret_text, struct lh_error *err)
{
    char fresh[ACCESS_KEY_BYTES + 1];
    struct lh_str text = spec->text;
    struct entry entry;
    if (!text.len) {
        access_key_generate(fresh);
        text = lh_str_of(fresh);
    }
    pthread_mutex_lock(&keys->write_lock);
    enum lh_code code = check_spec(keys, spec, err);
    if (code)
        goto out;
    make_entry(keys, spec, text, &entry);
    code = put_key(keys, &entry, err);
    if (code)
        goto out;
    pthread_rwlock_wrlock(&keys->lock);
    code = insert(keys, &entry, err);
    pthread_rwlock_unlock(&keys->lock);
    if (code)
        goto out;
    copy_shown(&entry, arena, ret);
    *ret_text = lh_arena_str(arena, text);
out:
    pthread_mutex_unlock(&keys->write_lock);
    lh_wipe(fresh, sizeof fresh);
    return code;
}

static enum lh_code no_such_key(struct lh_str id, struct lh_error *err)
{
    return lh_fail(err, LH_NOT_FOUND, "There is no key '%.*s'.", LH_ARG(lh_str_head(id, 64)));
}

enum lh_code access_keys_revoke(struct access_keys *keys, struct lh_str id, struct lh_str actor,
                                struct lh_error *err)
{
    pthread_mutex_lock(&keys->write_lock);
    struct entry *entry = entry_of(keys, id); /* only writers move entries */
    enum lh_code code = entry ? LH_OK : no_such_key(id, err);
    if (code || entry->is_revocation_kept)
        goto out;
    const struct revocation record = {{lh_clock_unix_ms()}, lh_arena_str(keys->arena, actor)};
    code = put(keys, id, ".revoked.json", &revocation_fields, &record, err);
    if (code == LH_EXISTS) /* a first try failed only in telling so */
        code = LH_OK;
    /* Whatever came of the record, the key is not trusted any more while this process runs. */
    pthread_rwlock_wrlock(&keys->lock);
    entry->is_revocation_kept = code == LH_OK;
    entry->shown.revoked_at = record.revoked_at;
    entry->shown.revoked_by = record.revoked_by;
    pthread_rwlock_unlock(&keys->lock);
out:
    pthread_mutex_unlock(&keys->write_lock);
    return code;
}

/* --- reading -------------------------------------------------------------------------------- */

void access_keys_list(struct access_keys *keys, struct lh_str after, size_t limit,
                      struct lh_arena *arena, struct access_key **ret, size_t *ret_count,
                      struct lh_str *ret_next)
{
    pthread_rwlock_rdlock(&keys->lock);
    size_t from = after.len ? lower_bound(keys, after) : 0;
    if (from < keys->count && lh_str_equal(keys->entries[from].shown.id, after))
        from++;
    size_t count = keys->count - from < limit ? keys->count - from : limit;
    *ret = lh_arena_array(arena, count + 1, sizeof(**ret));
    for (size_t i = 0; i < count; i++)
        copy_shown(&keys->entries[from + i], arena, &(*ret)[i]);
    *ret_count = count;
    *ret_next = count && from + count < keys->count ? (*ret)[count - 1].id : (struct lh_str){0};
    pthread_rwlock_unlock(&keys->lock);
}

enum lh_code access_keys_get(struct access_keys *keys, struct lh_str id, struct lh_arena *arena,
                             struct access_key *ret, struct lh_error *err)
{
    pthread_rwlock_rdlock(&keys->lock);
    const struct entry *entry = entry_of(keys, id);
    if (entry)
        copy_shown(entry, arena, ret);
    pthread_rwlock_unlock(&keys->lock);
    return entry ? LH_OK : no_such_key(id, err);
}

static enum lh_code refuse(struct lh_error *err, const char *why)
{
    lh_fail(err, LH_UNAUTHENTICATED, "The key %s.", why);
    return lh_error_hint(err, "Ask an administrator for a key; it is sent as 'X-API-Key: lh_…' or "
                              "'Authorization: Bearer lh_…'.");
}

enum lh_code access_keys_find(struct access_keys *keys, struct lh_str text, struct lh_arena *arena,
                              struct principal *ret, struct lh_error *err)
{
    static const uint8_t nobody[LH_SHA256_BYTES];
    uint8_t sum[LH_SHA256_BYTES];
    bool is_formed = text.len == ACCESS_KEY_BYTES && lh_str_starts_with(text, lh_lit(PREFIX)) &&
                     text.data[SECRET_AT - 1] == '_';
    lh_sha256_of(lh_str_slice(text, SECRET_AT, SIZE_MAX), sum);
    pthread_rwlock_rdlock(&keys->lock);
    const struct entry *entry = entry_of(keys, lh_str_slice(text, ID_AT, ACCESS_KEY_ID_BYTES));
    bool is_proved = lh_secret_equal(sum, entry ? entry->secret_sha256 : nobody, sizeof sum) &&
                     entry && is_formed;
    int state = is_proved ? state_of(entry) : STATE_REVOKED;
    if (state == STATE_ACTIVE)
        *ret = (struct principal){
            .id = lh_arena_str(arena, entry->shown.name),
            .key_id = lh_arena_str(arena, entry->shown.id),
            .role = entry->shown.role,
            .permissions = entry->role->permissions,
            .is_unmasked = entry->role->is_unmasked,
        };
    pthread_rwlock_unlock(&keys->lock);
    if (!is_proved)
        return refuse(err, "is not one of this server's");
    if (state == STATE_EXPIRED)
        return refuse(err, "has expired");
    return state == STATE_REVOKED ? refuse(err, "was revoked") : LH_OK;
}

bool access_keys_has_admin(struct access_keys *keys)
{
    bool is_there = false;
    pthread_rwlock_rdlock(&keys->lock);
    for (size_t i = 0; i < keys->count; i++)
        is_there = is_there || (keys->entries[i].role == &access_roles[0] &&
                                state_of(&keys->entries[i]) == STATE_ACTIVE);
    pthread_rwlock_unlock(&keys->lock);
    return is_there;
}

/* --- offline ---------------------------------------------------------------------------------- */

static void find_twins(const struct access_keys *keys, struct storage_findings *findings)
{
    char path[PATH_BYTES];
    for (size_t i = 0; i < keys->count; i++)
        for (size_t other = 0; other < i && state_of(&keys->entries[i]) == STATE_ACTIVE; other++)
            if (state_of(&keys->entries[other]) == STATE_ACTIVE &&
                lh_str_equal_nocase(keys->entries[i].shown.name, keys->entries[other].shown.name))
                storage_find(findings, true, path_of(keys->entries[i].shown.id, ".json", path),
                             "Its name '%.*s' is also that of the key %.*s, and both are in force.",
                             LH_ARG(keys->entries[i].shown.name),
                             LH_ARG(keys->entries[other].shown.id));
}

static void verify_revocation(struct access_keys *keys, const struct storage_entry *file,
                              struct lh_str id, struct storage_findings *findings)
{
    struct revocation record;
    struct lh_error err = LH_ERROR_NONE;
    if (!entry_of(keys, id))
        storage_find(findings, false, file->key, "It takes back a key that is not there.");
    else if (read_record(keys, file->key, &revocation_fields, &record, &err))
        storage_find(findings, true, file->key, "The key stays revoked, but: %s", err.message);
    load_revocation(keys, file->key, id);
}

static void verify_files(struct access_keys *keys, const struct storage_entry *files, size_t count,
                         struct storage_findings *findings)
{
    struct lh_str id;
    for (size_t i = 0; i < count; i++) {
        struct lh_error err = LH_ERROR_NONE;
        bool is_key = id_before(files[i].name, ".json", &id);
        if (files[i].is_special)
            storage_find(findings, true, files[i].key, "It is a link or a device, not a file.");
        else if (files[i].is_folder || (!is_key && !id_before(files[i].name, ".revoked.json", &id)))
            storage_find(findings, false, files[i].key, "It is not a key's record.");
        else if (is_key && load_key(keys, files[i].key, id, &err))
            storage_find(findings, true, files[i].key, "%s", err.message);
    }
    for (size_t i = 0; i < count; i++)
        if (!files[i].is_special && id_before(files[i].name, ".revoked.json", &id))
            verify_revocation(keys, &files[i], id, findings);
}

enum lh_code access_keys_verify(struct storage *storage, struct storage_findings *findings,
                                int64_t *ret_count, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct access_keys keys = {.storage = storage, .arena = arena};
    struct storage_entry *files = NULL;
    size_t count = 0;
    enum lh_code code =
        storage_list(storage, STORAGE_PRIMARY, lh_lit(KEYS_FOLDER), arena, &files, &count, err);
    if (!code) {
        verify_files(&keys, files, count, findings);
        find_twins(&keys, findings);
        *ret_count = (int64_t)keys.count;
    }
    free(keys.entries);
    lh_arena_free(arena);
    return code;
}
