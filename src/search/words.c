/* The keyword leg: one SQLite FTS5 file per index, derived from its parts.
 *
 * A row of the file is a chunk, under its ordinal in the view (plus one); chunks that are not in
 * the index yet stand above FRESH_FROM. Which parts are in it stands in the same file and is
 * written in the same transaction, so that it is never wrong, only behind: words_catch_up adds what
 * is missing, and a file that cannot be used is thrown away and made anew. What stands in it and
 * may not be found (rows that are gone, other rows than the filter's) is passed over while hits are
 * read.
 */
#include <sqlite3.h>
#include <stdlib.h>

#include "base/file.h"
#include "search/asking.h"

#define FRESH_FROM (INT64_C(1) << 40)
#define FRESH_SPAN (INT64_C(1) << 24) /* more than an overlay ever holds */
#define READERS_KEPT 8
#define PROGRESS_STEPS 20000 /* of SQLite's machine between two looks at the cancel token */
#define CANCEL_EVERY 512
#define HIGHLIGHT_MARK "**"

struct reader {
    struct reader *next;
    sqlite3 *db;
    sqlite3_stmt *find;
    sqlite3_stmt *mark;
};

struct words {
    atomic_size_t refs;
    char *path;
    sqlite3 *db; /* the writer's; under the index's load_lock */
    int64_t fresh_turn;
    pthread_mutex_t lock; /* guards the readers that rest */
    struct reader *readers;
    size_t reader_count;
};

static enum lh_code fail_sqlite(sqlite3 *db, struct lh_error *err)
{
    int code = db ? sqlite3_extended_errcode(db) : SQLITE_NOMEM;
    switch (code & 255) {
    case SQLITE_FULL:
        return lh_fail(err, LH_FULL, "There is no space left for the keyword file of the index.");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return lh_fail(err, LH_DAMAGED, "The keyword file of the index cannot be read.");
    case SQLITE_NOMEM:
        return lh_fail(err, LH_BUSY, "There is no memory for the keyword leg.");
    case SQLITE_INTERRUPT:
        return lh_fail(err, LH_CANCELLED, "The search was stopped.");
    default:
        return lh_fail(err, LH_IO, "The keyword file of the index: %s.",
                       db ? sqlite3_errmsg(db) : "no memory");
    }
}

static enum lh_code run(sqlite3 *db, const char *sql, struct lh_error *err)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? LH_OK : fail_sqlite(db, err);
}

/* --- the file */

static void reader_free(struct reader *reader)
{
    sqlite3_finalize(reader->find);
    sqlite3_finalize(reader->mark);
    sqlite3_close(reader->db);
    free(reader);
}

void words_unref(struct words *words)
{
    if (!words || atomic_fetch_sub(&words->refs, 1) != 1)
        return;
    while (words->readers) {
        struct reader *next = words->readers->next;
        reader_free(words->readers);
        words->readers = next;
    }
    sqlite3_close(words->db);
    pthread_mutex_destroy(&words->lock);
    free(words->path);
    free(words);
}

static const char schema[] =
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = NORMAL;"
    "CREATE TABLE IF NOT EXISTS parts (number INTEGER PRIMARY KEY, key TEXT NOT NULL);"
    "CREATE VIRTUAL TABLE IF NOT EXISTS texts USING fts5(text, "
    "tokenize = 'porter unicode61 remove_diacritics 2');";

/* SQLite would make it readable for others; the files beside it get the same mode. */
static enum lh_code make_private(struct search_index *index, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_dir *dir = NULL;
    int fd = -1;
    struct lh_str folder =
        lh_arena_printf(arena, "%.*s/" SEARCH_FOLDER "/%s",
                        LH_ARG(storage_path(index->search->options.storage)), index->id.text);
    enum lh_code code = lh_dir_open(folder, false, &dir, err);
    if (!code)
        code = lh_file_create(dir, SEARCH_WORDS_NAME ".sqlite", &fd, err);
    if (!code)
        code = lh_file_close(fd, err);
    lh_dir_close(dir);
    lh_arena_free(arena);
    return code == LH_EXISTS ? LH_OK : code;
}

