/* Personal data by the name of a column: a guess from words, made before anyone looks at values. */
#ifndef LAKEHOUSE_CATALOG_PII_H
#define LAKEHOUSE_CATALOG_PII_H

#include "catalog/dataset.h"

struct catalog_pii {
    bool is_pii;
    const char *kind;                     /* "email", "person_name", …; NULL if not */
    enum catalog_sensitivity sensitivity; /* CATALOG_INTERNAL if not */
};

/* Splits snake_case, camelCase and kebab-case into words and matches whole words: `email_addr` and
 * `workEmail` are e-mail addresses, `emailed_at` is not. `type` is the engine's type as text: a
 * truth value is never personal, a count is no name. Pure. */
struct catalog_pii catalog_pii_of_column(struct lh_str name, struct lh_str type);

#endif
