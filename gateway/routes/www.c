#include "gateway/routes/www.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/hash.h"

/* The charts; they exist only if npm was there when make built this. */
#if __has_include("build/web/lightweight-charts.js")
#define FROM_NPM(X)                                                               \
    X(charts_js, "/www/lightweight-charts.js", "build/web/lightweight-charts.js") \
    X(charts_txt, "/www/lightweight-charts.txt", "build/web/lightweight-charts.txt")
#else
#define FROM_NPM(X) X(charts_js, "/www/lightweight-charts.js", "gateway/www/no-charts.js")
#endif

/*
 * Every file: a name for the linker, the path it is served at, and where it lies, seen
 * from the repository's root, where make runs the compiler.  What ends in .html is a page.
 */
/* clang-format off */
#define FILES(X) \
    X(board_html, "/", "gateway/www/board.html") \
    X(board_css, "/www/board.css", "gateway/www/board.css") \
    X(board_js, "/www/board.js", "gateway/www/board.js") \
    X(board_alerts_js, "/www/board-alerts.js", "gateway/www/board-alerts.js") \
    X(board_chart_js, "/www/board-chart.js", "gateway/www/board-chart.js") \
    X(board_columns_js, "/www/board-columns.js", "gateway/www/board-columns.js") \
    X(board_export_js, "/www/board-export.js", "gateway/www/board-export.js") \
    X(board_grid_js, "/www/board-grid.js", "gateway/www/board-grid.js") \
    X(board_history_js, "/www/board-history.js", "gateway/www/board-history.js") \
    X(board_options_js, "/www/board-options.js", "gateway/www/board-options.js") \
    X(board_panel_js, "/www/board-panel.js", "gateway/www/board-panel.js") \
    X(board_quotes_js, "/www/board-quotes.js", "gateway/www/board-quotes.js") \
    X(board_settings_js, "/www/board-settings.js", "gateway/www/board-settings.js") \
    X(board_texts_js, "/www/board-texts.js", "gateway/www/board-texts.js") \
    X(board_trend_js, "/www/board-trend.js", "gateway/www/board-trend.js") \
    X(decimal_js, "/www/decimal.js", "gateway/www/decimal.js") \
    X(openapi_json, "/openapi.json", "gateway/www/openapi.json") \
    X(docs_html, "/docs", "gateway/www/docs.html") \
    X(status_html, "/status", "gateway/www/status.html") \
    X(format_js, "/www/format.js", "gateway/www/format.js") \
    X(page_js, "/www/page.js", "gateway/www/page.js") \
    X(ask_js, "/www/ask.js", "gateway/www/ask.js") \
    X(element_js, "/www/element.js", "gateway/www/element.js") \
    X(style_css, "/www/style.css", "gateway/www/style.css") \
    X(docs_css, "/www/docs.css", "gateway/www/docs.css") \
    X(docs_js, "/www/docs.js", "gateway/www/docs.js") \
    X(docs_schema_js, "/www/docs-schema.js", "gateway/www/docs-schema.js") \
    X(docs_stream_js, "/www/docs-stream.js", "gateway/www/docs-stream.js") \
    X(docs_texts_js, "/www/docs-texts.js", "gateway/www/docs-texts.js") \
    X(status_css, "/www/status.css", "gateway/www/status.css") \
    X(status_js, "/www/status.js", "gateway/www/status.js") \
    X(status_texts_js, "/www/status-texts.js", "gateway/www/status-texts.js") \
    X(status_forget_js, "/www/status-forget.js", "gateway/www/status-forget.js") \
    X(spark_js, "/www/spark.js", "gateway/www/spark.js") \
    X(exposition_js, "/www/exposition.js", "gateway/www/exposition.js") \
    X(table_js, "/www/table.js", "gateway/www/table.js") \
    X(pregon_js, "/www/pregon.js", "consumer/js/pregon.js") \
    X(msgpack_js, "/www/msgpack.js", "consumer/js/msgpack.js") \
    X(http_js, "/www/http.js", "consumer/js/http.js") \
    X(position_js, "/www/position.js", "consumer/js/position.js") \
    FROM_NPM(X)
/* clang-format on */

#define INCBIN(symbol, file)                                                             \
    __asm__(".section .rodata\n"                                                         \
            ".hidden " #symbol "_begin\n.global " #symbol "_begin\n" #symbol "_begin:\n" \
            ".incbin \"" file "\"\n"                                                     \
            ".hidden " #symbol "_end\n.global " #symbol "_end\n" #symbol "_end:\n"       \
            ".byte 0\n.previous\n");                                                     \
    extern const char symbol##_begin[], symbol##_end[];

/* WWW_PACKED: the folder where make has packed them. */
#define EMBED(name, path, file) \
    INCBIN(www_##name, file)    \
    INCBIN(www_packed_##name, WWW_PACKED "/" file ".gz")
FILES(EMBED)

#define ROW(name, path, file)   \
    {path,                      \
     file,                      \
     www_##name##_begin,        \
     www_##name##_end,          \
     www_packed_##name##_begin, \
     www_packed_##name##_end},
static const struct {
    const char *path, *file, *begin, *end, *packed, *packed_end;
} files[] = {FILES(ROW)};

static const struct {
    const char *ending, *type;
} types[] = {
    {".html", "text/html; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".json", "application/json"},
    {".svg", "image/svg+xml"},
    {".txt", "text/plain; charset=utf-8"},
};

/* Older Safari does not take 'self' for ws: and wss:. */
const char www_headers[] = "Content-Security-Policy: default-src 'none'; script-src 'self'; "
                           "style-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; "
                           "base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
                           "Referrer-Policy: no-referrer\r\n";

static const char *type_of(const char *file)
{
    const char *ending = strrchr(file, '.');

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(ending, types[i].ending) == 0)
            return types[i].type;
    return "application/octet-stream";
}

bool www_at(size_t index, struct www_file *out)
{
    if (index >= sizeof files / sizeof *files)
        return false;
    *out = (struct www_file){
        .path = files[index].path,
        .type = type_of(files[index].file),
        .plain = {files[index].begin, (size_t)(files[index].end - files[index].begin)},
        .packed = {files[index].packed, (size_t)(files[index].packed_end - files[index].packed)},
    };
    out->is_page = strncmp(out->type, "text/html", 9) == 0;
    return true;
}

bool www_find(const char *path, struct www_file *out)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        size_t len = strlen(files[i].path);

        if (strncmp(path, files[i].path, len) == 0 && (!path[len] || strcmp(path + len, "/") == 0))
            return www_at(i, out);
    }
    return false;
}

struct www_tag www_tag(struct span content)
{
    struct www_tag tag;

    snprintf(tag.text, sizeof tag.text, "\"%08x\"", hash_name(content));
    return tag;
}

bool www_is_fresh(struct www_tag tag, const char *if_none_match)
{
    return if_none_match && strstr(if_none_match, tag.text);
}

bool www_takes_gzip(const char *accept_encoding)
{
    const char *at = accept_encoding ? strcasestr(accept_encoding, "gzip") : NULL;

    if (!at)
        return false;
    at += strspn(at + 4, " ") + 4;
    if (*at != ';')
        return true;
    at += strspn(at + 1, " ") + 1;
    /* "q=0" and "q=0.000" mean that it may not. */
    return strncasecmp(at, "q=", 2) != 0 || strtod(at + 2, NULL) > 0;
}
