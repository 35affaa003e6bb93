#include "access/access.h"

#define ALL_PERMISSIONS UINT64_MAX

enum {
    BIT_SYSTEM_READ = 1 << 0,
    BIT_CATALOG_READ = 1 << 1,
    BIT_CATALOG_WRITE = 1 << 2,
    BIT_INGEST = 1 << 3,
    BIT_QUERY = 1 << 4,
    BIT_JOBS_READ = 1 << 5,
    BIT_JOBS_WRITE = 1 << 6,
    BIT_ACCESS_WRITE = 1 << 7,
    BIT_SEARCH_READ = 1 << 8,
    BIT_SEARCH_WRITE = 1 << 9,
    BIT_STORAGE_READ = 1 << 10,
    BIT_STORAGE_WRITE = 1 << 11,
    BIT_QUERY_SAVE = 1 << 12,
    BIT_JOURNAL_READ = 1 << 13,
    BIT_JOURNAL_WRITE = 1 << 14,
    BIT_PROFILE_WRITE = 1 << 15,
    BIT_SYSTEM_BACKUP = 1 << 24,
    BIT_STORAGE_MANAGE = 1 << 20,
};

const struct access_permission access_permissions[] = {
    {"public", 0, "Answers everybody, without a key too: health and the description of the API."},
    {"system.read", BIT_SYSTEM_READ, "Read the server's figures, versions and limits."},
    {"system.backup", BIT_SYSTEM_BACKUP,
     "Copy the whole lake to a folder of the server's machine."},
    {"catalog.read", BIT_CATALOG_READ, "List datasets and read their descriptions and versions."},
    {"catalog.write", BIT_CATALOG_WRITE, "Describe, rename and delete datasets."},
    {"ingest", BIT_INGEST, "Bring rows in: make datasets, replace them, append to them."},
    {"query", BIT_QUERY, "Run SQL over the datasets that the caller may see."},
    {"query.save", BIT_QUERY_SAVE, "Save queries under a name, replace and delete them."},
    {"search.read", BIT_SEARCH_READ, "Search in indexes, list them, read what they hold."},
    {"search.write", BIT_SEARCH_WRITE, "Make, refresh and remove indexes."},
    {"profile.write", BIT_PROFILE_WRITE, "Make, delete, activate and deactivate model profiles."},
    {"storage.read", BIT_STORAGE_READ, "List and read objects."},
    {"storage.write", BIT_STORAGE_WRITE, "Put and delete objects."},
    {"storage.manage", BIT_STORAGE_MANAGE, "Add and remove buckets, and see where they are."},
    {"jobs.read", BIT_JOBS_READ, "List jobs and follow them."},
    {"jobs.write", BIT_JOBS_WRITE, "Cancel jobs."},
    {"journal.read", BIT_JOURNAL_READ, "Read the journal: what everybody did, and to what."},
    {"journal.write", BIT_JOURNAL_WRITE, "Report events to the journal, and flush it."},
    {"access.write", BIT_ACCESS_WRITE, "Make, list and revoke keys."},
};
const size_t access_permission_count = sizeof(access_permissions) / sizeof(access_permissions[0]);

/* Deny by default: a permission that a role does not list is the administrators' alone. */
const struct access_role access_roles[] = {
    {"admin", ALL_PERMISSIONS, true, "Everything, keys included."},
    {"reader",
     BIT_SYSTEM_READ | BIT_CATALOG_READ | BIT_QUERY | BIT_JOBS_READ | BIT_SEARCH_READ |
         BIT_STORAGE_READ,
     true, "Read everything and ask it in SQL; change nothing."},
    {"agent", 0, false,
     "For programs that may see safe views only: until those run in a process of their own, what "
     "needs no key, and nothing else."},
};
const size_t access_role_count = sizeof(access_roles) / sizeof(access_roles[0]);

const struct access_role *access_role_find(struct lh_str name)
{
    for (size_t i = 0; i < access_role_count; i++)
        if (lh_str_equal(lh_str_of(access_roles[i].name), name))
            return &access_roles[i];
    return NULL;
}

enum lh_code access_lower(const struct principal *principal, struct lh_str role,
                          struct principal *ret, struct lh_error *err)
{
    const struct access_role *row = access_role_find(role);
    if (!row) {
        lh_fail(err, LH_INVALID, "There is no role '%.*s'.", LH_ARG(lh_str_head(role, 64)));
        return lh_error_hint(err, "The roles are admin, reader and agent.");
    }
    if (row->permissions & ~principal->permissions) {
        lh_fail(err, LH_FORBIDDEN, "The role '%s' may more than '%.*s', which is yours.", row->name,
                LH_ARG(principal->role));
        return lh_error_hint(err, "X-Lakehouse-Role lowers a caller and never raises one.");
    }
    *ret = *principal;
    ret->role = lh_str_of(row->name);
    ret->permissions = row->permissions;
    ret->is_unmasked = row->is_unmasked;
    return LH_OK;
}

const struct access_permission *access_permission_find(const char *name)
{
    if (!name)
        return NULL;
    for (size_t i = 0; i < access_permission_count; i++)
        if (strcmp(access_permissions[i].name, name) == 0)
            return &access_permissions[i];
    return NULL;
}

const struct principal *access_local_admin(void)
{
    static const struct principal local_admin = {
        .id = LH_LIT("local-admin"),
        .role = LH_LIT("admin"),
        .permissions = ALL_PERMISSIONS,
        .is_unmasked = true,
    };
    return &local_admin;
}

enum lh_code access_check(const struct principal *principal, const char *permission,
                          struct lh_error *err)
{
    const struct access_permission *row = access_permission_find(permission);
    if (!row)
        return lh_fail(err, LH_INTERNAL, "There is no permission '%s'.",
                       permission ? permission : "");
    if (row->bit == 0)
        return LH_OK;
    if (!principal) {
        lh_fail(err, LH_UNAUTHENTICATED, "This needs a key with the permission '%s'.", row->name);
        return lh_error_hint(err, "Send it as X-API-Key or as Authorization: Bearer; the command "
                                  "line takes it from LAKEHOUSE_KEY. An administrator makes keys "
                                  "with `lakehouse keys create`.");
    }
    if (principal->permissions & row->bit)
        return LH_OK;
    lh_fail(err, LH_FORBIDDEN, "The role '%.*s' does not have the permission '%s'.",
            LH_ARG(principal->role), row->name);
    return lh_error_hint(err, "Ask an administrator for a key whose role has it.");
}