static enum lh_code open_file(struct words *words, struct lh_error *err)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX;
    if (sqlite3_open_v2(words->path, &words->db, flags, NULL) != SQLITE_OK)
        return fail_sqlite(words->db, err);
    sqlite3_busy_timeout(words->db, 10000);
    return run(words->db, schema, err);
}

static enum lh_code words_open(struct search_index *index, struct words **ret, struct lh_error *err)
{
    struct words *words = lh_allocate(1, sizeof *words);
    struct lh_str root = storage_path(index->search->options.storage);
    size_t size = root.len + 128;
    atomic_init(&words->refs, 1);
    pthread_mutex_init(&words->lock, NULL);
    words->path = lh_allocate(size, 1);
    snprintf(words->path, size, "%.*s/" SEARCH_FOLDER "/%s/" SEARCH_WORDS_NAME ".sqlite",
             LH_ARG(root), index->id.text);
    enum lh_code code = make_private(index, err);
    if (!code)
        code = open_file(words, err);
    if (code)
        words_unref(words);
    else
        *ret = words;
    return code;
}

static enum lh_code throw_away(struct search_index *index, struct lh_error *err)
{
    static const char *const ends[] = {".sqlite", ".sqlite-wal", ".sqlite-shm"};
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str keys[3];
    for (size_t i = 0; i < 3; i++)
        keys[i] = lh_arena_printf(arena, SEARCH_FOLDER "/%s/" SEARCH_WORDS_NAME "%s",
                                  index->id.text, ends[i]);
    enum lh_code code =
        storage_trash(index->search->options.storage, STORAGE_PRIMARY, keys, 3, err);
    lh_arena_free(arena);
    return code;
}

/* --- bringing it up to date */

static enum lh_code insert_text(sqlite3_stmt *insert, int64_t rowid, struct lh_str text,
                                struct lh_error *err)
{
    sqlite3_bind_int64(insert, 1, rowid);
    sqlite3_bind_text64(insert, 2, text.data ? text.data : "", text.len, SQLITE_STATIC,
                        SQLITE_UTF8);
    int step = sqlite3_step(insert);
    sqlite3_reset(insert);
    sqlite3_clear_bindings(insert);
    return step == SQLITE_DONE ? LH_OK : fail_sqlite(sqlite3_db_handle(insert), err);
}

static enum lh_code insert_entries(struct words *words, const struct view *view, size_t part,
                                   int64_t from, const struct lh_cancel *cancel,
                                   struct lh_error *err)
{
    const struct entries *entries = view->parts[part];
    sqlite3_stmt *insert = NULL;
    enum lh_code code = LH_OK;
    if (sqlite3_prepare_v2(words->db, "INSERT INTO texts (rowid, text) VALUES (?, ?)", -1, &insert,
                           NULL) != SQLITE_OK)
        return fail_sqlite(words->db, err);
    for (size_t i = 0; i < entries->count && !code; i++) {
        if (i % CANCEL_EVERY == 0)
            code = lh_cancel_fail(cancel, "The index", err);
        if (!code && entries->texts_of[i].len && !bit_is_set(view->dead, view->bases[part] + i))
            code = insert_text(insert, from + (int64_t)i, entries->texts_of[i], err);
    }
    sqlite3_finalize(insert);
    return code;
}

/* Entries that stand for nothing any more. */
static enum lh_code delete_dead(struct words *words, const struct view *view, size_t part_count,
                                struct lh_error *err)
{
    sqlite3_stmt *erase = NULL;
    enum lh_code code = LH_OK;
    if (sqlite3_prepare_v2(words->db, "DELETE FROM texts WHERE rowid = ?", -1, &erase, NULL) !=
        SQLITE_OK)
        return fail_sqlite(words->db, err);
    for (size_t part = 0; part < part_count && !code; part++) {
        for (size_t i = 0; i < view->parts[part]->count && !code; i++) {
            size_t ordinal = view->bases[part] + i;
            if (!bit_is_set(view->dead, ordinal))
                continue;
            sqlite3_bind_int64(erase, 1, (int64_t)ordinal + 1);
            if (sqlite3_step(erase) != SQLITE_DONE)
                code = fail_sqlite(words->db, err);
            sqlite3_reset(erase);
        }
    }
    sqlite3_finalize(erase);
    return code;
}

