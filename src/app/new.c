// `lunette new`: see the header. The site is made in a folder beside the one that was asked for, and
// then renamed; in an empty folder that is there already, beneath it, and then moved up.
#include "app/new.h"

#include "app/complain.h"
#include "app/meta.h"
#include "base/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMED_MAX = 3 }; // entries that are named of a folder that is not empty

// The folder that is asked for ---------------------------------------------------------------------

static int not_dots(const struct dirent *e)
{
    return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
}

static void tell_entries(const char *dir, struct dirent **entry, int n)
{
    fputs("lunette: ", stderr);
    print_plain(stderr, dir);
    fputs(" is not empty: it has ", stderr);
    for (int i = 0; i < n && i < NAMED_MAX; i++) {
        fputs(i == 0 ? "" : i == n - 1 ? " and " : ", ", stderr);
        print_plain(stderr, entry[i]->d_name);
    }
    if (n > NAMED_MAX)
        fprintf(stderr, " and %d more", n - NAMED_MAX);
    fputc('\n', stderr);
}

// Whether nothing is in the folder dir, which is open.
static bool is_empty(const char *dir, int folder)
{
    struct dirent **entry;
    int n = scandirat(folder, ".", &entry, not_dots, alphasort);
    if (n < 0)
        return complain("%s: %s", dir, strerror(errno));
    if (n > 0)
        tell_entries(dir, entry, n);
    for (int i = 0; i < n; i++)
        free(entry[i]);
    free(entry);
    return n == 0;
}

// Whether a site can be made there. *folder: the descriptor of an empty folder; −1: nothing is there.
static bool look_at(const char *dir, int *folder)
{
    struct stat st;
    *folder = -1;
    if (lstat(dir, &st) != 0)
        return errno == ENOENT || complain("%s: %s", dir, strerror(errno));
    if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode))
        return complain("%s is there already, and is no folder", dir);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return complain("%s: %s", dir, strerror(errno));
    if (is_empty(dir, fd)) {
        *folder = fd;
        return true;
    }
    close(fd);
    return false;
}

// The files ----------------------------------------------------------------------------------------

// Beneath the folder, for which folder_make has seen to it that it is ours.
static int write_files(int folder)
{
    int rc = 0;
    for (const struct new_file *f = new_files; f->name && rc == 0; f++)
        rc = folder_write(folder, f->name, str_of(f->text, f->n));
    return rc < 0 ? rc : meta_write(folder, ".lunette/meta"); // .luarc.json names it to editors
}

// Into its place -----------------------------------------------------------------------------------

// A site that is being made: the folder `made`, called name, in parent.
struct making {
    int parent, made;
    char name[NAME_MAX + 1];
};

// The folder was for its owner alone; this is how mkdir makes it.
static int open_to_others(int folder)
{
    mode_t mask = umask(0);
    umask(mask);
    return fchmod(folder, 0777 & ~mask) == 0 ? 0 : -errno;
}

// Whether what bears that name is what was made, and nothing that was put in its place meanwhile.
static bool is_made(const struct making *m, const char *name)
{
    struct stat a, b;
    return fstat(m->made, &a) == 0 && fstatat(m->parent, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

// The site's own folder, which was made beside the one that was asked for.
static int rename_whole(const struct making *m, const char *wanted)
{
    int rc = open_to_others(m->made);
    if (rc == 0 && renameat2(m->parent, m->name, m->parent, wanted, RENAME_NOREPLACE) != 0)
        rc = -errno;
    // A file system that cannot promise that:
    if (rc == -EINVAL && faccessat(m->parent, wanted, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
        rc = renameat(m->parent, m->name, m->parent, wanted) == 0 ? 0 : -errno;
    return rc == 0 && !is_made(m, wanted) ? -EPERM : rc;
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

static int move_up(const struct making *m)
{
    int rc = move_entries(m->made, m->parent);
    return rc == 0 && unlinkat(m->parent, m->name, AT_REMOVEDIR) != 0 ? -errno : rc;
}

// The folder that is to hold the site's: an O_PATH descriptor, or −errno. Links on the way are followed:
// this is the path that whoever gave the command named.
static int open_parent(const char *dir, const char **last)
{
    char above[PATH_MAX] = ".";
    const char *slash = strrchr(dir, '/');
    *last = slash ? slash + 1 : dir;
    if (slash)
        snprintf(above, sizeof above, "%.*s", slash == dir ? 1 : (int)(slash - dir), dir);
    int fd = open(above, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

// Makes all of it in m->made, and moves it to where it is wanted; wanted is NULL: up, into m->parent. What
// cannot be made is emptied through its descriptor: what bears its name by then may be another's.
static int fill(const struct making *m, const char *wanted)
{
    int rc = write_files(m->made);
    if (rc == 0)
        rc = wanted ? rename_whole(m, wanted) : move_up(m);
    if (rc < 0) {
        folder_empty(m->made);
        unlinkat(m->parent, m->name, AT_REMOVEDIR);
    }
    return rc;
}

// In the open folder parent.
static int make_in(int parent, const char *wanted)
{
    struct making m = {.parent = parent};
    char stem[NAME_MAX + 16];
    int n = snprintf(stem, sizeof stem, "%s.lunette", wanted ? wanted : "");
    if (n >= (int)sizeof stem)
        return -ENAMETOOLONG;
    m.made = folder_make(parent, stem, m.name);
    if (m.made < 0)
        return m.made;
    int rc = fill(&m, wanted);
    close(m.made);
    return rc;
}

static int make(const char *dir, int folder)
{
    const char *wanted = NULL;
    int parent = folder < 0 ? open_parent(dir, &wanted) : folder;
    int rc = parent < 0 ? parent : make_in(parent, wanted);
    if (parent >= 0)
        close(parent);
    return rc;
}

// In quotes in which controls can be written: everything but what is ASCII and harmless as \ooo.
static void print_odd_word(const char *word)
{
    fputs("$'", stdout);
    for (; *word; word++)
        if ((unsigned char)(*word - 0x20) >= 0x7f - 0x20)
            printf("\\%03o", (unsigned char)*word);
        else if (*word == '\'' || *word == '\\')
            printf("\\%c", *word);
        else
            putchar(*word);
    putchar('\'');
}

// As a word of a shell's command line.
static void print_word(const char *word)
{
    if (word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./_-")] ==
        0) {
        fputs(word, stdout);
        return;
    }
    if (!is_plain(word)) {
        print_odd_word(word);
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
    int folder;
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    if (n >= sizeof trimmed)
        return !complain("the path of the folder is too long");
    snprintf(trimmed, sizeof trimmed, "%.*s", (int)n, dir);
    if (!look_at(trimmed, &folder))
        return 1;
    int rc = make(trimmed, folder);
    if (rc < 0)
        return !complain("%s cannot be made: %s", trimmed, strerror(-rc));
    print_command("made the site ", trimmed, "\n");
    print_command("  lunette serve ", trimmed, " --dev    serves it on http://127.0.0.1:8080");
    print_command("  lunette test ", trimmed, "           runs its tests");
    print_command("\nIts README.md says more, and what is needed without --dev. ", trimmed,
                  "/scripts/main.lua is where to begin.");
    return 0;
}
