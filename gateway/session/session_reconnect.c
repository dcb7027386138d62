/* session_reconnect: when a client whose gateway ends is to connect again. */
#include "gateway/fanout/slot.h"
#include "gateway/session/session_private.h"

int64_t session_reconnect_ms(const struct sessions *all, uint32_t n)
{
    return SESSIONS_RECONNECT_MS + slot_at(n, (int64_t)all->place_count);
}
