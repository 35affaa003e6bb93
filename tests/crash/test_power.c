/* Power cuts: lives are recorded call by call, and the disk is built as a cut between any two calls
 * may leave it (support/power_disk.h). The lake is opened on each such state: what was acknowledged
 * before the cut is there, nothing is half done, the lake verifies and goes on. A SIGKILL keeps the
 * page cache: this is what proves that each fsync is made, and made in time.
 *
 * LAKEHOUSE_POWER_STATES: how many states to look at in all; LAKEHOUSE_SEED: which;
 * LAKEHOUSE_POWER_LIVES: "indexes" those that search, "stores" the others. States are counted that
 * differ in what they hold, within one recorded life. One that is not recovered from is kept in
 * build/power-cut, and `crash.power --kept build/power-cut/lake` tells what it holds. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "support/fault_ways.h"
#include "support/kept_engine.h"
#include "support/known_lives.h"
#include "support/power_disk.h"
#include "support/recorded_child.h"

#ifdef LH_FAULTS

#define KEPT "build/power-cut"
#define STATES 700
#define STATES_LONG 20000
#define STATES_PER_CUT 6
#define GOING_ON_EACH 6 /* so many states one takes another dataset, which costs as much as two */

/* What a kept state holds, for people: it is recovered by that. */
static int tell_kept(const char *folder)
{
    struct op_house house = {0};
    op_house_open(&house, lh_str_of(folder));
    printf("%s\n", lived_state(&house, ~0u));
    op_house_rows(&house, "after", "id\n1\n", "create");
    op_house_close(&house);
    return 0;
}

/* --- which state is looked at */

static struct look {
    const struct known_life *life;
    struct power_disk *disk;
    size_t number;
    uint64_t seed;
    size_t per_cut; /* states */
    bool is_looking;
    const char *lie;
} look;

static void name_state(char *text, size_t max)
{
    snprintf(text, max, "%s%s%s, cut after call %zu of %zu (%s), state %zu, seed %llu",
             look.life->name, look.lie ? ", no sync of " : "", look.lie ? look.lie : "",
             power_disk_played(look.disk), power_disk_calls(look.disk), power_disk_last(look.disk),
             look.number, (unsigned long long)look.seed);
}

static void when_aborted(int number)
{
    char text[512];
    if (look.is_looking) {
        name_state(text, sizeof(text));
        dprintf(STDERR_FILENO, "ended at: %s\n", text);
    }
    signal(number, SIG_DFL);
    raise(number);
}

/* Of a test that failed in the middle of a state: says which, and keeps it. */
static int tell_state(void **state)
{
    char text[512];
    (void)state;
    if (!look.is_looking)
        return 0;
    look.is_looking = false;
    name_state(text, sizeof(text));
    if (system("rm -rf " KEPT " && mkdir -p " KEPT))
        return -1;
    power_disk_build(look.disk, look.number, KEPT);
    fprintf(stderr, "failed at: %s; kept in " KEPT "\n", text);
    return 0;
}

/* --- looking */

static void remove_folder(const char *folder, const char *name)
{
    struct lh_dir *dir = NULL;
    assert_int_equal(lh_dir_open(lh_str_of(folder), false, &dir, NULL), LH_OK);
    assert_int_equal(lh_dir_remove_tree(dir, name, NULL), LH_OK);
    lh_dir_close(dir);
}

/* The sums of states that were seen. */
struct seen {
    uint64_t *sums;
    size_t count, max;
};

static bool is_new(struct seen *seen, uint64_t sum)
{
    if (seen->count * 2 >= seen->max) {
        struct seen larger = {.max = seen->max ? seen->max * 2 : 1024};
        larger.sums = calloc(larger.max, sizeof(*larger.sums));
        assert_non_null(larger.sums);
        for (size_t i = 0; i < seen->max; i++)
            if (seen->sums[i])
                (void)is_new(&larger, seen->sums[i]);
        free(seen->sums);
        *seen = larger;
    }
    sum |= 1;
    size_t at = (size_t)(sum >> 7) % seen->max;
    for (; seen->sums[at]; at = (at + 1) % seen->max)
        if (seen->sums[at] == sum)
            return false;
    seen->sums[at] = sum;
    seen->count++;
    return true;
}

