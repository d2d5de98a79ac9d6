// The system calls that a worker does without: a deny-list, since libraries change what they call.
//
// Refused calls fail with EPERM and nobody is killed; clone3 fails with ENOSYS, upon which the C
// library uses clone, whose flags can be looked at. Calls of another architecture or of the x32 ABI
// fail too, so that no other number leads to the same call.
#ifndef LUNETTE_APP_SANDBOX_CALLS_H
#define LUNETTE_APP_SANDBOX_CALLS_H

#include <stdbool.h>

// Refuses them from now on, for this thread and those that it starts. With may_exec programs can be
// run, and children be signalled. 0 or −errno.
int sandbox_refuse_calls(bool may_exec);

#endif
