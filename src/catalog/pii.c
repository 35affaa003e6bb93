#include "catalog/pii.h"

/* Rows are tried in order; the first whose words all occur in the column's name decides. Words are
 * whole: "tel" is not in "hotel". Every row holds at most WORDS_MAX words in any order. */
#define WORDS_MAX 3
#define NAME_WORDS_MAX 32
#define WORD_BYTES_MAX 64

enum type_wanted { ANY_TYPE, NO_NUMBER, DATE_OR_TEXT };

struct rule {
    const char *words[WORDS_MAX];
    const char *kind;
    enum catalog_sensitivity sensitivity;
    enum type_wanted wanted;
};

static const struct rule rules[] = {
    {{"email"}, "email", CATALOG_PII, NO_NUMBER},
    {{"e", "mail"}, "email", CATALOG_PII, NO_NUMBER},
    {{"mail", "address"}, "email", CATALOG_PII, NO_NUMBER},
    {{"ip", "address"}, "ip_address", CATALOG_PII, ANY_TYPE},
    {{"phone"}, "phone", CATALOG_PII, ANY_TYPE},
    {{"telephone"}, "phone", CATALOG_PII, ANY_TYPE},
    {{"mobile"}, "phone", CATALOG_PII, ANY_TYPE},
    {{"cell", "number"}, "phone", CATALOG_PII, ANY_TYPE},
    {{"tel"}, "phone", CATALOG_PII, ANY_TYPE},
    {{"fax"}, "phone", CATALOG_PII, ANY_TYPE},
    {{"ssn"}, "ssn", CATALOG_PII, ANY_TYPE},
    {{"social", "security"}, "ssn", CATALOG_PII, ANY_TYPE},
    {{"national", "id"}, "ssn", CATALOG_PII, ANY_TYPE},
    {{"tax", "id"}, "ssn", CATALOG_PII, ANY_TYPE},
    {{"passport"}, "passport", CATALOG_PII, ANY_TYPE},
    {{"iban"}, "iban", CATALOG_FINANCIAL, NO_NUMBER},
    {{"card", "number"}, "card", CATALOG_FINANCIAL, ANY_TYPE},
    {{"credit", "card"}, "card", CATALOG_FINANCIAL, ANY_TYPE},
    {{"debit", "card"}, "card", CATALOG_FINANCIAL, ANY_TYPE},
    {{"cvv"}, "card", CATALOG_FINANCIAL, ANY_TYPE},
    {{"bank", "account"}, "bank_account", CATALOG_FINANCIAL, ANY_TYPE},
    {{"account", "number"}, "bank_account", CATALOG_FINANCIAL, ANY_TYPE},
    {{"salary"}, "salary", CATALOG_FINANCIAL, ANY_TYPE},
    {{"wage"}, "salary", CATALOG_FINANCIAL, ANY_TYPE},
    {{"wages"}, "salary", CATALOG_FINANCIAL, ANY_TYPE},
    {{"pay", "rate"}, "salary", CATALOG_FINANCIAL, ANY_TYPE},
    {{"hourly", "rate"}, "salary", CATALOG_FINANCIAL, ANY_TYPE},
    {{"compensation"}, "salary", CATALOG_FINANCIAL, ANY_TYPE},
    {{"diagnosis"}, "medical", CATALOG_PHI, ANY_TYPE},
    {{"medical"}, "medical", CATALOG_PHI, ANY_TYPE},
    {{"medication"}, "medical", CATALOG_PHI, ANY_TYPE},
    {{"patient"}, "medical", CATALOG_PHI, ANY_TYPE},
    {{"prescription"}, "medical", CATALOG_PHI, ANY_TYPE},
    {{"allergy"}, "medical", CATALOG_PHI, ANY_TYPE},
    {{"allergies"}, "medical", CATALOG_PHI, ANY_TYPE},
    {{"icd"}, "medical", CATALOG_PHI, ANY_TYPE},
    {{"blood", "type"}, "medical", CATALOG_PHI, ANY_TYPE},
    {{"birth"}, "birth_date", CATALOG_PII, ANY_TYPE},
    {{"birthday"}, "birth_date", CATALOG_PII, DATE_OR_TEXT},
    {{"birthdate"}, "birth_date", CATALOG_PII, DATE_OR_TEXT},
    {{"dob"}, "birth_date", CATALOG_PII, DATE_OR_TEXT},
    {{"street"}, "address", CATALOG_PII, NO_NUMBER},
    {{"address"}, "address", CATALOG_PII, NO_NUMBER},
    {{"zip", "code"}, "address", CATALOG_PII, ANY_TYPE},
    {{"postal", "code"}, "address", CATALOG_PII, ANY_TYPE},
    {{"postcode"}, "address", CATALOG_PII, ANY_TYPE},
    {{"first", "name"}, "person_name", CATALOG_PII, NO_NUMBER},
    {{"last", "name"}, "person_name", CATALOG_PII, NO_NUMBER},
    {{"full", "name"}, "person_name", CATALOG_PII, NO_NUMBER},
    {{"middle", "name"}, "person_name", CATALOG_PII, NO_NUMBER},
    {{"given", "name"}, "person_name", CATALOG_PII, NO_NUMBER},
    {{"family", "name"}, "person_name", CATALOG_PII, NO_NUMBER},
    {{"maiden", "name"}, "person_name", CATALOG_PII, NO_NUMBER},
    {{"person", "name"}, "person_name", CATALOG_PII, NO_NUMBER},
    {{"customer", "name"}, "person_name", CATALOG_PII, NO_NUMBER},
    {{"employee", "name"}, "person_name", CATALOG_PII, NO_NUMBER},
    {{"candidate", "name"}, "person_name", CATALOG_PII, NO_NUMBER},
    {{"contact", "name"}, "person_name", CATALOG_PII, NO_NUMBER},
    {{"worker", "name"}, "person_name", CATALOG_PII, NO_NUMBER},
    {{"firstname"}, "person_name", CATALOG_PII, NO_NUMBER},
    {{"lastname"}, "person_name", CATALOG_PII, NO_NUMBER},
    {{"fullname"}, "person_name", CATALOG_PII, NO_NUMBER},
    {{"surname"}, "person_name", CATALOG_PII, NO_NUMBER},
    {{"maintainer"}, "person_name", CATALOG_PII, NO_NUMBER},
};

