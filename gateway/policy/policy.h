/*
 * policy: the settings that HTTP reads for each request, parsed once; SIGHUP replaces the whole
 * policy.
 *
 * This folder holds the rules by which requests are admitted, without I/O; gateway/limits and the
 * folders above it call it, and so does the doctor.
 *
 * Immutable, with a reference count: a request keeps its policy until it is answered, even if
 * SIGHUP loads another one meanwhile.  Any thread may call policy_new and policy_drop.
 */
#ifndef GATEWAY_POLICY_POLICY_H
#define GATEWAY_POLICY_POLICY_H

#include <stdbool.h>

#include "gateway/policy/admission.h"
#include "gateway/policy/cors.h"
#include "gateway/policy/forwarded.h"
#include "gateway/config/gateway_config.h"

#define POLICY_ERROR_MAX LIST_ERROR_MAX

struct policy {
    struct admission_policy admission;
    struct cors_policy *cors;
    struct cors_policy *open_cors; /* for what every page may read */
    struct forwarded_trust *trust;
    struct host_list *hosts;
    char *root_path;     /* "" or "/prefix", no slash at the end */
    char *status_token;  /* "" for none */
    char *locks_token;   /* "": locks cannot be changed */
    char *publish_token; /* "": nobody may publish */
    char *publish_feed;
    char *admin_token; /* "": nobody may remove symbols and feeds */
    bool is_explaining, has_access_log;
    int max_connections;
    /* Queries of quotes and history a second, of one address and of all; 0: no limit. */
    uint32_t query_rate, query_rate_total;
    /* private */
    char *token;
    int references;
};

/* Returns one reference.  NULL: *error names the setting, its value and the permitted values. */
struct policy *policy_new(const struct gateway_config *config, char error[POLICY_ERROR_MAX]);
struct policy *policy_hold(struct policy *p);
void policy_drop(struct policy *p); /* NULL is allowed */

#endif
