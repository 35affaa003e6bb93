#include "base/config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/config_toml.h"
#include "base/file.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define VARIABLE_PREFIX "LAKEHOUSE_"
#define SECTIONS_MAX 64

struct loading {
    struct lh_config_section *sections;
    size_t section_count;
    struct lh_str file_path;
    struct lh_arena *arena;
    struct lh_error *err; /* never NULL: holds the first thing that is wrong, by line */
    long first_line;      /* 0: nothing is wrong so far */
};

static struct lh_config_section *find_section(struct lh_config_section *sections,
                                              size_t section_count, struct lh_str name)
{
    for (size_t i = 0; i < section_count; i++) {
        if (lh_str_equal(lh_str_of(sections[i].name), name))
            return &sections[i];
    }
    return NULL;
}

static enum lh_code fail_section(struct lh_config_section *sections, size_t section_count,
                                 struct lh_str name, struct lh_error *err)
{
    struct lh_str names[SECTIONS_MAX];
    size_t count = section_count < SECTIONS_MAX ? section_count : SECTIONS_MAX;
    for (size_t i = 0; i < count; i++)
        names[i] = lh_str_of(sections[i].name);
    struct lh_str nearest = lh_str_nearest(name, names, count);
    if (nearest.data)
        lh_fail(err, LH_UNKNOWN_FIELD, "There is no section [%.*s]; did you mean [%.*s]?",
                LH_ARG(name), LH_ARG(nearest));
    else
        lh_fail(err, LH_UNKNOWN_FIELD, "There is no section [%.*s].", LH_ARG(name));
    struct lh_buf known;
    lh_buf_init(&known, LH_ERROR_HINT_BYTES);
    for (size_t i = 0; i < count; i++)
        lh_buf_printf(&known, "%s[%s]", i ? ", " : "", sections[i].name);
    lh_error_hint(err, "Known sections: %.*s.", LH_ARG(lh_buf_str(&known)));
    lh_buf_release(&known);
    return LH_UNKNOWN_FIELD;
}

static void mark(struct lh_config_section *section, struct lh_str key, enum lh_config_origin origin)
{
    const struct lh_field *field = lh_fields_find(section->fields, key);
    if (field)
        section->bound[origin] |= (uint64_t)1 << (field - section->fields->items);
}

/* --- file ---------------------------------------------------------------------------------------
 */

/* Takes `value`. */
static enum lh_code bind_key(struct loading *loading, const struct config_toml_key *key,
                             struct lh_error *err)
{
    struct lh_str section_name = lh_str_of(key->section);
    struct lh_str name = {key->key, key->key_len};
    bool is_empty_section =
        name.len == 0 && json_is_object(key->value) && json_object_size(key->value) == 0;
    json_t *object = json_object();
    int failed = json_object_setn_new(object, name.data, name.len, key->value);
    lh_json_keep(object, loading->arena); /* JSON fields borrow from it */
    if (section_name.len == 0) {
        lh_fail(err, LH_UNKNOWN_FIELD, "The key `%.*s` stands outside of every section.",
                LH_ARG(name));
        return lh_error_hint(err, "Put it below a line such as [%s].", loading->sections[0].name);
    }
    struct lh_config_section *section =
        find_section(loading->sections, loading->section_count, section_name);
    if (!section)
        return fail_section(loading->sections, loading->section_count, section_name, err);
    if (is_empty_section)
        return LH_OK; /* a known section without keys */
    if (failed)
        return lh_fail(err, LH_INVALID, "`%.*s` is not a value that a setting can have.",
                       LH_ARG(name));
    enum lh_code code =
        lh_fields_bind_json(section->fields, object, loading->arena, section->target, err);
    if (!code)
        mark(section, name, LH_CONFIG_FILE);
    return code;
}

static void at_line(struct loading *loading, long line, const struct lh_error *cause)
{
    if (loading->first_line && loading->first_line <= line)
        return;
    loading->first_line = line;
    *loading->err = *cause;
    lh_error_context(loading->err, "%.*s:%ld", LH_ARG(loading->file_path), line);
    loading->err->line = line;
}

static void visit(void *context, const struct config_toml_key *key)
{
    struct loading *loading = context;
    struct lh_error err = LH_ERROR_NONE;
    if (bind_key(loading, key, &err) != LH_OK)
        at_line(loading, key->line, &err);
}

/* Of any path, through links too: where the settings are is the owner's affair. */
static enum lh_code read_text(struct lh_str path, struct lh_arena *arena, struct lh_str *ret,
                              struct lh_error *err)
{
    struct lh_dir *dir = NULL;
    char *real = realpath(lh_arena_cstr(arena, path), NULL);
    if (!real && (errno == ENOENT || errno == ENOTDIR))
        return lh_fail(err, LH_NOT_FOUND, "There is no configuration file '%.*s'.", LH_ARG(path));
    if (!real)
        return lh_fail_errno(err, errno, "The configuration file '%.*s' could not be read",
                             LH_ARG(path));
    struct lh_str name = lh_str_of(strrchr(real, '/') + 1);
    struct lh_str folder = {real, (size_t)(name.data - real)};
    enum lh_code code = lh_dir_open(folder, false, &dir, err);
    if (!code)
        code = lh_file_read(dir, name.data, FILE_BYTES_MAX, arena, ret, err);
    if (code)
        lh_error_context(err, "The configuration file '%.*s' could not be read", LH_ARG(path));
    lh_dir_close(dir);
    free(real);
    return code;
}

