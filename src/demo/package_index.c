#include "demo/package_index.h"

#include <stdlib.h>

#include "base/json.h"

#define RECORD_BYTES_MAX ((size_t)1024 * 1024)
#define FLUSH_BYTES ((size_t)256 * 1024)
#define FIELDS_MAX 64
#define KIB 1024

struct field {
    struct lh_str name;
    struct lh_str value; /* continuation lines included, with their line breaks */
};

struct record {
    struct field fields[FIELDS_MAX];
    size_t count;
};

struct output {
    int fd;
    struct lh_buf buf;
};

struct package_index {
    struct lh_buf pending; /* text of the record that is not complete yet */
    struct output packages;
    struct output dependencies;
    struct package_index_counts counts;
};

/* The relation fields of a record, in the order in which they are written. */
static const struct {
    const char *field;
    const char *kind;
} relations[] = {
    {"Pre-Depends", "pre_depends"}, {"Depends", "depends"},   {"Recommends", "recommends"},
    {"Suggests", "suggests"},       {"Enhances", "enhances"}, {"Breaks", "breaks"},
    {"Conflicts", "conflicts"},     {"Replaces", "replaces"}, {"Provides", "provides"},
};

static enum lh_code output_open(struct output *output, struct lh_dir *dir, const char *name,
                                struct lh_error *err)
{
    lh_buf_init(&output->buf, FLUSH_BYTES + 4 * RECORD_BYTES_MAX);
    return lh_file_create(dir, name, &output->fd, err);
}

static enum lh_code output_flush(struct output *output, size_t from_bytes, struct lh_error *err)
{
    if (output->buf.len < from_bytes)
        return LH_OK;
    enum lh_code code = lh_buf_check(&output->buf, "a record of the package index", err);
    if (!code)
        code = lh_file_write(output->fd, output->buf.data, output->buf.len, err);
    lh_buf_clear(&output->buf);
    return code;
}

static enum lh_code output_close(struct output *output, struct lh_error *err)
{
    enum lh_code code = output->buf.len ? output_flush(output, 0, err) : LH_OK;
    int fd = output->fd;
    output->fd = -1;
    enum lh_code close_code = lh_file_close(fd, code ? NULL : err);
    return code ? code : close_code;
}

enum lh_code package_index_new(struct lh_dir *dir, struct package_index **ret, struct lh_error *err)
{
    struct package_index *index = calloc(1, sizeof(*index));
    if (!index)
        return lh_fail(err, LH_BUSY, "There is no memory for the package index.");
    index->packages.fd = index->dependencies.fd = -1;
    lh_buf_init(&index->pending, RECORD_BYTES_MAX);
    enum lh_code code = output_open(&index->packages, dir, PACKAGE_INDEX_PACKAGES, err);
    if (!code)
        code = output_open(&index->dependencies, dir, PACKAGE_INDEX_DEPENDENCIES, err);
    if (code) {
        package_index_free(index);
        return code;
    }
    lh_buf_append_str(&index->dependencies.buf,
                      lh_lit("package,kind,position,alternative,depends_on,operator,version\n"));
    *ret = index;
    return LH_OK;
}

void package_index_free(struct package_index *index)
{
    if (!index)
        return;
    struct output *outputs[] = {&index->packages, &index->dependencies};
    for (size_t at = 0; at < 2; at++) {
        lh_file_abandon(outputs[at]->fd);
        lh_buf_release(&outputs[at]->buf);
    }
    lh_buf_release(&index->pending);
    free(index);
}

/* Splits a record into its fields; a line that starts with a blank continues the one before. */
static void record_parse(struct lh_str text, struct record *ret)
{
    ret->count = 0;
    while (text.len) {
        struct lh_str line = lh_str_cut(&text, '\n');
        if (line.len && (line.data[0] == ' ' || line.data[0] == '\t')) {
            if (ret->count) {
                struct lh_str *value = &ret->fields[ret->count - 1].value;
                value->len = (size_t)(line.data + line.len - value->data);
            }
            continue;
        }
        struct lh_str name = lh_str_cut(&line, ':');
        if (line.data && ret->count < FIELDS_MAX)
            ret->fields[ret->count++] = (struct field){name, lh_str_trim(line)};
    }
}

