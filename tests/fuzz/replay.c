// A plain main for a fuzz entry: feeds it every file of the folders and files named, so that a
// compiler without libFuzzer replays corpus and regressions too. A folder that is missing or empty
// is an error, for a test that read nothing has tested nothing.
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_MAX = 1 << 24 };

static void fail(const char *path, const char *why)
{
    fprintf(stderr, "replay: %s: %s\n", path, why);
    exit(1);
}

// The bytes are in a block of exactly their size, so that ASan sees a read behind them.
static void replay_file(const char *path, size_t size)
{
    if (size > FILE_MAX)
        fail(path, "too large for an input");
    FILE *f = fopen(path, "rb");
    if (!f)
        fail(path, strerror(errno));
    uint8_t *data = malloc(size ? size : 1);
    if (!data || fread(data, 1, size, f) != size)
        fail(path, "cannot be read");
    fclose(f);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static size_t replay(const char *path);

static size_t replay_folder(const char *path)
{
    struct dirent **entries;
    int n = scandir(path, &entries, visible, alphasort);
    size_t inputs = 0;
    if (n <= 0)
        fail(path, n < 0 ? strerror(errno) : "an empty folder");
    for (int i = 0; i < n; i++) {
        char file[4096];
        int length = snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        if (length < 0 || (size_t)length >= sizeof file)
            fail(path, "a path too long");
        inputs += replay(file);
        free(entries[i]);
    }
    free(entries);
    return inputs;
}

static size_t replay(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        fail(path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return replay_folder(path);
    replay_file(path, (size_t)st.st_size);
    return 1;
}

int main(int argc, char **argv)
{
    size_t inputs = 0;
    if (argc < 2) {
        fprintf(stderr, "usage: %s FOLDER|FILE…\n", argv[0]);
        return 2;
    }
    for (int i = 1; i < argc; i++)
        inputs += replay(argv[i]);
    printf("%zu inputs\n", inputs);
    return 0;
}
