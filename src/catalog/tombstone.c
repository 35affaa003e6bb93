#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "catalog/files.h"
#include "catalog/tombstone_internal.h"
#include "engine/engine.h"

#define RACES_MAX 8
#define EVENTS_MAX 100 /* of single keys in one manifest; more are read where the keys are */
#define RESULT_BYTES_MAX ((size_t)4096)
#define ECHO_BYTES_MAX ((size_t)64 << 20) /* of one value: more than a request has */

/* --- one call */

struct found_row {
    size_t file; /* index among the dataset's objects */
    uint64_t row;
    size_t key; /* index into `texts` */
};
struct call {
    struct catalog *catalog;
    struct engine *engine;
    const struct catalog_tombstone_request *request;
    const struct lh_cancel *cancel;
    struct lh_arena *arena;
    struct catalog_tombstone_result *ret;
    bool is_lift;

    struct catalog_snapshot *snapshot;
    const struct catalog_dataset *dataset;
    const struct catalog_column *column; /* LIFT: may be gone */
    struct lh_str type;
    struct key_list list; /* tombstoned now */
    struct lh_str *texts; /* to be done, each once, ascending */
    int64_t *rows_of;     /* seen, or shown again, of each; -1: no row has it */
    size_t text_count;
    struct found_row *found;
    size_t found_count, found_capacity;
    bool is_full;    /* no memory for what was found */
    bool has_others; /* tombstones name rows by other columns, too */
    struct catalog_hidden *hidden;
    struct catalog_hidden *left; /* what a lift leaves hidden */
};

static void fill_value(struct call *call, size_t index, const struct typed_key *key)
{
    struct catalog_key_result *ret = &call->ret->values[index];
    struct lh_buf text; /* numbers as short as they were given: 99.99 */
    struct lh_json json;
    lh_buf_init(&text, ECHO_BYTES_MAX);
    lh_json_init(&json, &text);
    lh_json_parsed(&json, json_array_get(call->request->values, index));
    *ret = (struct catalog_key_result){.value = lh_arena_str(call->arena, lh_buf_str(&text)),
                                       .outcome = key->outcome};
    lh_buf_release(&text);
}

static enum lh_code fail_column(const struct call *call, struct lh_error *err)
{
    const struct catalog_dataset *dataset = call->dataset;
    struct lh_str *names = lh_arena_array(call->arena, dataset->column_count + 1, sizeof *names);
    for (size_t i = 0; i < dataset->column_count; i++)
        names[i] = dataset->columns[i].name;
    struct lh_str nearest = lh_str_nearest(call->request->column, names, dataset->column_count);
    lh_fail(err, LH_INVALID, "The dataset '%.*s' has no column '%.*s'.", LH_ARG(dataset->name),
            LH_ARG(lh_str_head(call->request->column, 100)));
    lh_error_field(err, lh_lit("row_key_column"));
    return nearest.len ? lh_error_hint(err, "Did you mean '%.*s'?", LH_ARG(nearest)) : LH_INVALID;
}

static enum lh_code check_count(const struct call *call, struct lh_error *err)
{
    size_t count = json_array_size(call->request->values);
    enum lh_code code = LH_OK;
    if (!json_is_array(call->request->values) || !count)
        code = lh_fail(err, LH_INVALID, "row_key_values is a list of at least one value.");
    else if (count > CATALOG_TOMBSTONE_KEYS_MAX)
        code = lh_fail(err, LH_TOO_LARGE, "row_key_values has %zu values; the most is %zu.", count,
                       CATALOG_TOMBSTONE_KEYS_MAX);
    return code ? lh_error_field(err, lh_lit("row_key_values")) : LH_OK;
}