static struct lh_str record_get(const struct record *record, const char *name)
{
    for (size_t at = 0; at < record->count; at++)
        if (lh_str_equal_nocase(record->fields[at].name, lh_str_of(name)))
            return record->fields[at].value;
    return (struct lh_str){NULL, 0};
}

static void put_text(struct lh_json *json, const char *key, struct lh_str value)
{
    lh_json_key(json, key);
    if (lh_str_empty(value))
        lh_json_null(json);
    else
        lh_json_str(json, value);
}

static void put_number(struct lh_json *json, const char *key, struct lh_str value, int64_t unit)
{
    int64_t number = 0;
    lh_json_key(json, key);
    if (lh_str_to_int(value, &number))
        lh_json_int(json, number * unit);
    else
        lh_json_null(json);
}

/* "Name <address>" in its two parts. */
static void put_maintainer(struct lh_json *json, struct lh_str value)
{
    struct lh_str address = value;
    struct lh_str name = lh_str_cut(&address, '<');
    put_text(json, "maintainer", lh_str_trim(name));
    put_text(json, "maintainer_email", lh_str_trim(lh_str_cut(&address, '>')));
}

static void put_tags(struct lh_json *json, struct lh_str value)
{
    lh_json_key(json, "tags");
    lh_json_array(json);
    while (value.len) {
        struct lh_str tag = lh_str_trim(lh_str_cut(&value, ','));
        if (tag.len)
            lh_json_str(json, tag);
    }
    lh_json_array_end(json);
}

/* The first line is the summary; the rest, with its margin of one blank and its lone dots for empty
 * lines taken off, the description. Without a long text the summary is both. */
static void put_description(struct lh_json *json, struct lh_str value)
{
    struct lh_str rest = value;
    struct lh_str summary = lh_str_cut(&rest, '\n');
    put_text(json, "summary", lh_str_trim(summary));
    struct lh_buf text;
    lh_buf_init(&text, RECORD_BYTES_MAX);
    while (rest.len) {
        struct lh_str line = lh_str_cut(&rest, '\n');
        if (line.len)
            line = lh_str_slice(line, 1, line.len - 1);
        if (text.len)
            lh_buf_append_char(&text, '\n');
        if (!lh_str_equal(line, lh_lit(".")))
            lh_buf_append_str(&text, line);
    }
    put_text(json, "description", text.len ? lh_buf_str(&text) : lh_str_trim(summary));
    lh_buf_release(&text);
}

static void write_package(struct lh_buf *out, const struct record *record, struct lh_str name)
{
    struct lh_json json;
    lh_json_init(&json, out);
    lh_json_object(&json);
    lh_json_put_str(&json, "name", name);
    struct lh_str source = record_get(record, "Source");
    struct lh_str source_name = lh_str_trim(lh_str_cut(&source, '('));
    put_text(&json, "source", lh_str_empty(source_name) ? name : source_name);
    put_text(&json, "version", record_get(record, "Version"));
    put_text(&json, "section", record_get(record, "Section"));
    put_text(&json, "priority", record_get(record, "Priority"));
    put_text(&json, "architecture", record_get(record, "Architecture"));
    put_text(&json, "multi_arch", record_get(record, "Multi-Arch"));
    lh_json_put_bool(&json, "essential",
                     lh_str_equal(record_get(record, "Essential"), lh_lit("yes")));
    put_maintainer(&json, record_get(record, "Maintainer"));
    put_number(&json, "installed_size", record_get(record, "Installed-Size"), KIB);
    put_number(&json, "download_size", record_get(record, "Size"), 1);
    put_text(&json, "homepage", record_get(record, "Homepage"));
    struct lh_str description = record_get(record, "Description-en");
    put_description(&json, description.len ? description : record_get(record, "Description"));
    put_tags(&json, record_get(record, "Tag"));
    lh_json_object_end(&json);
    lh_buf_append_char(out, '\n');
}

