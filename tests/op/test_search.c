/* Search through operations: what is indexed, found, followed, refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "storage/storage.h"
#include "support/op_house.h"

static const char tools[] = "id,name,text\n"
                            "1,gimp,image editor for photos and drawings\n"
                            "2,vim,text editor for programmers\n"
                            "3,mpd,music player that runs as a daemon\n"
                            "4,cmus,music player for the terminal\n"
                            "5,empty,\n"
                            "6,nano,\"small text editor, \"\"friendly\"\" \xF0\x9F\x98\x80\"\n";

static void given_index(struct op_house *house)
{
    op_house_rows(house, "tools", tools, "create");
    op_house_call(house, "vectors.index",
                  "{\"index_name\": \"tools_v1\", \"dataset\": \"tools\", \"id_column\": \"id\", "
                  "\"text_columns\": [\"text\"]}");
}

/* The ids of the items, as JSON: "[4,3]". */
static const char *ids(const json_t *reply)
{
    static char text[4096];
    size_t at = 0, i;
    const json_t *item;
    text[at++] = '[';
    json_array_foreach(json_object_get(reply, "items"), i, item)
    {
        char *id = json_dumps(json_object_get(item, "id"), JSON_ENCODE_ANY);
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", i ? "," : "", id);
        free(id);
    }
    snprintf(text + at, sizeof text - at, "]");
    return text;
}

static const char *first(const json_t *reply)
{
    static char text[256];
    const json_t *item = json_array_get(json_object_get(reply, "items"), 0);
    char *id = json_dumps(json_object_get(item, "id"), JSON_ENCODE_ANY);
    snprintf(text, sizeof text, "%s", id ? id : "none");
    free(id);
    return text;
}

static json_int_t count_of(const json_t *reply, const char *member)
{
    const json_t *value = json_object_get(reply, member);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static json_t *search(struct op_house *house, const char *query, const char *more)
{
    char args[2048];
    snprintf(args, sizeof args, "{\"index\": \"tools_v1\", \"query\": \"%s\"%s}", query, more);
    return op_house_call(house, "vectors.search", args);
}

static void a_search_by_meaning_finds_the_row_that_says_it(void **state)
{
    struct op_house *house = *state;
    given_index(house);
    json_t *reply = search(house, "music player terminal", ", \"k\": 2");
    assert_string_equal(ids(reply), "[4,3]");
    assert_string_equal(json_string_value(json_object_get(reply, "method")), "exact");
    assert_true(json_real_value(json_object_get(reply, "recall")) == 1.0);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(reply, "versions"), "tools")), 1);
    const json_t *item = json_array_get(json_object_get(reply, "items"), 0);
    assert_string_equal(json_string_value(json_object_get(item, "text")),
                        "music player for the terminal");
    assert_true(json_number_value(json_object_get(item, "score")) <= 1.000001);
}

static void a_build_counts_what_it_left_out(void **state)
{
    struct op_house *house = *state;
    op_house_rows(house, "t", "id,text\n1,one\n,nobody\n2,two\n1,again\n3,\n", "create");
    json_t *reply =
        op_house_call(house, "vectors.index",
                      "{\"index_name\": \"t_v1\", \"dataset\": \"t\", \"id_column\": \"id\", "
                      "\"text_columns\": [\"text\"]}");
    assert_int_equal(count_of(reply, "rows"), 3);
    assert_int_equal(count_of(reply, "null_ids"), 1);
    assert_int_equal(count_of(reply, "duplicate_ids"), 1);
    assert_int_equal(count_of(reply, "empty_rows"), 1);
    reply = op_house_call(house, "vectors.doc", "{\"name\": \"t_v1\", \"doc_id\": \"1\"}");
    const json_t *chunk = json_array_get(json_object_get(reply, "chunks"), 0);
    assert_string_equal(json_string_value(json_object_get(chunk, "text")), "one");
}

