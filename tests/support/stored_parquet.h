/* Parquet objects of primary, as somebody puts them who made them elsewhere. */
#ifndef LAKEHOUSE_TESTS_SUPPORT_STORED_PARQUET_H
#define LAKEHOUSE_TESTS_SUPPORT_STORED_PARQUET_H

#include "support/op_house.h"

/* Puts what the statement returns under the key. */
void stored_parquet_put(struct op_house *house, const char *key, const char *sql);
/* The same without the file's last bytes. */
void stored_parquet_cut(struct op_house *house, const char *key, const char *sql);

#endif