/* A CSV cell: quoted only where it must be. */
static void put_cell(struct lh_buf *out, struct lh_str value, char after)
{
    bool is_plain = true;
    for (size_t at = 0; at < value.len && is_plain; at++)
        is_plain = !strchr(",\"\r\n", value.data[at]);
    if (is_plain) {
        lh_buf_append_str(out, value);
    } else {
        lh_buf_append_char(out, '"');
        for (size_t at = 0; at < value.len; at++) {
            if (value.data[at] == '"')
                lh_buf_append_char(out, '"');
            lh_buf_append_char(out, value.data[at]);
        }
        lh_buf_append_char(out, '"');
    }
    lh_buf_append_char(out, after);
}

/* One alternative, "name[:architecture] [(operator version)]". */
static void write_dependency(struct lh_buf *out, struct lh_str package, const char *kind,
                             int position, int alternative, struct lh_str wish)
{
    struct lh_str rest = wish;
    struct lh_str depends_on = lh_str_trim(lh_str_cut(&rest, '('));
    struct lh_str constraint = lh_str_trim(lh_str_cut(&rest, ')'));
    depends_on = lh_str_cut(&depends_on, ':');
    size_t operator_len = 0;
    while (operator_len < constraint.len && strchr("<>=", constraint.data[operator_len]))
        operator_len++;
    put_cell(out, package, ',');
    lh_buf_printf(out, "%s,%d,%d,", kind, position, alternative);
    put_cell(out, depends_on, ',');
    put_cell(out, lh_str_slice(constraint, 0, operator_len), ',');
    put_cell(out, lh_str_trim(lh_str_slice(constraint, operator_len, constraint.len)), '\n');
}

static int64_t write_relation(struct lh_buf *out, struct lh_str package, const char *kind,
                              struct lh_str wishes)
{
    int64_t count = 0;
    for (int position = 1; wishes.len; position++) {
        struct lh_str alternatives = lh_str_cut(&wishes, ',');
        for (int alternative = 1; alternatives.len; alternative++, count++)
            write_dependency(out, package, kind, position, alternative,
                             lh_str_trim(lh_str_cut(&alternatives, '|')));
    }
    return count;
}

static enum lh_code take_record(struct package_index *index, struct lh_str text,
                                struct lh_error *err)
{
    struct record record;
    record_parse(text, &record);
    struct lh_str name = record_get(&record, "Package");
    if (lh_str_empty(name) || lh_str_empty(record_get(&record, "Version"))) {
        index->counts.skipped += record.count > 0;
        return LH_OK;
    }
    write_package(&index->packages.buf, &record, name);
    index->counts.packages++;
    for (size_t at = 0; at < sizeof(relations) / sizeof(relations[0]); at++)
        index->counts.dependencies +=
            write_relation(&index->dependencies.buf, name, relations[at].kind,
                           record_get(&record, relations[at].field));
    enum lh_code code = output_flush(&index->packages, FLUSH_BYTES, err);
    return code ? code : output_flush(&index->dependencies, FLUSH_BYTES, err);
}

enum lh_code package_index_feed(struct package_index *index, struct lh_str text,
                                struct lh_error *err)
{
    while (text.len) {
        struct lh_str line = text;
        const char *end = memchr(text.data, '\n', text.len);
        line.len = end ? (size_t)(end - text.data) + 1 : text.len;
        bool is_blank_line =
            line.len == 1 && line.data[0] == '\n' &&
            (index->pending.len == 0 || index->pending.data[index->pending.len - 1] == '\n');
        text = lh_str_slice(text, line.len, text.len);
        if (!is_blank_line) {
            lh_buf_append_str(&index->pending, line);
            continue;
        }
        enum lh_code code = lh_buf_check(&index->pending, "a record of the package index", err);
        if (!code)
            code = take_record(index, lh_buf_str(&index->pending), err);
        lh_buf_clear(&index->pending);
        if (code)
            return code;
    }
    return LH_OK;
}

enum lh_code package_index_finish(struct package_index *index, struct package_index_counts *ret,
                                  struct lh_error *err)
{
    enum lh_code code = lh_buf_check(&index->pending, "a record of the package index", err);
    if (!code && index->pending.len)
        code = take_record(index, lh_buf_str(&index->pending), err);
    lh_buf_clear(&index->pending);
    if (!code)
        code = output_close(&index->packages, err);
    if (!code)
        code = output_close(&index->dependencies, err);
    if (!code)
        *ret = index->counts;
    return code;
}
