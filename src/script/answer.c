// What a handler returned, made into a response: the forms of API.md, "What a handler returns".
//
// answer_read looks at the values without changing anything; answer_send writes them. Whatever is
// wrong is a sentence for the log that tells the author what to return instead.
#include "http/status.h"
#include "script/lua_file.h"
#include "script/lua_json.h"
#include "script/luax.h"
#include "script/work.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const char prepared; // its address is core.FILE

void answer_push_prepared(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)(uintptr_t)&prepared);
}

// --- reading ---

static bool is_status(lua_State *L, int idx, unsigned *status)
{
    int integral;
    lua_Integer n = lua_type(L, idx) == LUA_TNUMBER ? lua_tointegerx(L, idx, &integral) : 0;
    if (n < 200 || n > 599)
        return false;
    *status = (unsigned)n;
    return integral;
}

static void wrong(struct answer *a, const char *message)
{
    a->kind = ANSWER_WRONG;
    a->message = message;
}

static bool has_meta(lua_State *L, int idx, int ref)
{
    if (!lua_getmetatable(L, idx))
        return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

// A response object: its three fields are pushed, and the answer points at them.
static void read_response(lua_State *L, int idx, struct answer *a)
{
    lua_getfield(L, idx, "status");
    if (!is_status(L, -1, &a->status)) {
        wrong(a, "the response's status is not an integer from 200 to 599");
        return;
    }
    if (lua_getfield(L, idx, "headers") != LUA_TNIL) {
        if (!lua_istable(L, -1)) {
            wrong(a, "the response's headers are not a table");
            return;
        }
        a->headers = lua_gettop(L);
    }
    lua_getfield(L, idx, "body");
    a->body = lua_gettop(L);
}

bool answer_is_response(lua_State *L, struct handler *h, int idx)
{
    return lua_istable(L, idx) && has_meta(L, idx, h->response_meta);
}

static void read_one(lua_State *L, struct handler *h, int idx, struct answer *a)
{
    switch (lua_type(L, idx)) {
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, idx) == &prepared)
            a->kind = ANSWER_PREPARED;
        else
            wrong(a, "a light userdata was returned");
        break;
    case LUA_TTABLE:
        if (has_meta(L, idx, h->response_meta))
            read_response(L, idx, a);
        else
            a->body = idx;
        break;
    case LUA_TSTRING:
        a->body = idx;
        break;
    case LUA_TNUMBER:
        if (is_status(L, idx, &a->status))
            a->kind = ANSWER_STATUS;
        else
            wrong(a, "a number was returned that is no status from 200 to 599");
        break;
    case LUA_TNIL:
        wrong(a, "nothing was returned (return 204 for an empty answer)");
        break;
    default:
        lua_pushfstring(L, "a %s was returned alone (return 200, nil, body)",
                        luaL_typename(L, idx));
        wrong(a, lua_tostring(L, -1));
    }
}

// Pushes a value as text that has no zero byte: what stands behind one would be lost on the way to the log.
static const char *push_text(lua_State *L, int idx)
{
    luaL_Buffer b;
    size_t n;
    const char *text = luaL_tolstring(L, idx, &n);
    luaL_buffinit(L, &b);
    for (size_t part; (part = strlen(text)) < n; text += part + 1, n -= part + 1) {
        luaL_addlstring(&b, text, part);
        luaL_addstring(&b, "\\x00");
    }
    luaL_addlstring(&b, text, n);
    luaL_pushresult(&b);
    return lua_tostring(L, -1);
}

// nil, message and perhaps a code: what a call that failed gave, returned as it was.
static void wrong_message(lua_State *L, int message, struct answer *a)
{
    lua_pushfstring(L, "nil was returned, with the message: %s", push_text(L, message));
    wrong(a, lua_tostring(L, -1));
}

