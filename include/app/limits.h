// `lunette limits`: every limit and timeout in force, and where it was set.
#ifndef LUNETTE_APP_LIMITS_H
#define LUNETTE_APP_LIMITS_H

#include "app/config.h"

#include <stdio.h>

// Prints a table, one setting a line: name, value, origin. colours: escape sequences of a terminal.
// False when out could not be written to.
bool limits_print(const struct config *c, FILE *out, bool colours);

#endif
