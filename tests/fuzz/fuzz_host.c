/* A Host header, and ALLOWED_HOSTS on the second line. */
#include "gateway/policy/host.h"
#include "tests/fuzz/fuzz.h"

/* What was read and is written again is the same host. */
static void check_round(const struct host *h)
{
    char text[HOST_NAME_LEN + 10];
    struct host again;

    if (h->port)
        snprintf(text, sizeof text, "%s:%d", h->name, h->port);
    else
        snprintf(text, sizeof text, "%s", h->name);
    MUST(host_parse(text, &again));
    MUST(strcmp(again.name, h->name) == 0 && again.port == h->port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = fuzz_span(data, size);
    char *authority = fuzz_line(&rest), *list = fuzz_line(&rest);
    char error[HOST_ERROR_MAX] = "";
    struct host_list *l = host_list_new("ALLOWED_HOSTS", list, error);
    struct host h;

    MUST(l || error[0]);
    if (host_parse(authority, &h)) {
        MUST(h.port >= 0 && h.port <= 65535);
        check_round(&h);
        (void)host_is_loopback(h.name);
        (void)host_is_public(h.name);
        if (l)
            (void)host_list_allows(l, &h);
    }
    host_list_free(l);
    free(authority);
    free(list);
    return 0;
}
