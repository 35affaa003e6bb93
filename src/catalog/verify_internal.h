/* What the files of the offline verifier share. Internal to the catalog. */
#ifndef LAKEHOUSE_CATALOG_VERIFY_INTERNAL_H
#define LAKEHOUSE_CATALOG_VERIFY_INTERNAL_H

#include "catalog/internal.h"
#include "catalog/verify.h"

struct finding_node {
    struct finding_node *next;
    struct catalog_finding finding;
};
struct sequence_node {
    struct sequence_node *next;
    uint64_t sequence, epoch;
    int64_t time_ms;
    struct lh_str key;
};
struct text_node { /* a commit's UUID, or a live dataset's name in lower case */
    struct text_node *next;
    struct lh_str text;
    struct lh_str key;
};
struct object_record {
    struct object_record *next;
    struct catalog_object object; /* bucket, key, bytes, sha256 */
};

struct verify {
    struct storage *storage;
    struct catalog_verify_options options;
    struct lh_arena *arena;
    struct catalog_report report;
    struct epoch_note note; /* what the last clean end left; before datasets are compared */
    struct finding_node *first, **last;
    struct sequence_node *sequences;
    size_t sequence_count;
    struct text_node *uuids;
    size_t uuid_count;
    struct text_node *names;
    size_t name_count;
    struct text_node *rejects; /* files of rows that were not taken */
    size_t reject_count;
    struct text_node *set_aside; /* by quarantine, and not in the newest version */
    size_t set_aside_count;
    struct text_node **sorted_rejects; /* while data files are looked at */
    struct object_record *objects;
    size_t object_count;
    struct object_record **sorted_objects; /* while data files are looked at */
};

void verify_find(struct verify *verify, enum catalog_severity severity, struct lh_str object,
                 const char *format, ...) LH_PRINTF(4, 5);
/* One dataset's chain: every manifest and checkpoint. Findings are no failure. */
enum lh_code verify_dataset(struct verify *verify, struct lh_str id,
                            struct lh_error *err) LH_MUST_USE;

#endif
