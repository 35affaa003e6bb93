/* The files of an erasure. Texts of keys and rows stand in request and plan alone, which are
 * readable by the owner of the lake only and go, not by way of the trash, when it has ended. */
#include "base/hash.h"
#include "base/json.h"
#include "jobs/jobs.h"
#include "lake/erasing_internal.h"
#include "storage/scrub.h"

static const struct lh_field object_rows[] = {
    LH_STR(struct lake_erase_object, key, .required = true, .doc = "Its name."),
    LH_STR(struct lake_erase_object, sha256, .required = true, .doc = "Its checksum."),
};
static const struct lh_fields object_fields =
    LH_FIELDS_OF(struct lake_erase_object, "ErasedObject", object_rows);

static const struct lh_field dataset_rows[] = {
    LH_STR(struct lake_erased_dataset, dataset, .required = true, .doc = "Its name."),
    LH_STR(struct lake_erased_dataset, dataset_id, .required = true, .doc = "Its id."),
    LH_INT(struct lake_erased_dataset, keys, .required = true,
           .doc = "Keys of which only a keyed hash is kept now."),
    LH_INT(struct lake_erased_dataset, rows, .required = true,
           .doc = "Rows of them that could be seen until then."),
    LH_INT(struct lake_erased_dataset, version_before, .required = true,
           .doc = "Its version then."),
    LH_INT(struct lake_erased_dataset, version_after, .required = true,
           .doc = "Its version now: the only one that can be read."),
    LH_BOOL(struct lake_erased_dataset, is_dropped,
            .doc = "It was dropped meanwhile: version_after is 0, and no files are listed."),
    LH_LIST(struct lake_erased_dataset, objects_removed, .fields = &object_fields,
            .doc = "Data files that are gone, those of older versions, too: of these 20,000 at "
                   "most are named, files_removed counts all."),
    LH_LIST(struct lake_erased_dataset, objects_made, .fields = &object_fields,
            .doc = "Data files that stand for them."),
    LH_INT(struct lake_erased_dataset, versions_expired, .required = true,
           .doc = "Versions that nobody can read any more."),
    LH_INT(struct lake_erased_dataset, files_removed, .required = true,
           .doc = "Data files, lists of tombstones and manifests that are gone with them."),
    LH_INT(struct lake_erased_dataset, rejected_rows,
           .doc = "Lines that were not taken when they came, and say 'erased' now."),
};
static const struct lh_fields dataset_fields =
    LH_FIELDS_OF(struct lake_erased_dataset, "ErasedDataset", dataset_rows);

static const struct lh_field index_rows[] = {
    LH_STR(struct lake_erased_index, index, .required = true, .doc = "Its name."),
    LH_STR(struct lake_erased_index, dataset, .required = true, .doc = "Of which dataset."),
    LH_INT(struct lake_erased_index, version, .required = true,
           .doc = "Its version: made anew from the rows that are left."),
};
static const struct lh_fields index_fields =
    LH_FIELDS_OF(struct lake_erased_index, "ErasedIndex", index_rows);

static const struct lh_field bucket_rows[] = {
    LH_STR(struct lake_erased_bucket, bucket, .required = true, .doc = "Its name."),
    LH_INT(struct lake_erased_bucket, objects_removed, .required = true,
           .doc = "Files that went for good, and versions of them that a store kept."),
    LH_INT(struct lake_erased_bucket, uploads_removed, .required = true,
           .doc = "Uploads that were never ended."),
    LH_INT(struct lake_erased_bucket, files, .required = true,
           .doc = "That are left, old versions included, and were searched."),
    LH_INT(struct lake_erased_bucket, bytes, .required = true, .doc = "Of those."),
    LH_STR(struct lake_erased_bucket, problem, .doc = "Why that is not all; absent: it is."),
};
static const struct lh_fields bucket_fields =
    LH_FIELDS_OF(struct lake_erased_bucket, "ErasedBucket", bucket_rows);

static const struct lh_field journal_rows[] = {
    LH_INT(struct lake_erased_journal, records, .required = true,
           .doc = "Records that name pseudonyms now."),
    LH_STR(struct lake_erased_journal, hash_before,
           .doc = "Of the newest record before it was written anew first."),
    LH_STR(struct lake_erased_journal, hash_after,
           .doc = "Of the same record now, or of the newest that was written anew last."),
};
static const struct lh_fields journal_fields =
    LH_FIELDS_OF(struct lake_erased_journal, "ErasedJournal", journal_rows);

