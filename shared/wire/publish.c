#include "shared/wire/publish.h"

#include "shared/wire/pack.h"

bool publish_is_key(struct span key)
{
    for (size_t i = 0; i < key.len; i++)
        if (key.at[i] <= ' ' || key.at[i] > '~')
            return false;
    return key.len >= 1 && key.len <= PUBLISH_KEY_MAX;
}

bool publish_take_refusal(struct span *c, struct publish_refusal *out)
{
    struct pack_value head, index, reason, field;

    if (!pack_next(c, &head) || head.type != PACK_ARRAY || head.count != 3 ||
        !pack_next(c, &index) || index.type != PACK_UINT || !pack_next(c, &reason) ||
        reason.type != PACK_STR || !pack_next(c, &field) || field.type != PACK_STR)
        return false;
    *out = (struct publish_refusal){index.u, reason.text, field.text};
    return true;
}
