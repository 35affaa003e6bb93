/* What files say and what comes of it: one row per file, read as a user would send it. The rows
 * that must be there are written as the engine prints them; what must not come in says why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <zlib.h>

#include "support/op_house.h"

static struct op_house house;

static int make(void **state)
{
    (void)state;
    op_house_make(&house);
    return 0;
}

static int remove_house(void **state)
{
    (void)state;
    op_house_remove(&house);
    return 0;
}

struct file {
    const char *what; /* for the reader of a failure */
    const char *name;
    const char *bytes;
    size_t count;        /* 0: up to the NUL */
    const char *options; /* NULL = {} */
    const char *sql;     /* over t */
    const char *rows;    /* the reply; NULL: it is refused with `code` */
    int rejected;
    enum lh_code code;
};
#define BYTES(text) (text), sizeof(text) - 1

static void take(const struct file *file)
{
    char args[1024];
    snprintf(args, sizeof(args), "{\"dataset\": \"t\", \"mode\": \"replace\", \"options\": %s}",
             file->options ? file->options : "{}");
    (void)op_house_try(&house, "datasets.delete", "{\"name\": \"t\"}");
    enum lh_code code = op_house_try_file(&house, "ingest.file", args, file->name, file->bytes,
                                          file->count ? file->count : strlen(file->bytes));
    if (!file->rows) {
        if (code != file->code)
            fail_msg("%s: %d instead of %d: %s", file->what, code, file->code, house.err.message);
        if (!house.err.message[0] || strstr(house.err.message, house.folder.path))
            fail_msg("%s: the message is '%s'", file->what, house.err.message);
        return;
    }
    if (code)
        fail_msg("%s: %s %s", file->what, house.err.message, house.err.hint);
    char rejected[64];
    snprintf(rejected, sizeof(rejected), "\"rejected_rows\":%d,", file->rejected);
    size_t at;
    if (!lh_str_find(house.body, lh_str_of(rejected), &at))
        fail_msg("%s: not %s in %.*s", file->what, rejected, LH_ARG(house.body));
    const char *rows = op_house_sql(&house, file->sql);
    if (strcmp(rows, file->rows) != 0)
        fail_msg("%s: %s instead of %s", file->what, rows, file->rows);
}

static void take_all(const struct file *files, size_t count)
{
    for (size_t i = 0; i < count; i++)
        take(&files[i]);
}
#define TAKE_ALL(files) take_all(files, sizeof(files) / sizeof((files)[0]))

#define TYPES "SELECT typeof(COLUMNS(*)) FROM t LIMIT 1"

