/* The body of a request on its way in: to memory, to a file, or part by part to both. Belongs to
 * the I/O thread that receives it; each call may write to the disk and otherwise does not block. */
#ifndef LAKEHOUSE_HTTP_BODY_H
#define LAKEHOUSE_HTTP_BODY_H

#include "base/hash.h"
#include "http/http.h"
#include "http/multipart.h"

struct exchange;
struct http_server;

/* A file in the staging folder that is being written. */
struct spool {
    struct lh_str path; /* in the exchange's arena; absent = none open */
    int fd;
    int64_t bytes;
    struct lh_sha256 *sum;
};

struct form_part {
    struct form_part *next;
    struct http_part part;
};

struct body {
    int64_t received;
    struct lh_buf memory;  /* MEMORY: the body; MULTIPART: the value of the part at hand */
    size_t memory_counted; /* against server->body_memory */
    struct spool spool;
    struct multipart *multipart;
    struct form_part *first;
    struct form_part *last;
    size_t part_count;
    size_t form_bytes;
    bool is_file;     /* the part at hand */
    bool has_spooled; /* something may have to be removed */
};

enum lh_code body_begin(struct exchange *exchange, struct lh_error *err) LH_MUST_USE;
enum lh_code body_add(struct exchange *exchange, struct lh_str bytes,
                      struct lh_error *err) LH_MUST_USE;
enum lh_code body_end(struct exchange *exchange, struct lh_error *err) LH_MUST_USE;
void body_remove_files(struct exchange *exchange); /* those that nobody took */
void body_release(struct exchange *exchange);

enum lh_code spool_open(struct exchange *exchange, struct spool *spool,
                        struct lh_error *err) LH_MUST_USE;
enum lh_code spool_add(const struct http_server *server, struct spool *spool, struct lh_str bytes,
                       struct lh_error *err) LH_MUST_USE;
enum lh_code spool_end(struct spool *spool, struct lh_upload *ret,
                       struct lh_error *err) LH_MUST_USE;
void spool_release(struct spool *spool);

enum lh_code form_begin(struct exchange *exchange, struct lh_error *err) LH_MUST_USE;
enum lh_code form_end(struct exchange *exchange, struct lh_error *err) LH_MUST_USE;

/* Counts bytes of bodies in memory over the whole server; LH_BUSY over the limit. */
enum lh_code body_count_memory(struct exchange *exchange, size_t count,
                               struct lh_error *err) LH_MUST_USE;

#endif
