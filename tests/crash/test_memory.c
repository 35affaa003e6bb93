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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "support/fault_ways.h"
#include "support/kept_engine.h"
#include "support/killed_child.h"
#include "support/known_lives.h"
#include "support/told_child.h"

#ifdef LH_FAULTS

#define PLACES_MAX 65536
#define PLACES 2 /* of a step, in a short run */

static struct {
    size_t failed, told, ended, borne; /* allocations; how it went on */
    size_t scenarios;
} tally;

static void judge(const struct told_child *outcome, const char *where)
{
    tally.failed++;
    tally.borne += outcome->has_ended_well;
    tally.ended += outcome->was_out_of_memory;
    tally.told += !outcome->has_ended_well && !outcome->was_out_of_memory && outcome->has_told;
    if (!outcome->has_ended_well && !outcome->was_out_of_memory && !outcome->has_told)
        fail_msg("%s: the child ended with status %d: %s", where, outcome->status, outcome->said);
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
    size_t bytes = told_child_read(folder, sums, sizeof(sums)), count = 0;
    for (size_t i = 0; i < bytes / 8 && count < max; i++) {
        if (bsearch(&sums[i], seen, count, 8, compare_sums))
            continue;
        ret[count] = i + 1;
        seen[count++] = sums[i];
        qsort(seen, count, 8, compare_sums);
    }
    return count;
}

/* One step of a life, of which each `stride`-th place fails. */
static void try_step(const char *folder, size_t life, size_t step, size_t stride_of, uint64_t seed)
{
    static size_t places[PLACES_MAX];
    char lake[4200], plan[64], where[160];
    struct told_child outcome;
    told_child_copy_base(folder, lake, sizeof(lake));
    snprintf(plan, sizeof(plan), "%zu:0", step);
    told_child_run(LH_MEMORY, folder, lake, life, plan, &outcome);
    if (!outcome.has_ended_well)
        fail_msg("%s: %s", known_lives[life].name, outcome.said);
    size_t count = first_of_each(folder, places, 8192);
    size_t stride = stride_of ? count / stride_of + 1 : 1;
    for (size_t i = (size_t)(seed % stride); i < count; i += stride) {
        told_child_copy_base(folder, lake, sizeof(lake));
        snprintf(plan, sizeof(plan), "%zu:%zu", step, places[i]);
        snprintf(where, sizeof(where), "%s, step %zu, allocation %zu", known_lives[life].name, step,
                 places[i]);
        told_child_run(LH_MEMORY, folder, lake, life, plan, &outcome);
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
    temp_lake_make(&folder);
    (void)told_child_make_base(folder.path, life);
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
