#include "support/op_house_columns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "catalog/catalog.h"
#include "catalog/dataset.h"

void op_house_add_column(struct op_house *house, const char *dataset, const char *name)
{
    struct lh_error err = LH_ERROR_NONE;
    struct catalog_commit_result committed;
    const struct catalog_dataset *t = NULL;
    struct catalog *catalog = lake_catalog(house->lake);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    assert_int_equal(catalog_find(snapshot, lh_str_of(dataset), &t, &err), LH_OK);
    struct catalog_column columns[3] = {t->columns[0], t->columns[1], t->columns[1]};
    columns[2].name = lh_str_of(name);
    columns[2].stored_name = catalog_stored_name(columns[2].name, house->arena);
    const struct catalog_change evolve = {.action = CATALOG_UPDATE,
                                          .dataset_id = t->id,
                                          .set_bits = CATALOG_SET_COLUMNS,
                                          .set = {.columns = columns, .column_count = 3}};
    assert_int_equal(catalog_commit(catalog, &evolve, house->arena, &committed, &err), LH_OK);
    catalog_snapshot_unref(snapshot);
}
