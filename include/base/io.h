// Whole writes, where a short one or a signal is no end.
#ifndef LUNETTE_BASE_IO_H
#define LUNETTE_BASE_IO_H

#include "base/str.h"

// All the bytes, to a descriptor that blocks. 0, or −errno when some are not written; −ENOSPC where the
// system takes none and gives no reason.
int io_write_all(int fd, struct str bytes);

#endif
