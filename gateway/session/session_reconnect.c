/* session_reconnect: when a client whose gateway ends is to connect again. */
#include "gateway/fanout/slot.h"
#include "gateway/session/session_private.h"

#define WINDOW_MAX_MS 3600000

int64_t session_reconnect_ms(const struct sessions *all, uint32_t n, uint64_t clients,
                             uint64_t gateways)
{
    uint64_t rate = (uint64_t)all->config->handshake_rate * (gateways ? gateways : 1);
    uint64_t window_ms = clients * 1000 / rate;

    return SESSIONS_RECONNECT_MS +
           slot_at(n, window_ms < WINDOW_MAX_MS ? (int64_t)window_ms : WINDOW_MAX_MS);
}
