// libcrypto, loaded by several threads at once.
#include "base/libcrypto.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { THREADS = 8 };

// What the digest of a text is made with must be there as soon as libcrypto_load is over.
static void *load_and_use(void *digest)
{
    if (libcrypto_load())
        return NULL;
    return libcrypto.EVP_Digest("abc", 3, digest, NULL, libcrypto.EVP_sha256(), NULL) ? digest
                                                                                      : NULL;
}

static void threads_load_it_together(void **unused)
{
    static const unsigned char sha256[] = {0xba, 0x78, 0x16, 0xbf};
    static unsigned char digests[THREADS][EVP_MAX_MD_SIZE];
    pthread_t threads[THREADS];
    (void)unused;
    assert_null(libcrypto.EVP_Digest);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, load_and_use, digests[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        void *digest;
        assert_int_equal(pthread_join(threads[i], &digest), 0);
        assert_non_null(digest);
        assert_memory_equal(digest, sha256, sizeof sha256);
    }
}

static void every_function_is_found(void **unused)
{
    (void)unused;
    assert_null(libcrypto_load());
#define IS_FOUND(name) assert_non_null(libcrypto.name);
    LIBCRYPTO_FUNCTIONS(IS_FOUND)
}

static void each_is_its_own(void **unused)
{
    (void)unused;
    assert_null(libcrypto_load());
    assert_int_equal(libcrypto.EVP_MD_get_size(libcrypto.EVP_sha256()), 32);
    assert_int_equal(libcrypto.EVP_MD_get_size(libcrypto.EVP_sha384()), 48);
    assert_int_equal(libcrypto.EVP_MD_get_size(libcrypto.EVP_sha512()), 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_load_it_together),
        cmocka_unit_test(every_function_is_found),
        cmocka_unit_test(each_is_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
