// Streams over socket pairs and loopback TCP. The module is compiled into this file, so that its
// allocations can fail and its system calls be counted.
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int allocations_left = -1; // -1: no end
static unsigned reads, sends, epoll_ctls;

static bool may_allocate(void)
{
    if (allocations_left == 0)
        return false;
    if (allocations_left > 0)
        allocations_left--;
    return true;
}

static void *test_stream_malloc(size_t n)
{
    return may_allocate() ? malloc(n) : NULL;
}

static void *test_stream_calloc(size_t count, size_t n)
{
    return may_allocate() ? calloc(count, n) : NULL;
}

static void *test_stream_realloc(void *p, size_t n)
{
    return may_allocate() ? realloc(p, n) : NULL;
}

#define malloc test_stream_malloc
#define calloc test_stream_calloc
#define realloc test_stream_realloc
#define recv(...) (reads++, recv(__VA_ARGS__))
#define readv(...) (reads++, readv(__VA_ARGS__))
#define send(...) (sends++, send(__VA_ARGS__))
#define sendmsg(fd, ...) (sends++, sendmsg(fd, __VA_ARGS__))
#define sendfile(...) (sends++, sendfile(__VA_ARGS__))
#include "../../../src/net/stream.c"
#include "../../../src/net/stream_in.c"
#include "../../../src/net/stream_out.c"
#include "../../../src/net/stream_queue.c"
#include "../../../src/net/stream_watch.c"
#undef malloc
#undef calloc
#undef realloc
#undef recv
#undef readv
#undef send
#undef sendmsg
#undef sendfile

#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>

#include <cmocka.h> // its macros would change the module

// Found before libc's: the loop's calls are counted too.
int epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
    epoll_ctls++;
    return (int)syscall(SYS_epoll_ctl, epfd, op, fd, ev);
}

enum { BIG = 4 * 1024 * 1024, TURNS_MAX = 20000 };

// The owner under test: records what it is told, and does in on_input what the test asked for.
struct owner {
    struct stream *s;
    char *got; // BIG bytes
    size_t got_n;
    size_t least; // on_input takes nothing before that many bytes are there
    size_t most;  // and never more than that at once
    size_t shown; // bytes of the last on_input
    unsigned inputs, fins, eofs, drains, brokens, closeds;
    int error;
    uint64_t queued_at_drain;
    bool close_in_input, pause_in_input, resume_in_input, close_in_broken, refill_in_drain;
    struct str answer; // written and flushed in on_input
};

static struct loop *loop;
static struct stream_pool *pool;
static struct owner own;
static int peer; // the other end

static size_t on_input(void *owner, struct str in)
{
    struct owner *o = owner;
    assert_true(in.n > 0);
    assert_int_equal(o->closeds, 0);
    o->inputs++;
    o->shown = in.n;
    if (o->pause_in_input)
        stream_pause(o->s);
    if (o->resume_in_input)
        stream_resume(o->s);
    if (o->answer.n) {
        stream_write(o->s, o->answer);
        stream_flush(o->s);
    }
    if (o->close_in_input) {
        stream_close(o->s);
        return 12345678;
    }
    if (in.n < o->least)
        return 0;
    size_t n = o->most && in.n > o->most ? o->most : in.n;
    assert_true(o->got_n + n <= BIG);
    memcpy(o->got + o->got_n, in.p, n);
    o->got_n += n;
    return n;
}

static void on_fin(void *owner)
{
    struct owner *o = owner;
    assert_int_equal(o->eofs, 0);
    o->fins++;
}

static void on_eof(void *owner)
{
    ((struct owner *)owner)->eofs++;
}

static void on_drain(void *owner)
{
    struct owner *o = owner;
    o->drains++;
    o->queued_at_drain = stream_queued(o->s);
    // As a body is pumped: what goes out at once is followed by more.
    while (o->refill_in_drain && stream_queued(o->s) == 0) {
        static char chunk[STREAM_LOW];
        stream_write(o->s, str_of(chunk, sizeof chunk));
        stream_flush(o->s);
    }
}

