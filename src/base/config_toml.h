/* The C face of the TOML parser: with shortest.cpp the only C++ of the project. */
#ifndef LAKEHOUSE_BASE_CONFIG_TOML_H
#define LAKEHOUSE_BASE_CONFIG_TOML_H

#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One key of a section; `section` is "" for a key above the first one. `value` is taken by the
 * callee and NULL if it is none that JSON has (nan, inf). Keys come in no particular order of
 * lines. */
struct config_toml_key {
    const char *section;
    const char *key;
    size_t key_len;
    long line;
    json_t *value;
};
typedef void (*config_toml_visit)(void *context, const struct config_toml_key *key);

struct config_toml_error {
    long line;
    long column;
    char message[512];
};

enum config_toml_result { CONFIG_TOML_OK, CONFIG_TOML_MALFORMED, CONFIG_TOML_NO_MEMORY };

/* Parses the whole text, then calls visit for every key of every section. Nothing is visited on
 * failure. */
enum config_toml_result config_toml_walk(const char *text, size_t len, config_toml_visit visit,
                                         void *context, struct config_toml_error *ret_error);

#ifdef __cplusplus
}
#endif

#endif
