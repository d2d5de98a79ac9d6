// PHC strings of scrypt: see the header. What is read is what would be written, byte for byte.
#include "script/scrypt_text.h"

#include "base/base64.h"

#include <string.h>

static bool take(struct str *s, struct str prefix)
{
    if (!str_starts(*s, prefix))
        return false;
    *s = str_of(s->p + prefix.n, s->n - prefix.n);
    return true;
}

// name=N at the start of *s; N from 1 to max, without leading zeros.
static bool take_number(struct str *s, struct str name, uint32_t max, uint32_t *out)
{
    if (!take(s, name) || s->n == 0 || s->p[0] == '0')
        return false;
    uint32_t value = 0;
    while (s->n > 0 && s->p[0] >= '0' && s->p[0] <= '9' && value <= max) {
        value = value * 10 + (uint32_t)(s->p[0] - '0');
        *s = str_of(s->p + 1, s->n - 1);
    }
    *out = value;
    return value >= 1 && value <= max;
}

static bool take_cost(struct str *s, struct scrypt_cost *c)
{
    if (!take_number(s, STR("ln="), SCRYPT_LN_MAX, &c->ln) ||
        !take_number(s, STR(",r="), SCRYPT_R_MAX, &c->r) ||
        !take_number(s, STR(",p="), SCRYPT_P_MAX, &c->p))
        return false;
    uint64_t blocks = ((uint64_t)1 << c->ln) * c->r;
    return 128 * blocks <= SCRYPT_MEMORY_MAX && blocks * c->p <= SCRYPT_WORK_MAX &&
           c->ln < 16 * c->r; // RFC 7914 §2
}

// The size of the bytes that text stands for, which are at dst; 0 where they are too few or many.
static size_t decode(unsigned char *dst, struct str text, size_t min, size_t max)
{
    char bytes[SCRYPT_TEXT_MAX];
    if (text.n > base64_length(max, BASE64_BARE))
        return 0;
    ptrdiff_t n = base64_decode(bytes, text, BASE64_BARE);
    if (n < (ptrdiff_t)min || n > (ptrdiff_t)max)
        return 0;
    memcpy(dst, bytes, (size_t)n);
    return (size_t)n;
}

bool scrypt_parse(struct str s, struct scrypt_text *out)
{
    struct str salt;
    *out = (struct scrypt_text){0};
    if (!take(&s, STR("$scrypt$")) || !take_cost(&s, &out->cost) || !take(&s, STR("$")))
        return false;
    if (!str_split(&s, '$', &salt) || !s.p)
        return false;
    out->salt_size = decode(out->salt, salt, SCRYPT_SALT_MIN, SCRYPT_SALT_MAX);
    out->hash_size = decode(out->hash, s, SCRYPT_HASH_MIN, SCRYPT_HASH_MAX);
    return out->salt_size > 0 && out->hash_size > 0;
}

static char *put(char *p, struct str s)
{
    memcpy(p, s.p, s.n);
    return p + s.n;
}

size_t scrypt_format(char dst[static SCRYPT_TEXT_MAX], const struct scrypt_text *t)
{
    char *p = put(dst, STR("$scrypt$ln="));
    p = str_put_u64(p, t->cost.ln);
    p = put(p, STR(",r="));
    p = str_put_u64(p, t->cost.r);
    p = put(p, STR(",p="));
    p = str_put_u64(p, t->cost.p);
    *p++ = '$';
    p += base64_encode(p, str_of((const char *)t->salt, t->salt_size), BASE64_BARE);
    *p++ = '$';
    p += base64_encode(p, str_of((const char *)t->hash, t->hash_size), BASE64_BARE);
    return (size_t)(p - dst);
}
