// lunette.crypto: random bytes, digests, passwords and signed text. Random bytes are the kernel's;
// digests and passwords, and what is signed with them, are OpenSSL's, which is loaded when they are
// first needed.
#ifndef LUNETTE_SCRIPT_LUA_CRYPTO_H
#define LUNETTE_SCRIPT_LUA_CRYPTO_H

#include "base/str.h"

#include <lua.h>

// random(n): n bytes. token([n=32]): as many, as URL-safe base64. uuid(): version 4 (RFC 9562).
// hex(s), base64(s[, {url=true}]); unhex and unbase64 → the bytes, or nil and a message. sha256(s),
// hmac(key, s): raw bytes (HMAC-SHA256, RFC 2104). equal(a, b): in a time that depends on the
// lengths alone. The rest is below.
int luaopen_lunette_crypto(lua_State *L);

// Each adds its functions to the table on top of the stack.
//
// password_hash(pw) → a PHC string "$scrypt$ln=…,r=…,p=…$salt$hash", made in the thread pool; raises
// for more than 1024 bytes. password_verify(pw, hash) → whether it fits, and whether the hash should
// be made anew (it fits, but its cost is not today's). A hash that is nil, malformed or of
// exorbitant cost never fits, and takes as long to say so as one made today: a login shows nobody
// whether the user is there.
void lua_password_register(lua_State *L);
// sign(s[, {secret=, max_age=}]) → s with its time, and until when it holds, and a signature
// (script/signed.h). unsign(text[, {secret=, max_age=}]) → s; or nil and "not a signed text", "bad
// signature" or "expired". secret is a string or an array of them, newest first, by default
// config.lua's; the first signs, any of them verifies. max_age is a duration; unsign's counts from
// the signing, beside the one signed.
void lua_sign_register(lua_State *L);

// Loads libcrypto (base/libcrypto.h), or raises "OpenSSL is missing: …".
void crypto_need(lua_State *L);
// n random bytes, or raises.
void crypto_random(lua_State *L, void *dst, size_t n);
// In a time that depends on n alone.
bool crypto_equal(const void *a, const void *b, size_t n);

enum { SHA256_SIZE = 32 };
// HMAC-SHA256, after crypto_need. False when OpenSSL fails, which takes a lack of memory.
bool crypto_hmac(unsigned char dst[static SHA256_SIZE], struct str key, struct str text);

#endif
