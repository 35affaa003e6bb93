/* What the files of the field tables share; nobody else includes it. */
#ifndef LAKEHOUSE_BASE_FIELD_INTERNAL_H
#define LAKEHOUSE_BASE_FIELD_INTERNAL_H

#include "base/field.h"

/* Where in the input we are: a chain on the stack that becomes "items[2].name" only when something
 * fails. */
struct field_place {
    const struct field_place *outer; /* NULL: the top */
    struct lh_str name;              /* of the member; absent: an element of `outer` */
    size_t index;
};

/* Fails about the member at `place`: the message begins with its path in backticks; err->field is
 * it. */
enum lh_code field_fail(const struct field_place *place, struct lh_error *err, enum lh_code code,
                        const char *format, ...) LH_PRINTF(4, 5);
/* "`limit` must be a whole number between 1 and 10; 'abc' is not." `got` is shown as it stands. */
enum lh_code field_fail_value(const struct field_place *place, const struct lh_field *field,
                              const char *got, struct lh_error *err);
enum lh_code field_fail_memory(const struct field_place *place, struct lh_error *err);
enum lh_code field_fail_unknown(const struct lh_fields *fields, const struct field_place *place,
                                struct lh_error *err);

/* A value of the caller in quotes, shortened: for `got`. */
#define FIELD_QUOTED_BYTES 100
void field_quote(struct lh_str value, char ret[FIELD_QUOTED_BYTES]);

bool field_has_min(const struct lh_field *field);
bool field_has_max(const struct lh_field *field);
/* Of a value that is present. */
enum lh_code field_check_limits(const struct field_place *place, const struct lh_field *field,
                                const void *member, struct lh_error *err);
bool field_is_absent(const struct lh_field *field, const void *member);
/* Output: members that have no absent form, and those that are written as null when absent. */
bool field_is_always_written(const struct lh_field *field);
bool field_may_be_null(const struct lh_field *field);
int field_find_choice(const struct lh_field *field, struct lh_str name); /* -1: none */
size_t field_choice_count(const struct lh_field *field);

/* Binds one JSON value to one member, limits included. */
enum lh_code field_bind_value(const struct field_place *place, const struct lh_field *field,
                              const json_t *value, struct lh_arena *arena, void *member,
                              struct lh_error *err);

static inline void *field_member(const struct lh_field *field, void *target)
{
    return (char *)target + field->offset;
}

static inline const void *field_member_const(const struct lh_field *field, const void *source)
{
    return (const char *)source + field->offset;
}

/* A member of type `const struct X *`, whatever X is. */
static inline const void *field_pointer(const void *member)
{
    const void *pointer;
    memcpy(&pointer, member, sizeof pointer);
    return pointer;
}

#endif
