#include "support/recorded_child.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef LH_FAULTS

struct killed_ending recorded_child_run(const char *mode, const char *folder, const char *record)
{
    /* The recorder comes before the sanitizer's library, which it calls in its turn. */
    const char *options = getenv("ASAN_OPTIONS");
    char *before = options ? strdup(options) : NULL;
    char more[1024];
    snprintf(more, sizeof(more), "%s%sverify_asan_link_order=0", before ? before : "",
             before ? ":" : "");
    setenv("ASAN_OPTIONS", more, 1);
    setenv("LD_PRELOAD", LH_RECORDER, 1);
    setenv("LAKEHOUSE_RECORD", record, 1);
    setenv("LAKEHOUSE_RECORD_ROOT", folder, 1);
    struct killed_ending ending = killed_child_run(mode, folder, "");
    unsetenv("LAKEHOUSE_RECORD_ROOT");
    unsetenv("LAKEHOUSE_RECORD");
    unsetenv("LD_PRELOAD");
    if (before)
        setenv("ASAN_OPTIONS", before, 1);
    else
        unsetenv("ASAN_OPTIONS");
    free(before);
    return ending;
}

#else

/* A translation unit may not be empty. */
typedef int recorded_children_need_fault_points;

#endif
