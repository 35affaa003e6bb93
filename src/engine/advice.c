/* The library's words made ours where they speak of its insides, and what may help where it only
 * says that the grammar stumbled. */
#include "engine/internal.h"

struct wording {
    const char *theirs;
    const char *ours;
};

/* At the beginning of a line: there no text of the caller's stands. */
static const struct wording beginnings[] = {
    {"Values list \"", "Table \""}, /* what a dataset's name was replaced by */
    {"Candidate bindings: : ", "Similar names: "},
    {"Candidate bindings: ", "Similar names: "},
    {"Candidate tables: ", "Similar names: "},
};

static const struct wording endings[] = {
    {" not found in FROM clause!", " not found in what FROM names."},
    {" not found!", " not found."},
};

void advice_reword(struct lh_str line, struct lh_buf *ret)
{
    const char *ending = "";
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++) {
        struct lh_str theirs = lh_str_of(beginnings[i].theirs);
        if (lh_str_starts_with(line, theirs)) {
            lh_buf_append_str(ret, lh_str_of(beginnings[i].ours));
            line = lh_str_slice(line, theirs.len, line.len);
            break;
        }
    }
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        struct lh_str theirs = lh_str_of(endings[i].theirs);
        if (lh_str_ends_with(line, theirs)) {
            ending = endings[i].ours;
            line = lh_str_slice(line, 0, line.len - theirs.len);
            break;
        }
    }
    lh_buf_append_str(ret, line);
    lh_buf_append_str(ret, lh_str_of(ending));
}

/* --- where the grammar stumbled */

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           ((unsigned char)c & 0x80);
}

static size_t skip_blanks_back(struct lh_str sql, size_t at)
{
    while (at > 0 && strchr(" \t\r\n", sql.data[at - 1]))
        at--;
    return at;
}

/* The word that ends before `at`, blanks aside; what stands there otherwise is one character. */
static struct lh_str token_before(struct lh_str sql, size_t at)
{
    size_t end = skip_blanks_back(sql, at);
    size_t from = end;
    while (from > 0 && is_word(sql.data[from - 1]))
        from--;
    if (from == end && end > 0)
        from--;
    return lh_str_slice(sql, from, end - from);
}

/* Whether what ends before `at` is AT ( … ). */
static bool follows_moment(struct lh_str sql, size_t at)
{
    size_t end = skip_blanks_back(sql, at);
    size_t depth = 0;
    if (end == 0 || sql.data[end - 1] != ')')
        return false;
    while (end > 0) {
        char c = sql.data[--end];
        if (c == ')')
            depth++;
        else if (c == '(' && --depth == 0)
            break;
    }
    return lh_str_equal_nocase(token_before(sql, end), lh_lit("AT"));
}

static bool is_grammar_word(struct lh_str word)
{
    char lower[32];
    if (word.len == 0 || word.len >= sizeof lower)
        return false;
    for (size_t i = 0; i < word.len; i++)
        lower[i] =
            (char)(word.data[i] >= 'A' && word.data[i] <= 'Z' ? word.data[i] | 32 : word.data[i]);
    return keyword_is((struct lh_str){lower, word.len});
}

void advice_on_syntax(struct lh_str sql, struct lh_error *err)
{
    static const char *const expects_name[] = {"FROM", "JOIN", "."};
    if (!err || err->hint[0] || err->position < 0 || (size_t)err->position >= sql.len)
        return;
    size_t at = (size_t)err->position;
    size_t end = at;
    while (end < sql.len && is_word(sql.data[end]))
        end++;
    struct lh_str word = lh_str_slice(sql, at, end - at);
    struct lh_str before = token_before(sql, at);
    if (word.len && follows_moment(sql, at)) {
        lh_error_hint(err, "An alias stands before AT: FROM name AS alias AT (VERSION => 1).");
        return;
    }
    for (size_t i = 0; i < sizeof expects_name / sizeof expects_name[0]; i++)
        if (lh_str_equal_nocase(before, lh_str_of(expects_name[i])) && is_grammar_word(word)) {
            lh_error_hint(err, "%.*s is a word of SQL; as a name it is quoted: \"%.*s\".",
                          LH_ARG(word), LH_ARG(word));
            return;
        }
}
