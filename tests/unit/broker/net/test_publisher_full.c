/* What a publisher does while a queue is full: ZeroMQ, the kernel and the clock are of paper. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "broker/net/descriptor.h"
#include "broker/net/publisher.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"

#define PORT 5556
#define DESCRIPTORS 512

static struct {
    uint16_t port;
    int unsent;
    bool listens, is_writable;
    unsigned ends;
} kernel[DESCRIPTORS];

static int64_t now;
static unsigned refusals; /* of ZeroMQ, before it takes a record */
static bool waits_for_cut;
static unsigned sends, looks, sleeps;
static struct publisher publisher;
static char socket_of_paper;

uint64_t descriptor_inode(int fd)
{
    return (uint64_t)fd + 1000;
}

uint16_t descriptor_port(int fd)
{
    return kernel[fd].port;
}

bool descriptor_name(int fd, char out[DESCRIPTOR_NAME_MAX])
{
    snprintf(out, DESCRIPTOR_NAME_MAX, "peer %d", fd);
    return !kernel[fd].listens;
}

void descriptor_shut_down(int fd, uint64_t inode)
{
    assert_int_equal(inode, fd + 1000);
    kernel[fd].ends++;
    kernel[fd].unsent = 0;
    if (waits_for_cut)
        refusals = 0;
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list args;

    assert_int_equal(request, SIOCOUTQ);
    va_start(args, request);
    *va_arg(args, int *) = kernel[fd].unsent;
    va_end(args);
    return kernel[fd].port ? 0 : -1;
}

int poll(struct pollfd *items, nfds_t count, int ms)
{
    assert_int_equal(count, 1);
    assert_int_equal(ms, 0);
    assert_int_equal(items->events, POLLOUT);
    return items->fd >= 0 && kernel[items->fd].is_writable;
}

int nanosleep(const struct timespec *time, struct timespec *left)
{
    (void)left;
    assert_int_equal(time->tv_sec, 0);
    assert_int_equal(time->tv_nsec, 1000000);
    sleeps++;
    now++;
    return 0;
}

int64_t clock_mono_ms(void)
{
    return now;
}

int64_t clock_wall_us(void)
{
    return now * 1000;
}

int64_t clock_boot_ms(void)
{
    return now;
}

void clock_pair(int64_t *boot_ms, int64_t *wall_us)
{
    *boot_ms = now;
    *wall_us = now * 1000;
}

int zmq_setsockopt(void *socket, int option, const void *value, size_t len)
{
    assert_ptr_equal(socket, &socket_of_paper);
    assert_int_equal(option, ZMQ_XPUB_NODROP);
    assert_int_equal(len, sizeof(int));
    assert_int_equal(*(const int *)value, 1);
    return 0;
}

void bus_endpoint(void *socket, char out[BUS_ENDPOINT_MAX])
{
    (void)socket;
    snprintf(out, BUS_ENDPOINT_MAX, "tcp://127.0.0.1:%d", PORT);
}

bool bus_is_readable(void *socket)
{
    assert_ptr_equal(socket, &socket_of_paper);
    looks++;
    return false;
}

static enum err take(void)
{
    sends++;
    if (!refusals)
        return OK;
    refusals--;
    return ERR_AGAIN;
}

enum err bus_send(void *socket, const struct span *frames, int count)
{
    assert_ptr_equal(socket, &socket_of_paper);
    assert_int_equal(count, 2);
    assert_true(span_eq(frames[0], "A ") && span_eq(frames[1], "record"));
    return take();
}

enum err bus_forward(void *socket, struct bus_message *m)
{
    assert_ptr_equal(socket, &socket_of_paper);
    assert_int_equal(m->count, 2);
    return take();
}

/* A connection of the socket's port with so many bytes in the kernel. */
static int connection(int unsent, bool is_writable)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    assert_in_range(fd, 3, DESCRIPTORS - 1);
    kernel[fd].port = PORT;
    kernel[fd].unsent = unsent;
    kernel[fd].is_writable = is_writable;
    return fd;
}