static const struct file csv_files[] = {
    {"a byte order mark is not part of the first name", "a.csv", BYTES("\xef\xbb\xbfid,n\n1,a\n"),
     NULL, "SELECT id, n FROM t", "[[1,\"a\"]]", 0, 0},
    {"semicolons", "a.csv", BYTES("id;n\n1;a\n2;b\n"), NULL, "SELECT id, n FROM t ORDER BY id",
     "[[1,\"a\"],[2,\"b\"]]", 0, 0},
    {"tabs, by the name", "a.tsv", BYTES("id\tn\n1\ta,b\n"), NULL, "SELECT id, n FROM t",
     "[[1,\"a,b\"]]", 0, 0},
    {"CRLF and no last line break", "a.csv", BYTES("id,n\r\n1,a\r\n2,b"), NULL,
     "SELECT count(*), max(n) FROM t", "[[2,\"b\"]]", 0, 0},
    {"quotes hold commas, quotes and line breaks", "a.csv",
     BYTES("id,n\n1,\"a,b\"\n2,\"x\"\"y\"\n3,\"l\nm\"\n"), NULL, "SELECT n FROM t ORDER BY id",
     "[[\"a,b\"],[\"x\\\"y\"],[\"l\\nm\"]]", 0, 0},
    {"an empty field is NULL", "a.csv", BYTES("id,n\n1,\n2,b\n"), NULL,
     "SELECT count(n), count(*) FROM t", "[[1,2]]", 0, 0},
    {"a listed text is NULL", "a.csv", BYTES("id,n\n1,7\n2,N/A\n"), "{\"null_strings\": [\"N/A\"]}",
     "SELECT sum(n)::INT, count(n) FROM t", "[[7,1]]", 0, 0},
    {"a column of numbers and a word is text, and no row is lost", "a.csv", BYTES("v\n1\n2\nx\n"),
     NULL, "SELECT string_agg(v, '') FROM t", "[[\"12x\"]]", 0, 0},
    {"a number that no BIGINT holds is kept whole when it is said to be text", "a.csv",
     BYTES("v\n1\n123456789012345678901234567890\n"), "{\"types\": {\"v\": \"VARCHAR\"}}",
     "SELECT max(length(v)) FROM t", "[[30]]", 0, 0},
    {"a fraction among numbers that were said to be whole is kept aside", "a.csv",
     BYTES("a\n1\n2.5\n3.0\n"), "{\"types\": {\"a\": \"INTEGER\"}, \"max_rejected_ratio\": 1}",
     "SELECT sum(a)::INT FROM t", "[[4]]", 1, 0},
    {"leading zeros are kept", "a.csv", BYTES("zip,n\n01234,1\n99999,0\n"), NULL,
     "SELECT min(zip), typeof(any_value(n)) FROM t", "[[\"01234\",\"BIGINT\"]]", 0, 0},
    {"leading zeros in quotes, in the last line of several", "a.csv",
     BYTES("a,b\n1,\"x, 07\"\n2,\"\"\n\"007\",3"), NULL, "SELECT a FROM t WHERE b = '3'",
     "[[\"007\"]]", 0, 0},
    {"leading zeros of fractions are codes", "a.csv", BYTES("nace\n01.11\n10.20\n"), NULL,
     "SELECT min(nace) FROM t", "[[\"01.11\"]]", 0, 0},
    {"leading zeros behind a delimiter of two characters", "a.csv", BYTES("a||b\n1||1\n2||02\n"),
     "{\"delimiter\": \"||\"}", TYPES, "[[\"BIGINT\",\"VARCHAR\"]]", 0, 0},
    {"leading zeros behind an odd delimiter", "a.csv", BYTES("a~b\n1~1\n2~02\n"),
     "{\"delimiter\": \"~\"}", TYPES, "[[\"BIGINT\",\"VARCHAR\"]]", 0, 0},
    {"noughts, fractions below one, dates and times have no leading zeros", "a.csv",
     BYTES("a,b,c,d,e\n0,0.5,01-02-2024,00:15:00,-0.25\n10,0,03-12-2024,09:00:00,-0\n"), NULL,
     TYPES, "[[\"BIGINT\",\"DOUBLE\",\"DATE\",\"TIME\",\"DOUBLE\"]]", 0, 0},
    {"who says that it is a number gets one", "a.csv", BYTES("a\n007\n8\n"),
     "{\"types\": {\"a\": \"INTEGER\"}}", "SELECT sum(a)::INT FROM t", "[[15]]", 0, 0},
    {"whole numbers that no BIGINT holds are not rounded", "a.csv",
     BYTES("v\n1\n123456789012345678901234567890\n"), NULL,
     "SELECT typeof(any_value(v)), max(v)::VARCHAR FROM t",
     "[[\"DECIMAL(38,0)\",\"123456789012345678901234567890\"]]", 0, 0},
    {"whole numbers that no DECIMAL holds are text", "a.csv",
     BYTES("v\n1\n1234567890123456789012345678901234567890\n"), NULL,
     "SELECT max(length(v)) FROM t", "[[40]]", 0, 0},
    {"long whole numbers beside fractions are not rounded", "a.csv",
     BYTES("v\n1.5\n9007199254740993\n"), NULL, "SELECT max_by(v, length(v)) FROM t",
     "[[\"9007199254740993\"]]", 0, 0},
    {"long fractions are fractions", "a.csv", BYTES("v\n1.5\n0.12345678901234567\n"), NULL, TYPES,
     "[[\"DOUBLE\"]]", 0, 0},
    {"a decimal stays exact", "a.csv", BYTES("m\n0.10\n0.20\n"),
     "{\"types\": {\"m\": \"DECIMAL(10,2)\"}}", "SELECT sum(m) FROM t", "[[\"0.30\"]]", 0, 0},
    {"a ragged row is kept aside, the others come in", "a.csv", BYTES("a,b\n1,2\n3,4,5\n6,7\n"),
     "{\"max_rejected_ratio\": 1}", "SELECT count(*), sum(a)::INT FROM t", "[[2,7]]", 1, 0},
    {"a value that does not fit its given type is kept aside", "a.csv", BYTES("a\n1\nx\n3\n"),
     "{\"types\": {\"a\": \"INTEGER\"}, \"max_rejected_ratio\": 1}", "SELECT sum(a)::INT FROM t",
     "[[4]]", 1, 0},
    {"no header", "a.csv", BYTES("1,a\n2,b\n"), "{\"header\": \"absent\"}",
     "SELECT count(*) FROM t", "[[2]]", 0, 0},
    {"a header alone is a dataset without rows", "a.csv", BYTES("id,n\n"), NULL,
     "SELECT count(*) FROM t", "[[0]]", 0, 0},
    {"names twice", "a.csv", BYTES("a,a,A\n1,2,3\n"), NULL,
     "SELECT count(*) FROM (SELECT * FROM t)", "[[1]]", 0, 0},
    {"a name that is empty", "a.csv", BYTES("a,,c\n1,2,3\n"), NULL, "SELECT a, c FROM t", "[[1,3]]",
     0, 0},
    {"names of the engine's own", "a.csv",
     BYTES("file_row_number,file_index,filename,rowid\n1,2,x,4\n"), NULL,
     "SELECT file_row_number, file_index, filename FROM t", "[[1,2,\"x\"]]", 0, 0},
    {"names with quotes and emoji", "a.csv", BYTES("\"a\"\"b\",\xf0\x9f\x98\x80\n1,2\n"), NULL,
     "SELECT \"a\"\"b\", \"\xf0\x9f\x98\x80\" FROM t", "[[1,2]]", 0, 0},
    {"a time of day is not cut off a date", "a.csv",
     BYTES("d,e\n2024-01-02,1\n2024-01-03 15:00:00,2\n2024-01-04x,3\n"),
     "{\"types\": {\"d\": \"DATE\"}, \"max_rejected_ratio\": 1}", "SELECT d::VARCHAR, e FROM t",
     "[[\"2024-01-02\",1]]", 2, 0},
    {"dates and times have their types", "a.csv", BYTES("d,s\n2024-02-29,2024-02-29 12:00:00\n"),
     NULL, TYPES, "[[\"DATE\",\"TIMESTAMP\"]]", 0, 0},
    {"fractions in other columns leave whole numbers whole", "a.csv",
     BYTES("a,b,c\n\"1.5, \"\"2.5\"\"\n3.5\",7,0.5\n4.5,8,1.5\n"), NULL,
     "SELECT typeof(b), sum(b)::INT FROM t GROUP BY 1", "[[\"BIGINT\",15]]", 0, 0},
    {"a fraction behind quotes and line breaks is seen", "a.csv",
     BYTES("a,b\n\"x,\ny\",1\nz, \"2.5\"\n"),
     "{\"types\": {\"b\": \"BIGINT\"}, \"max_rejected_ratio\": 1}", "SELECT sum(b)::INT FROM t",
     "[[1]]", 1, 0},
    {"one column, no delimiter", "a.csv", BYTES("word\nalpha\nbeta\n"), NULL,
     "SELECT word FROM t ORDER BY 1", "[[\"alpha\"],[\"beta\"]]", 0, 0},
    {"UTF-16 by its mark", "a.csv",
     BYTES("\xff\xfei\0d\0\n\0"
           "1\0\n\0"),
     NULL, "SELECT id FROM t", "[[1]]", 0, 0},
    {"UTF-16 of the other byte order, with a character of two halves", "a.csv",
     BYTES("\xfe\xff\0n\0\n\xd8\x3d\xde\x00\0\n"), NULL, "SELECT n FROM t",
     "[[\"\xf0\x9f\x98\x80\"]]", 0, 0},
    {"UTF-16 without its mark, by option", "a.csv",
     BYTES("\0i\0d\0\n\0"
           "1\0\n"),
     "{\"encoding\": \"utf-16\"}", "SELECT id FROM t", "[[1]]", 0, 0},
    {"UTF-16 that ends in half a character", "a.csv",
     BYTES("\xff\xfei\0d\0\n\0"
           "1"),
     NULL, NULL, NULL, 0, LH_UNREADABLE},
    {"UTF-16 with half of a pair", "a.csv", BYTES("\xff\xfen\0\n\0\x00\xd8\n\0"), NULL, NULL, NULL,
     0, LH_UNREADABLE},
    {"Windows-1252 by option", "a.csv", BYTES("n\n5 \x80 \x96 M\xfcller\n"),
     "{\"encoding\": \"windows-1252\"}", "SELECT n FROM t",
     "[[\"5 \xe2\x82\xac \xe2\x80\x93 M\xc3\xbcller\"]]", 0, 0},
    {"an encoding that is not known", "a.csv", BYTES("n\n1\n"), "{\"encoding\": \"ebcdic\"}", NULL,
     NULL, 0, LH_INVALID},
    {"Latin-1 by option", "a.csv", BYTES("n\nM\xfcller\n"), "{\"encoding\": \"latin-1\"}",
     "SELECT n FROM t", "[[\"M\xc3\xbcller\"]]", 0, 0},
    {"Latin-1 that says nothing is refused, not garbled", "a.csv", BYTES("n\nM\xfcller\n"), NULL,
     NULL, NULL, 0, LH_UNREADABLE},
    {"a NUL byte", "a.csv", BYTES("id,n\n1,a\0b\n"), NULL, NULL, NULL, 0, LH_UNREADABLE},
    {"nothing", "a.csv", "\n", 1, NULL, NULL, NULL, 0, LH_UNREADABLE},
    {"an option that does not exist", "a.csv", BYTES("a\n1\n"), "{\"delimeter\": \",\"}", NULL,
     NULL, 0, LH_UNKNOWN_FIELD},
    {"a type that does not exist", "a.csv", BYTES("a\n1\n"), "{\"types\": {\"a\": \"INTEGR\"}}",
     NULL, NULL, 0, LH_INVALID},
    {"a type that is no text", "a.csv", BYTES("a\n1\n"), "{\"types\": {\"a\": 5}}", NULL, NULL, 0,
     LH_INVALID},
    {"a type that no column can have", "a.csv", BYTES("a\n1\n"),
     "{\"types\": {\"a\": \"DECIMAL(50,2)\"}}", NULL, NULL, 0, LH_INVALID},
    {"a type written in small letters", "a.csv", BYTES("a,b\n1,2\n2.5,3\n"),
     "{\"types\": {\"a\": \"integer\", \"b\": \" decimal( 10, 2 )\"}, \"max_rejected_ratio\": 1}",
     TYPES, "[[\"INTEGER\",\"DECIMAL(10,2)\"]]", 1, 0},
    {"a type for a column that is not there", "a.csv", BYTES("a\n1\n"),
     "{\"types\": {\"b\": \"INTEGER\"}}", NULL, NULL, 0, LH_INVALID},
    {"SQL in a type", "a.csv", BYTES("a\n1\n"),
     "{\"types\": {\"a\": \"INTEGER); DROP TABLE t; --\"}}", NULL, NULL, 0, LH_INVALID},
};

