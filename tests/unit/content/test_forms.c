// Coded forms: what is kept, for how long, and what it may take. The files are part of this one, so
// that their memory can be counted and refused.
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>

static long allocations_left = -1; // the one after these fails, and all later ones; -1: none does
static size_t held_bytes;

static bool may_allocate(void)
{
    if (allocations_left > 0)
        allocations_left--;
    else if (allocations_left == 0)
        return false;
    return true;
}

static void *count_in(void *p)
{
    held_bytes += p ? malloc_usable_size(p) : 0;
    return p;
}

static void *test_forms_malloc(size_t n)
{
    return may_allocate() ? count_in(malloc(n)) : NULL;
}

static void *test_forms_calloc(size_t count, size_t n)
{
    return may_allocate() ? count_in(calloc(count, n)) : NULL;
}

static void *test_forms_realloc(void *p, size_t n)
{
    if (!may_allocate())
        return NULL;
    held_bytes -= p ? malloc_usable_size(p) : 0;
    return count_in(realloc(p, n));
}

static void test_forms_free(void *p)
{
    held_bytes -= p ? malloc_usable_size(p) : 0;
    free(p);
}

#define malloc test_forms_malloc
#define calloc test_forms_calloc
#define realloc test_forms_realloc
#define free test_forms_free
#include "../../../src/base/buf.c"
#include "../../../src/base/map.c"
#include "../../../src/content/forms.c"
#undef malloc
#undef calloc
#undef realloc
#undef free

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void put(struct forms *f, const char *key, size_t n, char fill)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    char *p = buf_room(&text, n);
    memset(p, fill, n);
    buf_added(&text, n);
    forms_put(f, str_z(key), &text);
    assert_null(text.p);
}

// The byte that the form is full of; 0: there is none.
static char held(struct forms *f, const char *key, size_t n)
{
    const struct form *form = forms_get(f, str_z(key));
    if (!form)
        return 0;
    assert_int_equal(form->bytes.n, n);
    char fill = form->bytes.p[0];
    assert_int_equal(form->bytes.p[n - 1], fill);
    form_close(form);
    return fill;
}

static void what_was_not_asked_for_goes_first(void **unused)
{
    (void)unused;
    struct forms *f = forms_new(10000);
    char key[16];
    for (int i = 0; i < 8; i++) {
        snprintf(key, sizeof key, "%d", i);
        put(f, key, 1000, (char)('a' + i));
    }
    assert_int_equal(held(f, "0", 1000), 'a'); // and is now the newest
    put(f, "8", 1000, 'i');
    put(f, "9", 1000, 'j');
    assert_int_equal(held(f, "0", 1000), 'a');
    assert_int_equal(held(f, "1", 1000), 0);
    assert_int_equal(held(f, "9", 1000), 'j');
    forms_free(f);
}

enum { KEYS = 400, STORE = 50000 };

// What a store should hold: the length of each key's text, newest first.
static struct {
    int key;
    size_t n;
} model[KEYS];
static int model_count;

static void model_remove(int key)
{
    int to = 0;
    for (int i = 0; i < model_count; i++)
        if (model[i].key != key)
            model[to++] = model[i];
    model_count = to;
}

static void model_put(int key, size_t n)
{
    model_remove(key);
    if (n > STORE / 8)
        return;
    memmove(model + 1, model, (size_t)model_count++ * sizeof model[0]);
    model[0].key = key;
    model[0].n = n;
    size_t used = 0;
    for (int i = 0; i < model_count; i++) {
        used += sizeof(struct entry) + 4 + model[i].n; // keys are "k000"
        if (used > STORE)
            model_count = i;
    }
}

static void the_store_is_the_model(const struct forms *f)
{
    char name[16];
    size_t used = 0;
    int i = 0;
    for (const struct entry *e = f->newest; e; e = e->older, i++) {
        assert_true(i < model_count);
        snprintf(name, sizeof name, "k%03d", model[i].key);
        assert_true(str_eq(e->link.key, str_z(name)));
        assert_int_equal(e->form.bytes.n, model[i].n);
        assert_int_equal(e->text.cap, model[i].n); // nothing unused is kept
        used += sizeof *e + e->link.key.n + e->text.cap;
    }
    assert_int_equal(i, model_count);
    assert_int_equal(f->map.count, model_count);
    assert_int_equal(f->used, used);
    assert_true(used <= STORE);
}

