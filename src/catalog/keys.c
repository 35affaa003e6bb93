#include <stdlib.h>

#include "catalog/rehash.h"
#include "engine/engine.h"

/* Keys travel as text and are compared as values of the column's type, which the engine alone knows
 * to read. What it would round, cut or take for something else is refused before it is asked: it
 * makes 6 of '5.5' where a whole number is wanted. */

#define SQL_BYTES_MAX ((size_t)16 << 20)
#define KEYS_PER_STATEMENT 20000 /* of up to 64 KB each, mostly of tens of bytes */
#define KEYS_BYTES_PER_STATEMENT ((size_t)8 << 20)

enum key_class { KEY_NONE, KEY_BOOL, KEY_WHOLE, KEY_DECIMAL, KEY_FLOAT, KEY_TEXT, KEY_TIME };

static enum key_class class_of(struct lh_str type, int64_t *ret_scale)
{
    static const struct {
        struct lh_str name;
        enum key_class class;
    } rows[] = {
        {LH_LIT("BOOLEAN"), KEY_BOOL},      {LH_LIT("TINYINT"), KEY_WHOLE},
        {LH_LIT("SMALLINT"), KEY_WHOLE},    {LH_LIT("INTEGER"), KEY_WHOLE},
        {LH_LIT("BIGINT"), KEY_WHOLE},      {LH_LIT("HUGEINT"), KEY_WHOLE},
        {LH_LIT("UTINYINT"), KEY_WHOLE},    {LH_LIT("USMALLINT"), KEY_WHOLE},
        {LH_LIT("UINTEGER"), KEY_WHOLE},    {LH_LIT("UBIGINT"), KEY_WHOLE},
        {LH_LIT("UHUGEINT"), KEY_WHOLE},    {LH_LIT("FLOAT"), KEY_FLOAT},
        {LH_LIT("DOUBLE"), KEY_FLOAT},      {LH_LIT("VARCHAR"), KEY_TEXT},
        {LH_LIT("UUID"), KEY_TIME},         {LH_LIT("DATE"), KEY_TIME},
        {LH_LIT("TIME"), KEY_TIME},         {LH_LIT("TIMESTAMP"), KEY_TIME},
        {LH_LIT("TIMESTAMP_S"), KEY_TIME},  {LH_LIT("TIMESTAMP_MS"), KEY_TIME},
        {LH_LIT("TIMESTAMP_NS"), KEY_TIME}, {LH_LIT("TIMESTAMP WITH TIME ZONE"), KEY_TIME},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (lh_str_equal_nocase(type, rows[i].name))
            return rows[i].class;
    struct lh_str rest = type;
    if (!lh_str_starts_with(type, lh_lit("DECIMAL(")) || type.data[type.len - 1] != ')')
        return KEY_NONE;
    lh_str_cut(&rest, ',');
    return lh_str_to_int(lh_str_slice(rest, 0, rest.len - 1), ret_scale) ? KEY_DECIMAL : KEY_NONE;
}

enum lh_code keys_check_type(struct lh_str column, struct lh_str type, struct lh_error *err)
{
    int64_t scale = 0;
    if (class_of(type, &scale) != KEY_NONE)
        return LH_OK;
    lh_fail(err, LH_INVALID, "The column '%.*s' is %.*s: it cannot be a key.", LH_ARG(column),
            LH_ARG(lh_str_head(type, 200)));
    return lh_error_hint(err, "Keys are numbers, texts, booleans, dates, times or UUIDs.");
}

/* --- what a value says, as text */

static bool is_digits(struct lh_str text, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return to > from;
}

/* [+-]digits[.digits], with at most `scale` digits behind the point that are not noughts. */
static bool is_decimal(struct lh_str text, int64_t scale)
{
    size_t from = text.len && (text.data[0] == '-' || text.data[0] == '+') ? 1 : 0;
    const char *point = text.len ? memchr(text.data, '.', text.len) : NULL;
    size_t whole = point ? (size_t)(point - text.data) : text.len;
    size_t end = text.len;
    if (!is_digits(text, from, whole))
        return false;
    if (point && whole + 1 < text.len && !is_digits(text, whole + 1, text.len))
        return false;
    while (point && end > whole + 1 && text.data[end - 1] == '0')
        end--;
    return !point || (int64_t)(end - whole - 1) <= scale;
}

static struct lh_str number_text(const json_t *value, struct lh_arena *arena)
{
    char text[64];
    if (json_is_integer(value))
        return lh_arena_printf(arena, "%lld", (long long)json_integer_value(value));
    const char *end = lh_json_write_double(text, json_real_value(value));
    return lh_arena_str(arena, (struct lh_str){text, (size_t)(end - text)});
}

/* The text that the engine is to read; absent if it is no value of that class. */
static struct lh_str text_of(const json_t *value, enum key_class class, int64_t scale,
                             struct lh_arena *arena)
{
    const struct lh_str none = {0};
    struct lh_str text = none;
    if (json_is_boolean(value))
        return class == KEY_BOOL ? lh_str_of(json_is_true(value) ? "true" : "false") : none;
    if (json_is_number(value) && class != KEY_TEXT && class != KEY_TIME && class != KEY_BOOL)
        text = number_text(value, arena);
    else if (json_is_string(value))
        text = (struct lh_str){json_string_value(value), json_string_length(value)};
    if (!text.data || text.len > CATALOG_KEY_BYTES_MAX)
        return none;
    if (class == KEY_TEXT)
        return text;
    text = lh_str_trim(text);
    if (class == KEY_BOOL)
        return lh_str_equal_nocase(text, lh_lit("true")) ||
                       lh_str_equal_nocase(text, lh_lit("false"))
                   ? text
                   : none;
    if ((class == KEY_WHOLE && !is_decimal(text, 0)) ||
        (class == KEY_DECIMAL && !is_decimal(text, scale)))
        return none;
    const char *point = class == KEY_WHOLE ? memchr(text.data, '.', text.len) : NULL;
    return point ? lh_str_head(text, (size_t)(point - text.data)) : text;
}

/* --- asking the engine */

/* Texts of one statement, as a list that is its only parameter. */
static enum lh_code list_param(const struct lh_str *texts, size_t count, struct lh_buf *buf,
                               struct engine_param *ret, struct lh_error *err)
{
    struct lh_json json;
    lh_buf_clear(buf);
    lh_json_init(&json, buf);
    lh_json_array(&json);
    for (size_t i = 0; i < count; i++)
        lh_json_str(&json, texts[i]);
    lh_json_array_end(&json);
    *ret = (struct engine_param){.type = ENGINE_PARAM_JSON, .text = lh_buf_str(buf)};
    return lh_buf_check(buf, "The list of keys", err);
}

/* As JSON writes it, at most. */
static size_t written_bytes(struct lh_str text)
{
    size_t bytes = text.len + 4;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bytes += c < 0x20 || c == 0x7F ? 5 : c == '"' || c == '\\' ? 1 : 0;
    }
    return bytes;
}