static void csv_files_are_read_for_what_they_say(void **state)
{
    (void)state;
    TAKE_ALL(csv_files);
}

static const struct file json_files[] = {
    {"an array", "a.json", BYTES("[{\"id\": 1}, {\"id\": 2}]"), NULL, "SELECT sum(id)::INT FROM t",
     "[[3]]", 0, 0},
    {"one object a line", "a.ndjson", BYTES("{\"id\": 1}\n\n{\"id\": 2}"), NULL,
     "SELECT sum(id)::INT FROM t", "[[3]]", 0, 0},
    {"lines that are called .json", "a.json", BYTES("{\"id\": 1}\n{\"id\": 2}\n"), NULL,
     "SELECT count(*) FROM t", "[[2]]", 0, 0},
    {"nested keys are flattened, collisions numbered", "a.json",
     BYTES("[{\"a\": {\"b\": 1}, \"a_b\": 2}]"), NULL, "SELECT a_b + a_b_2 FROM t", "[[3]]", 0, 0},
    {"flatten = false keeps structs", "a.json", BYTES("[{\"a\": {\"b\": 1}}]"),
     "{\"flatten\": false}", "SELECT a.b FROM t", "[[1]]", 0, 0},
    {"lists stay lists", "a.json", BYTES("[{\"l\": [1, 2, 3]}]"), NULL,
     "SELECT list_sum(l)::INT FROM t", "[[6]]", 0, 0},
    {"a key that comes late", "a.ndjson", BYTES("{\"a\": 1}\n{\"a\": 2, \"b\": \"x\"}\n"), NULL,
     "SELECT count(a), count(b) FROM t", "[[2,1]]", 0, 0},
    {"a type that changes loses no value", "a.ndjson",
     BYTES("{\"a\": 1}\n{\"a\": \"x\"}\n{\"a\": 2.5}\n"), NULL, "SELECT count(a) FROM t", "[[3]]",
     0, 0},
    {"null, true and unicode escapes", "a.json",
     BYTES("[{\"a\": null, \"b\": true, \"c\": \"\\u00fc\\ud83d\\ude00\"}]"), NULL,
     "SELECT a IS NULL, b, length(c) FROM t", "[[true,true,2]]", 0, 0},
    {"a bad line is kept aside", "a.ndjson", BYTES("{\"a\": 1}\n{\"a\": \n{\"a\": 3}\n"),
     "{\"max_rejected_ratio\": 1}", "SELECT sum(a)::INT FROM t", "[[4]]", 1, 0},
    {"a line that is no object is kept aside", "a.ndjson",
     BYTES("{\"a\": 1, \"b\": \"x\"}\n5\n[1]\n\"text\"\n{\"a\": 3, \"b\": \"y\"}\n"),
     "{\"max_rejected_ratio\": 1}", "SELECT sum(a)::INT, max(b) FROM t", "[[4,\"y\"]]", 3, 0},
    {"a line with a key twice is kept aside", "a.ndjson",
     BYTES("{\"a\": 1}\n{\"a\": 2, \"a\": 3}\n{\"a\": 4}\n"), "{\"max_rejected_ratio\": 1}",
     "SELECT sum(a)::INT FROM t", "[[5]]", 1, 0},
    {"texts beside numbers are themselves", "a.ndjson",
     BYTES("{\"v\": \"two\"}\n{\"v\": 1}\n{\"v\": {\"w\": \"x\"}}\n{\"v\": null}\n"), NULL,
     "SELECT count(*) FILTER (v = 'two'), count(*) FILTER (v = '1'), count(v) FROM t", "[[1,1,3]]",
     0, 0},
    {"an array of scalars", "a.json", BYTES("[1, 2, 3]"), NULL, NULL, NULL, 0, LH_UNREADABLE},
    {"an array with a scalar among objects", "a.json", BYTES("[{\"a\": 1}, 2]"), NULL, NULL, NULL,
     0, LH_UNREADABLE},
    {"types for JSON", "a.json", BYTES("[{\"a\": 1}]"), "{\"types\": {\"a\": \"VARCHAR\"}}", NULL,
     NULL, 0, LH_INVALID},
    {"a great integer keeps its digits", "a.json", BYTES("[{\"a\": 9007199254740993}]"), NULL,
     "SELECT a::VARCHAR FROM t", "[[\"9007199254740993\"]]", 0, 0},
    {"a whole number beside fractions keeps its digits", "a.json",
     BYTES("[{\"a\": 9007199254740993}, {\"a\": 0.5}]"), NULL, "SELECT max_by(a, length(a)) FROM t",
     "[[\"9007199254740993\"]]", 0, 0},
    {"numbers beyond all integers keep their digits, inside objects too", "a.ndjson",
     BYTES("{\"a\": {\"b\": 123456789012345678901234567890, \"c\": 1.5}, \"d\": \"x\"}\n"
           "{\"a\": {\"b\": -1, \"c\": 2}, \"d\": \"y\"}\n"),
     NULL, "SELECT max(a_b)::VARCHAR, sum(a_c), max(d) FROM t",
     "[[\"123456789012345678901234567890\",3.5,\"y\"]]", 0, 0},
    {"a byte order mark", "a.json", BYTES("\xef\xbb\xbf[{\"a\": 1}]"), NULL, "SELECT a FROM t",
     "[[1]]", 0, 0},
    {"a byte order mark before lines", "a.ndjson", BYTES("\xef\xbb\xbf{\"a\": 1}\n{\"a\": 2}\n"),
     NULL, "SELECT sum(a)::INT FROM t", "[[3]]", 0, 0},
    {"UTF-16", "a.json", BYTES("\xff\xfe[\0{\0\"\0a\0\"\0:\0001\0}\0]\0"), NULL, "SELECT a FROM t",
     "[[1]]", 0, 0},
    {"objects over several lines", "a.json",
     BYTES("{\n  \"a\": 1,\n  \"b\": [\n 2]\n}\n{\n  \"a\": 3\n}\n"), NULL,
     "SELECT sum(a)::INT, count(b) FROM t", "[[4,1]]", 0, 0},
    {"keys that differ in upper and lower case", "a.ndjson",
     BYTES("{\"a\": 1, \"A\": 20, \"A_1\": 300}\n{\"a\": 4000}\n"), NULL,
     "SELECT sum(COLUMNS(*)::INT)::INT FROM t", "[[4001,20,300]]", 0, 0},
    {"such keys with a long number beside fractions", "a.ndjson",
     BYTES("{\"a\": 1, \"A\": 9007199254740993}\n{\"a\": 2, \"A\": 0.5}\n"), NULL,
     "SELECT count(COLUMNS(*)) FROM t", "[[2,2]]", 0, 0},
    {"dates in whatever form", "a.ndjson",
     BYTES("{\"d\": \"12-31-2024\", \"t\": \"2024-01-02T03:04:05Z\", \"l\": [\"2024-02-29\"]}\n"),
     NULL, "SELECT d::VARCHAR, t::VARCHAR, l::VARCHAR FROM t",
     "[[\"2024-12-31\",\"2024-01-02 03:04:05\",\"[2024-02-29]\"]]", 0, 0},
    {"dates beside numbers that keep their digits", "a.ndjson",
     BYTES("{\"d\": \"24-01-02\", \"l\": [\"2024-02-29\"], \"n\": 9007199254740993}\n{\"n\": "
           "0.5}\n"),
     NULL, "SELECT max(d), max(l), max_by(n, length(n)) FROM t",
     "[[\"24-01-02\",\"[\\\"2024-02-29\\\"]\",\"9007199254740993\"]]", 0, 0},
    {"values of every kind, told by their first reading", "a.ndjson",
     BYTES("{\"i\": 1, \"f\": 1.5, \"b\": true, \"s\": \"x\", \"n\": null, \"l\": [1, 2.5], "
           "\"o\": [{\"k l\": 1.5, \"m\": null}], \"h\": 18446744073709551615, \"v\": 1}\n"
           "{\"i\": -2, \"v\": \"y\", \"e\": {}}\n"),
     NULL,
     "SELECT sum(i)::INT, sum(f), bool_or(b), max(s), count(n), sum(list_sum(l)), "
     "max(o[1].\"k l\"), max(h)::VARCHAR, string_agg(v, '' ORDER BY i DESC) FROM t",
     "[[-1,1.5,true,\"x\",0,3.5,1.5,\"18446744073709551615\",\"1y\"]]", 0, 0},
    {"an array that does not end", "a.json", BYTES("[{\"id\": 1}, {\"id\""), NULL, NULL, NULL, 0,
     LH_UNREADABLE},
    {"no JSON at all", "a.json", BYTES("hello"), "{\"format\": \"json\"}", NULL, NULL, 0,
     LH_UNREADABLE},
};

