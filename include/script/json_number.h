// Decimal numbers and doubles, both ways exactly rounded, whatever the locale. Knows nothing of
// Lua.
#ifndef LUNETTE_SCRIPT_JSON_NUMBER_H
#define LUNETTE_SCRIPT_JSON_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

// Sets *out to the double nearest to digits·10^exponent, ties to even. False, for the slow ways,
// when that takes more than 128 bits: an exponent beyond ±19 with a few exceptions.
bool json_number_small(uint64_t digits, int64_t exponent, double *out);

#endif