/* How many from `at` on go into one statement. */
static size_t batch_of(const struct lh_str *texts, size_t count, size_t at)
{
    size_t bytes = 0, end = at;
    while (end < count && end - at < KEYS_PER_STATEMENT && bytes < KEYS_BYTES_PER_STATEMENT)
        bytes += written_bytes(texts[end++]);
    return end - at;
}

#define NUMBERED                                                                                   \
    "SELECT unnest(l) AS t, unnest(range(len(l))) AS n FROM (SELECT CAST($1 AS VARCHAR[]) AS l)"

/* The value, and that nothing of it was lost: times finer than the type are not that time. */
static void write_typing(struct lh_buf *sql, struct lh_str type)
{
    int64_t scale = 0;
    enum key_class class = class_of(type, &scale);
    bool is_fine =
        lh_str_starts_with(type, lh_lit("TIMESTAMP")) || lh_str_equal_nocase(type, lh_lit("DATE"));
    lh_buf_printf(sql, "SELECT n, CAST(v AS VARCHAR) FROM (SELECT n, t, ");
    lh_buf_printf(sql, class == KEY_FLOAT ? "TRY_CAST(t AS %.*s) + 0" : "TRY_CAST(t AS %.*s)",
                  LH_ARG(type));
    lh_buf_printf(sql, " AS v FROM (" NUMBERED ")) WHERE v IS NOT NULL");
    if (is_fine)
        lh_buf_printf(sql,
                      " AND coalesce(TRY_CAST(t AS TIMESTAMP_NS) = TRY_CAST(v AS TIMESTAMP_NS), "
                      "true)");
}

