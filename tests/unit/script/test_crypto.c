// lunette.crypto: published vectors, values made by other programs, and what is refused.
#include "script_test.h"

#include "script/scrypt_text.h"

#define C "local c = require 'lunette.crypto' "
#define SECRET "{secret = 'sixteen bytes ok'}"

static void random_values(void **state)
{
    static const struct story stories[] = {
        {C "return #c.random(1), #c.random(1000), #c.random(2^20), c.random(16) ~= c.random(16)",
         "1,1000,1048576,true"},
        {C "c.random(0)", "error: t:1: bad argument #1 to 'random' (1 to 1048576 bytes expected)"},
        {C "c.random(2^20 + 1)",
         "error: t:1: bad argument #1 to 'random' (1 to 1048576 bytes expected)"},
        {C "return #c.token(), #c.token(16), #c.token(1024), c.token():find '^[%w_-]+$'",
         "43,22,1366,1,43"},
        {C "c.token(1025)", "error: t:1: bad argument #1 to 'token' (1 to 1024 bytes expected)"},
        {C "local x = ('%x'):rep(4) return c.uuid():match('^' .. x .. x .. '%-' .. x .. '%-4' "
           ".. ('%x'):rep(3) .. '%-[89ab]' .. ('%x'):rep(3) .. '%-' .. x .. x .. x .. '$') ~= nil",
         "true"},
        {C "local seen = {} for i = 1, 1000 do local u = c.uuid() assert(not seen[u]) "
           "seen[u] = true end return #c.uuid()",
         "36"},
    };
    tell(*state, stories);
}

static void text_forms(void **state)
{
    static const struct story stories[] = {
        {C "return c.hex '\\0\\x7f\\xff', c.hex ''", "007fff,"},
        {C "return c.unhex '007FfF' == '\\0\\x7f\\xff', c.unhex ''", "true,"},
        {C "return c.unhex '0'", "nil,not hexadecimal: it ends too early"},
        {C "return c.unhex '00g0'", "nil,not hexadecimal: byte 3 is wrong"},
        {C "return c.base64 'foob', c.base64('foob', {url = true}), c.base64 ''",
         "Zm9vYg==,Zm9vYg,"},
        {C "return c.base64 '\\xff\\xff', c.base64('\\xff\\xff', {url = true})", "//8=,__8"},
        {C "return c.unbase64 'Zm9vYg==', c.unbase64('Zm9vYg', {url = true}), c.unbase64 ''",
         "foob,foob,"},
        {C "return c.unbase64 'Zm9vYg'", "nil,not base64: it ends too early"},
        {C "return c.unbase64 'Zm9v\\n'", "nil,not base64: byte 5 is wrong"},
        {C "return c.unbase64('Zg==', {url = true})", "nil,not URL-safe base64: byte 3 is wrong"},
        {C "c.base64('a', {ulr = true})",
         "error: t:1: bad argument #2 to 'base64' (unknown option 'ulr', did you mean 'url'?)"},
        {C "c.base64('a', {url = 1})",
         "error: t:1: bad argument #2 to 'base64' (url is true or false)"},
        {C "local s = c.random(100000) return c.unbase64(c.base64(s)) == s, "
           "c.unhex(c.hex(s)) == s, c.unbase64(c.base64(s, {url = true}), {url = true}) == s",
         "true,true,true"},
    };
    tell(*state, stories);
}

