/* What writing and reading manifests share. */
#ifndef LAKEHOUSE_CATALOG_MANIFEST_INTERNAL_H
#define LAKEHOUSE_CATALOG_MANIFEST_INTERNAL_H

#include "catalog/manifest.h"

#define CATALOG_FOLDER "_catalog/datasets"

/* '_' sorts before the lower-case letters of all other keys, so every file begins with its checksum
 * at a fixed place, and what is summed is simply the rest: no parsing before trust. */
#define MANIFEST_CHECKSUM_KEY "_sha256"
#define MANIFEST_PREFIX "{\"_sha256\":\""
#define MANIFEST_SUMMED_FROM (sizeof MANIFEST_PREFIX - 1 + LH_SHA256_HEX_BYTES)

#endif
