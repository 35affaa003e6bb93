/* The file of the keyword leg: one of SQLite's FTS5 per index, generation and language, derived
 * from the parts.
 *
 * A row of it is a chunk; those of a part stand side by side, from where the part's row in `parts`
 * says, and chunks that are not in the index yet above FRESH_FROM. Which parts are in it, and which
 * version of the index and of the dataset that makes, is written in the same transaction, so that
 * it is never wrong, only behind: words_catch_up adds what is missing, and a file that cannot be
 * used is thrown away and made anew. What stands in it and may not be found (rows that are gone,
 * other rows than the filter's) is passed over while hits are read; it is erased when no search can
 * be at work that still may find it.
 */
#include <stdlib.h>

#include "base/file.h"
#include "search/words.h"

#define FRESH_SPAN (INT64_C(1) << 24) /* more than an overlay ever holds */
#define READERS_KEPT 8
#define CANCEL_EVERY 512
#define HIGHLIGHT_MARK "**"

enum lh_code words_fail(sqlite3 *db, struct lh_error *err)
{
    int code = db ? sqlite3_extended_errcode(db) : SQLITE_NOMEM;
    switch (words_pages_damaged(db) ? SQLITE_CORRUPT : code & 255) {
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
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? LH_OK : words_fail(db, err);
}

/* --- the file */

static void reader_free(struct reader *reader)
{
    sqlite3_finalize(reader->find);
    sqlite3_finalize(reader->mark);
    sqlite3_close(reader->db);
    free(reader);
}

static enum lh_code throw_away(struct storage *storage, struct lh_str key, struct lh_error *err)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str keys[3];
    for (size_t i = 0; i < 3; i++)
        keys[i] = lh_arena_printf(arena, "%.*s%s", LH_ARG(key), ends[i]);
    enum lh_code code = storage_trash(storage, STORAGE_PRIMARY, keys, 3, err);
    lh_arena_free(arena);
    return code;
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
    /* What stays behind, the next opening moves. */
    if (words->is_replaced)
        forgive(throw_away(words->storage, lh_str_of(words->key), &(struct lh_error)LH_ERROR_NONE));
    pthread_mutex_destroy(&words->lock);
    free(words->path);
    free(words);
}

#define WORDS_FORMAT "3" /* stands in the name: one of an earlier release is made anew */
#define TEXT_OF(number) #number
#define PAGE_SIZE(bytes) "PRAGMA page_size = " TEXT_OF(bytes) ";"

static const char schema[] =
    PAGE_SIZE(WORDS_PAGE_BYTES) "PRAGMA journal_mode = WAL;"
                                "PRAGMA synchronous = NORMAL;"
                                "CREATE TABLE IF NOT EXISTS parts (first INTEGER PRIMARY KEY, "
                                "entries INTEGER NOT NULL, "
                                "key TEXT NOT NULL UNIQUE);"
                                "CREATE TABLE IF NOT EXISTS applied (one INTEGER PRIMARY KEY CHECK "
                                "(one = 1), "
                                "index_version INTEGER NOT NULL, dataset_version INTEGER NOT NULL);"
                                "CREATE VIRTUAL TABLE IF NOT EXISTS texts USING fts5(text, "
                                "tokenize = '" WORDS_TOKENIZER " %s');";

static struct lh_str file_key(const struct index_manifest *manifest, struct lh_arena *arena)
{
    return lh_arena_printf(
        arena, SEARCH_FOLDER "/%.*s/" SEARCH_WORDS_NAME WORDS_FORMAT "-%lld-%.*s.sqlite",
        LH_ARG(manifest->id), (long long)manifest->generation, LH_ARG(manifest->language));
}

bool words_is_file_of(const struct index_manifest *manifest, struct lh_str key)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str own = file_key(manifest, arena);
    bool is_own = lh_str_starts_with(key, own); /* -wal and -shm stand beside it */
    lh_arena_free(arena);
    return is_own;
}

