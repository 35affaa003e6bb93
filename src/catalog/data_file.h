/* A Parquet file on its way into the lake: written by the engine, made durable, read back.
 *
 *   data_file_copy ─▶ staged ─ data_file_seal ─▶ durable, compared ─ storage_publish ─▶ an object
 *        └──────────────────────┴─▶ data_file_discard: whatever became of it
 *
 * Threads: a file belongs to one thread at a time. Everything blocks.
 */
#ifndef LAKEHOUSE_CATALOG_DATA_FILE_H
#define LAKEHOUSE_CATALOG_DATA_FILE_H

#include "engine/engine.h"
#include "storage/storage.h"

struct data_file_joined;

struct data_file { /* zeroed before */
    struct storage_staged *staged;
    struct storage_sum sum;          /* filled by data_file_seal */
    struct engine_content content;   /* filled by data_file_copy: of what went in */
    struct data_file_joined *joined; /* by data_file_join: how data_file_seal knows it again */
};

/* Writes what `select` returns into a fresh staged file. Codes as engine_copy and storage_stage. */
enum lh_code data_file_copy(struct storage *storage, struct engine_connection *connection,
                            struct lh_str select, const struct engine_copy_options *options,
                            const struct lh_cancel *cancel, struct data_file *ret,
                            struct lh_error *err) LH_MUST_USE;
/* A data file of the lake as it was committed. */
struct data_file_part {
    struct lh_str key;  /* for messages */
    struct lh_str path; /* absolute; what it leads to stays for as long as the call takes */
    int64_t bytes, rows;
    const uint8_t *sha256;
};
struct data_file_join {
    const struct data_file_part *parts;
    size_t count;
    struct engine_content content; /* of all parts, as they were committed: it becomes the file's */
    int64_t group_rows_min;        /* row groups shall have so many rows on the average */
    void (*progress)(void *context, int64_t rows); /* may be NULL */
    void *context;
};
/* Writes the row groups of files behind one another, as they are, into a fresh staged file. The
 * parts stay until it is sealed or discarded. *ret_is_joined = false: that cannot be done, for they
 * differ in their columns, their row groups are small, or they were not written by this release of
 * the engine; then there is no file yet. */
enum lh_code data_file_join(struct storage *storage, const struct data_file_join *join,
                            const struct lh_cancel *cancel, struct data_file *ret,
                            bool *ret_is_joined, struct lh_error *err) LH_MUST_USE;
/* Durable, and holding what went in: else LH_IO that names `what` ("the file of 'x'"). Copied rows
 * are all read back. Of a joined file each part's bytes are read back and have the sum that the
 * part was committed with, and the engine finds the same in its footer as in theirs; LH_DAMAGED: a
 * part is not what was committed. */
enum lh_code data_file_seal(struct data_file *file, struct engine_connection *connection,
                            const char *what, const struct lh_cancel *cancel,
                            struct lh_error *err) LH_MUST_USE;
/* Ends the file, and removes it unless it was published. Never copied or ended ones are fine. */
void data_file_discard(struct data_file *file);

bool data_file_content_is(const struct engine_content *a, const struct engine_content *b);
/* The sums as catalog_object.content_hash has them, and back. */
struct lh_str data_file_content_text(const struct engine_content *content, struct lh_arena *arena);
bool data_file_content_read(struct lh_str text, struct engine_content *ret); /* without `rows` */

#endif
