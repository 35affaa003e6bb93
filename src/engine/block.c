/* Rows written on the engine's threads: a scalar function over all columns stands on top of the
 * plan, has the writer write each chunk it is given into a block, and returns the block's number.
 *
 *   idle ──take_block──▶ being written ──▶ numbered, on its way ──next_block──▶ read ──▶ idle
 *
 * The numbers go through the engine's stream, which keeps the order of rows and stops when what it
 * holds is large; so the type that is returned is wide (64 bytes a row, of which the first row's
 * number is all that anybody reads): some eight full blocks are ahead of the reader, as of a result
 * of eight columns. Rejected: COPY with a function of our own, which is two milliseconds in forty
 * faster on one thread but runs the last part of every plan on one thread only.
 */
#include "engine/internal.h"

#include <stdlib.h>

#define NUMBER_FIELDS 4 /* of 16 bytes */
#define NO_MEMORY "No memory is left for a piece of the result."

/* Below a selective filter chunks have a row or two, and thousands of blocks are ahead: what a
 * block costs goes by its rows. */
struct made_block {
    struct engine_block shown;
    size_t ends_capacity;
    size_t number;
    enum lh_code code;
    struct lh_error *error;  /* NULL: none, or no memory for it */
    struct made_block *next; /* of the idle ones */
};

void blocks_init(struct engine_blocks *blocks)
{
    pthread_mutex_init(&blocks->lock, NULL);
    pthread_cond_init(&blocks->rested, NULL);
}

void blocks_release(struct engine_blocks *blocks)
{
    blocks_end(blocks);
    pthread_cond_destroy(&blocks->rested);
    pthread_mutex_destroy(&blocks->lock);
}

void blocks_begin(struct engine_blocks *blocks, const struct engine_shape *shape,
                  engine_block_writer writer)
{
    pthread_mutex_lock(&blocks->lock);
    blocks->shape = shape;
    blocks->writer = writer;
    pthread_mutex_unlock(&blocks->lock);
}

void blocks_mute(struct engine_blocks *blocks)
{
    pthread_mutex_lock(&blocks->lock);
    blocks->writer = NULL;
    while (blocks->writing_count > 0)
        pthread_cond_wait(&blocks->rested, &blocks->lock);
    pthread_mutex_unlock(&blocks->lock);
}

static void free_block(struct made_block *block)
{
    if (!block)
        return;
    lh_buf_release(&block->shown.bytes);
    free(block->shown.ends);
    free(block->error);
    free(block);
}

void blocks_end(struct engine_blocks *blocks)
{
    blocks_mute(blocks);
    for (size_t i = 0; i < blocks->count; i++)
        free_block(blocks->items[i]);
    free(blocks->items);
    blocks->items = NULL;
    blocks->count = blocks->capacity = 0;
    blocks->idle = NULL;
    blocks->shape = NULL;
}

/* Under the lock. NULL: no memory. */
static struct made_block *new_block(struct engine_blocks *blocks)
{
    if (blocks->count == blocks->capacity) {
        size_t capacity = blocks->capacity ? blocks->capacity * 2 : 16;
        struct made_block **items = realloc(blocks->items, capacity * sizeof(struct made_block *));
        if (!items)
            return NULL;
        blocks->items = items;
        blocks->capacity = capacity;
    }
    struct made_block *block = calloc(1, sizeof *block);
    if (!block)
        return NULL;
    lh_buf_init(&block->shown.bytes, ENGINE_BLOCK_BYTES_MAX);
    block->number = blocks->count;
    blocks->items[blocks->count++] = block;
    return block;
}

/* *ret_is_wanted false: nobody reads the rows (any more). Otherwise NULL: no memory. */
static struct made_block *take_block(struct engine_blocks *blocks, bool *ret_is_wanted,
                                     engine_block_writer *ret_writer)
{
    struct made_block *block = NULL;
    pthread_mutex_lock(&blocks->lock);
    *ret_is_wanted = blocks->writer != NULL;
    *ret_writer = blocks->writer;
    if (blocks->writer) {
        block = blocks->idle;
        if (block)
            blocks->idle = block->next;
        else
            block = new_block(blocks);
        blocks->writing_count += block != NULL;
    }
    pthread_mutex_unlock(&blocks->lock);
    return block;
}

