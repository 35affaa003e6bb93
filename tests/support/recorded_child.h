/* A life in a child process (as in killed_child.h) whose file-system calls are written down in the
 * order in which the kernel made them, by tests/preload/recorder.c. Only in builds with fault
 * points. */
#ifndef LAKEHOUSE_TESTS_SUPPORT_RECORDED_CHILD_H
#define LAKEHOUSE_TESTS_SUPPORT_RECORDED_CHILD_H

#include "support/killed_child.h"

/* The calls below `folder`, which need not be there yet, are added to the file `record`. */
struct killed_ending recorded_child_run(const char *mode, const char *folder, const char *record);

#endif
