/* Asking indexes: by meaning, by words, by both. */
#include <math.h>

#include "base/half.h"
#include "search/ask.h"
#include "search/configuration.h"

#include "lake/lake.h"
#include "ops/internal.h"
#include "ops/searching.h"

/* --- what is answered */

static const struct lh_field leg_rows[] = {
    LH_INT(struct search_leg, rank, .doc = "Place in this list, from 1."),
    LH_DOUBLE(struct search_leg, score, .doc = "Cosine similarity, or BM25; higher is better."),
};
static const struct lh_fields leg_fields = LH_FIELDS_OF(struct search_leg, "SearchLeg", leg_rows);

struct parts_view {
    const struct search_leg *vector;
    const struct search_leg *keyword;
    double coverage;
    double pairs;
};
static const struct lh_field parts_rows[] = {
    LH_OBJECT(struct parts_view, vector, const struct search_leg *, .fields = &leg_fields,
              .doc = "Found by meaning; absent: it was not."),
    LH_OBJECT(struct parts_view, keyword, const struct search_leg *, .fields = &leg_fields,
              .doc = "Found by words; absent: it was not."),
    LH_DOUBLE(struct parts_view, coverage, .nullable = true,
              .doc = "How much of the query's words the text has, the rarer the more, from 0 to 1; "
                     "null: only one list was asked."),
    LH_DOUBLE(struct parts_view, pairs, .nullable = true,
              .doc = "How many neighbours of the query stand together in the text, from 0 to 1."),
};
static const struct lh_fields parts_fields =
    LH_FIELDS_OF(struct parts_view, "SearchParts", parts_rows);

struct hit_view {
    struct lh_json_value id;
    double score;
    struct lh_str text;
    int64_t chunk;
    const struct parts_view *parts;
    struct lh_str highlight;
    bool is_fresh;
    struct lh_json_value row;
};
static const struct lh_field hit_rows[] = {
    LH_JSON(struct hit_view, id, .required = true,
            .doc = "The row's id: a number or text, as its column is."),
    LH_DOUBLE(struct hit_view, score,
              .doc = "Higher is better: cosine similarity, BM25, or the fusion of both."),
    LH_STR(struct hit_view, text, .nullable = true, .doc = "Of the chunk that was found."),
    LH_INT(struct hit_view, chunk, .doc = "Which chunk of its row, from 0."),
    LH_OBJECT(struct hit_view, parts, const struct parts_view *, .fields = &parts_fields,
              .doc = "What each list said."),
    LH_STR(struct hit_view, highlight, .doc = "The text with the words that were found marked."),
    LH_BOOL(struct hit_view, is_fresh, .doc = "The index does not have it yet."),
    LH_JSON(struct hit_view, row, .doc = "The whole row, if it was asked for."),
};
static const struct lh_fields hit_fields = LH_FIELDS_OF(struct hit_view, "SearchHit", hit_rows);

struct result_view {
    struct lh_list items;
};
static const struct lh_field result_rows[] = {
    LH_LIST(struct result_view, items, .fields = &hit_fields, .doc = "Best first; ties by id."),
};
static const struct lh_fields result_fields =
    LH_FIELDS_OF(struct result_view, "SearchResult", result_rows);

struct answer_view {
    struct lh_list items;
    struct lh_list results;
    struct lh_str method;
    double recall;
    struct lh_time recall_measured_at;
    struct lh_opt_int recall_sample;
    struct lh_opt_int ef;
    struct lh_str note;
    struct lh_int_map versions;
    int64_t index_version;
    int64_t covered_version;
    int64_t fresh_rows;
    int64_t hidden_rows;
    int64_t pending_rows;
    double elapsed_ms;
};
static const struct lh_field answer_rows[] = {
    LH_LIST(struct answer_view, items, .fields = &hit_fields,
            .doc = "Best first; ties by id. Empty in the answer to a batch."),
    LH_LIST(struct answer_view, results, .fields = &result_fields, .is_optional = true,
            .doc = "Of a batch: one for each query or vector, in their order."),
    LH_STR(struct answer_view, method, .required = true,
           .doc = "hnsw: by the index's graph; exact: by looking at all vectors; keyword; hybrid."),
    LH_DOUBLE(struct answer_view, recall, .nullable = true,
              .doc = "Share of the nearest vectors that such a search finds: 1 if all were looked "
                     "at, else as it was measured of the ten nearest; null for words, and for a "
                     "smaller `ef` than was measured."),
    LH_TIME(struct answer_view, recall_measured_at, .doc = "When that was; absent: it was exact."),
    LH_OPT_INT(struct answer_view, recall_sample, .doc = "Rows that it was measured with."),
    LH_OPT_INT(struct answer_view, ef, .doc = "Nodes kept on the walk through the graph."),
    LH_STR(struct answer_view, note, .doc = "What the reader should know of this answer."),
    LH_INT_MAP(struct answer_view, versions, .doc = "The dataset's version that was asked."),
    LH_INT(struct answer_view, index_version, .doc = "Of the index."),
    LH_INT(struct answer_view, covered_version, .doc = "Of the dataset, that the index covers."),
    LH_INT(struct answer_view, fresh_rows, .doc = "Newer rows, searched from memory."),
    LH_INT(struct answer_view, hidden_rows, .doc = "Indexed rows that are gone or changed."),
    LH_INT(struct answer_view, pending_rows,
           .doc = "Newer rows that were not searched, being many or large: refresh the index."),
    LH_DOUBLE(struct answer_view, elapsed_ms, .doc = "Of the search."),
};
const struct lh_fields op_search_answer_fields =
    LH_FIELDS_OF(struct answer_view, "SearchAnswer", answer_rows);

