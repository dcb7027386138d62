/* Which process holds which port, and the findings from that; a table replaces the kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "doctor/holder.h"
#include "shared/base/mem.h"
#include "tests/unit/doctor/probe_fixture.h"

#define GATEWAY_PORT 8000
#define INGEST 5555
#define PUBLISH 5556
#define CONTROL 5557

/* --- a kernel of paper -------------------------------------------------------------------- */

static struct {
    const char *host; /* NULL: any */
    int port;         /* 0 ends the list */
    const char *program;
    long pid;
} held[8];

static long limit_of_gateway;
static rlim_t own_limit;
static int own_limit_error;
static unsigned long long disk_free;
static int disk_error;
static const char *writable;    /* folder; NULL: none */
static char looked_at[4000];    /* the folder whose disk was looked at */
static bool has_no_descriptors; /* socket() fails */

bool holder_find(const char *host, int port, struct holder *out)
{
    for (int i = 0; held[i].port; i++) {
        if (held[i].port != port || (held[i].host && strcmp(held[i].host, host) != 0))
            continue;
        *out = (struct holder){.pid = held[i].pid, .user = 33};
        snprintf(out->program, sizeof out->program, "%s", held[i].program);
        return true;
    }
    return false;
}

long holder_descriptors(long pid)
{
    assert_true(pid != 0);
    return limit_of_gateway;
}

const char *holder_text(const struct holder *h, char out[100])
{
    snprintf(out, 100, "pid %ld (%s)", h->pid, h->program);
    return out;
}

int socket(int domain, int type, int protocol)
{
    assert_int_equal(domain, AF_INET);
    assert_int_equal(type & SOCK_STREAM, SOCK_STREAM);
    assert_int_equal(protocol, 0);
    return has_no_descriptors ? -1 : dup(STDERR_FILENO);
}

/* Addresses of 127.0.0.0/8 and 0.0.0.0 are this machine's; ports below 1024 are privileged. */
int bind(int fd, const struct sockaddr *address, socklen_t size)
{
    const struct sockaddr_in *a = (const struct sockaddr_in *)(const void *)address;
    in_addr_t ip = ntohl(a->sin_addr.s_addr);
    int port = ntohs(a->sin_port);

    assert_true(fd >= 0);
    assert_int_equal(size, sizeof *a);
    errno = ip != INADDR_ANY && ip >> 24 != 127 ? EADDRNOTAVAIL : port && port < 1024 ? EACCES : 0;
    return errno ? -1 : 0;
}

int getrlimit(__rlimit_resource_t resource, struct rlimit *out)
{
    if (resource != RLIMIT_NOFILE) /* of a sanitizer */
        return prlimit(0, resource, NULL, out);
    *out = (struct rlimit){.rlim_cur = 1, .rlim_max = own_limit};
    return own_limit_error;
}

int access(const char *path, int mode)
{
    errno = ENOENT;
    return mode == W_OK && writable && strcmp(path, writable) == 0 ? 0 : -1;
}

int statvfs(const char *path, struct statvfs *out)
{
    snprintf(looked_at, sizeof looked_at, "%s", path);
    *out = (struct statvfs){.f_bavail = disk_free / 4096, .f_frsize = 4096, .f_bfree = 1ULL << 40};
    return disk_error;
}

/* --- a set-up ----------------------------------------------------------------------------- */

static struct checks checks;
static char text[200];

static void set(char **setting, const char *value)
{
    free(*setting);
    *setting = mem_strdup(value);
}

static void holds(int i, int port, const char *program, long pid)
{
    held[i].host = NULL;
    held[i].port = port;
    held[i].program = program;
    held[i].pid = pid;
}

