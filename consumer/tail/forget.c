#include "consumer/tail/forget.h"

#include <msgpack.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "shared/base/log.h"
#include "shared/wire/bus.h"
#include "shared/wire/pack.h"
#include "shared/wire/wire.h"

#define ANSWER_MS 5000
#define FEED "feed:"

static void pack_request(const char *what, struct buf *out)
{
    bool is_feed = strncmp(what, FEED, sizeof FEED - 1) == 0;
    char host[65] = "", by[128];
    msgpack_packer pk;

    gethostname(host, sizeof host - 1);
    snprintf(by, sizeof by, "pregon-tail, uid %lu on %s", (unsigned long)getuid(), host);
    msgpack_packer_init(&pk, out, buf_pack_write);
    msgpack_pack_map(&pk, 4);
    pack_kv_text(&pk, "op", SPAN("forget"));
    pack_kv_u(&pk, "id", 1);
    pack_kv_text(&pk, is_feed ? "feed" : "symbol",
                 span_of(is_feed ? what + sizeof FEED - 1 : what));
    pack_kv_text(&pk, "by", span_of(by));
}

/* Send the request and wait for the answer.  false: none has come. */
static bool ask(void *socket, struct span request, struct bus_message *answer)
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};

    return bus_send(socket, &request, 1) == OK && zmq_poll(&item, 1, ANSWER_MS) == 1 &&
           bus_recv(socket, answer) == OK;
}

static int report(const char *what, struct span answer)
{
    struct span message;

    if (pack_check(answer)) {
        log_critical("the broker's answer makes no sense: is it of another version?");
        return 1;
    }
    message = pack_find_text(answer, "message");
    if (pack_find_text(answer, "error").len) {
        log_critical("%s is not removed: %.*s", what, (int)message.len, message.at);
        return 1;
    }
    printf("%s is removed (%llu symbols, position %llu)\n", what,
           (unsigned long long)pack_find_u(answer, "symbols", 0),
           (unsigned long long)pack_find_u(answer, "seq", 0));
    return 0;
}

int forget_run(const char *control, const char *what)
{
    void *context = bus_context();
    void *socket = bus_try_connect(context, ZMQ_DEALER, control, 1, WIRE_FEED_ANSWER_FRAME_MAX);
    struct buf request = {0};
    struct bus_message answer;
    int code = 1;

    pack_request(what, &request);
    if (socket && ask(socket, buf_span(&request), &answer)) {
        code = report(what, bus_frame(&answer, 0));
        bus_message_close(&answer);
    } else {
        log_critical("%s: no broker has answered within %d s", control, ANSWER_MS / 1000);
    }
    buf_free(&request);
    bus_close(socket);
    zmq_ctx_term(context);
    return code;
}