static void rows_that_are_gone_are_never_found_and_new_ones_at_once(void **state)
{
    struct op_house *house = *state;
    given_index(house);
    op_house_rows(house, "tools",
                  "id,name,text\n1,gimp,image editor for photos\n7,aplay,music from the terminal\n"
                  "2,vim,music for editors\n",
                  "replace");
    json_t *reply = search(house, "music player terminal", ", \"k\": 10");
    assert_string_equal(ids(reply), "[7,2,1]");
    assert_int_equal(count_of(reply, "hidden_rows"), 6);
    assert_int_equal(count_of(reply, "fresh_rows"), 3);
    assert_int_equal(count_of(reply, "pending_rows"), 0);
    json_t *stale = op_house_call(house, "vectors.stale", NULL);
    const json_t *item = json_array_get(json_object_get(stale, "items"), 0);
    assert_int_equal(count_of(item, "rows_waiting"), 3);
    assert_int_equal(count_of(item, "rows_removed"), 4);
    json_t *again = op_house_call(house, "vectors.refresh",
                                  "{\"dataset\": \"tools\", \"index_name\": \"tools_v1\"}");
    assert_int_equal(count_of(again, "new"), 1);
    assert_int_equal(count_of(again, "changed"), 2);
    assert_int_equal(count_of(again, "removed"), 4);
    reply = search(house, "music player terminal", ", \"k\": 10");
    assert_string_equal(ids(reply), "[7,2,1]");
    assert_int_equal(count_of(reply, "hidden_rows"), 0);
    assert_int_equal(count_of(reply, "fresh_rows"), 0);
    stale = op_house_call(house, "vectors.stale", NULL);
    assert_int_equal(json_array_size(json_object_get(stale, "items")), 0);
    op_house_reopen(house);
    reply = search(house, "music player terminal", ", \"k\": 10");
    assert_string_equal(ids(reply), "[7,2,1]");
}

static void a_refresh_with_nothing_to_do_changes_nothing(void **state)
{
    struct op_house *house = *state;
    given_index(house);
    json_t *before = op_house_call(house, "vectors.get", "{\"name\": \"tools_v1\"}");
    json_t *reply = op_house_call(house, "vectors.refresh", "{\"dataset\": \"tools\"}");
    assert_int_equal(count_of(reply, "chunks_embedded"), 0);
    assert_true(json_is_false(json_object_get(reply, "stale_cleared")));
    json_t *after = op_house_call(house, "vectors.get", "{\"name\": \"tools_v1\"}");
    assert_true(json_equal(before, after));
}

static void a_filter_keeps_k_hits_among_the_rows_it_lets_through(void **state)
{
    struct op_house *house = *state;
    given_index(house);
    json_t *reply =
        search(house, "music player terminal", ", \"k\": 1, \"sql_filter\": \"name LIKE '%i%'\"");
    assert_int_equal(json_array_size(json_object_get(reply, "items")), 1);
    assert_string_not_equal(first(reply), "4");
    reply = search(house, "music", ", \"sql_filter\": \"id = 3 OR id = 2\"");
    assert_string_equal(ids(reply), "[3,2]");
    reply = search(house, "music", ", \"sql_filter\": \"false\"");
    assert_string_equal(ids(reply), "[]");
}

static void a_filter_is_one_expression_and_nothing_more(void **state)
{
    struct op_house *house = *state;
    static const char *const bad[] = {
        "1 = 1) GROUP BY (1", "true) UNION ALL (SELECT 1", "true LIMIT 1", "true; SELECT 1", "",
        "true) --",           "true) ORDER BY (1",         "/*",           "1=1) OR (1=1",
    };
    given_index(house);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char args[512];
        if (!*bad[i])
            continue;
        snprintf(args, sizeof args,
                 "{\"index\": \"tools_v1\", \"query\": \"x\", \"sql_filter\": \"%s\"}", bad[i]);
        op_house_refuses(house, "vectors.search", args, LH_INVALID);
        assert_string_equal(house->err.field, "sql_filter");
    }
    op_house_refuses(house, "vectors.search",
                     "{\"index\": \"tools_v1\", \"query\": \"x\", \"sql_filter\": \"nme = 'x'\"}",
                     LH_SQL);
    assert_int_equal(house->err.line, 1);
    assert_int_equal(house->err.position, 0);
    op_house_refuses(house, "vectors.search",
                     "{\"index\": \"tools_v1\", \"query\": \"x\", \"sql_filter\": "
                     "\"(name = 'x')\\n AND\\n nme = 'x'\"}",
                     LH_SQL);
    assert_int_equal(house->err.line, 3);
    op_house_call(house, "vectors.search",
                  "{\"index\": \"tools_v1\", \"query\": \"x\", \"sql_filter\": "
                  "\"(name = ')') OR name IN ('(', lower('B')) -- )\"}");
    op_house_refuses(house, "vectors.search",
                     "{\"index\": \"tools_v1\", \"query\": \"x\", \"sql_filter\": "
                     "\"name IN (SELECT content FROM read_text('/etc/passwd'))\"}",
                     LH_REFUSED);
}

