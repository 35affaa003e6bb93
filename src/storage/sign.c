#include "storage/sign.h"

#include <ctype.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/secret.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define TEXT_BYTES_MAX ((size_t)1 << 20)
#define TIME_BYTES 17 /* 20130524T000000Z and a NUL */
#define DAY_BYTES 8
#define START "AWS4"

static void append_encoded(struct lh_buf *buf, struct lh_str text, bool keeps_slashes)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool is_plain = c < 0x80 && (isalnum(c) || c == '-' || c == '.' || c == '_' || c == '~' ||
                                     (keeps_slashes && c == '/'));
        if (is_plain)
            lh_buf_append(buf, &text.data[i], 1);
        else
            lh_buf_printf(buf, "%%%02X", c);
    }
}

struct lh_str sign_encode(struct lh_str text, bool keeps_slashes, struct lh_arena *arena)
{
    struct lh_buf buf;
    lh_buf_init(&buf, TEXT_BYTES_MAX);
    append_encoded(&buf, text, keeps_slashes);
    struct lh_str encoded = lh_arena_str(arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return encoded;
}

static int compare_pairs(const void *a, const void *b)
{
    const struct http_pair *x = a, *y = b;
    int order = lh_str_compare(x->name, y->name);
    return order ? order : lh_str_compare(x->value, y->value);
}

/* Encoded first, then sorted: that is the order of the algorithm. */
static struct http_pair *encode_pairs(const struct http_pair *query, size_t count,
                                      struct lh_arena *arena)
{
    struct http_pair *pairs = lh_arena_array(arena, count + 1, sizeof *pairs);
    for (size_t i = 0; i < count; i++)
        pairs[i] = (struct http_pair){sign_encode(query[i].name, false, arena),
                                      sign_encode(query[i].value, false, arena)};
    if (count)
        qsort(pairs, count, sizeof *pairs, compare_pairs);
    return pairs;
}

struct lh_str sign_encode_query(const struct http_pair *query, size_t count, struct lh_arena *arena)
{
    struct lh_buf buf;
    const struct http_pair *pairs = encode_pairs(query, count, arena);
    lh_buf_init(&buf, TEXT_BYTES_MAX);
    for (size_t i = 0; i < count; i++)
        lh_buf_printf(&buf, "%s%.*s=%.*s", i ? "&" : "", LH_ARG(pairs[i].name),
                      LH_ARG(pairs[i].value));
    struct lh_str text = lh_arena_str(arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return text;
}

/* --- the canonical request */

static struct lh_str lower_case(struct lh_str text, struct lh_arena *arena)
{
    char *copy = lh_arena_alloc(arena, text.len + 1);
    for (size_t i = 0; i < text.len; i++)
        copy[i] = (char)tolower((unsigned char)text.data[i]);
    copy[text.len] = '\0';
    return (struct lh_str){copy, text.len};
}

/* Without spaces around, and with one instead of several inside. */
static struct lh_str squeeze(struct lh_str text, struct lh_arena *arena)
{
    text = lh_str_trim(text);
    char *copy = lh_arena_alloc(arena, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] != ' ' || !len || copy[len - 1] != ' ')
            copy[len++] = text.data[i];
    copy[len] = '\0';
    return (struct lh_str){copy, len};
}

struct signing {
    const struct sign_request *request;
    struct lh_arena *arena;
    char time[TIME_BYTES];
    struct lh_str scope;
    struct http_pair headers[SIGN_HEADERS_MAX]; /* canonical */
    size_t header_count;
    struct lh_str signed_names;
};

static void add_header(struct signing *signing, struct lh_str name, struct lh_str value)
{
    if (signing->header_count < SIGN_HEADERS_MAX)
        signing->headers[signing->header_count++] =
            (struct http_pair){lower_case(name, signing->arena), squeeze(value, signing->arena)};
}

static void begin(struct signing *signing, const struct sign_request *request,
                  struct lh_arena *arena)
{
    time_t seconds = (time_t)(request->unix_ms / 1000);
    struct tm parts;
    *signing = (struct signing){.request = request, .arena = arena};
    gmtime_r(&seconds, &parts);
    if (strftime(signing->time, sizeof signing->time, "%Y%m%dT%H%M%SZ", &parts) == 0)
        signing->time[0] = '\0';
    signing->scope = lh_arena_printf(arena, "%.*s/%.*s/%.*s/aws4_request", DAY_BYTES, signing->time,
                                     LH_ARG(request->region), LH_ARG(request->service));
    add_header(signing, lh_lit("host"), request->host);
    for (size_t i = 0; i < request->header_count; i++)
        add_header(signing, request->headers[i].name, request->headers[i].value);
}

static void settle_headers(struct signing *signing)
{
    struct lh_buf names;
    lh_buf_init(&names, TEXT_BYTES_MAX);
    qsort(signing->headers, signing->header_count, sizeof *signing->headers, compare_pairs);
    for (size_t i = 0; i < signing->header_count; i++)
        lh_buf_printf(&names, "%s%.*s", i ? ";" : "", LH_ARG(signing->headers[i].name));
    signing->signed_names = lh_arena_str(signing->arena, lh_buf_str(&names));
    lh_buf_release(&names);
}

static void hash_hex(struct lh_str text, char ret[LH_SHA256_HEX_BYTES + 1])
{
    uint8_t sum[LH_SHA256_BYTES];
    lh_sha256_of(text, sum);
    lh_hex(sum, sizeof sum, ret);
}

static void canonical_hash(const struct signing *signing, struct lh_str query,
                           struct lh_str payload_hash, char ret[LH_SHA256_HEX_BYTES + 1])
{
    struct lh_buf buf;
    lh_buf_init(&buf, TEXT_BYTES_MAX);
    lh_buf_printf(&buf, "%s\n", signing->request->method);
    append_encoded(&buf, signing->request->path, true);
    lh_buf_printf(&buf, "\n%.*s\n", LH_ARG(query));
    for (size_t i = 0; i < signing->header_count; i++)
        lh_buf_printf(&buf, "%.*s:%.*s\n", LH_ARG(signing->headers[i].name),
                      LH_ARG(signing->headers[i].value));
    lh_buf_printf(&buf, "\n%.*s\n%.*s", LH_ARG(signing->signed_names), LH_ARG(payload_hash));
    hash_hex(lh_buf_str(&buf), ret);
    lh_buf_release(&buf);
}

/* --- the signature */

static void chain(const uint8_t key[LH_SHA256_BYTES], struct lh_str text,
                  uint8_t ret[LH_SHA256_BYTES])
{
    lh_hmac_sha256((struct lh_str){(const char *)key, LH_SHA256_BYTES}, text, ret);
}

static struct lh_str signature(const struct signing *signing, const char *canonical)
{
    const struct sign_request *request = signing->request;
    uint8_t key[LH_SHA256_BYTES], sum[LH_SHA256_BYTES];
    char hex[LH_SHA256_HEX_BYTES + 1];
    char first[sizeof START + SIGN_SECRET_BYTES_MAX] = START;
    size_t secret_len = request->keys.secret_key.len;
    if (secret_len > SIGN_SECRET_BYTES_MAX)
        secret_len = SIGN_SECRET_BYTES_MAX; /* no store gives such a one: it will be refused */
    if (secret_len)
        memcpy(first + sizeof START - 1, request->keys.secret_key.data, secret_len);
    lh_hmac_sha256((struct lh_str){first, sizeof START - 1 + secret_len},
                   (struct lh_str){signing->time, DAY_BYTES}, key);
    lh_wipe(first, sizeof first);
    chain(key, request->region, key);
    chain(key, request->service, key);
    chain(key, lh_lit("aws4_request"), key);
    struct lh_str text = lh_arena_printf(signing->arena, ALGORITHM "\n%s\n%.*s\n%s", signing->time,
                                         LH_ARG(signing->scope), canonical);
    chain(key, text, sum);
    lh_wipe(key, sizeof key);
    lh_hex(sum, sizeof sum, hex);
    return lh_arena_str(signing->arena, lh_str_of(hex));
}

size_t sign_headers(const struct sign_request *request, struct lh_arena *arena,
                    struct http_pair *ret)
{
    struct signing signing;
    char canonical[LH_SHA256_HEX_BYTES + 1];
    size_t count = 0;
    begin(&signing, request, arena);
    ret[count++] =
        (struct http_pair){lh_lit("X-Amz-Date"), lh_arena_str(arena, lh_str_of(signing.time))};
    if (request->payload_hash.len)
        ret[count++] = (struct http_pair){lh_lit("X-Amz-Content-Sha256"), request->payload_hash};
    if (request->keys.session_token.len)
        ret[count++] =
            (struct http_pair){lh_lit("X-Amz-Security-Token"), request->keys.session_token};
    for (size_t i = 0; i < count; i++)
        add_header(&signing, ret[i].name, ret[i].value);
    settle_headers(&signing);
    canonical_hash(&signing, sign_encode_query(request->query, request->query_count, arena),
                   request->payload_hash.len ? request->payload_hash : lh_lit(SIGN_EMPTY),
                   canonical);
    ret[count++] = (struct http_pair){
        lh_lit("Authorization"),
        lh_arena_printf(arena,
                        ALGORITHM " Credential=%.*s/%.*s, SignedHeaders=%.*s, Signature=%.*s",
                        LH_ARG(request->keys.access_key), LH_ARG(signing.scope),
                        LH_ARG(signing.signed_names), LH_ARG(signature(&signing, canonical)))};
    return count;
}

#define QUERY_PAIRS_MAX 6 /* that signing adds */

struct lh_str sign_query(const struct sign_request *request, int64_t expires_s,
                         struct lh_arena *arena)
{
    struct signing signing;
    char canonical[LH_SHA256_HEX_BYTES + 1];
    size_t count = request->query_count;
    struct http_pair *pairs = lh_arena_array(arena, count + QUERY_PAIRS_MAX, sizeof *pairs);
    if (count)
        memcpy(pairs, request->query, count * sizeof *pairs);
    begin(&signing, request, arena);
    settle_headers(&signing);
    pairs[count++] = (struct http_pair){lh_lit("X-Amz-Algorithm"), lh_lit(ALGORITHM)};
    pairs[count++] =
        (struct http_pair){lh_lit("X-Amz-Credential"),
                           lh_arena_printf(arena, "%.*s/%.*s", LH_ARG(request->keys.access_key),
                                           LH_ARG(signing.scope))};
    pairs[count++] =
        (struct http_pair){lh_lit("X-Amz-Date"), lh_arena_str(arena, lh_str_of(signing.time))};
    pairs[count++] = (struct http_pair){lh_lit("X-Amz-Expires"),
                                        lh_arena_printf(arena, "%lld", (long long)expires_s)};
    if (request->keys.session_token.len)
        pairs[count++] =
            (struct http_pair){lh_lit("X-Amz-Security-Token"), request->keys.session_token};
    pairs[count++] = (struct http_pair){lh_lit("X-Amz-SignedHeaders"), signing.signed_names};
    struct lh_str query = sign_encode_query(pairs, count, arena);
    canonical_hash(&signing, query,
                   request->payload_hash.len ? request->payload_hash : lh_lit(SIGN_UNSIGNED),
                   canonical);
    return lh_arena_printf(arena, "%.*s&X-Amz-Signature=%.*s", LH_ARG(query),
                           LH_ARG(signature(&signing, canonical)));
}