static void on_broken(void *owner, int error)
{
    struct owner *o = owner;
    o->brokens++;
    o->error = error;
    if (o->close_in_broken)
        stream_close(o->s);
}

static void on_closed(void *owner)
{
    struct owner *o = owner;
    o->closeds++;
    o->s = NULL;
}

static const struct stream_events events = {on_input, on_fin,    on_eof,
                                            on_drain, on_broken, on_closed};

static void turns(int n)
{
    while (n-- > 0)
        assert_int_equal(loop_turn(loop, 2), 0);
}

#define TURN_UNTIL(condition)                        \
    do {                                             \
        int left = TURNS_MAX;                        \
        while (!(condition) && left-- > 0)           \
            assert_int_equal(loop_turn(loop, 2), 0); \
        assert_true(condition);                      \
    } while (0)

// Whether the loop has something to do again and again though nobody does anything.
static bool spins(void)
{
    turns(5);
    loop_update_time(loop);
    uint64_t start = loop_now(loop);
    for (int i = 0; i < 4; i++)
        loop_turn(loop, 10);
    loop_update_time(loop);
    return loop_now(loop) - start < 30;
}

static void tcp_pair(int fds[2])
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listening, (struct sockaddr *)&in, len), 0);
    assert_int_equal(listen(listening, 1), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&in, &len), 0);
    fds[1] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fds[1], (struct sockaddr *)&in, len), 0);
    fds[0] = accept4(listening, NULL, NULL, SOCK_NONBLOCK);
    assert_true(fds[0] >= 0);
    close(listening);
}

static void unix_pair(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
}

static void start(void (*pair)(int fds[2]), size_t input_max)
{
    int fds[2];
    signal(SIGPIPE, SIG_IGN);
    pair(fds);
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    peer = fds[1];
    loop = loop_new();
    pool = stream_pool_new(loop);
    own = (struct owner){.got = malloc(BIG)};
    own.s = stream_new(pool, fds[0], input_max, &events, &own);
    assert_non_null(loop);
    assert_non_null(pool);
    assert_non_null(own.s);
}

// Bytes that the stream has read.
static uint64_t received(void)
{
    return own.got_n + stream_waiting(own.s).n;
}

// Ends what start began; every stream says on_closed exactly once.
static void finish(void)
{
    if (own.s)
        stream_close(own.s);
    turns(2);
    assert_int_equal(own.closeds, 1);
    stream_pool_free(pool);
    loop_free(loop);
    free(own.got);
    if (peer >= 0)
        close(peer);
}

static void peer_sends(const char *text)
{
    assert_int_equal(write(peer, text, strlen(text)), strlen(text));
}

// Reads what there is, up to the end of file, with turns in between, until n bytes have come.
static char *peer_reads(size_t n)
{
    char *all = malloc(n + 1);
    size_t have = 0;
    for (int i = 0; have < n && i < TURNS_MAX; i++) {
        ssize_t r = read(peer, all + have, n - have);
        if (r == 0)
            break;
        if (r > 0)
            have += (size_t)r;
        else
            loop_turn(loop, 1);
    }
    assert_int_equal(have, n);
    all[n] = '\0';
    return all;
}

static void peer_resets(void)
{
    struct linger now = {.l_onoff = 1};
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(peer);
    peer = -1;
}

static void fill_pattern(char *p, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1103515245 + 12345;
        p[i] = (char)(seed >> 16);
    }
}

static int pattern_file(size_t n, unsigned seed)
{
    char name[] = "/tmp/test_stream.XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    unlink(name);
    char *p = malloc(n);
    fill_pattern(p, n, seed);
    assert_int_equal(write(fd, p, n), n);
    free(p);
    return fd;
}

static void count_release(void *arg)
{
    ++*(unsigned *)arg;
}

static void assert_got(const char *text)
{
    assert_int_equal(own.got_n, strlen(text));
    assert_memory_equal(own.got, text, own.got_n);
}

// Input

static void takes_what_comes(void **state)
{
    (void)state;
    start(unix_pair, 1000);
    peer_sends("one");
    turns(1);
    peer_sends("two");
    turns(1);
    assert_got("onetwo");
    assert_int_equal(own.inputs, 2);
    assert_int_equal(received(), 6);
    assert_null(own.s->kept.bytes);
    finish();
}

