// Where a small body is written: behind its head, in one block of the stream's queue, up to the last
// byte that there is room for; and what becomes of one that has a byte more.
//
// Two answers are asked for in one go. The first leaves just so much of its block that the second,
// where its head and body are to be in one block, has to begin another: so it shows which it was.
#include "h1_test.h"

enum {
    FIT =
        STREAM_BLOCK - CORE_FIELDS_MAX, // a handler's fields and a body that is copied behind them
    HEAD_LEAST = 120,                   // bytes of a head without any of the handler's fields
    LINE = 64,                          // bytes of one of many fields
};

struct size {
    size_t fields, body;
    bool both; // are in one block
};

static const struct size sizes[] = {
    {0, COPY_MAX - 1, true},
    {0, COPY_MAX, true},
    {0, COPY_MAX + 1, false}, // a body of its own
    {2000, COPY_MAX, true},
    {2000, COPY_MAX + 1, false},
    {FIT - COPY_MAX - 1, COPY_MAX, true},
    {FIT - COPY_MAX, COPY_MAX, true}, // the last byte of the block
    {FIT - COPY_MAX + 1, COPY_MAX, false},
    {FIT - COPY_MAX + 1, COPY_MAX - 1, true},
    {COPY_MAX, FIT - COPY_MAX - 1, true},
    {COPY_MAX, FIT - COPY_MAX,
     true}, // the same with the most fields that are written with the rest
    {COPY_MAX, FIT - COPY_MAX + 1, false},
    {COPY_MAX, COPY_MAX + 1, false},
    {COPY_MAX + 1, 100, false}, // more of them
    {COPY_MAX + 1, COPY_MAX, false},
    {COPY_MAX + 1, COPY_MAX + 1, false},
    {FIELDS_MAX - LINE, COPY_MAX, false},
    {FIELDS_MAX - LINE, COPY_MAX + 1, false},
};
enum { SIZES = sizeof sizes / sizeof *sizes };

static struct size size; // of the second answer
static bool many;        // its fields are many small ones, not one
static bool lends;       // its body is lent
static int allowed;      // allocations that it may make, −1: any
static size_t first_n;   // bytes of the first one
static bool begins_anew; // the second one has begun another block
static unsigned released_at_once;

static const struct stream_queue *queue(void)
{
    return &conn()->stream->out;
}

// n bytes of lines, in one or in several.
static void add_fields(struct fields *f, size_t n)
{
    static char value[FIELDS_MAX];
    memset(value, 'v', sizeof value);
    while (n) {
        size_t line = many && n >= 2 * LINE ? LINE : n;
        assert_int_equal(fields_add(f, STR("X"), str_of(value, line - 5)), FIELDS_OK);
        n -= line;
    }
    assert_false(f->close);
}

static void answer_first(struct exchange *x)
{
    size_t all = size.fields + size.body + CORE_FIELDS_MAX;
    size_t leave = all < STREAM_BLOCK ? STREAM_BLOCK - all : 0;
    answer_text(x, 200, str_of(large, leave > HEAD_LEAST ? leave + 1 - HEAD_LEAST : 0));
    first_n = queue()->n;
    assert_ptr_equal(queue()->head, queue()->tail);
    assert_in_range(first_n, leave + 1, STREAM_BLOCK - CORE_FIELDS_MAX);
}

static void answer_second(struct exchange *x)
{
    struct fields f;
    fields_init(&f);
    add_fields(&f, size.fields);
    assert_int_equal(f.lines.n, size.fields);
    allocations_left = allowed;
    answer(x, (struct http_response){.status = 200,
                                     .fields = &f,
                                     .body = BODY_BYTES,
                                     .bytes = str_of(large, size.body),
                                     .release = lends ? count_release : NULL,
                                     .release_arg = &released});
    allocations_left = -1;
    released_at_once = released;
    begins_anew = queue()->head && queue()->head->n == first_n;
    fields_fini(&f);
}

static void answer_either(struct exchange *x)
{
    if (str_eq(x->request.path, STR("/first")))
        answer_first(x);
    else
        answer_second(x);
}

