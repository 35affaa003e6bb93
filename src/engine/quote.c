/* Quoting: the one place that turns names and values into SQL text. */
#include "engine/engine.h"

static void append_quoted(struct lh_buf *buf, struct lh_str text, char quote)
{
    lh_buf_append_char(buf, quote);
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == quote)
            lh_buf_append_char(buf, quote);
        lh_buf_append_char(buf, text.data[i]);
    }
    lh_buf_append_char(buf, quote);
}

void engine_quote_ident(struct lh_buf *buf, struct lh_str name)
{
    append_quoted(buf, name, '"');
}

void engine_quote_literal(struct lh_buf *buf, struct lh_str text)
{
    append_quoted(buf, text, '\'');
}
