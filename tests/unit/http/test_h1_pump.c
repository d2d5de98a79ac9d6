// Pumping: how answers whose bodies are dear to make share the turns of the loop. The clock is the
// test's: only pulls take time.
#include "h1_test.h"

enum { CLIENTS = 8 };

static struct costly {
    struct body_source source; // first
    unsigned cost_us;          // what a pull takes
    size_t gives;              // bytes that it gives
    unsigned pulls, pulls_max; // it ends after so many; 0: never
    bool closed;
    int peer;
    struct h1_conn *conn;
} sources[CLIENTS];
static unsigned clients;

static enum body_pull costly_pull(struct body_source *s, struct str *out)
{
    struct costly *c = (struct costly *)s;
    assert_false(c->closed);
    pump_us += c->cost_us;
    *out = str_of(large, c->gives);
    c->pulls++;
    return c->pulls == c->pulls_max ? BODY_END : BODY_SOME;
}

static void costly_close(struct body_source *s)
{
    struct costly *c = (struct costly *)s;
    assert_false(c->closed);
    c->closed = true;
}

static const struct body_source_ops costly_ops = {costly_pull, costly_close, NULL};

// "/3" is answered by sources[3].
static void answer_costly(struct exchange *x)
{
    struct costly *c = &sources[x->request.path.p[1] - '0'];
    c->source.ops = &costly_ops;
    answer(x, (struct http_response){
                  .status = 200, .body = BODY_SOURCE, .source = &c->source, .length = -1});
}

static void begin_pumps(void)
{
    begin_without_client();
    memset(sources, 0, sizeof sources);
    clients = 0;
    pump_us = 1;
    request = answer_costly;
}

// One more client, which asks for a body; and the turns that its request takes to come.
static struct costly *costs(unsigned cost_us, size_t gives, unsigned pulls_max)
{
    struct costly *c = &sources[clients];
    char text[64];
    *c = (struct costly){.cost_us = cost_us, .gives = gives, .pulls_max = pulls_max};
    assert_true(connect_client());
    c->peer = peer;
    c->conn = conn();
    snprintf(text, sizeof text, "GET /%u HTTP/1.1\r\nHost: h\r\n\r\n", clients++);
    say(text);
    TURN_UNTIL(c->pulls > 0 || c->conn->pump_paused);
    return c;
}

static void end_pumps(void)
{
    for (unsigned i = 0; i < clients; i++)
        if (sources[i].peer != peer)
            close(sources[i].peer);
    finish();
    for (unsigned i = 0; i < clients; i++)
        assert_true(sources[i].closed);
    assert_null(env.pumps.first);
    pump_us = 0;
}

static bool nobody_waits(void)
{
    return !env.pumps.first && !env.pumps.last && !env.pumps.go_on.queued;
}

static void a_dear_body_takes_no_more_than_its_turn(void **unused)
{
    (void)unused;
    begin_pumps();
    struct costly *c = costs(300, 0, 0); // a coder may take much before it gives a byte
    for (int i = 0; i < 20; i++) {
        unsigned before = c->pulls;
        uint64_t since = pump_us;
        turns(1);
        assert_true(c->pulls > before); // nothing but the loop itself moves it on
        assert_true(pump_us - since <= PUMP_TURN_US + 300);
    }
    end_pumps();
}

static void a_pull_longer_than_a_turn_is_one_a_turn(void **unused)
{
    (void)unused;
    begin_pumps();
    struct costly *a = costs(10 * PUMP_TURN_US, 1, 0), *b = costs(10 * PUMP_TURN_US, 1, 0);
    unsigned before = a->pulls + b->pulls, of_a = a->pulls;
    turns(20);
    assert_int_equal(a->pulls + b->pulls, before + 20);
    assert_int_equal(a->pulls, of_a + 10);
    end_pumps();
}

static void dear_bodies_get_equal_shares(void **unused)
{
    (void)unused;
    begin_pumps();
    unsigned since[CLIENTS];
    for (unsigned i = 0; i < CLIENTS; i++)
        costs(i % 2 ? PUMP_SHARE_US : PUMP_SHARE_US / 4, 1, 0);
    for (unsigned i = 0; i < CLIENTS; i++)
        since[i] = sources[i].pulls * sources[i].cost_us;
    turns(40); // of which each has room for half of them
    for (unsigned i = 0; i < CLIENTS; i++) {
        unsigned us = sources[i].pulls * sources[i].cost_us - since[i];
        assert_in_range(us, 19 * PUMP_SHARE_US, 21 * PUMP_SHARE_US);
    }
    end_pumps();
}

