/* Search as tables inside SQL: vector_search, text_search, hybrid_search; and index_vectors, what
 * an index has.
 *
 *   bind: the index's id column gives the first column its name and type, so that USING works
 *   start: the search is made, at the dataset's version of that moment
 *   next: its hits, best first */
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "engine/function.h"
#include "search/asking.h"
#include "search/vectors.h"

#define ASKING_FUNCTIONS 3 /* by the number of their mode; the others behind */
const struct lh_str search_table_functions[] = {LH_LIT("vector_search"), LH_LIT("text_search"),
                                                LH_LIT("hybrid_search"), LH_LIT("index_vectors")};
const size_t search_table_function_count =
    sizeof search_table_functions / sizeof search_table_functions[0];

enum {
    ARGUMENT_INDEX,
    ARGUMENT_QUERY,
    ARGUMENT_K,
    ARGUMENT_FILTER,
    ARGUMENT_PER_CHUNK,
    ARGUMENT_VECTOR
};
enum { COLUMN_ID, COLUMN_SCORE, COLUMN_TEXT, COLUMN_CHUNK };

struct function_context {
    struct search *search;
    enum search_mode mode;
};

/* What the statement says; lives as long as it is prepared. */
struct call {
    struct lh_arena *arena;
    struct search_ask ask;
    struct lh_str index_id, id_column, id_type;
    enum engine_type id_storage;
};

static void free_call(void *bound)
{
    struct call *call = bound;
    lh_arena_free(call->arena);
}

