// A word to a running server, and what it answers, on a connection of its control socket.
//
// No wait is without an end. A server that works says nothing for as long as that takes; whether it
// lives still is asked meanwhile, on connections of their own. One that is stopped (SIGSTOP) or stuck
// is thus known after TALK_LOOK_MS and TALK_ANSWER_MS; one that lives gets longer than any word may
// take it.
#ifndef LUNETTE_APP_TALK_H
#define LUNETTE_APP_TALK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    TALK_ANSWER_MS = 10 * 1000, // for an answer that takes no work, and for any sign of life
    TALK_LOOK_MS = 5 * 1000,    // between two looks whether it lives
    // One reload under way, ours, and a start of another program before it take 5 minutes at most. Workers that
    // are replaced first (rooms.h) may take longer, timeouts.stop each: then the log has the end of it.
    TALK_RELOAD_MS = 10 * 60 * 1000,
    TALK_STOP_MS = 24 * 60 * 60 * 1000 + 60 * 1000, // timeouts.stop is a day at most
    TALK_END_MS = 10 * 1000,                        // between its last word and its end
    TALK_UIDS = 4,
    TALK_AGAIN = -1, // of talk
};

// Who may listen there. Whoever else has the socket is told nothing, and not believed.
struct talk_trust {
    uid_t uid[TALK_UIDS];
    unsigned n;
};
void talk_trust(struct talk_trust *t, uid_t uid);

// Connects to the socket at path: the descriptor, or −errno: −EAGAIN where its queue stayed full for
// TALK_ANSWER_MS.
int talk_connect(const char *path);
// Whether one of those listens at the other end of fd. False: with a sentence on stderr that names
// who does.
bool talk_believes(int fd, const char *path, const struct talk_trust *trust);

// Until when the end of a word that is said now is waited for, for talk.
int64_t talk_until(const char *word);
// Says the word (status, reload, stop) on fd, and prints the answer: as text, whoever wrote it. The
// exit status: 0, or 1 with a sentence on stderr. path: where it is asked whether it lives.
// TALK_AGAIN, with nothing printed: another process has taken over from the one at the other end
// (CONTROL_REPLACED), and is to be found, and told the word.
int talk(int fd, const char *path, const struct talk_trust *trust, const char *word, int64_t until);

#endif