static void keeps_what_is_left(void **state)
{
    (void)state;
    start(unix_pair, 1000);
    own.least = 6;
    peer_sends("abc");
    turns(3);
    assert_int_equal(own.inputs, 1); // not again without new bytes
    peer_sends("de");
    turns(1);
    assert_int_equal(own.shown, 5);
    peer_sends("fg");
    turns(1);
    assert_got("abcdefg");
    assert_null(own.s->kept.bytes); // an idle stream holds nothing
    finish();
}

static void a_byte_at_a_time(void **state)
{
    (void)state;
    enum { N = 5000 };
    static char text[N];
    fill_pattern(text, N, 1);
    start(tcp_pair, N);
    own.least = N;
    for (int i = 0; i < N; i++) {
        assert_int_equal(write(peer, text + i, 1), 1);
        TURN_UNTIL(received() == (uint64_t)i + 1);
        assert_true(own.s->kept.cap <= (size_t)(2 * i + 2));
    }
    assert_int_equal(own.got_n, N);
    assert_memory_equal(own.got, text, N);
    finish();
}

// Takes 7 bytes at a time of a long flow: what is left slides through the kept buffer.
static void partial_takes(void **state)
{
    (void)state;
    enum { N = 20000, MAX = 100 };
    static char text[N];
    fill_pattern(text, N, 2);
    start(unix_pair, MAX);
    own.most = 7;
    assert_int_equal(write(peer, text, N), N);
    shutdown(peer, SHUT_WR);
    for (int i = 0; i < N && own.got_n < N; i++) {
        loop_turn(loop, 0);
        assert_true(own.s->kept.n <= MAX && own.s->kept.cap <= MAX);
        stream_pause(own.s);
        stream_resume(own.s); // it is shown again what it left
    }
    turns(2);
    assert_int_equal(own.eofs, 1);
    assert_int_equal(own.got_n, N);
    assert_memory_equal(own.got, text, N);
    finish();
}

static void paused_keeps_up_to_the_maximum(void **state)
{
    (void)state;
    static char text[300];
    fill_pattern(text, sizeof text, 3);
    start(unix_pair, 100);
    stream_pause(own.s);
    assert_int_equal(write(peer, text, 60), 60);
    turns(2);
    assert_int_equal(write(peer, text + 60, 240), 240);
    turns(4);
    assert_int_equal(received(), 100);
    assert_int_equal(own.inputs, 0);
    assert_false(spins());
    stream_resume(own.s);
    stream_resume(own.s);
    assert_int_equal(own.inputs, 0); // not from inside
    TURN_UNTIL(own.got_n == 300);
    assert_memory_equal(own.got, text, 300);
    finish();
}

static void pause_in_input_gives_the_rest_later(void **state)
{
    (void)state;
    start(unix_pair, 100);
    own.pause_in_input = true;
    own.most = 3;
    peer_sends("onetwo");
    turns(3);
    assert_got("one");
    stream_resume(own.s);
    turns(3);
    assert_got("onetwo");
    assert_int_equal(own.inputs, 2);
    finish();
}

static void resume_in_input_goes_on_in_the_same_turn(void **state)
{
    (void)state;
    start(unix_pair, 100);
    own.pause_in_input = own.resume_in_input = true;
    own.most = 3;
    peer_sends("onetwo");
    turns(1);
    assert_got("onetwo");
    finish();
}

static void close_in_input(void **state)
{
    (void)state;
    start(unix_pair, 100);
    own.close_in_input = true;
    peer_sends("x");
    turns(1);
    assert_int_equal(own.inputs, 1);
    assert_int_equal(own.closeds, 1);
    char c;
    assert_int_equal(read(peer, &c, 1), 0);
    finish();
}

static void close_in_input_of_kept_bytes(void **state)
{
    (void)state;
    start(unix_pair, 100);
    stream_pause(own.s);
    peer_sends("abc");
    turns(2);
    own.close_in_input = true;
    stream_resume(own.s);
    turns(2);
    assert_int_equal(own.inputs, 1);
    assert_int_equal(own.closeds, 1);
    finish();
}