/* All four ports are held by our programs, and nothing else is wrong. */
static void begin(void)
{
    checks_free(&checks);
    checks = (struct checks){.url = ""};
    memset(held, 0, sizeof held);
    holds(0, GATEWAY_PORT, "pregon-gateway", 100);
    holds(1, INGEST, "pregon-broker", 200);
    holds(2, PUBLISH, "pregon-broker", 200);
    holds(3, CONTROL, "pregon-broker", 200);
    text[0] = '\0';
    checks.config.gateway_url = text;
    checks.config.disk_free_min = 1 << 30;
    checks.gateway.port = GATEWAY_PORT;
    checks.gateway.websocket_max_connections = 100;
    checks.gateway.http_max_connections = 10;
    set(&checks.gateway.host, "127.0.0.1");
    set(&checks.broker.broker_ingest, "tcp://127.0.0.1:5555");
    set(&checks.broker.broker_publish, "tcp://127.0.0.1:5556");
    set(&checks.broker.broker_control, "tcp://127.0.0.1:5557");
    set(&checks.broker.store, "memory");
    limit_of_gateway = 4096;
    own_limit = 4096;
    own_limit_error = disk_error = 0;
    disk_free = 1ULL << 40;
    writable = NULL;
    looked_at[0] = '\0';
    has_no_descriptors = false;
}

static void check(const char *want)
{
    checks_ports(&checks);
    if (strcmp(found(&checks), want) != 0)
        fail_msg("found%s, not%s", found(&checks), want);
}

static const struct finding *first(void)
{
    return &checks.found.items[0];
}

static void our_programs_on_their_ports_are_no_finding(void **state)
{
    (void)state;
    begin();
    check("");
    assert_string_equal(checks.url, "http://127.0.0.1:8000");
    assert_string_equal(checks.holder, "pid 100 (pregon-gateway)");
    assert_int_equal(checks.gateway_pid, 100);
    assert_true(checks.is_gateway_there);
    assert_true(checks.is_broker_there);
    begin();
    set(&checks.gateway.host, "0.0.0.0");
    check("");
    assert_string_equal(checks.url, "http://127.0.0.1:8000");
    begin();
    holds(0, GATEWAY_PORT, "", 0); /* another user's process: a later check queries it */
    holds(3, CONTROL, "", 0);
    check("");
    assert_true(checks.is_gateway_there);
    assert_int_equal(checks.gateway_pid, 0);
    assert_true(checks.is_broker_there);
}

static void a_gateway_that_does_not_run_is_found(void **state)
{
    (void)state;
    begin();
    holds(0, 1, "", 1);
    check(" gateway_not_running");
    assert_false(checks.is_gateway_there);
    assert_string_equal(first()->where, "PORT");
    assert_string_equal(first()->seen, "No program listens on 127.0.0.1:8000.");
    assert_non_null(strstr(first()->todo, "start pregon-gateway"));
    begin();
    checks.gateway.port = 0;
    check(" gateway_not_running");
    assert_string_equal(first()->todo, "PORT 0 takes a free port: give --gateway-url");
}

static void another_program_on_the_gateways_port_is_found(void **state)
{
    (void)state;
    begin();
    holds(0, GATEWAY_PORT, "nginx", 7);
    check(" port_taken");
    assert_false(checks.is_gateway_there);
    assert_int_equal(checks.gateway_pid, 0);
    assert_string_equal(checks.holder, "pid 7 (nginx)");
    assert_string_equal(first()->where, "PORT");
    assert_string_equal(first()->change, "PORT=8001");
    assert_string_equal(first()->seen,
                        "127.0.0.1:8000 is held by pid 7 (nginx), not by pregon-gateway.");
}

static void an_address_that_the_gateway_cannot_take_is_found(void **state)
{
    (void)state;
    begin();
    set(&checks.gateway.host, "192.0.2.1");
    holds(0, 1, "", 1);
    check(" host_not_here");
    assert_string_equal(first()->where, "HOST");
    assert_string_equal(first()->change, "HOST=127.0.0.1");
    assert_string_equal(first()->seen, "192.0.2.1 is no IPv4 address of this machine.");
    begin();
    set(&checks.gateway.host, "::1");
    holds(0, 1, "", 1);
    check(" host_not_here");
    begin();
    checks.gateway.port = 80;
    check(" port_privileged");
    assert_string_equal(first()->where, "PORT");
    assert_string_equal(first()->change, "PORT=8000");
    assert_non_null(strstr(first()->seen, "may not listen on port 80."));
    begin();
    set(&checks.gateway.host, "localhost");
    checks.gateway.port = 80;
    check(" port_privileged");
    begin();
    has_no_descriptors = true; /* nothing is known */
    checks.gateway.port = 80;
    set(&checks.broker.broker_control, "tcp://localhost:5557");
    check(" gateway_not_running");
    assert_string_equal(checks.url, "http://127.0.0.1:80");
}

