#include "ingest/ingest.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "catalog/tombstones.h"
#include "ingest/internal.h"
#include "storage/buckets.h"

#define ARGS_BYTES_MAX ((size_t)JOBS_ARGS_BYTES_MAX)
#define FREE_BYTES_MIN ((int64_t)32 << 20) /* below it nothing is taken in */

const struct ingest_source ingest_sources[] = {
    {"csv", FORMAT_CSV, true, csv_open},
    {"tsv", FORMAT_TSV, true, csv_open},
    {"json", FORMAT_JSON, true, json_open},
    {"ndjson", FORMAT_NDJSON, true, json_open},
    {"parquet", FORMAT_PARQUET, false, parquet_open},
    {"npy", FORMAT_NPY, false, npy_open},
};
const size_t ingest_source_count = sizeof(ingest_sources) / sizeof(ingest_sources[0]);

enum lh_code ingest_new(const struct ingest_open_options *options, struct ingest **ret,
                        struct lh_error *err)
{
    struct ingest *ingest = calloc(1, sizeof(*ingest));
    if (!ingest)
        return lh_fail(err, LH_BUSY, "There is no memory to open the ingest.");
    *ingest = (struct ingest){.engine = options->engine,
                              .storage = options->storage,
                              .catalog = options->catalog,
                              .jobs = options->jobs,
                              .objects = options->objects};
    pthread_mutex_init(&ingest->npy_lock, NULL);
    enum lh_code code = npy_register(ingest, err);
    if (code)
        ingest_free(ingest);
    else
        *ret = ingest;
    return code;
}

void ingest_free(struct ingest *ingest)
{
    if (ingest)
        pthread_mutex_destroy(&ingest->npy_lock);
    free(ingest);
}

/* --- the request -------------------------------------------------------------------------------
 */

static enum lh_code read_options(const struct lh_json_value *given, struct lh_arena *arena,
                                 struct ingest_options *ret, struct lh_error *err)
{
    const json_t *object = given->value;
    lh_fields_preset(&ingest_options_fields, ret);
    if (!object && given->text.len) {
        json_t *parsed = NULL;
        enum lh_code code = lh_json_parse(given->text, "options", ARGS_BYTES_MAX, &parsed, err);
        if (code)
            return code;
        lh_json_keep(parsed, arena);
        object = parsed;
    }
    if (!object)
        return LH_OK;
    if (!json_is_object(object)) {
        lh_fail(err, LH_INVALID, "options must be a JSON object.");
        return lh_error_field(err, lh_lit("options"));
    }
    enum lh_code code = lh_fields_bind_json(&ingest_options_fields, object, arena, ret, err);
    if (!code)
        code = lh_fields_check(&ingest_options_fields, ret, err);
    return code;
}

static enum lh_code check_options(const struct ingest_options *options, struct lh_error *err)
{
    enum encoding encoding = ENCODING_UTF8;
    if (!lh_str_empty(options->encoding) && !encoding_find(options->encoding, &encoding)) {
        lh_fail(err, LH_INVALID,
                "options.encoding must be utf-8, utf-16, utf-16le, utf-16be, latin-1 or "
                "windows-1252; '%.*s' is not.",
                LH_ARG(options->encoding));
        return lh_error_field(err, lh_lit("options.encoding"));
    }
    if (options->types.value && !json_is_object(options->types.value)) {
        lh_fail(err, LH_INVALID, "options.types must be an object of column names and types.");
        return lh_error_field(err, lh_lit("options.types"));
    }
    return LH_OK;
}

static enum lh_code check_key(int mode, const struct ingest_options *options, struct lh_error *err)
{
    bool has_key = options->key.len > 0;
    if (has_key == (mode == INGEST_UPSERT))
        return LH_OK;
    if (has_key)
        lh_fail(err, LH_INVALID, "options.key belongs to mode upsert, not to %s.",
                ingest_mode_names[mode]);
    else
        lh_fail(err, LH_INVALID, "Mode upsert needs a key: the column that names rows.");
    return lh_error_field(err, lh_lit("options.key"));
}

static enum lh_code check_name(struct ingest *ingest, struct lh_str name, struct lh_error *err)
{
    const struct catalog_dataset *dataset = NULL;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(ingest->catalog);
    enum lh_code code = catalog_find(snapshot, name, &dataset, NULL) == LH_NOT_FOUND
                            ? catalog_check_new_name(name, err)
                            : catalog_check_name(name, err);
    catalog_snapshot_unref(snapshot);
    return code;
}

