/* The sample's importer: a Debian package index, as `apt-cache dumpavail` prints it, turned into
 * two files that anybody could have made: sample-packages.ndjson and sample-dependencies.csv.
 *
 *   packages      name, source, version, section, priority, architecture, multi_arch, essential,
 *                 maintainer, maintainer_email, installed_size, download_size (bytes), homepage,
 *                 summary, description, tags
 *   dependencies  package, kind, position, alternative, depends_on, operator, version
 *
 * `position` counts the comma-separated wishes of one kind from 1, `alternative` the "a | b" inside
 * one; `kind` is depends, pre_depends, recommends, suggests, enhances, breaks, conflicts, replaces
 * or provides. Deterministic: the same index gives the same bytes, so that a second import is
 * recognised. One thread.
 */
#ifndef LAKEHOUSE_DEMO_PACKAGE_INDEX_H
#define LAKEHOUSE_DEMO_PACKAGE_INDEX_H

#include "base/file.h"

#define PACKAGE_INDEX_PACKAGES "sample-packages.ndjson"
#define PACKAGE_INDEX_DEPENDENCIES "sample-dependencies.csv"

struct package_index; /* a conversion under way; ended by package_index_free */

struct package_index_counts {
    int64_t packages;
    int64_t dependencies;
    int64_t skipped; /* records without a name or a version */
};

/* Creates both files in `dir`. */
enum lh_code package_index_new(struct lh_dir *dir, struct package_index **ret,
                               struct lh_error *err) LH_MUST_USE;
/* Takes the next piece of the index's text, cut anywhere. A record is at most 1 MB. */
enum lh_code package_index_feed(struct package_index *index, struct lh_str text,
                                struct lh_error *err) LH_MUST_USE;
/* Takes the last record and closes the files. */
enum lh_code package_index_finish(struct package_index *index, struct package_index_counts *ret,
                                  struct lh_error *err) LH_MUST_USE;
void package_index_free(struct package_index *index); /* NULL is fine */

#endif
