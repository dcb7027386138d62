/*
 * bus: ZeroMQ sockets, all with the same options.
 *
 * ZMTP heartbeats are off, because they can end the process (docs/adr/0013).  Instead a receiver that
 * hears nothing for BUS_SILENCE_MS closes its socket and opens a new one (docs/adr/0014), and the
 * kernel drops a peer that acknowledges nothing for 10 s.  A socket reconnects after 0.1 to 2 s, does
 * not linger, and takes only frames of the size it was opened with.
 *
 * The descriptor of a ZeroMQ socket is edge-triggered and says only "look again": after any wake-up
 * drain with bus_recv until ERR_AGAIN.  A socket belongs to one thread.
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
/* Where a message is due every second: after so long without one a receiver opens a new socket. */
#define BUS_SILENCE_MS 3000

struct bus_message {
    zmq_msg_t frames[BUS_FRAMES_MAX];
    int count;
    int source;     /* private: see bus_source */
    uint64_t bytes; /* private: see bus_bytes */
};

void *bus_context(void); /* zmq_ctx_term() it after all sockets are closed */

/*
 * Open a socket of a ZMQ_… type and bind or connect it.  high_water: messages queued per
 * peer, both ways, 0 for no limit.  frame_max: bytes of a frame that it takes, one of WIRE_…_MAX
 * (a peer that sends a larger one is disconnected before it is read).  NULL with what is wrong
 * logged; `setting` is the name of the one that says where to listen.
 */
void *bus_bind(void *context, int type, const char *endpoint, int high_water,
               size_t frame_max, const char *setting);
void *bus_connect(void *context, int type, const char *endpoint, int high_water,
                  size_t frame_max);
/* The same without a word about what is wrong: errno says it, for zmq_strerror(). */
void *bus_try_connect(void *context, int type, const char *endpoint, int high_water,
                      size_t frame_max);
void bus_close(void *socket); /* NULL is allowed */
/* At closing, wait up to ms for what is queued (default 0); NULL is allowed. */
void bus_set_linger(void *socket, int ms);

/* An XPUB says this, one frame, first of all to everyone who connects. */
void bus_set_welcome(void *socket, struct span frame);

int bus_fd(void *socket);
/* The real address after binding port 0, with 0.0.0.0 left as it is. */
void bus_endpoint(void *socket, char out[BUS_ENDPOINT_MAX]);
/* Is there something to read right now?  Also clears the descriptor's edge. */
bool bus_is_readable(void *socket);

/*
 * Take one message without waiting; the caller calls bus_message_close() after OK.
 * ERR_AGAIN: none.  ERR_MALFORMED: it had more frames than we know (it was dropped).
 */
MUST_CHECK enum err bus_recv(void *socket, struct bus_message *out);
void bus_message_close(struct bus_message *m);
struct span bus_frame(struct bus_message *m, int index);
/*
 * The descriptor of the connection a message came by, after OK and after ERR_MALFORMED; -1: not
 * known.  It may be closed by now.  Costs a look-up.
 */
int bus_source(struct bus_message *m);
/* Bytes of the whole message on the wire; after OK and after ERR_MALFORMED. */
uint64_t bus_bytes(const struct bus_message *m);
/* Bytes of a frame of that size on the wire. */
uint64_t bus_wire_bytes(size_t size);

/* Send up to three frames without waiting.  ERR_AGAIN: full; nothing was sent. */
MUST_CHECK enum err bus_send(void *socket, const struct span *frames, int count);

/*
 * Pass a received message on as it is, without copying; the message is empty afterwards.
 * ERR_AGAIN: full; nothing was sent and the message is still the caller's.
 */
MUST_CHECK enum err bus_forward(void *socket, struct bus_message *m);

#endif
