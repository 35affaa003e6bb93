/* Words and their stems: what unicode61 cuts, each as its stem in the index's language, without
 * accents. The word itself stands beside its stem, for beginnings*: nobody knows where a stem ends.
 */
#include <assert.h>
#include <libstemmer.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "search/words.h"

#define TOKEN_BYTES_MAX 128 /* the rest of a longer one is not looked at */

struct tokenizer {
    fts5_tokenizer cutter;
    Fts5Tokenizer *cut;
    struct sb_stemmer *stemmer; /* NULL: words stay as they are */
};

/* One call of the cutter. */
struct cutting {
    struct tokenizer *tokenizer;
    void *context;
    int flags;
    int (*put)(void *context, int flags, const char *token, int length, int start, int end);
};

static void tokenizer_free(Fts5Tokenizer *handle)
{
    struct tokenizer *tokenizer = (struct tokenizer *)handle;
    if (tokenizer->cut)
        tokenizer->cutter.xDelete(tokenizer->cut);
    sb_stemmer_delete(tokenizer->stemmer);
    free(tokenizer);
}

static int tokenizer_new(void *context, const char **args, int count, Fts5Tokenizer **ret)
{
    static const char *cut_args[] = {"remove_diacritics", "0"};
    fts5_api *api = context;
    void *cut_context = NULL;
    struct tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
    if (!tokenizer)
        return SQLITE_NOMEM;
    int code = api->xFindTokenizer(api, "unicode61", &cut_context, &tokenizer->cutter);
    if (code == SQLITE_OK)
        code = tokenizer->cutter.xCreate(cut_context, cut_args, 2, &tokenizer->cut);
    if (code == SQLITE_OK && count && strcmp(args[0], "none") != 0 &&
        !(tokenizer->stemmer = sb_stemmer_new(args[0], NULL)))
        code = SQLITE_ERROR;
    if (code == SQLITE_OK)
        *ret = (Fts5Tokenizer *)tokenizer;
    else
        tokenizer_free((Fts5Tokenizer *)tokenizer);
    return code;
}

/* Without accents, so that cafe finds café; a word that is no text any more stays as it is. */
static size_t plain(const char *word, size_t length, char *ret)
{
    utf8proc_uint8_t *mapped = NULL;
    size_t at = 0;
    while (at < length && (unsigned char)word[at] < 128)
        at++;
    utf8proc_ssize_t count =
        at < length ? utf8proc_map((const utf8proc_uint8_t *)word, (utf8proc_ssize_t)length,
                                   &mapped, UTF8PROC_STRIPMARK | UTF8PROC_COMPOSE)
                    : 0;
    bool is_mapped = count > 0 && count <= TOKEN_BYTES_MAX;
    memcpy(ret, is_mapped ? (const char *)mapped : word, is_mapped ? (size_t)count : length);
    free(mapped);
    return is_mapped ? (size_t)count : length;
}

static size_t cut_short(const char *word, size_t length)
{
    if (length <= TOKEN_BYTES_MAX)
        return length;
    length = TOKEN_BYTES_MAX;
    while (length && ((unsigned char)word[length] & 0xC0) == 0x80)
        length--;
    return length;
}

static int take_word(void *context, int flags, const char *word, int bytes, int start, int end)
{
    const struct cutting *cutting = context;
    struct sb_stemmer *stemmer = cutting->tokenizer->stemmer;
    char whole[TOKEN_BYTES_MAX], stem[TOKEN_BYTES_MAX];
    size_t length = cut_short(word, (size_t)bytes), stem_length = 0;
    size_t whole_length = plain(word, length, whole);
    if (cutting->flags & FTS5_TOKENIZE_PREFIX || !stemmer)
        return cutting->put(cutting->context, flags, whole, (int)whole_length, start, end);
    const sb_symbol *stemmed = sb_stemmer_stem(stemmer, (const sb_symbol *)word, (int)length);
    if (!stemmed)
        return SQLITE_NOMEM;
    int stemmed_length = sb_stemmer_length(stemmer);
    /* Stems may be longer than their words by a letter or two, in some languages. */
    stem_length = plain((const char *)stemmed,
                        cut_short((const char *)stemmed, (size_t)stemmed_length), stem);
    int code = cutting->put(cutting->context, flags, stem, (int)stem_length, start, end);
    bool is_same = stem_length == whole_length && memcmp(stem, whole, whole_length) == 0;
    if (code != SQLITE_OK || is_same || !(cutting->flags & FTS5_TOKENIZE_DOCUMENT))
        return code;
    return cutting->put(cutting->context, flags | FTS5_TOKEN_COLOCATED, whole, (int)whole_length,
                        start, end);
}

static int tokenize(Fts5Tokenizer *handle, void *context, int flags, const char *text, int length,
                    int (*put)(void *context, int flags, const char *token, int length, int start,
                               int end))
{
    struct tokenizer *tokenizer = (struct tokenizer *)handle;
    struct cutting cutting = {tokenizer, context, flags, put};
    return tokenizer->cutter.xTokenize(tokenizer->cut, &cutting, flags, text, length, take_word);
}

static enum lh_code find_api(sqlite3 *db, fts5_api **ret, struct lh_error *err)
{
    sqlite3_stmt *ask = NULL;
    *ret = NULL;
    if (sqlite3_prepare_v2(db, "SELECT fts5(?)", -1, &ask, NULL) == SQLITE_OK) {
        sqlite3_bind_pointer(ask, 1, (void *)ret, "fts5_api_ptr", NULL);
        sqlite3_step(ask);
    }
    sqlite3_finalize(ask);
    return *ret ? LH_OK : lh_fail(err, LH_IO, "This machine's SQLite has no full-text search.");
}

enum lh_code words_register(sqlite3 *db, struct lh_error *err)
{
    fts5_api *api = NULL;
    fts5_tokenizer rows = {tokenizer_new, tokenizer_free, tokenize};
    enum lh_code code = find_api(db, &api, err);
    assert(code || api);
    if (!code && (api->xCreateTokenizer(api, WORDS_TOKENIZER, api, &rows, NULL) != SQLITE_OK ||
                  api->xCreateFunction(api, "evidence", NULL, words_weigh, NULL) != SQLITE_OK))
        code = lh_fail(err, LH_BUSY, "There is no memory for the keyword leg.");
    return code;
}
