// What a command cannot do, in a sentence for whoever gave it.
#ifndef LUNETTE_APP_COMPLAIN_H
#define LUNETTE_APP_COMPLAIN_H

#include <stdbool.h>
#include <stdio.h>

// Writes "lunette: …" and a line's end to stderr, as print_plain does. Always false, to be returned.
bool complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Writes a text that may have names in it which others gave: controls that a terminal would follow, but for
// tabs and lines' ends, as \xNN.
void print_plain(FILE *out, const char *text);
// Whether there are none in it, nor tabs and lines' ends.
bool is_plain(const char *text);

#endif
