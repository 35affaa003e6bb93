/* Which reads of this thread were rescued: whoever answers a request says so, and it is far from
 * where the bytes are. */
#include "storage/cache.h"

struct rescued {
    bool is_used;
    char bucket[STORAGE_BUCKET_NAME_BYTES_MAX + 1];
    char reason[STORAGE_RESCUE_REASON_BYTES];
};

static _Thread_local struct rescued rescued;

void storage_rescue_forget(void)
{
    rescued.is_used = false;
}

bool rescue_may_help(enum lh_code code)
{
    return code == LH_IO || code == LH_NOT_FOUND || code == LH_DAMAGED || code == LH_TIMEOUT;
}

static void copy_text(struct lh_str text, char *ret, size_t size)
{
    struct lh_str head = lh_str_head(text, size - 1);
    memcpy(ret, head.data, head.len);
    ret[head.len] = '\0';
}

void storage_rescue_note(struct lh_str bucket, struct lh_str reason)
{
    if (rescued.is_used)
        return; /* the first one is told */
    rescued.is_used = true;
    copy_text(bucket, rescued.bucket, sizeof rescued.bucket);
    copy_text(reason, rescued.reason, sizeof rescued.reason);
}

bool storage_rescue_used(struct lh_str *ret_bucket, struct lh_str *ret_reason)
{
    *ret_bucket = lh_str_of(rescued.bucket);
    *ret_reason = lh_str_of(rescued.reason);
    return rescued.is_used;
}

static bool has_bytes(int fd, const struct storage_sum *expected)
{
    struct storage_sum sum;
    return !lh_sha256_of_file(fd, NULL, sum.sha256, &sum.bytes, NULL) &&
           sum.bytes == expected->bytes &&
           memcmp(sum.sha256, expected->sha256, sizeof sum.sha256) == 0;
}

enum lh_code storage_open_rescued(struct storage *storage, struct lh_str bucket, struct lh_str key,
                                  const struct storage_sum *expected, enum lh_code reason,
                                  int *ret_fd)
{
    struct storage_bucket *rescue = NULL;
    struct key_text text;
    int fd = -1;
    if (!storage->rescue.len || lh_str_equal(storage->rescue, bucket) ||
        storage_bucket_find(storage, storage->rescue, &rescue, NULL) || key_copy(key, &text, NULL))
        return LH_NOT_FOUND;
    if (rescue->backend->open_file(rescue, text.text, &fd, NULL) || !has_bytes(fd, expected)) {
        lh_file_abandon(fd);
        return LH_NOT_FOUND;
    }
    storage_rescue_note(bucket, lh_str_of(lh_error_row(reason)->id));
    *ret_fd = fd;
    return LH_OK;
}