static enum lh_code type_batch(struct engine_connection *connection, struct lh_str sql,
                               const struct lh_str *texts, const size_t *places, size_t count,
                               struct lh_buf *buf, const struct lh_cancel *cancel,
                               struct lh_arena *arena, struct typed_key *ret, struct lh_error *err)
{
    struct engine_param param;
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    enum lh_code code = list_param(texts, count, buf, &param, err);
    const struct engine_params params = {&param, 1};
    if (!code)
        code = engine_run(connection, sql, &params, cancel, &cursor, err);
    while (!code && !(code = engine_cursor_next(cursor, &chunk, err)) && chunk)
        for (size_t row = 0; row < chunk->row_count; row++) {
            size_t at = (size_t)((const int64_t *)chunk->columns[0].data)[row];
            ret[places[at]].text = lh_arena_str(arena, engine_vector_str(&chunk->columns[1], row));
            ret[places[at]].outcome = CATALOG_KEY_DONE;
        }
    engine_cursor_close(cursor);
    return code;
}

enum lh_code keys_type(struct engine *engine, const json_t *values, struct lh_str type,
                       const struct lh_cancel *cancel, struct lh_arena *arena,
                       struct typed_key **ret, struct lh_error *err)
{
    size_t count = json_array_size(values), asked = 0;
    int64_t scale = 0;
    enum key_class class = class_of(type, &scale);
    struct typed_key *keys = lh_arena_array(arena, count + 1, sizeof *keys);
    struct lh_str *texts = lh_arena_array(arena, count + 1, sizeof *texts);
    size_t *places = lh_arena_array(arena, count + 1, sizeof *places);
    struct engine_connection *connection = NULL;
    struct lh_buf sql, buf;
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(values, i);
        struct lh_str text = text_of(value, class, scale, arena);
        keys[i] = (struct typed_key){.outcome =
                                         json_is_null(value) ? CATALOG_KEY_NULL : CATALOG_KEY_TYPE};
        if (text.data) {
            texts[asked] = text;
            places[asked++] = i;
        }
    }
    lh_buf_init(&sql, SQL_BYTES_MAX);
    lh_buf_init(&buf, SQL_BYTES_MAX);
    write_typing(&sql, type);
    enum lh_code code = engine_acquire(engine, (struct lh_str){0}, cancel, &connection, err);
    for (size_t at = 0, batch = 0; at < asked && !code; at += batch) {
        batch = batch_of(texts, asked, at);
        code = type_batch(connection, lh_buf_str(&sql), texts + at, places + at, batch, &buf,
                          cancel, arena, keys, err);
    }
    engine_release(connection);
    lh_buf_release(&sql);
    lh_buf_release(&buf);
    if (!code)
        *ret = keys;
    return code;
}

/* --- finding rows */

/* A key stays a value of the type that its column had when it was tombstoned; columns change
 * theirs. What a cast loses makes other values of them: 5.5 is no 6, a moment no day. */
enum comparing {
    AS_IS,       /* one type */
    READ_VALUES, /* the column's values are texts to be read as the keys' type */
    READ_KEYS,   /* the other way round */
    CAST_VALUES  /* and back again, to see whether they are the same */
};

static enum comparing comparing_of(struct lh_str column, struct lh_str key)
{
    int64_t scale = 0;
    if (!key.len || lh_str_equal(column, key))
        return AS_IS;
    if (class_of(column, &scale) == KEY_TEXT)
        return READ_VALUES;
    if (class_of(key, &scale) == KEY_TEXT)
        return READ_KEYS;
    /* The text of a FLOAT is what was meant; as a DOUBLE it is another number. */
    if (lh_str_equal_nocase(column, lh_lit("FLOAT")))
        return READ_VALUES;
    return lh_str_equal_nocase(key, lh_lit("FLOAT")) ? READ_KEYS : CAST_VALUES;
}

/* Whether value `v` of the type says all that text `t` does. */
static void write_is_whole(struct lh_buf *sql, struct lh_str type)
{
    int64_t scale = 0;
    enum key_class class = class_of(type, &scale);
    if (class == KEY_WHOLE || class == KEY_DECIMAL)
        lh_buf_append_str(sql, lh_lit(" WHERE TRY_CAST(t AS DOUBLE) = CAST(v AS DOUBLE)"));
    else if (lh_str_starts_with(type, lh_lit("TIMESTAMP")) ||
             lh_str_equal_nocase(type, lh_lit("DATE")))
        lh_buf_append_str(sql, lh_lit(" WHERE coalesce(TRY_CAST(t AS TIMESTAMP_NS) = "
                                      "TRY_CAST(v AS TIMESTAMP_NS), true)"));
}