/* A life that is recorded: what stood before, and the calls. */
struct recording {
    struct temp_lake folder;
    char lake[4200], record[4200], base[4200];
    size_t life;
    size_t acknowledged_before; /* of a life that was cut once already */
    bool has_base;
};

static struct power_disk *disk_of(const struct recording *recording)
{
    struct power_disk *disk = power_disk_new();
    if (recording->has_base)
        power_disk_load(disk, recording->base);
    power_disk_read(disk, recording->record);
    return disk;
}

/* Nothing was missed: played to the end, the disk is what the folder holds. */
static void check_recording(const struct recording *recording)
{
    struct power_disk *disk = disk_of(recording), *real = power_disk_new();
    while (power_disk_step(disk))
        ;
    power_disk_load(real, recording->lake);
    if (power_disk_sum_now(disk) != power_disk_sum_now(real))
        fail_msg("%s: what was recorded is not what the folder holds",
                 known_lives[recording->life].name);
    power_disk_free(real);
    power_disk_free(disk);
}

static void copy_folder(const char *from, const char *to)
{
    char command[9000];
    snprintf(command, sizeof(command), "mkdir -p '%s' && rm -rf '%s' && cp -a '%s' '%s'", to, to,
             from, to);
    assert_int_equal(system(command), 0);
}

static void recording_begin(struct recording *recording, size_t life)
{
    temp_lake_make(&recording->folder);
    recording->life = life;
    snprintf(recording->lake, sizeof(recording->lake), "%.4080s/lake", recording->folder.path);
    snprintf(recording->record, sizeof(recording->record), "%.4080s/calls", recording->folder.path);
    snprintf(recording->base, sizeof(recording->base), "%.4080s/base/lake", recording->folder.path);
}

static void record_life(struct recording *recording, size_t life)
{
    char mode[32];
    *recording = (struct recording){0};
    recording_begin(recording, life);
    recording->has_base = known_life_begin(&known_lives[life], recording->lake);
    if (recording->has_base)
        copy_folder(recording->lake, recording->base);
    snprintf(mode, sizeof(mode), "--live=%zu", life);
    assert_int_equal(recorded_child_run(mode, recording->lake, recording->record).acknowledged,
                     known_life_steps(&known_lives[life]));
    check_recording(recording);
}

struct tally {
    size_t cuts, states, lives; /* lives: recordings of them */
};

typedef void (*judge)(const char *folder, size_t acknowledged, size_t number);

static void recover(const char *folder, size_t acknowledged, size_t number)
{
    static size_t states;
    char lake[4200];
    (void)number;
    snprintf(lake, sizeof(lake), "%.4090s/lake", folder);
    known_life_check(look.life, lake, acknowledged, states++ % GOING_ON_EACH == 0);
}

static void look_at(struct recording *recording, size_t acknowledged, judge judged)
{
    static size_t cuts; /* no path comes twice: support/kept_engine.h */
    char folder[4200], name[32];
    snprintf(name, sizeof(name), "cut-%zu", ++cuts);
    snprintf(folder, sizeof(folder), "%.4080s/%s", recording->folder.path, name);
    look.is_looking = true;
    assert_int_equal(mkdir(folder, 0700), 0);
    power_disk_build(look.disk, look.number, folder);
    judged(folder, acknowledged, look.number);
    remove_folder(recording->folder.path, name);
    look.is_looking = false;
}

