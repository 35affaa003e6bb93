/* Entries: in memory, and on disk as parts. Inside search/ only.
 *
 * An entry is one chunk of one source row. Entries are a log: a later entry of an id stands for the
 * row instead of all earlier parts' ones, and an entry with the chunk ENTRY_REMOVED says that the
 * row is gone. The chunks of a row stand side by side in one part.
 */
#ifndef LAKEHOUSE_SEARCH_ENTRIES_H
#define LAKEHOUSE_SEARCH_ENTRIES_H

#include "search/internal.h"

#define ENTRY_REMOVED (-1)

/* Column by column. A part that was read, or rows on their way to one. */
struct entries {
    atomic_size_t refs;
    struct lh_arena *texts; /* ids and texts */
    size_t text_bytes;
    size_t count, capacity;
    size_t dimensions;
    bool has_vectors;
    struct lh_str *ids;
    struct lh_str *texts_of; /* of the chunk; absent: no text */
    int32_t *chunks;
    int64_t *starts;
    uint8_t (*hashes)[SEARCH_HASH_BYTES];
    bool *is_blank;             /* without a vector */
    float *vectors;             /* dimensions floats each, 64-byte aligned as a whole */
    struct search_codes *codes; /* of the vectors; NULL: none were made */
};

struct entry {
    struct lh_str id;
    struct lh_str text;
    int32_t chunk;
    int64_t start;
    const uint8_t *hash;
};

struct entries *entries_new(size_t dimensions, bool has_vectors);
struct entries *entries_ref(struct entries *entries);
void entries_unref(struct entries *entries); /* NULL is fine */
/* Room for so many in all. LH_BUSY. */
enum lh_code entries_reserve(struct entries *entries, size_t count,
                             struct lh_error *err) LH_MUST_USE;
/* Copies the texts; its vector is blank until entries_set_vector. LH_BUSY. */
enum lh_code entries_add(struct entries *entries, const struct entry *entry,
                         struct lh_error *err) LH_MUST_USE;
/* To unit length; one of no length stays blank. */
void entries_set_vector(struct entries *entries, size_t at, const float *vector);
/* Once they are complete, and before anybody else sees them. Searches are the same without, and
 * slower: so nothing is made of few, and no memory for it is no failure. */
void entries_make_codes(struct entries *entries);

/* Writes entries as one Parquet object: verified, durable, published, named by nothing yet. */
enum lh_code part_write(struct search *search, const struct index_manifest *manifest,
                        struct entries *entries, const struct lh_cancel *cancel,
                        struct lh_arena *arena, struct index_part *ret,
                        struct lh_error *err) LH_MUST_USE;
/* Reads one back, after its checksum was verified. LH_DAMAGED. */
enum lh_code part_read(struct search *search, const struct index_manifest *manifest,
                       const struct index_part *part, bool has_vectors,
                       const struct lh_cancel *cancel, struct entries **ret,
                       struct lh_error *err) LH_MUST_USE;
/* Makes the function that COPY reads entries from known to the engine. */
enum lh_code part_register(struct search *search, struct lh_error *err) LH_MUST_USE;
/* A small file of an index (what a model learned), published and read back verified. */
enum lh_code object_write(struct search *search, struct lh_str bucket, struct lh_str key,
                          struct lh_str bytes, struct lh_arena *arena, struct index_object *ret,
                          struct lh_error *err) LH_MUST_USE;
bool object_sum(const struct index_object *object, struct storage_sum *ret); /* false: it is none */
/* LH_DAMAGED: it is missing, or not what was written. */
enum lh_code object_verify(struct storage *storage, struct lh_str bucket,
                           const struct index_object *object, struct lh_error *err) LH_MUST_USE;
/* Of a remote bucket: whole and verified in the cache, until storage_unpin. *ret is NULL for one of
 * a local bucket: that is verified by who reads it. LH_DAMAGED. */
enum lh_code object_pin(struct storage *storage, struct lh_str bucket,
                        const struct index_object *object, const struct lh_cancel *cancel,
                        struct storage_pin **ret, struct lh_error *err) LH_MUST_USE;
/* Its bytes, compared. LH_DAMAGED. */
enum lh_code object_read(struct storage *storage, struct lh_str bucket,
                         const struct index_object *object, size_t bytes_max,
                         struct lh_arena *arena, struct lh_str *ret,
                         struct lh_error *err) LH_MUST_USE;

#endif
