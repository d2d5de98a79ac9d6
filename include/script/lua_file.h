// An open file as a Lua value: the body of a response. It belongs to the request that opened it.
//
// The descriptor is closed as soon as the request is over and nothing of it is still being sent,
// without waiting for Lua's collector; the value then is no body any more.
#ifndef LUNETTE_SCRIPT_LUA_FILE_H
#define LUNETTE_SCRIPT_LUA_FILE_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct open_file {
    struct open_file *next; // in the list of the request that opened it
    int fd;                 // −1: closed
    off_t offset;           // length bytes from offset
    int64_t length;
    unsigned users; // requests and sends that need the descriptor
    unsigned refs;  // those, and the Lua value: who keeps this struct
};

// Makes the class. Once in a state.
void lua_file_register(lua_State *L);
// Pushes a file that shares fd's open file (fd stays the caller's), and puts it into *list, whose
// owner calls lua_file_close_all. Raises when there is no memory or no descriptor.
void lua_file_push(lua_State *L, struct open_file **list, int fd, off_t offset, int64_t length);
// The file at idx, or NULL for another value or a closed file.
struct open_file *lua_file_at(lua_State *L, int idx);
// One more send, ended by lua_file_sent (which fits http_response.release).
void lua_file_sends(struct open_file *f);
void lua_file_sent(void *f);
// The request is over.
void lua_file_close_all(struct open_file **list);

#endif
