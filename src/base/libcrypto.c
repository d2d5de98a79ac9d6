// OpenSSL's libcrypto: see the header.
#include "base/libcrypto.h"

#define TEXT_OF(x) #x
#define FILE_OF(version) "libcrypto.so." TEXT_OF(version)

struct libcrypto libcrypto;

const char *libcrypto_load(void)
{
    static struct library library = {
        .what = "OpenSSL",
        .file = FILE_OF(OPENSSL_SHLIB_VERSION), // what its headers promise, all of that name keep
        .names = LIBCRYPTO_FUNCTIONS(LIBRARY_NAME),
        .pointers = &libcrypto,
        .size = sizeof libcrypto,
    };
    return library_load(&library);
}
