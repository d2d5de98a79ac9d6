// lunette.html: text for HTML.
#include "script/lua_codec.h"

#include "base/html.h"
#include "script/luax.h"

#include <string.h>

#define BYTES(c) (0x0101010101010101u * (c))

// Whether one of eight bytes has an entity: & and ' differ in one bit, so do < and >. Bytes above
// 0x7f are left out; a subtraction borrows only from a byte that has an entity itself.
static inline bool word_has_entity(uint64_t w)
{
    uint64_t amp_or_apostrophe = ((w | BYTES(1)) ^ BYTES('\'')) - BYTES(1);
    uint64_t less_or_greater = ((w | BYTES(2)) ^ BYTES('>')) - BYTES(1);
    uint64_t quote = (w ^ BYTES('"')) - BYTES(1);
    return (amp_or_apostrophe | less_or_greater | quote) & ~w & BYTES(0x80);
}

// The first byte from p on that has an entity, or end.
static inline const char *skip_plain(const char *p, const char *end)
{
    for (uint64_t w; end - p >= 8; p += 8) {
        memcpy(&w, p, 8);
        if (word_has_entity(w))
            break;
    }
    while (p < end && !html_entities[(unsigned char)*p].p)
        p++;
    return p;
}

// How long s becomes.
static size_t escaped_length(struct str s)
{
    size_t n = s.n;
    const char *end = s.p + s.n;
    for (const char *p = skip_plain(s.p, end); p < end; p = skip_plain(p + 1, end))
        n += html_entities[(unsigned char)*p].n - 1;
    return n;
}

static void write_escaped(char *d, struct str s)
{
    const char *end = s.p + s.n;
    for (const char *p = s.p; p < end; p++) {
        const char *next = skip_plain(p, end);
        memcpy(d, p, (size_t)(next - p));
        d += next - p;
        p = next;
        if (p == end)
            return;
        struct str entity = html_entities[(unsigned char)*p];
        memcpy(d, entity.p, entity.n);
        d += entity.n;
    }
}

static int html_escape(lua_State *L)
{
    struct str s = luax_check_str(L, 1);
    size_t n = escaped_length(s);
    lua_settop(L, 1);
    if (n == s.n)
        return 1;
    luaL_Buffer b;
    write_escaped(luaL_buffinitsize(L, &b, n), s);
    luaL_pushresultsize(&b, n);
    return 1;
}

int luaopen_lunette_html(lua_State *L)
{
    static const luaL_Reg functions[] = {{"escape", html_escape}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
