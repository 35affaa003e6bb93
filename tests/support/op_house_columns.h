/* Columns that a dataset gets later, by a commit of the schema alone. */
#ifndef LAKEHOUSE_SUPPORT_OP_HOUSE_COLUMNS_H
#define LAKEHOUSE_SUPPORT_OP_HOUSE_COLUMNS_H

#include "support/op_house.h"

/* To a dataset of two columns a third one, of the second one's type. */
void op_house_add_column(struct op_house *house, const char *dataset, const char *name);

#endif
