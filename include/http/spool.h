// A request body at rest: in memory while it is small, in an unlinked temporary file beyond that.
#ifndef LUNETTE_HTTP_SPOOL_H
#define LUNETTE_HTTP_SPOOL_H

#include "base/buf.h"

struct spool_options {
    const char *folder; // where temporary files are made (O_TMPFILE, or mkstemp and unlink)
    size_t memory;      // bytes kept in memory at most
};

// What is added to a spool that has a file is gathered up to this before it is written: a body that
// comes in tiny chunks costs no call each.
enum { SPOOL_GATHER = 32 * 1024 };

// Bytes of memory that spool_reset keeps at most: a form of a few fields needs no malloc.
enum { SPOOL_KEPT = 1024 };

struct spool {
    const struct spool_options *options;
    struct buf memory; // everything while fd is -1, then what is behind in_file
    int fd;            // the file: readable and writable, mode 0600, no name; -1: none yet
    uint64_t in_file;  // bytes written to it; after spool_end all
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
// The body is over: the spool takes nothing until spool_reuse, and keeps SPOOL_KEPT bytes at most.
void spool_reset(struct spool *s);
// As spool_init, of a spool that was reset: what it kept serves the next body.
void spool_reuse(struct spool *s, const struct spool_options *options, uint64_t max);
// Appends. 0, −EFBIG beyond max, −ENOMEM, or what the file system says (−ENOSPC; −EFBIG also where
// a file may not grow so large). A failed append leaves the spool as it was. What the file system says
// may be about bytes of earlier calls, which were gathered.
int spool_add(struct spool *s, struct str bytes);
// Nothing more is added: what was gathered goes to the file, if there is one, and the memory for it is
// given back. 0 or −errno as above; what failed may be tried again.
int spool_end(struct spool *s);
// Reads n bytes from offset at into dst: the number read (fewer only at the end) or −errno.
int64_t spool_read(const struct spool *s, uint64_t at, char *dst, size_t n);

#endif
