#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <zmq.h>

#include "broker/net/descriptor.h"
#include "broker/net/publisher.h"
#include "shared/base/log.h"
#include "shared/wire/wire.h"

#define QUEUE 10
#define RECORD_BYTES 16384
#define RECORDS_MAX 10000 /* more than queues and kernel hold */

/* A publisher at the endpoint, and a subscriber that reads nothing, in programs of their own. */
static void cut_a_subscriber_at(const char *endpoint)
{
    static char record[RECORD_BYTES];
    void *ours = bus_context(), *theirs = bus_context(), *socket, *subscriber;
    char actual[BUS_ENDPOINT_MAX];
    struct publisher p;
    struct bus_message m;
    int one = 1, sent = 0;

    socket = bus_bind(ours, ZMQ_XPUB, endpoint, QUEUE, WIRE_SUBSCRIPTION_FRAME_MAX, "X");
    assert_non_null(socket);
    publisher_init(&p, socket);
    bus_endpoint(socket, actual);
    subscriber = bus_connect(theirs, ZMQ_SUB, actual, 1, 2 * RECORD_BYTES);
    assert_non_null(subscriber);
    zmq_setsockopt(subscriber, ZMQ_RCVHWM, &one, sizeof one);
    zmq_setsockopt(subscriber, ZMQ_SUBSCRIBE, "", 0);
    while (bus_recv(socket, &m))
        zmq_poll(&(zmq_pollitem_t){.socket = socket, .events = ZMQ_POLLIN}, 1, -1);
    bus_message_close(&m);
    while (!p.cuts && sent++ < RECORDS_MAX)
        publisher_send(&p, SPAN("A"), (struct span){record, sizeof record});
    assert_int_equal(p.cuts, 1);
    bus_close(subscriber);
    bus_close(socket);
    zmq_ctx_term(theirs);
    zmq_ctx_term(ours);
}

static void a_subscriber_that_reads_nothing_is_cut_on_every_kind_of_endpoint(void **state)
{
    char path[64], abstract[64];

    (void)state;
    snprintf(path, sizeof path, "ipc:///tmp/pregon-test-%d", (int)getpid());
    snprintf(abstract, sizeof abstract, "ipc://@pregon-test-%d", (int)getpid());
    cut_a_subscriber_at("tcp://127.0.0.1:0");
    cut_a_subscriber_at(path);
    cut_a_subscriber_at(abstract);
}

static void a_number_that_is_another_connection_by_now_is_left_alone(void **state)
{
    int before[2], after[2], number;
    uint64_t inode;
    char byte = 'x';

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, before), 0);
    number = before[0];
    inode = descriptor_inode(number);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, after), 0);
    assert_int_equal(dup2(after[0], number), number);
    descriptor_shut_down(number, inode);
    assert_int_equal(write(after[1], &byte, 1), 1);
    assert_int_equal(read(number, &byte, 1), 1);
    descriptor_shut_down(number, descriptor_inode(number));
    assert_int_equal(read(number, &byte, 1), 0);
    for (int i = 0; i < 2; i++) {
        close(before[i]);
        close(after[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_subscriber_that_reads_nothing_is_cut_on_every_kind_of_endpoint),
        cmocka_unit_test(a_number_that_is_another_connection_by_now_is_left_alone),
    };

    log_init("test", "critical", "text");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