static void end_writing(struct engine_blocks *blocks)
{
    pthread_mutex_lock(&blocks->lock);
    if (--blocks->writing_count == 0)
        pthread_cond_broadcast(&blocks->rested);
    pthread_mutex_unlock(&blocks->lock);
}

static bool make_room(struct made_block *block, size_t row_count)
{
    if (block->ends_capacity >= row_count)
        return true;
    uint32_t *ends = realloc(block->shown.ends, row_count * sizeof *ends);
    if (!ends)
        return false;
    block->shown.ends = ends;
    block->ends_capacity = row_count;
    return true;
}

static void keep_failure(struct made_block *block, enum lh_code code, const struct lh_error *err)
{
    block->code = code;
    if (!block->error)
        block->error = malloc(sizeof *block->error);
    if (block->error)
        *block->error = *err;
}

static void write_block(struct engine_blocks *blocks, engine_block_writer writer,
                        struct made_block *block, duckdb_data_chunk input)
{
    const struct engine_shape *shape = blocks->shape;
    struct lh_error err = LH_ERROR_NONE;
    size_t bytes = shape->column_count * sizeof(struct engine_vector);
    struct engine_vector *vectors = malloc(bytes);
    struct engine_chunk chunk = {.row_count = duckdb_data_chunk_get_size(input),
                                 .column_count = shape->column_count,
                                 .columns = vectors};
    enum lh_code code;
    assert(chunk.row_count <= ENGINE_CHUNK_ROWS);
    lh_buf_clear(&block->shown.bytes);
    block->shown.row_count = chunk.row_count;
    block->code = LH_OK;
    if (vectors && make_room(block, chunk.row_count)) {
        memcpy(vectors, shape->vectors, bytes);
        for (size_t i = 0; i < shape->column_count; i++)
            shape_fill(&vectors[i], duckdb_data_chunk_get_vector(input, i + 1));
        code = writer(shape->columns, &chunk, &block->shown, &err);
    } else {
        code = lh_fail(&err, LH_BUSY, NO_MEMORY);
    }
    if (code)
        keep_failure(block, code, &err);
    free(vectors);
}

static void call(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output)
{
    struct engine *engine = duckdb_scalar_function_get_extra_info(info);
    struct engine_uint128 *numbers =
        duckdb_vector_get_data(duckdb_struct_vector_get_child(output, 0));
    struct lh_error err = LH_ERROR_NONE;
    engine_block_writer writer;
    bool is_wanted;
    if (duckdb_data_chunk_get_size(input) == 0)
        return;
    uint64_t index =
        ((const uint64_t *)duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 0)))[0];
    if (index >= engine->connection_count) {
        duckdb_scalar_function_set_error(info, "There is no such running statement.");
        return;
    }
    struct engine_connection *connection = engine->connections[index];
    struct made_block *block = take_block(&connection->blocks, &is_wanted, &writer);
    if (!is_wanted) {
        numbers[0] = (struct engine_uint128){0};
        return;
    }
    if (!block) {
        (void)lh_fail(&err, LH_BUSY, NO_MEMORY);
        connection_keep_error(connection, &err);
        duckdb_scalar_function_set_error(info, err.message);
        return;
    }
    write_block(&connection->blocks, writer, block, input);
    numbers[0] = (struct engine_uint128){.lower = block->number + 1};
    end_writing(&connection->blocks);
}

/* Whenever the library binds the statement: its columns are those of `shape`, or it is refused and
 * runs without blocks. A bare NULL is such a column: in a result it is an INTEGER. */
static void bind(duckdb_bind_info info)
{
    struct engine *engine = duckdb_scalar_function_bind_get_extra_info(info);
    duckdb_client_context context = NULL;
    duckdb_scalar_function_get_client_context(info, &context);
    struct engine_connection *connection =
        engine_find_connection(engine, duckdb_client_context_get_connection_id(context));
    duckdb_destroy_client_context(&context);
    const struct engine_shape *shape = connection ? connection->blocks.shape : NULL;
    bool fits =
        shape && duckdb_scalar_function_bind_get_argument_count(info) == shape->column_count + 1;
    for (size_t i = 0; fits && i < shape->column_count; i++) {
        duckdb_expression argument = duckdb_scalar_function_bind_get_argument(info, i + 1);
        duckdb_logical_type type = duckdb_expression_return_type(argument);
        fits = type_fits(shape->columns[i].info, type);
        duckdb_destroy_logical_type(&type);
        duckdb_destroy_expression(&argument);
    }
    if (!fits)
        duckdb_scalar_function_bind_set_error(info, "The columns are not those of the statement.");
}