bool words_is_older_file(const struct index_manifest *manifest, struct lh_str key)
{
    struct lh_arena *arena = lh_arena_new(0);
    int64_t generation = 0;
    struct lh_str begin = lh_arena_printf(
        arena, SEARCH_FOLDER "/%.*s/" SEARCH_WORDS_NAME WORDS_FORMAT "-", LH_ARG(manifest->id));
    bool is_older = lh_str_starts_with(key, begin);
    size_t at = begin.len;
    for (; is_older && at < key.len && at < begin.len + 18 && key.data[at] >= '0' &&
           key.data[at] <= '9';
         at++)
        generation = 10 * generation + (key.data[at] - '0');
    is_older = is_older && at > begin.len && generation < manifest->generation;
    lh_arena_free(arena);
    return is_older;
}

/* SQLite would make it readable for others; the files beside it get the same mode. */
static enum lh_code make_private(const struct words *words, struct lh_error *err)
{
    struct lh_dir *dir = NULL;
    int fd = -1;
    const char *name = strrchr(words->path, '/') + 1;
    struct lh_str folder = {words->path, (size_t)(name - words->path) - 1};
    enum lh_code code = lh_dir_open(folder, false, &dir, err);
    if (!code)
        code = lh_file_create(dir, name, &fd, err);
    if (!code)
        code = lh_file_close(fd, err);
    lh_dir_close(dir);
    return code == LH_EXISTS ? LH_OK : code;
}

static enum lh_code open_file(struct words *words, struct lh_error *err)
{
    char sql[sizeof schema + 64];
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX;
    if (words_pages_open(words->path, flags, &words->db) != SQLITE_OK)
        return words_fail(words->db, err);
    sqlite3_busy_timeout(words->db, 10000);
    snprintf(sql, sizeof sql, schema, words->language);
    enum lh_code code = words_register(words->db, err);
    return code ? code : run(words->db, sql, err);
}

static enum lh_code words_open(struct search_index *index, const struct index_manifest *manifest,
                               struct words **ret, struct lh_error *err)
{
    struct words *words = lh_allocate(1, sizeof *words);
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str key = file_key(manifest, arena);
    struct lh_str root = storage_path(index->search->options.storage);
    size_t size = root.len + key.len + 2;
    atomic_init(&words->refs, 1);
    pthread_mutex_init(&words->lock, NULL);
    words->storage = index->search->options.storage;
    words->generation = manifest->generation;
    snprintf(words->language, sizeof words->language, "%.*s", LH_ARG(manifest->language));
    words->path = lh_allocate(size, 1);
    snprintf(words->path, size, "%.*s/%.*s", LH_ARG(root), LH_ARG(key));
    words->key = words->path + root.len + 1;
    lh_arena_free(arena);
    enum lh_code code = make_private(words, err);
    if (!code)
        code = open_file(words, err);
    if (code)
        words_unref(words);
    else
        *ret = words;
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
    return step == SQLITE_DONE ? LH_OK : words_fail(sqlite3_db_handle(insert), err);
}

/* `dead`: bit per entry of what is left out; NULL: none. */
static enum lh_code insert_entries(struct words *words, const struct entries *entries,
                                   const uint64_t *dead, int64_t from,
                                   const struct lh_cancel *cancel, struct lh_error *err)
{
    sqlite3_stmt *insert = NULL;
    enum lh_code code = LH_OK;
    if (sqlite3_prepare_v2(words->db, "INSERT INTO texts (rowid, text) VALUES (?, ?)", -1, &insert,
                           NULL) != SQLITE_OK)
        return words_fail(words->db, err);
    for (size_t i = 0; i < entries->count && !code; i++) {
        if (i % CANCEL_EVERY == 0)
            code = lh_cancel_fail(cancel, "The index", err);
        if (!code && entries->texts_of[i].len && !bit_is_set(dead, i))
            code = insert_text(insert, from + (int64_t)i, entries->texts_of[i], err);
    }
    sqlite3_finalize(insert);
    return code;
}

