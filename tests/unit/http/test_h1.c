// HTTP/1 connections that go well, and requests that do not: what is answered, in which order and
// framing. How connections end is in test_h1_ends.c.
#include "h1_test.h"

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
    assert_ptr_equal(strstr(got, "HTTP/1.1 299 \r\nServer: lunette\r\nDate: today\r\n"), got);
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

// What a handler found within on_request, before it took what was there.
static struct {
    bool has, too_large, taken, again;
} seen;

static void take(struct exchange *x)
{
    seen.too_large = x->request.content_length && !exchange_has_body(x, 3);
    seen.has = exchange_has_body(x, 4);
    seen.taken = seen.has && exchange_take_body(x, 4);
    seen.again = exchange_has_body(x, 4);
    if (seen.taken)
        echo(x, 0);
    else
        hold(x);
}

static void a_body_is_taken_with_its_head(void **unused)
{
    (void)unused;
    begin();
    request = take;
    say(POST("/", "4") "body" POST("/", "4") "more" GET("/next"));
    HEAR_UNTIL(ends_with("\r\n\r\nmore") && held);
    has("\r\n\r\nbody");
    assert_int_equal(begun, 3);
    assert_false(seen.has); // of the last, which has none
    request = answer_path;
    answer_path(held);
    HEAR_UNTIL(ends_with("/next"));
    assert_int_equal(state(), CONN_IDLE);
    assert_int_equal(bodies, 0); // on_body never came
    assert_all_sent(true);
    finish();
}

static void a_body_that_is_not_there_is_not_taken(void **unused)
{
    (void)unused;
    static const struct {
        const char *head, *rest;
        bool too_large;
    } cases[] = {
        {POST("/", "4") "bod", "y", true},
        {POST("/", "4"), "body", true},
        {POST("/", "5") "bodie", "", true},
        {POST_CHUNKED("/") "4\r\nbody\r\n0\r\n\r\n", "", false},
        {"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody", "",
         true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin();
        request = take;
        say(cases[i].head);
        TURN_UNTIL(held);
        assert_false(seen.has);
        assert_int_equal(seen.too_large, cases[i].too_large);
        assert_false(exchange_has_body(held, 100)); // out of on_request
        say(cases[i].rest);
        assert_int_equal(exchange_receive(held, 5), 0);
        HEAR_UNTIL(bodies == 1 && (ends_with("\r\n\r\nbody") || ends_with("\r\n\r\nbodie")));
        assert_int_equal(body_status, 0);
        finish();
    }
}

static void a_body_that_was_taken_is_not_there_again(void **unused)
{
    (void)unused;
    begin();
    request = take;
    say(POST("/", "4") "body");
    HEAR_UNTIL(ends_with("\r\n\r\nbody"));
    assert_true(seen.has && seen.taken && seen.too_large);
    assert_false(seen.again);
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

static unsigned bodiless_status;

static void answer_no_content(struct exchange *x)
{
    struct http_response r = {.status = bodiless_status, .default_type = STR("text/x")};
    answer(x, r);
}

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

static void trailers_go_to_clients_that_ask(void **unused)
{
    (void)unused;
    struct fields trailers;
    fields_init(&trailers);
    assert_int_equal(fields_add(&trailers, STR("X-Sum"), STR("7")), FIELDS_OK);
    assert_int_equal(fields_add(&trailers, STR("Server-Timing"), STR("db;dur=5")), FIELDS_OK);
    begin();
    source.list = two_pieces;
    source.trailers = &trailers;
    request = answer_source;
    say(GET("/"));
    HEAR_UNTIL(ends_with("two!\r\n0\r\n\r\n"));
    forget();
    say("GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n");
    HEAR_UNTIL(ends_with("two!\r\n0\r\nX-Sum: 7\r\nServer-Timing: db;dur=5\r\n\r\n"));
    source.trailers = NULL;
    forget();
    say("GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n");
    HEAR_UNTIL(ends_with("two!\r\n0\r\n\r\n"));
    source.trailers = &trailers;
    forget();
    say("GET / HTTP/1.0\r\nTE: trailers\r\n\r\n");
    HEAR_UNTIL(got_eof);
    assert_true(ends_with("\r\n\r\nonetwo!"));
    finish();
    source.trailers = NULL;
    fields_fini(&trailers);
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
    unsigned pulls;
    uint64_t until = now_ms() + SECONDS_MAX * 1000;
    do { // the kernel moves some more to the client's side in its own time
        pulls = source.pulls;
        turns(10);
    } while (source.pulls != pulls && now_ms() < until);
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

int main(void)
{
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
        cmocka_unit_test(a_body_that_is_not_there_is_not_taken),
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
        cmocka_unit_test(trailers_go_to_clients_that_ask),
        cmocka_unit_test(a_source_of_known_length_goes_out_as_it_is),
        cmocka_unit_test(for_http_1_0_the_end_of_the_connection_ends_the_body),
        cmocka_unit_test(a_source_may_wait),
        cmocka_unit_test(a_source_that_breaks_its_word_cuts_the_connection),
        cmocka_unit_test(a_file_is_sent),
        cmocka_unit_test(an_empty_file_is_sent),
        cmocka_unit_test(a_file_that_shrank_cuts_the_connection),
        cmocka_unit_test(a_small_borrowed_body_is_copied),
    };
    const struct CMUnitTest whole[] = {
        cmocka_unit_test(a_pipeline_of_one_read_goes_out_in_one_send),
        cmocka_unit_test(a_body_that_was_taken_is_not_there_again),
        cmocka_unit_test(a_body_is_taken_with_its_head),
        cmocka_unit_test(a_client_that_does_not_read_stops_its_pipeline),
        cmocka_unit_test(a_body_below_the_minimum_rate_is_a_408),
        cmocka_unit_test(an_endless_source_waits_for_its_client),
        cmocka_unit_test(a_borrowed_body_is_released_once_when_sent),
        cmocka_unit_test(a_borrowed_body_is_released_once_when_lost),
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
