#include "base/file_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fault.h"

#define TREE_DEPTH_MAX 64

/* Makes one level of an ordinary path, and durable that its parent holds it. */
static int make_level(const char *path, bool is_last)
{
    if (LH_FAULT("dir.make"))
        return -1;
    /* The last level is synced even if it is there: whoever made it may have died before that. */
    bool is_new = mkdir(path, 0700) == 0;
    if (!is_new && errno != EEXIST)
        return -1;
    if (!is_new && !is_last)
        return 0;
    char parent[PATH_MAX];
    size_t len = strlen(path);
    while (len && path[len - 1] == '/')
        len--;
    while (len && path[len - 1] != '/')
        len--;
    memcpy(parent, len ? path : "./", len ? len : 2);
    parent[len ? len : 2] = '\0';
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return is_new ? -1 : 0; /* somebody else's: may not be readable */
    int failed = LH_FAULT("dir.sync") ? -1 : fsync(fd);
    int error_number = errno;
    close(fd);
    errno = error_number;
    return failed;
}

static int make_all(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int failed = make_level(path, false);
        *slash = '/';
        if (failed)
            return -1;
    }
    return make_level(path, true);
}

static enum lh_code open_resolved(char *given, struct lh_dir **ret, struct lh_error *err)
{
    char *path = realpath(given, NULL);
    if (!path)
        return lh_fail_path(err, errno, given, "opened");
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct lh_dir *dir = fd >= 0 ? malloc(sizeof *dir) : NULL;
    if (!dir) {
        int error_number = fd < 0 ? errno : ENOMEM;
        if (fd >= 0)
            close(fd);
        free(path);
        if (error_number == ENOTDIR)
            return lh_fail(err, LH_INVALID, "'%s' is not a folder.", given);
        return lh_fail_path(err, error_number, given, "opened");
    }
    *dir = (struct lh_dir){.fd = fd, .path = path, .path_len = strlen(path)};
    *ret = dir;
    return LH_OK;
}

enum lh_code lh_dir_open(struct lh_str path, bool create, struct lh_dir **ret, struct lh_error *err)
{
    if (path.len == 0 || path.len >= PATH_MAX || memchr(path.data, '\0', path.len))
        return lh_fail(err, LH_INVALID,
                       "The folder's path is empty, too long or holds a NUL byte.");
    char given[PATH_MAX];
    memcpy(given, path.data, path.len);
    given[path.len] = '\0';
    if (create && make_all(given) != 0)
        return lh_fail_path(err, errno, given, "created");
    return open_resolved(given, ret, err);
}

void lh_dir_close(struct lh_dir *dir)
{
    if (!dir)
        return;
    close(dir->fd);
    free(dir->path);
    free(dir);
}

struct lh_str lh_dir_path(const struct lh_dir *dir)
{
    return (struct lh_str){dir->path, dir->path_len};
}

/* Goes one level down from *fd (closing it unless it is `keep_fd`), making the level if it is
 * missing. */
static int descend(int *fd, int keep_fd, const char *name, unsigned *made)
{
    if (mkdirat(*fd, name, 0700) == 0)
        (*made)++;
    else if (errno != EEXIST)
        return -1;
    int next = lh_open_beneath(*fd, name, O_PATH | O_DIRECTORY, 0);
    if (next < 0)
        return -1;
    if (*fd != keep_fd)
        close(*fd);
    *fd = next;
    return 0;
}

enum lh_code lh_dir_make(struct lh_dir *dir, const char *path, unsigned *ret_made,
                         struct lh_error *err)
{
    char name[NAME_MAX + 1];
    unsigned made = 0;
    int fd = dir->fd;
    int error_number = *path == '/' ? EXDEV : 0;
    for (const char *next = path; *next && !error_number;) {
        size_t len = strcspn(next, "/");
        if (len >= sizeof name) {
            error_number = ENAMETOOLONG;
        } else if (len) {
            memcpy(name, next, len);
            name[len] = '\0';
            if (strcmp(name, "..") ==
                0) /* mkdirat would say EEXIST, and the walk EXDEV: say so at once */
                error_number = EXDEV;
            else if (LH_FAULT("dir.make") || descend(&fd, dir->fd, name, &made) != 0)
                error_number = errno;
        }
        next += len + (next[len] == '/');
    }
    if (fd != dir->fd)
        close(fd);
    if (error_number == ENOTDIR)
        return lh_fail(err, LH_CONFLICT, "The folder '%s' cannot be made: a file has its name.",
                       path);
    if (error_number)
        return lh_fail_path(err, error_number, path, "created");
    if (ret_made)
        *ret_made = made;
    return LH_OK;
}

