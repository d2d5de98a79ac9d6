// Multipart bodies as they arrive: see the header.
#include "http/upload.h"

#include "base/libcrypto.h"
#include "base/log.h"

#include <stdlib.h>

struct upload {
    struct multipart parser;
    bool over;          // the parser has said its last word
    bool no_boundary;   // Content-Type had none
    bool out_of_memory; // parts were lost: none counts
    struct upload_part *parts;
    unsigned count, cap;
    EVP_MD_CTX *digest; // of the part under way
};

static const char no_memory[] = "out of memory for its parts";

const char *upload_new(struct str content_type, const struct multipart_limits *l,
                       struct upload **out)
{
    char boundary[MULTIPART_BOUNDARY_MAX];
    int n = multipart_boundary(content_type, boundary);
    *out = NULL;
    if (n == 0)
        return NULL;
    const char *why = libcrypto_load();
    if (why) { // which tells of the system, and so is not for a client
        log_write(LOG_ERROR, "a body's parts have no digests: %s", why);
        return "the server lacks what digests of its parts take";
    }
    struct upload *u = calloc(1, sizeof *u);
    if (!u)
        return no_memory;
    u->no_boundary = n < 0 || !multipart_init(&u->parser, str_of(boundary, (size_t)n), l);
    u->over = u->no_boundary;
    u->digest = libcrypto.EVP_MD_CTX_new();
    if (!u->digest || !libcrypto.EVP_DigestInit_ex(u->digest, libcrypto.EVP_sha256(), NULL)) {
        upload_free(u);
        return no_memory;
    }
    *out = u;
    return NULL;
}

void upload_free(void *upload)
{
    struct upload *u = upload;
    if (!u)
        return;
    libcrypto.EVP_MD_CTX_free(u->digest);
    free(u->parts);
    free(u);
}

static void lose(struct upload *u)
{
    u->out_of_memory = u->over = true;
}

static void begin_part(struct upload *u)
{
    if (u->count == u->cap) {
        unsigned cap = u->cap ? u->cap * 2 : 8;
        struct upload_part *parts = reallocarray(u->parts, cap, sizeof *parts);
        if (!parts) {
            lose(u);
            return;
        }
        u->parts = parts;
        u->cap = cap;
    }
    u->parts[u->count] = (struct upload_part){
        .head_at = u->parser.head_at,
        .head_n = u->parser.head_n,
        .body_at = u->parser.body_at,
    };
    if (!libcrypto.EVP_DigestInit_ex(u->digest, NULL, NULL)) // the same function again
        lose(u);
}

static void end_part(struct upload *u)
{
    struct upload_part *part = &u->parts[u->count];
    part->size = u->parser.body_n;
    if (libcrypto.EVP_DigestFinal_ex(u->digest, part->sha256, NULL))
        u->count++;
    else
        lose(u);
}

// One event of the parser. False when nothing is to be done with what follows.
static bool step(struct upload *u, struct str *bytes)
{
    size_t consumed;
    struct str data;
    enum multipart_event event = multipart_parse(&u->parser, *bytes, &consumed, &data);
    *bytes = str_of(bytes->p + consumed, bytes->n - consumed);
    switch (event) {
    case MULTIPART_HEAD:
        begin_part(u);
        break;
    case MULTIPART_DATA:
        if (!libcrypto.EVP_DigestUpdate(u->digest, data.p, data.n))
            lose(u);
        break;
    case MULTIPART_TAIL:
        end_part(u);
        break;
    case MULTIPART_BAD:
        u->over = true;
        break;
    case MULTIPART_DONE:
        break;
    case MULTIPART_MORE:
        return false;
    }
    return !u->over;
}

void upload_add(void *upload, struct str bytes)
{
    struct upload *u = upload;
    while (!u->over && step(u, &bytes))
        ;
}

void upload_end(struct upload *u)
{
    if (!u->over)
        multipart_end(&u->parser);
    u->over = true;
}

unsigned upload_count(const struct upload *u)
{
    return u->count;
}

const struct upload_part *upload_part(const struct upload *u, unsigned i)
{
    return &u->parts[i];
}

unsigned upload_fault(const struct upload *u, const char **why, uint64_t *at)
{
    *at = 0;
    if (u->out_of_memory) {
        *why = no_memory;
        return 503;
    }
    if (u->no_boundary) {
        *why = "Content-Type has no boundary, or a malformed one";
        return 400;
    }
    enum multipart_error e = u->parser.error;
    if (e == MULTIPART_OK)
        return 0;
    *why = multipart_why(e);
    *at = u->parser.error_at;
    return e >= MULTIPART_LARGE_HEAD ? 413 : 400;
}
