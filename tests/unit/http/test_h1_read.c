// Bodies that are read piece by piece: exchange_read, on_data, on_body.
#include "h1_test.h"

static struct buf heard; // what on_data gave
static unsigned pieces;
static bool greedy;  // asks again from within on_data
static uint64_t max; // of exchange_read

static void keep_data(struct exchange *x, struct str bytes)
{
    assert_true(buf_add(&heard, bytes));
    pieces++;
    if (greedy)
        assert_int_equal(exchange_read(x, max), 0);
}

static void read_first(struct exchange *x)
{
    unsigned status = exchange_read(x, max);
    if (status)
        answer_text(x, status, STR("refused"));
}

// Says what was heard.
static void echo_heard(struct exchange *x, unsigned status)
{
    assert_int_equal(x->body.size, 0);
    answer_text(x, status ? status : 200, status ? STR("failed") : buf_str(&heard));
}

static void begin_reading(void)
{
    begin();
    buf_init(&heard, 4 << 20);
    pieces = 0;
    greedy = true;
    max = 1 << 20;
    request = read_first;
    data = keep_data;
    body = echo_heard;
}

// Half of a body has come, and the handler asks for the rest, or not yet.
static void begin_half_a_body(bool asks)
{
    begin_reading();
    greedy = asks;
    say(POST("/", "10") "hello");
    TURN_UNTIL(pieces == 1);
}

static void finish_reading(void)
{
    finish();
    buf_fini(&heard);
}

static void a_body_is_read_to_its_end(void **unused)
{
    (void)unused;
    for (int split = 0; split <= 1; split++) {
        begin_reading();
        bytewise = split;
        say(POST("/", "5") "hello" POST_CHUNKED("/") "3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: v\r\n\r\n");
        HEAR_UNTIL(ends_with("\r\n\r\nhelloabcde"));
        assert_true(pieces >= 3);
        assert_int_equal(bodies, 2);
        request = answer_path;
        say(GET("/next"));
        HEAR_UNTIL(ends_with("/next"));
        assert_all_sent(true);
        bytewise = false;
        finish_reading();
    }
}

static void nothing_comes_that_was_not_asked_for(void **unused)
{
    (void)unused;
    begin_reading();
    greedy = false;
    say(POST_CHUNKED("/") "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" GET("/next"));
    TURN_UNTIL(pieces == 1);
    turns(5);
    assert_int_equal(pieces, 1);
    assert_int_equal(heard.n, 3);
    assert_int_equal(state(), CONN_HANDLE);
    assert_int_equal(exchange_read(held, max), 0);
    TURN_UNTIL(pieces == 2);
    turns(5);
    assert_int_equal(bodies, 0);
    request = answer_path;
    assert_int_equal(exchange_read(held, max), 0);
    HEAR_UNTIL(ends_with("/next"));
    assert_int_equal(count("HTTP/1.1 200"), 2);
    has("\r\n\r\nabcde");
    finish_reading();
}

// The last bytes of a known length were read before their end is asked for.
static void the_end_of_a_known_length_is_told_when_asked(void **unused)
{
    (void)unused;
    begin_reading();
    greedy = false;
    say(POST("/", "5") "hello");
    TURN_UNTIL(pieces == 1);
    turns(5);
    assert_int_equal(bodies, 0);
    assert_int_equal(exchange_read(held, max), 0);
    assert_int_equal(bodies, 0); // never from within the call
    HEAR_UNTIL(ends_with("\r\n\r\nhello"));
    assert_int_equal(bodies, 1);
    lacks("Connection: close");
    finish_reading();
}

