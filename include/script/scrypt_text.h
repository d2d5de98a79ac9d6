// scrypt's parameters, salt and hash as a PHC string: $scrypt$ln=15,r=8,p=3$salt$hash, the last two
// in base64 without padding. Pure.
#ifndef LUNETTE_SCRIPT_SCRYPT_TEXT_H
#define LUNETTE_SCRIPT_SCRYPT_TEXT_H

#include "base/str.h"

enum {
    SCRYPT_SALT = 16, // bytes in what we make
    SCRYPT_HASH = 32,
    SCRYPT_SALT_MIN = 8, // and in what we take
    SCRYPT_SALT_MAX = 64,
    SCRYPT_HASH_MIN = 16,
    SCRYPT_HASH_MAX = 64,
    SCRYPT_TEXT_MAX = 256,
};

// What a stored hash may cost: it may come from anywhere, and must neither take the memory away nor
// keep a thread for long.
enum {
    SCRYPT_LN_MAX = 20,
    SCRYPT_R_MAX = 32,
    SCRYPT_P_MAX = 16,
    SCRYPT_MEMORY_MAX = 128 << 20, // 128 · N · r bytes
    SCRYPT_WORK_MAX = 1 << 22,     // N · r · p; ours is 3 · 2^18
};

struct scrypt_cost {
    uint32_t ln, r, p; // N is 2^ln
};

struct scrypt_text {
    struct scrypt_cost cost;
    size_t salt_size, hash_size;
    unsigned char salt[SCRYPT_SALT_MAX], hash[SCRYPT_HASH_MAX];
};

// False when s has not this form, or passes a limit.
bool scrypt_parse(struct str s, struct scrypt_text *out);
// Returns the length.
size_t scrypt_format(char dst[static SCRYPT_TEXT_MAX], const struct scrypt_text *t);

#endif
