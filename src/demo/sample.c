#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/process.h"
#include "base/uuid.h"
#include "demo/internal.h"
#include "demo/package_index.h"

#define INDEX_TIMEOUT_MS 300000
#define SAMPLE_TAG "sample"

/* The datasets of the sample, in the order in which they are loaded. */
static const struct {
    const char *dataset;
    const char *file;
    const char *description;
} parts[] = {
    {"packages", PACKAGE_INDEX_PACKAGES,
     "Sample: the Debian packages that this machine's package index lists."},
    {"dependencies", PACKAGE_INDEX_DEPENDENCIES,
     "Sample: what each package of the index depends on, breaks, suggests and so on."},
};
#define PART_COUNT (sizeof(parts) / sizeof(parts[0]))

struct part_state {
    bool is_there;
    bool is_described; /* loading ended with saying what it is */
    int64_t rows;
};

/* The sample says that it is one; before it was told so, the name of its file does. */
static enum lh_code judge_part(size_t part, const json_t *dataset, struct part_state *ret,
                               struct lh_error *err)
{
    const json_t *tag = NULL;
    size_t at = 0;
    const char *file =
        json_string_value(json_object_get(json_object_get(dataset, "lineage"), "source_file"));
    *ret = (struct part_state){.is_there = true,
                               .rows = json_integer_value(json_object_get(dataset, "row_count"))};
    json_array_foreach(json_object_get(dataset, "tags"), at, tag)
    {
        ret->is_described = ret->is_described || strcmp(json_string_value(tag), SAMPLE_TAG) == 0;
    }
    if (ret->is_described || (file && strcmp(file, parts[part].file) == 0))
        return LH_OK;
    lh_fail(err, LH_EXISTS, "There is a dataset '%s' that is not the sample.", parts[part].dataset);
    return lh_error_hint(err, "Give the sample a folder of its own: lakehouse demo --data DIR, or "
                              "make run DATA=DIR. Nothing was changed.");
}

static enum lh_code find_part(struct demo *demo, size_t part, struct part_state *ret,
                              struct lh_error *err)
{
    const json_t *dataset = NULL;
    int status = 0;
    struct lh_str path =
        lh_arena_printf(demo->arena, "/catalog/datasets/by-name/%s", parts[part].dataset);
    enum lh_code code =
        demo_request(demo, "GET", path.data, (struct lh_str){NULL, 0}, &dataset, &status, err);
    if (code)
        return code;
    *ret = (struct part_state){0};
    if (status == 404)
        return LH_OK;
    if (status != 200)
        return lh_fail(err, LH_INTERNAL, "Looking for dataset '%s' answered %d.",
                       parts[part].dataset, status);
    return judge_part(part, dataset, ret, err);
}

static enum lh_code feed(void *context, struct lh_str text, struct lh_error *err)
{
    return package_index_feed(context, text, err);
}

/* Asks the machine for its package index and writes the two files into `dir`. */
static enum lh_code write_files(struct demo *demo, struct lh_dir *dir,
                                struct package_index_counts *ret, struct lh_error *err)
{
    static const char *const dump[] = {"apt-cache", "dumpavail", NULL};
    struct package_index *index = NULL;
    struct lh_process_result result;
    for (size_t at = 0; at < PART_COUNT; at++) {
        enum lh_code removed = lh_file_remove(dir, parts[at].file, err);
        if (removed)
            return removed;
    }
    enum lh_code code = package_index_new(dir, &index, err);
    if (code)
        return code;
    struct lh_process_request request = {.argv = dump,
                                         .timeout_ms = INDEX_TIMEOUT_MS,
                                         .cancel = &demo->cancel,
                                         .sink = feed,
                                         .context = index};
    code = lh_process_run(&request, &result, err);
    if (code == LH_NOT_FOUND)
        code = lh_error_hint(err, "The sample is the package index of a Debian system; your own "
                                  "data needs no sample: lakehouse serve");
    if (!code && result.exit_status)
        code = lh_fail(err, LH_IO, "'apt-cache dumpavail' ended with status %d: %s",
                       result.exit_status, result.stderr_tail);
    if (!code)
        code = package_index_finish(index, ret, err);
    package_index_free(index);
    return code;
}

/* The index is empty on a machine that never asked for it. */
static enum lh_code refresh_index(struct demo *demo, struct lh_error *err)
{
    static const char *const as_root[] = {"apt-get", "update", NULL};
    static const char *const by_sudo[] = {"sudo", "-n", "apt-get", "update", NULL};
    struct lh_process_result result;
    struct lh_process_request request = {.argv = geteuid() == 0 ? as_root : by_sudo,
                                         .timeout_ms = INDEX_TIMEOUT_MS,
                                         .cancel = &demo->cancel};
    printf("The package index is empty; asking for it (apt-get update) …\n");
    enum lh_code code = lh_process_run(&request, &result, err);
    if (!code && result.exit_status)
        code = lh_fail(err, LH_IO, "'apt-get update' did not succeed (status %d): %s",
                       result.exit_status, result.stderr_tail);
    if (code)
        return lh_error_hint(err, "Run 'apt-get update' as an administrator with a working "
                                  "network, then start the demo again.");
    return LH_OK;
}