static enum lh_code check_request(struct ingest *ingest, const struct ingest_request *request,
                                  struct lh_arena *arena, struct lh_error *err)
{
    struct ingest_options options;
    enum lh_code code = check_name(ingest, request->dataset, err);
    if (code)
        return lh_error_field(err, lh_lit("dataset"));
    if (lh_str_empty(request->upload.path) && !request->objects.count) {
        lh_fail(err, LH_INVALID, "There is no file in the request.");
        return lh_error_field(err, lh_lit("file"));
    }
    if (request->bucket.len)
        code = storage_bucket_check(ingest->storage, request->bucket, err);
    if (!code)
        code = read_options(&request->options, arena, &options, err);
    if (!code)
        code = check_options(&options, err);
    if (!code)
        code = check_key(request->mode, &options, err);
    return code ? code : types_check(ingest, options.types.value, arena, err);
}

/* The request as the job's record keeps it. */
static enum lh_code make_spec(const struct ingest_request *request, struct lh_arena *arena,
                              struct job_spec *ret, struct lh_error *err)
{
    struct lh_buf buf;
    struct lh_json json;
    struct ingest_args args = {
        .dataset = request->dataset,
        .mode = request->mode,
        .options = request->options,
        .objects = request->objects,
        .actor = request->actor,
        .reason = request->reason,
        .bucket = request->bucket,
        .idempotency_key = request->idempotency_key,
        .request_hash = request->request_hash,
        .expected_version = request->expected_version,
    };
    if (request->options.value) {
        char *text = json_dumps(request->options.value, JSON_COMPACT | JSON_ENCODE_ANY);
        args.options.text = lh_arena_str(arena, lh_str_of(text));
        free(text);
    }
    lh_buf_init(&buf, ARGS_BYTES_MAX);
    lh_json_init(&json, &buf);
    lh_fields_write(&ingest_args_fields, &args, &json);
    enum lh_code code = lh_buf_check(&buf, "the options of the ingest", err);
    *ret = (struct job_spec){.kind = lh_lit(INGEST_JOB_KIND),
                             .dataset = request->dataset,
                             .actor = request->actor,
                             .args = lh_arena_str(arena, lh_buf_str(&buf)),
                             .input = request->upload};
    lh_buf_release(&buf);
    return code;
}

static enum lh_code read_result(struct lh_str text, struct lh_arena *arena,
                                struct ingest_result *ret, struct lh_error *err)
{
    return lh_fields_parse(&ingest_result_fields, text, "The job's result", JOBS_RESULT_BYTES_MAX,
                           arena, ret, err);
}

enum lh_code ingest_file(struct ingest *ingest, const struct ingest_request *request,
                         const struct lh_cancel *cancel, struct lh_arena *arena,
                         struct ingest_result *ret, struct lh_error *err)
{
    struct job_spec spec;
    struct lh_uuid id;
    struct lh_str result = {NULL, 0};
    enum lh_code code = check_request(ingest, request, arena, err);
    if (!code)
        code = make_spec(request, arena, &spec, err);
    if (!code)
        code = jobs_run(ingest->jobs, &spec, cancel, arena, &id, &result, err);
    return code ? code : read_result(result, arena, ret, err);
}

enum lh_code ingest_file_later(struct ingest *ingest, const struct ingest_request *request,
                               struct lh_uuid *ret_job_id, struct lh_error *err)
{
    struct job_spec spec;
    struct lh_arena *arena = lh_arena_new(0);
    enum lh_code code = check_request(ingest, request, arena, err);
    if (!code)
        code = make_spec(request, arena, &spec, err);
    if (!code)
        code = jobs_submit(ingest->jobs, &spec, ret_job_id, err);
    lh_arena_free(arena);
    return code;
}

/* --- one attempt -------------------------------------------------------------------------------
 */

void task_phase(struct task *task, const char *phase, int64_t rows_done, int64_t bytes_done)
{
    struct job_progress progress = {
        .phase = lh_str_of(phase),
        .rows_done = rows_done,
        .bytes_done = bytes_done,
        .bytes_total = task->input.bytes,
    };
    job_set_progress(task->job, &progress);
}