static enum lh_code fail_several(const struct call *call, struct lh_str_list columns,
                                 struct lh_error *err)
{
    struct lh_buf names;
    lh_buf_init(&names, RESULT_BYTES_MAX);
    for (size_t i = 0; i < columns.count; i++)
        lh_buf_printf(&names, "%s'%.*s'", i ? ", " : "",
                      LH_ARG(lh_str_head(columns.items[i], 100)));
    lh_fail(err, LH_INVALID,
            "The tombstones of dataset '%.*s' name rows by %zu columns: row_key_column says which.",
            LH_ARG(call->dataset->name), columns.count);
    lh_error_field(err, lh_lit("row_key_column"));
    lh_error_hint(err, "It is one of %.*s.", LH_ARG(lh_buf_str(&names)));
    lh_buf_release(&names);
    return LH_INVALID;
}

/* In the dataset as it was, and again as it is in the commit. */
static enum lh_code check_another(const struct call *call, const struct catalog_dataset *dataset,
                                  struct lh_str column, struct lh_error *err)
{
    bool adds_column = call->request->adds_column || call->request->is_erasure;
    return call->is_lift ? LH_OK : tombstone_check_column(dataset, column, adds_column, err);
}

/* The column that is meant, and what is tombstoned by it. */
static enum lh_code take_column(struct call *call, struct lh_str *ret_name, struct lh_error *err)
{
    const struct catalog_dataset *dataset = call->dataset;
    const struct lh_str_list columns = tombstone_columns(dataset, call->arena);
    struct lh_str name = call->request->column;
    if (!name.len && columns.count > 1)
        return fail_several(call, columns, err);
    if (!name.len && columns.count)
        name = columns.items[0];
    *ret_name = name;
    call->has_others = columns.count > 1;
    call->column = name.len ? catalog_dataset_column(dataset, name) : NULL;
    if (!call->is_lift && !call->column)
        return fail_column(call, err);
    enum lh_code code = check_another(call, dataset, name, err);
    if (!code && name.len)
        code = tombstone_keys(call->catalog, dataset, name, call->arena, &call->list, err);
    return code;
}

/* The same, and the type in which values are read. */
static enum lh_code find_column(struct call *call, struct lh_error *err)
{
    struct lh_str name = {0};
    enum lh_code code = take_column(call, &name, err);
    if (code)
        return code;
    if (call->is_lift && call->request->column.len && !call->column && !call->list.column.len)
        return fail_column(call, err);
    call->type = call->is_lift && call->list.type.len ? call->list.type
                 : call->column                       ? call->column->type
                                                      : lh_lit("VARCHAR");
    call->ret->name = lh_arena_str(call->arena, call->dataset->name);
    call->ret->column = lh_arena_str(call->arena, call->column ? call->column->name : name);
    call->ret->type = lh_arena_str(call->arena, call->type);
    code = keys_check_type(call->ret->column, call->type, err);
    return code ? lh_error_field(err, lh_lit("row_key_column")) : LH_OK;
}

/* --- values */

struct text_place {
    struct lh_str text;
    size_t value; /* index among the request's */
};

static int compare_texts(const void *a, const void *b)
{
    const struct text_place *x = a, *y = b;
    int order = lh_str_compare(x->text, y->text);
    return order ? order : x->value < y->value ? -1 : x->value > y->value;
}

static enum lh_code fail_types(const struct call *call, struct lh_error *err)
{
    lh_fail(err, LH_INVALID,
            "None of the values is a key of '%.*s', which is %.*s: the first is %.*s.",
            LH_ARG(call->ret->column), LH_ARG(call->type),
            LH_ARG(lh_str_head(call->ret->values[0].value, 100)));
    lh_error_field(err, lh_lit("row_key_values"));
    return lh_error_hint(err, "Give values as the column has them; NULL names no row.");
}

/* What a lift of the key would end: a key that was erased is not lifted. */
static const struct key_entry *liftable(const struct call *call, struct lh_str text)
{
    const struct key_entry *entry = key_list_find(&call->list, text);
    if (!entry)
        entry = key_list_find_hash(&call->list, text);
    return entry && entry->form != TOMBSTONE_HASHED ? entry : NULL;
}

/* Each value as the column's type writes it. To be lifted, a value is read in every type in which
 * keys were made: it may name several of them. */
