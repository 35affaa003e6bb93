/* What searches by meaning share: their arguments, and how they are run.
 *
 * Stateless; any thread may call.
 */
#ifndef LAKEHOUSE_OPS_SEARCHING_H
#define LAKEHOUSE_OPS_SEARCHING_H

#include "ops/op.h"
#include "search/ask.h"
#include "search/configuration.h"

struct op_search_args {
    struct lh_str id; /* of the profile, for its searches */
    struct lh_str index;
    struct lh_str query;
    struct lh_json_value vector;
    struct lh_str_list queries;
    struct lh_json_value vectors;
    int64_t k;
    int64_t ef;
    bool exact;
    int format;
    struct lh_str sql_filter;
    bool per_chunk;
    bool include_row;
    struct lh_str octets; /* the body, if it is no JSON */
};
extern const char *const op_octet_formats[];

#define OP_ASK_ROWS(struct_type)                                                                   \
    LH_INT(struct_type, ef, .min = 0, .max = SEARCH_EF_SEARCH_MAX,                                 \
           .doc = "Nodes kept on the walk through the index's graph: more find more, more "        \
                  "slowly; 0: as the index says. At least as many as items are taken."),           \
        LH_BOOL(struct_type, exact, .doc = "Look at all vectors, whatever graph there is."),       \
        LH_STR(struct_type, sql_filter, .max = 32768,                                              \
               .doc = "Only rows for which this is true: an SQL expression over the dataset."),    \
        LH_BOOL(struct_type, per_chunk, .doc = "One item per chunk instead of one per row."),      \
        LH_BOOL(struct_type, include_row, .doc = "Each item with its whole row.")
#define OP_SEARCH_ROWS(struct_type)                                                                \
    LH_STR(struct_type, index, .required = true, .positional = true, .min = 1, .max = 255,         \
           .doc = "The index."),                                                                   \
        LH_STR(struct_type, query, .positional = true, .max = SEARCH_QUERY_BYTES_MAX,              \
               .doc = "What to look for, in words."),                                              \
        LH_JSON(struct_type, vector, .numbers = LH_NUMBERS_LIST,                                   \
                .doc = "Instead of words: a list of numbers."),                                    \
        LH_STR_LIST(struct_type, queries, .max = SEARCH_BATCH_MAX,                                 \
                    .doc = "Several at once, in words: one result for each."),                     \
        LH_JSON(struct_type, vectors, .numbers = LH_NUMBERS_LISTS,                                 \
                .doc = "Several at once: a list of lists of numbers, one result for each."),       \
        LH_INT(struct_type, k, LH_PRESET(SEARCH_K_PRESET), .min = 0, .max = SEARCH_K_MAX,          \
               .doc = "Most items, of each question."),                                            \
        LH_CHOICE(struct_type, format, .choices = op_octet_formats,                                \
                  .doc = "How the numbers of a body of octets are written, the low byte first: "   \
                         "f32 unless said otherwise, or f16."),                                    \
        OP_ASK_ROWS(struct_type)

extern const struct lh_fields op_search_answer_fields;
/* What the errors of a search may be, whoever asks. */
#define OP_SEARCH_ERRORS                                                                           \
    LH_NOT_FOUND, LH_CONFLICT, LH_SQL, LH_SYNTAX, LH_REFUSED, LH_TOO_LARGE, LH_DAMAGED, LH_TIMEOUT

/* What who asks on behalf of others adds; the filter then reads no other dataset. */
struct op_search_scope {
    struct lh_str index_id; /* that it was allowed for */
    bool is_cold;           /* all vectors are looked at */
    struct lh_str note;     /* for the reply; absent: none */
};
/* `scope` NULL: the caller's own search. */
enum lh_code op_run_search(struct op_call *call, const struct op_search_args *args,
                           const struct op_search_scope *scope, struct op_reply *reply,
                           struct lh_error *err) LH_MUST_USE;

#endif