static enum lh_code load_part(struct demo *demo, struct lh_dir *dir, size_t part,
                              struct lh_error *err)
{
    const json_t *answer = NULL;
    struct lh_str folder = lh_dir_path(dir);
    struct lh_str path = lh_arena_printf(demo->arena, "%.*s/%s", LH_ARG(folder), parts[part].file);
    int64_t start_us = lh_clock_monotonic_us();
    enum lh_code code = demo_ingest(demo, lh_str_of(parts[part].dataset), path, &answer, err);
    if (code)
        return code;
    struct lh_str rows =
        demo_count(demo->arena, json_integer_value(json_object_get(answer, "rows")));
    printf("  %-13s %9.*s rows   %5.2f s\n", parts[part].dataset, LH_ARG(rows),
           (double)(lh_clock_monotonic_us() - start_us) / 1e6);
    return LH_OK;
}

static enum lh_code describe_part(struct demo *demo, size_t part, struct lh_error *err)
{
    const json_t *answer = NULL;
    struct lh_str metadata =
        lh_arena_printf(demo->arena, "{\"description\": \"%s\", \"tags\": [\"" SAMPLE_TAG "\"]}",
                        parts[part].description);
    struct lh_str target =
        lh_arena_printf(demo->arena, "/catalog/datasets/by-name/%s/metadata", parts[part].dataset);
    return demo_request(demo, "PATCH", target.data, metadata, &answer, NULL, err);
}

static enum lh_code import(struct demo *demo, struct lh_dir *dir, const struct part_state *states,
                           struct lh_error *err)
{
    struct package_index_counts counts = {0};
    printf("Reading this machine's package index (apt-cache dumpavail) …\n");
    enum lh_code code = write_files(demo, dir, &counts, err);
    if (!code && counts.packages == 0) {
        code = refresh_index(demo, err);
        if (!code)
            code = write_files(demo, dir, &counts, err);
        if (!code && counts.packages == 0)
            code = lh_fail(err, LH_NOT_FOUND,
                           "The machine's package index is empty even after apt-get update.");
    }
    if (code)
        return code;
    printf("Loading it through POST /ingest/file …\n");
    for (size_t part = 0; part < PART_COUNT && !code; part++)
        code = states[part].is_there ? LH_OK : load_part(demo, dir, part, err);
    printf("\n");
    return code;
}

static enum lh_code load(struct demo *demo, const struct part_state *states, struct lh_error *err)
{
    const char *base = getenv("TMPDIR");
    struct lh_uuid id = lh_uuid_new();
    struct lh_str path = lh_arena_printf(demo->arena, "%s/lakehouse-sample-%s",
                                         base && base[0] ? base : "/tmp", id.text);
    struct lh_dir *dir = NULL;
    struct lh_dir *parent = NULL;
    enum lh_code code = lh_dir_open(path, true, &dir, err);
    if (code)
        return code;
    code = import(demo, dir, states, err);
    lh_dir_close(dir);
    if (lh_dir_open(lh_str_of(base && base[0] ? base : "/tmp"), false, &parent, NULL) == LH_OK) {
        struct lh_str name = lh_arena_printf(demo->arena, "lakehouse-sample-%s", id.text);
        if (lh_dir_remove_tree(parent, name.data, NULL) != LH_OK)
            printf("(The sample's files could not be removed from the temporary folder.)\n");
        lh_dir_close(parent);
    }
    return code;
}

enum lh_code demo_load_sample(struct demo *demo, struct lh_error *err)
{
    struct part_state states[PART_COUNT] = {0};
    bool is_there = true;
    enum lh_code code = LH_OK;
    for (size_t part = 0; part < PART_COUNT && !code; part++) {
        code = find_part(demo, part, &states[part], err);
        is_there = is_there && states[part].is_there;
    }
    if (!code && !is_there)
        code = load(demo, states, err);
    for (size_t part = 0; part < PART_COUNT && !code; part++)
        if (!states[part].is_described)
            code = describe_part(demo, part, err);
    if (code || !is_there)
        return code;
    printf("The sample is here already:");
    for (size_t part = 0; part < PART_COUNT; part++)
        printf("%s %s (%.*s rows)", part ? "," : "", parts[part].dataset,
               LH_ARG(demo_count(demo->arena, states[part].rows)));
    printf(". Nothing to load.\n\n");
    return LH_OK;
}