struct lh_str stored_type(struct lh_arena *arena, const struct engine_type_info *info)
{
    struct lh_buf buf;
    lh_buf_init(&buf, 1 << 20);
    if (!engine_stored_text(info, &buf))
        engine_type_text(info, &buf);
    struct lh_str text = lh_arena_str(arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return text;
}

/* While a caller's file is read, what goes wrong is the file's, but for these. The engine calls
 * damaged Parquet by many names, defects of its own among them. */
static bool is_files_fault(enum lh_code code)
{
    static const enum lh_code others[] = {LH_BUSY,    LH_FULL,      LH_CANCELLED, LH_STOPPING,
                                          LH_TIMEOUT, LH_TOO_LARGE, LH_LOCKED,    LH_UNKNOWN};
    for (size_t at = 0; at < sizeof(others) / sizeof(others[0]); at++)
        if (code == others[at])
            return false;
    return true;
}

/* The engine names the file by its path, which was taken out: the caller knows which one it is. */
static struct lh_str without_path(struct lh_str line, struct lh_arena *arena)
{
    static const struct {
        const char *theirs, *ours;
    } words[] = {{"File '<file>' too small", "it is too small"},
                 {" at end of file '<file>'", " at its end"},
                 {" in file '<file>'", ""},
                 {"file '<file>'", "the file"},
                 {"'<file>'", "the file"}};
    size_t at = 0;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct lh_str theirs = lh_str_of(words[i].theirs);
        if (lh_str_find(line, theirs, &at))
            line = lh_arena_printf(arena, "%.*s%s%.*s", LH_ARG(lh_str_slice(line, 0, at)),
                                   words[i].ours,
                                   LH_ARG(lh_str_slice(line, at + theirs.len, line.len)));
    }
    return line;
}

enum lh_code fail_unreadable(struct task *task, enum lh_code code, struct lh_error *err)
{
    static const struct {
        enum ingest_format format;
        const char *name;
    } names[] = {{FORMAT_CSV, "CSV"},           {FORMAT_TSV, "TSV"},
                 {FORMAT_JSON, "a JSON array"}, {FORMAT_NDJSON, "NDJSON"},
                 {FORMAT_PARQUET, "Parquet"},   {FORMAT_NPY, "NPY"}};
    struct lh_str why = err ? lh_str_of(err->message) : lh_lit("");
    const char *name = "text";
    if (!is_files_fault(code))
        return code;
    for (size_t at = 0; at < sizeof(names) / sizeof(names[0]); at++)
        if (names[at].format == task->source->format)
            name = names[at].name;
    /* The engine's advice about its own options follows the first line; it is not for our callers.
     */
    struct lh_str line =
        without_path(lh_arena_str(task->arena, lh_str_cut(&why, '\n')), task->arena);
    lh_fail(err, LH_UNREADABLE, "%s cannot be read as %s: %.*s",
            task->args.objects.count > 1 ? "One of the objects"
            : task->args.objects.count   ? "The object"
                                         : "The file",
            name, LH_ARG(line));
    if (task->args.objects.count)
        return lh_error_hint(err, "Each object must be a whole Parquet file; nothing was changed.");
    return lh_error_hint(err,
                         "Is the file whole, and is it what its name says? options.format says "
                         "what to read it as.");
}

static enum lh_code read_args(struct task *task, struct lh_error *err)
{
    json_t *object = NULL;
    enum lh_code code =
        lh_json_parse(job_args(task->job), "The job's arguments", ARGS_BYTES_MAX, &object, err);
    if (code)
        return code;
    lh_json_keep(object, task->arena);
    lh_fields_preset(&ingest_args_fields, &task->args);
    code = lh_fields_bind_json(&ingest_args_fields, object, task->arena, &task->args, err);
    if (!code)
        code = read_options(&task->args.options, task->arena, &task->options, err);
    return code;
}

/* What the file is called: data for people, so only the last part of a path, and printable. */
static struct lh_str clean_filename(struct lh_arena *arena, struct lh_str name)
{
    struct lh_str part = name;
    for (size_t at = 0; at < name.len; at++)
        if (name.data[at] == '/' || name.data[at] == '\\')
            part = lh_str_slice(name, at + 1, name.len);
    part = lh_str_head(part, 255);
    char *copy = lh_arena_alloc(arena, part.len + 1);
    for (size_t at = 0; at < part.len; at++)
        copy[at] =
            (unsigned char)part.data[at] < 0x20 || part.data[at] == 0x7F ? '_' : part.data[at];
    return (struct lh_str){copy, part.len};
}

enum lh_code task_ask(struct task *task, struct lh_str sql, int64_t *ret, struct lh_error *err)
{
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    enum lh_code code = engine_run(task->connection, sql, NULL, task->cancel, &cursor, err);
    if (!code)
        code = engine_cursor_next(cursor, &chunk, err);
    *ret = !code && chunk ? ((const int64_t *)chunk->columns[0].data)[0] : 0;
    engine_cursor_close(cursor);
    return code;
}

