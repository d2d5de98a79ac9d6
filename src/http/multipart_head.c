// The header block of one part: what it is called, and what its sender says that it is.
//
// A part that is misread becomes another field, or a file becomes a text, so whatever has two
// readings is refused: a name twice, a name in pieces, an encoding that nobody undoes.
#include <string.h>

#include "base/utf8.h"
#include "http/h1_parse.h"
#include "http/multipart.h"
#include "http/params.h"

// ---- lines

// The next line of *rest as a field. NULL, or why it is none.
static const char *take_field(struct str *rest, struct str *name, struct str *value)
{
    ptrdiff_t lf = str_find(*rest, '\n');
    if (lf < 1 || rest->p[lf - 1] != '\r')
        return "a header line without its CRLF";
    struct str line = str_of(rest->p, (size_t)lf - 1);
    *rest = str_of(rest->p + lf + 1, rest->n - (size_t)lf - 1);
    if (line.n && (line.p[0] == ' ' || line.p[0] == '\t'))
        return "a header line that begins with whitespace";
    ptrdiff_t colon = str_find(line, ':');
    if (colon < 0)
        return "a header line without a colon";
    *name = str_of(line.p, (size_t)colon);
    *value = str_trim(str_of(line.p + colon + 1, line.n - (size_t)colon - 1));
    if (!h1_is_token(*name))
        return "a header name that is not a token";
    return h1_is_field_value(*value) ? NULL : "a control byte in a header value";
}

bool multipart_field(struct str *rest, struct str *name, struct str *value)
{
    return rest->n && !take_field(rest, name, value);
}

// The fields that are looked at, each at most once; p is NULL where there is none.
struct fields {
    struct str disposition;
    struct str type;
    struct str encoding;
};

static const char *note_once(struct str *to, struct str value, const char *twice)
{
    if (to->p)
        return twice;
    *to = value;
    return NULL;
}

static const char *note_field(struct fields *f, struct str name, struct str value)
{
    if (str_ieq(name, STR("Content-Disposition")))
        return note_once(&f->disposition, value, "Content-Disposition twice");
    if (str_ieq(name, STR("Content-Type")))
        return note_once(&f->type, value, "Content-Type twice");
    if (str_ieq(name, STR("Content-Transfer-Encoding")))
        return note_once(&f->encoding, value, "Content-Transfer-Encoding twice");
    return NULL;
}

static const char *read_fields(struct str block, struct fields *f)
{
    struct str name, value;
    const char *why = NULL;
    while (!why && block.n) {
        why = take_field(&block, &name, &value);
        if (!why)
            why = note_field(f, name, value);
    }
    return why;
}

// RFC 7578 §4.7 has no encodings, for HTTP is clean for eight bits. Three are the bytes as they
// are; base64 and quoted-printable would be taken for the file's own bytes.
static bool is_plain(struct str encoding)
{
    return !encoding.p || str_ieq(encoding, STR("binary")) || str_ieq(encoding, STR("8bit")) ||
           str_ieq(encoding, STR("7bit"));
}

// ---- Content-Disposition

// The parameters that are looked at; value.p is NULL where there is none.
struct disposition {
    struct param name;
    struct param filename;
    struct param extended; // filename*
};

static const char *note_param(struct disposition *d, const struct param *p)
{
    static const struct str pieces = STR("filename*");
    struct param *to = NULL;
    if (str_ieq(p->name, STR("name")))
        to = &d->name;
    else if (str_ieq(p->name, STR("filename")))
        to = &d->filename;
    else if (str_ieq(p->name, pieces))
        to = &d->extended;
    else if (p->name.n > pieces.n && str_ieq(str_of(p->name.p, pieces.n), pieces))
        return "a filename in pieces (RFC 2231)";
    if (to && to->value.p)
        return "name, filename or filename* twice in Content-Disposition";
    if (to)
        *to = *p;
    return NULL;
}

