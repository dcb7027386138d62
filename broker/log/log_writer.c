#include "broker/log/log_writer_private.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "shared/wire/wire.h"

#define COPY_BYTES ((size_t)2 << 20) /* in one turn */
/*
 * A batch of this size, or one that has waited this long, is written at once.  Every transaction
 * writes the last values of its symbols, so few large ones cost a fifth less.  But records that
 * wait must still be in the ring if the process is killed.
 */
#define EAGER_BYTES_MIN ((size_t)256 << 10)
#define EAGER_BYTES_MAX ((size_t)4 << 20)
#define EAGER_RING_PART 8
#define EAGER_MS 200

/* --- copying ------------------------------------------------------------------------ */

static void note_gap(struct log_writer *k, uint64_t last, const char *reason, uint64_t wall_us)
{
    store_batch_gap(k->filling, k->copied + 1, last, reason, wall_us);
    k->gaps += last - k->copied;
    k->copied = last;
}

/*
 * Note the positions that the ring has overwritten or cannot read as a gap.  false: the next batch
 * begins with it.
 */
static bool copy_hole(struct log_writer *k, uint64_t wall_us)
{
    struct journal *j = k->journal;
    uint64_t first = k->copied + 1, last = first - 1;
    struct journal_entry e;

    while (last < journal_head(j) && journal_read(j, last + 1, &e) == ERR_MALFORMED)
        last++;
    if (journal_first(j) <= first && last < first)
        return true;
    if (store_batch_first(k->filling))
        return false;
    if (journal_first(j) > first) {
        last = journal_first(j) - 1;
        note_gap(k, last, "not_stored", wall_us);
        log_error("Positions %llu to %llu could not be stored: the disk did not take them in "
                  "time, and JOURNAL_BYTES is full",
                  (unsigned long long)first, (unsigned long long)last);
    } else {
        note_gap(k, last, STORE_GAP_DAMAGED, wall_us);
        damage_note(&k->damage, k->ring_path, 0, first, last);
    }
    return true;
}

/* The time at which the record was accepted, by the current setting of the clock. */
static uint64_t accepted_us(const struct log_writer *k, const struct journal_entry *e)
{
    struct wire_record r;

    if (wire_read_header(e->record, &r))
        return 0;
    return e->seq <= k->jump_head ? r.accepted_us + (uint64_t)k->jump_us : r.accepted_us;
}

/* Copy new records into the batch, a bounded number.  Returns whether there are more. */
bool log_writer_copy_some(struct log_writer *k, int64_t now, uint64_t wall_us)
{
    struct journal *j = k->journal;
    size_t enough = store_batch_bytes(k->filling) + COPY_BYTES;
    struct journal_entry e;

    if (enough > STORE_BATCH_BYTES)
        enough = STORE_BATCH_BYTES;
    if (store_batch_is_empty(k->filling))
        k->filling_at = now;
    if (!copy_hole(k, wall_us))
        return false;
    while (k->copied < journal_head(j) && store_batch_bytes(k->filling) < enough) {
        if (journal_read(j, k->copied + 1, &e))
            break;
        if (!store_batch_count(k->filling))
            k->filling_us = accepted_us(k, &e);
        store_batch_add(k->filling, e.seq, e.feed < JOURNAL_FEEDS ? e.feed : STORE_FEED_NONE,
                        e.topic, e.record);
        if (e.feed < JOURNAL_FEEDS && e.line)
            k->copied_line[e.feed] = e.line;
        k->copied = e.seq;
    }
    return k->copied < journal_head(j);
}

static void put_feeds(struct log_writer *k)
{
    for (uint32_t i = 0; i < JOURNAL_FEEDS; i++) {
        const struct journal_feed *f = journal_feed(k->journal, i);

        if (!f->name[0]) /* of a feed that never published */
            continue;
        if (k->is_known_to_store[i] && k->copied_line[i] == k->handed_line[i] &&
            k->handed_left[i] == f->has_left)
            continue;
        k->is_known_to_store[i] = true;
        k->handed_left[i] = f->has_left;
        k->handed_line[i] = k->copied_line[i];
        store_batch_feed(k->filling, i, span_of(f->name), span_of(f->owner), f->epoch,
                         k->copied_line[i], f->has_left == 1);
    }
}

/* The batch is complete: feeds and settings are put in, and another is begun. */
struct store_batch *log_writer_take_batch(struct log_writer *k)
{
    struct store_batch *b = k->filling;

