// The cache's keys and values: one process. Fills are in test_cache_fill.c, deaths in
// test_cache_kill.c.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "content/cache_inside.h"
#include "tended.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int setup(void **state)
{
    *state = cache_new(CACHE_BYTES_MIN, 2);
    assert_non_null(*state);
    return 0;
}

static int teardown(void **state)
{
    assert_null(cache_check(*state));
    cache_free(*state);
    return 0;
}

static enum cache_result put(struct cache *c, const char *key, const char *value, uint64_t ttl_ms)
{
    struct cache_value v = {CACHE_STRING, str_z(value), ttl_ms, 0};
    return cache_set(c, str_z(key), &v);
}

// What is under the key as text; "-" for nothing.
static const char *got(struct cache *c, const char *key)
{
    static char text[2048];
    enum cache_kind kind;
    struct buf b;
    buf_init(&b, sizeof text - 1);
    enum cache_result r = cache_get(c, str_z(key), &kind, &b);
    snprintf(text, sizeof text, "%.*s", STR_ARG(buf_str(&b)));
    buf_fini(&b);
    return r == CACHE_OK ? text : "-";
}

static struct cache_stats stats(struct cache *c)
{
    struct cache_stats s;
    cache_stats(c, &s);
    return s;
}

static void what_is_set_is_found(void **state)
{
    struct cache *c = *state;
    assert_string_equal(got(c, "a"), "-");
    assert_int_equal(put(c, "a", "one", 0), CACHE_OK);
    assert_int_equal(put(c, "", "empty key", 0), CACHE_OK);
    assert_int_equal(put(c, "b", "", 0), CACHE_OK);
    assert_string_equal(got(c, "a"), "one");
    assert_string_equal(got(c, ""), "empty key");
    assert_string_equal(got(c, "b"), "");
    assert_int_equal(put(c, "a", "two", 0), CACHE_OK);
    assert_string_equal(got(c, "a"), "two");
    assert_int_equal(cache_delete(c, STR("a")), CACHE_OK);
    assert_int_equal(cache_delete(c, STR("a")), CACHE_ABSENT);
    assert_string_equal(got(c, "a"), "-");
    assert_int_equal(stats(c).entries, 2);
    assert_int_equal(stats(c).counts.hits, 4);
    assert_int_equal(stats(c).counts.misses, 2);
    cache_clear(c);
    assert_string_equal(got(c, "b"), "-");
    assert_int_equal(stats(c).entries, 0);
    assert_int_equal(stats(c).bytes, 0);
}

static void add_sets_what_is_not_there(void **state)
{
    struct cache *c = *state;
    struct cache_value one = {CACHE_STRING, STR("one"), 10, 0},
                       two = {CACHE_STRING, STR("two"), 0, 0};
    assert_int_equal(cache_add(c, STR("a"), &one), CACHE_OK);
    assert_int_equal(cache_add(c, STR("a"), &two), CACHE_EXISTS);
    assert_string_equal(got(c, "a"), "one");
    cache_advance(c, 10);
    assert_int_equal(cache_add(c, STR("a"), &two), CACHE_OK);
    assert_string_equal(got(c, "a"), "two");
}

static char *pattern(size_t n, unsigned seed)
{
    char *p = malloc(n + 1);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)((i * 2654435761u + seed) >> 13);
    return p;
}

// Every length around the ends of blocks, with keys that end before, at and behind them.
static void lengths_come_back_whole(void **state)
{
    static const size_t keys[] = {0, 1, 100, 204, 205, 206, 456, 457, 458, CACHE_KEY_MAX};
    static const size_t values[] = {0,   1,   8,   104, 105, 106, 204,   205,   206,
                                    252, 253, 456, 457, 458, 709, 10000, 100000};
    struct cache *c = *state;
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            char *key = pattern(keys[k], 1), *value = pattern(values[v], 2);
            struct cache_value set = {CACHE_JSON, {value, values[v]}, 0, 0};
            struct buf b;
            enum cache_kind kind = CACHE_NONE;
            buf_init(&b, CACHE_VALUE_MAX);
            assert_int_equal(cache_set(c, str_of(key, keys[k]), &set), CACHE_OK);
            assert_int_equal(cache_get(c, str_of(key, keys[k]), &kind, &b), CACHE_OK);
            assert_int_equal(kind, CACHE_JSON);
            assert_true(str_eq(buf_str(&b), set.bytes));
            assert_null(cache_check(c));
            buf_fini(&b);
            free(key);
            free(value);
        }
}

