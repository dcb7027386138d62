#include "gateway/routes/member.h"

void member_text(struct buf *b, const char *key, struct span text)
{
    buf_printf(b, ",\"%s\":", key);
    buf_json(b, text);
}

void member_u(struct buf *b, const char *key, uint64_t n)
{
    buf_printf(b, ",\"%s\":", key);
    buf_addu(b, n);
}

void member_epoch(struct buf *b, const char *key, uint64_t epoch)
{
    buf_printf(b, ",\"%s\":\"%016llx\"", key, (unsigned long long)epoch);
}

void member_time(struct buf *b, const char *key, uint64_t wall_us)
{
    buf_printf(b, ",\"%s\":", key);
    buf_json_time(b, (int64_t)wall_us);
}

void member_flag(struct buf *b, const char *key, bool value)
{
    buf_printf(b, ",\"%s\":%s", key, value ? "true" : "false");
}

void member_seconds(struct buf *b, const char *key, uint64_t ms)
{
    buf_printf(b, ",\"%s\":%llu.%03llu", key, (unsigned long long)ms / 1000,
               (unsigned long long)ms % 1000);
}
