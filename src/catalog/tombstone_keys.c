#include <stdlib.h>

#include "catalog/rehash.h"

/* Records are a log: what comes later stands for what came before it. */

static int compare_entries(const void *a, const void *b)
{
    const struct key_entry *x = a, *y = b;
    int order = (int)x->form - (int)y->form;
    if (!order)
        order = lh_str_compare(x->text, y->text);
    return order ? order : x->order < y->order ? -1 : x->order > y->order;
}

static int compare_text(const void *text, const void *entry)
{
    const struct key_entry *at = entry;
    return at->form ? -1 : lh_str_compare(*(const struct lh_str *)text, at->text);
}

const struct key_entry *key_list_find(const struct key_list *list, struct lh_str text)
{
    return list->count ? bsearch(&text, list->items, list->count, sizeof *list->items, compare_text)
                       : NULL;
}

static const struct key_entry *find_form(const struct key_list *list, enum tombstone_form form,
                                         struct lh_str hash)
{
    size_t low = 0, high = list->count;
    while (low < high) { /* values stand before hashes, and those before sealed ones */
        size_t middle = low + (high - low) / 2;
        const struct key_entry *entry = &list->items[middle];
        int order = (int)form - (int)entry->form;
        if (!order)
            order = lh_str_compare(hash, entry->text);
        if (!order)
            return entry;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct key_entry *key_list_find_hash(const struct key_list *list, struct lh_str text)
{
    char hash[ERASE_HASH_BYTES + 1];
    if (!list->secret)
        return NULL;
    erase_hash(list->secret, text, hash);
    const struct key_entry *erased = find_form(list, TOMBSTONE_HASHED, lh_str_of(hash));
    return erased ? erased : find_form(list, TOMBSTONE_SEALED, lh_str_of(hash));
}

static bool names_keys(const struct tombstone_record *record)
{
    return record->kind == TOMBSTONE_KEYS || record->kind == TOMBSTONE_LIFTED;
}

static enum lh_code count_keys(struct storage *storage, const struct catalog_object *const *objects,
                               size_t object_count, size_t *ret, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    *ret = 0;
    for (size_t i = 0; i < object_count && !code; i++) {
        const struct tombstone_content *content = NULL;
        code = tombstone_read(storage, objects[i], &content, err);
        for (size_t k = 0; !code && k < content->record_count; k++)
            *ret += names_keys(&content->records[k]) ? content->records[k].key_count : 0;
    }
    return code;
}

static void add_record(const struct tombstone_record *record, struct key_list *list)
{
    if (!names_keys(record))
        return;
    list->column = record->column;
    list->type = record->type;
    for (size_t i = 0; i < record->key_count; i++) {
        list->items[list->count] =
            (struct key_entry){record->keys[i].text, record->keys[i].form, record, list->count};
        list->count++;
    }
}

/* Of each key the last record that names it. */
static void keep_last(struct key_list *list)
{
    size_t kept = 0;
    if (list->count)
        qsort(list->items, list->count, sizeof *list->items, compare_entries);
    for (size_t i = 0; i < list->count; i++)
        if (i + 1 == list->count || list->items[i + 1].form != list->items[i].form ||
            !lh_str_equal(list->items[i + 1].text, list->items[i].text))
            list->items[kept++] = list->items[i];
    list->count = kept;
}

/* What later records say counts; those that lift leave nothing. */
static void merge(const struct key_list *older, const struct key_list *newer, struct key_list *ret)
{
    size_t a = 0, b = 0, older_count = older ? older->count : 0;
    while (a < older_count || b < newer->count) {
        int order = a == older_count    ? 1
                    : b == newer->count ? -1
                                        : (int)older->items[a].form - (int)newer->items[b].form;
        if (!order)
            order = lh_str_compare(older->items[a].text, newer->items[b].text);
        if (order < 0) {
            ret->items[ret->count++] = older->items[a++];
            continue;
        }
        a += order == 0;
        if (newer->items[b].record->kind == TOMBSTONE_KEYS)
            ret->items[ret->count++] = newer->items[b];
        b++;
    }
}

/* The last record that names each; lifted ones are still there. */
static enum lh_code gather(struct storage *storage, const struct catalog_object *const *objects,
                           size_t object_count, struct lh_arena *arena, struct key_list *ret,
                           struct lh_error *err)
{
    size_t count = 0;
    enum lh_code code = count_keys(storage, objects, object_count, &count, err);
    ret->items = lh_arena_array(arena, count + 1, sizeof *ret->items);
    for (size_t i = 0; i < object_count && !code; i++) {
        const struct tombstone_content *content = NULL;
        code = tombstone_read(storage, objects[i], &content, err);
        for (size_t k = 0; !code && k < content->record_count; k++)
            add_record(&content->records[k], ret);
    }
    if (!code)
        keep_last(ret);
    return code;
}

enum lh_code key_list_named(struct storage *storage, const struct catalog_dataset *dataset,
                            struct lh_str column, struct lh_arena *arena, struct key_list *ret,
                            struct lh_error *err)
{
    size_t count = 0;
    const struct catalog_object **objects =
        lh_arena_array(arena, dataset->tombstone_count + 1, sizeof *objects);
    for (size_t i = 0; i < dataset->tombstone_count; i++)
        if (tombstone_is_of_column(dataset->tombstones[i], column))
            objects[count++] = dataset->tombstones[i];
    return gather(storage, objects, count, arena, ret, err);
}

enum lh_code key_list_make(struct storage *storage, const struct key_list *older,
                           const struct catalog_object *const *objects, size_t object_count,
                           struct lh_arena *arena, struct key_list *ret, struct lh_error *err)
{
    struct key_list newer = {0}, list = {0};
    struct lh_arena *scratch = lh_arena_new(0);
    enum lh_code code = gather(storage, objects, object_count, scratch, &newer, err);
    if (!code) {
        size_t count = newer.count + (older ? older->count : 0);
        list.items = lh_arena_array(arena, count + 1, sizeof *list.items);
        list.column = newer.column.len || !older ? newer.column : older->column;
        list.type = newer.type.len || !older ? newer.type : older->type;
        merge(older, &newer, &list);
        list.types = key_list_types(&list, arena, &list.type_count);
    }
    if (!code && list.count && list.items[list.count - 1].form != TOMBSTONE_VALUE)
        code = erase_secret(storage, false, arena, &list.secret, err);
    if (!code)
        *ret = list;
    lh_arena_free(scratch);
    return code;
}

struct lh_str *key_list_types(const struct key_list *list, struct lh_arena *arena,
                              size_t *ret_count)
{
    size_t count = 0, capacity = 8;
    if (list->types) {
        *ret_count = list->type_count;
        return list->types;
    }
    struct lh_str *types = lh_arena_array(arena, capacity, sizeof *types);
    for (size_t i = 0; i < list->count; i++) {
        size_t at = count;
        while (at > 0 && !lh_str_equal(types[at - 1], list->items[i].record->type))
            at--;
        if (at)
            continue;
        if (count == capacity) {
            struct lh_str *grown = lh_arena_array(arena, capacity * 2, sizeof *grown);
            memcpy(grown, types, count * sizeof *grown);
            types = grown;
            capacity *= 2;
        }
        types[count++] = list->items[i].record->type;
    }
    *ret_count = count;
    return types;
}

struct placed {
    struct lh_str text;
    size_t place;
};
struct renumbering {
    void (*found)(void *context, size_t file, uint64_t row, size_t key);
    void *context;
    const size_t *places;
};

static void renumber(void *context, size_t file, uint64_t row, size_t key)
{
    const struct renumbering *to = context;
    to->found(to->context, file, row, to->places[key]);
}

enum lh_code key_list_rows(const struct key_list *list, struct engine *engine,
                           const struct key_files *files, const struct lh_cancel *cancel,
                           struct lh_arena *arena,
                           void (*found)(void *context, size_t file, uint64_t row, size_t key),
                           void *context, struct lh_error *err)
{
    size_t type_count = 0;
    const struct lh_str *types = key_list_types(list, arena, &type_count);
    struct lh_str *texts = lh_arena_array(arena, list->count + 1, sizeof *texts);
    size_t *places = lh_arena_array(arena, list->count + 1, sizeof *places);
    struct placed *placed = lh_arena_array(arena, list->count + 1, sizeof *placed);
    struct renumbering to = {found, context, places};
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < 2 * type_count && !code; i++) {
        bool is_hash = i % 2;
        struct key_files typed = *files;
        size_t count = 0;
        typed.key_type = types[i / 2];
        for (size_t k = 0; k < list->count; k++)
            if ((list->items[k].form != TOMBSTONE_VALUE) == is_hash &&
                lh_str_equal(list->items[k].record->type, typed.key_type))
                placed[count++] = (struct placed){list->items[k].text, k};
        if (is_hash && count)
            qsort(placed, count, sizeof *placed, compare_str); /* by their first member */
        for (size_t k = 0; k < count; k++) {
            texts[k] = placed[k].text;
            places[k] = placed[k].place;
        }
        code = !is_hash ? keys_find(engine, &typed, texts, count, cancel, renumber, &to, err)
                        : keys_find_hashed(engine, &typed, list->secret, texts, count, cancel,
                                           renumber, &to, err);
    }
    return code;
}

/* --- few rows against many keys */

struct scan {
    const struct key_list *list;
    struct lh_str type; /* in which the values are */
    void (*found)(void *context, size_t file, uint64_t row, size_t key);
    void *context;
};

static void look_up(void *context, size_t file, uint64_t row, struct lh_str text)
{
    const struct scan *scan = context;
    const struct key_entry *entry = key_list_find(scan->list, text);
    const struct key_entry *hashed = key_list_find_hash(scan->list, text);
    if (entry && lh_str_equal(entry->record->type, scan->type))
        scan->found(scan->context, file, row, (size_t)(entry - scan->list->items));
    if (hashed && lh_str_equal(hashed->record->type, scan->type))
        scan->found(scan->context, file, row, (size_t)(hashed - scan->list->items));
}

/* The keys of one type; `places` are their numbers in the whole list. */
static struct key_list list_of_type(const struct key_list *list, struct lh_str type,
                                    struct lh_arena *arena, size_t **ret_places)
{
    struct key_list some = *list;
    some.count = some.type_count = 0;
    some.types = NULL;
    some.items = lh_arena_array(arena, list->count + 1, sizeof *some.items);
    *ret_places = lh_arena_array(arena, list->count + 1, sizeof **ret_places);
    for (size_t i = 0; i < list->count; i++)
        if (lh_str_equal(list->items[i].record->type, type)) {
            (*ret_places)[some.count] = i;
            some.items[some.count++] = list->items[i];
        }
    return some;
}

enum lh_code key_list_scan(const struct key_list *list, struct engine *engine,
                           const struct key_files *files, const struct lh_cancel *cancel,
                           struct lh_arena *arena,
                           void (*found)(void *context, size_t file, uint64_t row, size_t key),
                           void *context, struct lh_error *err)
{
    size_t type_count = 0;
    const struct lh_str *types = key_list_types(list, arena, &type_count);
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < type_count && !code; i++) {
        struct key_files typed = *files;
        struct scan scan = {list, types[i], found, context};
        typed.key_type = types[i];
        if (keys_have_values(&typed)) {
            code = keys_values(engine, &typed, cancel, look_up, &scan, err);
            continue;
        }
        size_t *places = NULL;
        const struct key_list some = list_of_type(list, types[i], arena, &places);
        struct renumbering to = {found, context, places};
        code = key_list_rows(&some, engine, files, cancel, arena, renumber, &to, err);
    }
    return code;
}

