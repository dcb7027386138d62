/* msgpack from a socket: pack_check, and all that walks what passed it. */
#include "shared/base/json.h"
#include "shared/wire/pack.h"
#include "tests/fuzz/fuzz.h"

static void check_json(struct span bytes)
{
    const struct json_value *root;
    struct json *j = json_new();
    struct span cursor = bytes;
    struct buf text = {0};
    enum err e;

    json_set_depth(j, JSON_DEPTH_LIMIT);
    pack_to_json(&cursor, &text);
    MUST(cursor.len == 0);
    e = json_parse(j, buf_span(&text), &root);
    /* Bytes that are not UTF-8 become U+FFFD, so that two keys may become one. */
    MUST(e == OK || e == ERR_TOO_LARGE || e == ERR_DUPLICATE_KEY);
    buf_free(&text);
    json_free(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = fuzz_span(data, size), cursor = bytes, raw;
    struct pack_value v;

    if (pack_check(bytes)) {
        cursor = bytes;
        (void)pack_skip(&cursor);
        return 0;
    }
    MUST(pack_skip(&cursor) && cursor.len == 0);
    cursor = bytes;
    MUST(pack_take(&cursor, 0, &v) == OK && cursor.len == 0);
    check_json(bytes);
    (void)pack_find_u(bytes, "id", 0);
    (void)pack_find_text(bytes, "op");
    (void)pack_find_bool(bytes, "complete", false);
    if (pack_find(bytes, "a", &v, &raw))
        MUST(pack_skip(&raw));
    return 0;
}
