/*
 * Random damage to the four files of a store: a broker's modules that start on them report the
 * fault, or continue and account for every position.  No crash, no hang.  Each round is a separate
 * process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/locks/lock_core.h"
#include "shared/base/clock.h"
#include "shared/base/hash.h"
#include "tests/unit/broker/core/core_fixture.h"
#include "tests/unit/dice.h"

#define ROUNDS 40        /* or DAMAGE_ROUNDS of the environment */
#define ROUND_SECONDS 60 /* a hang; far more than a round takes */
#define WAIT_MS 20000
#define STOP_MS 200 /* longer only if the store takes nothing any more */
#define RECORDS 3000
#define LOCKS 40
#define PAGES_MOST 2000 /* of one replay or history */

enum { CHILD_WELL, CHILD_REFUSED = 10, CHILD_WRONG };

static const char *const endings[] = {"", "-wal", "-ring", "-locks", "-locks-wal"};
static char root[64], path[160], setting[200], error[LOG_WRITER_ERROR_MAX];
#define LENGTH_SUMS (RECORDS + 100)
static uint64_t *sums;    /* by position: of the record as published */
static uint64_t boundary; /* a new epoch began above this position: earlier ones may be missing */
/* damage is detected by checksums: everything that is read must be right */
static bool is_strict;

/* --- a broker without sockets ------------------------------------------------------- */

static void on_publish_sum(void *ctx, struct span topic, struct span record)
{
    struct wire_record r;

    (void)ctx;
    (void)topic;
    if (!wire_read(record, &r, NULL) && r.seq < LENGTH_SUMS)
        sums[r.seq] = hash_name(record);
}

static enum err start_core(void)
{
    char locks[200];
    enum err e;

    snprintf(setting, sizeof setting, "sqlite:%.150s", path);
    config.store = setting;
    core = (struct core){.config = &config,
                         .out = {.ctx = &core, .publish = on_publish_sum, .send = on_reply},
                         .time = {5000, 5000, WALL_US}};
    error[0] = '\0';
    e = log_writer_open(&config, WALL_US, &core.log.log_writer, error);
    if (e)
        return e;
    core.log.journal = log_writer_journal(core.log.log_writer);
    core_init(&core, 0);
    e = core_restore(&core, error);
    if (!e)
        e = log_writer_start(core.log.log_writer, error);
    snprintf(locks, sizeof locks, "%.150s-locks", path);
    if (!e)
        e = lock_core_open(core.locks, locks, &core.time, error);
    return e;
}

/* One turn of the loop, as in main.c. */
static void turn(int wait_ms)
{
    struct pollfd p[] = {{.fd = log_writer_fd(core.log.log_writer), .events = POLLIN},
                         {.fd = lock_core_fd(core.locks), .events = POLLIN}};

    poll(p, 2, wait_ms);
    pass_time(wait_ms + 50);
    core_begin_turn(&core);
    (void)core_work(&core);
    core_take_answers(&core);
    (void)log_writer_turn(core.log.log_writer, core.time.now, (uint64_t)core.time.wall_us);
    (void)lock_core_tick(core.locks, &core.time);
}

static struct span request(const char *json)
{
    struct buf message = {0};
    int64_t end = clock_mono_ms() + WAIT_MS;

    forget_sent(replies, &reply_count);
    packed(&message, json);
    core_begin_turn(&core);
    core_control(&core, SPAN("asker"), buf_span(&message));
    buf_free(&message);
    while (!reply_count && clock_mono_ms() < end)
        turn(2);
    if (reply_count)
        return buf_span(&replies[0].message);
    fprintf(stderr, "no answer to %s\n", json);
    _exit(CHILD_WRONG);
}

static void publish_some(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char topic[16], body[100];
        struct buf bytes = {0};
        struct book_entry *e;
        unsigned symbol = dice(7);

        snprintf(topic, sizeof topic, "S%u ", symbol);
        snprintf(body, sizeof body, "{'last':'%u.5','note':'%.*s'}", i, (int)dice(50),
                 "..................................................");
        packed(&bytes, body);
        e = book_add(core.log.book, (struct span){topic, strlen(topic) - 1});
        if (e)
            e->seq =
                core_publish(&core, WIRE_QUOTE, span_of(topic), e->seq, buf_span(&bytes), NULL);
        buf_free(&bytes);
    }
}

static bool store_all(void)
{
    int64_t end = clock_mono_ms() + WAIT_MS;
    struct log_writer_status s;

    while (journal_stored(core.log.journal) < journal_head(core.log.journal)) {
        log_writer_status(core.log.log_writer, (uint64_t)core.time.wall_us, &s);
        if (!s.is_durable || clock_mono_ms() > end)
            return false;
        turn(2);
    }
    return true;
}

static void stop_core(void)
{
    (void)lock_core_close(core.locks, clock_mono_ms() + STOP_MS);
    (void)log_writer_close(core.log.log_writer, clock_mono_ms() + STOP_MS);
    core.log.journal = NULL;
}