static void what_cannot_be_asked_is_refused_with_its_field(void **state)
{
    struct op_house *house = *state;
    given_index(house);
    op_house_refuses(house, "vectors.search", "{\"index\": \"nope\", \"query\": \"x\"}",
                     LH_NOT_FOUND);
    op_house_refuses(house, "vectors.search", "{\"index\": \"tools_v1\"}", LH_INVALID);
    op_house_refuses(house, "vectors.search",
                     "{\"index\": \"tools_v1\", \"query\": \"x\", \"vector\": [1]}", LH_INVALID);
    op_house_refuses(house, "vectors.search", "{\"index\": \"tools_v1\", \"vector\": [1, 2]}",
                     LH_INVALID);
    op_house_refuses(house, "vectors.search",
                     "{\"index\": \"tools_v1\", \"query\": \"x\", \"k\": 10001}", LH_INVALID);
    op_house_refuses(house, "vectors.index",
                     "{\"index_name\": \"tools_v1\", \"dataset\": \"tools\", \"id_column\": "
                     "\"id\", \"text_columns\": [\"text\"]}",
                     LH_EXISTS);
    op_house_refuses(house, "vectors.index",
                     "{\"index_name\": \"x\", \"dataset\": \"tools\", \"id_column\": \"idd\", "
                     "\"text_columns\": [\"text\"]}",
                     LH_NOT_FOUND);
    assert_string_equal(house->err.hint, "Did you mean 'id'?");
    op_house_refuses(house, "vectors.refresh", "{\"dataset\": \"tools\", \"id_column\": \"name\"}",
                     LH_CONFLICT);
}

static void k_of_nothing_and_k_of_more_than_there_is_are_answered(void **state)
{
    struct op_house *house = *state;
    given_index(house);
    assert_string_equal(ids(search(house, "music", ", \"k\": 0")), "[]");
    /* The row without text is known, but nothing finds it. */
    json_t *reply = search(house, "music", ", \"k\": 10000");
    assert_int_equal(json_array_size(json_object_get(reply, "items")), 5);
    assert_string_equal(ids(search(house, "", "")), "[]");
}

static void an_index_follows_its_dataset_through_a_rename_and_says_when_it_is_gone(void **state)
{
    struct op_house *house = *state;
    given_index(house);
    op_house_call(house, "datasets.rename", "{\"name\": \"tools\", \"to\": \"things\"}");
    assert_string_equal(first(search(house, "music player terminal", "")), "4");
    json_t *info = op_house_call(house, "vectors.get", "{\"name\": \"tools_v1\"}");
    assert_string_equal(json_string_value(json_object_get(info, "source")), "things");
    op_house_refuses(house, "datasets.delete", "{\"name\": \"things\"}", LH_CONFLICT);
    op_house_call(house, "datasets.delete", "{\"name\": \"things\", \"cascade\": true}");
    op_house_refuses(house, "vectors.search", "{\"index\": \"tools_v1\", \"query\": \"x\"}",
                     LH_NOT_FOUND);
    op_house_refuses(house, "vectors.get", "{\"name\": \"tools_v1\"}", LH_NOT_FOUND);
}

