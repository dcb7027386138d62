#include "gateway/www.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "gateway/sha256.h"

/* The path is seen from the repository's root, where make runs the compiler. */
__asm__(".section .rodata\n"
        ".global www_begin\n"
        ".hidden www_begin\n"
        "www_begin:\n"
        ".incbin \"gateway/www/index.html\"\n"
        ".global www_end\n"
        ".hidden www_end\n"
        "www_end:\n"
        ".byte 0\n"
        ".previous\n");

extern const char www_begin[] __attribute__((visibility("hidden")));
extern const char www_end[] __attribute__((visibility("hidden")));

static struct {
    pthread_once_t once;
    char tag[40];
    char policy[600];
} made = {.once = PTHREAD_ONCE_INIT};

struct span www_page(void)
{
    return (struct span){www_begin, (size_t)(www_end - www_begin)};
}

/* " 'sha256-…'" of what stands between the tags, or nothing if they are not there. */
static void add_hash(struct buf *out, const char *open, const char *shut)
{
    struct span page = www_page();
    const char *from = memmem(page.at, page.len, open, strlen(open)), *to;
    uint8_t digest[SHA256_SIZE];

    if (!from)
        return;
    from += strlen(open);
    to = memmem(from, (size_t)(www_end - from), shut, strlen(shut));
    if (!to)
        return;
    sha256_digest((struct span){from, (size_t)(to - from)}, digest);
    buf_adds(out, " 'sha256-");
    sha256_base64(digest, out);
    buf_adds(out, "'");
}

static void make(void)
{
    struct buf b = {0};
    uint8_t digest[SHA256_SIZE];

    sha256_digest(www_page(), digest);
    for (size_t i = 0; i < 8; i++)
        buf_printf(&b, "%02x", digest[i]);
    snprintf(made.tag, sizeof made.tag, "\"%s\"", buf_text(&b));
    buf_clear(&b);
    buf_adds(&b, "default-src 'none'; script-src");
    add_hash(&b, "<script>", "</script>");
    buf_adds(&b, "; style-src");
    add_hash(&b, "<style>", "</style>");
    /* Older Safari does not take 'self' for ws: and wss:. */
    buf_adds(&b, "; connect-src 'self' ws: wss:; img-src data:; base-uri 'none'; "
                 "form-action 'none'; frame-ancestors 'none'");
    snprintf(made.policy, sizeof made.policy, "%s", buf_text(&b));
    buf_free(&b);
}

void www_headers(struct buf *out)
{
    pthread_once(&made.once, make);
    buf_printf(
        out,
        "Content-Security-Policy: %s\r\nETag: %s\r\nReferrer-Policy: no-referrer\r\n",
        made.policy, made.tag);
}

bool www_is_fresh(const char *if_none_match)
{
    pthread_once(&made.once, make);
    return if_none_match && strstr(if_none_match, made.tag);
}