// FIPS 180-4 (NIST's examples), RFC 4231 §4.2 to §4.8.
static void digests(void **state)
{
    static const struct story stories[] = {
        {C "return c.hex(c.sha256 '')",
         "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {C "return c.hex(c.sha256 'abc')",
         "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {C "return c.hex(c.sha256 'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq')",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {C "return c.hex(c.sha256(('a'):rep(1000000)))",
         "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
        {C "return c.hex(c.hmac(('\\x0b'):rep(20), 'Hi There'))",
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {C "return c.hex(c.hmac('Jefe', 'what do ya want for nothing?'))",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {C "return c.hex(c.hmac(('\\xaa'):rep(20), ('\\xdd'):rep(50)))",
         "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
        {C "return c.hex(c.hmac(c.unhex '0102030405060708090a0b0c0d0e0f10111213141516171819', "
           "('\\xcd'):rep(50)))",
         "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
        {C "return c.hex(c.hmac(('\\xaa'):rep(131), 'Test Using Larger Than Block-Size Key - "
           "Hash Key First'))",
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
        {C "return c.hex(c.hmac(('\\xaa'):rep(131), 'This is a test using a larger than block-size "
           "key and a larger than block-size data. The key needs to be hashed before being used "
           "by the HMAC algorithm.'))",
         "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
        {C "return c.hex(c.hmac('', ''))",
         "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"},
        {C "return c.equal('a', 'a'), c.equal('a', 'b'), c.equal('a', 'aa'), c.equal('', '')",
         "true,false,false,true"},
        {C "c.equal('a')",
         "error: t:1: bad argument #2 to 'equal' (string expected, got no value)"},
    };
    tell(*state, stories);
}

static void passwords(void **state)
{
    static const struct story stories[] = {
        {C "local h = c.password_hash 'secret' "
           "return h:match '^%$scrypt%$ln=15,r=8,p=3%$[%w+/]+%$[%w+/]+$' == h, "
           "c.password_verify('secret', h), c.password_verify('Secret', h)",
         "true,true,false,false"},
        {C "return c.password_hash 'x' ~= c.password_hash 'x'", "true"},
        {C "return c.password_hash(('x'):rep(1025))",
         "nil,a password has at most 1024 bytes,E2BIG"},
        {C "local h = c.password_hash(('x'):rep(1024)) "
           "return c.password_verify(('x'):rep(1024), h), c.password_verify(('x'):rep(1025), h)",
         "true,false,false"},
        {C "return c.password_verify('a\\0b', c.password_hash 'a\\0c')", "false,false"},
        // made by Python's hashlib
        {C "return c.password_verify('secret', "
           "'$scrypt$ln=15,r=8,p=3$MDEyMzQ1Njc4OWFiY2RlZg$YX2XUCqlQryHZC93S4JFIOJ4k/YC2h/"
           "wCM52bgNcKV4')",
         "true,false"},
        // RFC 7914 §12, the third: of another cost
        {C "return c.password_verify('pleaseletmein', "
           "'$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/"
           "2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw')",
         "true,true"},
        // the largest that is taken
        {C "return c.password_verify('x', '$scrypt$ln=17,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$"
           "5TKEMSKU/JwS/wlPdWlxW1U2vaL2b54w5N3i26RySb4')",
         "true,true"},
        // a user that is not there, and a password that is too long for anybody's hash
        {C "return c.password_verify('x', nil)", "false,false"},
        {C "return c.password_verify('', 'nonsense')", "false,false"},
        {C "return c.password_verify(('x'):rep(2000), '$scrypt$ln=15,r=8,p=3$"
           "MDEyMzQ1Njc4OWFiY2RlZg$+E/euMmqO03yHDCGZW3aDDxUJt0hBYurTh6bnxVi1RA')",
         "false,false"},
        {C "table.sort({1, 2}, function() c.password_hash 'x' end)",
         "error: t:1: cannot wait inside table.sort"},
        {C "return pcall(c.password_verify, 'x', 5)", "true,false,false"},
        {C "c.password_verify('x', {})",
         "error: t:1: bad argument #2 to 'password_verify' (string expected, got table)"},
    };
    tell(*state, stories);
}

static void stored_hashes_are_bounded(void **state)
{
    static const char *const bad[] = {
        "",
        "$scrypt$",
        "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZg",
        "$scrypt$ln=21,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZg", // too much of each
        "$scrypt$ln=15,r=33,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZg",
        "$scrypt$ln=15,r=8,p=17$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZg",
        "$scrypt$ln=18,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZg", // memory
        "$scrypt$ln=17,r=8,p=5$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZg", // time
        "$scrypt$ln=16,r=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZg", // RFC 7914 §2
        "$scrypt$ln=0,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZg",
        "$scrypt$ln=015,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZg",
        "$scrypt$ln=99999999999999999999,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZg",
        "$scrypt$ln=15,r=8$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZg",
        "$scrypt$ln=15,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg",
        "$scrypt$ln=15,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZg$",
        "$scrypt$ln=15,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZg=",
        "$scrypt$ln=15,r=8,p=1$MDEy$MDEyMzQ1Njc4OWFiY2RlZg", // salt or hash too short
        "$scrypt$ln=15,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1",
        "$scrypt$ln=15,r=8,p=1$$MDEyMzQ1Njc4OWFiY2RlZg",
    };
    struct scrypt_text t;
    char text[SCRYPT_TEXT_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (scrypt_parse(str_z(bad[i]), &t))
            fail_msg("%s is taken", bad[i]);
    struct str good = STR("$scrypt$ln=17,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZg");
    assert_true(scrypt_parse(good, &t));
    assert_int_equal(t.salt_size, 16);
    assert_true(str_eq(str_of(text, scrypt_format(text, &t)), good));
}

// Signatures of the form's description, made by Python's hmac.
static void signing(void **state)
{
    static const struct story stories[] = {
        {C "local s = c.sign('a.b', " SECRET ") return c.unsign(s, " SECRET "), "
           "s:match '^(a%.b)%.%d+%.[%w_-]+$'",
         "a.b,a.b"},
        {C "return c.unsign('hello.1000000000.8iXy9FbfKcoppiA5XKgy2pB8TQpOSRE4wjH2Ywkz4bQ', " SECRET
           ")",
         "hello"},
        {C "return c.unsign('hello.1000000000-1000000060."
           "Aq7LzA9lkewqPdvcu_NZ0jCwmf7zzfPEu_scEbL972I', " SECRET ")",
         "nil,expired"},
        {C "return c.unsign('hello.1000000000-4000000000."
           "KzOS2OiXxI7Z1Wg7IIiliMqWAGyqxmIJ2Mp_A-lZAzY', " SECRET ")",
         "hello"},
        {C "return c.unsign('a.b.4000000000.HeX3mOWflwUB2ljJtJzDyybmLiJJKk4j-q2tegG_Evk', "
           "{secret = 'sixteen bytes ok', max_age = 1})", // another machine's clock
         "a.b"},
        {C "return c.unsign('hello.1000000000.8iXy9FbfKcoppiA5XKgy2pB8TQpOSRE4wjH2Ywkz4bQ', "
           "{secret = 'sixteen bytes ok', max_age = '1d'})",
         "nil,expired"},
        {C "return c.unsign('hellO.1000000000.8iXy9FbfKcoppiA5XKgy2pB8TQpOSRE4wjH2Ywkz4bQ', " SECRET
           ")",
         "nil,bad signature"},
        {C "return c.unsign('hello.1000000001.8iXy9FbfKcoppiA5XKgy2pB8TQpOSRE4wjH2Ywkz4bQ', " SECRET
           ")",
         "nil,bad signature"},
        // it is not the HMAC of the secret itself
        {C "local s = 'x.1000000000' return c.unsign(s .. '.' .. "
           "c.base64(c.hmac('sixteen bytes ok', s), {url = true}), " SECRET ")",
         "nil,bad signature"},
        {C "return c.unsign('hello', " SECRET ")", "nil,not a signed text"},
        {C "return c.unsign('', " SECRET ")", "nil,not a signed text"},
        {C "local o = {secret = 'sixteen bytes ok', max_age = '1h'} local s = c.sign('x', o) "
           "local at, till = s:match '^x%.(%d+)%-(%d+)%.' return till - at, c.unsign(s, o)",
         "3600,x"},
        {C "local s = c.sign('\\0\\xff', " SECRET ") return c.unsign(s, " SECRET ") == '\\0\\xff'",
         "true"},
        {C "return c.unsign(c.sign('', " SECRET "), " SECRET ")", ""},
        // rotation
        {C "local new, old = 'the newest secret', 'sixteen bytes ok' "
           "local s = c.sign('x', {secret = {old}}) "
           "return c.unsign(s, {secret = {new, old}}), c.unsign(s, {secret = {new}})",
         "x,nil,bad signature"},
        {C "return c.sign('x')",
         "error: t:1: there is no secret to sign with: set `secret` in scripts/config.lua, for "
         "instance to os.getenv \"LUNETTE_SECRET\" with the output of `openssl rand -hex 32` in "
         "that variable, or pass {secret = }"},
        {C "c.sign('x', {secret = ''})",
         "error: t:1: bad argument #2 to 'sign' (secret is a string that is not empty, or an array "
         "of such)"},
        {C "c.sign('x', {secret = {}})",
         "error: t:1: bad argument #2 to 'sign' (secret is an empty array)"},
        {C "c.sign('x', {secret = {'a', 1}})",
         "error: t:1: bad argument #2 to 'sign' (secret is a string that is not empty, or an array "
         "of such)"},
        {C "c.sign('x', {secrets = 'a'})",
         "error: t:1: bad argument #2 to 'sign' (unknown option 'secrets', did you mean "
         "'secret'?)"},
        {C "c.sign('x', {secret = 'abc', max_age = -1})",
         "error: t:1: bad argument #2 to 'sign' (max_age is seconds, or a duration such as "
         "\"30d\")"},
    };
    tell(*state, stories);
}

static void signing_with_the_sites_secrets(void **state)
{
    static const struct str secrets[] = {STR("the newest secret"), STR("sixteen bytes ok")};
    static const struct story stories[] = {
        {C "return c.unsign('hello.1000000000.8iXy9FbfKcoppiA5XKgy2pB8TQpOSRE4wjH2Ywkz4bQ')",
         "hello"},
        {C "return c.unsign(c.sign('x', {max_age = 60}), {secret = 'the newest secret'})", "x"},
        {C "return c.unsign(c.sign 'x', " SECRET ")", "nil,bad signature"},
    };
    struct fixture *f = *state;
    vm_free(f->vm);
    open_vm(f, (struct vm_options){.memory = 64 << 20, .secrets = secrets, .secret_count = 2});
    tell(f, stories);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(random_values),
        TEST(text_forms),
        TEST(digests),
        TEST(passwords),
        TEST(stored_hashes_are_bounded),
        TEST(signing),
        TEST(signing_with_the_sites_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
