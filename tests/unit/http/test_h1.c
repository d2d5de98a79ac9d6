// HTTP/1 connections, driven over loopback TCP by a handler that each test puts together.
//
// The modules are compiled into this file, so that their allocations can fail, their send_calls be
// counted and their states be seen. Every exchange and every source, file and borrowed body keeps
// a record; finish() checks that each was ended, closed or released exactly once, whatever
// happened. Timers are long unless a test is about one.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static int allocations_left = -1; // -1: no end
static unsigned send_calls;

static bool may_allocate(void)
{
    if (allocations_left == 0)
        return false;
    if (allocations_left > 0)
        allocations_left--;
    return true;
}

static void *test_h1_malloc(size_t n)
{
    return may_allocate() ? malloc(n) : NULL;
}

static void *test_h1_calloc(size_t count, size_t n)
{
    return may_allocate() ? calloc(count, n) : NULL;
}

static void *test_h1_realloc(void *p, size_t n)
{
    return may_allocate() ? realloc(p, n) : NULL;
}

#define malloc test_h1_malloc
#define calloc test_h1_calloc
#define realloc test_h1_realloc
#define send(...) (send_calls++, send(__VA_ARGS__))
#define sendmsg(fd, ...) (send_calls++, sendmsg(fd, __VA_ARGS__))
#define sendfile(...) (send_calls++, sendfile(__VA_ARGS__))
#define settle stream_settle
#include "../../../src/base/arena.c"
#include "../../../src/base/buf.c"
#include "../../../src/net/stream.c"
#undef settle
#include "../../../src/http/h1.c"
#include "../../../src/http/h1_answer.c"
#include "../../../src/http/h1_exchange.c"
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

static void on_request(void *self, struct exchange *x)
{
    assert_ptr_equal(self, records);
    assert_true(begun < EXCHANGES_MAX);
    x->user = &records[begun++];
    held = x;
    request(x);
}

static void on_body(void *self, struct exchange *x, unsigned status, const char *why)
{
    assert_ptr_equal(self, records);
    assert_true((status == 0) == (why == NULL));
    assert_false(((struct record *)x->user)->ended);
    bodies++;
    body_status = status;
    body(x, status);
}

static void on_end(void *self, struct exchange *x, bool sent)
{
    struct record *r = x->user;
    assert_ptr_equal(self, records);
    assert_false(r->ended);
    *r = (struct record){.ended = true, .sent = sent};
    ended++;
    if (held == x)
        held = NULL;
}

static const struct http_handler handler = {on_request, on_body, on_end};

static void count_closed(struct h1_env *e, struct h1_conn *c)
{
    (void)c;
    assert_ptr_equal(e, &env);
    closed++;
}

// Ways to answer.

static unsigned lent, released; // release functions given, and called

static void count_release(void *arg)
{
    ++*(unsigned *)arg;
}

static void answer(struct exchange *x, struct http_response r)
{
    if (r.release)
        lent++;
    exchange_respond(x, &r);
}

static void answer_text(struct exchange *x, unsigned status, struct str text)
{
    answer(x, (struct http_response){.status = status, .body = BODY_BYTES, .bytes = text});
}

static void answer_path(struct exchange *x)
{
    answer_text(x, 200, x->request.path);
}

static void hold(struct exchange *x)
{
    (void)x;
}

// Answers a request without a body by its path.
static void receive(struct exchange *x)
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
static void echo(struct exchange *x, unsigned status)
{
    char text[1024];
    if (status) {
        answer_text(x, status, STR("failed"));
        return;
    }
    int64_t n = spool_read(&x->body, 0, text, sizeof text);
    answer_text(x, 200, str_of(text, (size_t)n));
}

static void hold_body(struct exchange *x, unsigned status)
{
    (void)x;
    (void)status;
}

static char large[600 * 1024];

static void answer_large(struct exchange *x)
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
} source;

static enum body_pull play_pull(struct body_source *s, struct str *out)
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

static void play_close(struct body_source *s)
{
    assert_ptr_equal(s, &source.source);
    source.closed++;
}

static const struct body_source_ops play_ops = {play_pull, play_close};
static int64_t source_length;

static void answer_source(struct exchange *x)
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
static void source_goes_on(void)
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
static void hear(void)
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

static void turns(int n)
{
    while (n-- > 0)
        assert_int_equal(loop_turn(loop, 2), 0);
}

static uint64_t now_ms(void)
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
static void wait_ms(uint64_t ms)
{
    for (uint64_t until = now_ms() + ms; now_ms() < until;)
        assert_int_equal(loop_turn(loop, 2), 0);
}

#define HEAR_UNTIL(condition) TURN_UNTIL((hear(), (condition)))

static void say_bytes(struct str text)
{
    size_t step = bytewise ? 1 : text.n;
    for (size_t at = 0; at < text.n; at += step) {
        if (send(peer, text.p + at, step, MSG_NOSIGNAL) < 0)
            return; // the server has closed: the test sees that elsewhere
        if (bytewise)
            assert_int_equal(loop_turn(loop, 2), 0);
    }
}

static void say(const char *text)
{
    say_bytes(str_z(text));
}

static unsigned count(const char *part)
{
    unsigned n = 0;
    for (const char *at = got; (at = strstr(at, part)); at += strlen(part))
        n++;
    return n;
}

static void has(const char *part)
{
    if (!count(part))
        fail_msg("no \"%s\" in\n%s", part, got);
}

static void lacks(const char *part)
{
    if (count(part))
        fail_msg("\"%s\" in\n%s", part, got);
}

static bool ends_with(const char *part)
{
    size_t n = strlen(part);
    return got_n >= n && memcmp(got + got_n - n, part, n) == 0;
}

static void forget(void)
{
    got_n = 0;
    got[0] = '\0';
}

static void peer_shuts(void)
{
    shutdown(peer, SHUT_WR);
}

static void peer_closes(void)
{
    close(peer);
    peer = -1;
}

static void peer_resets(void)
{
    struct linger now = {.l_onoff = 1};
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    peer_closes();
}

// --- beginning and end of a test ---

static struct h1_conn *conn(void)
{
    assert_non_null(env.connections);
    return env.connections;
}

static int state(void)
{
    return env.connections ? env.connections->state : CONN_CLOSED;
}

static unsigned opened;

// Small socket buffers, so that a client that does not read is soon felt.
static int tcp_pair(void)
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

static bool connect_client(void)
{
    struct addr a = {.len = sizeof a.v4, .v4 = {.sin_family = AF_INET}};
    int fd = tcp_pair();
    got_eof = got_reset = false;
    forget();
    bool ok = h1_open(&env, fd, &a, 7);
    opened += ok;
    return ok;
}

static void begin_without_client(void)
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

static void begin(void)
{
    begin_without_client();
    assert_true(connect_client());
    assert_int_equal(state(), CONN_IDLE);
}