// The end

static void eof_comes_once_after_all_input(void **state)
{
    (void)state;
    start(tcp_pair, 100);
    peer_sends("last");
    shutdown(peer, SHUT_WR);
    TURN_UNTIL(own.eofs);
    assert_got("last");
    assert_true(own.s->eof_told);
    assert_false(spins());
    assert_int_equal(own.eofs, 1);
    assert_int_equal(own.brokens, 0);
    // it may still be reading
    assert_true(stream_write(own.s, STR("answer")));
    stream_flush(own.s);
    char *text = peer_reads(6);
    assert_string_equal(text, "answer");
    free(text);
    finish();
}

static void eof_while_paused(void **state)
{
    (void)state;
    start(unix_pair, 100);
    stream_pause(own.s);
    shutdown(peer, SHUT_WR);
    turns(2);
    assert_int_equal(own.eofs, 1); // nothing is kept: it is known at once
    assert_false(spins());
    stream_resume(own.s);
    turns(2);
    assert_int_equal(own.eofs, 1);
    finish();
}

static void eof_waits_behind_kept_bytes(void **state)
{
    (void)state;
    start(unix_pair, 100);
    stream_pause(own.s);
    peer_sends("last");
    shutdown(peer, SHUT_WR);
    turns(4);
    assert_int_equal(own.eofs, 0);
    assert_false(own.s->eof_told);
    assert_false(spins());
    stream_resume(own.s);
    turns(2);
    assert_got("last");
    assert_int_equal(own.eofs, 1);
    finish();
}

// Bytes that nobody takes, and those that are not even read, do not hide that the peer has left.
static void a_fin_behind_bytes_is_told_at_once(void **state)
{
    static const char text[] = "0123456789";
    (void)state;
    for (size_t input_max = 4; input_max <= 100; input_max += 96) { // full, and with room
        start(tcp_pair, input_max);
        stream_pause(own.s);
        peer_sends(text);
        shutdown(peer, SHUT_WR);
        TURN_UNTIL(own.fins);
        assert_int_equal(own.eofs, 0);
        assert_false(spins());
        assert_true(received() <= input_max); // no more is read for its sake
        stream_resume(own.s);
        TURN_UNTIL(own.eofs);
        assert_got(text);
        assert_int_equal(own.fins, 1);
        assert_false(spins());
        finish();
    }
}

// Where nothing holds input up, knowing of the FIN costs no call more than the end does.
static void the_end_is_one_epoll_ctl(void **state)
{
    (void)state;
    start(tcp_pair, 100);
    peer_sends("last");
    turns(1);
    epoll_ctls = 0;
    shutdown(peer, SHUT_WR);
    TURN_UNTIL(own.eofs);
    assert_int_equal(own.fins, 1);
    assert_int_equal(epoll_ctls, 1);
    finish();
}

static void shutdown_sends_the_queue_and_then_a_fin(void **state)
{
    (void)state;
    start(tcp_pair, 100);
    stream_write(own.s, STR("bye"));
    stream_shutdown(own.s);
    stream_shutdown(own.s);
    assert_false(stream_write(own.s, STR("late")));
    assert_null(stream_room(own.s, 1));
    char *text = peer_reads(3);
    assert_string_equal(text, "bye");
    free(text);
    char c;
    TURN_UNTIL(read(peer, &c, 1) == 0);
    peer_sends("input goes on");
    TURN_UNTIL(own.got_n == 13);
    shutdown(peer, SHUT_WR);
    TURN_UNTIL(own.eofs);
    assert_false(spins()); // EPOLLHUP now stands for good
    assert_int_equal(own.brokens, 0);
    finish();
}

static void reset(void **state)
{
    (void)state;
    start(tcp_pair, 100);
    peer_resets();
    TURN_UNTIL(own.brokens);
    assert_int_equal(own.error, ECONNRESET);
    assert_int_equal(own.eofs, 0);
    assert_false(spins());
    assert_int_equal(own.brokens, 1);
    assert_false(stream_write(own.s, STR("x")));
    stream_flush(own.s);
    finish();
}

