#include "gateway/policy/policy.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/mem.h"

/* "api/", "/api" and "/api/" all mean "/api". */
static char *normal_root(const char *path)
{
    size_t len;
    char *root;

    path += strspn(path, "/");
    len = strlen(path);
    while (len && path[len - 1] == '/')
        len--;
    if (len == 0)
        return mem_strdup("");
    root = mem_alloc(len + 2);
    root[0] = '/';
    memcpy(root + 1, path, len);
    root[len + 1] = '\0';
    return root;
}

static enum admission_hosts host_rule(const char *listens_on, const struct host_list *l)
{
    struct host h;

    if (!host_list_is_empty(l))
        return ADMISSION_HOSTS_LISTED;
    return host_parse(listens_on, &h) && host_is_loopback(h.name) ? ADMISSION_HOSTS_LOCAL
                                                                  : ADMISSION_HOSTS_ANY;
}

struct policy *policy_new(const struct gateway_config *c, char error[POLICY_ERROR_MAX])
{
    const struct cors_settings listed = {
        .origins = c->cors_origins,
        .methods = c->cors_allow_methods,
        .headers = c->cors_allow_headers,
        .expose = c->cors_expose_headers,
        .allow_credentials = c->cors_allow_credentials,
        .max_age = (int)c->cors_max_age,
    };
    const struct cors_settings every_page = {
        .origins = "*", .methods = "GET", .headers = "", .expose = "", .max_age = 600};
    struct policy *p = mem_zalloc(sizeof *p);

    p->references = 1;
    p->cors = cors_policy_new(&listed, error);
    if (p->cors)
        p->open_cors = cors_policy_new(&every_page, error);
    if (p->open_cors)
        p->trust = forwarded_trust_new("FORWARDED_ALLOW_IPS",
                                       c->proxy_headers ? c->forwarded_allow_ips : "", error);
    if (p->trust)
        p->hosts = host_list_new("ALLOWED_HOSTS", c->allowed_hosts, error);
    if (!p->hosts) {
        policy_drop(p);
        return NULL;
    }
    p->token = mem_strdup(c->websocket_token);
    p->status_token = mem_strdup(c->status_token);
    p->locks_token = mem_strdup(c->locks_token);
    p->publish_token = mem_strdup(c->publish_token);
    p->publish_feed = mem_strdup(c->publish_feed);
    p->admin_token = mem_strdup(c->admin_token);
    p->root_path = normal_root(c->root_path);
    p->is_explaining = c->websocket_explain;
    p->has_access_log = c->access_log;
    p->max_connections = (int)c->websocket_max_connections;
    p->query_rate = (uint32_t)c->http_query_rate;
    p->query_rate_total = (uint32_t)c->http_query_rate_total;
    p->admission = (struct admission_policy){
        .host_rule = host_rule(c->host, p->hosts),
        .hosts = p->hosts,
        .origins = cors_policy_origins(p->cors),
        .is_enabled = c->websocket_enabled,
        .token = p->token,
    };
    return p;
}

struct policy *policy_hold(struct policy *p)
{
    __atomic_add_fetch(&p->references, 1, __ATOMIC_RELAXED);
    return p;
}

void policy_drop(struct policy *p)
{
    if (!p || __atomic_sub_fetch(&p->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    cors_policy_free(p->cors);
    cors_policy_free(p->open_cors);
    forwarded_trust_free(p->trust);
    host_list_free(p->hosts);
    free(p->token);
    free(p->status_token);
    free(p->locks_token);
    free(p->publish_token);
    free(p->publish_feed);
    free(p->admin_token);
    free(p->root_path);
    free(p);
}
