/* The head of an HTTP request, whole and as it arrives byte by byte. */
#include "gateway/http/head.h"
#include "gateway/policy/list.h"
#include "tests/fuzz/fuzz.h"

static bool has_control(const char *text)
{
    for (; *text; text++)
        if (((unsigned char)*text < ' ' && *text != '\t') || *text == 0x7f)
            return true;
    return false;
}

static void check_head(const struct head *h, struct buf *room)
{
    MUST(h->count <= HEAD_FIELDS_MAX);
    MUST(h->path[0] == '/' || strcmp(h->path, "*") == 0);
    MUST(strlen(h->path) + strlen(h->query) <= HEAD_TARGET_MAX);
    MUST(!has_control(h->path) && !strchr(h->path, ' ') && !strchr(h->path, '?'));
    MUST(strcmp(h->version, "1.1") == 0 || strcmp(h->version, "1.0") == 0);
    MUST(h->host || strcmp(h->version, "1.0") == 0);
    MUST(!h->has_length || h->length <= 999999999999999999u);
    MUST(!h->has_length || !h->is_chunked);
    for (int i = 0; i < h->count; i++) {
        const char *value = h->fields[i].value;
        size_t len = strlen(value);

        MUST(h->fields[i].name[0] && !has_control(h->fields[i].name) && !has_control(value));
        MUST(!len || (value[0] != ' ' && value[len - 1] != ' '));
        MUST(head_value(h, h->fields[i].name));
    }
    (void)head_values(h, "X-Forwarded-For", room);
    if (head_values(h, "Connection", room))
        (void)list_has(head_values(h, "Connection", room), "upgrade");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = fuzz_text(fuzz_span(data, size));
    struct head_scan whole = {0}, bytewise = {0};
    enum head_fault fault = head_scan(&whole, copy, size), other = HEAD_FINE;
    struct buf room = {0};
    struct head h;

    for (size_t n = 1; n <= size && !other && !bytewise.size; n++)
        other = head_scan(&bytewise, copy, n);
    /* How the bytes arrive does not change what they mean. */
    MUST(other == fault && (fault || bytewise.size == whole.size));
    if (fault) {
        MUST(head_explain(fault).status >= 400);
    } else if (whole.size) {
        MUST(whole.size <= size && whole.size - whole.start <= HEAD_MAX);
        fault = head_parse(copy + whole.start, whole.size - whole.start, &h);
        if (fault)
            MUST(head_explain(fault).status >= 400);
        else
            check_head(&h, &room);
    }
    buf_free(&room);
    free(copy);
    return 0;
}
