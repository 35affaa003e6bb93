#include "support/known_lives.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "support/killed_child.h"

#ifdef LH_FAULTS

#define FILE_OP(name, mode, rows, after)                                                           \
    {                                                                                              \
        "ingest.file", "{\"dataset\": \"" name "\", \"mode\": \"" mode "\"}", rows, after          \
    }
#define KEYS(op, name, keys, after)                                                                \
    {                                                                                              \
        op, "{\"name\": \"" name "\", \"row_key_column\": \"id\", \"row_key_values\": " keys "}",  \
            NULL, after                                                                            \
    }
#define EVENT(name, after)                                                                         \
    {                                                                                              \
        "journal.event", "{\"entity_id\": \"E\", \"action\": \"" name "\"}", NULL, after           \
    }
#define REFRESH "{\"dataset\": \"tools\", \"index_name\": \"kept\"}"

#define READ "tools 3 6 [[[1,2,3]]]"

const struct known_life known_lives[KNOWN_LIFE_COUNT] = {
    {"first commits",
     0,
     {{0}},
     {FILE_OP("fresh", "create", "id\n1\n2\n", "fresh 2 3"),
      FILE_OP("fresh", "append", "id\n3\n4\n5\n", "fresh 5 15"),
      FILE_OP("fresh", "replace", "id\n6\n", "fresh 1 6"),
      FILE_OP("other", "create", "id\n9\n", "fresh 1 6 other 1 9"),
      {"datasets.rename", "{\"name\": \"other\", \"to\": \"another\"}", NULL,
       "another 1 9 fresh 1 6"},
      {"datasets.update", "{\"name\": \"fresh\", \"description\": \"words\"}", NULL,
       "another 1 9 fresh 1 6 words"},
      {"datasets.delete", "{\"name\": \"another\"}", NULL, "fresh 1 6 words"}}},
    {"rows that go and come",
     0,
     {FILE_OP("t", "create", "id\n1\n2\n3\n", "t 3 6")},
     {KEYS("datasets.tombstone", "t", "[1, 3]", "t 1 2"),
      FILE_OP("t", "append", "id\n3\n4\n", "t 2 6"),
      {"datasets.lift", "{\"name\": \"t\", \"row_key_values\": [3]}", NULL, "t 4 12"},
      {"ingest.file", "{\"dataset\": \"t\", \"mode\": \"upsert\", \"options\": {\"key\": \"id\"}}",
       "id\n4\n5\n", "t 5 17"}}},
    {"compaction",
     0,
     {FILE_OP("t", "create", "id\n1\n2\n", ""), FILE_OP("t", "append", "id\n3\n", ""),
      FILE_OP("t", "append", "id\n4\n", ""), KEYS("datasets.tombstone", "t", "[2]", "t 3 8")},
     {{"query.compact", "{\"dataset\": \"t\"}", NULL, "t 3 8"},
      FILE_OP("t", "append", "id\n2\n5\n", "t 4 13"),
      {"query.compact", NULL, NULL, "t 4 13"},
      {"catalog.expire", "{\"older_than_s\": 0}", NULL, "t 4 13"}}},
    {"undo",
     0,
     {FILE_OP("t", "create", "id\n1\n2\n", ""), FILE_OP("t", "replace", "id\n7\n", "t 1 7")},
     {{"datasets.undo", "{\"name\": \"t\"}", NULL, "t 2 3"},
      FILE_OP("t", "append", "id\n3\n", "t 3 6"),
      {"datasets.undo", "{\"name\": \"t\"}", NULL, "t 2 3"}}},
    {"erasure",
     LIVED_ERASURES,
     {FILE_OP("people", "create", "id,text\n1,one\n2,two\n42,a towel\n", ""),
      FILE_OP("calls", "create", "id,said\n42,a towel\n7,nothing\n", ""),
      KEYS("datasets.tombstone", "people", "[42]", ""), EVENT("42", "calls 2 49 people 2 3")},
     {{"catalog.erase", "{\"row_key_column\": \"id\", \"row_key_values\": [42]}", NULL,
       "erased calls 1 7 people 2 3"},
      FILE_OP("calls", "append", "id,said\n42,a towel\n8,more\n", "erased calls 2 15 people 2 3")}},
    {"journal",
     LIVED_EVENTS | LIVED_QUERIES,
     {EVENT("a", "a")},
     {EVENT("b", "a b"),
      {"journal.flush", NULL, NULL, "a b"},
      EVENT("c", "a b c"),
      {"queries.create", "{\"name\": \"q\", \"sql\": \"SELECT 1\"}", NULL, "SELECT 1 a b c"},
      EVENT("d", "SELECT 1 a b c d"),
      {"journal.flush", NULL, NULL, "SELECT 1 a b c d"},
      {"queries.replace", "{\"name\": \"q\", \"sql\": \"SELECT 2\"}", NULL, "SELECT 2 a b c d"},
      {"queries.delete", "{\"name\": \"q\"}", NULL, "a b c d"}}},
    {"index",
     LIVED_FOUND,
     {FILE_OP("tools", "create", "id,text\n1,player one\n2,player two\n", "tools 2 3")},
     {{"vectors.index",
       "{\"index_name\": \"kept\", \"dataset\": \"tools\", \"id_column\": \"id\", "
       "\"text_columns\": [\"text\"]}",
       NULL, "tools 2 3 [[[1,2]]]"},
      FILE_OP("tools", "append", "id,text\n3,player three\n", "tools 3 6 [[[1,2,3]]]"),
      {"vectors.refresh", REFRESH, NULL, "tools 3 6 [[[1,2,3]]]"},
      KEYS("datasets.tombstone", "tools", "[1]", "tools 2 5 [[[2,3]]]"),
      {"vectors.delete", "{\"name\": \"kept\"}", NULL, "tools 2 5"}}},
    {"buckets",
     LIVED_BUCKETS,
     {FILE_OP("t", "create", "id\n1\n", "t 1 1")},
     {{"buckets.create", "{\"name\": \"near\", \"root\": \"@/near\"}", NULL, "t 1 1 near"},
      {"buckets.create", "{\"name\": \"nigh\", \"root\": \"@/nigh\"}", NULL, "t 1 1 near nigh"},
      {"buckets.delete", "{\"bucket\": \"near\"}", NULL, "t 1 1 nigh"}}},
    {"objects",
     0,
     {FILE_OP("t", "create", "id\n1\n", "t 1 1")},
     {{"objects.put", "{\"bucket\": \"primary\", \"key\": \"a/b\"}", "one", "t 1 1 a/b=one"},
      {"objects.put", "{\"bucket\": \"primary\", \"key\": \"a/b\"}", "two", "t 1 1 a/b=two"},
      {"keys.create", "{\"name\": \"k\", \"role\": \"reader\"}", NULL, "t 1 1 k a/b=two"},
      {"objects.delete", "{\"bucket\": \"primary\", \"key\": \"a/b\"}", NULL, "t 1 1 k"}}},
    {"reading",
     LIVED_FOUND,
     {FILE_OP("tools", "create", "id,text\n1,player one\n2,player two\n4,player four\n", ""),
      FILE_OP("tools", "append", "id,text\n3,player three\n", ""),
      {"vectors.index",
       "{\"index_name\": \"kept\", \"dataset\": \"tools\", \"id_column\": \"id\", "
       "\"text_columns\": [\"text\"]}",
       NULL, ""},
      KEYS("datasets.tombstone", "tools", "[4]", READ)},
     {
         {"query.sql", "{\"sql\": \"SELECT text, count(*) FROM tools WHERE id > 1 GROUP BY text\"}",
          NULL, READ},
         {"query.explain", "{\"sql\": \"SELECT * FROM tools\"}", NULL, READ},
         {"datasets.get", "{\"name\": \"tools\"}", NULL, READ},
         {"datasets.versions", "{\"name\": \"tools\"}", NULL, READ},
         {"datasets.tombstones", "{\"name\": \"tools\"}", NULL, READ},
         {"datasets.diff", "{\"name\": \"tools\", \"key\": \"id\"}", NULL, READ},
         {"vectors.search", "{\"index\": \"kept\", \"query\": \"player\"}", NULL, READ},
         {"vectors.hybrid", "{\"index\": \"kept\", \"query\": \"player\"}", NULL, READ},
         {"vectors.stale", NULL, NULL, READ},
         {"journal.recent", "{\"limit\": 10}", NULL, READ},
         {"system.health", NULL, NULL, READ},
         {"system.backup", "{\"to\": \"@/backup\"}", NULL, READ},
     }},
};

