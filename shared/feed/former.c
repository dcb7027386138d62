#include "shared/feed/former.h"

#include <stdio.h>

#include "shared/wire/pack.h"

void former_describe(struct span m, char *out, size_t size)
{
    struct pack_value v;
    struct span after, host;

    out[0] = '\0';
    if (!pack_find(m, "after", &v, &after) || v.type != PACK_MAP)
        return;
    host = pack_find_text(after, "host");
    /* the broker read the name from its log and knows no process */
    if (!pack_find_u(after, "pid", 0)) {
        snprintf(out, size, "; the one before us %s after line %llu",
                 pack_find_bool(after, "left", false) ? "left" : "fell silent",
                 (unsigned long long)pack_find_u(after, "line", 0));
        return;
    }
    if (!host.len)
        host = SPAN("a host not known");
    snprintf(out, size, "; we follow pid %llu on %.*s, which %s %.3f s ago after line %llu",
             (unsigned long long)pack_find_u(after, "pid", 0), (int)host.len, host.at,
             pack_find_bool(after, "left", false) ? "left" : "was last heard",
             (double)pack_find_u(after, "ago_ms", 0) / 1e3,
             (unsigned long long)pack_find_u(after, "line", 0));
}
