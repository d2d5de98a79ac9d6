// Deaths: processes that are killed while they use the cache. Once for real, hundreds of times at
// random moments of a storm of writes; and once instruction by instruction, where the memory is
// looked at as it would be left behind if the process were killed right there. Whatever the moment,
// the cache is consistent afterwards, every value in it is whole, and nobody waits for the dead.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "content/cache_inside.h"
#include "tended.h"

#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    KEYS = 1500,       // more than a cache of CACHE_BYTES_MIN can hold
    VALUE_MAX = 6000,  // bytes
    STORM_WRITERS = 4, // numbers 0 to 3; the test itself is 4
    ME = STORM_WRITERS,
    STORM_KILLS = 300,
};
#ifdef __SANITIZE_ADDRESS__
enum { EVERY = 16 }; // instructions between two looks: there are many more of them
#else
enum { EVERY = 1 };
#endif

static int setup(void **state)
{
    *state = cache_new(CACHE_BYTES_MIN, STORM_WRITERS + 1);
    assert_non_null(*state);
    return 0;
}

static int teardown(void **state)
{
    cache_free(*state);
    return 0;
}

// A value says which key it is for and how long it is; all other bytes follow from these and the
// first of them.
static struct cache_value value_of(uint32_t key, uint32_t n, uint32_t salt,
                                   uint32_t words[static VALUE_MAX / 4])
{
    words[0] = key;
    words[1] = n;
    for (uint32_t i = 2; i < n / 4; i++)
        words[i] = salt + i * 2654435761u;
    return (struct cache_value){CACHE_STRING, {(char *)words, n / 4 * 4}, 0, 0};
}

static void put(struct cache *c, uint32_t key, uint32_t n, uint32_t salt)
{
    uint32_t words[VALUE_MAX / 4];
    struct cache_value v = value_of(key, n, salt, words);
    cache_set(c, str_of((char *)&key, sizeof key), &v);
}

static bool is_whole(uint32_t key, struct str value)
{
    uint32_t words[VALUE_MAX / 4];
    if (value.n < 12 || value.n > sizeof words)
        return false;
    memcpy(words, value.p, value.n);
    if (words[0] != key || words[1] / 4 * 4 != value.n)
        return false;
    for (uint32_t i = 3; i < words[1] / 4; i++)
        if (words[i] != words[2] + (i - 2) * 2654435761u)
            return false;
    return true;
}

// Reads every key; returns how many there are.
static int read_all(struct cache *c)
{
    int found = 0;
    struct buf b;
    buf_init(&b, VALUE_MAX);
    for (uint32_t key = 0; key < KEYS; key++) {
        enum cache_kind kind;
        buf_clear(&b);
        if (cache_get(c, str_of((char *)&key, sizeof key), &kind, &b) != CACHE_OK)
            continue;
        assert_true(is_whole(key, buf_str(&b)));
        found++;
    }
    buf_fini(&b);
    return found;
}

static struct cache_stats stats(struct cache *c)
{
    struct cache_stats s;
    cache_stats(c, &s);
    return s;
}

// A storm -----------------------------------------------------------------------------------------

static void fill_one(struct cache *c, uint32_t key, unsigned worker)
{
    struct cache_fill fill;
    enum cache_look r = cache_look(c, str_of((char *)&key, sizeof key), worker, NULL, NULL, &fill);
    if (r != CACHE_FILL)
        return;
    put(c, key, 1000 + key, (uint32_t)rand());
    cache_fill_end(c, &fill, true);
}

static _Noreturn void storm(struct cache *c, unsigned worker)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    srand((unsigned)getpid());
    for (;;) {
        uint32_t key = (uint32_t)rand() % KEYS;
        struct cache_number one = {CACHE_INTEGER, {1}};
        switch (rand() % 8) {
        case 0:
            cache_delete(c, str_of((char *)&key, sizeof key));
            break;
        case 1:
            cache_incr(c, STR("a counter"), &one, 0);
            break;
        case 2:
            fill_one(c, key, worker);
            break;
        default:
            put(c, key, 12 + (uint32_t)rand() % (VALUE_MAX - 12), (uint32_t)rand());
        }
    }
}

