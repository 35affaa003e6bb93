#include "lake/verify.h"

#include <stdio.h>

#include "base/json.h"
#include "cli/internal.h"

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
    int64_t jobs;
    int64_t keys;
    int64_t saved_queries;
    int64_t profiles;
    int64_t epochs;
    int64_t idempotency_keys;
    int64_t journal_records;
    int64_t buckets;
    int64_t erasures;
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
    LH_INT(struct report_view, jobs, .doc = "Looked at."),
    LH_INT(struct report_view, keys, .doc = "Looked at."),
    LH_INT(struct report_view, saved_queries, .doc = "Looked at."),
    LH_INT(struct report_view, profiles, .doc = "Looked at."),
    LH_INT(struct report_view, epochs, .doc = "Looked at."),
    LH_INT(struct report_view, buckets, .doc = "Besides primary; those of stores are not asked."),
    LH_INT(struct report_view, erasures, .doc = "Receipts, and erasures that have not ended."),
    LH_INT(struct report_view, idempotency_keys, .doc = "Whose kept answers were looked at."),
    LH_INT(struct report_view, journal_records, .doc = "Whose chain was followed."),
    LH_LIST(struct report_view, findings, .fields = &finding_fields, .doc = "Errors first."),
};
static const struct lh_fields report_fields =
    LH_FIELDS_OF(struct report_view, "VerifyReport", report_rows);

static void show(const struct lake_report *report, struct finding_view *findings,
                 struct report_view *ret)
{
    for (size_t i = 0; i < report->finding_count; i++)
        findings[i] = (struct finding_view){report->findings[i].is_error,
                                            report->findings[i].object, report->findings[i].what};
    *ret = (struct report_view){
        .is_sound = report->errors == 0,
        .errors = report->errors,
        .datasets = report->datasets,
        .versions = report->versions,
        .checkpoints = report->checkpoints,
        .objects = report->objects,
        .object_bytes = report->object_bytes,
        .orphans = report->orphans,
        .indexes = report->indexes,
        .jobs = report->jobs,
        .keys = report->keys,
        .saved_queries = report->saved,
        .profiles = report->profiles,
        .epochs = report->epochs,
        .idempotency_keys = report->repeats,
        .journal_records = report->journal_records,
        .buckets = report->buckets,
        .erasures = report->erasures,
        .findings = {findings, report->finding_count},
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

static void print_count(int64_t count, const char *one, const char *many, const char *end)
{
    printf("%lld %s%s", (long long)count, count == 1 ? one : many, end);
}

static void print_words(const struct report_view *view)
{
    const struct finding_view *findings = view->findings.items;
    for (size_t i = 0; i < view->findings.count; i++)
        printf("%s  %.*s: %.*s\n", severities[findings[i].severity], LH_ARG(findings[i].object),
               LH_ARG(findings[i].what));
    print_count(view->datasets, "dataset", "datasets", ", ");
    print_count(view->versions, "version", "versions", ", ");
    print_count(view->indexes, "index", "indexes", ", ");
    print_count(view->jobs, "job", "jobs", ", ");
    print_count(view->keys, "key", "keys", ", ");
    print_count(view->journal_records, "record of the journal", "records of the journal", ", ");
    print_count(view->objects, "file", "files", " (");
    print_count(view->object_bytes, "byte", "bytes", "): ");
    if (view->errors)
        print_count(view->errors, "error", "errors", ".\n");
    else
        printf("sound.\n");
}

static int run(const struct cli_command *command, int word_count, char *const *words)
{
    bool is_json = false;
    struct lake_verify_options options = {0};
    const struct cli_flag flags[] = {{"--json", &is_json, NULL},
                                     {"--journal", &options.only_journal, NULL}};
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_error err = LH_ERROR_NONE;
    struct lake_report report = {0};
    struct report_view view;
    struct settings settings;
    int status = CLI_DONE;
    if (!cli_read_settings(command, word_count, words, flags, 2, arena, &settings, &status))
        goto out;
    options.root = settings_root(&settings);
    options.secrets_path = settings.secrets.file;
    if (lake_verify(&options, arena, &report, &err)) {
        status = cli_fail(&err);
        goto out;
    }
    show(&report, lh_arena_array(arena, report.finding_count + 1, sizeof(struct finding_view)),
         &view);
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
    .usage = "lakehouse verify [--data DIR] [--json] [--journal]\n"
             "  --json     print the report as one JSON object\n"
             "  --journal  look at the journal alone: its chain, and that every commit is in it\n"
             "Ends with 0 if the lake is sound, with 1 if it is not or cannot be looked at.\n",
    .run = run,
};
