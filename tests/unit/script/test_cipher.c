// lunette.cipher: keys, sealed texts, and signatures that other programs made.
#include "script_test.h"

#define C "local c = require 'lunette.cipher' "
#define KEYS C "local k = c.derive('sixteen-bytes-ok', 'test')[1] "
#define HEX "require 'lunette.crypto'.hex"
#define UN "local un = function(s) return require 'lunette.crypto'.unbase64(s, {url = true}) end "

#define PEM(text) "'-----BEGIN PUBLIC KEY-----\\n" text "\\n-----END PUBLIC KEY-----\\n'"
#define P256                                                                  \
    PEM("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAErAuuBPFN5y64zB7MrPk+rhVCZEBx\\n" \
        "8hNDecdho47K+UzWR6zIwnUpEwIVNT1Hcu4mhzIzZ141aiTt1Hn8NhrjDA==")
#define ED25519 PEM("MCowBQYDK2VwAyEAZbTWAzXlsRAQyKW+voPENZxGpxLVFsmodO9Z2RNXuvE=")
#define P384                                                                  \
    PEM("MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE9P3b0nRPJ8ZDPBtfODD6jrg5r02YHv5K\\n" \
        "LM6t3DS0nVn18hnwMz1IJiBpaNkVajxkhlUFJ+kdQgIS26ilwDxF8IqL5erV2Pq6\\n" \
        "yy2N0KkREHY/2PK+X6RqMgLwPQ6kT7vi")
#define RSA1024                                                               \
    PEM("MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDEteNnp6WML8upT9jE5LmRKzls\\n" \
        "AXq4uWbcfq0m4PaA759yDLXTAUpDgFWulvXU7XDwC23AMFSeSIrE2duPu+qtrqwy\\n" \
        "b7h9F2AkdTkMBqHW8cOz4hYC7pIDB5ZNiOumGCqDUAOW9Z2fNm5oS0C9qlDfFQzI\\n" \
        "VTomu+7WGvhdfl5PcQIDAQAB")
#define ES256_TEXT "'eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ4In0'"
#define ES256_SIGNATURE \
    "'tNGWPj6bsUZ2_qu9WnQb6bR62eWtyaGXUEIhEKL2jWw_RU4b8KTwedjeR9uoerHHypOAZAyJfpB7sDMqxwW8wA'"
#define EDDSA_TEXT "'eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ4In0'"
#define EDDSA_SIGNATURE \
    "'A4al6RY0rWVlSHHCX1c3vcp6EMY0_25VL_QhLjH9M6Xrmt2l3LL6i5w6sK1a-hWooxte-bxanCXVvRmf5qHNAA'"

// The first was made by `openssl kdf … HKDF`.
static void keys(void **state)
{
    static const struct story stories[] = {
        {KEYS "return " HEX "(k)",
         "e3275fbce0fbcb2cc262f544fdfdee81ec219b3da224eda1af3f1febec522f2a"},
        {KEYS "local l = c.derive({'other', 'sixteen-bytes-ok'}, 'test') "
              "return #l, l[2] == k, l[1] == k, c.derive('sixteen-bytes-ok', 'Test')[1] == k",
         "2,true,false,false"},
        {C "return c.derive(nil, 'x')", ""},
        {C "c.derive({}, 'x')",
         "error: t:1: bad argument #1 to 'derive' (1 to 64 secrets expected)"},
        {C "c.derive('', 'x')",
         "error: t:1: bad argument #1 to 'derive' (a secret is a string that "
         "is not empty, or an array of such)"},
        {C "c.derive({'x', 1}, 'x')",
         "error: t:1: bad argument #1 to 'derive' (a secret is a string that is not empty, or an "
         "array of such)"},
    };
    tell(*state, stories);
}

static void keys_of_the_sites_secrets(void **state)
{
    static const struct str secrets[] = {STR("the newest secret"), STR("sixteen-bytes-ok")};
    static const struct story stories[] = {
        {KEYS "local l = c.derive(nil, 'test') return #l, l[2] == k", "2,true"},
    };
    struct fixture *f = *state;
    vm_free(f->vm);
    open_vm(f, (struct vm_options){.memory = 64 << 20, .secrets = secrets, .secret_count = 2});
    tell(f, stories);
}