/* A float has seven digits: more would be printed and mean nothing. Nine places keep the order of
 * fused ranks. */
static double short_score(double score)
{
    return nearbyint(score * 1e9) / 1e9;
}

static const struct search_leg *leg_of(const struct search_leg *leg, struct lh_arena *arena)
{
    if (!leg->rank)
        return NULL;
    struct search_leg *copy = lh_arena_alloc(arena, sizeof *copy);
    *copy = (struct search_leg){leg->rank, short_score(leg->score)};
    return copy;
}

static struct parts_view *parts_of(const struct search_hit *hit, enum search_mode mode,
                                   struct lh_arena *arena)
{
    struct parts_view *parts = lh_arena_alloc(arena, sizeof *parts);
    parts->vector = leg_of(&hit->vector, arena);
    parts->keyword = leg_of(&hit->keyword, arena);
    parts->coverage = mode == SEARCH_HYBRID ? short_score(hit->coverage) : NAN;
    parts->pairs = mode == SEARCH_HYBRID ? short_score(hit->pairs) : NAN;
    return parts;
}

static struct lh_list items_of(const struct search_hit *hits, size_t count, enum search_mode mode,
                               struct lh_arena *arena)
{
    struct hit_view *items = lh_arena_array(arena, count + 1, sizeof *items);
    for (size_t i = 0; i < count; i++) {
        const struct search_hit *hit = &hits[i];
        items[i] = (struct hit_view){.id = {.text = hit->id_json},
                                     .score = short_score(hit->score),
                                     .text = hit->text,
                                     .chunk = hit->chunk,
                                     .parts = parts_of(hit, mode, arena),
                                     .highlight = hit->highlight,
                                     .is_fresh = hit->is_fresh,
                                     .row = {.text = hit->row}};
    }
    return (struct lh_list){items, count};
}

/* What was found, and what holds for all of it. */
static enum lh_code tell(const struct search_answer *answer, struct lh_list items,
                         struct lh_list results, struct op_reply *reply, struct lh_error *err)
{
    struct lh_int_map_item version = {answer->dataset, answer->dataset_version};
    const struct answer_view view = {
        .items = items,
        .results = results,
        .method = lh_str_of(answer->method),
        .recall = answer->recall,
        .recall_measured_at = answer->recall_measured_at,
        .recall_sample = {answer->ef > 0, answer->recall_sample},
        .ef = {answer->ef > 0, answer->ef},
        .note = answer->note,
        .versions = {&version, 1},
        .index_version = answer->index_version,
        .covered_version = answer->covered_version,
        .fresh_rows = answer->fresh_rows,
        .hidden_rows = answer->hidden_rows,
        .pending_rows = answer->pending_rows,
        .elapsed_ms = answer->elapsed_ms,
    };
    return op_reply_record(reply, &view, err);
}

/* What the search says beside what is said already. */
static void add_note(const struct op_call *call, struct lh_str note, struct search_answer *answer)
{
    if (note.len && answer->note.len)
        answer->note =
            lh_arena_printf(call->arena, "%.*s %.*s", LH_ARG(note), LH_ARG(answer->note));
    else if (note.len)
        answer->note = note;
}