static const struct lh_field scan_rows[] = {
    LH_INT(struct lake_erase_scan, files, .required = true,
           .doc = "Files of the data folder and of all buckets."),
    LH_INT(struct lake_erase_scan, bytes, .required = true, .doc = "Their bytes."),
    LH_INT(struct lake_erase_scan, decoded_files, .required = true,
           .doc = "Of them Parquet: read row by row."),
    LH_INT(struct lake_erase_scan, decoded_rows, .required = true, .doc = "Those rows."),
    LH_INT(struct lake_erase_scan, texts, .required = true,
           .doc = "Keys and texts of the rows that were searched for."),
    LH_INT(struct lake_erase_scan, texts_short, .required = true,
           .doc = "That were not: too short to mean anything elsewhere."),
    LH_INT(struct lake_erase_scan, texts_shared, .required = true,
           .doc = "That were not: rows hold them that are left."),
};
static const struct lh_fields scan_fields =
    LH_FIELDS_OF(struct lake_erase_scan, "EraseScan", scan_rows);

static const struct lh_field finding_rows[] = {
    LH_STR(struct lake_erase_finding, object, .required = true, .doc = "The file."),
    LH_STR(struct lake_erase_finding, what, .required = true, .doc = "What was found, a sentence."),
};
static const struct lh_fields finding_fields =
    LH_FIELDS_OF(struct lake_erase_finding, "EraseFinding", finding_rows);

static const struct lh_field elsewhere_rows[] = {
    LH_STR(struct lake_erase_elsewhere, dataset, .required = true,
           .doc = "Its name; of a dropped one its id."),
    LH_STR(struct lake_erase_elsewhere, dataset_id, .required = true, .doc = "Its id."),
    LH_BOOL(struct lake_erase_elsewhere, is_dropped, .doc = "It was dropped, its files are kept."),
    LH_INT(struct lake_erase_elsewhere, rows,
           .doc = "Its rows that have one of the keys in a column of that name."),
    LH_INT(struct lake_erase_elsewhere, object_count, .required = true,
           .doc = "Its files in which a key or a text of an erased row stands."),
    LH_STR_LIST(struct lake_erase_elsewhere, objects, .doc = "Twenty of them at most."),
};
static const struct lh_fields elsewhere_fields =
    LH_FIELDS_OF(struct lake_erase_elsewhere, "EraseElsewhere", elsewhere_rows);

static const char *const outcome_names[] = {"type", "null", "no_match", "already", "match", NULL};
static const char *const proof_names[] = {"none", "compared", "searched", NULL};
static const struct lh_field value_rows[] = {
    LH_INT(struct lake_erase_value, index, .required = true,
           .doc = "Which of row_key_values, from 0: the value itself is not kept."),
    LH_CHOICE(struct lake_erase_value, outcome, .choices = outcome_names, .required = true,
              .doc =
                  "match: rows of some version had it, or a list of deleted keys; no_match: none "
                  "has; already: it was erased before, and no row came since; type: no column "
                  "has values like it; null: NULL names no row."),
    LH_CHOICE(struct lake_erase_value, proof, .choices = proof_names, .required = true,
              .doc =
                  "How it was looked for. searched: in the bytes and the name of every file and in "
                  "every row; compared: it is too short for that, and was compared as a value "
                  "with rows of every version, lists of deleted keys, manifests, ids of indexes, "
                  "records of the journal about rows, and words of lines that were not taken."),
};
static const struct lh_fields value_fields =
    LH_FIELDS_OF(struct lake_erase_value, "EraseValue", value_rows);

static const char *const state_names[] = {"waiting",     "running",  "failed",   "erased",
                                          "incomplete",  "given_up", "no_match", "dry_run",
                                          "erased_here", NULL};
