/* Without memory: in each step of each known life, each place that allocates fails once, in a child
 * (tests/preload/memory.c). What our own code decides is small and ends the process without memory
 * (base/arena.h), which the commit protocol survives as it does a kill; what the input decides is
 * refused with an error. So the child ends well, tells an error or says why it cannot go on, and
 * nothing else; afterwards the lake holds what was acknowledged and verifies.
 *
 * LAKEHOUSE_SCENARIO: every place of that step, counted from 0 over all lives, each with its
 * closing as the last; else a few places of some steps. */
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/fault_ways.h"
#include "support/kept_engine.h"
#include "support/killed_child.h"
#include "support/known_lives.h"

#ifdef LH_FAULTS

#define PLACES_MAX 65536
#define PLACES 2 /* of a step, in a short run */

struct outcome {
    size_t acknowledged;
    bool has_ended_well, was_out_of_memory;
    char said[4096]; /* on standard error */
    int status;
};

static struct {
    size_t failed, told, ended, borne; /* allocations; how it went on */
    size_t scenarios;
} tally;

static void read_file(const char *path, char *ret, size_t max, size_t *ret_count)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, ret, max);
    assert_true(got >= 0);
    *ret_count = (size_t)got;
    if (fd >= 0)
        close(fd);
}

static _Noreturn void run_child(const char *mode, const char *lake, const char *plan,
                                const char *told, int out, int err)
{
    const char *options = getenv("ASAN_OPTIONS");
    char more[1024];
    snprintf(more, sizeof(more), "%s%sverify_asan_link_order=0:handle_abort=0:detect_leaks=0",
             options ? options : "", options ? ":" : "");
    setenv("ASAN_OPTIONS", more, 1);
    setenv("LD_PRELOAD", LH_MEMORY, 1);
    setenv("LAKEHOUSE_MEMORY", plan, 1);
    setenv("LAKEHOUSE_MEMORY_TOLD", told, 1);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    execl("/proc/self/exe", "life", mode, lake, (char *)NULL);
    _exit(127);
}

