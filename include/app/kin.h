// Which processes come from which: for refusing what a server's own workers ask of their master.
#ifndef LUNETTE_APP_KIN_H
#define LUNETTE_APP_KIN_H

#include <stdbool.h>
#include <sys/types.h>

// Whether pid is a child of `of`, or a child's child, and so on. Also true where that cannot be told: the
// process is gone, cannot be seen, or is more than KIN_MAX generations down.
enum { KIN_MAX = 64 };
bool kin_descends(pid_t pid, pid_t of);

#endif
