// The table of media types, by extension. It follows the IANA registry where that knows the type,
// and what browsers go by where it does not. Sorted: mime_by_name searches it by halves.
#include "content/mime.h"

#include "content/mime_system.h"

#include <stdlib.h>
#include <string.h>

enum { EXTENSION_MAX = 15 };

struct entry {
    const char *extension; // lower-case, at most EXTENSION_MAX bytes
    const char *type;
};

#define TEXT(subtype) "text/" subtype "; charset=utf-8"
#define OFFICE "application/vnd.openxmlformats-officedocument."
#define OPEN "application/vnd.oasis.opendocument."

static const struct entry table[] = {
    {"3gp", "video/3gpp"},
    {"7z", "application/x-7z-compressed"},
    {"aac", "audio/aac"},
    {"apk", "application/vnd.android.package-archive"},
    {"apng", "image/apng"},
    {"appcache", TEXT("cache-manifest")},
    {"asc", "application/pgp-signature"},
    {"atom", "application/atom+xml"},
    {"avi", "video/x-msvideo"},
    {"avif", "image/avif"},
    {"bin", "application/octet-stream"},
    {"bmp", "image/bmp"},
    {"br", "application/x-brotli"},
    {"bz2", "application/x-bzip2"},
    {"c", TEXT("plain")},
    {"cc", TEXT("plain")},
    {"cer", "application/pkix-cert"},
    {"cjs", TEXT("javascript")},
    {"conf", TEXT("plain")},
    {"cpp", TEXT("plain")},
    {"crt", "application/x-x509-ca-cert"},
    {"css", TEXT("css")},
    {"csv", TEXT("csv")},
    {"cur", "image/vnd.microsoft.icon"},
    {"deb", "application/vnd.debian.binary-package"},
    {"diff", TEXT("plain")},
    {"dll", "application/vnd.microsoft.portable-executable"},
    {"dmg", "application/x-apple-diskimage"},
    {"doc", "application/msword"},
    {"docx", OFFICE "wordprocessingml.document"},
    {"eot", "application/vnd.ms-fontobject"},
    {"eps", "application/postscript"},
    {"epub", "application/epub+zip"},
    {"exe", "application/vnd.microsoft.portable-executable"},
    {"flac", "audio/flac"},
    {"geojson", "application/geo+json"},
    {"gif", "image/gif"},
    {"glb", "model/gltf-binary"},
    {"gltf", "model/gltf+json"},
    {"go", TEXT("plain")},
    {"gpx", "application/gpx+xml"},
    {"gz", "application/gzip"},
    {"h", TEXT("plain")},
    {"heic", "image/heic"},
    {"heif", "image/heif"},
    {"hpp", TEXT("plain")},
    {"htm", TEXT("html")},
    {"html", TEXT("html")},
    {"ico", "image/vnd.microsoft.icon"},
    {"ics", TEXT("calendar")},
    {"img", "application/octet-stream"},
    {"ini", TEXT("plain")},
    {"iso", "application/x-iso9660-image"},
    {"jar", "application/java-archive"},
    {"java", TEXT("plain")},
    {"jfif", "image/jpeg"},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"js", TEXT("javascript")},
    {"json", "application/json"},
    {"jsonl", "application/x-ndjson"},
    {"jsonld", "application/ld+json"},
    {"jsx", TEXT("plain")},
    {"jxl", "image/jxl"},
    {"kml", "application/vnd.google-earth.kml+xml"},
    {"log", TEXT("plain")},
    {"lua", TEXT("plain")},
    {"m2ts", "video/mp2t"},
    {"m3u8", "application/vnd.apple.mpegurl"},
    {"m4a", "audio/mp4"},
    {"m4v", "video/mp4"},
    {"manifest", TEXT("cache-manifest")},
    {"map", "application/json"},
    {"markdown", TEXT("markdown")},
    {"md", TEXT("markdown")},
    {"mid", "audio/midi"},
    {"midi", "audio/midi"},
    {"mjs", TEXT("javascript")},
    {"mkv", "video/x-matroska"},
    {"mov", "video/quicktime"},
    {"mp3", "audio/mpeg"},
    {"mp4", "video/mp4"},
    {"mpd", "application/dash+xml"},
    {"mpeg", "video/mpeg"},
    {"mpg", "video/mpeg"},
    {"msi", "application/x-msi"},
    {"ndjson", "application/x-ndjson"},
    {"obj", "model/obj"},
    {"odg", OPEN "graphics"},
    {"odp", OPEN "presentation"},
    {"ods", OPEN "spreadsheet"},
    {"odt", OPEN "text"},
    {"oga", "audio/ogg"},
    {"ogg", "audio/ogg"},
    {"ogv", "video/ogg"},
    {"ogx", "application/ogg"},
    {"opus", "audio/ogg"},
    {"otf", "font/otf"},
    {"patch", TEXT("plain")},
    {"pdf", "application/pdf"},
    {"pem", "application/x-x509-ca-cert"},
    {"pl", TEXT("plain")},
    {"png", "image/png"},
    {"ppt", "application/vnd.ms-powerpoint"},
    {"pptx", OFFICE "presentationml.presentation"},
    {"ps", "application/postscript"},
    {"py", TEXT("plain")},
    {"rar", "application/vnd.rar"},
    {"rb", TEXT("plain")},
    {"rpm", "application/x-rpm"},
    {"rs", TEXT("plain")},
    {"rss", "application/rss+xml"},
    {"rtf", "application/rtf"},
    {"sh", TEXT("x-shellscript")},
    {"sig", "application/pgp-signature"},
    {"sql", TEXT("plain")},
    {"sqlite", "application/vnd.sqlite3"},
    {"sqlite3", "application/vnd.sqlite3"},
    {"srt", TEXT("plain")},
    {"stl", "model/stl"},
    {"svg", "image/svg+xml"},
    {"tar", "application/x-tar"},
    {"text", TEXT("plain")},
    {"tgz", "application/gzip"},
    {"tif", "image/tiff"},
    {"tiff", "image/tiff"},
    {"toml", "application/toml"},
    {"torrent", "application/x-bittorrent"},
    {"ts", TEXT("plain")},
    {"tsv", TEXT("tab-separated-values")},
    {"tsx", TEXT("plain")},
    {"ttc", "font/collection"},
    {"ttf", "font/ttf"},
    {"txt", TEXT("plain")},
    {"usdz", "model/vnd.usdz+zip"},
    {"vcf", TEXT("vcard")},
    {"vtt", TEXT("vtt")},
    {"wasm", "application/wasm"},
    {"wav", "audio/wav"},
    {"weba", "audio/webm"},
    {"webm", "video/webm"},
    {"webmanifest", "application/manifest+json"},
    {"webp", "image/webp"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"xht", "application/xhtml+xml"},
    {"xhtml", "application/xhtml+xml"},
    {"xls", "application/vnd.ms-excel"},
    {"xlsx", OFFICE "spreadsheetml.sheet"},
    {"xml", TEXT("xml")},
    {"xsd", TEXT("xml")},
    {"xsl", TEXT("xml")},
    {"xslt", "application/xslt+xml"},
    {"xz", "application/x-xz"},
    {"yaml", "application/yaml"},
    {"yml", "application/yaml"},
    {"zip", "application/zip"},
    {"zst", "application/zstd"},
};