enum lh_code blocks_register(struct engine *engine, duckdb_connection handle, struct lh_error *err)
{
    static const char *names[NUMBER_FIELDS] = {"a", "b", "c", "d"};
    duckdb_logical_type fields[NUMBER_FIELDS];
    duckdb_scalar_function function = duckdb_create_scalar_function();
    duckdb_logical_type number = duckdb_create_logical_type(DUCKDB_TYPE_UBIGINT);
    duckdb_logical_type any = duckdb_create_logical_type(DUCKDB_TYPE_ANY);
    duckdb_logical_type field = duckdb_create_logical_type(DUCKDB_TYPE_UHUGEINT);
    for (size_t i = 0; i < NUMBER_FIELDS; i++)
        fields[i] = field;
    duckdb_logical_type answer = duckdb_create_struct_type(fields, names, NUMBER_FIELDS);
    duckdb_scalar_function_set_name(function, BLOCKS_FUNCTION);
    duckdb_scalar_function_add_parameter(function, number);
    duckdb_scalar_function_set_varargs(function, any);
    duckdb_scalar_function_set_return_type(function, answer);
    duckdb_scalar_function_set_volatile(function);
    duckdb_scalar_function_set_special_handling(function);
    duckdb_scalar_function_set_extra_info(function, engine, NULL);
    duckdb_scalar_function_set_bind(function, bind);
    duckdb_scalar_function_set_function(function, call);
    duckdb_state state = duckdb_register_scalar_function(handle, function);
    duckdb_destroy_scalar_function(&function);
    duckdb_destroy_logical_type(&answer);
    duckdb_destroy_logical_type(&field);
    duckdb_destroy_logical_type(&any);
    duckdb_destroy_logical_type(&number);
    if (state == DuckDBError)
        return lh_fail(err, LH_INTERNAL, "The SQL engine refuses the function that writes rows.");
    return LH_OK;
}

/* --- reading */

bool engine_cursor_has_blocks(const struct engine_cursor *cursor)
{
    return cursor->has_blocks;
}

static void give_back(struct engine_cursor *cursor)
{
    struct engine_blocks *blocks = &cursor->connection->blocks;
    struct made_block *block = cursor->block;
    if (!block)
        return;
    cursor->block = NULL;
    pthread_mutex_lock(&blocks->lock);
    block->next = blocks->idle;
    blocks->idle = block;
    pthread_mutex_unlock(&blocks->lock);
}

static struct made_block *block_of(struct engine_cursor *cursor)
{
    struct engine_blocks *blocks = &cursor->connection->blocks;
    duckdb_vector answers = duckdb_data_chunk_get_vector(cursor->current, 0);
    const struct engine_uint128 *numbers =
        duckdb_vector_get_data(duckdb_struct_vector_get_child(answers, 0));
    uint64_t number = numbers[0].lower;
    pthread_mutex_lock(&blocks->lock);
    struct made_block *block =
        number >= 1 && number <= blocks->count ? blocks->items[number - 1] : NULL;
    pthread_mutex_unlock(&blocks->lock);
    return block;
}

enum lh_code engine_cursor_next_block(struct engine_cursor *cursor, const struct engine_block **ret,
                                      struct lh_error *err)
{
    assert(cursor->has_blocks);
    *ret = NULL;
    give_back(cursor);
    enum lh_code code = cursor_fetch(cursor, err);
    if (code || !cursor->current)
        return code;
    struct made_block *block = block_of(cursor);
    if (!block || block->shown.row_count != duckdb_data_chunk_get_size(cursor->current))
        return lh_fail(err, LH_INTERNAL, "The SQL engine lost rows of the result on their way.");
    cursor->block = block;
    if (block->code && !block->error)
        return lh_fail(err, block->code, NO_MEMORY);
    if (block->code) {
        if (err)
            *err = *block->error;
        return block->code;
    }
    *ret = &block->shown;
    return LH_OK;
}
