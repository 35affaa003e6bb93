/* Field tables: one row per member of a struct, from which come JSON binding, limits, messages,
 * JSON output, OpenAPI schemas, command-line flags and configuration keys.
 *
 * A row of the wrong type does not compile: every macro checks its member with _Generic. Input is
 * checked here, once; afterwards the struct is const. Names in JSON are the members' names. Tables
 * are const and shared by all threads; nothing here blocks.
 */
#ifndef LAKEHOUSE_BASE_FIELD_H
#define LAKEHOUSE_BASE_FIELD_H

#include "base/arena.h"
#include "base/json.h"

enum lh_field_type {
    LH_FIELD_STR,      /* struct lh_str; absent = {NULL, 0} */
    LH_FIELD_INT,      /* int64_t */
    LH_FIELD_OPT_INT,  /* struct lh_opt_int */
    LH_FIELD_BOOL,     /* bool */
    LH_FIELD_DOUBLE,   /* double */
    LH_FIELD_CHOICE,   /* int: index into `choices`; absent without preset = -1 */
    LH_FIELD_TIME,     /* struct lh_time: RFC 3339 in JSON; 0 = absent */
    LH_FIELD_STR_LIST, /* struct lh_str_list */
    LH_FIELD_JSON,     /* struct lh_json_value: any JSON value (in: parsed; out: its text) */
    LH_FIELD_OBJECT,   /* const struct X *: NULL = absent */
    LH_FIELD_LIST,     /* struct lh_list of struct X */
    LH_FIELD_INT_MAP,  /* struct lh_int_map: {"name": 3, …} */
    LH_FIELD_FILE,     /* struct lh_upload: a part of a multipart body */
};

struct lh_opt_int {
    bool is_set;
    int64_t value;
};
struct lh_time {
    int64_t unix_ms;
};
struct lh_str_list {
    const struct lh_str *items;
    size_t count;
};
struct lh_list {
    const void *items; /* array of structs of the size that the row says */
    size_t count;
};
struct lh_int_map_item {
    struct lh_str name;
    int64_t value;
};
struct lh_int_map {
    const struct lh_int_map_item *items;
    size_t count;
};
struct lh_json_value {
    const json_t *value;      /* input: borrowed from the request's arena; NULL = absent */
    struct lh_floats numbers; /* input: of a row with `numbers`, read already; `value` is empty */
    struct lh_str text;       /* output: one complete JSON value; absent = not written */
};
/* A file that was received and lies in the staging area; whoever takes it moves it away. */
struct lh_upload {
    struct lh_str path;     /* of the spooled file; "" = absent. Internal: never shown */
    struct lh_str filename; /* as the client called it: data, never a path */
    int64_t bytes;
    uint8_t sha256[32];
};

/* What a JSON row is likely to bring, which then needs no tree. */
enum lh_numbers { LH_NUMBERS_NONE, LH_NUMBERS_LIST, LH_NUMBERS_LISTS };

struct lh_fields; /* below */

struct lh_field {
    const char *name;
    enum lh_field_type type;
    size_t offset;
    bool required;
    bool nullable;    /* output: written as null when absent instead of left out */
    bool is_optional; /* output: a LIST without items is left out, not written as [] */
    bool positional;  /* command line: taken without --name */
    int64_t min;      /* numbers: least value; STR: least bytes; lists: least items */
    int64_t max; /* INT: most value; STR: most bytes; lists: most items; 0 with min 0 = unbounded by
                    the row; only min: open above */
    int64_t preset;          /* INT, OPT_INT (with preset_text NULL: none), BOOL, CHOICE */
    bool has_preset;         /* set by LH_PRESET */
    const char *preset_text; /* STR */
    double preset_double;
    const char *const *choices;     /* CHOICE: NULL-ended names */
    const struct lh_fields *fields; /* OBJECT, LIST: of the nested struct; JSON: what the schema
                                       says of it, checked by whoever binds it; NULL = anything */
    enum lh_numbers numbers;        /* JSON, input: see lh_fields_parse_json */
    const char *format;             /* JSON Schema format or pattern name, for docs only */
    const char *doc;                /* one sentence; shown by OpenAPI, CLI and docs */
};

struct lh_fields {
    const char *struct_name; /* becomes the schema's name: "QueryRunArgs" */
    size_t size;             /* of the struct */
    const struct lh_field *items;
    size_t count;
};

