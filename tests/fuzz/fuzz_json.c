// JSON from arbitrary bytes: what is accepted comes back the same from the encoder, plain and
// pretty, and a merge patch made of it changes nothing when it is applied again.
// sources: src/base/str.c src/base/utf8.c src/base/buf.c src/script/json_scan.c
// sources: src/script/json_number.c src/script/json_text.c src/script/json_mark.c
// sources: src/script/json_place.c src/script/keys.c src/script/luax.c src/script/options.c
// sources: src/script/lua_json.c src/script/lua_json_encode.c src/script/lua_json_decode.c
// sources: src/script/lua_json_merge.c
// packages: lua5.4
#include "script/lua_json.h"

#include <assert.h>
#include <lauxlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 1 << 28 };

// One state and one buffer a text for all inputs: the collector runs as it does in a server.
static lua_State *L;
static struct buf first, second;

static void start(void)
{
    if (L)
        return;
    L = luaL_newstate();
    assert(L);
    buf_init(&first, OUT_MAX);
    buf_init(&second, OUT_MAX);
}

static struct str written(struct buf *out, int idx, bool pretty)
{
    const struct json_style style = {.sort = true, .pretty = pretty};
    buf_clear(out);
    assert(json_write(L, idx, out, &style));
    return buf_str(out);
}

// The value on top is written, read, and the same then; it has the same text.
static void check_round(bool null, bool pretty)
{
    const struct json_read_options o = {.null = null};
    int top = lua_gettop(L);
    struct str text = written(&first, top, pretty);
    assert(json_read(L, text, &o));
    assert(lua_gettop(L) == top + 1);
    assert(lua_type(L, top) == lua_type(L, top + 1));
    assert(str_eq(written(&second, top + 1, pretty), text));
    lua_settop(L, top);
}

static void check_patch(void)
{
    json_merge_patch(L, 1, 1);
    json_merge_patch(L, 2, 1);
    struct str once = written(&first, 2, false);
    assert(str_eq(written(&second, 3, false), once));
    lua_settop(L, 1);
}

static void check_refused(void)
{
    const char *message = lua_tostring(L, 1);
    assert(message && strncmp(message, "line ", 5) == 0 && strstr(message, ", column "));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct json_read_options o = {.null = size % 2};
    start();
    bool ok = json_read(L, str_of((const char *)data, size), &o);
    assert(lua_gettop(L) == 1);
    if (ok) {
        check_round(o.null, size % 3 == 0);
        check_patch();
    } else {
        check_refused();
    }
    lua_settop(L, 0);
    return 0;
}