static void keys_differ_by_any_byte(void **state)
{
    struct cache *c = *state;
    char one[600], two[600];
    memset(one, 'k', sizeof one);
    memset(two, 'k', sizeof two);
    struct cache_value v = {CACHE_STRING, STR("v"), 0, 0};
    assert_int_equal(cache_set(c, str_of(one, sizeof one), &v), CACHE_OK);
    for (size_t i = 0; i < sizeof two; i++) {
        two[i] = 'K';
        assert_int_equal(cache_delete(c, str_of(two, sizeof two)), CACHE_ABSENT);
        two[i] = 'k';
        assert_int_equal(cache_delete(c, str_of(two, i)), CACHE_ABSENT);
    }
    assert_int_equal(cache_delete(c, str_of(two, sizeof two)), CACHE_OK);
}

static void time_ends_a_value(void **state)
{
    struct cache *c = *state;
    uint64_t ms = 0;
    put(c, "short", "s", 1000);
    put(c, "long", "l", 100000);
    put(c, "ever", "e", 0);
    put(c, "end", "e", UINT64_MAX);
    assert_int_equal(cache_ttl(c, STR("short"), &ms), CACHE_OK);
    assert_in_range(ms, 500, 1000);
    assert_int_equal(cache_ttl(c, STR("ever"), &ms), CACHE_OK);
    assert_true(ms == UINT64_MAX);
    cache_advance(c, 1000);
    assert_string_equal(got(c, "short"), "-");
    assert_int_equal(cache_ttl(c, STR("short"), &ms), CACHE_ABSENT);
    assert_int_equal(cache_delete(c, STR("short")), CACHE_ABSENT);
    assert_int_equal(stats(c).counts.expired, 1);
    assert_string_equal(got(c, "long"), "l");
    cache_advance(c, UINT32_MAX);
    assert_string_equal(got(c, "long"), "-");
    assert_string_equal(got(c, "ever"), "e");
    assert_string_equal(got(c, "end"), "e");
}

#define I(v)                                  \
    {                                         \
        .kind = CACHE_INTEGER, .integer = (v) \
    }
#define F(v)                               \
    {                                      \
        .kind = CACHE_FLOAT, .number = (v) \
    }

static void numbers_are_added(void **state)
{
    static const struct {
        struct cache_number by, sum; // one after the other, all to one key
    } rows[] = {
        {I(5), I(5)},
        {I(-7), I(-2)},
        {I(INT64_MAX), I(INT64_MAX - 2)},
        {F(0.5), F((double)(INT64_MAX - 2) + 0.5)},
        {I(1), F((double)(INT64_MAX - 2) + 1.5)},
    };
    struct cache *c = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cache_number n = rows[i].by;
        assert_int_equal(cache_incr(c, STR("n"), &n, 0), CACHE_OK);
        assert_int_equal(n.kind, rows[i].sum.kind);
        assert_true(n.integer == rows[i].sum.integer); // of a float: the same bits
    }
}

