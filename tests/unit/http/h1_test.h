// What the tests of HTTP/1 connections share: a connection over loopback TCP, its client, and a
// handler that each test puts together.
//
// The modules are compiled into the test, so that their allocations can fail, their sends be
// counted and their states be seen. Every exchange and every source, file and borrowed body keeps
// a record; finish() checks that each was ended, closed or released exactly once, whatever
// happened. Timers are long unless a test is about one.
#ifndef LUNETTE_TESTS_H1_TEST_H
#define LUNETTE_TESTS_H1_TEST_H

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static int allocations_left = -1; // -1: no end
static unsigned send_calls;

static inline bool may_allocate(void)
{
    if (allocations_left == 0)
        return false;
    if (allocations_left > 0)
        allocations_left--;
    return true;
}

static inline void *test_h1_malloc(size_t n)
{
    return may_allocate() ? malloc(n) : NULL;
}

static inline void *test_h1_calloc(size_t count, size_t n)
{
    return may_allocate() ? calloc(count, n) : NULL;
}

static inline void *test_h1_realloc(void *p, size_t n)
{
    return may_allocate() ? realloc(p, n) : NULL;
}

static uint64_t pump_us; // the clock that h1_pump.c sees; 0: the real one

static inline int test_h1_clock(clockid_t clock, struct timespec *t)
{
    if (pump_us == 0)
        return clock_gettime(clock, t);
    *t = (struct timespec){(time_t)(pump_us / 1000000), (long)(pump_us % 1000000) * 1000};
    return 0;
}

#define malloc test_h1_malloc
#define calloc test_h1_calloc
#define realloc test_h1_realloc
#define send(...) (send_calls++, send(__VA_ARGS__))
#define sendmsg(fd, ...) (send_calls++, sendmsg(fd, __VA_ARGS__))
#define sendfile(...) (send_calls++, sendfile(__VA_ARGS__))
#include "../../../src/base/arena.c"
#include "../../../src/base/buf.c"
#include "../../../src/http/h1.c"
#include "../../../src/http/h1_answer.c"
#include "../../../src/http/h1_body.c"
#include "../../../src/http/h1_conn.c"
#include "../../../src/http/h1_delivery.c"
#include "../../../src/http/h1_exchange.c"
#include "../../../src/http/h1_head.c"
#include "../../../src/net/stream.c"
#include "../../../src/net/stream_in.c"
#include "../../../src/net/stream_out.c"
#include "../../../src/net/stream_queue.c"
#include "../../../src/net/stream_watch.c"
#define clock_gettime test_h1_clock
#include "../../../src/http/h1_pump.c"
#undef clock_gettime
#undef malloc
#undef calloc
#undef realloc
#undef send
#undef sendmsg
#undef sendfile

#include <fcntl.h>
#include <netinet/in.h>

#include <cmocka.h> // its macros would change the modules

enum {
    GOT_MAX = 16 * 1024 * 1024,
    SECONDS_MAX = 20, // until something that must happen counts as not happening
    EXCHANGES_MAX = 4096,
};

// --- the handler under test ---

static struct loop *loop;
static struct h1_env env;
static struct server_options options;

struct record {
    bool ended, sent;
};
static struct record records[EXCHANGES_MAX];
static unsigned begun, ended; // exchanges
static unsigned bodies;       // on_body calls
static unsigned body_status;  // what the last of them said
static unsigned closed;       // connections
static struct exchange *held; // one that is not answered yet
static void (*request)(struct exchange *x);
static void (*body)(struct exchange *x, unsigned status);
static void (*data)(struct exchange *x, struct str bytes);

static inline void on_request(void *self, struct exchange *x)
{
    assert_ptr_equal(self, records);
    assert_true(begun < EXCHANGES_MAX);
    x->user = &records[begun++];
    held = x;
    request(x);
}

static inline void on_body(void *self, struct exchange *x, unsigned status, const char *why)
{
    assert_ptr_equal(self, records);
    assert_true((status == 0) == (why == NULL));
    assert_false(((struct record *)x->user)->ended);
    bodies++;
    body_status = status;
    body(x, status);
}