static void write_files(struct lh_buf *sql, const struct key_files *files)
{
    lh_buf_append_str(sql, lh_lit("SELECT TRY_CAST("));
    engine_quote_ident(sql, files->stored);
    lh_buf_printf(sql, " AS %.*s) AS w, file_index AS i, file_row_number AS r FROM read_parquet([",
                  LH_ARG(files->type));
    for (size_t i = 0; i < files->path_count; i++) {
        if (i)
            lh_buf_append_str(sql, lh_lit(", "));
        engine_quote_path(sql, files->paths[i]);
    }
    lh_buf_append_str(sql, lh_lit("], hive_partitioning = false)"));
}

static void write_values(struct lh_buf *sql, const struct key_files *files,
                         enum comparing comparing)
{
    struct lh_str type = files->type, key_type = files->key_type;
    if (comparing == READ_VALUES)
        lh_buf_printf(sql,
                      "SELECT v, i, r FROM (SELECT TRY_CAST(t AS %.*s) AS v, t, i, r FROM "
                      "(SELECT CAST(w AS VARCHAR) AS t, i, r FROM (",
                      LH_ARG(key_type));
    else if (comparing == CAST_VALUES)
        lh_buf_printf(sql, "SELECT v, i, r FROM (SELECT TRY_CAST(w AS %.*s) AS v, w, i, r FROM (",
                      LH_ARG(key_type));
    else
        lh_buf_append_str(sql, lh_lit("SELECT w AS v, i, r FROM ("));
    write_files(sql, files);
    lh_buf_append_str(sql, lh_lit(")"));
    if (comparing == READ_VALUES) {
        lh_buf_append_str(sql, lh_lit("))"));
        write_is_whole(sql, key_type);
    } else if (comparing == CAST_VALUES) {
        lh_buf_printf(sql, ") WHERE TRY_CAST(v AS %.*s) = w", LH_ARG(type));
    }
}

static void write_finding(struct lh_buf *sql, const struct key_files *files)
{
    enum comparing comparing = comparing_of(files->type, files->key_type);
    bool keeps = comparing == AS_IS || comparing == READ_KEYS;
    lh_buf_append_str(sql, lh_lit("SELECT CAST(i AS BIGINT), CAST(r AS BIGINT), n FROM ("));
    write_values(sql, files, comparing);
    lh_buf_printf(
        sql, ") JOIN (SELECT n, v FROM (SELECT n, t, TRY_CAST(t AS %.*s) AS v FROM (" NUMBERED "))",
        LH_ARG(keeps ? files->type : files->key_type));
    if (comparing == READ_KEYS)
        write_is_whole(sql, files->type);
    lh_buf_append_str(sql, lh_lit(") USING (v)"));
}

struct finding {
    struct engine_connection *connection;
    const struct lh_cancel *cancel;
    void (*found)(void *context, size_t file, uint64_t row, size_t key);
    void *context;
};

static enum lh_code find_batch(const struct finding *finding, struct lh_str sql,
                               const struct lh_str *keys, size_t first, size_t count,
                               struct lh_buf *buf, struct lh_error *err)
{
    struct engine_param param;
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    enum lh_code code = list_param(keys + first, count, buf, &param, err);
    const struct engine_params params = {&param, 1};
    if (!code)
        code = engine_run(finding->connection, sql, &params, finding->cancel, &cursor, err);
    while (!code && !(code = engine_cursor_next(cursor, &chunk, err)) && chunk)
        for (size_t row = 0; row < chunk->row_count; row++)
            finding->found(finding->context, (size_t)((const int64_t *)chunk->columns[0].data)[row],
                           (uint64_t)((const int64_t *)chunk->columns[1].data)[row],
                           first + (size_t)((const int64_t *)chunk->columns[2].data)[row]);
    engine_cursor_close(cursor);
    return code;
}