static enum lh_code ask(struct op_call *call, const struct search_ask *request, struct lh_str note,
                        struct op_reply *reply, struct lh_error *err)
{
    struct search_answer answer;
    enum lh_code code =
        search_run(lake_search(call->lake), request, call->cancel, call->arena, &answer, err);
    if (code)
        return code;
    add_note(call, note, &answer);
    return tell(&answer, items_of(answer.hits, answer.hit_count, request->mode, call->arena),
                (struct lh_list){0}, reply, err);
}

/* `is_list`: answered as a batch, however many there are. */
static enum lh_code ask_batch(struct op_call *call, const struct search_batch *batch, bool is_list,
                              struct lh_str note, struct op_reply *reply, struct lh_error *err)
{
    struct search_answer answer;
    struct search_hits *hits = NULL;
    size_t count = 0;
    enum lh_code code = search_run_batch(lake_search(call->lake), batch, call->cancel, call->arena,
                                         &answer, &hits, &count, err);
    if (code)
        return code;
    add_note(call, note, &answer);
    if (count == 1 && !is_list)
        return tell(&answer, items_of(hits[0].items, hits[0].count, SEARCH_VECTOR, call->arena),
                    (struct lh_list){0}, reply, err);
    struct result_view *results = lh_arena_array(call->arena, count, sizeof *results);
    for (size_t i = 0; i < count; i++)
        results[i].items = items_of(hits[i].items, hits[i].count, SEARCH_VECTOR, call->arena);
    return tell(&answer, (struct lh_list){0}, (struct lh_list){results, count}, reply, err);
}

/* --- POST /vectors/search */

enum octet_format { OCTETS_F32, OCTETS_F16 };
const char *const op_octet_formats[] = {"f32", "f16", NULL};

static const struct lh_field search_rows[] = {OP_SEARCH_ROWS(struct op_search_args)};
static const struct lh_fields search_fields =
    LH_FIELDS_OF(struct op_search_args, "VectorsSearchArgs", search_rows);

static enum lh_code fail_vector(struct lh_error *err, const char *field)
{
    return lh_error_field(err, lh_str_of(field));
}

/* `at`: which of several; negative: the only one. */
static enum lh_code read_numbers(const json_t *value, int64_t at, float *ret, struct lh_error *err)
{
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        ret[i] = (float)json_number_value(item);
        if (json_is_number(item) && isfinite(ret[i]))
            continue;
        if (at < 0)
            lh_fail(err, LH_INVALID, "Item %zu of the vector is no number that a float holds.", i);
        else
            lh_fail(err, LH_INVALID, "Item %zu of vector %lld is no number that a float holds.", i,
                    (long long)at);
        return LH_INVALID;
    }
    return LH_OK;
}

static bool is_vector(const json_t *value)
{
    size_t count = json_array_size(value);
    return json_is_array(value) && count && count <= SEARCH_DIMENSIONS_MAX;
}

static enum lh_code read_vector(const struct lh_json_value *given, struct lh_arena *arena,
                                struct search_ask *request, struct lh_error *err)
{
    const json_t *value = given->value;
    if (given->numbers.items && given->numbers.count <= SEARCH_DIMENSIONS_MAX) {
        request->vector = given->numbers.items;
        request->vector_count = given->numbers.count;
        return LH_OK;
    }
    if (!is_vector(value)) {
        lh_fail(err, LH_INVALID, "A vector is a list of 1 to %d numbers.", SEARCH_DIMENSIONS_MAX);
        return fail_vector(err, "vector");
    }
    float *vector = lh_arena_array(arena, json_array_size(value), sizeof *vector);
    request->vector = vector;
    request->vector_count = json_array_size(value);
    return read_numbers(value, -1, vector, err) ? fail_vector(err, "vector") : LH_OK;
}

