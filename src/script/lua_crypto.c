// lunette.crypto: random bytes, text forms of bytes, digests. Passwords are in lua_password.c,
// signed text in lua_sign.c.
#include "script/lua_crypto.h"

#include "base/base64.h"
#include "base/libcrypto.h"
#include "script/luax.h"
#include "script/options.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

enum {
    RANDOM_MAX = 1 << 20, // bytes of random(n)
    TOKEN_MAX = 1024,     // of token(n)
    TOKEN_BYTES = 32,     // when nothing is said: more than anybody can try
    TEXT_MAX = 1 << 30,   // bytes to write in another form
};

void crypto_need(lua_State *L)
{
    const char *why = libcrypto_load();
    if (why)
        luaL_error(L, "%s", why);
}

void crypto_random(lua_State *L, void *dst, size_t n)
{
    for (char *p = dst; n > 0;) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno != EINTR)
            luaL_error(L, "the system gives no random bytes");
        if (got > 0) {
            p += got;
            n -= (size_t)got;
        }
    }
}

// Volatile: whoever compiles it may not stop at the first difference.
bool crypto_equal(const void *a, const void *b, size_t n)
{
    const volatile unsigned char *p = a, *q = b;
    unsigned differ = 0;
    for (size_t i = 0; i < n; i++)
        differ |= (unsigned)(p[i] ^ q[i]);
    return differ == 0;
}

static size_t check_count(lua_State *L, int arg, lua_Integer n, lua_Integer max)
{
    if (n < 1 || n > max)
        luaL_argerror(L, arg, lua_pushfstring(L, "1 to %I bytes expected", (LUAI_UACINT)max));
    return (size_t)n;
}

static int random_of(lua_State *L)
{
    size_t n = check_count(L, 1, luaL_checkinteger(L, 1), RANDOM_MAX);
    luaL_Buffer b;
    crypto_random(L, luaL_buffinitsize(L, &b, n), n);
    luaL_pushresultsize(&b, n);
    return 1;
}

static int crypto_token(lua_State *L)
{
    char bytes[TOKEN_MAX], text[TOKEN_MAX * 3 / 2];
    size_t n = check_count(L, 1, luaL_optinteger(L, 1, TOKEN_BYTES), TOKEN_MAX);
    crypto_random(L, bytes, n);
    lua_pushlstring(L, text, base64_encode(text, str_of(bytes, n), BASE64_URL));
    explicit_bzero(bytes, n);
    explicit_bzero(text, sizeof text);
    return 1;
}

static char *put_hex(char *p, struct str s)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < s.n; i++) {
        *p++ = digits[(unsigned char)s.p[i] >> 4];
        *p++ = digits[(unsigned char)s.p[i] & 15];
    }
    return p;
}

// RFC 9562 §5.4: random but for the version and the variant.
static int crypto_uuid(lua_State *L)
{
    static const size_t groups[] = {4, 2, 2, 2, 6}; // bytes between the hyphens
    char bytes[16], text[36], *p = text;
    size_t at = 0;
    crypto_random(L, bytes, sizeof bytes);
    bytes[6] = (char)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (char)((bytes[8] & 0x3f) | 0x80);
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        if (i > 0)
            *p++ = '-';
        p = put_hex(p, str_of(bytes + at, groups[i]));
        at += groups[i];
    }
    lua_pushlstring(L, text, sizeof text);
    return 1;
}

// Text forms

static struct str check_text(lua_State *L, int arg)
{
    struct str s = luax_check_str(L, arg);
    luaL_argcheck(L, s.n <= TEXT_MAX, arg, "too long");
    return s;
}

static int crypto_hex(lua_State *L)
{
    struct str s = check_text(L, 1);
    luaL_Buffer b;
    put_hex(luaL_buffinitsize(L, &b, 2 * s.n), s);
    luaL_pushresultsize(&b, 2 * s.n);
    return 1;
}

// nil and a message for the first byte that is wrong, counted from 1; past the end it is missing.
static int push_wrong(lua_State *L, const char *what, struct str s, size_t at)
{
    luaL_pushfail(L);
    if (at < s.n)
        lua_pushfstring(L, "not %s: byte %I is wrong", what, (LUAI_UACINT)at + 1);
    else
        lua_pushfstring(L, "not %s: it ends too early", what);
    return 2;
}

