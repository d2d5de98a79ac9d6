// What workers are still to be told, since their channel had no room for it or they had no descriptors for
// it. Nobody is ended for that: it is told again.
//
// It is CHANNEL_CURRENT, for who has asked for it, and with --dev whether the last reload failed (saves.c).
// New logs, which are master_logs.c's, are due again when a worker has missed them.
#ifndef LUNETTE_APP_UNTOLD_H
#define LUNETTE_APP_UNTOLD_H

#include <stdint.h>

struct master;
struct slot;

void untold_ask(struct slot *s); // it has asked
// A message of that kind has come without its descriptors; now it has room for them.
void untold_missed(struct master *m, struct slot *s, unsigned kind);
void untold_on_turn(struct master *m);
int64_t untold_due(const struct master *m); // INT64_MAX: nothing is

#endif
