/* NPY, NumPy's own file of one array: rows of vectors, with their order as the other column.
 *
 * The file is mapped and read by a table function that serves the server alone: its argument is the
 * number of a file that a task has open, no path. */
#include <pthread.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/half.h"
#include "engine/function.h"
#include "ingest/internal.h"

#define FUNCTION "lakehouse_npy_rows"
#define HEADER_BYTES_MAX ((size_t)65536)
#define WIDTH_MAX 65536
#define CELLS_AT_ONCE ((size_t)1 << 22) /* numbers that one chunk holds at most */

enum { COLUMN_ROW, COLUMN_VECTOR };

static float read_f16(const unsigned char *from)
{
    return lh_float_of_half((uint16_t)(from[0] | from[1] << 8));
}

static float read_f32(const unsigned char *from)
{
    float value;
    uint32_t bits =
        from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float read_i8(const unsigned char *from)
{
    return (float)(int8_t)from[0];
}

static float read_u8(const unsigned char *from)
{
    return (float)from[0];
}

/* What a number of an array may be; those that a float keeps become one. */
struct kind {
    const char *name;
    size_t bytes;
    float (*read)(const unsigned char *from); /* NULL: doubles */
};
static const struct kind kinds[] = {
    {"<f2", 2, read_f16}, {"<f4", 4, read_f32}, {"<f8", 8, NULL},
    {"|i1", 1, read_i8},  {"|u1", 1, read_u8},
};

struct npy {
    struct npy *next;
    struct ingest *ingest;
    int64_t number;
    int64_t first_row;
    void *map;
    size_t map_bytes;
    const unsigned char *cells;
    size_t rows, width;
    const struct kind *kind;
};

/* --- the header: a Python dictionary of three */

static enum lh_code fail_npy(struct lh_error *err, const char *why, const char *hint)
{
    lh_fail(err, LH_UNREADABLE, "The file cannot be read as NPY: %s", why);
    return lh_error_hint(err, "%s", hint);
}

static enum lh_code fail_damaged(struct lh_error *err)
{
    return fail_npy(err, "its header is no array's.",
                    "Is the file whole? numpy.save() writes such files.");
}

/* What stands behind 'key': */
static bool find_value(struct lh_str header, const char *key, struct lh_str *ret)
{
    size_t at = 0;
    if (!lh_str_find(header, lh_str_of(key), &at))
        return false;
    *ret = lh_str_trim(lh_str_slice(header, at + strlen(key), header.len));
    return true;
}

/* The next whole number of "(12, 768)". */
static bool read_extent(struct lh_str *rest, size_t *ret)
{
    size_t digits = 0;
    int64_t number = 0;
    *rest = lh_str_trim(*rest);
    while (digits < rest->len && rest->data[digits] >= '0' && rest->data[digits] <= '9')
        digits++;
    if (!digits || !lh_str_to_int(lh_str_head(*rest, digits), &number))
        return false;
    *rest = lh_str_trim(lh_str_slice(*rest, digits, rest->len));
    *ret = (size_t)number;
    return true;
}

static bool take_mark(struct lh_str *rest, char mark)
{
    *rest = lh_str_trim(*rest);
    if (!rest->len || rest->data[0] != mark)
        return false;
    *rest = lh_str_slice(*rest, 1, rest->len);
    return true;
}

static enum lh_code read_shape(struct npy *npy, struct lh_str header, struct lh_error *err)
{
    struct lh_str rest;
    if (!find_value(header, "'shape':", &rest) || !take_mark(&rest, '('))
        return fail_damaged(err);
    bool is_matrix =
        read_extent(&rest, &npy->rows) && take_mark(&rest, ',') && read_extent(&rest, &npy->width);
    if (is_matrix)
        take_mark(&rest, ',');
    if (!is_matrix || !take_mark(&rest, ')'))
        return fail_npy(err, "its array has not two dimensions.",
                        "Rows of vectors have two: array.reshape(rows, -1).");
    if (!npy->width || npy->width > WIDTH_MAX)
        return fail_npy(err, "its vectors have no number, or more than 65,536.",
                        "Is the array the right way round?");
    return LH_OK;
}

static enum lh_code read_kind(struct npy *npy, struct lh_str header, struct lh_error *err)
{
    struct lh_str rest, order;
    if (!find_value(header, "'descr':", &rest) || !find_value(header, "'fortran_order':", &order))
        return fail_damaged(err);
    if (lh_str_starts_with(order, lh_lit("True")))
        return fail_npy(err, "it has column after column instead of row after row.",
                        "Save numpy.ascontiguousarray(array).");
    bool is_quoted = take_mark(&rest, '\'');
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && is_quoted; i++)
        if (lh_str_starts_with(rest, lh_str_of(kinds[i].name)) && rest.len > 3 &&
            rest.data[3] == '\'')
            npy->kind = &kinds[i];
    if (npy->kind)
        return LH_OK;
    return fail_npy(err, "its numbers are no floats of 16, 32 or 64 bits, nor bytes.",
                    "Save array.astype('<f4').");
}