// Input that is full and paused must not hide a reset.
static void reset_while_paused_and_full(void **state)
{
    (void)state;
    start(tcp_pair, 4);
    stream_pause(own.s);
    peer_sends("0123456789");
    TURN_UNTIL(received() == 4);
    peer_resets();
    own.close_in_broken = true;
    TURN_UNTIL(own.closeds);
    assert_int_equal(own.brokens, 1);
    assert_int_equal(own.inputs, 0);
    finish();
}

// What came before the end is still given.
static void input_before_a_full_close(void **state)
{
    (void)state;
    start(unix_pair, 100);
    peer_sends("last words");
    close(peer);
    peer = -1;
    TURN_UNTIL(own.brokens);
    assert_got("last words");
    assert_int_equal(own.eofs, 1);
    assert_int_equal(own.error, EPIPE);
    finish();
}

static void write_to_a_gone_peer_is_told_at_the_end_of_the_turn(void **state)
{
    (void)state;
    start(unix_pair, 100);
    close(peer);
    peer = -1;
    stream_write(own.s, STR("x"));
    stream_flush(own.s);
    assert_int_equal(own.brokens, 0);
    own.close_in_broken = true;
    turns(2);
    assert_int_equal(own.brokens, 1);
    assert_int_equal(own.error, EPIPE);
    assert_int_equal(own.closeds, 1);
    finish();
}

// Output

static void nothing_goes_out_before_flush(void **state)
{
    (void)state;
    start(unix_pair, 100);
    stream_write(own.s, STR("a"));
    stream_write(own.s, STR("b"));
    memcpy(stream_room(own.s, 100), "cd", 2);
    stream_wrote(own.s, 2);
    char buffer[10];
    turns(2);
    assert_int_equal(read(peer, buffer, 10), -1);
    assert_int_equal(stream_queued(own.s), 4);
    sends = 0;
    stream_flush(own.s);
    assert_int_equal(sends, 1);
    assert_int_equal(read(peer, buffer, 10), 4);
    assert_memory_equal(buffer, "abcd", 4);
    assert_int_equal(stream_queued(own.s), 0);
    assert_int_equal(stream_sent(own.s), 4);
    turns(2);
    assert_int_equal(own.drains, 0); // the owner saw it itself
    finish();
}

static void a_large_copy_fills_blocks(void **state)
{
    (void)state;
    enum { N = 3 * STREAM_BLOCK + 77 };
    static char bytes[N];
    fill_pattern(bytes, N, 4);
    start(unix_pair, 100);
    assert_non_null(stream_room(own.s, STREAM_BLOCK));
    stream_wrote(own.s, 0); // room that stays unused does no harm
    assert_true(stream_write(own.s, str_of(bytes, 10)));
    assert_true(stream_write(own.s, str_of(bytes + 10, N - 10)));
    stream_flush(own.s);
    char *all = peer_reads(N);
    assert_memory_equal(all, bytes, N);
    free(all);
    TURN_UNTIL(stream_queued(own.s) == 0);
    assert_null(own.s->out.head);
    assert_true(pool->blocks.spare_count == 4);
    finish();
}

static void unused_room_alone(void **state)
{
    (void)state;
    start(unix_pair, 100);
    assert_non_null(stream_room(own.s, 5));
    stream_wrote(own.s, 0);
    sends = 0;
    stream_flush(own.s);
    assert_int_equal(sends, 0);
    assert_null(own.s->out.head);
    finish();
}