struct lh_str tombstone_stored(const struct catalog_dataset *dataset, struct lh_str fingerprint,
                               struct lh_str column)
{
    const struct catalog_column *found = catalog_dataset_column(dataset, column);
    if (!found || lh_str_equal(fingerprint, dataset->schema))
        return found ? found->stored_name : (struct lh_str){0};
    for (size_t i = 0; i < dataset->schema_count; i++) {
        const struct catalog_schema *schema = &dataset->schemas[i];
        for (size_t k = 0;
             lh_str_equal(schema->fingerprint, fingerprint) && k < schema->column_count; k++)
            if (lh_str_equal(schema->columns[k].stored_name, found->stored_name))
                return found->stored_name;
    }
    return (struct lh_str){0};
}

/* --- what is listed */

static bool has(struct lh_str_list columns, struct lh_str column)
{
    for (size_t i = 0; i < columns.count; i++)
        if (lh_str_equal_nocase(columns.items[i], column))
            return true;
    return false;
}

static enum lh_code fail_column(const struct catalog_dataset *dataset, struct lh_str column,
                                struct lh_error *err)
{
    lh_fail(err, LH_NOT_FOUND, "The dataset '%.*s' has no column '%.*s'.", LH_ARG(dataset->name),
            LH_ARG(lh_str_head(column, 100)));
    return lh_error_field(err, lh_lit("row_key_column"));
}

