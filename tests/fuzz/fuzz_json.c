/* JSON from clients, sources and the Bot API: what is printed again means the same. */
#include "shared/base/json.h"
#include "tests/fuzz/fuzz.h"

static const struct json_value *print(const struct json_value *v, struct buf *out)
{
    const struct json_value *child = v + 1, *end = v + v->skip;
    bool is_object = v->type == JSON_OBJECT;

    switch (v->type) {
    case JSON_NULL:
        buf_adds(out, "null");
        break;
    case JSON_BOOL:
    case JSON_NUMBER:
        buf_add(out, v->text.at, v->text.len);
        break;
    case JSON_STRING:
        buf_json(out, v->text);
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        buf_addc(out, is_object ? '{' : '[');
        for (uint32_t i = 0; i < v->size; i++) {
            buf_adds(out, i ? "," : "");
            child = print(child, out);
            if (is_object) {
                buf_addc(out, ':');
                child = print(child, out);
            }
        }
        buf_addc(out, is_object ? '}' : ']');
        break;
    }
    MUST(child == end);
    return end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct json_value *root, *again;
    struct json *j = json_new(), *other = json_new();
    struct buf text = {0};

    if (json_parse(j, fuzz_span(data, size), &root)) {
        MUST(json_error(j)[0] && json_error_offset(j) <= size);
    } else {
        MUST(root->skip <= JSON_VALUES_MAX);
        print(root, &text);
        MUST(json_parse(other, buf_span(&text), &again) == OK);
        MUST(again->skip == root->skip);
        for (uint32_t i = 0; i < root->skip; i++)
            MUST(again[i].type == root[i].type && again[i].size == root[i].size &&
                 root[i].offset < size && fuzz_same(again[i].text, root[i].text));
        (void)json_member(root, "op");
    }
    buf_free(&text);
    json_free(j);
    json_free(other);
    return 0;
}
