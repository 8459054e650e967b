use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Statements that put a value into a new one twice.
const DOUBLED: &[&str] = &[
    "{% set a = [a, a] %}",
    "{% set a = (a, a) %}",
    "{% set a = {'x': a, 'y': a} %}",
    "{% set a = {a: 1, [a, 0]: a} %}",
    "{% set a = dict(x=a, y=a) %}",
    "{% set a = [a] * 2 %}",
    "{% set a = [a | list, a | list] %}",
    "{% set a = [a, a] | batch(1) | list %}",
    "{% set a = a | zip(a) %}",
    "{% set a = a + a %}",
    "{% set a = [] + [] %}{% set a = a + a %}",
    "{% set a = a | chain(a) %}",
    "{% set a = [a, a][::-1] %}",
    "{% set a = [a, a] | map('list') %}",
    "{% set a = [a] | chain([a]) | sort | list %}",
];

/// Expressions that visit everything in a value.
const USES: &[&str] = &[
    "{{ a }}",
    "{{ a == b }}",
    "{{ a < b }}",
    "{{ a in [b] }}",
    "{{ a | tojson }}",
    "{{ a | pprint }}",
    "{{ a | string }}",
    "{{ a ~ b }}",
    "{{ a | join }}",
    "{{ [a, b] | sort }}",
    "{{ [a, b] | unique | length }}",
    "{{ [a, b] | min }}",
    "{{ [a, b] | select('eq', b) | length }}",
    "{{ {a: 1}[b] }}",
    "{{ 1 < a <= b }}",
    "{% for x in [a, b] %}{{ loop.changed(a) }}{{ loop.changed(b) }}{% endfor %}",
    "{{ debug() }}",
];

/// Returns templates that build a cyclic value, or a value that is far larger than the template.
fn hostile() -> Vec<String> {
    let grown = |statement: &str, times| format!("{{% set a = [1] %}}{}", statement.repeat(times));
    let mut sources: Vec<_> = DOUBLED
        .iter()
        .map(|statement| grown(statement, 60) + "{{ a }}")
        .collect();
    for use_of_it in USES {
        // Values of the maximum size.
        let a = grown("{% set a = [a, a] %}", 13);
        let b = a.replace('a', "b");
        sources.push(format!("{a}{b}{use_of_it}"));
    }
    let loops = [
        // Growth by loops, macros and recursion instead of by many statements.
        "{% set ns = namespace(a=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns.a }}",
        "{% set ns = namespace(a=[]) %}{% for i in range(9000) %}{% set ns.a = [ns.a] %}{% endfor %}{{ ns.a }}",
        "{% set ns = namespace(a=[]) %}{% for i in range(60) %}{% set ns.a = ns.a + ns.a %}{% endfor %}{{ ns.a | length }}",
        "{% set ns = namespace(a={}) %}{% for i in range(60) %}{% set ns.a = ns.a | chain(ns.a) %}{% endfor %}{{ ns.a.x }}",
        "{% macro m(x) %}{{ m([x, x]) }}{{ x }}{% endmacro %}{{ m([1]) }}",
        "{% for x in [[1]] recursive %}{{ loop([[x, x, loop.previtem]]) }}{{ x }}{% endfor %}",
        "{% for x in [1] recursive %}{{ loop([loop, loop]) }}{{ loop | tojson }}{% endfor %}",
        "{% set ns = namespace(a=[1]) %}{% macro m() %}{% set ns.a = [ns.a, ns.a] %}{{ ns.a }}{% endmacro %}\
         {% for i in range(60) %}{{ m() }}{% endfor %}",
        // Values that contain themselves.
        "{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}",
        "{% set ns = namespace() %}{% set ns.me = [ns] %}{{ ns == ns }}",
        "{% set ns = namespace() %}{% set ns.me = {'a': ns} %}{{ ns | tojson }}",
        "{% set ns = namespace() %}{% set ns.me = dict(a=ns) %}{{ {ns: 1} }}",
        "{% set ns = namespace() %}{% set other = namespace(a=ns) %}{% set ns.a = other %}{{ ns }}",
        "{% set ns = namespace() %}{% set other = namespace({'a': ns}) %}{% set ns.a = other %}{{ ns }}",
        "{% set ns = namespace() %}{% set l = [ns, ns] %}{% set ns.a = [1, 2] %}{{ l }}",
        "{% set ns = namespace() %}{% set ns.a = ns | items %}{{ ns }}",
        "{% set ns = namespace() %}{% set ns.a = ns | default(1) %}{{ ns | string }}",
        "{% set ns = namespace() %}{% macro m() %}{{ ns }}{% endmacro %}{% set ns.m = m %}{% set ns.a, ns.b = ns, ns %}{{ m() }}",
        "{% set ns = namespace() %}{% for x in [1, 2] %}{% set ns.l = loop %}{% endfor %}{{ ns }}",
        "{% set ns = namespace() %}{% for k, v in ns | items %}{{ v }}{% endfor %}{% for x in [1, 2] %}{{ loop.changed(loop) }}{% endfor %}",
        "{% set ns = namespace() %}{% for x in [1, 2] %}{{ loop.changed(ns) }}{{ loop.changed(*[loop]) }}{% endfor %}",
        "{% set ns = namespace() %}{% call(x) ns.m() %}{% endcall %}{{ ns }}",
        // Long work that costs little fuel.
        "{% set a = range(9000) | list %}{% for i in range(9000) %}{% if a == range(9000) | list %}{% endif %}{% endfor %}",
        "{% set a = [range(9000) | list] * 20 %}{% for i in range(9000) %}{% if a in [a, [a] * 2] %}{% endif %}{% endfor %}",
        "{% set a = [range(900) | list] * 50 %}{% for i in a %}{% for j in a %}{{ a | unique | length }}{% endfor %}{% endfor %}",
    ];
    sources.extend(loops.map(str::to_owned));
    sources
}

