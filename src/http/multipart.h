/* multipart/form-data (RFC 7578), read as it streams by: a strict parser without memory of the
 * content.
 *
 * Takes the body in pieces of any size and calls back part by part. Holds at most one part's
 * header. Knows nothing of files, sockets or limits on content. One thread at a time; does not
 * block.
 */
#ifndef LAKEHOUSE_HTTP_MULTIPART_H
#define LAKEHOUSE_HTTP_MULTIPART_H

#include "base/error.h"

#define MULTIPART_BOUNDARY_BYTES_MAX ((size_t)70) /* RFC 2046 */
#define MULTIPART_HEADER_BYTES_MAX ((size_t)8192)
#define MULTIPART_NAME_BYTES_MAX ((size_t)256)
#define MULTIPART_FILENAME_BYTES_MAX ((size_t)1024)

struct multipart; /* opaque; made by multipart_new, ended by multipart_free */

/* What a part's header says; valid during the call. */
struct multipart_part {
    struct lh_str name;     /* never empty, valid UTF-8 without control characters */
    struct lh_str filename; /* the same, may be empty */
    bool has_filename;
    struct lh_str content_type; /* absent = not said */
};

/* Any code but LH_OK ends the parsing and is returned with its err. */
struct multipart_sink {
    enum lh_code (*part)(void *context, const struct multipart_part *part, struct lh_error *err);
    enum lh_code (*data)(void *context, struct lh_str bytes, struct lh_error *err);
    enum lh_code (*part_end)(void *context, struct lh_error *err);
    void *context;
};

/* LH_UNSUPPORTED: not multipart/form-data; LH_MALFORMED: no usable boundary. */
enum lh_code multipart_new(struct lh_str content_type, const struct multipart_sink *sink,
                           struct multipart **ret, struct lh_error *err) LH_MUST_USE;
void multipart_free(struct multipart *multipart); /* NULL is fine */

/* LH_MALFORMED names the part by its number. After an error only multipart_free may follow. */
enum lh_code multipart_feed(struct multipart *multipart, struct lh_str bytes,
                            struct lh_error *err) LH_MUST_USE;
/* The body is over: LH_MALFORMED if it ended before its last boundary. */
enum lh_code multipart_finish(struct multipart *multipart, struct lh_error *err) LH_MUST_USE;

#endif
