#include "access/keys.h"

#include "base/secret.h"
#include "lake/lake.h"
#include "ops/internal.h"

/* --- GET /access/me */

struct me {
    struct lh_str name;
    struct lh_str key_id;
    struct lh_str role;
    struct lh_str_list permissions;
};
static const struct lh_field me_rows[] = {
    LH_STR(struct me, name, .required = true, .doc = "Who calls: the name of the key."),
    LH_STR(struct me, key_id, .doc = "Of the key; absent without one."),
    LH_STR(struct me, role, .required = true, .doc = "In which role."),
    LH_STR_LIST(struct me, permissions, .doc = "What that role may."),
};
static const struct lh_fields me_fields = LH_FIELDS_OF(struct me, "AccessMe", me_rows);

static struct lh_str_list permissions_of(uint64_t bits, struct lh_arena *arena)
{
    struct lh_str *names = lh_arena_array(arena, access_permission_count, sizeof(*names));
    size_t count = 0;
    for (size_t i = 0; i < access_permission_count; i++)
        if (!access_permissions[i].bit || (bits & access_permissions[i].bit))
            names[count++] = lh_str_of(access_permissions[i].name);
    return (struct lh_str_list){names, count};
}

static enum lh_code run_me(struct op_call *call, const void *args, struct op_reply *reply,
                           struct lh_error *err)
{
    (void)args;
    if (!call->principal) {
        lh_fail(err, LH_UNAUTHENTICATED, "No key was sent, so nobody calls.");
        return lh_error_hint(err, "Send it as X-API-Key or as Authorization: Bearer.");
    }
    const struct me me = {
        .name = call->principal->id,
        .key_id = call->principal->key_id,
        .role = call->principal->role,
        .permissions = permissions_of(call->principal->permissions, call->arena),
    };
    return op_reply_record(reply, &me, err);
}

const struct op op_access_me = {
    .name = "access.me",
    .command = "whoami",
    .summary = "Who calls, in which role, and what it may.",
    .http = {OP_GET, "/access/me"},
    .effect = OP_READ,
    .permission = "public",
    .kind = OP_RECORD,
    .result = &me_fields,
    .errors = OP_ERRORS(LH_UNAUTHENTICATED),
    .run = run_me,
};

/* --- GET /access/roles */

struct role {
    struct lh_str name;
    struct lh_str description;
    struct lh_str_list permissions;
};
static const struct lh_field role_rows[] = {
    LH_STR(struct role, name, .required = true, .doc = "As keys and X-Lakehouse-Role name it."),
    LH_STR(struct role, description, .required = true, .doc = "For whom it is."),
    LH_STR_LIST(struct role, permissions, .doc = "What it may."),
};
static const struct lh_fields role_fields = LH_FIELDS_OF(struct role, "AccessRole", role_rows);

static enum lh_code run_roles(struct op_call *call, const void *args, struct op_reply *reply,
                              struct lh_error *err)
{
    (void)args;
    struct role *roles = lh_arena_array(call->arena, access_role_count, sizeof(*roles));
    for (size_t i = 0; i < access_role_count; i++)
        roles[i] = (struct role){
            .name = lh_str_of(access_roles[i].name),
            .description = lh_str_of(access_roles[i].doc),
            .permissions = permissions_of(access_roles[i].permissions, call->arena),
        };
    return op_reply_list(reply, roles, access_role_count, (struct lh_str){0}, err);
}

const struct op op_access_roles = {
    .name = "access.roles",
    .summary = "The roles that a key can have.",
    .http = {OP_GET, "/access/roles"},
    .effect = OP_READ,
    .permission = "access.write",
    .kind = OP_LIST,
    .result = &role_fields,
    .run = run_roles,
};

/* --- GET /access/keys */

struct keys_args {
    int64_t limit;
    struct lh_str after;
};
static const struct lh_field keys_rows[] = {
    OP_LIST_LIMIT(struct keys_args),
    OP_LIST_AFTER(struct keys_args),
};
static const struct lh_fields keys_fields =
    LH_FIELDS_OF(struct keys_args, "AccessKeysArgs", keys_rows);

static enum lh_code run_keys(struct op_call *call, const void *raw, struct op_reply *reply,
                             struct lh_error *err)
{
    const struct keys_args *args = raw;
    struct access_key *items = NULL;
    size_t count = 0;
    struct lh_str next = {0};
    access_keys_list(lake_keys(call->lake), args->after, (size_t)args->limit, call->arena, &items,
                     &count, &next);
    return op_reply_list(reply, items, count, next, err);
}

const struct op op_keys_list = {
    .name = "keys.list",
    .summary = "All keys, those that open nothing any more included; never their secrets.",
    .http = {OP_GET, "/access/keys"},
    .effect = OP_READ,
    .permission = "access.write",
    .fields = &keys_fields,
    .kind = OP_LIST,
    .result = &access_key_fields,
    .run = run_keys,
};

/* --- POST /access/keys */

struct create_args {
    struct lh_str name;
    struct lh_str role;
    int64_t expires_in_s;
};
static const struct lh_field create_rows[] = {
    LH_STR(struct create_args, name, .required = true, .positional = true, .min = 1,
           .max = ACCESS_KEY_NAME_BYTES_MAX, .doc = "Who will use it; unique among keys in force."),
    LH_STR(struct create_args, role, .required = true, .min = 1, .max = 64,
           .doc = "admin, reader or agent: GET /access/roles says what each may."),
    LH_INT(struct create_args, expires_in_s, LH_PRESET(0), .min = 0, .max = 315360000,
           .doc = "Seconds until it opens nothing any more; 0 = never."),
};
static const struct lh_fields create_fields =
    LH_FIELDS_OF(struct create_args, "AccessKeyCreateArgs", create_rows);