static inline void on_data(void *self, struct exchange *x, struct str bytes)
{
    assert_ptr_equal(self, records);
    assert_true(bytes.n > 0);
    assert_false(((struct record *)x->user)->ended);
    data(x, bytes);
}

static inline void on_end(void *self, struct exchange *x, bool sent)
{
    struct record *r = x->user;
    assert_ptr_equal(self, records);
    assert_false(r->ended);
    *r = (struct record){.ended = true, .sent = sent};
    ended++;
    if (held == x)
        held = NULL;
}

static const struct http_handler handler = {on_request, on_body, on_data, on_end};

static inline void count_closed(struct h1_env *e, struct h1_conn *c)
{
    (void)c;
    assert_ptr_equal(e, &env);
    closed++;
}

// Ways to answer.

static unsigned lent, released; // release functions given, and called

static inline void count_release(void *arg)
{
    ++*(unsigned *)arg;
}

static inline void answer(struct exchange *x, struct http_response r)
{
    if (r.release)
        lent++;
    exchange_respond(x, &r);
}

static inline void answer_text(struct exchange *x, unsigned status, struct str text)
{
    answer(x, (struct http_response){.status = status, .body = BODY_BYTES, .bytes = text});
}

static inline void answer_path(struct exchange *x)
{
    answer_text(x, 200, x->request.path);
}

static inline void hold(struct exchange *x)
{
    (void)x;
}

// Answers a request without a body by its path.
static inline void receive(struct exchange *x)
{
    if (!x->request.has_body) {
        answer_path(x);
        return;
    }
    unsigned status = exchange_receive(x, 1 << 20);
    if (status)
        answer_text(x, status, STR("refused"));
}

// Says the body back, or the status.
static inline void echo(struct exchange *x, unsigned status)
{
    char text[1024];
    if (status) {
        answer_text(x, status, STR("failed"));
        return;
    }
    int64_t n = spool_read(&x->body, 0, text, sizeof text);
    answer_text(x, 200, str_of(text, (size_t)n));
}

static inline void hold_body(struct exchange *x, unsigned status)
{
    (void)x;
    (void)status;
}

static char large[600 * 1024];

static inline void answer_large(struct exchange *x)
{
    answer(x, (struct http_response){.status = 200,
                                     .body = BODY_BYTES,
                                     .bytes = str_of(large, sizeof large),
                                     .release = count_release,
                                     .release_arg = &released});
}

// A source that plays a list of pulls; the last one is played for ever.
struct play {
    enum body_pull pull;
    struct str bytes;
};
static struct {
    struct body_source source; // first
    const struct play *list;
    unsigned at, pulls, opened, closed;
    bool ready_in_pull; // says that it is ready from within the pull that says LATER
    const struct fields *trailers;
} source;

static inline enum body_pull play_pull(struct body_source *s, struct str *out)
{
    assert_ptr_equal(s, &source.source);
    assert_true(source.opened == source.closed + 1);
    const struct play *p = &source.list[source.at];
    source.pulls++;
    *out = p->bytes;
    if (p->pull == BODY_LATER && source.ready_in_pull) {
        source.at++;
        exchange_ready(held);
    } else if (p->pull == BODY_SOME && source.list[source.at + 1].pull != (enum body_pull) - 1) {
        source.at++;
    }
    return p->pull;
}

static inline void play_close(struct body_source *s)
{
    assert_ptr_equal(s, &source.source);
    source.closed++;
}

static inline const struct fields *play_trailers(struct body_source *s)
{
    assert_ptr_equal(s, &source.source);
    assert_int_equal(source.list[source.at].pull, BODY_END);
    assert_true(source.opened == source.closed + 1);
    return source.trailers;
}

static const struct body_source_ops play_ops = {play_pull, play_close, play_trailers};
static int64_t source_length;

static inline void answer_source(struct exchange *x)
{
    source.opened++;
    source.source.ops = &play_ops;
    source.at = 0;
    answer(x, (struct http_response){.status = 200,
                                     .body = BODY_SOURCE,
                                     .source = &source.source,
                                     .length = source_length,
                                     .release = count_release,
                                     .release_arg = &released});
}

