#include "base/file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fault.h"

/* Linux moves at most this much in one call. */
#define TRANSFER_BYTES_MAX ((size_t)0x7ffff000)

/* Not O_NOFOLLOW: RESOLVE_NO_SYMLINKS refuses a link in the last place too, and names the reason,
 * where O_NOFOLLOW with O_DIRECTORY says ENOTDIR and with O_PATH opens the link itself. */
int lh_open_beneath(int dir_fd, const char *path, int flags, mode_t mode)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .mode = mode,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd = -1;
    /* EAGAIN: something was renamed during the walk, and the kernel cannot vouch for the result. */
    for (int i = 0; i < LH_INTERRUPTS_MAX; i++) {
        fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof how);
        if (fd >= 0 || (errno != EINTR && errno != EAGAIN))
            break;
    }
    return (int)fd;
}

int lh_open_at_point(const char *point, int dir_fd, const char *path, int flags, mode_t mode)
{
    int fd = -1;
    (void)point; /* release builds have no fault points */
    for (int i = 0; i < LH_INTERRUPTS_MAX; i++) {
        bool is_struck = LH_FAULT(point);
        if (!is_struck)
            fd = lh_open_beneath(dir_fd, path, flags, mode);
        if (!is_struck || errno != EINTR) /* lh_open_beneath has tried often enough itself */
            break;
    }
    return fd;
}

int lh_place_open(const struct lh_dir *dir, const char *path, struct lh_place *ret)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || slash == path) {
        errno = EXDEV;
        return -1;
    }
    if (!slash) {
        *ret = (struct lh_place){.folder_fd = dir->fd, .name = name};
        return 0;
    }
    char folder[4096];
    size_t len = (size_t)(slash - path);
    if (len >= sizeof folder) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(folder, path, len);
    folder[len] = '\0';
    int fd = lh_open_beneath(dir->fd, folder, O_PATH | O_DIRECTORY, 0);
    if (fd < 0)
        return -1;
    *ret = (struct lh_place){.folder_fd = fd, .is_opened = true, .name = name};
    return 0;
}

void lh_place_close(struct lh_place *place)
{
    int error_number = errno;
    if (place->is_opened)
        close(place->folder_fd);
    errno = error_number;
}

enum lh_code lh_fail_path(struct lh_error *err, int error_number, const char *path,
                          const char *deed)
{
    switch (error_number) {
    case ENOENT:
    case ENOTDIR:
        return lh_fail(err, LH_NOT_FOUND, "There is no file '%s'.", path);
    case EEXIST:
        return lh_fail(err, LH_EXISTS, "'%s' exists already.", path);
    case EXDEV:
        return lh_fail(err, LH_INVALID, "The path '%s' leaves its folder.", path);
    case ELOOP:
        return lh_fail(err, LH_INVALID, "The path '%s' goes through a link.", path);
    case ENAMETOOLONG:
        return lh_fail(err, LH_INVALID, "The path '%s' is too long.", path);
    case EISDIR:
        return lh_fail(err, LH_INVALID, "'%s' is a folder, not a file.", path);
    case ENXIO:
        return lh_fail(err, LH_INVALID, "'%s' is not an ordinary file.", path);
    case ENOSYS:
        lh_fail(err, LH_IO, "'%s' could not be %s: this system has no openat2.", path, deed);
        return err ? lh_error_hint(err, "Linux 5.6 or newer is needed.") : LH_IO;
    default:
        return lh_fail_errno(err, error_number, "'%s' could not be %s", path, deed);
    }
}

enum lh_code lh_file_create(struct lh_dir *dir, const char *path, int *ret_fd, struct lh_error *err)
{
    int fd = lh_open_at_point("file.create", dir->fd, path, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0 && errno == ENOENT)
        return lh_fail(err, LH_NOT_FOUND, "The folder for '%s' does not exist.", path);
    if (fd < 0)
        return lh_fail_path(err, errno, path, "created");
    *ret_fd = fd;
    return LH_OK;
}

