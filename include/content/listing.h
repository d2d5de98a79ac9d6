// What is in a folder, read and as a page: for folders without an index file.
//
// Names that begin with a dot are left out, and so is what file_open would refuse: links that lead
// out, devices, sockets, FIFOs. Reading asks the disk once for each entry, so it belongs into a
// thread: listing_read and listing_page touch nothing but their arguments.
#ifndef LUNETTE_CONTENT_LISTING_H
#define LUNETTE_CONTENT_LISTING_H

#include "base/buf.h"
#include "content/file.h"

enum {
    LISTING_ENTRIES = 10000, // shown at most; the page says when there are more
    LISTING_SEEN = 100000,   // names that are looked at, hidden ones included
    LISTING_BYTES = 4 << 20, // of a page at most; the page says when that was too few
};

struct listing_entry {
    size_t name, name_n; // in listing.names
    uint64_t size;       // 0 for a folder
    int64_t modified;    // seconds since 1970
    bool is_dir;
};

struct listing {
    struct buf names;
    struct listing_entry *entries; // with room for LISTING_ENTRIES
    size_t n;
    bool more; // there are others
};

// Reads the folder that fd is open at, which is taken over in any case, and path leads to beneath r.
// 0 or −errno; then listing_free. The entries come in no order.
int listing_read(const struct file_root *r, struct str path, int fd, struct listing *out);
void listing_free(struct listing *l); // zeroed is fine, and so is twice

enum listing_key { LISTING_NAME, LISTING_SIZE, LISTING_TIME };
struct listing_order {
    enum listing_key key;
    bool descending;
};

// What "sort=size&order=desc" says; names from a to z where it says nothing that is known. Without
// order, the largest and the latest come first.
struct listing_order listing_order_of(struct str query);
// Sorts: folders before files in any case, names without regard to case.
void listing_sort(struct listing *l, struct listing_order order);

struct listing_page {
    struct str title; // the path as the client knows it, decoded
    bool top;         // there is no folder above it to go to
    struct listing_order order;
};

// Appends the page, HTML in UTF-8 whatever the names are, to out, whose maximum is LISTING_BYTES.
// Its links are relative to a path that ends with a slash. False without memory.
bool listing_write(const struct listing *l, const struct listing_page *page, struct buf *out);

#endif