/* How many of the view's parts the file has; *ret_is_other: it has others. */
static enum lh_code count_parts(struct words *words, const struct view *view, size_t *ret,
                                bool *ret_is_other, struct lh_error *err)
{
    const struct index_part *parts = index_parts(view->manifest);
    sqlite3_stmt *list = NULL;
    int step = SQLITE_DONE;
    *ret = 0;
    *ret_is_other = false;
    if (sqlite3_prepare_v2(words->db, "SELECT key FROM parts ORDER BY number", -1, &list, NULL) !=
        SQLITE_OK)
        return fail_sqlite(words->db, err);
    while ((step = sqlite3_step(list)) == SQLITE_ROW) {
        struct lh_str key = {(const char *)sqlite3_column_text(list, 0),
                             (size_t)sqlite3_column_bytes(list, 0)};
        if (*ret >= view->part_count || !lh_str_equal(key, parts[*ret].key))
            *ret_is_other = true;
        ++*ret;
    }
    sqlite3_finalize(list);
    return step == SQLITE_DONE ? LH_OK : fail_sqlite(words->db, err);
}

static enum lh_code note_part(struct words *words, size_t number, struct lh_str key,
                              struct lh_error *err)
{
    sqlite3_stmt *note = NULL;
    if (sqlite3_prepare_v2(words->db, "INSERT INTO parts (number, key) VALUES (?, ?)", -1, &note,
                           NULL) != SQLITE_OK)
        return fail_sqlite(words->db, err);
    sqlite3_bind_int64(note, 1, (int64_t)number);
    sqlite3_bind_text64(note, 2, key.data, key.len, SQLITE_STATIC, SQLITE_UTF8);
    int step = sqlite3_step(note);
    sqlite3_finalize(note);
    return step == SQLITE_DONE ? LH_OK : fail_sqlite(words->db, err);
}

/* Each part in a transaction of its own, so that what was done is not done again after a kill. */
static enum lh_code apply_part(struct words *words, const struct view *view, size_t part,
                               const struct lh_cancel *cancel, struct lh_error *err)
{
    enum lh_code code = run(words->db, "BEGIN IMMEDIATE", err);
    if (code)
        return code;
    code = insert_entries(words, view, part, (int64_t)view->bases[part] + 1, cancel, err);
    if (!code)
        code = delete_dead(words, view, part, err);
    if (!code)
        code = note_part(words, part, index_parts(view->manifest)[part].key, err);
    if (!code)
        code = run(words->db, "COMMIT", err);
    if (code)
        sqlite3_exec(words->db, "ROLLBACK", NULL, NULL, NULL);
    return code;
}

/* What is fresh comes beside what was fresh before: a search may still read that. */
static enum lh_code apply_fresh(struct words *words, struct overlay *overlay,
                                const struct lh_cancel *cancel, struct lh_error *err)
{
    char sql[160];
    int64_t from = FRESH_FROM + ++words->fresh_turn * FRESH_SPAN;
    snprintf(sql, sizeof sql,
             "BEGIN IMMEDIATE; DELETE FROM texts WHERE rowid >= %lld AND rowid < %lld",
             (long long)FRESH_FROM, (long long)(from - FRESH_SPAN));
    enum lh_code code = run(words->db, sql, err);
    if (!code && overlay->fresh)
        code = insert_entries(words, overlay->fresh, 0, from, cancel, err);
    if (!code)
        code = run(words->db, "COMMIT", err);
    if (code)
        sqlite3_exec(words->db, "ROLLBACK", NULL, NULL, NULL);
    overlay->words_from = from;
    return code;
}