enum lh_code lh_file_open(struct lh_dir *dir, const char *path, bool writable, int *ret_fd,
                          struct lh_error *err)
{
    /* O_NONBLOCK: somebody's pipe in the folder must not make us wait for its other end. */
    int flags = (writable ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_NOCTTY;
    int fd = lh_open_at_point("file.open", dir->fd, path, flags, 0);
    if (fd < 0)
        return lh_fail_path(err, errno, path, "opened");
    struct stat stat;
    int error_number = 0;
    if (fstat(fd, &stat) != 0)
        error_number = errno;
    else if (S_ISDIR(stat.st_mode))
        error_number = EISDIR;
    else if (!S_ISREG(stat.st_mode))
        error_number = ENXIO;
    if (error_number) {
        close(fd);
        return lh_fail_path(err, error_number, path, "opened");
    }
    *ret_fd = fd;
    return LH_OK;
}

enum lh_code lh_file_open_path(struct lh_str path, int *ret_fd, struct lh_error *err)
{
    struct lh_dir *dir = NULL;
    struct lh_arena *arena = lh_arena_new(0);
    const char *slash = path.len ? memrchr(path.data, '/', path.len) : NULL;
    size_t folder = slash ? (size_t)(slash - path.data) : 0;
    const char *name = lh_arena_cstr(arena, lh_str_slice(path, folder + 1, path.len));
    enum lh_code code =
        lh_dir_open(folder ? lh_str_slice(path, 0, folder) : lh_lit("/"), false, &dir, err);
    if (!code)
        code = lh_file_open(dir, name, false, ret_fd, err);
    lh_dir_close(dir);
    lh_arena_free(arena);
    return code;
}

enum lh_code lh_file_nameless(struct lh_str folder, int *ret_fd, struct lh_error *err)
{
    char path[4096];
    int fd = -1;
    if (folder.len == 0 || folder.len >= sizeof path)
        return lh_fail(err, LH_INVALID, "There is no folder for temporary files.");
    memcpy(path, folder.data, folder.len);
    path[folder.len] = '\0';
    for (int i = 0; i < LH_INTERRUPTS_MAX; i++) {
        if (!LH_FAULT("file.nameless"))
            fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (fd >= 0 || errno != EINTR)
            break;
    }
    if (fd < 0)
        return lh_fail_errno(err, errno, "A temporary file could not be created");
    *ret_fd = fd;
    return LH_OK;
}

/* `offset` < 0: where the file stands. */
static enum lh_code write_all(int fd, const void *bytes, size_t count, int64_t offset,
                              struct lh_error *err)
{
    const char *next = bytes;
    int interrupts = 0;
    while (count) {
        ssize_t written = -1;
        if (!LH_FAULT("file.write")) {
            size_t step = count < TRANSFER_BYTES_MAX ? count : TRANSFER_BYTES_MAX;
            step = LH_FAULT_SHORT() ? (step + 1) / 2 : step;
            written = offset < 0 ? write(fd, next, step) : pwrite(fd, next, step, (off_t)offset);
        }
        if (written < 0 && errno == EINTR && interrupts++ < LH_INTERRUPTS_MAX)
            continue;
        if (written <= 0) /* 0 never happens for a file, and must not loop for ever */
            return lh_fail_errno(err, written < 0 ? errno : EIO, "The file could not be written");
        next += written;
        count -= (size_t)written;
        offset += offset < 0 ? 0 : (int64_t)written;
    }
    return LH_OK;
}

enum lh_code lh_file_write(int fd, const void *bytes, size_t count, struct lh_error *err)
{
    return write_all(fd, bytes, count, -1, err);
}

enum lh_code lh_file_write_at(int fd, const void *bytes, size_t count, int64_t offset,
                              struct lh_error *err)
{
    return write_all(fd, bytes, count, offset, err);
}

enum lh_code lh_file_read_at(int fd, void *bytes, size_t count, int64_t offset, size_t *ret_count,
                             struct lh_error *err)
{
    size_t done = 0;
    int interrupts = 0;
    while (done < count) {
        ssize_t got = -1;
        if (!LH_FAULT("file.read")) {
            size_t step = count - done < TRANSFER_BYTES_MAX ? count - done : TRANSFER_BYTES_MAX;
            got = pread(fd, (char *)bytes + done, LH_FAULT_SHORT() ? (step + 1) / 2 : step,
                        offset + (off_t)done);
        }
        if (got < 0 && errno == EINTR && interrupts++ < LH_INTERRUPTS_MAX)
            continue;
        if (got < 0)
            return lh_fail_errno(err, errno, "The file could not be read");
        if (got == 0)
            break;
        done += (size_t)got;
    }
    *ret_count = done;
    return LH_OK;
}

/* For file systems that cannot promise room. */
static enum lh_code write_zeros(int fd, int64_t from, int64_t to, struct lh_error *err)
{
    static const char zeros[65536];
    if (lseek(fd, from, SEEK_SET) < 0)
        return lh_fail_errno(err, errno, "The file could not be made longer");
    enum lh_code code = LH_OK;
    for (int64_t at = from; at < to && !code; at += (int64_t)sizeof zeros) {
        int64_t left = to - at;
        code = lh_file_write(fd, zeros, left < (int64_t)sizeof zeros ? (size_t)left : sizeof zeros,
                             err);
    }
    return code;
}

enum lh_code lh_file_resize(int fd, int64_t bytes, struct lh_error *err)
{
    struct stat stat;
    int failed = LH_FAULT("file.resize") ? -1 : fstat(fd, &stat);
    if (!failed && stat.st_size < bytes) {
        failed = fallocate(fd, 0, 0, bytes);
        if (failed && (errno == EOPNOTSUPP || errno == ENOSYS))
            return write_zeros(fd, stat.st_size, bytes, err);
    } else if (!failed) {
        failed = ftruncate(fd, bytes);
    }
    if (failed)
        return lh_fail_errno(err, errno, "The file could not be given another size");
    return LH_OK;
}

void lh_file_forget_before(int fd, int64_t offset)
{
    (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, offset);
}

enum lh_code lh_file_sync(int fd, struct lh_error *err)
{
    /* Never again after a failure, EINTR included: the kernel may have dropped the pages it could
     * not write, and a second fsync would answer that all is well. */
    if (LH_FAULT("file.sync") || fsync(fd) != 0)
        return lh_fail_errno(err, errno, "The file could not be made durable");
    return LH_OK;
}

enum lh_code lh_file_close(int fd, struct lh_error *err)
{
    int planned = LH_FAULT("file.close") ? errno : 0;
    int error_number =
        close(fd) == 0 ? planned : errno; /* the descriptor is gone whatever close says */
    if (error_number)
        return lh_fail_errno(err, error_number, "The file could not be closed");
    return LH_OK;
}

void lh_file_abandon(int fd)
{
    int error_number = errno;
    if (fd >= 0)
        close(fd);
    errno = error_number;
}

enum lh_code lh_file_make(struct lh_dir *dir, const char *path, struct lh_str bytes,
                          struct lh_error *err)
{
    int fd = -1;
    enum lh_code code = lh_file_create(dir, path, &fd, err);
    if (!code)
        code = lh_file_write(fd, bytes.data, bytes.len, err);
    if (!code)
        code = lh_file_sync(fd, err);
    if (code)
        lh_file_abandon(fd);
    else
        code = lh_file_close(fd, err);
    return code;
}

static struct lh_file_info info_from(const struct stat *stat)
{
    return (struct lh_file_info){
        .bytes = stat->st_size,
        .modified_ms = (int64_t)stat->st_mtim.tv_sec * 1000 + stat->st_mtim.tv_nsec / 1000000,
        .changed_ns = (int64_t)stat->st_ctim.tv_sec * 1000000000 + stat->st_ctim.tv_nsec,
        .inode = stat->st_ino,
        .is_folder = S_ISDIR(stat->st_mode),
    };
}

enum lh_code lh_file_info(struct lh_dir *dir, const char *path, struct lh_file_info *ret,
                          struct lh_error *err)
{
    /* O_PATH: a folder that may not be read still has its information. */
    int fd = lh_open_at_point("file.info", dir->fd, path, O_PATH, 0);
    if (fd < 0)
        return lh_fail_path(err, errno, path, "looked at");
    struct stat stat;
    int error_number = fstat(fd, &stat) == 0 ? 0 : errno;
    close(fd);
    if (!error_number && !S_ISREG(stat.st_mode) && !S_ISDIR(stat.st_mode))
        error_number = ENXIO;
    if (error_number)
        return lh_fail_path(err, error_number, path, "looked at");
    *ret = info_from(&stat);
    return LH_OK;
}

enum lh_code lh_file_info_of(int fd, struct lh_file_info *ret, struct lh_error *err)
{
    struct stat stat;
    if (LH_FAULT("file.info") || fstat(fd, &stat) != 0)
        return lh_fail_errno(err, errno, "The file could not be looked at");
    *ret = info_from(&stat);
    return LH_OK;
}

enum lh_code lh_file_make_private(int fd, struct lh_error *err)
{
    if (LH_FAULT("file.private") || fchmod(fd, 0600) != 0)
        return lh_fail_errno(err, errno, "The file could not be made private");
    return LH_OK;
}

enum lh_code lh_file_check_private(int fd, struct lh_error *err)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return lh_fail_errno(err, errno, "Whose the file is could not be found out");
    bool is_ours = status.st_uid == geteuid() || status.st_uid == 0;
    if (!is_ours || (status.st_mode & 077) != 0)
        return lh_fail(err, LH_FORBIDDEN, "The file is not its owner's alone.");
    return LH_OK;
}

