/* /metrics: each counter in its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/version.h"
#include "tests/unit/gateway/routes/handlers_fixture.h"

/* The samples of the page, without comments and buckets. */
static const char *samples(void)
{
    static struct buf out;
    const char *line = buf_text(&worker.q.body), *end;

    buf_clear(&out);
    for (; (end = strchr(line, '\n')); line = end + 1) {
        struct span whole = {line, (size_t)(end + 1 - line)};

        if (*line != '#' && !memmem(whole.at, whole.len, "_bucket", 7))
            buf_add(&out, whole.at, whole.len);
    }
    assert_string_equal(line, "");
    return buf_text(&out);
}

/* The page has these lines, one after the other. */
static void shows(const char *lines)
{
    const char *at = strstr(samples(), lines);

    if (!at || (at != samples() && at[-1] != '\n'))
        fail_msg("%s\nhas no\n%s", samples(), lines);
}

static void shows_no(const char *part)
{
    if (strstr(buf_text(&worker.q.body), part))
        fail_msg("%s\nhas %s", buf_text(&worker.q.body), part);
}

static const struct process_usage own = {1500000, 1001, 1002, 1003, 1004};

static void request_metrics(void)
{
    post_request((struct loop_request){.kind = LOOP_REQUEST_METRICS, .process = own});
}

static void count_something(void)
{
    struct counters *f = &g.counters;
    struct sessions *s = handlers.sessions;
    uint64_t n = 100;

    for (int mode = 0; mode < 2; mode++)
        for (int encoding = 0; encoding <= ENCODING_MSGPACK; encoding++)
            s->place_counts[mode][encoding] = n++;
    s->place_counts[0][ENCODING_EVENTS] = 41;
    s->place_counts[1][ENCODING_EVENTS_ALL] = 42;
    s->blocked_count = (size_t)n++;
    s->traced_count = (size_t)n++;
    f->opened = n++;
    for (int i = 0; i < COUNTERS_END_COUNT; i++)
        f->ends[i] = n++;
    f->resumes[0] = n++;
    f->resumes[1] = n++;
    f->errors = n++;
    for (int i = 0; i <= WIRE_LOCK; i++)
        f->records[i] = n++;
    f->malformed = n++;
    f->not_newer = n++;
    f->deliveries = n++;
    f->sends = n++;
    f->bytes_out = n++;
    f->bytes_in = n++;
    f->messages_in = n++;
    histogram_add(&f->queued[0], 3);
    histogram_add(&f->queued[1], 4);
    histogram_add(&f->queued[1], 5);
    histogram_add(&f->since_sent, 1000);
    histogram_add(&f->since_accepted, 2000);
}

