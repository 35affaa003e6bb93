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
};

const struct access_permission access_permissions[] = {
    {"public", 0, "Answers everybody, without a key too: health and the description of the API."},
    {"system.read", BIT_SYSTEM_READ, "Read the server's figures, versions and limits."},
    {"catalog.read", BIT_CATALOG_READ, "List datasets and read their descriptions and versions."},
    {"catalog.write", BIT_CATALOG_WRITE, "Describe, rename and delete datasets."},
    {"ingest", BIT_INGEST, "Bring rows in: make datasets, replace them, append to them."},
    {"query", BIT_QUERY, "Run SQL over the datasets that the caller may see."},
    {"jobs.read", BIT_JOBS_READ, "List jobs and follow them."},
    {"jobs.write", BIT_JOBS_WRITE, "Cancel jobs."},
};
const size_t access_permission_count = sizeof(access_permissions) / sizeof(access_permissions[0]);

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
    if (!principal)
        return lh_fail(err, LH_UNAUTHENTICATED, "This needs a key with the permission '%s'.",
                       row->name);
    if (principal->permissions & row->bit)
        return LH_OK;
    lh_fail(err, LH_FORBIDDEN, "The role '%.*s' does not have the permission '%s'.",
            LH_ARG(principal->role), row->name);
    return lh_error_hint(err, "Ask an administrator for a key whose role has it.");
}