static void ids_are_any_integer_or_text_and_joins_just_work(void **state)
{
    struct op_house *house = *state;
    static const char *const types[] = {"TINYINT",  "SMALLINT", "INTEGER", "BIGINT",  "UTINYINT",
                                        "UINTEGER", "UBIGINT",  "HUGEINT", "VARCHAR", "UUID"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        char name[64], args[512], sql[512], csv[512];
        const char *id = i == 9   ? "00000000-0000-4000-8000-00000000007f"
                         : i == 7 ? "-170141183460469231731687303715884105727"
                                  : "127";
        snprintf(name, sizeof name, "t%zu", i);
        snprintf(csv, sizeof csv, "id,text\n%s,hello world\n", id);
        snprintf(args, sizeof args,
                 "{\"dataset\": \"%s\", \"mode\": \"create\", \"options\": {\"types\": "
                 "{\"id\": \"%s\"}}}",
                 name, types[i]);
        assert_int_equal(op_house_try_file(house, "ingest.file", args, "a.csv", csv, strlen(csv)),
                         LH_OK);
        snprintf(args, sizeof args,
                 "{\"index_name\": \"i%zu\", \"dataset\": \"%s\", \"id_column\": \"id\", "
                 "\"text_columns\": [\"text\"]}",
                 i, name);
        if (op_house_try(house, "vectors.index", args))
            fail_msg("%s: %s", types[i], house->err.message);
        snprintf(sql, sizeof sql,
                 "SELECT CAST(t.id AS VARCHAR), s.chunk FROM vector_search('i%zu', 'hello', k := "
                 "3) s JOIN %s t USING (id) WHERE s.score > 0",
                 i, name);
        snprintf(args, sizeof args, "[[\"%s\",0]]", id);
        assert_string_equal(op_house_sql(house, sql), args);
    }
}

static void a_statement_sees_the_index_as_it_is_when_it_runs(void **state)
{
    struct op_house *house = *state;
    static const char sql[] = "SELECT * EXCLUDE (score, chunk) FROM vector_search('tools_v1', "
                              "'music player terminal', k := 1)";
    given_index(house);
    assert_string_equal(op_house_sql(house, sql), "[[4,\"music player for the terminal\"]]");
    op_house_rows(house, "tools", "id,name,text\n9,x,music player terminal\n", "append");
    assert_string_equal(op_house_sql(house, sql), "[[9,\"music player terminal\"]]");
    op_house_call(house, "vectors.delete", "{\"name\": \"tools_v1\"}");
    op_house_refuses(house, "query.sql", "{\"sql\": \"FROM vector_search('tools_v1', 'x')\"}",
                     LH_NOT_FOUND);
    op_house_call(house, "vectors.index",
                  "{\"index_name\": \"tools_v1\", \"dataset\": \"tools\", \"id_column\": \"name\", "
                  "\"text_columns\": [\"text\"]}");
    assert_string_equal(op_house_sql(house, sql), "[[\"x\",\"music player terminal\"]]");
}

static void given_vectors_are_searched_as_they_are(void **state)
{
    struct op_house *house = *state;
    static const char rows[] = "{\"id\": \"a\", \"v\": [1.0, 0.0], \"t\": \"x\"}\n"
                               "{\"id\": \"b\", \"v\": [0.0, 2.0], \"t\": \"y\"}\n"
                               "{\"id\": \"c\", \"v\": null, \"t\": \"z\"}\n"
                               "{\"id\": \"d\", \"v\": [0.0, 0.0], \"t\": \"w\"}\n";
    assert_int_equal(op_house_try_file(house, "ingest.file", "{\"dataset\": \"v\"}", "v.ndjson",
                                       rows, sizeof rows - 1),
                     LH_OK);
    op_house_call(house, "vectors.index",
                  "{\"index_name\": \"v1\", \"dataset\": \"v\", \"id_column\": \"id\", "
                  "\"text_columns\": [\"t\"], \"vector_column\": \"v\", \"id_prefix\": \"v-\"}");
    json_t *reply =
        op_house_call(house, "vectors.search", "{\"index\": \"v1\", \"vector\": [0.1, 5.0]}");
    assert_string_equal(ids(reply), "[\"v-b\",\"v-a\"]");
    reply = op_house_call(house, "vectors.search",
                          "{\"index\": \"v1\", \"vector\": [0, 1], \"include_row\": true}");
    const json_t *row = json_object_get(json_array_get(json_object_get(reply, "items"), 0), "row");
    assert_string_equal(json_string_value(json_object_get(row, "t")), "y");
    op_house_refuses(house, "vectors.search", "{\"index\": \"v1\", \"query\": \"x\"}", LH_INVALID);
    op_house_refuses(house, "vectors.search", "{\"index\": \"v1\", \"vector\": [1, 2, 3]}",
                     LH_INVALID);
    op_house_refuses(house, "vectors.search", "{\"index\": \"v1\", \"vector\": [1e300, 2]}",
                     LH_INVALID);
    static const char wrong[] =
        "{\"id\": \"a\", \"v\": [1.0, 0.0]}\n{\"id\": \"b\", \"v\": [1.0]}\n";
    assert_int_equal(op_house_try_file(house, "ingest.file", "{\"dataset\": \"w\"}", "w.ndjson",
                                       wrong, sizeof wrong - 1),
                     LH_OK);
    op_house_refuses(house, "vectors.index",
                     "{\"index_name\": \"w1\", \"dataset\": \"w\", \"id_column\": \"id\", "
                     "\"vector_column\": \"v\"}",
                     LH_INVALID);
    op_house_refuses(house, "vectors.get", "{\"name\": \"w1\"}", LH_NOT_FOUND);
}

