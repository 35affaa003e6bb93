#include "jobs/verify.h"

#include "base/json.h"
#include "jobs/records.h"
#include "storage/findings.h"

struct look {
    struct storage *storage;
    struct storage_findings *findings;
    int64_t count;
};

static void check_input(const struct look *look, const struct record_files *files,
                        const struct record_input *said, const uint8_t *sha256)
{
    struct lh_error err = LH_ERROR_NONE;
    struct storage_sum sum;
    char buffer[RECORD_KEY_BYTES];
    struct lh_str key = record_key(files->id, "input", buffer);
    if (!files->has_input)
        storage_find(look->findings, true, key, "The file '%.*s' of a job that waits is missing.",
                     LH_ARG(said->filename));
    else if (storage_sum(look->storage, STORAGE_PRIMARY, key, NULL, &sum, &err))
        storage_find(look->findings, true, key, "%s", err.message);
    else if (sum.bytes != said->bytes || memcmp(sum.sha256, sha256, sizeof sum.sha256) != 0)
        storage_find(look->findings, true, key, "It is not what was sent: its checksum differs.");
}

static void check_job(const struct look *look, const struct record_files *files,
                      struct lh_arena *arena)
{
    struct record_submitted submitted;
    struct record_ended ended;
    uint8_t sha256[LH_SHA256_BYTES];
    struct lh_error err = LH_ERROR_NONE;
    char buffer[RECORD_KEY_BYTES];
    enum lh_code code =
        record_read_submitted(look->storage, files->id, arena, &submitted, sha256, &err);
    if (code)
        storage_find(look->findings, true, record_key(files->id, "submitted.json", buffer), "%s",
                     err.message);
    if (files->is_ended && record_read_ended(look->storage, files->id, arena, &ended, &err))
        storage_find(look->findings, true, record_key(files->id, "ended.json", buffer), "%s",
                     err.message);
    if (!code && !files->is_ended && submitted.input)
        check_input(look, files, submitted.input, sha256);
}

static enum lh_code visit(void *context, const struct record_files *files, struct lh_error *err)
{
    struct look *look = context;
    struct lh_arena *arena = lh_arena_new(0);
    (void)err; /* what is wrong is a finding */
    look->count += files->is_submitted;
    if (files->is_submitted)
        check_job(look, files, arena);
    else
        storage_find(look->findings, false, files->entries[0].key,
                     "It is of no accepted job: the next start sweeps it.");
    lh_arena_free(arena);
    return LH_OK;
}

static enum lh_code visit_batch(void *context, struct lh_str id, struct lh_error *ignored)
{
    struct look *look = context;
    struct lh_error err = LH_ERROR_NONE;
    struct lh_arena *arena = lh_arena_new(0);
    struct record_batch batch = {0};
    char buffer[RECORD_KEY_BYTES];
    (void)ignored; /* what is wrong is a finding */
    if (record_read_batch(look->storage, id, arena, &batch, &err))
        storage_find(look->findings, true, record_key(id, RECORD_BATCH, buffer), "%s", err.message);
    look->count += (int64_t)batch.count;
    lh_arena_free(arena);
    return LH_OK;
}

static void meet(void *context, const struct storage_entry *entry)
{
    const struct look *look = context;
    if (entry->is_special)
        storage_find(look->findings, true, entry->key, "It is a link or a device, not a file.");
    else
        storage_find(look->findings, false, entry->key, "It is not a job's record.");
}

enum lh_code jobs_verify(struct storage *storage, struct storage_findings *findings,
                         int64_t *ret_count, struct lh_error *err)
{
    struct look look = {.storage = storage, .findings = findings};
    const struct record_visitor visitor = {
        .visit = visit, .batch = visit_batch, .stranger = meet, .context = &look};
    enum lh_code code = record_each(storage, &visitor, err);
    if (!code)
        *ret_count = look.count;
    return code;
}