static void json_files_are_read_for_what_they_say(void **state)
{
    (void)state;
    TAKE_ALL(json_files);
}

static void what_is_no_file_of_its_kind_is_refused(void **state)
{
    static const struct file files[] = {
        {"a Parquet that is not", "a.parquet", BYTES("PAR1 not really PAR1"), NULL, NULL, NULL, 0,
         LH_UNREADABLE},
        {"the mark of Parquet alone", "a.csv", BYTES("PAR1"), NULL, NULL, NULL, 0, LH_UNREADABLE},
        {"a gzip that is cut", "a.csv.gz", BYTES("\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b"), NULL, NULL,
         NULL, 0, LH_UNREADABLE},
        {"a gzip of nothing", "a.csv.gz",
         BYTES("\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0"), NULL, NULL, NULL, 0,
         LH_UNREADABLE},
        {"a workbook", "a.csv", BYTES("PK\3\4\x14\0\6\0"), NULL, NULL, NULL, 0, LH_UNREADABLE},
        {"a web page", "a.csv", BYTES("\n<!DOCTYPE html><html><body>1,2</body></html>"), NULL, NULL,
         NULL, 0, LH_UNREADABLE},
        {"a database", "a.csv", BYTES("SQLite format 3\0\x10\0"), NULL, NULL, NULL, 0,
         LH_UNREADABLE},
        {"a picture", "a.csv", BYTES("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0"), NULL, NULL, NULL, 0,
         LH_UNREADABLE},
        {"a PDF", "a.csv", BYTES("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"), NULL, NULL, NULL, 0,
         LH_UNREADABLE},
    };
    (void)state;
    TAKE_ALL(files);
}