static void a_number_keeps_its_time_and_its_kind(void **state)
{
    struct cache *c = *state;
    struct cache_number n = I(1), max = I(INT64_MAX);
    uint64_t ms = 0;
    assert_int_equal(cache_incr(c, STR("n"), &n, 1000), CACHE_OK);
    assert_int_equal(cache_incr(c, STR("n"), &n, 9000), CACHE_OK);
    assert_int_equal(n.integer, 2);
    assert_int_equal(cache_ttl(c, STR("n"), &ms), CACHE_OK);
    assert_in_range(ms, 1, 1000);
    assert_int_equal(cache_incr(c, STR("n"), &max, 0), CACHE_OVERFLOW);
    n = (struct cache_number)I(0);
    assert_int_equal(cache_incr(c, STR("n"), &n, 0), CACHE_OK);
    assert_int_equal(n.integer, 2);
    cache_advance(c, 1000);
    n = (struct cache_number)I(1);
    assert_int_equal(cache_incr(c, STR("n"), &n, 0), CACHE_OK);
    assert_int_equal(n.integer, 1);
    put(c, "s", "text", 0);
    assert_int_equal(cache_incr(c, STR("s"), &n, 0), CACHE_WRONG_KIND);
    assert_string_equal(got(c, "s"), "text");
    // one whose eight bytes lie in two blocks
    char key[202];
    memset(key, 'k', sizeof key);
    for (int64_t i = 1; i <= 100; i++) {
        n = (struct cache_number)I(0x0101010101010101);
        assert_int_equal(cache_incr(c, str_of(key, sizeof key), &n, 0), CACHE_OK);
        assert_true(n.integer == i * 0x0101010101010101);
    }
}

static void a_full_cache_forgets_the_least_recently_used(void **state)
{
    struct cache *c = *state;
    char key[32], value[1000];
    memset(value, 'v', sizeof value);
    struct cache_value v = {CACHE_STRING, {value, sizeof value}, 0, 0};
    struct cache_stats s = stats(c);
    int n = (int)(s.capacity / CACHE_BLOCK / 5); // 1000 bytes and their key take five blocks
    for (int i = 0; i < n; i++) {
        snprintf(key, sizeof key, "key-%08d", i);
        assert_int_equal(cache_set(c, str_z(key), &v), CACHE_OK);
    }
    assert_int_equal(stats(c).entries, n);
    assert_int_equal(stats(c).counts.evictions, 0);
    cache_advance(c, 1000);
    assert_string_not_equal(got(c, "key-00000000"), "-"); // used: it is the second that goes now
    for (int i = n; i < n + 10; i++) {
        snprintf(key, sizeof key, "key-%08d", i);
        assert_int_equal(cache_set(c, str_z(key), &v), CACHE_OK);
    }
    assert_in_range(stats(c).counts.evictions, 9, 10);
    assert_int_equal(cache_delete(c, STR("key-00000000")), CACHE_OK);
    assert_int_equal(cache_delete(c, STR("key-00000001")), CACHE_ABSENT);
    assert_int_equal(cache_delete(c, STR("key-00000009")), CACHE_ABSENT);
    assert_int_equal(cache_delete(c, STR("key-00000011")), CACHE_OK);
}

static void what_expired_gives_way_without_being_an_eviction(void **state)
{
    struct cache *c = *state;
    size_t max = cache_value_max(c);
    char *value = pattern(max, 1);
    struct cache_value v = {CACHE_STRING, {value, max}, 1000, 0};
    for (char k = 'a'; k < 'd'; k++)
        assert_int_equal(cache_set(c, str_of(&k, 1), &v), CACHE_OK);
    cache_advance(c, 1000);
    for (char k = 'd'; k < 'g'; k++)
        assert_int_equal(cache_set(c, str_of(&k, 1), &v), CACHE_OK);
    assert_int_equal(stats(c).counts.evictions, 0);
    assert_in_range(stats(c).counts.expired, 2, 3);
    free(value);
}

static void what_is_too_large_is_refused_and_the_old_value_gone(void **state)
{
    struct cache *c = *state;
    size_t max = cache_value_max(c);
    char *value = pattern(max + 1, 1);
    struct cache_value fits = {CACHE_STRING, {value, max}, 0, 0};
    struct cache_value large = {CACHE_STRING, {value, max + 1}, 0, 0};
    struct buf small;
    enum cache_kind kind;
    assert_int_equal(cache_set(c, STR("k"), &fits), CACHE_OK);
    buf_init(&small, max - 1);
    assert_int_equal(cache_get(c, STR("k"), &kind, &small), CACHE_NO_MEMORY);
    assert_int_equal(small.n, 0);
    assert_int_equal(cache_set(c, STR("k"), &large), CACHE_TOO_LARGE);
    assert_int_equal(cache_delete(c, STR("k")), CACHE_ABSENT);
    assert_int_equal(cache_add(c, STR("k"), &large), CACHE_TOO_LARGE);
    buf_fini(&small);
    free(value);
}

