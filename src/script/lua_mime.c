// lunette.mime: media types.
#include "script/lua_codec.h"

#include "content/mime.h"
#include "script/job.h"
#include "script/luax.h"

#include <string.h>

static int mime_type_of_name(lua_State *L)
{
    luax_push(L, mime_by_name(luax_check_str(L, 1)));
    return 1;
}

static int mime_extensions_of_type(lua_State *L)
{
    struct str list[MIME_EXTENSIONS];
    size_t n = mime_extensions(luax_check_str(L, 1), list);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        luax_push(L, list[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

// by_content

struct look_job {
    struct job job;
    size_t n;
    struct str type; // in `text`
    char text[MIME_MAX];
    char bytes[MIME_LOOK];
};

static void look(struct job *job)
{
    struct look_job *j = (struct look_job *)job;
    j->type = mime_by_content(str_of(j->bytes, j->n), j->text);
}

static int push_type(lua_State *L, struct job *job)
{
    luax_push(L, ((struct look_job *)job)->type);
    return 1;
}

static int mime_type_of_content(lua_State *L)
{
    static const struct job_ops ops = {.run = look, .finish = push_type, .release = NULL};
    struct str bytes = luax_check_str(L, 1);
    struct look_job *j = (struct look_job *)job_push(L, sizeof *j, &ops);
    j->n = bytes.n < MIME_LOOK ? bytes.n : MIME_LOOK;
    memcpy(j->bytes, bytes.p, j->n);
    return job_wait_if_possible(L, &j->job);
}

int luaopen_lunette_mime(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"by_name", mime_type_of_name},
        {"by_content", mime_type_of_content},
        {"extensions", mime_extensions_of_type},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}
