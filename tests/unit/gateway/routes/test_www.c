#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/routes/www.h"

static bool has(struct span text, const char *word)
{
    return memmem(text.at, text.len, word, strlen(word)) != NULL;
}

static void pages_run_only_what_we_serve(void **state)
{
    struct www_file f;

    (void)state;
    for (size_t i = 0; www_at(i, &f); i++) {
        if (!f.is_page)
            continue;
        assert_true(has(f.plain, "<!doctype html>"));
        assert_false(has(f.plain, "<style") || has(f.plain, " style="));
        assert_false(has(f.plain, "src=\"http") || has(f.plain, "src=\"/"));
        assert_false(has(f.plain, "<script>") || has(f.plain, "onclick="));
    }
    assert_non_null(strstr(www_headers, "default-src 'none'"));
    assert_null(strstr(www_headers, "unsafe"));
}

static void our_scripts_make_no_markup_of_text(void **state)
{
    struct www_file f;

    (void)state;
    for (size_t i = 0; www_at(i, &f); i++)
        if (strstr(f.type, "javascript") && !strstr(f.path, "lightweight"))
            assert_false(has(f.plain, "innerHTML") || has(f.plain, "eval("));
}

static void every_file_is_found_by_its_path_and_has_a_type(void **state)
{
    struct www_file f, found;

    (void)state;
    for (size_t i = 0; www_at(i, &f); i++) {
        assert_true(www_find(f.path, &found));
        assert_ptr_equal(found.plain.at, f.plain.at);
        assert_string_not_equal(f.type, "application/octet-stream");
        assert_true(f.plain.len && f.packed.len);
        assert_memory_equal(f.packed.at, "\x1f\x8b", 2);
    }
    assert_true(www_find("/", &f) && f.is_page);
    assert_true(www_find("/www/board.js/", &f) && !f.is_page);
    assert_false(www_find("/www/board", &f) || www_find("/www", &f) || www_find("", &f));
}

static void a_file_is_fresh_only_by_its_own_tag(void **state)
{
    struct www_file page, script;
    struct www_tag tag;

    (void)state;
    assert_true(www_find("/", &page) && www_find("/www/board.js", &script));
    tag = www_tag(page.plain);
    assert_true(www_is_fresh(tag, tag.text));
    assert_false(www_is_fresh(tag, www_tag(script.plain).text));
    assert_false(www_is_fresh(tag, www_tag(page.packed).text));
    assert_false(www_is_fresh(tag, NULL));
}

static void a_packed_file_is_sent_only_to_clients_that_accept_gzip(void **state)
{
    (void)state;
    assert_true(www_takes_gzip("gzip"));
    assert_true(www_takes_gzip("deflate, GZIP ; q=0.5, br"));
    assert_false(www_takes_gzip("gzip;q=0"));
    assert_false(www_takes_gzip("gzip ; q=0.00, br"));
    assert_false(www_takes_gzip("identity"));
    assert_false(www_takes_gzip(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_run_only_what_we_serve),
        cmocka_unit_test(our_scripts_make_no_markup_of_text),
        cmocka_unit_test(every_file_is_found_by_its_path_and_has_a_type),
        cmocka_unit_test(a_file_is_fresh_only_by_its_own_tag),
        cmocka_unit_test(a_packed_file_is_sent_only_to_clients_that_accept_gzip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