static enum lh_code sum_input(struct task *task, struct lh_error *err)
{
    char hex[LH_SHA256_HEX_BYTES + 1];
    uint8_t sum[LH_SHA256_BYTES];
    enum lh_code code = lh_upload_sum(&task->input, task->cancel, err);
    if (code)
        return code;
    lh_hex(task->input.sha256, sizeof(task->input.sha256), hex);
    task->source_sha256 = lh_arena_str(task->arena, lh_str_of(hex));
    struct lh_str said = lh_arena_printf(task->arena, "%s %.*s", ingest_mode_names[task->args.mode],
                                         LH_ARG(task->args.options.text));
    if (task->args.options.value) {
        char *text = json_dumps(task->args.options.value, JSON_COMPACT | JSON_SORT_KEYS);
        said = lh_arena_printf(task->arena, "%s %s", ingest_mode_names[task->args.mode], text);
        free(text);
    }
    lh_sha256_of(said, sum);
    lh_hex(sum, sizeof(sum), hex);
    task->source_options = lh_arena_str(task->arena, lh_str_of(hex));
    return LH_OK;
}

/* What the mode means for the dataset as it is now. */
static enum lh_code find_dataset(struct task *task, struct lh_error *err)
{
    struct lh_error missing = LH_ERROR_NONE;
    task->snapshot = catalog_snapshot_ref(task->ingest->catalog);
    enum lh_code code = catalog_find(task->snapshot, task->args.dataset, &task->dataset, &missing);
    if (code && code != LH_NOT_FOUND) {
        if (err)
            *err = missing;
        return code;
    }
    if (code)
        task->dataset = NULL;
    int64_t wanted = task->args.expected_version;
    if (wanted && task->dataset && task->dataset->version != wanted) {
        lh_fail(err, LH_PRECONDITION, "Dataset '%.*s' is at version %lld, not %lld.",
                LH_ARG(task->dataset->name), (long long)task->dataset->version, (long long)wanted);
        return lh_error_hint(err, "Read it again, then repeat the change on what it is now.");
    }
    switch ((enum ingest_mode)task->args.mode) {
    case INGEST_AUTO:
    case INGEST_REPLACE:
        task->action = task->dataset ? CATALOG_REPLACE : CATALOG_CREATE;
        return LH_OK;
    case INGEST_CREATE:
        task->action = CATALOG_CREATE;
        if (!task->dataset)
            return LH_OK;
        lh_fail(err, LH_EXISTS, "There is a dataset '%.*s' already.", LH_ARG(task->dataset->name));
        return lh_error_hint(err, task->args.objects.count
                                      ? "Choose another name."
                                      : "Choose another name, or mode append or replace.");
    case INGEST_UPSERT:
        task->is_upsert = true;
        task->action = task->dataset ? CATALOG_APPEND : CATALOG_CREATE;
        return LH_OK;
    case INGEST_APPEND:
        task->action = CATALOG_APPEND;
        if (!task->dataset && err)
            *err = missing;
        return task->dataset ? LH_OK : LH_NOT_FOUND;
    }
    return lh_fail(err, LH_INVALID, "The mode is not known.");
}

static enum lh_code check_space(struct task *task, struct lh_error *err)
{
    int64_t free_bytes = 0;
    enum lh_code code = storage_free_bytes(task->ingest->storage, &free_bytes, err);
    int64_t needed = FREE_BYTES_MIN + task->input.bytes / 2;
    if (task->args.objects.count)
        needed += task->input.bytes; /* a copy to read */
    if (code || free_bytes >= needed)
        return code;
    lh_fail(err, LH_FULL, "Only %lld MB are free where the lake lies; this needs about %lld MB.",
            (long long)(free_bytes >> 20), (long long)(needed >> 20));
    return lh_error_hint(err, "Make room and send the request again; nothing was changed.");
}

/* A new name that the grammar does not take as it stands: FROM semi. Whether it does, it says. */
static void warn_of_word(struct task *task)
{
    struct lh_error err = LH_ERROR_NONE;
    struct ast_node *tree = NULL;
    struct lh_str name = task->args.dataset;
    if (task->dataset)
        return;
    struct lh_str sql = lh_arena_printf(task->arena, "SELECT 1 FROM %.*s", LH_ARG(name));
    if (engine_parse(task->connection, sql, task->arena, &tree, &err) == LH_SYNTAX)
        task_warn(task, "'%.*s' is a word of SQL: in statements it is quoted, FROM \"%.*s\".",
                  LH_ARG(name), LH_ARG(name));
}

