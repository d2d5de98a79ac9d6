// `lunette status`, `reload` and `stop`: words to a running server, by its control socket.
#ifndef LUNETTE_APP_ASK_H
#define LUNETTE_APP_ASK_H

#include "app/cli.h"

// Finds the server of cli->dir, says the command's word, prints what it answers, and waits: for the
// end of the reload, or of the server. Where another program takes over meanwhile (replace.h) that
// one is asked instead. The exit status: 0, or 1 with a sentence on stderr.
int ask_server(const struct cli *cli);

#endif
