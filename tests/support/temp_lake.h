/* A folder of its own for a test, gone afterwards; and the proof that the test left no file open.
 *
 *     temp_lake_make(&lake);                          // in setup
 *     … storage_open(… .path = temp_lake_path(&lake) …
 *     temp_lake_remove(&lake);                        // in teardown: fails the test on a leaked
 * descriptor
 */
#ifndef LAKEHOUSE_TESTS_SUPPORT_TEMP_LAKE_H
#define LAKEHOUSE_TESTS_SUPPORT_TEMP_LAKE_H

#include "base/file.h"

struct temp_lake {
    char path[4096]; /* absolute; the folder is there and empty */
    int open_before; /* descriptors when it was made */
};

void temp_lake_make(struct temp_lake *lake);
/* From here on folders are made in memory, where the machine has that and TMPDIR is not set: for
 * tests whose faults are their own, so that a busy disk's fsync is not what takes their time. */
void temp_lake_prefer_memory(void);
/* Removes the folder with everything in it and asserts that as many descriptors are open as before.
 */
void temp_lake_remove(struct temp_lake *lake);
struct lh_str temp_lake_path(const struct temp_lake *lake);

/* "<lake>/<name>", in one of a few static buffers: for the system's own calls. */
const char *temp_lake_file(const struct temp_lake *lake, const char *name);
/* Writes a file as a stranger would, without any of our code; its folder must be there. */
void temp_lake_write(const struct temp_lake *lake, const char *name, const void *bytes,
                     size_t count);
/* A folder with all that is in it, to where nothing is. */
void temp_lake_copy(const char *from, const char *to);
bool temp_lake_has(const struct temp_lake *lake, const char *name);

/* Open descriptors of this process. */
int temp_lake_open_count(void);

#endif