/* --- what is checked ---------------------------------------------------------------- */

static void wrong(const char *what, uint64_t a, uint64_t b)
{
    fprintf(stderr, "%s: %llu, %llu\n", what, (unsigned long long)a, (unsigned long long)b);
    _exit(CHILD_WRONG);
}

/* Everything in (after, upto] is a record or in a gap; a record equals the published one. */
static void check_page(struct span answer, uint64_t after, uint64_t upto, char *seen)
{
    struct pack_value v;
    struct wire_record r;
    struct span c;
    uint32_t count;

    memset(seen, 0, (size_t)(upto - after + 1));
    if (!pack_find(answer, "records", &v, &c) || !pack_next(&c, &v))
        wrong("no records", after, upto);
    count = v.count;
    for (uint32_t i = 0; i < count; i++) {
        if (!pack_next(&c, &v) || !pack_next(&c, &v) || !pack_next(&c, &v) ||
            wire_read(v.text, &r, NULL))
            wrong("a record that cannot be read", after, i);
        if (r.seq <= after || r.seq > upto)
            wrong("a record outside of its page", r.seq, upto);
        if (is_strict && r.seq <= RECORDS && hash_name(v.text) != sums[r.seq])
            wrong("a record that was changed", r.seq, upto);
        seen[r.seq - after] = 1;
    }
    if (!pack_find(answer, "gaps", &v, &c) || !pack_next(&c, &v))
        wrong("no gaps", after, upto);
    count = v.count;
    for (uint32_t i = 0; i < count; i++) {
        struct pack_value first, last, reason;

        if (!pack_next(&c, &v) || !pack_next(&c, &first) || !pack_next(&c, &last) ||
            !pack_next(&c, &reason) || first.u > last.u)
            wrong("a gap that makes no sense", after, i);
        for (uint64_t seq = first.u; seq <= last.u && seq <= upto; seq++)
            if (seq > after)
                seen[seq - after] = 1;
    }
}

static void check_replay(void)
{
    uint64_t head = journal_head(core.log.journal), after = 0;
    char *seen = calloc(1 << 20, 1);
    unsigned pages = 0;

    if (head >= 1 << 20)
        wrong("the head leaps", head, 0);
    while (after < head) {
        char json[200];
        uint64_t first, upto;
        struct span answer;

        snprintf(json, sizeof json, "{'op':'replay','id':1,'pattern':'*','after':%llu}",
                 (unsigned long long)after);
        answer = request(json);
        upto = pack_find_u(answer, "upto", 0);
        first = pack_find_u(answer, "first", 0);
        if (upto <= after || upto > head || ++pages > PAGES_MOST)
            wrong("a page that does not come on", after, upto);
        check_page(answer, after, upto, seen);
        for (uint64_t seq = after + 1; seq <= upto; seq++)
            if (!seen[seq - after] && seq >= first && seq > boundary)
                wrong("a position without record or gap", seq, first);
        after = upto;
    }
    free(seen);
}

static void check_history(const char *order)
{
    uint64_t next = 0;
    unsigned pages = 0;

    do {
        char json[200];

        snprintf(json, sizeof json, "{'op':'history','id':1,'symbol':'S3','order':'%s','%s':%llu}",
                 order, *order == 'n' ? "before" : "after", (unsigned long long)next);
        next = pack_find_u(request(json), "next", 0);
        if (++pages > PAGES_MOST)
            wrong("a history without end", next, 0);
    } while (next);
}

static int live_on_damaged_files(void)
{
    enum err e = start_core();

    if (e) {
        if (!error[0])
            wrong("refused without a word", (uint64_t)e, 0);
        return CHILD_REFUSED;
    }
    if (log_writer_is_new_epoch(core.log.log_writer))
        boundary = journal_head(core.log.journal);
    check_replay();
    check_history("newest");
    check_history("oldest");
    (void)request("{'op':'snapshot','id':2,'pattern':'*'}");
    (void)request("{'op':'status','id':3}");
    (void)request("{'op':'locks','id':4}");
    publish_some(20);
    (void)store_all();
    check_replay();
    stop_core();
    return CHILD_WELL;
}

/* --- files -------------------------------------------------------------------------- */

static void copy_good(void)
{
    char command[400];

    snprintf(command, sizeof command, "rm -rf %s/now && cp -r %s/good %s/now", root, root, root);
    assert_int_equal(system(command), 0);
}

