// Whole writes and files, where a short piece or a signal is no end; and descriptors as a whole.
#ifndef LUNETTE_BASE_IO_H
#define LUNETTE_BASE_IO_H

#include "base/buf.h"

// All the bytes, to a descriptor that blocks. 0, or −errno when some are not written; −ENOSPC where
// the system takes none and gives no reason.
int io_write_all(int fd, struct str bytes);
// Appends all the bytes of a regular file, from its start, wherever the descriptor stands. 0 or
// −errno; −ENOMEM too when they have no room.
int io_read_file(int fd, struct buf *out);
// Closes every descriptor but 0 to 2 and this one, which becomes the next, close-on-exec: that is
// returned.
int io_keep_alone(int fd);

#endif
