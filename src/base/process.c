#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define READ_BYTES ((size_t)65536)
#define LOOK_MS 50 /* how often cancel and timeout are looked at while the child is silent */

extern char **environ;

struct child {
    pid_t pid;
    int out; /* -1 once closed */
    int complaints;
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static enum lh_code spawn(const char *const *argv, struct child *ret, struct lh_error *err)
{
    int out[2] = {-1, -1};
    int complaints[2] = {-1, -1};
    posix_spawn_file_actions_t actions;
    bool has_actions = false;
    enum lh_code code = LH_OK;
    if (pipe2(out, O_CLOEXEC) || pipe2(complaints, O_CLOEXEC)) {
        code = lh_fail_errno(err, errno, "Starting '%s'", argv[0]);
        goto out;
    }
    int failure = posix_spawn_file_actions_init(&actions);
    has_actions = failure == 0;
    if (!failure)
        failure = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (!failure)
        failure = posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    if (!failure)
        failure = posix_spawn_file_actions_adddup2(&actions, complaints[1], 2);
    pid_t pid = -1;
    if (!failure)
        failure = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ);
    if (failure == ENOENT) {
        code = lh_fail(err, LH_NOT_FOUND, "The program '%s' is not installed.", argv[0]);
    } else if (failure) {
        code = lh_fail_errno(err, failure, "Starting '%s'", argv[0]);
    } else {
        *ret = (struct child){.pid = pid, .out = out[0], .complaints = complaints[0]};
        out[0] = complaints[0] = -1;
    }
out:
    if (has_actions)
        (void)posix_spawn_file_actions_destroy(&actions);
    for (int end = 0; end < 2; end++) {
        close_fd(&out[end]);
        close_fd(&complaints[end]);
    }
    return code;
}

/* Keeps the last LH_PROCESS_STDERR_BYTES of what was said. */
static void remember(struct lh_process_result *result, const char *bytes, size_t count)
{
    size_t held = strlen(result->stderr_tail);
    if (count > LH_PROCESS_STDERR_BYTES) {
        bytes += count - LH_PROCESS_STDERR_BYTES;
        count = LH_PROCESS_STDERR_BYTES;
    }
    size_t kept = held + count > LH_PROCESS_STDERR_BYTES ? LH_PROCESS_STDERR_BYTES - count : held;
    memmove(result->stderr_tail, result->stderr_tail + (held - kept), kept);
    memcpy(result->stderr_tail + kept, bytes, count);
    result->stderr_tail[kept + count] = '\0';
}

/* Reads once from a ready pipe; *fd becomes -1 at its end. */
static enum lh_code take(const struct lh_process_request *request, int *fd, bool is_output,
                         char *space, struct lh_process_result *result, struct lh_error *err)
{
    ssize_t count = read(*fd, space, READ_BYTES);
    if (count < 0)
        return errno == EINTR ? LH_OK
                              : lh_fail_errno(err, errno, "Reading from '%s'", request->argv[0]);
    if (count == 0) {
        close_fd(fd);
        return LH_OK;
    }
    if (!is_output) {
        remember(result, space, (size_t)count);
        return LH_OK;
    }
    if (!request->sink)
        return LH_OK;
    return request->sink(request->context, (struct lh_str){space, (size_t)count}, err);
}

static enum lh_code follow(const struct lh_process_request *request, struct child *child,
                           struct lh_process_result *result, struct lh_error *err)
{
    static _Thread_local char space[READ_BYTES];
    int64_t end_us = lh_clock_monotonic_us() + request->timeout_ms * 1000;
    while (child->out >= 0 || child->complaints >= 0) {
        enum lh_code code = lh_cancel_fail(request->cancel, request->argv[0], err);
        if (code)
            return code;
        if (request->timeout_ms > 0 && lh_clock_monotonic_us() > end_us)
            return lh_fail(err, LH_TIMEOUT, "'%s' did not end within %lld ms.", request->argv[0],
                           (long long)request->timeout_ms);
        struct pollfd ends[2] = {{.fd = child->out, .events = POLLIN},
                                 {.fd = child->complaints, .events = POLLIN}};
        if (poll(ends, 2, LOOK_MS) < 0 && errno != EINTR)
            return lh_fail_errno(err, errno, "Waiting for '%s'", request->argv[0]);
        if (child->out >= 0 && ends[0].revents)
            code = take(request, &child->out, true, space, result, err);
        if (!code && child->complaints >= 0 && ends[1].revents)
            code = take(request, &child->complaints, false, space, result, err);
        if (code)
            return code;
    }
    return LH_OK;
}

enum lh_code lh_process_run(const struct lh_process_request *request, struct lh_process_result *ret,
                            struct lh_error *err)
{
    struct child child = {.pid = -1, .out = -1, .complaints = -1};
    struct lh_process_result result = {0};
    enum lh_code code = spawn(request->argv, &child, err);
    if (code)
        return code;
    code = follow(request, &child, &result, err);
    close_fd(&child.out);
    close_fd(&child.complaints);
    if (code)
        (void)kill(child.pid, SIGKILL);
    int status = 0;
    while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (code)
        return code;
    result.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    *ret = result;
    return LH_OK;
}
