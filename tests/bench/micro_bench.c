// What parsers and codecs cost by themselves: heads of requests, forms, multipart bodies, cookies, and
// escaping for HTML from Lua.
//
//     micro_bench
//
// One line for each text: nanoseconds of processor time for the whole of it (the median of ROUNDS
// rounds, and the quartiles), and megabytes a second. All rounds of a text follow each other: compare
// two versions of the program, not two lines, when the machine is not at rest.
#include "http/cookie.h"
#include "http/form.h"
#include "http/h1_parse.h"
#include "http/multipart.h"
#include "script/lua_codec.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    ROUNDS = 101,
    ROUND_BYTES = 1 << 20, // of text in a round
    FIELDS = 100,
    LARGE = 64 << 10,
};

static volatile size_t sink; // so that nothing is left out

// Works through the text once, and gives something that depends on all of it.
typedef size_t work_fn(struct str text, void *arg);

static void stop(const char *what, const char *why)
{
    fprintf(stderr, "micro_bench: %s %s\n", what, why);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const char *what, struct str text, work_fn *work, void *arg)
{
    double ns[ROUNDS];
    size_t turns = ROUND_BYTES / text.n + 1;
    for (int round = 0; round < ROUNDS; round++) {
        double start = now();
        for (size_t i = 0; i < turns; i++)
            sink += work(text, arg);
        ns[round] = (now() - start) / (double)turns * 1e9;
    }
    qsort(ns, ROUNDS, sizeof *ns, by_value);
    double median = ns[ROUNDS / 2];
    printf("%-34s %7zu bytes %11.1f ns  (%.1f to %.1f) %9.0f MB/s\n", what, text.n, median,
           ns[ROUNDS / 4], ns[ROUNDS * 3 / 4], (double)text.n / median * 1e3);
}

// --- heads ---

static size_t parse_head(struct str text, void *arg)
{
    static const struct h1_limits limits = {16 << 10, 8 << 10, FIELDS};
    struct h1_head h;
    h1_head_init(&h, &limits, arg);
    if (h1_head_parse(&h, text) != H1_DONE)
        stop("a head", h1_error_info(h.error)->why);
    return h.field_count;
}

#define BROWSER                                                                                 \
    "GET /notes/17?sort=date&page=2 HTTP/1.1\r\nHost: www.example.org\r\n"                      \
    "Connection: keep-alive\r\n"                                                                \
    "sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n"                           \
    "sec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\nUpgrade-Insecure-Requests: 1\r\n" \
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "       \
    "Chrome/130.0.0.0 Safari/537.36\r\n"                                                        \
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"      \
    "image/apng,*/*;q=0.8\r\n"                                                                  \
    "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\n"         \
    "Sec-Fetch-Dest: document\r\nReferer: https://www.example.org/notes?page=2\r\n"             \
    "Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"  \
    "Cookie: theme=dark; sid=b2YgY291cnNlIHRoaXMgaXMgbm90IG9uZQ; lang=en\r\n\r\n"

static void heads(void)
{
    static struct h1_field fields[FIELDS];
    measure("head: short", STR("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"), parse_head,
            fields);
    measure("head: of a script",
            STR("POST /api/notes HTTP/1.1\r\nHost: api.example.org\r\nUser-Agent: curl/7.88.1\r\n"
                "Accept: */*\r\nAuthorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl\r\n"
                "Content-Type: application/json\r\nContent-Length: 120\r\n\r\n"),
            parse_head, fields);
    measure("head: of a browser", STR(BROWSER), parse_head, fields);
}

// --- forms and cookies ---

static size_t read_form(struct str text, void *arg)
{
    char *dst = arg;
    size_t n = 0;
    struct form_pair pair;
    while (form_next(&text, &pair)) {
        n += pair.name_coded ? form_decode(dst, pair.name) : pair.name.n;
        n += pair.value_coded ? form_decode(dst, pair.value) : pair.value.n;
    }
    return n;
}

static size_t read_cookies(struct str text, void *arg)
{
    (void)arg;
    size_t n = 0;
    struct str name, value;
    while (cookie_next(&text, &name, &value))
        n += name.n + value.n;
    return n;
}

// The text so many times, in static memory that the next call uses again.
static struct str repeated(struct str piece, size_t times)
{
    static char text[2 * LARGE];
    if (piece.n * times > sizeof text)
        stop("a text", "is too large");
    for (size_t i = 0; i < times; i++)
        memcpy(text + i * piece.n, piece.p, piece.n);
    return str_of(text, piece.n * times);
}

