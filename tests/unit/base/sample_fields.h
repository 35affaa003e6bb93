/* A table with a row of every type, for the tests of the field tables. */
#ifndef LAKEHOUSE_TESTS_SAMPLE_FIELDS_H
#define LAKEHOUSE_TESTS_SAMPLE_FIELDS_H

#include "base/field.h"

struct sample_item {
    struct lh_str name;
    int64_t weight;
};

static const struct lh_field sample_item_rows[] = {
    LH_STR(struct sample_item, name, .required = true, .min = 1, .max = 8, .doc = "Its name."),
    LH_INT(struct sample_item, weight, .required = true),
};
static const struct lh_fields sample_item_fields =
    LH_FIELDS_OF(struct sample_item, "SampleItem", sample_item_rows);

static const char *const sample_kinds[] = {"json", "csv", "arrow", NULL};

struct sample {
    struct lh_str sql;
    struct lh_str label;
    int64_t limit;
    int64_t offset;
    struct lh_opt_int version;
    bool is_dry;
    double share;
    int kind;
    struct lh_time since;
    struct lh_str_list columns;
    struct lh_json_value options;
    const struct sample_item *first;
    struct lh_list items;
    struct lh_int_map counts;
    struct lh_upload file;
};

static const struct lh_field sample_rows[] = {
    LH_STR(struct sample, sql, .required = true, .max = 20, .positional = true, .doc = "A text."),
    LH_STR(struct sample, label, .format = "uuid", .nullable = true, LH_PRESET_STR("none")),
    LH_INT(struct sample, limit, .min = 1, .max = 10000000, LH_PRESET(100), .doc = "Most rows."),
    LH_INT(struct sample, offset, .min = -5),
    LH_OPT_INT(struct sample, version, .min = 1, .nullable = true),
    LH_BOOL(struct sample, is_dry, LH_PRESET(true)),
    LH_DOUBLE(struct sample, share, .max = 1, LH_PRESET_DOUBLE(0.5)),
    LH_CHOICE(struct sample, kind, .choices = sample_kinds, LH_PRESET(1), .nullable = true),
    LH_TIME(struct sample, since),
    LH_STR_LIST(struct sample, columns, .max = 3),
    LH_JSON(struct sample, options),
    LH_OBJECT(struct sample, first, const struct sample_item *, .fields = &sample_item_fields,
              .nullable = true),
    LH_LIST(struct sample, items, .fields = &sample_item_fields, .max = 100),
    LH_INT_MAP(struct sample, counts, .max = 2),
    LH_FILE(struct sample, file),
};
static const struct lh_fields sample_fields = LH_FIELDS_OF(struct sample, "Sample", sample_rows);

#endif