/* One walk along the record, with a stop at every `stride`-th call. */
static void walk(struct recording *recording, struct seen *seen, struct power_disk *disk,
                 size_t stride, size_t max, judge judged, struct tally *tally)
{
    size_t first = (size_t)(look.seed % stride), states_max = tally->states + max;
    look.disk = disk;
    look.life = &known_lives[recording->life];
    while (power_disk_step(disk) && tally->states < states_max) {
        bool is_all = false;
        if (power_disk_played(disk) % stride != first)
            continue;
        size_t acknowledged = recording->acknowledged_before + power_disk_acknowledged(disk);
        size_t count = power_disk_states(disk, look.per_cut, look.seed, &is_all);
        tally->cuts++;
        for (look.number = 0; look.number < count && tally->states < states_max; look.number++) {
            uint64_t sum = power_disk_sum(disk, look.number) + acknowledged * 0x9e3779b97f4a7c15u;
            if (!is_new(seen, sum))
                continue;
            look_at(recording, acknowledged, judged);
            tally->states++;
        }
    }
    power_disk_free(disk);
    look.disk = NULL;
}

/* Walks until so many states were seen, or new ones are no longer found. */
static void enumerate(struct recording *recording, size_t max, judge judged, struct tally *tally)
{
    struct seen seen = {0};
    size_t before = tally->states, barren = 0;
    while (tally->states - before < max && barren < 4) {
        size_t left = max - (tally->states - before), was = tally->states;
        struct power_disk *disk = disk_of(recording);
        size_t stride = power_disk_calls(disk) * 3 / left;
        look.seed = look.seed * 6364136223846793005u + 1442695040888963407u;
        walk(recording, &seen, disk, stride ? stride : 1, left, judged, tally);
        barren = tally->states == was ? barren + 1 : 0;
    }
    free(seen.sums);
}

/* --- a second cut, in the recovery from a first one */

/* What `source` looks like after a cut is opened by a child, whose calls are recorded. */
static void record_recovery(const struct recording *source, struct power_disk *disk, size_t number,
                            struct recording *ret)
{
    char mode[32];
    *ret = (struct recording){0};
    recording_begin(ret, source->life);
    power_disk_build(disk, number, ret->folder.path);
    copy_folder(ret->lake, ret->base);
    ret->has_base = true;
    ret->acknowledged_before = power_disk_acknowledged(disk);
    snprintf(mode, sizeof(mode), "--open=%zu", source->life);
    recorded_child_run(mode, ret->lake, ret->record);
    check_recording(ret);
}

/* Cuts in the recoveries from `first_cuts` cuts. */
static void enumerate_recoveries(const struct recording *source, size_t first_cuts, size_t max,
                                 struct tally *tally)
{
    struct power_disk *disk = disk_of(source);
    size_t stride = power_disk_calls(disk) / first_cuts, number = 0;
    while (power_disk_step(disk)) {
        struct recording recovery;
        bool is_all = false;
        if (power_disk_played(disk) % stride != look.seed % stride)
            continue;
        if (power_disk_states(disk, STATES_PER_CUT, look.seed, &is_all) <= number)
            number = 0;
        bool has_lake = power_disk_has(disk, number);
        if (has_lake) {
            record_recovery(source, disk, number, &recovery);
            enumerate(&recovery, max / first_cuts + 1, recover, tally);
            temp_lake_remove(&recovery.folder);
        }
        number++;
    }
    power_disk_free(disk);
}

/* --- syncs that lie */

/* Of states that no lake can be whole on: what was found. */
static struct {
    size_t refused; /* the lake does not open, or a statement does not answer */
    size_t lost;    /* something that was acknowledged is not there */
    size_t whole;
} lied;

static bool is_known(const char *name, long long count, long long sum)
{
    char words[128];
    snprintf(words, sizeof(words), "%s %lld %lld", name, count, sum);
    for (size_t i = 0; i <= known_life_steps(look.life); i++)
        if (strstr(known_life_after(look.life, i), words))
            return true;
    return false;
}