/* The offset of `member`, which must have type `ctype`; anything else does not compile.
 * NOLINTBEGIN(bugprone-macro-parentheses): a type in a _Generic association takes none. */
#define LH_FIELD_OFFSET(struct_type, member, ctype)                                                \
    _Generic(&((struct_type *)0)->member, ctype * : offsetof(struct_type, member))
/* NOLINTEND(bugprone-macro-parentheses) */
#define LH_FIELD_ROW(struct_type, member, kind, ctype, ...)                                        \
    {                                                                                              \
        .name = #member, .type = kind, .offset = LH_FIELD_OFFSET(struct_type, member, ctype),      \
        __VA_ARGS__                                                                                \
    }
#define LH_STR(s, m, ...) LH_FIELD_ROW(s, m, LH_FIELD_STR, struct lh_str, __VA_ARGS__)
#define LH_INT(s, m, ...) LH_FIELD_ROW(s, m, LH_FIELD_INT, int64_t, __VA_ARGS__)
#define LH_OPT_INT(s, m, ...) LH_FIELD_ROW(s, m, LH_FIELD_OPT_INT, struct lh_opt_int, __VA_ARGS__)
#define LH_BOOL(s, m, ...) LH_FIELD_ROW(s, m, LH_FIELD_BOOL, bool, __VA_ARGS__)
#define LH_DOUBLE(s, m, ...) LH_FIELD_ROW(s, m, LH_FIELD_DOUBLE, double, __VA_ARGS__)
#define LH_CHOICE(s, m, ...) LH_FIELD_ROW(s, m, LH_FIELD_CHOICE, int, __VA_ARGS__)
#define LH_TIME(s, m, ...) LH_FIELD_ROW(s, m, LH_FIELD_TIME, struct lh_time, __VA_ARGS__)
#define LH_STR_LIST(s, m, ...)                                                                     \
    LH_FIELD_ROW(s, m, LH_FIELD_STR_LIST, struct lh_str_list, __VA_ARGS__)
#define LH_JSON(s, m, ...) LH_FIELD_ROW(s, m, LH_FIELD_JSON, struct lh_json_value, __VA_ARGS__)
#define LH_LIST(s, m, ...) LH_FIELD_ROW(s, m, LH_FIELD_LIST, struct lh_list, __VA_ARGS__)
#define LH_INT_MAP(s, m, ...) LH_FIELD_ROW(s, m, LH_FIELD_INT_MAP, struct lh_int_map, __VA_ARGS__)
#define LH_FILE(s, m, ...) LH_FIELD_ROW(s, m, LH_FIELD_FILE, struct lh_upload, __VA_ARGS__)
/* `type_` is the nested struct's type: LH_OBJECT(struct dataset_view, lineage, const struct lineage
 * *, …) */
#define LH_OBJECT(s, m, ctype, ...) LH_FIELD_ROW(s, m, LH_FIELD_OBJECT, ctype, __VA_ARGS__)

/* In a row: a value for when the caller gives none. */
#define LH_PRESET(value) .has_preset = true, .preset = (value)
#define LH_PRESET_STR(text) .has_preset = true, .preset_text = (text)
#define LH_PRESET_DOUBLE(value) .has_preset = true, .preset_double = (value)

/* A struct lh_fields initialiser from an array of rows. */
#define LH_FIELDS_OF(struct_type, schema_name, rows)                                               \
    {                                                                                              \
        .struct_name = (schema_name), .size = sizeof(struct_type), .items = (rows),                \
        .count = sizeof(rows) / sizeof((rows)[0])                                                  \
    }

#define LH_FIELDS_MAX 64

/* Fills `target` with presets; everything else becomes zero or absent. A required INT or DOUBLE has
 * no value that means absent: it becomes INT64_MIN or NaN until it is bound. A BOOL cannot be
 * required. */
void lh_fields_preset(const struct lh_fields *fields, void *target);

/* Binds the members of a JSON object to a struct that lh_fields_preset filled. LH_UNKNOWN_FIELD
 * (with the nearest known name), LH_INVALID (what was expected, what came, the limits),
 * LH_TOO_LARGE (the arena's budget); err->field is the path of the member ("items[2].name"). A
 * member that is null counts as not given, except for JSON fields. Strings are copied into `arena`
 * and never hold NUL; json values are borrowed: the caller keeps `object` alive as long as the
 * arena. Does not look at required fields: lh_fields_check does. */
