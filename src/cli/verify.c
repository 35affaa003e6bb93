#include "catalog/verify.h"

#include <stdio.h>

#include "base/json.h"
#include "cli/internal.h"
#include "engine/engine.h"
#include "lake/lake.h"
#include "search/verify.h"
#include "storage/objects.h"

struct finding_view {
    int severity;
    struct lh_str object;
    struct lh_str what;
};
static const char *const severities[] = {"info", "error", NULL};
static const struct lh_field finding_rows[] = {
    LH_CHOICE(struct finding_view, severity, .choices = severities, .doc = "How bad."),
    LH_STR(struct finding_view, object, .doc = "Which object."),
    LH_STR(struct finding_view, what, .doc = "What is wrong."),
};
static const struct lh_fields finding_fields =
    LH_FIELDS_OF(struct finding_view, "Finding", finding_rows);

struct report_view {
    bool is_sound;
    int64_t errors;
    int64_t datasets;
    int64_t versions;
    int64_t checkpoints;
    int64_t objects;
    int64_t object_bytes;
    int64_t orphans;
    int64_t indexes;
    struct lh_list findings;
};
static const struct lh_field report_rows[] = {
    LH_BOOL(struct report_view, is_sound, .doc = "No errors."),
    LH_INT(struct report_view, errors, .doc = "How many."),
    LH_INT(struct report_view, datasets, .doc = "Looked at."),
    LH_INT(struct report_view, versions, .doc = "Looked at."),
    LH_INT(struct report_view, checkpoints, .doc = "Looked at."),
    LH_INT(struct report_view, objects, .doc = "Files whose checksum was compared."),
    LH_INT(struct report_view, object_bytes, .doc = "Their size."),
    LH_INT(struct report_view, orphans, .doc = "Files that no commit names: harmless."),
    LH_INT(struct report_view, indexes, .doc = "Looked at."),
    LH_LIST(struct report_view, findings, .fields = &finding_fields, .doc = "Errors first."),
};
static const struct lh_fields report_fields =
    LH_FIELDS_OF(struct report_view, "VerifyReport", report_rows);

struct looker {
    struct storage *storage;
    struct engine *engine;
};

/* The footer must say what the manifest says: a checksum alone proves only that nothing changed
 * since. */
static enum lh_code inspect(void *context, const struct catalog_object *object,
                            struct lh_error *err)
{
    struct looker *looker = context;
    struct lh_arena *arena = lh_arena_new(0);
    struct engine_connection *connection = NULL;
    struct engine_columns columns;
    struct lh_str path;
    int64_t rows = 0;
    enum lh_code code =
        storage_object_path(looker->storage, object->bucket, object->key, arena, &path, err);
    if (!code)
        code = engine_acquire(looker->engine, (struct lh_str){0}, NULL, &connection, err);
    if (!code)
        code = engine_parquet_schema(connection, path, arena, &columns, &rows, err);
    if (!code && rows != object->rows)
        code = lh_fail(err, LH_DAMAGED, "The file has %lld rows, the manifest says %lld.",
                       (long long)rows, (long long)object->rows);
    engine_release(connection);
    lh_arena_free(arena);
    return code;
}

/* What the verifiers found, each of its own part. */
struct reports {
    struct catalog_report catalog;
    struct search_report indexes;
    struct objects_report objects;
};

static size_t count_errors(const struct reports *reports)
{
    return reports->catalog.error_count + reports->indexes.error_count +
           reports->objects.error_count;
}

static enum lh_code look(const struct settings *settings, struct lh_arena *arena,
                         struct reports *ret, struct lh_error *err)
{
    struct looker looker = {0};
    struct lake_holder holder = {0};
    const struct storage_options storage = {.path = settings_root(settings),
                                            .access = STORAGE_READ};
    const struct engine_options engine = {.thread_count = 1, .connection_max = 1};
    const struct catalog_verify_options options = {.inspect = inspect, .context = &looker};
    enum lh_code code = lake_holder(settings_root(settings), arena, &holder, err);
    if (!code && holder.is_running) {
        code = lh_fail(err, LH_LOCKED, "The lake is open in process %lld, which may write to it.",
                       (long long)holder.pid);
        lh_error_hint(err, "Stop that server first; verify looks at a lake that is at rest.");
    }
    if (!code)
        code = storage_open(&storage, &looker.storage, err);
    if (!code)
        code = engine_open(&engine, &looker.engine, err);
    if (!code)
        code = catalog_verify(looker.storage, &options, arena, &ret->catalog, err);
    if (!code)
        code = search_verify(looker.storage, NULL, arena, &ret->indexes, err);
    if (!code)
        code = objects_verify(looker.storage, NULL, arena, &ret->objects, err);
    engine_close(looker.engine);
    storage_close(looker.storage);
    return code;
}

