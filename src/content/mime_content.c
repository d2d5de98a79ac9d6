// Media types by content: libmagic, tamed. It works on the bytes it is given: it opens no file but
// its database, unpacks nothing, and its regular expressions see little, since on text made for it
// (16 KiB of line feeds) they take a quarter of a second.
#include "content/mime.h"

#include "base/log.h"

#include <errno.h>
#include <magic.h>
#include <pthread.h>
#include <string.h>

// Without the checks that tell nothing to the media type, and without the one for CSV, which takes
// any prose with a comma in each line for it.
enum {
    FLAGS = MAGIC_MIME_TYPE | MAGIC_NO_CHECK_COMPRESS | MAGIC_NO_CHECK_ELF | MAGIC_NO_CHECK_TOKENS |
            MAGIC_NO_CHECK_APPTYPE | MAGIC_NO_CHECK_CSV
};

static const struct str UNKNOWN = {"application/octet-stream", 24};

static const struct {
    int parameter;
    size_t value;
} limits[] = {
    {MAGIC_PARAM_BYTES_MAX, MIME_LOOK}, {MAGIC_PARAM_ENCODING_MAX, MIME_LOOK},
    {MAGIC_PARAM_REGEX_MAX, 512},       {MAGIC_PARAM_INDIR_MAX, 15},
    {MAGIC_PARAM_NAME_MAX, 50},
};

// What libmagic calls otherwise than the registry and the table of names.
static const struct {
    struct str theirs, ours;
} aliases[] = {
    {STR("application/vnd.ms-opentype"), STR("font/otf")},
    {STR("application/x-empty"), STR("application/octet-stream")},
    {STR("application/x-gzip"), STR("application/gzip")},
    {STR("application/x-rar"), STR("application/vnd.rar")},
    {STR("audio/x-m4a"), STR("audio/mp4")},
    {STR("audio/x-wav"), STR("audio/wav")},
    {STR("image/x-icon"), STR("image/vnd.microsoft.icon")},
    {STR("image/x-ms-bmp"), STR("image/bmp")},
    {STR("inode/x-empty"), STR("application/octet-stream")},
    {STR("video/x-m4v"), STR("video/mp4")},
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static magic_t cookie; // under lock, kept until the process ends
static bool missing;   // it is not there, and that was told

// Whether the next call may fare better: descriptors or memory had run out.
static bool is_passing(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM;
}

static void tell_missing(magic_t m)
{
    const char *why = m ? magic_error(m) : NULL;
    missing = m && !is_passing(magic_errno(m));
    if (missing)
        log_write(
            LOG_ERROR,
            "media types cannot be told by content: libmagic has no database (%s); Debian has "
            "it in the package libmagic-mgc",
            why ? why : "no reason given");
    else
        log_write(LOG_WARN, "a media type cannot be told by content: %s",
                  strerror(m ? magic_errno(m) : ENOMEM));
}

static magic_t open_database(void)
{
    magic_t m = magic_open(FLAGS);
    for (size_t i = 0; m && i < sizeof limits / sizeof *limits; i++)
        magic_setparam(m, limits[i].parameter, &limits[i].value);
    if (m && magic_load(m, NULL) == 0)
        return m;
    tell_missing(m);
    if (m)
        magic_close(m);
    return NULL;
}

static bool is_part(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("!#$&^_.+-", c);
        if (!good || c == '\0')
            return false;
    }
    return s.n > 0;
}

// Two matches run together ("image/pngimage/x") and other accidents are no media type.
static bool is_media_type(struct str s)
{
    ptrdiff_t slash = str_find(s, '/');
    size_t at = (size_t)slash;
    return slash > 0 && s.n < MIME_MAX && is_part(str_of(s.p, at)) &&
           is_part(str_of(s.p + at + 1, s.n - at - 1));
}

static struct str translate(struct str type)
{
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (str_eq(aliases[i].theirs, type))
            return aliases[i].ours;
    return type;
}

static struct str copy(char dst[static MIME_MAX], struct str type)
{
    memcpy(dst, type.p, type.n);
    return str_of(dst, type.n);
}

// The lock is held. libmagic's answer lasts until it is asked again.
static struct str ask(struct str bytes, char dst[static MIME_MAX])
{
    char small[MIME_MAX];
    struct str answer = str_z(magic_buffer(cookie, bytes.p, bytes.n));
    if (answer.n == 0 || answer.n >= MIME_MAX)
        return copy(dst, UNKNOWN);
    ascii_lower(small, answer.p, answer.n);
    answer = str_of(small, answer.n);
    return copy(dst, is_media_type(answer) ? translate(answer) : UNKNOWN);
}

struct str mime_by_content(struct str bytes, char dst[static MIME_MAX])
{
    bytes.n = bytes.n < MIME_LOOK ? bytes.n : MIME_LOOK;
    if (bytes.n == 0)
        return copy(dst, UNKNOWN);
    pthread_mutex_lock(&lock);
    if (!cookie && !missing)
        cookie = open_database();
    struct str type = cookie ? ask(bytes, dst) : copy(dst, UNKNOWN);
    pthread_mutex_unlock(&lock);
    return type;
}