static pid_t start_storm(struct cache *c, unsigned worker)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        storm(c, worker);
    return pid;
}

static void bury(struct cache *c, pid_t pid, unsigned worker)
{
    int status;
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); // not by an assert
    cache_worker_died(c, worker);
}

static void writers_that_are_killed_in_a_storm(void **state)
{
    struct cache *c = *state;
    pid_t pids[STORM_WRITERS];
    for (unsigned i = 0; i < STORM_WRITERS; i++)
        pids[i] = start_storm(c, i);
    for (int i = 0; i < STORM_KILLS; i++) {
        unsigned who = (unsigned)rand() % STORM_WRITERS;
        nanosleep(&(struct timespec){.tv_nsec = rand() % 3000000}, NULL);
        bury(c, pids[who], who);
        assert_null(cache_check(c));
        if (i % 10 == 0)
            read_all(c);
        pids[who] = start_storm(c, who);
    }
    for (unsigned i = 0; i < STORM_WRITERS; i++)
        bury(c, pids[i], i);
    assert_null(cache_check(c));
    read_all(c);
    struct cache_stats s = stats(c);
    assert_int_equal(s.filling, 0);
    print_message("%lu of %d died with the lock\n", (unsigned long)s.counts.recovered, STORM_KILLS);
    assert_in_range(s.counts.recovered, 1, STORM_KILLS); // some, not all
    put(c, 1, 100, 1);
    assert_true(read_all(c) >= 1);
}

// Every instruction -------------------------------------------------------------------------------

static struct cache_value new_value, other_value; // of the last key, and of key 0

static void op_set(struct cache *c)
{
    uint32_t key = KEYS - 1;
    cache_set(c, str_of((char *)&key, sizeof key), &new_value); // of a full cache: others give way
}

static void op_replace(struct cache *c)
{
    uint32_t key = 0;
    cache_set(c, str_of((char *)&key, sizeof key), &other_value);
}

static void op_get(struct cache *c)
{
    uint32_t key = 0;
    enum cache_kind kind;
    struct buf b;
    cache_advance(c, 1000); // so that it is moved to the front
    buf_init(&b, VALUE_MAX);
    cache_get(c, str_of((char *)&key, sizeof key), &kind, &b);
}

static void op_delete(struct cache *c)
{
    uint32_t key = 0;
    cache_delete(c, str_of((char *)&key, sizeof key));
}

static void op_incr(struct cache *c)
{
    struct cache_number one = {CACHE_INTEGER, {1}};
    cache_incr(c, STR("a counter"), &one, 0);
}

static void op_clear(struct cache *c)
{
    cache_clear(c);
}

static void op_begin_and_end(struct cache *c)
{
    struct cache_fill fill;
    if (cache_look(c, STR("fill"), 0, NULL, NULL, &fill) == CACHE_FILL)
        cache_fill_end(c, &fill, false);
}

static void op_wait(struct cache *c)
{
    struct cache_fill fill;
    cache_look(c, STR("elsewhere"), 0, NULL, NULL, &fill);
}

static void op_need(struct cache *c)
{
    struct cache_fill fill;
    if (cache_look(c, STR("fill"), 0, NULL, NULL, &fill) == CACHE_FILL)
        cache_fill_needs(c, &fill, STR("elsewhere"));
}

struct op {
    const char *name;
    void (*run)(struct cache *c);
    bool orphaned; // the one before died with the lock: this one recovers
};

static const struct op ops[] = {
    {"set", op_set, false},
    {"replace", op_replace, false},
    {"get", op_get, false},
    {"delete", op_delete, false},
    {"incr", op_incr, false},
    {"clear", op_clear, false},
    {"fill", op_begin_and_end, false},
    {"wait", op_wait, false},
    {"need", op_need, false},
    {"recovery", op_get, true},
};