/* Each dataset is what it was at some time. */
static void check_known(const char *found)
{
    char name[64];
    long long count, sum;
    int used = 0;
    for (const char *at = found; sscanf(at, "%63s%n", name, &used) == 1; at += used) {
        int more = 0;
        if (sscanf(at + used, " %lld %lld%n", &count, &sum, &more) != 2)
            continue;
        if (!is_known(name, count, sum))
            fail_msg("the lake holds '%s', of which %s is what it never was", found, name);
        used += more;
    }
}

/* Nothing can be promised where a sync lied, but that no row is wrong and nothing crashes. */
static void bear(const char *folder, size_t acknowledged, size_t number)
{
    struct op_house house = {.arena = lh_arena_new(0), .principal = access_local_admin()};
    const char *found = NULL;
    (void)number;
    snprintf(house.folder.path, sizeof(house.folder.path), "%.4090s", folder);
    settings_preset(&house.settings, lh_arena_printf(house.arena, "%s/lake", folder));
    enum lh_code code = lake_open(&house.settings, &house.lake, &house.err);
    if (!code)
        code = lived_state_try(&house, look.life->parts, &found);
    if (code) {
        assert_true(house.err.message[0] != '\0');
        lied.refused++;
    } else {
        check_known(found);
        bool is_told = strcmp(found, known_life_after(look.life, acknowledged)) == 0;
        bool is_next = acknowledged < known_life_steps(look.life) &&
                       strcmp(found, known_life_after(look.life, acknowledged + 1)) == 0;
        *(is_told || is_next ? &lied.whole : &lied.lost) += 1;
    }
    lake_close(house.lake);
    lh_arena_free(house.arena);
}

/* --- the tests */

static size_t states_wanted(void)
{
    const char *wanted = getenv("LAKEHOUSE_POWER_STATES");
    if (wanted)
        return strtoul(wanted, NULL, 10);
    return getenv("LAKEHOUSE_LONG") ? STATES_LONG : STATES / fault_stride(1);
}

/* The next life that is wanted, round and round. */
static size_t life_from(size_t life)
{
    const char *wanted = getenv("LAKEHOUSE_POWER_LIVES");
    bool wants_indexes = wanted && strcmp(wanted, "indexes") == 0;
    for (;; life++) {
        bool has_index = (known_lives[life % KNOWN_LIFE_COUNT].parts & LIVED_FOUND) != 0;
        if (!wanted || has_index == wants_indexes)
            return life;
    }
}

static void begin_seed(void)
{
    const char *seed = getenv("LAKEHOUSE_SEED");
    look.per_cut = STATES_PER_CUT;
    look.seed = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL) * 1000 + (uint64_t)getpid();
}

static void a_power_cut_loses_nothing_that_was_acknowledged(void **state)
{
    struct tally tally = {0};
    size_t wanted = states_wanted(), share = wanted / KNOWN_LIFE_COUNT + 1;
    (void)state;
    begin_seed();
    uint64_t seed = look.seed;
    for (size_t life = life_from(0); tally.states < wanted; life = life_from(life + 1)) {
        struct recording recording;
        record_life(&recording, life % KNOWN_LIFE_COUNT);
        tally.lives++;
        enumerate(&recording, share < 800 ? share : 800, recover, &tally);
        temp_lake_remove(&recording.folder);
    }
    printf("figure: power cuts: %zu states after %zu cuts in %zu lives, each recovered and "
           "verified, seed %llu\n",
           tally.states, tally.cuts, tally.lives, (unsigned long long)seed);
}

