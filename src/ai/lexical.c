#include "ai/lexical.h"

#include <math.h>
#include <stdlib.h>

#include <utf8proc.h>

#include "base/little.h"

/* Features fall into so many buckets: a few hundred thousand words and pieces meet seldom enough.
 */
#define BUCKET_BITS 18
#define BUCKETS ((size_t)1 << BUCKET_BITS)
#define WORD_BYTES_MAX 64 /* the rest of a longer one is not looked at */
#define PIECE_WEIGHT 0.5f /* of all pieces of a word together, against the word */
#define MAGIC "lexical1"

/* --- features */

/* Counts of the text at hand: which buckets were met, and how much. A table as large as the text
 * needs, not one of all buckets: that of a short text stays in the fastest cache. */
struct slot {
    uint32_t bucket; /* + 1; 0: free */
    float weight;
};
struct bag {
    struct slot *slots;
    uint32_t *met; /* slots that are taken, in the order in which they were */
    size_t slot_count, met_count;
};

#define SLOTS_MIN ((size_t)256)

/* Room for the features of a text of so many bytes: a word of n letters has n + 1 at most. */
static bool bag_reserve(struct bag *bag, size_t text_bytes)
{
    size_t features = text_bytes < BUCKETS / 2 ? text_bytes * 2 + 2 : BUCKETS;
    size_t count = SLOTS_MIN;
    while (count < features * 2 && count < BUCKETS * 2)
        count *= 2;
    if (count <= bag->slot_count)
        return true;
    free(bag->slots);
    free(bag->met);
    bag->slots = calloc(count, sizeof *bag->slots);
    bag->met = calloc(count, sizeof *bag->met);
    bag->slot_count = bag->slots && bag->met ? count : 0;
    return bag->slot_count > 0;
}

static void bag_release(struct bag *bag)
{
    free(bag->slots);
    free(bag->met);
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xBF58476D1CE4E5B9);
    x ^= x >> 27;
    x *= UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

static uint64_t hash(const char *bytes, size_t count, uint64_t seed)
{
    uint64_t value = seed;
    for (size_t i = 0; i < count; i++)
        value = (value ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001B3);
    return mix(value);
}

static void add(struct bag *bag, uint64_t feature, float weight)
{
    uint32_t bucket = (uint32_t)(feature >> (64 - BUCKET_BITS));
    size_t mask = bag->slot_count - 1, at = bucket & mask;
    while (bag->slots[at].bucket && bag->slots[at].bucket != bucket + 1)
        at = (at + 1) & mask;
    if (!bag->slots[at].bucket) {
        bag->slots[at].bucket = bucket + 1;
        bag->met[bag->met_count++] = (uint32_t)at;
    }
    bag->slots[at].weight += weight;
}

/* The word as it is, and every three bytes of it between marks of its ends. */
static void add_word(struct bag *bag, char *word, size_t length)
{
    size_t pieces = length; /* of length + 2 bytes */
    add(bag, hash(word + 1, length, 1), 1);
    if (length < 2)
        return;
    word[0] = '<';
    word[length + 1] = '>';
    float weight = PIECE_WEIGHT / sqrtf((float)pieces);
    for (size_t i = 0; i < pieces; i++)
        add(bag, hash(word + i, 3, 2), weight);
}

static bool is_word_character(utf8proc_int32_t c)
{
    if (c < 128)
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
        return true;
    default:
        return false;
    }
}

