/* The tour's searches: one index over the packages' texts, three questions, each by meaning and by
 * words. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/text_table.h"
#include "demo/internal.h"

#define INDEX_NAME "packages_v1"
#define HITS 4
#define REPLY_BYTES_MAX ((size_t)65536)

static const char *const questions[] = {
    "edit photos",
    "play music from the terminal",
    "find out why the network is slow",
};

static const char index_request[] =
    "{\"index_name\": \"" INDEX_NAME "\", \"dataset\": \"packages\", \"id_column\": \"name\", "
    "\"text_columns\": [\"name\", \"summary\", \"description\"]}";

static enum lh_code ensure_index(struct demo *demo, struct lh_error *err)
{
    const json_t *answer = NULL;
    int status = 0;
    enum lh_code code = demo_request(demo, "GET", "/vectors/indexes/" INDEX_NAME,
                                     (struct lh_str){0}, &answer, &status, err);
    if (code)
        return code;
    if (status == 200) {
        printf("The index " INDEX_NAME " is here already. Nothing to build.\n\n");
        return LH_OK;
    }
    printf("Building the index " INDEX_NAME " through POST /vectors/index …\n");
    code =
        demo_request(demo, "POST", "/vectors/index", lh_str_of(index_request), &answer, NULL, err);
    if (code)
        return code;
    int64_t rows = json_integer_value(json_object_get(answer, "rows"));
    int64_t chunks = json_integer_value(json_object_get(answer, "chunks_embedded"));
    double took_s = (double)json_integer_value(json_object_get(answer, "elapsed_ms")) / 1e3;
    struct lh_str row_text = demo_count(demo->arena, rows);
    struct lh_str chunk_text = demo_count(demo->arena, chunks);
    printf("  %.*s rows in %.*s chunks   %5.2f s\n\n", LH_ARG(row_text), LH_ARG(chunk_text),
           took_s);
    return LH_OK;
}

/* "gimp: GNU Image Manipulation Program" */
static struct lh_str hit_text(struct demo *demo, const json_t *item)
{
    struct lh_str name = lh_json_text(json_object_get(item, "id"));
    struct lh_str summary = lh_json_text(json_object_get(json_object_get(item, "row"), "summary"));
    return lh_arena_printf(demo->arena, "%.*s: %.*s", LH_ARG(name), LH_ARG(summary));
}

static enum lh_code ask(struct demo *demo, const char *question, const char *mode,
                        const json_t **ret_items, double *ret_ms, struct lh_error *err)
{
    const json_t *answer = NULL;
    struct lh_buf body;
    struct lh_json json;
    lh_buf_init(&body, REPLY_BYTES_MAX);
    lh_json_init(&json, &body);
    lh_json_object(&json);
    lh_json_put_cstr(&json, "index", INDEX_NAME);
    lh_json_put_cstr(&json, "query", question);
    lh_json_put_cstr(&json, "mode", mode);
    lh_json_put_int(&json, "count", HITS);
    lh_json_put_bool(&json, "include_row", true);
    lh_json_object_end(&json);
    int64_t start_us = lh_clock_monotonic_us();
    enum lh_code code =
        demo_request(demo, "POST", "/vectors/hybrid", lh_buf_str(&body), &answer, NULL, err);
    *ret_ms = (double)(lh_clock_monotonic_us() - start_us) / 1e3;
    lh_buf_release(&body);
    if (!code)
        *ret_items = json_object_get(answer, "items");
    return code;
}

static enum lh_code show(struct demo *demo, size_t number, const char *question,
                         struct lh_error *err)
{
    static const char *const modes[] = {"vector", "keyword", "hybrid"};
    static const struct lh_text_column heads[] = {{.title = LH_LIT("by meaning")},
                                                  {.title = LH_LIT("by words")},
                                                  {.title = LH_LIT("by both")}};
    struct lh_str cells[HITS * 3] = {{NULL, 0}};
    double took_ms[3] = {0};
    size_t rows = 0;
    for (size_t mode = 0; mode < 3; mode++) {
        const json_t *items = NULL;
        enum lh_code code = ask(demo, question, modes[mode], &items, &took_ms[mode], err);
        if (code)
            return code;
        for (size_t i = 0; i < json_array_size(items) && i < HITS; i++) {
            cells[i * 3 + mode] = hit_text(demo, json_array_get(items, i));
            rows = i + 1 > rows ? i + 1 : rows;
        }
    }
    struct lh_buf text;
    lh_buf_init(&text, REPLY_BYTES_MAX);
    lh_text_table(&text, heads, 3, cells, rows, 34, 4);
    printf("%zu. “%s”\n\n%s    (%.1f, %.1f and %.1f ms over HTTP)\n\n", number, question,
           text.data ? text.data : "", took_ms[0], took_ms[1], took_ms[2]);
    lh_buf_release(&text);
    return LH_OK;
}

enum lh_code demo_searches(struct demo *demo, size_t first_number, struct lh_error *err)
{
    enum lh_code code = ensure_index(demo, err);
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]) && !code; i++)
        code = show(demo, first_number + i, questions[i], err);
    return code;
}
