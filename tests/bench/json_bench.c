// lunette.json beside lua-cjson: one Lua state, the same documents, in turns.
//
//     json_bench FILE
//
// FILE is a JSON object of about 1 KB; the large document is an array of as many as make 1 MB. A
// round does each module's work once, the order changing from round to round, and gives a ratio of
// CPU times; printed are the median ratio (below 1: lunette.json is faster) and its quartiles.
// Each is given what it can hold: lua-cjson reads integers as floats beyond 2^53 and writes 14
// digits, which both take less than exact ones.
#include "script/lua_json.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    ROUNDS = 101,
    ROUND_BYTES = 4 << 20, // what one module reads or writes in a round
    LARGE = 1 << 20,
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void check(lua_State *L, int status)
{
    if (status == LUA_OK)
        return;
    fprintf(stderr, "json_bench: %s\n", lua_tostring(L, -1));
    exit(1);
}

// The time of one of n calls of the function at f with the value at argument, garbage included.
static double measure(lua_State *L, int f, int argument, int n)
{
    lua_gc(L, LUA_GCCOLLECT);
    double start = now();
    for (int i = 0; i < n; i++) {
        lua_pushvalue(L, f);
        lua_pushvalue(L, argument);
        check(L, lua_pcall(L, 1, 1, 0));
        lua_pop(L, 1);
    }
    return (now() - start) / n;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quartile(double *sorted, int quarter)
{
    return sorted[(ROUNDS - 1) * quarter / 4];
}

// The functions are at 1 and 2 (ours, theirs), their arguments at 3 and 4.
static void compare(lua_State *L, const char *what, size_t bytes)
{
    double ratio[ROUNDS], time[2][ROUNDS];
    int n = (int)(ROUND_BYTES / bytes);
    for (int round = 0; round < ROUNDS; round++) {
        for (int turn = 0; turn < 2; turn++) {
            int which = (turn + round) % 2;
            time[which][round] = measure(L, 1 + which, 3 + which, n);
        }
        ratio[round] = time[0][round] / time[1][round];
    }
    qsort(ratio, ROUNDS, sizeof *ratio, by_value);
    for (int which = 0; which < 2; which++)
        qsort(time[which], ROUNDS, sizeof **time, by_value);
    printf("%-14s %8zu bytes  %10.2f us  cjson %10.2f us  ratio %.3f  (%.3f to %.3f)\n", what,
           bytes, quartile(time[0], 2) * 1e6, quartile(time[1], 2) * 1e6, quartile(ratio, 2),
           quartile(ratio, 1), quartile(ratio, 3));
}

static void push_function(lua_State *L, const char *module, const char *name)
{
    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    check(L, lua_pcall(L, 1, 1, 0));
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
}

static void push_functions(lua_State *L, const char *name)
{
    lua_settop(L, 0);
    push_function(L, "lunette.json", name);
    push_function(L, "cjson", name);
}

static void compare_both_ways(lua_State *L, const char *text, size_t n)
{
    push_functions(L, "decode");
    lua_pushlstring(L, text, n);
    lua_pushvalue(L, -1);
    compare(L, "decode", n);

    // Each gets the value as it has read it itself.
    for (int which = 1; which <= 2; which++) {
        lua_pushvalue(L, which);
        lua_pushlstring(L, text, n);
        check(L, lua_pcall(L, 1, 1, 0));
    }
    lua_insert(L, -2); // ours on top; both go beneath the functions for now
    lua_setglobal(L, "ours");
    lua_setglobal(L, "theirs");
    push_functions(L, "encode");
    lua_getglobal(L, "ours");
    lua_getglobal(L, "theirs");
    compare(L, "encode", n);
}

// The whole file, n bytes.
static char *read_file(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    char *text = malloc(LARGE);
    if (!f || !text || (*n = fread(text, 1, LARGE, f)) == 0) {
        perror(path);
        exit(1);
    }
    fclose(f);
    return text;
}

static void push_large(lua_State *L, const char *text, size_t n)
{
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    luaL_addchar(&b, '[');
    for (size_t total = 0; total + n < LARGE; total += n + 1) {
        if (total)
            luaL_addchar(&b, ',');
        luaL_addlstring(&b, text, n);
    }
    luaL_addchar(&b, ']');
    luaL_pushresult(&b);
}

int main(int argc, char **argv)
{
    size_t n;
    if (argc != 2) {
        fprintf(stderr, "usage: %s FILE\n", argv[0]);
        return 2;
    }
    char *text = read_file(argv[1], &n);
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    luaL_requiref(L, "lunette.json", luaopen_lunette_json, 0);
    compare_both_ways(L, text, n);

    lua_settop(L, 0);
    push_large(L, text, n);
    const char *large = lua_tolstring(L, 1, &n);
    lua_setfield(L, LUA_REGISTRYINDEX, "large");
    compare_both_ways(L, large, n);
    lua_close(L);
    free(text);
}
