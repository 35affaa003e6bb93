#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "http/multipart.h"

#define TYPE "multipart/form-data; boundary=XX"
#define DISPOSITION "Content-Disposition: form-data; name=\"a\"\r\n"

struct seen {
    struct lh_buf text; /* "<name|filename|type>data;" per part */
    int open;
};

static enum lh_code see_part(void *context, const struct multipart_part *part, struct lh_error *err)
{
    (void)err;
    struct seen *seen = context;
    assert_int_equal(seen->open, 0);
    seen->open++;
    lh_buf_printf(&seen->text, "<%.*s|%s%.*s|%.*s>", LH_ARG(part->name),
                  part->has_filename ? "=" : "", LH_ARG(part->filename),
                  LH_ARG(part->content_type));
    return LH_OK;
}

static enum lh_code see_data(void *context, struct lh_str bytes, struct lh_error *err)
{
    (void)err;
    struct seen *seen = context;
    assert_int_equal(seen->open, 1);
    assert_true(bytes.len > 0);
    lh_buf_append_str(&seen->text, bytes);
    return LH_OK;
}

static enum lh_code see_end(void *context, struct lh_error *err)
{
    (void)err;
    struct seen *seen = context;
    seen->open--;
    lh_buf_append_char(&seen->text, ';');
    return LH_OK;
}

/* Feeds the body in pieces of `step` bytes; "!" and the message after what was seen on an error. */
static void parse(const char *type, struct lh_str body, size_t step, struct lh_buf *ret)
{
    struct seen seen = {0};
    lh_buf_init(&seen.text, 1 << 20);
    const struct multipart_sink sink = {see_part, see_data, see_end, &seen};
    struct multipart *multipart = NULL;
    struct lh_error err = LH_ERROR_NONE;
    enum lh_code code = multipart_new(lh_str_of(type), &sink, &multipart, &err);
    for (size_t at = 0; !code && at < body.len; at += step)
        code = multipart_feed(multipart, lh_str_slice(body, at, step), &err);
    if (!code)
        code = multipart_finish(multipart, &err);
    if (code)
        lh_buf_printf(&seen.text, "!%s", err.message);
    multipart_free(multipart);
    *ret = seen.text;
}

static void expect_typed(const char *type, const char *body, const char *wanted)
{
    for (size_t step = 1; step <= strlen(body) + 1; step++) {
        struct lh_buf got;
        parse(type, lh_str_of(body), step, &got);
        lh_buf_append_char(&got, '\0');
        assert_string_equal(got.data, wanted);
        lh_buf_release(&got);
    }
}

static void expect(const char *body, const char *wanted)
{
    expect_typed(TYPE, body, wanted);
}

static void parts_come_out_whole_however_the_bytes_arrive(void **state)
{
    (void)state;
    expect("--XX\r\n" DISPOSITION "\r\nhello\r\n--XX\r\n"
           "content-disposition: form-data; name=f; filename=\"x.csv\"\r\nContent-Type: "
           "text/csv\r\n\r\n"
           "1,2\r\n3,4\r\n\r\n--XX--\r\n",
           "<a||>hello;<f|=x.csv|text/csv>1,2\r\n3,4\r\n;");
}

static void empty_parts_and_empty_file_names_are_parts(void **state)
{
    (void)state;
    expect("--XX\r\n" DISPOSITION "\r\n\r\n--XX\r\nContent-Disposition: form-data; name=\"f\"; "
           "filename=\"\"\r\n\r\n\r\n--XX--",
           "<a||>;<f|=|>;");
}

static void content_that_looks_like_a_boundary_is_content(void **state)
{
    (void)state;
    expect("--XX\r\n" DISPOSITION "\r\n\r\n--X\r\r\n-\r\n\r\r\n--Y--XX\n--XX\r\n--XX--",
           "<a||>\r\n--X\r\r\n-\r\n\r\r\n--Y--XX\n--XX;");
}

