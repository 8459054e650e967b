use proptest::{prop_assert, prop_assert_eq, proptest};

use super::*;

/// Returns `name|address` of each mailbox, or its error.
fn read(text: &str) -> Vec<Result<String, String>> {
    let read = |text| {
        let mailbox = parse(text)?;
        let name = mailbox.name.map(|name| format!("{name}|"));
        Ok(name.unwrap_or_default() + &mailbox.address)
    };
    split(text).map(read).collect()
}

#[test]
fn names_and_lists_are_read_as_they_are_meant() {
    for (given, expected) in [
        ("oncall@example.com", &["oncall@example.com"][..]),
        ("<oncall@example.com>", &["oncall@example.com"]),
        ("DB team <a@example.com>", &["DB team|a@example.com"]),
        ("\"DB team\"<a@example.com>", &["DB team|a@example.com"]),
        ("\"\" <a@example.com>", &["a@example.com"]),
        ("Doe, John <a@example.com>", &["Doe, John|a@example.com"]),
        (
            "Doe, John, Jr. <a@example.com>",
            &["Doe, John, Jr.|a@example.com"],
        ),
        (
            "\"Doe, John\" <a@example.com>",
            &["Doe, John|a@example.com"],
        ),
        (
            "Doe (DB, ops) <a@example.com>",
            &["Doe (DB, ops)|a@example.com"],
        ),
        ("a@example.com (Doe, John)", &["Doe, John|a@example.com"]),
        (
            "a@example.com <a@example.com>",
            &["a@example.com|a@example.com"],
        ),
        (
            "\"a \\\"b\\\" \\\\ c\" <a@example.com>",
            &["a \"b\" \\ c|a@example.com"],
        ),
        (
            "John \"Jo\" Doe <a@example.com>",
            &["John \"Jo\" Doe|a@example.com"],
        ),
        (
            "\"John\" \"Doe\" <a@example.com>",
            &["\"John\" \"Doe\"|a@example.com"],
        ),
        ("O'Brien <a@example.com>", &["O'Brien|a@example.com"]),
        (
            "Größe, 東京 😀 <a@example.com>",
            &["Größe, 東京 😀|a@example.com"],
        ),
        ("größe@bücher.example", &["größe@xn--bcher-kva.example"]),
        ("a@Example.COM.", &["a@example.com"]),
        ("\"a b\"@example.com", &["\"a b\"@example.com"]),
        ("a+b_c.d@example.com", &["a+b_c.d@example.com"]),
        ("a@192.0.2.1", &["a@192.0.2.1"]),
        ("a@x.example, b@x.example", &["a@x.example", "b@x.example"]),
        (
            " ,a@x.example,, b@x.example , ",
            &["a@x.example", "b@x.example"],
        ),
        (
            "Doe, John <a@x.example>, \"B, C\" <b@x.example>,c@x.example",
            &["Doe, John|a@x.example", "B, C|b@x.example", "c@x.example"],
        ),
    ] {
        let read: Result<Vec<_>, _> = read(given).into_iter().collect();
        assert_eq!(
            read.as_deref(),
            Ok(expected
                .iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>()
                .as_slice()),
            "{given}"
        );
    }
    assert_eq!(read(" , "), []);
}