struct created {
    struct lh_str key;
    const struct access_key *about;
};
static const struct lh_field created_rows[] = {
    LH_STR(struct created, key, .required = true,
           .doc = "The key itself. It is shown this once and kept nowhere."),
    LH_OBJECT(struct created, about, const struct access_key *, .fields = &access_key_fields,
              .required = true, .doc = "What the list of keys shows of it."),
};
static const struct lh_fields created_fields =
    LH_FIELDS_OF(struct created, "AccessKeyCreated", created_rows);

/* The key's id is known before the key is, so that its event can name it. */
static enum lh_code create_key(struct op_call *call, struct access_key_spec *spec,
                               struct access_key *ret, struct lh_str *ret_text,
                               struct lh_error *err)
{
    char text[ACCESS_KEY_BYTES + 1];
    struct lake_change change;
    access_key_generate(text);
    spec->text = lh_str_of(text);
    struct journal_event event = op_event(call, "key.create", spec->name);
    event.detail =
        lh_arena_printf(call->arena, "{\"key_id\":\"%.*s\",\"role\":\"%s\",\"expires_in_s\":%lld}",
                        ACCESS_KEY_ID_BYTES, text + ACCESS_KEY_ID_AT,
                        access_role_find(spec->role) ? access_role_find(spec->role)->name : "",
                        (long long)spec->expires_in_s);
    enum lh_code code = lake_change_begin(call->lake, &event, false, &change, err);
    if (!code) {
        code = access_keys_create(lake_keys(call->lake), spec, call->arena, ret, ret_text, err);
        lake_change_end(call->lake, &change, code, &event);
    }
    lh_wipe(text, sizeof(text));
    spec->text = (struct lh_str){0};
    return code;
}

static enum lh_code run_create(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct create_args *args = raw;
    struct access_key_spec spec = {
        .name = args->name,
        .role = args->role,
        .expires_in_s = args->expires_in_s,
        .actor = call->principal->id,
    };
    struct access_key about;
    struct created created = {.about = &about};
    enum lh_code code = create_key(call, &spec, &about, &created.key, err);
    if (!code)
        reply->location = lh_arena_printf(call->arena, "/access/keys/%.*s", LH_ARG(about.id));
    return code ? code : op_reply_record(reply, &created, err);
}

static const struct op_example create_examples[] = {
    {"A key for reports, for 90 days",
     "{\"name\": \"reports\", \"role\": \"reader\", \"expires_in_s\": 7776000}", NULL},
};

const struct op op_keys_create = {
    .name = "keys.create",
    .summary = "Make a key.",
    .description = "The key is in the reply and nowhere else: what is kept is a sum of it.",
    .http = {OP_POST, "/access/keys"},
    .effect = OP_WRITE,
    .permission = "access.write",
    .body = OP_BODY_JSON,
    .fields = &create_fields,
    .kind = OP_RECORD,
    .result = &created_fields,
    .status = 201,
    .is_secret = true,
    .errors = OP_ERRORS(LH_EXISTS, LH_TOO_LARGE, LH_CONFLICT),
    OP_EXAMPLES(create_examples),
    .run = run_create,
};

/* --- DELETE /access/keys/{id} */

struct revoke_args {
    struct lh_str id;
};
static const struct lh_field revoke_rows[] = {
    LH_STR(struct revoke_args, id, .required = true, .positional = true, .min = 1, .max = 64,
           .doc = "The key's id."),
};
static const struct lh_fields revoke_fields =
    LH_FIELDS_OF(struct revoke_args, "AccessKeyRevokeArgs", revoke_rows);

static enum lh_code run_revoke(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct revoke_args *args = raw;
    struct access_key shown;
    struct lake_change change = {0};
    enum lh_code code = access_keys_get(lake_keys(call->lake), args->id, call->arena, &shown, err);
    if (code)
        return code;
    struct journal_event event = op_event(call, "key.revoke", shown.name);
    event.detail = lh_arena_printf(call->arena, "{\"key_id\":\"%.*s\"}", LH_ARG(shown.id));
    if (!shown.revoked_at.unix_ms)
        code = lake_change_begin(call->lake, &event, true, &change, err);
    if (!code) {
        code = access_keys_revoke(lake_keys(call->lake), args->id, call->principal->id, err);
        lake_change_end(call->lake, &change, code, &event);
    }
    if (!code)
        code = access_keys_get(lake_keys(call->lake), args->id, call->arena, &shown, err);
    return code ? code : op_reply_record(reply, &shown, err);
}

const struct op op_keys_revoke = {
    .name = "keys.revoke",
    .summary = "Take a key back, for good, from the next request on.",
    .description = "When no administrator's key is left, the next start makes one anew.",
    .http = {OP_DELETE, "/access/keys/{id}"},
    .effect = OP_WRITE,
    .permission = "access.write",
    .fields = &revoke_fields,
    .kind = OP_RECORD,
    .result = &access_key_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND),
    .run = run_revoke,
};
