#include "base/fault.h"

#ifdef LH_FAULTS

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum action { ACTION_ERRNO, ACTION_KILL, ACTION_SHORT, ACTION_WAIT };

#define POINT_BYTES_MAX 64

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* another plan, or a thread that waits */
    uint64_t serial;        /* of the plan */
    bool is_loaded;         /* a plan was set, or the environment was looked at */
    bool is_planned;
    bool is_lasting;
    bool was_struck;
    char point[POINT_BYTES_MAX]; /* "*" = any */
    uint64_t nth;
    enum action action;
    int error_number;
    uint64_t count; /* of all hits */
    uint64_t matched;
    const char *trace[LH_FAULT_TRACE_MAX];
    size_t trace_count;
} plan = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static _Thread_local bool is_short;

static const struct {
    const char *name;
    int number;
} error_numbers[] = {
    {"EIO", EIO},
    {"EDOM", EDOM},
    {"ENOSPC", ENOSPC},
    {"EDQUOT", EDQUOT},
    {"EMFILE", EMFILE},
    {"ENFILE", ENFILE},
    {"EINTR", EINTR},
    {"ENOMEM", ENOMEM},
    {"EACCES", EACCES},
    {"EROFS", EROFS},
    {"EEXIST", EEXIST},
    {"ENOENT", ENOENT},
    {"EAGAIN", EAGAIN},
    {"EFBIG", EFBIG},
    {"EPIPE", EPIPE},
    {"EPERM", EPERM},
    {"ECONNRESET", ECONNRESET},
    {"ETIMEDOUT", ETIMEDOUT},
};

static bool read_action(const char *text)
{
    if (strcmp(text, "kill") == 0) {
        plan.action = ACTION_KILL;
        return true;
    }
    if (strcmp(text, "short") == 0) {
        plan.action = ACTION_SHORT;
        return true;
    }
    if (strcmp(text, "wait") == 0) {
        plan.action = ACTION_WAIT;
        return true;
    }
    for (size_t i = 0; i < sizeof error_numbers / sizeof error_numbers[0]; i++) {
        if (strcmp(text, error_numbers[i].name) == 0) {
            plan.action = ACTION_ERRNO;
            plan.error_number = error_numbers[i].number;
            return true;
        }
    }
    return false;
}

/* "point=N[+]:action" */
static bool read_plan(const char *text)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text || (size_t)(equals - text) >= sizeof plan.point)
        return false;
    if (equals[1] < '0' || equals[1] > '9')
        return false;
    char *end = NULL;
    errno = 0;
    plan.nth = strtoull(equals + 1, &end, 10);
    if (errno || plan.nth == 0)
        return false;
    plan.is_lasting = *end == '+';
    if (plan.is_lasting)
        end++;
    if (*end != ':' || !read_action(end + 1))
        return false;
    memcpy(plan.point, text, (size_t)(equals - text));
    plan.point[equals - text] = '\0';
    return true;
}

static bool set_plan(const char *text)
{
    plan.serial++;
    pthread_cond_broadcast(&plan.changed);
    plan.is_loaded = true;
    plan.is_planned = false;
    plan.was_struck = false;
    plan.count = 0;
    plan.matched = 0;
    plan.trace_count = 0;
    if (!text || !*text)
        return true;
    plan.is_planned = read_plan(text);
    return plan.is_planned;
}

bool lh_fault_plan(const char *text)
{
    pthread_mutex_lock(&plan.mutex);
    bool is_fine = set_plan(text);
    pthread_mutex_unlock(&plan.mutex);
    return is_fine;
}

/* With the mutex held: counts the hit and says whether the plan strikes here. */
static bool strikes(const char *point)
{
    if (!plan.is_loaded && !set_plan(getenv("LAKEHOUSE_FAULT"))) {
        static const char message[] =
            "LAKEHOUSE_FAULT cannot be read: point=N[+]:action expected\n";
        /* A test that plans nothing by mistake would pass without testing: end it. */
        if (write(STDERR_FILENO, message, sizeof message - 1) < 0)
            _exit(71);
        _exit(70);
    }
    plan.count++;
    if (plan.trace_count < LH_FAULT_TRACE_MAX)
        plan.trace[plan.trace_count++] = point;
    if (!plan.is_planned)
        return false;
    if (strcmp(plan.point, "*") != 0 && strcmp(plan.point, point) != 0)
        return false;
    plan.matched++;
    if (plan.matched != plan.nth && !(plan.is_lasting && plan.matched > plan.nth))
        return false;
    plan.was_struck = true;
    return true;
}

/* With the mutex held, which is given back meanwhile: until there is another plan. */
static void wait_here(void)
{
    uint64_t serial = plan.serial;
    pthread_cond_broadcast(&plan.changed);
    while (plan.serial == serial)
        pthread_cond_wait(&plan.changed, &plan.mutex);
}

void lh_fault_await(void)
{
    pthread_mutex_lock(&plan.mutex);
    while (!plan.was_struck)
        pthread_cond_wait(&plan.changed, &plan.mutex);
    pthread_mutex_unlock(&plan.mutex);
}

bool lh_fault_hit(const char *point)
{
    pthread_mutex_lock(&plan.mutex);
    bool is_struck = strikes(point);
    enum action action = plan.action;
    int error_number = plan.error_number;
    if (is_struck && action == ACTION_WAIT)
        wait_here();
    pthread_mutex_unlock(&plan.mutex);
    is_short = is_struck && action == ACTION_SHORT;
    if (!is_struck || is_short || action == ACTION_WAIT)
        return false;
    if (action == ACTION_KILL) {
        kill(getpid(), SIGKILL);
        for (;;)
            pause(); /* the signal may reach another thread first; this one does nothing more */
    }
    errno = error_number;
    return true;
}

bool lh_fault_is_short(void)
{
    return is_short;
}

uint64_t lh_fault_count(void)
{
    pthread_mutex_lock(&plan.mutex);
    uint64_t count = plan.count;
    pthread_mutex_unlock(&plan.mutex);
    return count;
}

bool lh_fault_was_struck(void)
{
    pthread_mutex_lock(&plan.mutex);
    bool was_struck = plan.was_struck;
    pthread_mutex_unlock(&plan.mutex);
    return was_struck;
}

size_t lh_fault_trace(const char **ret, size_t max)
{
    pthread_mutex_lock(&plan.mutex);
    size_t count = plan.trace_count < max ? plan.trace_count : max;
    if (count)
        memcpy(ret, plan.trace, count * sizeof *ret);
    pthread_mutex_unlock(&plan.mutex);
    return count;
}

#else

/* A translation unit may not be empty. */
typedef int lh_faults_are_compiled_out;

#endif
