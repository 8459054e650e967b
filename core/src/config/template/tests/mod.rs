mod compare;
mod group;
mod limits;

use std::collections::BTreeMap;

use super::*;
use crate::api::request;
use crate::config::big_stack;
use crate::model::read_options::ReadOptions;

const SOURCE_PLACE: FilePosition = FilePosition { line: 1, column: 1 };

fn notification() -> Notification {
    let mut notification = Notification::plain(Json::String("cpu at 97 %".to_owned()));
    notification.level = Some(Level::Critical);
    notification.fields = vec![("host".to_owned(), Json::String("db1".to_owned()))];
    notification
}

fn template(source: &str) -> (Templates, Option<Template>, Vec<Finding>) {
    let mut templates = Templates::default();
    let (template, findings) = big_stack::run(|| templates.add(source, SOURCE_PLACE)).unwrap();
    (templates, template, findings)
}

fn render(source: &str) -> Result<String, Problem> {
    let (templates, template, findings) = template(source);
    let template = template.unwrap_or_else(|| panic!("{source}: {findings:?}"));
    let data = Json::Object(vec![("n".to_owned(), Json::Number("3".to_owned()))]);
    let now = "2026-11-25T02:46:12Z".parse().unwrap();
    let seen = TemplateContext::new(&notification(), Some(&data), now);
    Renderer::new(&templates).render(&template, &seen)
}

#[test]
fn a_template_sees_the_notification_and_the_data() {
    for (source, expected) in [
        ("{{ notification.text }}", "cpu at 97 %"),
        (
            "{{ notification.level | upper }} on {{ notification.fields.host }}",
            "CRITICAL on db1",
        ),
        ("{% if data.n > 2 %}many{% endif %}", "many"),
        ("{{ notification.title }}|{{ data.nothing }}", "|"),
        (
            "{{ {'a': notification.text} | tojson }}",
            r#"{"a":"cpu at 97 %"}"#,
        ),
        ("<b>{{ notification.text }}</b>", "<b>cpu at 97 %</b>"),
        (
            "{% macro at(host) %}on {{ host }}{% endmacro %}{{ at(notification.fields.host) }}",
            "on db1",
        ),
    ] {
        assert_eq!(render(source).as_deref(), Ok(expected), "{source}");
    }
}

/// Without limits, this template builds 2 to the 40th bytes.
const DOUBLED: &str = "{% set a = 'xxxxxxxx' ~ 'xxxxxxxx' %}{% set a = a ~ a ~ a ~ a ~ a ~ a ~ a ~ a %}\
    {% set a = a ~ a ~ a ~ a ~ a ~ a ~ a ~ a %}{% set a = a ~ a ~ a ~ a ~ a ~ a ~ a ~ a %}\
    {% set a = a ~ a ~ a ~ a ~ a ~ a ~ a ~ a %}{% set a = a ~ a ~ a ~ a ~ a ~ a ~ a ~ a %}\
    {% set a = a ~ a ~ a ~ a ~ a ~ a ~ a ~ a %}{% set a = a ~ a ~ a ~ a ~ a ~ a ~ a ~ a %}\
    {% set a = a ~ a ~ a ~ a ~ a ~ a ~ a ~ a %}{% set a = a ~ a ~ a ~ a ~ a ~ a ~ a ~ a %}";

#[test]
fn limit_and_runtime_errors_name_their_line() {
    for (source, line, message) in [
        (
            "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}",
            1,
            "takes too long",
        ),
        ("\n\n{{ 'x' * 90000000 }}", 3, "makes too much"),
        (DOUBLED, 1, "makes too much"),
        ("é{{ range(1000000000) | list }}", 1, "it makes too much"),
        ("{{ '%999999999d' | format(1) }}", 1, "makes too much"),
        ("{{ 's' | indent(999999999) }}", 1, "makes too much"),
        (
            "{{ data.n | truncate(5, end='x' * 99999999) }}",
            1,
            "makes too much",
        ),
        (
            "{% macro a() %}\n{{ a() }}{% endmacro %}{{ a() }}",
            2,
            "calls itself too often",
        ),
        (
            "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
            1,
            "calls itself too often",
        ),
        ("\n{{ data.a.b }}", 2, "value that is not there"),
        ("{{ 'a' + 1 }}", 1, "cannot be calculated with"),
        ("{{ 'x' | number }}", 1, "this filter takes a number"),
        ("{{ 'x' | time }}", 1, "this filter takes a time"),
        ("{{ 0 | time('%Y', 'Mars/Base') }}", 1, "no such time zone"),
        ("{{ 0 | time('%999999999Y') }}", 1, "the format is too long"),
        ("{% for a in 5 %}{% endfor %}", 1, "only lists and objects"),
    ] {
        let error = render(source).unwrap_err();
        let of_line = format!("line {line} of the template: ");
        assert_eq!(
            error.message.contains(&of_line),
            line > 1,
            "{source}: {error}"
        );
        assert!(error.message.contains(message), "{source}: {error}");
        assert_eq!(
            error.location.position,
            Some(SOURCE_PLACE),
            "{source}: {error}"
        );
    }
}

