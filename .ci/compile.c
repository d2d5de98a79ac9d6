// compile SOURCE NAME: writes to standard output what Lua makes of a module of the embedded library,
// with the names and lines that tracebacks show. make runs it, with the Lua that the program is linked
// with.
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

enum { SOURCE_MAX = 1 << 20, WITH_LINES = 0 };

static int write_part(lua_State *L, const void *p, size_t n, void *out)
{
    (void)L;
    return fwrite(p, 1, n, out) != n;
}

int main(int argc, char *argv[])
{
    static char source[SOURCE_MAX];
    if (argc != 3)
        return fputs("error: compile SOURCE NAME\n", stderr), 1;
    FILE *in = fopen(argv[1], "rb");
    lua_State *L = luaL_newstate();
    if (!in || !L)
        return perror(argv[1]), 1;
    size_t n = fread(source, 1, sizeof source, in);
    if (ferror(in) || n == sizeof source)
        return fprintf(stderr, "%s cannot be read, or is too large\n", argv[1]), 1;
    lua_pushfstring(L, "=%s", argv[2]);
    if (luaL_loadbufferx(L, source, n, lua_tostring(L, -1), "t") != LUA_OK)
        return fprintf(stderr, "error: src/lua/%s\n", lua_tostring(L, -1)), 1;
    if (lua_dump(L, write_part, stdout, WITH_LINES) != 0 || fflush(stdout) != 0)
        return perror(argv[1]), 1;
    lua_close(L);
    return fclose(in);
}
