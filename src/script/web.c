// What --dev shows besides the site: see the header.
#include "script/web.h"

#include "base/base64.h"
#include "base/html.h"
#include "base/libcrypto.h"

#include <stdio.h>

enum { SOURCE_MAX = 64 }; // bytes of a style's source in a policy

struct str web_find(struct str name)
{
    for (const struct web_file *f = web_files; f->name; f++)
        if (str_eq(str_z(f->name), name))
            return str_of(f->text, f->n);
    return str_of(NULL, 0);
}

static struct str style(void)
{
    return web_find(STR("page.css"));
}

bool web_page(struct buf *out, struct str title, struct str shown)
{
    size_t before = out->n;
    if (buf_add(out,
                STR("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                    "<title>")) &&
        html_add(out, title) && buf_add(out, STR("</title>\n<style>")) && buf_add(out, style()) &&
        buf_add(out, STR("</style>\n</head>\n<body class=\"failure\">\n")) && buf_add(out, shown) &&
        buf_add(out, STR("\n</body>\n</html>\n")))
        return true;
    out->n = before;
    return false;
}

// The style's source for the policy. Without libcrypto the page does without its style.
static void write_source(char dst[static SOURCE_MAX])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[2 * EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (libcrypto_load() ||
        !libcrypto.EVP_Digest(style().p, style().n, digest, &n, libcrypto.EVP_sha256(), NULL)) {
        snprintf(dst, SOURCE_MAX, "'none'");
        return;
    }
    size_t length = base64_encode(text, str_of((const char *)digest, n), BASE64_STANDARD);
    snprintf(dst, SOURCE_MAX, "'sha256-%.*s'", (int)length, text);
}

const char *web_policy(void)
{
    static char policy[320];
    char source[SOURCE_MAX];
    if (*policy)
        return policy;
    write_source(source);
    snprintf(policy, sizeof policy,
             "default-src 'none'; style-src %s; script-src 'self'; connect-src 'self'; "
             "base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
             source);
    return policy;
}

bool web_plain(struct buf *out, struct str title, struct str text)
{
    size_t before = out->n;
    if (buf_add(out, STR("<main class=\"lunette\">\n<header>\n<p class=\"status\">")) &&
        html_add(out, title) && buf_add(out, STR("</p>\n<pre class=\"plain\">")) &&
        html_add(out, text) && buf_add(out, STR("</pre>\n</header>\n</main>")))
        return true;
    out->n = before;
    return false;
}
