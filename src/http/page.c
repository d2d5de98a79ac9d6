// The built-in error page. It asks for nothing but itself (no script, font or picture), so that it
// works when little else does; without its style, under a strict Content-Security-Policy, it is
// still a heading and a paragraph.
#include "http/page.h"

#include "base/html.h"
#include "http/status.h"

static const char head[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>";
static const char style[] =
    "</title>\n"
    "<style>\n"
    ":root { color-scheme: light dark; --ink: #22252b; --soft: #5b6270; --paper: #fbfbf9 }\n"
    "@media (prefers-color-scheme: dark) {\n"
    "  :root { --ink: #e8e8e4; --soft: #a3a9b5; --paper: #17191d }\n"
    "}\n"
    "body { margin: 0; color: var(--ink); background: var(--paper);\n"
    "  font: 1.0625rem/1.6 system-ui, sans-serif; overflow-wrap: anywhere }\n"
    "main { max-width: 36rem; margin: 0 auto; padding: 18vh 1.5rem 3rem }\n"
    "h1 { margin: 0; font-size: 1.75rem; line-height: 1.25; font-weight: 600 }\n"
    "p { margin: 1rem 0 0; color: var(--soft); white-space: pre-wrap }\n"
    "</style>\n"
    "</head>\n"
    "<body>\n"
    "<main>\n"
    "<h1>";
static const char foot[] = "</main>\n"
                           "</body>\n"
                           "</html>\n";

// "404 Not Found"; the number alone where the code is not registered.
static bool add_status(struct buf *out, unsigned status)
{
    struct str reason = status_reason(status);
    return buf_addf(out, "%u%s", status, reason.n ? " " : "") && html_add(out, reason);
}

static bool add_message(struct buf *out, struct str message)
{
    if (message.n == 0)
        return true;
    return buf_add(out, STR("<p>")) && html_add(out, message) && buf_add(out, STR("</p>\n"));
}

bool page_html(struct buf *out, unsigned status, struct str message)
{
    size_t before = out->n;
    if (buf_add(out, STR(head)) && add_status(out, status) && buf_add(out, STR(style)) &&
        add_status(out, status) && buf_add(out, STR("</h1>\n")) && add_message(out, message) &&
        buf_add(out, STR(foot)))
        return true;
    out->n = before;
    return false;
}
