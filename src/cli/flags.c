#include <stdio.h>

#include "cli/internal.h"

#define FLAGS_MAX 64

struct reading {
    const struct cli_flag *flags;
    size_t flag_count;
    struct lh_arena *arena;
    struct settings *settings; /* presets, for the names of the keys */
    struct settings_flag given[FLAGS_MAX];
    size_t given_count;
    struct lh_str config;
};

/* "--server-drain-ms" as "server.drain_ms"; absent text if there is no such key. */
static struct lh_str settings_key(const struct reading *reading, struct lh_str name)
{
    for (size_t i = 0; i < SETTINGS_SECTION_COUNT; i++) {
        const struct lh_config_section *section = &reading->settings->sections[i];
        struct lh_str prefix = lh_arena_printf(reading->arena, "%s-", section->name);
        if (!lh_str_starts_with(name, prefix))
            continue;
        struct lh_str rest = lh_str_slice(name, prefix.len, name.len);
        char *key = lh_arena_alloc(reading->arena, rest.len + 1);
        for (size_t k = 0; k < rest.len; k++)
            key[k] = rest.data[k] == '-' ? '_' : rest.data[k];
        if (lh_fields_find(section->fields, (struct lh_str){key, rest.len}))
            return lh_arena_printf(reading->arena, "%s.%s", section->name, key);
    }
    return (struct lh_str){0};
}

static enum lh_code unknown_flag(const struct reading *reading, struct lh_str name,
                                 struct lh_error *err)
{
    struct lh_str names[FLAGS_MAX + 8];
    size_t count = 0;
    names[count++] = lh_lit("data");
    names[count++] = lh_lit("listen");
    names[count++] = lh_lit("config");
    names[count++] = lh_lit("help");
    for (size_t i = 0; i < reading->flag_count && count < FLAGS_MAX; i++)
        names[count++] = lh_str_of(reading->flags[i].name + 2);
    for (size_t i = 0; i < SETTINGS_SECTION_COUNT; i++)
        for (size_t k = 0; k < reading->settings->sections[i].fields->count; k++)
            if (count < FLAGS_MAX)
                names[count++] =
                    lh_arena_printf(reading->arena, "%s-%s", reading->settings->sections[i].name,
                                    reading->settings->sections[i].fields->items[k].name);
    struct lh_str nearest = lh_str_nearest(name, names, count);
    lh_fail(err, LH_UNKNOWN_FIELD, "There is no flag --%.*s.", LH_ARG(name));
    if (nearest.len)
        return lh_error_hint(err, "Did you mean --%.*s?", LH_ARG(nearest));
    return LH_UNKNOWN_FIELD;
}

static const struct cli_flag *own_flag(const struct reading *reading, struct lh_str name)
{
    for (size_t i = 0; i < reading->flag_count; i++)
        if (lh_str_equal(lh_str_of(reading->flags[i].name + 2), name))
            return &reading->flags[i];
    return NULL;
}

static enum lh_code read_flag(struct reading *reading, int word_count, char *const *words, int *at,
                              struct lh_error *err)
{
    struct lh_str value = lh_str_of(words[*at] + 2);
    struct lh_str name = lh_str_cut(&value, '=');
    const struct cli_flag *own = own_flag(reading, name);
    struct lh_str key = settings_key(reading, name);
    if (lh_str_equal(name, lh_lit("data")))
        key = lh_lit("server.data");
    if (lh_str_equal(name, lh_lit("listen")))
        key = lh_lit("server.listen");
    if (own && own->ret_given) {
        *own->ret_given = true;
        return LH_OK;
    }
    bool is_config = lh_str_equal(name, lh_lit("config"));
    if (!own && !key.len && !is_config)
        return unknown_flag(reading, name, err);
    if (!value.data && *at + 1 >= word_count)
        return lh_fail(err, LH_INVALID, "--%.*s needs a value.", LH_ARG(name));
    if (!value.data)
        value = lh_str_of(words[++*at]);
    if (own)
        *own->ret_value = value;
    else if (is_config)
        reading->config = value;
    else if (reading->given_count == FLAGS_MAX)
        return lh_fail(err, LH_INVALID, "There are more than %d flags.", FLAGS_MAX);
    else
        reading->given[reading->given_count++] = (struct settings_flag){key, value};
    return LH_OK;
}

bool cli_read_settings(const struct cli_command *command, int word_count, char *const *words,
                       const struct cli_flag *flags, size_t flag_count, struct lh_arena *arena,
                       struct settings *ret, int *ret_exit)
{
    struct lh_error err = LH_ERROR_NONE;
    enum lh_code code = LH_OK;
    struct reading reading = {
        .flags = flags,
        .flag_count = flag_count,
        .arena = arena,
        .settings = ret,
    };
    settings_preset(ret, lh_lit(""));
    for (int at = 0; at < word_count && !code; at++) {
        if (strcmp(words[at], "--help") == 0 || strcmp(words[at], "-h") == 0) {
            cli_help_command(command);
            *ret_exit = CLI_DONE;
            return false;
        }
        if (strncmp(words[at], "--", 2) == 0)
            code = read_flag(&reading, word_count, words, &at, &err);
        else
            code = lh_fail(&err, LH_INVALID, "'%s' is one word too many.", words[at]);
    }
    if (code) {
        cli_fail(&err);
        if (!cli_has_json_flag())
            fprintf(stderr, "  `lakehouse %s --help` says more.\n", command->name);
        *ret_exit = CLI_USAGE;
        return false;
    }
    if (settings_load(reading.config, reading.given, reading.given_count, arena, ret, &err)) {
        *ret_exit = cli_fail(&err);
        return false;
    }
    return true;
}
