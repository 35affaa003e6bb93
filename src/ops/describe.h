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

/* Words that the documents share. */
const char *op_method_name(enum op_method method);      /* "GET" */
const char *op_type_name(const struct lh_field *field); /* "integer" */
void op_put_limits(struct lh_buf *buf, const struct lh_field *field);
void op_put_choices(struct lh_buf *buf, const struct lh_field *field); /* nothing: any value */
const char *op_group_doc(struct lh_str group); /* what a group is about; NULL = not said */

/* A row's path as documents show it: "{*key}" is "{key}", for they have no word for the rest. */
#define OP_PATH_BYTES_MAX 256
void op_shown_path(const struct op *op, char ret[OP_PATH_BYTES_MAX]);

/* "catalog" of /catalog/datasets: how operations are grouped in documents. */
struct lh_str op_group(const struct op *op);

#endif