#[test]
fn what_is_ambiguous_or_no_address_is_refused_with_what_to_write() {
    let long = format!("{} <a@example.com>", "x".repeat(301));
    let long_user = format!("{}@example.com", "x".repeat(65));
    for (given, part) in [
        ("", "has no @"),
        ("example.com", "has no @"),
        ("John Doe", "has no @"),
        ("John <>", "has no @"),
        ("a@", "no valid domain"),
        ("@example.com", "characters before its @"),
        ("a@-", "no valid domain"),
        ("Doe, john@example.com", "(j***@example.com) is ambiguous"),
        ("a;b@example.com", "(b***@example.com) is ambiguous"),
        ("John john@example.com", "(j***@example.com) has a blank"),
        (
            "jo\u{200b}hn@example.com",
            "has a blank or an invisible character",
        ),
        (
            "jo\u{a0}hn@example.com",
            "has a blank or an invisible character",
        ),
        ("a@b@example.com", "(a***@example.com) holds several"),
        (
            "a@example.com; b@example.com",
            "(b***@example.com) holds several",
        ),
        ("a@example.com b@example.com", "holds several"),
        ("<a@example.com> <b@example.com>", "holds several"),
        ("a@example.com Doe <b@example.com", "lacks a <"),
        ("a@example.com>", "lacks a <"),
        (
            "John \"Jo <a@example.com>",
            "a quote or a parenthesis that does not end",
        ),
        (
            "John (Jo <a@example.com>",
            "a quote or a parenthesis that does not end",
        ),
        ("a@example.com\r\nBcc: b@example.com", "a control character"),
        ("a\0@example.com", "a control character"),
        (&long, "longer than 300 bytes"),
        (&long_user, "or too many of them"),
    ] {
        let problem = parse(given).map(|mailbox| mailbox.address).unwrap_err();
        assert!(problem.contains(part), "{given}: {problem}");
        assert!(!problem.contains("john@"), "{given}: {problem}");
    }
    // A quote without an end contains the rest of the list.
    assert_eq!(read("A \"B <a@x.example>, b@x.example").len(), 1);
    assert_eq!(masked("oncall@example.com"), "o***@example.com");
}

#[test]
fn hosts_are_names_or_addresses_and_nothing_else() {
    for (given, host_of_it) in [
        ("smtp.example.com", Some("smtp.example.com")),
        ("SMTP.Example.com.", Some("smtp.example.com")),
        ("bücher.example", Some("xn--bcher-kva.example")),
        ("192.0.2.1", Some("192.0.2.1")),
        ("0x7f.1", Some("127.0.0.1")),
        ("2001:db8::1", Some("2001:db8::1")),
        ("[2001:db8::1]", Some("2001:db8::1")),
        ("smtp.example.com:587", None),
        ("smtp://smtp.example.com", None),
        ("user@smtp.example.com", None),
        ("a b", None),
        ("", None),
    ] {
        assert_eq!(server_name(given).as_deref(), host_of_it, "{given}");
    }
}

#[test]
fn a_client_is_called_by_a_domain_or_an_address_in_brackets() {
    let long = format!("{}.example.com", "x".repeat(64));
    for (given, name) in [
        ("db1.example.com", Some("db1.example.com")),
        ("DB1.example.com.", Some("db1.example.com")),
        ("localhost", Some("localhost")),
        ("bücher.example", Some("xn--bcher-kva.example")),
        ("192.0.2.1", Some("[192.0.2.1]")),
        ("[192.0.2.1]", Some("[192.0.2.1]")),
        ("2001:db8::1", Some("[IPv6:2001:db8::1]")),
        ("[IPv6:2001:db8::1]", Some("[IPv6:2001:db8::1]")),
        ("[2001:db8::1]", Some("[IPv6:2001:db8::1]")),
        ("[db1.example.com]", None),
        ("db_1.example.com", None),
        ("-db1.example.com", None),
        ("db1..example.com", None),
        ("db1.example.com x", None),
        ("db1\r\nMAIL", None),
        ("[192.0.2.256]", None),
        ("", None),
        (&long, None),
    ] {
        assert_eq!(hello_name(given).as_deref(), name, "{given}");
    }
}

proptest! {
    /// The transport parses the address again, and a header contains the name.
    #[test]
    fn what_is_read_of_any_text_can_be_sent(text in r#"[a-zé"\\\\()<>@,;. \PC\r\n]{0,40}(@|<a@)?[a-z.]{0,8}>?"#) {
        for mailbox in split(&text).filter_map(|text| parse(text).ok()) {
            let address: Result<Address, _> = mailbox.address.parse();
            prop_assert_eq!(address.map(|address| address.to_string()), Ok(mailbox.address.clone()));
            let name = mailbox.name.unwrap_or_default();
            prop_assert!(name.len() <= MAX_NAME_BYTES && !name.chars().any(char::is_control));
            let (user, domain) = mailbox.address.rsplit_once('@').unwrap();
            prop_assert!(domain.is_ascii() && user.len() <= 64);
        }
    }
}