/* Of an earlier process: nobody reads them. */
static enum lh_code drop_fresh(struct words *words, struct lh_error *err)
{
    char sql[80];
    snprintf(sql, sizeof sql, "DELETE FROM texts WHERE rowid >= %lld", (long long)FRESH_FROM);
    return run(words->db, sql, err);
}

static enum lh_code bring_up(struct words *words, struct overlay *overlay,
                             const struct lh_cancel *cancel, struct lh_error *err)
{
    const struct view *view = overlay->view;
    size_t count = 0;
    bool is_other = false;
    enum lh_code code = count_parts(words, view, &count, &is_other, err);
    if (!code && is_other) {
        code = run(words->db, "BEGIN; DELETE FROM texts; DELETE FROM parts; COMMIT", err);
        count = 0;
    }
    for (; count < view->part_count && !code; count++)
        code = apply_part(words, view, count, cancel, err);
    if (!code && (overlay->fresh || words->fresh_turn))
        code = apply_fresh(words, overlay, cancel, err);
    return code;
}

enum lh_code words_catch_up(struct search_index *index, struct overlay *overlay,
                            const struct lh_cancel *cancel, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    const struct view *view = overlay->view;
    if (!view->manifest->text_columns.count || (!view->part_count && !index->words))
        return LH_OK; /* nothing to find, and no folder yet */
    for (int attempt = 0; attempt < 2; attempt++) {
        code = LH_OK;
        if (!index->words) {
            code = words_open(index, &index->words, err);
            if (!code)
                code = drop_fresh(index->words, err);
        }
        if (!code)
            code = bring_up(index->words, overlay, cancel, err);
        if (code != LH_DAMAGED)
            break;
        words_unref(index->words);
        index->words = NULL;
        if (throw_away(index, err))
            break;
    }
    if (!code) {
        atomic_fetch_add(&index->words->refs, 1);
        overlay->words = index->words;
    }
    return code;
}

/* --- what is asked */

/* Words so frequent in English that they tell nothing; left out while others are left. */
static bool is_stop_word(struct lh_str word)
{
    static const char *const stops[] = {"a",   "an",  "and",  "are",  "as",   "at",  "be",
                                        "by",  "for", "from", "has",  "in",   "is",  "it",
                                        "its", "of",  "on",   "or",   "that", "the", "this",
                                        "to",  "was", "were", "will", "with"};
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++)
        if (lh_str_equal_nocase(word, lh_str_of(stops[i])))
            return true;
    return false;
}

#define TERMS_MAX 64

struct term {
    struct lh_str text;
    bool is_phrase, is_beginning;
};

static bool is_space(char c)
{
    return (unsigned char)c <= ' ';
}

static size_t cut_terms(struct lh_str query, struct term *terms)
{
    size_t count = 0;
    for (size_t at = 0; at < query.len && count < TERMS_MAX;) {
        if (is_space(query.data[at])) {
            at++;
            continue;
        }
        struct term term = {.is_phrase = query.data[at] == '"'};
        size_t from = at + term.is_phrase, to = from;
        while (to < query.len &&
               (term.is_phrase ? query.data[to] != '"'
                               : !is_space(query.data[to]) && query.data[to] != '"'))
            to++;
        at = to + term.is_phrase;
        if (at < query.len && query.data[at] == '*' && term.is_phrase)
            term.is_beginning = true, at++;
        while (!term.is_phrase && to > from && query.data[to - 1] == '*')
            term.is_beginning = true, to--;
        term.text = lh_str_slice(query, from, to - from);
        if (term.text.len)
            terms[count++] = term;
    }
    return count;
}

static void write_term(struct lh_buf *buf, const struct term *term)
{
    lh_buf_append_char(buf, '"');
    for (size_t i = 0; i < term->text.len; i++)
        lh_buf_append_char(buf, is_space(term->text.data[i]) ? ' ' : term->text.data[i]);
    lh_buf_append_char(buf, '"');
    if (term->is_beginning)
        lh_buf_append_char(buf, '*');
}

