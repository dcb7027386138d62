/*
 * bus: ZeroMQ sockets, all opened with the same options.
 *
 * ZMTP heartbeats are off, because they can end the process (docs/adr/0013). Instead, a receiver
 * that hears nothing for BUS_SILENCE_MS closes its socket and opens a new one (docs/adr/0014), and
 * the kernel drops a peer that acknowledges nothing for 10 s. A socket reconnects after 0.1 to 2 s,
 * does not linger, and takes only frames up to the size it was opened with.
 *
 * The descriptor of a ZeroMQ socket is edge-triggered and only says that something may have
 * changed: after any wake-up, call bus_recv until ERR_AGAIN. A socket belongs to one thread.
 */
#ifndef SHARED_WIRE_BUS_H
#define SHARED_WIRE_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

#include "shared/base/buf.h"
#include "shared/base/err.h"

#define BUS_FRAMES_MAX 3
#define BUS_ENDPOINT_MAX 256
/*
 * A peer sends a message every second: a receiver that hears none for this long opens a new socket.
 */
#define BUS_SILENCE_MS 3000

struct bus_message {
    zmq_msg_t frames[BUS_FRAMES_MAX];
    int count;
    int source;     /* private: for bus_source */
    uint64_t bytes; /* private: for bus_bytes */
};

/* the caller calls zmq_ctx_term() on it after all sockets are closed */
void *bus_context(void);

/*
 * Opens a socket of a ZMQ_… type and binds or connects it. high_water: messages queued per peer in
 * each direction, 0 for no limit. frame_max: the largest frame it takes in bytes, one of WIRE_…_MAX
 * (ZeroMQ disconnects a peer that sends a larger one before reading it). On failure it logs the
 * reason, with `setting` as the name of the setting that holds the endpoint, and returns NULL.
 */
void *bus_bind(void *context, int type, const char *endpoint, int high_water, size_t frame_max,
               const char *setting);
void *bus_connect(void *context, int type, const char *endpoint, int high_water, size_t frame_max);
/* The same, but it logs nothing: the caller passes errno to zmq_strerror(). */
void *bus_try_connect(void *context, int type, const char *endpoint, int high_water,
                      size_t frame_max);
void bus_close(void *socket); /* NULL is allowed */
/* When the socket is closed, wait up to `ms` for queued messages (default 0); NULL is allowed. */
void bus_set_linger(void *socket, int ms);

/* An XPUB sends this frame first to everyone who connects. */
void bus_set_welcome(void *socket, struct span frame);

int bus_fd(void *socket);
/* The real address after binding port 0; 0.0.0.0 stays as it is. */
void bus_endpoint(void *socket, char out[BUS_ENDPOINT_MAX]);
/* Is there something to read right now?  The call also clears the descriptor's edge. */
bool bus_is_readable(void *socket);

/*
 * Takes one message without waiting; after OK the caller calls bus_message_close(). ERR_AGAIN: no
 * message. ERR_MALFORMED: the message had too many frames and was dropped.
 */
MUST_CHECK enum err bus_recv(void *socket, struct bus_message *out);
void bus_message_close(struct bus_message *m);
struct span bus_frame(struct bus_message *m, int index);
/*
 * The descriptor of the connection that the message came by, after OK and after ERR_MALFORMED; -1:
 * not known. The connection may be closed by now. The call costs a look-up.
 */
int bus_source(struct bus_message *m);
/* Bytes of the whole message on the wire, after OK and after ERR_MALFORMED. */
uint64_t bus_bytes(const struct bus_message *m);
/* Bytes on the wire of a frame of that size. */
uint64_t bus_wire_bytes(size_t size);

/* Sends up to three frames without waiting.  ERR_AGAIN: the queue is full; nothing was sent. */
MUST_CHECK enum err bus_send(void *socket, const struct span *frames, int count);

/*
 * Forwards a received message without copying; the message is empty afterwards. ERR_AGAIN: the
 * queue is full; nothing was sent and the caller still owns the message.
 */
MUST_CHECK enum err bus_forward(void *socket, struct bus_message *m);

#endif
