/* Whether every line of a CSV became a row, was kept aside, or is known to be none.
 *
 * A quote that is not closed makes one field of all lines behind it; the reader throws that field
 * away as one bad row, of which it keeps a part. So lines are counted: those of rows, of rows that
 * were kept aside, of the header, breaks inside texts, blank lines and comments. If there are more,
 * rows would be lost without a word, and the file is refused. */
#include "ingest/internal.h"

#include <assert.h>
#include <stdlib.h>

#include "ingest/pieces.h"

#define SQL_BYTES_MAX ((size_t)4 << 20)

static enum lh_code ask(struct task *task, const struct lh_buf *sql, int64_t *ret,
                        struct lh_error *err)
{
    enum lh_code code = lh_buf_check(sql, "the columns of the file", err);
    return code ? code : task_ask(task, lh_buf_str(sql), ret, err);
}

static void put_breaks(struct lh_buf *sql, struct lh_str column)
{
    lh_buf_append_str(sql, lh_lit(" + coalesce(sum(strlen("));
    engine_quote_ident(sql, column);
    lh_buf_append_str(sql, lh_lit(") - strlen(replace("));
    engine_quote_ident(sql, column);
    lh_buf_append_str(sql, lh_lit(", chr(10), ''))), 0)"));
}

/* In the texts of the rows that were written. */
static enum lh_code breaks_in_rows(struct task *task, struct lh_str path, int64_t *ret,
                                   struct lh_error *err)
{
    struct lh_buf sql;
    lh_buf_init(&sql, SQL_BYTES_MAX);
    lh_buf_append_str(&sql, lh_lit("SELECT (0"));
    for (size_t at = 0; at < task->stored_count; at++)
        if (lh_str_equal(task->stored[at].type, lh_lit("VARCHAR")))
            put_breaks(&sql, task->stored[at].stored_name);
    lh_buf_append_str(&sql, lh_lit(")::BIGINT FROM read_parquet("));
    engine_quote_path(&sql, path);
    lh_buf_append_str(&sql, lh_lit(", hive_partitioning=false)"));
    enum lh_code code = ask(task, &sql, ret, err);
    lh_buf_release(&sql);
    return code;
}

static enum lh_code breaks_in_rejects(struct task *task, int64_t *ret, struct lh_error *err)
{
    struct lh_buf sql;
    *ret = 0;
    if (lh_str_empty(task->rejects))
        return LH_OK;
    lh_buf_init(&sql, SQL_BYTES_MAX);
    lh_buf_append_str(&sql, lh_lit("SELECT (0"));
    put_breaks(&sql, lh_lit("raw"));
    lh_buf_printf(&sql, ")::BIGINT FROM (%.*s)", LH_ARG(task->rejects));
    enum lh_code code = ask(task, &sql, ret, err);
    lh_buf_release(&sql);
    return code;
}

/* Blank lines and those of comments. A blank line inside a text counts as such, too: that may hide
 * one lost line, never find one that is not. */
static int64_t count_empty(const unsigned char *bytes, size_t count, char comment, bool *is_fresh)
{
    int64_t found = 0;
    assert(bytes || count == 0);
    for (size_t at = 0; at < count; at++) {
        bool is_break = bytes[at] == '\n';
        if (*is_fresh && (is_break || (comment && bytes[at] == (unsigned char)comment)))
            found++;
        /* A carriage return before the break does not make a line of it. */
        *is_fresh = is_break || (*is_fresh && bytes[at] == '\r');
    }
    return found;
}

static enum lh_code empty_lines(struct task *task, int64_t *ret, struct lh_error *err)
{
    struct pieces pieces;
    unsigned char *space = malloc(PIECE_BYTES);
    bool is_fresh = true;
    size_t got = 1;
    *ret = 0;
    enum lh_code code = space ? pieces_open(task->path, &pieces, err)
                              : lh_fail(err, LH_BUSY, "There is no memory to read the file.");
    if (code)
        goto out;
    while (!code && got) {
        code = pieces_next(&pieces, space, &got, err);
        if (!code)
            code = lh_cancel_fail(task->cancel, "The ingest", err);
        if (!code)
            *ret += count_empty(space, got, task->comment, &is_fresh);
    }
    pieces_close(&pieces);
out:
    free(space);
    return code;
}

/* The first bad row is mostly where the quote was opened. */
static enum lh_code first_reject(struct task *task, int64_t *ret, struct lh_error *err)
{
    struct lh_buf sql;
    *ret = 0;
    if (lh_str_empty(task->reject_table))
        return LH_OK;
    lh_buf_init(&sql, SQL_BYTES_MAX);
    lh_buf_printf(&sql,
                  "SELECT coalesce(min(line) FILTER (error_type = 'UNQUOTED VALUE'), min(line), "
                  "0)::BIGINT FROM %.*s",
                  LH_ARG(task->reject_table));
    enum lh_code code = ask(task, &sql, ret, err);
    lh_buf_release(&sql);
    return code;
}

static enum lh_code fail_lost(struct task *task, int64_t lost, struct lh_error *err)
{
    int64_t line = 0;
    enum lh_code code = first_reject(task, &line, err);
    if (code)
        return code;
    if (line)
        lh_fail(err, LH_UNREADABLE,
                "%lld lines of the file are neither rows nor bad rows: near line %lld a quote "
                "seems not to be closed.",
                (long long)lost, (long long)line);
    else
        lh_fail(err, LH_UNREADABLE,
                "%lld lines of the file are neither rows nor bad rows: a quote seems not to be "
                "closed.",
                (long long)lost);
    if (err)
        err->line = line;
    return lh_error_hint(err, "Close it or double it; if quotes mean nothing in this file, say so "
                              "with options.quote = \"\". Nothing was changed.");
}

enum lh_code lines_check(struct task *task, struct lh_str path, int64_t rows, int64_t rejected,
                         struct lh_error *err)
{
    int64_t counted = 0;
    int64_t left = task->scan.lines - rows - rejected - task->head_lines - task->name_breaks;
    if (!task->scan.lines || left <= 0 || lh_str_empty(task->reject_table))
        return LH_OK;
    enum lh_code code = breaks_in_rows(task, path, &counted, err);
    left -= counted;
    if (!code && left > 0)
        code = breaks_in_rejects(task, &counted, err);
    left -= code ? 0 : counted;
    counted = 0;
    if (!code && left > 0)
        code = empty_lines(task, &counted, err);
    left -= counted;
    return !code && left > 0 ? fail_lost(task, left, err) : code;
}