static void a_gateway_that_is_named_is_not_looked_for_here(void **state)
{
    (void)state;
    begin();
    snprintf(text, sizeof text, "http://gateway.example:1");
    holds(0, 1, "", 1);
    own_limit = 10; /* it has its own on its machine */
    check("");
    assert_true(checks.is_gateway_there);
    assert_string_equal(checks.url, "http://gateway.example:1");
}

static void a_missing_broker_is_one_finding(void **state)
{
    (void)state;
    begin();
    holds(1, 1, "", 1);
    check(" broker_not_running");
    assert_true(checks.is_broker_there); /* at another ingest: it is queried */
    assert_string_equal(first()->where, "BROKER_INGEST");
    assert_string_equal(first()->seen, "No program listens on 127.0.0.1:5555 (BROKER_INGEST).");
    begin();
    holds(2, 1, "", 1); /* it is listened to later */
    check("");
    assert_true(checks.is_broker_there);
    begin();
    for (int i = 1; i <= 3; i++)
        holds(i, 1, "", 1);
    check(" broker_not_running");
    assert_false(checks.is_broker_there);
    assert_string_equal(first()->where, "BROKER_CONTROL");
}

static void other_programs_on_the_brokers_ports_are_found(void **state)
{
    (void)state;
    begin();
    holds(1, INGEST, "redis", 9);
    holds(2, PUBLISH, "redis", 9);
    check(" port_taken port_taken");
    assert_false(checks.is_broker_there);
    assert_string_equal(first()->where, "BROKER_INGEST");
    assert_string_equal(first()->change, "");
    begin();
    set(&checks.broker.broker_ingest, "tcp://192.0.2.1:5555");
    set(&checks.broker.broker_publish, "tcp://*:80");
    holds(1, 1, "", 1);
    check(" host_not_here port_privileged");
    assert_false(checks.is_broker_there);
    assert_string_equal(first()->where, "BROKER_INGEST");
    assert_string_equal(first()->change, "");
    assert_string_equal(checks.found.items[1].where, "BROKER_PUBLISH");
    assert_string_equal(checks.found.items[1].change, "");
}

static void a_broker_elsewhere_or_without_ports_is_not_looked_for(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        static const char *const control[] = {"ipc:///tmp/x", "tcp://192.0.2.1:5557",
                                              "tcp://127.0.0.1:0"};

        begin();
        for (int k = 1; k <= 3; k++)
            holds(k, 1, "", 1);
        set(&checks.broker.broker_control, control[i]);
        set(&checks.broker.broker_ingest, "ipc:///tmp/y");
        check("");
        assert_true(checks.is_broker_there);
    }
}

/* --- descriptors and the disk ------------------------------------------------------------- */

/* 40 for itself, 32 spare, and a quarter of the rest for HTTP, at most 10. */
static void too_few_descriptors_are_found_with_the_number_that_fits(void **state)
{
    (void)state;
    begin();
    limit_of_gateway = 40 + 32 + 10 + 100;
    check("");
    begin();
    limit_of_gateway = 40 + 32 + 10 + 99;
    check(" descriptors_too_few");
    assert_string_equal(first()->where, "WEBSOCKET_MAX_CONNECTIONS");
    assert_string_equal(first()->change, "WEBSOCKET_MAX_CONNECTIONS=99");
    assert_non_null(strstr(first()->seen, "is 100, but of 181 descriptors"));
    assert_non_null(strstr(first()->seen, "of the running gateway) only about 99 are left"));
    begin();
    limit_of_gateway = 40;
    check(" descriptors_too_few");
    assert_string_equal(first()->change, "WEBSOCKET_MAX_CONNECTIONS=0");
    begin();
    limit_of_gateway = 2000000000;
    check("");
    begin(); /* the gateway shows no limit, or does not run: this shell's counts */
    limit_of_gateway = 0;
    own_limit = 181;
    check(" descriptors_too_few");
    begin();
    holds(0, 1, "", 1);
    own_limit = 181;
    check(" gateway_not_running descriptors_too_few");
    assert_non_null(strstr(checks.found.items[1].seen, "of this shell)"));
    begin();
    limit_of_gateway = 0;
    own_limit = RLIM_INFINITY;
    check("");
    begin();
    limit_of_gateway = 0;
    own_limit_error = -1;
    check(" descriptors_too_few");
    begin();
    own_limit = 1; /* that of a shell does not matter to a gateway that runs */
    check("");
}