    put_feeds(k);
    store_batch_keep(b, k->keep_count, k->keep_age_us);
    k->filling = k->spare ? k->spare : store_batch_new();
    k->spare = NULL;
    k->handed_us = k->filling_us;
    k->filling_us = 0;
    return b;
}

void log_writer_free(struct log_writer *k, bool is_stored)
{
    archive_free(k->archive);
    journal_close(k->journal, is_stored);
    store_batch_free(k->filling);
    store_batch_free(k->spare);
    free(k->path);
    free(k->ring_path);
    free(k);
}

struct journal *log_writer_journal(struct log_writer *k)
{
    return k->journal;
}

uint64_t log_writer_epoch(const struct log_writer *k)
{
    return journal_identity(k->journal)->epoch;
}

bool log_writer_is_new_epoch(const struct log_writer *k)
{
    return k->is_new_epoch;
}

const char *log_writer_epoch_reason(const struct log_writer *k)
{
    return k->epoch_reason;
}

struct store *log_writer_store(struct log_writer *k)
{
    return archive_store(k->archive);
}

enum err log_writer_start(struct log_writer *k, char error[LOG_WRITER_ERROR_MAX])
{
    enum err e = archive_start(k->archive, error);

    k->is_started = !e;
    return e;
}

int log_writer_fd(const struct log_writer *k)
{
    return archive_fd(k->archive);
}

/* --- running ------------------------------------------------------------------------ */

static void on_written(struct log_writer *k, struct archive_result *r)
{
    journal_set_stored(k->journal, r->upto);
    k->first = r->first;
    memcpy(k->stored_line, k->handed_line, sizeof k->stored_line);
    if (!k->spare) {
        k->spare = r->batch;
        r->batch = NULL;
    }
}

static void on_result(struct log_writer *k, struct archive_result *r)
{
    char text[DAMAGE_TEXT_MAX];

    if (r->event == ARCHIVE_WRITTEN || r->event == ARCHIVE_ABANDONED)
        k->handed_us = 0;
    switch (r->event) {
    case ARCHIVE_WRITTEN:
        on_written(k, r);
        break;
    case ARCHIVE_FAILED:
        snprintf(k->reason, sizeof k->reason, "%s", r->text);
        log_error("Not durable: %s; quotes are published all the same", r->text);
        break;
    case ARCHIVE_RECOVERED:
        k->reason[0] = '\0';
        log_info("Durable again after %llu ms", (unsigned long long)r->ms);
        break;
    case ARCHIVE_PRUNED:
        k->first = r->first;
        break;
    case ARCHIVE_DAMAGED:
        snprintf(text, sizeof text, "Nothing is removed from the log any more: %.500s", r->text);
        damage_note_other(&k->damage, text);
        break;
    case ARCHIVE_ABANDONED: /* never requested: the store refused the batch */
        snprintf(k->reason, sizeof k->reason, "%s", r->text);
        log_critical("Not durable until a restart: %s", r->text);
        break;
    case ARCHIVE_ANSWER:
        break;
    }
}

bool log_writer_take_answer(struct log_writer *k, struct archive_result *out)
{
    while (archive_take(k->archive, out)) {
        if (out->event == ARCHIVE_ANSWER) {
            damage_note_page(&k->damage, k->path, &out->page);
            return true;
        }
        on_result(k, out);
        archive_result_clear(out);
    }
    return false;
}

enum err log_writer_request(struct log_writer *k, bool is_history, const struct store_query *query,
                            const struct archive_ticket *ticket)
{
    return archive_request(k->archive, is_history, query, ticket);
}

static size_t eager_bytes(const struct log_writer *k)
{
    size_t part = journal_size(k->journal) / EAGER_RING_PART;

    return part < EAGER_BYTES_MIN   ? EAGER_BYTES_MIN
           : part > EAGER_BYTES_MAX ? EAGER_BYTES_MAX
                                    : part;
}

int64_t log_writer_turn(struct log_writer *k, int64_t now, uint64_t wall_us)
{
    bool more;
    struct log_writer_status status;

    more = log_writer_copy_some(k, now, wall_us);
    if (store_batch_is_empty(k->filling))
        return -1;
    log_writer_status(k, wall_us, &status);
    if (status.behind_us > k->behind_max_us)
        k->behind_max_us = status.behind_us;
    if (!archive_can_write(k->archive))
        return -1; /* its result wakes the loop */
    if (store_batch_bytes(k->filling) < eager_bytes(k) && now < k->filling_at + EAGER_MS)
        return more ? 0 : k->filling_at + EAGER_MS - now;
    archive_write(k->archive, log_writer_take_batch(k));
    return more ? 0 : -1;
}

