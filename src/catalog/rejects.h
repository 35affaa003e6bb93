/* Files of rows that were not taken: Parquet, in primary, beside a dataset's data files.
 *
 * A file's name ends in the checksum of its bytes. An erasure writes one anew under its name, which
 * manifests have: then its own checksum stands in the file, in front of the footer, where Parquet
 * has nothing. Files of releases that knew no checksums are taken as they are.
 *
 * Threads: any. Blocks: a file that was not looked at yet is read.
 */
#ifndef LAKEHOUSE_CATALOG_REJECTS_H
#define LAKEHOUSE_CATALOG_REJECTS_H

#include "base/buf.h"
#include "catalog/catalog.h"
#include "storage/storage.h"

/* A file that is written anew may have so many bytes. */
#define CATALOG_REJECTS_ANEW_MAX ((size_t)64 << 20)

struct lh_str catalog_rejects_key(struct lh_str dataset_id, struct lh_str id,
                                  const uint8_t sha256[LH_SHA256_BYTES], struct lh_arena *arena);
/* Puts the checksum into the bytes of a whole file. LH_INTERNAL: they are no Parquet file. */
enum lh_code catalog_rejects_stamp(struct lh_buf *bytes, struct lh_error *err) LH_MUST_USE;
/* LH_DAMAGED, naming the file: it is missing, or not what was written. Reads it. */
enum lh_code catalog_rejects_check(struct storage *storage, struct lh_str key,
                                   const struct lh_cancel *cancel,
                                   struct lh_error *err) LH_MUST_USE;
/* The same once for each state of the file, and *ret_info is that state. */
enum lh_code catalog_rejects_ensure(struct catalog *catalog, struct lh_str key,
                                    const struct lh_cancel *cancel, struct storage_info *ret_info,
                                    struct lh_error *err) LH_MUST_USE;

#endif
