/* The table of operations as documents: OpenAPI 3.1, and the pages of docs/.
 *
 * Made from the rows alone, so that they cannot drift; deterministic, byte for byte.
 */
#ifndef LAKEHOUSE_OPS_DESCRIBE_H
#define LAKEHOUSE_OPS_DESCRIBE_H

#include "ops/op.h"

#define OP_OPENAPI_BYTES_MAX ((size_t)16 << 20)

enum lh_code op_write_openapi(const struct op *const *ops, size_t op_count, struct lh_buf *buf,
                              struct lh_error *err) LH_MUST_USE;
enum lh_code op_write_operations_page(const struct op *const *ops, size_t op_count,
                                      struct lh_buf *buf, struct lh_error *err) LH_MUST_USE;
enum lh_code op_write_errors_page(struct lh_buf *buf, struct lh_error *err) LH_MUST_USE;

/* "catalog" of /catalog/datasets: how operations are grouped in documents. */
struct lh_str op_group(const struct op *op);

#endif
