/* File calls: the only place that talks to the file system. Loops over short writes and EINTR,
 * opens with O_CLOEXEC, creates with 0600 (files) and 0700 (folders), checks close.
 *
 * Everything below a struct lh_dir is resolved with openat2(RESOLVE_BENEATH |
 * RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS): a path that leaves the folder is LH_INVALID,
 * whatever it contains. Each call that the durable write path uses has a fault point
 * (file.create, file.open, file.write, file.read, file.sync, file.close, file.publish,
 * file.replace, file.remove, file.info, file.lock, file.private, file.resize, file.map,
 * file.nameless, dir.make, dir.sync, dir.list). All calls block; any thread may call. Messages
 * name `path` as given (relative), never the folder's own place. */
#ifndef LAKEHOUSE_BASE_FILE_H
#define LAKEHOUSE_BASE_FILE_H

#include <sys/types.h>

#include "base/arena.h"

struct lh_dir; /* an open folder; shared by threads */

/* Opens a folder; `create` makes it and its parents. The caller ends *ret with lh_dir_close. */
enum lh_code lh_dir_open(struct lh_str path, bool create, struct lh_dir **ret,
                         struct lh_error *err) LH_MUST_USE;
void lh_dir_close(struct lh_dir *dir);
/* The folder's absolute path: for handing files to the engine; never shown. */
struct lh_str lh_dir_path(const struct lh_dir *dir);

/* Makes `path` and its parents below dir. ret_made (may be NULL): the number of levels that were
 * new, so that the caller can fsync their parents. */
enum lh_code lh_dir_make(struct lh_dir *dir, const char *path, unsigned *ret_made,
                         struct lh_error *err) LH_MUST_USE;
enum lh_code lh_dir_sync(struct lh_dir *dir, const char *path,
                         struct lh_error *err) LH_MUST_USE; /* "" = itself */

struct lh_dir_entry {
    struct lh_str name;
    bool is_folder;
    bool is_special; /* neither file nor folder: a link, a pipe, a device; opening it is LH_INVALID
                      */
    int64_t bytes;
    int64_t modified_ms;
};
/* Lists a folder in ascending byte order of names, without "." and "..". A missing folder is an
 * empty list. */
enum lh_code lh_dir_list(struct lh_dir *dir, const char *path, struct lh_arena *arena,
                         struct lh_dir_entry **ret, size_t *ret_count,
                         struct lh_error *err) LH_MUST_USE;

struct lh_file_info {
    int64_t bytes;
    int64_t modified_ms;
    int64_t changed_ns; /* when content or attributes last changed: nobody can set it back */
    uint64_t inode;
    bool is_folder;
};
/* LH_NOT_FOUND if there is none. */
enum lh_code lh_file_info(struct lh_dir *dir, const char *path, struct lh_file_info *ret,
                          struct lh_error *err) LH_MUST_USE;

/* Lets this process have `wanted` files open at once, as far as it may; returns how many it may
 * have now. */
int64_t lh_files_allow(int64_t wanted);

/* Open files are plain descriptors. */
enum lh_code lh_file_create(struct lh_dir *dir, const char *path, int *ret_fd,
                            struct lh_error *err) LH_MUST_USE; /* O_EXCL; LH_EXISTS */
enum lh_code lh_file_open(struct lh_dir *dir, const char *path, bool writable, int *ret_fd,
                          struct lh_error *err) LH_MUST_USE; /* ordinary files only */
/* An ordinary file at an absolute path that we made ourselves, for reading. */
enum lh_code lh_file_open_path(struct lh_str path, int *ret_fd, struct lh_error *err) LH_MUST_USE;
/* An empty file without a name in the folder at that absolute path: gone with its descriptor,
 * however the process ends. Another writer in this process finds it under /proc/self/fd. */
enum lh_code lh_file_nameless(struct lh_str folder, int *ret_fd, struct lh_error *err) LH_MUST_USE;
enum lh_code lh_file_write(int fd, const void *bytes, size_t count,
                           struct lh_error *err) LH_MUST_USE; /* all of it */
enum lh_code lh_file_write_at(int fd, const void *bytes, size_t count, int64_t offset,
                              struct lh_error *err) LH_MUST_USE; /* the same at a place */
/* Reads up to `count` at `offset`; *ret_count is less only at the end of the file. */
enum lh_code lh_file_read_at(int fd, void *bytes, size_t count, int64_t offset, size_t *ret_count,
                             struct lh_error *err) LH_MUST_USE;
