/*
 * descriptor: reads what the kernel knows about a connection of libzmq, and ends such a connection.
 *
 * libzmq closes its descriptors in a thread of its own, so a number may be another connection's at
 * any time.  A connection is therefore known by its number and its inode, which no other socket has
 * while it is open.
 */
#ifndef BROKER_NET_DESCRIPTOR_H
#define BROKER_NET_DESCRIPTOR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/net/peer.h"

#define DESCRIPTOR_NAME_MAX (INET6_ADDRSTRLEN + 8)

uint64_t descriptor_inode(int fd); /* 0: no socket */
/* The port of our own side; 0: not TCP. */
uint16_t descriptor_port(int fd);
/* "ADDRESS:PORT" of the other side, or "a local program".  false: not connected. */
bool descriptor_name(int fd, char out[DESCRIPTOR_NAME_MAX]);
/* Read the kernel's counters of a TCP connection.  false: unknown. */
bool descriptor_sample(int fd, struct peer_sample *out);
/*
 * Shut the connection down and drop unsent data; libzmq notices and closes it.  Does nothing if the
 * number now belongs to another connection.
 */
void descriptor_shut_down(int fd, uint64_t inode);

#endif
