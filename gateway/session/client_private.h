/* client_private: what the files of client share; nobody else includes it. */
#ifndef GATEWAY_SESSION_CLIENT_PRIVATE_H
#define GATEWAY_SESSION_CLIENT_PRIVATE_H

#include "gateway/session/client.h"

/* client.c: it is owed nothing more but its close frame.  `why` is for the log. */
void client_begin_closing(struct client *c, uint16_t code, const char *why);
void client_say_heartbeat(struct client *c);

/* client_read.c: a bounded part of what has come; the client may be dead or closing afterwards. */
void client_read(struct client *c);
/* What wslay keeps of a message that is arriving. */
void client_drop_context(struct client *c);

#endif