// Many operations of every kind against a plain array that says what must be there.
static void a_long_story_agrees_with_a_model(void **state)
{
    enum { KEYS = 200, STEPS = 60000 };
    struct cache *c = *state;
    size_t model[KEYS]; // bytes of the value plus one; 0: none
    char *value = pattern(3000, 7);
    memset(model, 0, sizeof model);
    srand(1);
    for (int i = 0; i < STEPS; i++) {
        int k = rand() % KEYS;
        char key[400];
        memset(key, 'k', sizeof key);
        size_t key_n = (size_t)snprintf(key, sizeof key, "%d", k) + (size_t)k;
        struct str name = str_of(key, key_n);
        struct cache_value v = {CACHE_STRING, {value, (size_t)(rand() % 3000)}, 0, 0};
        struct buf b;
        enum cache_kind kind;
        buf_init(&b, 3000);
        switch (rand() % 4) {
        case 0:
            assert_int_equal(cache_set(c, name, &v), CACHE_OK);
            model[k] = v.bytes.n + 1;
            break;
        case 1:
            assert_int_equal(cache_add(c, name, &v), model[k] ? CACHE_EXISTS : CACHE_OK);
            model[k] = model[k] ? model[k] : v.bytes.n + 1;
            break;
        case 2:
            assert_int_equal(cache_delete(c, name), model[k] ? CACHE_OK : CACHE_ABSENT);
            model[k] = 0;
            break;
        default:
            assert_int_equal(cache_get(c, name, &kind, &b), model[k] ? CACHE_OK : CACHE_ABSENT);
            assert_true(!model[k] || str_eq(buf_str(&b), str_of(value, model[k] - 1)));
        }
        buf_fini(&b);
        if (i % 1000 == 0)
            assert_null(cache_check(c));
    }
    assert_int_equal(stats(c).counts.evictions, 0);
    free(value);
}

static void every_size_has_its_geometry(void **state)
{
    static const size_t sizes[] = {CACHE_BYTES_MIN, CACHE_BYTES_MIN + 12345, 8 << 20, 64 << 20,
                                   (size_t)3 << 30};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct cache *c = cache_new(sizes[i], 1);
        assert_non_null(c);
        struct cache_stats s = stats(c);
        assert_in_range(s.capacity, sizes[i] / 100 * 93, sizes[i]);
        assert_in_range(cache_value_max(c), 200000, CACHE_VALUE_MAX);
        for (int k = 0; k < 1000; k++)
            assert_int_equal(
                put(c, (char[]){(char)(k / 100 + 'a'), (char)(k % 100 + 1), 0}, "v", 0), CACHE_OK);
        assert_int_equal(stats(c).entries, 1000);
        if (sizes[i] < 100 << 20)
            assert_null(cache_check(c));
        cache_free(c);
    }
}

static void its_memory_can_be_mapped_again(void **state)
{
    struct cache *c = *state;
    put(c, "a", "one", 0);
    int fd = dup(cache_fd(c));
    struct cache *again = cache_open(fd, 3);
    assert_non_null(again);
    assert_string_equal(got(again, "a"), "one");
    put(again, "b", "two", 0);
    assert_string_equal(got(c, "b"), "two");
    cache_free(again);
    assert_string_equal(got(c, "b"), "two");
    assert_int_equal(ftruncate(cache_fd(c), 0), -1); // sealed
    assert_int_equal(errno, EPERM);
}

static void other_memory_is_refused(void **state)
{
    static const struct {
        size_t at; // a byte that is changed
        off_t size;
    } rows[] = {{0, 0}, {8, 0}, {16, 0}, {SIZE_MAX, CACHE_BYTES_MIN * 2}, {SIZE_MAX, 100}};
    struct cache *c = *state;
    char head[64];
    assert_int_equal(pread(cache_fd(c), head, sizeof head, 0), sizeof head);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char bytes[64];
        int fd = memfd_create("test", 0);
        memcpy(bytes, head, sizeof bytes);
        if (rows[i].at != SIZE_MAX)
            bytes[rows[i].at] ^= 1;
        assert_int_equal(pwrite(fd, bytes, sizeof bytes, 0), sizeof bytes);
        assert_int_equal(ftruncate(fd, rows[i].size ? rows[i].size : CACHE_BYTES_MIN), 0);
        assert_null(cache_open(fd, 1));
        assert_int_equal(errno, EPROTO);
        assert_int_equal(close(fd), 0);
    }
    assert_null(cache_open(-1, 1));
    assert_int_equal(errno, EBADF);
}

