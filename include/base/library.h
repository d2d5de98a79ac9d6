// A shared library that is loaded when it is first needed: what its headers declare, by pointers.
//
//     #define LIBX_FUNCTIONS(X) X(x_open) X(x_close)
//     struct libx {
//         LIBX_FUNCTIONS(LIBRARY_POINTER)
//     };
//     struct libx libx;
//     static struct library library = {
//         "X", "libx.so.1", LIBX_FUNCTIONS(LIBRARY_NAME), &libx, sizeof libx};
#ifndef LUNETTE_BASE_LIBRARY_H
#define LUNETTE_BASE_LIBRARY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define LIBRARY_POINTER(name) typeof(name) *name;
#define LIBRARY_NAME(name) #name "\0"

struct library {
    const char *what;  // for people: "OpenSSL"
    const char *file;  // as the linker names it (DT_SONAME)
    const char *names; // each with a NUL, and one more: a table would be relocated at every start
    void *pointers;    // a struct of as many, in their order
    size_t size;       // of it
    atomic_bool loaded;
};

// NULL: the pointers are there, for good. Else why not, as "X is missing: libx.so.1: cannot open
// shared object file: No such file or directory", in memory of the calling thread, whose next call
// may write it; that call tries anew. From any thread; costs nothing once it is loaded.
const char *library_load(struct library *l);

// Keeps a descriptor for that: visitors who take all that the process may have do not take a
// library.
void library_keep_descriptor(void);

#endif
