// Multipart bodies from arbitrary bytes. The first line of the input is the Content-Type, the rest
// the body: parsed whole, a byte at a time when it is short, and cut at places that the input itself
// decides, and all must tell the same story. Every header block is read. One input in four meets
// limits so small that it runs into them.
// sources: src/base/*.c src/http/multipart*.c src/http/params.c src/http/h1_parse.c
// sources: src/http/h1_framing.c src/http/h1_chunked.c src/http/method.c
#include "fuzz/multipart_driver.h"

#include <stdlib.h>

#include "http/h1_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SHORT = 256 };

static struct multipart_transcript whole, pieces;

// ---- header blocks

static void check_text(struct str s, const char *dst, size_t room)
{
    assert(s.p >= dst && s.p + s.n <= dst + room);
}

static void check_filename(struct str name)
{
    assert(!str_eq(name, STR(".")) && !str_eq(name, STR("..")));
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        assert(c >= 0x20 && c != 0x7f && c != '/' && c != '\\');
    }
}

// A head that was taken: its lines are fields, and Content-Disposition is one of them, once.
static void check_fields(struct str block, const struct multipart_head *head)
{
    struct str rest = block, name, value;
    int dispositions = 0, types = 0;
    while (multipart_field(&rest, &name, &value)) {
        assert(h1_is_token(name) && h1_is_field_value(value) && str_trim(value).n == value.n);
        dispositions += str_ieq(name, STR("Content-Disposition"));
        bool is_type = str_ieq(name, STR("Content-Type"));
        assert(!is_type || value.p == head->content_type.p);
        types += is_type;
    }
    assert(rest.n == 0 && dispositions == 1 && types == (head->content_type.p != NULL));
}

// The block and the room for its texts are of exactly the sizes that are promised.
static void check_head(struct str block)
{
    char *copy = malloc(block.n + !block.n), *dst = malloc(2 * block.n + !block.n);
    struct multipart_head head;
    memcpy(copy, block.p, block.n);
    const char *why = multipart_head(str_of(copy, block.n), dst, &head);
    if (why) {
        assert(*why);
    } else {
        check_text(head.name, dst, 2 * block.n);
        assert(h1_is_field_value(head.name));
        if (head.filename.p) {
            check_text(head.filename, dst, 2 * block.n);
            check_filename(head.filename);
        }
        check_fields(str_of(copy, block.n), &head);
    }
    free(copy);
    free(dst);
}

static void check_heads(struct str boundary, const struct multipart_limits *limits, struct str body)
{
    struct multipart m;
    enum multipart_event e;
    bool taken = multipart_init(&m, boundary, limits);
    assert(taken);
    do {
        struct str data, rest = str_of(body.p + m.at, body.n - (size_t)m.at);
        size_t consumed;
        e = multipart_parse(&m, rest, &consumed, &data);
        if (e == MULTIPART_HEAD)
            check_head(str_of(body.p + m.head_at, m.head_n));
    } while (e != MULTIPART_MORE && e != MULTIPART_BAD);
}

// ---- bodies

static void compare(struct str boundary, const struct multipart_limits *limits, struct str body,
                    h1_cut_fn *cut, void *arg)
{
    multipart_drive(&pieces, boundary, limits, body, cut, arg);
    if (multipart_transcripts_equal(&whole, &pieces))
        return;
    fprintf(stderr, "whole: \"%.*s\"\nin pieces: \"%.*s\"\n", (int)whole.n, whole.text,
            (int)pieces.n, pieces.text);
    abort();
}

// The boundary of the field; "b" when it has none.
static struct str find_boundary(struct str field, char room[static MULTIPART_BOUNDARY_MAX])
{
    int n = multipart_boundary(field, room);
    assert(n >= -1 && n <= MULTIPART_BOUNDARY_MAX);
    return n > 0 ? str_of(room, (size_t)n) : STR("b");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct multipart_limits usual = {100, 8192, 100}, small = {2, 60, 2};
    const struct multipart_limits *limits = size % 4 ? &usual : &small;
    struct str body = str_of((const char *)data, size), field;
    char room[MULTIPART_BOUNDARY_MAX];
    str_split(&body, '\n', &field);
    if (!body.p || body.n > MULTIPART_STREAM_MAX)
        return 0;
    struct str boundary = find_boundary(field, room);
    uint64_t seed = h1_hash(H1_HASH_START, body) | 1;
    multipart_drive(&whole, boundary, limits, body, h1_cut_none, NULL);
    if (body.n <= SHORT)
        compare(boundary, limits, body, h1_cut_bytes, NULL);
    compare(boundary, limits, body, h1_cut_random, &seed);
    check_heads(boundary, limits, body);
    check_head(body);
    return 0;
}
