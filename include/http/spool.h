// A request body at rest: in memory while it is small, in an unlinked temporary file beyond that.
#ifndef LUNETTE_HTTP_SPOOL_H
#define LUNETTE_HTTP_SPOOL_H

#include "base/buf.h"

struct spool_options {
    const char *folder; // where temporary files are made (O_TMPFILE, or mkstemp and unlink)
    size_t memory;      // bytes kept in memory at most
};

struct spool {
    const struct spool_options *options;
    struct buf memory; // everything, while fd is -1
    int fd;            // everything, once it is not -1: readable and writable, mode 0600, no name
    uint64_t size;     // bytes in all
    uint64_t max;      // never more
    // Is told of all bytes that were added, in order; NULL: nobody is.
    void (*tap)(void *arg, struct str bytes);
    void *tap_arg;
};

// Empty; allocates nothing. options must outlive the spool.
void spool_init(struct spool *s, const struct spool_options *options, uint64_t max);
// Gives memory and file back; the spool is then as after spool_init, without a tap.
void spool_fini(struct spool *s);
// Appends. 0, −EFBIG beyond max, −ENOMEM, or what the file system says (−ENOSPC; −EFBIG also where
// a file may not grow so large). A failed append leaves the spool as it was.
int spool_add(struct spool *s, struct str bytes);
// Reads n bytes from offset at into dst: the number read (fewer only at the end) or −errno.
int64_t spool_read(const struct spool *s, uint64_t at, char *dst, size_t n);

#endif