static void long_texts_are_found_by_their_best_chunk_once(void **state)
{
    struct op_house *house = *state;
    struct lh_buf csv;
    lh_buf_init(&csv, 1 << 20);
    lh_buf_append_str(&csv, lh_lit("id,text\n1,\""));
    for (int i = 0; i < 300; i++)
        lh_buf_append_str(&csv, lh_lit("Nothing of interest stands in this sentence. "));
    lh_buf_append_str(&csv, lh_lit("The zebra crossed the bridge. "));
    for (int i = 0; i < 300; i++)
        lh_buf_append_str(&csv, lh_lit("Nothing of interest stands in that sentence. "));
    lh_buf_append_str(&csv, lh_lit("\"\n2,short\n"));
    lh_buf_append_char(&csv, '\0');
    op_house_rows(house, "long", csv.data, "create");
    lh_buf_release(&csv);
    op_house_call(house, "vectors.index",
                  "{\"index_name\": \"tools_v1\", \"dataset\": \"long\", \"id_column\": \"id\", "
                  "\"text_columns\": [\"text\"], \"chunk_size\": 200, \"overlap\": 20}");
    json_t *reply = search(house, "zebra bridge", ", \"k\": 5");
    assert_string_equal(ids(reply), "[1,2]");
    const json_t *item = json_array_get(json_object_get(reply, "items"), 0);
    assert_non_null(strstr(json_string_value(json_object_get(item, "text")), "zebra"));
    reply = search(house, "zebra bridge", ", \"k\": 5, \"per_chunk\": true");
    assert_string_equal(ids(reply), "[1,1,1,1,1]");
}

static json_t *words(struct op_house *house, const char *query, const char *more)
{
    char args[2048];
    snprintf(args, sizeof args,
             "{\"index\": \"tools_v1\", \"query\": \"%s\", \"mode\": \"keyword\"%s}", query, more);
    return op_house_call(house, "vectors.hybrid", args);
}

static void words_are_found_by_stem_beginning_and_phrase(void **state)
{
    struct op_house *house = *state;
    given_index(house);
    assert_string_equal(ids(words(house, "editors", "")), "[2,6,1]"); /* shorter texts first */
    assert_string_equal(ids(words(house, "termin*", "")), "[4]");
    assert_string_equal(ids(words(house, "\\\"music player\\\" daemon", "")), "[3,4]");
    assert_string_equal(ids(words(house, "\\\"player music\\\"", "")), "[]");
    json_t *reply = words(house, "terminal", "");
    const json_t *item = json_array_get(json_object_get(reply, "items"), 0);
    assert_string_equal(json_string_value(json_object_get(item, "highlight")),
                        "music player for the **terminal**");
    assert_true(json_is_null(json_object_get(reply, "recall")));
}

static void what_looks_like_syntax_is_only_words(void **state)
{
    struct op_house *house = *state;
    static const char *const queries[] = {
        "NEAR(music player)",
        "text : editor",
        "a AND OR NOT",
        "(((",
        "\\\"",
        "\\\"\\\"",
        "*",
        "-music",
        "^music + {x}",
        "\xF0\x9F\x98\x80",
        "the of and",
        "' OR 1 = 1 --",
        "",
        "   ",
        "\\\\",
    };
    given_index(house);
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        (void)words(house, queries[i], "");
        char args[512];
        snprintf(args, sizeof args, "{\"index\": \"tools_v1\", \"query\": \"%s\"}", queries[i]);
        op_house_call(house, "vectors.hybrid", args);
    }
    assert_string_equal(ids(words(house, "-music", "")), "[4,3]");
    /* Words that tell nothing are looked for when there are no others. */
    assert_string_equal(ids(words(house, "the", "")), "[4]");
    assert_string_equal(ids(words(house, "\xF0\x9F\x98\x80", "")), "[]");
}

