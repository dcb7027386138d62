/* gateway/www/openapi.json is kept by hand; here it is held against the very tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <yajl/yajl_tree.h>

#include "gateway/routes/route.c" /* its table is its own */
#include "shared/base/version.h"

#define FILES "/www/" /* what pages load is one path of the document */

static yajl_val document;

static int read_document(void **state)
{
    char error[200];
    struct www_file f;
    struct buf text = {0};

    (void)state;
    if (!www_find("/openapi.json", &f))
        return -1;
    buf_add(&text, f.plain.at, f.plain.len);
    document = yajl_tree_parse(buf_text(&text), error, sizeof error);
    buf_free(&text);
    if (!document)
        print_error("openapi.json: %s\n", error);
    return document ? 0 : -1;
}

static int free_document(void **state)
{
    (void)state;
    yajl_tree_free(document);
    return 0;
}

static yajl_val member(yajl_val object, const char *name)
{
    const char *path[] = {name, NULL};

    return object ? yajl_tree_get(object, path, yajl_t_any) : NULL;
}

/* "/a/{name}/b" is "/a/{}/b". */
static void without_names(char *path)
{
    char *to = path;
    bool is_name = false;

    for (const char *from = path; *from; from++) {
        is_name = is_name && *from != '}';
        if (!is_name)
            *to++ = *from;
        is_name = is_name || *from == '{';
    }
    *to = '\0';
}

static yajl_val described(const char *wanted)
{
    yajl_val paths = member(document, "paths");

    assert_non_null(paths);
    for (size_t i = 0; i < paths->u.object.len; i++) {
        char path[100];

        snprintf(path, sizeof path, "%s", paths->u.object.keys[i]);
        without_names(path);
        if (strcmp(path, wanted) == 0)
            return paths->u.object.values[i];
    }
    print_error("openapi.json does not describe %s\n", wanted);
    return NULL;
}

static void path_of(const struct route *t, char path[100])
{
    snprintf(path, 100, "%s%s%s", t->path, t->has_more ? "/{}" : "", t->tail ? t->tail : "");
}

static void every_route_is_described_with_its_methods(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        char path[100];
        yajl_val item;

        path_of(&routes[i], path);
        item = described(path);
        assert_non_null(item);
        assert_non_null(member(item, "get"));
        assert_true(!member(item, "put") == !routes[i].put);
        assert_true(!member(item, "delete") == !routes[i].del);
        assert_true(!member(item, "post") == !routes[i].post);
    }
}

static bool is_loaded_by_pages(const char *path)
{
    return strncmp(path, FILES, sizeof FILES - 1) == 0;
}

static const char *text_of(yajl_val value)
{
    assert_true(YAJL_IS_STRING(value));
    return value->u.string;
}

/* A component, if the node only refers to one. */
static yajl_val referred(yajl_val node, const char *kind)
{
    yajl_val ref = member(node, "$ref");
    const char *path[] = {"components", kind, NULL, NULL};

    if (!ref)
        return node;
    path[2] = strrchr(text_of(ref), '/') + 1;
    return yajl_tree_get(document, path, yajl_t_object);
}

/* The name of a parameter of the query; "" if it is one of the path. */
static const char *query_name(yajl_val parameter)
{
    parameter = referred(parameter, "parameters");
    return strcmp(text_of(member(parameter, "in")), "query") == 0
               ? text_of(member(parameter, "name"))
               : "";
}

static void check_parameters(yajl_val item, const char *method, const char *known)
{
    yajl_val list = member(member(item, method), "parameters");
    struct buf query = {0};
    struct query_fault fault;
    size_t count = 0, wanted = known && *known ? 1 : 0;

    for (const char *c = known; c && *c; c++)
        wanted += *c == ',';
    for (size_t i = 0; list && i < list->u.array.len; i++) {
        const char *name = query_name(list->u.array.values[i]);

        count += *name != '\0';
        buf_printf(&query, "&%s", name);
    }
    if (!query_check(buf_text(&query), known ? known : "", &fault))
        fail_msg("%s: %s", method, fault.message);
    assert_int_equal(count, wanted);
    buf_free(&query);
}

static void every_parameter_is_described_and_no_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        char path[100];
        yajl_val item;

        path_of(&routes[i], path);
        item = described(path);
        check_parameters(item, "get", routes[i].query);
        check_parameters(item, "put", routes[i].put_query);
        check_parameters(item, "delete", routes[i].del_query);
        check_parameters(item, "post", routes[i].post_query);
    }
}

static void every_file_is_described(void **state)
{
    struct www_file f;

    (void)state;
    for (size_t i = 0; www_at(i, &f); i++)
        assert_non_null(described(is_loaded_by_pages(f.path) ? FILES "{}" : f.path));
}

static bool is_served(const char *wanted)
{
    struct www_file f;

    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        char path[100];

        path_of(&routes[i], path);
        if (strcmp(path, wanted) == 0)
            return true;
    }
    return strcmp(wanted, FILES "{}") == 0 || www_find(wanted, &f);
}

static void nothing_else_is_described(void **state)
{
    yajl_val paths = member(document, "paths");

    (void)state;
    for (size_t i = 0; i < paths->u.object.len; i++) {
        char path[100];

        snprintf(path, sizeof path, "%s", paths->u.object.keys[i]);
        without_names(path);
        if (!is_served(path))
            fail_msg("openapi.json describes %s, which there is not", path);
    }
}

static bool lists(yajl_val codes, const char *code)
{
    for (size_t i = 0; codes && i < codes->u.array.len; i++)
        if (YAJL_IS_STRING(codes->u.array.values[i]) &&
            strcmp(codes->u.array.values[i]->u.string, code) == 0)
            return true;
    return false;
}

static void every_rule_of_admission_is_an_answer_of_the_stream(void **state)
{
    static const char *const codes[] = {"content", "application/json", "schema", "properties",
                                        "error",   "properties",       "code",   "enum",
                                        NULL};
    yajl_val stream = member(described(STREAM), "get"),
             closes = member(member(stream, "x-stream"), "closeCodes");

    (void)state;
    assert_non_null(closes);
    for (int i = ADMISSION_ADMITTED + 1; i < ADMISSION_RULE_END; i++) {
        enum admission_rule rule = (enum admission_rule)i;
        char status[12], close[12];
        yajl_val answer;

        snprintf(status, sizeof status, "%d", admission_status(rule));
        snprintf(close, sizeof close, "%d", admission_close(rule));
        answer = referred(member(member(stream, "responses"), status), "responses");
        if (!answer ||
            !lists(yajl_tree_get(answer, (const char **)codes, yajl_t_array), admission_code(rule)))
            fail_msg("the stream's answer %s does not say %s", status, admission_code(rule));
        if (!member(closes, close) != !admission_is_explainable(rule))
            fail_msg("x-stream.closeCodes and %s do not agree", close);
    }
}

static void the_library_is_of_this_version(void **state)
{
    yajl_val version = member(member(document, "info"), "version");

    (void)state;
    assert_true(YAJL_IS_STRING(version));
    assert_string_equal(version->u.string, PREGON_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_described_with_its_methods),
        cmocka_unit_test(every_parameter_is_described_and_no_other),
        cmocka_unit_test(every_file_is_described),
        cmocka_unit_test(nothing_else_is_described),
        cmocka_unit_test(every_rule_of_admission_is_an_answer_of_the_stream),
        cmocka_unit_test(the_library_is_of_this_version),
    };

    return cmocka_run_group_tests(tests, read_document, free_document);
}