static void a_disk_that_is_nearly_full_is_found_in_the_folder_of_the_store(void **state)
{
    (void)state;
    begin();
    disk_free = (1 << 30) - 4096;
    check(""); /* nothing is stored */
    begin();
    set(&checks.broker.store, "sqlite:/data/x/pregon.db");
    writable = "/data/x";
    disk_free = 1 << 30;
    check("");
    assert_string_equal(looked_at, "/data/x");
    begin();
    set(&checks.broker.store, "sqlite:pregon.db");
    writable = ".";
    disk_free = (1 << 30) - 4096;
    check(" disk_low");
    assert_string_equal(first()->where, "STORE");
    assert_string_equal(first()->seen, ". has 1023 MiB free, less than 1024 MiB (DISK_FREE_MIN).");
    begin();
    set(&checks.broker.store, "sqlite:/pregon.db");
    writable = "/";
    disk_free = 0;
    check(" disk_low");
    begin();
    set(&checks.broker.store, "sqlite:/pregon.db");
    writable = "/";
    disk_free = 0;
    disk_error = -1;
    check("");
    begin();
    set(&checks.broker.store, "sqlite:/pregon.db");
    set(&checks.broker.broker_control, "tcp://192.0.2.1:5557"); /* the disk of its machine */
    writable = "/";
    disk_free = 0;
    check("");
    begin();
    set(&checks.broker.store, "sqlite:/pregon.db");
    set(&checks.broker.broker_control, "ipc:///tmp/x");
    writable = "/";
    disk_free = 0;
    check("");
}

static void a_folder_that_is_missing_is_found_if_no_broker_runs(void **state)
{
    (void)state;
    begin();
    set(&checks.broker.store, "sqlite:/none/pregon.db");
    disk_free = 0;
    check("");
    begin();
    set(&checks.broker.store, "sqlite:/none/pregon.db");
    holds(3, 1, "", 1);
    disk_free = 0;
    check(" broker_not_running store_folder_missing");
    assert_string_equal(checks.found.items[1].where, "STORE");
    assert_string_equal(checks.found.items[1].seen, "/none: No such file or directory.");
}

static int tear_down(void **state)
{
    (void)state;
    checks_free(&checks);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_programs_on_their_ports_are_no_finding),
        cmocka_unit_test(a_gateway_that_does_not_run_is_found),
        cmocka_unit_test(another_program_on_the_gateways_port_is_found),
        cmocka_unit_test(an_address_that_the_gateway_cannot_take_is_found),
        cmocka_unit_test(a_gateway_that_is_named_is_not_looked_for_here),
        cmocka_unit_test(a_missing_broker_is_one_finding),
        cmocka_unit_test(other_programs_on_the_brokers_ports_are_found),
        cmocka_unit_test(a_broker_elsewhere_or_without_ports_is_not_looked_for),
        cmocka_unit_test(too_few_descriptors_are_found_with_the_number_that_fits),
        cmocka_unit_test(a_disk_that_is_nearly_full_is_found_in_the_folder_of_the_store),
        cmocka_unit_test(a_folder_that_is_missing_is_found_if_no_broker_runs),
    };

    return cmocka_run_group_tests(tests, NULL, tear_down);
}