static enum lh_code read_header(struct npy *npy, struct lh_error *err)
{
    const unsigned char *bytes = npy->map;
    size_t begin = 10, length = 0;
    if (npy->map_bytes < 12 || memcmp(bytes, "\x93NUMPY", 6) != 0)
        return fail_npy(err, "it does not begin as such.", "numpy.save() writes such files.");
    length = (size_t)(bytes[8] | bytes[9] << 8);
    if (bytes[6] > 1) {
        begin = 12;
        length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    }
    if (!bytes[6] || bytes[6] > 3 || length > HEADER_BYTES_MAX || npy->map_bytes - begin < length)
        return fail_damaged(err);
    const struct lh_str header = {(const char *)bytes + begin, length};
    enum lh_code code = read_kind(npy, header, err);
    if (!code)
        code = read_shape(npy, header, err);
    if (code)
        return code;
    size_t row_bytes = npy->width * npy->kind->bytes, rest = npy->map_bytes - begin - length;
    size_t said = 0;
    npy->cells = bytes + begin + length;
    if (!__builtin_mul_overflow(npy->rows, row_bytes, &said) && said == rest)
        return LH_OK;
    lh_fail(err, LH_UNREADABLE,
            "The file cannot be read as NPY: it says that it has %zu rows of %zu bytes, and has "
            "%zu bytes of them.",
            npy->rows, row_bytes, rest);
    return lh_error_hint(err, "Is the file whole?");
}

/* --- the table */

static const struct npy *find_npy(struct ingest *ingest, int64_t number)
{
    const struct npy *npy = NULL;
    pthread_mutex_lock(&ingest->npy_lock);
    for (npy = ingest->npys; npy && npy->number != number;)
        npy = npy->next;
    pthread_mutex_unlock(&ingest->npy_lock);
    return npy;
}

static enum lh_code bind_rows(void *context, struct engine_bind *bind, void **ret_bound,
                              struct lh_error *err)
{
    int64_t number = engine_bind_has(bind, 0) ? engine_bind_int(bind, 0) : -1;
    const struct npy *npy = find_npy(context, number);
    if (!npy)
        return lh_fail(err, LH_REFUSED, "The function '%s' serves the server alone.", FUNCTION);
    engine_bind_column(bind, lh_lit("row"), ENGINE_INT64, false);
    engine_bind_column(bind, lh_lit("vector"), npy->kind->read ? ENGINE_FLOAT : ENGINE_DOUBLE,
                       true);
    engine_bind_rows(bind, (int64_t)npy->rows);
    *ret_bound = (void *)(uintptr_t)npy;
    return LH_OK;
}

struct reading {
    size_t at;
    void *vector; /* of the row at hand */
};

static void reading_free(void *state)
{
    struct reading *reading = state;
    if (reading)
        free(reading->vector);
    free(reading);
}

static enum lh_code start_rows(void *context, void *bound, struct engine_scan *scan,
                               void **ret_state, struct lh_error *err)
{
    const struct npy *npy = bound;
    struct reading *reading = calloc(1, sizeof *reading);
    (void)context;
    (void)scan;
    if (reading)
        reading->vector = calloc(npy->width, sizeof(double));
    if (!reading || !reading->vector) {
        reading_free(reading);
        return lh_fail(err, LH_BUSY, "There is no memory to read the file.");
    }
    *ret_state = reading;
    return LH_OK;
}

static void write_vector(const struct npy *npy, size_t row, void *room, struct engine_write *write,
                         size_t at, size_t to)
{
    const unsigned char *from = npy->cells + row * npy->width * npy->kind->bytes;
    if (!npy->kind->read) {
        memcpy(room, from, npy->width * sizeof(double));
        engine_write_doubles(write, at, to, room, npy->width);
        return;
    }
    float *floats = room;
    for (size_t i = 0; i < npy->width; i++)
        floats[i] = npy->kind->read(from + i * npy->kind->bytes);
    engine_write_floats(write, at, to, floats, npy->width);
}