static void read_two(lua_State *L, struct handler *h, int first, struct answer *a)
{
    int second = first + 1;
    if (lua_isnil(L, first)) {
        wrong_message(L, second, a);
    } else if (answer_is_response(L, h, first)) {
        wrong(a, "a response and something more were returned: a response is returned alone, its "
                 "status within (app.json(t, 201))");
    } else if (!is_status(L, first, &a->status)) {
        wrong(a, lua_type(L, second) == LUA_TNUMBER
                     ? "the status comes first (return status, body)"
                     : "the first of two values is no status from 200 to 599");
    } else if (lua_isnil(L, second)) {
        a->kind = ANSWER_STATUS;
    } else if (lua_type(L, second) == LUA_TSTRING) {
        a->body = second;
    } else if (!lua_istable(L, second)) {
        wrong(a, "status and body: the body must be a string (return status, headers, body)");
    } else if (a->status == 204 || a->status / 100 == 3) {
        a->headers = second;
    } else {
        wrong(a, "status and a table: for a JSON body say app.json(t, status)");
    }
}

static void read_three(lua_State *L, int first, struct answer *a)
{
    int headers = lua_type(L, first + 1);
    if (!is_status(L, first, &a->status)) {
        if (lua_isnil(L, first))
            wrong_message(L, first + 1, a);
        else
            wrong(a, "the first of three values is no status from 200 to 599");
    } else if (headers != LUA_TNIL && headers != LUA_TTABLE) {
        wrong(a, "the second of three values is no table of headers (status, headers, body)");
    } else {
        a->headers = headers == LUA_TNIL ? 0 : first + 1;
        a->body = first + 2;
    }
}

void answer_read(lua_State *L, struct handler *h, int first, struct answer *a)
{
    *a = (struct answer){.kind = ANSWER_RESPONSE, .status = 200};
    switch (lua_gettop(L) - first + 1) {
    case 0:
        wrong(a, "nothing was returned (return 204 for an empty answer)");
        break;
    case 1:
        read_one(L, h, first, a);
        break;
    case 2:
        read_two(L, h, first, a);
        break;
    case 3:
        read_three(L, first, a);
        break;
    default:
        wrong(a, "more than three values were returned (status, headers, body)");
    }
    if (a->kind == ANSWER_RESPONSE && a->body && answer_is_response(L, h, a->body))
        wrong(a, "the body is a response: return it alone, or set its status and headers");
}

// --- fields ---

static enum fields_result add_number(lua_State *L, struct fields *f, struct str name)
{
    lua_pushvalue(L, -1); // lua_tostring would change a number that is being iterated over
    lua_tostring(L, -1);
    enum fields_result result = fields_add(f, name, luax_str(L, -1));
    lua_pop(L, 1);
    return result;
}

static enum fields_result add_string(lua_State *L, struct handler *h, struct str name)
{
    struct str value;
    value.p = lua_tolstring(L, -1, &value.n);
    struct fields_note *note = &h->notes[(name.n ^ value.n) % HANDLER_NOTES];
    return fields_add_noted(&h->fields, note, name, value);
}

const char *answer_push_refusal(lua_State *L, enum fields_result why, struct str name)
{
    switch (why) {
    case FIELDS_BAD_NAME:
        return lua_pushfstring(L, "header name \"%s\" has a character that is not allowed", name.p);
    case FIELDS_BAD_VALUE:
        return lua_pushfstring(L, "header %s: its value has a CR, LF or another control character",
                               name.p);
    case FIELDS_TWICE:
        return lua_pushfstring(L, "header %s is there twice, and an answer has it once", name.p);
    case FIELDS_OK:
    case FIELDS_FULL:
        break;
    }
    return lua_pushfstring(L, "header %s: the headers are over 64 KiB", name.p);
}

// A name and the string or number on top of the stack, whose type this is.
static const char *add_field(lua_State *L, struct handler *h, struct str name, int type)
{
    if (type != LUA_TSTRING && type != LUA_TNUMBER)
        return lua_pushfstring(L, "header %s: a %s is neither string, number nor array of strings",
                               name.p, luaL_typename(L, -1));
    enum fields_result added =
        type == LUA_TSTRING ? add_string(L, h, name) : add_number(L, &h->fields, name);
    return added == FIELDS_OK ? NULL : answer_push_refusal(L, added, name);
}

