#include "storage/backup.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/internal.h"
#include "lake/verify.h"

struct wishes {
    struct lh_str from;
    struct lh_str number;
    struct lh_str buckets; /* "name=/folder,name=/folder" */
    bool is_check;
    bool is_primary_only;
    bool is_json;
};

static enum lh_code read_number(struct lh_str text, int64_t *ret, struct lh_error *err)
{
    *ret = 0;
    if (text.len && (!lh_str_to_int(text, ret) || *ret < 1))
        return lh_fail(err, LH_INVALID, "'%.*s' is not the number of a backup: 1, 2, 3 …",
                       LH_ARG(lh_str_head(text, 40)));
    return LH_OK;
}

/* A folder's name may hold anything but a comma. */
static enum lh_code read_places(struct lh_str text, struct lh_arena *arena,
                                struct storage_restore_options *ret, struct lh_error *err)
{
    struct storage_restore_place *places =
        lh_arena_array(arena, STORAGE_RESTORE_PLACES_MAX, sizeof *places);
    size_t count = 0;
    for (struct lh_str rest = text; rest.len; count++) {
        struct lh_str folder = lh_str_cut(&rest, ','), bucket = lh_str_cut(&folder, '=');
        if (!bucket.len || !folder.len || count == STORAGE_RESTORE_PLACES_MAX) {
            lh_fail(err, LH_INVALID, "--buckets wants a folder for each bucket, not '%.*s'.",
                    LH_ARG(lh_str_head(text, 200)));
            return lh_error_hint(err, "--buckets archive=/mnt/archive,photos=/mnt/photos");
        }
        places[count] = (struct storage_restore_place){bucket, folder};
    }
    ret->places = places;
    ret->place_count = count;
    return LH_OK;
}

static void tell(const struct storage_restore_result *result, const struct lake_report *report,
                 struct lh_str target, bool is_json)
{
    char made[LH_TIME_TEXT_BYTES + 1];
    lh_time_format(result->made_ms, made);
    if (result->left_out.len)
        fprintf(stderr, "%s: what lay in %.*s.\n",
                target.len ? "Not restored" : "Not in the backup", LH_ARG(result->left_out));
    if (is_json)
        printf("{\"number\":%lld,\"sequence\":%llu,\"made\":\"%s\",\"lake\":\"%s\",\"files\":%lld,"
               "\"bytes\":%lld,\"is_restored\":%s,\"errors\":%lld,"
               "\"journal_records\":%lld}\n",
               (long long)result->number, (unsigned long long)result->sequence, made, result->lake,
               (long long)result->file_count, (long long)result->byte_count,
               target.len ? "true" : "false", (long long)report->errors,
               (long long)report->journal_records);
    else if (!target.len)
        printf("Backup %lld of %s is whole: %lld files, %lld bytes, every one compared.\n",
               (long long)result->number, made, (long long)result->file_count,
               (long long)result->byte_count);
    else
        printf("Backup %lld of %s is restored into '%.*s': %lld files, %lld bytes, %lld datasets; "
               "%s.\n",
               (long long)result->number, made, LH_ARG(target), (long long)result->file_count,
               (long long)result->byte_count, (long long)report->datasets,
               report->errors ? "but it does not verify" : "sound");
}

static enum lh_code restore(const struct wishes *wishes, const struct settings *settings,
                            struct lh_arena *arena, int64_t *ret_errors, struct lh_error *err)
{
    struct lake_report report = {0};
    struct storage_restore_result result;
    struct lh_str target = settings_root(settings);
    struct storage_restore_options options = {
        .path = wishes->from, .is_primary_only = wishes->is_primary_only, .arena = arena};
    if (!wishes->from.len) {
        lh_fail(err, LH_INVALID, "Which backup?");
        return lh_error_hint(err, "Name its folder: lakehouse restore --from DIR --data DIR");
    }
    enum lh_code code = read_number(wishes->number, &options.number, err);
    if (!code)
        code = read_places(wishes->buckets, arena, &options, err);
    if (!wishes->is_check)
        options.target = target;
    if (!code)
        code = storage_restore(&options, &result, err);
    if (!code && !wishes->is_check) {
        const struct lake_verify_options verify = {.root = target,
                                                   .secrets_path = settings->secrets.file};
        code = lake_verify(&verify, arena, &report, err);
    }
    if (code)
        return code;
    for (size_t i = 0; i < report.finding_count; i++)
        if (report.findings[i].is_error)
            fprintf(stderr, "error  %.*s: %.*s\n", LH_ARG(report.findings[i].object),
                    LH_ARG(report.findings[i].what));
    tell(&result, &report, options.target, wishes->is_json);
    *ret_errors = report.errors;
    return LH_OK;
}

static int run(const struct cli_command *command, int word_count, char *const *words)
{
    struct wishes wishes = {0};
    const struct cli_flag flags[] = {
        {"--json", &wishes.is_json, NULL},
        {"--check", &wishes.is_check, NULL},
        {"--primary-only", &wishes.is_primary_only, NULL},
        {"--from", NULL, &wishes.from},
        {"--number", NULL, &wishes.number},
        {"--buckets", NULL, &wishes.buckets},
    };
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_error err = LH_ERROR_NONE;
    struct settings settings;
    int64_t errors = 0;
    int status = CLI_DONE;
    if (!cli_read_settings(command, word_count, words, flags, sizeof flags / sizeof flags[0], arena,
                           &settings, &status))
        goto out;
    if (restore(&wishes, &settings, arena, &errors, &err))
        status = cli_fail(&err);
    else if (errors)
        status = CLI_FAILED;
out:
    lh_arena_free(arena);
    return status;
}

const struct cli_command cli_restore = {
    .name = "restore",
    .summary = "Bring a backup back into an empty folder, or check it.",
    .usage = "lakehouse restore --from DIR [--number N] [--data DIR] [--check]\n"
             "                  [--buckets NAME=FOLDER,…] [--primary-only] [--json]\n"
             "  --from    the folder that `lakehouse backup` wrote to\n"
             "  --number  which backup; the newest unless it is named\n"
             "  --data    where the lake is to be: an empty folder, or none yet\n"
             "  --check   read and compare the whole backup, restore nothing\n"
             "  --buckets where the files of other buckets are to be: an empty folder for each\n"
             "  --primary-only  restore it without other buckets, or although it leaves some out\n"
             "  --json    tell what was done as one JSON object\n"
             "The whole backup is compared before anything is written. One that was cut off is\n"
             "continued by the same command. Ends with 0 if the restored lake is sound.\n",
    .run = run,
};
