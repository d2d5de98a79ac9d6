// Why scripts cannot be loaded: see the header.
#include "app/report.h"

#include "base/io.h"
#include "script/web.h"

#include <errno.h>

enum { IS_HTML = 'H', IS_TEXT = 'T' };

bool report_show(struct buf *out, struct str html, struct str text)
{
    return html.n ? buf_add(out, html) : web_plain(out, STR("The scripts cannot be loaded"), text);
}

int report_write(int fd, struct str html, struct str text)
{
    struct buf bytes;
    buf_init(&bytes, REPORT_MAX);
    bool ok = html.n ? buf_addc(&bytes, IS_HTML) && buf_add(&bytes, html)
                     : buf_addc(&bytes, IS_TEXT) && buf_add(&bytes, text);
    int rc = ok ? io_write_all(fd, buf_str(&bytes)) : -ENOMEM;
    buf_fini(&bytes);
    return rc;
}

static int show_bytes(struct str bytes, struct buf *out)
{
    if (bytes.n < 2 || (*bytes.p != IS_HTML && *bytes.p != IS_TEXT))
        return -EPROTO;
    struct str said = str_of(bytes.p + 1, bytes.n - 1), none = STR("");
    bool ok = *bytes.p == IS_HTML ? report_show(out, said, none) : report_show(out, none, said);
    return ok ? 0 : -ENOMEM;
}

int report_read(int fd, struct buf *out)
{
    struct buf bytes;
    buf_init(&bytes, REPORT_MAX);
    int rc = io_read_file(fd, &bytes);
    if (rc == 0)
        rc = show_bytes(buf_str(&bytes), out);
    buf_fini(&bytes);
    return rc;
}