// What LATER waited for has come.
static inline void source_goes_on(void)
{
    assert_int_equal(source.list[source.at].pull, BODY_LATER);
    source.at++;
    exchange_ready(held);
}

// --- the client ---

static int peer; // its socket; -1: closed
static char *got;
static size_t got_n;
static bool got_eof, got_reset;
static bool bytewise; // the client sends a byte at a time

// Reads what is there.
static inline void hear(void)
{
    while (peer >= 0 && !got_eof && !got_reset && got_n < GOT_MAX) {
        ssize_t n = recv(peer, got + got_n, GOT_MAX - got_n, MSG_DONTWAIT);
        if (n < 0) {
            got_reset = errno == ECONNRESET;
            break;
        }
        got_eof = n == 0;
        got_n += (size_t)n;
    }
    got[got_n] = '\0';
}

static inline void turns(int n)
{
    while (n-- > 0)
        assert_int_equal(loop_turn(loop, 2), 0);
}

static inline uint64_t now_ms(void)
{
    loop_update_time(loop);
    return loop_now(loop);
}

#define TURN_UNTIL(condition)                                                \
    do {                                                                     \
        uint64_t give_up = now_ms() + SECONDS_MAX * 1000;                    \
        while (!(condition) && now_ms() < give_up)                           \
            assert_int_equal(loop_turn(loop, 2), 0);                         \
        if (!(condition))                                                    \
            fail_msg("%s did not become true; heard:\n%s", #condition, got); \
    } while (0)
static inline void wait_ms(uint64_t ms)
{
    for (uint64_t until = now_ms() + ms; now_ms() < until;)
        assert_int_equal(loop_turn(loop, 2), 0);
}

#define HEAR_UNTIL(condition) TURN_UNTIL((hear(), (condition)))

static inline void say_bytes(struct str text)
{
    size_t step = bytewise ? 1 : text.n;
    for (size_t at = 0; at < text.n; at += step) {
        if (send(peer, text.p + at, step, MSG_NOSIGNAL) < 0)
            return; // the server has closed: the test sees that elsewhere
        if (bytewise)
            assert_int_equal(loop_turn(loop, 2), 0);
    }
}

static inline void say(const char *text)
{
    say_bytes(str_z(text));
}

static inline unsigned count(const char *part)
{
    unsigned n = 0;
    for (const char *at = got; (at = strstr(at, part)); at += strlen(part))
        n++;
    return n;
}

static inline void has(const char *part)
{
    if (!count(part))
        fail_msg("no \"%s\" in\n%s", part, got);
}

static inline void lacks(const char *part)
{
    if (count(part))
        fail_msg("\"%s\" in\n%s", part, got);
}

static inline bool ends_with(const char *part)
{
    size_t n = strlen(part);
    return got_n >= n && memcmp(got + got_n - n, part, n) == 0;
}

static inline void forget(void)
{
    got_n = 0;
    got[0] = '\0';
}

static inline void peer_shuts(void)
{
    shutdown(peer, SHUT_WR);
}

static inline void peer_closes(void)
{
    close(peer);
    peer = -1;
}

static inline void peer_resets(void)
{
    struct linger now = {.l_onoff = 1};
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    peer_closes();
}

// --- beginning and end of a test ---

static inline struct h1_conn *conn(void)
{
    assert_non_null(env.connections);
    return env.connections;
}

static inline int state(void)
{
    return env.connections ? env.connections->state : CONN_CLOSED;
}

static unsigned opened;

// Small socket buffers, so that a client that does not read is soon felt.
static inline int tcp_pair(void)
{
    int small = 16 * 1024;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listening, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    assert_int_equal(bind(listening, (struct sockaddr *)&in, len), 0);
    assert_int_equal(listen(listening, 1), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&in, &len), 0);
    peer = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(peer, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_int_equal(connect(peer, (struct sockaddr *)&in, len), 0);
    int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK);
    assert_true(fd >= 0);
    int yes = 1;
    setsockopt(peer, IPPROTO_TCP, 1 /* TCP_NODELAY */, &yes, sizeof yes);
    close(listening);
    return fd;
}

