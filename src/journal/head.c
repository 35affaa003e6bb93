/* The chain proves what stands between its records, not that none followed the last one. So where
 * it ended is said elsewhere: durably at a clean end, and after every group of records in a mark
 * that nobody waits for. The mark is written behind the log's fsync: it never says more than was
 * durable, and says all of it unless the power failed. */
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "journal/internal.h"

#define NOTE_BYTES_MAX ((size_t)4096)

static void write_note(uint64_t sequence, const uint8_t hash[LH_SHA256_BYTES], struct lh_buf *buf)
{
    struct lh_json json;
    char hex[LH_SHA256_HEX_BYTES + 1];
    lh_hex(hash, LH_SHA256_BYTES, hex);
    lh_json_init(&json, buf);
    lh_json_object(&json);
    lh_json_put_cstr(&json, "hash", hex);
    lh_json_put_int(&json, "sequence", (int64_t)sequence);
    lh_json_object_end(&json);
}

static void parse_note(struct lh_str text, struct journal_note *ret)
{
    json_t *json = NULL;
    *ret = (struct journal_note){.is_there = false};
    if (lh_json_parse(text, "The note", NOTE_BYTES_MAX, &json, NULL))
        return;
    int64_t sequence = json_integer_value(json_object_get(json, "sequence"));
    if (sequence > 0 &&
        lh_hex_parse(lh_json_text(json_object_get(json, "hash")), ret->hash, sizeof ret->hash)) {
        ret->is_there = true;
        ret->sequence = (uint64_t)sequence;
    }
    json_decref(json);
}

void note_read(struct storage *storage, struct lh_arena *arena, struct journal_note *ret)
{
    struct lh_str text = {0};
    *ret = (struct journal_note){.is_there = false};
    if (storage_get(storage, STORAGE_PRIMARY, lh_lit(JOURNAL_NOTE_KEY), NOTE_BYTES_MAX, arena,
                    &text, NULL) == LH_OK)
        parse_note(text, ret);
}

enum lh_code note_write(struct storage *storage, uint64_t sequence,
                        const uint8_t hash[LH_SHA256_BYTES], struct lh_error *err)
{
    struct lh_buf buf;
    lh_buf_init(&buf, NOTE_BYTES_MAX);
    write_note(sequence, hash, &buf);
    enum lh_code code = storage_put_replacing(storage, STORAGE_PRIMARY, lh_lit(JOURNAL_NOTE_KEY),
                                              lh_buf_str(&buf), err);
    lh_buf_release(&buf);
    return code;
}

/* --- the mark */

void mark_read(struct storage *storage, struct lh_arena *arena, struct journal_note *ret)
{
    struct lh_str text = {0};
    *ret = (struct journal_note){.is_there = false};
    if (storage_mark_read(storage, lh_lit(JOURNAL_MARK_KEY), arena, &text, NULL) == LH_OK)
        parse_note(text, ret);
}

struct storage_mark *mark_open(struct journal *journal)
{
    struct storage_mark *mark = NULL;
    struct lh_error err = LH_ERROR_NONE;
    struct lh_buf buf;
    lh_buf_init(&buf, STORAGE_MARK_BYTES_MAX);
    write_note(journal->sequence, journal->hash, &buf);
    if (storage_mark_open(journal->options.storage, lh_lit(JOURNAL_MARK_KEY), lh_buf_str(&buf),
                          &mark, &err))
        lh_log_error(LH_LOG_WARN, "journal.mark", &err);
    lh_buf_release(&buf);
    return mark;
}

void mark_write(struct journal *journal, uint64_t sequence, const uint8_t hash[LH_SHA256_BYTES])
{
    struct lh_error err = LH_ERROR_NONE;
    struct lh_buf buf;
    if (!journal->mark)
        return;
    lh_buf_init(&buf, STORAGE_MARK_BYTES_MAX);
    write_note(sequence, hash, &buf);
    bool has_failed = storage_mark_write(journal->mark, lh_buf_str(&buf), &err) != LH_OK;
    if (has_failed && !journal->has_mark_failed)
        lh_log_error(LH_LOG_WARN, "journal.mark", &err);
    journal->has_mark_failed = has_failed;
    lh_buf_release(&buf);
}

/* --- what an opening makes of them */

/* One that is not the newest: in the logs it can be looked at. */
static const struct record *find_record(const struct journal *journal, uint64_t sequence)
{
    for (size_t i = journal->tail.count; i > 0; i--)
        if (journal->tail.items[i - 1]->sequence == sequence)
            return journal->tail.items[i - 1];
    return NULL;
}

static void compare_older(struct journal *journal, const struct journal_note *note)
{
    const struct record *record = find_record(journal, note->sequence);
    if (!record || memcmp(record->hash, note->hash, LH_SHA256_BYTES) == 0)
        return;
    journal_say_damage(journal, "Record %llu of the journal is not the one that was written.",
                       (unsigned long long)note->sequence);
    journal->sequence++; /* left out for good, so that it is found again */
}

void journal_compare_note(struct journal *journal, const struct journal_note *note)
{
    if (!note->is_there)
        return;
    if (note->sequence < journal->sequence) {
        compare_older(journal, note);
        return;
    }
    bool is_same = memcmp(note->hash, journal->hash, LH_SHA256_BYTES) == 0;
    if (note->sequence == journal->sequence && is_same)
        return;
    if (note->sequence > journal->sequence)
        journal_say_damage(journal, "Records %llu to %llu at the journal's end are missing.",
                           (unsigned long long)journal->sequence + 1,
                           (unsigned long long)note->sequence);
    else
        journal_say_damage(journal, "The newest record of the journal, %llu, was changed.",
                           (unsigned long long)note->sequence);
    journal->sequence = note->sequence;
    memcpy(journal->hash, note->hash, LH_SHA256_BYTES);
}
