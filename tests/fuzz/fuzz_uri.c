// Paths from arbitrary bytes: whatever is accepted must be safe to use as a file's path, and must
// be the same path that routing sees.
#include "http/uri.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool holds(struct str s, struct str what)
{
    return s.p && memmem(s.p, s.n, what.p, what.n);
}

static void check_safe(struct str path)
{
    assert(path.n > 0 && path.p[0] == '/');
    assert(str_find(path, '\0') < 0);
    assert(!holds(path, STR("//")));
    assert(!holds(path, STR("/./")) && !str_ends(path, STR("/.")));
    assert(!holds(path, STR("/../")) && !str_ends(path, STR("/..")));
}

static void check_stable(struct str path)
{
    struct uri_path again;
    const char *why;
    char *dst = malloc(path.n + 1);
    if (str_find(path, '%') < 0) {
        assert(uri_normalise(path, dst, &again, &why));
        assert(again.plain && again.path.p == path.p && again.path.n == path.n);
    }
    free(dst);
}

// The clean path, each of its segments decoded on its own, is the path.
static void check_clean(struct str raw, const struct uri_path *normal)
{
    char *dst = malloc(raw.n + 1), *joined = malloc(raw.n + 1);
    struct str clean = uri_clean(raw, dst), rest = str_of(clean.p + 1, clean.n - 1), segment;
    size_t n = 0;
    assert(clean.n <= raw.n && clean.p[0] == '/');
    while (str_split(&rest, '/', &segment)) {
        joined[n++] = '/';
        ptrdiff_t width = pct_decode(joined + n, segment);
        assert(width >= 0);
        struct str decoded = str_of(joined + n, (size_t)width);
        assert(!str_eq(decoded, STR(".")) && !str_eq(decoded, STR("..")));
        assert(segment.n > 0 || rest.p == NULL);
        assert(normal->encoded_slash || str_find(decoded, '/') < 0);
        n += (size_t)width;
    }
    assert(normal->encoded_slash || str_eq(str_of(joined, n), normal->path));
    free(joined);
    free(dst);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str raw, query;
    bool has_query;
    struct uri_path out;
    const char *why = NULL;
    uri_split(str_of((const char *)data, size), &raw, &query, &has_query);
    assert(raw.n > 0 && str_find(raw, '?') < 0);
    assert(size == 0 || raw.n + has_query + query.n == size || (raw.n == 1 && data[0] == '?'));

    char *dst = malloc(raw.n + 1);
    if (uri_normalise(raw, dst, &out, &why)) {
        assert(out.path.n <= raw.n);
        assert(out.plain == str_eq(out.path, raw));
        check_safe(out.path);
        check_stable(out.path);
        check_clean(raw, &out);
    } else {
        assert(why && *why);
    }
    free(dst);
    return 0;
}