/* What all verifiers found, errors first. */
static size_t gather(const struct reports *reports, struct finding_view *findings)
{
    const struct catalog_report *catalog = &reports->catalog;
    const struct search_report *indexes = &reports->indexes;
    const struct objects_report *objects = &reports->objects;
    size_t count = 0;
    for (int severity = CATALOG_ERROR; severity >= CATALOG_INFO; severity--) {
        bool is_error = severity == CATALOG_ERROR;
        for (size_t i = 0; i < catalog->finding_count; i++)
            if ((int)catalog->findings[i].severity == severity)
                findings[count++] = (struct finding_view){severity, catalog->findings[i].object,
                                                          catalog->findings[i].what};
        for (size_t i = 0; i < indexes->finding_count; i++)
            if (indexes->findings[i].is_error == is_error)
                findings[count++] = (struct finding_view){severity, indexes->findings[i].object,
                                                          indexes->findings[i].what};
        for (size_t i = 0; i < objects->finding_count; i++)
            if (objects->findings[i].is_error == is_error)
                findings[count++] = (struct finding_view){severity, objects->findings[i].object,
                                                          objects->findings[i].what};
    }
    return count;
}

static void sum_up(const struct reports *reports, const struct finding_view *findings,
                   size_t finding_count, struct report_view *ret)
{
    *ret = (struct report_view){
        .is_sound = count_errors(reports) == 0,
        .errors = (int64_t)count_errors(reports),
        .datasets = reports->catalog.datasets,
        .versions = reports->catalog.versions,
        .checkpoints = reports->catalog.checkpoints,
        .objects = reports->catalog.objects + reports->indexes.objects + reports->objects.objects,
        .object_bytes = reports->catalog.object_bytes + reports->indexes.object_bytes +
                        reports->objects.object_bytes,
        .orphans = reports->catalog.orphans + reports->indexes.orphans + reports->objects.orphans,
        .indexes = reports->indexes.indexes,
        .findings = {findings, finding_count},
    };
}

static enum lh_code print_report(const struct report_view *view, struct lh_error *err)
{
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, (size_t)64 << 20);
    lh_json_init(&json, &buf);
    lh_fields_write(&report_fields, view, &json);
    lh_buf_append_char(&buf, '\n');
    enum lh_code code = lh_buf_check(&buf, "The report", err);
    if (!code)
        code = cli_print(lh_buf_str(&buf), err);
    lh_buf_release(&buf);
    return code;
}

static void print_words(const struct report_view *view)
{
    const struct finding_view *findings = view->findings.items;
    for (size_t i = 0; i < view->findings.count; i++)
        printf("%s  %.*s: %.*s\n", severities[findings[i].severity], LH_ARG(findings[i].object),
               LH_ARG(findings[i].what));
    printf("%lld datasets, %lld versions, %lld indexes, %lld files (%lld bytes): ",
           (long long)view->datasets, (long long)view->versions, (long long)view->indexes,
           (long long)view->objects, (long long)view->object_bytes);
    if (view->errors)
        printf("%lld errors.\n", (long long)view->errors);
    else
        printf("sound.\n");
}

static int run(const struct cli_command *command, int word_count, char *const *words)
{
    bool is_json = false;
    const struct cli_flag flags[] = {{"--json", &is_json, NULL}};
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_error err = LH_ERROR_NONE;
    struct reports reports = {0};
    struct report_view view;
    struct finding_view *findings = NULL;
    struct settings settings;
    int status = CLI_DONE;
    if (!cli_read_settings(command, word_count, words, flags, 1, arena, &settings, &status))
        goto out;
    if (look(&settings, arena, &reports, &err)) {
        status = cli_fail(&err);
        goto out;
    }
    findings = lh_arena_array(arena,
                              reports.catalog.finding_count + reports.indexes.finding_count +
                                  reports.objects.finding_count + 1,
                              sizeof(*findings));
    sum_up(&reports, findings, gather(&reports, findings), &view);
    if (!is_json)
        print_words(&view);
    else if (print_report(&view, &err))
        status = cli_fail(&err);
    if (view.errors)
        status = CLI_FAILED;
out:
    lh_arena_free(arena);
    return status;
}

const struct cli_command cli_verify = {
    .name = "verify",
    .summary = "Check every stored promise of a lake that nobody has open.",
    .usage = "lakehouse verify [--data DIR] [--json]\n"
             "  --json  print the report as one JSON object\n"
             "Ends with 0 if the lake is sound, with 1 if it is not or cannot be looked at.\n",
    .run = run,
};