/* Words that turn the whole into something that is no datum of a person: "email_count",
 * "phone_model". */
static const char *const innocent[] = {"count",  "total",   "verified", "valid",  "enabled",
                                       "model",  "opt",     "sent",     "status", "version",
                                       "domain", "average", "bounced",  "type"};

struct words {
    char text[NAME_WORDS_MAX][WORD_BYTES_MAX];
    size_t count;
};

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_lower(char c)
{
    return (c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80;
}

/* A word begins after anything that is no letter, at "aB" and at the last capital of "ABc". Digits
 * end a word and belong to none: "address1" is an address. */
static bool begins_word(struct lh_str name, size_t i)
{
    if (i == 0 || !is_upper(name.data[i]))
        return false;
    return is_lower(name.data[i - 1]) ||
           (is_upper(name.data[i - 1]) && i + 1 < name.len && is_lower(name.data[i + 1]));
}

static void split(struct lh_str name, struct words *words)
{
    size_t len = 0;
    words->count = 0;
    for (size_t i = 0; i <= name.len && words->count < NAME_WORDS_MAX; i++) {
        char c = i < name.len ? name.data[i] : '_';
        bool is_letter = is_upper(c) || is_lower(c);
        if (len && (!is_letter || begins_word(name, i))) {
            words->text[words->count++][len] = '\0';
            len = 0;
        }
        if (is_letter && words->count < NAME_WORDS_MAX && len + 1 < WORD_BYTES_MAX)
            words->text[words->count][len++] = (char)(is_upper(c) ? c - 'A' + 'a' : c);
    }
}

static bool has_word(const struct words *words, const char *word)
{
    for (size_t i = 0; i < words->count; i++)
        if (strcmp(words->text[i], word) == 0)
            return true;
    return false;
}

static bool begins_with(struct lh_str type, const char *prefix)
{
    struct lh_str wanted = lh_str_of(prefix);
    return lh_str_equal_nocase(lh_str_slice(type, 0, wanted.len), wanted);
}

static bool is_number(struct lh_str type)
{
    static const char *const names[] = {"TINYINT",  "SMALLINT",  "INTEGER",  "BIGINT",  "HUGEINT",
                                        "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT",
                                        "FLOAT",    "DOUBLE",    "DECIMAL"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (begins_with(type, names[i]))
            return true;
    return false;
}

static bool fits(enum type_wanted wanted, struct lh_str type)
{
    switch (wanted) {
    case NO_NUMBER:
        return !is_number(type) && !begins_with(type, "DATE") && !begins_with(type, "TIME");
    case DATE_OR_TEXT:
        return !is_number(type);
    case ANY_TYPE:
        break;
    }
    return true;
}

static bool matches(const struct rule *rule, const struct words *words)
{
    for (size_t i = 0; i < WORDS_MAX && rule->words[i]; i++)
        if (!has_word(words, rule->words[i]))
            return false;
    return true;
}

struct catalog_pii catalog_pii_of_column(struct lh_str name, struct lh_str type)
{
    const struct catalog_pii none = {.sensitivity = CATALOG_INTERNAL};
    struct words words;
    if (begins_with(type, "BOOL"))
        return none;
    split(name, &words);
    for (size_t i = 0; i < sizeof innocent / sizeof innocent[0]; i++)
        if (words.count > 1 && has_word(&words, innocent[i]) && !has_word(&words, "blood"))
            return none;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (matches(&rules[i], &words) && fits(rules[i].wanted, type))
            return (struct catalog_pii){true, rules[i].kind, rules[i].sensitivity};
    return none;
}
