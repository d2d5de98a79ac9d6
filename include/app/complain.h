// What a command cannot do, in a sentence for whoever gave it.
#ifndef LUNETTE_APP_COMPLAIN_H
#define LUNETTE_APP_COMPLAIN_H

#include <stdbool.h>

// Writes "lunette: …" and a line's end to stderr. Always false, to be returned.
bool complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