static void finish(void)
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
static void assert_all_sent(bool sent)
{
    for (unsigned i = 0; i < begun; i++)
        assert_int_equal(records[i].ended && records[i].sent, sent);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST(path, length) "POST " path " HTTP/1.1\r\nHost: h\r\nContent-Length: " length "\r\n\r\n"
#define POST_CHUNKED(path) "POST " path " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"

// --- one request ---

static void a_request_is_answered(void **unused)
{
    (void)unused;
    begin();
    say(GET("/hello"));
    HEAR_UNTIL(ends_with("\r\n\r\n/hello"));
    assert_ptr_equal(strstr(got, "HTTP/1.1 200 OK\r\nDate: "), got);
    has("\r\nServer: lunette\r\n");
    has("\r\nX-Content-Type-Options: nosniff\r\n");
    has("\r\nContent-Length: 6\r\n");
    lacks("Connection:");
    lacks("\nContent-Type:");
    assert_int_equal(state(), CONN_IDLE);
    assert_int_equal(ended, 1);
    assert_all_sent(true);
    finish();
}

static void a_head_comes_in_parts(void **unused)
{
    (void)unused;
    begin();
    say("GET /par");
    TURN_UNTIL(state() == CONN_HEAD);
    say("ts HTTP/1.1\r\nHost: h\r");
    turns(2);
    assert_int_equal(state(), CONN_HEAD);
    say("\n\r\n");
    HEAR_UNTIL(ends_with("\r\n\r\n/parts"));
    assert_int_equal(state(), CONN_IDLE);
    assert_null(conn()->partial);
    finish();
}

static void an_answer_may_come_later(void **unused)
{
    (void)unused;
    begin();
    request = hold;
    say(GET("/later"));
    TURN_UNTIL(held);
    turns(2);
    assert_int_equal(state(), CONN_HANDLE);
    struct exchange *x = held;
    answer_path(x);
    assert_int_equal(ended, 0); // never from within exchange_respond
    HEAR_UNTIL(ends_with("/later"));
    assert_int_equal(state(), CONN_IDLE);
    assert_all_sent(true);
    request = answer_path;
    say(GET("/next"));
    HEAR_UNTIL(ends_with("/next"));
    finish();
}

static void the_handlers_fields_are_respected(void **unused)
{
    (void)unused;
    begin();
    request = hold;
    say(GET("/"));
    TURN_UNTIL(held);
    struct fields f;
    fields_init(&f);
    fields_add(&f, STR("Date"), STR("today"));
    fields_add(&f, STR("Content-Type"), STR("text/x"));
    fields_add(&f, STR("X-Content-Type-Options"), STR("none"));
    fields_add(&f, STR("Connection"), STR("close"));
    answer(held, (struct http_response){.status = 299,
                                        .fields = &f,
                                        .default_type = STR("text/plain"),
                                        .body = BODY_BYTES,
                                        .bytes = STR("x")});
    fields_fini(&f);
    HEAR_UNTIL(got_eof);
    assert_ptr_equal(strstr(got, "HTTP/1.1 299 \r\nDate: today\r\n"), got);
    assert_int_equal(count("Date:"), 1);
    assert_int_equal(count("Content-Type: text/x\r\n"), 1);
    assert_int_equal(count("\nContent-Type:"), 1);
    assert_int_equal(count("Options:"), 1);
    assert_int_equal(count("Connection: close\r\n"), 1);
    finish();
}

// More than fits into one block of the stream's queue beside the rest of the head.
static void many_fields_go_out_whole(void **unused)
{
    (void)unused;
    static char value[60 * 1024];
    memset(value, 'v', sizeof value);
    for (size_t n = 7 * 1024; n <= sizeof value; n = n < 18 * 1024 ? n + 997 : n * 2) {
        begin();
        request = hold;
        say(GET("/"));
        TURN_UNTIL(held);
        struct fields f;
        fields_init(&f);
        assert_int_equal(fields_add(&f, STR("X"), str_of(value, n)), FIELDS_OK);
        answer(held, (struct http_response){
                         .status = 200, .fields = &f, .body = BODY_BYTES, .bytes = STR("end")});
        fields_fini(&f);
        HEAR_UNTIL(ends_with("\r\n\r\nend"));
        const char *at = strstr(got, "\r\nX: ");
        assert_non_null(at);
        assert_memory_equal(at + 5, value, n);
        assert_memory_equal(at + 5 + n, "\r\nX-Content", 11);
        finish();
    }
}

// --- pipelines ---

static void a_pipeline_is_answered_in_order(void **unused)
{
    (void)unused;
    begin();
    say(GET("/1") GET("/2") POST("/3", "4") "body" GET("/4"));
    HEAR_UNTIL(ends_with("/4"));
    const char *one = strstr(got, "\r\n\r\n/1"), *two = strstr(got, "\r\n\r\n/2");
    const char *three = strstr(got, "\r\n\r\n/3");
    assert_true(one && two && three && one < two && two < three);
    assert_int_equal(count("HTTP/1.1 200"), 4);
    assert_int_equal(ended, 4);
    assert_all_sent(true);
    finish();
}

static void a_pipeline_of_one_read_goes_out_in_one_send(void **unused)
{
    (void)unused;
    begin();
    send_calls = 0;
    say(GET("/1") GET("/2") GET("/3") GET("/4"));
    unsigned clients = send_calls; // the client's own
    HEAR_UNTIL(ends_with("/4"));
    assert_int_equal(send_calls - clients, 1);
    finish();
}

static void late_answers_keep_the_order(void **unused)
{
    (void)unused;
    begin();
    request = hold;
    say(GET("/1") GET("/2") GET("/3"));
    for (unsigned i = 1; i <= 3; i++) {
        TURN_UNTIL(held && begun == i);
        turns(3);
        assert_int_equal(begun, i); // one at a time
        answer_path(held);
        HEAR_UNTIL(ended == i);
    }
    HEAR_UNTIL(ends_with("\r\n\r\n/3"));
    assert_int_equal(count("HTTP/1.1 200"), 3);
    finish();
}

static void fill_16k(struct exchange *x)
{
    answer_text(x, 200, str_of(large, 16 * 1024));
}

// Memory stays bounded: no request is begun while the client does not take the answers.
static void a_client_that_does_not_read_stops_its_pipeline(void **unused)
{
    (void)unused;
    enum { REQUESTS = 400 };
    begin();
    request = fill_16k;
    const char get[] = GET("/");
    for (unsigned i = 0; i < REQUESTS; i++) {
        if (send(peer, get, sizeof get - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            fail_msg("the client's own buffer was full at %u", i);
        loop_turn(loop, 0);
        assert_true(stream_queued(conn()->stream) < STREAM_LOW + 17 * 1024);
    }
    turns(20);
    assert_true(begun < REQUESTS);
    assert_true(stream_queued(conn()->stream) >= STREAM_LOW);
    HEAR_UNTIL(ended == REQUESTS);
    HEAR_UNTIL(count("HTTP/1.1 200") == REQUESTS && stream_queued(conn()->stream) == 0);
    assert_all_sent(true);
    finish();
}

// --- bodies of requests ---

static void a_body_is_received(void **unused)
{
    (void)unused;
    begin();
    request = receive;
    say(POST("/", "11") "hello");
    TURN_UNTIL(state() == CONN_BODY && conn()->x->body_seen == 5);
    assert_int_equal(bodies, 0);
    say(" world" GET("/next"));
    HEAR_UNTIL(ends_with("\r\n\r\n/next"));
    has("\r\n\r\nhello world");
    assert_int_equal(bodies, 1);
    assert_int_equal(body_status, 0);
    finish();
}

static void a_chunked_body_is_received(void **unused)
{
    (void)unused;
    begin();
    request = receive;
    say(POST_CHUNKED("/") "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: 1\r\n\r\n");
    HEAR_UNTIL(ends_with("\r\n\r\nhello world"));
    assert_int_equal(state(), CONN_IDLE);
    say(POST_CHUNKED("/") "0\r\n\r\n");
    HEAR_UNTIL(count("Content-Length: 0\r\n") && ended == 2);
    assert_int_equal(bodies, 2);
    finish();
}

// The handler asks for the body, and answers, when both have been there for long.
static void a_body_may_be_asked_for_later(void **unused)
{
    (void)unused;
    begin();
    request = hold;
    body = hold_body;
    say(POST("/", "4") "body" GET("/next"));
    TURN_UNTIL(held);
    turns(2);
    assert_int_equal(exchange_receive(held, 4), 0);
    assert_int_equal(bodies, 0); // never from within
    TURN_UNTIL(bodies == 1);
    turns(2);
    assert_int_equal(state(), CONN_HANDLE);
    assert_int_equal(begun, 1);
    request = answer_path;
    echo(held, 0);
    HEAR_UNTIL(ends_with("/next"));
    has("\r\n\r\nbody");
    finish();
}

static void a_body_that_is_too_large_by_its_length_is_refused_at_once(void **unused)
{
    (void)unused;
    begin();
    request = hold;
    say(POST("/", "5"));
    TURN_UNTIL(held);
    assert_int_equal(exchange_receive(held, 4), 413);
    assert_int_equal(state(), CONN_HANDLE);
    answer_text(held, 413, STR("no"));
    request = answer_path;
    say("12345" GET("/next")); // it is small enough to be read away
    HEAR_UNTIL(ends_with("/next"));
    assert_int_equal(bodies, 0);
    finish();
}

static void receive_four(struct exchange *x)
{
    assert_int_equal(exchange_receive(x, 4), 0);
}

static void a_body_that_goes_wrong_gets_its_status_and_the_end(void **unused)
{
    (void)unused;
    static const struct {
        const char *sent;
        unsigned status;
    } cases[] = {
        {POST_CHUNKED("/") "5\r\nhello\r\n0\r\n\r\n", 413},
        {POST_CHUNKED("/") "2\r\nhe\r\n3\r\n", 413}, // the promise is enough
        {POST_CHUNKED("/") "x\r\n", 400},
        {POST_CHUNKED("/") "1\r\nhello", 400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin();
        request = receive_four;
        say(cases[i].sent);
        HEAR_UNTIL(got_eof);
        assert_int_equal(bodies, 1);
        assert_int_equal(body_status, cases[i].status);
        has("\r\nConnection: close\r\n");
        assert_true(ends_with("\r\n\r\nfailed"));
        assert_all_sent(true);
        assert_int_equal(state(), CONN_LINGER);
        finish();
    }
}

static void a_body_without_room_for_its_file_is_a_500(void **unused)
{
    (void)unused;
    begin();
    options.spool = (struct spool_options){.folder = "/nonexistent", .memory = 4};
    request = receive;
    say(POST("/", "8") "12345678");
    HEAR_UNTIL(got_eof);
    has("HTTP/1.1 500 ");
    has("\r\nConnection: close\r\n");
    finish();
}

static void a_body_below_the_minimum_rate_is_a_408(void **unused)
{
    (void)unused;
    begin();
    options.body_ms = 200;
    options.body_rate = 1000000;
    request = receive;
    say(POST("/", "100000"));
    TURN_UNTIL(state() == CONN_BODY);
    for (uint64_t until = now_ms() + SECONDS_MAX * 1000;
         now_ms() < until && !bodies;) { // some bytes always come before body_ms is over
        send(peer, "x", 1, MSG_NOSIGNAL);
        loop_turn(loop, 5);
    }
    HEAR_UNTIL(got_eof);
    assert_int_equal(body_status, 408);
    has("HTTP/1.1 408 ");
    finish();
}

// --- 100 Continue ---

#define POST_EXPECT(length) \
    "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: " length "\r\n\r\n"

static void continue_is_said_when_the_body_is_wanted(void **unused)
{
    (void)unused;
    begin();
    request = hold;
    say(POST_EXPECT("4"));
    TURN_UNTIL(held);
    turns(3);
    hear();
    assert_int_equal(got_n, 0);
    assert_int_equal(exchange_receive(held, 4), 0);
    HEAR_UNTIL(got_n);
    assert_string_equal(got, "HTTP/1.1 100 Continue\r\n\r\n");
    say("body");
    HEAR_UNTIL(ends_with("\r\n\r\nbody"));
    lacks("Connection: close");
    assert_int_equal(state(), CONN_IDLE);
    request = receive; // and from within on_request
    say(POST_EXPECT("4"));
    HEAR_UNTIL(count("100 Continue") == 2);
    say("more");
    HEAR_UNTIL(ends_with("\r\n\r\nmore"));
    finish();
}

// Nobody can know whether the body comes now: the connection cannot go on.
static void without_continue_the_answer_is_the_last(void **unused)
{
    (void)unused;
    begin();
    say(POST_EXPECT("4"));
    HEAR_UNTIL(got_eof);
    lacks("100 Continue");
    has("\r\nConnection: close\r\n");
    finish();
}

static void an_http_1_0_client_hears_no_continue(void **unused)
{
    (void)unused;
    begin();
    request = receive;
    say("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    TURN_UNTIL(state() == CONN_BODY);
    say("body");
    HEAR_UNTIL(got_eof);
    lacks("100 Continue");
    assert_true(ends_with("\r\n\r\nbody"));
    finish();
}

// --- bodies that nobody asked for ---

static void a_small_body_is_read_away(void **unused)
{
    (void)unused;
    begin();
    say(POST("/a", "10") "12345");
    HEAR_UNTIL(ends_with("/a"));
    assert_int_equal(state(), CONN_DISCARD);
    assert_int_equal(ended, 1);
    lacks("Connection:");
    say("67890" GET("/b"));
    HEAR_UNTIL(ends_with("/b"));
    say(POST_CHUNKED("/c") "3\r\nabc\r\n");
    HEAR_UNTIL(ends_with("/c"));
    assert_int_equal(state(), CONN_DISCARD);
    say("0\r\n\r\n" GET("/d"));
    HEAR_UNTIL(ends_with("/d"));
    assert_int_equal(ended, 4);
    assert_all_sent(true);
    finish();
}

static void a_large_body_is_not_read_and_the_answer_says_so(void **unused)
{
    (void)unused;
    begin();
    say(POST("/a", "65537"));
    HEAR_UNTIL(got_eof);
    has("\r\nConnection: close\r\n");
    assert_int_equal(state(), CONN_LINGER);
    finish();
    begin();
    say(POST("/a", "65536"));
    HEAR_UNTIL(ends_with("/a"));
    lacks("Connection:");
    assert_int_equal(state(), CONN_DISCARD);
    finish();
}

static void a_chunked_body_is_read_away_up_to_a_limit(void **unused)
{
    (void)unused;
    static char chunk[1 + 6 + 0x8000 + 2];
    int n = snprintf(chunk, sizeof chunk, "8000\r\n");
    memset(chunk + n, 'x', 0x8000);
    memcpy(chunk + n + 0x8000, "\r\n", 2);
    begin();
    say(POST_CHUNKED("/a"));
    HEAR_UNTIL(ends_with("/a"));
    for (int i = 0; i < 3; i++)
        send(peer, chunk, (size_t)n + 0x8002, MSG_NOSIGNAL);
    TURN_UNTIL(state() == CONN_LINGER);
    HEAR_UNTIL(got_eof);
    assert_all_sent(true);
    finish();
}

static void a_chunk_that_promises_too_much_is_not_waited_for(void **unused)
{
    (void)unused;
    begin();
    say(POST_CHUNKED("/a") "fffffff\r\n");
    HEAR_UNTIL(got_eof);
    assert_int_equal(state(), CONN_LINGER);
    finish();
}

static void a_malformed_body_is_not_read_away(void **unused)
{
    (void)unused;
    begin();
    say(POST_CHUNKED("/a") "?\r\n" GET("/never"));
    HEAR_UNTIL(got_eof);
    assert_int_equal(begun, 1);
    assert_int_equal(count("HTTP/1.1 "), 1);
    finish();
}

// --- bad requests ---

static void a_bad_request_gets_a_page_and_the_end(void **unused)
{
    (void)unused;
    static const struct {
        const char *sent, *line;
    } cases[] = {
        {"GET  / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/2.0\r\n\r\n", "HTTP/1.1 505 "},
        {"FETCH / HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 501 "},
        {"GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 400 "},
        {"POST / HTTP/1.0\r\n\r\n", "HTTP/1.1 411 "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin();
        say(cases[i].sent);
        HEAR_UNTIL(got_eof);
        assert_ptr_equal(strstr(got, cases[i].line), got);
        has("\r\nConnection: close\r\n");
        assert_true(ends_with("</html>\n"));
        assert_int_equal(begun, 0);
        assert_int_equal(state(), CONN_LINGER);
        say(GET("/never")); // dropped
        turns(2);
        peer_closes();
        TURN_UNTIL(state() == CONN_CLOSED);
        assert_int_equal(begun, 0);
        finish();
    }
}

static void a_bad_head_request_gets_no_page(void **unused)
{
    (void)unused;
    begin();
    say("HEAD / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    HEAR_UNTIL(got_eof);
    has("HTTP/1.1 400 ");
    assert_true(ends_with("\r\n\r\n"));
    finish();
    begin();
    say("HEAD /%00 HTTP/1.1\r\nHost: a\r\n\r\n");
    HEAR_UNTIL(got_eof);
    assert_true(ends_with("\r\n\r\n"));
    finish();
}

static void a_bad_request_behind_good_ones_is_answered_last(void **unused)
{
    (void)unused;
    begin();
    say(GET("/1") GET("/2") "nonsense\r\n\r\n");
    HEAR_UNTIL(got_eof);
    assert_int_equal(count("HTTP/1.1 200"), 2);
    assert_int_equal(count("HTTP/1.1 400"), 1);
    assert_true(ends_with("</html>\n"));
    finish();
}

// --- versions and methods ---

static void http_1_0_closes_unless_asked(void **unused)
{
    (void)unused;
    begin();
    say("GET /a HTTP/1.0\r\n\r\n");
    HEAR_UNTIL(got_eof);
    assert_ptr_equal(strstr(got, "HTTP/1.1 200 OK\r\n"), got);
    has("\r\nConnection: close\r\n");
    has("\r\nContent-Length: 2\r\n");
    finish();
    begin();
    say("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    HEAR_UNTIL(ends_with("/a"));
    has("\r\nConnection: keep-alive\r\n");
    say("GET /b HTTP/1.0\r\n\r\n");
    HEAR_UNTIL(got_eof);
    assert_true(ends_with("/b"));
    has("\r\nConnection: close\r\n");
    finish();
}

static void a_client_may_ask_for_the_end(void **unused)
{
    (void)unused;
    begin();
    say("GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" GET("/never"));
    HEAR_UNTIL(got_eof);
    has("\r\nConnection: close\r\n");
    assert_int_equal(begun, 1);
    finish();
}

static int a_file(size_t n)
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

static void answer_file(struct exchange *x)
{
    answer(x, (struct http_response){.status = 200,
                                     .body = BODY_FILE,
                                     .fd = file,
                                     .offset = 10,
                                     .length = file_length,
                                     .release = count_release,
                                     .release_arg = &released});
}

static unsigned bodiless_status;

static void answer_no_content(struct exchange *x)
{
    struct http_response r = {.status = bodiless_status, .default_type = STR("text/x")};
    answer(x, r);
}

static const struct play two_pieces[] = {
    {BODY_SOME, {"one", 3}}, {BODY_SOME, {"two!", 4}}, {BODY_END, {NULL, 0}}};

static void head_gets_the_head_alone(void **unused)
{
    (void)unused;
    static const char head[] = "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n";
    begin();
    say(head);
    HEAR_UNTIL(ends_with("\r\n\r\n"));
    has("\r\nContent-Length: 2\r\n");
    forget();
    request = answer_large;
    say(head);
    HEAR_UNTIL(ends_with("\r\n\r\n"));
    has("\r\nContent-Length: 614400\r\n");
    assert_int_equal(released, 1);
    forget();
    file = a_file(50);
    file_length = 40;
    request = answer_file;
    say(head);
    HEAR_UNTIL(ends_with("\r\n\r\n"));
    has("\r\nContent-Length: 40\r\n");
    assert_int_equal(released, 2);
    forget();
    source.list = two_pieces;
    request = answer_source;
    say(head);
    HEAR_UNTIL(ends_with("\r\n\r\n"));
    lacks("Content-Length");
    assert_int_equal(source.closed, 1);
    assert_int_equal(source.pulls, 0);
    assert_int_equal(state(), CONN_IDLE);
    close(file);
    finish();
}

static void some_statuses_have_no_body(void **unused)
{
    (void)unused;
    begin();
    request = answer_no_content;
    for (bodiless_status = 204; bodiless_status <= 304; bodiless_status += 100) {
        forget();
        say(GET("/"));
        HEAR_UNTIL(ends_with("\r\n\r\n"));
        lacks("Content-Length");
        lacks("Transfer-Encoding");
        lacks("\nContent-Type:");
    }
    request = answer_path;
    say(GET("/next"));
    HEAR_UNTIL(ends_with("/next"));
    finish();
}

// --- bodies of answers ---

static void a_source_of_unknown_length_goes_out_in_chunks(void **unused)
{
    (void)unused;
    static const struct play pieces[] = {{BODY_SOME, {"one", 3}},
                                         {BODY_SOME, {"", 0}}, // does not end it
                                         {BODY_SOME, {"0123456789abcdef", 16}},
                                         {BODY_END, {NULL, 0}}};
    begin();
    source.list = pieces;
    request = answer_source;
    say(GET("/"));
    HEAR_UNTIL(ends_with("\r\n\r\n3\r\none\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"));
    has("\r\nTransfer-Encoding: chunked\r\n");
    lacks("Content-Length");
    assert_all_sent(true);
    request = answer_path;
    say(GET("/next"));
    HEAR_UNTIL(ends_with("/next"));
    finish();
}

static void a_source_of_known_length_goes_out_as_it_is(void **unused)
{
    (void)unused;
    begin();
    source.list = two_pieces;
    source_length = 7;
    request = answer_source;
    say(GET("/"));
    HEAR_UNTIL(ends_with("\r\n\r\nonetwo!"));
    has("\r\nContent-Length: 7\r\n");
    assert_int_equal(state(), CONN_IDLE);
    finish();
}

static void for_http_1_0_the_end_of_the_connection_ends_the_body(void **unused)
{
    (void)unused;
    begin();
    source.list = two_pieces;
    request = answer_source;
    say("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    HEAR_UNTIL(got_eof);
    assert_true(ends_with("\r\n\r\nonetwo!"));
    has("\r\nConnection: close\r\n");
    lacks("Transfer-Encoding");
    finish();
}

static void a_source_may_wait(void **unused)
{
    (void)unused;
    static const struct play waits[] = {{BODY_SOME, {"one", 3}}, {BODY_LATER, {NULL, 0}},
                                        {BODY_SOME, {"two", 3}}, {BODY_LATER, {NULL, 0}},
                                        {BODY_LATER, {NULL, 0}}, {BODY_END, {NULL, 0}}};
    begin();
    source.list = waits;
    request = answer_source;
    say(GET("/") GET("/next"));
    HEAR_UNTIL(ends_with("3\r\none\r\n"));
    assert_int_equal(state(), CONN_ANSWER);
    assert_int_equal(begun, 1);
    source_goes_on();
    HEAR_UNTIL(ends_with("3\r\ntwo\r\n"));
    exchange_ready(held); // too early: nothing comes of it
    turns(2);
    source_goes_on();
    turns(2);
    request = answer_path;
    source_goes_on();
    HEAR_UNTIL(ends_with("/next"));
    has("0\r\n\r\nHTTP/1.1 200 OK");
    finish();
}

// The client must not take a part for the whole.
static void a_source_that_breaks_its_word_cuts_the_connection(void **unused)
{
    (void)unused;
    static const struct play fails[] = {{BODY_SOME, {"one", 3}}, {BODY_FAILED, {NULL, 0}}};
    static const struct {
        const struct play *list;
        int64_t length;
    } cases[] = {{fails, -1}, {fails, 7}, {two_pieces, 8}, {two_pieces, 6}, {two_pieces, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin();
        source.list = cases[i].list;
        source_length = cases[i].length;
        request = answer_source;
        say(GET("/"));
        HEAR_UNTIL(got_eof || got_reset);
        lacks("\r\n0\r\n\r\n");
        assert_int_equal(ended, 1);
        assert_all_sent(false);
        assert_int_equal(source.closed, 1);
        finish();
    }
}

static void an_endless_source_waits_for_its_client(void **unused)
{
    (void)unused;
    static struct play endless[] = {{BODY_SOME, {large, 20000}}, {(enum body_pull) - 1, {NULL, 0}}};
    begin();
    source.list = endless;
    request = answer_source;
    say(GET("/"));
    TURN_UNTIL(stream_queued(conn()->stream) >= STREAM_LOW);
    turns(5);
    unsigned pulls = source.pulls;
    turns(10);
    assert_int_equal(source.pulls, pulls);
    assert_true(stream_queued(conn()->stream) < STREAM_LOW + 21000);
    HEAR_UNTIL(got_n > 2000000);
    assert_true(stream_queued(conn()->stream) < STREAM_LOW + 21000);
    peer_resets();
    TURN_UNTIL(state() == CONN_CLOSED);
    assert_all_sent(false);
    finish();
}

static void a_file_is_sent(void **unused)
{
    (void)unused;
    begin();
    file = a_file(sizeof large);
    file_length = sizeof large - 10;
    request = answer_file;
    say(GET("/"));
    HEAR_UNTIL(released == 1 && got_n > sizeof large);
    HEAR_UNTIL(memcmp(got + got_n - 100, large + sizeof large - 100, 100) == 0 &&
               stream_queued(conn()->stream) == 0);
    const char *start = strstr(got, "\r\n\r\n") + 4;
    assert_int_equal(got + got_n - start, file_length);
    assert_memory_equal(start, large + 10, file_length);
    assert_int_equal(state(), CONN_IDLE);
    request = answer_path;
    say(GET("/next"));
    HEAR_UNTIL(ends_with("/next"));
    close(file);
    finish();
}

static void an_empty_file_is_sent(void **unused)
{
    (void)unused;
    begin();
    file = a_file(10);
    file_length = 0;
    request = answer_file;
    say(GET("/"));
    HEAR_UNTIL(ends_with("\r\n\r\n"));
    has("\r\nContent-Length: 0\r\n");
    assert_int_equal(released, 1);
    close(file);
    finish();
}

static void a_file_that_shrank_cuts_the_connection(void **unused)
{
    (void)unused;
    begin();
    file = a_file(30);
    file_length = 40;
    request = answer_file;
    say(GET("/"));
    HEAR_UNTIL(got_eof || got_reset);
    assert_int_equal(state(), CONN_CLOSED);
    assert_int_equal(released, 1);
    close(file);
    finish();
}

static void a_borrowed_body_is_released_once_when_sent(void **unused)
{
    (void)unused;
    begin();
    request = answer_large;
    say(GET("/"));
    TURN_UNTIL(ended == 1);
    turns(3);
    assert_int_equal(released, 0); // the client has not read
    HEAR_UNTIL(released == 1 && got_n > sizeof large);
    assert_memory_equal(strstr(got, "\r\n\r\n") + 4, large, 1000);
    finish();
}

static void a_borrowed_body_is_released_once_when_lost(void **unused)
{
    (void)unused;
    begin();
    request = answer_large;
    say(GET("/"));
    TURN_UNTIL(ended == 1);
    peer_resets();
    TURN_UNTIL(state() == CONN_CLOSED);
    assert_int_equal(released, 1);
    finish();
}

static void answer_small_borrowed(struct exchange *x)
{
    answer(x, (struct http_response){.status = 200,
                                     .body = BODY_BYTES,
                                     .bytes = STR("small"),
                                     .release = count_release,
                                     .release_arg = &released});
    assert_int_equal(released, lent); // copied
}

static void a_small_borrowed_body_is_copied(void **unused)
{
    (void)unused;
    begin();
    request = answer_small_borrowed;
    say(GET("/") GET("/"));
    HEAR_UNTIL(count("small") == 2);
    finish();
}

// --- timers ---

static void a_silent_client_is_closed_without_a_word(void **unused)
{
    (void)unused;
    begin_without_client();
    options.header_ms = 30;
    connect_client();
    HEAR_UNTIL(got_eof);
    assert_int_equal(got_n, 0);
    TURN_UNTIL(state() == CONN_CLOSED);
    finish();
}

static void a_head_that_does_not_end_is_a_408(void **unused)
{
    (void)unused;
    begin_without_client();
    options.header_ms = 100;
    connect_client();
    say("GET / HT");
    HEAR_UNTIL(got_eof);
    assert_ptr_equal(strstr(got, "HTTP/1.1 408 "), got);
    has("\r\nConnection: close\r\n");
    assert_int_equal(state(), CONN_LINGER);
    finish();
}

// Bytes that keep coming do not move the deadline.
static void a_head_that_trickles_is_a_408(void **unused)
{
    (void)unused;
    begin_without_client();
    options.header_ms = 100;
    connect_client();
    say("GET /");
    for (uint64_t until = now_ms() + SECONDS_MAX * 1000;
         now_ms() < until && state() != CONN_LINGER;) {
        send(peer, "x", 1, MSG_NOSIGNAL);
        wait_ms(2);
    }
    HEAR_UNTIL(got_eof);
    has("HTTP/1.1 408 ");
    finish();
}

static void the_next_head_has_a_deadline_of_its_own(void **unused)
{
    (void)unused;
    begin();
    say(GET("/a"));
    HEAR_UNTIL(ends_with("/a"));
    options.header_ms = 30;
    say("GET /b");
    HEAR_UNTIL(got_eof);
    has("HTTP/1.1 408 ");
    finish();
}

static void an_idle_connection_is_closed_without_a_word(void **unused)
{
    (void)unused;
    begin();
    options.idle_ms = 30;
    say(GET("/a"));
    HEAR_UNTIL(got_eof);
    assert_true(ends_with("/a"));
    assert_int_equal(count("HTTP/1.1"), 1);
    TURN_UNTIL(state() == CONN_CLOSED);
    finish();
}

static void a_body_that_stops_is_a_408(void **unused)
{
    (void)unused;
    begin();
    options.body_ms = 100;
    request = receive;
    say(POST("/", "10") "12345");
    HEAR_UNTIL(got_eof);
    assert_int_equal(body_status, 408);
    has("HTTP/1.1 408 ");
    has("\r\nConnection: close\r\n");
    assert_all_sent(true);
    finish();
}

static void a_handler_takes_the_time_it_wants(void **unused)
{
    (void)unused;
    begin_without_client();
    options.header_ms = 1000;
    connect_client();
    options.idle_ms = options.body_ms = options.send_ms = options.linger_ms = 10;
    options.header_ms = 10;
    request = hold;
    say(GET("/a"));
    TURN_UNTIL(held);
    wait_ms(1100);
    assert_int_equal(state(), CONN_HANDLE);
    options.idle_ms = 60000;
    answer_path(held);
    HEAR_UNTIL(ends_with("/a"));
    finish();
}

static void a_client_that_takes_nothing_is_cut(void **unused)
{
    (void)unused;
    static struct play endless[] = {{BODY_SOME, {large, 20000}}, {(enum body_pull) - 1, {NULL, 0}}};
    begin(); // while its source goes on
    options.send_ms = 30;
    source.list = endless;
    request = answer_source;
    say(GET("/"));
    TURN_UNTIL(state() == CONN_CLOSED);
    assert_int_equal(ended, 1);
    assert_all_sent(false);
    finish();
    begin(); // when all is queued and the connection idle
    options.send_ms = 30;
    request = answer_large;
    say(GET("/"));
    TURN_UNTIL(state() == CONN_CLOSED);
    finish();
    begin(); // when it is the last answer
    options.send_ms = 30;
    request = answer_large;
    say("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    TURN_UNTIL(state() == CONN_CLOSED);
    finish();
}

// The send timer is for progress, not for the whole.
static void a_client_that_reads_slowly_gets_it_all(void **unused)
{
    (void)unused;
    begin();
    options.send_ms = 300;
    request = answer_large;
    say("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    uint64_t start = now_ms();
    while (!got_eof && !got_reset && got_n < GOT_MAX - 20000) {
        ssize_t n = recv(peer, got + got_n, 8000, MSG_DONTWAIT);
        got_eof = n == 0;
        got_reset = n < 0 && errno == ECONNRESET;
        got_n += n > 0 ? (size_t)n : 0;
        wait_ms(10);
        assert_true(now_ms() < start + SECONDS_MAX * 1000);
    }
    assert_true(got_eof && got_n > sizeof large);
    assert_true(now_ms() - start > 300); // or the test says nothing
    finish();
}

static void lingering_ends(void **unused)
{
    (void)unused;
    begin(); // by its timer
    options.linger_ms = 30;
    say("nonsense\r\n\r\n");
    HEAR_UNTIL(got_eof);
    TURN_UNTIL(state() == CONN_CLOSED);
    finish();
    begin(); // by the client's FIN
    say("nonsense\r\n\r\n");
    HEAR_UNTIL(got_eof);
    assert_int_equal(state(), CONN_LINGER);
    peer_shuts();
    TURN_UNTIL(state() == CONN_CLOSED);
    finish();
    begin(); // by too many bytes
    say("nonsense\r\n\r\n");
    TURN_UNTIL(state() == CONN_LINGER);
    for (int i = 0; i < 100 && state() == CONN_LINGER; i++) {
        send(peer, large, 4096, MSG_NOSIGNAL);
        turns(1);
    }
    assert_int_equal(state(), CONN_CLOSED);
    finish();
}

// Input does not prolong it.
static void lingering_ends_though_bytes_trickle(void **unused)
{
    (void)unused;
    begin();
    options.linger_ms = 100;
    say("nonsense\r\n\r\n");
    TURN_UNTIL(state() == CONN_LINGER);
    for (uint64_t until = now_ms() + SECONDS_MAX * 1000;
         now_ms() < until && state() == CONN_LINGER;) {
        send(peer, "x", 1, MSG_NOSIGNAL);
        wait_ms(2);
    }
    assert_int_equal(state(), CONN_CLOSED);
    finish();
}

static void a_body_that_nobody_wants_has_a_deadline(void **unused)
{
    (void)unused;
    begin();
    options.body_ms = 30;
    say(POST("/a", "10") "12345");
    HEAR_UNTIL(got_eof);
    assert_true(ends_with("/a"));
    assert_all_sent(true);
    finish();
}

// --- clients that have said their last byte ---

static void a_half_closed_client_gets_an_answer_that_is_soon(void **unused)
{
    (void)unused;
    begin();
    say(GET("/1") GET("/2"));
    peer_shuts();
    HEAR_UNTIL(got_eof);
    assert_int_equal(count("HTTP/1.1 200"), 2);
    assert_all_sent(true);
    TURN_UNTIL(state() == CONN_CLOSED);
    finish();
    begin();
    request = hold;
    say(GET("/3") GET("/4"));
    peer_shuts();
    for (unsigned i = 1; i <= 2; i++) {
        TURN_UNTIL(held && begun == i);
        turns(3);
        answer_path(held);
        TURN_UNTIL(ended == i);
    }
    HEAR_UNTIL(got_eof);
    assert_true(ends_with("/4"));
    has("Connection: close"); // of the last
    assert_all_sent(true);
    finish();
}

static void a_half_closed_client_is_not_waited_for_long(void **unused)
{
    (void)unused;
    begin();
    request = hold;
    say(GET("/"));
    TURN_UNTIL(held);
    peer_shuts();
    HEAR_UNTIL(got_eof);
    assert_int_equal(got_n, 0);
    assert_int_equal(ended, 1);
    assert_all_sent(false);
    finish();
}

static void a_half_closed_client_gets_a_stream_to_its_end(void **unused)
{
    (void)unused;
    static const struct play waits[] = {{BODY_SOME, {"one", 3}},
                                        {BODY_LATER, {NULL, 0}},
                                        {BODY_SOME, {"two", 3}},
                                        {BODY_END, {NULL, 0}}};
    begin();
    source.list = waits;
    request = hold;
    say(GET("/"));
    peer_shuts();
    TURN_UNTIL(held && conn()->eof);
    answer_source(held);
    wait_ms(HALF_CLOSED_MS + 100);
    assert_int_equal(state(), CONN_ANSWER);
    source_goes_on();
    HEAR_UNTIL(got_eof);
    assert_true(ends_with("3\r\ntwo\r\n0\r\n\r\n"));
    assert_all_sent(true);
    finish();
}

static void a_client_that_stops_within_its_body_gets_a_400(void **unused)
{
    (void)unused;
    begin();
    request = receive;
    say(POST("/", "10") "12345");
    peer_shuts();
    HEAR_UNTIL(got_eof);
    assert_int_equal(body_status, 400);
    has("HTTP/1.1 400 ");
    assert_all_sent(true);
    finish();
}

// Found by reading: the stream had told of its end before the body was asked for.
static void a_body_asked_for_after_the_clients_end_is_a_400_at_once(void **unused)
{
    (void)unused;
    begin();
    request = hold;
    say(POST("/", "10"));
    TURN_UNTIL(held);
    peer_shuts();
    TURN_UNTIL(conn()->eof);
    assert_int_equal(exchange_receive(held, 10), 0);
    assert_int_equal(bodies, 0);
    HEAR_UNTIL(got_eof);
    assert_int_equal(body_status, 400);
    has("HTTP/1.1 400 ");
    finish();
}

static void a_client_that_stopped_within_its_body_is_not_waited_for_long(void **unused)
{
    (void)unused;
    begin();
    request = receive;
    body = hold_body;
    say(POST("/", "10") "12345");
    peer_shuts();
    TURN_UNTIL(bodies == 1);
    TURN_UNTIL(state() == CONN_CLOSED);
    assert_all_sent(false);
    finish();
}

// Answers that are queued are not lost by a FIN behind half a request, or half a body.
static void answers_go_out_though_the_client_stops_within_a_request(void **unused)
{
    (void)unused;
    static const char *const behind[] = {GET("/") "GET /ha", POST("/", "10") "123"};
    for (size_t i = 0; i < sizeof behind / sizeof *behind; i++) {
        begin();
        file = a_file(sizeof large);
        file_length = sizeof large - 10;
        request = i == 0 ? fill_16k : answer_file;
        if (i == 0) // until the socket is full, while the queue has room for more requests
            for (int n = 0; n < 1000 && stream_queued(conn()->stream) == 0; n++) {
                say(GET("/"));
                turns(1);
            }
        say(behind[i]);
        TURN_UNTIL(state() == (i == 0 ? CONN_HEAD : CONN_DISCARD));
        assert_true(stream_queued(conn()->stream) > 0);
        peer_shuts();
        HEAR_UNTIL(got_eof || got_reset);
        assert_true(got_eof);
        assert_true(i == 0 ? count("HTTP/1.1 200") == begun : got_n > sizeof large);
        assert_memory_equal(got + got_n - 100, i ? large + sizeof large - 100 : large, 100);
        close(file);
        finish();
    }
}

static void an_answer_goes_out_though_the_unwanted_body_stops(void **unused)
{
    (void)unused;
    begin();
    options.body_ms = 30;
    request = answer_large;
    say(POST("/", "10") "123");
    TURN_UNTIL(ended == 1);
    wait_ms(100);
    HEAR_UNTIL(got_eof || got_reset);
    assert_true(got_eof && got_n > sizeof large);
    finish();
}

// --- lost connections ---

// Brings a new connection into each state.
static const struct play one_then_wait[] = {{BODY_SOME, {"one", 3}}, {BODY_LATER, {NULL, 0}}};

static void reach(enum conn_state to)
{
    begin();
    switch (to) {
    case CONN_IDLE:
        say(GET("/"));
        HEAR_UNTIL(ended == 1 && ends_with("\r\n\r\n/"));
        break;
    case CONN_HEAD:
        say("GET / ");
        break;
    case CONN_HANDLE:
        request = hold;
        say(GET("/"));
        break;
    case CONN_BODY:
        request = receive;
        body = hold_body;
        say(POST("/", "10") "12345");
        break;
    case CONN_ANSWER:
        source.list = one_then_wait;
        request = answer_source;
        say(GET("/"));
        HEAR_UNTIL(ends_with("one\r\n"));
        break;
    case CONN_DISCARD:
        say(POST("/", "10") "12345");
        HEAR_UNTIL(ended == 1 && ends_with("\r\n\r\n/"));
        break;
    case CONN_LINGER:
        say("nonsense\r\n\r\n");
        HEAR_UNTIL(got_eof);
        break;
    default:
        break;
    }
    TURN_UNTIL(state() == (int)to);
    turns(2);
    assert_int_equal(state(), to);
}

static bool was_answered(enum conn_state s)
{
    return s == CONN_IDLE || s == CONN_DISCARD;
}

static void a_reset_ends_it_in_every_state(void **unused)
{
    (void)unused;
    for (enum conn_state s = CONN_IDLE; s < CONN_CLOSED; s++) {
        reach(s);
        unsigned was = ended;
        peer_resets();
        TURN_UNTIL(state() == CONN_CLOSED);
        assert_int_equal(bodies, 0);
        assert_int_equal(ended, begun);
        assert_true(was == ended || !was_answered(s));
        assert_all_sent(was_answered(s));
        finish();
    }
}

static void a_fin_ends_it_in_every_state(void **unused)
{
    (void)unused;
    for (enum conn_state s = CONN_IDLE; s < CONN_CLOSED; s++) {
        reach(s);
        peer_shuts();
        if (s == CONN_ANSWER) { // it may be listening still
            TURN_UNTIL(conn()->eof);
            assert_int_equal(state(), CONN_ANSWER);
        } else {
            TURN_UNTIL(state() == CONN_CLOSED);
            assert_int_equal(bodies, s == CONN_BODY);
            assert_int_equal(ended, begun);
            assert_all_sent(was_answered(s));
        }
        finish();
    }
}

static void the_server_may_close_in_every_state(void **unused)
{
    (void)unused;
    for (enum conn_state s = CONN_IDLE; s < CONN_CLOSED; s++) {
        reach(s);
        h1_close(conn());
        h1_close(conn()); // harmless twice
        HEAR_UNTIL(got_eof || got_reset);
        assert_int_equal(state(), CONN_CLOSED);
        assert_all_sent(was_answered(s));
        finish();
    }
}

// An answer that is handed over in the turn in which the connection breaks ends once, either way.
static void an_answer_may_cross_a_reset(void **unused)
{
    (void)unused;
    begin();
    request = hold;
    say(GET("/"));
    TURN_UNTIL(held);
    peer_resets();
    answer_large(held);
    TURN_UNTIL(state() == CONN_CLOSED);
    assert_int_equal(ended, 1);
    finish();
}

// --- draining ---

static void drain(void)
{
    env.draining = true;
    h1_drain(conn());
}

static void draining_ends_idle_connections_now(void **unused)
{
    (void)unused;
    reach(CONN_IDLE);
    drain();
    HEAR_UNTIL(got_eof);
    TURN_UNTIL(state() == CONN_CLOSED);
    finish();
    begin(); // no request yet
    drain();
    HEAR_UNTIL(got_eof);
    finish();
    begin(); // an answer is on its way
    request = answer_large;
    say(GET("/"));
    TURN_UNTIL(ended == 1);
    drain();
    assert_int_equal(state(), CONN_IDLE);
    HEAR_UNTIL(got_eof);
    assert_true(got_n > sizeof large);
    TURN_UNTIL(state() == CONN_CLOSED);
    finish();
}

static void draining_lets_a_request_end(void **unused)
{
    (void)unused;
    reach(CONN_HEAD);
    drain();
    say("HTTP/1.1\r\nHost: h\r\n\r\n");
    HEAR_UNTIL(got_eof);
    has("HTTP/1.1 200 ");
    has("\r\nConnection: close\r\n");
    finish();
    reach(CONN_HANDLE);
    drain();
    answer_path(held);
    HEAR_UNTIL(got_eof);
    has("\r\nConnection: close\r\n");
    finish();
    reach(CONN_BODY);
    drain();
    say("67890");
    TURN_UNTIL(bodies == 1);
    echo(held, 0);
    HEAR_UNTIL(got_eof);
    has("\r\nConnection: close\r\n");
    assert_true(ends_with("1234567890"));
    finish();
    reach(CONN_ANSWER);
    drain();
    turns(2);
    assert_int_equal(state(), CONN_ANSWER);
    source.list = two_pieces;
    source.at = 2;
    exchange_ready(held);
    HEAR_UNTIL(got_eof);
    assert_true(ends_with("0\r\n\r\n"));
    assert_all_sent(true);
    finish();
    reach(CONN_LINGER);
    drain();
    turns(2);
    assert_int_equal(state(), CONN_LINGER);
    peer_closes();
    TURN_UNTIL(state() == CONN_CLOSED);
    finish();
}

// It stayed open for as long as the client liked.
static void draining_ends_with_the_body_that_is_read_away(void **unused)
{
    (void)unused;
    reach(CONN_DISCARD);
    drain();
    say("67890");
    HEAR_UNTIL(got_eof);
    assert_all_sent(true);
    finish();
}

static void draining_stops_a_pipeline(void **unused)
{
    (void)unused;
    begin();
    request = hold;
    say(GET("/1") GET("/2"));
    TURN_UNTIL(held);
    drain();
    answer_path(held);
    HEAR_UNTIL(got_eof);
    assert_int_equal(begun, 1);
    has("\r\nConnection: close\r\n");
    finish();
}

// --- what was found wrong, and its neighbours ---

// A source that gave something at once and then waited was cut after timeouts.send, though nothing
// was left to be sent.
static void a_source_that_waits_is_not_cut_by_the_send_timer(void **unused)
{
    (void)unused;
    begin();
    options.send_ms = 30;
    source.list = one_then_wait;
    request = answer_source;
    say(GET("/"));
    HEAR_UNTIL(ends_with("one\r\n"));
    wait_ms(150);
    assert_int_equal(state(), CONN_ANSWER);
    assert_false(got_eof);
    finish();
}

// "Ready" was dropped when it was said from within the step that pulls.
static void a_source_may_be_ready_before_it_has_said_later(void **unused)
{
    (void)unused;
    static const struct play list[] = {
        {BODY_LATER, {NULL, 0}}, {BODY_SOME, {"x", 1}}, {BODY_END, {NULL, 0}}};
    begin();
    source.list = list;
    source.ready_in_pull = true;
    request = answer_source;
    say(GET("/"));
    HEAR_UNTIL(ends_with("1\r\nx\r\n0\r\n\r\n"));
    finish();
}

// A body that the end of the connection ends must not end in order when it is not whole.
static void a_failed_body_without_framing_ends_with_a_reset(void **unused)
{
    (void)unused;
    static const struct play fails[] = {
        {BODY_SOME, {"one", 3}}, {BODY_LATER, {NULL, 0}}, {BODY_FAILED, {NULL, 0}}};
    begin();
    source.list = fails;
    request = answer_source;
    say("GET / HTTP/1.0\r\n\r\n");
    HEAR_UNTIL(ends_with("\r\n\r\none"));
    source_goes_on();
    HEAR_UNTIL(got_eof || got_reset);
    assert_true(got_reset);
    finish();
}

// --- memory ---

static void use_up_the_arena(struct exchange *x)
{
    size_t n = 0;
    while (arena_alloc(&x->arena, 1000))
        n++;
    assert_true(n > 900);
    answer_path(x);
}

static void a_handler_may_use_up_its_arena(void **unused)
{
    (void)unused;
    begin();
    request = use_up_the_arena;
    for (int i = 0; i < 3; i++) { // and the next finds it empty again
        forget();
        say(GET("/full"));
        HEAR_UNTIL(ends_with("\r\n\r\n/full"));
    }
    finish();
}

static void the_largest_head_is_taken(void **unused)
{
    (void)unused;
    char head[4096 + 1];
    int n = snprintf(head, sizeof head, "GET /big HTTP/1.1\r\nHost: h\r\nX: ");
    memset(head + n, 'x', sizeof head - (size_t)n);
    memcpy(head + 4096 - 4, "\r\n\r\n", 5);
    begin();
    say(head);
    HEAR_UNTIL(ends_with("\r\n\r\n/big"));
    memmove(head + n + 1, head + n, 4096 - (size_t)n - 4); // one more
    say_bytes(str_of(head, 4096 - 4));
    say("x\r\n\r\n");
    HEAR_UNTIL(got_eof);
    has("HTTP/1.1 431 ");
    finish();
}

// Heads may be allowed that an arena cannot hold.
static void a_head_beyond_the_arena_is_a_503(void **unused)
{
    (void)unused;
    begin_without_client();
    options.head.head_bytes = 2 * 1024 * 1024;
    connect_client();
    char *value = malloc(1100 * 1024);
    memset(value, 'x', 1100 * 1024);
    value[1100 * 1024 - 1] = '\0';
    say("GET / HTTP/1.1\r\nHost: h\r\nX: ");
    for (size_t at = 0; value[at];) {
        ssize_t sent = send(peer, value + at, 1100 * 1024 - 1 - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        at += sent > 0 ? (size_t)sent : 0;
        turns(1);
    }
    free(value);
    say("\r\n\r\n");
    HEAR_UNTIL(got_eof);
    has("HTTP/1.1 503 ");
    assert_int_equal(begun, 0);
    finish();
}

// A conversation that touches most of what allocates.
static void converse(void)
{
    source.list = two_pieces;
    say("GET /parted HT");
    turns(1);
    say("TP/1.1\r\nHost: h\r\n\r\n");
    turns(2);
    request = receive;
    say(POST("/", "5") "hel");
    turns(1);
    say("lo");
    turns(2);
    request = answer_large;
    say(GET("/"));
    for (int i = 0; i < 30 && got_n < sizeof large; i++) {
        hear();
        turns(1);
    }
    request = answer_source;
    say(GET("/"));
    turns(3);
    request = hold;
    say(GET("/"));
    turns(2);
    if (held)
        answer_path(held);
    turns(2);
    hear();
}

// Wherever memory ends, every promise is kept: finish() sees to that.
static void memory_may_end_anywhere(void **unused)
{
    (void)unused;
    bool all = false;
    int most = 0;
    for (; !all && most < 200; most++) {
        begin_without_client();
        allocations_left = most;
        if (connect_client()) {
            converse();
            all = allocations_left > 0;
        } else {
            HEAR_UNTIL(got_eof); // the descriptor was closed
        }
        allocations_left = -1;
        finish();
    }
    assert_true(all);
    assert_true(most > 5);
}

// Memory that is out once, at one place, and there again.
static void a_request_without_memory_is_a_503(void **unused)
{
    (void)unused;
    begin();              // for the parser's state
    allocations_left = 1; // the stream's kept bytes come later
    allocations_left = 0;
    say("GET / HTTP");
    TURN_UNTIL(state() == CONN_LINGER || state() == CONN_CLOSED);
    allocations_left = -1;
    finish();
    begin();                                                         // for the exchange
    stream_write(conn()->stream, STR("HTTP/1.1 200 First\r\n\r\n")); // a block is there
    allocations_left = 0;
    say(GET("/"));
    TURN_UNTIL(state() == CONN_LINGER || state() == CONN_CLOSED);
    allocations_left = -1;
    HEAR_UNTIL(got_eof);
    assert_int_equal(begun, 0);
    finish();
}

int main(void)
{
    const struct log_options quiet = {.error = "off", .access = "/dev/null"};
    const char *failed;
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (char)('a' + i % 23);
    assert(log_open(&quiet, &failed) == 0);
    const struct CMUnitTest either_way[] = {
        cmocka_unit_test(a_request_is_answered),
        cmocka_unit_test(a_head_comes_in_parts),
        cmocka_unit_test(an_answer_may_come_later),
        cmocka_unit_test(the_handlers_fields_are_respected),
        cmocka_unit_test(many_fields_go_out_whole),
        cmocka_unit_test(a_pipeline_is_answered_in_order),
        cmocka_unit_test(late_answers_keep_the_order),
        cmocka_unit_test(a_body_is_received),
        cmocka_unit_test(a_chunked_body_is_received),
        cmocka_unit_test(a_body_may_be_asked_for_later),
        cmocka_unit_test(a_body_that_is_too_large_by_its_length_is_refused_at_once),
        cmocka_unit_test(a_body_that_goes_wrong_gets_its_status_and_the_end),
        cmocka_unit_test(a_body_without_room_for_its_file_is_a_500),
        cmocka_unit_test(continue_is_said_when_the_body_is_wanted),
        cmocka_unit_test(without_continue_the_answer_is_the_last),
        cmocka_unit_test(an_http_1_0_client_hears_no_continue),
        cmocka_unit_test(a_small_body_is_read_away),
        cmocka_unit_test(a_large_body_is_not_read_and_the_answer_says_so),
        cmocka_unit_test(a_chunked_body_is_read_away_up_to_a_limit),
        cmocka_unit_test(a_chunk_that_promises_too_much_is_not_waited_for),
        cmocka_unit_test(a_malformed_body_is_not_read_away),
        cmocka_unit_test(a_bad_request_gets_a_page_and_the_end),
        cmocka_unit_test(a_bad_head_request_gets_no_page),
        cmocka_unit_test(a_bad_request_behind_good_ones_is_answered_last),
        cmocka_unit_test(http_1_0_closes_unless_asked),
        cmocka_unit_test(a_client_may_ask_for_the_end),
        cmocka_unit_test(head_gets_the_head_alone),
        cmocka_unit_test(some_statuses_have_no_body),
        cmocka_unit_test(a_source_of_unknown_length_goes_out_in_chunks),
        cmocka_unit_test(a_source_of_known_length_goes_out_as_it_is),
        cmocka_unit_test(for_http_1_0_the_end_of_the_connection_ends_the_body),
        cmocka_unit_test(a_source_may_wait),
        cmocka_unit_test(a_source_that_breaks_its_word_cuts_the_connection),
        cmocka_unit_test(a_file_is_sent),
        cmocka_unit_test(an_empty_file_is_sent),
        cmocka_unit_test(a_file_that_shrank_cuts_the_connection),
        cmocka_unit_test(a_small_borrowed_body_is_copied),
        cmocka_unit_test(a_half_closed_client_gets_an_answer_that_is_soon),
        cmocka_unit_test(a_client_that_stops_within_its_body_gets_a_400),
        cmocka_unit_test(a_body_asked_for_after_the_clients_end_is_a_400_at_once),
        cmocka_unit_test(a_reset_ends_it_in_every_state),
        cmocka_unit_test(the_server_may_close_in_every_state),
        cmocka_unit_test(draining_ends_idle_connections_now),
        cmocka_unit_test(draining_lets_a_request_end),
        cmocka_unit_test(draining_ends_with_the_body_that_is_read_away),
        cmocka_unit_test(draining_stops_a_pipeline),
        cmocka_unit_test(a_handler_may_use_up_its_arena),
        cmocka_unit_test(the_largest_head_is_taken),
    };
    const struct CMUnitTest whole[] = {
        cmocka_unit_test(a_pipeline_of_one_read_goes_out_in_one_send),
        cmocka_unit_test(a_client_that_does_not_read_stops_its_pipeline),
        cmocka_unit_test(a_body_below_the_minimum_rate_is_a_408),
        cmocka_unit_test(an_endless_source_waits_for_its_client),
        cmocka_unit_test(a_borrowed_body_is_released_once_when_sent),
        cmocka_unit_test(a_borrowed_body_is_released_once_when_lost),
        cmocka_unit_test(a_silent_client_is_closed_without_a_word),
        cmocka_unit_test(a_head_that_does_not_end_is_a_408),
        cmocka_unit_test(a_head_that_trickles_is_a_408),
        cmocka_unit_test(the_next_head_has_a_deadline_of_its_own),
        cmocka_unit_test(an_idle_connection_is_closed_without_a_word),
        cmocka_unit_test(a_body_that_stops_is_a_408),
        cmocka_unit_test(a_handler_takes_the_time_it_wants),
        cmocka_unit_test(a_client_that_takes_nothing_is_cut),
        cmocka_unit_test(a_client_that_reads_slowly_gets_it_all),
        cmocka_unit_test(lingering_ends),
        cmocka_unit_test(lingering_ends_though_bytes_trickle),
        cmocka_unit_test(a_body_that_nobody_wants_has_a_deadline),
        cmocka_unit_test(a_half_closed_client_is_not_waited_for_long),
        cmocka_unit_test(a_half_closed_client_gets_a_stream_to_its_end),
        cmocka_unit_test(a_client_that_stopped_within_its_body_is_not_waited_for_long),
        cmocka_unit_test(answers_go_out_though_the_client_stops_within_a_request),
        cmocka_unit_test(an_answer_goes_out_though_the_unwanted_body_stops),
        cmocka_unit_test(a_fin_ends_it_in_every_state),
        cmocka_unit_test(an_answer_may_cross_a_reset),
        cmocka_unit_test(a_source_that_waits_is_not_cut_by_the_send_timer),
        cmocka_unit_test(a_source_may_be_ready_before_it_has_said_later),
        cmocka_unit_test(a_failed_body_without_framing_ends_with_a_reset),
        cmocka_unit_test(a_head_beyond_the_arena_is_a_503),
        cmocka_unit_test(memory_may_end_anywhere),
        cmocka_unit_test(a_request_without_memory_is_a_503),
    };
    int bad = cmocka_run_group_tests_name("whole", either_way, NULL, NULL);
    bytewise = true;
    bad += cmocka_run_group_tests_name("a byte at a time", either_way, NULL, NULL);
    bytewise = false;
    bad += cmocka_run_group_tests_name("whole only", whole, NULL, NULL);
    log_close();
    return bad;
}