static int crypto_unhex(lua_State *L)
{
    struct str s = luax_check_str(L, 1);
    luaL_Buffer b;
    char *dst = luaL_buffinitsize(L, &b, s.n / 2);
    for (size_t i = 0; i < s.n; i++) {
        int digit = hex_value((unsigned char)s.p[i]);
        if (digit < 0)
            return push_wrong(L, "hexadecimal", s, i);
        if (i % 2 == 1)
            dst[i / 2] = (char)(hex_value((unsigned char)s.p[i - 1]) << 4 | digit);
    }
    if (s.n % 2 == 1)
        return push_wrong(L, "hexadecimal", s, s.n);
    luaL_pushresultsize(&b, s.n / 2);
    return 1;
}

static enum base64_form check_form(lua_State *L, int arg)
{
    static const char *const names[] = {"url", NULL};
    if (!options_check(L, arg, names))
        return BASE64_STANDARD;
    int type = lua_getfield(L, arg, "url");
    luaL_argcheck(L, type == LUA_TNIL || type == LUA_TBOOLEAN, arg, "url is true or false");
    return lua_toboolean(L, -1) ? BASE64_URL : BASE64_STANDARD;
}

static int crypto_base64(lua_State *L)
{
    struct str s = check_text(L, 1);
    enum base64_form form = check_form(L, 2);
    luaL_Buffer b;
    char *dst = luaL_buffinitsize(L, &b, base64_length(s.n, form));
    luaL_pushresultsize(&b, base64_encode(dst, s, form));
    return 1;
}

static int crypto_unbase64(lua_State *L)
{
    struct str s = luax_check_str(L, 1);
    enum base64_form form = check_form(L, 2);
    luaL_Buffer b;
    char *dst = luaL_buffinitsize(L, &b, s.n / 4 * 3 + 2);
    ptrdiff_t n = base64_decode(dst, s, form);
    if (n < 0)
        return push_wrong(L, form == BASE64_URL ? "URL-safe base64" : "base64", s,
                          (size_t)(-1 - n));
    luaL_pushresultsize(&b, (size_t)n);
    return 1;
}

// Digests

static int crypto_sha256(lua_State *L)
{
    struct str s = luax_check_str(L, 1);
    unsigned char digest[SHA256_SIZE];
    crypto_need(L);
    if (libcrypto.EVP_Digest(s.p, s.n, digest, NULL, libcrypto.EVP_sha256(), NULL) != 1)
        return luaL_error(L, "not enough memory");
    lua_pushlstring(L, (const char *)digest, sizeof digest);
    return 1;
}

// OpenSSL takes an int, and hashes what is longer than a block by itself (RFC 2104 §2).
bool crypto_hmac(unsigned char dst[static SHA256_SIZE], struct str key, struct str text)
{
    return libcrypto.HMAC(libcrypto.EVP_sha256(), key.n ? key.p : "", (int)key.n,
                          (const unsigned char *)text.p, text.n, dst, NULL) != NULL;
}

static int crypto_hmac_of(lua_State *L)
{
    unsigned char mac[SHA256_SIZE];
    struct str key = check_text(L, 1), text = luax_check_str(L, 2);
    crypto_need(L);
    if (!crypto_hmac(mac, key, text))
        return luaL_error(L, "not enough memory");
    lua_pushlstring(L, (const char *)mac, sizeof mac);
    return 1;
}

static int equal_of(lua_State *L)
{
    struct str a = luax_check_str(L, 1), b = luax_check_str(L, 2);
    lua_pushboolean(L, a.n == b.n && crypto_equal(a.p, b.p, a.n));
    return 1;
}

int luaopen_lunette_crypto(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"random", random_of},
        {"token", crypto_token},
        {"uuid", crypto_uuid},
        {"hex", crypto_hex},
        {"unhex", crypto_unhex},
        {"base64", crypto_base64},
        {"unbase64", crypto_unbase64},
        {"sha256", crypto_sha256},
        {"hmac", crypto_hmac_of},
        {"equal", equal_of},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    lua_password_register(L);
    lua_sign_register(L);
    return 1;
}