static enum lh_code read_vectors(const struct lh_json_value *given, struct lh_arena *arena,
                                 struct search_batch *batch, struct lh_error *err)
{
    const json_t *value = given->value;
    const struct lh_floats *numbers = &given->numbers;
    if (numbers->items && numbers->each <= SEARCH_DIMENSIONS_MAX &&
        numbers->count / numbers->each <= SEARCH_BATCH_MAX) {
        batch->vectors = numbers->items;
        batch->number_count = numbers->count;
        batch->vector_count = numbers->each;
        return LH_OK;
    }
    size_t count = json_array_size(value), each = json_array_size(json_array_get(value, 0));
    if (!json_is_array(value) || !count || count > SEARCH_BATCH_MAX) {
        lh_fail(err, LH_INVALID, "vectors is a list of 1 to %d lists of 1 to %d numbers.",
                SEARCH_BATCH_MAX, SEARCH_DIMENSIONS_MAX);
        return fail_vector(err, "vectors");
    }
    float *vectors = lh_arena_try(arena, (count * each + 1) * sizeof *vectors);
    if (!vectors)
        return lh_fail(err, LH_BUSY, "There is no memory for the vectors.");
    for (size_t i = 0; i < count; i++) {
        const json_t *vector = json_array_get(value, i);
        if (!is_vector(vector))
            lh_fail(err, LH_INVALID, "Vector %zu is no list of 1 to %d numbers.", i,
                    SEARCH_DIMENSIONS_MAX);
        else if (json_array_size(vector) != each)
            lh_fail(err, LH_INVALID, "Vector %zu has %zu numbers, vector 0 has %zu.", i,
                    json_array_size(vector), each);
        else if (!read_numbers(vector, (int64_t)i, vectors + i * each, err))
            continue;
        return fail_vector(err, "vectors");
    }
    batch->vectors = vectors;
    batch->number_count = count * each;
    batch->vector_count = each;
    return LH_OK;
}

