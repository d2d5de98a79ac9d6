// The server of a worker: accepting within its limits, and ending as drain, stop timeout and free
// promise. Clients are ordinary sockets; what a connection does is in test_h1.c.
#include "http/server.h"

#include "base/log.h"
#include "http/tally.h"
#include "net/listener.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

enum { CLIENTS_MAX = 8, SECONDS_MAX = 20 };

static struct loop *loop;
static struct places places;
static struct server *server;
static struct server_options options;
static int listening;
static struct addr where;
static int clients[CLIENTS_MAX];
static unsigned client_count;

// --- the handler: answers, or holds ---

static bool holds;
static struct exchange *held;
static unsigned begun, ended, sent;

static void answer(struct exchange *x)
{
    exchange_respond(
        x, &(struct http_response){.status = 200, .body = BODY_BYTES, .bytes = STR("hello")});
}

static void on_request(void *self, struct exchange *x)
{
    (void)self;
    begun++;
    if (holds)
        held = x;
    else
        answer(x);
}

static void on_body(void *self, struct exchange *x, unsigned status, const char *why)
{
    (void)self, (void)x, (void)status, (void)why;
    fail();
}

static void on_end(void *self, struct exchange *x, bool whole)
{
    (void)self, (void)x;
    ended++;
    sent += whole;
    held = NULL;
}

static const struct http_handler handler = {
    .on_request = on_request, .on_body = on_body, .on_end = on_end};

// --- beginning and end ---

static uint64_t now_ms(void)
{
    loop_update_time(loop);
    return loop_now(loop);
}

#define TURN_UNTIL(condition)                             \
    do {                                                  \
        uint64_t give_up = now_ms() + SECONDS_MAX * 1000; \
        while (!(condition) && now_ms() < give_up)        \
            assert_int_equal(loop_turn(loop, 2), 0);      \
        assert_true(condition);                           \
    } while (0)

static void begin(unsigned workers, uint32_t total, uint32_t per_ip)
{
    const char *why;
    options = (struct server_options){
        .head = {.head_bytes = 4096, .uri_bytes = 2048, .fields = 50},
        .spool = {.folder = "/tmp", .memory = 64 * 1024},
        .linger_bytes = 100 * 1024,
        .header_ms = 60000,
        .body_ms = 60000,
        .idle_ms = 60000,
        .send_ms = 60000,
        .linger_ms = 60000,
        .stop_ms = 60000,
    };
    holds = false;
    held = NULL;
    begun = ended = sent = client_count = 0;
    signal(SIGPIPE, SIG_IGN);
    loop = loop_new();
    assert_int_equal(places_init(&places, workers, total, per_ip), 0);
    server = server_new(loop, &options, &places, 0, &handler, NULL);
    assert_non_null(server);
    assert_int_equal(addr_parse(STR("127.0.0.1:0"), &where, &why), 0);
    listening = listener_open(&where, 16);
    assert_true(listening >= 0);
    assert_int_equal(getsockname(listening, &where.sa, &where.len), 0);
    assert_int_equal(server_listen(server, listening), 0);
}

static void finish(void)
{
    server_free(server);
    assert_int_equal(ended, begun);
    assert_int_equal(places.open[0], 0);
    while (client_count)
        close(clients[--client_count]);
    places_fini(&places);
    close(listening);
    loop_free(loop);
}

static int connect_client(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, &where.sa, where.len), 0);
    return clients[client_count++] = fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

// What the server says until it has said end, or closes. Valid until the next call.
static const char *hear(int fd, const char *end)
{
    static char text[4096];
    size_t n = 0;
    uint64_t give_up = now_ms() + SECONDS_MAX * 1000;
    text[0] = '\0';
    while (now_ms() < give_up && !(end && strstr(text, end))) {
        ssize_t got = recv(fd, text + n, sizeof text - 1 - n, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno == ECONNRESET))
            return text;
        n += got > 0 ? (size_t)got : 0;
        text[n] = '\0';
        loop_turn(loop, 2);
    }
    if (!end || !strstr(text, end))
        fail_msg("no %s in\n%s", end ? end : "end", text);
    return text;
}

