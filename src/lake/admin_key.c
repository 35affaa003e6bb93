#include "access/keys.h"
#include "base/file.h"
#include "base/log.h"
#include "base/secret.h"
#include "lake/changes.h"
#include "lake/internal.h"
#include "lake/lake.h"

#define ADMIN_KEY_FILE "admin.key" /* a reserved name of storage: never an object */
#define ADMIN_KEY_NEW_FILE "admin.key.new"

static enum lh_code write_file(struct lh_dir *dir, struct lh_str text, struct lh_error *err)
{
    int fd = -1;
    enum lh_code code = lh_file_remove(dir, ADMIN_KEY_NEW_FILE, err);
    if (!code)
        code = lh_file_create(dir, ADMIN_KEY_NEW_FILE, &fd, err);
    if (code)
        return code;
    code = lh_file_write(fd, text.data, text.len, err);
    if (!code)
        code = lh_file_write(fd, "\n", 1, err);
    if (!code)
        code = lh_file_sync(fd, err);
    enum lh_code closed = lh_file_close(fd, code ? NULL : err);
    code = code ? code : closed;
    if (!code)
        code = lh_file_replace(dir, ADMIN_KEY_NEW_FILE, ADMIN_KEY_FILE, err);
    return code ? code : lh_dir_sync(dir, "", err);
}

/* The file is written before the key exists, so that a crash in between cannot leave a key behind
 * that nobody has: what is in the file opens nothing until its record is durable. */
enum lh_code admin_key_ensure(struct lake *lake, struct lh_str root, struct lh_error *err)
{
    struct access_keys *keys = lake_keys(lake);
    char text[ACCESS_KEY_BYTES + 1];
    struct lh_dir *dir = NULL;
    struct lh_arena *arena = NULL;
    struct access_key made;
    struct lh_str ignored;
    struct lake_change change;
    if (access_keys_has_admin(keys))
        return LH_OK;
    access_key_generate(text);
    const struct access_key_spec spec = {
        .name = lh_lit("admin"),
        .role = lh_lit("admin"),
        .actor = lh_lit("start-up"),
        .text = lh_str_of(text),
    };
    enum lh_code code = lh_dir_open(root, false, &dir, err);
    if (!code)
        code = write_file(dir, spec.text, err);
    arena = lh_arena_new(0);
    const struct journal_event event = {
        .action = lh_lit("key.create"),
        .entity = spec.name,
        .actor = spec.actor,
        .detail = lh_arena_printf(arena, "{\"key_id\":\"%.*s\",\"role\":\"admin\"}",
                                  ACCESS_KEY_ID_BYTES, text + ACCESS_KEY_ID_AT),
    };
    if (!code)
        code = lake_change_begin(lake, &event, true, &change, err);
    if (!code) {
        code = access_keys_create(keys, &spec, arena, &made, &ignored, err);
        lake_change_end(lake, &change, code, &event);
    }
    if (!code)
        lh_log(LH_LOG_INFO, "access.admin_key",
               "The first administrator's key is in " ADMIN_KEY_FILE " of the data folder.");
    lh_arena_free(arena);
    lh_dir_close(dir);
    lh_wipe(text, sizeof text);
    return code;
}

enum lh_code lake_admin_key(struct lh_str root, struct lh_arena *arena, struct lh_str *ret,
                            struct lh_error *err)
{
    struct lh_dir *dir = NULL;
    struct lh_str text = {0};
    enum lh_code code = lh_dir_open(root, false, &dir, err);
    if (!code)
        code = lh_file_read(dir, ADMIN_KEY_FILE, 256, arena, &text, err);
    lh_dir_close(dir);
    if (!code)
        *ret = lh_str_trim(text);
    return code;
}