static const struct lh_field erasure_rows[] = {
    LH_STR(struct lake_erasure, erase_id, .doc = "Its id; absent: a dry run."),
    LH_CHOICE(struct lake_erasure, state, .choices = state_names, .required = true,
              .doc =
                  "failed: the rows are hidden, and it can be resumed; incomplete: all was done, "
                  "and something of the rows was found all the same; resume looks again; "
                  "given_up: one of these, and nobody goes on; no_match: nothing of the keys was "
                  "found, and nothing was changed; dry_run: what would be done; erased_here: "
                  "erased from the dataset that was asked for, and others have the same values "
                  "(elsewhere). It has ended: nothing is kept of what it looked for."),
    LH_STR(struct lake_erasure, dataset, .doc = "Absent: every one that had the column."),
    LH_STR(struct lake_erasure, row_key_column, .required = true, .doc = "The key column."),
    LH_INT(struct lake_erasure, keys, .required = true, .doc = "Keys that were asked for."),
    LH_LIST(struct lake_erasure, values, .fields = &value_fields,
            .doc = "What was found of each value; left out of lists."),
    LH_STR(struct lake_erasure, actor, .doc = "Who wanted it."),
    LH_STR(struct lake_erasure, committer, .doc = "Who did it."),
    LH_STR(struct lake_erasure, reason, .doc = "Why, if it was said."),
    LH_TIME(struct lake_erasure, created_at, .required = true, .doc = "When it was asked for."),
    LH_TIME(struct lake_erasure, ended_at, .doc = "When it had ended."),
    LH_STR(struct lake_erasure, job_id, .doc = "Of the job that does it."),
    LH_STR(struct lake_erasure, phase, .doc = "What a running one does."),
    LH_STR(struct lake_erasure, problem, .doc = "Why it failed, or who gave it up."),
    LH_INT(struct lake_erasure, rows, .doc = "Rows that could be seen until then."),
    LH_BOOL(struct lake_erasure, is_at_least,
            .doc = "The server was killed between removing something and counting it: rows, files, "
                   "rejected_rows and answers were at least as many as it says."),
    LH_LIST(struct lake_erasure, datasets, .fields = &dataset_fields, .doc = "What went of each."),
    LH_LIST(struct lake_erasure, indexes, .fields = &index_fields,
            .doc = "Indexes of them, vectors and words, that were made anew."),
    LH_LIST(struct lake_erasure, buckets, .fields = &bucket_fields,
            .doc = "What was done in each bucket besides primary, by the attempt that ended it."),
    LH_OBJECT(struct lake_erasure, journal, const struct lake_erased_journal *,
              .fields = &journal_fields, .doc = "What became of the journal."),
    LH_INT(struct lake_erasure, answers_removed,
           .doc = "Kept answers to requests with an Idempotency-Key that held a key."),
    LH_OBJECT(struct lake_erasure, scan, const struct lake_erase_scan *, .fields = &scan_fields,
              .doc = "The search through every file at the end."),
    LH_LIST(struct lake_erasure, found, .fields = &finding_fields,
            .doc = "Where something of the rows was found all the same."),
    LH_LIST(struct lake_erasure, elsewhere, .fields = &elsewhere_fields,
            .doc =
                "Datasets that were not asked for, or have no such column, and in which a key or "
                "a text of an erased row stands."),
    LH_STR(struct lake_erasure, hint, .doc = "What to do about those."),
    LH_STR_LIST(struct lake_erasure, not_covered, .doc = "What this erasure did not look into."),
};
const struct lh_fields lake_erasure_fields =
    LH_FIELDS_OF(struct lake_erasure, "Erasure", erasure_rows);

static const struct lh_field request_rows[] = {
    LH_STR(struct erase_request, dataset, .doc = "Only this one."),
    LH_STR(struct erase_request, row_key_column, .required = true, .doc = "The key column."),
    LH_JSON(struct erase_request, row_key_values, .required = true, .doc = "The keys."),
    LH_STR(struct erase_request, actor, .doc = "Who wanted it."),
    LH_STR(struct erase_request, committer, .doc = "Who did it."),
    LH_STR(struct erase_request, reason, .doc = "Why."),
    LH_STR_LIST(struct erase_request, dataset_ids, .doc = "What is erased from."),
    LH_TIME(struct erase_request, created_at, .required = true, .doc = "When."),
};
const struct lh_fields erase_request_fields =
    LH_FIELDS_OF(struct erase_request, "EraseRequest", request_rows);

