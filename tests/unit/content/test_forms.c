// Coded forms: what is kept, for how long, and what it may take.
#include "content/forms.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
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

static void the_bound_holds(void **unused)
{
    (void)unused;
    struct forms *f = forms_new(50000);
    char key[16];
    unsigned kept = 0, bytes = 0;
    srand(1);
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "k%d", rand() % 400);
        put(f, key, (size_t)rand() % 3000 + 1, 'x');
    }
    for (int i = 0; i < 400; i++) {
        snprintf(key, sizeof key, "k%d", i);
        const struct form *form = forms_get(f, str_z(key));
        if (!form)
            continue;
        kept++;
        bytes += (unsigned)form->bytes.n;
        form_close(form);
    }
    assert_true(kept > 10 && bytes <= 50000);
    forms_free(f);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_not_asked_for_goes_first),
        cmocka_unit_test(the_bound_holds),
        cmocka_unit_test(too_long_a_text_is_not_kept),
        cmocka_unit_test(what_is_lent_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