static enum lh_code load_file(struct loading *loading, struct lh_error *err)
{
    struct lh_str text = {0};
    struct config_toml_error error = {0};
    enum lh_code code = read_text(loading->file_path, loading->arena, &text, err);
    if (code)
        return code;
    switch (config_toml_walk(text.data, text.len, visit, loading, &error)) {
    case CONFIG_TOML_OK:
        return loading->first_line ? err->code : LH_OK;
    case CONFIG_TOML_NO_MEMORY:
        return lh_fail(err, LH_BUSY, "There is no memory for the configuration file.");
    case CONFIG_TOML_MALFORMED:
        break;
    }
    lh_fail(err, LH_INVALID, "%.*s:%ld:%ld: This is not TOML: %s", LH_ARG(loading->file_path),
            error.line, error.column, error.message);
    if (err)
        err->line = error.line;
    return LH_INVALID;
}

/* --- environment --------------------------------------------------------------------------------
 */

/* The section whose name, in upper case and followed by "_", `rest` begins with; of several the
 * longest. */
static struct lh_config_section *section_of(struct lh_config_section *sections,
                                            size_t section_count, struct lh_str rest)
{
    struct lh_config_section *found = NULL;
    size_t longest = 0;
    for (size_t i = 0; i < section_count; i++) {
        struct lh_str name = lh_str_of(sections[i].name);
        if (name.len < rest.len && rest.data[name.len] == '_' && name.len > longest &&
            lh_str_equal_nocase(lh_str_slice(rest, 0, name.len), name)) {
            found = &sections[i];
            longest = name.len;
        }
    }
    return found;
}

static struct lh_str lower_case(struct lh_arena *arena, struct lh_str text)
{
    char *copy = lh_arena_alloc(arena, text.len + 1);
    for (size_t i = 0; i < text.len; i++) {
        char character = text.data[i];
        copy[i] = character >= 'A' && character <= 'Z' ? (char)(character - 'A' + 'a') : character;
    }
    return (struct lh_str){copy, text.len};
}

static enum lh_code bind_variable(struct loading *loading, struct lh_str variable,
                                  struct lh_error *err)
{
    struct lh_str value = variable;
    struct lh_str name = lh_str_cut(&value, '=');
    struct lh_str rest = lh_str_slice(name, sizeof VARIABLE_PREFIX - 1, name.len);
    struct lh_config_section *section = section_of(loading->sections, loading->section_count, rest);
    if (!section || name.len > LH_ARENA_SMALL_BYTES / 2)
        return LH_OK; /* somebody else's */
    struct lh_str key =
        lower_case(loading->arena, lh_str_slice(rest, strlen(section->name) + 1, rest.len));
    enum lh_code code =
        lh_fields_bind_text(section->fields, key, value, loading->arena, section->target,
                            &section->bound[LH_CONFIG_ENVIRONMENT], err);
    if (code)
        lh_error_context(err, "The environment variable %.*s", LH_ARG(name));
    return code;
}

static enum lh_code load_environment(struct loading *loading, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (char **variable = environ; !code && variable && *variable; variable++) {
        if (strncmp(*variable, VARIABLE_PREFIX, sizeof VARIABLE_PREFIX - 1) == 0)
            code = bind_variable(loading, lh_str_of(*variable), err);
    }
    return code;
}

/* --- the whole ----------------------------------------------------------------------------------
 */

enum lh_code lh_config_load(struct lh_config_section *sections, size_t section_count,
                            struct lh_str file_path, struct lh_arena *arena, struct lh_error *err)
{
    struct lh_error own = LH_ERROR_NONE;
    struct lh_error *told = err ? err : &own;
    struct loading loading = {.sections = sections,
                              .section_count = section_count,
                              .file_path = file_path,
                              .arena = arena,
                              .err = told};
    for (size_t i = 0; i < section_count; i++) {
        lh_fields_preset(sections[i].fields, sections[i].target);
        memset(sections[i].bound, 0, sizeof sections[i].bound);
    }
    enum lh_code code = file_path.len ? load_file(&loading, told) : LH_OK;
    return code ? code : load_environment(&loading, told);
}

enum lh_code lh_config_set(struct lh_config_section *sections, size_t section_count,
                           struct lh_str key, struct lh_str value, struct lh_arena *arena,
                           struct lh_error *err)
{
    struct lh_str rest = key;
    struct lh_str section_name = lh_str_cut(&rest, '.');
    struct lh_config_section *section = find_section(sections, section_count, section_name);
    if (!section)
        return fail_section(sections, section_count, section_name, err);
    return lh_fields_bind_text(section->fields, rest, value, arena, section->target,
                               &section->bound[LH_CONFIG_FLAG], err);
}

enum lh_config_origin lh_config_origin_of(const struct lh_config_section *section,
                                          size_t field_index)
{
    for (int origin = LH_CONFIG_FLAG; origin > LH_CONFIG_PRESET; origin--) {
        if (section->bound[origin] >> field_index & 1)
            return (enum lh_config_origin)origin;
    }
    return LH_CONFIG_PRESET;
}
