/* The offline verifier of job records: that every job which was accepted can be run or has an end
 * that can be read, over a lake that nobody writes. Reads only. */
#ifndef LAKEHOUSE_JOBS_VERIFY_H
#define LAKEHOUSE_JOBS_VERIFY_H

#include "base/error.h"

struct storage;
struct storage_findings;

/* *ret_count is how many jobs were looked at. LH_OK unless the folder could not be looked at. */
enum lh_code jobs_verify(struct storage *storage, struct storage_findings *findings,
                         int64_t *ret_count, struct lh_error *err) LH_MUST_USE;

#endif
