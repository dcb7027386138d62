#include "gateway/routes/lock_json.h"

#include <string.h>

#include "gateway/routes/member.h"
#include "shared/wire/pack.h"

#define LINE_SHOWN 10

/* Copy the members of `of` that are in milliseconds there. */
static void copy_seconds(struct buf *b, const char *key, struct span map, const char *of)
{
    member_seconds(b, key, pack_find_u(map, of, 0));
}

static void put_name(struct buf *b, struct span map)
{
    buf_adds(b, "{\"name\":");
    buf_json(b, pack_find_text(map, "name"));
}

static void put_line(struct buf *b, struct span entry, bool shows_owners)
{
    struct span c, owner;
    uint32_t count = shows_owners ? pack_find_list(entry, "line", &c) : 0;

    buf_adds(b, ",\"line\":[");
    for (uint32_t i = 0; i < count && i < LINE_SHOWN && pack_next_text(&c, &owner); i++) {
        if (i)
            buf_addc(b, ',');
        buf_json(b, owner);
    }
    buf_addc(b, ']');
}

static void put_last_lost(struct buf *b, struct span entry, bool shows_owners)
{
    struct pack_value map;
    struct span lost;

    buf_adds(b, ",\"last_lost\":");
    if (!pack_find(entry, "last_lost", &map, &lost) || map.type != PACK_MAP) {
        buf_adds(b, "null");
        return;
    }
    buf_adds(b, "{\"owner\":");
    buf_json(b, shows_owners ? pack_find_text(lost, "owner") : SPAN(""));
    member_u(b, "token", pack_find_u(lost, "token", 0));
    copy_seconds(b, "ago", lost, "ago_ms");
    member_text(b, "reason", pack_find_text(lost, "reason"));
    buf_addc(b, '}');
}

void lock_json_entry(struct buf *b, struct span entry, bool shows_owners)
{
    struct span state = pack_find_text(entry, "state"),
                owner = shows_owners ? pack_find_text(entry, "owner") : SPAN("");

    put_name(b, entry);
    member_text(b, "state", state);
    if (span_eq(state, "held"))
        member_text(b, "holder", owner);
    else
        buf_adds(b, ",\"holder\":null");
    member_text(b, "owner", owner);
    member_text(b, "host", shows_owners ? pack_find_text(entry, "host") : SPAN(""));
    member_u(b, "pid", shows_owners ? pack_find_u(entry, "pid", 0) : 0);
    member_u(b, "token", pack_find_u(entry, "token", 0));
    copy_seconds(b, "held_for", entry, "held_ms");
    copy_seconds(b, "expires_in", entry, "expires_ms");
    copy_seconds(b, "ttl", entry, "ttl_ms");
    copy_seconds(b, "lock_delay", entry, "delay_ms");
    copy_seconds(b, "closed_for", entry, "closed_ms");
    member_u(b, "waiters", pack_find_u(entry, "waiters", 0));
    put_line(b, entry, shows_owners);
    member_u(b, "value_bytes", pack_find_u(entry, "value_bytes", 0));
    member_u(b, "version", pack_find_u(entry, "version", 0));
    put_last_lost(b, entry, shows_owners);
    buf_addc(b, '}');
}

/* The elements of an answer's "locks" that are maps, one by one. */
static bool enter(struct span answer, struct span *c, uint32_t *count)
{
    *count = pack_find_list(answer, "locks", c);
    return c->at != NULL;
}

int lock_json_list(struct buf *b, struct span answer, bool shows_owners)
{
    uint32_t count;
    struct span c;

    if (!enter(answer, &c, &count))
        return -1;
    buf_addc(b, '[');
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            buf_addc(b, ',');
        lock_json_entry(b, pack_next_raw(&c), shows_owners);
    }
    buf_addc(b, ']');
    return (int)count;
}

bool lock_json_find(struct span answer, struct span name, struct span *entry)
{
    uint32_t count;
    struct span c;

    if (!enter(answer, &c, &count))
        return false;
    while (count--) {
        struct span one = pack_next_raw(&c), found = pack_find_text(one, "name");

        if (found.len == name.len && memcmp(found.at, name.at, name.len) == 0) {
            *entry = one;
            return true;
        }
    }
    return false;
}

void lock_json_grant(struct buf *b, struct span answer)
{
    put_name(b, answer);
    member_text(b, "owner", pack_find_text(answer, "owner"));
    member_u(b, "token", pack_find_u(answer, "token", 0));
    copy_seconds(b, "expires_in", answer, "expires_ms");
    copy_seconds(b, "ttl", answer, "ttl_ms");
    copy_seconds(b, "lock_delay", answer, "delay_ms");
    member_flag(b, "is_new", pack_find_bool(answer, "is_new", false));
    member_flag(b, "durable", pack_find_bool(answer, "durable", false));
    buf_addc(b, '}');
}

void lock_json_renewal(struct buf *b, struct span answer, struct span owner)
{
    put_name(b, answer);
    member_text(b, "owner", owner);
    member_u(b, "token", pack_find_u(answer, "token", 0));
    copy_seconds(b, "expires_in", answer, "expires_ms");
    buf_addc(b, '}');
}

void lock_json_held(struct buf *b, struct span answer)
{
    struct span owner = pack_find_text(answer, "owner");

    if (owner.len) {
        buf_adds(b, ",\"holder\":{\"owner\":");
        buf_json(b, owner);
        member_u(b, "token", pack_find_u(answer, "token", 0));
        copy_seconds(b, "expires_in", answer, "expires_ms");
        buf_addc(b, '}');
    } else {
        buf_adds(b, ",\"holder\":null");
    }
    copy_seconds(b, "closed_for", answer, "closed_ms");
    member_u(b, "place", pack_find_u(answer, "place", 0));
    member_u(b, "waiters", pack_find_u(answer, "waiters", 0));
}

void lock_json_stale(struct buf *b, struct span answer)
{
    member_text(b, "owner", pack_find_text(answer, "owner"));
    member_u(b, "token", pack_find_u(answer, "token", 0));
    member_text(b, "reason", pack_find_text(answer, "reason"));
}
