// Signed text and stored password hashes from arbitrary bytes: what is accepted is written again
// the same, and what is written is accepted.
// sources: src/base/str.c src/base/base64.c src/script/signed.c src/script/scrypt_text.c
#include "script/scrypt_text.h"
#include "script/signed.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_parse(struct str s)
{
    struct signed_text t;
    char stamp[SIGNED_STAMP_MAX], tail[SIGNED_TAIL_MAX];
    if (!signed_parse(s, &t))
        return;
    size_t a = signed_stamp(stamp, t.at, t.until), b = signed_tail(tail, t.mac);
    assert(t.text.p == s.p && t.body.p == s.p);
    assert(t.body.n == t.text.n + a && s.n == t.body.n + b);
    assert(memcmp(s.p + t.text.n, stamp, a) == 0);
    assert(memcmp(s.p + t.body.n, tail, b) == 0);
}

// Whatever is signed is read back, whatever it looks like.
static void check_made(struct str text)
{
    unsigned char mac[SIGNED_MAC] = {0};
    memcpy(mac, text.n ? text.p : "", text.n < SIGNED_MAC ? text.n : SIGNED_MAC);
    uint64_t at = text.n * 1000003, until = text.n % 2 ? SIGNED_TIME_MAX - text.n : UINT64_MAX;
    char *s = malloc(text.n + SIGNED_STAMP_MAX + SIGNED_TAIL_MAX);
    memcpy(s, text.n ? text.p : "", text.n);
    size_t n = text.n + signed_stamp(s + text.n, at, until);
    n += signed_tail(s + n, mac);
    struct signed_text t;
    assert(signed_parse(str_of(s, n), &t));
    assert(str_eq(t.text, text) && t.at == at && t.until == until);
    assert(memcmp(t.mac, mac, sizeof mac) == 0);
    free(s);
}

static void check_hash(struct str s)
{
    struct scrypt_text t;
    char text[SCRYPT_TEXT_MAX];
    if (!scrypt_parse(s, &t))
        return;
    assert(((uint64_t)128 << t.cost.ln) * t.cost.r <= SCRYPT_MEMORY_MAX);
    assert(str_eq(str_of(text, scrypt_format(text, &t)), s));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = str_of((const char *)data, size);
    check_parse(input);
    check_made(input);
    check_hash(input);
    return 0;
}
