// Verifiers of lunette.cipher: a key that is fixed to one algorithm of JWS when it is made, and which
// only that algorithm's signatures fit. What a token says of its algorithm never gets here.
#include "script/lua_cipher.h"

#include "base/libcrypto.h"
#include "script/lua_crypto.h"
#include "script/luax.h"

#include <string.h>

#define CLASS "lunette.verifier"

enum {
    RSA_BITS_MIN = 2048,  // RFC 7518 §3.3
    RSA_BITS_MAX = 16384, // what one check may cost
    COORDINATE = 32,      // bytes of R and of S on P-256
    PEM_MAX = 64 << 10,   // bytes of a key
    HMAC_MAX = EVP_MAX_MD_SIZE,
};

enum family { OF_SECRET, OF_RSA, OF_EC, OF_ED25519 };

static const struct algorithm {
    struct str name;
    enum family family;
    const EVP_MD *(**digest)(void); // NULL: the signature's own
} algorithms[] = {
    {STR("HS256"), OF_SECRET, &libcrypto.EVP_sha256},
    {STR("HS384"), OF_SECRET, &libcrypto.EVP_sha384},
    {STR("HS512"), OF_SECRET, &libcrypto.EVP_sha512},
    {STR("RS256"), OF_RSA, &libcrypto.EVP_sha256},
    {STR("ES256"), OF_EC, &libcrypto.EVP_sha256},
    {STR("EdDSA"), OF_ED25519, NULL},
};

// One is there after libcrypto is.
struct verifier {
    const struct algorithm *algorithm;
    EVP_PKEY *key;     // NULL for a secret, which is the user value,
    struct str secret; // and this
};

// Keys --------------------------------------------------------------------------------------------

static const struct algorithm *check_algorithm(lua_State *L)
{
    struct str name = luax_check_str(L, 1);
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
        if (str_eq(algorithms[i].name, name))
            return &algorithms[i];
    luaL_argerror(L, 1, "HS256, HS384, HS512, RS256, ES256 or EdDSA expected");
    return NULL;
}

static bool is_pem(struct str s)
{
    return s.p && memmem(s.p, s.n, "-----BEGIN ", 11);
}

// As many bytes as the digest has (RFC 7518 §3.2). A public key for a secret would let anybody sign.
static const char *refuse_secret(const struct algorithm *a, struct str s)
{
    if (is_pem(s))
        return "it looks like a key in PEM, and HMAC takes a secret that nobody else knows";
    if (s.n < (size_t)libcrypto.EVP_MD_get_size((*a->digest)()))
        return "it is too short: HS256 takes 32 bytes at least, HS384 48, HS512 64; "
               "`openssl rand -hex 32` makes 64";
    return NULL;
}

static EVP_PKEY *read_pem(struct str s)
{
    BIO *bio = s.n <= PEM_MAX ? libcrypto.BIO_new_mem_buf(s.p, (int)s.n) : NULL;
    EVP_PKEY *key = bio ? libcrypto.PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    libcrypto.BIO_free(bio);
    libcrypto.ERR_clear_error();
    return key;
}

static bool is_p256(const EVP_PKEY *key)
{
    char name[64];
    size_t n;
    return libcrypto.EVP_PKEY_get_group_name(key, name, sizeof name, &n) == 1 &&
           strcmp(name, "prime256v1") == 0;
}

static const char *refuse_key(const struct algorithm *a, const EVP_PKEY *key)
{
    switch (a->family) {
    case OF_RSA:
        if (!libcrypto.EVP_PKEY_is_a(key, "RSA"))
            return "a key for RS256 is one of RSA";
        if (libcrypto.EVP_PKEY_get_bits(key) < RSA_BITS_MIN ||
            libcrypto.EVP_PKEY_get_bits(key) > RSA_BITS_MAX)
            return "a key of RSA has 2048 to 16384 bits";
        return NULL;
    case OF_EC:
        return libcrypto.EVP_PKEY_is_a(key, "EC") && is_p256(key)
                   ? NULL
                   : "a key for ES256 is on the curve P-256";
    case OF_ED25519:
        return libcrypto.EVP_PKEY_is_a(key, "ED25519") ? NULL : "a key for EdDSA is one of Ed25519";
    case OF_SECRET:
        break;
    }
    return NULL;
}

static int refuse(lua_State *L, const char *why)
{
    luaL_pushfail(L);
    lua_pushstring(L, why);
    return 2;
}

