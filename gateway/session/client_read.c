/* client_read: what clients send: wslay takes their frames apart, stream runs their messages. */
#include <errno.h>
#include <sys/socket.h>

#include "gateway/session/client_private.h"
#include "gateway/session/stream.h"

#define READ_BYTES 65536 /* from one client in one turn, */
#define READ_MESSAGES 32 /* and no more of it once so many frames were whole */
#define READ_CHUNK 1024  /* of it at a time: at most READ_CHUNK / 6 frames more */
#define FRAGMENTS_MAX \
    1024 /* of one message: wslay keeps a block for each, even an empty one */

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *data, size_t len,
                       int flags, void *user)
{
    struct client *c = user;
    ssize_t n;

    (void)flags;
    if (len > READ_CHUNK)
        len = READ_CHUNK;
    if (c->read_budget < len || c->frames_read >= READ_MESSAGES ||
        !client_has_room(c) || c->waiting_bytes > CLIENT_OUT_MAX) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK); /* the next turn goes on */
        return -1;
    }
    n = recv(c->watch.fd, data, len, MSG_DONTWAIT);
    if (n > 0) {
        c->read_budget -= (size_t)n;
        c->g->figures.bytes_in += (uint64_t)n;
        c->heard_at = c->g->awake;
        c->pings = 0;
        c->is_too_large = frame_meter_feed(&c->meter, data, (size_t)n) >
                              (uint64_t)c->g->config.ws_max_size ||
                          c->meter.fragments > FRAGMENTS_MAX;
        if (!c->is_too_large)
            return n;
    }
    c->is_lost = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
    wslay_event_set_error(ctx, c->is_lost || c->is_too_large
                                   ? WSLAY_ERR_CALLBACK_FAILURE
                                   : WSLAY_ERR_WOULDBLOCK);
    return -1;
}

/* wslay's own answers (pong, close) join what we say to this client. */
static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *data, size_t len,
                       int flags, void *user)
{
    struct client *c = user;

    (void)ctx;
    (void)flags;
    buf_add(&c->out, data, len);
    return (ssize_t)len;
}

static void on_message(wslay_event_context_ptr ctx,
                       const struct wslay_event_on_msg_recv_arg *arg, void *user)
{
    struct client *c = user;

    c->frames_read++;
    if (arg->opcode == WSLAY_CONNECTION_CLOSE && arg->msg_length == 1)
        /* Half a code: wslay would take it for none. */
        client_close(c, CLOSE_PROTOCOL, SPAN("{\"code\":\"bad_frame\"}"),
                     "bad frame from client");
    /* Its pong, or the answer to its close frame, goes before what answers later frames. */
    if (wslay_is_ctrl_frame(arg->opcode) && !c->is_closing)
        wslay_event_send(ctx);
    if (arg->opcode == WSLAY_CONNECTION_CLOSE) {
        c->has_left |= !c->is_closing;
        client_begin_closing(c, arg->status_code ? arg->status_code : 1005,
                             "client closed");
        c->has_peer_closed = true;
    }
    if (wslay_is_ctrl_frame(arg->opcode) || c->is_closing)
        return;
    c->messages_in++;
    c->g->figures.messages_in++;
    stream_message(c, arg->opcode == WSLAY_TEXT_FRAME,
                   (struct span){(const char *)arg->msg, arg->msg_length});
}

static const struct wslay_event_callbacks in_callbacks = {
    .recv_callback = on_recv,
    .send_callback = on_send,
    .on_msg_recv_callback = on_message,
};

void client_drop_context(struct client *c)
{
    if (c->in)
        wslay_event_context_free(c->in);
    c->in = NULL;
}

/* It may still send what it likes: only the end of it is awaited. */
static void discard(struct client *c)
{
    static char waste[16384];
    ssize_t n = recv(c->watch.fd, waste, sizeof waste, MSG_DONTWAIT);

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        client_drop(c, "closed");
}

static bool make_context(struct client *c)
{
    if (c->in)
        return true;
    if (wslay_event_context_server_init(&c->in, &in_callbacks, c)) {
        client_drop(c, "out of memory");
        return false;
    }
    wslay_event_config_set_max_recv_msg_length(c->in,
                                               (uint64_t)c->g->config.ws_max_size);
    return true;
}

void client_read(struct client *c)
{
    bool has_said_close = c->is_closing;
    int e;

    if (c->is_deaf) {
        discard(c);
        return;
    }
    if (!make_context(c))
        return;
    c->read_budget = READ_BYTES;
    c->frames_read = 0;
    e = wslay_event_recv(c->in);
    if (c->is_dead)
        return;
    if (c->is_too_large) {
        client_close(c, WSLAY_CODE_MESSAGE_TOO_BIG,
                     SPAN("{\"code\":\"too_large\",\"setting\":\"WS_MAX_SIZE\"}"),
                     "frame over WS_MAX_SIZE");
        c->is_deaf = true;
        return;
    }
    if (c->is_lost || (e && e != WSLAY_ERR_CALLBACK_FAILURE)) {
        client_drop(c, c->is_closing ? c->close_why : "connection lost");
        return;
    }
    if (!c->is_closing && !e)
        wslay_event_send(c->in); /* the close frame that answers a bad frame */
    if (e || !wslay_event_get_read_enabled(c->in)) {
        /*
         * Its close frame came, or a bad frame.  After ours either is its answer: wslay
         * takes an echoed 1012 for a bad code.
         */
        c->is_deaf = true;
        c->has_peer_closed |= has_said_close;
        if (wslay_event_get_close_sent(c->in))
            client_begin_closing(c, wslay_event_get_status_code_sent(c->in),
                                 "bad frame from client");
        client_close(c, CLOSE_PROTOCOL, SPAN("{\"code\":\"bad_frame\"}"),
                     "bad frame from client");
    }
    if (c->is_deaf || frame_meter_is_idle(&c->meter))
        client_drop_context(c);
    if (c->frames_read >= READ_MESSAGES)
        client_rest(c);
}
