/* CONTRIBUTING.md promises of every module that its free function accepts NULL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/core/book.h"
#include "broker/core/feed.h"
#include "broker/core/registry.h"
#include "broker/core/request_queue.h"
#include "broker/locks/lease.h"
#include "broker/log/journal.h"
#include "broker/net/peers.h"
#include "broker/net/topics.h"
#include "consumer/telegram/bot.h"
#include "consumer/telegram/lastprice.h"
#include "consumer/telegram/pacer.h"
#include "shared/feed/outbox.h"
#include "feeder/source.h"
#include "gateway/fanout/hub.h"
#include "gateway/fanout/window.h"
#include "gateway/limits/gate.h"
#include "gateway/limits/rate.h"
#include "gateway/policy/cors.h"
#include "gateway/policy/forwarded.h"
#include "gateway/policy/host.h"
#include "gateway/policy/origin.h"
#include "shared/base/json.h"

static void every_free_function_accepts_null(void **state)
{
    (void)state;
    book_free(NULL);
    feed_table_free(NULL);
    registry_free(NULL);
    request_queue_free(NULL);
    lease_table_free(NULL);
    journal_close(NULL, true);
    peers_free(NULL);
    topics_free(NULL);
    bot_free(NULL);
    lastprice_table_free(NULL);
    pacer_free(NULL);
    outbox_free(NULL);
    source_free(NULL);
    hub_free(NULL);
    window_free(NULL);
    gate_free(NULL);
    rate_free(NULL);
    cors_policy_free(NULL);
    forwarded_trust_free(NULL);
    host_list_free(NULL);
    origin_list_free(NULL);
    json_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_free_function_accepts_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
