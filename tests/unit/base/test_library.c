// Libraries that are loaded late: what is said of those that cannot be; without a descriptor.
#include "base/library.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>
#include <math.h>
#include <openssl/crypto.h>

#define MATH_FUNCTIONS(X) X(floor) X(ceil)

struct math {
    MATH_FUNCTIONS(LIBRARY_POINTER)
};

static void functions_are_found_in_their_order(void **unused)
{
    struct math math = {NULL, NULL};
    struct library l = {.what = "math",
                        .file = "libm.so.6",
                        .names = MATH_FUNCTIONS(LIBRARY_NAME),
                        .pointers = &math,
                        .size = sizeof math};
    (void)unused;
    assert_null(library_load(&l));
    assert_true(math.floor(1.5) == 1 && math.ceil(1.5) == 2);
    math.floor = NULL;
    assert_null(library_load(&l));
    assert_null(math.floor); // it was loaded already
}

static void what_is_missing_is_said(void **unused)
{
    void *pointers[2] = {NULL, NULL};
    struct library none = {.what = "None",
                           .file = "libnone-such.so.1",
                           .names = "one\0two\0",
                           .pointers = pointers,
                           .size = sizeof pointers};
    struct library other = {.what = "Other",
                            .file = "libm.so.6",
                            .names = "floor\0no_such_function\0",
                            .pointers = pointers,
                            .size = sizeof pointers};
    (void)unused;
    for (int tries = 0; tries < 2; tries++) {
        assert_string_equal(library_load(&none),
                            "None is missing: libnone-such.so.1: cannot open shared object file: "
                            "No such file or directory");
        const char *why = library_load(&other);
        assert_non_null(why);
        assert_non_null(strstr(why, "Other is missing: "));
        assert_non_null(strstr(why, "undefined symbol: no_such_function"));
    }
}

// No descriptor can be opened that is not open already.
static struct rlimit take_descriptors(void)
{
    struct rlimit before;
    int next = open("/dev/null", O_RDONLY);
    assert_true(next >= 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = {(rlim_t)next, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    return before;
}

static void a_descriptor_is_kept_for_it(void **unused)
{
    unsigned long (*version)(void) = NULL;
    struct library l = {.what = "OpenSSL",
                        .file = "libcrypto.so.3",
                        .names = "OpenSSL_version_num\0",
                        .pointers = &version,
                        .size = sizeof version};
    (void)unused;
    struct rlimit before = take_descriptors();
    const char *why = library_load(&l);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_non_null(why);
    assert_non_null(strstr(why, "Too many open files"));

    library_keep_descriptor();
    before = take_descriptors();
    why = library_load(&l);
    int more = open("/dev/null", O_RDONLY);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_null(why);
    assert_int_equal(more, -1); // another library has it to itself again
    assert_true(version() >= OPENSSL_VERSION_NUMBER >> 28 << 28);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_are_found_in_their_order),
        cmocka_unit_test(what_is_missing_is_said),
        cmocka_unit_test(a_descriptor_is_kept_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
