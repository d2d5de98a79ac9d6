// Passwords of lunette.crypto: scrypt (RFC 7914) in the thread pool, and PHC strings.
//
// The cost is one of those that OWASP's cheat sheet holds equal (N=2^17 r=8 p=1, …, N=2^13 r=8
// p=10). All of a worker's threads may hash at the same time, so the one taken here is of the
// smaller memory: N=2^15, r=8, p=3 is 32 MiB for each thread, where 2^17 would be 128.
#include "base/base64.h"
#include "base/libcrypto.h"
#include "script/job.h"
#include "script/lua_crypto.h"
#include "script/luax.h"
#include "script/scrypt_text.h"

#include <string.h>

enum {
    PASSWORD_MAX = 1024,    // bytes
    MEMORY_MAX = 136 << 20, // that one hash may take: enough for N=2^17 r=8, and for its margin
};

static const struct scrypt_cost TODAY = {.ln = 15, .r = 8, .p = 3};

struct password_job {
    struct job job;
    size_t length;
    struct scrypt_text stored; // what it is held against; for a new one, salt and sizes
    bool verify, impossible;   // impossible: whatever comes out, it does not fit
    bool failed;               // OpenSSL had no memory
    char password[PASSWORD_MAX];
    unsigned char hash[SCRYPT_HASH_MAX];
};

static void derive(struct job *job)
{
    struct password_job *j = (struct password_job *)job;
    const struct scrypt_text *t = &j->stored;
    j->failed = libcrypto.EVP_PBE_scrypt(j->password, j->length, t->salt, t->salt_size,
                                         (uint64_t)1 << t->cost.ln, t->cost.r, t->cost.p,
                                         MEMORY_MAX, j->hash, t->hash_size) != 1;
}

static void cleanse(struct job *job)
{
    struct password_job *j = (struct password_job *)job;
    explicit_bzero(j->password, sizeof j->password);
    explicit_bzero(j->hash, sizeof j->hash);
    explicit_bzero(&j->stored, sizeof j->stored);
}

static int push_new(lua_State *L, struct password_job *j)
{
    char text[SCRYPT_TEXT_MAX];
    memcpy(j->stored.hash, j->hash, j->stored.hash_size);
    lua_pushlstring(L, text, scrypt_format(text, &j->stored));
    return 1;
}

static int push_verdict(lua_State *L, const struct password_job *j)
{
    bool same = crypto_equal(j->hash, j->stored.hash, j->stored.hash_size);
    bool fits = same && !j->impossible;
    lua_pushboolean(L, fits);
    lua_pushboolean(L, fits && memcmp(&j->stored.cost, &TODAY, sizeof TODAY) != 0);
    return 2;
}

static int push_outcome(lua_State *L, struct job *job)
{
    struct password_job *j = (struct password_job *)job;
    if (j->failed)
        return luaL_error(L, "not enough memory to hash a password");
    return j->verify ? push_verdict(L, j) : push_new(L, j);
}

static struct password_job *new_job(lua_State *L, struct str password)
{
    static const struct job_ops ops = {
        .run = derive, .finish = push_outcome, .release = cleanse, .slow = true};
    crypto_need(L);
    struct password_job *j = (struct password_job *)job_push(L, sizeof *j, &ops);
    memcpy(j->password, password.p, password.n);
    j->length = password.n;
    j->stored.cost = TODAY;
    j->stored.salt_size = SCRYPT_SALT;
    j->stored.hash_size = SCRYPT_HASH;
    return j;
}

static int password_hash(lua_State *L)
{
    struct str password = luax_check_str(L, 1);
    if (password.n > PASSWORD_MAX) { // a visitor's doing
        lua_pushnil(L);
        lua_pushliteral(L, "a password has at most 1024 bytes");
        lua_pushliteral(L, "E2BIG");
        return 3;
    }
    struct password_job *j = new_job(L, password);
    crypto_random(L, j->stored.salt, SCRYPT_SALT);
    return job_wait(L, &j->job);
}

// What cannot fit is hashed all the same, at today's cost.
static int password_verify(lua_State *L)
{
    struct str password = luax_check_str(L, 1);
    struct str stored = lua_isnoneornil(L, 2) ? STR("") : luax_check_str(L, 2);
    bool too_long = password.n > PASSWORD_MAX; // nobody can have set it
    struct password_job *j = new_job(L, too_long ? STR("") : password);
    struct scrypt_text parsed;
    j->verify = true;
    if (too_long || !scrypt_parse(stored, &parsed))
        j->impossible = true;
    else
        j->stored = parsed;
    return job_wait(L, &j->job);
}

void lua_password_register(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"password_hash", password_hash},
        {"password_verify", password_verify},
        {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
}