/* --- types that show up late, in files that are longer than any sample */

static char *long_csv(size_t rows, const char *last)
{
    size_t room = rows * 12 + 64;
    char *text = malloc(room);
    size_t len = 0;
    assert_non_null(text);
    len += (size_t)snprintf(text, room, "id,v\n");
    for (size_t i = 0; i < rows; i++)
        len += (size_t)snprintf(text + len, room - len, "%zu,%zu\n", i, i % 10);
    snprintf(text + len, room - len, "%s", last);
    return text;
}

static void what_comes_after_any_sample_is_not_lost(void **state)
{
    (void)state;
    char *text = long_csv(60000, "60000,late\n");
    struct file file = {
        "text after 60,000 numbers", "a.csv", text, 0, NULL, "SELECT count(*), max(v) FROM t",
        "[[60001,\"late\"]]",        0,       0};
    take(&file);
    free(text);
    text = long_csv(60000, "60000,\"quoted, late\"\n");
    file.bytes = text;
    file.what = "the first quotes after 60,000 lines";
    file.rows = "[[60001,\"quoted, late\"]]";
    take(&file);
    free(text);
    text = long_csv(60000, "60000,1.5\n");
    file.bytes = text;
    file.what = "a fraction after 60,000 whole numbers";
    file.sql = "SELECT count(*), max(v) FILTER (v::VARCHAR LIKE '%.5')::VARCHAR FROM t";
    file.rows = "[[60001,\"1.5\"]]";
    take(&file);
    free(text);
}

/* --- what begins in one piece of the file and ends in the next: pieces are 256 KB */

/* A thousand at a time: a call for each takes longer than what is tested. */
static void append_often(struct lh_buf *buf, const char *text, size_t count)
{
    struct lh_buf many;
    lh_buf_init(&many, 1 << 20);
    for (int i = 0; i < 1000; i++)
        lh_buf_append_str(&many, lh_str_of(text));
    for (; count >= 1000; count -= 1000)
        lh_buf_append_str(buf, lh_buf_str(&many));
    lh_buf_append_str(buf, lh_str_slice(lh_buf_str(&many), 0, count * strlen(text)));
    lh_buf_release(&many);
}

