/* Who calls, and what they may do: principals, roles, permissions, and the one question that is
 * asked about them.
 *
 * A permission is a row of access_permissions; an operation names one. A role is a row of
 * access_roles: what is not listed there only administrators may. The runner of operations is the
 * only caller of access_check, but for doors that ask early so that a refused upload is not read.
 * Without authentication the only principal is the local administrator, and the server then listens
 * on loopback addresses only; with it, keys.h says who calls.
 *
 * Threads: everything here is constant; any thread may read it. Nothing blocks.
 */
#ifndef LAKEHOUSE_ACCESS_ACCESS_H
#define LAKEHOUSE_ACCESS_ACCESS_H

#include "base/error.h"

struct access_permission {
    const char *name; /* as operations name it: "query" */
    uint64_t bit;     /* 0: everybody has it, without a key too */
    const char *doc;  /* one sentence: what it allows */
};

/* All permissions, in the order of the docs. */
extern const struct access_permission access_permissions[];
extern const size_t access_permission_count;

/* The row of a name; NULL if there is none (NULL and "" included). */
const struct access_permission *access_permission_find(const char *name);

struct access_role {
    const char *name;     /* "reader" */
    uint64_t permissions; /* bits of access_permissions */
    bool is_unmasked;     /* sees every column and row: its SQL may run in the server */
    const char *doc;      /* one sentence: for whom it is */
};

/* All roles, the strongest first. */
extern const struct access_role access_roles[];
extern const size_t access_role_count;

const struct access_role *access_role_find(struct lh_str name); /* NULL: none */

struct principal {
    struct lh_str id;     /* who: "local-admin", the name of a key */
    struct lh_str key_id; /* of the key that was used; absent = none */
    struct lh_str role;
    uint64_t permissions; /* bits of access_permissions */
    bool is_unmasked;     /* as its role says */
};

/* The caller of a server without authentication, and of the command line on a folder. */
const struct principal *access_local_admin(void);

/* The same caller in another role for one request: lowered, never raised. LH_INVALID: no such role;
 * LH_FORBIDDEN: it may more than the caller. */
enum lh_code access_lower(const struct principal *principal, struct lh_str role,
                          struct principal *ret, struct lh_error *err) LH_MUST_USE;

/* LH_OK if `principal` holds the permission of that name. LH_UNAUTHENTICATED: there is no principal
 * (NULL). LH_FORBIDDEN names the role and the permission. LH_INTERNAL: no such permission; nobody
 * has it. */
enum lh_code access_check(const struct principal *principal, const char *permission,
                          struct lh_error *err) LH_MUST_USE;

#endif