/* Entries of the parts that are in the file and stand for nothing any more. */
static enum lh_code delete_dead(struct words *words, const struct view *view, const int64_t *firsts,
                                struct lh_error *err)
{
    sqlite3_stmt *erase = NULL;
    enum lh_code code = LH_OK;
    if (sqlite3_prepare_v2(words->db, "DELETE FROM texts WHERE rowid = ?", -1, &erase, NULL) !=
        SQLITE_OK)
        return words_fail(words->db, err);
    for (size_t part = 0; part < view->part_count && !code; part++) {
        for (size_t i = 0; i < view->parts[part]->count && !code; i++) {
            if (!firsts[part] || !bit_is_set(view->dead, view->bases[part] + i))
                continue;
            sqlite3_bind_int64(erase, 1, firsts[part] + (int64_t)i);
            if (sqlite3_step(erase) != SQLITE_DONE)
                code = words_fail(words->db, err);
            sqlite3_reset(erase);
        }
    }
    sqlite3_finalize(erase);
    return code;
}

/* A part in the file that the view does not have. */
struct stranger {
    int64_t first, entries;
};

/* What is in the file, and where. */
struct contents {
    int64_t *firsts; /* by the number of the view's part; 0: it is not there */
    size_t missing;
    struct stranger *strangers;
    size_t stranger_count;
    int64_t next; /* no part stands there or later */
};

static void place_part(struct contents *contents, const struct view *view, struct lh_str key,
                       const struct stranger *row, struct lh_arena *arena)
{
    const struct index_part *parts = index_parts(view->manifest);
    size_t at = 0, count = contents->stranger_count;
    while (at < view->part_count && !lh_str_equal(parts[at].key, key))
        at++;
    if (row->first + row->entries > contents->next)
        contents->next = row->first + row->entries;
    if (at < view->part_count) {
        contents->missing -= contents->firsts[at] == 0;
        contents->firsts[at] = row->first;
        return;
    }
    if ((count & (count - 1)) == 0) { /* a power of two: it is full */
        struct stranger *grown = lh_arena_array(arena, count ? count * 2 : 1, sizeof *grown);
        if (count)
            memcpy(grown, contents->strangers, count * sizeof *grown);
        contents->strangers = grown;
    }
    contents->strangers[contents->stranger_count++] = *row;
}

static enum lh_code read_contents(struct words *words, const struct view *view,
                                  struct lh_arena *arena, struct contents *ret,
                                  struct lh_error *err)
{
    sqlite3_stmt *list = NULL;
    int step = SQLITE_DONE;
    *ret = (struct contents){.missing = view->part_count, .next = 1};
    ret->firsts = lh_arena_array(arena, view->part_count + 1, sizeof *ret->firsts);
    if (sqlite3_prepare_v2(words->db, "SELECT first, entries, key FROM parts ORDER BY first", -1,
                           &list, NULL) != SQLITE_OK)
        return words_fail(words->db, err);
    while ((step = sqlite3_step(list)) == SQLITE_ROW) {
        struct lh_str key = {(const char *)sqlite3_column_text(list, 2),
                             (size_t)sqlite3_column_bytes(list, 2)};
        const struct stranger row = {sqlite3_column_int64(list, 0), sqlite3_column_int64(list, 1)};
        place_part(ret, view, key, &row, arena);
    }
    sqlite3_finalize(list);
    return step == SQLITE_DONE ? LH_OK : words_fail(words->db, err);
}

static enum lh_code note_part(struct words *words, int64_t first, const struct index_part *part,
                              struct lh_error *err)
{
    sqlite3_stmt *note = NULL;
    if (sqlite3_prepare_v2(words->db, "INSERT INTO parts (first, entries, key) VALUES (?, ?, ?)",
                           -1, &note, NULL) != SQLITE_OK)
        return words_fail(words->db, err);
    sqlite3_bind_int64(note, 1, first);
    sqlite3_bind_int64(note, 2, part->entries);
    sqlite3_bind_text64(note, 3, part->key.data, part->key.len, SQLITE_STATIC, SQLITE_UTF8);
    int step = sqlite3_step(note);
    sqlite3_finalize(note);
    return step == SQLITE_DONE ? LH_OK : words_fail(words->db, err);
}

static enum lh_code note_applied(struct words *words, const struct index_manifest *manifest,
                                 struct lh_error *err)
{
    char sql[160];
    snprintf(sql, sizeof sql, "REPLACE INTO applied VALUES (1, %lld, %lld)",
             (long long)manifest->version, (long long)manifest->dataset_version);
    return run(words->db, sql, err);
}

