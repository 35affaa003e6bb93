#include "fuzz.h"

#include "http/multipart.h"

/* What came out, in one text: however the bytes were cut, it is the same. */
struct story {
    char text[65536];
    size_t len;
};

static void tell(struct story *story, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count && story->len < sizeof(story->text); i++)
        story->text[story->len++] = bytes[i];
}

static enum lh_code on_part(void *context, const struct multipart_part *part, struct lh_error *err)
{
    (void)err;
    fuzz_must(part->name.len > 0 && lh_str_is_utf8(part->name, NULL));
    fuzz_must(!part->has_filename || lh_str_is_utf8(part->filename, NULL));
    tell(context, "\1", 1);
    tell(context, part->name.data, part->name.len);
    tell(context, part->filename.data, part->filename.len);
    return LH_OK;
}

static enum lh_code on_data(void *context, struct lh_str bytes, struct lh_error *err)
{
    (void)err;
    tell(context, bytes.data, bytes.len);
    return LH_OK;
}

static enum lh_code on_end(void *context, struct lh_error *err)
{
    (void)err;
    tell(context, "\2", 1);
    return LH_OK;
}

static enum lh_code feed(const char *bytes, size_t count, size_t step, struct story *story)
{
    struct multipart *multipart = NULL;
    struct lh_error err = LH_ERROR_NONE;
    const struct multipart_sink sink = {on_part, on_data, on_end, story};
    enum lh_code code =
        multipart_new(lh_lit("multipart/form-data; boundary=b"), &sink, &multipart, &err);
    fuzz_must(code == LH_OK);
    for (size_t at = 0; at < count && !code; at += step) {
        size_t some = count - at < step ? count - at : step;
        code = multipart_feed(multipart, (struct lh_str){bytes + at, some}, &err);
    }
    if (!code)
        code = multipart_finish(multipart, &err);
    fuzz_must(!code || err.message[0] != '\0');
    multipart_free(multipart);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static struct story whole, cut;
    if (!count)
        return 0;
    whole.len = cut.len = 0;
    size_t step = 1 + bytes[0] % 7;
    enum lh_code one = feed((const char *)bytes + 1, count - 1, count, &whole);
    enum lh_code two = feed((const char *)bytes + 1, count - 1, step, &cut);
    fuzz_must(one == two);
    fuzz_must(one || (whole.len == cut.len && memcmp(whole.text, cut.text, whole.len) == 0));
    return 0;
}
