// Multipart bodies as they arrive: positions, sizes and digests of their parts.
#include "http/upload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct multipart_limits usual = {.parts = 3, .head_bytes = 100, .fields = 2};

static struct upload *fed(const char *type, const char *body, size_t step)
{
    struct upload *u;
    assert_null(upload_new(str_z(type), &usual, &u));
    assert_non_null(u);
    for (size_t n = strlen(body), at = 0; at < n; at += step)
        upload_add(u, str_of(body + at, step < n - at ? step : n - at));
    upload_end(u);
    return u;
}

static const char FORM[] = "multipart/form-data; boundary=b";

static void parts_are_found(void **unused)
{
    static const char body[] = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nabc\r\n"
                               "--b\r\nContent-Disposition: form-data; name=b\r\n\r\n\r\n--b--\r\n";
    static const char abc[] = "ba7816bf", nothing[] = "e3b0c442"; // SHA-256, the first bytes
    (void)unused;
    for (size_t step = 1; step < sizeof body; step++) {
        const char *why;
        uint64_t at;
        char hex[16];
        struct upload *u = fed(FORM, body, step);
        assert_int_equal(upload_fault(u, &why, &at), 0);
        assert_int_equal(upload_count(u), 2);
        const struct upload_part *p = upload_part(u, 0);
        assert_int_equal(p->head_at, 5);
        assert_int_equal(p->size, 3);
        assert_memory_equal(body + p->body_at, "abc", 3);
        assert_memory_equal(body + p->head_at + p->head_n - 2, "\r\n", 2);
        snprintf(hex, sizeof hex, "%02x%02x%02x%02x", p->sha256[0], p->sha256[1], p->sha256[2],
                 p->sha256[3]);
        assert_string_equal(hex, abc);
        p = upload_part(u, 1);
        assert_int_equal(p->size, 0);
        snprintf(hex, sizeof hex, "%02x%02x%02x%02x", p->sha256[0], p->sha256[1], p->sha256[2],
                 p->sha256[3]);
        assert_string_equal(hex, nothing);
        upload_free(u);
    }
}

static void other_types_have_no_parts(void **unused)
{
    struct upload *u;
    (void)unused;
    assert_null(upload_new(STR("text/plain; boundary=b"), &usual, &u));
    assert_null(u);
    assert_null(upload_new(str_of(NULL, 0), &usual, &u));
    assert_null(u);
    upload_free(NULL);
}

#define HEAD "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n"
#define HEAD_100 \
    "1234567890123456789012345678901234567890123456789012345678901234567890123456789012345"

static void faults_have_a_status_and_a_place(void **unused)
{
    static const struct {
        const char *type, *body;
        unsigned status;
    } cases[] = {
        {"multipart/form-data", "--b--", 400},
        {"multipart/form-data; boundary=\"\"", "--b--", 400},
        {FORM, "", 400},
        {FORM, HEAD "x", 400},
        {FORM, HEAD "x\r\n--bx", 400},
        {FORM, HEAD "\r\n" HEAD "\r\n" HEAD "\r\n--b--", 0},
        {FORM, HEAD "\r\n" HEAD "\r\n" HEAD "\r\n" HEAD "\r\n--b--", 413},
        {FORM, "--b\r\nA:\r\nB:\r\nC:\r\n\r\n\r\n--b--", 413},
        {FORM, "--b\r\nX: " HEAD_100 HEAD_100 "\r\n\r\n\r\n--b--", 413},
        {FORM, "--b--\r\nepilogue " HEAD, 0},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *why = NULL;
        uint64_t at;
        struct upload *u = fed(cases[i].type, cases[i].body, 7);
        unsigned status = upload_fault(u, &why, &at);
        if (status != cases[i].status)
            fail_msg("%s: %u, %s", cases[i].body, status, why ? why : "");
        assert_true(at <= strlen(cases[i].body));
        if (status)
            assert_true(why && *why);
        upload_free(u);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_found),
        cmocka_unit_test(other_types_have_no_parts),
        cmocka_unit_test(faults_have_a_status_and_a_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
