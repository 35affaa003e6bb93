/* The scalar function behind filter.h. */
#include "engine/internal.h"

#include <stdlib.h>

struct filter_slot {
    uint64_t number; /* 0: free; its lower bits are the slot's place */
    struct engine_filter filter;
};

struct filters {
    pthread_rwlock_t lock;
    struct filter_slot *slots;
    size_t slot_count; /* a power of two */
    size_t used_count;
    uint64_t next;
};

static bool find_filter(struct filters *filters, uint64_t number, struct engine_filter *ret)
{
    bool is_found = false;
    pthread_rwlock_rdlock(&filters->lock);
    if (filters->slot_count) {
        const struct filter_slot *slot = &filters->slots[number & (filters->slot_count - 1)];
        is_found = number && slot->number == number;
        *ret = slot->filter;
    }
    pthread_rwlock_unlock(&filters->lock);
    return is_found;
}

/* The library makes every argument flat before it calls. */
static void keep(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output)
{
    struct engine *engine = duckdb_scalar_function_get_extra_info(info);
    const uint64_t *numbers = duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 0));
    const uint64_t *files = duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 1));
    const int64_t *rows = duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 2));
    size_t count = duckdb_data_chunk_get_size(input);
    struct engine_filter filter;
    if (!count)
        return;
    if (!find_filter(engine->filters, numbers[0], &filter))
        duckdb_scalar_function_set_error(info, "There is no such set of rows.");
    else
        filter.keep(filter.context, files, rows, count, duckdb_vector_get_data(output));
}

enum lh_code filters_register(struct engine *engine, duckdb_connection handle, struct lh_error *err)
{
    engine->filters = calloc(1, sizeof *engine->filters);
    if (!engine->filters)
        return lh_fail(err, LH_BUSY, "No memory is left for the SQL engine.");
    pthread_rwlock_init(&engine->filters->lock, NULL);
    duckdb_scalar_function function = duckdb_create_scalar_function();
    duckdb_logical_type number = duckdb_create_logical_type(DUCKDB_TYPE_UBIGINT);
    duckdb_logical_type row = duckdb_create_logical_type(DUCKDB_TYPE_BIGINT);
    duckdb_logical_type answer = duckdb_create_logical_type(DUCKDB_TYPE_BOOLEAN);
    duckdb_scalar_function_set_name(function, ENGINE_FILTER_FUNCTION);
    duckdb_scalar_function_add_parameter(function, number);
    duckdb_scalar_function_add_parameter(function, number);
    duckdb_scalar_function_add_parameter(function, row);
    duckdb_scalar_function_set_return_type(function, answer);
    duckdb_scalar_function_set_extra_info(function, engine, NULL);
    duckdb_scalar_function_set_function(function, keep);
    duckdb_state state = duckdb_register_scalar_function(handle, function);
    duckdb_destroy_scalar_function(&function);
    duckdb_destroy_logical_type(&number);
    duckdb_destroy_logical_type(&row);
    duckdb_destroy_logical_type(&answer);
    if (state == DuckDBError)
        return lh_fail(err, LH_INTERNAL, "The SQL engine refuses its filter of rows.");
    return LH_OK;
}

void filters_free(struct engine *engine)
{
    if (!engine->filters)
        return;
    pthread_rwlock_destroy(&engine->filters->lock);
    free(engine->filters->slots);
    free(engine->filters);
    engine->filters = NULL;
}

/* Locked. Twice as many slots: every number keeps a place of its own. */
static bool grow(struct filters *filters)
{
    size_t count = filters->slot_count ? filters->slot_count * 2 : 64;
    struct filter_slot *slots = calloc(count, sizeof *slots);
    if (!slots)
        return false;
    for (size_t i = 0; i < filters->slot_count; i++)
        if (filters->slots[i].number)
            slots[filters->slots[i].number & (count - 1)] = filters->slots[i];
    free(filters->slots);
    filters->slots = slots;
    filters->slot_count = count;
    return true;
}

enum lh_code engine_filter_add(struct engine *engine, const struct engine_filter *filter,
                               uint64_t *ret, struct lh_error *err)
{
    struct filters *filters = engine->filters;
    enum lh_code code = LH_OK;
    pthread_rwlock_wrlock(&filters->lock);
    if (filters->used_count * 2 >= filters->slot_count && !grow(filters))
        code = lh_fail(err, LH_BUSY, "No memory is left for the SQL engine.");
    if (!code) {
        uint64_t number = ++filters->next;
        while (filters->slots[number & (filters->slot_count - 1)].number)
            number = ++filters->next;
        filters->slots[number & (filters->slot_count - 1)] = (struct filter_slot){number, *filter};
        filters->used_count++;
        *ret = number;
    }
    pthread_rwlock_unlock(&filters->lock);
    return code;
}

void engine_filter_remove(struct engine *engine, uint64_t number)
{
    struct filters *filters = engine->filters;
    if (!number)
        return;
    pthread_rwlock_wrlock(&filters->lock);
    struct filter_slot *slot = &filters->slots[number & (filters->slot_count - 1)];
    if (slot->number == number) {
        *slot = (struct filter_slot){0};
        filters->used_count--;
    }
    pthread_rwlock_unlock(&filters->lock);
}
