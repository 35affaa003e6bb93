/* Keys: how callers are known when authentication is on.
 *
 *   lh_<id>_<secret>     id: 16 hexadecimal digits, secret: 64 (32 random bytes)
 *
 * A key is shown once, when it is made; kept is the SHA-256 of its secret. (A slow hash protects
 * what people choose; 256 random bits need none, and every request pays for it.) What stands in
 * storage is write-once: `_access/keys/<id>.json`, and `<id>.revoked.json` beside it when the key
 * was taken back. Names are unique among the keys that are in force, and are who the caller is.
 *
 * Threads: any thread may call anything; `find` takes a read lock for a look-up in memory, `create`
 * and `revoke` write to the disk and are durable when they return.
 */
#ifndef LAKEHOUSE_ACCESS_KEYS_H
#define LAKEHOUSE_ACCESS_KEYS_H

#include "access/access.h"
#include "base/field.h"

struct storage;
struct storage_findings;
struct access_keys; /* opaque; made by access_keys_open, ended by access_keys_close */

#define ACCESS_KEYS_MAX 10000
#define ACCESS_KEY_NAME_BYTES_MAX 63
#define ACCESS_KEY_ID_BYTES 16
#define ACCESS_KEY_ID_AT 3  /* where it stands in the text */
#define ACCESS_KEY_BYTES 84 /* of the whole text that callers send */

/* Reads all keys. Storage is borrowed, and open for writing. A record that cannot be read opens
 * nothing, and access_keys_damaged counts it; a revocation counts by being there. */
enum lh_code access_keys_open(struct storage *storage, struct access_keys **ret,
                              struct lh_error *err) LH_MUST_USE;
void access_keys_close(struct access_keys *keys); /* NULL is fine */
size_t access_keys_damaged(const struct access_keys *keys);

/* What is shown of a key: never its secret, nor the sum of it. */
struct access_key {
    struct lh_str id;
    struct lh_str name;
    struct lh_str role;
    int state; /* index into access_key_states */
    struct lh_time created_at;
    struct lh_str created_by;
    struct lh_time expires_at; /* 0 = never */
    struct lh_time revoked_at; /* 0 = it is not */
    struct lh_str revoked_by;
};
extern const struct lh_fields access_key_fields;
extern const char *const access_key_states[]; /* active, expired, revoked; NULL-ended */

/* A fresh key's text, which opens nothing until access_keys_create takes it. */
void access_key_generate(char ret[ACCESS_KEY_BYTES + 1]);

struct access_key_spec {
    struct lh_str name;
    struct lh_str role;   /* of access_roles */
    int64_t expires_in_s; /* 0 = never */
    struct lh_str actor;  /* who makes it */
    struct lh_str text;   /* from access_key_generate; absent = a fresh one */
};

/* Makes a key. *ret_text is the only copy there will ever be; text lives in `arena`. LH_INVALID: no
 * such role, or a name of other characters; LH_EXISTS: the name is taken by a key in force;
 * LH_TOO_LARGE: there are ACCESS_KEYS_MAX keys; LH_IO, LH_FULL: there is no new key. */
enum lh_code access_keys_create(struct access_keys *keys, const struct access_key_spec *spec,
                                struct lh_arena *arena, struct access_key *ret,
                                struct lh_str *ret_text, struct lh_error *err) LH_MUST_USE;

/* Takes a key back, for good, in the next request. Revoking twice is fine. LH_NOT_FOUND. */
enum lh_code access_keys_revoke(struct access_keys *keys, struct lh_str id, struct lh_str actor,
                                struct lh_error *err) LH_MUST_USE;

/* In the order of their ids, those behind `after` (absent = from the first); *ret_next absent at
 * the end. Copied into `arena`. */
void access_keys_list(struct access_keys *keys, struct lh_str after, size_t limit,
                      struct lh_arena *arena, struct access_key **ret, size_t *ret_count,
                      struct lh_str *ret_next);
/* LH_NOT_FOUND. */
enum lh_code access_keys_get(struct access_keys *keys, struct lh_str id, struct lh_arena *arena,
                             struct access_key *ret, struct lh_error *err) LH_MUST_USE;

/* Who sends this text; strings of *ret are copied into `arena`. LH_UNAUTHENTICATED: no such key
 * (whatever is wrong with it, in the same words and time), or, for one that proved its secret, that
 * it has expired or was revoked. */
enum lh_code access_keys_find(struct access_keys *keys, struct lh_str text, struct lh_arena *arena,
                              struct principal *ret, struct lh_error *err) LH_MUST_USE;

/* True if a key of the role admin is in force. */
bool access_keys_has_admin(struct access_keys *keys);

/* --- offline */

/* Looks at every record of a lake that nobody has open, and changes nothing; *ret_count is how many
 * keys there are, revoked ones included. Findings are the result, not a failure. */
enum lh_code access_keys_verify(struct storage *storage, struct storage_findings *findings,
                                int64_t *ret_count, struct lh_error *err) LH_MUST_USE;

#endif
