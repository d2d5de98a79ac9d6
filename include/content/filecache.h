// Files that were asked for lately, ready to be sent: a worker's own, for its one thread.
//
// A small file is kept as its bytes, a larger one as an open descriptor; either with the field
// lines that describe it. What is kept is believed for the rest of the second in which it was
// looked at, by the caller's clock; then the path is opened again and coded forms beside it are
// looked for (siblings_of), and if that leads to another file or another state of it, what was kept
// is forgotten. So a change is noticed within a second, whatever it was: written to, replaced,
// removed, closed to us, made a link that leads out. A descriptor is asked (fstat) before it is
// sent from, so that no answer describes other bytes than it sends; a coded form that is kept or
// lies ready may be of the state that was believed, and has the tag of that. Paths that lead
// nowhere and folders are not kept at all.
#ifndef LUNETTE_CONTENT_FILECACHE_H
#define LUNETTE_CONTENT_FILECACHE_H

#include "content/file.h"
#include "content/fit_note.h"

struct filecache;

struct filecache_options {
    size_t files;       // small files to keep at most
    size_t bytes;       // memory for them at most, with all that is known about them
    size_t descriptors; // larger files to keep at most
    bool look_always;   // believe nothing: every request opens the file and compares (--dev)
};

enum { FILECACHE_SMALL = 32 * 1024 }; // bytes of a file that is kept in memory

// NULL with errno.
struct filecache *filecache_new(const struct filecache_options *o);
// Files that are still lent stay valid until they are closed. NULL is harmless.
void filecache_free(struct filecache *c);

// One state of a file: facts, lines and bytes are of the same open. Nobody's to write to.
struct cached_file {
    uint64_t size;
    int64_t last_modified; // seconds since 1970; -1: a date before that, which is not told
    struct str etag;       // strong, made of inode, size and ctime
    struct str type_line;  // "Content-Type: …\r\n", as fields_add makes it
    struct str lines;      // the same of ETag, Last-Modified (unless -1) and Accept-Ranges
    unsigned has;          // enum fields_has of lines
    bool in_memory;        // size is at most FILECACHE_SMALL: bytes are there, and no descriptor
    struct str bytes;
    unsigned char varies; // a note of content/fit's, see fit_content
    struct fit_note note; // another
    unsigned char ready;  // coded forms that lay beside it at the last look, see siblings_of
    struct timespec mtime;
    int64_t loaded; // when it was, by the caller's clock
    int fd;         // where not in memory; for pread and sendfile, which leave its offset alone
};

// Looks path up beneath r, as file_open does, at the time now (seconds since 1970). 0 and *out,
// which is the caller's until it calls filecache_close; −EISDIR for a folder; −EAGAIN for a small
// file that is being written to all the time; or −errno as file_open gives it. Last-Modified is
// never later than the time of the look that loaded the file. c may be NULL: nothing is kept.
int filecache_open(struct filecache *c, const struct file_root *r, struct str path, int64_t now,
                   const struct cached_file **out);
void filecache_close(const struct cached_file *f);

// The same, but a descriptor that was looked at in this second is not asked: for who may have
// another form of the file to send, and asks filecache_holds before it sends from this one.
int filecache_glance(struct filecache *c, const struct file_root *r, struct str path, int64_t now,
                     const struct cached_file **out);
// Whether the descriptor still has what f says. True for what is in memory.
bool filecache_holds(const struct cached_file *f);

// Forgets larger files that nobody asked for in the last FILECACHE_IDLE seconds: an open descriptor
// keeps the space of a file that was removed.
enum { FILECACHE_IDLE = 10 };
void filecache_trim(struct filecache *c, int64_t now);
// How many larger files are kept.
size_t filecache_descriptors(const struct filecache *c);

#endif