static void words_follow_the_dataset_as_vectors_do(void **state)
{
    struct op_house *house = *state;
    given_index(house);
    op_house_rows(house, "tools", "id,name,text\n7,aplay,a terminal that plays\n", "append");
    assert_string_equal(ids(words(house, "terminal", "")), "[7,4]");
    op_house_rows(house, "tools", "id,name,text\n4,cmus,no such word\n8,x,terminal\n", "replace");
    assert_string_equal(ids(words(house, "terminal", "")), "[8]");
    op_house_reopen(house);
    assert_string_equal(ids(words(house, "terminal", "")), "[8]");
    op_house_call(house, "vectors.refresh", "{\"dataset\": \"tools\"}");
    assert_string_equal(ids(words(house, "terminal music", "")), "[8]");
    assert_string_equal(ids(words(house, "such", ", \"sql_filter\": \"id <> 4\"")), "[]");
    assert_string_equal(ids(words(house, "such", ", \"sql_filter\": \"id = 4\"")), "[4]");
}

static void a_keyword_file_that_is_broken_or_lost_is_made_anew(void **state)
{
    struct op_house *house = *state;
    given_index(house);
    assert_string_equal(ids(words(house, "terminal", "")), "[4]");
    json_t *info = op_house_call(house, "vectors.get", "{\"name\": \"tools_v1\"}");
    const char *id = json_string_value(json_object_get(info, "id"));
    char path[1024];
    struct lh_str root = storage_path(lake_storage(house->lake));
    snprintf(path, sizeof path, "%.*s/indexes/%s/keyword3-1-english.sqlite", LH_ARG(root), id);
    op_house_reopen(house);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    for (int i = 0; i < 4096; i++)
        fputc('x', file);
    fclose(file);
    assert_string_equal(ids(words(house, "terminal", "")), "[4]");
    op_house_reopen(house);
    remove(path);
    assert_string_equal(ids(words(house, "terminal", "")), "[4]");
}

static void rows_of_hits_are_written_as_sql_writes_them(void **state)
{
    struct op_house *house = *state;
    op_house_rows(house, "odd",
                  "id,t,at,n,x\n1,terminal,2026-04-27 19:18:00,18446744073709551616,0.5\n"
                  "2,music,2026-04-27 19:19:01,18446744073709551617,\n",
                  "create");
    op_house_call(house, "vectors.index",
                  "{\"index_name\": \"odd_v1\", \"dataset\": \"odd\", \"id_column\": \"id\", "
                  "\"text_columns\": [\"t\"]}");
    json_t *reply = op_house_call(
        house, "vectors.search",
        "{\"index\": \"odd_v1\", \"query\": \"music\", \"k\": 1, \"include_row\": true}");
    json_t *row = json_object_get(json_array_get(json_object_get(reply, "items"), 0), "row");
    json_t *rows = json_array();
    const char *names[] = {"id", "t", "at", "n", "x"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        json_array_append(rows, json_object_get(row, names[i]));
    char *text = json_dumps(rows, JSON_COMPACT);
    char same[256];
    snprintf(same, sizeof same, "[%s]", text);
    assert_string_equal(op_house_sql(house, "FROM odd WHERE id = 2"), same);
    assert_non_null(strstr(same, "2026-04-27T19:19:01"));
    free(text);
    json_decref(rows);
}

static void both_lists_are_fused_and_say_so(void **state)
{
    struct op_house *house = *state;
    given_index(house);
    json_t *reply = op_house_call(house, "vectors.hybrid",
                                  "{\"index\": \"tools_v1\", \"query\": \"music for the "
                                  "terminal\", \"count\": 2, \"include_row\": true}");
    assert_string_equal(ids(reply), "[4,3]");
    assert_string_equal(json_string_value(json_object_get(reply, "method")), "hybrid");
    const json_t *item = json_array_get(json_object_get(reply, "items"), 0);
    const json_t *parts = json_object_get(item, "parts");
    assert_int_equal(count_of(json_object_get(parts, "vector"), "rank"), 1);
    assert_int_equal(count_of(json_object_get(parts, "keyword"), "rank"), 1);
    double first = json_real_value(json_object_get(item, "score"));
    double second = json_real_value(
        json_object_get(json_array_get(json_object_get(reply, "items"), 1), "score"));
    assert_true(first <= 1 && second > 0 && second < first);
    assert_string_equal(json_string_value(json_object_get(json_object_get(item, "row"), "name")),
                        "cmus");
    assert_string_equal(op_house_sql(house, "SELECT t.name FROM hybrid_search('tools_v1', 'music "
                                            "for the terminal', k := 1) s JOIN tools t USING (id)"),
                        "[[\"cmus\"]]");
    assert_string_equal(op_house_sql(house, "SELECT id FROM text_search('tools_v1', 'daemon', "
                                            "sql_filter := 'id > 1')"),
                        "[[3]]");
}

static void the_lists_are_fused_by_rank_if_so_asked(void **state)
{
    struct op_house *house = *state;
    given_index(house);
    json_t *reply = op_house_call(house, "vectors.hybrid",
                                  "{\"index\": \"tools_v1\", \"query\": \"music for the "
                                  "terminal\", \"fusion\": \"rrf\"}");
    const json_t *items = json_object_get(reply, "items");
    assert_true(json_array_size(items) > 2);
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i), *parts = json_object_get(item, "parts");
        double expected = 0;
        static const char *const legs[] = {"vector", "keyword"};
        for (size_t leg = 0; leg < 2; leg++) {
            const json_t *part = json_object_get(parts, legs[leg]);
            expected += json_is_object(part) ? 1.0 / (60 + (double)count_of(part, "rank")) : 0;
        }
        assert_true(fabs(json_real_value(json_object_get(item, "score")) - expected) < 2e-9);
    }
    op_house_refuses(house, "vectors.hybrid",
                     "{\"index\": \"tools_v1\", \"query\": \"x\", \"fusion\": \"sum\"}",
                     LH_INVALID);
}

