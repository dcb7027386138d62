#include "gateway/routes/publish_reply.h"

#include "gateway/http/reply_text.h"
#include <string.h>

#include "gateway/routes/member.h"
#include "shared/wire/pack.h"
#include "shared/wire/publish.h"
#include "shared/wire/quote.h"

void publish_reply_free(struct publish_reply *p)
{
    buf_free(&p->quotes);
}

static const char *explain(struct span reason)
{
    enum quote_refusal why;

    return quote_refusal_find(reason, &why) && why ? quote_refusal_text(why)
                                                   : "refused by the broker";
}

static void put_refusal(struct publish_reply *p, struct span reason, struct span field)
{
    buf_adds(&p->quotes, ",\"code\":");
    buf_json(&p->quotes, reason);
    member_text(&p->quotes, "field", field);
    buf_adds(&p->quotes, ",\"message\":");
    reply_text_json(&p->quotes, p->language, explain(reason));
    buf_addc(&p->quotes, '}');
}

/* False: there is none, or it makes no sense; then index is UINT64_MAX. */
static bool take_refusal(struct span *c, uint32_t *left, struct publish_refusal *out)
{
    out->index = UINT64_MAX;
    if (!*left || !publish_take_refusal(c, out))
        return false;
    --*left;
    return true;
}

bool publish_reply_add(struct publish_reply *p, struct span answer)
{
    uint64_t count = pack_find_u(answer, "count", UINT64_MAX),
             seq = pack_find_u(answer, "first", 0), epoch = pack_find_u(answer, "epoch", 0);
    struct span c;
    uint32_t left = pack_find_list(answer, "refused", &c), refused = left;
    bool is_first = p->count == 0;
    struct publish_refusal r;

    if (is_first)
        p->epoch = epoch;
    if (count > UINT16_MAX || left > count || (left < count && !seq))
        return false;
    take_refusal(&c, &left, &r);
    for (uint64_t i = 0; i < count; i++) {
        buf_adds(&p->quotes, p->count ? ",{\"index\":" : "{\"index\":");
        buf_addu(&p->quotes, p->count++);
        if (i == r.index) {
            put_refusal(p, r.reason, r.field);
            take_refusal(&c, &left, &r);
        } else {
            member_u(&p->quotes, "seq", seq++);
            if (epoch != p->epoch)
                member_epoch(&p->quotes, "epoch", epoch);
            buf_addc(&p->quotes, '}');
            p->accepted++;
        }
    }
    p->is_repeated = pack_find_bool(answer, "repeated", false) && (is_first || p->is_repeated);
    p->is_stored = pack_find_bool(answer, "stored", false); /* its positions are the highest */
    return !left && (refused == 0 || r.index == UINT64_MAX);
}

void publish_reply_members(const struct publish_reply *p, struct span feed, struct buf *out)
{
    member_text(out, "feed", feed);
    member_epoch(out, "epoch", p->epoch);
    member_u(out, "accepted", p->accepted);
    member_u(out, "refused", p->count - p->accepted);
    member_flag(out, "repeated", p->is_repeated);
    member_flag(out, "stored", p->is_stored);
    buf_adds(out, ",\"quotes\":[");
    buf_add(out, p->quotes.data, p->quotes.len);
    buf_addc(out, ']');
}
