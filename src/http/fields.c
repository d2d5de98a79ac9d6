// Response fields: see the header. Every byte is looked up once in a table, then copied; names that
// mean something to the core are told apart by their length first, so most cost no comparison.
#include "http/fields.h"

#include <string.h>

enum { TOKEN = 1, VALUE = 2, V = VALUE, B = TOKEN | VALUE };

// Which bytes may stand in a name (tchar of RFC 9110 §5.6.2) and in a value (HTAB, SP, VCHAR and
// obs-text of §5.5).
// clang-format off
static const unsigned char allowed[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, V, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    V, B, V, B, B, B, B, B, V, V, B, B, V, B, B, V, //  !"#$%&'()*+,-./
    B, B, B, B, B, B, B, B, B, B, V, V, V, V, V, V, // 0123456789:;<=>?
    V, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, // @ABCDEFGHIJKLMNO
    B, B, B, B, B, B, B, B, B, B, B, V, V, V, B, B, // PQRSTUVWXYZ[\]^_
    B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, // `abcdefghijklmno
    B, B, B, B, B, B, B, B, B, B, B, V, B, V, B, 0, // pqrstuvwxyz{|}~
    [0x80 ... 0xff] = VALUE,
};
// clang-format on

// What the core knows of a name: the bit it sets, or that the field is the connection's own.
enum { DROP = 1 << 16, CONNECTION, LENGTH };

// Those that no list of values is made of.
enum {
    SINGLE = FIELDS_DATE | FIELDS_SERVER | FIELDS_TYPE | FIELDS_NOSNIFF | FIELDS_ETAG |
             FIELDS_LAST_MODIFIED
};

static const struct {
    struct str name;
    int what; // one of fields_has, or one of the three above
} known[] = {
    {{"Date", 4}, FIELDS_DATE},
    {{"Server", 6}, FIELDS_SERVER},
    {{"Content-Type", 12}, FIELDS_TYPE},
    {{"X-Content-Type-Options", 22}, FIELDS_NOSNIFF},
    {{"Vary", 4}, FIELDS_VARY},
    {{"ETag", 4}, FIELDS_ETAG},
    {{"Last-Modified", 13}, FIELDS_LAST_MODIFIED},
    {{"Content-Encoding", 16}, FIELDS_ENCODING},
    {{"Cache-Control", 13}, FIELDS_CACHE_CONTROL},
    {{"Connection", 10}, CONNECTION},
    {{"Content-Length", 14}, LENGTH},
    {{"Transfer-Encoding", 17}, DROP},
    {{"Keep-Alive", 10}, DROP},
    {{"Upgrade", 7}, DROP},
    {{"Trailer", 7}, DROP},
};

void fields_init(struct fields *f)
{
    *f = (struct fields){.length = -1};
    buf_init(&f->lines, FIELDS_MAX);
}

void fields_clear(struct fields *f)
{
    buf_clear(&f->lines);
    f->has = 0;
    f->close = false;
    f->length = -1;
}

void fields_fini(struct fields *f)
{
    buf_fini(&f->lines);
    fields_init(f);
}

static bool all(struct str s, unsigned char class)
{
    unsigned char bits = class;
    for (size_t i = 0; i < s.n; i++)
        bits &= allowed[(unsigned char)s.p[i]];
    return bits != 0;
}

// 0 for a name that the core has no interest in.
static int look_up(struct str name)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (name.n == known[i].name.n && str_ieq(name, known[i].name))
            return known[i].what;
    return 0;
}

// Connection is a list of options (RFC 9110 §7.6.1).
static bool asks_close(struct str value)
{
    struct str option;
    while (str_split(&value, ',', &option))
        if (str_ieq(str_trim(option), STR("close")))
            return true;
    return false;
}

static void note(struct fields *f, int what, struct str value)
{
    uint64_t length;
    if (what == CONNECTION && asks_close(value))
        f->close = true;
    else if (what == LENGTH && str_to_u64(value, &length) && length <= INT64_MAX)
        f->length = (int64_t)length;
}

static char *put(char *at, struct str s)
{
    if (s.n)
        memcpy(at, s.p, s.n);
    return at + s.n;
}

