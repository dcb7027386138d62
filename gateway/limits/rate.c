#include "gateway/limits/rate.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/mem.h"

#define TOKEN 1000 /* units that a query costs; a rate of 1 adds one unit per ms */
#define SETS (RATE_PLACES / RATE_WAYS)

struct bucket {
    uint64_t key; /* of the address; 0: a free place */
    int64_t tokens, at;
};

struct rate {
    pthread_mutex_t lock;
    uint64_t seed;
    struct bucket all;
    struct bucket places[SETS][RATE_WAYS];
};

struct rate *rate_new(uint64_t seed)
{
    struct rate *r = mem_zalloc(sizeof *r);

    pthread_mutex_init(&r->lock, NULL);
    r->seed = seed;
    return r;
}

void rate_free(struct rate *r)
{
    if (!r)
        return;
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* The key of an IPv4 address, of an IPv6 network of 64 bits, or of another text; never 0. */
static uint64_t key_of(const struct rate *r, const char *address)
{
    unsigned char v6[16];
    uint64_t key = r->seed;

    if (inet_pton(AF_INET6, address, v6) == 1) {
        static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
        bool is_v4 = memcmp(v6, mapped, sizeof mapped) == 0;

        for (size_t i = is_v4 ? 8 : 0; i < (is_v4 ? 16 : 8); i++)
            key = mix(key + v6[i] + 1);
    } else {
        for (size_t i = 0; address[i]; i++)
            key = mix(key + (unsigned char)address[i] + 1);
    }
    return key ? key : 1;
}

static int64_t most(uint32_t rate, int seconds)
{
    return (int64_t)rate * seconds * TOKEN;
}

static void fill(struct bucket *b, uint32_t rate, int seconds, int64_t now)
{
    int64_t passed = now - b->at;

    /* Longer than it takes to fill: the product below cannot overflow. */
    if (passed > seconds * 1000)
        passed = seconds * 1000;
    if (passed > 0)
        b->tokens += passed * rate * TOKEN / 1000;
    if (b->tokens > most(rate, seconds))
        b->tokens = most(rate, seconds);
    b->at = now;
}

static struct bucket *find(struct rate *r, uint64_t key, uint32_t rate, int64_t now)
{
    struct bucket *set = r->places[key % SETS], *quiet = &set[0];

    for (size_t i = 0; i < RATE_WAYS; i++) {
        if (set[i].key == key)
            return &set[i];
        if (!set[i].key || (quiet->key && set[i].at < quiet->at))
            quiet = &set[i];
    }
    *quiet = (struct bucket){.key = key, .tokens = most(rate, RATE_BURST_SECONDS), .at = now};
    return quiet;
}

/* ms until a token is available; 0: there is one, or there is no limit. */
static int64_t wait_of(const struct bucket *b, uint32_t rate)
{
    if (!rate || b->tokens >= TOKEN)
        return 0;
    return (TOKEN - b->tokens + rate - 1) / rate;
}

enum rate_verdict rate_take(struct rate *r, const struct rate_limits *limits, const char *address,
                            int64_t now, int64_t *wait_ms)
{
    uint64_t key = key_of(r, address);
    enum rate_verdict verdict = RATE_TAKEN;
    struct bucket *one;
    int64_t of_address, of_all;

    pthread_mutex_lock(&r->lock);
    if (!r->all.key)
        r->all = (struct bucket){
            .key = 1, .tokens = most(limits->all, RATE_BURST_SECONDS_OF_ALL), .at = now};
    one = find(r, key, limits->per_address, now);
    fill(one, limits->per_address, RATE_BURST_SECONDS, now);
    fill(&r->all, limits->all, RATE_BURST_SECONDS_OF_ALL, now);
    of_address = wait_of(one, limits->per_address);
    of_all = wait_of(&r->all, limits->all);
    if (of_address || of_all) {
        verdict = of_address ? RATE_OF_ADDRESS : RATE_OF_ALL;
        *wait_ms = of_address > of_all ? of_address : of_all;
    } else {
        one->tokens -= limits->per_address ? TOKEN : 0;
        r->all.tokens -= limits->all ? TOKEN : 0;
    }
    pthread_mutex_unlock(&r->lock);
    return verdict;
}