static void every_counter_of_the_gateway_has_its_line(void **state)
{
    (void)state;
    count_something();
    hub_reset(g.hub, EPOCH);
    hub_thaw(g.hub);
    hub_set_seq(g.hub, 77);
    (void)hub_topic_retain(g.hub, SPAN("A1"));
    (void)hub_know(g.hub, SPAN("A1"));
    for (int i = 0; i < 3; i++)
        gate_count_head(handlers.gate, GATE_HEAD_late);
    request_metrics();
    is_answered(&worker, 200);
    shows("pregon_build_info{process=\"gateway\",version=\"" PREGON_VERSION "\"} 1\n"
          "pregon_ready 1\n"
          "pregon_broker_up 0\n"
          "process_cpu_seconds_total{process=\"gateway\"} 1.5\n"
          "process_resident_memory_bytes{process=\"gateway\"} 1001\n"
          "process_virtual_memory_bytes{process=\"gateway\"} 1002\n"
          "process_open_fds{process=\"gateway\"} 1003\n"
          "process_max_fds{process=\"gateway\"} 1004\n"
          "process_start_time_seconds{process=\"gateway\"} 1599999990.0\n"
          "pregon_clients{mode=\"merge\",encoding=\"json\"} 100\n"
          "pregon_clients{mode=\"merge\",encoding=\"msgpack\"} 101\n"
          "pregon_clients{mode=\"merge\",encoding=\"sse\"} 41\n"
          "pregon_clients{mode=\"all\",encoding=\"json\"} 102\n"
          "pregon_clients{mode=\"all\",encoding=\"msgpack\"} 103\n"
          "pregon_clients{mode=\"all\",encoding=\"sse\"} 42\n"
          "pregon_clients_limit 90\n"
          "pregon_clients_blocked 104\n"
          "pregon_clients_traced 105\n"
          "pregon_clients_opened_total 106\n"
          "pregon_clients_closed_total{reason=\"left\"} 107\n"
          "pregon_clients_closed_total{reason=\"lost\"} 108\n");
    shows("pregon_clients_closed_total{reason=\"restart\"} 114\n"
          "pregon_refusals_total{code=\"no_such_path\"} 0\n");
    shows("pregon_refusals_total{code=\"max_connections\"} 0\n"
          "pregon_refusals_total{code=\"publish_disabled\"} 0\n"
          "pregon_refusals_total{code=\"publish_unauthorized\"} 0\n"
          "pregon_refusals_total{code=\"publish_busy\"} 0\n"
          "pregon_refusals_total{code=\"cors_origin_not_allowed\"} 0\n"
          "pregon_refusals_total{code=\"cors_method_not_allowed\"} 0\n"
          "pregon_refusals_total{code=\"cors_header_not_allowed\"} 0\n"
          "pregon_http_heads_refused_total{reason=\"malformed\"} 0\n"
          "pregon_http_heads_refused_total{reason=\"late\"} 3\n");
    shows("pregon_http_heads_refused_total{reason=\"pushed_out\"} 0\n"
          "pregon_resumes_total{recovered=\"false\"} 115\n"
          "pregon_resumes_total{recovered=\"true\"} 116\n"
          "pregon_client_errors_total 117\n"
          "pregon_records_received_total{kind=\"quote\"} 119\n"
          "pregon_records_received_total{kind=\"state\"} 120\n"
          "pregon_records_received_total{kind=\"lost\"} 121\n"
          "pregon_records_received_total{kind=\"heartbeat\"} 122\n"
          "pregon_records_received_total{kind=\"mark\"} 123\n"
          "pregon_records_dropped_total{reason=\"malformed\"} 125\n"
          "pregon_records_dropped_total{reason=\"not_newer\"} 126\n"
          "pregon_deliveries_total 127\n"
          "pregon_merged_total 0\n"
          "pregon_sends_total 128\n"
          "pregon_sent_bytes_total 129\n"
          "pregon_received_bytes_total 130\n"
          "pregon_received_messages_total 131\n"
          "pregon_client_queue_messages_sum{mode=\"merge\"} 3\n"
          "pregon_client_queue_messages_count{mode=\"merge\"} 1\n"
          "pregon_client_queue_messages_sum{mode=\"all\"} 9\n"
          "pregon_client_queue_messages_count{mode=\"all\"} 2\n"
          "pregon_delivery_seconds_sum{since=\"sent\"} 0.001\n"
          "pregon_delivery_seconds_count{since=\"sent\"} 1\n"
          "pregon_delivery_seconds_sum{since=\"accepted\"} 0.002\n"
          "pregon_delivery_seconds_count{since=\"accepted\"} 1\n"
          "pregon_position 77\n"
          "pregon_symbols 1\n"
          "pregon_upstream_gaps_total 0\n"
          "pregon_upstream_connections_total 0\n"
          "pregon_upstream_silence_seconds ");
    shows_no("process=\"broker\"");
    shows_no("pregon_broker_position");
    shows_no("pregon_feed");
}

static void readiness_needs_a_start_and_no_end(void **state)
{
    (void)state;
    gate_set_leaving(handlers.gate);
    request_metrics();
    is_answered(&worker, 200);
    shows("pregon_ready 0\n");
    gate_free(handlers.gate);
    handlers.gate = gate_new();
    request_metrics();
    is_answered(&worker, 200);
    shows("pregon_ready 0\n");
}