/* Ends a transaction: all of it, or nothing. */
static enum lh_code settle(struct words *words, enum lh_code code, struct lh_error *err)
{
    if (!code)
        code = run(words->db, "COMMIT", err);
    if (code)
        sqlite3_exec(words->db, "ROLLBACK", NULL, NULL, NULL);
    return code;
}

/* Each part in a transaction of its own, so that what was done is not done again after a kill. */
static enum lh_code apply_part(struct words *words, const struct view *view, size_t part,
                               struct contents *contents, bool is_alone,
                               const struct lh_cancel *cancel, struct lh_error *err)
{
    const struct index_part *about = &index_parts(view->manifest)[part];
    int64_t first = contents->next;
    enum lh_code code = run(words->db, "BEGIN IMMEDIATE", err);
    if (code)
        return code;
    code = insert_entries(words, view->parts[part], view->dead + view->bases[part] / 64, first,
                          cancel, err);
    if (!code && is_alone && contents->missing == 1)
        code = delete_dead(words, view, contents->firsts, err);
    if (!code)
        code = note_part(words, first, about, err);
    if (!code && contents->missing == 1)
        code = note_applied(words, view->manifest, err);
    code = settle(words, code, err);
    if (code)
        return code;
    contents->firsts[part] = first;
    contents->next = first + about->entries;
    contents->missing--;
    return LH_OK;
}

/* Parts that were merged into others, or of another life of this file: no search can be at work
 * that still finds them. */
static enum lh_code drop_strangers(struct words *words, const struct contents *contents,
                                   const struct lh_cancel *cancel, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < contents->stranger_count && !code; i++) {
        const struct stranger *gone = &contents->strangers[i];
        char sql[240];
        snprintf(sql, sizeof sql,
                 "DELETE FROM texts WHERE rowid >= %lld AND rowid < %lld;"
                 "DELETE FROM parts WHERE first = %lld",
                 (long long)gone->first, (long long)(gone->first + gone->entries),
                 (long long)gone->first);
        code = lh_cancel_fail(cancel, "The index", err);
        if (!code)
            code = run(words->db, "BEGIN IMMEDIATE", err);
        if (!code)
            code = settle(words, run(words->db, sql, err), err);
    }
    return code;
}

