// Conditional requests: entity tags, dates, and which field wins.
#include "http/conditions.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define SAME "Sun, 06 Nov 1994 08:49:37 GMT"
#define EARLIER "Sun, 06 Nov 1994 08:49:36 GMT"
#define LATER "Sun, 06 Nov 1994 08:49:38 GMT"

enum { CHANGED = 784111777, NOW = 1795383000 };

static const struct validators strong = {STR("\"v,1\""), CHANGED, NOW, false};
static const struct validators weak = {STR("W/\"v,1\""), CHANGED, NOW, false};
static const struct validators none = {{NULL, 0}, -1, NOW, false};
static const struct validators bad_tag = {STR("v1"), CHANGED, NOW, false};

static void reads_lists_of_tags(void **state)
{
    static const struct {
        struct str list;
        bool strong, weak; // holds "v,1" by either comparison
    } cases[] = {
        {STR("\"v,1\""), true, true},
        {STR("W/\"v,1\""), false, true},
        {STR("*"), true, true},
        {STR("\"a\", \"v,1\""), true, true},
        {STR("\"v,1\" ,\t\"b\""), true, true},
        {STR("\"a\",W/\"b\",\"v,1\",\"c\""), true, true},
        {STR(", ,\"v,1\",,"), true, true},
        {STR("\"a\", W/\"v,1\""), false, true},
        {STR("\"\xc3\xa9\", \"v,1\""), true, true},
        {STR("\"\", \"v,1\""), true, true},
        {STR("\"a\""), false, false},
        {STR("\"v,1 \""), false, false},
        {STR("\"V,1\""), false, false},
        {STR("\"*\""), false, false},
        {STR(""), false, false},
        {STR(",,,"), false, false},
        // malformed anywhere: matches nothing
        {STR("v,1"), false, false},
        {STR("w/\"v,1\""), false, false},
        {STR("W/ \"v,1\""), false, false},
        {STR("\"v,1\" \"a\""), false, false},
        {STR("\"v,1\"\"a\""), false, false},
        {STR("\"v,1\", junk"), false, false},
        {STR("\"v,1\", \"a"), false, false},
        {STR("\"v,1\", *"), false, false},
        {STR("*, \"v,1\""), false, false},
        {STR("\"v,1"), false, false},
        {STR("\""), false, false},
        {STR("\"v,1\";x"), false, false},
        {STR("\"v,1\", \"a b\""), false, false},
        {STR("\"v,1\", \"a\x7f\""), false, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct conditions match = {.if_match = cases[i].list};
        struct conditions none_match = {.if_none_match = cases[i].list};
        enum verdict want_match = cases[i].strong ? VERDICT_GO : VERDICT_FAILED;
        bool hit = cases[i].weak;
        if (conditions_judge(&match, &strong, true) != want_match ||
            conditions_judge(&match, &strong, false) != want_match)
            fail_msg("If-Match: %.*s", STR_ARG(cases[i].list));
        if (conditions_judge(&none_match, &strong, true) !=
                (hit ? VERDICT_NOT_MODIFIED : VERDICT_GO) ||
            conditions_judge(&none_match, &strong, false) != (hit ? VERDICT_FAILED : VERDICT_GO))
            fail_msg("If-None-Match: %.*s", STR_ARG(cases[i].list));
    }
}

static void compares_with_the_tag_there_is(void **state)
{
    static const struct {
        const struct validators *v;
        struct str list;
        enum verdict match, none_match; // of a GET
    } cases[] = {
        {&weak, STR("\"v,1\""), VERDICT_FAILED, VERDICT_NOT_MODIFIED},
        {&weak, STR("W/\"v,1\""), VERDICT_FAILED, VERDICT_NOT_MODIFIED},
        {&weak, STR("*"), VERDICT_GO, VERDICT_NOT_MODIFIED},
        {&none, STR("\"v,1\""), VERDICT_FAILED, VERDICT_GO},
        {&none, STR("\"\""), VERDICT_FAILED, VERDICT_GO},
        {&none, STR("*"), VERDICT_GO, VERDICT_NOT_MODIFIED},
        {&bad_tag, STR("\"v1\""), VERDICT_FAILED, VERDICT_GO},
        {&bad_tag, STR("v1"), VERDICT_FAILED, VERDICT_GO},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct conditions match = {.if_match = cases[i].list};
        struct conditions none_match = {.if_none_match = cases[i].list};
        assert_int_equal(conditions_judge(&match, cases[i].v, true), cases[i].match);
        assert_int_equal(conditions_judge(&none_match, cases[i].v, true), cases[i].none_match);
    }
}

static void compares_dates(void **state)
{
    static const struct {
        struct str date;
        const struct validators *v;
        enum verdict modified, unmodified; // If-Modified-Since and If-Unmodified-Since of a GET
    } cases[] = {
        {STR(SAME), &strong, VERDICT_NOT_MODIFIED, VERDICT_GO},
        {STR(LATER), &strong, VERDICT_NOT_MODIFIED, VERDICT_GO},
        {STR(EARLIER), &strong, VERDICT_GO, VERDICT_FAILED},
        {STR("Sunday, 06-Nov-94 08:49:37 GMT"), &strong, VERDICT_NOT_MODIFIED, VERDICT_GO},
        {STR("Sun Nov  6 08:49:36 1994"), &strong, VERDICT_GO, VERDICT_FAILED},
        {STR("junk"), &strong, VERDICT_GO, VERDICT_GO},
        {STR(""), &strong, VERDICT_GO, VERDICT_GO},
        {STR(LATER ", " LATER), &strong, VERDICT_GO, VERDICT_GO},
        {STR(EARLIER ", " EARLIER), &strong, VERDICT_GO, VERDICT_GO},
        {STR(SAME), &none, VERDICT_GO, VERDICT_GO},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct conditions modified = {.if_modified_since = cases[i].date};
        struct conditions unmodified = {.if_unmodified_since = cases[i].date};
        if (conditions_judge(&modified, cases[i].v, true) != cases[i].modified)
            fail_msg("If-Modified-Since: %.*s", STR_ARG(cases[i].date));
        if (conditions_judge(&unmodified, cases[i].v, true) != cases[i].unmodified ||
            conditions_judge(&unmodified, cases[i].v, false) != cases[i].unmodified)
            fail_msg("If-Unmodified-Since: %.*s", STR_ARG(cases[i].date));
        assert_int_equal(conditions_judge(&modified, cases[i].v, false), VERDICT_GO);
    }
}

static void fields_have_an_order(void **state)
{
    static const struct str hit = STR("\"v,1\""), miss = STR("\"x\"");
    static const struct {
        struct conditions c;
        enum verdict want; // of a GET
    } cases[] = {
        {{.if_match = {NULL, 0}}, VERDICT_GO},
        // If-Match silences If-Unmodified-Since
        {{.if_match = STR("\"v,1\""), .if_unmodified_since = STR(EARLIER)}, VERDICT_GO},
        {{.if_match = STR("\"x\""), .if_unmodified_since = STR(LATER)}, VERDICT_FAILED},
        // If-None-Match silences If-Modified-Since, also when it is malformed
        {{.if_none_match = STR("\"x\""), .if_modified_since = STR(LATER)}, VERDICT_GO},
        {{.if_none_match = STR("x"), .if_modified_since = STR(LATER)}, VERDICT_GO},
        {{.if_none_match = STR(""), .if_modified_since = STR(LATER)}, VERDICT_GO},
        {{.if_none_match = STR("\"v,1\""), .if_modified_since = STR(EARLIER)},
         VERDICT_NOT_MODIFIED},
        // 412 comes before 304
        {{.if_match = STR("\"x\""), .if_none_match = STR("\"v,1\"")}, VERDICT_FAILED},
        {{.if_match = STR("\"v,1\""), .if_none_match = STR("\"v,1\"")}, VERDICT_NOT_MODIFIED},
        {{.if_unmodified_since = STR(EARLIER), .if_none_match = STR("\"v,1\"")}, VERDICT_FAILED},
        {{.if_unmodified_since = STR(SAME), .if_modified_since = STR(SAME)}, VERDICT_NOT_MODIFIED},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        if (conditions_judge(&cases[i].c, &strong, true) != cases[i].want)
            fail_msg("case %zu", i);
    struct conditions put = {.if_match = hit, .if_none_match = miss};
    assert_int_equal(conditions_judge(&put, &strong, false), VERDICT_GO);
}

static void if_range_wants_the_very_same(void **state)
{
    static const struct validators fresh = {STR("\"v,1\""), CHANGED, CHANGED, false};
    static const struct validators settled = {STR("\"v,1\""), CHANGED, CHANGED + 1, false};
    static const struct {
        struct str field;
        const struct validators *v;
        bool want;
    } cases[] = {
        {{NULL, 0}, &strong, true},
        {STR("\"v,1\""), &strong, true},
        {STR("\"x\""), &strong, false},
        {STR("W/\"v,1\""), &strong, false},
        {STR("\"v,1\""), &weak, false},
        {STR("W/\"v,1\""), &weak, false},
        {STR("\"v,1\""), &none, false},
        {STR("\"x\", \"v,1\""), &strong, false},
        {STR("*"), &strong, false},
        {STR(SAME), &strong, true},
        {STR("Sun Nov  6 08:49:37 1994"), &strong, true},
        {STR(EARLIER), &strong, false},
        {STR(LATER), &strong, false},
        {STR(SAME), &none, false},
        {STR(SAME), &fresh, false},
        {STR(SAME), &settled, true},
        {STR("junk"), &strong, false},
        {STR(""), &strong, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct conditions c = {.if_range = cases[i].field};
        if (conditions_range(&c, cases[i].v) != cases[i].want)
            fail_msg("case %zu, If-Range: %.*s", i, STR_ARG(cases[i].field));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_lists_of_tags),
        cmocka_unit_test(compares_with_the_tag_there_is),
        cmocka_unit_test(compares_dates),
        cmocka_unit_test(fields_have_an_order),
        cmocka_unit_test(if_range_wants_the_very_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