/* The work between finding the dataset and having committed. */
static enum lh_code take_in(struct task *task, struct ingest_result *result, struct lh_error *err)
{
    enum lh_code code = check_space(task, err);
    if (!code)
        code = task->stored_files ? stored_stage(task, err) : scan_begin(task, err);
    if (!code)
        code = engine_acquire(task->ingest->engine, lh_str_of(NULL), task->cancel,
                              &task->connection, err);
    if (!code) {
        warn_of_word(task);
        code = task->source->open(task, err);
    }
    if (!code)
        code = columns_fit(task, err);
    if (!code)
        code = write_dataset(task, result, err);
    return code;
}

/* Done before, by this job or under this key, or there already: then nothing is to be done. */
static enum lh_code find_done(struct task *task, bool *ret_done, struct ingest_result *result,
                              struct lh_error *err)
{
    struct catalog_commit_result first = {0};
    enum lh_code code =
        catalog_fulfilled(task->ingest->catalog, job_id(task->job), task->args.idempotency_key,
                          task->args.request_hash, task->arena, ret_done, &first, err);
    if (code)
        return code;
    if (*ret_done) {
        code = lh_str_empty(first.result) ? LH_OK
                                          : read_result(first.result, task->arena, result, err);
        result->version = first.version;
        return code;
    }
    code = find_dataset(task, err);
    if (code || task->options.allow_duplicate || !task->dataset)
        return code;
    struct catalog_source same;
    bool is_whole = false;
    code = catalog_whole_source(task->ingest->catalog, task->ingest->engine, task->snapshot,
                                task->dataset, task->source_sha256, task->source_options,
                                task->cancel, &is_whole, &same, err);
    task->is_twin = !is_whole && catalog_dataset_source(task->dataset, task->source_sha256,
                                                        task->source_options, NULL);
    if (code || !is_whole)
        return code;
    *ret_done = true;
    result->dataset = task->dataset->name;
    result->version = task->dataset->version;
    result->rows = same.rows;
    result->rejected_rows = same.rejected_rows;
    result->rejects = same.rejects;
    result->deduplicated = true;
    return LH_OK;
}

static void task_close(struct task *task)
{
    csv_close(task);
    engine_release(task->connection);
    catalog_snapshot_unref(task->snapshot);
    lh_arena_free(task->arena);
}

static void set_result(struct task *task, struct ingest_result *result, int64_t start_us)
{
    struct lh_buf buf;
    struct lh_json json;
    result->job_id = job_id(task->job);
    result->bytes = task->input.bytes;
    result->elapsed_ms = (lh_clock_monotonic_us() - start_us) / 1000;
    if (!result->dataset.len)
        result->dataset = task->dataset ? task->dataset->name : task->args.dataset;
    lh_buf_init(&buf, JOBS_RESULT_BYTES_MAX);
    lh_json_init(&json, &buf);
    lh_fields_write(&ingest_result_fields, result, &json);
    job_set_result(task->job, lh_buf_str(&buf));
    lh_buf_release(&buf);
}

static enum lh_code run_once(struct ingest *ingest, struct job *job, int64_t start_us,
                             struct lh_error *err)
{
    struct task task = {.ingest = ingest, .job = job, .cancel = job_cancel(job)};
    struct ingest_result result = {0};
    bool is_done = false;
    task.arena = lh_arena_new(0);
    task.input = job_input(job);
    task.path = task.input.path;
    task.input.filename = clean_filename(task.arena, task.input.filename);
    enum lh_code code = read_args(&task, err);
    if (!code && task.args.objects.count)
        code = stored_find(&task, err);
    if (!code)
        code = sum_input(&task, err);
    if (!code)
        code = find_done(&task, &is_done, &result, err);
    if (!code && !is_done) {
        task_phase(&task, "reading", 0, 0);
        code = take_in(&task, &result, err);
        result.format = lh_str_of(task.source ? task.source->name : NULL);
        result.warnings = task.warnings;
    }
    if (!code)
        set_result(&task, &result, start_us);
    task_close(&task);
    return code;
}

/* Somebody else was first, with a dataset of that name, with other columns or with the same file:
 * looked at again, there is another thing to do, or nothing. And a file whose fsync failed is given
 * up for good; the rows may still go into another one. */
#define RACES_MAX 4
#define DISK_TRIES_MAX 2

enum lh_code ingest_job_run(void *context, struct job *job, struct lh_error *err)
{
    int64_t start_us = lh_clock_monotonic_us();
    enum lh_code code = LH_RACE;
    int races = 0;
    int failures = 0;
    while ((code == LH_RACE && races < RACES_MAX) || (code == LH_IO && failures < DISK_TRIES_MAX)) {
        code = run_once(context, job, start_us, err);
        races += code == LH_RACE;
        failures += code == LH_IO;
    }
    return code;
}
