#include "support/temp_lake.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

int temp_lake_open_count(void)
{
    DIR *entries = opendir("/proc/self/fd");
    assert_non_null(entries);
    int count = 0;
    while (readdir(entries))
        count++;
    closedir(entries);
    return count - 3; /* ".", ".." and the listing itself */
}

void temp_lake_prefer_memory(void)
{
    if (access("/dev/shm", W_OK | X_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
}

void temp_lake_make(struct temp_lake *lake)
{
    const char *parent = getenv("TMPDIR");
    snprintf(lake->path, sizeof lake->path, "%s/lakehouse-test-XXXXXX",
             parent && *parent ? parent : "/tmp");
    lake->open_before = temp_lake_open_count();
    assert_non_null(mkdtemp(lake->path));
}

void temp_lake_remove(struct temp_lake *lake)
{
    struct lh_dir *parent = NULL;
    char folder[sizeof lake->path];
    snprintf(folder, sizeof folder, "%s", lake->path);
    char *slash = strrchr(folder, '/');
    assert_non_null(slash);
    *slash = '\0';
    assert_int_equal(temp_lake_open_count(), lake->open_before);
    assert_int_equal(lh_dir_open(lh_str_of(folder), false, &parent, NULL), LH_OK);
    assert_int_equal(lh_dir_remove_tree(parent, slash + 1, NULL), LH_OK);
    lh_dir_close(parent);
}

struct lh_str temp_lake_path(const struct temp_lake *lake)
{
    return lh_str_of(lake->path);
}

const char *temp_lake_file(const struct temp_lake *lake, const char *name)
{
    static _Thread_local char paths[8][sizeof lake->path + 1100];
    static _Thread_local unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", lake->path, name);
    return path;
}

void temp_lake_write(const struct temp_lake *lake, const char *name, const void *bytes,
                     size_t count)
{
    int fd = open(temp_lake_file(lake, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, count), (ssize_t)count);
    close(fd);
}

void temp_lake_copy(const char *from, const char *to)
{
    char command[2 * sizeof(struct temp_lake)];
    snprintf(command, sizeof command, "cp -a '%s' '%s'", from, to);
    assert_int_equal(system(command), 0);
}

bool temp_lake_has(const struct temp_lake *lake, const char *name)
{
    struct stat stat;
    return lstat(temp_lake_file(lake, name), &stat) == 0;
}
