/* Whether segments are what was written, before anybody is told what stands in them. A Parquet file
 * decodes to other values when a bit of it is another, and leaves rows out by what it says of them
 * besides: so its bytes are compared with the sum in its name. Of format 2 there is none; there its
 * rows are. Either is done once for as long as the file stays the same. */
#include "engine/engine.h"
#include "journal/internal.h"

static enum lh_code fail_damaged(const struct journal_file *file, const char *why,
                                 struct lh_error *err)
{
    lh_fail(err, LH_DAMAGED, "The journal's segment '%.*s' is not what was written: %s.",
            LH_ARG(file->key), why);
    return lh_error_hint(err, "lakehouse verify --journal finds all that is damaged; restore the "
                              "file from a backup.");
}

enum lh_code segment_compare_sum(struct storage *storage, const struct journal_file *file,
                                 const struct lh_cancel *cancel, struct lh_error *err)
{
    struct storage_sum sum;
    char hex[LH_SHA256_HEX_BYTES + 1];
    if (!file->sum.len)
        return LH_OK;
    enum lh_code code = storage_sum(storage, STORAGE_PRIMARY, file->key, cancel, &sum, err);
    if (code)
        return code;
    lh_hex(sum.sha256, LH_SHA256_BYTES, hex);
    return lh_str_equal(file->sum, lh_str_of(hex))
               ? LH_OK
               : fail_damaged(file, "its checksum differs from the one in its name", err);
}

/* --- the rows of format 2 */

struct rows {
    const struct journal_file *file;
    uint64_t next;
    bool is_wrong; /* one of them: that is told */
    uint8_t previous[LH_SHA256_BYTES];
};

static enum lh_code check_row(void *context, struct record *record, struct lh_error *err)
{
    struct rows *rows = context;
    if (record->sequence != rows->next || !record_is_sound(record) ||
        (rows->next > rows->file->first &&
         memcmp(record->previous, rows->previous, LH_SHA256_BYTES) != 0)) {
        rows->is_wrong = true;
        return fail_damaged(rows->file, "a record is not what its hash says", err);
    }
    rows->next++;
    memcpy(rows->previous, record->hash, LH_SHA256_BYTES);
    return LH_OK;
}

static enum lh_code read_rows(struct journal *journal, struct rows *rows,
                              const struct lh_cancel *cancel, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str path;
    struct lh_buf sql;
    lh_buf_init(&sql, 65536);
    rows->next = rows->file->first;
    enum lh_code code = storage_object_path(journal->options.storage, STORAGE_PRIMARY,
                                            rows->file->key, arena, &path, err);
    if (!code) {
        lh_buf_printf(&sql, "SELECT %s FROM read_parquet(", segment_columns);
        engine_quote_path(&sql, path);
        lh_buf_append_str(&sql, lh_lit(", hive_partitioning = false)"));
        code =
            segment_rows(journal->options.engine, lh_buf_str(&sql), cancel, check_row, rows, err);
    }
    lh_buf_release(&sql);
    lh_arena_free(arena);
    return code;
}

/* What the engine cannot decode it calls by names of its own. That there was no descriptor, room or
 * memory for reading, or that the disk failed, says nothing about the bytes. */
static bool tells_of_bytes(enum lh_code code)
{
    return code == LH_DAMAGED || code == LH_UNREADABLE || code == LH_SQL || code == LH_INTERNAL;
}

