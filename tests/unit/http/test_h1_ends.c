// How HTTP/1 connections end: timers, clients that have said their last byte, lost connections in
// every state, draining, and memory that is out.
#include "h1_test.h"

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

// Without a turn of the loop, also where the client is slow elsewhere.
static void say_unread(const char *text)
{
    assert_int_equal(send(peer, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void draining_answers_what_has_come_and_is_not_read(void **unused)
{
    (void)unused;
    reach(CONN_IDLE);
    unsigned before = begun;
    say_unread(GET("/"));
    drain();
    HEAR_UNTIL(got_eof || got_reset);
    assert_false(got_reset);
    assert_int_equal(begun, before + 1);
    has("\r\nConnection: close\r\n");
    finish();
    begin(); // behind an answer that is on its way
    request = answer_large;
    say(GET("/"));
    TURN_UNTIL(ended == 1);
    say_unread(GET("/"));
    drain();
    HEAR_UNTIL(got_eof || got_reset);
    assert_false(got_reset);
    assert_int_equal(begun, 2);
    assert_true(got_n > 2 * sizeof large);
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

// --- sources, and what was found wrong with them ---

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
    begin(); // for the parser's state
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
    const struct CMUnitTest either_way[] = {
        cmocka_unit_test(a_half_closed_client_gets_an_answer_that_is_soon),
        cmocka_unit_test(a_client_that_stops_within_its_body_gets_a_400),
        cmocka_unit_test(a_body_asked_for_after_the_clients_end_is_a_400_at_once),
        cmocka_unit_test(a_reset_ends_it_in_every_state),
        cmocka_unit_test(the_server_may_close_in_every_state),
        cmocka_unit_test(draining_ends_idle_connections_now),
        cmocka_unit_test(draining_answers_what_has_come_and_is_not_read),
        cmocka_unit_test(draining_lets_a_request_end),
        cmocka_unit_test(draining_ends_with_the_body_that_is_read_away),
        cmocka_unit_test(draining_stops_a_pipeline),
        cmocka_unit_test(a_handler_may_use_up_its_arena),
        cmocka_unit_test(the_largest_head_is_taken),
    };
    const struct CMUnitTest whole[] = {
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
    prepare();
    int bad = cmocka_run_group_tests_name("whole", either_way, NULL, NULL);
    bytewise = true;
    bad += cmocka_run_group_tests_name("a byte at a time", either_way, NULL, NULL);
    bytewise = false;
    bad += cmocka_run_group_tests_name("whole only", whole, NULL, NULL);
    log_close();
    return bad;
}
