/* E1: texts that the built-in embedder turns into vectors per second, on one core: the one-line
 * descriptions of the package index of this machine, in batches of 32 and one by one.
 *
 * Gates: batches and single texts give the same bits, every vector is finite and of unit length,
 * and a description without its last word is among the three nearest of a thousand (it is often
 * the last word alone that tells a library from its documentation).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ai/lexical.h"
#include "support.h"

#define TEXTS_MAX 20000
#define BATCH 32
#define ROUNDS 9
#define ASKED 200
#define AMONG 1000

static struct lh_str texts[TEXTS_MAX];
static size_t text_count, text_bytes;
static float vectors[BATCH * LEXICAL_DIMENSIONS], many[AMONG * LEXICAL_DIMENSIONS];

static void add_text(const char *text)
{
    texts[text_count++] = lh_str_of(strdup(text));
    text_bytes += strlen(text);
}

/* Where there is no package index: words that are made up, as many and as long. */
static void make_texts(void)
{
    unsigned seed = 11;
    while (text_count < TEXTS_MAX) {
        char text[256];
        size_t at = 0;
        for (int word = 0; word < 7; word++) {
            seed = seed * 1103515245U + 12345U;
            unsigned number = (seed >> 16) % 4000;
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%c%c%s%c", word ? " " : "",
                                   (int)('a' + number % 26), (int)('a' + number / 26 % 26),
                                   number % 3 ? "ration" : "en", (int)('a' + number / 700));
        }
        add_text(text);
    }
}

static void read_texts(void)
{
    char line[1024];
    FILE *pipe = popen("apt-cache dumpavail 2>/dev/null", "r");
    while (pipe && text_count < TEXTS_MAX && fgets(line, sizeof line, pipe)) {
        line[strcspn(line, "\n")] = '\0';
        if (!strncmp(line, "Description: ", 13) && line[13] &&
            lh_str_is_utf8(lh_str_of(line + 13), NULL))
            add_text(line + 13);
    }
    if (pipe)
        pclose(pipe);
    if (text_count < TEXTS_MAX / 2) {
        printf("there is no package index here: the texts are made up\n");
        text_count = text_bytes = 0;
        make_texts();
    }
}

static struct lexical *fit(void)
{
    struct lexical_fit *fit = NULL;
    struct lexical *lexical = NULL;
    struct lh_error err = LH_ERROR_NONE;
    struct lh_buf bytes;
    if (lexical_fit_new(&fit, &err))
        bench_die("%s", err.message);
    double start = bench_cpu_now();
    for (size_t i = 0; i < text_count; i++)
        if (lexical_fit_add(fit, texts[i], &err))
            bench_die("%s", err.message);
    double seconds = bench_cpu_now() - start;
    lh_buf_init(&bytes, (size_t)16 << 20);
    lexical_fit_finish(fit, &bytes);
    lexical_fit_free(fit);
    if (lexical_load(lh_buf_str(&bytes), &lexical, &err))
        bench_die("%s", err.message);
    printf("%zu texts of %.0f bytes on average; fitted at %.0f a second; %zu bytes learned\n",
           text_count, (double)text_bytes / (double)text_count, (double)text_count / seconds,
           bytes.len);
    lh_buf_release(&bytes);
    return lexical;
}

static void embed(const struct lexical *lexical, const struct lh_str *from, size_t count,
                  float *ret)
{
    struct lh_error err = LH_ERROR_NONE;
    if (lexical_embed(lexical, from, count, ret, &err))
        bench_die("%s", err.message);
}

static double seconds_by(const struct lexical *lexical, size_t batch)
{
    double start = bench_cpu_now();
    for (size_t i = 0; i + batch <= text_count; i += batch)
        embed(lexical, texts + i, batch, vectors);
    return (bench_cpu_now() - start) / (double)(text_count / batch * batch);
}

static double dot(const float *a, const float *b)
{
    double sum = 0;
    for (size_t i = 0; i < LEXICAL_DIMENSIONS; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static void check_bits(const struct lexical *lexical)
{
    float one[LEXICAL_DIMENSIONS];
    for (size_t i = 0; i + BATCH <= 2000; i += BATCH) {
        embed(lexical, texts + i, BATCH, vectors);
        for (size_t k = 0; k < BATCH; k++) {
            embed(lexical, texts + i + k, 1, one);
            if (memcmp(one, vectors + k * LEXICAL_DIMENSIONS, sizeof one))
                bench_die("text %zu has two vectors", i + k);
            double square = dot(one, one);
            if (!(fabs(square - 1) < 1e-5) && square != 0)
                bench_die("the vector of text %zu has the squared length %g", i + k, square);
        }
    }
}

static void check_meaning(const struct lexical *lexical)
{
    size_t right = 0, asked = 0;
    embed(lexical, texts, AMONG, many);
    for (size_t i = 0; i < ASKED; i++) {
        float query[LEXICAL_DIMENSIONS];
        const char *last = memrchr(texts[i].data, ' ', texts[i].len);
        if (!last)
            continue;
        struct lh_str part = {texts[i].data, (size_t)(last - texts[i].data)};
        embed(lexical, &part, 1, query);
        double own = dot(query, many + i * LEXICAL_DIMENSIONS);
        size_t nearer = 0;
        for (size_t k = 0; k < AMONG; k++)
            nearer += dot(query, many + k * LEXICAL_DIMENSIONS) > own + 1e-6;
        asked++;
        right += nearer < 3;
    }
    printf("found again without their last word: %zu of %zu\n", right, asked);
    if (right * 100 < asked * 95)
        bench_die("the vectors do not tell texts apart");
}

int main(void)
{
    double rates[ROUNDS], single[ROUNDS], same[ROUNDS];
    char detail[128];
    bench_machine();
    read_texts();
    struct lexical *lexical = fit();
    check_bits(lexical);
    check_meaning(lexical);
    (void)seconds_by(lexical, BATCH);
    for (int round = 0; round < ROUNDS; round++) {
        double seconds = seconds_by(lexical, BATCH);
        rates[round] = 1 / seconds / 1e3;
        same[round] = seconds / seconds_by(lexical, BATCH);
        single[round] = seconds_by(lexical, 1) * 1e6;
    }
    double median = bench_median(rates, ROUNDS), noise = bench_median(same, ROUNDS);
    printf("noise: A/A %.3f [%.3f … %.3f]\n", noise, same[1], same[ROUNDS - 2]);
    snprintf(detail, sizeof detail, "one text on its own: %.2f µs", bench_median(single, ROUNDS));
    bool is_met = bench_report("E1", "built-in embedder, short texts, one core", median, rates[1],
                               rates[ROUNDS - 2], "k/s", 60, false, detail);
    lexical_free(lexical);
    return is_met ? 0 : 1;
}