struct listing {
    struct lh_str column;
    struct lh_arena *arena;
    struct catalog_tombstone_item *items;
    size_t count, limit;
};

/* "column"=, with quotation marks doubled: nothing else begins so. */
static struct lh_str place_prefix(struct lh_str column, struct lh_arena *arena)
{
    char *text = lh_arena_array(arena, 2 * column.len + 4, 1);
    size_t len = 0;
    text[len++] = '"';
    for (size_t i = 0; i < column.len; i++) {
        if (column.data[i] == '"')
            text[len++] = '"';
        text[len++] = column.data[i];
    }
    text[len++] = '"';
    text[len++] = '=';
    return (struct lh_str){text, len};
}

/* How long such a beginning is, and of which column; 0: the text has none. */
static size_t place_column(struct lh_str place, struct lh_arena *arena, struct lh_str *ret)
{
    char *text = lh_arena_array(arena, place.len + 1, 1);
    size_t len = 0, at = 1;
    if (!place.len || place.data[0] != '"')
        return 0;
    while (at < place.len) {
        bool is_mark = place.data[at] == '"';
        char after = at + 1 < place.len ? place.data[at + 1] : 0;
        if (is_mark && after == '=') {
            *ret = (struct lh_str){text, len};
            return at + 2;
        }
        if (is_mark && after != '"')
            return 0;
        text[len++] = place.data[at];
        at += is_mark ? 2 : 1;
    }
    return 0;
}

