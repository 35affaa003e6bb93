/* Between data_file.c and data_file_join.c. Never leaves the folder. */
#ifndef LAKEHOUSE_CATALOG_DATA_FILE_JOINED_H
#define LAKEHOUSE_CATALOG_DATA_FILE_JOINED_H

#include "catalog/data_file.h"

/* *ret_is_same = false: what is there is not what was written. */
enum lh_code data_file_joined_seal(struct data_file *file, struct engine_connection *connection,
                                   const struct lh_cancel *cancel, bool *ret_is_same,
                                   struct lh_error *err) LH_MUST_USE;
void data_file_joined_free(struct data_file_joined *joined); /* NULL is fine */

#endif
