#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/www.h"

static bool has(struct span text, const char *word)
{
    return memmem(text.at, text.len, word, strlen(word)) != NULL;
}

static void the_page_runs_only_what_we_serve(void **state)
{
    struct span page = www_file(WWW_PAGE).content,
                script = www_file(WWW_SCRIPT).content;

    (void)state;
    assert_true(has(page, "<!doctype html>"));
    assert_true(has(page, "board.js") && has(page, "board.css"));
    assert_false(has(page, "<style") || has(page, " style=") || has(page, "://"));
    assert_false(has(script, "innerHTML") || has(script, "eval("));
    assert_non_null(strstr(www_headers, "default-src 'none'"));
    assert_null(strstr(www_headers, "unsafe"));
}

static void a_file_is_fresh_only_by_its_own_tag(void **state)
{
    struct www_file page = www_file(WWW_PAGE), script = www_file(WWW_SCRIPT);

    (void)state;
    assert_true(www_is_fresh(&page, page.tag));
    assert_false(www_is_fresh(&page, script.tag));
    assert_false(www_is_fresh(&page, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_runs_only_what_we_serve),
        cmocka_unit_test(a_file_is_fresh_only_by_its_own_tag),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