enum lh_code lh_file_read(struct lh_dir *dir, const char *path, size_t bytes_max,
                          struct lh_arena *arena, struct lh_str *ret, struct lh_error *err)
{
    int fd = -1;
    enum lh_code code = lh_file_open(dir, path, false, &fd, err);
    if (code)
        return code;
    struct lh_file_info info = {0};
    char *bytes = NULL;
    size_t count = 0;
    code = lh_file_info_of(fd, &info, err);
    if (code)
        goto out;
    if ((uint64_t)info.bytes > bytes_max) {
        code = lh_fail(err, LH_TOO_LARGE, "'%s' has %lld bytes; at most %zu are read.", path,
                       (long long)info.bytes, bytes_max);
        goto out;
    }
    bytes = lh_arena_try(arena, (size_t)info.bytes + 1);
    if (!bytes) {
        code =
            lh_fail(err, LH_TOO_LARGE, "'%s' does not fit into the memory allowed for it.", path);
        goto out;
    }
    code = lh_file_read_at(fd, bytes, (size_t)info.bytes, 0, &count, err);
    if (code)
        goto out;
    bytes[count] = '\0';
    *ret = (struct lh_str){bytes, count};
out:
    close(fd); /* nothing was written: its answer says nothing */
    return code;
}

static enum lh_code move(struct lh_dir *dir, const char *from, const char *to, unsigned flags,
                         struct lh_error *err)
{
    struct lh_place source = {0};
    struct lh_place target = {0};
    if (lh_place_open(dir, from, &source) != 0)
        return lh_fail_path(err, errno, from, "moved");
    if (lh_place_open(dir, to, &target) != 0) {
        int error_number = errno;
        lh_place_close(&source);
        if (error_number == ENOENT)
            return lh_fail(err, LH_NOT_FOUND, "The folder for '%s' does not exist.", to);
        return lh_fail_path(err, error_number, to, "written");
    }
    int failed = renameat2(source.folder_fd, source.name, target.folder_fd, target.name, flags);
    int error_number = failed ? errno : 0;
    lh_place_close(&source);
    lh_place_close(&target);
    if (error_number == EXDEV) /* here it means what it says, not "leaves its folder" */
        return lh_fail(err, LH_IO, "'%s' lies on another file system than '%s'.", to, from);
    if (error_number)
        return lh_fail_path(err, error_number, error_number == ENOENT ? from : to, "written");
    return LH_OK;
}

