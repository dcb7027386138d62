/*
 * probe_fixture: simulated servers for the doctor.
 *
 * probe_get, probe_handshake and probe_preflight are defined here, in place of doctor/probe.c: they
 * answer what a test has put into `pages`, `shakes` and `preflights` (a preflight 200 if it has put
 * nothing).  Include it after <cmocka.h>, in one file of a program.
 */
#ifndef TESTS_UNIT_DOCTOR_PROBE_FIXTURE_H
#define TESTS_UNIT_DOCTOR_PROBE_FIXTURE_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "doctor/checks.h"
#include "doctor/probe.h"
#include "shared/base/json.h"

#define GATEWAY "http://127.0.0.1:8000"
#define PUBLIC "https://quotes.example"
#define OURS "Server: pregon\r\n"

struct page {
    const char *base, *path; /* NULL ends the list */
    int status;              /* 0: no answer */
    const char *head, *body, *local;
    bool is_tls_fault;
};

struct shake {
    const char *base, *origin; /* origin NULL: any, or none */
    int status;
    const char *head;
    bool is_followed;
    int close_code;
    const char *close_reason;
};

struct preflight {
    const char *method, *head; /* method NULL ends the list */
    int status;
};

static struct preflight preflights[10];
static size_t preflight_count; /* that were sent */
static struct page pages[10];
static struct shake shakes[10];

void probe_get(const struct probe_request *q, struct probe_answer *out)
{
    *out = (struct probe_answer){.error = "connection refused"};
    for (const struct page *p = pages; p->base; p++) {
        if (strcmp(p->base, q->base) != 0 || strcmp(p->path, q->path) != 0)
            continue;
        out->status = p->status;
        out->is_tls_fault = p->is_tls_fault;
        buf_adds(&out->head, p->head ? p->head : "");
        buf_adds(&out->body, p->body ? p->body : "");
        snprintf(out->local, sizeof out->local, "%s", p->local ? p->local : "");
        return;
    }
}

void probe_preflight(const struct probe_request *q, struct probe_answer *out)
{
    *out = (struct probe_answer){.status = 200};
    preflight_count++;
    for (const struct preflight *p = preflights; p->method; p++) {
        if (strcmp(p->method, q->method) != 0)
            continue;
        out->status = p->status;
        buf_adds(&out->head, p->head);
        return;
    }
}

void probe_handshake(const struct probe_request *q, struct probe_answer *out)
{
    *out = (struct probe_answer){.error = "connection reset"};
    for (const struct shake *s = shakes; s->base; s++) {
        if (strcmp(s->base, q->base) != 0 ||
            (s->origin && strcmp(s->origin, q->origin ? q->origin : "") != 0))
            continue;
        out->status = s->status;
        out->is_followed = s->is_followed;
        out->close_code = s->close_code;
        buf_adds(&out->head, s->head ? s->head : "");
        snprintf(out->close_reason, sizeof out->close_reason, "%s",
                 s->close_reason ? s->close_reason : "");
        return;
    }
}

/* The names of the findings, in order, each preceded by a space. */
static inline const char *found(const struct checks *x)
{
    static char names[1000];
    size_t len = 0;

    names[0] = '\0';
    for (size_t i = 0; i < x->found.count; i++)
        len += (size_t)snprintf(names + len, sizeof names - len, " %s",
                                finding_text(x->found.items[i].name));
    return names;
}

#endif
