// lunette.cipher: keys made of secrets, and sealed texts.
//
//      sealed   salt 16 · nonce 12 · AES-256-GCM of the text · tag 16
//
// GCM's nonces must not repeat under one key, and 12 random bytes are too few for as many messages as
// a site may send in years. So each message has a key of its own, made of the key and the salt.
#include "script/lua_cipher.h"

#include "base/libcrypto.h"
#include "script/lua_crypto.h"
#include "script/luax.h"
#include "script/vm.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <string.h>

enum {
    SECRETS_MAX = 64,
    KEY = 32,
    SALT = 16,
    NONCE = 12,
    TAG = 16,
    HEAD = SALT + NONCE,
    TEXT_MAX = 1 << 30,
};

// Keys --------------------------------------------------------------------------------------------

static bool hkdf(unsigned char key[static KEY], struct str secret, struct str purpose)
{
    char digest[] = "SHA256";
    EVP_KDF *kdf = libcrypto.EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = kdf ? libcrypto.EVP_KDF_CTX_new(kdf) : NULL;
    OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, sizeof digest - 1),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret.p, secret.n),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_INFO, (void *)purpose.p, purpose.n),
        OSSL_PARAM_END,
    };
    bool ok = ctx && libcrypto.EVP_KDF_derive(ctx, key, KEY, params) == 1;
    libcrypto.EVP_KDF_CTX_free(ctx);
    libcrypto.EVP_KDF_free(kdf);
    return ok;
}

static void push_key(lua_State *L, struct str secret, struct str purpose)
{
    unsigned char key[KEY];
    crypto_need(L);
    if (!hkdf(key, secret, purpose))
        luaL_error(L, "not enough memory");
    lua_pushlstring(L, (const char *)key, sizeof key);
    explicit_bzero(key, sizeof key);
}

static struct str check_secret(lua_State *L, int idx)
{
    struct str s = luax_str(L, idx);
    luaL_argcheck(L, s.n > 0, 1, "a secret is a string that is not empty, or an array of such");
    return s;
}

static int derive_given(lua_State *L, struct str purpose)
{
    lua_newtable(L);
    if (lua_type(L, 1) != LUA_TTABLE) {
        push_key(L, check_secret(L, 1), purpose);
        lua_rawseti(L, -2, 1);
        return 1;
    }
    lua_Integer n = (lua_Integer)lua_rawlen(L, 1);
    luaL_argcheck(L, n >= 1 && n <= SECRETS_MAX, 1, "1 to 64 secrets expected");
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, 1, i);
        push_key(L, check_secret(L, -1), purpose);
        lua_rawseti(L, -3, i);
        lua_pop(L, 1);
    }
    return 1;
}

static int cipher_derive(lua_State *L)
{
    const struct vm_options *vm = vm_options(vm_of(L));
    struct str purpose = luax_check_str(L, 2);
    if (!lua_isnil(L, 1))
        return derive_given(L, purpose);
    if (vm->secret_count == 0)
        return 0;
    lua_newtable(L);
    for (unsigned i = 0; i < vm->secret_count && i < SECRETS_MAX; i++) {
        push_key(L, vm->secrets[i], purpose);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

// Sealed texts ------------------------------------------------------------------------------------

struct sealing {
    unsigned char key[SHA256_SIZE]; // of this message
    struct str text, context;
    unsigned char *head; // salt and nonce
};

static struct str check_key(lua_State *L)
{
    struct str key = luax_check_str(L, 1);
    luaL_argcheck(L, key.n == KEY, 1, "a key of derive's expected");
    return key;
}

static bool message_key(struct sealing *s, struct str key)
{
    return crypto_hmac(s->key, key, str_of((const char *)s->head, SALT));
}

static bool start(EVP_CIPHER_CTX *ctx, const struct sealing *s, int encrypt)
{
    int n;
    return ctx &&
           libcrypto.EVP_CipherInit_ex(ctx, libcrypto.EVP_aes_256_gcm(), NULL, s->key,
                                       s->head + SALT, encrypt) == 1 &&
           libcrypto.EVP_CipherUpdate(ctx, NULL, &n, (const unsigned char *)s->context.p,
                                      (int)s->context.n) == 1;
}

static bool encrypt_to(unsigned char *dst, const struct sealing *s)
{
    EVP_CIPHER_CTX *ctx = libcrypto.EVP_CIPHER_CTX_new();
    int n = 0, rest = 0;
    bool ok = start(ctx, s, 1) &&
              libcrypto.EVP_CipherUpdate(ctx, dst, &n, (const unsigned char *)s->text.p,
                                         (int)s->text.n) == 1 &&
              libcrypto.EVP_CipherFinal_ex(ctx, dst + n, &rest) == 1 &&
              libcrypto.EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, dst + s->text.n) == 1;
    libcrypto.EVP_CIPHER_CTX_free(ctx);
    return ok;
}

// False for a text that is not what was encrypted; dst is then not to be looked at.
static bool decrypt_to(unsigned char *dst, const struct sealing *s, unsigned char tag[static TAG])
{
    EVP_CIPHER_CTX *ctx = libcrypto.EVP_CIPHER_CTX_new();
    int n = 0, rest = 0;
    bool ok = start(ctx, s, 0) &&
              libcrypto.EVP_CipherUpdate(ctx, dst, &n, (const unsigned char *)s->text.p,
                                         (int)s->text.n) == 1 &&
              libcrypto.EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, tag) == 1 &&
              libcrypto.EVP_CipherFinal_ex(ctx, dst + n, &rest) == 1;
    libcrypto.EVP_CIPHER_CTX_free(ctx);
    return ok;
}

static int cipher_seal(lua_State *L)
{
    struct str key = check_key(L);
    struct sealing s = {.text = luax_check_str(L, 2), .context = luax_check_str(L, 3)};
    luaL_Buffer b;
    luaL_argcheck(L, s.text.n <= TEXT_MAX && s.context.n <= TEXT_MAX, 2, "too long");
    crypto_need(L);
    size_t n = HEAD + s.text.n + TAG;
    s.head = (unsigned char *)luaL_buffinitsize(L, &b, n);
    crypto_random(L, s.head, HEAD);
    bool ok = message_key(&s, key) && encrypt_to(s.head + HEAD, &s);
    explicit_bzero(s.key, sizeof s.key);
    if (!ok)
        return luaL_error(L, "the text cannot be encrypted");
    luaL_pushresultsize(&b, n);
    return 1;
}

static int cipher_open(lua_State *L)
{
    struct str key = check_key(L), sealed = luax_check_str(L, 2);
    struct sealing s = {.context = luax_check_str(L, 3), .head = (unsigned char *)sealed.p};
    luaL_Buffer b;
    if (sealed.n < HEAD + TAG || sealed.n > TEXT_MAX || s.context.n > TEXT_MAX)
        return 0;
    crypto_need(L);
    s.text = str_of(sealed.p + HEAD, sealed.n - HEAD - TAG);
    unsigned char *dst = (unsigned char *)luaL_buffinitsize(L, &b, s.text.n + 1), tag[TAG];
    memcpy(tag, s.text.p + s.text.n, TAG);
    bool ok = message_key(&s, key) && decrypt_to(dst, &s, tag);
    explicit_bzero(s.key, sizeof s.key);
    if (!ok)
        return 0;
    luaL_pushresultsize(&b, s.text.n);
    return 1;
}

int luaopen_lunette_cipher(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"derive", cipher_derive},
        {"seal", cipher_seal},
        {"open", cipher_open},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    lua_verifier_register(L);
    return 1;
}