static void forms(void)
{
    static char decoded[LARGE];
    measure("form: 3 fields", STR("first=Ada&last=Lovelace&note=hello+world%21"), read_form,
            decoded);
    measure("form: 100 plain fields", repeated(STR("field=some-value-that-is-plain&"), 100),
            read_form, decoded);
    measure("form: 100 coded fields", repeated(STR("f%C3%A4ld=%E2%82%AC+100%2C50+%26+more&"), 100),
            read_form, decoded);
    measure("cookies: 3", STR("theme=dark; sid=abc123; lang=en"), read_cookies, NULL);
    measure("cookies: 40", repeated(STR("name=\"a value of some length\"; "), 40), read_cookies,
            NULL);
}

// --- multipart ---

static size_t read_multipart(struct str text, void *arg)
{
    static const struct multipart_limits limits = {100, 16 << 10, FIELDS};
    struct multipart m;
    (void)arg;
    if (!multipart_init(&m, STR("----boundary7MA4YWxkTrZu0gW"), &limits))
        stop("the boundary", "is bad");
    size_t sum = 0, consumed;
    enum multipart_event e;
    do {
        struct str data = {NULL, 0};
        e = multipart_parse(&m, text, &consumed, &data);
        text = str_of(text.p + consumed, text.n - consumed);
        sum += data.n;
    } while (e != MULTIPART_MORE && e != MULTIPART_BAD);
    if (multipart_end(&m) != MULTIPART_DONE)
        stop("a multipart body:", multipart_why(m.error));
    return sum;
}

#define DELIMITER "------boundary7MA4YWxkTrZu0gW"

// A form with three fields and a file made of pieces.
static struct str multipart_of(struct str piece)
{
    static char text[2 * LARGE];
    size_t n = 0;
    for (int i = 0; i < 3; i++)
        n +=
            (size_t)sprintf(text + n,
                            DELIMITER "\r\nContent-Disposition: form-data; name=\"field%d\"\r\n\r\n"
                                      "the value of a field\r\n",
                            i);
    n += (size_t)sprintf(text + n,
                         DELIMITER "\r\nContent-Disposition: form-data; name=\"file\"; "
                                   "filename=\"f.bin\"\r\nContent-Type: text/plain\r\n\r\n");
    struct str content = repeated(piece, LARGE / piece.n);
    memcpy(text + n, content.p, content.n);
    n += content.n;
    n += (size_t)sprintf(text + n, "\r\n" DELIMITER "--\r\n");
    return str_of(text, n);
}

static void multiparts(void)
{
    measure("multipart: 3 fields, a file", multipart_of(STR("0123456789abcdef")), read_multipart,
            NULL);
    measure("multipart: a file of short lines", multipart_of(STR("a short line\r\n")),
            read_multipart, NULL);
    measure("multipart: a file of dashed lines", multipart_of(STR("\r\n------bound")),
            read_multipart, NULL);
}

// --- escaping ---

// The function and the text are at 1 and 2 of the stack.
static size_t call_lua(struct str text, void *arg)
{
    (void)text;
    lua_State *L = arg;
    size_t n;
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK)
        stop("Lua:", lua_tostring(L, -1));
    lua_tolstring(L, -1, &n);
    lua_pop(L, 1);
    return n;
}

static void escape(lua_State *L, const char *what, struct str text)
{
    lua_settop(L, 1);
    lua_pushlstring(L, text.p, text.n);
    lua_gc(L, LUA_GCCOLLECT);
    measure(what, text, call_lua, L);
}

static void escapes(void)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    luaL_requiref(L, "lunette.html", luaopen_lunette_html, 0);
    lua_getfield(L, -1, "escape");
    lua_replace(L, 1);
    escape(L, "html.escape: a word", STR("Lovelace"));
    escape(L, "html.escape: a sentence", STR("A \"quoted\" & 'escaped' text <no 17>"));
    escape(L, "html.escape: a plain text", repeated(STR("words without anything "), 200));
    escape(L, "html.escape: a text of markup", repeated(STR("<a href=\"/x?a&b\">it's</a>"), 200));
    lua_close(L);
}

int main(void)
{
    heads();
    forms();
    multiparts();
    escapes();
}
