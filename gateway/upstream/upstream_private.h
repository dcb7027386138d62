/* upstream_private: what the files of upstream share; nobody else includes it. */
#ifndef GATEWAY_UPSTREAM_UPSTREAM_PRIVATE_H
#define GATEWAY_UPSTREAM_UPSTREAM_PRIVATE_H

#include <msgpack.h>
#include <uthash.h>

#include "gateway/gateway.h"
#include "gateway/upstream/report.h"
#include "gateway/upstream/upstream.h"
#include "shared/wire/readiness.h"

enum question_kind {
    QUESTION_HELLO,
    QUESTION_TOPIC,    /* a snapshot for a topic */
    QUESTION_SYMBOL,   /* a snapshot of a symbol whose last record never came */
    QUESTION_CATCH_UP, /* a page of what may have been missed */
    QUESTION_ASK,      /* of a page */
};

struct question {
    UT_hash_handle hh;
    uint64_t id;
    enum question_kind kind;
    int64_t give_up_at;                /* monotonic, ms */
    char pattern[HUB_PATTERN_MAX + 1]; /* of a topic, or a symbol */
    uint32_t generation;
    void *ctx;
    upstream_answer *on_answer;
};

struct upstream {
    struct gateway *g;
    void *context;
    struct readiness records, control; /* the sockets (upstream_link.c) */
    /* A message came on it, or it was opened; awake clock. */
    int64_t records_at, control_at;
    int64_t ping_at;
    struct question *questions; /* by id */
    uint64_t next_id;
    uint32_t generation;
    /* Patterns whose mark has come, each ended by a NUL: their snapshots are asked for a few at
     * a time, so that the answers never fill the broker's pipe. */
    struct buf to_ask;
    size_t asked_upto; /* of to_ask */
    int asked;         /* snapshots under way */
    char mark_name[32];
    char mark[WIRE_TOPIC_MAX]; /* the one subscribed now, "" if none */
    int64_t mark_at;
    bool has_new_topics;    /* some topic may want a mark */
    bool is_here, is_known; /* heartbeats come; our hello was answered */
    bool has_met;           /* it was once since then, and may be under way anew */
    int64_t heartbeat_at;   /* awake clock */
    int64_t hello_at, alive_at, report_at;
    int64_t complain_at;       /* if no broker is here by then */
    uint64_t heartbeat_number; /* the last one, 0: none of this epoch */
    uint64_t gaps;
    uint32_t connections; /* of the records' socket: welcomes seen */
    /* Whether records may be applied (upstream_resync.c). */
    bool is_verified;
    /* Every record up to here, of the topics with a client in mode all, was applied or reported as lost:
     * a resync asks the log for what follows. */
    uint64_t verified_seq;
    bool has_verified_seq; /* in this epoch */
    uint64_t mark_seq;     /* of the last mark */
    /* The newest position of this epoch that was seen, and the newest record; told in hello. */
    uint64_t known_seq, known_record, known_accepted;
    uint64_t lost_seq;   /* every loss up to here was reported */
    uint32_t resyncs;    /* so far; an answer to one before is dropped */
    bool is_catching_up; /* the mark has come, pages of the log are asked for */
    bool is_page_asked;  /* one of them is under way; else: */
    int64_t page_at;     /* when the next one is asked for */
    struct buf held;     /* [length of topic, length of record, topic, record] … */
    struct report report;
};

/* upstream_known.c: what is known of the log, so that a broker that has lost positions hears of it. */
#define UPSTREAM_KNOWN_MEMBERS 4
void upstream_note_known(struct upstream *u, const struct wire_record *r);
void upstream_pack_known(const struct upstream *u, msgpack_packer *pk);

/* upstream_request.c */
void upstream_say_hello(struct upstream *u);
void upstream_say_goodbye(struct upstream *u);
/* Ask for an answer that says only that it came. */
void upstream_ping(struct upstream *u);
void upstream_request_snapshot(struct upstream *u, enum question_kind kind,
                               const char *pattern, uint32_t generation, uint64_t from);
/* Of the log, after verified_seq up to mark_seq. */
void upstream_request_page(struct upstream *u);
void upstream_question_end(struct upstream *u, struct question *q);
void upstream_send_report(struct upstream *u);

/* upstream_topic.c */
/* From now on the hub's topics are subscribed. */
void upstream_watch_topics(struct upstream *u);
/* The records' socket is a new one: subscribe to everything on it. */
void upstream_subscribe_all(struct upstream *u);
/* Ask for a mark if a topic is new or a resync needs one, and none is awaited. */
void upstream_place_mark(struct upstream *u);
/* A mark has come: `seq` is the head of the log, `heartbeats` the number of the last heartbeat. */
void upstream_on_mark(struct upstream *u, struct span topic, uint64_t seq,
                      uint64_t heartbeats);
/* The private mark asked for, if any, is not waited for any more. */
void upstream_drop_mark(struct upstream *u);
/* Ask for the snapshots of more topics, if there are places. */
void upstream_request_more(struct upstream *u);

/* upstream_record.c */
void upstream_on_record(struct upstream *u, struct span topic, struct span message);
/* The first message of every connection: records on the one before may never have arrived. */
void upstream_on_welcome(struct upstream *u);
void upstream_set_here(struct upstream *u, bool is_here);
/* The log is another one: nothing we know of positions holds. */
void upstream_check_epoch(struct upstream *u, uint64_t epoch);
/* Report a loss, unless it was reported already. */
void upstream_take_loss(struct upstream *u, const struct wire_record *r);
/* Apply a record to the hub; upstream_deliver decides whether that may be done. */
void upstream_apply(struct upstream *u, struct span topic, const struct wire_record *r);

/* upstream_link.c */
/* false: what is wrong is logged; close it all the same. */
bool upstream_link_open(struct upstream *u);
void upstream_link_close(struct upstream *u);
/* Ping, and replace a socket on which nothing has come for UPSTREAM_SILENCE_MS by a new one. */
void upstream_link_tick(struct upstream *u);

/* upstream_resync.c */
/* Records after verified_seq may be missing: the link is unverified from here on. */
void upstream_resync(struct upstream *u);
/* The one way of a live record to the clients: applied, held or dropped. */
void upstream_deliver(struct upstream *u, struct span topic, struct span message,
                      const struct wire_record *r);
/* The mark of a resync has come at mark_seq. */
void upstream_catch_up(struct upstream *u);
void upstream_on_page(struct upstream *u, const struct question *q, struct span answer);
/* The question for a page was not answered. */
void upstream_on_no_page(struct upstream *u, const struct question *q);
/* Due work: the next page; and once all topics are live again positions move on. */
void upstream_resync_tick(struct upstream *u);

/* upstream_answer.c */
void upstream_on_answer(struct upstream *u, struct span answer);
/* Unanswered: a topic is synchronised again, a worker is told, a hole is asked for again. */
void upstream_give_up(struct upstream *u, struct question *q);

#endif