enum lh_code keys_find(struct engine *engine, const struct key_files *files,
                       const struct lh_str *keys, size_t key_count, const struct lh_cancel *cancel,
                       void (*found)(void *context, size_t file, uint64_t row, size_t key),
                       void *context, struct lh_error *err)
{
    struct finding finding = {.cancel = cancel, .found = found, .context = context};
    struct lh_buf sql, buf;
    if (!files->path_count || !key_count)
        return LH_OK;
    lh_buf_init(&sql, SQL_BYTES_MAX);
    lh_buf_init(&buf, SQL_BYTES_MAX);
    write_finding(&sql, files);
    enum lh_code code = lh_buf_check(&sql, "The list of files", err);
    if (!code)
        code = engine_acquire(engine, (struct lh_str){0}, cancel, &finding.connection, err);
    for (size_t at = 0, batch = 0; at < key_count && !code; at += batch) {
        batch = batch_of(keys, key_count, at);
        code = find_batch(&finding, lh_buf_str(&sql), keys, at, batch, &buf, err);
    }
    engine_release(finding.connection);
    lh_buf_release(&sql);
    lh_buf_release(&buf);
    return code;
}

/* --- finding rows of hashed keys */

struct hashing {
    const uint8_t *secret;
    const struct lh_str *hashes;
    size_t count;
    void (*found)(void *context, size_t file, uint64_t row, size_t key);
    void *context;
};

static bool find_hash(const struct hashing *hashing, struct lh_str text, size_t *ret)
{
    char hash[ERASE_HASH_BYTES + 1];
    size_t low = 0, high = hashing->count;
    erase_hash(hashing->secret, text, hash);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = lh_str_compare(lh_str_of(hash), hashing->hashes[middle]);
        if (!order) {
            *ret = middle;
            return true;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

/* The text of a value as a key of the type would have been written. */
static void write_hashing(struct lh_buf *sql, const struct key_files *files)
{
    int64_t scale = 0;
    enum comparing comparing = comparing_of(files->type, files->key_type);
    bool keeps = comparing == AS_IS || comparing == READ_KEYS;
    struct lh_str type = keeps ? files->type : files->key_type;
    bool is_float = class_of(type, &scale) == KEY_FLOAT; /* one nought */
    lh_buf_append_str(sql, lh_lit("SELECT CAST(i AS BIGINT), CAST(r AS BIGINT), CAST("));
    lh_buf_append_str(sql, is_float ? lh_lit("v + 0") : lh_lit("v"));
    lh_buf_append_str(sql, lh_lit(" AS VARCHAR) FROM ("));
    write_values(sql, files, comparing);
    lh_buf_append_str(sql, lh_lit(") WHERE v IS NOT NULL"));
}

bool keys_have_values(const struct key_files *files)
{
    return comparing_of(files->type, files->key_type) != READ_KEYS;
}

enum lh_code keys_values(struct engine *engine, const struct key_files *files,
                         const struct lh_cancel *cancel,
                         void (*each)(void *context, size_t file, uint64_t row, struct lh_str text),
                         void *context, struct lh_error *err)
{
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    struct lh_buf sql;
    lh_buf_init(&sql, SQL_BYTES_MAX);
    write_hashing(&sql, files);
    enum lh_code code = lh_buf_check(&sql, "The list of files", err);
    if (!code)
        code = engine_query(engine, lh_buf_str(&sql), NULL, cancel, &cursor, err);
    while (!code && !(code = engine_cursor_next(cursor, &chunk, err)) && chunk)
        for (size_t row = 0; row < chunk->row_count; row++)
            each(context, (size_t)((const int64_t *)chunk->columns[0].data)[row],
                 (uint64_t)((const int64_t *)chunk->columns[1].data)[row],
                 engine_vector_str(&chunk->columns[2], row));
    engine_cursor_close(cursor);
    lh_buf_release(&sql);
    return code;
}

static void compare_hash(void *context, size_t file, uint64_t row, struct lh_str text)
{
    const struct hashing *hashing = context;
    size_t key = 0;
    if (find_hash(hashing, text, &key))
        hashing->found(hashing->context, file, row, key);
}

enum lh_code keys_find_hashed(struct engine *engine, const struct key_files *files,
                              const uint8_t *secret, const struct lh_str *hashes, size_t hash_count,
                              const struct lh_cancel *cancel,
                              void (*found)(void *context, size_t file, uint64_t row, size_t key),
                              void *context, struct lh_error *err)
{
    struct hashing hashing = {secret, hashes, hash_count, found, context};
    if (!files->path_count || !hash_count)
        return LH_OK;
    return keys_values(engine, files, cancel, compare_hash, &hashing, err);
}