static void leave_an_orphan(struct cache *c)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        cache_hold(c, 0);
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void prepare(struct cache *c, const struct op *op)
{
    struct cache_fill fill;
    for (uint32_t key = 0; stats(c).counts.evictions == 0 || stats(c).entries < 100; key++)
        put(c, key % (KEYS - 1), 2000, key);
    put(c, 0, 1500, 1);
    cache_look(c, STR("elsewhere"), 1, NULL, NULL, &fill);
    if (op->orphaned)
        leave_an_orphan(c);
}

// A process that has begun op and stands before its first instruction.
static pid_t start_op(struct cache *c, const struct op *op)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(1);
        raise(SIGSTOP);
        op->run(c);
        raise(SIGSTOP);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSTOPPED(status)); // else it may not be traced here
    return pid;
}

// Whether it has not come to the end of op.
static bool step(pid_t pid)
{
    int status;
    assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSTOPPED(status));
    assert_true(WSTOPSIG(status) == SIGTRAP || WSTOPSIG(status) == SIGSTOP);
    return WSTOPSIG(status) == SIGTRAP;
}

// The memory of one cache as its user would leave it at this moment, in another.
struct copy {
    struct cache *of, *cache;
    char *last; // what was looked at last
    long looks, recovered;
};

static void open_copy(struct copy *k, struct cache *of)
{
    int fd = memfd_create("copy", 0);
    assert_int_equal(write(fd, of->region, of->size), of->size);
    *k = (struct copy){.of = of, .cache = cache_open(fd, of->workers), .last = malloc(of->size)};
    assert_non_null(k->cache);
    assert_non_null(k->last);
    memcpy(k->last, of->region, of->size);
}

static void close_copy(struct copy *k)
{
    cache_free(k->cache);
    free(k->last);
}

// What the kernel does with a robust lock whose owner has died.
static void die(pthread_mutex_t *lock, pid_t owner)
{
    int *word = &lock->__data.__lock;
    if ((*word & FUTEX_TID_MASK) == owner)
        *word = (*word & ~FUTEX_TID_MASK) | FUTEX_OWNER_DIED;
}

static void check_after_death(struct copy *k, pid_t pid)
{
    struct cache *c = k->cache;
    struct cache_fill fill;
    memcpy(c->region, k->last, c->size);
    uint64_t before = c->shard->counts.recovered;
    die(&c->shard->lock, pid);
    cache_worker_died(c, 0);
    assert_null(cache_check(c));
    read_all(c);
    assert_int_equal(cache_look(c, STR("fill"), ME, NULL, NULL, &fill), CACHE_FILL);
    k->recovered += c->shard->counts.recovered - before;
    k->looks++;
}

// Looks where something has changed; after a thousand looks only at some: whole tables are wiped.
static void look_at(struct copy *k, pid_t pid, long n)
{
    bool wiping = k->looks > 1000 && n % 16;
    if (n % EVERY || wiping || memcmp(k->last, k->of->region, k->of->size) == 0)
        return;
    memcpy(k->last, k->of->region, k->of->size);
    check_after_death(k, pid);
}

static void walk_through(struct cache *c, const struct op *op)
{
    int status;
    long n = 0;
    struct copy k;
    prepare(c, op);
    open_copy(&k, c);
    pid_t pid = start_op(c, op);
    while (step(pid))
        look_at(&k, pid, ++n);
    print_message("%s: %ld instructions, %ld states, %ld with the lock held\n", op->name, n,
                  k.looks, k.recovered);
    assert_true(k.looks > 0 && k.recovered > 0);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close_copy(&k);
    assert_null(cache_check(c));
}

static void an_operation_that_ends_at_any_instruction(void **state)
{
    static uint32_t new_words[VALUE_MAX / 4], other_words[VALUE_MAX / 4];
    new_value = value_of(KEYS - 1, 5000, 1, new_words);
    other_value = value_of(0, 700, 2, other_words);
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        walk_through(*state, &ops[i]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(writers_that_are_killed_in_a_storm),
        TEST(an_operation_that_ends_at_any_instruction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
