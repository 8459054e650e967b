//! Tests the warnings of comparisons of texts with numbers, both on loading and on rendering.

use super::*;

/// Renders a template with a field `cpu`. Returns the result and the warnings.
fn compare(source: &str, cpu: Option<Json>) -> (Result<String, String>, Vec<String>) {
    let (templates, template, findings) = template(source);
    let template = template.unwrap_or_else(|| panic!("{source}: {findings:?}"));
    let mut notification = notification();
    let field = cpu.map(|cpu| ("cpu".to_owned(), cpu));
    notification.fields.extend(field);
    let data = Json::Object(vec![("limit".to_owned(), Json::String("90".to_owned()))]);
    let now = "2026-11-25T02:46:12Z".parse().unwrap();
    let mut renderer = Renderer::new(&templates);
    let rendered = renderer.render(
        &template,
        &TemplateContext::new(&notification, Some(&data), now),
    );
    let warnings = renderer.take_warnings().into_iter();
    let warnings = warnings.map(|warning| warning.message);
    (rendered.map_err(|error| error.message), warnings.collect())
}

fn text(text: &str) -> Option<Json> {
    Some(Json::String(text.to_owned()))
}

fn number(text: &str) -> Option<Json> {
    Some(Json::Number(text.to_owned()))
}

#[test]
fn a_field_as_it_came_and_a_number_are_warned_of_when_the_template_is_read() {
    for (expression, is_doubtful) in [
        ("notification.fields.cpu > 90", true),
        ("notification.fields.cpu >= 90.5", true),
        ("notification.fields.cpu < -90", true),
        ("notification.fields['cpu'] <= 0", true),
        ("90 < notification.fields.cpu", true),
        ("notification.fields.cpu == 500", true),
        ("notification.fields.cpu != 500", true),
        ("notification.fields.cpu is gt 90", true),
        ("0 < notification.fields.cpu < 90", true),
        (
            "notification.level == 'ok' and notification.fields.cpu > 90",
            true,
        ),
        ("notification.fields.cpu | float > 90", false),
        ("notification.fields.cpu | float(0) > 90", false),
        ("notification.fields.cpu | int > 90", false),
        ("(notification.fields.cpu | float) > 90", false),
        ("90 < notification.fields.cpu | float", false),
        (
            "notification.fields.cpu is number and notification.fields.cpu > 90",
            false,
        ),
        ("notification.fields.cpu > '90'", false),
        ("notification.fields.host == 'db1'", false),
        ("notification.fields | length > 3", false),
        ("notification.fields.cpu is gt '90'", false),
        ("90 > 80", false),
    ] {
        let (_, template, findings) = template(&format!("{{% if {expression} %}}x{{% endif %}}"));
        assert!(template.is_some());
        assert_eq!(
            findings.len(),
            usize::from(is_doubtful),
            "{expression}: {findings:?}"
        );
        if let Some(finding) = findings.first() {
            assert!(!finding.is_error);
            assert_eq!(
                finding.message,
                "notification.fields.cpu may be a text, and a text is always more than a number; write \
                 notification.fields.cpu | float"
            );
        }
    }
}

#[test]
fn a_doubtful_comparison_gives_a_warning_when_evaluated() {
    const TEXT: &str =
        "a text is compared with a number, and a text is always more; write | float behind it";
    const EQUAL: &str =
        "a text is compared with a number, and they are never equal; write | float behind it";
    const BOTH: &str =
        "two numbers are compared as texts, by their characters; write | float behind both";
    let above = "{% if notification.fields.cpu > 90 %}yes{% else %}no{% endif %}";
    for (source, cpu, rendered, warning) in [
        (above, number("95"), "yes", None),
        (above, number("5"), "no", None),
        (above, number("0"), "no", None),
        (above, None, "no", None),
        (above, Some(Json::Bool(true)), "no", None),
        (above, text("5"), "yes", Some(TEXT)),
        (above, text(""), "yes", Some(TEXT)),
        (above, text("abc"), "yes", Some(TEXT)),
        (
            "{{ 90 < notification.fields.cpu }}",
            text("5"),
            "True",
            Some(TEXT),
        ),
        (
            "{{ 0 < notification.fields.cpu < 90 }}",
            text("5"),
            "False",
            Some(TEXT),
        ),
        (
            "{{ notification.fields.cpu == 5 }}",
            text("5"),
            "False",
            Some(EQUAL),
        ),
        (
            "{{ notification.fields.cpu == 5 }}",
            text("abc"),
            "False",
            None,
        ),
        (
            "{{ notification.fields.cpu != 5 }}",
            text("5.0"),
            "True",
            Some(EQUAL),
        ),
        (
            "{{ notification.fields.cpu == 5 }}",
            number("5.0"),
            "True",
            None,
        ),
        (
            "{{ notification.fields.cpu < data.limit }}",
            text("100"),
            "True",
            Some(BOTH),
        ),
        (
            "{{ notification.fields.cpu < data.limit }}",
            text("db"),
            "False",
            None,
        ),
        (
            "{{ notification.fields.cpu == data.limit }}",
            text("90"),
            "True",
            None,
        ),
        (
            "{{ notification.fields.cpu | float < data.limit | float }}",
            text("100"),
            "False",
            None,
        ),
        (
            "{{ notification.fields.cpu | float > 90 }}",
            text("95"),
            "True",
            None,
        ),
        (
            "{{ notification.fields.cpu | float > 90 }}",
            None,
            "False",
            None,
        ),
        (
            "{{ notification.fields.cpu | float(0) > 90 }}",
            text("abc"),
            "False",
            None,
        ),
        ("{{ notification.fields.host > 'a' }}", None, "True", None),
        (
            "{% for n in [1, 2] %}{{ notification.fields.cpu > n }} {% endfor %}",
            text("0"),
            "True True ",
            Some(TEXT),
        ),
        (
            "{% macro m(a) %}{{ a > 1 }}{% endmacro %}{{ m(notification.fields.cpu) }}",
            text("0"),
            "True",
            Some(TEXT),
        ),
    ] {
        let (found, warnings) = compare(source, cpu.clone());
        assert_eq!(found.as_deref(), Ok(rendered), "{source} {cpu:?}");
        let whats: Vec<_> = warnings.iter().map(String::as_str).collect();
        assert_eq!(whats, Vec::from_iter(warning), "{source} {cpu:?}");
    }
    let (_, warnings) = compare(&format!("x\n{above}\n{above}"), text("5"));
    assert_eq!(warnings, [format!("line 2 of the template: {TEXT}")]);
    let (rendered, warnings) = compare("{{ notification.fields.cpu | float > 90 }}", text("abc"));
    assert!(rendered.is_err() && warnings.is_empty(), "{rendered:?}");
}