static void list_column(struct listing *listing, const struct key_list *list, struct lh_str after)
{
    struct lh_str prefix = place_prefix(listing->column, listing->arena);
    for (size_t i = 0; i < list->count && listing->count < listing->limit; i++) {
        const struct key_entry *entry = &list->items[i];
        if (entry->form != TOMBSTONE_VALUE ||
            (after.data && lh_str_compare(entry->text, after) <= 0))
            continue;
        listing->items[listing->count++] = (struct catalog_tombstone_item){
            .column = entry->record->column,
            .value = entry->text,
            .deleted_at_ms = entry->record->time_ms,
            .actor = entry->record->actor,
            .reason = entry->record->reason,
            .place =
                lh_arena_printf(listing->arena, "%.*s%.*s", LH_ARG(prefix), LH_ARG(entry->text)),
        };
    }
}

/* Folding, hashing and lifting change which column was used first; names stay. */
static int compare_names(const void *a, const void *b)
{
    return lh_str_compare_nocase(*(const struct lh_str *)a, *(const struct lh_str *)b);
}

static struct lh_str_list by_name(struct lh_str_list columns, struct lh_arena *arena)
{
    struct lh_str *names = lh_arena_array(arena, columns.count + 1, sizeof *names);
    for (size_t i = 0; i < columns.count; i++)
        names[i] = columns.items[i];
    qsort(names, columns.count, sizeof *names, compare_names);
    return (struct lh_str_list){names, columns.count};
}

static enum lh_code fail_place(const struct catalog_dataset *dataset, struct lh_error *err)
{
    lh_fail(err, LH_INVALID,
            "The place in 'after' does not say of which key column it is, and dataset '%.*s' has "
            "several.",
            LH_ARG(dataset->name));
    lh_error_field(err, lh_lit("after"));
    return lh_error_hint(err, "Begin the list anew without 'after', or name the column in "
                              "'row_key_column'.");
}

/* In which of the columns a place is, and behind which of its values. One whose column has no keys
 * any more is before the next one by name. Earlier releases told the value alone where there was
 * one column: it is taken for one of the column that there is. */
static enum lh_code find_place(const struct catalog_dataset *dataset, struct lh_str_list columns,
                               struct lh_arena *arena, struct lh_str *after, size_t *ret_first,
                               struct lh_error *err)
{
    struct lh_str column = {0};
    size_t first = 0;
    *ret_first = 0;
    if (!after->data)
        return LH_OK;
    size_t len = place_column(*after, arena, &column);
    if (!len)
        return columns.count > 1 ? fail_place(dataset, err) : LH_OK;
    while (first < columns.count && lh_str_compare_nocase(columns.items[first], column) < 0)
        first++;
    bool is_there = first < columns.count && lh_str_equal_nocase(columns.items[first], column);
    *after = is_there ? lh_str_slice(*after, len, after->len) : (struct lh_str){0};
    *ret_first = first;
    return LH_OK;
}

