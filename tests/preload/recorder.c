/* Loaded before the C library: writes down every call that changes a folder, in the order in which
 * the kernel made them. One mutex is held from before a call until it is written down, so that the
 * order is the real one for all threads and libraries, the engine and SQLite included.
 *
 *     LD_PRELOAD=…/librecorder.so LAKEHOUSE_RECORD=<file> LAKEHOUSE_RECORD_ROOT=<folder> program
 *
 * A "+" written to standard output is a step that the program acknowledged. What cannot be followed
 * (a shared mapping, a copy inside the kernel) is written down as strange: the reader must refuse.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "support/disk_record.h"

#define PATH_BYTES 4352

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int record_fd = -1;
static char root[PATH_BYTES]; /* the recorded folder, absolute */
static size_t parent_len;     /* of the folder that holds it */

/* The next library's function of that name. */
#define NEXT(name)                                                                                 \
    static __typeof__(name) *next;                                                                 \
    if (!next)                                                                                     \
    next = (__typeof__(name) *)(uintptr_t)dlsym(RTLD_NEXT, #name)

/* --- writing down */

static void give_up(const char *what)
{
    dprintf(STDERR_FILENO, "recorder: %s\n", what);
    _exit(99);
}

static void put(const void *bytes, size_t count)
{
    const char *at = bytes;
    while (count) {
        long done = syscall(SYS_write, record_fd, at, count);
        if (done <= 0)
            give_up("the record cannot be written");
        at += done;
        count -= (size_t)done;
    }
}

static void note(enum disk_call call, const char *path, const char *other, uint64_t offset,
                 const void *bytes, size_t count)
{
    struct disk_record record = {
        .call = (uint32_t)call,
        .path_bytes = (uint32_t)strlen(path),
        .other_bytes = other ? (uint32_t)strlen(other) : 0,
        .offset = offset,
        .length = count,
    };
    put(&record, sizeof(record));
    put(path, record.path_bytes);
    put(other, record.other_bytes);
    put(bytes, count);
}

__attribute__((constructor)) static void begin(void)
{
    const char *file = getenv("LAKEHOUSE_RECORD");
    const char *folder = getenv("LAKEHOUSE_RECORD_ROOT");
    if (!file || !folder)
        return;
    if (strlen(folder) >= sizeof(root))
        give_up("the folder's path is too long");
    strcpy(root, folder);
    parent_len = (size_t)(strrchr(root, '/') - root);
    int fd =
        (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        give_up("the record cannot be opened");
    record_fd = fcntl(fd, F_DUPFD_CLOEXEC, 900); /* out of the way of who counts descriptors */
    close(fd);
}

/* --- which paths are meant */

/* The part of an absolute path that is recorded; NULL: it is none of ours. */
static const char *recorded(const char *path)
{
    size_t len = strlen(root);
    if (record_fd < 0)
        return NULL;
    if (strlen(path) == parent_len && strncmp(path, root, parent_len) == 0)
        return "";
    if (strncmp(path, root, len) != 0 || (path[len] != '/' && path[len] != '\0'))
        return NULL;
    return path + parent_len + 1;
}

/* Of an open descriptor; NULL: none of ours, or nameless. */
static const char *path_of(int fd, char *buf)
{
    char link[64];
    int error_number = errno;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = record_fd < 0 ? -1 : readlink(link, buf, PATH_BYTES - 1);
    errno = error_number;
    if (len < 0)
        return NULL;
    buf[len] = '\0';
    static const char gone[] = " (deleted)";
    size_t tail = sizeof(gone) - 1;
    if ((size_t)len > tail && strcmp(buf + (size_t)len - tail, gone) == 0)
        return NULL;
    return recorded(buf);
}

/* Of a name that need not be there: its folder is. */
static const char *path_at(int dir_fd, const char *name, char *buf)
{
    char text[PATH_BYTES], folder[PATH_BYTES];
    int error_number = errno;
    if (record_fd < 0 || strlen(name) >= PATH_BYTES)
        return NULL;
    strcpy(text, name);
    size_t len = strlen(text);
    while (len > 1 && text[len - 1] == '/')
        text[--len] = '\0';
    char *slash = strrchr(text, '/');
    const char *last = slash ? slash + 1 : text;
    const char *before = slash == text ? "/" : slash ? text : ".";
    if (slash)
        *slash = '\0';
    int fd = (int)syscall(SYS_openat, dir_fd, slash == text ? "/" : before,
                          O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0) {
        errno = error_number;
        return NULL;
    }
    char link[64];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t got = readlink(link, folder, sizeof(folder) - 1);
    syscall(SYS_close, fd);
    errno = error_number;
    if (got < 0)
        return NULL;
    folder[got] = '\0';
    if (snprintf(buf, PATH_BYTES, "%s/%s", folder, last) >= PATH_BYTES)
        return NULL;
    return recorded(buf);
}

/* --- files come and go */

static void note_opened(int fd, int flags, bool was_there, const char *path)
{
    if (!path || fd < 0)
        return;
    if ((flags & O_CREAT) && !was_there)
        note(DISK_CREATE, path, NULL, 0, NULL, 0);
    else if ((flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY)
        note(DISK_SIZE, path, NULL, 0, NULL, 0);
}

static bool may_change(int flags)
{
    return (flags & (O_CREAT | O_TRUNC)) != 0 && (flags & O_TMPFILE) != O_TMPFILE;
}

static int open_recorded(long (*call)(int, const char *, int, mode_t), int dir_fd, const char *name,
                         int flags, mode_t mode)
{
    char buf[PATH_BYTES];
    if (record_fd < 0 || !may_change(flags))
        return (int)call(dir_fd, name, flags, mode);
    pthread_mutex_lock(&mutex);
    const char *path = path_at(dir_fd, name, buf);
    bool was_there = path && faccessat(AT_FDCWD, buf, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    int fd = (int)call(dir_fd, name, flags, mode);
    int error_number = errno;
    note_opened(fd, flags, was_there, path);
    pthread_mutex_unlock(&mutex);
    errno = error_number;
    return fd;
}

static mode_t mode_of(int flags, va_list args)
{
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(args, mode_t) : 0;
}

#define DEFINE_OPEN(name)                                                                          \
    static long next_##name(int dir_fd, const char *path, int flags, mode_t mode)                  \
    {                                                                                              \
        NEXT(name);                                                                                \
        (void)dir_fd;                                                                              \
        return next(path, flags, mode);                                                            \
    }                                                                                              \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list args;                                                                              \
        va_start(args, flags);                                                                     \
        mode_t mode = mode_of(flags, args);                                                        \
        va_end(args);                                                                              \
        return open_recorded(next_##name, AT_FDCWD, path, flags, mode);                            \
    }
DEFINE_OPEN(open)
DEFINE_OPEN(open64)

#define DEFINE_OPENAT(name)                                                                        \
    static long next_##name(int dir_fd, const char *path, int flags, mode_t mode)                  \
    {                                                                                              \
        NEXT(name);                                                                                \
        return next(dir_fd, path, flags, mode);                                                    \
    }                                                                                              \
    int name(int dir_fd, const char *path, int flags, ...)                                         \
    {                                                                                              \
        va_list args;                                                                              \
        va_start(args, flags);                                                                     \
        mode_t mode = mode_of(flags, args);                                                        \
        va_end(args);                                                                              \
        return open_recorded(next_##name, dir_fd, path, flags, mode);                              \
    }
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)

/* openat2 has no function of its own. */
static _Thread_local const struct open_how *wanted_how;

static long next_openat2(int dir_fd, const char *path, int flags, mode_t mode)
{
    NEXT(syscall);
    (void)flags;
    (void)mode;
    return next(SYS_openat2, dir_fd, path, wanted_how, sizeof(*wanted_how));
}

long syscall(long number, ...)
{
    NEXT(syscall);
    long a[6];
    va_list args;
    va_start(args, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(args, long);
    va_end(args);
    if (number != SYS_openat2 || record_fd < 0)
        return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    wanted_how = (const struct open_how *)(uintptr_t)a[2];
    return open_recorded(next_openat2, (int)a[0], (const char *)(uintptr_t)a[1],
                         (int)wanted_how->flags, (mode_t)wanted_how->mode);
}

/* A call on a name that changes it: `call` once it has succeeded. */
#define CHANGE_AT(deed, dir_fd, name, made)                                                        \
    char buf[PATH_BYTES];                                                                          \
    if (record_fd < 0)                                                                             \
        return made;                                                                               \
    pthread_mutex_lock(&mutex);                                                                    \
    const char *path = path_at(dir_fd, name, buf);                                                 \
    int result = made;                                                                             \
    int error_number = errno;                                                                      \
    if (result == 0 && path)                                                                       \
        note(deed, path, NULL, 0, NULL, 0);                                                        \
    pthread_mutex_unlock(&mutex);                                                                  \
    errno = error_number;                                                                          \
    return result

int mkdir(const char *name, mode_t mode)
{
    NEXT(mkdir);
    CHANGE_AT(DISK_MAKE, AT_FDCWD, name, next(name, mode));
}

int mkdirat(int dir_fd, const char *name, mode_t mode)
{
    NEXT(mkdirat);
    CHANGE_AT(DISK_MAKE, dir_fd, name, next(dir_fd, name, mode));
}

int unlink(const char *name)
{
    NEXT(unlink);
    CHANGE_AT(DISK_REMOVE, AT_FDCWD, name, next(name));
}

int unlinkat(int dir_fd, const char *name, int flags)
{
    NEXT(unlinkat);
    CHANGE_AT(DISK_REMOVE, dir_fd, name, next(dir_fd, name, flags));
}

int rmdir(const char *name)
{
    NEXT(rmdir);
    CHANGE_AT(DISK_REMOVE, AT_FDCWD, name, next(name));
}

int remove(const char *name)
{
    NEXT(remove);
    CHANGE_AT(DISK_REMOVE, AT_FDCWD, name, next(name));
}

#define MOVE_AT(deed, from_fd, from, to_fd, to, made)                                              \
    char buf[PATH_BYTES], other_buf[PATH_BYTES];                                                   \
    if (record_fd < 0)                                                                             \
        return made;                                                                               \
    pthread_mutex_lock(&mutex);                                                                    \
    const char *path = path_at(from_fd, from, buf);                                                \
    const char *other = path_at(to_fd, to, other_buf);                                             \
    int result = made;                                                                             \
    int error_number = errno;                                                                      \
    if (result == 0 && path && other)                                                              \
        note(deed, path, other, 0, NULL, 0);                                                       \
    else if (result == 0 && (path || other))                                                       \
        note(DISK_STRANGE, "a move over the edge", NULL, 0, NULL, 0);                              \
    pthread_mutex_unlock(&mutex);                                                                  \
    errno = error_number;                                                                          \
    return result

int rename(const char *from, const char *to)
{
    NEXT(rename);
    MOVE_AT(DISK_RENAME, AT_FDCWD, from, AT_FDCWD, to, next(from, to));
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    NEXT(renameat);
    MOVE_AT(DISK_RENAME, from_fd, from, to_fd, to, next(from_fd, from, to_fd, to));
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    NEXT(renameat2);
    enum disk_call call = (flags & RENAME_EXCHANGE) ? DISK_STRANGE : DISK_RENAME;
    MOVE_AT(call, from_fd, from, to_fd, to, next(from_fd, from, to_fd, to, flags));
}

int link(const char *from, const char *to)
{
    NEXT(link);
    MOVE_AT(DISK_LINK, AT_FDCWD, from, AT_FDCWD, to, next(from, to));
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    NEXT(linkat);
    MOVE_AT(DISK_LINK, from_fd, from, to_fd, to, next(from_fd, from, to_fd, to, flags));
}

/* --- content */

static uint64_t place_of(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    struct stat stat;
    if (flags >= 0 && (flags & O_APPEND))
        return fstat(fd, &stat) == 0 ? (uint64_t)stat.st_size : 0;
    off_t at = lseek(fd, 0, SEEK_CUR);
    return at < 0 ? 0 : (uint64_t)at;
}

/* A write that succeeded with `made`; `place` is evaluated before it. */
#define WRITE_TO(fd, bytes, place, made)                                                           \
    char buf[PATH_BYTES];                                                                          \
    if (!path_of(fd, buf))                                                                         \
        return made;                                                                               \
    pthread_mutex_lock(&mutex);                                                                    \
    const char *path = path_of(fd, buf);                                                           \
    uint64_t offset = (uint64_t)(place);                                                           \
    ssize_t result = made;                                                                         \
    int error_number = errno;                                                                      \
    if (result > 0 && path)                                                                        \
        note(DISK_WRITE, path, NULL, offset, bytes, (size_t)result);                               \
    pthread_mutex_unlock(&mutex);                                                                  \
    errno = error_number;                                                                          \
    return result

ssize_t write(int fd, const void *bytes, size_t count)
{
    NEXT(write);
    if (fd == STDOUT_FILENO && record_fd >= 0 && count == 1 && *(const char *)bytes == '+') {
        pthread_mutex_lock(&mutex);
        note(DISK_MARK, "", NULL, 0, NULL, 0);
        pthread_mutex_unlock(&mutex);
    }
    WRITE_TO(fd, bytes, place_of(fd), next(fd, bytes, count));
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset_bytes)
{
    NEXT(pwrite);
    WRITE_TO(fd, bytes, offset_bytes, next(fd, bytes, count, offset_bytes));
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t offset_bytes)
{
    NEXT(pwrite64);
    WRITE_TO(fd, bytes, offset_bytes, next(fd, bytes, count, offset_bytes));
}

/* One buffer after the other is as legal and simpler: a vector may be cut short anywhere. */
ssize_t writev(int fd, const struct iovec *vectors, int count)
{
    NEXT(writev);
    char buf[PATH_BYTES];
    ssize_t done = 0;
    if (!path_of(fd, buf))
        return next(fd, vectors, count);
    for (int i = 0; i < count; i++) {
        ssize_t step = write(fd, vectors[i].iov_base, vectors[i].iov_len);
        if (step < 0)
            return done ? done : -1;
        done += step;
        if ((size_t)step < vectors[i].iov_len)
            break;
    }
    return done;
}

/* A call on a descriptor that answers 0 once it is done. */
#define CHANGE_OF(deed, fd, number, made)                                                          \
    char buf[PATH_BYTES];                                                                          \
    if (!path_of(fd, buf))                                                                         \
        return made;                                                                               \
    pthread_mutex_lock(&mutex);                                                                    \
    const char *path = path_of(fd, buf);                                                           \
    int result = made;                                                                             \
    int error_number = errno;                                                                      \
    if (result == 0 && path)                                                                       \
        note(deed, path, NULL, (uint64_t)(number), NULL, 0);                                       \
    pthread_mutex_unlock(&mutex);                                                                  \
    errno = error_number;                                                                          \
    return result

int fsync(int fd)
{
    NEXT(fsync);
    CHANGE_OF(DISK_SYNC, fd, 0, next(fd));
}

int fdatasync(int fd)
{
    NEXT(fdatasync);
    CHANGE_OF(DISK_SYNC, fd, 0, next(fd));
}

int ftruncate(int fd, off_t bytes)
{
    NEXT(ftruncate);
    CHANGE_OF(DISK_SIZE, fd, bytes, next(fd, bytes));
}

int ftruncate64(int fd, off_t bytes)
{
    NEXT(ftruncate64);
    CHANGE_OF(DISK_SIZE, fd, bytes, next(fd, bytes));
}

/* Room that is taken makes a file longer and never shorter. */
static uint64_t longer(int fd, off_t end)
{
    struct stat stat;
    return fstat(fd, &stat) == 0 && stat.st_size > end ? (uint64_t)stat.st_size : (uint64_t)end;
}

#define DEFINE_FALLOCATE(name)                                                                     \
    int name(int fd, int mode, off_t offset, off_t len)                                            \
    {                                                                                              \
        NEXT(name);                                                                                \
        CHANGE_OF(mode == 0 ? DISK_SIZE : DISK_STRANGE, fd, longer(fd, offset + len),              \
                  next(fd, mode, offset, len));                                                    \
    }
DEFINE_FALLOCATE(fallocate)
DEFINE_FALLOCATE(fallocate64)

#define DEFINE_POSIX_FALLOCATE(name)                                                               \
    int name(int fd, off_t offset, off_t len)                                                      \
    {                                                                                              \
        NEXT(name);                                                                                \
        CHANGE_OF(DISK_SIZE, fd, longer(fd, offset + len), next(fd, offset, len));                 \
    }
DEFINE_POSIX_FALLOCATE(posix_fallocate)
DEFINE_POSIX_FALLOCATE(posix_fallocate64)

/* --- what cannot be followed */

static void note_strange(int fd, const char *what)
{
    char buf[PATH_BYTES];
    const char *path = path_of(fd, buf);
    size_t len = path ? strlen(path) : 0;
    /* SQLite makes its shared index of a log anew whenever nobody has it open. */
    if (!path || (len > 4 && strcmp(path + len - 4, "-shm") == 0))
        return;
    pthread_mutex_lock(&mutex);
    note(DISK_STRANGE, what, path, 0, NULL, 0);
    pthread_mutex_unlock(&mutex);
}

#define DEFINE_MMAP(name)                                                                          \
    void *name(void *address, size_t len, int protection, int flags, int fd, off_t offset)         \
    {                                                                                              \
        NEXT(name);                                                                                \
        if (fd >= 0 && (protection & PROT_WRITE) && (flags & MAP_SHARED))                          \
            note_strange(fd, "a shared mapping");                                                  \
        return next(address, len, protection, flags, fd, offset);                                  \
    }
DEFINE_MMAP(mmap)
DEFINE_MMAP(mmap64)

ssize_t copy_file_range(int from, off_t *from_at, int to, off_t *to_at, size_t count,
                        unsigned flags)
{
    NEXT(copy_file_range);
    note_strange(to, "a copy inside the kernel");
    return next(from, from_at, to, to_at, count, flags);
}

ssize_t pwritev(int fd, const struct iovec *vectors, int count, off_t offset)
{
    NEXT(pwritev);
    note_strange(fd, "pwritev");
    return next(fd, vectors, count, offset);
}
