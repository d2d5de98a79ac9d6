// The line from the master to a worker.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/channel.h"

static int ends[2];

static int setup(void **state)
{
    (void)state;
    return channel_open(ends);
}

static int teardown(void **state)
{
    (void)state;
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static bool same_file(int a, int b)
{
    struct stat one, other;
    return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_ino == other.st_ino;
}

static void descriptors_arrive_in_their_places(void **state)
{
    (void)state;
    int a[2], b[2];
    struct channel_message got;
    assert_int_equal(pipe(a), 0);
    assert_int_equal(pipe(b), 0);
    const struct channel_message cases[] = {
        {CHANNEL_LOGS, 1, {-1, -1, -1, -1}, ""},
        {CHANNEL_LOGS, 2, {a[0], b[0], -1, -1}, "a"},
        {CHANNEL_LOGS, 3, {-1, b[1], -1, -1}, "two\nlines"},
        {CHANNEL_LOGS, 4, {a[1], -1, -1, b[0]}, ""},
        {CHANNEL_LOGS, 5, {a[0], a[1], b[0], b[1]}, "css/ö.css"},
    };
    enum { CASES = sizeof cases / sizeof *cases };
    for (int i = 0; i < CASES; i++)
        assert_int_equal(channel_send(ends[0], &cases[i]), 0);
    for (int i = 0; i < CASES; i++) {
        assert_int_equal(channel_receive(ends[1], &got), 1);
        assert_int_equal(got.kind, CHANNEL_LOGS);
        assert_int_equal(got.number, i + 1);
        assert_string_equal(got.text, cases[i].text);
        for (int k = 0; k < CHANNEL_FDS_MAX; k++) {
            assert_int_equal(got.fds[k] < 0, cases[i].fds[k] < 0);
            if (got.fds[k] < 0)
                continue;
            assert_true(same_file(got.fds[k], cases[i].fds[k]));
            assert_true(fcntl(got.fds[k], F_GETFD) & FD_CLOEXEC);
            close(got.fds[k]);
        }
    }
    assert_int_equal(channel_receive(ends[1], &got), 0);
    close(a[0]), close(a[1]), close(b[0]), close(b[1]);
}

static void a_text_is_cut_where_it_has_no_room(void **state)
{
    (void)state;
    struct channel_message m = {CHANNEL_SAVED, 1, {-1, -1, -1, -1}, ""}, got;
    memset(m.text, 'x', CHANNEL_TEXT);
    assert_int_equal(channel_send(ends[0], &m), 0);
    assert_int_equal(channel_receive(ends[1], &got), 1);
    assert_int_equal(strlen(got.text), CHANNEL_TEXT - 1);
    assert_int_equal(write(ends[0], "short", 5), 5);
    assert_int_equal(channel_receive(ends[1], &got), -EPROTO);
}

static void nobody_waits_for_a_worker_that_does_not_read(void **state)
{
    (void)state;
    const struct channel_message m = {CHANNEL_LOGS, 6, {-1, -1, -1, -1}, ""};
    struct channel_message got;
    int rc = 0, sent = 0, received = 0;
    while ((rc = channel_send(ends[0], &m)) == 0 && sent < 100000)
        sent++;
    assert_true(sent > 10);
    assert_int_equal(rc, -EAGAIN);
    while (channel_receive(ends[1], &got) == 1)
        received++;
    assert_int_equal(received, sent);
}

static void the_other_end_is_gone(void **state)
{
    (void)state;
    const struct channel_message m = {CHANNEL_LOGS, 7, {-1, -1, -1, -1}, ""};
    struct channel_message got;
    int other[2];
    assert_int_equal(channel_open(other), 0);
    close(other[0]);
    assert_int_equal(channel_receive(other[1], &got), -EPIPE);
    assert_int_equal(channel_send(other[1], &m), -EPIPE);
    close(other[1]);
}

// How many descriptors this process has.
static int descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void words_are_those_of_the_one_worker(void **state)
{
    (void)state;
    const char word[8] = "a word.", other[8] = "another";
    char got[8];
    int more[2];
    assert_int_equal(channel_open(more), 0);
    assert_int_equal(channel_hear(ends[0], got, sizeof got), 0);
    assert_int_equal(channel_say(ends[1], word, sizeof word), 0);
    assert_int_equal(channel_say(more[1], other, sizeof other), 0);
    assert_int_equal(channel_hear(more[0], got, sizeof got), 1);
    assert_string_equal(got, other);
    assert_int_equal(channel_hear(ends[0], got, sizeof got), 1);
    assert_string_equal(got, word);
    assert_int_equal(channel_hear(ends[0], got, sizeof got), 0);
    close(more[0]), close(more[1]);
}

static void words_of_another_length_are_told(void **state)
{
    (void)state;
    char word[16] = "too long", got[8];
    for (size_t n = 1; n < sizeof word; n++) {
        assert_int_equal(channel_say(ends[1], word, n), 0);
        assert_int_equal(channel_hear(ends[0], got, sizeof got), n == sizeof got ? 1 : -EPROTO);
    }
    close(ends[1]);
    assert_int_equal(channel_hear(ends[0], got, sizeof got), -EPIPE);
    ends[1] = dup(ends[0]); // for teardown
}

static void descriptors_with_words_are_dropped(void **state)
{
    (void)state;
    const struct channel_message m = {.kind = CHANNEL_LOGS, .fds = {0, 1, -1, -1}};
    char got[12];
    int before = descriptors();
    assert_int_equal(channel_send(ends[1], &m), 0);
    assert_int_not_equal(channel_hear(ends[0], got, sizeof got), 0);
    assert_int_equal(channel_hear(ends[0], got, sizeof got), 0);
    assert_int_equal(descriptors(), before);
}

static void a_worker_does_not_wait_for_a_master_that_hears_nothing(void **state)
{
    (void)state;
    char word[1024] = "";
    int rc, said = 0, heard = 0;
    while ((rc = channel_say(ends[1], word, sizeof word)) == 0 && said < 100000)
        said++;
    assert_int_equal(rc, -EAGAIN);
    while (channel_hear(ends[0], word, sizeof word) == 1)
        heard++;
    assert_true(said >= 8 && heard == said);
}

// From here on n more can be opened. The limit that there was.
static struct rlimit leave_room_for(int n)
{
    struct rlimit before, l;
    int highest = -1, free[CHANNEL_FDS_MAX + 1];
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (int i = 0; i <= n; i++)
        highest = free[i] = dup(ends[0]);
    for (int i = 0; i <= n; i++)
        close(free[i]);
    l = before;
    l.rlim_cur = (rlim_t)highest;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &l), 0);
    return before;
}

