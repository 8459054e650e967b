use super::*;
use crate::model::json::{self, Json, Path};
use crate::model::warnings::Warnings;

const PARAMETERS: &[Parameter] = &[
    Parameter::new("text", "x", ""),
    Parameter::new("several", "x", "").of(Kind::Texts),
    Parameter::new("port", "587", "").of(Kind::Port),
    Parameter::new("table", "x", "").of(Kind::Table),
];

/// Reads a configuration that is written as JSON.
fn read<T>(configuration: &str, value: impl FnOnce(&Fields<'_>) -> T) -> T {
    let Json::Object(members) = json::parse(configuration).unwrap().json else {
        panic!("{configuration} is no object");
    };
    let mut warnings = Warnings::default();
    let fields = Fields::new(
        "sender",
        Origin::Operator,
        PARAMETERS,
        &members,
        Path::root(),
        &mut warnings,
    );
    value(&fields)
}

#[test]
fn a_whole_number_stands_for_its_digits_wherever_a_string_may_stand() {
    for (number, digits) in [
        ("0", Some("0")),
        ("-0", Some("-0")),
        ("-1001234567890", Some("-1001234567890")),
        (
            "123456789012345678901234567890",
            Some("123456789012345678901234567890"),
        ),
        ("1.0", None),
        ("0.001", None),
        ("1e3", None),
        ("true", None),
        ("[1]", None),
        ("{}", None),
    ] {
        let text = read(&format!(r#"{{"text": {number}}}"#), |fields| {
            fields.optional("text").map(|text| text.map(String::from))
        });
        let table = read(&format!(r#"{{"table": {{"a": {number}}}}}"#), |fields| {
            fields.table("table")
        });
        match digits {
            Some(digits) => {
                assert_eq!(text.unwrap().as_deref(), Some(digits), "{number}");
                assert_eq!(
                    table.unwrap(),
                    Some(vec![("a".to_owned(), digits.to_owned())]),
                    "{number}"
                );
            }
            None => {
                assert!(
                    text.unwrap_err()
                        .what
                        .starts_with("text must be a string, found "),
                    "{number}"
                );
                assert!(
                    table
                        .unwrap_err()
                        .what
                        .starts_with("table must be a table of strings, found "),
                    "{number}"
                );
            }
        }
    }
    read(r#"{"several": [1, "b"]}"#, |fields| {
        let several: Vec<_> = fields
            .several("several")
            .unwrap()
            .into_iter()
            .map(|(_, text)| text)
            .collect();
        assert_eq!(several, ["1", "b"]);
    });
}

#[test]
fn a_port_is_a_number_or_its_digits() {
    for (given, port) in [
        ("587", Some(587)),
        ("\"587\"", Some(587)),
        ("0", None),
        ("65536", None),
        ("-1", None),
        ("2.5", None),
    ] {
        let read = read(&format!(r#"{{"port": {given}}}"#), |fields| {
            fields.port("port")
        });
        assert_eq!(read.ok().flatten(), port, "{given}");
    }
}
