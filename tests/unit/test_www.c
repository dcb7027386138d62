#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/www.h"

static void the_page_allows_its_own_script_and_style_and_no_other(void **state)
{
    struct span page = www_page();
    struct buf b = {0};
    const char *script, *style;

    (void)state;
    assert_non_null(memmem(page.at, page.len, "<!doctype html>", 15));
    assert_null(memmem(page.at, page.len, "innerHTML", 9));
    assert_null(memmem(page.at, page.len, " style=", 7));
    www_headers(&b);
    script = strstr(buf_text(&b), "script-src 'sha256-");
    style = strstr(buf_text(&b), "style-src 'sha256-");
    assert_true(script && style);
    assert_null(strstr(buf_text(&b), "unsafe"));
    buf_free(&b);
}

static void the_page_is_fresh_only_by_its_own_tag(void **state)
{
    struct buf b = {0};
    char *tag;

    (void)state;
    www_headers(&b);
    tag = strstr(buf_text(&b), "ETag: ") + 6;
    *strchr(tag, '\r') = '\0';
    assert_true(www_is_fresh(tag));
    assert_false(www_is_fresh("\"other\""));
    assert_false(www_is_fresh(NULL));
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_allows_its_own_script_and_style_and_no_other),
        cmocka_unit_test(the_page_is_fresh_only_by_its_own_tag),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