#[test]
fn a_template_that_builds_too_much_ends_soon_with_a_text_or_an_error() {
    for source in hostile() {
        let (templates, template, _) = template(&source);
        let Some(template) = template else {
            continue;
        };
        let data = Json::Object(vec![]);
        let seen = TemplateContext::new(&notification(), Some(&data), Timestamp::UNIX_EPOCH);
        let started = Instant::now();
        let result = Renderer::new(&templates).render(&template, &seen);
        let took = started.elapsed();
        assert!(took < Duration::from_secs(5), "{source}: {took:?}");
        if let Ok(text) = result {
            assert!(text.len() < 32 * 1024 * 1024, "{source}: {}", text.len());
        }
    }
}

#[test]
fn values_that_are_built_in_steps_are_unchanged() {
    for (source, expected) in [
        (
            "{% set ns = namespace(all=[]) %}{% for i in range(500) %}{% set ns.all = ns.all + [i] %}{% endfor %}\
             {{ ns.all | length }} {{ ns.all | last }} {{ ns.all | sum }}",
            "500 499 124750",
        ),
        (
            "{% set ns = namespace(by={}) %}{% for i in [1, 2] %}{% set ns.by = dict(ns.by, a=i) %}{% endfor %}{{ ns.by }}",
            "{'a': 2}",
        ),
        (
            "{% for a in [1, 2] %}{% set outer = loop %}{% for b in [3] %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}",
            "11 21 ",
        ),
        (
            "{% for g in [{'k': 1, 'v': 2}, {'k': 1, 'v': 3}] | groupby('k') %}\
             {{ g.grouper }}: {{ g.list | map(attribute='v') | join(' ') }}{% endfor %}",
            "1: 2 3",
        ),
        (
            "{{ [1, 2] + [3] }} {{ ([1] * 3)[1:] }} {{ (1, 2) + (3,) }}",
            "[1, 2, 3] [1, 1] (1, 2, 3)",
        ),
        (
            "{{ {'a': 1} | chain({'b': 2}) }} {{ ([1] | chain([2]))[1] }}",
            "{'a': 1, 'b': 2} 2",
        ),
        (
            "{{ [] and [1] or [2] }} {{ [1] if data.n else [2, 2] }}",
            "[2] [1]",
        ),
        (
            "{% for x in [1, 1, 2] %}{{ loop.changed(x, [x]) }} {{ loop.cycle('a', 'b') }} {% endfor %}",
            "True a False b True a ",
        ),
        (
            "{% for x in [[1], [[2], 3]] recursive %}{% if x is sequence %}({{ loop(x) }}){% else %}{{ x }}{% endif %}{% else %}-{% endfor %}",
            "(1)((2)3)",
        ),
        (
            "{% macro m(x, y=[0]) %}{% for i in x + y %}{{ i }}{% if not loop.last %},{% endif %}{% endfor %}{% endmacro %}\
             {{ m([1, 2]) }} {{ m(y=[3], x=[]) }} {{ m(*[[4], [5]]) }}",
            "1,2,0 3 4,5",
        ),
        (
            "{% for i in range(2) %}{% if i == 0 %}{% set a = [i] %}{% elif i %}{{ [i] }}{% endif %}{% endfor %}\
             {% set a %}{{ [1] }}{% endset %}{{ a }}{% filter upper %}{{ ['x'] }}{% endfilter %}{% with b = [2] %}{{ b }}{% endwith %}",
            "[1][1]['X'][2]",
        ),
        (
            "{% set ns = namespace(a=1) %}{% set ns.a, ns.b = [2], 3 %}{{ ns.a }}{{ ns.b }}{{ ns | items | list }}",
            "[2]3[('a', [2]), ('b', 3)]",
        ),
    ] {
        assert_eq!(render(source).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn a_value_cannot_contain_a_mutable_object() {
    for source in [
        "\n{{ 1 }}{% set ns = namespace() %}{% set b = ns %}{% set ns.me = b %}",
        "\n{% set ns = namespace() %}{% set a = {'a': ns} %}",
        "\n{% set ns = namespace() %}{{ namespace(a=ns) }}",
        "\n{% for i in [1] %}{% set l = loop %}{{ loop.changed(l) }}{% endfor %}",
        "\n{% for i in [1] %}{{ [i, loop] }}{% endfor %}",
    ] {
        let error = render(source).unwrap_err();
        assert!(
            error.message.starts_with("line 2 of the template: ")
                && error.message.contains("cannot be put into"),
            "{source}: {error}"
        );
    }
    // If the source shows the error, the template need not render.
    for source in [
        "{% set ns = namespace() %}{% set ns.me = ns %}",
        "{% set ns = namespace() %}{% set other = namespace() %}{% set ns.me = other %}",
        "{% set ns = namespace() %}{% for i in [1] %}{% set ns.l = loop %}{% endfor %}",
    ] {
        let (_, template, findings) = template(source);
        assert!(template.is_none(), "{source}");
        assert!(
            findings[0].message.contains("cannot be put into"),
            "{findings:?}"
        );
    }
    // The two variables share a name but have different values.
    let (_, template, _) = template(
        "{% set ns = namespace() %}{% for n in [1] %}{% set ns.n = n %}{% endfor %}{% set n = namespace() %}",
    );
    assert!(template.is_some());
}

#[test]
fn a_template_that_takes_too_long_ends_with_its_line() {
    // The engine charges each comparison like a comparison of numbers.
    let slow = "{% set a = [range(9000) | list] %}{% set b = [range(9000) | list] %}\n\
        {% for i in range(9000) %}{% if a == b %}{% endif %}{% endfor %}";
    let started = Instant::now();
    let error = render(slow).unwrap_err();
    assert_eq!(
        error.message,
        "line 2 of the template: it takes longer than 100 ms"
    );
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn the_templates_of_one_request_may_take_so_long_together() {
    let slow = "{% set a = [range(9000) | list] %}{% set b = [range(9000) | list] %}\
        {% for i in range(9000) %}{% if a == b %}{% endif %}{% endfor %}";
    let (templates, template, _) = template(slow);
    let template = template.unwrap();
    let seen = TemplateContext::new(&notification(), None, Timestamp::UNIX_EPOCH);
    let mut renderer = Renderer::new(&templates);
    let whats: Vec<_> = (0..12)
        .map(|_| renderer.render(&template, &seen).unwrap_err().message)
        .collect();
    assert!(whats[0].contains("longer than 100 ms"), "{whats:?}");
    assert!(whats[11].contains("too long already"), "{whats:?}");
}

/// Generates a list, an object or another value from the variables.
fn value() -> impl Strategy<Value = [String; 3]> {
    let list = select(vec!["a", "b", "ns.a", "[1]", "range(20)"]);
    let object = select(vec!["c", "ns.c", "{}", "notification.fields"]);
    // Values that make most templates fail occur only once.
    let other = select(vec![
        "ns.b", "ns.b", "ns.b", "data", "'x'", "data.n", "a", "c", "loop", "ns",
    ]);
    let leaf = (list, object, other).prop_map(|(l, o, x)| [l, o, x].map(str::to_owned));
    leaf.prop_recursive(4, 32, 2, |inner| {
        let list = select(vec![
            "[L, M]",
            "[X, Y]",
            "(X, Y)",
            "[O, L]",
            "(L + M)",
            "(L | chain(M))",
            "(L | zip(M))",
            "(L | batch(2))",
            "(L * 2)",
            "L[::-1]",
            "(L | map('string'))",
            "(L | unique)",
            "(L | sort)",
            "(L | reverse)",
            "(O | items)",
            "(L | list)",
            "(L | select)",
            "(O | dictsort)",
            "(L | slice(3))",
        ]);
        let object = select(vec![
            "{'k': X, 'l': L}",
            "{X: 1, L: M}",
            "dict(k=L, l=O)",
            "(O | chain(P))",
            "dict(O)",
        ]);
        let other = select(vec![
            "L",
            "O",
            "(X == Y)",
            "(L < M)",
            "(X in L)",
            "(X ~ L)",
            "(L | length)",
            "(O | tojson)",
            "(X | string)",
            "(L | first)",
            "(L | last)",
            "(L | max)",
            "(O | pprint)",
            "(L | join)",
            "(X if Y else L)",
            "m(L)",
            "namespace(k=L).k",
        ]);
        (list, object, other, inner.clone(), inner).prop_map(|(list, object, other, x, y)| {
            [list, object, other].map(|form| {
                let parts = form.chars().map(|c| match c {
                    'L' => x[0].clone(),
                    'M' => y[0].clone(),
                    'O' => x[1].clone(),
                    'P' => y[1].clone(),
                    'X' => x[2].clone(),
                    'Y' => y[2].clone(),
                    c => c.to_string(),
                });
                parts.collect()
            })
        })
    })
}

/// Generates statements, some in loops and macros.
fn program() -> impl Strategy<Value = String> {
    let statement = (value(), 0..9_usize).prop_map(|([list, object, other], which)| match which {
        0 => format!("{{% set a = {list} %}}"),
        1 => format!("{{% set b = {list} %}}"),
        2 => format!("{{% set c = {object} %}}"),
        3 | 4 => format!("{{% set ns.a = {list} %}}"),
        5 => format!("{{% set ns.b = {other} %}}"),
        6 => format!("{{% set ns.c = {object} %}}"),
        7 => format!("{{{{ {other} }}}}"),
        _ => format!("{{% if {other} %}}{{{{ a }}}}{{% endif %}}"),
    });
    let block = proptest::collection::vec(statement, 1..6).prop_map(|all| all.concat());
    let repeated = (block, value(), 0..5_usize).prop_map(|(block, [list, _, other], how)| match how {
        0 => format!("{{% for x in {list} %}}{block}{{{{ loop.changed(x) }}}}{{% endfor %}}"),
        1 => format!("{{% for x in range(99) %}}{block}{{% endfor %}}"),
        2 => format!("{{% for x in [a, {list}] recursive %}}{block}{{{{ loop([x]) if loop.depth < 9 }}}}{{% endfor %}}"),
        3 => format!(
            "{{% macro m(x) %}}{block}{{{{ m([x, {other}]) if x | string | length < 999 }}}}{{% endmacro %}}{{{{ m(a) }}}}"
        ),
        _ => block.repeat(40),
    });
    proptest::collection::vec(repeated, 1..5).prop_map(|all| {
        let program = all.concat();
        format!(
            "{{% macro m(x) %}}{{{{ x }}}}{{% endmacro %}}{{% set a = [1] %}}{{% set b = (2, 3) %}}{{% set c = {{'k': 2}} %}}\
             {{% set ns = namespace(a=a, b=1, c=c) %}}{program}{{{{ ns }}}}{{{{ a }}}}"
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_program_of_lists_objects_and_namespaces_ends_soon(source in program()) {
        let (templates, template, _) = template(&source);
        if let Some(template) = template {
            let data = Json::Object(vec![("n".to_owned(), Json::Number("3".to_owned()))]);
            let seen = TemplateContext::new(&notification(), Some(&data), Timestamp::UNIX_EPOCH);
            let started = Instant::now();
            let result = Renderer::new(&templates).render(&template, &seen);
            let took = started.elapsed();
            prop_assert!(took < Duration::from_secs(3), "{took:?}");
            prop_assert!(result.map_or(0, |text| text.len()) < 32 * 1024 * 1024);
        }
    }
}
