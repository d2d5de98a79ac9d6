// Parameters from arbitrary bytes: nothing beyond the slice is read, what is taken has the form that
// was promised, and written again it is taken again.
#include "http/params.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "http/h1_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_suffix(struct str inner, struct str outer)
{
    assert(inner.n <= outer.n && inner.p + inner.n == outer.p + outer.n);
}

static void check_unquote(struct str value)
{
    char *dst = malloc(value.n + 1), *same = malloc(value.n + 1);
    memcpy(same, value.p, value.n);
    struct str plain = str_of(dst, params_unquote(dst, value));
    assert(plain.n <= value.n && plain.n >= value.n / 2 && h1_is_field_value(plain));
    assert(str_eq(plain, str_of(same, params_unquote(same, str_of(same, value.n)))));
    assert(str_find(value, '\\') >= 0 || str_eq(plain, value));
    free(dst);
    free(same);
}

static void check_param(const struct param *p)
{
    assert(h1_is_token(p->name));
    if (!p->quoted) {
        assert(h1_is_token(p->value));
        return;
    }
    assert(p->value.p[-1] == '"' && p->value.p[p->value.n] == '"');
    check_unquote(p->value);
}

static char *put(char *to, struct str s)
{
    return (char *)memcpy(to, s.p, s.n) + s.n;
}

// Writes the parameter as senders do; each has the room of its own bytes.
static char *write_param(char *to, const struct param *p)
{
    struct str quote = p->quoted ? STR("\"") : STR("");
    to = put(to, STR(";"));
    to = put(to, p->name);
    to = put(to, STR("="));
    to = put(to, quote);
    to = put(to, p->value);
    return put(to, quote);
}

static void check_again(struct str written, struct str rest)
{
    struct param p, again;
    while (params_next(&rest, &p) == PARAMS_SOME) {
        assert(params_next(&written, &again) == PARAMS_SOME && p.quoted == again.quoted);
        assert(str_eq(p.name, again.name) && str_eq(p.value, again.value));
    }
    assert(params_next(&written, &again) == PARAMS_END);
}

static void check_params(struct str text)
{
    struct str rest = text, before = text;
    struct param p;
    enum params_result r;
    char *written = malloc(text.n + 1), *end = written;
    while ((r = params_next(&rest, &p)) == PARAMS_SOME) {
        check_suffix(rest, before);
        assert(rest.n + 4 <= before.n); // ";a=b"
        check_param(&p);
        end = write_param(end, &p);
        before = rest;
    }
    check_suffix(rest, before);
    assert((r == PARAMS_END) == (rest.n == 0));
    assert(r == PARAMS_END || !p.name.p || p.name.p == rest.p);
    check_again(str_of(written, (size_t)(end - written)), text);
    free(written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_of((const char *)data, size), rest;
    struct str media = params_split(text, &rest);
    assert(str_find(media, ';') < 0 && str_trim(media).n == media.n);
    assert(rest.n == 0 || (rest.p[0] == ';' && media.n + rest.n <= text.n));
    assert(media_is(text, media));
    assert(!media_is_json(text) || media_is_json(media));
    check_params(text);
    check_params(rest);
    return 0;
}