static const struct lh_field plan_rows[] = {
    LH_LIST(struct erase_plan, datasets, .fields = &dataset_fields, .doc = "As they were."),
    LH_STR_LIST(struct erase_plan, keys, .doc = "Texts of the keys."),
    LH_STR_LIST(struct erase_plan, texts, .doc = "Texts of the rows."),
    LH_INT(struct erase_plan, texts_short, .doc = "Too short."),
    LH_INT(struct erase_plan, texts_left_out, .doc = "Too many."),
    LH_BOOL(struct erase_plan, is_loose, .doc = "Keys are numbers, UUIDs or the like."),
};
const struct lh_fields erase_plan_fields = LH_FIELDS_OF(struct erase_plan, "ErasePlan", plan_rows);

static const struct lh_field done_rows[] = {
    LH_STR(struct erase_done, dataset_id, .required = true, .doc = "Its id."),
    LH_BOOL(struct erase_done, is_hidden, .doc = "Its rows were hidden."),
    LH_BOOL(struct erase_done, is_touched, .doc = "It is written anew."),
    LH_INT(struct erase_done, rows, .doc = "So many."),
    LH_INT(struct erase_done, retained_before, .doc = "Its oldest version when it was asked for."),
    LH_INT(struct erase_done, version_then, .doc = "Its newest when a hiding began."),
    LH_INT(struct erase_done, rejected_rows, .doc = "Until now."),
    LH_INT(struct erase_done, versions_expired, .doc = "Until now."),
    LH_INT(struct erase_done, files_removed, .doc = "Until now."),
};
static const struct lh_fields done_fields = LH_FIELDS_OF(struct erase_done, "EraseDone", done_rows);
static const struct lh_field progress_rows[] = {
    LH_LIST(struct erase_progress, datasets, .fields = &done_fields, .doc = "What was done."),
    LH_STR(struct erase_progress, outcomes, .doc = "A letter for each value."),
    LH_INT(struct erase_progress, hides_begun, .doc = "Hidings that were begun."),
    LH_INT(struct erase_progress, hides_noted, .doc = "And counted."),
    LH_BOOL(struct erase_progress, is_counting, .doc = "Something goes that is not counted yet."),
    LH_BOOL(struct erase_progress, is_at_least, .doc = "A kill came meanwhile."),
    LH_OBJECT(struct erase_progress, journal, const struct lake_erased_journal *,
              .fields = &journal_fields, .doc = "What became of the journal."),
    LH_INT(struct erase_progress, answers_removed, .doc = "Until now."),
};
const struct lh_fields erase_progress_fields =
    LH_FIELDS_OF(struct erase_progress, "EraseProgress", progress_rows);

/* --- files */

static struct lh_str key_of(struct lh_str id, const char *what, struct lh_arena *arena)
{
    return lh_arena_printf(arena, ERASE_FOLDER "/%.*s.%s.json", LH_ARG(id), what);
}

enum lh_code erase_read(struct storage *storage, struct lh_str id, const char *what,
                        const struct lh_fields *fields, struct lh_arena *arena, void *ret,
                        struct lh_error *err)
{
    struct lh_str text;
    json_t *value = NULL;
    struct lh_str key = key_of(id, what, arena);
    enum lh_code code =
        storage_get(storage, STORAGE_PRIMARY, key, ERASE_BYTES_MAX, arena, &text, err);
    if (code)
        return code;
    lh_fields_preset(fields, ret);
    struct lh_error found = LH_ERROR_NONE;
    code = lh_json_parse(text, "The record", ERASE_BYTES_MAX, &value, &found);
    if (!code) {
        lh_json_keep(value, arena);
        code = lh_fields_bind_json(fields, value, arena, ret, &found);
    }
    if (!code)
        code = lh_fields_check(fields, ret, &found);
    return code ? lh_fail(err, LH_DAMAGED, "'%.*s' is not what was written.", LH_ARG(key)) : LH_OK;
}