static void write_either(struct lh_buf *buf, const struct term *terms, size_t count,
                         bool keeps_stops)
{
    bool is_first = true;
    for (size_t i = 0; i < count; i++) {
        if (!terms[i].is_phrase && !keeps_stops && is_stop_word(terms[i].text))
            continue;
        if (!is_first)
            lh_buf_append_str(buf, lh_lit(" OR "));
        write_term(buf, &terms[i]);
        is_first = false;
    }
}

/* Phrases must be there, words may: what has more of them, and rarer ones, comes first. All that
 * the caller writes stands in quotes, so nothing in it is syntax. False: there is nothing to look
 * for. */
static bool write_match(struct lh_str query, struct lh_buf *buf)
{
    struct term terms[TERMS_MAX];
    size_t count = cut_terms(query, terms), telling = 0;
    for (size_t i = 0; i < count; i++)
        telling += terms[i].is_phrase || !is_stop_word(terms[i].text);
    if (!count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!terms[i].is_phrase)
            continue;
        write_term(buf, &terms[i]);
        lh_buf_append_str(buf, lh_lit(" AND "));
    }
    lh_buf_append_char(buf, '(');
    write_either(buf, terms, count, telling == 0);
    lh_buf_append_char(buf, ')');
    return true;
}

/* --- reading */