enum lh_code lh_file_publish(struct lh_dir *dir, const char *from, const char *to,
                             struct lh_error *err)
{
    if (LH_FAULT("file.publish"))
        return lh_fail_path(err, errno, to, "written");
    return move(dir, from, to, RENAME_NOREPLACE, err);
}

enum lh_code lh_file_replace(struct lh_dir *dir, const char *from, const char *to,
                             struct lh_error *err)
{
    if (LH_FAULT("file.replace"))
        return lh_fail_path(err, errno, to, "written");
    return move(dir, from, to, 0, err);
}

enum lh_code lh_file_remove(struct lh_dir *dir, const char *path, struct lh_error *err)
{
    struct lh_place place = {0};
    if (LH_FAULT("file.remove"))
        return lh_fail_path(err, errno, path, "removed");
    if (lh_place_open(dir, path, &place) != 0)
        return errno == ENOENT ? LH_OK : lh_fail_path(err, errno, path, "removed");
    int error_number = unlinkat(place.folder_fd, place.name, 0) == 0 ? 0 : errno;
    lh_place_close(&place);
    if (error_number && error_number != ENOENT)
        return lh_fail_path(err, error_number, path, "removed");
    return LH_OK;
}

enum lh_code lh_file_map(int fd, size_t bytes, void **ret, struct lh_error *err)
{
    void *memory = MAP_FAILED;
    if (!LH_FAULT("file.map"))
        memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (memory == MAP_FAILED)
        return lh_fail_errno(err, errno, "A file could not be mapped into memory");
    *ret = memory;
    return LH_OK;
}

