/* The secrets file: sections that say which keys a store is asked with.
 *
 *     [warehouse]
 *     access_key_id = "…"
 *     secret_access_key = "…"
 *     session_token = "…"        # only where the store gives one
 *
 * Read anew each time, so that keys can be changed while the server runs. */
#include <stdlib.h>

#include "base/config_toml.h"
#include "base/secret.h"
#include "storage/internal.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define SYSTEM_FILE "/etc/lakehouse/" SECRETS_FILE

struct seeking {
    struct lh_str id;
    struct store_keys *keys;
    bool is_found;
    bool is_wrong; /* a key that is no text, is unknown, or is too long */
};

static bool take_text(const json_t *value, char *ret, size_t size)
{
    struct lh_str text = lh_json_text(value);
    bool is_fine = text.data && text.len < size;
    for (size_t i = 0; is_fine && i < text.len; i++) /* what could end a header */
        is_fine = text.data[i] > ' ' && (unsigned char)text.data[i] < 0x7f;
    if (!is_fine)
        return false;
    memcpy(ret, text.data, text.len);
    ret[text.len] = '\0';
    return true;
}

static void visit(void *context, const struct config_toml_key *key)
{
    struct seeking *seeking = context;
    struct store_keys *keys = seeking->keys;
    struct lh_str name = {key->key, key->key_len};
    if (lh_str_equal(lh_str_of(key->section), seeking->id)) {
        bool is_fine = false;
        seeking->is_found = true;
        if (lh_str_equal(name, lh_lit("access_key_id")))
            is_fine = take_text(key->value, keys->access_key, sizeof keys->access_key);
        else if (lh_str_equal(name, lh_lit("secret_access_key")))
            is_fine = take_text(key->value, keys->secret_key, sizeof keys->secret_key);
        else if (lh_str_equal(name, lh_lit("session_token")))
            is_fine = take_text(key->value, keys->session_token, sizeof keys->session_token);
        seeking->is_wrong |= !is_fine;
    }
    json_decref(key->value);
}

/* The one that was named; else the machine's; else the data folder's. */
static enum lh_code open_file(const struct storage *storage, int *ret_fd, struct lh_str *ret_shown,
                              struct lh_error *err)
{
    if (storage->secrets_path.len) {
        *ret_shown = lh_lit("of [secrets] file");
        return lh_file_open_path(storage->secrets_path, ret_fd, err);
    }
    *ret_shown = lh_lit(SYSTEM_FILE);
    enum lh_code code = lh_file_open_path(lh_lit(SYSTEM_FILE), ret_fd, err);
    if (code != LH_NOT_FOUND)
        return code;
    *ret_shown = lh_lit(SECRETS_FILE " in the data folder");
    return lh_file_open(storage->dir, SECRETS_FILE, false, ret_fd, err);
}

static enum lh_code read_file(int fd, char *text, size_t *ret_len, struct lh_error *err)
{
    enum lh_code code = lh_file_read_at(fd, text, FILE_BYTES_MAX, 0, ret_len, err);
    if (!code && *ret_len == FILE_BYTES_MAX)
        code = lh_fail(err, LH_IO, "The secrets file is too long.");
    return code;
}

static enum lh_code find_keys(struct lh_str text, struct lh_str id, struct store_keys *ret,
                              struct lh_error *err)
{
    struct config_toml_error error = {0};
    struct seeking seeking = {.id = id, .keys = ret};
    /* Nothing of the text may be told: the parser's message would quote it. */
    if (config_toml_walk(text.data, text.len, visit, &seeking, &error) != CONFIG_TOML_OK)
        return lh_fail(err, LH_IO, "The secrets file is not TOML at line %ld.", error.line);
    if (!seeking.is_found)
        return lh_fail(err, LH_IO, "The secrets file has no section [%.*s].", LH_ARG(id));
    if (seeking.is_wrong || !ret->access_key[0] || !ret->secret_key[0]) {
        lh_fail(err, LH_IO, "The section [%.*s] of the secrets file is not as it should be.",
                LH_ARG(id));
        return lh_error_hint(err, "It has access_key_id, secret_access_key and, if there is one, "
                                  "session_token, as texts.");
    }
    return LH_OK;
}

enum lh_code secrets_find(const struct storage *storage, struct lh_str id, struct store_keys *ret,
                          struct lh_error *err)
{
    int fd = -1;
    size_t len = 0;
    struct lh_str shown = {0};
    struct store_keys keys = {0};
    enum lh_code code = open_file(storage, &fd, &shown, err);
    if (code)
        return lh_fail(err, LH_IO, "The secrets file %.*s cannot be read.", LH_ARG(shown));
    char *text = malloc(FILE_BYTES_MAX);
    if (!text)
        code = lh_fail(err, LH_BUSY, "There is no memory for the secrets file.");
    if (!code && (code = lh_file_check_private(fd, err))) {
        lh_fail(err, code = LH_IO, "The secrets file %.*s may be read by others: it is not used.",
                LH_ARG(shown));
        lh_error_hint(err, "Make it its owner's alone: chmod 600.");
    }
    if (!code)
        code = read_file(fd, text, &len, err);
    if (!code)
        code = find_keys((struct lh_str){text, len}, id, &keys, err);
    if (text)
        lh_wipe(text, len);
    free(text);
    lh_file_abandon(fd);
    if (!code)
        *ret = keys;
    lh_wipe(&keys, sizeof keys);
    return code;
}
