#include "gateway/www.h"

#include <stdio.h>
#include <string.h>

#include "shared/hash.h"

/* The paths are seen from the repository's root, where make runs the compiler. */
#define EMBED(symbol, path)                                                        \
    __asm__(".section .rodata\n"                                                   \
            ".hidden " #symbol "_begin\n.global " #symbol "_begin\n" #symbol       \
            "_begin:\n"                                                            \
            ".incbin \"" path "\"\n"                                               \
            ".hidden " #symbol "_end\n.global " #symbol "_end\n" #symbol "_end:\n" \
            ".byte 0\n.previous\n");                                               \
    extern const char symbol##_begin[], symbol##_end[]

EMBED(www_page, "gateway/www/index.html");
EMBED(www_style, "gateway/www/board.css");
EMBED(www_script, "gateway/www/board.js");

/* Older Safari does not take 'self' for ws: and wss:. */
const char www_headers[] =
    "Content-Security-Policy: default-src 'none'; script-src 'self'; "
    "style-src 'self'; connect-src 'self' ws: wss:; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
    "Referrer-Policy: no-referrer\r\n";

static const struct {
    const char *begin, *end, *type;
} files[] = {
    [WWW_PAGE] = {www_page_begin, www_page_end, "text/html; charset=utf-8"},
    [WWW_STYLE] = {www_style_begin, www_style_end, "text/css; charset=utf-8"},
    [WWW_SCRIPT] = {www_script_begin, www_script_end, "text/javascript; charset=utf-8"},
};

struct www_file www_file(enum www_name name)
{
    struct www_file f = {
        .content = {files[name].begin, (size_t)(files[name].end - files[name].begin)},
        .type = files[name].type,
    };

    snprintf(f.tag, sizeof f.tag, "\"%08x\"", hash_name(f.content));
    return f;
}

bool www_is_fresh(const struct www_file *f, const char *if_none_match)
{
    return if_none_match && strstr(if_none_match, f->tag);
}
