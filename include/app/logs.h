// The log files of a server: opened by the master, opened again when they were rotated.
//
// Workers do not open them: they get descriptors from the master, by fork or through their channel,
// and so need no right to where the files are.
#ifndef LUNETTE_APP_LOGS_H
#define LUNETTE_APP_LOGS_H

#include "app/config.h"

// Opens both logs (base/log.h) with the rights at hand, never through a link that another user could
// have made. False, with *failed the path and *err why.
bool logs_open(const struct config *c, const char **failed, int *err);

// Opens again those that are files, by their names: descriptors in *error_fd and *access_fd, the
// caller's. −1 for one that is no file, or cannot be opened: then its lines still go to the file
// that was open before, and the error log says what to do about it.
void logs_reopen(const struct config *c, int *error_fd, int *access_fd);

#endif