static const char *read_disposition(struct str value, struct disposition *d)
{
    struct str rest;
    struct param p;
    const char *why = NULL;
    enum params_result r = PARAMS_SOME;
    if (!value.p)
        return "no Content-Disposition";
    if (!str_ieq(params_split(value, &rest), STR("form-data")))
        return "a Content-Disposition other than form-data";
    while (!why && (r = params_next(&rest, &p)) == PARAMS_SOME)
        why = note_param(d, &p);
    if (r == PARAMS_BAD)
        return "a malformed parameter in Content-Disposition";
    return why || d->name.value.p ? why : "a Content-Disposition without name";
}

// ---- texts

// A quoted value without the backslashes before '"' and '\\'; any other one belongs to a Windows
// path. Returns the length.
static size_t resolve(char *dst, const struct param *p)
{
    struct str s = p->value;
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        bool pair = p->quoted && s.p[i] == '\\' && i + 1 < s.n;
        if (pair && (s.p[i + 1] == '"' || s.p[i + 1] == '\\'))
            i++;
        dst[n++] = s.p[i];
    }
    return n;
}

// ISO-8859-1 to UTF-8 in place: backwards, for some bytes become two. The room is there, since such
// a byte took three as %XX.
static size_t widen(char *p, size_t n)
{
    size_t high = 0;
    for (size_t i = 0; i < n; i++)
        high += (unsigned char)p[i] >> 7;
    for (size_t from = n, to = n + high; from < to;) {
        unsigned char c = (unsigned char)p[--from];
        p[--to] = (char)(c < 0x80 ? c : 0x80 | (c & 0x3f));
        if (c >= 0x80)
            p[--to] = (char)(0xc0 | c >> 6);
    }
    return n + high;
}

// ext-value (RFC 8187 §3.2.1): charset'language'text. Returns the text's length, or -1. That a "'"
// or "*" of the text is sent as it is has one reading only, and encodeURIComponent does it.
static ptrdiff_t decode_extended(char *dst, const struct param *p)
{
    struct str text = p->value, charset, language;
    if (p->quoted || !str_split(&text, '\'', &charset) || !str_split(&text, '\'', &language))
        return -1;
    ptrdiff_t n = text.p ? pct_decode(dst, text) : -1;
    if (n < 0)
        return -1;
    if (str_ieq(charset, STR("UTF-8")))
        return utf8_valid(str_of(dst, (size_t)n)) ? n : -1;
    return str_ieq(charset, STR("ISO-8859-1")) ? (ptrdiff_t)widen(dst, (size_t)n) : -1;
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

// Reduces a path to its bare name, in place. Returns the length.
static size_t strip(char *p, size_t n)
{
    size_t from = n, out = 0;
    while (from > 0 && p[from - 1] != '/' && p[from - 1] != '\\')
        from--;
    for (size_t i = from; i < n; i++)
        if (!is_control(p[i]))
            p[out++] = p[i];
    struct str name = str_of(p, out);
    return str_eq(name, STR(".")) || str_eq(name, STR("..")) ? 0 : out;
}

// A part whose only file name cannot be read must not pass for a part without one, a text field.
static const char *read_filename(const struct disposition *d, char *dst, struct str *filename)
{
    ptrdiff_t n = d->extended.value.p ? decode_extended(dst, &d->extended) : -1;
    if (n < 0 && d->filename.value.p)
        n = (ptrdiff_t)resolve(dst, &d->filename);
    else if (n < 0)
        return d->extended.value.p ? "a malformed filename*" : NULL;
    *filename = str_of(dst, strip(dst, (size_t)n));
    return NULL;
}

const char *multipart_head(struct str block, char *dst, struct multipart_head *out)
{
    struct fields fields = {0};
    struct disposition d = {0};
    *out = (struct multipart_head){0};
    const char *why = read_fields(block, &fields);
    if (!why)
        why = read_disposition(fields.disposition, &d);
    if (!why && !is_plain(fields.encoding))
        why = "a Content-Transfer-Encoding other than binary, 8bit or 7bit";
    if (why)
        return why;
    out->name = str_of(dst, resolve(dst, &d.name));
    out->content_type = fields.type;
    return read_filename(&d, dst + out->name.n, &out->filename);
}