static void a_cheap_body_is_not_kept_waiting(void **unused)
{
    (void)unused;
    begin_pumps();
    for (int i = 0; i < 7; i++)
        costs(PUMP_SHARE_US, 1, 0);
    uint64_t since = pump_us;
    struct costly *cheap = costs(10, 5, 4);
    TURN_UNTIL(cheap->closed);
    // Once behind those that were there, and with the turn in which it came.
    assert_true(pump_us - since <= 7 * PUMP_SHARE_US + 3 * PUMP_TURN_US);
    HEAR_UNTIL(ends_with("0\r\n\r\n"));
    assert_true(records[7].sent);
    end_pumps();
}

static void small_requests_do_not_wait_for_dear_bodies(void **unused)
{
    (void)unused;
    begin_pumps();
    for (int i = 0; i < 4; i++)
        costs(PUMP_SHARE_US, 1, 0);
    assert_true(connect_client());
    request = answer_path;
    uint64_t since = pump_us;
    say(GET("/small"));
    unsigned turns_taken = 0;
    for (; hear(), !ends_with("/small") && turns_taken < 1000; turns_taken++)
        turns(1);
    assert_true(ends_with("/small"));
    assert_true(pump_us - since <= (turns_taken + 1) * (PUMP_TURN_US + PUMP_SHARE_US));
    close(peer);
    peer = -1;
    end_pumps();
}

static void who_does_not_read_costs_no_turns(void **unused)
{
    (void)unused;
    begin_pumps();
    struct costly *c = costs(PUMP_SHARE_US, 8000, 0);
    unsigned pulls;
    uint64_t until = now_ms() + SECONDS_MAX * 1000;
    do {
        pulls = c->pulls;
        wait_ms(20);
    } while (c->pulls != pulls && now_ms() < until);
    assert_int_equal(c->pulls, pulls);
    assert_true(nobody_waits());
    assert_true(stream_queued(c->conn->stream) >= STREAM_LOW);
    HEAR_UNTIL(c->pulls > pulls + 20);
    end_pumps();
}

static void who_leaves_while_it_waits_is_forgotten(void **unused)
{
    (void)unused;
    for (int leaver = 0; leaver < 3; leaver++) {
        begin_pumps();
        for (int i = 0; i < 3; i++)
            costs(PUMP_TURN_US, 1, 0);
        assert_true(sources[leaver].conn->pump_paused);
        h1_close(sources[leaver].conn);
        unsigned before[3];
        for (int i = 0; i < 3; i++)
            before[i] = sources[i].pulls;
        turns(10);
        for (int i = 0; i < 3; i++)
            assert_int_equal(sources[i].pulls - before[i], i == leaver ? 0 : 5);
        for (struct h1_conn *c = env.connections; c; c = c->next)
            h1_close(c);
        assert_true(nobody_waits());
        end_pumps();
    }
}

static void a_body_that_ends_in_a_later_turn_leaves_a_connection(void **unused)
{
    (void)unused;
    begin_pumps();
    struct costly *c = costs(PUMP_SHARE_US, 2, 20);
    HEAR_UNTIL(ends_with("0\r\n\r\n"));
    assert_int_equal(c->pulls, 20);
    assert_true(nobody_waits());
    assert_int_equal(c->conn->state, CONN_IDLE);
    request = answer_path;
    say(GET("/next"));
    HEAR_UNTIL(ends_with("/next"));
    end_pumps();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dear_body_takes_no_more_than_its_turn),
        cmocka_unit_test(a_pull_longer_than_a_turn_is_one_a_turn),
        cmocka_unit_test(dear_bodies_get_equal_shares),
        cmocka_unit_test(a_cheap_body_is_not_kept_waiting),
        cmocka_unit_test(small_requests_do_not_wait_for_dear_bodies),
        cmocka_unit_test(who_does_not_read_costs_no_turns),
        cmocka_unit_test(who_leaves_while_it_waits_is_forgotten),
        cmocka_unit_test(a_body_that_ends_in_a_later_turn_leaves_a_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
