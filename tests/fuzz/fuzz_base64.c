// Base64 from arbitrary bytes: what is accepted is exactly what encoding gives, and every string of
// bytes comes back.
#include "base/base64.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(struct str bytes, enum base64_form form)
{
    size_t n = base64_length(bytes.n, form);
    char *text = malloc(n + !n);
    assert(base64_encode(text, bytes, form) == n);
    ptrdiff_t back = base64_decode(text, str_of(text, n), form); // in place
    assert(back >= 0 && str_eq(str_of(text, (size_t)back), bytes));
    free(text);
}

static void check_strict(struct str text, enum base64_form form)
{
    char *bytes = malloc(text.n / 4 * 3 + 2);
    ptrdiff_t n = base64_decode(bytes, text, form);
    if (n < 0) {
        assert((size_t)(-1 - n) <= text.n);
    } else {
        char *again = malloc(text.n + !text.n);
        assert(base64_length((size_t)n, form) == text.n);
        base64_encode(again, str_of(bytes, (size_t)n), form);
        assert(str_eq(str_of(again, text.n), text));
        free(again);
    }
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = str_of((const char *)data, size);
    for (enum base64_form form = BASE64_STANDARD; form <= BASE64_URL; form++) {
        check_round_trip(input, form);
        check_strict(input, form);
    }
    return 0;
}
