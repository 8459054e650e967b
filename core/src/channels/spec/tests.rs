use super::*;
use crate::json::{self, Json, Path};
use crate::warnings::Warnings;

const TEXT: Parameter = Parameter::new("text", "x", "");
const SEVERAL: Parameter = Parameter::new("several", "x", "").of(ParameterKind::Texts);
const PORT: Parameter = Parameter::new("port", "587", "").of(ParameterKind::Number);
const TABLE: Parameter = Parameter::new("table", "x", "").of(ParameterKind::Table);
const PARAMETERS: &[Parameter] = &[
    TEXT,
    SEVERAL,
    PORT,
    TABLE,
    Parameter::new("to", "a@example.com", "")
        .of(ParameterKind::Destinations)
        .required(),
    Parameter::new("cc", "a@example.com", "").of(ParameterKind::Destinations),
];

/// Reads a configuration in JSON.
fn read<T>(configuration: &str, value: impl FnOnce(&Fields<'_>) -> T) -> T {
    read_mut(configuration, |fields| value(fields))
}

fn read_mut<T>(configuration: &str, value: impl FnOnce(&mut Fields<'_>) -> T) -> T {
    let Json::Object(members) = json::parse(configuration).unwrap().json else {
        panic!("{configuration} is no object");
    };
    let mut warnings = Warnings::default();
    let mut fields = Fields::new(
        "sender",
        Origin::Operator,
        PARAMETERS,
        &members,
        Path::root(),
        &mut warnings,
    );
    value(&mut fields)
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
            fields.optional(&TEXT).map(|text| text.map(String::from))
        });
        let table = read(&format!(r#"{{"table": {{"a": {number}}}}}"#), |fields| {
            fields.table(&TABLE)
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
                        .message
                        .starts_with("text must be a string, found "),
                    "{number}"
                );
                assert!(
                    table
                        .unwrap_err()
                        .message
                        .starts_with("table must be a table of strings, found "),
                    "{number}"
                );
            }
        }
    }
    read(r#"{"several": [1, "b"]}"#, |fields| {
        let several: Vec<_> = fields
            .several(&SEVERAL)
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
            fields.port(&PORT)
        });
        assert_eq!(read.ok().flatten(), port, "{given}");
    }
}

/// Returns `list:address` of each destination, or its error.
fn recipients(configuration: &str) -> Vec<String> {
    read_mut(configuration, |fields| {
        let each = 0..fields.destinations();
        each.map(|index| match fields.at(index).recipient() {
            Ok((list, mailbox)) => format!("{list}:{}", mailbox.address),
            Err(error) => format!(
                "{} {}",
                error.location.path.as_deref().unwrap_or_default(),
                error.message
            ),
        })
        .collect()
    })
}

#[test]
fn each_address_of_the_lists_is_one_destination() {
    for (configuration, expected) in [
        (r#"{"to": "a@x.example"}"#, &["to:a@x.example"][..]),
        (
            r#"{"cc": ["c@x.example"], "to": "a@x.example, b@x.example"}"#,
            &["to:a@x.example", "to:b@x.example", "cc:c@x.example"],
        ),
        (
            r#"{"to": ["a@x.example", "Doe, J <b@x.example>, c@x.example"], "cc": " "}"#,
            &["to:a@x.example", "to:b@x.example", "to:c@x.example"],
        ),
        // A repeated address is one destination.
        (
            r#"{"to": ["a@x.example", "A <A@X.example>"], "cc": "a@x.example,c@x.example"}"#,
            &["to:a@x.example", "cc:c@x.example"],
        ),
        (
            r#"{"to": "a@x.example, b", "cc": [5]}"#,
            &[
                "to:a@x.example",
                "to address 2 of to has no @ in its address; write user@example.com, or \"Name\" <user@example.com>",
                "cc[0] cc has no @ in its address; write user@example.com, or \"Name\" <user@example.com>",
            ],
        ),
        (
            r#"{"to": ["a@x.example", {}]}"#,
            &[
                "to:a@x.example",
                "to[1] to must be a string, found an object",
            ],
        ),
        (
            r#"{"to": []}"#,
            &["to to is required: for example a@example.com"],
        ),
        (
            r#"{"to": null}"#,
            &["to to is required: for example a@example.com"],
        ),
        (
            r#"{"cc": "c@x.example"}"#,
            &["to to is required: for example a@example.com"],
        ),
    ] {
        assert_eq!(recipients(configuration), expected, "{configuration}");
        let counted = Fields::count(PARAMETERS, &json::parse(configuration).unwrap().json);
        assert!(counted >= expected.len(), "{configuration}: {counted}");
    }
}

#[test]
fn what_is_stored_of_a_destination_makes_the_same_one_again() {
    for configuration in [
        r#"{"to": ["a@x.example", "D, J <b@x.example>"], "text": "t"}"#,
        r#"{"to": "a@x.example, b@x.example", "cc": ["c@x.example", "a@x.example"], "text": 5}"#,
    ] {
        let expected = recipients(configuration);
        for (index, expected) in expected.iter().enumerate() {
            let own = read_mut(configuration, |fields| fields.at(index).to_stored());
            let (members, index) = Fields::from_stored(&own).unwrap();
            let again = serde_json::to_string(&Json::Object(members.to_vec())).unwrap();
            let again = &recipients(&again)[index];
            assert_eq!(again, expected);
        }
    }
    for other in [
        "{}",
        "[]",
        r#"{"index": "0", "configuration": {}}"#,
        r#"{"index": 0}"#,
    ] {
        assert!(
            Fields::from_stored(&json::parse(other).unwrap().json).is_none(),
            "{other}"
        );
    }
}