static void thousands_of_steps_keep_to_bound_and_order(void **unused)
{
    (void)unused;
    struct forms *f = forms_new(STORE);
    int most = 0;
    srand(1);
    model_count = 0;
    for (int i = 0; i < 5000; i++) {
        char name[16];
        int key = rand() % KEYS;
        snprintf(name, sizeof name, "k%03d", key);
        if (i % 3) {
            size_t n = (size_t)rand() % (i % 50 ? 1500 : STORE / 4) + 1;
            put(f, name, n, 'x');
            model_put(key, n);
        } else {
            const struct form *form = forms_get(f, str_z(name));
            int at = 0;
            while (at < model_count && model[at].key != key)
                at++;
            assert_int_equal(form != NULL, at < model_count);
            if (form) {
                model_put(key, form->bytes.n);
                form_close(form);
            }
        }
        the_store_is_the_model(f);
        // The allocator's own rounding, and the buckets of the map, are beside the bound.
        assert_true(held_bytes <= STORE + (size_t)model_count * 64 + 16 * 1024);
        most = model_count > most ? model_count : most;
    }
    assert_true(most > 40);
    forms_free(f);
    assert_int_equal(held_bytes, 0);
}

static void too_long_a_text_is_not_kept(void **unused)
{
    (void)unused;
    struct forms *f = forms_new(8000);
    assert_int_equal(forms_largest(f), 1000);
    put(f, "a", 1001, 'a');
    assert_int_equal(held(f, "a", 1001), 0);
    put(f, "a", 1000, 'b');
    assert_int_equal(held(f, "a", 1000), 'b');
    put(f, "a", 1001, 'c'); // what was there is of another time
    assert_int_equal(held(f, "a", 1000), 0);
    forms_free(f);
}

static void what_is_lent_stays(void **unused)
{
    (void)unused;
    struct forms *f = forms_new(8000);
    put(f, "a", 900, 'a');
    const struct form *lent = forms_get(f, STR("a")), *twice = forms_get(f, STR("a"));
    put(f, "a", 900, 'b');
    assert_int_equal(held(f, "a", 900), 'b');
    assert_int_equal(lent->bytes.p[899], 'a');
    form_close(twice);
    forms_free(f);
    assert_int_equal(lent->bytes.p[899], 'a');
    form_close(lent);
}

static void what_is_lent_survives_those_that_push_it_out(void **unused)
{
    (void)unused;
    struct forms *f = forms_new(8000);
    put(f, "a", 900, 'a');
    const struct form *lent = forms_get(f, STR("a"));
    for (int i = 0; i < 20; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        put(f, key, 900, 'x');
    }
    assert_int_equal(held(f, "a", 900), 0);
    put(f, "a", 900, 'b');
    for (int i = 0; i < 900; i++)
        assert_int_equal(lent->bytes.p[i], 'a');
    form_close(lent);
    assert_int_equal(held(f, "a", 900), 'b');
    forms_free(f);
    assert_int_equal(held_bytes, 0);
}

static void what_can_never_fit_pushes_nothing_out(void **unused)
{
    static char long_key[9000];
    struct buf text;
    (void)unused;
    struct forms *f = forms_new(8000);
    put(f, "a", 900, 'a');
    buf_init(&text, 1 << 20);
    assert_true(buf_addc(&text, 'x'));
    forms_put(f, str_of(long_key, sizeof long_key), &text);
    assert_null(text.p);
    assert_int_equal(held(f, "a", 900), 'a');
    assert_non_null(buf_room(&text, 100000)); // empty, but with much memory
    forms_put(f, STR("b"), &text);
    assert_null(text.p);
    assert_int_equal(held(f, "a", 900), 'a');
    forms_free(f);
    assert_int_equal(held_bytes, 0);
}

// With memory for 0, 1, 2 … of the allocations that a put makes: the text is kept or given back.
static void without_memory_it_is_not_kept(void **unused)
{
    (void)unused;
    bool kept = false;
    allocations_left = 0;
    assert_null(forms_new(8000));
    allocations_left = -1;
    for (long n = 0; !kept; n++) {
        struct buf text;
        assert_true(n < 10);
        struct forms *f = forms_new(8000);
        buf_init(&text, 1 << 20);
        memset(buf_room(&text, 700), 'a', 700);
        buf_added(&text, 700);
        allocations_left = n;
        forms_put(f, STR("a"), &text);
        allocations_left = -1;
        assert_null(text.p);
        kept = held(f, "a", 700) == 'a';
        assert_true(kept || (f->used == 0 && !f->newest && !f->oldest));
        put(f, "b", 900, 'b');
        assert_int_equal(held(f, "b", 900), 'b');
        forms_free(f);
        assert_int_equal(held_bytes, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_not_asked_for_goes_first),
        cmocka_unit_test(thousands_of_steps_keep_to_bound_and_order),
        cmocka_unit_test(too_long_a_text_is_not_kept),
        cmocka_unit_test(what_is_lent_stays),
        cmocka_unit_test(what_is_lent_survives_those_that_push_it_out),
        cmocka_unit_test(what_can_never_fit_pushes_nothing_out),
        cmocka_unit_test(without_memory_it_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
