// Files beneath a folder, and nothing else: safe opening.
//
// openat2 with RESOLVE_BENEATH (and without magic links) makes the kernel refuse every way out of
// the folder: "..", absolute and relative links that lead out, races. A link that stays inside is
// followed. Where the kernel has no openat2, or a sandbox refuses it, the path is walked one
// component at a time with O_NOFOLLOW, and no link is followed at all. Names that begin with a dot
// are refused ("/.well-known/" at the top aside; a link with a plain name may lead to one: that is
// its maker's word); so are devices, sockets and FIFOs (which are opened O_NONBLOCK, so that they
// cannot hold the loop).
#ifndef LUNETTE_CONTENT_FILE_H
#define LUNETTE_CONTENT_FILE_H

#include "base/str.h"

#include <sys/types.h>
#include <time.h>

struct file_root; // an open folder

// 0 and *out, or −errno. The folder stays open until file_root_close was called for it, and once
// more for each file_root_ref; path itself may be a link.
int file_root_open(const char *path, struct file_root **out);
void file_root_close(const struct file_root *r);                  // NULL is fine
const struct file_root *file_root_ref(const struct file_root *r); // r; from one thread only
// Paths beneath r are walked from now on as if there were no openat2: no link is followed at all.
void file_root_walk(struct file_root *r);
// A number that no other root of this process has or had.
uint64_t file_root_id(const struct file_root *r);

struct file {
    int fd; // open for reading; the caller's to close
    uint64_t size;
    struct timespec mtime, ctime;
    ino_t inode;
    dev_t device;
    struct str type; // Content-Type by name, as mime_known gives it; p NULL: it does not tell
    bool is_dir;     // then fd is -1: a folder, of which only times, inode and device are told
};

// Opens the regular file at path, which is decoded and begins with "/" ("/a/b.txt"). A folder gives
// is_dir and no descriptor. 0 or −errno: −ENOENT for what does not exist or must not be seen
// (dotfiles, ways out, special files, names that are empty or have a NUL, "/a.txt/" where a.txt is
// a file), −EACCES, −ENAMETOOLONG, −EMFILE … as they are.
int file_open(const struct file_root *r, struct str path, struct file *out);

// Opens the folder at path, which ends with a slash, for reading its names: a descriptor, or −errno as
// above.
int file_open_folder(const struct file_root *r, struct str path);

// Asks the descriptor again: *out is f as it is now. 0 or −errno.
int file_again(const struct file *f, struct file *out);
// Whether two looks saw the same file in the same state. A change in place that keeps the size and
// comes within one tick of the file system's clock (some milliseconds) after a look is not seen.
bool file_same(const struct file *a, const struct file *b);

#endif
