// Parameters and media types: see the header.
#include "http/params.h"

#include "http/h1_parse.h"

static void skip_space(struct str *s)
{
    while (s->n && (s->p[0] == ' ' || s->p[0] == '\t')) {
        s->p++;
        s->n--;
    }
}

static struct str take(struct str *s, size_t n)
{
    struct str taken = str_of(s->p, n);
    s->p += n;
    s->n -= n;
    return taken;
}

static struct str take_token(struct str *s)
{
    size_t n = 0;
    while (n < s->n && h1_is(H1_TCHAR, s->p[n]))
        n++;
    return take(s, n);
}

// *s begins behind the opening quote. False, with *s as it was, when the closing one is missing.
static bool take_quoted(struct str *s, struct str *value)
{
    for (size_t i = 0; i < s->n && h1_is(H1_VALUE, s->p[i]); i++) {
        if (s->p[i] == '"') {
            *value = take(s, i);
            take(s, 1);
            return true;
        }
        if (s->p[i] == '\\' && ++i < s->n && !h1_is(H1_VALUE, s->p[i]))
            return false;
    }
    return false;
}

enum params_result params_next(struct str *rest, struct param *out)
{
    struct str s = *rest;
    skip_space(&s);
    *rest = s;
    if (s.n == 0)
        return PARAMS_END;
    if (s.p[0] != ';')
        return PARAMS_BAD;
    while (s.n && s.p[0] == ';') {
        take(&s, 1);
        skip_space(&s);
    }
    *rest = s;
    if (s.n == 0)
        return PARAMS_END;
    out->name = take_token(&s);
    if (out->name.n == 0 || s.n == 0 || s.p[0] != '=')
        return PARAMS_BAD;
    take(&s, 1);
    out->quoted = s.n && s.p[0] == '"';
    if (out->quoted) {
        take(&s, 1);
        if (!take_quoted(&s, &out->value))
            return PARAMS_BAD;
    } else {
        out->value = take_token(&s);
        if (out->value.n == 0)
            return PARAMS_BAD;
    }
    *rest = s;
    return PARAMS_SOME;
}

size_t params_unquote(char *dst, struct str value)
{
    size_t n = 0;
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] == '\\' && i + 1 < value.n)
            i++;
        dst[n++] = value.p[i];
    }
    return n;
}

struct str params_split(struct str field, struct str *rest)
{
    ptrdiff_t semicolon = str_find(field, ';');
    size_t n = semicolon < 0 ? field.n : (size_t)semicolon;
    *rest = str_of(field.p + n, field.n - n);
    return str_trim(str_of(field.p, n));
}

bool media_is(struct str field, struct str type)
{
    struct str rest;
    return str_ieq(params_split(field, &rest), type);
}

bool media_is_json(struct str field)
{
    struct str rest, type = params_split(field, &rest), end;
    if (str_ieq(type, STR("application/json")) || str_ieq(type, STR("text/json")))
        return true;
    if (type.n <= 5 || str_find(type, '/') <= 0)
        return false;
    end = str_of(type.p + type.n - 5, 5);
    return str_ieq(end, STR("+json"));
}