void lh_file_map_scatter(void *memory, size_t bytes)
{
    (void)madvise(memory, bytes, MADV_RANDOM); /* advice: without it things are slower */
}

void lh_file_map_want(const void *memory, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)memory / page * page;
    (void)madvise((void *)from, (uintptr_t)memory + bytes - from, MADV_WILLNEED);
}

void lh_file_unmap(void *memory, size_t bytes)
{
    if (memory)
        munmap(memory, bytes);
}

enum lh_code lh_file_lock(int fd, struct lh_error *err)
{
    /* Of the open file, not of the process: closing another descriptor of the same file keeps it.
     */
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (!LH_FAULT("file.lock") && fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return LH_OK;
    if (errno == EAGAIN || errno == EACCES)
        return lh_fail(err, LH_LOCKED, "Another process holds the lock.");
    return lh_fail_errno(err, errno, "The lock could not be taken");
}

enum lh_code lh_file_is_locked(int fd, bool *ret, struct lh_error *err)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (LH_FAULT("file.lock") || fcntl(fd, F_OFD_GETLK, &lock) != 0)
        return lh_fail_errno(err, errno, "The lock could not be looked at");
    *ret = lock.l_type != F_UNLCK;
    return LH_OK;
}

int64_t lh_files_allow(int64_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return wanted;
    if (limit.rlim_cur < (rlim_t)wanted) {
        struct rlimit more = limit;
        more.rlim_cur = limit.rlim_max < (rlim_t)wanted ? limit.rlim_max : (rlim_t)wanted;
        if (setrlimit(RLIMIT_NOFILE, &more) == 0)
            limit = more;
    }
    return limit.rlim_cur > (rlim_t)INT64_MAX ? INT64_MAX : (int64_t)limit.rlim_cur;
}
