// lunette.cipher: what the library's sessions and tokens are made with, by OpenSSL. Not for sites,
// which have lunette.crypto.
#ifndef LUNETTE_SCRIPT_LUA_CIPHER_H
#define LUNETTE_SCRIPT_LUA_CIPHER_H

#include <lua.h>

// derive(secret or nil, purpose) → array of keys of 32 bytes, newest first: one of each secret (a string
// or an array of them; without any config.lua's), by HKDF-SHA256 (RFC 5869) with the purpose as info, so
// that what is made for one purpose is good for no other. nil where config.lua has none either.
//
// seal(key, text, context) → the text encrypted and authenticated, 44 bytes longer. open(key, sealed,
// context) → the text; nil when it is not of that key and context, or was changed.
int luaopen_lunette_cipher(lua_State *L);

// lua_verifier.c adds to the table on top: verifier(alg, key) → a verifier of JWS signatures (RFC 7518,
// RFC 8037), or nil and a sentence about the key that ends "…a key for ES256 is on the curve P-256".
// alg is HS256, HS384, HS512 with the secret itself, or RS256, ES256, EdDSA with a public key in PEM.
// v:verify(text, signature) → whether it fits, for secrets in a time that depends on the length alone.
void lua_verifier_register(lua_State *L);

#endif
