/* What the files of the keyword leg share. Inside search/ only.
 *
 *   text ── words_register's tokenizer ──▶ FTS5 file (words.c)
 *   query ── terms_cut ──▶ terms ── terms_write ──▶ MATCH ──▶ evidence of every row (words_rank.c)
 */
#ifndef LAKEHOUSE_SEARCH_WORDS_H
#define LAKEHOUSE_SEARCH_WORDS_H

#include <sqlite3.h>

#include "search/asking.h"

/* --- words.c: the file -------------------------------------------------------------------------*/

#define FRESH_FROM (INT64_C(1) << 40) /* rows from here on are fresh */

struct reader {
    struct reader *next;
    sqlite3 *db;
    sqlite3_stmt *find; /* rowid, of rows that match ?1; leaves evidence in ?2 */
    sqlite3_stmt *mark; /* the text of row ?2, what matches ?1 marked */
};

struct words {
    atomic_size_t refs;
    struct storage *storage;
    char *path;
    const char *key; /* the end of path */
    int64_t generation;
    char language[32];
    bool is_replaced;      /* goes when nobody reads it any more; under the index's load_lock */
    atomic_bool is_broken; /* a search found that it is not what was written */
    sqlite3 *db;           /* the writer's; under the index's load_lock */
    int64_t fresh_turn;
    pthread_mutex_t lock; /* guards the readers that rest */
    struct reader *readers;
    size_t reader_count;
};

enum lh_code words_fail(sqlite3 *db, struct lh_error *err);
enum lh_code reader_open(struct words *words, struct reader **ret,
                         struct lh_error *err) LH_MUST_USE;
void reader_rest(struct words *words, struct reader *reader);

/* --- words_pages.c: pages with checksums -------------------------------------------------------*/

#define WORDS_PAGE_BYTES 4096
/* As sqlite3_open_v2, which also says how *ret ends. A statement that meets a page which is not
 * what was written fails. */
int words_pages_open(const char *path, int flags, sqlite3 **ret) LH_MUST_USE;
/* Whether one has, however it failed: SQLite and FTS5 have many words for it. False for NULL. */
bool words_pages_damaged(sqlite3 *db);

/* --- words_stem.c: words of a language ---------------------------------------------------------*/

#define WORDS_TOKENIZER "stemmed" /* takes the language's name */

/* Makes the tokenizer and `evidence` known to a connection. */
enum lh_code words_register(sqlite3 *db, struct lh_error *err) LH_MUST_USE;

/* --- words_terms.c: what a query asks for ------------------------------------------------------*/

#define TERMS_MAX 64

struct term {
    struct lh_str text;
    bool is_phrase, is_beginning;
};
struct terms {
    struct term items[TERMS_MAX];
    size_t count;
    size_t phrases; /* the first so many must be there */
};

/* Words, "phrases", beginnings*. What has no letter or digit is left out, and words that tell
 * nothing in that language, unless there are no others; nothing twice. Borrows the query. */
void terms_cut(struct lh_str query, struct lh_str language, struct terms *ret);
/* Phrases must be there, words may: what has more of them, and rarer ones, comes first. All that
 * the caller wrote stands in quotes, so nothing in it is syntax. */
void terms_write(const struct terms *terms, struct lh_buf *match);

/* --- words_rank.c: how well a row answers ------------------------------------------------------*/

/* What evidence(texts, ?) needs and leaves; bound as a pointer of that name. Set terms and phrases,
 * the rest zero. `now` is of the row that the statement stands on. */
#define WORDS_WEIGHING "weighing"
struct weighing {
    size_t phrases, terms; /* as written by terms_write */
    bool is_prepared;
    double idf[TERMS_MAX];
    double idf_sum;
    double average; /* words of a row */
    struct evidence now;
};
/* The function that FTS5 calls. */
void words_weigh(const Fts5ExtensionApi *api, Fts5Context *context, sqlite3_context *result,
                 int count, sqlite3_value **values);

#endif