static void text_around_the_form_is_ignored(void **state)
{
    (void)state;
    expect("preamble\r\n--XX  \r\n" DISPOSITION "\r\nv\r\n--XX--\r\nepilogue\r\n--XX\r\n",
           "<a||>v;");
}

static void names_are_unquoted_but_windows_paths_keep_their_backslashes(void **state)
{
    (void)state;
    expect("--XX\r\nContent-Disposition: form-data; name=\"a\\\"b\"; "
           "filename=\"C:\\dir\\x.csv\"\r\n\r\n"
           "\r\n--XX--",
           "<a\"b|=C:\\dir\\x.csv|>;");
    expect("--XX\r\nContent-Disposition: form-data; name=\"f\"; "
           "filename*=UTF-8''na%C3%AFve%20x\r\n\r\n"
           "\r\n--XX--",
           "<f|=na\xc3\xafve x|>;");
}

static void boundaries_may_be_quoted_and_have_odd_characters(void **state)
{
    (void)state;
    expect_typed("Multipart/Form-Data; charset=utf-8; boundary=\"a b:'c\"",
                 "--a b:'c\r\n" DISPOSITION "\r\nv\r\n--a b:'c--", "<a||>v;");
}

static void content_types_without_a_usable_boundary_are_refused(void **state)
{
    (void)state;
    static const char no_boundary[] =
        "!The content type multipart/form-data names no valid boundary.";
    expect_typed("multipart/form-data", "", no_boundary);
    expect_typed("multipart/form-data; boundary=", "", no_boundary);
    expect_typed("multipart/form-data; boundary=\"x", "", no_boundary);
    expect_typed("multipart/form-data; boundary=\"a\\b\"", "", no_boundary);
    expect_typed("multipart/form-data; boundary="
                 "12345678901234567890123456789012345678901234567890123456789012345678901",
                 "", no_boundary);
    expect_typed("text/csv", "",
                 "!The body's content type is 'text/csv' instead of multipart/form-data.");
}

static void a_form_that_ends_too_early_is_malformed(void **state)
{
    (void)state;
    expect("", "!The form does not contain its boundary.");
    expect("nothing of it", "!The form does not contain its boundary.");
    expect("--XX\r\n" DISPOSITION "\r\nhel",
           "<a||>hel!The form ends in part 1, before its last boundary.");
    expect("--XX\r\n" DISPOSITION "\r\nhello\r\n--XX",
           "<a||>hello;!The form ends in part 1, before its last boundary.");
    expect("--XX\r\nContent-Dispo", "!The form ends in part 1, before its last boundary.");
}

static void bad_part_headers_are_named_by_part(void **state)
{
    (void)state;
    expect("--XX\r\n\r\nv\r\n--XX--", "!Part 1 of the form has no name.");
    expect("--XX\r\nContent-Disposition: form-data\r\n\r\nv\r\n--XX--",
           "!Part 1 of the form has no name.");
    expect("--XX\r\nContent-Disposition: attachment; name=a\r\n\r\n",
           "!Part 1 of the form is not form-data.");
    expect("--XX\r\nContent-Disposition: form-data; name=\"a\r\n\r\n",
           "!Part 1 of the form has a Content-Disposition that cannot be read.");
    expect("--XX\r\n" DISPOSITION "\r\nv\r\n--XX\r\n" DISPOSITION DISPOSITION "\r\n",
           "<a||>v;!Part 2 of the form has two Content-Disposition headers.");
    expect("--XX\r\nno colon\r\n\r\n", "!Part 1 of the form has a header line without a colon.");
    expect("--XX\r\nA: b\n\r\n\r\n",
           "!Part 1 of the form has a header line that does not end in CR LF.");
    expect("--XX\r\n" DISPOSITION " folded\r\n\r\n",
           "!Part 1 of the form has a folded header line.");
    expect("--XX\r\n" DISPOSITION "Content-Transfer-Encoding: base64\r\n\r\n",
           "!Part 1 of the form has a transfer encoding; parts are sent as they are.");
    expect("--XX\r\nContent-Disposition: form-data; name=\"\xff\"\r\n\r\n",
           "!Part 1 of the form has a name with control characters or bytes that are not UTF-8.");
    expect("--XX\r\nContent-Disposition: form-data; name=f; filename*=UTF-8''%zz\r\n\r\n",
           "!Part 1 of the form has a filename* that cannot be read.");
    expect("--XX!!\r\n", "!The boundary after part 0 of the form is damaged.");
}

