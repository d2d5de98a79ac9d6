// Paths of requests: first clean, then decoded.
//
// Dot segments are removed while the path is still encoded, so that ".." takes away one segment as
// the client cut them, whatever "%2F" it holds. Both steps write a path of segments with append(),
// never further than they have read: the result is no longer than the raw path. Most paths need
// neither step, and one look over them says so.
#include "http/uri.h"

#include <assert.h>
#include <string.h>

void uri_split(struct str origin, struct str *raw_path, struct str *query, bool *has_query)
{
    ptrdiff_t mark = str_find(origin, '?');
    *has_query = mark >= 0;
    *query = (struct str){NULL, 0};
    *raw_path = origin;
    if (*has_query) {
        *raw_path = str_of(origin.p, (size_t)mark);
        *query = str_of(origin.p + mark + 1, origin.n - (size_t)mark - 1);
    }
    if (raw_path->n == 0)
        *raw_path = STR("/");
}

// Whether s, which begins with "/", cannot need a change. It says no to some that need none, such
// as "/.well-known/x".
static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if ((unsigned char)c > '/') // all but a few: those that matter are below
            continue;
        if (c == '%' || c == '\0')
            return false;
        if (c == '/' && i + 1 < s.n && (s.p[i + 1] == '/' || s.p[i + 1] == '.'))
            return false;
    }
    return true;
}

// What is wrong with the bytes of s, those of segments that ".." will remove included; or NULL.
static const char *fault(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\0')
            return "a NUL in the path";
        if (s.p[i] != '%')
            continue;
        int byte = pct_byte(str_of(s.p + i, s.n - i));
        if (byte < 0)
            return "a % in the path without two hexadecimal digits";
        if (byte == 0)
            return "a NUL in the path";
    }
    return NULL;
}

// The bytes that a dot at the front of s takes: "%2E" is one too (RFC 3986 §6.2.2.2). 0: no dot.
static size_t dot_width(struct str s)
{
    if (s.n && s.p[0] == '.')
        return 1;
    return s.n >= 3 && str_ieq(str_of(s.p, 3), STR("%2e")) ? 3 : 0;
}

// 1 for the segment ".", 2 for "..", 0 for any other.
static int dot_segment(struct str s)
{
    int dots = 0;
    for (; s.n && dots < 3; dots++) {
        size_t width = dot_width(s);
        if (!width)
            return 0;
        s = str_of(s.p + width, s.n - width);
    }
    return dots < 3 ? dots : 0;
}

// Adds a segment to the path of n bytes in dst; an empty one adds the trailing slash, which the
// next one then uses. The segment may lie in dst itself, behind position n. Returns the new
// length.
static size_t append(char *dst, size_t n, struct str segment)
{
    if (n == 0 || dst[n - 1] != '/')
        dst[n++] = '/';
    memmove(dst + n, segment.p, segment.n);
    return n + segment.n;
}

// The length of the path without its last segment: "/a/b" and "/a/b/" become "/a/". 0 when it has
// none to lose.
static size_t parent(const char *path, size_t n)
{
    if (n && path[n - 1] == '/')
        n--;
    while (n && path[n - 1] != '/')
        n--;
    return n;
}

// Writes the clean path to dst. False when it climbs above "/".
static bool clean(struct str raw, char *dst, struct str *out)
{
    size_t n = 0;
    struct str rest = str_of(raw.p + 1, raw.n - 1), segment;
    while (str_split(&rest, '/', &segment)) {
        int dots = dot_segment(segment);
        if (dots == 2 && (n = parent(dst, n)) == 0)
            return false;
        if (dots != 2)
            n = append(dst, n, dots ? STR("") : segment);
    }
    *out = str_of(dst, n);
    return true;
}

// A decoded segment that holds "/" becomes several in the path. None of them may be a dot segment:
// the path would then name another file than it seems to.
static bool append_pieces(char *dst, size_t *n, struct str decoded)
{
    struct str piece;
    while (str_split(&decoded, '/', &piece)) {
        if (str_eq(piece, STR(".")) || str_eq(piece, STR("..")))
            return false;
        *n = append(dst, *n, piece);
    }
    return true;
}

// Decodes the clean path in place.
static bool decode(char *dst, size_t length, struct uri_path *out)
{
    size_t n = 0;
    struct str rest = str_of(dst + 1, length - 1), segment;
    while (str_split(&rest, '/', &segment)) {
        char *at = dst + (segment.p - dst);
        ptrdiff_t width = pct_decode(at, segment);
        assert(width >= 0); // fault() found none
        struct str decoded = str_of(at, (size_t)width);
        if (str_find(decoded, '/') < 0) {
            n = append(dst, n, decoded);
            continue;
        }
        out->encoded_slash = true;
        if (!append_pieces(dst, &n, decoded))
            return false;
    }
    out->path = str_of(dst, n);
    return true;
}

bool uri_normalise(struct str raw_path, char *dst, struct uri_path *out, const char **why)
{
    *out = (struct uri_path){.path = raw_path, .plain = true};
    if (raw_path.n == 0 || raw_path.p[0] != '/') {
        *why = "a path that does not begin with /";
        return false;
    }
    if (is_plain(raw_path))
        return true;
    if ((*why = fault(raw_path)))
        return false;
    struct str cleaned;
    if (!clean(raw_path, dst, &cleaned)) {
        *why = "a path that climbs above /";
        return false;
    }
    if (!decode(dst, cleaned.n, out)) {
        *why = "an encoded slash beside a dot segment";
        return false;
    }
    out->plain = str_eq(out->path, raw_path);
    if (out->plain)
        out->path = raw_path;
    return true;
}

struct str uri_clean(struct str raw_path, char *dst)
{
    struct str out = {NULL, 0};
    assert(raw_path.n && raw_path.p[0] == '/');
    bool ok = clean(raw_path, dst, &out);
    assert(ok); // uri_normalise would have refused it
    return out;
}
