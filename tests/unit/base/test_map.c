// The seeded map: what is added is found, what is removed is not, and the hash is the published one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/map.h"

enum { MANY = 1000 };

static struct map_link links[MANY];
static char names[MANY][16];

static struct str name_of(int i)
{
    return str_of(names[i], (size_t)snprintf(names[i], sizeof names[i], "/file-%d", i));
}

static void finds_what_was_added(void **state)
{
    (void)state;
    struct map m;
    assert_true(map_init(&m, MANY));
    assert_null(map_find(&m, STR("/file-0")));
    for (int i = 0; i < MANY; i++) {
        assert_true(map_add(&m, &links[i], name_of(i)));
        assert_int_equal(m.count, i + 1);
    }
    for (int i = 0; i < MANY; i++) {
        char copy[16]; // another place, the same bytes
        memcpy(copy, names[i], sizeof copy);
        assert_ptr_equal(map_find(&m, str_of(copy, strlen(copy))), &links[i]);
    }
    assert_null(map_find(&m, STR("/file-1000")));
    assert_null(map_find(&m, STR("/FILE-1")));
    assert_null(map_find(&m, STR("")));
    map_fini(&m);
    assert_null(map_find(&m, STR("/file-0")));
}

static void forgets_what_was_removed(void **state)
{
    (void)state;
    struct map m;
    assert_true(map_init(&m, MANY));
    for (int i = 0; i < MANY; i++)
        assert_true(map_add(&m, &links[i], name_of(i)));
    for (int i = 0; i < MANY; i += 3)
        map_remove(&m, &links[i]);
    for (int i = 0; i < MANY; i++)
        assert_ptr_equal(map_find(&m, name_of(i)), i % 3 ? &links[i] : NULL);
    for (int i = 0; i < MANY; i += 3)
        assert_true(map_add(&m, &links[i], name_of(i)));
    assert_int_equal(m.count, MANY);
    assert_ptr_equal(map_find(&m, STR("/file-999")), &links[999]);
    map_fini(&m);
}

static void holds_its_maximum_and_no_more(void **state)
{
    (void)state;
    struct map m;
    assert_true(map_init(&m, 2));
    assert_true(map_add(&m, &links[0], STR("a")));
    assert_true(map_add(&m, &links[1], STR("b")));
    assert_false(map_add(&m, &links[2], STR("c")));
    assert_null(map_find(&m, STR("c")));
    map_remove(&m, &links[0]);
    assert_true(map_add(&m, &links[2], STR("c")));
    map_fini(&m);
}

// The empty key is a key, and a NUL is a byte like any other.
static void any_bytes_are_a_key(void **state)
{
    (void)state;
    static const struct str keys[] = {STR(""), STR("\0"), STR("\0\0"), STR("a\0b"), STR("a\0c")};
    struct map m;
    assert_true(map_init(&m, 5));
    for (int i = 0; i < 5; i++)
        assert_true(map_add(&m, &links[i], keys[i]));
    for (int i = 0; i < 5; i++)
        assert_ptr_equal(map_find(&m, keys[i]), &links[i]);
    map_fini(&m);
}

// The values that CPython 3.11 gives for the bytes 00 01 02 … under the key 0, which it uses with
// PYTHONHASHSEED=0: hash(bytes(range(n))); and the published ones of "" and 00 under 00 01 … 0f.
static void the_hash_is_siphash(void **state)
{
    (void)state;
    static const struct {
        uint64_t seed[2];
        size_t n;
        uint64_t hash;
    } vectors[] = {
        {{0x0706050403020100, 0x0f0e0d0c0b0a0908}, 0, 0xabac0158050fc4dc},
        {{0x0706050403020100, 0x0f0e0d0c0b0a0908}, 1, 0xc9f49bf37d57ca93},
        {{0, 0}, 1, 0x68a914128e01e473},
        {{0, 0}, 7, 0x2f098ab0c751325a},
        {{0, 0}, 8, 0xead411e67ebe2eea},
        {{0, 0}, 9, 0x75927f9d95124362},
        {{0, 0}, 15, 0xf30eb725bb91c9ea},
        {{0, 0}, 16, 0x8972188433a5c5b7},
        {{0, 0}, 31, 0x169739443111d49b},
    };
    char message[31];
    for (size_t i = 0; i < sizeof message; i++)
        message[i] = (char)i;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        struct map m;
        assert_true(map_init(&m, 1));
        memcpy(m.seed, vectors[i].seed, sizeof m.seed);
        assert_true(map_add(&m, &links[0], str_of(message, vectors[i].n)));
        assert_int_equal(links[0].hash, vectors[i].hash);
        map_fini(&m);
    }
}

// Two maps do not share a seed: nobody can learn from one what happens in another.
static void every_map_has_its_own_seed(void **state)
{
    (void)state;
    struct map a, b;
    assert_true(map_init(&a, 1));
    assert_true(map_init(&b, 1));
    assert_true(map_add(&a, &links[0], STR("/index.html")));
    assert_true(map_add(&b, &links[1], STR("/index.html")));
    assert_true(links[0].hash != links[1].hash);
    map_fini(&a);
    map_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_added),
        cmocka_unit_test(forgets_what_was_removed),
        cmocka_unit_test(holds_its_maximum_and_no_more),
        cmocka_unit_test(any_bytes_are_a_key),
        cmocka_unit_test(the_hash_is_siphash),
        cmocka_unit_test(every_map_has_its_own_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