static void the_brokers_numbers_are_shown_as_it_sends_them(void **state)
{
    (void)state;
    meet();
    pass(250);
    request_metrics();
    receives("{'op':'status','id':2}");
    answers(
        "{'id':2,'version':'1.2','started':2500000,'seq':31,'symbols':32,'journal_first':33,"
        "'journal_bytes':34,'gateways':[{},{}],"
        "'process':{'cpu_us':2000000,'resident_bytes':41,'virtual_bytes':42,'open_fds':43,"
        "'max_fds':44},"
        "'store':{'durable':true,'stored':51,'first':52,'damaged':53,'gaps':54,"
        "'behind_us':1500000},"
        "'locks':{'count':61,'held':62,'waiting':63,'durable':false,'behind_us':64},"
        "'peers':{'closed_unfinished':71,'closed_deaf':72,'closed_topics':73,'closed_full':74,"
        "'refused':75},"
        "'feeds':[{'name':'f1','live':true,'left':false,'silent_ms':1500,'received':81,'stored':82,"
        "'accepted':83,'duplicates':84,'lost':85,'refusals':{'crossed':86,'bad_price':87}},"
        "{'name':'f2','live':false,'received':91,'refusals':{}},"
        "{'name':'f3','refusals':{'crossed':'x','bad_price':1}},"
        "{'name':'f4'},{'name':'f5','refusals':{'future':5}}]}");
    is_answered(&worker, 200);
    shows("pregon_build_info{process=\"gateway\",version=\"" PREGON_VERSION "\"} 1\n"
          "pregon_build_info{process=\"broker\",version=\"1.2\"} 1\n"
          "pregon_ready 1\n"
          "pregon_broker_up 1\n"
          "process_cpu_seconds_total{process=\"gateway\"} 1.5\n"
          "process_cpu_seconds_total{process=\"broker\"} 2.0\n"
          "process_resident_memory_bytes{process=\"gateway\"} 1001\n"
          "process_resident_memory_bytes{process=\"broker\"} 41\n"
          "process_virtual_memory_bytes{process=\"gateway\"} 1002\n"
          "process_virtual_memory_bytes{process=\"broker\"} 42\n"
          "process_open_fds{process=\"gateway\"} 1003\n"
          "process_open_fds{process=\"broker\"} 43\n"
          "process_max_fds{process=\"gateway\"} 1004\n"
          "process_max_fds{process=\"broker\"} 44\n"
          "process_start_time_seconds{process=\"gateway\"} 1599999990.0\n"
          "process_start_time_seconds{process=\"broker\"} 2.5\n");
    shows("pregon_upstream_silence_seconds 0.25\n"
          "pregon_broker_position 31\n"
          "pregon_broker_symbols 32\n"
          "pregon_journal_first_position 33\n"
          "pregon_journal_bytes 34\n"
          "pregon_store_durable 1\n"
          "pregon_store_position 51\n"
          "pregon_store_first_position 52\n"
          "pregon_store_damaged 53\n"
          "pregon_store_gaps_total 54\n"
          "pregon_store_lag_seconds 1.5\n"
          "pregon_locks 61\n"
          "pregon_locks_held 62\n"
          "pregon_locks_waiting 63\n"
          "pregon_locks_durable 0\n"
          "pregon_locks_lag_seconds 0.000064\n"
          "pregon_broker_peers_unfinished_total 71\n"
          "pregon_broker_peers_deaf_total 72\n"
          "pregon_broker_peers_topics_total 73\n"
          "pregon_broker_peers_surplus_total 74\n"
          "pregon_broker_peers_refused_total 75\n"
          "pregon_broker_gateways 2\n"
          "pregon_feed_live{feed=\"f1\"} 1\n"
          "pregon_feed_live{feed=\"f2\"} 0\n"
          "pregon_feed_ended{feed=\"f1\"} 0\n"
          "pregon_feed_silence_seconds{feed=\"f1\"} 1.5\n"
          "pregon_feed_lines_received_total{feed=\"f1\"} 81\n"
          "pregon_feed_lines_received_total{feed=\"f2\"} 91\n"
          "pregon_feed_lines_stored_total{feed=\"f1\"} 82\n"
          "pregon_feed_quotes_accepted_total{feed=\"f1\"} 83\n"
          "pregon_feed_duplicates_total{feed=\"f1\"} 84\n"
          "pregon_feed_lines_lost_total{feed=\"f1\"} 85\n"
          "pregon_feed_quotes_refused_total{feed=\"f1\",reason=\"crossed\"} 86\n"
          "pregon_feed_quotes_refused_total{feed=\"f1\",reason=\"bad_price\"} 87\n"
          "pregon_feed_quotes_refused_total{feed=\"f5\",reason=\"future\"} 5\n");
    shows_no("feed=\"f3\",reason");
}

static void what_a_broker_does_not_send_has_no_line(void **state)
{
    (void)state;
    meet();
    request_metrics();
    receives("{'op':'status','id':2}");
    answers("{'id':2,'seq':'x','process':7,'store':{'durable':true},"
            "'feeds':[{'name':'f1','live':true,'stored':5}]}");
    is_answered(&worker, 200);
    shows("process_cpu_seconds_total{process=\"gateway\"} 1.5\nprocess_resident");
    shows("pregon_upstream_silence_seconds 0.0\npregon_store_durable 1\npregon_broker_gateways 0\n"
          "pregon_feed_live{feed=\"f1\"} 1\n");
    shows_no("pregon_broker_position");
    shows_no("pregon_feed_lines_stored_total"); /* its broker stores nothing */
    pass(1);
    request_metrics();
    receives("{'op':'status','id':3}");
    answers("{'id':3,'feeds':[]}");
    is_answered(&worker, 200);
    shows_no("pregon_feed");
    shows("pregon_upstream_silence_seconds 0.001\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_handlers, tear_down_handlers)
    const struct CMUnitTest tests[] = {
        TEST(every_counter_of_the_gateway_has_its_line),
        TEST(readiness_needs_a_start_and_no_end),
        TEST(the_brokers_numbers_are_shown_as_it_sends_them),
        TEST(what_a_broker_does_not_send_has_no_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