enum lh_code catalog_tombstone_list(struct catalog *catalog, const struct catalog_dataset *dataset,
                                    struct lh_str column, struct lh_str after, size_t limit,
                                    struct lh_arena *arena, struct catalog_tombstone_item **ret,
                                    size_t *ret_count, struct lh_error *err)
{
    size_t most = 0, first = 0;
    struct lh_str_list columns = tombstone_columns(dataset, arena);
    enum lh_code code = catalog_tombstone_count(catalog, dataset, &most, err);
    if (column.len) {
        if (!code && !catalog_dataset_column(dataset, column) && !has(columns, column))
            code = fail_column(dataset, column, err);
        columns = (struct lh_str_list){&column, 1};
    } else {
        columns = by_name(columns, arena);
    }
    struct listing listing = {.arena = arena, .limit = limit < most ? limit : most};
    listing.items = lh_arena_array(arena, listing.limit + 1, sizeof *listing.items);
    if (!code)
        code = find_place(dataset, columns, arena, &after, &first, err);
    for (size_t i = first; i < columns.count && !code; i++) {
        struct key_list list = {0};
        listing.column = columns.items[i];
        code = tombstone_keys(catalog, dataset, listing.column, arena, &list, err);
        if (!code)
            list_column(&listing, &list, i == first ? after : (struct lh_str){0});
    }
    if (code)
        return code;
    *ret = listing.items;
    *ret_count = listing.count;
    return LH_OK;
}

enum lh_code catalog_tombstone_count(struct catalog *catalog, const struct catalog_dataset *dataset,
                                     size_t *ret, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    const struct lh_str_list columns = tombstone_columns(dataset, arena);
    size_t count = 0;
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < columns.count && !code; i++) {
        struct key_list keys = {0};
        code = tombstone_keys(catalog, dataset, columns.items[i], arena, &keys, err);
        count += keys.count;
    }
    if (!code)
        *ret = count;
    lh_arena_free(arena);
    return code;
}

/* --- what has changed */

static bool hides_less(const struct tombstone_record *record)
{
    return record->kind == TOMBSTONE_LIFTED || record->kind == TOMBSTONE_REPLACED;
}

/* How many records of the column (absent: of rows) are as old as `version`. They stay as many,
 * whatever is written together; but lifting the last key of a column takes all of its records away,
 * undoing an upsert takes its own, and others may have come since. */
static enum lh_code count_records(struct catalog *catalog, const struct catalog_dataset *dataset,
                                  struct lh_str column, int64_t version, size_t *ret,
                                  struct lh_error *err)
{
    enum lh_code code = LH_OK;
    *ret = 0;
    for (size_t i = 0; i < dataset->tombstone_count && !code; i++) {
        const struct catalog_object *object = dataset->tombstones[i];
        const struct tombstone_content *content = NULL;
        if (column.len ? !tombstone_is_of_column(object, column) : !tombstone_is_of_rows(object))
            continue;
        code = tombstone_read(catalog->storage, object, &content, err);
        for (size_t k = 0; !code && k < content->record_count; k++)
            *ret += (content->records[k].version ? content->records[k].version
                                                 : object->added_version) <= version;
    }
    return code;
}

/* Whether records of the column that `then` had are there no more. */
static enum lh_code has_lost(struct catalog *catalog, const struct catalog_dataset *dataset,
                             const struct catalog_dataset *then, struct lh_str column, bool *ret,
                             struct lh_error *err)
{
    size_t before = 0, now = 0;
    enum lh_code code = count_records(catalog, then, column, then->version, &before, err);
    if (!code)
        code = count_records(catalog, dataset, column, then->version, &now, err);
    *ret = now < before;
    return code;
}

enum lh_code catalog_tombstones_differ(struct catalog *catalog,
                                       const struct catalog_dataset *dataset,
                                       const struct catalog_dataset *then, bool *ret,
                                       struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    const struct lh_str_list columns = tombstone_columns(then, arena);
    bool differ = false;
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < dataset->tombstone_count && !code && !differ; i++) {
        const struct catalog_object *object = dataset->tombstones[i];
        const struct tombstone_content *content = NULL;
        if (object->added_version <= then->version)
            continue;
        code = tombstone_read(catalog->storage, object, &content, err);
        for (size_t k = 0; !code && k < content->record_count; k++) {
            const struct tombstone_record *record = &content->records[k];
            int64_t since = record->version ? record->version : object->added_version;
            differ |= since > then->version && hides_less(record);
        }
    }
    for (size_t i = 0; i <= columns.count && !code && !differ; i++)
        code = has_lost(catalog, dataset, then,
                        i < columns.count ? columns.items[i] : (struct lh_str){0}, &differ, err);
    if (!code)
        *ret = differ;
    lh_arena_free(arena);
    return code;
}