// Asks for both, the second one by that method.
static void ask(const char *second)
{
    char both[200];
    snprintf(both, sizeof both, GET("/first") "%s /second HTTP/1.1\r\nHost: h\r\n\r\n", second);
    begin();
    request = answer_either;
    say(both);
}

// The second answer, which begins behind the first one.
static const char *find_second(void)
{
    const char *at = got_n > first_n ? got + first_n : "";
    assert_memory_equal(at, "HTTP/1.1 200 OK\r\nDate: ", 23);
    return at;
}

static void expect_second(bool with_body)
{
    char length[64];
    const char *head = find_second(), *end = strstr(head, "\r\n\r\n");
    assert_non_null(end);
    snprintf(length, sizeof length, "\r\nContent-Length: %zu\r\n", size.body);
    const char *said = strstr(head, length);
    assert_true(said && said < end);
    const char *fields = strstr(head, "\r\nX: ");
    assert_int_equal(fields != NULL, size.fields > 0);
    if (fields)
        assert_ptr_equal(strstr(fields + size.fields, "\r\nX-Content-Type-Options: nosniff\r\n"),
                         fields + size.fields);
    assert_int_equal(got + got_n - (end + 4), with_body ? size.body : 0);
    if (with_body)
        assert_memory_equal(end + 4, large, size.body);
}

static bool has_come(size_t n)
{
    hear();
    const char *end = got_n > first_n ? strstr(got + first_n, "\r\n\r\n") : NULL;
    return end && (size_t)(got + got_n - end) >= 4 + n;
}

static void a_body_that_fits_is_written_behind_its_head(void **unused)
{
    (void)unused;
    allowed = -1;
    for (unsigned way = 0; way < SIZES * 4; way++) {
        size = sizes[way / 4];
        many = way & 1;
        lends = way & 2;
        ask("GET");
        TURN_UNTIL(begun == 2);
        if (begins_anew != size.both)
            fail_msg("%zu bytes of fields and %zu of the body %s one block", size.fields, size.body,
                     size.both ? "are not in" : "are in");
        TURN_UNTIL(has_come(size.body));
        turns(2);
        hear();
        expect_second(true);
        assert_all_sent(true);
        finish();
    }
}

// Up to COPY_MAX it is a copy, and given back at once; else when it has gone.
static void a_body_is_lent_where_it_is_no_copy(void **unused)
{
    (void)unused;
    allowed = -1;
    lends = true;
    for (unsigned i = 0; i < SIZES; i++) {
        size = sizes[i];
        begin();
        many = false;
        first_n = 0; // there is none
        request = answer_second;
        say(GET("/second"));
        TURN_UNTIL(has_come(size.body) && ended == 1);
        assert_int_equal(released_at_once, size.body <= COPY_MAX);
        assert_int_equal(released, 1);
        expect_second(true);
        finish();
    }
}

static void head_has_the_same_head_alone(void **unused)
{
    (void)unused;
    allowed = -1;
    for (unsigned way = 0; way < SIZES * 2; way++) {
        size = sizes[way / 2];
        many = false;
        lends = way & 1;
        ask("HEAD");
        TURN_UNTIL(begun == 2);
        assert_int_equal(released_at_once, lends);
        TURN_UNTIL(has_come(0));
        turns(2);
        hear();
        expect_second(false);
        finish();
    }
}

// finish looks whether what was lent was given back, once.
static void without_memory_the_connection_ends(void **unused)
{
    (void)unused;
    for (unsigned way = 0; way < SIZES * 2; way++) {
        size = sizes[way / 2];
        many = false;
        lends = way & 1;
        bool whole = false;
        for (allowed = 0; !whole && allowed < 20; allowed++) {
            ask("GET");
            TURN_UNTIL(ended == 2 && (state() == CONN_CLOSED || has_come(size.body)));
            whole = state() != CONN_CLOSED;
            if (whole)
                expect_second(true);
            finish();
        }
        assert_true(whole);
    }
    allowed = -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_that_fits_is_written_behind_its_head),
        cmocka_unit_test(a_body_is_lent_where_it_is_no_copy),
        cmocka_unit_test(head_has_the_same_head_alone),
        cmocka_unit_test(without_memory_the_connection_ends),
    };
    prepare();
    int bad = cmocka_run_group_tests(tests, NULL, NULL);
    log_close();
    return bad;
}