static void a_power_cut_during_recovery_loses_nothing(void **state)
{
    struct tally tally = {0};
    size_t wanted = states_wanted() / 5 + 1, recoveries = 0;
    (void)state;
    begin_seed();
    uint64_t seed = look.seed;
    for (size_t life = life_from((size_t)(seed % KNOWN_LIFE_COUNT)); tally.states < wanted;
         life = life_from(life + 1)) {
        struct recording recording;
        size_t first_cuts = wanted < 400 ? 2 : 6;
        record_life(&recording, life % KNOWN_LIFE_COUNT);
        enumerate_recoveries(&recording, first_cuts, wanted < 1800 ? wanted / 3 : 600, &tally);
        recoveries += first_cuts;
        temp_lake_remove(&recording.folder);
    }
    printf("figure: power cuts in recoveries: %zu states after %zu cuts in %zu recoveries, each "
           "recovered and verified, seed %llu\n",
           tally.states, tally.cuts, recoveries, (unsigned long long)seed);
}

/* The proof that the enumeration would notice. */
static void a_kind_of_sync_that_does_nothing_is_noticed(void **state)
{
    static const char *const kinds[] = {"lake/_staging/", "lake/_catalog/", "lake/datasets/"};
    struct recording recording;
    (void)state;
    begin_seed();
    look.per_cut = 2;
    record_life(&recording, 0);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct tally tally = {0};
        struct seen seen = {0};
        memset(&lied, 0, sizeof(lied));
        struct power_disk *disk = disk_of(&recording);
        power_disk_lie_about(disk, look.lie = kinds[i]);
        size_t stride = power_disk_calls(disk) / 12;
        walk(&recording, &seen, disk, stride, 100, bear, &tally);
        free(seen.sums);
        printf("figure: without syncs of %s: of %zu states %zu refused, %zu with losses\n",
               kinds[i], tally.states, lied.refused, lied.lost);
        assert_true(lied.refused + lied.lost > tally.states / 10);
    }
    look.lie = NULL;
    temp_lake_remove(&recording.folder);
}

/* Each sync of two lives in turn. */
static void a_sync_that_lies_makes_no_row_wrong(void **state)
{
    struct tally tally = {0};
    size_t lies = 0, step = fault_stride(7);
    (void)state;
    begin_seed();
    memset(&lied, 0, sizeof(lied));
    look.lie = "one file or folder";
    for (size_t life = 0; life < 4; life++) {
        struct recording recording;
        record_life(&recording, life);
        struct power_disk *whole = disk_of(&recording);
        size_t syncs = power_disk_syncs(whole), calls = power_disk_calls(whole);
        power_disk_free(whole);
        for (size_t at = 1 + look.seed % step; at <= syncs; at += step, lies++) {
            struct seen seen = {0};
            struct power_disk *disk = disk_of(&recording);
            power_disk_lie(disk, at);
            while (!power_disk_has_lied(disk))
                power_disk_step(disk);
            walk(&recording, &seen, disk, calls / 4, 4, bear, &tally);
            free(seen.sums);
        }
        temp_lake_remove(&recording.folder);
    }
    look.lie = NULL;
    printf("figure: syncs that lie: %zu in turn, %zu states: %zu refused with an error, %zu with "
           "losses, %zu whole, 0 with wrong rows\n",
           lies, tally.states, lied.refused, lied.lost, lied.whole);
    assert_true(lies > 0 && tally.states > lies / 2);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return strcmp(argv[1], "--kept") == 0 ? tell_kept(argv[2])
                                              : known_life_live(argv[1], argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_power_cut_loses_nothing_that_was_acknowledged, tell_state),
        cmocka_unit_test_teardown(a_power_cut_during_recovery_loses_nothing, tell_state),
        cmocka_unit_test_teardown(a_kind_of_sync_that_does_nothing_is_noticed, tell_state),
        cmocka_unit_test_teardown(a_sync_that_lies_makes_no_row_wrong, tell_state),
    };
    signal(SIGABRT, when_aborted);
    temp_lake_prefer_memory();
    kept_engine_begin(KEPT_ENGINE_LAKES);
    return kept_engine_end(cmocka_run_group_tests_name("power cuts", tests, NULL, NULL));
}

#else

int main(void)
{
    printf("skipped: this build has no fault points\n");
    return 0;
}

#endif
