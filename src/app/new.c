// `lunette new`: see the header. The site is made in a folder beside the one that was asked for, and
// then renamed; in an empty folder that is there already, beneath it, and then moved up.
#include "app/new.h"

#include "app/meta.h"
#include "base/folder.h"
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMED_MAX = 3 }; // entries that are named of a folder that is not empty

static bool complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

static bool complain(const char *format, ...)
{
    va_list args;
    fputs("lunette: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return false;
}

// The folder that is asked for ---------------------------------------------------------------------

static int not_dots(const struct dirent *e)
{
    return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
}

static void tell_entries(const char *dir, struct dirent **entry, int n)
{
    fprintf(stderr, "lunette: %s is not empty: it has ", dir);
    for (int i = 0; i < n && i < NAMED_MAX; i++)
        fprintf(stderr, "%s%s", i == 0 ? "" : i == n - 1 ? " and " : ", ", entry[i]->d_name);
    if (n > NAMED_MAX)
        fprintf(stderr, " and %d more", n - NAMED_MAX);
    fputc('\n', stderr);
}

// Whether a site can be made there. *exists: it is an empty folder.
static bool look_at(const char *dir, bool *exists)
{
    struct dirent **entry;
    struct stat st;
    *exists = lstat(dir, &st) == 0;
    if (!*exists)
        return errno == ENOENT || complain("%s: %s", dir, strerror(errno));
    if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode))
        return complain("%s is there already, and is no folder", dir);
    int n = scandir(dir, &entry, not_dots, alphasort);
    if (n < 0)
        return complain("%s: %s", dir, strerror(errno));
    if (n > 0)
        tell_entries(dir, entry, n);
    for (int i = 0; i < n; i++)
        free(entry[i]);
    free(entry);
    return n == 0;
}

// The files ----------------------------------------------------------------------------------------

// The folders that name lies in, beneath top. 0 or −errno.
static int make_folders(int top, const char *name)
{
    char path[PATH_MAX];
    for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(path, sizeof path, "%.*s", (int)(slash - name), name);
        if (mkdirat(top, path, 0777) != 0 && errno != EEXIST)
            return -errno;
    }
    return 0;
}

static int write_file(int top, const struct new_file *f)
{
    int rc = make_folders(top, f->name);
    if (rc < 0)
        return rc;
    int fd = openat(top, f->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return -errno;
    rc = io_write_all(fd, str_of(f->text, f->n));
    return close(fd) != 0 && rc == 0 ? -errno : rc;
}

static int write_files(const char *folder)
{
    int rc = 0, top = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (top < 0)
        return -errno;
    for (const struct new_file *f = new_files; f->name && rc == 0; f++)
        rc = write_file(top, f);
    close(top);
    return rc;
}

// Into its place -----------------------------------------------------------------------------------

// The annotations of the API, for editors: .luarc.json names their folder.
static int write_meta(const char *folder)
{
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/.lunette/meta", folder);
    return meta_write(path);
}

// mkdtemp's folders are for their owner alone; this one is to be as mkdir makes it.
static int open_to_others(const char *folder)
{
    mode_t mask = umask(0);
    umask(mask);
    return chmod(folder, 0777 & ~mask) == 0 ? 0 : -errno;
}

static int rename_whole(const char *made, const char *dir)
{
    int rc = open_to_others(made);
    if (rc == 0 && renameat2(AT_FDCWD, made, AT_FDCWD, dir, RENAME_NOREPLACE) != 0)
        rc = -errno;
    if (rc == -EINVAL && access(dir, F_OK) != 0) // a file system that cannot promise that
        rc = rename(made, dir) == 0 ? 0 : -errno;
    return rc;
}

// Moves every entry of one folder into the other, or none.
static int move_entries(int from, int to)
{
    struct dirent **entry;
    int rc = 0, done = 0, n = scandirat(from, ".", &entry, not_dots, alphasort);
    if (n < 0)
        return -errno;
    for (; done < n && rc == 0; done++)
        if (renameat2(from, entry[done]->d_name, to, entry[done]->d_name, RENAME_NOREPLACE) != 0)
            rc = -errno;
    for (int i = done - 2; rc < 0 && i >= 0; i--) // the last one did not go
        renameat(to, entry[i]->d_name, from, entry[i]->d_name);
    for (int i = 0; i < n; i++)
        free(entry[i]);
    free(entry);
    return rc;
}

static int move_up(const char *made, const char *dir)
{
    int from = open(made, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int to = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = from < 0 || to < 0 ? -errno : move_entries(from, to);
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    if (rc == 0 && rmdir(made) != 0)
        rc = -errno;
    return rc;
}

static bool make(const char *dir, bool exists)
{
    char made[PATH_MAX];
    int n = snprintf(made, sizeof made, exists ? "%s/.lunette-XXXXXX" : "%s.lunette-XXXXXX", dir);
    if (n >= (int)sizeof made)
        return complain("the path of %.100s… is too long", dir);
    if (!mkdtemp(made))
        return complain("%s cannot be made: %s", dir, strerror(errno));
    int rc = write_files(made);
    if (rc == 0)
        rc = write_meta(made);
    if (rc == 0)
        rc = exists ? move_up(made, dir) : rename_whole(made, dir);
    if (rc < 0)
        folder_remove(made);
    return rc == 0 || complain("%s cannot be made: %s", dir, strerror(-rc));
}

// As a word of a shell's command line.
static void print_word(const char *word)
{
    if (word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./_-")] ==
        0) {
        fputs(word, stdout);
        return;
    }
    putchar('\'');
    for (; *word; word++)
        if (*word == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*word);
    putchar('\'');
}

static void print_command(const char *before, const char *dir, const char *after)
{
    fputs(before, stdout);
    print_word(dir);
    puts(after);
}

int new_run(const char *dir)
{
    char trimmed[PATH_MAX];
    bool exists;
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    if (n >= sizeof trimmed)
        return !complain("the path of the folder is too long");
    snprintf(trimmed, sizeof trimmed, "%.*s", (int)n, dir);
    if (!look_at(trimmed, &exists) || !make(trimmed, exists))
        return 1;
    print_command("made the site ", trimmed, "\n");
    print_command("  lunette serve ", trimmed, " --dev    serves it on http://127.0.0.1:8080");
    print_command("  lunette test ", trimmed, "           runs its tests");
    print_command("\nIts README.md says more, and what is needed without --dev. ", trimmed,
                  "/scripts/main.lua is where to begin.");
    return 0;
}