static void put_text(struct cache *c, const char *key, const char *text)
{
    struct cache_value v = {CACHE_STRING, str_z(text), 0, 0};
    assert_int_equal(cache_set(c, str_z(key), &v), CACHE_OK);
}

static bool has(struct cache *c, const char *key)
{
    struct buf b;
    enum cache_kind kind;
    buf_init(&b, 1000);
    enum cache_result r = cache_get(c, str_z(key), &kind, &b);
    buf_fini(&b);
    return r == CACHE_OK;
}

static void a_death_takes_nothing_of_what_is_sound(void **state)
{
    struct cache *c = *state;
    put_text(c, "a", "b");
    assert_int_equal(cache_worker_died(c, 0), CACHE_TENDED);
    assert_true(has(c, "a"));
}

// A process that takes the lock, and does not give it back while it lives.
static pid_t hold_for_ever(struct cache_shard *s)
{
    int held[2];
    char byte = 0;
    assert_int_equal(pipe(held), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (pthread_mutex_lock(&s->lock) == 0 && write(held[1], &byte, 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(held[0], &byte, 1), 1);
    close(held[0]), close(held[1]);
    return pid;
}

// What a worker may have left where its master has to look. The process that does it; 0: it is over.
static pid_t damage(struct cache *c, int how)
{
    struct cache_shard *s = &c->shard[0];
    switch (how) {
    case 0:
        memset(&s->lock, 0xff, sizeof s->lock);
        break;
    case 1:
        memset(&s->lock, 0x5a, sizeof s->lock);
        break;
    case 2:
        memset(s, 0xa5, sizeof *s);
        break;
    case 3:
        memset(c->region, 0xff, (size_t)((char *)c->block - (char *)c->region));
        break;
    case 4:
        memset(s, 0x81, c->size - (size_t)((char *)s - (char *)c->region));
        break;
    default:
        return hold_for_ever(s);
    }
    return 0;
}

static void a_damaged_cache_begins_empty_and_its_master_lives(void **state)
{
    (void)state;
    for (int how = 0; how < 6; how++) {
        struct cache *c = cache_new(CACHE_BYTES_MIN, 2);
        assert_non_null(c);
        put_text(c, "a", "b");
        pid_t pid = damage(c, how);
        assert_int_equal(cache_worker_died(c, 0), CACHE_EMPTIED);
        assert_false(has(c, "a"));
        put_text(c, "a", "b");
        assert_true(has(c, "a"));
        assert_null(cache_check(c));
        assert_int_equal(cache_worker_died(c, 1), CACHE_TENDED);
        if (pid)
            kill(pid, SIGKILL);
        assert_true(pid == 0 || waitpid(pid, NULL, 0) == pid);
        cache_free(c);
    }
}

// The tender has asked for the lock of a shard while its holder lives: that says nothing against the memory.
static void a_lock_that_is_kept_is_no_damage(void **state)
{
    struct cache *c = *state;
    uint32_t shard = 99;
    put_text(c, "a", "b");
    pid_t pid = hold_for_ever(&c->shard[0]);
    cache_note_death(c, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tend_once(c, &shard), CACHE_HELD);
        assert_int_equal(shard, 0);
        assert_int_equal(cache_holder(c, 0), pid);
    }
    assert_int_equal(cache_holder(c, c->shards), 0); // there is none
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(tend_once(c, &shard), CACHE_TENDED);
    assert_int_equal(cache_holder(c, 0), 0);
    assert_false(cache_is_due(c));
    assert_false(has(c, "a")); // its holder died
    assert_null(cache_check(c));
}

static void the_holder_is_what_the_word_of_the_lock_says(void **state)
{
    static const struct {
        unsigned word;
        pid_t holder;
    } rows[] = {{0, 0},
                {1234, 1234},
                {FUTEX_WAITERS | 1234, 1234},
                {FUTEX_OWNER_DIED, 0},
                {FUTEX_OWNER_DIED | FUTEX_WAITERS, 0},
                {FUTEX_WAITERS, -1}};
    struct cache *c = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        c->shard[0].lock.__data.__lock = (int)rows[i].word;
        assert_int_equal(cache_holder(c, 0), rows[i].holder);
    }
    c->shard[0].lock.__data.__lock = 0;
}

