#include "support/killed_child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "support/fault_ways.h"

#ifdef LH_FAULTS

/* --- the child */

bool killed_child_acknowledge(void)
{
    return write(STDOUT_FILENO, "+", 1) == 1;
}

int killed_child_end(void)
{
    static const char *trace[LH_FAULT_TRACE_MAX];
    size_t count = lh_fault_trace(trace, LH_FAULT_TRACE_MAX);
    printf("\n");
    for (size_t i = 0; i < count; i++)
        printf("%s\n", trace[i]);
    return fflush(stdout) != 0;
}

/* --- the parent */

static void note_name(struct killed_ending *ending, const char *name)
{
    ending->point_count++;
    for (size_t i = 0; i < ending->name_count; i++)
        if (strcmp(ending->names[i], name) == 0)
            return;
    assert_true(ending->name_count < KILLED_NAMES_MAX);
    snprintf(ending->names[ending->name_count++], KILLED_LINE_BYTES, "%s", name);
}

static void read_story(FILE *story, struct killed_ending *ret)
{
    char line[KILLED_LINE_BYTES];
    int c;
    while ((c = fgetc(story)) == '+')
        ret->acknowledged++;
    while (c != EOF && fgets(line, sizeof(line), story)) {
        line[strcspn(line, "\n")] = '\0';
        note_name(ret, line);
    }
}

struct killed_ending killed_child_run(const char *mode, const char *folder, const char *plan)
{
    struct killed_ending ending = {0};
    int ends[2];
    int status = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        setenv("LAKEHOUSE_FAULT", plan, 1);
        execl("/proc/self/exe", "life", mode, folder, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    FILE *story = fdopen(ends[0], "r");
    assert_non_null(story);
    read_story(story, &ending);
    fclose(story);
    assert_int_equal(waitpid(child, &status, 0), child);
    ending.was_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    if (!ending.was_killed && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
        fail_msg("%s: the child ended with %d", plan, status);
    return ending;
}

#define POINTS_MAX 20000U

struct killed_lives killed_everywhere(killed_life *life, const void *context, size_t steps,
                                      unsigned stride, unsigned pass)
{
    char plan[KILLED_LINE_BYTES + 64];
    struct killed_lives lives = {.peace = life(context, ""), .step = fault_stride(stride)};
    bool is_through = false;
    assert_false(lives.peace.was_killed);
    assert_int_equal(lives.peace.acknowledged, steps);
    for (size_t i = 0; i < lives.peace.name_count; i++) {
        snprintf(plan, sizeof plan, "%s=%u:kill", lives.peace.names[i], pass);
        lives.named += life(context, plan).was_killed;
    }
    lives.kills = lives.named;
    for (unsigned at = 1; !is_through && at < POINTS_MAX; at += lives.step) {
        snprintf(plan, sizeof plan, "*=%u:kill", at);
        is_through = !life(context, plan).was_killed;
        lives.kills += !is_through;
    }
    assert_true(is_through);
    return lives;
}

#else

/* A translation unit may not be empty. */
typedef int killed_children_need_fault_points;

#endif