/* False: there is no memory. */
static bool collect(struct bag *bag, struct lh_str text)
{
    char word[WORD_BYTES_MAX + 8];
    size_t length = 0;
    if (!bag_reserve(bag, text.len))
        return false;
    for (size_t at = 0; at < text.len;) {
        utf8proc_int32_t c = (unsigned char)text.data[at];
        size_t step = 1;
        if (c >= 128) {
            utf8proc_ssize_t read = utf8proc_iterate((const utf8proc_uint8_t *)text.data + at,
                                                     (utf8proc_ssize_t)(text.len - at), &c);
            step = read > 0 ? (size_t)read : 1;
            if (read <= 0)
                c = ' ';
        }
        at += step;
        if (is_word_character(c)) {
            if (length + 4 > WORD_BYTES_MAX)
                continue;
            if (c < 128)
                word[1 + length++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
            else
                length += (size_t)utf8proc_encode_char(utf8proc_tolower(c),
                                                       (utf8proc_uint8_t *)word + 1 + length);
        } else if (length) {
            add_word(bag, word, length);
            length = 0;
        }
    }
    if (length)
        add_word(bag, word, length);
    return true;
}

static void forget(struct bag *bag)
{
    for (size_t i = 0; i < bag->met_count; i++)
        bag->slots[bag->met[i]] = (struct slot){0};
    bag->met_count = 0;
}

/* --- fitting */

struct lexical_fit {
    struct bag bag;
    uint64_t texts;
    uint32_t counts[BUCKETS]; /* texts that have the bucket */
};

enum lh_code lexical_fit_new(struct lexical_fit **ret, struct lh_error *err)
{
    struct lexical_fit *fit = calloc(1, sizeof *fit);
    if (!fit)
        return lh_fail(err, LH_BUSY, "There is no memory for the embedder.");
    *ret = fit;
    return LH_OK;
}

void lexical_fit_free(struct lexical_fit *fit)
{
    if (fit)
        bag_release(&fit->bag);
    free(fit);
}

enum lh_code lexical_fit_add(struct lexical_fit *fit, struct lh_str text, struct lh_error *err)
{
    struct bag *bag = &fit->bag;
    if (!collect(bag, text))
        return lh_fail(err, LH_BUSY, "There is no memory for the embedder.");
    for (size_t i = 0; i < bag->met_count; i++)
        fit->counts[bag->slots[bag->met[i]].bucket - 1]++;
    fit->texts += bag->met_count > 0;
    forget(bag);
    return LH_OK;
}

static void put_number(struct lh_buf *bytes, uint64_t number, size_t width)
{
    char text[8];
    lh_little_put(text, number, width);
    lh_buf_append(bytes, text, width);
}

void lexical_fit_finish(struct lexical_fit *fit, struct lh_buf *bytes)
{
    lh_buf_append_str(bytes, lh_lit(MAGIC));
    put_number(bytes, fit->texts, 8);
    for (size_t i = 0; i < BUCKETS; i++)
        put_number(bytes, fit->counts[i], 4);
}

/* --- the model */

struct lexical {
    float weights[BUCKETS]; /* IDF */
};

enum lh_code lexical_load(struct lh_str bytes, struct lexical **ret, struct lh_error *err)
{
    const size_t head = sizeof MAGIC - 1 + 8;
    if (bytes.len != head + BUCKETS * 4 || !lh_str_starts_with(bytes, lh_lit(MAGIC)))
        return lh_fail(err, LH_DAMAGED, "What the built-in embedder learned cannot be read.");
    struct lexical *lexical = calloc(1, sizeof *lexical);
    if (!lexical)
        return lh_fail(err, LH_BUSY, "There is no memory for the embedder.");
    double texts = (double)lh_little_get(bytes.data + sizeof MAGIC - 1, 8);
    for (size_t i = 0; i < BUCKETS; i++) {
        double count = (double)lh_little_get(bytes.data + head + i * 4, 4);
        lexical->weights[i] = (float)log(1 + (texts + 1) / (count + 1));
    }
    *ret = lexical;
    return LH_OK;
}

void lexical_free(struct lexical *lexical)
{
    free(lexical);
}

/* Each bucket speaks in four places: four signs of four numbers keep dot products about what they
 * are over the buckets themselves. */
static void spread(const struct lexical *lexical, const struct bag *bag, double *sums)
{
    for (size_t i = 0; i < bag->met_count; i++) {
        const struct slot *slot = &bag->slots[bag->met[i]];
        uint32_t bucket = slot->bucket - 1;
        /* A word that comes again says less each time. */
        double weight = (double)lexical->weights[bucket] * sqrt((double)slot->weight);
        uint64_t places = mix((uint64_t)bucket + UINT64_C(0x9E3779B97F4A7C15));
        for (int k = 0; k < 4; k++, places >>= 16) {
            size_t at = (size_t)((places >> 1 & 0x7FFF) * LEXICAL_DIMENSIONS >> 15);
            sums[at] += places & 1 ? weight : -weight;
        }
    }
}

enum lh_code lexical_embed(const struct lexical *lexical, const struct lh_str *texts, size_t count,
                           float *ret, struct lh_error *err)
{
    struct bag bag = {.slot_count = 0};
    for (size_t i = 0; i < count; i++) {
        double sums[LEXICAL_DIMENSIONS] = {0}, square = 0;
        if (!collect(&bag, texts[i])) {
            bag_release(&bag);
            return lh_fail(err, LH_BUSY, "There is no memory for the embedder.");
        }
        spread(lexical, &bag, sums);
        forget(&bag);
        for (size_t k = 0; k < LEXICAL_DIMENSIONS; k++)
            square += sums[k] * sums[k];
        double scale = square > 0 ? 1 / sqrt(square) : 0;
        for (size_t k = 0; k < LEXICAL_DIMENSIONS; k++)
            ret[i * LEXICAL_DIMENSIONS + k] = (float)(sums[k] * scale);
    }
    bag_release(&bag);
    return LH_OK;
}