static const char *add_repeated(lua_State *L, struct handler *h, struct str name, int array)
{
    lua_Integer n = luaL_len(L, array);
    for (lua_Integer i = 1; i <= n; i++) {
        int type = lua_rawgeti(L, array, i);
        const char *message = add_field(L, h, name, type);
        if (message)
            return message;
        lua_pop(L, 1);
    }
    return NULL;
}

// To h->fields. The caller of answer_read has made room on the stack.
static const char *add_headers(lua_State *L, struct handler *h, int headers)
{
    for (lua_pushnil(L); lua_next(L, headers); lua_pop(L, 1)) {
        struct str name = luax_str(L, -2);
        if (!name.p)
            return lua_pushfstring(L, "a header's name is a %s", luaL_typename(L, -2));
        int type = lua_type(L, -1);
        const char *message = type == LUA_TTABLE ? add_repeated(L, h, name, lua_gettop(L))
                                                 : add_field(L, h, name, type);
        if (message)
            return message;
    }
    return NULL;
}

const char *answer_check_headers(lua_State *L, struct handler *h, const struct answer *a)
{
    fields_clear(&h->fields);
    return a->headers ? add_headers(L, h, a->headers) : NULL;
}

// --- bodies ---

// Keeps a Lua value alive while the connection sends its bytes.
struct pin {
    lua_State *L;
    int ref;
};

static void unpin(void *arg)
{
    struct pin *p = arg;
    luaL_unref(p->L, LUA_REGISTRYINDEX, p->ref);
    free(p);
}

static void pin(lua_State *L, struct work *w, int idx, struct http_response *r)
{
    lua_pushvalue(L, idx);
    int ref = luaL_ref(L, LUA_REGISTRYINDEX);
    struct pin *p = malloc(sizeof *p);
    if (!p) {
        luaL_unref(L, LUA_REGISTRYINDEX, ref);
        luaL_error(L, "not enough memory");
    }
    *p = (struct pin){vm_state(w->h->vm), ref};
    r->release = unpin;
    r->release_arg = p;
}

enum { PIN_BYTES = 8 * 1024 }; // smaller strings are copied at once

static const char *add_body(lua_State *L, struct work *w, int body, struct http_response *r,
                            int *stream)
{
    static const struct json_style style = {.replace_utf8 = true};
    struct open_file *f;
    switch (lua_type(L, body)) {
    case LUA_TNIL:
        return NULL;
    case LUA_TNUMBER: // as a string: a copy, so that the value itself stays
        lua_pushvalue(L, body);
        body = lua_gettop(L);
        lua_tolstring(L, body, NULL);
        // fall through
    case LUA_TSTRING:
        r->body = BODY_BYTES;
        r->bytes.p = lua_tolstring(L, body, &r->bytes.n);
        r->default_type = STR("text/html; charset=utf-8");
        if (r->bytes.n > PIN_BYTES)
            pin(L, w, body, r);
        return NULL;
    case LUA_TTABLE:
        buf_clear(&w->h->text);
        if (!json_write(L, body, &w->h->text, &style))
            return lua_tostring(L, -1);
        r->body = BODY_BYTES;
        r->bytes = buf_str(&w->h->text);
        r->default_type = STR("application/json");
        return NULL;
    case LUA_TFUNCTION:
        r->body = BODY_SOURCE;
        w->stream.begun = true;
        r->source = &w->stream.source;
        r->length = -1;
        r->default_type = STR("application/octet-stream");
        *stream = body;
        return NULL;
    case LUA_TUSERDATA:
        f = lua_file_at(L, body);
        if (!f)
            return "the body is a userdata that is no file of this request";
        r->body = BODY_FILE;
        r->fd = f->fd;
        r->offset = f->offset;
        r->length = f->length;
        r->default_type = STR("application/octet-stream");
        lua_file_sends(f);
        r->release = lua_file_sent;
        r->release_arg = f;
        return NULL;
    default:
        return lua_pushfstring(L, "the body is a %s", luaL_typename(L, body));
    }
}