static void a_client_that_is_not_read_is_held_up(void **unused)
{
    (void)unused;
    begin_reading();
    greedy = false;
    max = 600 * 1024;
    say_bytes(STR(POST("/", "614400")));
    size_t sent = 0;
    for (int idle = 0; idle < 50 && sent < sizeof large; idle++) {
        ssize_t n = send(peer, large + sent, sizeof large - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            sent += (size_t)n;
            idle = 0;
        }
        turns(1);
    }
    // What nobody wants stays in the sockets, or with the client.
    size_t head = strlen(POST("/", "614400")), waiting = stream_waiting(conn()->stream).n;
    assert_true(head + heard.n + waiting < 64 * 1024);
    greedy = true;
    assert_int_equal(exchange_read(held, max), 0);
    while (sent < sizeof large) {
        ssize_t n = send(peer, large + sent, sizeof large - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        sent += n > 0 ? (size_t)n : 0;
        turns(1);
    }
    HEAR_UNTIL(bodies == 1 && ended == 1);
    assert_int_equal(heard.n, sizeof large);
    assert_memory_equal(heard.p, large, sizeof large);
    finish_reading();
}

static void limits_hold(void **unused)
{
    static const struct {
        const char *text;
        unsigned status;
        size_t heard;
    } cases[] = {
        {POST("/", "5") "hello", 413, 0}, // by the length alone
        {POST_CHUNKED("/") "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 413, 3},
        {POST_CHUNKED("/") "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n", 200, 4},
        {POST_CHUNKED("/") "ffffffff\r\nabc", 413, 3}, // a promise that cannot be kept
        {POST_CHUNKED("/") "3\r\nabcx", 400, 3},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin_reading();
        max = 4;
        char line[32];
        say(cases[i].text);
        snprintf(line, sizeof line, "HTTP/1.1 %u ", cases[i].status);
        HEAR_UNTIL(count(line) == 1);
        assert_int_equal(heard.n, cases[i].heard);
        if (cases[i].status != 200 && cases[i].heard)
            has("\r\nConnection: close\r\n");
        finish_reading();
    }
}

static void continue_is_said_at_the_first_read(void **unused)
{
    (void)unused;
    begin_reading();
    request = hold;
    say("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    TURN_UNTIL(held);
    turns(3);
    hear();
    assert_int_equal(got_n, 0);
    assert_int_equal(exchange_read(held, max), 0);
    HEAR_UNTIL(count("100 Continue") == 1);
    say("body");
    HEAR_UNTIL(ends_with("\r\n\r\nbody"));
    assert_int_equal(count("100 Continue"), 1);
    finish_reading();
}

static void answer_early(struct exchange *x, struct str bytes)
{
    assert_true(buf_add(&heard, bytes));
    answer_text(x, 200, STR("enough"));
}

// What is left of a short body is read away, so that the connection goes on.
static void an_answer_may_come_before_the_end(void **unused)
{
    (void)unused;
    begin_reading();
    data = answer_early;
    say(POST_CHUNKED("/") "3\r\nabc\r\n");
    HEAR_UNTIL(ends_with("enough"));
    assert_int_equal(state(), CONN_DISCARD);
    request = answer_path;
    say("2\r\nde\r\n0\r\n\r\n" GET("/next"));
    HEAR_UNTIL(ends_with("/next"));
    assert_int_equal(heard.n, 3);
    finish_reading();
}

static void an_end_within_the_body_is_a_400(void **unused)
{
    (void)unused;
    for (int waits = 0; waits <= 1; waits++) {
        begin_half_a_body(waits);
        peer_shuts();
        turns(5);
        if (!waits)
            assert_int_equal(exchange_read(held, max), 0);
        HEAR_UNTIL(got_eof);
        has("HTTP/1.1 400 ");
        assert_int_equal(body_status, 400);
        finish_reading();
    }
}

static void a_client_may_leave_at_any_time(void **unused)
{
    (void)unused;
    for (int waits = 0; waits <= 1; waits++) {
        begin_half_a_body(waits);
        peer_resets();
        TURN_UNTIL(ended == 1);
        assert_all_sent(false);
        finish_reading();
    }
}

// The time that the handler takes between two reads is not the client's.
static void only_the_wait_for_the_client_counts(void **unused)
{
    (void)unused;
    begin_reading();
    options.body_ms = 100;
    options.body_rate = 1000000;
    greedy = false;
    say(POST("/", "10") "hello");
    TURN_UNTIL(pieces == 1);
    wait_ms(250);
    say("12345");
    assert_int_equal(exchange_read(held, max), 0);
    TURN_UNTIL(pieces == 2);
    assert_int_equal(exchange_read(held, max), 0);
    HEAR_UNTIL(ends_with("hello12345"));
    finish_reading();

    begin_reading();
    options.body_ms = 100;
    say(POST("/", "10") "hello");
    HEAR_UNTIL(got_eof);
    has("HTTP/1.1 408 ");
    finish_reading();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_is_read_to_its_end),
        cmocka_unit_test(nothing_comes_that_was_not_asked_for),
        cmocka_unit_test(the_end_of_a_known_length_is_told_when_asked),
        cmocka_unit_test(a_client_that_is_not_read_is_held_up),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(continue_is_said_at_the_first_read),
        cmocka_unit_test(an_answer_may_come_before_the_end),
        cmocka_unit_test(an_end_within_the_body_is_a_400),
        cmocka_unit_test(a_client_may_leave_at_any_time),
        cmocka_unit_test(only_the_wait_for_the_client_counts),
    };
    prepare();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
