/* Which reads of this thread were rescued: whoever answers a request says so, and it is far from
 * where the bytes are. */
#include "storage/internal.h"

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