// The userdata is there before what it owns.
static int new_verifier(lua_State *L)
{
    const struct algorithm *a = check_algorithm(L);
    struct str text = luax_check_str(L, 2);
    crypto_need(L);
    struct verifier *v = lua_newuserdatauv(L, sizeof *v, 1);
    *v = (struct verifier){.algorithm = a};
    luaL_setmetatable(L, CLASS);
    if (a->family == OF_SECRET) {
        const char *why = refuse_secret(a, text);
        if (why)
            return refuse(L, why);
        lua_pushvalue(L, 2);
        lua_setiuservalue(L, -2, 1);
        v->secret = text;
        return 1;
    }
    v->key = read_pem(text);
    if (!v->key)
        return refuse(L, "it is no public key in PEM (\"-----BEGIN PUBLIC KEY-----\"); `openssl "
                         "pkey -in private.pem -pubout` or `openssl x509 -in cert.pem -pubkey "
                         "-noout` makes one");
    const char *why = refuse_key(a, v->key);
    return why ? refuse(L, why) : 1;
}

static int verifier_gc(lua_State *L)
{
    struct verifier *v = luaL_checkudata(L, 1, CLASS);
    libcrypto.EVP_PKEY_free(v->key);
    v->key = NULL;
    return 0;
}

// Signatures --------------------------------------------------------------------------------------

static bool fits_secret(const struct verifier *v, struct str text, struct str signature)
{
    unsigned char mac[HMAC_MAX];
    unsigned n = 0;
    if (!libcrypto.HMAC((*v->algorithm->digest)(), v->secret.p, (int)v->secret.n,
                        (const unsigned char *)text.p, text.n, mac, &n))
        return false;
    return n == signature.n && crypto_equal(mac, signature.p, n);
}

// R and S as they stand in a JWS (RFC 7518 §3.4), in the DER that OpenSSL reads; NULL for another
// length, or without memory. CRYPTO_free.
static unsigned char *der_of(struct str s, size_t *n)
{
    unsigned char *der = NULL;
    if (s.n != 2 * COORDINATE)
        return NULL;
    const unsigned char *p = (const unsigned char *)s.p;
    BIGNUM *first = libcrypto.BN_bin2bn(p, COORDINATE, NULL);
    BIGNUM *second = libcrypto.BN_bin2bn(p + COORDINATE, COORDINATE, NULL);
    ECDSA_SIG *sig = libcrypto.ECDSA_SIG_new();
    int len = -1;
    if (first && second && sig && libcrypto.ECDSA_SIG_set0(sig, first, second) == 1) {
        first = second = NULL; // they are the signature's
        len = libcrypto.i2d_ECDSA_SIG(sig, &der);
    }
    libcrypto.BN_free(first);
    libcrypto.BN_free(second);
    libcrypto.ECDSA_SIG_free(sig);
    *n = len > 0 ? (size_t)len : 0;
    return len > 0 ? der : NULL;
}

static bool fits_key(const struct verifier *v, struct str text, const unsigned char *sig, size_t n)
{
    EVP_MD_CTX *ctx = libcrypto.EVP_MD_CTX_new();
    const EVP_MD *digest = v->algorithm->digest ? (*v->algorithm->digest)() : NULL;
    bool ok = ctx && v->key &&
              libcrypto.EVP_DigestVerifyInit(ctx, NULL, digest, NULL, v->key) == 1 &&
              libcrypto.EVP_DigestVerify(ctx, sig, n, (const unsigned char *)text.p, text.n) == 1;
    libcrypto.EVP_MD_CTX_free(ctx);
    libcrypto.ERR_clear_error();
    return ok;
}

static int verify(lua_State *L)
{
    const struct verifier *v = luax_self(L, CLASS);
    struct str text = luax_check_str(L, 2), signature = luax_check_str(L, 3);
    const unsigned char *sig = (const unsigned char *)signature.p;
    size_t n = signature.n;
    bool ok;
    if (v->algorithm->family == OF_SECRET) {
        ok = fits_secret(v, text, signature);
    } else if (v->algorithm->family == OF_EC) {
        unsigned char *der = der_of(signature, &n);
        ok = der && fits_key(v, text, der, n);
        libcrypto.CRYPTO_free(der, __FILE__, __LINE__);
    } else {
        ok = fits_key(v, text, sig, n);
    }
    lua_pushboolean(L, ok);
    return 1;
}

void lua_verifier_register(lua_State *L)
{
    static const luaL_Reg methods[] = {{"verify", verify}, {NULL, NULL}};
    luax_class(L, CLASS, methods, verifier_gc);
    lua_pushcfunction(L, new_verifier);
    lua_setfield(L, -2, "verifier");
}
