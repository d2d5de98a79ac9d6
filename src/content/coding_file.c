// A file as a body_source, for a body that is coded and so cannot be sent by the kernel. It is read
// from the loop: a block that is not in memory is waited for, as sendfile would.
#include "content/coding.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct file_source {
    struct body_source source;
    int fd;
    off_t at;
    int64_t left;
    void (*release)(void *arg);
    void *arg;
    char block[]; // as much as is left at first, up to CODING_FILE_BLOCK
};

static size_t block_of(int64_t left)
{
    return left < CODING_FILE_BLOCK ? (size_t)left : CODING_FILE_BLOCK;
}

static enum body_pull pull_file(struct body_source *source, struct str *out)
{
    struct file_source *s = (struct file_source *)source;
    if (s->left == 0)
        return BODY_END;
    ssize_t n;
    do
        n = pread(s->fd, s->block, block_of(s->left), s->at);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return BODY_FAILED;
    s->at += n;
    s->left -= n;
    *out = str_of(s->block, (size_t)n);
    return BODY_SOME;
}

static void close_file(struct body_source *source)
{
    struct file_source *s = (struct file_source *)source;
    if (s->release)
        s->release(s->arg);
    free(s);
}

static const struct body_source_ops file_ops = {.pull = pull_file, .close = close_file};

struct body_source *coding_file_source(int fd, off_t at, int64_t n, void (*release)(void *arg),
                                       void *arg)
{
    struct file_source *s = malloc(sizeof *s + block_of(n));
    if (!s)
        return NULL;
    *s = (struct file_source){
        .source = {&file_ops},
        .fd = fd,
        .at = at,
        .left = n,
        .release = release,
        .arg = arg,
    };
    return &s->source;
}
