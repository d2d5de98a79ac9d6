// OpenSSL's libcrypto, loaded when it is first needed: most sites never are in need of it, and it
// costs 0.9 MiB of what a server at rest has, and a millisecond of its start.
//
//     const char *why = libcrypto_load();
//     if (why)
//         …                                           // there is no function to be called
//     libcrypto.EVP_Digest(…);
//
// Who calls one of the functions has loaded it before, or holds what only they can have made. The
// master loads it before it has workers where the settings have a secret: what the linker writes
// into it is shared then, where every worker that loads it by itself has 400 KiB of its own.
//
// A worker's sandbox lets it read the system's folders of libraries (app/sandbox.c); one that the
// linker finds elsewhere takes sandbox.read of config.lua.
#ifndef LUNETTE_BASE_LIBCRYPTO_H
#define LUNETTE_BASE_LIBCRYPTO_H

#include "base/library.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>

// All that is called of it. What it defines as macros (OPENSSL_free) is to be called by its
// function.
#define LIBCRYPTO_FUNCTIONS(X)                             \
    /* digests and passwords */                            \
    X(EVP_Digest)                                          \
    X(EVP_DigestFinal_ex)                                  \
    X(EVP_DigestInit_ex)                                   \
    X(EVP_DigestUpdate)                                    \
    X(EVP_MD_CTX_free)                                     \
    X(EVP_MD_CTX_new)                                      \
    X(EVP_MD_get_size)                                     \
    X(EVP_PBE_scrypt)                                      \
    X(EVP_sha256)                                          \
    X(EVP_sha384)                                          \
    X(EVP_sha512)                                          \
    X(HMAC)                                                \
    /* keys that are derived, and texts that are sealed */ \
    X(EVP_CIPHER_CTX_ctrl)                                 \
    X(EVP_CIPHER_CTX_free)                                 \
    X(EVP_CIPHER_CTX_new)                                  \
    X(EVP_CipherFinal_ex)                                  \
    X(EVP_CipherInit_ex)                                   \
    X(EVP_CipherUpdate)                                    \
    X(EVP_KDF_CTX_free)                                    \
    X(EVP_KDF_CTX_new)                                     \
    X(EVP_KDF_derive)                                      \
    X(EVP_KDF_fetch)                                       \
    X(EVP_KDF_free)                                        \
    X(EVP_aes_256_gcm)                                     \
    /* public keys, and signatures that are verified */    \
    X(BIO_free)                                            \
    X(BIO_new_mem_buf)                                     \
    X(BN_bin2bn)                                           \
    X(BN_free)                                             \
    X(CRYPTO_free)                                         \
    X(ECDSA_SIG_free)                                      \
    X(ECDSA_SIG_new)                                       \
    X(ECDSA_SIG_set0)                                      \
    X(ERR_clear_error)                                     \
    X(EVP_DigestVerify)                                    \
    X(EVP_DigestVerifyInit)                                \
    X(EVP_PKEY_free)                                       \
    X(EVP_PKEY_get_bits)                                   \
    X(EVP_PKEY_get_group_name)                             \
    X(EVP_PKEY_is_a)                                       \
    X(PEM_read_bio_PUBKEY)                                 \
    X(i2d_ECDSA_SIG)

struct libcrypto {
    LIBCRYPTO_FUNCTIONS(LIBRARY_POINTER)
};

extern struct libcrypto libcrypto; // all NULL until it is loaded

// NULL: they are there, for good. Else why not: library_load.
const char *libcrypto_load(void);

#endif