/* Maps the first `bytes` (at least 1) of a file that nobody cuts as long as it is mapped. What is
 * written to the memory does not reach the file. The caller ends it with lh_file_unmap; the
 * descriptor may be closed before. */
enum lh_code lh_file_map(int fd, size_t bytes, void **ret, struct lh_error *err) LH_MUST_USE;
/* What is mapped is read here and there: a page that is touched brings no others with it. */
void lh_file_map_scatter(void *memory, size_t bytes);
/* Begins to read what lies there, and does not wait for it. Within one mapping. */
void lh_file_map_want(const void *memory, size_t bytes);
void lh_file_unmap(void *memory, size_t bytes); /* NULL is fine */
/* The file is `bytes` long afterwards: cut, or longer with room that is taken now, not when it is
 * written to. LH_FULL: there is not so much; the file may then be longer than it was. */
enum lh_code lh_file_resize(int fd, int64_t bytes, struct lh_error *err) LH_MUST_USE;
/* Gives back the disk space of what stands before `offset` and was read; later bytes keep their
 * place. Where the file system cannot, nothing happens. */
void lh_file_forget_before(int fd, int64_t offset);
enum lh_code lh_file_sync(int fd, struct lh_error *err)
    LH_MUST_USE; /* fsync; on failure abandon the file for good */
enum lh_code lh_file_close(int fd, struct lh_error *err) LH_MUST_USE;
/* Closes without asking how it went: a file that was only read, or has failed already. -1 is fine.
 */
void lh_file_abandon(int fd);

/* A new file with these bytes, synced and closed; its name is not durable yet. What a failure
 * leaves is the caller's to remove. */
enum lh_code lh_file_make(struct lh_dir *dir, const char *path, struct lh_str bytes,
                          struct lh_error *err) LH_MUST_USE;
/* A whole file into the arena, NUL-ended. LH_TOO_LARGE over bytes_max; LH_NOT_FOUND. */
enum lh_code lh_file_read(struct lh_dir *dir, const char *path, size_t bytes_max,
                          struct lh_arena *arena, struct lh_str *ret,
                          struct lh_error *err) LH_MUST_USE;

/* renameat2(RENAME_NOREPLACE): LH_EXISTS if the target is there. Both below the same dir. */
enum lh_code lh_file_publish(struct lh_dir *dir, const char *from, const char *to,
                             struct lh_error *err) LH_MUST_USE;
enum lh_code lh_file_replace(struct lh_dir *dir, const char *from, const char *to,
                             struct lh_error *err) LH_MUST_USE;
enum lh_code lh_file_remove(struct lh_dir *dir, const char *path,
                            struct lh_error *err) LH_MUST_USE; /* missing = LH_OK */
enum lh_code lh_dir_remove_tree(struct lh_dir *dir, const char *path,
                                struct lh_error *err) LH_MUST_USE;

/* Size and the like of an open file. */
enum lh_code lh_file_info_of(int fd, struct lh_file_info *ret, struct lh_error *err) LH_MUST_USE;
/* Makes an open file readable and writable by its owner alone, whoever wrote it. */
enum lh_code lh_file_make_private(int fd, struct lh_error *err) LH_MUST_USE;
/* LH_FORBIDDEN unless it belongs to this user (or to root) and nobody else may read or write it. */
enum lh_code lh_file_check_private(int fd, struct lh_error *err) LH_MUST_USE;

/* Takes an open-file-description write lock on an open file. LH_LOCKED if another holds it. Ends
 * with the fd. */
enum lh_code lh_file_lock(int fd, struct lh_error *err) LH_MUST_USE;
/* Whether another open file holds that lock; takes nothing. */
enum lh_code lh_file_is_locked(int fd, bool *ret, struct lh_error *err) LH_MUST_USE;

/* Bytes that an ordinary user may still write below dir. */
enum lh_code lh_dir_free_bytes(struct lh_dir *dir, int64_t *ret, struct lh_error *err) LH_MUST_USE;
/* Whether both lie on one disk, and so share that room. */
bool lh_dir_shares_disk(const struct lh_dir *a, const struct lh_dir *b);

/* The absolute path of something that a person named and that is there, links followed: for files
 * of the user's own, never for the lake's. LH_NOT_FOUND. */
enum lh_code lh_file_resolve(struct lh_str path, struct lh_arena *arena, struct lh_str *ret,
                             struct lh_error *err) LH_MUST_USE;

#endif