#[test]
fn errors_are_found_at_load() {
    for (source, line, message) in [
        ("a\n{{ x", 2, "this {{ is not closed"),
        ("{% for %}", 1, "`in` is expected here"),
        ("{% if x %}a", 1, "the {% end… %} tag that belongs to it"),
        ("{% endif %}", 1, "nothing is open"),
        ("{{ 'abc }}", 1, "a string is not closed"),
        ("{% include 'x' %}", 1, "cannot include others"),
        (
            "{% if data.x %}{{ 1 | uper }}{% endif %}",
            1,
            "there is no filter uper; did you mean upper?",
        ),
        (
            "{{ 1 is evn }}",
            1,
            "there is no test evn; did you mean even?",
        ),
        (
            "{{ rnage(3) }}",
            1,
            "there is no function rnage; did you mean range?",
        ),
        ("{{ data.x.upper() }}", 1, "write it as a filter, | upper"),
        (
            "{{ (((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((",
            1,
            "nests too deep",
        ),
    ] {
        let (_, template, findings) = template(source);
        assert!(template.is_none(), "{source}");
        let [finding] = &findings[..] else {
            panic!("{source}: {findings:?}")
        };
        assert!(
            finding.is_error && finding.message.contains(message),
            "{source}: {finding:?}"
        );
        assert_eq!(finding.line, line, "{source}: {finding:?}");
    }
    let (_, none, _) = template(&" ".repeat(MAX_SOURCE_BYTES + 1));
    assert!(none.is_none());
}

#[test]
fn an_undefined_variable_gives_a_warning() {
    for (source, line, message) in [
        (
            "{{ notification.tilte }}",
            1,
            "did you mean notification.title?",
        ),
        ("x\n{{ notificaton.text }}", 2, "did you mean notification?"),
        ("{{ host }}", 1, "a template sees notification and data"),
        (
            "{{ notification.receiver_zone }}",
            1,
            "there are text, title",
        ),
    ] {
        let (_, template, findings) = template(source);
        assert!(template.is_some(), "{source}: {findings:?}");
        let [finding] = &findings[..] else {
            panic!("{source}: {findings:?}")
        };
        assert!(
            !finding.is_error && finding.message.contains(message),
            "{finding:?}"
        );
        assert_eq!(finding.line, line, "{source}");
    }
    for source in [
        "{% set host = 1 %}{{ host }}{{ range(2) | join }}{{ now() }}",
        "{% for a in data.list %}{{ loop.index }}{{ a.b }}{% endfor %}",
        "{% macro f(x) %}{{ x }}{% endmacro %}{{ f(1) }}{{ notification.fields.tilte }}",
        "{% set ns = namespace(n=0) %}{{ loop }}{{ dict(a=1).a }}",
    ] {
        let findings = template(source).2;
        let findings: Vec<_> = findings
            .iter()
            .filter(|f| !f.message.contains("loop"))
            .collect();
        assert_eq!(findings, [] as [&Finding; 0], "{source}");
    }
}

