#include "engine/internal.h"

#define TAGS_MAX 64 /* the library has about fifteen */

enum lh_code engine_memory(struct engine *engine, struct lh_arena *arena, struct engine_memory *ret,
                           struct lh_error *err)
{
    struct engine_memory memory = {.limit_bytes = engine->memory_bytes};
    struct engine_memory_tag *tags = lh_arena_array(arena, TAGS_MAX, sizeof(*tags));
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    enum lh_code code = engine_query(
        engine,
        lh_lit("SELECT tag, CAST(memory_usage_bytes AS BIGINT), "
               "CAST(temporary_storage_bytes AS BIGINT) FROM duckdb_memory() "
               "WHERE memory_usage_bytes > 0 OR temporary_storage_bytes > 0 ORDER BY 2 DESC, 1"),
        NULL, NULL, &cursor, err);
    while (!code && !(code = engine_cursor_next(cursor, &chunk, err)) && chunk) {
        const int64_t *bytes = chunk->columns[1].data;
        const int64_t *temp_bytes = chunk->columns[2].data;
        for (size_t row = 0; row < chunk->row_count; row++) {
            memory.bytes += bytes[row];
            memory.temp_bytes += temp_bytes[row];
            if (memory.tag_count < TAGS_MAX)
                tags[memory.tag_count++] = (struct engine_memory_tag){
                    lh_arena_str(arena, engine_vector_str(&chunk->columns[0], row)), bytes[row],
                    temp_bytes[row]};
        }
    }
    engine_cursor_close(cursor);
    memory.tags = tags;
    if (!code)
        *ret = memory;
    return code;
}
