// The text of Lua's integers, which Lua 5.4 has C's snprintf make: that parses "%lld" and prepares a
// stream for it, 690 instructions each time a number is put into a text. The linker gives it this
// function instead (--wrap, in the Makefile): 60 for an integer, and all else is C's as before.
// A page of 300 numbers, rows_lib of tests/bench, takes a quarter less.
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LONGEST = 20 }; // bytes of "-9223372036854775808"

// glibc's, behind snprintf of what was compiled with _FORTIFY_SOURCE: known is the size of dst.
int __vsnprintf_chk(char *dst, size_t size, int flag, size_t known, const char *format,
                    va_list args);
int __wrap___snprintf_chk(char *dst, size_t size, int flag, size_t known, const char *format, ...);

static int put_integer(char *dst, long long v)
{
    char *p = dst;
    if (v < 0)
        *p++ = '-';
    p = str_put_u64(p, v < 0 ? -(uint64_t)v : (uint64_t)v);
    *p = '\0';
    return (int)(p - dst);
}

int __wrap___snprintf_chk(char *dst, size_t size, int flag, size_t known, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bool integer = size > LONGEST && known >= size && strcmp(format, "%lld") == 0;
    int n = integer ? put_integer(dst, va_arg(args, long long))
                    : __vsnprintf_chk(dst, size, flag, known, format, args);
    va_end(args);
    return n;
}