// By an administrator, or for want of memory.
static void a_tender_that_is_killed_is_no_damage(void **state)
{
    struct cache *c = *state;
    enum cache_tended what;
    uint32_t shard;
    int status;
    put_text(c, "a", "b");
    pid_t holder = hold_for_ever(&c->shard[0]);
    cache_note_death(c, 0);
    assert_int_equal(cache_tend(c), 0);
    assert_int_equal(cache_tend(c), 0); // one at a time
    pid_t pid = c->tender;
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_false(cache_tender_ended(c, holder, status, &what, &shard));
    assert_true(cache_tender_ended(c, pid, status, &what, &shard));
    assert_int_equal(what, CACHE_UNTENDED);
    assert_true(cache_is_due(c));
    kill(holder, SIGKILL);
    assert_int_equal(waitpid(holder, NULL, 0), holder);
    assert_int_equal(tend_once(c, &shard), CACHE_TENDED);
}

static void deaths_while_one_is_tended_are_due_after_it(void **state)
{
    struct cache *c = *state;
    enum cache_tended what;
    uint32_t shard;
    int status;
    cache_note_death(c, 0);
    assert_int_equal(cache_tend(c), 0);
    cache_note_death(c, 1);
    assert_false(cache_is_due(c));
    pid_t pid = c->tender;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(cache_tender_ended(c, pid, status, &what, &shard));
    assert_int_equal(what, CACHE_TENDED);
    assert_true(cache_is_due(c));
    assert_int_equal(tend_once(c, &shard), CACHE_TENDED);
    assert_false(cache_is_due(c));
}

// A process that has a lock in the old memory finds that as it was.
static void new_memory_leaves_the_old_to_who_has_it(void **state)
{
    struct cache *c = *state;
    put_text(c, "a", "b");
    struct cache *old = cache_open(dup(cache_fd(c)), 1);
    assert_non_null(old);
    assert_int_equal(cache_renew(c), 0);
    assert_false(has(c, "a"));
    assert_true(has(old, "a"));
    put_text(c, "c", "d");
    assert_false(has(old, "c"));
    assert_null(cache_check(c));
    struct cache *again = cache_open(dup(cache_fd(c)), 1); // as a successor does
    assert_non_null(again);
    assert_true(has(again, "c"));
    cache_free(again);
    cache_free(old);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_set_is_found),
        TEST(add_sets_what_is_not_there),
        TEST(lengths_come_back_whole),
        TEST(keys_differ_by_any_byte),
        TEST(time_ends_a_value),
        TEST(numbers_are_added),
        TEST(a_number_keeps_its_time_and_its_kind),
        TEST(a_full_cache_forgets_the_least_recently_used),
        TEST(what_expired_gives_way_without_being_an_eviction),
        TEST(what_is_too_large_is_refused_and_the_old_value_gone),
        TEST(a_long_story_agrees_with_a_model),
        cmocka_unit_test(every_size_has_its_geometry),
        TEST(its_memory_can_be_mapped_again),
        TEST(other_memory_is_refused),
        TEST(a_death_takes_nothing_of_what_is_sound),
        TEST(a_damaged_cache_begins_empty_and_its_master_lives),
        TEST(a_lock_that_is_kept_is_no_damage),
        TEST(the_holder_is_what_the_word_of_the_lock_says),
        TEST(a_tender_that_is_killed_is_no_damage),
        TEST(deaths_while_one_is_tended_are_due_after_it),
        TEST(new_memory_leaves_the_old_to_who_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
