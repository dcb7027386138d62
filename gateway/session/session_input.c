/* session_input: wslay takes the client's frames apart; session_work runs their messages. */
#include "gateway/fanout/framing.h"
#include "gateway/session/session_private.h"

#define READ_CHUNK 1024 /* at a time: at most READ_CHUNK / 6 frames beyond SESSION_READ_FRAMES */
/* fragments of one message: wslay keeps a block for each, even for an empty one */
#define FRAGMENTS_MAX 1024
#define DISCARD_BYTES 16384 /* of a session that ignores its input, in one turn */

static bool may_read(const struct session *s, size_t len)
{
    return s->read_budget >= len && s->frames_read < SESSION_READ_FRAMES && session_has_room(s) &&
           s->waiting_bytes <= SESSION_OUT_MAX;
}

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *data, size_t len, int flags,
                       void *user)
{
    struct session *s = user;
    struct sessions *all = s->all;
    ssize_t n;

    (void)flags;
    if (len > READ_CHUNK)
        len = READ_CHUNK;
    if (!may_read(s, len)) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK); /* the next turn continues */
        return -1;
    }
    n = all->io.recv(s, data, len);
    if (n > 0) {
        s->read_budget -= (size_t)n;
        all->counters->bytes_in += (uint64_t)n;
        s->heard_at = all->awake;
        s->pings = 0;
        s->is_too_large =
            frame_meter_feed(&s->meter, data, (size_t)n) > (uint64_t)all->config->ws_max_size ||
            s->meter.fragments > FRAGMENTS_MAX;
        if (!s->is_too_large)
            return n;
    }
    s->is_lost = n < 0;
    wslay_event_set_error(ctx, s->is_lost || s->is_too_large ? WSLAY_ERR_CALLBACK_FAILURE
                                                             : WSLAY_ERR_WOULDBLOCK);
    return -1;
}

/* wslay's own answers (pong, close) are added to the session's output. */
static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *data, size_t len, int flags,
                       void *user)
{
    struct session *s = user;

    (void)ctx;
    (void)flags;
    buf_add(&s->out, data, len);
    return (ssize_t)len;
}

static void on_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *arg,
                       void *user)
{
    struct session *s = user;

    s->frames_read++;
    if (arg->opcode == WSLAY_CONNECTION_CLOSE && arg->msg_length == 1)
        /* One byte is half a close code: wslay would treat it as no code. */
        session_close(s, SESSION_CLOSE_PROTOCOL, SPAN("{\"code\":\"bad_frame\"}"),
                      "bad frame from client");
    /* Its pong, or the answer to its close frame, is sent before the answers to later frames. */
    if (wslay_is_ctrl_frame(arg->opcode) && !s->is_closing)
        wslay_event_send(ctx);
    if (arg->opcode == WSLAY_CONNECTION_CLOSE) {
        s->has_left |= !s->is_closing;
        session_begin_closing(s, arg->status_code ? arg->status_code : 1005, "client closed");
        s->has_peer_closed = true;
    }
    if (wslay_is_ctrl_frame(arg->opcode) || s->is_closing)
        return;
    s->messages_in++;
    s->all->counters->messages_in++;
    session_message(s, arg->opcode == WSLAY_TEXT_FRAME,
                    (struct span){(const char *)arg->msg, arg->msg_length});
}

static const struct wslay_event_callbacks in_callbacks = {
    .recv_callback = on_recv,
    .send_callback = on_send,
    .on_msg_recv_callback = on_message,
};

/* Read and drop what the peer still sends, until it ends. */
static void discard(struct session *s)
{
    static char waste[DISCARD_BYTES];

    if (s->all->io.recv(s, waste, sizeof waste) < 0)
        session_drop(s, "closed");
}

static bool make_context(struct session *s)
{
    if (s->in)
        return true;
    if (wslay_event_context_server_init(&s->in, &in_callbacks, s)) {
        session_drop(s, "out of memory");
        return false;
    }
    wslay_event_config_set_max_recv_msg_length(s->in, (uint64_t)s->all->config->ws_max_size);
    return true;
}

void session_read(struct session *s)
{
    bool has_sent_close = s->is_closing;
    int e;

    if (s->ignores_input || !framing_has_input(s->sub.encoding)) {
        discard(s);
        return;
    }
    if (!make_context(s))
        return;
    s->read_budget = SESSION_READ_BYTES;
    s->frames_read = 0;
    e = wslay_event_recv(s->in);
    if (s->is_dead)
        return;
    if (s->is_too_large) {
        session_close(s, WSLAY_CODE_MESSAGE_TOO_BIG,
                      SPAN("{\"code\":\"too_large\",\"setting\":\"WS_MAX_SIZE\"}"),
                      "frame over WS_MAX_SIZE");
        s->ignores_input = true;
        return;
    }
    if (s->is_lost || (e && e != WSLAY_ERR_CALLBACK_FAILURE)) {
        session_drop(s, s->is_closing ? s->close_why : "connection lost");
        return;
    }
    if (!s->is_closing && !e)
        wslay_event_send(s->in); /* the close frame that answers a bad frame */
    if (e || !wslay_event_get_read_enabled(s->in)) {
        /*
         * A close frame or a bad frame arrived.  After our own close frame either counts as the
         * answer: wslay treats an echoed 1012 as a bad code.
         */
        s->ignores_input = true;
        s->has_peer_closed |= has_sent_close;
        if (wslay_event_get_close_sent(s->in))
            session_begin_closing(s, wslay_event_get_status_code_sent(s->in),
                                  "bad frame from client");
        session_close(s, SESSION_CLOSE_PROTOCOL, SPAN("{\"code\":\"bad_frame\"}"),
                      "bad frame from client");
    }
    if (s->ignores_input || frame_meter_is_idle(&s->meter))
        session_drop_context(s);
    if (s->frames_read >= SESSION_READ_FRAMES)
        session_throttle(s);
}