enum lh_code erase_write(struct storage *storage, struct lh_str id, const char *what,
                         const struct lh_fields *fields, const void *record, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_error found = LH_ERROR_NONE;
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, ERASE_BYTES_MAX);
    lh_json_init(&json, &buf);
    lh_fields_write(fields, record, &json);
    enum lh_code code = lh_buf_check(&buf, "The record of the erasure", &found);
    if (!code)
        code = storage_put_vital(storage, STORAGE_PRIMARY, key_of(id, what, arena),
                                 lh_buf_str(&buf), &found);
    if (code == LH_EXISTS) /* the receipt of one that was incomplete and is gone on with */
        code = storage_put_replacing(storage, STORAGE_PRIMARY, key_of(id, what, arena),
                                     lh_buf_str(&buf), err);
    else if (code && err)
        *err = found;
    lh_buf_release(&buf);
    lh_arena_free(arena);
    return code;
}

enum lh_code erase_progress_note(struct storage *storage, struct lh_str id,
                                 const struct erase_progress *progress, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, ERASE_BYTES_MAX);
    lh_json_init(&json, &buf);
    lh_fields_write(&erase_progress_fields, progress, &json);
    enum lh_code code = lh_buf_check(&buf, "The progress of the erasure", err);
    if (!code)
        code = storage_put_replacing(storage, STORAGE_PRIMARY, key_of(id, "progress", arena),
                                     lh_buf_str(&buf), err);
    lh_buf_release(&buf);
    lh_arena_free(arena);
    return code;
}

enum lh_code erase_forget(struct storage *storage, struct lh_str id, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    const struct lh_str keys[] = {key_of(id, "progress", arena), key_of(id, "plan", arena),
                                  key_of(id, "request", arena)};
    enum lh_code code = storage_remove(storage, keys, 3, err);
    lh_arena_free(arena);
    return code;
}

struct erase_args {
    struct lh_str erase_id;
};
static const struct lh_field args_rows[] = {
    LH_STR(struct erase_args, erase_id, .required = true, .doc = "Which erasure."),
};
static const struct lh_fields args_fields =
    LH_FIELDS_OF(struct erase_args, "CatalogEraseJobArgs", args_rows);

enum lh_code erase_read_args(struct lh_str text, struct lh_arena *arena, struct lh_str *ret_id,
                             struct lh_error *err)
{
    struct erase_args args;
    enum lh_code code = lh_fields_parse(&args_fields, text, "The job's arguments",
                                        JOBS_ARGS_BYTES_MAX, arena, &args, err);
    if (!code)
        *ret_id = args.erase_id;
    return code;
}

struct job_note {
    struct lh_str job_id;
};
static const struct lh_field note_rows[] = {
    LH_STR(struct job_note, job_id, .required = true, .doc = "Of the job that does it."),
};
static const struct lh_fields note_fields =
    LH_FIELDS_OF(struct job_note, "EraseJobNote", note_rows);

enum lh_code erase_note_job(struct storage *storage, struct lh_str id, struct lh_str job_id,
                            struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str text = lh_arena_printf(arena, "{\"job_id\":\"%.*s\"}", LH_ARG(job_id));
    enum lh_code code =
        storage_put_replacing(storage, STORAGE_PRIMARY, key_of(id, "job", arena), text, err);
    lh_arena_free(arena);
    return code;
}

struct lh_str erase_job_of(struct storage *storage, struct lh_str id, struct lh_arena *arena)
{
    struct job_note note = {0};
    const struct lh_str none = {0};
    return erase_read(storage, id, "job", &note_fields, arena, &note, NULL) ? none : note.job_id;
}

/* Ids begin with the milliseconds at which they were made. */
static int64_t time_of_id(struct lh_str id)
{
    uint8_t bytes[6] = {0};
    int64_t ms = 0;
    if (lh_hex_parse(lh_str_slice(id, 0, 8), bytes, 4) &&
        lh_hex_parse(lh_str_slice(id, 9, 4), bytes + 4, 2))
        for (size_t i = 0; i < sizeof bytes; i++)
            ms = ms << 8 | bytes[i];
    return ms;
}

void erase_fill_unread(struct lh_str id, enum lake_erase_state state, struct lake_erasure *ret)
{
    lh_fields_preset(&lake_erasure_fields, ret);
    ret->erase_id = id;
    ret->state = state;
    ret->row_key_column = lh_lit("");
    ret->keys = 0;
    ret->is_at_least = true;
    ret->created_at.unix_ms = time_of_id(id);
}