static void live_once(const char *folder, const char *lake, size_t life, const char *plan,
                      struct outcome *ret)
{
    char told[4200], out[4200], err[4200], mode[32], acks[64];
    size_t count = 0;
    snprintf(told, sizeof(told), "%.4090s/told", folder);
    snprintf(out, sizeof(out), "%.4090s/out", folder);
    snprintf(err, sizeof(err), "%.4090s/err", folder);
    snprintf(mode, sizeof(mode), "--live=%zu", life);
    int out_fd = open(out, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int err_fd = open(err, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    *ret = (struct outcome){0};
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        run_child(mode, lake, plan, told, out_fd, err_fd);
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
}

static void judge(const struct outcome *outcome, const char *where)
{
    bool has_told = WIFEXITED(outcome->status) && WEXITSTATUS(outcome->status) != 127 &&
                    !strstr(outcome->said, "Sanitizer") && outcome->said[0];
    tally.failed++;
    tally.borne += outcome->has_ended_well;
    tally.ended += outcome->was_out_of_memory;
    tally.told += !outcome->has_ended_well && !outcome->was_out_of_memory && has_told;
    if (!outcome->has_ended_well && !outcome->was_out_of_memory && !has_told)
        fail_msg("%s: the child ended with status %d: %s", where, outcome->status, outcome->said);
}

static void copy_folder(const char *from, const char *to)
{
    char command[9000];
    snprintf(command, sizeof(command), "rm -rf '%s' && if [ -e '%s' ]; then cp -a '%s' '%s'; fi",
             to, from, from, to);
    assert_int_equal(system(command), 0);
}

static int compare_sums(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The numbers of the first allocation from each place, of what the child told. */
static size_t first_of_each(const char *folder, size_t *ret, size_t max)
{
    static uint64_t sums[PLACES_MAX], seen[PLACES_MAX];
    char told[4200];
    size_t bytes = 0, count = 0;
    snprintf(told, sizeof(told), "%.4090s/told", folder);
    read_file(told, (char *)sums, sizeof(sums), &bytes);
    for (size_t i = 0; i < bytes / 8 && count < max; i++) {
        if (bsearch(&sums[i], seen, count, 8, compare_sums))
            continue;
        ret[count] = i + 1;
        seen[count++] = sums[i];
        qsort(seen, count, 8, compare_sums);
    }
    return count;
}

/* A copy of the base whose path was never there before: support/kept_engine.h. */
static void copy_base(const char *folder, char *lake, size_t max)
{
    static size_t copies;
    char command[4400], base[4200];
    snprintf(command, sizeof(command), "rm -rf '%.4090s'/lake-*", folder);
    assert_int_equal(system(command), 0);
    snprintf(base, sizeof(base), "%.4090s/base", folder);
    snprintf(lake, max, "%.4090s/lake-%zu", folder, ++copies);
    copy_folder(base, lake);
}

/* One step of a life, of which each `stride`-th place fails. */
static void try_step(const char *folder, size_t life, size_t step, size_t stride_of, uint64_t seed)
{
    static size_t places[PLACES_MAX];
    char lake[4200], plan[64], where[160];
    struct outcome outcome;
    copy_base(folder, lake, sizeof(lake));
    snprintf(plan, sizeof(plan), "%zu:0", step);
    live_once(folder, lake, life, plan, &outcome);
    if (!outcome.has_ended_well)
        fail_msg("%s: %s", known_lives[life].name, outcome.said);
    size_t count = first_of_each(folder, places, 8192);
    size_t stride = stride_of ? count / stride_of + 1 : 1;
    for (size_t i = (size_t)(seed % stride); i < count; i += stride) {
        copy_base(folder, lake, sizeof(lake));
        snprintf(plan, sizeof(plan), "%zu:%zu", step, places[i]);
        snprintf(where, sizeof(where), "%s, step %zu, allocation %zu", known_lives[life].name, step,
                 places[i]);
        live_once(folder, lake, life, plan, &outcome);
        judge(&outcome, where);
        known_life_check(&known_lives[life], lake, outcome.acknowledged, i % 8 == 0);
    }
    tally.scenarios += count > 0;
}

/* Those scenarios of a life (its steps, and the closing as the last) that are wanted: the number
 * counts over all lives. */
static void try_life(size_t life, size_t first, size_t wanted, size_t stride, uint64_t seed)
{
    struct temp_lake folder;
    char base[4200], lake[4200];
    temp_lake_make(&folder);
    snprintf(base, sizeof(base), "%.4090s/base", folder.path);
    snprintf(lake, sizeof(lake), "%.4090s/lake", folder.path);
    if (known_life_begin(&known_lives[life], lake))
        copy_folder(lake, base);
    for (size_t step = 0; step <= known_life_steps(&known_lives[life]); step++) {
        bool is_drawn = stride && (first + step) % stride == seed % stride;
        if (is_drawn || first + step == wanted)
            try_step(folder.path, life, step, stride ? PLACES : 0, seed);
    }
    temp_lake_remove(&folder);
}

static void an_allocation_that_fails_loses_nothing(void **state)
{
    const char *only = getenv("LAKEHOUSE_SCENARIO"), *said = getenv("LAKEHOUSE_SEED");
    uint64_t seed = said ? strtoull(said, NULL, 10) : (uint64_t)time(NULL);
    size_t wanted = only ? strtoul(only, NULL, 10) : SIZE_MAX, first = 0;
    (void)state;
    for (size_t life = 0; life < KNOWN_LIFE_COUNT; life++) {
        size_t count = known_life_steps(&known_lives[life]) + 1;
        if (!only || (wanted >= first && wanted < first + count))
            try_life(life, first, wanted, only ? 0 : fault_stride(2), seed);
        first += count;
    }
    printf("figure: without memory: %zu of %zu scenarios, %zu allocations failed in turn: %zu "
           "borne, %zu told an error, %zu ended the process, 0 crashes, seed %llu\n",
           tally.scenarios, first, tally.failed, tally.borne, tally.told, tally.ended,
           (unsigned long long)seed);
    assert_true(tally.failed > 0);
}

int main(int argc, char **argv)
{
    if (argc == 3) /* without what exit() still writes about coverage */
        _exit(known_life_live(argv[1], argv[2]));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_allocation_that_fails_loses_nothing),
    };
    temp_lake_prefer_memory();
    kept_engine_begin(KEPT_ENGINE_LAKES);
    return kept_engine_end(cmocka_run_group_tests_name("without memory", tests, NULL, NULL));
}

#else

int main(void)
{
    printf("skipped: this build has no fault points\n");
    return 0;
}

#endif