enum lh_code lh_dir_sync(struct lh_dir *dir, const char *path, struct lh_error *err)
{
    const char *shown = *path ? path : "the data folder";
    int fd = -1;
    if (!LH_FAULT("dir.sync"))
        fd = lh_open_beneath(dir->fd, *path ? path : ".", O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return lh_fail_path(err, errno, shown, "made durable");
    int error_number = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    if (error_number)
        return lh_fail_path(err, error_number, shown, "made durable");
    return LH_OK;
}

/* Takes an open folder for reading its entries; NULL and errno on failure. */
static DIR *open_entries(int dir_fd, const char *path)
{
    int fd = lh_open_beneath(dir_fd, *path ? path : ".", O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return NULL;
    DIR *entries = fdopendir(fd);
    if (!entries)
        close(fd);
    return entries;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int compare_entries(const void *left, const void *right)
{
    const struct lh_dir_entry *a = left;
    const struct lh_dir_entry *b = right;
    return lh_str_compare(a->name, b->name);
}

struct listing {
    struct lh_dir_entry *items;
    size_t count;
    size_t capacity;
};

static int listing_add(struct listing *listing, struct lh_arena *arena, const char *name,
                       const struct stat *stat)
{
    if (listing->count == listing->capacity) {
        size_t capacity = listing->capacity ? listing->capacity * 2 : 64;
        struct lh_dir_entry *items = lh_arena_try(arena, capacity * sizeof *items);
        if (!items) {
            errno = ENOMEM;
            return -1;
        }
        if (listing->count)
            memcpy(items, listing->items, listing->count * sizeof *items);
        listing->items = items;
        listing->capacity = capacity;
    }
    listing->items[listing->count++] = (struct lh_dir_entry){
        .name = lh_arena_str(arena, lh_str_of(name)),
        .is_folder = S_ISDIR(stat->st_mode),
        .is_special = !S_ISDIR(stat->st_mode) && !S_ISREG(stat->st_mode),
        .bytes = stat->st_size,
        .modified_ms = (int64_t)stat->st_mtim.tv_sec * 1000 + stat->st_mtim.tv_nsec / 1000000,
    };
    return 0;
}

static int list_entries(DIR *entries, struct lh_arena *arena, struct listing *listing)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(entries);
        if (!entry)
            return errno ? -1 : 0;
        struct stat stat;
        if (is_dots(entry->d_name))
            continue;
        if (fstatat(dirfd(entries), entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno == ENOENT)
                continue; /* it went away while we were reading */
            return -1;
        }
        if (listing_add(listing, arena, entry->d_name, &stat) != 0)
            return -1;
    }
}

enum lh_code lh_dir_list(struct lh_dir *dir, const char *path, struct lh_arena *arena,
                         struct lh_dir_entry **ret, size_t *ret_count, struct lh_error *err)
{
    struct listing listing = {0};
    DIR *entries = LH_FAULT("dir.list") ? NULL : open_entries(dir->fd, path);
    if (!entries && errno != ENOENT)
        return lh_fail_path(err, errno, path, "listed");
    if (entries) {
        int error_number = list_entries(entries, arena, &listing) == 0 ? 0 : errno;
        closedir(entries);
        if (error_number)
            return lh_fail_path(err, error_number, path, "listed");
    }
    if (listing.count)
        qsort(listing.items, listing.count, sizeof *listing.items, compare_entries);
    *ret = listing.items;
    *ret_count = listing.count;
    return LH_OK;
}

static int remove_entries(int dir_fd, const char *path, unsigned depth);

static int remove_entry(int folder_fd, const char *name, unsigned depth)
{
    if (LH_FAULT("file.remove"))
        return -1;
    if (unlinkat(folder_fd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM) /* EPERM: what POSIX says for folders */
        return -1;
    if (remove_entries(folder_fd, name, depth + 1) != 0)
        return errno == ENOENT ? 0 : -1;
    return unlinkat(folder_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -1;
}

/* Empties the folder `path`; links are removed, never followed. */
static int remove_entries(int dir_fd, const char *path, unsigned depth)
{
    if (depth > TREE_DEPTH_MAX) {
        errno = ELOOP;
        return -1;
    }
    DIR *entries = open_entries(dir_fd, path);
    if (!entries)
        return -1;
    int failed = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(entries);
        if (!entry) {
            failed = errno ? -1 : 0;
            break;
        }
        if (!is_dots(entry->d_name) && remove_entry(dirfd(entries), entry->d_name, depth) != 0) {
            failed = -1;
            break;
        }
    }
    int error_number = errno;
    closedir(entries);
    errno = error_number;
    return failed;
}

enum lh_code lh_dir_remove_tree(struct lh_dir *dir, const char *path, struct lh_error *err)
{
    struct lh_place place = {0};
    if (lh_place_open(dir, path, &place) != 0)
        return errno == ENOENT ? LH_OK : lh_fail_path(err, errno, path, "removed");
    int error_number = remove_entry(place.folder_fd, place.name, 0) == 0 ? 0 : errno;
    lh_place_close(&place);
    if (error_number)
        return lh_fail_path(err, error_number, path, "removed");
    return LH_OK;
}

enum lh_code lh_dir_free_bytes(struct lh_dir *dir, int64_t *ret, struct lh_error *err)
{
    struct statvfs status;
    if (fstatvfs(dir->fd, &status) != 0)
        return lh_fail_errno(err, errno, "The free space could not be found out");
    *ret = (int64_t)status.f_bavail * (int64_t)status.f_frsize;
    return LH_OK;
}

bool lh_dir_shares_disk(const struct lh_dir *a, const struct lh_dir *b)
{
    struct stat one, other;
    return fstat(a->fd, &one) == 0 && fstat(b->fd, &other) == 0 && one.st_dev == other.st_dev;
}

enum lh_code lh_file_resolve(struct lh_str path, struct lh_arena *arena, struct lh_str *ret,
                             struct lh_error *err)
{
    char *real = realpath(lh_arena_cstr(arena, path), NULL);
    if (!real)
        return lh_fail_errno(err, errno, "'%.*s' cannot be read", LH_ARG(path));
    *ret = lh_arena_str(arena, lh_str_of(real));
    free(real);
    return LH_OK;
}
