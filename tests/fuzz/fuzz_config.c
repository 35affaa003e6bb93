#include "fuzz.h"

#include "base/config_toml.h"

static void visit(void *context, const struct config_toml_key *key)
{
    fuzz_must(key->section && key->key && key->line >= 0);
    ++*(int *)context;
    json_decref(key->value);
}

/* Whatever the bytes: keys, or a reason. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct config_toml_error error = {0};
    int visited = 0;
    char *text = malloc(count + 1);
    fuzz_must(text);
    memcpy(text, bytes, count);
    text[count] = '\0';
    enum config_toml_result result = config_toml_walk(text, count, visit, &visited, &error);
    fuzz_must(result == CONFIG_TOML_OK || visited == 0);
    fuzz_must(result != CONFIG_TOML_MALFORMED || error.message[0] != '\0');
    free(text);
    return 0;
}
