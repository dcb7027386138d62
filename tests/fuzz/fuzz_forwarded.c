/* X-Forwarded-…: five lines (peer, Host, For, Proto, Host), and FORWARDED_ALLOW_IPS behind them. */
#include "gateway/policy/forwarded.h"
#include "gateway/policy/origin.h"
#include "tests/fuzz/fuzz.h"

static const char *or_none(const char *text)
{
    return text[0] == '-' && !text[1] ? NULL : text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = fuzz_span(data, size);
    char *peer = fuzz_line(&rest), *host = fuzz_line(&rest), *list = fuzz_line(&rest),
         *proto = fuzz_line(&rest), *x_host = fuzz_line(&rest), *allowed = fuzz_line(&rest);
    char error[FORWARDED_ERROR_MAX] = "";
    struct forwarded_trust *t = forwarded_trust_new("FORWARDED_ALLOW_IPS", allowed, error);
    struct forwarded_facts facts = {.peer = peer,
                                    .peer_port = 1,
                                    .host = or_none(host),
                                    .x_for = or_none(list),
                                    .x_proto = or_none(proto),
                                    .x_host = or_none(x_host)};
    struct forwarded_client client;
    struct origin origin;

    MUST(t || error[0]);
    if (!t)
        t = forwarded_trust_new("FORWARDED_ALLOW_IPS", "127.0.0.1", error);
    MUST(t);
    forwarded_resolve(t, &facts, &client);
    MUST(strcmp(client.scheme, "http") == 0 || strcmp(client.scheme, "https") == 0);
    MUST(client.peer_is_trusted == forwarded_is_trusted(t, peer));
    MUST(client.port >= 0 && client.port <= 65535);
    /* Only a trusted peer may say another address, scheme or host. */
    if (!client.peer_is_trusted)
        MUST(!client.is_proxied && strcmp(client.scheme, "http") == 0);
    if (client.own_origin[0])
        (void)origin_parse(client.own_origin, &origin);
    forwarded_trust_free(t);
    free(peer);
    free(host);
    free(list);
    free(proto);
    free(x_host);
    free(allowed);
    return 0;
}