/* What is fresh comes beside what was fresh before, as long as a search may still read that. */
static enum lh_code apply_fresh(struct words *words, struct overlay *overlay, bool is_alone,
                                const struct lh_cancel *cancel, struct lh_error *err)
{
    char sql[160];
    int64_t from = FRESH_FROM + ++words->fresh_turn * FRESH_SPAN;
    snprintf(sql, sizeof sql,
             "BEGIN IMMEDIATE; DELETE FROM texts WHERE rowid >= %lld AND rowid < %lld",
             (long long)FRESH_FROM, (long long)(is_alone ? from : FRESH_FROM));
    enum lh_code code = run(words->db, sql, err);
    if (!code && overlay->fresh)
        code = insert_entries(words, overlay->fresh->parts[0], overlay->fresh->dead, from, cancel,
                              err);
    code = settle(words, code, err);
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

static int compare_places(const void *a, const void *b)
{
    const struct words_place *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

static void note_places(struct overlay *overlay, const struct contents *contents)
{
    size_t count = overlay->view->part_count;
    struct words_place *places = lh_arena_array(overlay->arena, count + 1, sizeof *places);
    int64_t *firsts = lh_arena_array(overlay->arena, count + 1, sizeof *firsts);
    for (size_t i = 0; i < count; i++) {
        firsts[i] = contents->firsts[i];
        places[i] = (struct words_place){firsts[i], i};
    }
    qsort(places, count, sizeof *places, compare_places);
    overlay->words_places = places;
    overlay->words_first_of = firsts;
}

static enum lh_code bring_up(struct words *words, struct overlay *overlay, bool is_alone,
                             const struct lh_cancel *cancel, struct lh_error *err)
{
    const struct view *view = overlay->view;
    struct contents contents;
    enum lh_code code = read_contents(words, view, overlay->arena, &contents, err);
    if (!code && is_alone)
        code = drop_strangers(words, &contents, cancel, err);
    if (!code && !contents.missing)
        code = note_applied(words, view->manifest, err);
    for (size_t i = 0; i < view->part_count && !code; i++)
        if (!contents.firsts[i])
            code = apply_part(words, view, i, &contents, is_alone, cancel, err);
    if (!code && (overlay->fresh || words->fresh_turn))
        code = apply_fresh(words, overlay, is_alone, cancel, err);
    if (!code)
        note_places(overlay, &contents);
    return code;
}

/* No search that began earlier is at work with this file: what was loaded before is taken away, so
 * that it is not handed out any more, and nobody else holds it. */
static bool become_alone(struct search_index *index)
{
    struct overlay *taken = NULL;
    pthread_mutex_lock(&index->search->lock);
    struct overlay *old = index->overlay;
    size_t refs = old && old->words == index->words ? 2 : 1;
    bool is_alone =
        (!old || atomic_load(&old->refs) == 1) && atomic_load(&index->words->refs) <= refs;
    if (is_alone) {
        taken = old;
        index->overlay = NULL;
    }
    pthread_mutex_unlock(&index->search->lock);
    overlay_unref(taken);
    return is_alone;
}

/* One that cannot be used makes room for a new one. */
static enum lh_code replace_broken(struct search_index *index,
                                   const struct index_manifest *manifest, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct words *broken = index->words;
    index->words = NULL;
    enum lh_code code = throw_away(index->search->options.storage, file_key(manifest, arena), err);
    words_unref(broken);
    lh_arena_free(arena);
    return code;
}

static enum lh_code ensure_open(struct search_index *index, const struct index_manifest *manifest,
                                struct lh_error *err)
{
    struct words *words = index->words;
    if (words && atomic_load(&words->is_broken)) {
        enum lh_code gone = replace_broken(index, manifest, err);
        if (gone)
            return gone;
        words = NULL;
    }
    if (words && words->generation == manifest->generation &&
        lh_str_equal(lh_str_of(words->language), manifest->language))
        return LH_OK;
    if (words)
        words->is_replaced = true;
    words_unref(words);
    index->words = NULL;
    enum lh_code code = words_open(index, manifest, &index->words, err);
    return code ? code : drop_fresh(index->words, err);
}

bool words_is_broken(const struct words *words)
{
    return words && atomic_load(&words->is_broken);
}

enum lh_code words_catch_up(struct search_index *index, struct overlay *overlay,
                            const struct lh_cancel *cancel, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    const struct view *view = overlay->view;
    if (!view->manifest->text_columns.count || (!view->part_count && !index->words))
        return LH_OK; /* nothing to find, and no folder yet */
    for (int attempt = 0; attempt < 2; attempt++) {
        code = ensure_open(index, view->manifest, err);
        if (!code)
            code = bring_up(index->words, overlay, become_alone(index), cancel, err);
        if (code != LH_DAMAGED || replace_broken(index, view->manifest, err))
            break;
    }
    if (!code) {
        atomic_fetch_add(&index->words->refs, 1);
        overlay->words = index->words;
    }
    return code;
}

/* --- reading */

enum lh_code reader_open(struct words *words, struct reader **ret, struct lh_error *err)
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
    if (words_pages_open(words->path, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, &reader->db) !=
            SQLITE_OK ||
        sqlite3_busy_timeout(reader->db, 10000) != SQLITE_OK ||
        words_register(reader->db, err) != LH_OK ||
        sqlite3_prepare_v2(reader->db,
                           "SELECT rowid, evidence(texts, ?2) FROM texts WHERE texts MATCH ?1", -1,
                           &reader->find, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(reader->db,
                           "SELECT highlight(texts, 0, '" HIGHLIGHT_MARK "', '" HIGHLIGHT_MARK
                           "') FROM texts WHERE texts MATCH ? AND rowid = ?",
                           -1, &reader->mark, NULL) != SQLITE_OK) {
        code = words_fail(reader->db, err);
        reader_free(reader);
        return code;
    }
    *ret = reader;
    return LH_OK;
}

void reader_rest(struct words *words, struct reader *reader)
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
