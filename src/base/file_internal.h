/* What file.c and dir.c share: the open folder, and the one way to resolve a path below it. */
#ifndef LAKEHOUSE_BASE_FILE_INTERNAL_H
#define LAKEHOUSE_BASE_FILE_INTERNAL_H

#include "base/file.h"

struct lh_dir {
    int fd;
    size_t path_len;
    char *path; /* absolute, without links */
};

/* Why a bound: a call that is interrupted for ever is a failing call. */
#define LH_INTERRUPTS_MAX 1000

/* openat2 below `dir_fd`: -1 and errno on failure (EXDEV: leaves the folder, ELOOP: a link). */
int lh_open_beneath(int dir_fd, const char *path, int flags, mode_t mode);
/* The same with a fault point, a literal, that strikes each attempt: an interrupted one is made
 * again, as the kernel's own are. */
int lh_open_at_point(const char *point, int dir_fd, const char *path, int flags, mode_t mode);

/* A path cut into an open folder and the last name in it. */
struct lh_place {
    int folder_fd;
    bool is_opened; /* folder_fd is ours to close */
    const char *name;
};
/* -1 and errno on failure; EXDEV if the last name is "", "." or "..". */
int lh_place_open(const struct lh_dir *dir, const char *path, struct lh_place *ret);
void lh_place_close(struct lh_place *place);

/* Fails with the code that fits; `deed` reads "could not be <deed>". */
enum lh_code lh_fail_path(struct lh_error *err, int error_number, const char *path,
                          const char *deed);

#endif