static void descriptors_without_room_are_lost_and_that_is_told(void **state)
{
    (void)state;
    const struct channel_message m = {CHANNEL_LOGS, 8, {ends[0], -1, ends[1], -1}, "text"};
    struct channel_message got;
    for (int room = 0; room <= 2; room++) {
        int before = descriptors();
        assert_int_equal(channel_send(ends[0], &m), 0);
        struct rlimit limit = leave_room_for(room);
        bool lost = room < 2;
        assert_int_equal(channel_receive(ends[1], &got), lost ? CHANNEL_LOST : 1);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_int_equal(got.kind, CHANNEL_LOGS);
        assert_int_equal(got.number, 8);
        assert_string_equal(got.text, "text");
        assert_int_equal(descriptors(), before + (lost ? 0 : 2));
        for (int k = 0; k < CHANNEL_FDS_MAX; k++) {
            assert_int_equal(got.fds[k] < 0, lost || m.fds[k] < 0);
            if (got.fds[k] >= 0)
                close(got.fds[k]);
        }
    }
}

static void spares_make_room_for_them(void **state)
{
    (void)state;
    const struct channel_message m = {CHANNEL_LOAD, 9, {ends[0], ends[0], ends[1], -1}, ""};
    const struct channel_message plain = {CHANNEL_COMMIT, 9, {-1, -1, -1, -1}, ""};
    struct channel_message got;
    struct channel_spares spares = CHANNEL_NO_SPARES;
    assert_true(channel_keep_spares(ends[1], &spares));
    struct rlimit limit = leave_room_for(0);
    channel_make_room(ends[1], &spares); // for nothing
    assert_true(spares.fds[0] >= 0 && spares.fds[CHANNEL_SPARES - 1] >= 0);
    assert_int_equal(channel_send(ends[0], &plain), 0);
    channel_make_room(ends[1], &spares);
    assert_true(spares.fds[0] >= 0 && spares.fds[CHANNEL_SPARES - 1] >= 0);
    assert_int_equal(channel_receive(ends[1], &got), 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(channel_send(ends[0], &m), 0);
        channel_make_room(ends[1], &spares);
        assert_int_equal(channel_receive(ends[1], &got), 1);
        assert_false(channel_keep_spares(ends[1], &spares));
        assert_true(same_file(got.fds[0], ends[0]) && same_file(got.fds[2], ends[1]));
        close(got.fds[0]), close(got.fds[1]), close(got.fds[2]);
        assert_true(channel_keep_spares(ends[1], &spares));
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    int before = descriptors();
    channel_close_spares(&spares);
    assert_int_equal(descriptors(), before - CHANNEL_SPARES);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(descriptors_arrive_in_their_places),
        TEST(a_text_is_cut_where_it_has_no_room),
        TEST(nobody_waits_for_a_worker_that_does_not_read),
        TEST(the_other_end_is_gone),
        TEST(words_are_those_of_the_one_worker),
        TEST(words_of_another_length_are_told),
        TEST(descriptors_with_words_are_dropped),
        TEST(a_worker_does_not_wait_for_a_master_that_hears_nothing),
        TEST(descriptors_without_room_are_lost_and_that_is_told),
        TEST(spares_make_room_for_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