enum lh_code lh_fields_bind_json(const struct lh_fields *fields, const json_t *object,
                                 struct lh_arena *arena, void *target,
                                 struct lh_error *err) LH_MUST_USE;

/* Parses the text of an object for these fields, as lh_json_parse does; lists of numbers of rows
 * with `numbers` go to `target` at once, as floats. Then lh_fields_bind_json binds all members;
 * whoever reads such a row looks at the numbers first, then at the value, which has the list when
 * there are none. What was parsed lives as long as the arena. */
enum lh_code lh_fields_parse_json(const struct lh_fields *fields, struct lh_str text,
                                  const char *what, size_t bytes_max, struct lh_arena *arena,
                                  void *target, const json_t **ret,
                                  struct lh_error *err) LH_MUST_USE;

/* Binds one named text value (query parameter, form part, flag, environment, TOML scalar as text).
 * STR_LIST takes comma-separated values; JSON, OBJECT, LIST and INT_MAP take JSON. `bound` is a bit
 * set of what was given, by row (may be NULL): a second value for the same field is LH_INVALID.
 * Never takes a FILE: a text must not become a path. */
enum lh_code lh_fields_bind_text(const struct lh_fields *fields, struct lh_str name,
                                 struct lh_str value, struct lh_arena *arena, void *target,
                                 uint64_t *bound, struct lh_error *err) LH_MUST_USE;

/* Gives a FILE field its received file: for doors that spooled one, or opened the one that the
 * command line names. Text in `upload` is borrowed for as long as the target lives. */
enum lh_code lh_fields_bind_file(const struct lh_fields *fields, struct lh_str name,
                                 const struct lh_upload *upload, void *target, uint64_t *bound,
                                 struct lh_error *err) LH_MUST_USE;

/* After binding: required fields that are absent are LH_INVALID, in nested structs too. Also checks
 * every limit again, for structs that were filled by hand. An optional INT or DOUBLE of zero that
 * its limits exclude counts as not given. */
enum lh_code lh_fields_check(const struct lh_fields *fields, const void *source,
                             struct lh_error *err) LH_MUST_USE;

/* Copies a struct of values, texts, lists of texts and JSON values; its texts live in `arena` then,
 * a JSON value becomes its text. Others have no copy. May copy in place. LH_BUSY. */
enum lh_code lh_fields_copy(const struct lh_fields *fields, const void *source,
                            struct lh_arena *arena, void *ret, struct lh_error *err) LH_MUST_USE;

/* The text of the record in `arena`, for records that are known to fit `bytes_max`. */
struct lh_str lh_fields_text(const struct lh_fields *fields, const void *source, size_t bytes_max,
                             struct lh_arena *arena);
/* Reads that text back: presets *ret, parses and binds, without lh_fields_check; what was parsed
 * lives as long as the arena. `what` as lh_json_parse takes it. */
enum lh_code lh_fields_parse(const struct lh_fields *fields, struct lh_str text, const char *what,
                             size_t bytes_max, struct lh_arena *arena, void *ret,
                             struct lh_error *err) LH_MUST_USE;

/* NULL if there is none. */
const struct lh_field *lh_fields_find(const struct lh_fields *fields, struct lh_str name);

/* Writes one object. Absent strings, choices, OPT_INTs, NULL objects and times of 0 are left out,
 * or null if `nullable`. STR_LIST, LIST and INT_MAP are always written, [] or {} when empty; a
 * nullable DOUBLE that is NaN is null; FILE is never written. */
void lh_fields_write(const struct lh_fields *fields, const void *source, struct lh_json *json);

/* Writes the JSON Schema (2020-12, as OpenAPI 3.1 wants it) of the struct; nested structs as
 * "$ref": "#/components/schemas/<struct_name>". `is_input`: presets, limits, additionalProperties
 * false. Otherwise `required` lists every member that lh_fields_write always writes. */
void lh_fields_write_schema(const struct lh_fields *fields, bool is_input, struct lh_json *json);

/* The same of one field: its type, limits, preset and description. */
void lh_field_write_schema(const struct lh_field *field, bool is_input, struct lh_json *json);

#endif