/// Each template nests thousands of levels, more than the usual stack allows.
#[test]
fn deep_nesting_ends_with_a_text_or_an_error() {
    let sources = [
        format!("{{{{ {}1 }}}}", "not ".repeat(15_000)),
        format!("{{{{ {}1 }}}}", "-".repeat(60_000)),
        format!("{{{{ 1{} }}}}", "+1".repeat(30_000)),
        format!("{{{{ data{} }}}}", "[0]".repeat(20_000)),
        format!("{{{{ data{} }}}}", "|e".repeat(30_000)),
        format!("{{% if data %}}{}{{% endif %}}", "{% elif 1 %}".repeat(5_000)),
        format!("{{% set a=[] %}}{}{{{{ a | tojson | length }}}}", "{% set a=[[[[a]]]] %}".repeat(3_000)),
        format!("{{% set a=[] %}}{}{{{{ a == [a] }}}}", "{% set a=[a] %}".repeat(4_000)),
        "{% set s = namespace(x=[]) %}{% for i in range(9000) %}{% set s.x = [s.x] %}{% endfor %}{{ s.x | tojson | length }}"
            .to_owned(),
    ];
    for source in sources {
        let (templates, template, findings) = template(&source);
        let Some(template) = template else {
            assert!(!findings.is_empty());
            continue;
        };
        let seen = TemplateContext::new(&notification(), None, Timestamp::UNIX_EPOCH);
        let _ = Renderer::new(&templates).render(&template, &seen);
    }
}

#[test]
fn shallow_templates_need_no_big_stack() {
    let shallow = [
        "{{ notification.level | upper }}: {{ notification.text }}".to_owned(),
        "{% for name, value in notification.fields | items %}{{ name }}{% endfor %}".to_owned(),
        "{% set a = 0 %}{% for i in range(3) %}{% set a = a + i %}{% endfor %}{{ loop }}"
            .to_owned(),
        format!(
            "{{% set a=[] %}}{}{{{{ a | tojson }}}}",
            "{% set a=[[a]] %}".repeat(60)
        ),
        format!("{{{{ [1]{} | tojson }}}}", " | batch(1)".repeat(120)),
        format!("{{{{ [1]{} | list }}}}", " | map('string')".repeat(95)),
        format!("{{{{ [1]{} | list }}}}", " | chain([1])".repeat(70)),
    ];
    let deep = [
        "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
        "{% set s = namespace(x=1) %}",
        "{% set s = dict(x=1) %}{% set s.x = 2 %}",
    ];
    for source in deep {
        assert!(!template(source).1.unwrap().shallow, "{source}");
    }
    assert!(!template(&"{{ 1 }}".repeat(301)).1.unwrap().shallow);
    for source in shallow {
        let (templates, template, findings) = template(&source);
        let template = template.unwrap_or_else(|| panic!("{findings:?}"));
        assert!(template.shallow, "{source}");
        let seen = TemplateContext::new(&notification(), None, Timestamp::UNIX_EPOCH);
        let small = std::thread::Builder::new().stack_size(1024 * 1024);
        let render = move || Renderer::new(&templates).render(&template, &seen);
        small.spawn(render).unwrap().join().unwrap().unwrap();
    }
}

#[test]
fn the_templates_of_one_request_may_take_so_much_together() {
    let mut templates = Templates::default();
    let looped = |n: usize| {
        format!(
            "{{% for i in range(9999) %}}{{% for j in range(999) %}}{n}{{% endfor %}}{{% endfor %}}"
        )
    };
    let seen = TemplateContext::new(&notification(), None, Timestamp::UNIX_EPOCH);
    let rendered: Vec<_> = (0..20)
        .map(|n| templates.add(&looped(n), SOURCE_PLACE).0.unwrap())
        .collect();
    let mut renderer = Renderer::new(&templates);
    let errors: Vec<_> = rendered
        .iter()
        .map(|template| renderer.render(template, &seen).unwrap_err().message)
        .collect();
    let refused = errors
        .iter()
        .filter(|message| message.contains("already"))
        .count();
    // Because of the fuel limit, or of the time limit on a busy machine.
    assert!((10..20).contains(&refused), "{errors:?}");
    // A new request has new limits.
    let error = Renderer::new(&templates)
        .render(&rendered[0], &seen)
        .unwrap_err();
    assert!(error.message.contains("takes too long"), "{error}");
}

#[test]
fn equal_templates_are_kept_once() {
    let mut templates = Templates::default();
    let mut add = |source| templates.add(source, SOURCE_PLACE).0.unwrap();
    let (a, b, c) = (add("{{ 1 }}"), add("{{ 2 }}"), add("{{ 1 }}"));
    assert_eq!(a.id(), c.id());
    assert_ne!(a.id(), b.id());
    assert_eq!(format!("{templates:?}"), "2 templates");
}