#define GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

// --- accepting ---

static void several_clients_are_served(void **state)
{
    (void)state;
    begin(1, 10, 0);
    int a = connect_client(), b = connect_client();
    TURN_UNTIL(places.open[0] == 2);
    assert_int_equal(places.open[0], 2);
    say(b, GET);
    hear(b, "hello");
    say(a, GET);
    hear(a, "hello");
    say(b, GET);
    hear(b, "hello");
    shutdown(a, SHUT_WR);
    TURN_UNTIL(places.open[0] == 1);
    assert_int_equal(places.open[0], 1);
    assert_int_equal(sent, 3);
    finish();
}

static void a_socket_that_is_connected_already_is_served(void **state)
{
    struct addr peer = {.len = sizeof peer.v4};
    int pair[2];
    char got[64] = "";
    (void)state;
    peer.v4.sin_family = AF_INET;
    begin(1, 1, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    clients[client_count++] = pair[0];
    server_adopt(server, pair[1], &peer);
    assert_int_equal(places.open[0], 1);
    say(pair[0], GET);
    TURN_UNTIL(sent == 1);
    assert_true(recv(pair[0], got, sizeof got - 1, 0) > 0);
    assert_memory_equal(got, "HTTP/1.1 200", 12);
    finish();
}

static void a_client_too_many_is_told_to_come_again(void **state)
{
    (void)state;
    begin(1, 1, 0);
    int a = connect_client();
    TURN_UNTIL(places.open[0] == 1);
    int b = connect_client();
    const char *text = hear(b, NULL);
    assert_ptr_equal(strstr(text, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: "), text);
    assert_non_null(strstr(text, "\r\nConnection: close\r\n"));
    assert_int_equal(places.open[0], 1);
    shutdown(a, SHUT_WR); // its place is free again
    TURN_UNTIL(places.open[0] == 0);
    int c = connect_client();
    say(c, GET);
    hear(c, "hello");
    finish();
}

static void an_address_too_often_is_told_so(void **state)
{
    (void)state;
    begin(1, 10, 1);
    connect_client();
    TURN_UNTIL(places.open[0] == 1);
    const char *text = hear(connect_client(), NULL);
    assert_ptr_equal(strstr(text, "HTTP/1.1 429 "), text);
    assert_int_equal(places.open[0], 1);
    finish();
}

static void the_other_worker_is_woken_when_it_has_less_to_do(void **state)
{
    (void)state;
    eventfd_t woken = 0;
    begin(2, 100, 0);
    for (int i = 0; i < 4; i++) // the last ones only after the other has not come
        connect_client();
    TURN_UNTIL(places.open[0] == 4);
    assert_int_equal(eventfd_read(places.wake[1], &woken), 0);
    assert_true(woken >= 1);
    finish();
}

static void a_worker_that_is_woken_accepts(void **state)
{
    (void)state;
    begin(2, 100, 0);
    places.open[1] = 50; // the other one has plenty
    connect_client();
    eventfd_write(places.wake[0], 1);
    TURN_UNTIL(places.open[0] == 1);
    eventfd_t count;
    assert_int_equal(eventfd_read(places.wake[0], &count), -1); // it was taken back
    finish();
}

static void listeners_have_a_limit(void **state)
{
    (void)state;
    begin(1, 10, 0);
    int fds[64], n = 0, rc = 0;
    while (n < 64 && rc == 0) { // with begin's own, the last is one too many
        struct addr a;
        const char *why;
        assert_int_equal(addr_parse(STR("127.0.0.1:0"), &a, &why), 0);
        fds[n] = listener_open(&a, 1);
        rc = server_listen(server, fds[n++]);
    }
    assert_int_equal(n, 64);
    assert_int_equal(rc, -ENOBUFS);
    finish();
    while (n) // not before the server is gone
        close(fds[--n]);
}

// --- ending ---

static void run(void)
{
    uint64_t start = now_ms();
    assert_int_equal(loop_run(loop), 0);
    assert_true(now_ms() < start + SECONDS_MAX * 1000);
}

static void draining_without_connections_stops_at_once(void **state)
{
    (void)state;
    begin(1, 10, 0);
    server_drain(server);
    server_drain(server); // harmless twice
    run();
    finish();
}

static void draining_ends_idle_connections_and_accepts_no_more(void **state)
{
    (void)state;
    begin(1, 10, 0);
    int fresh = connect_client(), idle = connect_client();
    TURN_UNTIL(places.open[0] == 2);
    say(idle, GET);
    hear(idle, "hello");
    server_drain(server);
    connect_client(); // the kernel takes it, we do not
    run();
    assert_int_equal(places.open[0], 0);
    char byte;
    assert_int_equal(recv(fresh, &byte, 1, MSG_DONTWAIT), 0);
    assert_int_equal(recv(idle, &byte, 1, MSG_DONTWAIT), 0);
    eventfd_write(places.wake[0], 1); // nor when another worker asks
    assert_int_equal(loop_turn(loop, 2), 0);
    assert_int_equal(loop_turn(loop, 2), 0);
    assert_int_equal(places.open[0], 0);
    finish();
}

static void answer_from_timer(struct timeout *t)
{
    (void)t;
    answer(held);
}

static void draining_waits_for_the_answer_under_way(void **state)
{
    (void)state;
    struct timeout soon;
    begin(1, 10, 0);
    holds = true;
    options.linger_ms = 30; // the client closes only after the run
    int a = connect_client();
    say(a, GET);
    TURN_UNTIL(held);
    server_drain(server);
    timeout_init(&soon, answer_from_timer);
    timeout_set(loop, &soon, 30);
    run();
    const char *text = hear(a, "hello");
    assert_non_null(strstr(text, "\r\nConnection: close\r\n"));
    assert_int_equal(sent, 1);
    finish();
}

static void draining_has_an_end(void **state)
{
    (void)state;
    begin(1, 10, 0);
    holds = true;
    options.stop_ms = 30;
    int a = connect_client();
    say(a, GET);
    TURN_UNTIL(held);
    server_drain(server);
    run();
    assert_int_equal(ended, 1);
    assert_int_equal(sent, 0);
    assert_string_equal(hear(a, NULL), "");
    finish();
}

// Answers with status 503 that were counted, in the words of the metrics.
static void expect_503s(const struct tally_board *board, const char *method, const char *count)
{
    struct buf text;
    char line[200];
    buf_init(&text, 1 << 20);
    assert_true(tally_text(board, &text) && buf_addc(&text, '\0'));
    snprintf(line, sizeof line, "{route=\"(none)\",method=\"%s\",status=\"503\"} %s\n", method,
             count);
    if (!strstr(text.p, line))
        fail_msg("no %s in\n%s", line, text.p);
    buf_fini(&text);
}

static void what_is_cut_is_counted(void **state)
{
    (void)state;
    begin(1, 10, 0);
    struct tally_board *board = tally_new(1);
    options.tally = tally_of(board, 0);
    holds = true;
    connect_client(); // says nothing, and is no request
    say(connect_client(), "GET / HT");
    say(connect_client(), GET);
    TURN_UNTIL(held && places.open[0] == 3);
    options.stop_ms = 30;
    server_drain(server);
    run();
    expect_503s(board, "GET", "1");
    expect_503s(board, "other", "1");
    finish();
    expect_503s(board, "GET", "1");
    tally_free(board);
}

static void leaving_gives_idle_connections_one_more_request(void **state)
{
    (void)state;
    begin(1, 10, 0);
    options.stays_open = true; // of a stop, not of this
    int busy = connect_client(), idle = connect_client();
    TURN_UNTIL(places.open[0] == 2);
    say(idle, GET);
    assert_null(strstr(hear(idle, "hello"), "Connection: close"));
    server_leave(server, 300);
    server_leave(server, 300); // harmless twice
    assert_int_equal(places.open[0], 2);
    say(busy, GET);
    assert_non_null(strstr(hear(busy, "hello"), "\r\nConnection: close\r\n"));
    close(busy);
    int late = connect_client(); // the successor's
    say(late, GET);
    run(); // until the patience with idle is over
    char byte;
    assert_int_equal(recv(idle, &byte, 1, MSG_DONTWAIT), 0);
    assert_int_equal(recv(late, &byte, 1, MSG_DONTWAIT), -1);
    finish();
}

static void a_stop_has_no_patience_left(void **state)
{
    (void)state;
    begin(1, 10, 0);
    int idle = connect_client();
    TURN_UNTIL(places.open[0] == 1);
    server_leave(server, 60000);
    assert_int_equal(loop_turn(loop, 2), 0);
    assert_int_equal(places.open[0], 1);
    server_drain(server);
    run();
    char byte;
    assert_int_equal(recv(idle, &byte, 1, MSG_DONTWAIT), 0);
    finish();
}

static void a_server_may_go_with_connections_open(void **state)
{
    (void)state;
    begin(1, 10, 0);
    holds = true;
    connect_client();
    int a = connect_client(), b = connect_client();
    say(a, GET);
    say(b, "GET / HT");
    TURN_UNTIL(held && places.open[0] == 3);
    finish();
    assert_int_equal(ended, 1);
    assert_int_equal(sent, 0);
}

static void a_server_that_cannot_be_made_leaves_nothing(void **state)
{
    (void)state;
    begin(1, 10, 0);
    int wake = places.wake[0];
    places.wake[0] = listening; // in the loop already: it cannot be watched twice
    assert_null(server_new(loop, &options, &places, 0, &handler, NULL));
    places.wake[0] = wake;
    finish();
}

static void drain_it(struct watch *w, uint32_t events)
{
    (void)events;
    loop_del(loop, w);
    server_drain(server);
}

// Its last turn calls whoever else is ready, as a signal is that comes while a worker ends.
static void draining_within_its_end_finds_no_listener(void **state)
{
    (void)state;
    struct watch told = {.fd = -1};
    int fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    begin(1, 10, 10);
    assert_true(fd >= 0);
    assert_int_equal(loop_add(loop, &told, fd, EPOLLIN, drain_it), 0);
    finish();
    assert_int_equal(told.fd, -1);
    close(fd);
}

int main(void)
{
    const struct log_options quiet = {.error = "off", .access = "off"};
    const char *failed;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_clients_are_served),
        cmocka_unit_test(a_socket_that_is_connected_already_is_served),
        cmocka_unit_test(a_client_too_many_is_told_to_come_again),
        cmocka_unit_test(an_address_too_often_is_told_so),
        cmocka_unit_test(the_other_worker_is_woken_when_it_has_less_to_do),
        cmocka_unit_test(a_worker_that_is_woken_accepts),
        cmocka_unit_test(listeners_have_a_limit),
        cmocka_unit_test(draining_without_connections_stops_at_once),
        cmocka_unit_test(draining_ends_idle_connections_and_accepts_no_more),
        cmocka_unit_test(draining_waits_for_the_answer_under_way),
        cmocka_unit_test(leaving_gives_idle_connections_one_more_request),
        cmocka_unit_test(a_stop_has_no_patience_left),
        cmocka_unit_test(draining_has_an_end),
        cmocka_unit_test(what_is_cut_is_counted),
        cmocka_unit_test(a_server_may_go_with_connections_open),
        cmocka_unit_test(draining_within_its_end_finds_no_listener),
        cmocka_unit_test(a_server_that_cannot_be_made_leaves_nothing),
    };
    if (log_open(&quiet, &failed) < 0)
        return 1;
    int bad = cmocka_run_group_tests(tests, NULL, NULL);
    log_close();
    return bad;
}
