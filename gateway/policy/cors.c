#include "gateway/policy/cors.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/mem.h"

/* The methods that "*" stands for, in Starlette's order. */
#define ALL_METHODS "DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT"
/* Headers that any page may send without a preflight; Starlette lists them too. */
#define SAFE_HEADERS "Accept,Accept-Language,Content-Language,Content-Type"
/* What the gateway's routes read, and what HTTP libraries add.  Not for "*", only for a list. */
#define USED_HEADERS "Authorization,X-Requested-With,Idempotency-Key,Last-Event-ID"

struct names {
    char **at;
    size_t count;
    bool may_be_any, is_any; /* "*" */
    bool is_given;           /* the setting is not empty; [] is a list without names */
    char *joined;            /* "GET, POST" */
};

struct cors_policy {
    struct origin_list *origins;
    struct names methods, headers, expose;
    bool allow_credentials;
    int max_age;
};

static bool is_token(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];

        if (c >= 0x80 || (!isalnum(c) && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c))))
            return false;
    }
    return text.len > 0;
}

static void add_name(struct names *n, const char *name)
{
    n->at = mem_resize(n->at, (n->count + 1) * sizeof *n->at);
    n->at[n->count++] = mem_strdup(name);
}

static void add_entry(void *into, const char *entry, const char *setting,
                      char error[LIST_ERROR_MAX])
{
    struct names *n = into;

    if (n->may_be_any && strcmp(entry, "*") == 0)
        n->is_any = true;
    else if (is_token(span_of(entry)) && !strchr(entry, '*'))
        add_name(n, entry);
    else
        snprintf(error, LIST_ERROR_MAX,
                 "%s: entry '%.100s' is no name.  Allowed: names like GET or "
                 "X-Request-Id%s",
                 setting, entry, n->may_be_any ? ", or * for all" : "");
}

static void read_names(const char *setting, const char *list, struct names *names,
                       char error[CORS_ERROR_MAX])
{
    if (!error[0])
        (void)list_read(setting, list, NULL, add_entry, names, error);
}

/* Names of our own, so that nothing can be wrong with them. */
static void add_names(struct names *names, const char *list)
{
    char ignored[CORS_ERROR_MAX] = "";

    read_names("", list, names, ignored);
}

static void join_names(struct names *n)
{
    struct buf b = {0};

    for (size_t i = 0; i < n->count; i++) {
        if (i)
            buf_adds(&b, ", ");
        buf_adds(&b, n->at[i]);
    }
    n->joined = mem_strdup(buf_text(&b));
    buf_free(&b);
}

static void free_names(struct names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->at[i]);
    free(n->at);
    free(n->joined);
}

static bool has_name(const struct names *n, struct span name, bool any_case)
{
    for (size_t i = 0; i < n->count; i++)
        if (strlen(n->at[i]) == name.len && (any_case ? strncasecmp(n->at[i], name.at, name.len)
                                                      : strncmp(n->at[i], name.at, name.len)) == 0)
            return true;
    return false;
}

struct cors_policy *cors_policy_new(const struct cors_settings *s, char error[CORS_ERROR_MAX])
{
    struct cors_policy *p = mem_zalloc(sizeof *p);

    error[0] = '\0';
    p->origins = origin_list_new("CORS_ORIGINS", s->origins, error);
    p->methods.may_be_any = p->headers.may_be_any = true;
    p->methods.is_given = list_trim(span_of(s->methods)).len > 0;
    p->headers.is_given = list_trim(span_of(s->headers)).len > 0;
    read_names("CORS_ALLOW_METHODS", s->methods, &p->methods, error);
    if (p->methods.is_any)
        add_names(&p->methods, ALL_METHODS);
    add_names(&p->headers, SAFE_HEADERS);
    read_names("CORS_ALLOW_HEADERS", s->headers, &p->headers, error);
    if (!p->headers.is_given && !error[0] && !origin_list_is_any(p->origins))
        add_names(&p->headers, USED_HEADERS);
    read_names("CORS_EXPOSE_HEADERS", s->expose, &p->expose, error);
    p->allow_credentials = s->allow_credentials;
    p->max_age = s->max_age;
    if (!error[0] && p->allow_credentials && origin_list_is_any(p->origins))
        snprintf(error, CORS_ERROR_MAX,
                 "CORS_ALLOW_CREDENTIALS: '1' together with '*' in CORS_ORIGINS would hand "
                 "every site its visitors' answers.  Allowed: list the origins, or 0");
    if (error[0]) {
        cors_policy_free(p);
        return NULL;
    }
    join_names(&p->methods);
    join_names(&p->headers);
    join_names(&p->expose);
    return p;
}

void cors_policy_free(struct cors_policy *p)
{
    if (!p)
        return;
    origin_list_free(p->origins);
    free_names(&p->methods);
    free_names(&p->headers);
    free_names(&p->expose);
    free(p);
}

const struct origin_list *cors_policy_origins(const struct cors_policy *p)
{
    return p->origins;
}

static bool is_allowed(const struct cors_policy *p, const struct cors_request *r)
{
    struct origin origin = {0}, own = {0};

    if (origin_list_allows(p->origins, r->origin))
        return true;
    return r->own_origin && origin_parse(r->origin, &origin) && origin_parse(r->own_origin, &own) &&
           origin_equals(&origin, &own);
}

