/* Whether there is room for what is about to be written: asked before the first byte is, so that
 * nobody waits for an hour to be told so. */
#include "storage/backup_internal.h"

#define LEFT_BYTES ((int64_t)4 << 20) /* stay free for all else */

enum lh_code room_check(struct lh_dir *dir, int64_t bytes, const char *what, struct lh_error *err)
{
    int64_t free_bytes = 0, needed = bytes + LEFT_BYTES;
    enum lh_code code = bytes ? lh_dir_free_bytes(dir, &free_bytes, err) : LH_OK;
    if (code || !bytes || free_bytes >= needed)
        return code;
    return lh_fail(err, LH_FULL,
                   "Only %lld MB are free where '%.*s' lies; %s needs about %lld MB there.",
                   (long long)(free_bytes >> 20), LH_ARG(lh_dir_path(dir)), what,
                   (long long)((needed + (1 << 20) - 1) >> 20));
}
