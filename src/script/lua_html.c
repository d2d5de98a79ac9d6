// lunette.html: text for HTML.
//
// Most texts are short, and have entities close to each other. They are escaped on the stack, in blocks of
// 16 bytes, where there is room to copy whole blocks and whole entities: 170 instructions for 37
// bytes with six of them, 800 when their lengths are heeded.
#include "script/lua_codec.h"

#include "base/html.h"
#include "script/luax.h"

#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
    BLOCK = 16,  // bytes that are looked at together
    SMALL = 256, // bytes of a text that is escaped on the stack
};

// Which of the bytes of a block have an entity: a bit each.
static inline unsigned entities_in(const char *p)
{
#ifdef __SSE2__ // & and ' differ in one bit, so do < and >
    __m128i w = _mm_loadu_si128((const __m128i *)p);
    __m128i with_1 = _mm_or_si128(w, _mm_set1_epi8(1)), with_2 = _mm_or_si128(w, _mm_set1_epi8(2));
    __m128i is = _mm_cmpeq_epi8(w, _mm_set1_epi8('"'));
    is = _mm_or_si128(is, _mm_cmpeq_epi8(with_1, _mm_set1_epi8('\'')));
    is = _mm_or_si128(is, _mm_cmpeq_epi8(with_2, _mm_set1_epi8('>')));
    return (unsigned)_mm_movemask_epi8(is);
#else
    unsigned bits = 0;
    for (unsigned i = 0; i < BLOCK; i++)
        bits |= (unsigned)(html_entities[(unsigned char)p[i]].n != 0) << i;
    return bits;
#endif
}

// The first byte from p on that has an entity, or end.
static inline const char *skip_plain(const char *p, const char *end)
{
    for (; end - p >= BLOCK; p += BLOCK) {
        unsigned bits = entities_in(p);
        if (bits)
            return p + __builtin_ctz(bits);
    }
    while (p < end && !html_entities[(unsigned char)*p].n)
        p++;
    return p;
}

// --- small ---

// Writes the block at p, whose entities are bits. Reads BLOCK bytes more than it has, and writes as
// many behind what is returned.
static inline char *put_block(char *d, const char *p, unsigned bits)
{
    const char *end = p + BLOCK;
    memcpy(d, p, BLOCK);
    for (; bits; bits &= bits - 1) {
        unsigned plain = (unsigned)__builtin_ctz(bits) - (unsigned)(p - (end - BLOCK));
        const struct html_entity *e = &html_entities[(unsigned char)p[plain]];
        d += plain;
        p += plain + 1;
        memcpy(d, e, sizeof *e);
        d += e->n;
        memcpy(d, p, BLOCK);
    }
    return d + (end - p);
}

// Pushes s, of SMALL bytes at most, escaped.
static void push_small(lua_State *L, struct str s)
{
    char from[SMALL + 2 * BLOCK], to[SMALL * HTML_ENTITY_MAX + 2 * BLOCK], *d = to;
    memcpy(from, s.p, s.n);
    memset(from + s.n, 0, 2 * BLOCK);
    size_t over = -s.n % BLOCK; // zeros of the last block
    for (const char *p = from; p < from + s.n; p += BLOCK)
        d = put_block(d, p, entities_in(p));
    lua_pushlstring(L, to, (size_t)(d - to) - over);
}

// --- large ---

// How long s becomes.
static size_t escaped_length(struct str s)
{
    size_t n = s.n;
    const char *end = s.p + s.n;
    for (const char *p = skip_plain(s.p, end); p < end; p = skip_plain(p + 1, end))
        n += html_entities[(unsigned char)*p].n - 1u;
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
        const struct html_entity *e = &html_entities[(unsigned char)*p];
        memcpy(d, e->text, e->n);
        d += e->n;
    }
}

static void push_large(lua_State *L, struct str s)
{
    size_t n = escaped_length(s);
    luaL_Buffer b;
    write_escaped(luaL_buffinitsize(L, &b, n), s);
    luaL_pushresultsize(&b, n);
}

static int html_escape(lua_State *L)
{
    struct str s = luax_check_str(L, 1);
    if (skip_plain(s.p, s.p + s.n) == s.p + s.n)
        lua_settop(L, 1); // it is its own result
    else if (s.n <= SMALL)
        push_small(L, s);
    else
        push_large(L, s);
    return 1;
}

int luaopen_lunette_html(lua_State *L)
{
    static const luaL_Reg functions[] = {{"escape", html_escape}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