static void numbers_across_pieces_are_seen(void **state)
{
    enum { PIECE = 262144 };
    static const struct {
        const char *first; /* of the file, so that its sample says what the column is */
        const char *number;
    } kinds[] = {{"1", "007"}, {"1", "2.5"}, {"1.5", "9007199254740993"}, {"1", "\"08\""}};
    (void)state;
    for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
        for (size_t start = PIECE - strlen(kinds[kind].number) - 1; start < PIECE + 1; start++) {
            struct lh_buf csv;
            char rows[64];
            struct lh_str number = lh_str_of(kinds[kind].number);
            lh_buf_init(&csv, 1 << 20);
            lh_buf_printf(&csv, "v\n%s\n", kinds[kind].first);
            lh_buf_append_str(&csv, start % 2 != csv.len % 2 ? lh_lit("12\n") : lh_lit(""));
            append_often(&csv, "1\n", csv.len < start ? (start - csv.len + 1) / 2 : 0);
            lh_buf_append_str(&csv, number);
            lh_buf_append_str(&csv, lh_lit("\n1\n1\n"));
            number = number.data[0] == '"' ? lh_str_slice(number, 1, number.len - 2) : number;
            snprintf(rows, sizeof(rows), "[[\"%.*s\"]]", LH_ARG(number));
            struct file file = {number.data,
                                "a.csv",
                                csv.data,
                                csv.len,
                                NULL,
                                "SELECT v::VARCHAR FROM t WHERE v::DOUBLE NOT IN (1, 12) AND "
                                "v::VARCHAR <> '1.5'",
                                rows,
                                0,
                                0};
            take(&file);
            lh_buf_release(&csv);
        }
    }
}

/* Two threads look through big files for numbers, each through a half. */
static void a_row_over_the_middle_of_a_file_is_one_row(void **state)
{
    enum { ROWS = 750000 };
    (void)state;
    struct lh_buf csv;
    lh_buf_init(&csv, 16 << 20);
    lh_buf_append_str(&csv, lh_lit("a,b,c\n"));
    append_often(&csv, "1,2,x\n", ROWS);
    lh_buf_append_str(&csv, lh_lit("3,4,\""));
    append_often(&csv, "1,007,z\n", ROWS / 10);
    lh_buf_append_str(&csv, lh_lit("\"\n"));
    append_often(&csv, "1,2,x\n", ROWS);
    struct file file = {"zeros inside of quotes over the middle",
                        "a.csv",
                        csv.data,
                        csv.len,
                        NULL,
                        "SELECT count(*)::INT, sum(a)::INT, any_value(typeof(b)) FROM t",
                        "[[1500001,1500003,\"BIGINT\"]]",
                        0,
                        0};
    take(&file);
    lh_buf_append_str(&csv, lh_lit("5,06,y\n"));
    file.what = "zeros in the second half";
    file.bytes = csv.data;
    file.count = csv.len;
    file.sql = "SELECT b FROM t WHERE a = 5";
    file.rows = "[[\"06\"]]";
    take(&file);
    lh_buf_release(&csv);
}

/* Fields of text that could be taken for rows, by somebody who loses count of the quotes. */
static void numbers_inside_of_texts_are_not_numbers_of_columns(void **state)
{
    enum { FILES = 12, ROWS = 9000 };
    static const char *const texts[] = {"plain",
                                        "\"q,1.5\"",
                                        "\"x\"\"007\"\",007,\"",
                                        "\"line\n007,1.5,\n\"",
                                        "\"\"",
                                        "in\"ch 007",
                                        "\"\"\"\"",
                                        "\"a\"\"\n\"\"09\"",
                                        " 07",
                                        "",
                                        "\"01\n02\"",
                                        "\"c\"\"\"\"\n5.5,\""};
    unsigned seed = 20240229;
    (void)state;
    for (int number = 0; number < FILES; number++) {
        struct lh_buf csv;
        char rows[64];
        bool has_last = number % 2; /* a second column of numbers, behind the texts */
        int odd = number % 3 ? -1 : (int)(seed % ROWS);
        lh_buf_init(&csv, 4 << 20);
        lh_buf_append_str(&csv, has_last ? lh_lit("a,b,c,d\n") : lh_lit("a,b,c\n"));
        for (int i = 0; i < ROWS; i++) {
            const char *parts[2];
            for (int part = 0; part < 2; part++) {
                seed = seed * 1103515245 + 12345;
                parts[part] = texts[(seed >> 16) % (sizeof(texts) / sizeof(texts[0]))];
            }
            lh_buf_printf(&csv, "%s,%s,%s%s\n", i == odd ? "\"07\"" : "12", parts[0], parts[1],
                          has_last ? ",3" : "");
        }
        snprintf(rows, sizeof(rows), "[[%d,\"%s\"]]", ROWS, odd >= 0 ? "VARCHAR" : "BIGINT");
        struct file file = {"texts with quotes",
                            "a.csv",
                            csv.data,
                            csv.len,
                            "{\"delimiter\": \",\", \"quote\": \"\\\"\", \"escape\": \"\\\"\", "
                            "\"header\": \"present\"}",
                            "SELECT count(*)::INT, any_value(typeof(a)) FROM t",
                            rows,
                            0,
                            0};
        take(&file);
        lh_buf_release(&csv);
    }
}

static void a_bad_byte_late_in_a_big_file_is_told_with_its_line(void **state)
{
    enum { ROWS = 1000000 };
    (void)state;
    struct lh_buf csv;
    lh_buf_init(&csv, 16 << 20);
    lh_buf_append_str(&csv, lh_lit("a,b,c\n"));
    for (int i = 0; i < ROWS; i++)
        lh_buf_append_str(&csv, lh_lit("1,2,x\n"));
    lh_buf_append_str(&csv, lh_lit("1,2,\xff\n"));
    struct file file = {
        "Latin-1 in the last line", "a.csv", csv.data, csv.len, NULL, NULL, NULL, 0, LH_UNREADABLE};
    take(&file);
    assert_non_null(strstr(house.err.message, "Line 1000002 "));
    lh_buf_release(&csv);
}