static enum engine_type storage_of(struct lh_str type)
{
    static const struct {
        const char *name;
        enum engine_type type;
    } rows[] = {
        {"TINYINT", ENGINE_INT8},     {"SMALLINT", ENGINE_INT16}, {"INTEGER", ENGINE_INT32},
        {"BIGINT", ENGINE_INT64},     {"UTINYINT", ENGINE_UINT8}, {"USMALLINT", ENGINE_UINT16},
        {"UINTEGER", ENGINE_UINT32},  {"UBIGINT", ENGINE_UINT64}, {"HUGEINT", ENGINE_INT128},
        {"UHUGEINT", ENGINE_UINT128}, {"UUID", ENGINE_UUID},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (lh_str_equal(type, lh_str_of(rows[i].name)))
            return rows[i].type;
    return ENGINE_TEXT;
}

static enum lh_code read_vector(struct engine_bind *bind, struct call *call, struct lh_error *err)
{
    size_t count = engine_bind_list_count(bind, ARGUMENT_VECTOR);
    if (count == 0 || count > SEARCH_DIMENSIONS_MAX)
        return lh_fail(err, LH_INVALID, "A vector has from 1 to %d numbers.",
                       SEARCH_DIMENSIONS_MAX);
    double *numbers = lh_arena_array(call->arena, count, sizeof *numbers);
    float *vector = lh_arena_array(call->arena, count, sizeof *vector);
    engine_bind_list_doubles(bind, ARGUMENT_VECTOR, numbers);
    for (size_t i = 0; i < count; i++)
        vector[i] = (float)numbers[i];
    call->ask.vector = vector;
    call->ask.vector_count = count;
    return LH_OK;
}

static enum lh_code read_call(const struct function_context *function, struct engine_bind *bind,
                              struct call *call, struct lh_error *err)
{
    struct search_ask *ask = &call->ask;
    if (!engine_bind_has(bind, ARGUMENT_INDEX))
        return lh_fail(err, LH_INVALID, "The first argument is the name of an index.");
    *ask = (struct search_ask){
        .index = lh_arena_str(call->arena, engine_bind_str(bind, ARGUMENT_INDEX)),
        .mode = function->mode,
        .k = SEARCH_K_PRESET,
    };
    if (engine_bind_has(bind, ARGUMENT_QUERY))
        ask->query = lh_arena_str(call->arena, engine_bind_str(bind, ARGUMENT_QUERY));
    if (engine_bind_has(bind, ARGUMENT_K))
        ask->k = engine_bind_int(bind, ARGUMENT_K);
    if (engine_bind_has(bind, ARGUMENT_FILTER))
        ask->filter = lh_arena_str(call->arena, engine_bind_str(bind, ARGUMENT_FILTER));
    if (engine_bind_has(bind, ARGUMENT_PER_CHUNK))
        ask->per_chunk = engine_bind_bool(bind, ARGUMENT_PER_CHUNK);
    if (ask->k < 0 || ask->k > SEARCH_K_MAX)
        return lh_fail(err, LH_INVALID, "k is a whole number from 0 to %d.", SEARCH_K_MAX);
    if (function->mode == SEARCH_VECTOR && engine_bind_has(bind, ARGUMENT_VECTOR))
        return read_vector(bind, call, err);
    return LH_OK;
}

static void add_column(struct engine_bind *bind, const struct call *call, const char *name,
                       enum engine_type type, bool is_list)
{
    /* The id column's own name comes first. */
    bool is_taken = lh_str_equal_nocase(call->id_column, lh_str_of(name));
    engine_bind_column(bind,
                       is_taken ? lh_arena_printf(call->arena, "search_%s", name) : lh_str_of(name),
                       type, is_list);
}

/* What the first column is called, and of what type. */
static enum lh_code describe_ids(struct search *search, struct call *call, struct lh_error *err)
{
    struct search_index *index = NULL;
    enum lh_code code = index_find(search, call->ask.index, &index, err);
    if (code)
        return code;
    struct index_manifest *head = index_head(index);
    call->index_id = lh_arena_str(call->arena, head->id);
    call->id_column = lh_arena_str(call->arena, head->id_column);
    call->id_type = lh_arena_str(call->arena, head->id_type);
    call->id_storage = storage_of(head->id_type);
    index_manifest_unref(head);
    index_unref(index);
    return LH_OK;
}

static enum lh_code bind_call(void *context, struct engine_bind *bind, void **ret_bound,
                              struct lh_error *err)
{
    const struct function_context *function = context;
    struct lh_arena *arena = lh_arena_new(0);
    struct call *call = lh_arena_alloc(arena, sizeof *call);
    call->arena = arena;
    enum lh_code code = read_call(function, bind, call, err);
    if (!code)
        code = describe_ids(function->search, call, err);
    if (code) {
        lh_arena_free(arena);
        return code;
    }
    engine_bind_column(bind, call->id_column, call->id_storage, false);
    add_column(bind, call, "score", ENGINE_DOUBLE, false);
    add_column(bind, call, "text", ENGINE_TEXT, false);
    add_column(bind, call, "chunk", ENGINE_INT32, false);
    engine_bind_rows(bind, call->ask.k);
    *ret_bound = call;
    return LH_OK;
}

/* --- running */

struct hits {
    struct lh_arena *arena;
    struct search_answer answer;
    size_t at;
};

static void free_hits(void *state)
{
    struct hits *hits = state;
    lh_arena_free(hits->arena);
}

/* The columns were named when the statement was prepared. */
static enum lh_code check_index(struct search *search, const struct call *call,
                                struct lh_error *err)
{
    struct search_index *index = NULL;
    enum lh_code code = index_find(search, call->ask.index, &index, err);
    if (code)
        return code;
    struct index_manifest *head = index_head(index);
    if (!lh_str_equal(head->id_column, call->id_column) ||
        !lh_str_equal(head->id_type, call->id_type))
        code =
            lh_fail(err, LH_RACE, "The index '%.*s' was just made anew; run the statement again.",
                    LH_ARG(head->name));
    index_manifest_unref(head);
    index_unref(index);
    return code;
}

static enum lh_code start(void *context, void *bound, struct engine_scan *scan, void **ret_state,
                          struct lh_error *err)
{
    const struct function_context *function = context;
    const struct call *call = bound;
    struct lh_arena *arena = lh_arena_new(0);
    struct hits *hits = lh_arena_alloc(arena, sizeof *hits);
    struct search_ask ask = call->ask;
    hits->arena = arena;
    ask.is_raw_id = true;
    enum lh_code code = check_index(function->search, call, err);
    if (!code)
        code =
            search_run(function->search, &ask, engine_scan_cancel(scan), arena, &hits->answer, err);
    if (code)
        lh_arena_free(arena);
    else
        *ret_state = hits;
    return code;
}

static void write_wide(struct engine_int128 *to, struct lh_str text)
{
    bool is_low = text.len && text.data[0] == '-';
    uint64_t lower = 0, upper = 0;
    for (size_t i = is_low; i < text.len; i++) {
        /* times ten, by halves of 32 bits, so that the carry is seen */
        uint64_t low = (lower & UINT32_MAX) * 10 + (uint64_t)(text.data[i] - '0');
        uint64_t high = (lower >> 32) * 10 + (low >> 32);
        upper = upper * 10 + (high >> 32);
        lower = high << 32 | (low & UINT32_MAX);
    }
    if (is_low) {
        lower = ~lower + 1;
        upper = ~upper + (lower == 0);
    }
    *to = (struct engine_int128){lower, (int64_t)upper};
}

static void write_uuid(struct engine_int128 *to, struct lh_str text)
{
    uint64_t halves[2] = {0, 0};
    size_t digit = 0;
    for (size_t i = 0; i < text.len && digit < 32; i++) {
        char c = text.data[i];
        if (c == '-')
            continue;
        uint64_t value = (uint64_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
        halves[digit / 16] = halves[digit / 16] << 4 | (value & 15);
        digit++;
    }
    *to = (struct engine_int128){halves[1], (int64_t)(halves[0] ^ (UINT64_C(1) << 63))};
}

static void write_id(const struct call *call, struct lh_str id, struct engine_write *write,
                     size_t at, size_t row)
{
    void *data = call->id_storage == ENGINE_TEXT ? NULL : engine_write_data(write, at);
    struct engine_int128 wide = {0};
    if (call->id_storage == ENGINE_UUID)
        write_uuid(&wide, id);
    else if (data)
        write_wide(&wide, id);
    assert(data || call->id_storage == ENGINE_TEXT);
    switch (call->id_storage) {
    case ENGINE_INT8:
    case ENGINE_UINT8:
        ((uint8_t *)data)[row] = (uint8_t)wide.lower;
        return;
    case ENGINE_INT16:
    case ENGINE_UINT16:
        ((uint16_t *)data)[row] = (uint16_t)wide.lower;
        return;
    case ENGINE_INT32:
    case ENGINE_UINT32:
        ((uint32_t *)data)[row] = (uint32_t)wide.lower;
        return;
    case ENGINE_INT64:
    case ENGINE_UINT64:
        ((uint64_t *)data)[row] = wide.lower;
        return;
    case ENGINE_TEXT:
        engine_write_str(write, at, row, id);
        return;
    default:
        ((struct engine_int128 *)data)[row] = wide;
    }
}

static void write_cell(const struct call *call, const struct search_hit *hit, size_t column,
                       struct engine_write *write, size_t at, size_t row)
{
    switch (column) {
    case COLUMN_ID:
        write_id(call, hit->id, write, at, row);
        return;
    case COLUMN_SCORE:
        ((double *)engine_write_data(write, at))[row] = hit->score;
        return;
    case COLUMN_TEXT:
        if (hit->text.data)
            engine_write_str(write, at, row, hit->text);
        else
            engine_write_null(write, at, row);
        return;
    default:
        ((int32_t *)engine_write_data(write, at))[row] = (int32_t)hit->chunk;
    }
}

static enum lh_code next(void *context, void *bound, void *state, struct engine_scan *scan,
                         struct engine_write *write, size_t *ret_rows, struct lh_error *err)
{
    struct hits *hits = state;
    size_t rows = hits->answer.hit_count - hits->at;
    (void)context;
    (void)err;
    if (rows > ENGINE_CHUNK_ROWS)
        rows = ENGINE_CHUNK_ROWS;
    for (size_t at = 0; at < engine_scan_column_count(scan); at++)
        for (size_t row = 0; row < rows; row++)
            write_cell(bound, &hits->answer.hits[hits->at + row], engine_scan_column(scan, at),
                       write, at, row);
    hits->at += rows;
    *ret_rows = rows;
    return LH_OK;
}

/* --- index_vectors */

enum { VECTORS_ID, VECTORS_CHUNK, VECTORS_TEXT, VECTORS_VECTOR };
#define CELLS_AT_ONCE ((size_t)1 << 22) /* numbers that one chunk holds at most */

static enum lh_code bind_vectors(void *context, struct engine_bind *bind, void **ret_bound,
                                 struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct call *call = lh_arena_alloc(arena, sizeof *call);
    enum lh_code code = LH_OK;
    call->arena = arena;
    if (engine_bind_has(bind, ARGUMENT_INDEX))
        call->ask.index = lh_arena_str(arena, engine_bind_str(bind, ARGUMENT_INDEX));
    else
        code = lh_fail(err, LH_INVALID, "The first argument is the name of an index.");
    if (!code)
        code = describe_ids(context, call, err);
    if (code) {
        lh_arena_free(arena);
        return code;
    }
    engine_bind_column(bind, call->id_column, call->id_storage, false);
    add_column(bind, call, "chunk", ENGINE_INT32, false);
    add_column(bind, call, "text", ENGINE_TEXT, false);
    add_column(bind, call, "vector", ENGINE_FLOAT, true);
    *ret_bound = call;
    return LH_OK;
}

struct vectors_state {
    struct search_vectors *vectors;
    size_t at;
};

static void free_vectors(void *state)
{
    struct vectors_state *place = state;
    search_vectors_close(place->vectors);
    free(place);
}

static enum lh_code start_vectors(void *context, void *bound, struct engine_scan *scan,
                                  void **ret_state, struct lh_error *err)
{
    const struct call *call = bound;
    struct search_vectors *vectors = NULL;
    enum lh_code code = check_index(context, call, err);
    if (!code)
        code =
            search_vectors_open(context, call->ask.index, engine_scan_cancel(scan), &vectors, err);
    if (code)
        return code;
    struct vectors_state *place = lh_allocate(1, sizeof *place);
    place->vectors = vectors;
    *ret_state = place;
    return LH_OK;
}

static void write_entry(const struct call *call, const struct search_vectors *vectors,
                        size_t number, size_t column, struct engine_write *write, size_t at,
                        size_t row)
{
    struct lh_str text;
    switch (column) {
    case VECTORS_ID:
        write_id(call, search_vectors_id(vectors, number), write, at, row);
        return;
    case VECTORS_CHUNK:
        ((int32_t *)engine_write_data(write, at))[row] =
            (int32_t)(number - search_vectors_row(vectors, number));
        return;
    case VECTORS_TEXT:
        text = search_vectors_text(vectors, number);
        if (text.data)
            engine_write_str(write, at, row, text);
        else
            engine_write_null(write, at, row);
        return;
    default:
        engine_write_floats(write, at, row, search_vectors_at(vectors, number),
                            search_vectors_info(vectors)->dimensions);
    }
}

static enum lh_code next_vectors(void *context, void *bound, void *state, struct engine_scan *scan,
                                 struct engine_write *write, size_t *ret_rows, struct lh_error *err)
{
    struct vectors_state *place = state;
    const struct search_vectors_info *info = search_vectors_info(place->vectors);
    size_t numbers[ENGINE_CHUNK_ROWS], rows = 0;
    size_t most = CELLS_AT_ONCE / (info->dimensions + 1);
    (void)context;
    most = most < ENGINE_CHUNK_ROWS ? most : ENGINE_CHUNK_ROWS;
    for (; place->at < info->end && rows < most; place->at++)
        if (search_vectors_at(place->vectors, place->at))
            numbers[rows++] = place->at;
    for (size_t at = 0; at < engine_scan_column_count(scan); at++)
        for (size_t row = 0; row < rows; row++)
            write_entry(bound, place->vectors, numbers[row], engine_scan_column(scan, at), write,
                        at, row);
    *ret_rows = rows;
    return lh_cancel_fail(engine_scan_cancel(scan), "The statement", err);
}

static enum lh_code register_vectors(struct search *search, struct lh_error *err)
{
    static const struct engine_argument arguments[] = {{NULL, ENGINE_TEXT, false}};
    const struct engine_table_function function = {
        .name = search_table_functions[ASKING_FUNCTIONS].data,
        .arguments = arguments,
        .argument_count = 1,
        .context = search,
        .bind = bind_vectors,
        .start = start_vectors,
        .next = next_vectors,
        .free_bound = free_call,
        .free_state = free_vectors,
    };
    return engine_register_table(search->options.engine, &function, err);
}

enum lh_code functions_register(struct search *search, struct lh_error *err)
{
    static const struct engine_argument arguments[] = {
        {NULL, ENGINE_TEXT, false},        {NULL, ENGINE_TEXT, false},
        {"k", ENGINE_INT64, false},        {"sql_filter", ENGINE_TEXT, false},
        {"per_chunk", ENGINE_BOOL, false}, {"vector", ENGINE_DOUBLE, true},
    };
    enum lh_code code = LH_OK;
    struct function_context *contexts =
        lh_arena_array(search->arena, ASKING_FUNCTIONS, sizeof *contexts);
    for (size_t i = 0; i < ASKING_FUNCTIONS && !code; i++) {
        contexts[i] = (struct function_context){search, (enum search_mode)i};
        const struct engine_table_function function = {
            .name = search_table_functions[i].data,
            .arguments = arguments,
            /* A vector may stand instead of words where meaning is asked for. */
            .argument_count = i == SEARCH_VECTOR ? 6 : 5,
            .context = &contexts[i],
            .bind = bind_call,
            .start = start,
            .next = next,
            .free_bound = free_call,
            .free_state = free_hits,
        };
        code = engine_register_table(search->options.engine, &function, err);
    }
    return code ? code : register_vectors(search, err);
}