static size_t count_of(const struct lived_step *steps)
{
    size_t count = 0;
    while (count < KNOWN_LIFE_STEPS_MAX && steps[count].op)
        count++;
    return count;
}

size_t known_life_steps(const struct known_life *life)
{
    return count_of(life->steps);
}

const char *known_life_after(const struct known_life *life, size_t steps)
{
    size_t given = count_of(life->given);
    if (steps)
        return life->steps[steps - 1].after;
    return given ? life->given[given - 1].after : "";
}

int known_life_live(const char *mode, const char *folder)
{
    const struct known_life *life =
        &known_lives[strtoul(strchr(mode, '=') + 1, NULL, 10) % KNOWN_LIFE_COUNT];
    const struct lived_step *steps = mode[2] == 'g' ? life->given : life->steps;
    return lived_steps_live(folder, steps, mode[2] == 'o' ? 0 : count_of(steps));
}

static void make_beside(const char *lake, const char *name)
{
    char path[4352];
    int parent_len = (int)(strrchr(lake, '/') - lake);
    snprintf(path, sizeof(path), "%.*s/%s", parent_len, lake, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

bool known_life_begin(const struct known_life *life, const char *lake)
{
    char mode[32];
    make_beside(lake, "near");
    make_beside(lake, "nigh");
    if (!count_of(life->given))
        return false;
    snprintf(mode, sizeof(mode), "--given=%td", life - known_lives);
    killed_child_run(mode, lake, "");
    return true;
}

void known_life_check(const struct known_life *life, const char *lake, size_t acknowledged,
                      bool goes_on)
{
    struct op_house house = {0};
    op_house_open(&house, lh_str_of(lake));
    const char *found = lived_state(&house, life->parts);
    const char *told = known_life_after(life, acknowledged);
    bool is_last = acknowledged == known_life_steps(life);
    const char *next = is_last ? told : known_life_after(life, acknowledged + 1);
    if (strcmp(found, told) != 0 && strcmp(found, next) != 0)
        fail_msg("after %zu acknowledged steps the lake holds '%s', not '%s' or '%s'", acknowledged,
                 found, told, next);
    if (goes_on)
        op_house_rows(&house, "after", "id\n1\n", "create");
    op_house_close(&house); /* verifies */
}

#else

/* A translation unit may not be empty. */
typedef int known_lives_need_fault_points;

#endif
