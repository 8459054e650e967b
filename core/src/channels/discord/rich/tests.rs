//! Tests of Markdown and links in Discord's rich form.

use super::*;

#[test]
fn links_that_discord_would_refuse_are_known() {
    for (link, embeddable) in [
        ("https://grafana.example.com/d/1?a=b", true),
        ("http://db1.local:3000/", true),
        ("http://127.0.0.1:3000/", true),
        ("https://xn--bcher-kva.xn--p1ai/", true),
        ("http://grafana:3000/", false),
        ("http://localhost/", false),
        ("http://grafana./", false),
        ("http://*a*.example.com/", false),
        ("http://[::1]:3000/", false),
        ("http://user:password@grafana.example.com/", false),
    ] {
        assert_eq!(is_embeddable(link), embeddable, "{link}");
    }
}

#[test]
fn a_backslash_stands_before_what_markdown_would_take_for_its_own_and_before_nothing_else() {
    for (text, escaped) in [
        ("db1", "db1"),
        (
            "*b* _i_ ~~s~~ `c` ||x||",
            r"\*b\* \_i\_ \~\~s\~\~ \`c\` \|\|x\|\|",
        ),
        (
            "@everyone <@1> <#2> <t:3>",
            r"\@everyone \<\@1> \<#2> \<t:3>",
        ),
        ("[a](https://b)", r"\[a](https\://b)"),
        (r"C:\db", r"C:\\db"),
        ("# h\n> q\n  - l\n-# s", "\\# h\n\\> q\n  \\- l\n\\-# s"),
        ("a # b > c - d 1. e", "a # b > c - d 1. e"),
        ("1. a\n10. b\n1.5", "1\\. a\n10\\. b\n1.5"),
        ("-5 %, +3", "-5 %, +3"),
        (
            "at 12:30, then 12:30:45 :fire:",
            r"at 12:30, then 12\:30:45 \:fire:",
        ),
    ] {
        assert_eq!(escape(text), escaped);
    }
}
