/* What the files of the S3 backend share: signed requests that are repeated where that may help,
 * and the little of XML that its answers need. */
#ifndef LAKEHOUSE_STORAGE_S3_INTERNAL_H
#define LAKEHOUSE_STORAGE_S3_INTERNAL_H

#include "http/http_client.h"
#include "storage/internal.h"
#include "storage/sign.h"

#define S3_CLIENTS_MAX 16 /* connections that are kept */
#define S3_ATTEMPTS 4
#define S3_PROBE_FOLDER "_probe"
#define S3_PROBE_BYTES_MAX 16                  /* of what a trial of writing leaves */
#define S3_OBJECT_BYTES_MAX ((int64_t)5 << 30) /* what a store copies in one request */

struct s3_upload { /* lives on the stack of whoever sends the parts */
    struct lh_str key;
    struct s3_upload *next;
};

struct s3 {
    struct storage_bucket *bucket;
    struct lh_str host; /* as it is signed */
    struct lh_str region;
    pthread_mutex_t mutex; /* guards what follows; never held while a request runs */
    struct http_client *clients[S3_CLIENTS_MAX]; /* that are idle */
    size_t client_count;
    struct store_keys keys;
    bool has_keys;
    struct s3_upload *uploads; /* in parts, of this process, that go on */
    bool is_probed;            /* it takes conditional puts, and its place is ours */
    int64_t clock_offset_ms;   /* of the store's clock from ours */
};

struct s3_call {
    const char *method;
    struct lh_str key; /* the bucket's own key; absent = the bucket itself */
    struct http_pair query[6];
    size_t query_count;
    struct http_pair headers[6];
    size_t header_count;
    struct lh_str body;
    struct lh_str body_path;
    int64_t body_offset, body_bytes;
    struct lh_str payload_hash; /* hex; absent: of `body` */
    size_t response_bytes_max;
    enum lh_code (*sink)(void *context, int status, struct lh_str bytes, struct lh_error *err);
    void *context;
    bool is_once; /* not repeated here: the caller does that */
    const struct lh_cancel *cancel;
};
void s3_query(struct s3_call *call, const char *name, struct lh_str value);
void s3_header(struct s3_call *call, const char *name, struct lh_str value);

struct s3_answer {
    struct http_client_response response;
    /* An attempt before the last one may have been carried out by the store although it did not say
     * so; or the last one, if there is an error. */
    bool is_ambiguous;
};
/* LH_OK: there is an answer, of whatever status below 500, to be ended by s3_answer_release.
 * LH_IO: none came, or the store was at its limits to the end. */
enum lh_code s3_send(struct s3 *s3, const struct s3_call *call, struct s3_answer *ret,
                     struct lh_error *err) LH_MUST_USE;
void s3_answer_release(struct s3_answer *answer);
/* What a refusal means: LH_NOT_FOUND for an object that is not there, else LH_IO. */
enum lh_code s3_fail(const struct s3 *s3, const struct s3_answer *answer, struct lh_str key,
                     struct lh_error *err);

/* Rests before attempt 1, 2, … ; false: it was told to stop. */
bool s3_rest(unsigned attempt, const struct lh_cancel *cancel);

/* s3_write.c */
enum lh_code s3_put_file(struct s3 *s3, struct lh_str path, struct lh_str key, bool is_exclusive,
                         struct storage_sum *ret_sum, bool *ret_is_unknown,
                         struct lh_error *err) LH_MUST_USE;
enum lh_code s3_put_text(struct s3 *s3, struct lh_str text, struct lh_str key, bool is_exclusive,
                         const struct lh_cancel *cancel, struct lh_error *err) LH_MUST_USE;

/* s3.c: what all keys of a folder ("": all) begin with in the store; in `arena`. */
struct lh_str s3_start(const struct s3 *s3, const char *folder, struct lh_arena *arena);
/* Everything below the bucket's prefix, by names. */
enum lh_code s3_list_deep(struct storage_bucket *bucket, struct lh_arena *arena,
                          struct storage_entry **ret, size_t *ret_count,
                          struct lh_error *err) LH_MUST_USE;
/* For s3_reading.take; `context` is the descriptor. */
enum lh_code s3_write_to_file(void *context, struct lh_str bytes, struct lh_error *err) LH_MUST_USE;

/* s3_read.c: all of it, in order, going on behind what came if it breaks off. */
struct s3_reading {
    struct lh_str key;
    struct lh_str version; /* absent: the newest */
    const struct lh_cancel *cancel;
    enum lh_code (*take)(void *context, struct lh_str bytes, struct lh_error *err);
    void *context;
};
enum lh_code s3_read(struct s3 *s3, const struct s3_reading *reading, int64_t *ret_bytes,
                     struct lh_error *err) LH_MUST_USE;

/* s3_xml.c: the text between the next <tag> and </tag>; absent text: there is none. *text goes on
 * behind it. */
struct lh_str s3_xml_next(struct lh_str *text, const char *tag);
/* Entities replaced. */
struct lh_str s3_xml_text(struct lh_str raw, struct lh_arena *arena);
/* The same of an address: "%2F" is "/", "+" is a space. */
struct lh_str s3_url_text(struct lh_str raw, struct lh_arena *arena);

#endif
