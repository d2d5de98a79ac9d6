// The files that the master makes, maybe still as root: data/, the pid file, the logs. None of them
// is ever opened through a link that another user could have made.
#ifndef LUNETTE_APP_FILES_H
#define LUNETTE_APP_FILES_H

#include "app/privs.h"

// Opens the folder that holds path: the descriptor (O_PATH), with *name the last component of path;
// or −errno, −ELOOP when the way leads through a link in a folder that somebody else than root and
// this process may write.
int files_open_parent(const char *path, const char **name);

// Whether anybody but root may make, remove or rename something on the way to the absolute path, or
// there is a link, or nothing.
bool files_others_may_change(const char *path);

// Makes the folder data (mode 0770) if it is not there: with root's rights only directly in site,
// and then it belongs to owner; elsewhere with the rights at hand. 0, also when it exists already,
// or −errno.
int files_make_data(const char *site, const char *data, const struct identity *owner);

// Opens the pid file, locks it and writes the process id: the descriptor, to be kept until
// files_close_pid, or −errno: −EEXIST for what is no plain file of root's or our own, −EBUSY when
// another server has it, with the process that it names (0: none yet). The lock is the
// descriptor's: a program that inherits that has it too, and it goes with the last process that has
// it, however that ends. Where the file system has no locks there is none. Others, who may only
// read the file, cannot hold a start up with locks of theirs, nor keep the server from having its
// own: then a new file takes its place. Where none can be made (a folder of somebody else's) the
// old one is the server's without a lock.
int files_open_pid(const char *path, pid_t *holder);
// Opened before us, by the server that we replace: writes our process id.
int files_take_pid(int fd);
// The process that was to replace us has ended, and is not to: where it had written its own id,
// ours is written again. The lock stays as it is.
void files_retake_pid(int fd, pid_t ended);
// We stop: the next server may have it.
void files_free_pid(int fd);
// Removes it, or where the rights for that are gone empties it; neither when it is another server's
// by now, nor another file that is at the path.
void files_close_pid(const char *path, int fd);

// A unix socket that we have just bound: notes which file it is, and gives it to owner (NULL: it is
// ours already) with mode 0660, so that the owner's group, a proxy's for instance, may connect. 0
// or −errno: −EEXIST, with nothing noted, when it is another file by now.
struct file_id {
    dev_t device;
    ino_t inode;
};
int files_own_socket(const char *path, const struct identity *owner, struct file_id *id);
// The same, in the open folder that it was bound in.
int files_own_socket_in(int folder, const char *name, const struct identity *owner,
                        struct file_id *id);
// Notes which file a socket is that was bound before us.
void files_know_socket(const char *path, struct file_id *id);
// Removes it, unless another has taken its path since.
void files_remove_socket(const char *path, const struct file_id *id);

// What is at path where a file is wanted: "a folder", "a pipe", "a link that leads nowhere"…; NULL
// where that is a file, or nothing at all.
const char *files_instead(const char *path);

#endif
