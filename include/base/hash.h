// SipHash-1-3 (Aumasson and Bernstein, 2012): 64 bits out of any bytes, under a secret seed, so that
// nobody who chooses the bytes can choose the hash.
#ifndef LUNETTE_BASE_HASH_H
#define LUNETTE_BASE_HASH_H

#include "base/str.h"

uint64_t hash_bytes(const uint64_t seed[static 2], struct str s);

#endif
