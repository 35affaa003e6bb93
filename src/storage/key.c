#include "storage/internal.h"

bool key_is_reserved(struct lh_str name)
{
    static const struct lh_str names[] = {
        LH_LIT(STAGING_FOLDER),      LH_LIT(SCRATCH_FOLDER), LH_LIT(TRASH_FOLDER),
        LH_LIT(LAKE_FILE),           LH_LIT(LOCK_FILE),      LH_LIT(OWNER_FILE),
        LH_LIT(SETTINGS_FILE),       LH_LIT(SECRETS_FILE),   LH_LIT(ADMIN_KEY_FILE),
        LH_LIT(ADMIN_KEY_NEW_FILE),  LH_LIT(RESERVE_FILE),   LH_LIT(RESTORING_FILE),
        LH_LIT(RESTORING_LAKE_FILE), LH_LIT(CACHE_FOLDER),   LH_LIT(BUCKET_FILE),
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (lh_str_equal(name, names[i]))
            return true;
    }
    return false;
}

/* What is wrong with one part; NULL if nothing is. */
static const char *part_fault(struct lh_str part)
{
    if (part.len == 0)
        return "it has an empty part";
    if (part.len > STORAGE_KEY_PART_BYTES_MAX)
        return "a part of it is longer than 255 bytes";
    if (lh_str_equal(part, lh_lit(".")) || lh_str_equal(part, lh_lit("..")))
        return "a part of it is '.' or '..'";
    for (size_t i = 0; i < part.len; i++) {
        unsigned char byte = (unsigned char)part.data[i];
        if (byte < 0x20 || byte == 0x7f)
            return "it holds a control character";
        if (byte == '\\')
            return "it holds a backslash";
        /* U+0080 to U+009F */
        if (byte == 0xc2 && i + 1 < part.len && (unsigned char)part.data[i + 1] < 0xa0)
            return "it holds a control character";
    }
    return NULL;
}

static const char *key_fault(struct lh_str key)
{
    if (key.len == 0)
        return "it is empty";
    if (key.len > STORAGE_KEY_BYTES_MAX)
        return "it is longer than 1024 bytes";
    if (!lh_str_is_utf8(key, NULL))
        return "it is not UTF-8";
    /* A part behind the last "/" exists even when it is empty, which lh_str_cut alone would not
     * tell. */
    if (key.data[key.len - 1] == '/')
        return "it has an empty part";
    for (struct lh_str rest = key, part; rest.len;) {
        part = lh_str_cut(&rest, '/');
        const char *fault = part_fault(part);
        if (fault)
            return fault;
    }
    struct lh_str rest = key;
    if (key_is_reserved(lh_str_cut(&rest, '/')))
        return "its first part is one of the data folder's own names";
    return NULL;
}

enum lh_code storage_key_check(struct lh_str key, struct lh_error *err)
{
    const char *fault = key_fault(key);
    if (!fault)
        return LH_OK;
    struct lh_str shown = lh_str_slice(key, 0, 64);
    return lh_fail(err, LH_INVALID, "The object key '%.*s' cannot be used: %s.", LH_ARG(shown),
                   fault);
}

enum lh_code key_copy(struct lh_str key, struct key_text *ret, struct lh_error *err)
{
    enum lh_code code = storage_key_check(key, err);
    if (code)
        return code;
    memcpy(ret->text, key.data, key.len);
    ret->text[key.len] = '\0';
    return LH_OK;
}

enum lh_code folder_copy(struct lh_str folder, struct key_text *ret, struct lh_error *err)
{
    if (folder.len)
        return key_copy(folder, ret, err);
    ret->text[0] = '\0';
    return LH_OK;
}

struct lh_str key_folder(struct lh_str key)
{
    while (key.len && key.data[key.len - 1] != '/')
        key.len--;
    if (key.len)
        key.len--;
    return key;
}