static void sealed_texts(void **state)
{
    static const struct story stories[] = {
        {KEYS "for _, n in ipairs {0, 1, 15, 16, 17, 5000} do local s = ('x'):rep(n) "
              "local sealed = c.seal(k, s, 'ctx') assert(#sealed == n + 44) "
              "assert(c.open(k, sealed, 'ctx') == s) end return 'all'",
         "all"},
        {KEYS "return c.seal(k, 'x', '') ~= c.seal(k, 'x', '')", "true"},
        {KEYS "return c.open(k, c.seal(k, 'x', 'one'), 'two')", ""},
        {KEYS "return c.open(('k'):rep(32), c.seal(k, 'x', ''), '')", ""},
        {KEYS "local s = c.seal(k, 'some text', 'ctx') for i = 1, #s do "
              "local bad = s:sub(1, i - 1) .. string.char(s:byte(i) ~ 1) .. s:sub(i + 1) "
              "assert(c.open(k, bad, 'ctx') == nil) end "
              "for n = 0, #s - 1 do assert(c.open(k, s:sub(1, n), 'ctx') == nil) end "
              "return c.open(k, s .. 'x', 'ctx') or 'none'",
         "none"},
        {C "c.seal('short', 'x', '')",
         "error: t:1: bad argument #1 to 'seal' (a key of derive's expected)"},
    };
    tell(*state, stories);
}

// HS256: RFC 7515 A.1. The others were made by PyJWT.
static void signatures(void **state)
{
    static const struct story stories[] = {
        {C UN
         "local v = c.verifier('HS256', un 'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-"
         "1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow') "
         "local text = 'eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOj"
         "EzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ' "
         "local sig = un 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk' "
         "return v:verify(text, sig), v:verify(text .. 'x', sig), v:verify(text, sig:sub(2)), "
         "v:verify(text, '')",
         "true,false,false,false"},
        {C UN "local v, sig = c.verifier('ES256', " P256 "), un(" ES256_SIGNATURE ") "
              "return v:verify(" ES256_TEXT ", sig), v:verify(" EDDSA_TEXT ", sig), "
              "v:verify(" ES256_TEXT ", sig .. '\\0'), v:verify(" ES256_TEXT ", ''), "
              "v:verify(" ES256_TEXT ", ('\\0'):rep(64))",
         "true,false,false,false,false"},
        {C UN "local v, sig = c.verifier('EdDSA', " ED25519 "), un(" EDDSA_SIGNATURE ") "
              "return v:verify(" EDDSA_TEXT ", sig), v:verify(" ES256_TEXT ", sig), "
              "v:verify(" EDDSA_TEXT ", sig:sub(2)), v:verify(" EDDSA_TEXT ", '')",
         "true,false,false,false"},
    };
    tell(*state, stories);
}

static void keys_that_do_not_fit(void **state)
{
    static const struct story stories[] = {
        {C "return c.verifier('HS256', ('x'):rep(31))",
         "nil,it is too short: HS256 takes 32 bytes at least, HS384 48, HS512 64; `openssl rand -hex "
         "32` makes 64"},
        {C "return c.verifier('HS512', ('x'):rep(63)) == nil, "
           "c.verifier('HS512', ('x'):rep(64)) == nil",
         "true,false"},
        {C "return c.verifier('HS256', " P256 ")",
         "nil,it looks like a key in PEM, and HMAC takes a secret that nobody else knows"},
        {C "return c.verifier('ES256', " P384 ")", "nil,a key for ES256 is on the curve P-256"},
        {C "return c.verifier('ES256', " ED25519 ")", "nil,a key for ES256 is on the curve P-256"},
        {C "return c.verifier('EdDSA', " P256 ")", "nil,a key for EdDSA is one of Ed25519"},
        {C "return c.verifier('RS256', " P256 ")", "nil,a key for RS256 is one of RSA"},
        {C "return c.verifier('RS256', " RSA1024 ")", "nil,a key of RSA has 2048 to 16384 bits"},
        {C "return (select(2, c.verifier('RS256', 'x')):sub(1, 28))",
         "it is no public key in PEM ("},
        {C "c.verifier('none', 'x')", "error: t:1: bad argument #1 to 'verifier' (HS256, HS384, "
                                      "HS512, RS256, ES256 or EdDSA expected)"},
    };
    tell(*state, stories);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(keys),       TEST(keys_of_the_sites_secrets), TEST(sealed_texts),
        TEST(signatures), TEST(keys_that_do_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
