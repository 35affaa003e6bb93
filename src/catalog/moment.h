/* One moment of the catalog, for copying its files while it goes on: which manifests and data files
 * belong to it, in whatever bucket, and what they must sum up to.
 *
 * The moment is the one in which storage_backup asks what there is; its snapshot is held from then
 * on. One thread at a time; reads manifests.
 */
#ifndef LAKEHOUSE_CATALOG_MOMENT_H
#define LAKEHOUSE_CATALOG_MOMENT_H

#include "catalog/catalog.h"
#include "storage/backup.h"

struct catalog_moment; /* made by catalog_moment_new, ended by catalog_moment_free */

struct catalog_moment *catalog_moment_new(struct catalog *catalog);
void catalog_moment_free(struct catalog_moment *moment); /* NULL is fine */
/* For one backup, as long as the moment lives. It fails with LH_UNKNOWN or LH_LOCKED if writing has
 * stopped: what is on disk may then not be what was acknowledged. */
struct storage_backup_source catalog_moment_source(struct catalog_moment *moment);

#endif
