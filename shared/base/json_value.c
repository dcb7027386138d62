/* json_value: queries of values, for code that does not parse (which needs yajl). */
#include "shared/base/json.h"

const struct json_value *json_member(const struct json_value *object, const char *key)
{
    const struct json_value *v = object + 1;

    if (object->type != JSON_OBJECT)
        return NULL;
    for (uint32_t i = 0; i < object->size; i++) {
        if (span_eq(v->text, key))
            return v + 1;
        v += 1 + v[1].skip;
    }
    return NULL;
}
