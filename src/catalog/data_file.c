#include "catalog/data_file.h"

#include "catalog/data_file_joined.h"

enum lh_code data_file_copy(struct storage *storage, struct engine_connection *connection,
                            struct lh_str select, const struct engine_copy_options *options,
                            const struct lh_cancel *cancel, struct data_file *ret,
                            struct lh_error *err)
{
    enum lh_code code = storage_stage(storage, lh_lit(".parquet"), &ret->staged, err);
    if (!code)
        code = engine_copy(connection, select, storage_staged_path(ret->staged), options, NULL,
                           cancel, &ret->content, err);
    return code;
}

enum lh_code data_file_seal(struct data_file *file, struct engine_connection *connection,
                            const char *what, const struct lh_cancel *cancel, struct lh_error *err)
{
    struct engine_content again = {0};
    bool is_same = false;
    enum lh_code code = LH_OK;
    if (file->joined) {
        code = data_file_joined_seal(file, connection, cancel, &is_same, err);
    } else {
        code = storage_staged_seal(file->staged, &file->sum, err);
        if (!code)
            code = engine_parquet_check(connection, storage_staged_path(file->staged), cancel,
                                        &again, err);
        is_same = data_file_content_is(&again, &file->content);
    }
    if (!code && !is_same)
        code = lh_fail(err, LH_IO,
                       "What was written does not read back as it was: %s was thrown away.", what);
    return code;
}

void data_file_discard(struct data_file *file)
{
    storage_staged_discard(file->staged);
    file->staged = NULL;
    data_file_joined_free(file->joined);
    file->joined = NULL;
}

bool data_file_content_is(const struct engine_content *a, const struct engine_content *b)
{
    return a->rows == b->rows && a->sums[0] == b->sums[0] && a->sums[1] == b->sums[1];
}

struct lh_str data_file_content_text(const struct engine_content *content, struct lh_arena *arena)
{
    return lh_arena_printf(arena, "%016llx%016llx", (unsigned long long)content->sums[0],
                           (unsigned long long)content->sums[1]);
}

bool data_file_content_read(struct lh_str text, struct engine_content *ret)
{
    uint8_t bytes[2 * sizeof ret->sums[0]];
    uint64_t sums[2] = {0, 0};
    if (!lh_hex_parse(text, bytes, sizeof bytes))
        return false;
    for (size_t i = 0; i < sizeof bytes; i++)
        sums[i / 8] = sums[i / 8] << 8 | bytes[i];
    ret->sums[0] = sums[0];
    ret->sums[1] = sums[1];
    return true;
}