static void expect_long(const char *prefix, size_t count, const char *suffix, const char *wanted)
{
    struct lh_buf body, got;
    lh_buf_init(&body, 1 << 20);
    lh_buf_append_str(&body, lh_str_of(prefix));
    for (size_t at = 0; at < count; at++)
        lh_buf_append_char(&body, 'x');
    lh_buf_append_str(&body, lh_str_of(suffix));
    parse(TYPE, lh_buf_str(&body), 1000, &got);
    lh_buf_append_char(&got, '\0');
    assert_string_equal(got.data, wanted);
    lh_buf_release(&body);
    lh_buf_release(&got);
}

static void long_names_and_endless_headers_are_refused(void **state)
{
    (void)state;
    expect_long("--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"", 4096,
                "\"\r\n\r\n", "!Part 1 of the form has a file name of more than 1024 bytes.");
    expect_long("--XX\r\nContent-Disposition: form-data; name=\"", 257, "\"\r\n\r\n",
                "!Part 1 of the form has a name of more than 256 bytes.");
    expect_long("--XX\r\nX-Long: ", 100000, "",
                "!Part 1 of the form has a header of more than 8192 bytes.");
}

static void random_bytes_between_boundaries_survive(void **state)
{
    (void)state;
    static const char alphabet[] = "\r\n-X\r\n-Xa";
    srand(7);
    for (int round = 0; round < 2000; round++) {
        struct lh_buf content, body, got, wanted;
        lh_buf_init(&content, 1 << 16);
        lh_buf_init(&body, 1 << 16);
        lh_buf_init(&wanted, 1 << 16);
        const int count = rand() % 40;
        for (int at = 0; at < count; at++)
            lh_buf_append_char(&content, alphabet[(size_t)rand() % (sizeof alphabet - 1)]);
        size_t at = 0;
        lh_buf_printf(&wanted, "\r\n%.*s\r\n", LH_ARG(lh_buf_str(&content)));
        const bool has_boundary = lh_str_find(lh_buf_str(&wanted), lh_lit("\r\n--XX"), &at);
        lh_buf_clear(&wanted);
        lh_buf_printf(&wanted, "<a||>%.*s;", LH_ARG(lh_buf_str(&content)));
        lh_buf_printf(&body, "--XX\r\n" DISPOSITION "\r\n%.*s\r\n--XX--",
                      LH_ARG(lh_buf_str(&content)));
        if (!has_boundary) {
            parse(TYPE, lh_buf_str(&body), 1 + (size_t)rand() % 7, &got);
            assert_int_equal(got.len, wanted.len);
            assert_memory_equal(got.data, wanted.data, got.len);
            lh_buf_release(&got);
        }
        lh_buf_release(&content);
        lh_buf_release(&body);
        lh_buf_release(&wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_come_out_whole_however_the_bytes_arrive),
        cmocka_unit_test(empty_parts_and_empty_file_names_are_parts),
        cmocka_unit_test(content_that_looks_like_a_boundary_is_content),
        cmocka_unit_test(text_around_the_form_is_ignored),
        cmocka_unit_test(names_are_unquoted_but_windows_paths_keep_their_backslashes),
        cmocka_unit_test(boundaries_may_be_quoted_and_have_odd_characters),
        cmocka_unit_test(content_types_without_a_usable_boundary_are_refused),
        cmocka_unit_test(a_form_that_ends_too_early_is_malformed),
        cmocka_unit_test(bad_part_headers_are_named_by_part),
        cmocka_unit_test(long_names_and_endless_headers_are_refused),
        cmocka_unit_test(random_bytes_between_boundaries_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
