/* What the SQL engine writes by itself (data files, the journal's segments) goes wrong, call
 * by call, in each step of each known life: EIO and ENOSPC once and from there on, half a
 * write, a write that says that it was made and was not (tests/preload/engine_writes.c). A
 * short write is borne. Whatever else comes of it, nothing is acknowledged that is not there:
 * afterwards the lake holds what was acknowledged, answers for what was there before, and
 * verifies.
 *
 * A slice in a short run (LAKEHOUSE_STRIDES); LAKEHOUSE_LONG: every call in every way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/fault_ways.h"
#include "support/kept_engine.h"
#include "support/known_lives.h"
#include "support/told_child.h"

#ifdef LH_FAULTS

#define CALLS_MAX 4096

static const struct way {
    const char *name;
    bool is_borne; /* the step must succeed */
} ways[] = {{"eio", false},   {"eio+", false}, {"full", false},
            {"full+", false}, {"short", true}, {"lost", false}};
#define WAY_COUNT (sizeof(ways) / sizeof(ways[0]))

static struct {
    size_t steps, calls, told, borne;
} tally[WAY_COUNT];

/* How many of the calls that the shim told of have that byte. */
static size_t count_calls(const char *folder, char byte)
{
    char told[CALLS_MAX];
    size_t bytes = told_child_read(folder, told, sizeof(told)), count = 0;
    assert_true(bytes < sizeof(told));
    for (size_t i = 0; i < bytes; i++)
        count += told[i] == byte;
    return count;
}

static void judge(const struct told_child *outcome, size_t way, const char *where)
{
    tally[way].calls++;
    tally[way].borne += outcome->has_ended_well;
    tally[way].told += !outcome->has_ended_well;
    if (!outcome->has_ended_well && !outcome->has_told)
        fail_msg("%s: the child ended with status %d: %s", where, outcome->status, outcome->said);
    if (!outcome->has_ended_well && ways[way].is_borne)
        fail_msg("%s must be borne: %s", where, outcome->said);
}

/* An erasure that cannot write hides the rows all the same, is told as failed, and waits for
 * who asks again: one more outcome than what known_life_check knows. */
static bool is_erasure_that_failed(const struct known_life *life, const char *lake,
                                   const struct told_child *outcome)
{
    char wanted[512];
    struct op_house house = {0};
    size_t next = outcome->acknowledged + 1;
    if (!(life->parts & LIVED_ERASURES) || outcome->has_ended_well)
        return false;
    snprintf(wanted, sizeof(wanted), "%s", known_life_after(life, next));
    if (strncmp(wanted, "erased", 6) != 0)
        return false;
    memcpy(wanted, "failed", 6);
    op_house_open(&house, lh_str_of(lake));
    bool is_it = strcmp(lived_state(&house, life->parts), wanted) == 0;
    op_house_close(&house); /* verifies */
    return is_it;
}

/* One call of a step that goes wrong. */
static void try_call(const char *folder, size_t life, size_t step, size_t call, size_t way)
{
    char lake[4200], plan[64], where[200];
    struct told_child outcome;
    told_child_copy_base(folder, lake, sizeof(lake));
    snprintf(plan, sizeof(plan), "%zu:%zu:%s", step, call, ways[way].name);
    snprintf(where, sizeof(where), "%s, step %zu, %s at call %zu of the engine",
             known_lives[life].name, step, ways[way].name, call);
    told_child_run(LH_ENGINE_WRITES, folder, lake, life, plan, &outcome);
    if (!count_calls(folder, '!'))
        return; /* the engine's threads made fewer calls this time */
    judge(&outcome, way, where);
    if (!is_erasure_that_failed(&known_lives[life], lake, &outcome))
        known_life_check(&known_lives[life], lake, outcome.acknowledged, call % 4 == 0);
}

/* Not every n-th: calls and ways come in rows of their own. */
static bool is_drawn(size_t turn, unsigned stride)
{
    return ((uint32_t)turn * 2654435761u >> 8) % stride == 0;
}

/* Lives in peace first: which steps make the engine write, and how often. */
static void try_life(const char *folder, size_t life, unsigned stride, size_t *turn)
{
    char lake[4200];
    struct told_child outcome;
    size_t calls[KNOWN_LIFE_STEPS_MAX], steps = known_life_steps(&known_lives[life]);
    told_child_copy_base(folder, lake, sizeof(lake));
    told_child_run(LH_ENGINE_WRITES, folder, lake, life, "0:0", &outcome);
    if (!outcome.has_ended_well)
        fail_msg("%s: %s", known_lives[life].name, outcome.said);
    for (size_t step = 0; step < steps; step++)
        calls[step] = count_calls(folder, (char)step);
    for (size_t step = 0; step < steps; step++)
        for (size_t way = 0; way < WAY_COUNT; way++)
            for (size_t call = 1; call <= calls[step]; call++)
                if (is_drawn((*turn)++, stride))
                    try_call(folder, life, step, call, way);
}

static void what_the_engine_writes_is_there_or_not_acknowledged(void **state)
{
    size_t turn = 0, calls = 0;
    unsigned stride = fault_stride(1);
    (void)state;
    for (size_t life = 0; life < KNOWN_LIFE_COUNT; life++) {
        struct temp_lake folder;
        temp_lake_make(&folder);
        (void)told_child_make_base(folder.path, life);
        try_life(folder.path, life, stride, &turn);
        temp_lake_remove(&folder);
    }
    for (size_t way = 0; way < WAY_COUNT; way++) {
        printf("figure: the engine's writes with %s: %zu went wrong, %zu told, %zu borne\n",
               ways[way].name, tally[way].calls, tally[way].told, tally[way].borne);
        calls += tally[way].calls;
        if (!ways[way].is_borne && tally[way].calls > 9)
            assert_true(tally[way].told > 0);
    }
    printf("figure: the engine's own calls: failed %zu times, each told or borne, 0 lost\n", calls);
    assert_true(calls * stride > 60);
}

int main(int argc, char **argv)
{
    if (argc == 3) /* without what exit() still writes about coverage */
        _exit(known_life_live(argv[1], argv[2]));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_engine_writes_is_there_or_not_acknowledged),
    };
    temp_lake_prefer_memory();
    kept_engine_begin(KEPT_ENGINE_LAKES);
    return kept_engine_end(cmocka_run_group_tests_name("the engine's writes", tests, NULL, NULL));
}

#else

int main(void)
{
    printf("skipped: this build has no fault points\n");
    return 0;
}

#endif