static void a_value_of_fifteen_megabytes_comes_in(void **state)
{
    size_t count = (size_t)15 << 20;
    char *text = malloc(count + 64);
    (void)state;
    assert_non_null(text);
    size_t head = (size_t)sprintf(text, "a,b\n1,x\n2,");
    memset(text + head, 'y', count);
    size_t tail = (size_t)sprintf(text + head + count, "\n3,z\n");
    struct file file = {"a value of 15 MB",  "a.csv", text,
                        head + count + tail, NULL,    "SELECT count(*), max(length(b))::INT FROM t",
                        "[[3,15728640]]",    0,       0};
    take(&file);
    free(text);
}

/* --- appending */

static void append(const char *csv, enum lh_code want)
{
    enum lh_code code =
        op_house_try_file(&house, "ingest.file", "{\"dataset\": \"a\", \"mode\": \"append\"}",
                          "a.csv", csv, strlen(csv));
    if (code != want)
        fail_msg("%s: %d: %s", csv, code, house.err.message);
}

static void an_append_never_changes_what_values_mean(void **state)
{
    (void)state;
    op_house_rows(&house, "a", "id,n\n1,x\n2,y\n", "create");
    append("n,id\nz,3\n", LH_OK); /* columns are matched by name */
    assert_string_equal(op_house_sql(&house, "SELECT n FROM a WHERE id = 3"), "[[\"z\"]]");
    append("id,n\n1.5,w\n", LH_UNREADABLE); /* 1.5 must not become 2 */
    assert_non_null(strstr(house.err.message, "column 'id': 1.5 is no "));
    append("id,n\n15e-1,w\n", LH_UNREADABLE);
    append("id,n\nfour,w\n", LH_UNREADABLE);
    append("id,n,extra\n4,w,1\n", LH_SCHEMA);
    assert_non_null(strstr(house.err.message, "extra"));
    append("id\n5\n", LH_OK); /* what the file lacks is NULL */
    append("id,n\n6.0,v\n", LH_OK);
    assert_string_equal(op_house_sql(&house, "SELECT count(*), count(n), sum(id)::INT FROM a"),
                        "[[5,4,17]]");
}

/* --- a name twice in one header */

static bool is_told(const char *csv, const char *what)
{
    size_t at;
    op_house_try_file(&house, "ingest.file", "{\"dataset\": \"twins\", \"mode\": \"auto\"}",
                      "a.csv", csv, strlen(csv));
    return lh_str_find(house.body, lh_str_of(what), &at);
}

static void a_column_that_is_called_otherwise_here_is_told(void **state)
{
    (void)state;
    assert_true(
        is_told("# from a machine\na,b,a,a\n1,2,3,4\n5,6,7,8\n", "Column 3 is called 'a_1'"));
    assert_true(is_told("a,\"a\"\n1,2\n3,4\n", "Column 2 is called 'a_1'"));
    assert_false(is_told("a,a_1\n1,2\n5,6\n", "is called"));
    assert_true(is_told("a,a_1,a\n1,2,3\n5,6,7\n", "Column 3 is called"));
}

/* --- the same bytes twice */

static bool is_duplicate(const char *mode, const char *options, const char *csv)
{
    char args[256];
    size_t at;
    snprintf(args, sizeof(args), "{\"dataset\": \"d\", \"mode\": \"%s\", \"options\": %s}", mode,
             options);
    enum lh_code code = op_house_try_file(&house, "ingest.file", args, "d.csv", csv, strlen(csv));
    if (code)
        fail_msg("%s: %s", mode, house.err.message);
    return lh_str_find(house.body, lh_lit("\"deduplicated\":true"), &at);
}

static void bytes_that_are_live_are_not_taken_twice_and_others_are(void **state)
{
    static const char one[] = "id\n1\n";
    static const char two[] = "id\n2\n";
    (void)state;
    assert_false(is_duplicate("create", "{}", one));
    assert_false(is_duplicate("append", "{}", one)); /* brought by another mode */
    assert_true(is_duplicate("append", "{}", one));
    assert_false(is_duplicate("append", "{\"allow_duplicate\": true}", one));
    assert_false(is_duplicate("append", "{\"delimiter\": \";\"}", one)); /* read in another way */
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM d"), "[[4]]");
    assert_false(is_duplicate("replace", "{}", two));
    assert_true(is_duplicate("replace", "{}", two));
    assert_false(is_duplicate("append", "{}", one)); /* gone since the replace: it comes in again */
    assert_string_equal(op_house_sql(&house, "SELECT sum(id)::INT FROM d"), "[[3]]");
}

/* --- a lake in a folder whose name means something to the engine's readers */

static void a_folder_may_be_called_anything(void **state)
{
    static const char *const names[] = {"a=b", "x*", "what?", "[1]", "it's \\ [x", NULL};
    (void)state;
    for (size_t i = 0; names[i]; i++) {
        struct op_house odd = {0};
        struct lh_arena *arena = lh_arena_new(0);
        struct lh_str path = lh_arena_printf(arena, "%s/%s", house.folder.path, names[i]);
        op_house_open(&odd, path);
        op_house_rows(&odd, "t", "id,n\n1,x\n", "create");
        op_house_rows(&odd, "t", "id,n\n2,y\n", "append");
        assert_string_equal(op_house_sql(&odd, "SELECT * FROM t ORDER BY id"),
                            "[[1,\"x\"],[2,\"y\"]]");
        op_house_rows(&odd, "j", "{\"id\": 1}\n{\"id\": \n{\"id\": 2}\n{\"id\": 3}\n", "create");
        assert_string_equal(op_house_sql(&odd, "SELECT sum(id)::INT FROM j"), "[[6]]");
        assert_string_equal(op_house_sql(&odd, "SELECT line, raw FROM __rejects__j"),
                            "[[2,\"{\\\"id\\\": \"]]");
        op_house_close(&odd);
        lh_arena_free(arena);
    }
}