static void what_one_list_alone_finds_comes_in_its_order(void **state)
{
    struct op_house *house = *state;
    static const char *const fusions[] = {"blend", "rrf"};
    given_index(house);
    for (size_t i = 0; i < 2; i++) {
        char more[64];
        snprintf(more, sizeof more, ", \"fusion\": \"%s\"", fusions[i]);
        /* No word of the index has this, but pieces of its words do. */
        char meaning[256];
        snprintf(meaning, sizeof meaning, "%s", ids(search(house, "musicplayer", "")));
        char args[256];
        snprintf(args, sizeof args, "{\"index\": \"tools_v1\", \"query\": \"musicplayer\"%s}",
                 more);
        assert_string_equal(ids(op_house_call(house, "vectors.hybrid", args)), meaning);
    }
}

static void everything_can_be_made_anew_from_the_datasets(void **state)
{
    struct op_house *house = *state;
    given_index(house);
    op_house_rows(house, "tools", "id,name,text\n7,aplay,music from the terminal\n", "append");
    json_t *before = search(house, "music player terminal", "");
    json_t *list = op_house_call(house, "vectors.rebuild", NULL);
    const json_t *item = json_array_get(json_object_get(list, "items"), 0);
    assert_string_equal(json_string_value(json_object_get(item, "state")), "rebuilt");
    assert_int_equal(count_of(json_object_get(item, "result"), "rows"), 7);
    json_t *info = op_house_call(house, "vectors.get", "{\"name\": \"tools_v1\"}");
    assert_int_equal(count_of(info, "generation"), 2);
    assert_int_equal(count_of(info, "parts"), 1);
    assert_true(json_is_false(json_object_get(info, "is_stale")));
    char found[256];
    snprintf(found, sizeof found, "%s", ids(before));
    assert_string_equal(ids(search(house, "music player terminal", "")), found);
    assert_string_equal(ids(words(house, "terminal", "")), "[7,4]");
    op_house_reopen(house);
    assert_string_equal(ids(search(house, "music player terminal", "")), found);
    assert_string_equal(ids(words(house, "terminal", "")), "[7,4]");
}

static void a_dataset_that_says_so_has_its_index_refreshed_after_every_change(void **state)
{
    struct op_house *house = *state;
    given_index(house);
    op_house_call(house, "datasets.update",
                  "{\"name\": \"tools\", \"embedding_refresh_policy\": {\"kind\": \"on_append\"}}");
    for (int round = 0; round < 2; round++) {
        json_t *info = NULL;
        char csv[64];
        snprintf(csv, sizeof csv, "id,name,text\n%d,x,another zeppelin\n", 100 + round);
        op_house_rows(house, "tools", csv, "append");
        for (int turn = 0; turn < 500; turn++) {
            info = op_house_call(house, "vectors.get", "{\"name\": \"tools_v1\"}");
            if (json_is_false(json_object_get(info, "is_stale")))
                break;
            nanosleep(&(struct timespec){0, 10000000}, NULL);
        }
        assert_true(json_is_false(json_object_get(info, "is_stale")));
        assert_int_equal(count_of(info, "rows"), 7 + round);
        if (round == 0)
            op_house_reopen(house);
    }
}

