/* Rows in the format that the caller wants. */
#include "ops/op.h"

#include "query/encoder.h"

static struct lh_str name_list(struct lh_arena *arena, bool is_media)
{
    struct lh_str list = {0};
    for (size_t i = 0; i < query_encoder_count; i++)
        list = lh_arena_printf(arena, "%.*s%s%s", LH_ARG(list), i ? ", " : "",
                               is_media ? query_encoders[i]->media_type : query_encoders[i]->name);
    return list;
}

/* One range of an Accept header: "text/csv;q=0.8". Parameters other than q are not looked at. */
struct range {
    struct lh_str media;
    double weight;
};

static struct range next_range(struct lh_str *rest)
{
    struct lh_str text = lh_str_cut(rest, ',');
    struct range range = {.media = lh_str_trim(lh_str_cut(&text, ';')), .weight = 1};
    while (text.len) {
        struct lh_str parameter = lh_str_trim(lh_str_cut(&text, ';'));
        if (lh_str_starts_with(parameter, lh_lit("q=")) &&
            !lh_str_to_double(lh_str_slice(parameter, 2, parameter.len), &range.weight))
            range.weight = 0;
    }
    return range;
}

/* How closely a range names an encoder: 3 itself, 2 its kind (text with any subtype), 1 anything, 0
 * not at all.
 */
static int match(const struct range *range, const struct query_encoder *encoder)
{
    struct lh_str media = lh_str_of(encoder->media_type), kind = range->media;
    if (query_encoder_by_media_type(range->media) == encoder)
        return 3;
    if (lh_str_equal(range->media, lh_lit("*/*")))
        return 1;
    if (!lh_str_ends_with(kind, lh_lit("/*")))
        return 0;
    kind.len--;
    return lh_str_equal_nocase(lh_str_head(media, kind.len), kind) ? 2 : 0;
}

/* The weight that RFC 9110 gives an encoder: that of the closest range. *ret_place says where it
 * stands. */
static double weigh(struct lh_str accept, const struct query_encoder *encoder, int *ret_place)
{
    double weight = 0;
    int closest = 0;
    for (int place = 0; accept.len; place++) {
        struct range range = next_range(&accept);
        int closeness = match(&range, encoder);
        if (closeness > closest) {
            closest = closeness;
            weight = range.weight;
            *ret_place = place;
        }
    }
    return weight;
}

/* The heaviest; of equal ones the first named, of those the first in our table. */
static enum lh_code encoder_accepted(struct op_call *call, const struct query_encoder **ret,
                                     struct lh_error *err)
{
    const struct query_encoder *chosen = NULL;
    double best = 0;
    int first = 0;
    for (size_t i = 0; i < query_encoder_count; i++) {
        int place = 0;
        double weight = weigh(call->accept, query_encoders[i], &place);
        if (weight > best || (chosen && weight == best && place < first)) {
            chosen = query_encoders[i];
            best = weight;
            first = place;
        }
    }
    if (chosen) {
        *ret = chosen;
        return LH_OK;
    }
    lh_fail(err, LH_NOT_ACCEPTABLE, "Rows cannot be written as '%.*s'.",
            LH_ARG(lh_str_head(call->accept, 200)));
    return lh_error_hint(err, "These can be written: %.*s.", LH_ARG(name_list(call->arena, true)));
}

enum lh_code op_choose_encoder(struct op_call *call, struct lh_str format,
                               const struct query_encoder **ret, struct lh_error *err)
{
    if (format.data) {
        *ret = query_encoder_by_name(format);
        if (*ret)
            return LH_OK;
        lh_fail(err, LH_INVALID, "There is no format '%.*s'.", LH_ARG(format));
        lh_error_hint(err, "The formats are: %.*s.", LH_ARG(name_list(call->arena, false)));
        return lh_error_field(err, lh_lit("format"));
    }
    if (call->accept.len)
        return encoder_accepted(call, ret, err);
    *ret = query_encoders[0];
    return LH_OK;
}

static enum lh_code rows_write(void *context, struct lh_str bytes, struct lh_error *err)
{
    return op_reply_write(context, bytes, err);
}

enum lh_code op_reply_rows(struct op_reply *reply, struct query *query,
                           const struct query_encoder *encoder,
                           const struct query_encode_options *options, struct lh_error *err)
{
    struct lh_error why = LH_ERROR_NONE;
    struct query_sink sink = {.context = reply, .write = rows_write};
    bool is_failed = false;
    reply->content_type = query_encoder_content_type(encoder);
    lh_buf_clear(&reply->body);
    enum lh_code code = query_encode(query, encoder, options, &sink, &is_failed, &why);
    reply->row_count = query_row_count(query);
    reply->is_failed = is_failed;
    if (err && (code || is_failed))
        *err = why;
    /* Nothing has left yet: a problem document with its own status says more than a broken table.
     */
    if (!code && is_failed && !reply->has_begun && why.code)
        code = why.code;
    return code;
}