static enum lh_code read_values(struct call *call, struct text_place **ret, size_t *ret_kept,
                                struct lh_error *err)
{
    size_t count = json_array_size(call->request->values), kept = 0, type_count = 0;
    const struct lh_str *types = key_list_types(&call->list, call->arena, &type_count);
    if (!call->is_lift || !type_count) {
        types = &call->type;
        type_count = 1;
    }
    struct text_place *places = lh_arena_array(call->arena, count * type_count + 1, sizeof *places);
    bool is_any = false;
    enum lh_code code = LH_OK;
    for (size_t t = 0; t < type_count && !code; t++) {
        struct typed_key *keys = NULL;
        code = keys_type(call->engine, call->request->values, types[t], call->cancel, call->arena,
                         &keys, err);
        for (size_t i = 0; i < count && !code; i++) {
            bool is_typed = keys[i].outcome == CATALOG_KEY_DONE;
            const struct key_entry *entry =
                is_typed && call->is_lift ? liftable(call, keys[i].text) : NULL;
            bool is_kept = is_typed && (!call->is_lift ||
                                        (entry && lh_str_equal(entry->record->type, types[t])));
            is_any |= is_typed;
            if (call->is_lift && is_typed && !is_kept)
                keys[i].outcome = !entry && key_list_find_hash(&call->list, keys[i].text)
                                      ? CATALOG_KEY_ERASED
                                      : CATALOG_KEY_NO_MATCH;
            if (!t)
                fill_value(call, i, &keys[i]);
            else if (is_kept || (is_typed && call->ret->values[i].outcome != CATALOG_KEY_DONE))
                call->ret->values[i].outcome = keys[i].outcome;
            if (is_kept)
                places[kept++] = (struct text_place){keys[i].text, i};
        }
    }
    *ret = places;
    *ret_kept = kept;
    return code || is_any ? code : fail_types(call, err);
}

/* Types the values, and keeps those that something is to be done for, each once. */
static enum lh_code type_values(struct call *call, struct lh_error *err)
{
    struct text_place *places = NULL;
    size_t count = json_array_size(call->request->values), kept = 0;
    call->ret->values = lh_arena_array(call->arena, count + 1, sizeof *call->ret->values);
    call->ret->value_count = count;
    enum lh_code code = read_values(call, &places, &kept, err);
    if (code)
        return code;
    if (kept)
        qsort(places, kept, sizeof *places, compare_texts);
    call->texts = lh_arena_array(call->arena, kept + 1, sizeof *call->texts);
    call->rows_of = lh_arena_array(call->arena, kept + 1, sizeof *call->rows_of);
    call->text_count = 0;
    for (size_t i = 0; i < kept; i++) {
        struct catalog_key_result *value = &call->ret->values[places[i].value];
        const struct key_entry *hash = key_list_find_hash(&call->list, places[i].text);
        bool is_there = call->is_lift ? liftable(call, places[i].text) != NULL
                                      : key_list_find(&call->list, places[i].text) || hash;
        value->is_erased = hash && hash->form == TOMBSTONE_HASHED;
        bool is_again = i && lh_str_equal(places[i].text, places[i - 1].text);
        if (is_there != call->is_lift)
            value->outcome = call->is_lift ? CATALOG_KEY_NO_MATCH : CATALOG_KEY_ALREADY;
        else if (is_again)
            value->outcome = call->ret->values[places[i - 1].value].outcome;
        else
            call->texts[call->text_count++] = places[i].text;
    }
    /* Which text each value that is to be done stands for: settled when the rows are known. */
    for (size_t i = 0; i < count; i++)
        call->ret->values[i].rows =
            call->ret->values[i].outcome == CATALOG_KEY_DONE ? (int64_t)i : -1;
    for (size_t i = 0, at = 0; i < kept; i++) {
        struct catalog_key_result *value = &call->ret->values[places[i].value];
        while (at + 1 < call->text_count && lh_str_compare(call->texts[at], places[i].text) < 0)
            at++;
        value->rows = (int64_t)at;
    }
    return LH_OK;
}

