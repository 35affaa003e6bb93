/* The messages of an Arrow stream: a FlatBuffer with its length in front, then a body. */
#ifndef LAKEHOUSE_QUERY_ARROW_MESSAGE_H
#define LAKEHOUSE_QUERY_ARROW_MESSAGE_H

#include "query/arrow.h"
#include "query/flat.h"

enum arrow_header { ARROW_SCHEMA = 1, ARROW_DICTIONARY_BATCH = 2, ARROW_RECORD_BATCH = 3 };

/* Begins a message and returns the place that shall point to its header. */
size_t arrow_message_begin(struct flat *flat, struct lh_buf *buf, enum arrow_header header,
                           int64_t body_bytes);
/* Pads it, so that the body that follows is aligned, and says how long it is. */
void arrow_message_end(struct flat *flat);
/* What stands at the end of a stream. */
void arrow_write_end(struct lh_buf *buf);

#endif
