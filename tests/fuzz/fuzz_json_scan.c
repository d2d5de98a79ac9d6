// JSON tokens from arbitrary bytes: what is taken is what an independent reader makes of it, and
// what the writer makes of it reads back.
// sources: src/base/str.c src/base/utf8.c src/base/buf.c src/script/json_scan.c
// sources: src/script/json_number.c src/script/json_text.c
#include "base/utf8.h"
#include "script/json_scan.h"
#include "script/json_text.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 1 << 24 };

static void check_fault(const struct json_scan *in)
{
    char message[JSON_SCAN_MESSAGE];
    size_t n = json_scan_message(in, message);
    assert(in->at >= in->start && in->at <= in->end);
    assert(n < sizeof message && n == strlen(message) && strncmp(message, "line ", 5) == 0);
    assert(utf8_valid(str_of(in->start, (size_t)(in->at - in->start))));
}

// The characters of a body, in a block of exactly as many bytes as the body has.
static struct str unescaped(struct str body)
{
    char *dst = malloc(body.n + !body.n);
    size_t n = json_scan_unescape(dst, body);
    assert(n <= body.n);
    return str_of(dst, n);
}

static void check_string(struct json_scan *in)
{
    struct json_string s, again;
    if (!json_scan_string(in, &s)) {
        check_fault(in);
        return;
    }
    assert(s.body.p[-1] == '"' && s.body.p[s.body.n] == '"' && in->p == s.body.p + s.body.n + 1);
    assert(s.escaped == (str_find(s.body, '\\') >= 0));
    struct str text = unescaped(s.body);
    assert(utf8_valid(text) && (s.escaped || str_eq(text, s.body)));

    struct buf out;
    buf_init(&out, OUT_MAX);
    assert(json_text_string(&out, text, false) == JSON_TEXT_OK);
    struct json_scan second;
    json_scan_init(&second, buf_str(&out));
    assert(json_scan_string(&second, &again) && json_scan_end(&second));
    struct str same = unescaped(again.body);
    assert(str_eq(same, text));
    free((char *)same.p);
    free((char *)text.p);
    buf_fini(&out);
}

// The number as C's own readers see it.
static void check_value(const char *text, const struct json_number *n)
{
    char *end;
    double real = strtod(text, &end);
    assert(*end == 0);
    if (!n->integral) {
        assert(n->real == real && signbit(n->real) == signbit(real) && isfinite(real));
        errno = 0;
        strtoll(text, &end, 10);
        assert(*end != 0 || errno == ERANGE);
        return;
    }
    errno = 0;
    assert(n->integer == strtoll(text, &end, 10) && *end == 0 && errno == 0);
}

static void check_written(const struct json_number *n)
{
    char text[JSON_TEXT_NUMBER];
    struct json_scan in;
    struct json_number again;
    size_t length = n->integral ? json_text_format_integer(text, n->integer)
                                : json_text_format_float(text, n->real);
    json_scan_init(&in, str_of(text, length));
    assert(json_scan_number(&in, &again) && in.p == in.end);
    if (n->integral)
        assert(again.integral && again.integer == n->integer);
    else
        assert((again.integral ? (double)again.integer : again.real) == n->real);
}

static void check_number(struct json_scan *in)
{
    struct json_number n;
    const char *start = in->p;
    if (!json_scan_number(in, &n)) {
        check_fault(in);
        return;
    }
    char *copy = strndup(start, (size_t)(in->p - start));
    check_value(copy, &n);
    check_written(&n);
    free(copy);
}

static void check_word(struct json_scan *in, struct str word)
{
    const char *start = in->p;
    if (json_scan_word(in, word))
        assert(str_eq(str_of(start, (size_t)(in->p - start)), word));
    else
        check_fault(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_scan in;
    json_scan_init(&in, str_of((const char *)data, size));
    int c = json_scan_peek(&in);
    if (c == '"')
        check_string(&in);
    else if (c == '-' || (c >= '0' && c <= '9'))
        check_number(&in);
    else if (c >= 'a' && c <= 'z')
        check_word(&in, c == 't' ? STR("true") : c == 'f' ? STR("false") : STR("null"));
    else if (!json_scan_end(&in))
        check_fault(&in);
    return 0;
}