/* --- rows */

static void note_row(void *context, size_t file, uint64_t row, size_t key)
{
    struct call *call = context;
    if (call->found_count == call->found_capacity) {
        size_t capacity = call->found_capacity ? call->found_capacity * 2 : 1024;
        struct found_row *grown = realloc(call->found, capacity * sizeof *grown);
        if (!grown) {
            call->is_full = true;
            return;
        }
        call->found = grown;
        call->found_capacity = capacity;
    }
    call->found[call->found_count++] = (struct found_row){file, row, key};
}

struct placing {
    struct call *call;
    const size_t *indexes;
};

static void place_row(void *context, size_t file, uint64_t row, size_t key)
{
    struct placing *placing = context;
    note_row(placing->call, placing->indexes[file], row, key);
}

/* The rows of the keys in all files of one schema. */
static enum lh_code look_through(struct call *call, struct lh_str schema, bool *is_done,
                                 struct lh_error *err)
{
    const struct catalog_dataset *dataset = call->dataset;
    size_t *indexes = lh_arena_array(call->arena, dataset->object_count, sizeof *indexes);
    struct lh_str *paths = lh_arena_array(call->arena, dataset->object_count, sizeof *paths);
    struct key_files files = {.stored = tombstone_stored(dataset, schema, call->ret->column),
                              .type = call->column->type,
                              .paths = paths};
    struct placing placing = {call, indexes};
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < dataset->object_count && !code; i++) {
        const struct catalog_object *object = dataset->objects[i];
        if (!lh_str_equal(object->schema, schema))
            continue;
        is_done[i] = true;
        if (!files.stored.len)
            continue;
        indexes[files.path_count] = i;
        code = catalog_object_file(call->catalog, object, call->cancel, call->arena,
                                   &paths[files.path_count++], err);
    }
    if (code)
        return code;
    if (!call->is_lift)
        return keys_find(call->engine, &files, call->texts, call->text_count, call->cancel,
                         place_row, &placing, err);
    struct key_list lifted = {.count = call->text_count, .secret = call->list.secret};
    lifted.items = lh_arena_array(call->arena, call->text_count + 1, sizeof *lifted.items);
    for (size_t i = 0; i < call->text_count; i++)
        lifted.items[i] = *liftable(call, call->texts[i]);
    return key_list_rows(&lifted, call->engine, &files, call->cancel, call->arena, place_row,
                         &placing, err);
}

