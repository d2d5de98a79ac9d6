// lunette.gzip. Both calls are jobs, with the text and what becomes of it in buffers of their own;
// short ones run on the spot, which is over before a thread would have been woken twice.
#include "script/lua_gzip.h"

#include "content/gzip.h"
#include "script/job.h"
#include "script/luax.h"

enum {
    TEXT_MAX = 1 << 30,          // bytes, both ways
    COMPRESS_HERE = 16 << 10,    // bytes that are packed in the loop's thread: about half a ms
    DECOMPRESS_HERE = 256 << 10, // bytes of result that are unpacked there: a ms at most
    RATIO_MAX = 1032,            // what deflate gains at the very best
};

struct gzip_job {
    struct job job;
    struct buf in, out;
    struct str text; // the input: Lua's, or in's when a thread reads it
    int level;
    enum gzip_verdict verdict;
};

static void release(struct job *job)
{
    struct gzip_job *j = (struct gzip_job *)job;
    buf_fini(&j->in);
    buf_fini(&j->out);
}

static void pack(struct job *job)
{
    struct gzip_job *j = (struct gzip_job *)job;
    j->verdict = gzip_pack(j->text, j->level, &j->out) ? GZIP_WHOLE : GZIP_NO_MEMORY;
}

static void unpack(struct job *job)
{
    struct gzip_job *j = (struct gzip_job *)job;
    j->verdict = gzip_unpack(j->text, &j->out);
}

static int push_outcome(lua_State *L, struct job *job)
{
    static const char *const messages[] = {
        [GZIP_BAD] = "bad data",
        [GZIP_SHORT] = "truncated",
        [GZIP_TRAILING] = "trailing garbage",
        [GZIP_TOO_LARGE] = "over max",
    };
    struct gzip_job *j = (struct gzip_job *)job;
    if (j->verdict == GZIP_NO_MEMORY)
        return luaL_error(L, "not enough memory");
    if (j->verdict == GZIP_WHOLE) {
        luax_push(L, buf_str(&j->out));
        return 1;
    }
    luaL_pushfail(L);
    lua_pushstring(L, messages[j->verdict]);
    return 2;
}

static struct gzip_job *new_job(lua_State *L, const struct job_ops *ops, struct str text,
                                size_t out_max)
{
    struct gzip_job *j = (struct gzip_job *)job_push(L, sizeof *j, ops);
    buf_init(&j->in, text.n);
    buf_init(&j->out, out_max);
    j->text = text;
    return j;
}

static int start(lua_State *L, struct gzip_job *j, bool is_short)
{
    if (is_short || !co_can_wait(L))
        return job_run_here(L, &j->job);
    if (!buf_add(&j->in, j->text))
        return luaL_error(L, "not enough memory");
    j->text = buf_str(&j->in);
    return job_wait_if_possible(L, &j->job);
}

static int gzip_compress(lua_State *L)
{
    static const struct job_ops ops = {.run = pack, .finish = push_outcome, .release = release};
    struct str s = luax_check_str(L, 1);
    lua_Integer level = luaL_optinteger(L, 2, 6);
    luaL_argcheck(L, s.n <= TEXT_MAX, 1, "more than 1 GiB");
    luaL_argcheck(L, level >= 0 && level <= 9, 2, "a level from 0 to 9 expected");
    struct gzip_job *j = new_job(L, &ops, s, gzip_bound(s.n));
    j->level = (int)level;
    return start(L, j, s.n <= COMPRESS_HERE);
}

static int gzip_decompress(lua_State *L)
{
    static const struct job_ops ops = {.run = unpack, .finish = push_outcome, .release = release};
    struct str s = luax_check_str(L, 1);
    luaL_argcheck(L, s.n <= TEXT_MAX, 1, "more than 1 GiB");
    luaL_argcheck(L, !lua_isnoneornil(L, 2), 2,
                  "the most bytes that the result may have are missing: decompress(s, \"1M\")");
    uint64_t max = luax_check_size(L, 2);
    luaL_argcheck(L, max <= TEXT_MAX, 2, "more than 1 GiB");
    size_t result = s.n * RATIO_MAX < max ? s.n * RATIO_MAX : (size_t)max;
    struct gzip_job *j = new_job(L, &ops, s, (size_t)max);
    return start(L, j, result <= DECOMPRESS_HERE);
}

int luaopen_lunette_gzip(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"compress", gzip_compress}, {"decompress", gzip_decompress}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
