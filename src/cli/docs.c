#include "ops/describe.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"
#include "base/uuid.h"
#include "cli/internal.h"

#define PAGE_BYTES_MAX OP_OPENAPI_BYTES_MAX

/* The document as people read it: indented, in the order of the table. */
static enum lh_code write_pretty_openapi(struct lh_buf *buf, struct lh_error *err)
{
    struct lh_buf plain;
    json_t *document = NULL;
    lh_buf_init(&plain, OP_OPENAPI_BYTES_MAX);
    enum lh_code code = op_write_openapi(op_table, op_table_count, &plain, err);
    if (!code)
        code =
            lh_json_parse(lh_buf_str(&plain), "The document", OP_OPENAPI_BYTES_MAX, &document, err);
    char *text = code ? NULL : json_dumps(document, JSON_INDENT(2));
    if (!code && !text)
        code = lh_fail(err, LH_BUSY, "There is no memory for the document.");
    if (!code) {
        lh_buf_append_str(buf, lh_str_of(text));
        lh_buf_append_char(buf, '\n');
        code = lh_buf_check(buf, "The document", err);
    }
    free(text);
    json_decref(document);
    lh_buf_release(&plain);
    return code;
}

static enum lh_code write_operations(struct lh_buf *buf, struct lh_error *err)
{
    return op_write_operations_page(op_table, op_table_count, buf, err);
}

static const struct page {
    const char *name;
    enum lh_code (*write)(struct lh_buf *buf, struct lh_error *err);
} pages[] = {
    {"openapi.json", write_pretty_openapi},
    {"operations.md", write_operations},
    {"errors.md", op_write_errors_page},
    {"settings.md", cli_write_settings_page},
};

static enum lh_code put_file(struct lh_dir *dir, const char *name, struct lh_str text,
                             struct lh_error *err)
{
    struct lh_uuid uuid = lh_uuid_new();
    char fresh[LH_UUID_TEXT_BYTES + 8];
    int fd = -1;
    snprintf(fresh, sizeof(fresh), ".%s.new", uuid.text);
    enum lh_code code = lh_file_create(dir, fresh, &fd, err);
    if (code)
        return code;
    code = lh_file_write(fd, text.data, text.len, err);
    enum lh_code closed = lh_file_close(fd, code ? NULL : err);
    code = code ? code : closed;
    if (!code)
        code = lh_file_replace(dir, fresh, name, err);
    if (code && lh_file_remove(dir, fresh, NULL))
        return code; /* the file could not be written, and its rest could not be removed either */
    return code;
}

static enum lh_code write_pages(struct lh_str folder, struct lh_error *err)
{
    struct lh_dir *dir = NULL;
    enum lh_code code = lh_dir_open(folder, true, &dir, err);
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]) && !code; i++) {
        struct lh_buf buf;
        lh_buf_init(&buf, PAGE_BYTES_MAX);
        code = pages[i].write(&buf, err);
        if (!code)
            code = put_file(dir, pages[i].name, lh_buf_str(&buf), err);
        lh_buf_release(&buf);
    }
    lh_dir_close(dir);
    return code;
}

static enum lh_code print_page(enum lh_code (*write)(struct lh_buf *buf, struct lh_error *err),
                               struct lh_error *err)
{
    struct lh_buf buf;
    lh_buf_init(&buf, PAGE_BYTES_MAX);
    enum lh_code code = write(&buf, err);
    if (!code)
        code = cli_print(lh_buf_str(&buf), err);
    lh_buf_release(&buf);
    return code;
}

static int wrong_words(const struct cli_command *command)
{
    fprintf(stderr, "lakehouse: That is not how `%s` is used.\nUsage: %s", command->name,
            command->usage);
    return CLI_USAGE;
}

static int run_openapi(const struct cli_command *command, int word_count, char *const *words)
{
    struct lh_error err = LH_ERROR_NONE;
    (void)words;
    if (word_count)
        return wrong_words(command);
    return print_page(write_pretty_openapi, &err) ? cli_fail(&err) : CLI_DONE;
}

static int run_docs(const struct cli_command *command, int word_count, char *const *words)
{
    struct lh_error err = LH_ERROR_NONE;
    if (word_count == 0)
        return print_page(write_operations, &err) ? cli_fail(&err) : CLI_DONE;
    if (word_count != 2 || strcmp(words[0], "--write") != 0)
        return wrong_words(command);
    return write_pages(lh_str_of(words[1]), &err) ? cli_fail(&err) : CLI_DONE;
}

static int run_version(const struct cli_command *command, int word_count, char *const *words)
{
    const bool is_json = word_count == 1 && strcmp(words[0], "--json") == 0;
    if (word_count && !is_json)
        return wrong_words(command);
    printf(is_json ? "{\"version\":\"%s\"}\n" : "lakehouse %s\n", LH_VERSION);
    return CLI_DONE;
}

const struct cli_command cli_openapi = {
    .name = "openapi",
    .summary = "Print the OpenAPI 3.1 document of the HTTP interface.",
    .usage = "lakehouse openapi\n",
    .run = run_openapi,
};

const struct cli_command cli_docs = {
    .name = "docs",
    .summary = "Print the page of operations, or write the generated pages.",
    .usage =
        "lakehouse docs [--write DIR]\n"
        "  --write  put openapi.json and the pages of operations, errors and settings into DIR\n",
    .run = run_docs,
};

const struct cli_command cli_version = {
    .name = "version",
    .summary = "Print the version.",
    .usage = "lakehouse version [--json]\n",
    .run = run_version,
};
