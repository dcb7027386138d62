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
    struct publish_refusal r;

    if (!pack_next_array(c, 3) || !pack_next_u(c, &r.index) || !pack_next_text(c, &r.reason) ||
        !pack_next_text(c, &r.field))
        return false;
    *out = r;
    return true;
}
