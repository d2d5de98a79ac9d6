// sign and unsign of lunette.crypto. The key is not the secret itself, but made of it for this
// purpose: what else is derived from the same secret can never pass for a signature.
#include "script/lua_crypto.h"

#include "base/wall.h"
#include "script/luax.h"
#include "script/options.h"
#include "script/signed.h"
#include "script/vm.h"

#include <math.h>
#include <string.h>

static const struct str PURPOSE = {"lunette.sign", 12};

static const double MAX_AGE_MAX = 1e10; // seconds

enum { SECRETS_MAX = 64, TEXT_MAX = 1 << 30 };

enum { TEXT = 1, OPTIONS }; // the arguments

struct options {
    struct str secrets[SECRETS_MAX]; // those of a table stay on the stack, or in it
    int count;
    uint64_t max_age; // seconds; UINT64_MAX: none
};

static void add_secret(lua_State *L, struct options *o, struct str secret)
{
    if (!secret.p || secret.n == 0)
        luaL_argerror(L, OPTIONS, "secret is a string that is not empty, or an array of such");
    if (o->count == SECRETS_MAX)
        luaL_argerror(L, OPTIONS, "too many secrets");
    o->secrets[o->count++] = secret;
}

static void read_secrets(lua_State *L, struct options *o)
{
    int type = lua_getfield(L, OPTIONS, "secret"), list = lua_gettop(L);
    if (type == LUA_TNIL)
        return;
    if (type != LUA_TTABLE) {
        add_secret(L, o, luax_str(L, list));
        return;
    }
    lua_Integer n = (lua_Integer)lua_rawlen(L, list);
    luaL_argcheck(L, n > 0, OPTIONS, "secret is an empty array");
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, list, i);
        add_secret(L, o, luax_str(L, -1));
        lua_pop(L, 1); // the array keeps it
    }
}

static void read_max_age(lua_State *L, struct options *o)
{
    double seconds = -1;
    int type = lua_getfield(L, OPTIONS, "max_age");
    if (type == LUA_TNIL)
        return;
    if (type == LUA_TNUMBER)
        seconds = lua_tonumber(L, -1);
    else if (type == LUA_TSTRING && !luax_parse_duration(luax_str(L, -1), &seconds))
        seconds = -1;
    if (!(seconds >= 0 && seconds <= MAX_AGE_MAX)) // also catches NaN
        luaL_argerror(L, OPTIONS, "max_age is seconds, or a duration such as \"30d\"");
    o->max_age = (uint64_t)ceil(seconds);
}

static void own_secrets(lua_State *L, struct options *o)
{
    const struct vm_options *vm = vm_options(vm_of(L));
    for (unsigned i = 0; i < vm->secret_count && i < SECRETS_MAX; i++)
        o->secrets[o->count++] = vm->secrets[i];
    if (o->count == 0)
        luaL_error(L, "there is no secret to sign with: set `secret` in scripts/config.lua, for "
                      "instance to os.getenv \"LUNETTE_SECRET\" with the output of `openssl rand "
                      "-hex 32` in that variable, or pass {secret = }");
}

static void read_options(lua_State *L, struct options *o)
{
    static const char *const names[] = {"secret", "max_age", NULL};
    *o = (struct options){.max_age = UINT64_MAX};
    if (options_check(L, OPTIONS, names)) {
        read_max_age(L, o);
        read_secrets(L, o);
    }
    if (o->count == 0)
        own_secrets(L, o);
}

static void make_mac(lua_State *L, unsigned char mac[static SIGNED_MAC], struct str secret,
                     struct str body)
{
    unsigned char key[SHA256_SIZE];
    crypto_need(L);
    bool ok = crypto_hmac(key, secret, PURPOSE) &&
              crypto_hmac(mac, str_of((const char *)key, sizeof key), body);
    explicit_bzero(key, sizeof key);
    if (!ok)
        luaL_error(L, "not enough memory");
}

static uint64_t now(void)
{
    time_t t = wall_now().tv_sec;
    return t < 0 ? 0 : (uint64_t)t;
}

static int crypto_sign(lua_State *L)
{
    struct str text = luax_check_str(L, TEXT);
    struct options o;
    char stamp[SIGNED_STAMP_MAX], tail[SIGNED_TAIL_MAX];
    unsigned char mac[SIGNED_MAC];
    luaL_argcheck(L, text.n <= TEXT_MAX, TEXT, "too long");
    read_options(L, &o);
    uint64_t at = now(), until = o.max_age == UINT64_MAX ? UINT64_MAX : at + o.max_age;
    lua_pushvalue(L, TEXT);
    lua_pushlstring(L, stamp, signed_stamp(stamp, at, until));
    lua_concat(L, 2);
    make_mac(L, mac, o.secrets[0], luax_str(L, -1));
    lua_pushlstring(L, tail, signed_tail(tail, mac));
    lua_concat(L, 2);
    return 1;
}

static bool any_secret_fits(lua_State *L, const struct options *o, const struct signed_text *s)
{
    unsigned char mac[SIGNED_MAC];
    for (int i = 0; i < o->count; i++) {
        make_mac(L, mac, o->secrets[i], s->body);
        if (crypto_equal(mac, s->mac, SIGNED_MAC))
            return true;
    }
    return false;
}

// A time of signing in the future is another machine's clock, and no older than now.
static bool is_over(const struct signed_text *s, uint64_t max_age)
{
    uint64_t t = now();
    return t > s->until || (t > s->at && t - s->at > max_age);
}

static int refuse(lua_State *L, const char *why)
{
    luaL_pushfail(L);
    lua_pushstring(L, why);
    return 2;
}

static int crypto_unsign(lua_State *L)
{
    struct str whole = luax_check_str(L, TEXT);
    struct options o;
    struct signed_text s;
    read_options(L, &o);
    if (!signed_parse(whole, &s))
        return refuse(L, "not a signed text");
    if (!any_secret_fits(L, &o, &s))
        return refuse(L, "bad signature");
    if (is_over(&s, o.max_age))
        return refuse(L, "expired");
    luax_push(L, s.text);
    return 1;
}

void lua_sign_register(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"sign", crypto_sign}, {"unsign", crypto_unsign}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
