/* Settings: a struct described by field tables, filled from a TOML file, then the environment, then
 * flags.
 *
 * A section is a table of fields ("[http]" with its struct); unknown keys and wrong types are
 * errors with the file's name and line. The TOML parser is toml++ behind config_toml.cpp, the only
 * C++ of the project.
 */
#ifndef LAKEHOUSE_BASE_CONFIG_H
#define LAKEHOUSE_BASE_CONFIG_H

#include "base/field.h"

enum lh_config_origin { LH_CONFIG_PRESET, LH_CONFIG_FILE, LH_CONFIG_ENVIRONMENT, LH_CONFIG_FLAG };

struct lh_config_section {
    const char *name; /* "http"; in the environment LAKEHOUSE_HTTP_<KEY>, as a flag --http-<key> */
    const struct lh_fields *fields;
    void *target;      /* the struct to fill */
    uint64_t bound[4]; /* bit set per origin of the fields that were given: for `config show` */
};

/* Fills presets, then the file (path "" = none), then the environment. Strings are copied into
 * `arena`. LH_NOT_FOUND: there is no such file. Otherwise the first thing that is wrong, by line:
 * LH_INVALID (not TOML, a wrong type, a limit) or LH_UNKNOWN_FIELD with the nearest known name;
 * err->line is the line, and the message begins with "<file>:<line>". A variable that begins with a
 * section's name but has no such key is an error too. Required fields are not looked at: flags may
 * still come. The file's text is at most 1 MB. */
enum lh_code lh_config_load(struct lh_config_section *sections, size_t section_count,
                            struct lh_str file_path, struct lh_arena *arena,
                            struct lh_error *err) LH_MUST_USE;
/* One setting from a flag "section.key" = value; a key is given at most once. */
enum lh_code lh_config_set(struct lh_config_section *sections, size_t section_count,
                           struct lh_str key, struct lh_str value, struct lh_arena *arena,
                           struct lh_error *err) LH_MUST_USE;
enum lh_config_origin lh_config_origin_of(const struct lh_config_section *section,
                                          size_t field_index);

#endif
