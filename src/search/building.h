/* What building and refreshing share. Inside search/ only. */
#ifndef LAKEHOUSE_SEARCH_BUILDING_H
#define LAKEHOUSE_SEARCH_BUILDING_H

#include "jobs/jobs.h"
#include "search/view.h"

/* --- request.c */

/* The first manifest of the index that is asked for. */
enum lh_code request_manifest(struct search *search, const struct search_build_request *request,
                              struct index_manifest **ret, struct lh_error *err) LH_MUST_USE;
/* LH_CONFLICT: the index is another one than the request describes. */
enum lh_code request_fits(const struct search_build_request *request,
                          const struct index_manifest *manifest, struct lh_error *err) LH_MUST_USE;

/* --- build.c */

/* The version of the dataset that an index shall cover. */
struct build_target {
    struct lh_str name;
    int64_t version;
    struct lh_str data; /* fingerprint of its files */
    int64_t rows;
    bool from_scratch; /* nothing of what is there is kept, and nothing recorded before the end */
};
/* Brings an index from `manifest`, its newest, to the target, part by part; each part is recorded
 * as soon as it is durable. The caller is busy with the index. Texts of *ret are the caller's to
 * set. */
enum lh_code build_run(struct search_index *index, const struct index_manifest *manifest,
                       const struct build_target *target, struct job *job,
                       struct search_build_result *ret, struct lh_error *err) LH_MUST_USE;

/* --- refresh.c */

/* What the job's record keeps. */
enum lh_code request_read(struct job *job, struct lh_arena *arena, struct search_build_request *ret,
                          struct lh_error *err) LH_MUST_USE;
/* Loads what was made, so that the first search finds it there. A search that comes too early, or
 * has no memory, is no failure of the build. */
void index_warm(struct search_index *index, const struct lh_cancel *cancel);

/* --- merge.c */

/* What a refresh leaves behind: few parts. */
struct merging {
    struct search *search;
    struct index_manifest *manifest; /* of the refresh, not yet published; gets the merged part */
    struct entries *fresh;           /* what the refresh adds, with vectors; NULL: nothing */
    const struct lh_cancel *cancel;
    struct lh_arena *arena; /* of what is left */

    struct lh_list replaced; /* of struct index_part: trash once the manifest is published */
    bool took_fresh;         /* `fresh` stands in the merged part */
};
/* `known` lends parts. A failure changes nothing: the refresh writes what it adds by itself. */
enum lh_code merge_parts(struct merging *merging, const struct view *known,
                         struct lh_error *err) LH_MUST_USE;

#endif