static void a_dataset_that_lost_the_columns_of_its_index_says_so(void **state)
{
    struct op_house *house = *state;
    given_index(house);
    op_house_rows(house, "tools", "id,words\n1,music\n", "replace");
    op_house_refuses(house, "vectors.search", "{\"index\": \"tools_v1\", \"query\": \"x\"}",
                     LH_CONFLICT);
    assert_non_null(strstr(house->err.message, "'text'"));
    op_house_refuses(house, "vectors.refresh", "{\"dataset\": \"tools\"}", LH_CONFLICT);
    op_house_rows(house, "tools", "id,text\nx1,music\n", "replace");
    op_house_refuses(house, "query.sql", "{\"sql\": \"FROM text_search('tools_v1', 'x')\"}",
                     LH_CONFLICT);
    op_house_call(house, "vectors.stale", NULL);
    op_house_rows(house, "tools", "id,text\n7,music\n", "replace");
    assert_string_equal(first(search(house, "music", "")), "7");
}

static void a_list_of_indexes_can_be_narrowed(void **state)
{
    struct op_house *house = *state;
    given_index(house);
    op_house_call(house, "vectors.index",
                  "{\"index_name\": \"names\", \"dataset\": \"tools\", \"id_column\": \"id\", "
                  "\"text_columns\": [\"name\"]}");
    json_t *list = op_house_call(house, "vectors.list", "{\"source\": \"tools\", \"limit\": 1}");
    assert_int_equal(json_array_size(json_object_get(list, "items")), 1);
    assert_string_equal(json_string_value(json_object_get(list, "next")), "names");
    list = op_house_call(house, "vectors.list", "{\"after\": \"names\"}");
    assert_int_equal(json_array_size(json_object_get(list, "items")), 1);
    list = op_house_call(house, "vectors.list", "{\"model\": \"other\"}");
    assert_int_equal(json_array_size(json_object_get(list, "items")), 0);
    op_house_refuses(house, "vectors.refresh", "{\"dataset\": \"tools\"}", LH_INVALID);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, op_house_set_up, op_house_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_search_by_meaning_finds_the_row_that_says_it),
        TEST(a_build_counts_what_it_left_out),
        TEST(rows_that_are_gone_are_never_found_and_new_ones_at_once),
        TEST(a_refresh_with_nothing_to_do_changes_nothing),
        TEST(a_filter_keeps_k_hits_among_the_rows_it_lets_through),
        TEST(a_filter_is_one_expression_and_nothing_more),
        TEST(what_cannot_be_asked_is_refused_with_its_field),
        TEST(k_of_nothing_and_k_of_more_than_there_is_are_answered),
        TEST(an_index_follows_its_dataset_through_a_rename_and_says_when_it_is_gone),
        TEST(ids_are_any_integer_or_text_and_joins_just_work),
        TEST(a_statement_sees_the_index_as_it_is_when_it_runs),
        TEST(given_vectors_are_searched_as_they_are),
        TEST(long_texts_are_found_by_their_best_chunk_once),
        TEST(words_are_found_by_stem_beginning_and_phrase),
        TEST(what_looks_like_syntax_is_only_words),
        TEST(words_follow_the_dataset_as_vectors_do),
        TEST(a_keyword_file_that_is_broken_or_lost_is_made_anew),
        TEST(rows_of_hits_are_written_as_sql_writes_them),
        TEST(both_lists_are_fused_and_say_so),
        TEST(the_lists_are_fused_by_rank_if_so_asked),
        TEST(what_one_list_alone_finds_comes_in_its_order),
        TEST(everything_can_be_made_anew_from_the_datasets),
        TEST(a_dataset_that_says_so_has_its_index_refreshed_after_every_change),
        TEST(a_dataset_that_lost_the_columns_of_its_index_says_so),
        TEST(a_list_of_indexes_can_be_narrowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
