#include "support/told_child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/known_lives.h"

#ifdef LH_FAULTS

static void read_file(const char *path, char *ret, size_t max, size_t *ret_count)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, ret, max);
    assert_true(got >= 0);
    *ret_count = (size_t)got;
    if (fd >= 0)
        close(fd);
}

static _Noreturn void run_child(const char *shim, const char *mode, const char *lake,
                                const char *plan, const char *told, int out, int err)
{
    const char *options = getenv("ASAN_OPTIONS");
    char more[1024];
    snprintf(more, sizeof(more), "%s%sverify_asan_link_order=0:handle_abort=0:detect_leaks=0",
             options ? options : "", options ? ":" : "");
    setenv("ASAN_OPTIONS", more, 1);
    setenv("LD_PRELOAD", shim, 1);
    setenv("LAKEHOUSE_SHIM", plan, 1);
    setenv("LAKEHOUSE_SHIM_TOLD", told, 1);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    execl("/proc/self/exe", "life", mode, lake, (char *)NULL);
    _exit(127);
}

void told_child_run(const char *shim, const char *folder, const char *lake, size_t life,
                    const char *plan, struct told_child *ret)
{
    char told[4200], out[4200], err[4200], mode[32], acks[64];
    size_t count = 0;
    snprintf(told, sizeof(told), "%.4090s/told", folder);
    snprintf(out, sizeof(out), "%.4090s/out", folder);
    snprintf(err, sizeof(err), "%.4090s/err", folder);
    snprintf(mode, sizeof(mode), "--live=%zu", life);
    int out_fd = open(out, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int err_fd = open(err, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    *ret = (struct told_child){0};
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        run_child(shim, mode, lake, plan, told, out_fd, err_fd);
    close(out_fd);
    close(err_fd);
    assert_int_equal(waitpid(child, &ret->status, 0), child);
    read_file(out, acks, sizeof(acks), &count);
    while (ret->acknowledged < count && acks[ret->acknowledged] == '+')
        ret->acknowledged++;
    read_file(err, ret->said, sizeof(ret->said) - 1, &count);
    ret->has_ended_well = WIFEXITED(ret->status) && WEXITSTATUS(ret->status) == 0;
    ret->was_out_of_memory = WIFSIGNALED(ret->status) && WTERMSIG(ret->status) == SIGABRT &&
                             strstr(ret->said, "lakehouse: ");
    ret->has_told = WIFEXITED(ret->status) && WEXITSTATUS(ret->status) != 127 &&
                    !strstr(ret->said, "Sanitizer") && ret->said[0];
}

size_t told_child_read(const char *folder, void *ret, size_t max)
{
    char told[4200];
    size_t count = 0;
    snprintf(told, sizeof(told), "%.4090s/told", folder);
    read_file(told, ret, max, &count);
    return count;
}

/* --- the lake that it begins with */

static void copy_folder(const char *from, const char *to)
{
    char command[9000];
    snprintf(command, sizeof(command), "rm -rf '%s' && if [ -e '%s' ]; then cp -a '%s' '%s'; fi",
             to, from, from, to);
    assert_int_equal(system(command), 0);
}

bool told_child_make_base(const char *folder, size_t life)
{
    char base[4200], lake[4200];
    snprintf(base, sizeof(base), "%.4090s/base", folder);
    snprintf(lake, sizeof(lake), "%.4090s/lake", folder);
    if (!known_life_begin(&known_lives[life], lake))
        return false;
    copy_folder(lake, base);
    return true;
}

void told_child_copy_base(const char *folder, char *lake, size_t max)
{
    static size_t copies;
    char command[4400], base[4200];
    snprintf(command, sizeof(command), "rm -rf '%.4090s'/lake-*", folder);
    assert_int_equal(system(command), 0);
    snprintf(base, sizeof(base), "%.4090s/base", folder);
    snprintf(lake, max, "%.4090s/lake-%zu", folder, ++copies);
    copy_folder(base, lake);
}

#else

/* A translation unit may not be empty. */
typedef int told_children_need_fault_points;

#endif
