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

static bool take_value(struct str *s, struct param *out)
{
    out->quoted = s->n && s->p[0] == '"';
    if (out->quoted) {
        take(s, 1);
        return take_quoted(s, &out->value);
    }
    out->value = take_token(s);
    return out->value.n > 0;
}

static bool take_param(struct str *s, struct param *out)
{
    out->name = take_token(s);
    if (out->name.n == 0 || s->n == 0 || s->p[0] != '=')
        return false;
    take(s, 1);
    return take_value(s, out);
}

enum params_result params_next(struct str *rest, struct param *out)
{
    *out = (struct param){0};
    skip_space(rest);
    if (rest->n && rest->p[0] != ';')
        return PARAMS_BAD;
    while (rest->n && rest->p[0] == ';') {
        take(rest, 1);
        skip_space(rest);
    }
    if (rest->n == 0)
        return PARAMS_END;
    struct str s = *rest;
    if (!take_param(&s, out))
        return PARAMS_BAD;
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
    *rest = str_of(field.p, 0);
    if (semicolon < 0)
        return str_trim(field);
    *rest = str_of(field.p + semicolon, field.n - (size_t)semicolon);
    return str_trim(str_of(field.p, (size_t)semicolon));
}

bool media_is(struct str field, struct str type)
{
    struct str rest; // mostly it is written like that
    return str_eq(field, type) || str_ieq(params_split(field, &rest), type);
}

// type "/" subtype "+json", both of them tokens (RFC 6839 §3.1).
static bool has_json_suffix(struct str media)
{
    static const struct str suffix = STR("+json");
    struct str type, subtype = media;
    if (!str_split(&subtype, '/', &type) || !h1_is_token(type) || !h1_is_token(subtype))
        return false;
    size_t stem = subtype.n - suffix.n;
    return subtype.n > suffix.n && str_ieq(str_of(subtype.p + stem, suffix.n), suffix);
}

bool media_is_json(struct str field)
{
    if (str_eq(field, STR("application/json")))
        return true;
    struct str rest, media = params_split(field, &rest);
    return str_ieq(media, STR("application/json")) || str_ieq(media, STR("text/json")) ||
           has_json_suffix(media);
}