static enum lh_code check_rows(struct journal *journal, const struct journal_file *file,
                               const struct lh_cancel *cancel, struct lh_error *err)
{
    struct rows rows = {.file = file};
    struct lh_error found = LH_ERROR_NONE;
    struct storage_sum sum;
    enum lh_code code = read_rows(journal, &rows, cancel, &found);
    bool is_wrong = tells_of_bytes(code);
    /* So it calls, too, what bytes that are wrong make it look for behind the file's end. Then all
     * that there is can be read, and it says so again. */
    if (code == LH_IO &&
        !storage_sum(journal->options.storage, STORAGE_PRIMARY, file->key, cancel, &sum, NULL)) {
        code = read_rows(journal, &rows, cancel, &found);
        is_wrong = tells_of_bytes(code) || code == LH_IO;
    }
    if (!code && rows.next != file->last + 1)
        code = fail_damaged(file, "records are missing", &found);
    else if (is_wrong && !rows.is_wrong && !lh_cancel_check(cancel))
        code = fail_damaged(file, "it cannot be read as it was written", &found);
    if (code && err)
        *err = found;
    return code;
}

/* --- all of them */

/* One that is to be looked at: what the list of segments said of it. */
struct suspect {
    struct journal_file file;
    bool is_sound;
    struct storage_info info;
};

static struct suspect *list_all(struct journal *journal, struct lh_arena *arena, size_t *ret_count)
{
    size_t count = 0;
    pthread_mutex_lock(&journal->mutex);
    struct suspect *items = lh_arena_array(arena, journal->segment_count + 1, sizeof *items);
    for (size_t i = 0; i < journal->segment_count; i++) {
        const struct segment *segment = &journal->segments[i];
        struct lh_str key = lh_arena_str(arena, lh_str_of(segment->key));
        items[count] = (struct suspect){.is_sound = segment->is_sound, .info = segment->info};
        count += segment_read_key(key, &items[count].file);
    }
    pthread_mutex_unlock(&journal->mutex);
    *ret_count = count;
    return items;
}

/* Others may have been added meanwhile, or all exchanged for one: found by its key. */
static void note_sound(struct journal *journal, const struct suspect *suspect)
{
    pthread_mutex_lock(&journal->mutex);
    for (size_t i = 0; i < journal->segment_count; i++) {
        struct segment *segment = &journal->segments[i];
        if (!lh_str_equal(lh_str_of(segment->key), suspect->file.key))
            continue;
        segment->is_sound = true;
        segment->info = suspect->info;
        break;
    }
    pthread_mutex_unlock(&journal->mutex);
}

static enum lh_code ensure_one(struct journal *journal, struct suspect *suspect,
                               const struct lh_cancel *cancel, struct lh_error *err)
{
    struct storage_info info;
    enum lh_code code =
        storage_info(journal->options.storage, STORAGE_PRIMARY, suspect->file.key, &info, err);
    if (code == LH_NOT_FOUND)
        return fail_damaged(&suspect->file, "it is missing", err);
    if (code == LH_INVALID)
        return fail_damaged(&suspect->file, "it is no ordinary file any more", err);
    if (code || (suspect->is_sound && storage_is_same(&suspect->info, &info)))
        return code;
    suspect->info = info; /* as it was before it was read: a later change shows */
    code = suspect->file.sum.len
               ? segment_compare_sum(journal->options.storage, &suspect->file, cancel, err)
               : check_rows(journal, &suspect->file, cancel, err);
    if (!code)
        note_sound(journal, suspect);
    return code;
}

enum lh_code journal_ensure_sound(struct journal *journal, const struct lh_cancel *cancel,
                                  struct lh_error *err)
{
    struct lh_error own = LH_ERROR_NONE;
    uint64_t stamp = 0;
    enum lh_code code = LH_OK;
    /* Written anew meanwhile (journal/erase.h), those that it began with are gone: no damage. */
    do {
        struct lh_arena *arena = lh_arena_new(0);
        size_t count = 0;
        own = (struct lh_error)LH_ERROR_NONE;
        stamp = journal_stamp(journal);
        struct suspect *items = list_all(journal, arena, &count);
        code = LH_OK;
        for (size_t i = 0; i < count && !code; i++)
            code = ensure_one(journal, &items[i], cancel, &own);
        lh_arena_free(arena);
    } while (code && !lh_cancel_check(cancel) && journal_stamp(journal) != stamp);
    if (code && err)
        *err = own;
    return code;
}