// Every kind of piece, in order, through a socket that takes little at a time.
static void mixed_pieces(void (*pair)(int fds[2]), int send_buffer)
{
    enum { PART = 150 * 1000, SMALL = 500, ALL = 2 * (PART + PART + SMALL + PART) };
    static char expect[ALL];
    fill_pattern(expect, ALL, 5);
    start(pair, 100);
    if (send_buffer)
        setsockopt(own.s->fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
    int file = pattern_file(ALL, 5);
    unsigned released = 0;
    size_t at = 0;
    for (int round = 0; round < 2; round++) {
        assert_true(stream_write(own.s, str_of(expect + at, PART)));
        at += PART;
        assert_true(stream_write_file(own.s, file, (off_t)at, PART, count_release, &released));
        at += PART;
        assert_true(stream_write_ref(own.s, str_of(expect + at, SMALL), count_release, &released));
        at += SMALL;
        assert_true(stream_write_ref(own.s, str_of(expect + at, PART), count_release, &released));
        at += PART;
    }
    assert_int_equal(released, 2); // the short ones were copied
    assert_int_equal(stream_queued(own.s), ALL);
    stream_flush(own.s);
    char *all = peer_reads(ALL);
    assert_memory_equal(all, expect, ALL);
    free(all);
    TURN_UNTIL(stream_queued(own.s) == 0);
    turns(1);
    assert_int_equal(stream_sent(own.s), ALL);
    assert_int_equal(released, 6);
    assert_int_equal(own.drains, 2); // below STREAM_LOW, and empty
    assert_false(spins());
    close(file);
    finish();
}

static void mixed_pieces_unix(void **state)
{
    (void)state;
    mixed_pieces(unix_pair, 0);
}

static void mixed_pieces_small_socket(void **state)
{
    (void)state;
    mixed_pieces(unix_pair, 5000);
}

static void mixed_pieces_tcp(void **state)
{
    (void)state;
    mixed_pieces(tcp_pair, 5000);
}

static void more_pieces_than_one_gather(void **state)
{
    (void)state;
    enum { COUNT = 150, EACH = 1100 };
    static char bytes[COUNT * EACH];
    fill_pattern(bytes, sizeof bytes, 6);
    start(tcp_pair, 100);
    unsigned released = 0;
    for (int i = 0; i < COUNT; i++)
        stream_write_ref(own.s, str_of(bytes + i * EACH, EACH), count_release, &released);
    stream_flush(own.s);
    char *all = peer_reads(sizeof bytes);
    assert_memory_equal(all, bytes, sizeof bytes);
    free(all);
    TURN_UNTIL(released == COUNT);
    finish();
}

// One stream does not hold the loop while it pumps a file into a socket that takes everything.
static void a_file_goes_in_shares(void **state)
{
    (void)state;
    enum { N = 3 * 1024 * 1024 };
    start(tcp_pair, 100);
    int file = pattern_file(N, 7);
    unsigned released = 0;
    stream_write_file(own.s, file, 0, N, count_release, &released);
    stream_flush(own.s);
    assert_true(stream_sent(own.s) <= FILE_SHARE);
    char *expect = malloc(N);
    fill_pattern(expect, N, 7);
    char *all = peer_reads(N);
    assert_memory_equal(all, expect, N);
    free(all);
    free(expect);
    TURN_UNTIL(released == 1);
    close(file);
    finish();
}

static void a_short_file_breaks_the_stream(void **state)
{
    (void)state;
    start(tcp_pair, 100);
    int file = pattern_file(100, 8);
    unsigned released = 0;
    assert_true(stream_write_file(own.s, file, 50, 100, count_release, &released));
    stream_flush(own.s);
    TURN_UNTIL(own.brokens);
    assert_int_equal(own.error, EIO);
    stream_close(own.s);
    assert_int_equal(released, 1);
    turns(1);
    assert_int_equal(released, 1);
    close(file);
    finish();
}

static void a_head_shares_its_segment_with_the_file(void **state)
{
    (void)state;
    start(tcp_pair, 100);
    int file = pattern_file(300, 9);
    stream_write(own.s, STR("head"));
    stream_write_file(own.s, file, 0, 300, NULL, NULL);
    stream_flush(own.s);
    struct tcp_info info;
    socklen_t len = sizeof info;
    assert_int_equal(getsockopt(own.s->fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    free(peer_reads(304));
    assert_int_equal(getsockopt(own.s->fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    assert_int_equal(info.tcpi_data_segs_out, 1);
    close(file);
    finish();
}

static void drain_is_told_for_a_blocked_queue(void **state)
{
    (void)state;
    enum { N = 3 * 1024 * 1024 };
    start(unix_pair, 100);
    char *bytes = malloc(N);
    fill_pattern(bytes, N, 10);
    unsigned released = 0;
    stream_write_ref(own.s, str_of(bytes, N), count_release, &released);
    sends = 0;
    stream_flush(own.s);
    assert_int_equal(sends, 1); // a short count is answer enough
    assert_true(stream_queued(own.s) >= STREAM_LOW);
    turns(2);
    assert_int_equal(own.drains, 0);
    // Somebody else flushes after the peer has read: on_drain must not be lost.
    size_t have = 0;
    char *all = malloc(N);
    for (int i = 0; i < TURNS_MAX && have < N; i++) {
        ssize_t r = read(peer, all + have, N - have);
        have += r > 0 ? (size_t)r : 0;
        sends = 0;
        stream_flush(own.s);
        assert_int_equal(sends, 0); // left to the loop, which then tells of it
        if (r < 0)
            turns(1);
    }
    turns(1);
    assert_memory_equal(all, bytes, N);
    assert_true(own.drains >= 1);
    assert_true(own.queued_at_drain < STREAM_LOW);
    assert_int_equal(released, 1);
    free(all);
    free(bytes);
    finish();
}

// An owner that refills in on_drain keeps EPOLLOUT: it is not taken out and put back each time.
static void a_pump_needs_no_epoll_ctl(void **state)
{
    (void)state;
    start(unix_pair, 100);
    own.refill_in_drain = true;
    static char chunk[1024 * 1024];
    stream_write(own.s, str_of(chunk, sizeof chunk));
    stream_flush(own.s);
    turns(1);
    epoll_ctls = 0;
    free(peer_reads(5 * 1024 * 1024));
    assert_true(own.drains > 10);
    assert_int_equal(epoll_ctls, 0);
    finish();
}

static void an_exchange_is_one_read_and_one_send(void **state)
{
    (void)state;
    start(tcp_pair, 100);
    own.answer = STR("HTTP/1.1 200 OK\r\n\r\n");
    reads = sends = epoll_ctls = 0;
    for (int i = 0; i < 10; i++) {
        peer_sends("GET / HTTP/1.1\r\n\r\n");
        free(peer_reads(own.answer.n));
    }
    assert_int_equal(reads, 10);
    assert_int_equal(sends, 10);
    assert_int_equal(epoll_ctls, 0);
    assert_null(own.s->out.head); // idle: no block, no kept bytes
    assert_null(own.s->kept.bytes);
    finish();
}

// Releases

static void close_midway_releases_each_piece_once(void **state)
{
    (void)state;
    enum { N = 2 * 1024 * 1024 };
    char *bytes = calloc(1, N);
    unsigned released[3] = {0};
    start(unix_pair, 100);
    int file = pattern_file(100, 11);
    stream_write_ref(own.s, str_of(bytes, N), count_release, &released[0]);
    stream_write_ref(own.s, str_of(bytes, N), count_release, &released[1]);
    stream_write_file(own.s, file, 0, 100, count_release, &released[2]);
    stream_flush(own.s);
    assert_true(stream_sent(own.s) > 0);
    stream_close(own.s);
    stream_close(own.s);
    assert_int_equal(stream_queued(own.s), 0);
    unsigned late = 0;
    assert_false(stream_write_ref(own.s, str_of(bytes, N), count_release, &late));
    assert_false(stream_write_ref(own.s, str_of(bytes, 5), count_release, &late));
    assert_false(stream_write_file(own.s, file, 0, 1, count_release, &late));
    assert_int_equal(late, 3);
    turns(1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(released[i], 1);
    close(file);
    free(bytes);
    finish();
}

static void empty_pieces_are_released_at_once(void **state)
{
    (void)state;
    unsigned released = 0;
    start(unix_pair, 100);
    assert_true(stream_write(own.s, STR("")));
    assert_true(stream_write_ref(own.s, STR(""), count_release, &released));
    assert_true(stream_write_file(own.s, 0, 0, 0, count_release, &released));
    assert_int_equal(released, 2);
    assert_null(own.s->out.head);
    finish();
}

// Whatever allocation fails: no leak, each release once, and on_broken where bytes were lost.
static void memory_runs_out(void **state)
{
    (void)state;
    static char bytes[3 * STREAM_BLOCK];
    for (int n = 0; n < 8; n++) {
        unsigned released = 0;
        start(unix_pair, 1000);
        own.least = 1000;
        allocations_left = n;
        bool ok = stream_write(own.s, str_of(bytes, sizeof bytes));
        ok = stream_write_ref(own.s, str_of(bytes, 2000), count_release, &released) && ok;
        ok = stream_write_file(own.s, 0, 0, 10, count_release, &released) && ok;
        peer_sends("kept");
        turns(2);
        peer_sends("more");
        turns(2);
        allocations_left = -1;
        assert_int_equal(ok, n >= 5);
        assert_int_equal(own.brokens, n < 7);
        if (own.brokens)
            assert_int_equal(own.error, ENOMEM);
        finish();
        assert_int_equal(released, 2);
    }
}

static void no_memory_for_a_stream_closes_its_socket(void **state)
{
    (void)state;
    start(unix_pair, 100);
    int fds[2];
    unix_pair(fds);
    allocations_left = 0;
    assert_null(stream_new(pool, fds[0], 100, &events, &own));
    assert_null(stream_pool_new(loop));
    allocations_left = -1;
    assert_int_equal(fcntl(fds[0], F_GETFD), -1);
    close(fds[1]);
    finish();
}

static void spare_blocks_are_bounded(void **state)
{
    (void)state;
    enum { N = (SPARES_MAX + 10) * STREAM_BLOCK };
    char *bytes = calloc(1, N);
    start(unix_pair, 100);
    stream_write(own.s, str_of(bytes, N));
    stream_close(own.s);
    assert_int_equal(pool->blocks.spare_count, SPARES_MAX);
    free(bytes);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_comes),
        cmocka_unit_test(keeps_what_is_left),
        cmocka_unit_test(a_byte_at_a_time),
        cmocka_unit_test(partial_takes),
        cmocka_unit_test(paused_keeps_up_to_the_maximum),
        cmocka_unit_test(pause_in_input_gives_the_rest_later),
        cmocka_unit_test(resume_in_input_goes_on_in_the_same_turn),
        cmocka_unit_test(close_in_input),
        cmocka_unit_test(close_in_input_of_kept_bytes),
        cmocka_unit_test(eof_comes_once_after_all_input),
        cmocka_unit_test(eof_while_paused),
        cmocka_unit_test(eof_waits_behind_kept_bytes),
        cmocka_unit_test(a_fin_behind_bytes_is_told_at_once),
        cmocka_unit_test(the_end_is_one_epoll_ctl),
        cmocka_unit_test(shutdown_sends_the_queue_and_then_a_fin),
        cmocka_unit_test(reset),
        cmocka_unit_test(reset_while_paused_and_full),
        cmocka_unit_test(input_before_a_full_close),
        cmocka_unit_test(write_to_a_gone_peer_is_told_at_the_end_of_the_turn),
        cmocka_unit_test(nothing_goes_out_before_flush),
        cmocka_unit_test(a_large_copy_fills_blocks),
        cmocka_unit_test(unused_room_alone),
        cmocka_unit_test(mixed_pieces_unix),
        cmocka_unit_test(mixed_pieces_small_socket),
        cmocka_unit_test(mixed_pieces_tcp),
        cmocka_unit_test(more_pieces_than_one_gather),
        cmocka_unit_test(a_file_goes_in_shares),
        cmocka_unit_test(a_short_file_breaks_the_stream),
        cmocka_unit_test(a_head_shares_its_segment_with_the_file),
        cmocka_unit_test(drain_is_told_for_a_blocked_queue),
        cmocka_unit_test(a_pump_needs_no_epoll_ctl),
        cmocka_unit_test(an_exchange_is_one_read_and_one_send),
        cmocka_unit_test(close_midway_releases_each_piece_once),
        cmocka_unit_test(empty_pieces_are_released_at_once),
        cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(no_memory_for_a_stream_closes_its_socket),
        cmocka_unit_test(spare_blocks_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
