// Decimal numbers and doubles, both ways exactly rounded, whatever the locale. Knows nothing of
// Lua.
#ifndef LUNETTE_SCRIPT_JSON_NUMBER_H
#define LUNETTE_SCRIPT_JSON_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

// Sets *out to the double nearest to digits·10^exponent, ties to even. False, for slower ways, when
// that takes more than 128 bits: exponents beyond ±27, and 0 with one beyond ±22.
bool json_number_small(uint64_t digits, int64_t exponent, double *out);

#endif