/*
 * The first of the requested headers that is not allowed; .len 0: all are.  Even with "*" each must
 * be a name, because the answer repeats it.
 */
static struct span refused_header(const struct cors_policy *p, const char *requested)
{
    struct span name;

    while (requested && list_next(&requested, &name))
        if (name.len &&
            (!is_token(name) || (!p->headers.is_any && !has_name(&p->headers, name, true))))
            return name;
    return (struct span){"", 0};
}

/* CORS_ALLOW_METHODS, or if that is not set, what the path takes. */
static const char *methods_of(const struct cors_policy *p, const struct cors_request *r)
{
    return p->methods.is_given ? p->methods.joined
           : r->route_methods  ? r->route_methods
                               : "GET, HEAD";
}

static bool method_passes(const char *methods, const char *wanted)
{
    struct span name;

    while (list_next(&methods, &name))
        if (span_eq(name, wanted))
            return true;
    return false;
}

static void explain(const struct cors_policy *p, const struct cors_request *r, bool method,
                    struct span header, struct cors_decision *d)
{
    int len = header.len < 60 ? (int)header.len : 60;

    if (!d->is_allowed) {
        d->fault = CORS_FAULT_ORIGIN;
        snprintf(d->message, sizeof d->message, "Pages of %.120s may not read this gateway.",
                 r->origin);
        snprintf(d->hint, sizeof d->hint, "Add %.120s to CORS_ORIGINS.", r->origin);
    } else if (!method) {
        d->fault = CORS_FAULT_METHOD;
        snprintf(d->message, sizeof d->message,
                 "Pages of %.120s may not use the method %.40s here, only %.80s.", r->origin,
                 r->request_method, methods_of(p, r)[0] ? methods_of(p, r) : "simple requests");
        if (p->methods.is_given)
            snprintf(d->hint, sizeof d->hint, "Add %.40s to CORS_ALLOW_METHODS.",
                     r->request_method);
        else
            snprintf(d->hint, sizeof d->hint,
                     "This path has no other methods, and CORS_ALLOW_METHODS is not set.");
    } else {
        d->fault = CORS_FAULT_HEADER;
        snprintf(d->message, sizeof d->message,
                 "Pages of %.120s may not send the request header '%.*s'.", r->origin, len,
                 header.at);
        snprintf(d->hint, sizeof d->hint,
                 "Add %.*s to CORS_ALLOW_HEADERS, beside the headers it has now: %.150s.", len,
                 header.at, p->headers.joined);
    }
}

static void add_origin(const struct cors_policy *p, const struct cors_request *r, bool allowed,
                       struct buf *headers)
{
    if (allowed && origin_list_is_any(p->origins))
        buf_adds(headers, "Access-Control-Allow-Origin: *\r\n");
    else if (allowed)
        buf_printf(headers, "Access-Control-Allow-Origin: %s\r\n", r->origin);
    if (allowed && p->allow_credentials)
        buf_adds(headers, "Access-Control-Allow-Credentials: true\r\n");
}

static void answer_preflight(const struct cors_policy *p, const struct cors_request *r,
                             struct cors_decision *d, struct buf *headers)
{
    const char *methods = methods_of(p, r), *separator = " ";
    bool method = method_passes(methods, r->request_method);
    struct span header = refused_header(p, r->request_headers);
    bool names = !header.len;

    if (d->is_allowed && method && names) {
        d->status = 200;
        strcpy(d->body, "OK");
    } else {
        d->status = 400;
        strcpy(d->body, "Disallowed CORS");
        if (!d->is_allowed) {
            strcat(strcat(d->body, separator), "origin");
            separator = ", ";
        }
        if (!method) {
            strcat(strcat(d->body, separator), "method");
            separator = ", ";
        }
        if (!names)
            strcat(strcat(d->body, separator), "headers");
        explain(p, r, method, header, d);
    }
    if (!d->is_allowed)
        return;
    buf_printf(headers, "Access-Control-Allow-Methods: %s\r\n", methods);
    buf_printf(headers, "Access-Control-Max-Age: %d\r\n", p->max_age);
    if (!p->headers.is_any)
        buf_printf(headers, "Access-Control-Allow-Headers: %s\r\n", p->headers.joined);
    else if (r->request_headers && names)
        buf_printf(headers, "Access-Control-Allow-Headers: %s\r\n", r->request_headers);
}

struct cors_decision cors_decide(const struct cors_policy *p, const struct cors_request *r,
                                 struct buf *headers)
{
    struct cors_decision d = {0};

    d.is_preflight = r->origin && r->request_method && strcmp(r->method, "OPTIONS") == 0;
    d.is_allowed = r->origin && is_allowed(p, r);
    if (!origin_list_is_any(p->origins))
        buf_printf(headers, "Vary: Origin%s\r\n",
                   d.is_preflight ? ", Access-Control-Request-Method, "
                                    "Access-Control-Request-Headers"
                                  : "");
    if (!r->origin)
        return d;
    add_origin(p, r, d.is_allowed, headers);
    if (d.is_preflight)
        answer_preflight(p, r, &d, headers);
    else if (d.is_allowed && p->expose.count)
        buf_printf(headers, "Access-Control-Expose-Headers: %s\r\n", p->expose.joined);
    return d;
}