#[test]
fn every_documented_example_renders_its_documented_result() {
    let request =
        request::read(SAMPLE.as_bytes(), &BTreeMap::new(), &ReadOptions::default()).unwrap();
    assert_eq!(request.warnings.into_lines(), [] as [&str; 0]);
    let now = SAMPLE_TIME.parse().unwrap();
    let seen = TemplateContext::new(&request.notification, request.data.as_deref(), now);
    for helper in FILTERS.iter().chain(FUNCTIONS) {
        assert!(helper.example.contains(helper.name), "{helper:?}");
        assert!(
            helper.description.is_empty() || helper.description.ends_with('.'),
            "{helper:?}"
        );
        let (templates, template, findings) = template(helper.example);
        assert_eq!(findings, [], "{helper:?}");
        let rendered = Renderer::new(&templates).render(&template.unwrap(), &seen);
        assert_eq!(rendered.as_deref(), Ok(helper.result), "{}", helper.example);
    }
}

#[test]
fn filters_of_alerts_at_their_edges() {
    for (source, expected) in [
        ("{{ 0 | duration }}", "0 s"),
        ("{{ 0.0000005 | duration }}", "0.5 µs"),
        ("{{ 0.25 | duration }}", "250 ms"),
        ("{{ 0.99996 | duration }}", "1 s"),
        ("{{ 3.25 | duration }}", "3.2 s"),
        ("{{ 59.96 | duration }}", "1 min"),
        ("{{ 60 | duration }}", "1 min"),
        ("{{ 3599.6 | duration }}", "1 h"),
        ("{{ 86400 | duration }}", "1 d"),
        ("{{ 86399 | duration }}", "23 h 59 min"),
        ("{{ 90061 | duration }}", "1 d 1 h"),
        ("{{ 86460 | duration }}", "1 d"),
        ("{{ -90 | duration }}", "-1 min 30 s"),
        ("{{ 1500000000 | duration('ns') }}", "1.5 s"),
        ("{{ '42' | duration }}", "42 s"),
        ("{{ 1764038460 | time }}", "2025-11-25 02:41 UTC"),
        ("{{ 1764038460000000000 | time }}", "2025-11-25 02:41 UTC"),
        (
            "{{ 1764038460000 | time('%H:%M %Z', 'Asia/Kolkata') }}",
            "08:11 IST",
        ),
        (
            "{{ '2026-07-01T12:00:00+02:00' | time(zone='Europe/Berlin') }}",
            "2026-07-01 12:00 CEST",
        ),
        ("{{ -1 | time }}", "1969-12-31 23:59 UTC"),
        ("{{ 999 | number }}", "999"),
        ("{{ -1000 | number }}", "-1,000"),
        (
            "{{ 170141183460469231731687303715884105727 | number }}",
            "170,141,183,460,469,231,731,687,303,715,884,105,727",
        ),
        ("{{ 1234.5 | number }}", "1,234.5"),
        (
            "{{ '1234.5' | number(2, thousands='.', decimal=',') }}",
            "1.234,50",
        ),
        ("{{ 0.5 | number(0) }}", "0"),
        ("{{ 1.5 | number(decimal=',') }}", "1,5"),
        ("{{ 999 | si }}", "999"),
        ("{{ 999.96 | si }}", "1 k"),
        ("{{ 1000000000000000000000 | si }}", "1000000 P"),
        ("{{ 1023 | bytes }}", "1023 B"),
        ("{{ -2048 | bytes }}", "-2 KiB"),
        ("{{ 1 | percent }}", "100 %"),
        (
            "{{ 'abc' | truncate(3) }}|{{ 'abcd' | truncate(3) }}|{{ 'abcd' | truncate(0) }}",
            "abc|ab…|…",
        ),
        ("{{ '👩‍👩‍👧👩‍👩‍👧' | truncate(6, end='') }}", "👩‍👩‍👧"),
        (
            "{{ {'a': [1, 1.5, none, true, 'é\"']} | tojson }}",
            r#"{"a":[1,1.5,null,true,"é\""]}"#,
        ),
    ] {
        assert_eq!(render(source).as_deref(), Ok(expected), "{source}");
    }
}