static enum lh_code reader_open(struct words *words, struct reader **ret, struct lh_error *err)
{
    pthread_mutex_lock(&words->lock);
    struct reader *reader = words->readers;
    if (reader) {
        words->readers = reader->next;
        words->reader_count--;
    }
    pthread_mutex_unlock(&words->lock);
    if (reader) {
        *ret = reader;
        return LH_OK;
    }
    enum lh_code code = LH_OK;
    reader = lh_allocate(1, sizeof *reader);
    if (sqlite3_open_v2(words->path, &reader->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(reader->db, 10000) != SQLITE_OK ||
        sqlite3_prepare_v2(reader->db,
                           "SELECT rowid, -rank FROM texts WHERE texts MATCH ? ORDER BY rank", -1,
                           &reader->find, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(reader->db,
                           "SELECT highlight(texts, 0, '" HIGHLIGHT_MARK "', '" HIGHLIGHT_MARK
                           "') FROM texts WHERE texts MATCH ? AND rowid = ?",
                           -1, &reader->mark, NULL) != SQLITE_OK) {
        code = fail_sqlite(reader->db, err);
        reader_free(reader);
        return code;
    }
    *ret = reader;
    return LH_OK;
}

static void reader_rest(struct words *words, struct reader *reader)
{
    sqlite3_progress_handler(reader->db, 0, NULL, NULL);
    pthread_mutex_lock(&words->lock);
    bool is_kept = words->reader_count < READERS_KEPT;
    if (is_kept) {
        reader->next = words->readers;
        words->readers = reader;
        words->reader_count++;
    }
    pthread_mutex_unlock(&words->lock);
    if (!is_kept)
        reader_free(reader);
}

static int look_at_token(void *cancel)
{
    return lh_cancel_check(cancel) != LH_OK;
}

/* The entry of a row of the file, if it may be found. */
static bool place_of(const struct asking *asking, int64_t rowid, struct found *ret)
{
    const struct overlay *overlay = asking->pin.overlay;
    const struct view *view = overlay->view;
    size_t layer = 0, ordinal = (size_t)(rowid - 1), at = 0;
    if (rowid >= FRESH_FROM) {
        view = overlay->fresh;
        layer = 1;
        if (!view || rowid < overlay->words_from)
            return false;
        ordinal = (size_t)(rowid - overlay->words_from);
    }
    if (ordinal >= view->span || bit_is_set(asking->layers[layer].hidden, ordinal))
        return false;
    const struct entries *part = view_entry(view, ordinal, &at);
    *ret = (struct found){
        .layer = layer, .ordinal = ordinal, .row = ordinal - (size_t)part->chunks[at]};
    return true;
}

static enum lh_code read_hits(struct asking *asking, sqlite3_stmt *find, size_t want,
                              struct found_list *ret, struct lh_error *err)
{
    size_t capacity = want * 2 + 64;
    struct found_list list = {calloc(capacity, sizeof(struct found)), 0};
    struct found *items = list.items;
    int step = SQLITE_DONE;
    if (!items)
        return lh_fail(err, LH_BUSY, "There is no memory for the search.");
    while ((step = sqlite3_step(find)) == SQLITE_ROW) {
        struct found found;
        double score = sqlite3_column_double(find, 1);
        /* Ties are told apart by id, so all of them are read. */
        if (list.count >= want && score < items[list.count - 1].score) {
            found_settle(asking, &list, want);
            if (list.count >= want)
                break;
        }
        if (!place_of(asking, sqlite3_column_int64(find, 0), &found))
            continue;
        if (list.count == capacity) {
            struct found *grown = realloc(items, (capacity *= 2) * sizeof *grown);
            if (!grown)
                break;
            items = list.items = grown;
        }
        found.score = score;
        items[list.count++] = found;
    }
    enum lh_code code = step == SQLITE_DONE || step == SQLITE_ROW
                            ? LH_OK
                            : fail_sqlite(sqlite3_db_handle(find), err);
    found_settle(asking, &list, want);
    if (!code) {
        ret->items = lh_arena_array(asking->arena, list.count + 1, sizeof(struct found));
        if (list.count)
            memcpy(ret->items, items, list.count * sizeof(struct found));
        ret->count = list.count;
    }
    free(items);
    return code;
}

enum lh_code leg_by_words(struct asking *asking, size_t want, struct found_list *ret,
                          struct lh_error *err)
{
    struct words *words = asking->pin.overlay->words;
    struct reader *reader = NULL;
    struct lh_buf match;
    enum lh_code code = LH_OK;
    *ret = (struct found_list){0};
    lh_buf_init(&match, SEARCH_QUERY_BYTES_MAX * 4);
    if (!words || !want || !write_match(asking->ask->query, &match)) {
        lh_buf_release(&match);
        return LH_OK;
    }
    code = lh_buf_check(&match, "The query", err);
    if (!code)
        code = reader_open(words, &reader, err);
    if (!code) {
        sqlite3_progress_handler(reader->db, PROGRESS_STEPS, look_at_token,
                                 (void *)(uintptr_t)asking->cancel);
        sqlite3_bind_text64(reader->find, 1, match.data, match.len, SQLITE_STATIC, SQLITE_UTF8);
        code = read_hits(asking, reader->find, want, ret, err);
        sqlite3_reset(reader->find);
        reader_rest(words, reader);
        if (code == LH_CANCELLED)
            code = lh_cancel_fail(asking->cancel, "The search", err);
    }
    lh_buf_release(&match);
    return code;
}

void words_highlight(struct asking *asking, const struct found *found, struct search_hit *hits,
                     size_t count)
{
    struct words *words = asking->pin.overlay->words;
    struct reader *reader = NULL;
    struct lh_error ignored = LH_ERROR_NONE;
    struct lh_buf match;
    lh_buf_init(&match, SEARCH_QUERY_BYTES_MAX * 4);
    /* A hit without its marks is still that hit. */
    if (words && write_match(asking->ask->query, &match) && !match.is_over &&
        !reader_open(words, &reader, &ignored)) {
        for (size_t i = 0; i < count; i++) {
            int64_t rowid = found[i].layer
                                ? asking->pin.overlay->words_from + (int64_t)found[i].ordinal
                                : (int64_t)found[i].ordinal + 1;
            sqlite3_bind_text64(reader->mark, 1, match.data, match.len, SQLITE_STATIC, SQLITE_UTF8);
            sqlite3_bind_int64(reader->mark, 2, rowid);
            if (sqlite3_step(reader->mark) == SQLITE_ROW)
                hits[i].highlight =
                    lh_arena_str(asking->arena,
                                 (struct lh_str){(const char *)sqlite3_column_text(reader->mark, 0),
                                                 (size_t)sqlite3_column_bytes(reader->mark, 0)});
            sqlite3_reset(reader->mark);
        }
        reader_rest(words, reader);
    }
    lh_buf_release(&match);
}