static const char too_many_fields[] = "the headers are over 64 KiB";

// own: the body is what the handler returned, or the file that it named.
static void fit_file(struct work *w, struct http_response *r, struct fields *f, bool own)
{
    struct fit_options fit = w->h->file_fit;
    if (w->no_coding)
        fit.codings.offered = 0;
    struct static_options files = {.cache = w->h->options.files.cache, .fit = &fit};
    int64_t now = loop_wall(w->h->loop);
    exchange_is_file(w->h, w->x);
    if (w->found_root && !w->no_coding && own)
        static_fit(w->found_root, &files, &w->x->request, w->found_path, now, &w->x->arena, f, r);
    else
        fit_response(r, f, &w->x->request, &w->x->arena, now, &fit, NULL);
}

static void fit_made(struct work *w, struct http_response *r, struct fields *f, bool own)
{
    const struct fit_options *fit = &w->h->options.fit;
    struct fit_options identity;
    if (w->no_coding) {
        identity = *fit;
        identity.codings.offered = 0;
        fit = &identity;
    }
    struct fit_content kept;
    bool is_kept = w->sends_kept && own;
    if (is_kept)
        kept = (struct fit_content){
            .root = UINT64_MAX, .etag = str_z(w->kept.tag), .varies = &w->kept.note};
    fit_response(r, f, &w->x->request, &w->x->arena, loop_wall(w->h->loop), fit,
                 is_kept ? &kept : NULL);
}

void answer_fit_and_send(struct work *w, struct http_response *r, struct fields *f)
{
    const struct inject_mark *mark = work_mark(w->h, w->x);
    bool own = !mark || !inject_response(r, f, &w->x->request, mark);
    if (w->from_file)
        fit_file(w, r, f, own);
    else
        fit_made(w, r, f, own);
    exchange_respond(w->x, r);
    request_end_reading(w);
}

// Sends what core.find prepared, with the fields that were added on the way.
static const char *send_prepared(struct work *w)
{
    if (!w->file_ready)
        return "core.FILE without a file";
    if (fields_add_all(&w->file_fields, &w->extra) != FIELDS_OK)
        return too_many_fields;
    w->file_ready = false;
    w->from_file = true;
    answer_fit_and_send(w, &w->file, &w->file_fields);
    return NULL;
}

// Keeps a stream's answer; its fields change places with those of the last one.
static void keep_head(struct work *w, const struct http_response *r)
{
    struct fields before = w->head_fields;
    w->head_fields = w->h->fields;
    w->h->fields = before;
    w->head = *r;
    w->head.fields = &w->head_fields;
    w->head_waits = true;
}

const char *answer_send(lua_State *L, struct work *w, const struct answer *a, int *stream)
{
    struct fields *f = &w->h->fields;
    *stream = 0;
    if (a->kind == ANSWER_PREPARED)
        return send_prepared(w);
    struct http_response r = {.status = a->status, .fields = f};
    const char *message = NULL;
    fields_clear(f);
    if (a->headers)
        message = add_headers(L, w->h, a->headers);
    if (!message && fields_add_all(f, &w->extra) != FIELDS_OK)
        message = too_many_fields;
    if (!message && a->body)
        message = add_body(L, w, a->body, &r, stream);
    if (message)
        return message;
    w->sends_kept = w->kept.body != LUA_NOREF && kept_apply(L, w, a->status, a->body, f);
    if (status_bodiless(a->status) || w->x->request.method == HTTP_HEAD)
        *stream = 0; // its source will be closed: there is nothing to write to
    if (*stream)
        keep_head(w, &r);
    else
        answer_fit_and_send(w, &r, f);
    handler_text_done(w->h);
    return NULL;
}
