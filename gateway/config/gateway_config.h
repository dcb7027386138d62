/* gateway_config: every setting of the gateway; the only place to add one. */
#ifndef GATEWAY_CONFIG_GATEWAY_CONFIG_H
#define GATEWAY_CONFIG_GATEWAY_CONFIG_H

#include "shared/config/config.h"

/* clang-format off */
#define GATEWAY_SETTINGS(X)                                                              \
    /* kind, NAME, field, default, min, max, allowed, help */                            \
    X(address, HOST, host, "127.0.0.1", 1, 64, NULL,                                     \
      "Address to listen on; 0.0.0.0 for all.")                                          \
    X(int, PORT, port, "8000", 0, 65535, NULL,                                           \
      "Port to listen on; 0 takes a free one, told in the ready line.")                  \
    X(text, GATEWAY_NAME, gateway_name, "", 0, 64, NULL,                                 \
      "Name in status and logs; default: host name and process id.")                     \
    X(endpoint, BROKER_PUBLISH, broker_publish, "tcp://127.0.0.1:5556", 6, 200, NULL,    \
      "Where the broker publishes.")                                                     \
    X(endpoint, BROKER_CONTROL, broker_control, "tcp://127.0.0.1:5557", 6, 200, NULL,    \
      "Where the broker answers questions.")                                             \
    X(flag, WEBSOCKET_ENABLED, websocket_enabled, "1", 0, 1, NULL,                       \
      "Accept WebSockets; 0 refuses them with 503 websocket_disabled.")                  \
    X(int, WEBSOCKET_MAX_CONNECTIONS, websocket_max_connections, "100", 0, 1000000, NULL,\
      "WebSockets this gateway holds at most, exactly.")                                 \
    X(seconds, WEBSOCKET_TIMEOUT, websocket_timeout, "30", 1, 86400, NULL,               \
      "Seconds of silence before a client is dropped; pings go out well before.")        \
    X(flag, WEBSOCKET_EXPLAIN, websocket_explain, "0", 0, 1, NULL,                       \
      "Accept refused clients and close at once with the 4xxx twin of the code, so that "\
      "page code can see why (foreign origins still get 403).")                          \
    X(text, WEBSOCKET_AUTO_SUBSCRIBE, websocket_auto_subscribe, "*", 0, 1000, NULL,      \
      "What a client gets that says nothing: patterns separated by commas, empty for "   \
      "nothing.")                                                                        \
    X(int, AUTO_MAX, auto_max, "2000", 1, 1000000, NULL,                                 \
      "Symbols automatic subscription sends as snapshots at most.")                      \
    X(secret, WEBSOCKET_TOKEN, websocket_token, "", 0, 256, NULL,                        \
      "If set, clients must show it as bearer or ?token=, else 401.")                    \
    X(int, WS_MAX_SIZE, ws_max_size, "65536", 125, 16777216, NULL,                       \
      "Largest message taken from a client, in bytes; larger is closed with 1009.")      \
    X(seconds, WS_PING_INTERVAL, ws_ping_interval, "0", 0, 3600, NULL,                   \
      "Seconds of a client's silence before it is pinged; 0: a third of the timeout.")   \
    X(seconds, HEARTBEAT, heartbeat, "5", 1, 3600, NULL,                                 \
      "Seconds between heartbeat messages to a client.")                                 \
    X(int, MAX_SYMBOLS, max_symbols, "1000", 1, 1000000, NULL,                           \
      "Patterns a client may hold.")                                                     \
    X(int, TOPIC_BYTES, topic_bytes, "983040", 4096, 1073741824, NULL,                   \
      "Bytes of all different patterns that clients hold together, and 5 for each; "     \
      "further ones are rejected. A quarter of the broker's PEER_BYTES must be more.")   \
    X(int, CLIENT_QUEUE, client_queue, "1048576", 16384, 1073741824, NULL,               \
      "Bytes waiting for one client in mode all before it is closed with 4008.")         \
    X(int, RESUME_WINDOW, resume_window, "4194304", 65536, 1073741824, NULL,             \
      "Bytes of recent records kept for clients that come back; older ones are asked of "\
      "the broker.")                                                                     \
    X(int, HTTP_QUERY_RATE, http_query_rate, "50", 0, 1000000, NULL,                     \
      "Queries of quotes and history a second that one address gets answered (ten "      \
      "seconds' worth at once); beyond, 429. 0: no limit.")                              \
    X(int, HTTP_QUERY_RATE_TOTAL, http_query_rate_total, "500", 0, 1000000, NULL,        \
      "The same for all addresses together (two seconds' worth at once).")               \
    X(list, CORS_ORIGINS, cors_origins,                                                  \
      "http://localhost:3000,http://127.0.0.1:3000", 0, 8000, NULL,                      \
      "Origins of pages that may read us and open WebSockets: a comma or JSON list; one "\
      "* per entry; * alone allows all.")                                                \
    X(list, ALLOWED_HOSTS, allowed_hosts, "", 0, 4000, NULL,                             \
      "Names under which this gateway may be asked for, against DNS rebinding: a comma " \
      "or JSON list of name, address or *.domain, each perhaps with :port; * for any.  " \
      "Those of this machine alone (localhost, 127.0.0.1) always pass.  Empty: any, or " \
      "if HOST is loopback, what no foreign domain can be.")                             \
    X(flag, CORS_ALLOW_CREDENTIALS, cors_allow_credentials, "0", 0, 1, NULL,             \
      "Let pages send cookies and authorization.")                                       \
    X(list, CORS_ALLOW_METHODS, cors_allow_methods, "GET", 0, 200, NULL,                 \
      "Methods pages may use; * for all.")                                               \
    X(list, CORS_ALLOW_HEADERS, cors_allow_headers, "", 0, 2000, NULL,                   \
      "Request headers pages may send; * for all.")                                      \
    X(list, CORS_EXPOSE_HEADERS, cors_expose_headers, "", 0, 2000, NULL,                 \
      "Response headers page code may read.")                                            \
    X(int, CORS_MAX_AGE, cors_max_age, "600", 0, 86400, NULL,                            \
      "Seconds a browser may keep a preflight answer.")                                  \
    X(secret, STATUS_TOKEN, status_token, "", 0, 256, NULL,                              \
      "If set, only its bearers see clients' addresses in websocket_status.")            \
    X(secret, LOCKS_TOKEN, locks_token, "", 0, 256, NULL,                                \
      "If set, its bearers may take, renew, release and break locks over HTTP and see " \
      "their values; empty: locks are only shown.")                                      \
    X(text, ROOT_PATH, root_path, "", 0, 200, NULL,                                      \
      "Path a proxy puts in front; understood with and without it.")                     \
    X(flag, PROXY_HEADERS, proxy_headers, "1", 0, 1, NULL,                               \
      "Believe X-Forwarded-For, -Proto and -Host of the addresses in "                   \
      "FORWARDED_ALLOW_IPS.")                                                            \
    X(list, FORWARDED_ALLOW_IPS, forwarded_allow_ips, "127.0.0.1", 0, 2000, NULL,        \
      "Addresses or networks (10.0.0.0/8) of proxies to believe; * for all.")            \
    X(flag, ACCESS_LOG, access_log, "1", 0, 1, NULL,                                     \
      "One line per HTTP request on standard output.")                                   \
    X(int, HTTP_THREADS, http_threads, "32", 4, 256, NULL,                               \
      "Threads for HTTP and handshakes; no WebSocket holds one.")                        \
    X(int, HTTP_MAX_CONNECTIONS, http_max_connections, "2048", 16, 1000000, NULL,        \
      "HTTP connections at once, WebSockets not counted; the one that has waited for "   \
      "its peer longest gives way to a new one.")                                        \
    X(int, HTTP_MAX_PER_ADDRESS, http_max_per_address, "512", 1, 1000000, NULL,          \
      "HTTP connections of one address that wait for their peer at once; the oldest "    \
      "gives way.")                                                                      \
    X(seconds, HTTP_HEAD_TIMEOUT, http_head_timeout, "10", 1, 300, NULL,                 \
      "Seconds in which all of a request's head must arrive, else 408.")                 \
    X(seconds, DRAIN_DELAY, drain_delay, "0", 0, 600, NULL,                              \
      "Seconds after SIGTERM in which /cotizaciones/ready says 503 and everything else " \
      "goes on: what a load balancer needs to notice.")                                  \
    X(seconds, TIMEOUT_GRACEFUL_SHUTDOWN, timeout_graceful_shutdown, "10", 0, 600, NULL, \
      "Seconds to say goodbye to clients after SIGTERM; a second signal ends it at once.")
/* clang-format on */

struct gateway_config {
    CONFIG_COMMON(CONFIG_FIELD)
    GATEWAY_SETTINGS(CONFIG_FIELD)
};

extern const struct config_program gateway_program;

#endif
