/* What a query asks for: its terms, and the MATCH expression that finds them. */
#include <utf8proc.h>

#include "search/words.h"

/* Words so frequent in a language that they tell nothing. */
static const struct {
    const char *language;
    const char *words; /* between spaces */
} stops[] = {
    {"english",
     " a about after again all also am an and any are as at be because been before being both but "
     "by can could did do does doing each few for from had has have having he her here him his how "
     "i if in into is it its just me more most my no nor not of off on once only or other our over "
     "own same she should so some such than that the their them then there these they this those "
     "through to too under until very was we were what when where which while who whom why will "
     "with would you your "},
    {"german", " am an auf aus bei das dem den der des die ein eine einem einen einer eines er es "
               "für im in ist mit nicht oder sich sie sind und von vom wie wird zu zum zur "},
    {"french", " à au aux avec ce ces dans de des du elle en est et il ils la le les leur ne ou "
               "par pas pour que qui sa se ses son sont sur un une "},
    {"spanish", " a al como con de del el en es esta este la las lo los no o para por que se son "
                "su sus un una y "},
    {"italian", " a al alla che con da dal dalla dei del della delle di e è gli i il in la le lo "
                "nel nella non o per si sono su un una uno "},
    {"portuguese", " a ao aos as com como da das de do dos e em é na nas no nos o os ou para pela "
                   "pelo por que se um uma "},
    {"dutch", " aan als bij dat de den die door een en er het in is met naar niet of om op te tot "
              "uit van voor was wordt zijn "},
};

static bool is_stop_word(struct lh_str language, struct lh_str word)
{
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++) {
        if (!lh_str_equal(language, lh_str_of(stops[i].language)))
            continue;
        struct lh_str rest = lh_str_of(stops[i].words);
        while (rest.len)
            if (lh_str_equal_nocase(lh_str_cut(&rest, ' '), word))
                return true;
    }
    return false;
}

static bool is_space(char c)
{
    return (unsigned char)c <= ' ';
}

/* Does the tokenizer find a word in it? As unicode61 has it: letters, numbers, private use. */
static bool has_word(struct lh_str text)
{
    for (size_t at = 0; at < text.len;) {
        utf8proc_int32_t c = 0;
        utf8proc_ssize_t step = utf8proc_iterate((const utf8proc_uint8_t *)text.data + at,
                                                 (utf8proc_ssize_t)(text.len - at), &c);
        if (step <= 0) {
            at++;
            continue;
        }
        const char *category = utf8proc_category_string(c);
        if (category[0] == 'L' || category[0] == 'N' || (category[0] == 'C' && category[1] == 'o'))
            return true;
        at += (size_t)step;
    }
    return false;
}

static bool is_known(const struct terms *terms, const struct term *term)
{
    for (size_t i = 0; i < terms->count; i++)
        if (terms->items[i].is_phrase == term->is_phrase &&
            terms->items[i].is_beginning == term->is_beginning &&
            lh_str_equal_nocase(terms->items[i].text, term->text))
            return true;
    return false;
}

/* The next term at *at, which moves behind it; one without text is none. */
static struct term next_term(struct lh_str query, size_t *at)
{
    struct term term = {.is_phrase = query.data[*at] == '"'};
    size_t from = *at + term.is_phrase, to = from;
    while (to < query.len && (term.is_phrase ? query.data[to] != '"'
                                             : !is_space(query.data[to]) && query.data[to] != '"'))
        to++;
    *at = to + term.is_phrase;
    if (*at < query.len && query.data[*at] == '*' && term.is_phrase)
        term.is_beginning = true, ++*at;
    while (!term.is_phrase && to > from && query.data[to - 1] == '*')
        term.is_beginning = true, to--;
    term.text = lh_str_slice(query, from, to - from);
    return term;
}

static void drop_stop_words(struct terms *terms, struct lh_str language)
{
    size_t kept = 0;
    struct terms telling = *terms;
    for (size_t i = 0; i < terms->count; i++)
        if (terms->items[i].is_phrase || !is_stop_word(language, terms->items[i].text))
            telling.items[kept++] = terms->items[i];
    telling.count = kept;
    if (kept)
        *terms = telling;
}

void terms_cut(struct lh_str query, struct lh_str language, struct terms *ret)
{
    *ret = (struct terms){0};
    for (size_t at = 0; at < query.len && ret->count < TERMS_MAX;) {
        if (is_space(query.data[at])) {
            at++;
            continue;
        }
        struct term term = next_term(query, &at);
        if (has_word(term.text) && !is_known(ret, &term))
            ret->items[ret->count++] = term;
    }
    drop_stop_words(ret, language);
    for (size_t i = 0; i < ret->count; i++)
        ret->phrases += ret->items[i].is_phrase;
}

static void write_term(struct lh_buf *match, const struct term *term)
{
    lh_buf_append_char(match, '"');
    for (size_t i = 0; i < term->text.len; i++)
        lh_buf_append_char(match, is_space(term->text.data[i]) ? ' ' : term->text.data[i]);
    lh_buf_append_char(match, '"');
    if (term->is_beginning)
        lh_buf_append_char(match, '*');
}

void terms_write(const struct terms *terms, struct lh_buf *match)
{
    for (size_t i = 0; i < terms->count; i++) {
        if (!terms->items[i].is_phrase)
            continue;
        write_term(match, &terms->items[i]);
        lh_buf_append_str(match, lh_lit(" AND "));
    }
    lh_buf_append_char(match, '(');
    for (size_t i = 0; i < terms->count; i++) {
        if (i)
            lh_buf_append_str(match, lh_lit(" OR "));
        write_term(match, &terms->items[i]);
    }
    lh_buf_append_char(match, ')');
}