/* When the oldest unstored record was accepted; the ring may no longer have that record. */
static uint64_t oldest_us(const struct log_writer *k)
{
    uint64_t first = journal_first(k->journal);
    struct journal_entry e;

    if (k->handed_us || k->filling_us)
        return k->handed_us ? k->handed_us : k->filling_us;
    return journal_read(k->journal, k->copied + 1 > first ? k->copied + 1 : first, &e)
               ? 0
               : accepted_us(k, &e);
}

void log_writer_status(struct log_writer *k, uint64_t wall_us, struct log_writer_status *out)
{
    *out = (struct log_writer_status){
        .is_durable = !k->reason[0],
        .reason = k->reason,
        .first = k->first,
        .stored = journal_stored(k->journal),
        .gaps = k->gaps,
        .behind_max_us = k->behind_max_us,
        .damaged = damage_positions(&k->damage),
        .damage = k->damage.text,
    };
    if (out->stored < journal_head(k->journal)) {
        uint64_t oldest = oldest_us(k);

        out->behind_us = oldest && oldest < wall_us ? wall_us - oldest : 0;
    }
}

void log_writer_jump(struct log_writer *k, int64_t jump_us)
{
    if (k->jump_head <= journal_stored(k->journal))
        k->jump_us = 0; /* what an earlier jump was about is stored */
    k->jump_us += jump_us;
    k->jump_head = journal_head(k->journal);
    if (k->handed_us)
        k->handed_us += (uint64_t)jump_us;
    if (k->filling_us)
        k->filling_us += (uint64_t)jump_us;
}

uint64_t log_writer_first(const struct log_writer *k)
{
    return k->first;
}

void log_writer_set_line(struct log_writer *k, uint32_t feed, uint64_t line)
{
    if (feed < JOURNAL_FEEDS)
        k->copied_line[feed] = k->handed_line[feed] = k->stored_line[feed] = line;
}

void log_writer_forget_feed(struct log_writer *k, uint32_t feed)
{
    log_writer_set_line(k, feed, 0);
    if (feed < JOURNAL_FEEDS)
        k->is_known_to_store[feed] = false;
}

uint64_t log_writer_stored_line(const struct log_writer *k, uint32_t feed)
{
    return feed < JOURNAL_FEEDS ? k->stored_line[feed] : 0;
}

/* --- end ---------------------------------------------------------------------------- */

static bool is_all_stored(const struct log_writer *k)
{
    return journal_stored(k->journal) >= journal_head(k->journal);
}

/* Results of the threads; no peer waits for answers any more. */
static void drop_answers(struct log_writer *k)
{
    struct archive_result answer;

    while (log_writer_take_answer(k, &answer))
        archive_result_clear(&answer);
}

/* Until all is stored: hand over, wait for the writer. */
static void store_rest(struct log_writer *k, int64_t deadline)
{
    struct pollfd p = {.fd = archive_fd(k->archive), .events = POLLIN};

    for (;;) {
        int64_t now = clock_mono_ms();

        drop_answers(k);
        if (now >= deadline || (is_all_stored(k) && archive_can_write(k->archive)))
            return;
        log_writer_copy_some(k, now, 0);
        if (archive_can_write(k->archive) && !store_batch_is_empty(k->filling))
            archive_write(k->archive, log_writer_take_batch(k));
        else
            poll(&p, 1, (int)(deadline - now));
    }
}

static void log_unstored(const struct log_writer *k)
{
    uint64_t stored = journal_stored(k->journal), first = journal_first(k->journal),
             head = journal_head(k->journal);

    if (first > stored + 1)
        log_error("Positions %llu to %llu are lost: the ring was too small to keep them "
                  "until they could be stored",
                  (unsigned long long)stored + 1, (unsigned long long)first - 1);
    else
        first = stored + 1;
    if (head >= first)
        log_warning("%llu records are not stored yet: they are in FILE-ring, and a start with "
                    "this FILE and this FILE-ring stores them",
                    (unsigned long long)(head - first + 1));
}

bool log_writer_close(struct log_writer *k, int64_t deadline_ms)
{
    bool is_stored, has_hung = false;

    if (k->is_started) {
        store_rest(k, deadline_ms);
        archive_stop(k->archive, deadline_ms);
        has_hung = archive_has_hung(k->archive);
        drop_answers(k);
    }
    is_stored = is_all_stored(k);
    if (!is_stored)
        log_unstored(k);
    /* Sync the rest of the ring, so that it survives a restart of the machine. */
    log_writer_free(k, !has_hung);
    return is_stored;
}