static int set_up(void **state)
{
    (void)state;
    memset(kernel, 0, sizeof kernel);
    now = 1000;
    refusals = sends = looks = sleeps = 0;
    waits_for_cut = false;
    publisher_init(&publisher, &socket_of_paper);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int fd = 0; fd < DESCRIPTORS; fd++)
        if (kernel[fd].port)
            close(fd);
    return 0;
}

static void publish(void)
{
    publisher_send(&publisher, SPAN("A "), SPAN("record"));
}

static void a_record_that_has_room_touches_nobody(void **state)
{
    int fd = connection(500, false);

    (void)state;
    publish();
    assert_int_equal(sends, 1);
    assert_int_equal(looks + sleeps, 0);
    assert_int_equal(kernel[fd].ends, 0);
    assert_int_equal(publisher.cuts, 0);
}

static void the_connection_with_the_most_unsent_bytes_is_cut_at_once(void **state)
{
    int few = connection(100, false), most = connection(500, false), none = connection(0, false),
        other = connection(900, false), listener = connection(0, false);

    (void)state;
    kernel[other].port = PORT + 1;
    kernel[listener].listens = true;
    refusals = 1000;
    waits_for_cut = true;
    publish();
    assert_int_equal(kernel[most].ends, 1);
    assert_int_equal(kernel[few].ends + kernel[none].ends + kernel[other].ends, 0);
    assert_int_equal(publisher.cuts, 1);
    assert_int_equal(sends, 2);
    assert_int_equal(sleeps, 1);
    assert_int_equal(looks, 1); /* ZeroMQ learns that there is room */
}

static void a_connection_that_the_kernel_would_take_more_from_is_waited_for(void **state)
{
    int fd = connection(500, true), next = connection(100, true);

    (void)state;
    refusals = 1000;
    waits_for_cut = true;
    publish();
    assert_int_equal(kernel[fd].ends, 1);
    assert_int_equal(kernel[next].ends, 0);
    assert_int_equal(now, 1000 + PUBLISHER_WAIT_MS + 1);
    set_up(state);
    kernel[fd].port = kernel[next].port = PORT; /* the wait helps */
    kernel[fd].unsent = 500;
    kernel[fd].is_writable = true;
    refusals = PUBLISHER_WAIT_MS - 1;
    publish();
    assert_int_equal(kernel[fd].ends, 0);
    assert_int_equal(publisher.cuts, 0);
}

static void each_cut_has_its_own_wait(void **state)
{
    int first = connection(500, true), second = connection(100, true);

    (void)state;
    refusals = 2 * (PUBLISHER_WAIT_MS + 1) + 1;
    publish();
    assert_int_equal(kernel[first].ends, 1);
    assert_int_equal(kernel[second].ends, 1);
    assert_int_equal(publisher.cuts, 2);
}

static void after_some_seconds_in_vain_all_connections_are_cut(void **state)
{
    int a = connection(0, true), b = connection(0, false), listener = connection(0, false);
    struct bus_message m = {.count = 2};

    (void)state;
    kernel[listener].listens = true;
    refusals = UINT32_MAX;
    publisher_forward(&publisher, &m);
    assert_int_equal(now, 1000 + PUBLISHER_GIVE_UP_MS);
    assert_int_equal(kernel[a].ends, 1);
    assert_int_equal(kernel[b].ends, 1);
    assert_int_equal(kernel[listener].ends, 0);
    assert_int_equal(publisher.cuts, 2);
    refusals = 0;
    publish(); /* the next one begins anew */
    assert_int_equal(publisher.cuts, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_record_that_has_room_touches_nobody),
        TEST(the_connection_with_the_most_unsent_bytes_is_cut_at_once),
        TEST(a_connection_that_the_kernel_would_take_more_from_is_waited_for),
        TEST(each_cut_has_its_own_wait),
        TEST(after_some_seconds_in_vain_all_connections_are_cut),
    };

    log_init("test", "critical", "text");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