/* Bytes or pages of one of the files, or its end.  Returns how strict the round can be. */
static bool damage_one(char *damages, size_t size)
{
    const char *ending = endings[dice(LENGTH(endings))];
    char file[240], bytes[8192] = {0};
    unsigned how = dice(5), count = 1 + dice(4);
    struct stat st;
    int fd;

    snprintf(file, sizeof file, "%.150s%s", path, ending);
    if (stat(file, &st) || st.st_size < 64)
        return true;
    fd = open(file, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    for (unsigned n = 0; n < count; n++) {
        off_t at = (off_t)((uint64_t)random() % (uint64_t)st.st_size);
        size_t len = how == 0 ? 1 : how == 1 ? 512u << dice(4) : sizeof bytes;

        if (how >= 1)
            at -= at % 512;
        if (how >= 2)
            at -= at % (off_t)sizeof bytes;
        for (size_t i = 0; i < len && (how == 1 || how == 3); i++)
            bytes[i] = (char)random();
        if (how == 0 && pread(fd, bytes, 1, at) == 1)
            bytes[0] ^= (char)(1 << dice(8));
        if (at + (off_t)len > st.st_size)
            len = (size_t)(st.st_size - at);
        if (how == 4)
            assert_int_equal(ftruncate(fd, at), 0);
        else
            assert_int_equal(pwrite(fd, bytes, len, at), len);
        snprintf(damages + strlen(damages), size - strlen(damages), " %s/%u@%lld+%zu", ending, how,
                 (long long)at, len);
        if (how == 4)
            break;
    }
    close(fd);
    /* A row that was changed and is still one shows nothing: FILE has no checksums. */
    return (how == 2 && !*ending) || strcmp(ending, "-ring") == 0 || strstr(ending, "-locks");
}

static void remember_path(const char *name)
{
    snprintf(path, sizeof path, "%.60s/%.10s/log.db", root, name);
}

/* Some records in FILE, some in FILE-wal, some in the ring only: as after a kill. */
static void make_files(void)
{
    pid_t child = fork();
    int status;

    if (!child) {
        char json[200];

        remember_path("good");
        if (start_core())
            wrong(error, 0, 0);
        publish_some(RECORDS / 2);
        (void)store_all();
        stop_core();
        if (start_core())
            wrong(error, 0, 0);
        publish_some(RECORDS / 3);
        (void)store_all();
        for (unsigned i = 0; i < LOCKS; i++) {
            snprintf(json, sizeof json,
                     "{'op':'lock','id':1,'name':'lock/%u','owner':'o%u','ttl_ms':60000}", i, i);
            (void)request(json);
        }
        publish_some(RECORDS - RECORDS / 2 - RECORDS / 3);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Start twice on the same files. */
static int live_twice(void)
{
    static uint64_t own[LENGTH_SUMS];
    int first;

    memcpy(own, sums, sizeof own);
    sums = own;
    first = live_on_damaged_files();
    if (first == CHILD_REFUSED)
        return first;
    core_fini(&core);
    return live_on_damaged_files();
}

/* The child may end well or be refused; any other end is reported with the seed. */
static int one_round(unsigned seed)
{
    char damages[600] = "";
    int status, code;
    pid_t child;

    srandom(seed);
    copy_good();
    remember_path("now");
    is_strict = damage_one(damages, sizeof damages);
    if (!dice(3))
        is_strict &= damage_one(damages, sizeof damages);
    fflush(NULL);
    child = fork();
    if (!child) {
        alarm(ROUND_SECONDS);
        _exit(live_twice());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    if (code != CHILD_WELL && code != CHILD_REFUSED)
        fail_msg("TEST_SEED=%u: ended with %d (14: hung) after damage:%s", seed, -code, damages);
    return code;
}

static void whatever_is_damaged_the_broker_says_so_or_accounts_for_all(void **state)
{
    const char *given = getenv("TEST_SEED"), *more = getenv("DAMAGE_ROUNDS");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL), well = 0,
             rounds = given ? 1 : ROUNDS;

    (void)state;
    if (more && !given)
        rounds = (unsigned)strtoul(more, NULL, 10);
    print_message("TEST_SEED=%u to %u\n", seed, seed + rounds - 1);
    sums = mmap(NULL, LENGTH_SUMS * sizeof *sums, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(sums != MAP_FAILED);
    srandom(seed);
    make_files();
    for (unsigned i = 0; i < rounds; i++)
        well += one_round(seed + i) == CHILD_WELL;
    print_message("%u of %u went on, the others were refused\n", well, rounds);
    munmap(sums, LENGTH_SUMS * sizeof *sums);
}

static int make_root(void **state)
{
    (void)state;
    log_init("test", getenv("TEST_LOG") ? getenv("TEST_LOG") : "critical", "text");
    config = (struct broker_config){.journal_bytes = 1 << 20,
                                    .max_symbols_total = 100000,
                                    .max_future = 60000,
                                    .lock_ttl_max = 600000,
                                    .lock_delay_max = 600000,
                                    .lock_count_max = 1000};
    /* In memory, if that can be: every start and end waits for the disk several times. */
    strcpy(root,
           access("/dev/shm", W_OK) ? "/tmp/test-damage-XXXXXX" : "/dev/shm/test-damage-XXXXXX");
    assert_non_null(mkdtemp(root));
    return mkdir(strcat(strcpy(path, root), "/good"), 0700);
}

static int remove_root(void **state)
{
    char command[100];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", root);
    assert_int_equal(system(command), 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whatever_is_damaged_the_broker_says_so_or_accounts_for_all,
                                        make_root, remove_root),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
