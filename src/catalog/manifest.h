/* A manifest: one version of one dataset as the change against its parent, or, as a checkpoint, its
 * whole state. Only its bytes are the truth; these structs are what they say. Module-internal but
 * for its tests. The format is described in docs/formats/manifest.md.
 */
#ifndef LAKEHOUSE_CATALOG_MANIFEST_H
#define LAKEHOUSE_CATALOG_MANIFEST_H

#include "catalog/catalog.h"

#define MANIFEST_FORMAT 1
#define MANIFEST_REWRITES "rewrites"       /* the feature of data files with sources, or a place */
#define MANIFEST_TOMBSTONES "tombstones"   /* the feature of files that add some */
#define MANIFEST_MOVES "moves"             /* the feature of files that were copied elsewhere */
#define MANIFEST_KEY_COLUMNS "key_columns" /* of tombstones that name rows by several columns */
#define MANIFEST_BYTES_MAX ((size_t)256 * 1024 * 1024)

/* Beside the bits of enum catalog_set_bit. */
enum manifest_set_bit {
    MANIFEST_SET_NAME = 1 << 16,
    MANIFEST_SET_DELETED = 1 << 17,
    MANIFEST_SET_CREATED = 1 << 18,
    MANIFEST_SET_RETAINED = 1 << 19,
    MANIFEST_SET_CONTENT = 1 << 20
};
#define MANIFEST_SET_ALL                                                                           \
    (CATALOG_SET_DESCRIPTION | CATALOG_SET_OWNER | CATALOG_SET_SENSITIVITY | CATALOG_SET_TAGS |    \
     CATALOG_SET_COLUMNS | CATALOG_SET_LINEAGE | CATALOG_SET_FRESHNESS | CATALOG_SET_EMBEDDED_AT | \
     CATALOG_SET_STALE_SINCE | CATALOG_SET_REFRESH | CATALOG_SET_SCHEMAS |                         \
     CATALOG_SET_QUARANTINED | MANIFEST_SET_NAME | MANIFEST_SET_DELETED | MANIFEST_SET_CREATED |   \
     MANIFEST_SET_RETAINED | MANIFEST_SET_CONTENT)

/* A version and the checksum inside its file; version 0 = none. */
struct manifest_ref {
    int64_t version;
    uint8_t sha256[LH_SHA256_BYTES];
};

struct manifest_objects {
    const struct catalog_object *items;
    size_t count;
};

struct manifest {
    bool is_checkpoint;
    struct lh_str dataset_id;
    int64_t version;
    uint64_t sequence;
    uint64_t epoch;
    int64_t time_ms;
    /* The version that this one changes. Normally version - 1; lower when it replaces versions
     * whose durability was unknown. A checkpoint's parent is the version that it equals. */
    struct manifest_ref parent;
    struct manifest_ref checkpoint; /* where replay may start; of a change only */
    uint32_t set_bits;
    struct catalog_dataset set; /* the members that set_bits name */
    bool removes_all; /* all objects of the parent; of its tombstones those that name no key, and
                         all if it was dropped */
    struct manifest_objects added;
    struct lh_str_list removed; /* keys */
    struct manifest_objects tombstones_added;
    struct lh_str_list tombstones_removed;
    const struct catalog_moved *moves; /* of a change: its own, with its version and time */
    size_t move_count;
    int64_t row_count, object_count, byte_count; /* after the change */
    bool has_key_columns; /* after it, tombstones name rows by several columns */
    const struct catalog_commit_info *commits;
    size_t commit_count;
    struct lh_str_list
        features; /* what a reader must understand; encoding says it if they are absent */
    uint8_t sha256[LH_SHA256_BYTES]; /* filled by encoding and decoding */
};

/* Appends the file's bytes: canonical JSON that begins with its own checksum. */
enum lh_code manifest_encode(struct manifest *manifest, struct lh_buf *buf,
                             struct lh_error *err) LH_MUST_USE;
/* Reads a file; texts live in `arena`. `what` names it. LH_DAMAGED: not what was written;
 * LH_FORMAT: of a newer release. Never trusts a number or text before the checksum matched, nor
 * after. */
enum lh_code manifest_decode(struct lh_str bytes, struct lh_str what, struct lh_arena *arena,
                             struct manifest *ret, struct lh_error *err) LH_MUST_USE;

/* "_catalog/datasets/<id>/<20 digits>.json", or ".checkpoint.json". */
struct lh_str manifest_key(struct lh_str dataset_id, int64_t version, bool is_checkpoint,
                           struct lh_arena *arena);
/* The version in a file's name; false for any other name. */
bool manifest_version_of_name(struct lh_str name, int64_t *ret_version, bool *ret_is_checkpoint);

#endif
