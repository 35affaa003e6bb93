/* Personal data guessed from a column's name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "catalog/pii.h"

static void names_of_personal_columns_are_known_however_they_are_written(void **state)
{
    (void)state;
    static const struct {
        const char *name, *type, *kind;
        enum catalog_sensitivity sensitivity;
    } rows[] = {
        {"email", "VARCHAR", "email", CATALOG_PII},
        {"workEmail", "VARCHAR", "email", CATALOG_PII},
        {"E-Mail", "VARCHAR", "email", CATALOG_PII},
        {"maintainer_email", "VARCHAR", "email", CATALOG_PII},
        {"EMAIL_ADDR", "VARCHAR", "email", CATALOG_PII},
        {"Phone1", "BIGINT", "phone", CATALOG_PII},
        {"HOME-PHONE", "VARCHAR", "phone", CATALOG_PII},
        {"first_name", "VARCHAR", "person_name", CATALOG_PII},
        {"customerName", "VARCHAR", "person_name", CATALOG_PII},
        {"LastName", "VARCHAR", "person_name", CATALOG_PII},
        {"employeeSSN", "VARCHAR", "ssn", CATALOG_PII},
        {"SSNNumber", "BIGINT", "ssn", CATALOG_PII},
        {"IBAN", "VARCHAR", "iban", CATALOG_FINANCIAL},
        {"credit_card_no", "VARCHAR", "card", CATALOG_FINANCIAL},
        {"street", "VARCHAR", "address", CATALOG_PII},
        {"billing address 2", "VARCHAR", "address", CATALOG_PII},
        {"date_of_birth", "DATE", "birth_date", CATALOG_PII},
        {"DOB", "DATE", "birth_date", CATALOG_PII},
        {"base_salary", "DECIMAL(18,2)", "salary", CATALOG_FINANCIAL},
        {"patientId", "BIGINT", "medical", CATALOG_PHI},
        {"blood_type", "VARCHAR", "medical", CATALOG_PHI},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct catalog_pii pii =
            catalog_pii_of_column(lh_str_of(rows[i].name), lh_str_of(rows[i].type));
        if (!pii.is_pii || strcmp(pii.kind, rows[i].kind) != 0 ||
            pii.sensitivity != rows[i].sensitivity)
            fail_msg("%s: %s", rows[i].name, pii.is_pii ? pii.kind : "nothing");
    }
}

static void names_that_only_look_like_it_are_not_taken(void **state)
{
    (void)state;
    static const struct {
        const char *name, *type;
    } rows[] = {
        {"name", "VARCHAR"},         {"hotel", "VARCHAR"},
        {"emailed_at", "TIMESTAMP"}, {"email", "BOOLEAN"},
        {"email_count", "BIGINT"},   {"email", "INTEGER"},
        {"phone_model", "VARCHAR"},  {"version", "VARCHAR"},
        {"package", "VARCHAR"},      {"lastname_id_count", "INTEGER"},
        {"session", "VARCHAR"},      {"cardinality", "BIGINT"},
        {"addressable", "VARCHAR"},  {"", "VARCHAR"},
        {"___", "VARCHAR"},          {"installed_size", "BIGINT"},
        {"first_name", "INTEGER"},   {"wagering", "VARCHAR"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct catalog_pii pii =
            catalog_pii_of_column(lh_str_of(rows[i].name), lh_str_of(rows[i].type));
        if (pii.is_pii)
            fail_msg("%s: %s", rows[i].name, pii.kind);
        assert_int_equal(pii.sensitivity, CATALOG_INTERNAL);
    }
}

static void a_name_of_any_length_is_looked_at_without_harm(void **state)
{
    (void)state;
    char *name = malloc(100000);
    for (size_t i = 0; i < 100000; i++)
        name[i] = "aB_9\xc3"[i % 5];
    assert_false(catalog_pii_of_column((struct lh_str){name, 100000}, lh_lit("VARCHAR")).is_pii);
    memset(name, 'a', 100000);
    assert_false(catalog_pii_of_column((struct lh_str){name, 100000}, lh_lit("VARCHAR")).is_pii);
    free(name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_personal_columns_are_known_however_they_are_written),
        cmocka_unit_test(names_that_only_look_like_it_are_not_taken),
        cmocka_unit_test(a_name_of_any_length_is_looked_at_without_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