/* What stands in a body of octets; how many vectors that are is told by the index. */
static enum lh_code read_octets(struct lh_str octets, enum octet_format format,
                                struct lh_arena *arena, struct search_batch *batch,
                                struct lh_error *err)
{
    size_t size = format == OCTETS_F16 ? sizeof(uint16_t) : sizeof(float);
    size_t count = octets.len / size;
    if (!count || octets.len % size) {
        lh_fail(err, LH_INVALID, "The body has %zu bytes; a number of format %s has %zu.",
                octets.len, op_octet_formats[format], size);
        return lh_error_hint(err, "Send vectors of the index's dimensions, one after the other.");
    }
    float *vectors = lh_arena_try(arena, count * sizeof *vectors);
    if (!vectors)
        return lh_fail(err, LH_BUSY, "There is no memory for the vectors.");
    for (size_t i = 0; i < count; i++) {
        const unsigned char *from = (const unsigned char *)octets.data + i * size;
        uint32_t bits = from[0] | (uint32_t)from[1] << 8;
        if (format == OCTETS_F16) {
            vectors[i] = lh_float_of_half((uint16_t)bits);
            continue;
        }
        bits |= (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
        memcpy(&vectors[i], &bits, sizeof bits);
    }
    batch->vectors = vectors;
    batch->number_count = count;
    return LH_OK;
}

/* One question alone is asked in one way. */
static enum lh_code check_search(const struct op_search_args *args, struct lh_error *err)
{
    int given = !!args->query.data + !!args->vector.value + (args->queries.count > 0) +
                !!args->vectors.value + !!args->octets.data;
    if (given > 1) {
        lh_fail(err, LH_INVALID, "%s",
                args->octets.data
                    ? "The body is the vector: give no other question."
                    : "Give one of query, vector, queries and vectors, not several of them.");
        return fail_vector(err, args->vector.value ? "vector" : "query");
    }
    if (args->format >= 0 && !args->octets.data) {
        lh_fail(err, LH_INVALID, "format is of a body of octets, and this one is none.");
        lh_error_hint(err, "Send the body as application/octet-stream.");
        return fail_vector(err, "format");
    }
    return LH_OK;
}

enum lh_code op_run_search(struct op_call *call, const struct op_search_args *args,
                           const struct op_search_scope *scope, struct op_reply *reply,
                           struct lh_error *err)
{
    bool is_cold = scope && scope->is_cold;
    struct search_batch batch = {.ask = {.index = args->index,
                                         .index_id = scope ? scope->index_id : (struct lh_str){0},
                                         .mode = SEARCH_VECTOR,
                                         .k = args->k,
                                         .ef = is_cold ? 0 : args->ef,
                                         .is_exact = args->exact || is_cold,
                                         .is_alone = scope != NULL,
                                         .filter = args->sql_filter,
                                         .per_chunk = args->per_chunk,
                                         .with_rows = args->include_row},
                                 .queries = args->queries.items,
                                 .query_count = args->queries.count};
    enum lh_code code = check_search(args, err);
    if (!code && args->octets.data)
        code = read_octets(args->octets, args->format == OCTETS_F16 ? OCTETS_F16 : OCTETS_F32,
                           call->arena, &batch, err);
    else if (!code && args->vectors.value)
        code = read_vectors(&args->vectors, call->arena, &batch, err);
    if (code)
        return code;
    struct lh_str note = scope ? scope->note : (struct lh_str){0};
    if (batch.vectors || batch.query_count)
        return ask_batch(call, &batch, !args->octets.data, note, reply, err);
    batch.ask.query = args->query;
    if (args->vector.value)
        code = read_vector(&args->vector, call->arena, &batch.ask, err);
    return code ? code : ask(call, &batch.ask, note, reply, err);
}

static enum lh_code run_search(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    return op_run_search(call, raw, NULL, reply, err);
}

static const struct op_example search_examples[] = {
    {.summary = "In words",
     .request = "{\"index\": \"packages_v1\", \"query\": \"edit photos\", \"k\": 3}"},
    {.summary = "Among some rows only",
     .request = "{\"index\": \"packages_v1\", \"query\": \"edit photos\", \"sql_filter\": "
                "\"section = 'graphics' AND installed_size < 50000000\"}"},
    {.summary = "Several questions at once",
     .request = "{\"index\": \"packages_v1\", \"queries\": [\"edit photos\", \"play music\"], "
                "\"k\": 3}"},
};

const struct op op_vectors_search = {
    .name = "vectors.search",
    .summary = "Search an index by meaning: with words, or with a vector.",
    .description =
        "Answers for the dataset as it is now: what was deleted or changed since the index was "
        "refreshed is left out, what came since is searched too. The built-in model is lexical: "
        "it knows words and parts of words, not what they mean. Several questions at once "
        "(`queries` "
        "or `vectors`) look at the rows together. Instead of JSON, a body of type "
        "application/octet-stream holds one vector, or several without anything between them, as "
        "numbers of `format`; the other arguments then stand in the address.",
    .http = {OP_POST, "/vectors/search"},
    .effect = OP_READ,
    .permission = "search.read",
    .body = OP_BODY_JSON,
    .fields = &search_fields,
    OP_OCTETS(struct op_search_args, octets),
    .kind = OP_RECORD,
    .result = &op_search_answer_fields,
    .errors = OP_ERRORS(OP_SEARCH_ERRORS),
    OP_EXAMPLES(search_examples),
    .run = run_search,
};

/* --- POST /vectors/hybrid */

struct hybrid_args {
    struct lh_str index;
    struct lh_str query;
    struct lh_opt_int k;
    struct lh_opt_int count;
    int mode;
    int fusion;
    int64_t ef;
    bool exact;
    struct lh_json_value weights;
    struct lh_str sql_filter;
    bool per_chunk;
    bool include_row;
};

static const struct lh_field weight_rows[] = {
    LH_DOUBLE(struct search_weights, meaning, .doc = "Of the similarity, or the place by it."),
    LH_DOUBLE(struct search_weights, words, .doc = "Of BM25, or the place by it."),
    LH_DOUBLE(struct search_weights, coverage,
              .doc = "Of how much of the query's words the text has; not with rrf."),
    LH_DOUBLE(struct search_weights, pairs,
              .doc = "Of neighbours of the query that stand together; not with rrf."),
};
static const struct lh_fields weight_fields =
    LH_FIELDS_OF(struct search_weights, "SearchWeights", weight_rows);

static const struct lh_field hybrid_rows[] = {
    LH_STR(struct hybrid_args, index, .required = true, .positional = true, .min = 1, .max = 255,
           .doc = "The index."),
    LH_STR(struct hybrid_args, query, .required = true, .positional = true,
           .max = SEARCH_QUERY_BYTES_MAX,
           .doc = "Words; \"a phrase\" in quotes, a beginning* with a star."),
    LH_OPT_INT(struct hybrid_args, k, .min = 0, .max = SEARCH_K_MAX, .doc = "Most items; 10."),
    LH_OPT_INT(struct hybrid_args, count, .min = 0, .max = SEARCH_K_MAX,
               .doc = "The same by another name."),
    LH_CHOICE(struct hybrid_args, mode, .choices = search_mode_names, LH_PRESET(SEARCH_HYBRID),
              .doc = "hybrid: both lists fused; keyword or vector: one alone."),
    LH_CHOICE(struct hybrid_args, fusion, .choices = search_fusion_names, LH_PRESET(SEARCH_BLEND),
              .doc = "How hybrid fuses. blend: by score and how well the words fit; rrf: by "
                     "place, reciprocal rank fusion; weighted: by the two scores alone."),
    LH_JSON(struct hybrid_args, weights, .fields = &weight_fields,
            .doc = "How much each counts, from 0 to 1000; what is not given is as the fusion has "
                   "it: blend 0.4, 0.6, 1 and 0.2, rrf 1 and 1, weighted 0.5 and 0.5."),
    OP_ASK_ROWS(struct hybrid_args),
};
static const struct lh_fields hybrid_fields =
    LH_FIELDS_OF(struct hybrid_args, "VectorsHybridArgs", hybrid_rows);

static enum lh_code fail_weights(struct lh_error *err, const char *why)
{
    lh_fail(err, LH_INVALID, "%s", why);
    return lh_error_field(err, lh_lit("weights"));
}

#define WEIGHT_MAX 1000.0

/* What is given in place of what the fusion has. */
static enum lh_code read_weights(const json_t *given, enum search_fusion fusion,
                                 struct search_weights *ret, struct lh_error *err)
{
    struct search_weights weights = search_fusion_weights(fusion);
    const struct {
        const char *name;
        double *weight;
        bool is_of_places;
    } members[] = {{"meaning", &weights.meaning, true},
                   {"words", &weights.words, true},
                   {"coverage", &weights.coverage, false},
                   {"pairs", &weights.pairs, false}};
    size_t known = 0;
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        const json_t *value = json_object_get(given, members[i].name);
        double number = json_number_value(value);
        if (!value)
            continue;
        known++;
        if (!json_is_number(value) || !(number >= 0 && number <= WEIGHT_MAX))
            return fail_weights(err, "A weight is a number from 0 to 1000.");
        if (fusion == SEARCH_RRF && !members[i].is_of_places)
            return fail_weights(err, "rrf knows places alone: meaning and words can be weighed.");
        *members[i].weight = number;
    }
    if (!json_is_object(given) || known != json_object_size(given))
        return fail_weights(err, "weights is an object of meaning, words, coverage and pairs.");
    if (!(weights.meaning + weights.words + weights.coverage + weights.pairs > 0))
        return fail_weights(err, "All weights are 0: then nothing has a score.");
    *ret = weights;
    return LH_OK;
}