static enum lh_code next_rows(void *context, void *bound, void *state, struct engine_scan *scan,
                              struct engine_write *write, size_t *ret_rows, struct lh_error *err)
{
    const struct npy *npy = bound;
    struct reading *reading = state;
    size_t rows = npy->rows - reading->at, most = CELLS_AT_ONCE / npy->width;
    (void)context;
    (void)err;
    most = most < ENGINE_CHUNK_ROWS ? most : ENGINE_CHUNK_ROWS;
    rows = rows < most ? rows : most;
    for (size_t at = 0; at < engine_scan_column_count(scan); at++)
        for (size_t i = 0; i < rows; i++)
            if (engine_scan_column(scan, at) == COLUMN_VECTOR)
                write_vector(npy, reading->at + i, reading->vector, write, at, i);
            else
                ((int64_t *)engine_write_data(write, at))[i] =
                    npy->first_row + (int64_t)(reading->at + i);
    reading->at += rows;
    *ret_rows = rows;
    return LH_OK;
}

enum lh_code npy_register(struct ingest *ingest, struct lh_error *err)
{
    static const struct engine_argument arguments[] = {{.type = ENGINE_INT64}};
    const struct engine_table_function function = {
        .name = FUNCTION,
        .arguments = arguments,
        .argument_count = 1,
        .context = ingest,
        .bind = bind_rows,
        .start = start_rows,
        .next = next_rows,
        .free_state = reading_free,
    };
    return engine_register_table(ingest->engine, &function, err);
}

/* --- the source */

static void npy_end(void *context)
{
    struct npy *npy = context;
    struct ingest *ingest = npy->ingest;
    pthread_mutex_lock(&ingest->npy_lock);
    for (struct npy **at = &ingest->npys; *at; at = &(*at)->next)
        if (*at == npy) {
            *at = npy->next;
            break;
        }
    pthread_mutex_unlock(&ingest->npy_lock);
    lh_file_unmap(npy->map, npy->map_bytes);
}

static enum lh_code map_file(struct npy *npy, struct lh_str path, struct lh_error *err)
{
    struct lh_file_info info;
    int fd = -1;
    enum lh_code code = lh_file_open_path(path, &fd, err);
    if (!code)
        code = lh_file_info_of(fd, &info, err);
    if (!code && info.bytes < 1)
        code = fail_damaged(err);
    if (!code)
        code = lh_file_map(fd, (size_t)info.bytes, &npy->map, err);
    if (!code)
        npy->map_bytes = (size_t)info.bytes;
    lh_file_abandon(fd);
    return code;
}

enum lh_code npy_open(struct task *task, struct lh_error *err)
{
    struct ingest *ingest = task->ingest;
    struct npy *npy = lh_arena_alloc(task->arena, sizeof *npy);
    enum lh_code code = columns_refuse_types(task, err);
    if (!code && task->scan.is_gzip)
        code = encoding_convert(task, ENCODING_UTF8, err);
    *npy = (struct npy){.ingest = ingest, .first_row = task->options.first_row};
    if (!code)
        code = map_file(npy, task->path, err);
    if (code)
        return code;
    lh_arena_defer(task->arena, npy_end, npy);
    if ((code = read_header(npy, err)))
        return code;
    pthread_mutex_lock(&ingest->npy_lock);
    npy->number = ingest->next_npy++;
    npy->next = ingest->npys;
    ingest->npys = npy;
    pthread_mutex_unlock(&ingest->npy_lock);
    task->relation = lh_arena_printf(task->arena, FUNCTION "(%lld)", (long long)npy->number);
    task->columns = lh_arena_array(task->arena, 2, sizeof *task->columns);
    task->column_count = 2;
    task->columns[COLUMN_ROW] = (struct source_column){
        .name = lh_lit("row"), .expr = lh_lit("\"row\""), .type = lh_lit("BIGINT")};
    task->columns[COLUMN_VECTOR] =
        (struct source_column){.name = lh_lit("vector"),
                               .expr = lh_lit("vector"),
                               .type = npy->kind->read ? lh_lit("FLOAT[]") : lh_lit("DOUBLE[]")};
    return columns_clean(task, err);
}