static inline bool connect_client(void)
{
    struct addr a = {.len = sizeof a.v4, .v4 = {.sin_family = AF_INET}};
    int fd = tcp_pair();
    got_eof = got_reset = false;
    forget();
    bool ok = h1_open(&env, fd, &a, 7);
    opened += ok;
    return ok;
}

static inline void begin_without_client(void)
{
    options = (struct server_options){
        .head = {.head_bytes = 4096, .uri_bytes = 2048, .fields = 50},
        .spool = {.folder = "/tmp", .memory = 64 * 1024},
        .linger_bytes = 100 * 1024,
        .header_ms = 60000,
        .body_ms = 60000,
        .idle_ms = 60000,
        .send_ms = 60000,
        .linger_ms = 60000,
    };
    memset(records, 0, sizeof records);
    memset(&source, 0, sizeof source);
    begun = ended = bodies = body_status = closed = opened = lent = released = 0;
    held = NULL;
    source_length = -1;
    request = answer_path;
    body = echo;
    got = malloc(GOT_MAX + 1);
    peer = -1;
    signal(SIGPIPE, SIG_IGN);
    loop = loop_new();
    env = (struct h1_env){
        .loop = loop,
        .streams = stream_pool_new(loop),
        .options = &options,
        .handler = &handler,
        .self = records,
        .fields = calloc(options.head.fields + 1, sizeof(struct h1_field)),
        .closed = count_closed,
    };
}

static inline void begin(void)
{
    begin_without_client();
    assert_true(connect_client());
    assert_int_equal(state(), CONN_IDLE);
}

static inline void finish(void)
{
    for (struct h1_conn *c = env.connections; c; c = c->next)
        h1_close(c);
    turns(2);
    if (peer >= 0)
        close(peer);
    assert_null(env.connections);
    assert_int_equal(env.connection_count, 0);
    assert_int_equal(closed, opened);
    assert_int_equal(ended, begun);
    assert_int_equal(released, lent);
    assert_int_equal(source.closed, source.opened);
    while (env.spares) {
        struct h1_exchange *x = env.spares;
        env.spares = x->spare;
        arena_fini(&x->pub.arena);
        free(x);
    }
    stream_pool_free(env.streams);
    free(env.fields);
    loop_free(loop);
    free(got);
}

// All of them were sent, or none.
static inline void assert_all_sent(bool sent)
{
    for (unsigned i = 0; i < begun; i++)
        assert_int_equal(records[i].ended && records[i].sent, sent);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST(path, length) "POST " path " HTTP/1.1\r\nHost: h\r\nContent-Length: " length "\r\n\r\n"
#define POST_CHUNKED(path) "POST " path " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"

// --- ready-made answers ---

static inline void fill_16k(struct exchange *x)
{
    answer_text(x, 200, str_of(large, 16 * 1024));
}

static inline int a_file(size_t n)
{
    char name[] = "/tmp/test_h1.XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    unlink(name);
    assert_int_equal(write(fd, large, n), n);
    return fd;
}

static int file; // what answer_file sends: file_length bytes from offset 10
static int64_t file_length;

static inline void answer_file(struct exchange *x)
{
    answer(x, (struct http_response){.status = 200,
                                     .body = BODY_FILE,
                                     .fd = file,
                                     .offset = 10,
                                     .length = file_length,
                                     .release = count_release,
                                     .release_arg = &released});
}

static const struct play two_pieces[] = {
    {BODY_SOME, {"one", 3}}, {BODY_SOME, {"two!", 4}}, {BODY_END, {NULL, 0}}};

// To be called first: switches the logs off and fills the large body.
static inline void prepare(void)
{
    const struct log_options quiet = {.error = "off", .access = "/dev/null"};
    const char *failed;
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (char)('a' + i % 23);
    assert_int_equal(log_open(&quiet, &failed), 0);
}

#endif