static enum lh_code run_hybrid(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct hybrid_args *args = raw;
    struct search_ask request = {
        .index = args->index,
        .mode = (enum search_mode)args->mode,
        .fusion = (enum search_fusion)args->fusion,
        .query = args->query,
        .k = args->k.is_set       ? args->k.value
             : args->count.is_set ? args->count.value
                                  : SEARCH_K_PRESET,
        .ef = args->ef,
        .is_exact = args->exact,
        .filter = args->sql_filter,
        .per_chunk = args->per_chunk,
        .with_rows = args->include_row,
    };
    if (args->k.is_set && args->count.is_set && args->k.value != args->count.value) {
        lh_fail(err, LH_INVALID, "k and count say the same thing: give one.");
        return lh_error_field(err, lh_lit("count"));
    }
    struct search_weights weights;
    enum lh_code code = LH_OK;
    if (args->weights.value) {
        if (request.mode != SEARCH_HYBRID)
            return fail_weights(err, "Weights are of mode hybrid: one list has none.");
        code = read_weights(args->weights.value, request.fusion, &weights, err);
        request.weights = &weights;
    }
    return code ? code : ask(call, &request, (struct lh_str){0}, reply, err);
}

static const struct op_example hybrid_examples[] = {
    {.summary = "Words and meaning",
     .request = "{\"index\": \"packages_v1\", \"query\": \"play music from the terminal\", "
                "\"count\": 5}"},
    {.summary = "Words alone",
     .request = "{\"index\": \"packages_v1\", \"query\": \"\\\"text editor\\\" vim*\", \"mode\": "
                "\"keyword\"}"},
};

const struct op op_vectors_hybrid = {
    .name = "vectors.hybrid",
    .command = "search",
    .summary = "Search an index by words and by meaning at once.",
    .description =
        "Each list gives max(5 · k, 20) candidates. What counts of each is its similarity and its "
        "BM25, as shares of the best, how much of the query's words it has, and which of its "
        "neighbours stand together there (0.4, 0.6, 1, 0.2 of 2.2); `fusion` rrf adds 1 / (60 + "
        "place) of both lists instead, weighted takes the two scores alone. `weights` change how "
        "much each counts.",
    .http = {OP_POST, "/vectors/hybrid"},
    .effect = OP_READ,
    .permission = "search.read",
    .body = OP_BODY_JSON,
    .fields = &hybrid_fields,
    .kind = OP_RECORD,
    .result = &op_search_answer_fields,
    .errors = OP_ERRORS(OP_SEARCH_ERRORS),
    OP_EXAMPLES(hybrid_examples),
    .run = run_hybrid,
};