// Of types with several extensions, the one that a new file would get.
static const char *const usual[] = {
    "bin",  "crt",      "exe",    "gz",   "html", "ico",   "jpg",    "js",
    "json", "manifest", "md",     "mid",  "mp4",  "mpeg",  "ndjson", "ogg",
    "ps",   "sig",      "sqlite", "tiff", "txt",  "xhtml", "xml",    "yaml",
};

static int compare(const void *key, const void *entry)
{
    return strcmp(key, ((const struct entry *)entry)->extension);
}

// What follows the last dot of the last component of name; empty when there is none.
static struct str extension(struct str name)
{
    size_t i = name.n;
    while (i && name.p[i - 1] != '.' && name.p[i - 1] != '/')
        i--;
    bool found = i && name.p[i - 1] == '.';
    return found ? str_of(name.p + i, name.n - i) : (struct str){NULL, 0};
}

static const struct entry *find(const char *key)
{
    return bsearch(key, table, sizeof table / sizeof table[0], sizeof table[0], compare);
}

struct str mime_known(struct str name)
{
    char key[EXTENSION_MAX + 1] = "";
    struct str ext = extension(name);
    if (ext.n == 0 || ext.n > EXTENSION_MAX || str_find(ext, '\0') >= 0)
        return str_of(NULL, 0);
    ascii_lower(key, ext.p, ext.n);
    const struct entry *e = find(key);
    return e ? str_z(e->type) : mime_system_type(str_of(key, ext.n));
}

struct str mime_by_name(struct str name)
{
    struct str type = mime_known(name);
    return type.p ? type : STR("application/octet-stream");
}

static bool is_usual(const char *ext)
{
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (strcmp(usual[i], ext) == 0)
            return true;
    return false;
}

static struct str without_parameters(struct str type)
{
    ptrdiff_t end = str_find(type, ';');
    return str_trim(end < 0 ? type : str_of(type.p, (size_t)end));
}

// Those that the system's table has beside ours, which mime_by_name asks first.
static size_t add_system_extensions(struct str type, struct str *dst, size_t n)
{
    struct str ext, of;
    for (size_t i = 0; n < MIME_EXTENSIONS && mime_system_at(i, &ext, &of); i++) {
        char key[EXTENSION_MAX + 1] = "";
        memcpy(key, ext.p, ext.n);
        if (str_ieq(without_parameters(of), type) && !find(key))
            dst[n++] = ext;
    }
    return n;
}

size_t mime_extensions(struct str type, struct str dst[static MIME_EXTENSIONS])
{
    size_t n = 0;
    type = without_parameters(type);
    for (size_t i = 0; i < sizeof table / sizeof *table && n < MIME_EXTENSIONS; i++) {
        if (!str_ieq(without_parameters(str_z(table[i].type)), type))
            continue;
        dst[n++] = str_z(table[i].extension);
        if (!is_usual(table[i].extension))
            continue;
        for (size_t k = n - 1; k > 0; k--) // to the front
            dst[k] = dst[k - 1];
        dst[0] = str_z(table[i].extension);
    }
    return add_system_extensions(type, dst, n);
}
