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
      "Port to listen on; 0 takes a free port, which the ready line shows.")             \
    X(text, GATEWAY_NAME, gateway_name, "", 0, 64, NULL,                                 \
      "Name in status and logs; empty: host name and process id.")                       \
    X(endpoint, BROKER_PUBLISH, broker_publish, "tcp://127.0.0.1:5556", 6, 200, NULL,    \
      "Address at which the broker publishes.")                                          \
    X(endpoint, BROKER_CONTROL, broker_control, "tcp://127.0.0.1:5557", 6, 200, NULL,    \
      "Address at which the broker answers requests.")                                   \
    X(flag, WEBSOCKET_ENABLED, websocket_enabled, "1", 0, 1, NULL,                       \
      "Accept WebSockets and event streams; 0 refuses them with 503 "                    \
      "websocket_disabled.")                                                             \
    X(int, WEBSOCKET_MAX_CONNECTIONS, websocket_max_connections, "100", 0, 1000000, NULL,\
      "WebSockets and event streams that this gateway accepts at most; the limit is "    \
      "exact.")                                                                          \
    X(seconds, WEBSOCKET_TIMEOUT, websocket_timeout, "30", 1, 86400, NULL,               \
      "Seconds of silence after which the gateway closes a client; it sends pings "      \
      "well before.")                                                                    \
    X(int, HANDSHAKE_RATE, handshake_rate, "2000", 1, 1000000, NULL,                       \
      "Clients per second that one gateway is to take when another one stops: a "        \
      "stopping gateway spreads reconnect_after so that the others get no more.")        \
    X(flag, WEBSOCKET_EXPLAIN, websocket_explain, "0", 0, 1, NULL,                       \
      "Accept refused clients and close them at once with a 4xxx code, so that the "     \
      "code of a page can read the reason (foreign origins still get 403).")             \
    X(text, WEBSOCKET_AUTO_SUBSCRIBE, websocket_auto_subscribe, "*", 0, 1000, NULL,      \
      "What a client receives that does not subscribe: patterns separated by commas; "   \
      "empty: nothing.")                                                                 \
    X(int, AUTO_MAX, auto_max, "2000", 1, 1000000, NULL,                                 \
      "Symbols that the automatic subscription sends as snapshots at most.")             \
    X(secret, WEBSOCKET_TOKEN, websocket_token, "", 0, 256, NULL,                        \
      "If set, clients must send it as bearer or ?token=, else they get 401.")           \
    X(int, WS_MAX_SIZE, ws_max_size, "65536", 125, 16777216, NULL,                       \
      "Largest message that a client may send, in bytes; the gateway closes a client "   \
      "with 1009 for a larger one.")                                                     \
    X(seconds, WS_PING_INTERVAL, ws_ping_interval, "0", 0, 3600, NULL,                   \
      "Seconds of a client's silence after which the gateway sends a ping; 0: a third "  \
      "of the timeout.")                                                                 \
    X(seconds, HEARTBEAT, heartbeat, "5", 1, 3600, NULL,                                 \
      "Seconds between heartbeat messages to a client.")                                 \
    X(int, MAX_SYMBOLS, max_symbols, "1000", 1, 1000000, NULL,                           \
      "Patterns that one client may subscribe to.")                                      \
    X(int, TOPIC_BYTES, topic_bytes, "983040", 4096, 1073741824, NULL,                   \
      "Bytes of all different patterns that clients subscribe to, plus 5 for each; "     \
      "the gateway rejects further ones. Must be less than a quarter of the broker's "   \
      "PEER_BYTES.")                                                                     \
    X(int, CLIENT_QUEUE, client_queue, "1048576", 16384, 1073741824, NULL,               \
      "Bytes that may wait for one client in mode all; beyond that the gateway closes "  \
      "it with 4008.")                                                                   \
    X(int, RESUME_WINDOW, resume_window, "4194304", 65536, 1073741824, NULL,             \
      "Bytes of recent records that the gateway keeps for clients that reconnect; it "   \
      "requests older ones from the broker.")                                            \
    X(int, HTTP_QUERY_RATE, http_query_rate, "50", 0, 1000000, NULL,                     \
      "Queries of quotes and history per second from one address (ten seconds' worth "   \
      "may come at once); beyond that 429. 0: no limit.")                                \
    X(int, HTTP_QUERY_RATE_TOTAL, http_query_rate_total, "500", 0, 1000000, NULL,        \
      "The same for all addresses together (two seconds' worth at once).")               \
    X(list, CORS_ORIGINS, cors_origins,                                                  \
      "http://localhost:3000,http://127.0.0.1:3000", 0, 8000, NULL,                      \
      "Origins of pages that may read routes and open WebSockets: a comma or JSON "      \
      "list; an entry may have one *; * alone allows all.")                              \
    X(list, ALLOWED_HOSTS, allowed_hosts, "", 0, 4000, NULL,                             \
      "Host names under which the gateway answers, against DNS rebinding: a comma or "   \
      "JSON list of name, address or *.domain, with or without :port; * for any. "       \
      "Names that only this machine has (localhost, 127.0.0.1) always pass.  Empty: "    \
      "any name, or if HOST is loopback, names that no foreign domain can have.")        \
    X(flag, CORS_ALLOW_CREDENTIALS, cors_allow_credentials, "0", 0, 1, NULL,             \
      "Let pages send cookies and authorization.")                                       \
    X(list, CORS_ALLOW_METHODS, cors_allow_methods, "", 0, 200, NULL,                    \
      "Methods pages may use; empty: those that each path takes; [] for none, * for all.")\
    X(list, CORS_ALLOW_HEADERS, cors_allow_headers, "", 0, 2000, NULL,                   \
      "Request headers pages may send; empty: for listed origins Authorization, "         \
      "Content-Type, X-Requested-With, Idempotency-Key and Last-Event-ID; [] for none "  \
      "of these, * for all.")                                                            \
    X(list, CORS_EXPOSE_HEADERS, cors_expose_headers, "", 0, 2000, NULL,                 \
      "Response headers that the code of a page may read.")                              \
    X(int, CORS_MAX_AGE, cors_max_age, "600", 0, 86400, NULL,                            \
      "Seconds for which a browser may keep the answer to a preflight.")                 \
    X(secret, STATUS_TOKEN, status_token, "", 0, 256, NULL,                              \
      "If set, only its bearers see clients' addresses in websocket_status, and "        \
      "holders of locks.")                                                               \
    X(secret, LOCKS_TOKEN, locks_token, "", 0, 256, NULL,                                \
      "If set, its bearers may take, renew, release and break locks over HTTP and "      \
      "read their values; empty: locks are read-only.")                                  \
    X(secret, PUBLISH_TOKEN, publish_token, "", 0, 256, NULL,                            \
      "If set, its bearers may publish quotes (POST /cotizaciones/quotes); empty: "      \
      "nobody may.")                                                                     \
    X(secret, ADMIN_TOKEN, admin_token, "", 0, 256, NULL,                                \
      "If set, its bearers may remove symbols and feeds (DELETE "                        \
      "/cotizaciones/quotes/SYMBOL, /cotizaciones/feeds/FEED); empty: nobody may over "  \
      "HTTP.")                                                                           \
    X(text, PUBLISH_FEED, publish_feed, "web", 1, 64, NULL,                              \
      "Feed of quotes that are published without the header X-Feed.")                    \
    X(text, ROOT_PATH, root_path, "", 0, 200, NULL,                                      \
      "Path that a proxy puts in front; the gateway understands paths with and "         \
      "without it.")                                                                     \
    X(flag, PROXY_HEADERS, proxy_headers, "1", 0, 1, NULL,                               \
      "Trust X-Forwarded-For, -Proto and -Host from the addresses in "                   \
      "FORWARDED_ALLOW_IPS.")                                                            \
    X(list, FORWARDED_ALLOW_IPS, forwarded_allow_ips, "127.0.0.1", 0, 2000, NULL,        \
      "Addresses or networks (10.0.0.0/8) of trusted proxies; * for all.")               \
    X(flag, ACCESS_LOG, access_log, "1", 0, 1, NULL,                                     \
      "One line per HTTP request on standard output.")                                   \
    X(int, HTTP_THREADS, http_threads, "32", 4, 256, NULL,                               \
      "Threads for HTTP and handshakes; no WebSocket holds one.")                        \
    X(int, HTTP_MAX_CONNECTIONS, http_max_connections, "2048", 16, 1000000, NULL,        \
      "HTTP connections at once, WebSockets not counted; beyond that the gateway "       \
      "closes the one that has waited longest for its peer.")                            \
    X(int, HTTP_MAX_PER_ADDRESS, http_max_per_address, "512", 1, 1000000, NULL,          \
      "HTTP connections of one address that wait for their peer at once; beyond that "   \
      "the gateway closes the oldest.")                                                  \
    X(seconds, HTTP_HEAD_TIMEOUT, http_head_timeout, "10", 1, 300, NULL,                 \
      "Seconds in which the whole head of a request must arrive, else 408.")             \
    X(seconds, DRAIN_DELAY, drain_delay, "0", 0, 600, NULL,                              \
      "Seconds after SIGTERM in which /cotizaciones/ready answers 503 and everything "   \
      "else continues, so that a load balancer notices.")                                \
    X(seconds, TIMEOUT_GRACEFUL_SHUTDOWN, timeout_graceful_shutdown, "10", 0, 600, NULL, \
      "Seconds after SIGTERM in which the gateway notifies and closes its clients; a "   \
      "second signal ends it at once.")
/* clang-format on */

struct gateway_config {
    CONFIG_COMMON(CONFIG_FIELD)
    GATEWAY_SETTINGS(CONFIG_FIELD)
};

extern const struct config_program gateway_program;

#endif