static enum fields_result add(struct fields *f, struct str name, struct str value, int *what)
{
    value = str_trim(value);
    if (name.n == 0 || !all(name, TOKEN))
        return FIELDS_BAD_NAME;
    if (!all(value, VALUE))
        return FIELDS_BAD_VALUE;
    *what = look_up(name);
    if (*what >= DROP) {
        note(f, *what, value);
        return FIELDS_OK;
    }
    if (f->has & (unsigned)*what & SINGLE)
        return FIELDS_TWICE;
    size_t n = name.n + 2 + value.n + 2;
    char *at = buf_room(&f->lines, n);
    if (!at)
        return FIELDS_FULL;
    at = put(put(put(at, name), STR(": ")), value);
    put(at, STR("\r\n"));
    buf_added(&f->lines, n);
    f->has |= (unsigned)*what;
    return FIELDS_OK;
}

enum fields_result fields_add(struct fields *f, struct str name, struct str value)
{
    int what;
    return add(f, name, value, &what);
}

static bool is_noted(const struct fields_note *note, struct str name, struct str value)
{
    return name.n && note->name_n == name.n && note->value_n == value.n &&
           memcmp(note->line, name.p, name.n) == 0 &&
           memcmp(note->line + name.n + 2, value.p, value.n) == 0;
}

enum fields_result fields_add_noted(struct fields *f, struct fields_note *note, struct str name,
                                    struct str value)
{
    if (is_noted(note, name, value)) {
        if (f->has & note->has & SINGLE)
            return FIELDS_TWICE;
        return fields_add_lines(f, str_of(note->line, name.n + 2 + value.n + 2), note->has);
    }
    int what;
    size_t at = f->lines.n;
    enum fields_result r = add(f, name, value, &what);
    size_t n = f->lines.n - at;
    bool as_given = n == name.n + 2 + value.n + 2; // neither trimmed nor left out
    if (r != FIELDS_OK || n > FIELDS_NOTED || !as_given)
        return r;
    note->name_n = (unsigned char)name.n;
    note->value_n = (unsigned char)value.n;
    note->has = (unsigned short)what;
    memcpy(note->line, f->lines.p + at, n);
    return r;
}

// The next line of *rest, without its end; false at the end of all.
static bool next_line(struct str *rest, struct str *line)
{
    ptrdiff_t end = str_find(*rest, '\r'); // no value holds one
    if (end < 0)
        return false;
    *line = str_of(rest->p, (size_t)end);
    *rest = str_of(rest->p + end + 2, rest->n - (size_t)end - 2);
    return true;
}

static bool has_name(struct str line, struct str name)
{
    return line.n > name.n && line.p[name.n] == ':' && str_ieq(str_of(line.p, name.n), name);
}

struct str fields_find(const struct fields *f, struct str name)
{
    struct str rest = buf_str(&f->lines), line;
    while (next_line(&rest, &line))
        if (has_name(line, name))
            return str_of(line.p + name.n + 2, line.n - name.n - 2);
    return str_of(NULL, 0);
}

bool fields_replace(struct fields *f, struct str name, struct str value)
{
    struct str old = fields_find(f, name);
    if (!old.p)
        return false;
    size_t at = (size_t)(old.p - f->lines.p), behind = f->lines.n - at - old.n;
    if (value.n > old.n && !buf_room(&f->lines, value.n - old.n))
        return false;
    char *p = f->lines.p + at; // it may have moved
    memmove(p + value.n, p + old.n, behind);
    memcpy(p, value.p, value.n);
    f->lines.n = at + value.n + behind;
    return true;
}

void fields_remove(struct fields *f, struct str name)
{
    struct str rest = buf_str(&f->lines), line;
    char *end = f->lines.p;
    while (next_line(&rest, &line)) {
        if (has_name(line, name))
            continue;
        memmove(end, line.p, line.n + 2); // its end too
        end += line.n + 2;
    }
    f->lines.n = (size_t)(end - f->lines.p);
    int what = look_up(name);
    if (what < DROP)
        f->has &= ~(unsigned)what;
}

enum fields_result fields_add_lines(struct fields *f, struct str lines, unsigned has)
{
    if (!buf_add(&f->lines, lines))
        return FIELDS_FULL;
    f->has |= has;
    return FIELDS_OK;
}

enum fields_result fields_add_all(struct fields *f, const struct fields *src)
{
    enum fields_result r = FIELDS_OK;
    if (src->lines.n)
        r = fields_add_lines(f, buf_str(&src->lines), src->has);
    if (r == FIELDS_OK)
        f->close |= src->close;
    return r;
}