static int compare_found(const void *a, const void *b)
{
    const struct found_row *x = a, *y = b;
    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static bool is_hidden(const struct catalog_hidden *hidden, const struct found_row *found)
{
    const struct catalog_rows *rows = catalog_hidden_of(hidden, found->file);
    return rows && catalog_rows_has(rows, found->row);
}

/* Replaced rows, and those of other columns' keys. */
static enum lh_code find_left(struct call *call, struct lh_error *err)
{
    if (call->has_others)
        return tombstone_hidden_but(call->catalog, call->snapshot, call->dataset, call->ret->column,
                                    call->engine, call->cancel, &call->left, err);
    return catalog_hidden_open(call->catalog, call->snapshot, call->dataset, CATALOG_HIDE_REPLACED,
                               call->engine, call->cancel, &call->left, err);
}

static enum lh_code find_rows(struct call *call, struct lh_error *err)
{
    const struct catalog_dataset *dataset = call->dataset;
    bool *is_done = lh_arena_array(call->arena, dataset->object_count + 1, sizeof *is_done);
    enum lh_code code =
        catalog_hidden_open(call->catalog, call->snapshot, dataset, CATALOG_HIDE_ALL, call->engine,
                            call->cancel, &call->hidden, err);
    if (!code && call->is_lift)
        code = find_left(call, err);
    for (size_t i = 0; i < dataset->object_count && call->column && !code; i++)
        if (!is_done[i])
            code = look_through(call, dataset->objects[i]->schema, is_done, err);
    if (!code && call->is_full)
        code = lh_fail(err, LH_BUSY, "There is no memory for the rows of so many keys.");
    if (code)
        return code;
    if (call->found_count)
        qsort(call->found, call->found_count, sizeof *call->found, compare_found);
    for (size_t i = 0; i < call->text_count; i++)
        call->rows_of[i] = -1;
    for (size_t i = 0; i < call->found_count; i++) {
        const struct found_row *found = &call->found[i];
        int64_t *rows = &call->rows_of[found->key];
        if (*rows < 0)
            *rows = 0;
        if (i && found[-1].file == found->file && found[-1].row == found->row)
            continue; /* several keys name it: it counts for one */
        /* Seen before, or seen afterwards. */
        *rows += call->is_lift ? !is_hidden(call->left, found) : !is_hidden(call->hidden, found);
    }
    return LH_OK;
}

/* Keys without a row in this version may have some in an older one. */
static enum lh_code find_past(struct call *call, struct lh_error *err)
{
    size_t count = 0;
    struct lh_str *texts = lh_arena_array(call->arena, call->text_count + 1, sizeof *texts);
    size_t *places = lh_arena_array(call->arena, call->text_count + 1, sizeof *places);
    bool *found = lh_arena_array(call->arena, call->text_count + 1, sizeof *found);
    for (size_t i = 0; i < call->text_count; i++)
        if (call->rows_of[i] < 0) {
            texts[count] = call->texts[i];
            places[count++] = i;
        }
    if (!count || call->is_lift)
        return LH_OK;
    enum lh_code code =
        tombstone_find_past(call->catalog, call->engine, call->dataset, call->ret->column,
                            call->type, texts, count, found, call->cancel, err);
    for (size_t i = 0; i < count && !code; i++)
        if (found[i])
            call->rows_of[places[i]] = 0;
    return code;
}

/* Gives each value its outcome, and forgets the keys that nothing is done for. */
static void settle(struct call *call)
{
    bool *is_told = lh_arena_array(call->arena, call->text_count + 1, sizeof *is_told);
    for (size_t i = 0; i < call->ret->value_count; i++) {
        struct catalog_key_result *value = &call->ret->values[i];
        size_t at = value->rows >= 0 ? (size_t)value->rows : 0;
        value->rows = 0;
        if (value->outcome != CATALOG_KEY_DONE)
            continue;
        if (call->rows_of[at] < 0 && !call->is_lift)
            value->outcome = CATALOG_KEY_NO_MATCH;
        else if (is_told[at])
            value->outcome = CATALOG_KEY_ALREADY; /* it was given twice */
        else
            value->rows = call->rows_of[at] > 0 ? call->rows_of[at] : 0;
        is_told[at] = true;
    }
    for (size_t i = 0; i < call->text_count; i++) {
        if (call->rows_of[i] < 0 && !call->is_lift)
            continue;
        call->ret->keys++;
        call->ret->rows += call->rows_of[i] > 0 ? call->rows_of[i] : 0;
    }
}

/* --- the commit */

/* As it is listed already, if it is: a sealed one stays a hash. */
static struct tombstone_key key_of(const struct call *call, struct lh_str text)
{
    const struct key_entry *entry = call->is_lift ? liftable(call, text) : NULL;
    return entry ? (struct tombstone_key){entry->form, entry->text}
                 : (struct tombstone_key){TOMBSTONE_VALUE, text};
}

static void fill_record(const struct call *call, struct tombstone_record *ret)
{
    struct tombstone_key *keys = lh_arena_array(call->arena, call->text_count + 1, sizeof *keys);
    struct tombstone_file *files =
        lh_arena_array(call->arena, call->dataset->object_count + 1, sizeof *files);
    uint64_t *rows = lh_arena_array(call->arena, call->found_count + 1, sizeof *rows);
    size_t row_count = 0;
    *ret = (struct tombstone_record){
        .kind = call->is_lift ? TOMBSTONE_LIFTED : TOMBSTONE_KEYS,
        .base = call->dataset->version,
        .column = call->ret->column,
        .type = call->type,
        .time_ms = lh_clock_unix_ms(),
        .actor = call->request->actor,
        .reason = call->request->reason,
        .keys = keys,
        .files = files,
    };
    for (size_t i = 0; i < call->text_count; i++)
        if (call->rows_of[i] >= 0 || call->is_lift)
            keys[ret->key_count++] = key_of(call, call->texts[i]);
    for (size_t i = 0; i < call->found_count; i++) {
        bool is_first = !i || call->found[i].file != call->found[i - 1].file;
        if (!is_first && call->found[i].row == call->found[i - 1].row)
            continue; /* several keys name it */
        rows[row_count] = call->found[i].row;
        if (is_first)
            files[ret->file_count++] = (struct tombstone_file){
                call->dataset->objects[call->found[i].file]->key, &rows[row_count], 0};
        files[ret->file_count - 1].row_count++;
        row_count++;
    }
}

/* Of many keys the events come when the version is drained; from a hash none could be made. */
static bool leaves_keys(const struct call *call, const struct tombstone_record *record)
{
    bool is_any = false;
    for (size_t i = 0; i < record->key_count && !is_any; i++)
        is_any = record->keys[i].form != TOMBSTONE_VALUE;
    return record->key_count > EVENTS_MAX && !is_any && !call->request->is_erasure;
}

static struct lh_str json_text(struct call *call, const struct tombstone_record *record,
                               bool is_event)
{
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, RESULT_BYTES_MAX);
    lh_json_init(&json, &buf);
    lh_json_object(&json);
    if (is_event)
        lh_json_put_str(&json, "actor", call->request->actor);
    if (is_event && leaves_keys(call, record))
        lh_json_put_bool(&json, TOMBSTONE_EACH_KEY, true);
    lh_json_put_int(&json, "keys", call->ret->keys);
    if (is_event)
        lh_json_put_str(&json, "row_key_column", record->column);
    lh_json_put_int(&json, "rows", call->ret->rows);
    lh_json_object_end(&json);
    struct lh_str text = lh_arena_str(call->arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return text;
}

/* Who wants it may be another than who does it: the version says only that one. */
static struct lh_str wanted_by(struct call *call)
{
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, RESULT_BYTES_MAX);
    lh_json_init(&json, &buf);
    lh_json_object(&json);
    lh_json_put_str(&json, "actor", call->request->actor);
    lh_json_object_end(&json);
    struct lh_str text = lh_arena_str(call->arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return text;
}

struct lh_str tombstone_entity(struct lh_str dataset, struct lh_str key, struct lh_arena *arena)
{
    return lh_arena_printf(arena, "%.*s/%.*s", LH_ARG(dataset), LH_ARG(lh_str_head(key, 4096)));
}

/* One of the dataset, then one of each key. */
static struct catalog_event *events_of(struct call *call, const struct tombstone_record *record,
                                       size_t *ret_count)
{
    bool is_each = !leaves_keys(call, record) && !call->request->is_erasure;
    struct lh_str action = call->is_lift ? lh_lit("lift") : lh_lit("tombstone");
    struct catalog_event *events =
        lh_arena_array(call->arena, (is_each ? call->text_count : 0) + 1, sizeof *events);
    events[0] = (struct catalog_event){
        .entity = call->ret->name, .action = action, .detail = json_text(call, record, true)};
    struct lh_str who = wanted_by(call);
    *ret_count = 1;
    for (size_t i = 0; is_each && i < call->text_count; i++)
        if (call->rows_of[i] >= 0 || call->is_lift)
            events[(*ret_count)++] = (struct catalog_event){
                .entity = tombstone_entity(call->ret->name, call->texts[i], call->arena),
                .action = action,
                .detail = who,
            };
    return events;
}

/* When no key of the column is left, everything that its records said goes: the dataset costs what
 * it did. */
static bool is_last_lift(const struct call *call, const struct tombstone_record *record)
{
    return call->is_lift && record->key_count == call->list.count;
}

static const struct lh_str *key_objects(const struct call *call, size_t *ret_count)
{
    const struct catalog_dataset *dataset = call->dataset;
    struct lh_str *keys = lh_arena_array(call->arena, dataset->tombstone_count + 1, sizeof *keys);
    *ret_count = 0;
    for (size_t i = 0; i < dataset->tombstone_count; i++)
        if (tombstone_is_of_column(dataset->tombstones[i], call->ret->column))
            keys[(*ret_count)++] = dataset->tombstones[i]->key;
    return keys;
}

static void trash(struct catalog *catalog, struct lh_str key)
{
    struct lh_error late = LH_ERROR_NONE;
    if (key.len && storage_trash(catalog->storage, STORAGE_PRIMARY, &key, 1, &late))
        lh_log_error(LH_LOG_WARN, "catalog.tombstone", &late);
}

static bool is_surely_undone(enum lh_code code)
{
    return code && code != LH_UNKNOWN && code != LH_LOCKED;
}

/* Values stand before hashes: what the key is listed as. */
static const struct key_entry *entry_of(const struct key_list *list, struct lh_str text)
{
    const struct key_entry *entry = key_list_find(list, text);
    return entry ? entry : key_list_find_hash(list, text);
}

/* A key that was sealed or erased since is not the one that was looked at: a lift of it would show
 * nothing, and either would write it down in clear again. */
static enum lh_code check_keys(const void *context, const struct catalog_dataset *now,
                               struct lh_error *err)
{
    const struct call *call = context;
    struct key_list list = {0};
    if (now->tombstone_stamp == call->dataset->tombstone_stamp)
        return LH_OK;
    struct lh_arena *arena = lh_arena_new(0);
    enum lh_code code = check_another(call, now, call->ret->column, err);
    if (!code)
        code = tombstone_keys(call->catalog, now, call->ret->column, arena, &list, err);
    for (size_t i = 0; i < call->text_count && !code; i++) {
        const struct key_entry *then = entry_of(&call->list, call->texts[i]);
        const struct key_entry *entry = entry_of(&list, call->texts[i]);
        if (!then != !entry || (entry && then->form != entry->form))
            code =
                lh_fail(err, LH_RACE, "Keys of dataset '%.*s' by column '%.*s' changed meanwhile.",
                        LH_ARG(now->name), LH_ARG(call->ret->column));
    }
    lh_arena_free(arena);
    return code;
}

static enum lh_code commit(struct call *call, struct lh_error *err)
{
    const struct catalog_tombstone_request *request = call->request;
    struct tombstone_record record;
    struct catalog_object object = {0};
    struct catalog_commit_result done = {0};
    enum lh_code code = LH_OK;
    fill_record(call, &record);
    struct catalog_change change = {
        .action = call->is_lift ? CATALOG_LIFT : CATALOG_TOMBSTONE,
        .dataset_id = call->dataset->id,
        .expected_version = request->expected_version,
        .actor = request->committer,
        .reason = request->reason,
        .idempotency_key = request->idempotency_key,
        .request_hash = request->request_hash,
        .result = json_text(call, &record, false),
        .tombstone_check = check_keys,
        .tombstone_context = call,
    };
    change.events = events_of(call, &record, &change.event_count);
    if (LH_FAULT("tombstone.commit")) /* what was looked at may change until the commit */
        return lh_fail_errno(err, errno, "The tombstones cannot be written");
    if (is_last_lift(call, &record)) {
        change.tombstones_removed = key_objects(call, &change.tombstone_removed_count);
        change.tombstone_stamp = call->dataset->tombstone_stamp;
    } else {
        code = tombstone_publish(call->catalog, call->dataset->id, &record, 1, call->arena, &object,
                                 err);
        change.tombstones = &object;
        change.tombstone_count = 1;
    }
    if (!code)
        code = catalog_commit(call->catalog, &change, call->arena, &done, err);
    if (is_surely_undone(code) || (!code && done.is_repeat))
        trash(call->catalog, object.key);
    if (!code)
        call->ret->version = done.version;
    return code;
}

static void end_call(struct call *call)
{
    catalog_hidden_unref(call->hidden);
    catalog_hidden_unref(call->left);
    catalog_snapshot_unref(call->snapshot);
    free(call->found);
}

/* The commit asks again; this is for a call that has nothing to commit. */
static enum lh_code check_version(const struct call *call, struct lh_error *err)
{
    int64_t wanted = call->request->expected_version, version = call->dataset->version;
    if (!wanted || wanted == version)
        return LH_OK;
    lh_fail(err, LH_PRECONDITION, "Dataset '%.*s' is at version %lld, not %lld.",
            LH_ARG(call->dataset->name), (long long)version, (long long)wanted);
    return lh_error_hint(err, "Read it again, then repeat the change on what it is now.");
}

static enum lh_code try_once(struct call *call, struct lh_error *err)
{
    *call->ret = (struct catalog_tombstone_result){0};
    call->snapshot = catalog_snapshot_ref(call->catalog);
    const struct catalog_tombstone_request *request = call->request;
    enum lh_code code =
        request->dataset_id.len
            ? catalog_find_id(call->snapshot, request->dataset_id, &call->dataset, err)
            : catalog_find(call->snapshot, request->name, &call->dataset, err);
    if (!code)
        code = check_version(call, err);
    if (!code)
        code = find_column(call, err);
    if (!code)
        code = type_values(call, err);
    if (code)
        return code;
    call->ret->version = call->dataset->version;
    code = find_rows(call, err);
    if (!code)
        code = find_past(call, err);
    if (code)
        return code;
    settle(call);
    if (call->ret->keys && !call->request->is_trial)
        code = commit(call, err);
    return code;
}

static enum lh_code run(struct call *first, struct lh_error *err)
{
    enum lh_code code = check_count(first, err);
    for (int tries = 0; !tries || (code == LH_RACE && tries < RACES_MAX); tries++) {
        struct call call = *first;
        if (code != LH_RACE && code)
            return code;
        code = try_once(&call, err);
        bool has_committed = !code && call.ret->version > call.dataset->version;
        struct lh_str id =
            has_committed ? lh_arena_str(first->arena, call.dataset->id) : (struct lh_str){0};
        end_call(&call);
        if (has_committed)
            tombstone_fold(first->catalog, id);
    }
    return code;
}

enum lh_code catalog_tombstone(struct catalog *catalog, struct engine *engine,
                               const struct catalog_tombstone_request *request,
                               const struct lh_cancel *cancel, struct lh_arena *arena,
                               struct catalog_tombstone_result *ret, struct lh_error *err)
{
    struct call call = {.catalog = catalog,
                        .engine = engine,
                        .request = request,
                        .cancel = cancel,
                        .arena = arena,
                        .ret = ret};
    return run(&call, err);
}

enum lh_code catalog_tombstone_lift(struct catalog *catalog, struct engine *engine,
                                    const struct catalog_tombstone_request *request,
                                    const struct lh_cancel *cancel, struct lh_arena *arena,
                                    struct catalog_tombstone_result *ret, struct lh_error *err)
{
    struct call call = {.catalog = catalog,
                        .engine = engine,
                        .request = request,
                        .cancel = cancel,
                        .arena = arena,
                        .ret = ret,
                        .is_lift = true};
    return run(&call, err);
}

bool catalog_dropped_with_tombstones(const struct catalog_snapshot *snapshot, struct lh_str name)
{
    for (size_t i = 0; i < snapshot->item_count; i++) {
        const struct catalog_dataset *view = &snapshot->items[i]->view;
        if (!view->is_deleted || !lh_str_equal_nocase(view->name, name))
            continue;
        for (size_t at = 0; at < view->tombstone_count; at++)
            if (!tombstone_is_of_rows(view->tombstones[at]))
                return true;
    }
    return false;
}
