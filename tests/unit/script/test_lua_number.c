// The text of Lua's integers is what C's snprintf would write, whoever asks for it.
#include "codec_test.h"

int __wrap___snprintf_chk(char *dst, size_t size, int flag, size_t known, const char *format, ...);

static void test_in_lua(void **state)
{
    (void)state;
    static const struct snippet cases[] = {
        {"0", "0"},
        {"'' .. 7", "7"},
        {"'' .. -7", "-7"},
        {"10 .. '|' .. 99 .. '|' .. 100", "10|99|100"},
        {"tostring(math.maxinteger)", "9223372036854775807"},
        {"tostring(math.mininteger)", "-9223372036854775808"},
        {"table.concat({1, -20, 300}, ',')", "1,-20,300"},
        {"3.0 .. ''", "3.0"},
        {"-0.0 .. ''", "-0.0"},
        {"1e100 .. ''", "1e+100"},
        {"('%d|%5d|%-3d|%03d|%x'):format(-12, 34, 5, 6, 255)", "-12|   34|5  |006|ff"},
        {"(function() for i = 0, 62 do for _, d in ipairs { -1, 0, 1 } do "
         "for _, v in ipairs { (1 << i) + d, -(1 << i) + d } do "
         "if tostring(v) ~= ('%1d'):format(v) then return v end end end end return 'same' end)()",
         "same"},
    };
    run_snippets(cases, COUNT(cases), ALL_VALUES);
}

// Where there is no room for the longest one it is cut as ever.
static void test_little_room(void **state)
{
    (void)state;
    char text[32];
    static const struct {
        size_t size;
        long long value;
        const char *want;
        int length;
    } rows[] = {
        {32, -123, "-123", 4},
        {21, INT64_MIN, "-9223372036854775808", 20},
        {20, INT64_MIN, "-922337203685477580", 20},
        {3, 12345, "12", 5},
        {1, 7, "", 1},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        memset(text, '#', sizeof text);
        int n = __wrap___snprintf_chk(text, rows[i].size, 1, sizeof text, "%lld", rows[i].value);
        assert_int_equal(n, rows[i].length);
        assert_string_equal(text, rows[i].want);
        if (rows[i].size < sizeof text)
            assert_int_equal(text[rows[i].size], '#');
    }
    assert_int_equal(__wrap___snprintf_chk(text, 32, 1, 32, "%lld-%s", 5ll, "x"), 3);
    assert_string_equal(text, "5-x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_lua),
        cmocka_unit_test(test_little_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