/* --- a small file that is a huge one */

static void a_gzip_that_inflates_beyond_measure_is_refused(void **state)
{
    enum { MEGABYTES = 80, MEGABYTE = 1 << 20 };
    z_stream stream = {0};
    size_t room = MEGABYTE;
    unsigned char *packed = malloc(room);
    unsigned char *dull = malloc(MEGABYTE);
    (void)state;
    assert_non_null(packed);
    assert_non_null(dull);
    for (size_t at = 0; at < MEGABYTE; at++)
        dull[at] = at % 2 ? '\n' : '1';
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_out = packed;
    stream.avail_out = (unsigned)room;
    for (int i = 0; i < MEGABYTES; i++) {
        stream.next_in = dull;
        stream.avail_in = MEGABYTE;
        assert_true(deflate(&stream, i + 1 == MEGABYTES ? Z_FINISH : Z_NO_FLUSH) >= Z_OK);
    }
    struct file file = {"a bomb", "a.csv.gz", (const char *)packed, stream.total_out, NULL, NULL,
                        NULL,     0,          LH_TOO_LARGE};
    assert_int_equal(deflateEnd(&stream), Z_OK);
    take(&file);
    free(packed);
    free(dull);
}

/* The engine is busy with such a line for many seconds: it must not come to see it. */
static void a_line_longer_than_a_value_may_be_is_refused_soon(void **state)
{
    static const int megabytes[] = {17, 30};
    (void)state;
    for (size_t i = 0; i < sizeof(megabytes) / sizeof(megabytes[0]); i++) {
        size_t count = ((size_t)megabytes[i] << 20) + 5;
        char *text = malloc(count);
        assert_non_null(text);
        memset(text, 'x', count);
        memcpy(text, "a,b\n1,2\n1,", 10);
        struct file file = {"a long line", "a.csv", text, count, NULL, NULL, NULL, 0, LH_TOO_LARGE};
        clock_t from = clock();
        take(&file);
        assert_true(clock() - from < 5 * CLOCKS_PER_SEC);
        assert_non_null(strstr(house.err.message, "Line 3 "));
        free(text);
    }
}

/* --- rows that were kept aside can be had again */

static void rejected_rows_are_named_with_line_and_reason(void **state)
{
    static const char csv[] = "a\n1\nx\n3\n";
    (void)state;
    assert_int_equal(op_house_try_file(&house, "ingest.file",
                                       "{\"dataset\": \"r\", \"mode\": \"create\", \"options\": "
                                       "{\"types\": {\"a\": \"INTEGER\"}, "
                                       "\"max_rejected_ratio\": 1}}",
                                       "r.csv", csv, strlen(csv)),
                     LH_OK);
    json_error_t problem;
    json_t *reply = json_loadb(house.body.data, house.body.len, 0, &problem);
    assert_non_null(reply);
    const char *reason =
        json_string_value(json_array_get(json_object_get(reply, "rejected_reasons"), 0));
    assert_non_null(reason);
    assert_non_null(strstr(reason, "3"));   /* the line */
    assert_non_null(strstr(reason, "'a'")); /* the column */
    assert_true(json_string_length(json_object_get(reply, "rejects")) > 0);
    json_decref(reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(csv_files_are_read_for_what_they_say, make, remove_house),
        cmocka_unit_test_setup_teardown(json_files_are_read_for_what_they_say, make, remove_house),
        cmocka_unit_test_setup_teardown(what_is_no_file_of_its_kind_is_refused, make, remove_house),
        cmocka_unit_test_setup_teardown(what_comes_after_any_sample_is_not_lost, make,
                                        remove_house),
        cmocka_unit_test_setup_teardown(numbers_across_pieces_are_seen, make, remove_house),
        cmocka_unit_test_setup_teardown(a_row_over_the_middle_of_a_file_is_one_row, make,
                                        remove_house),
        cmocka_unit_test_setup_teardown(numbers_inside_of_texts_are_not_numbers_of_columns, make,
                                        remove_house),
        cmocka_unit_test_setup_teardown(a_bad_byte_late_in_a_big_file_is_told_with_its_line, make,
                                        remove_house),
        cmocka_unit_test_setup_teardown(a_value_of_fifteen_megabytes_comes_in, make, remove_house),
        cmocka_unit_test_setup_teardown(an_append_never_changes_what_values_mean, make,
                                        remove_house),
        cmocka_unit_test_setup_teardown(a_column_that_is_called_otherwise_here_is_told, make,
                                        remove_house),
        cmocka_unit_test_setup_teardown(bytes_that_are_live_are_not_taken_twice_and_others_are,
                                        make, remove_house),
        cmocka_unit_test_setup_teardown(a_folder_may_be_called_anything, make, remove_house),
        cmocka_unit_test_setup_teardown(a_gzip_that_inflates_beyond_measure_is_refused, make,
                                        remove_house),
        cmocka_unit_test_setup_teardown(a_line_longer_than_a_value_may_be_is_refused_soon, make,
                                        remove_house),
        cmocka_unit_test_setup_teardown(rejected_rows_are_named_with_line_and_reason, make,
                                        remove_house),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
