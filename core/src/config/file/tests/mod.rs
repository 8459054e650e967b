mod alerts;
mod muting;
mod routes;

use std::fs;

use super::*;
use crate::config::matcher::MatchInput;
use crate::json::Json;
use crate::model::notification::{Level, Notification};

const GOOD: &str = r#"
[settings]
response_timeout = "1s"
max_attempts = 5
dry_run = false
failure_status = 502
allowed_hosts = ["hooks.slack.com", "*.example.com"]
default_receivers = ["ops"]

[receivers.oncall]
slack = { webhook_url = { env = "SLACK_URL" } }
sms = [
    { from_number = "+15005550001", to_number = "+15005550006", sid = "AC1", token = { file = "token" } },
    { twilio_from_number = "+15005550001", twilio_to_number = "+15005550009", twilio_sid = "AC1", twilio_token = "t" },
]

[receivers.ops.http]
webhook_url = "https://ops.example/hook"
headers = { X-Team = "ops", X-Token = { env = "OPS_TOKEN" } }
method = "put"
body_template = "{{ notification.text }}"
content_type = "text/plain"
bearer_token = { env = "OPS_TOKEN" }
signing_secret = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
rate_limit = "5/s"
allow_mentions = false
template = "short"
proxy = "http://proxy.example:3128"

[receivers.discord-ops]
discord = { webhook_url = "https://discord.com/api/webhooks/1/x" }

[[routes]]
match = { level = ["error", "crit"], fields = { host = "~^db" } }
receivers = ["oncall"]
continue = true

[[routes]]
match = { status = "resolved" }
receivers = "ops"

[templates.short]
text = "{{ notification.text | upper }}"

[[silences]]
name = "weekend"
match = { level = ["info"] }
weekly = ["Sat 00:00-24:00", "Sun 00:00-24:00"]
time_zone = "Europe/Berlin"
"#;

/// Returns a directory with the file `token`, and the two variables.
fn world() -> (tempfile::TempDir, BTreeMap<String, Option<Secret>>) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("token"), "tw1lio\n").unwrap();
    let variables = [
        ("SLACK_URL", "https://hooks.slack.com/services/T/B/x"),
        ("OPS_TOKEN", "0ps"),
    ];
    let named = variables.map(|(name, value)| (name.to_owned(), Some(Secret::new(value))));
    (directory, named.into())
}

fn read(text: &str) -> Loaded {
    let (directory, named) = world();
    load(
        text.as_bytes(),
        directory.path(),
        &named,
        OperatorSettings::default(),
        true,
    )
}

#[test]
fn a_file_is_read_with_everything_that_it_may_hold() {
    let loaded = read(GOOD);
    let config = loaded
        .config
        .unwrap_or_else(|report| panic!("{:?}", report.errors));
    assert_eq!(loaded.warnings.warnings, []);
    let names: Vec<_> = config
        .receivers
        .iter()
        .map(|receiver| receiver.name.as_str())
        .collect();
    assert_eq!(names, ["oncall", "ops", "discord-ops"]);
    let senders = |index: usize| {
        let destinations = config.receivers[index].destinations.iter();
        destinations
            .map(|destination| destination.sender)
            .collect::<Vec<_>>()
    };
    assert_eq!(senders(0), ["slack", "sms", "sms"]);
    let ops = &config.receivers[1].destinations[0];
    assert_eq!(ops.allow_mentions, Some(false));
    assert_eq!(
        ops.template.as_ref().map(Template::id),
        config.template("short").map(Template::id)
    );
    assert!(ops.template.is_some());
    assert!(ops.own.rate_limit.is_some() && ops.own.proxy.is_some());
    assert_eq!(config.default_receivers, Some(vec![1]));
    let argument = |name: &str| config.arguments[name].expose().to_owned();
    assert_eq!(argument("max_attempts"), "5");
    assert_eq!(argument("failure_status"), "502");
    assert_eq!(argument("allowed_hosts"), "hooks.slack.com *.example.com");
    let mut notification = Notification::plain(Json::String("x".to_owned()));
    notification.level = Some(Level::Critical);
    notification.fields = vec![("host".to_owned(), Json::String("db1".to_owned()))];
    assert!(
        config.routes[0]
            .matcher
            .matches(&MatchInput::of(&notification))
            && config.routes[0].continue_matching
    );
    assert!(
        !config.routes[1]
            .matcher
            .matches(&MatchInput::of(&notification))
    );
    assert_eq!(config.silences.len(), 1);
    assert!(loaded.files.keys().any(|path| path.ends_with("token")));
    let expected = ["OPS_TOKEN", "SLACK_URL"].map(str::to_owned);
    assert!(variables(GOOD.as_bytes()).iter().eq(&expected));
}

#[test]
fn a_field_called_env_is_no_variable_of_the_environment() {
    let text = "[settings]\nrow_filter = { fields = { env = \"A\" } }\noutbox_key = { env = \"KEY\" }\n\
                [receivers.a]\nslack = { webhook_url = { env = \"URL\" } }\n\
                [[routes]]\nreceivers = \"a\"\nmatch = { fields = { env = \"B\" } }\n\
                [[routes.routes]]\nmatch = { fields.env = \"!C\" }\n\
                [[silences]]\nname = \"s\"\nmatch = { fields = { env = \"D\" } }\n";
    let names = variables(text.as_bytes());
    assert!(names.iter().eq(["KEY", "URL"]), "{names:?}");
}

/// A part of a file with the expected error: line, column, path, message.
const BAD: &[(&str, usize, usize, &str, &str)] = &[
    (
        "[recievers.a]",
        1,
        2,
        "recievers",
        "did you mean receivers?",
    ),
    (
        "[settings]\nmax_atempts = 3",
        2,
        1,
        "settings.max_atempts",
        "did you mean max_attempts?",
    ),
    (
        "[settings]\nconfig_file_path = \"x\"",
        2,
        1,
        "settings.config_file_path",
        "no such setting",
    ),
    (
        "[settings]\nmax_attempts = 0",
        2,
        16,
        "settings.max_attempts",
        "must be a whole number from 1 to 100",
    ),
    (
        "[settings]\nresponse_timeout = 2",
        2,
        20,
        "settings.response_timeout",
        "must be a duration from 0s",
    ),
    (
        "[settings]\nallowed_hosts = [\"a^b\"]",
        2,
        17,
        "settings.allowed_hosts",
        "must be hosts",
    ),
    (
        "[settings]\ndry_run = { a = 1 }",
        2,
        11,
        "settings.dry_run",
        "must be a string, a number",
    ),
    (
        "[settings]\ndefault_receivers = [\"nobody\"]",
        2,
        22,
        "settings.default_receivers",
        "no such receiver",
    ),
    (
        "[receivers.slack]\nhttp = { webhook_url = \"https://a.example\" }",
        1,
        12,
        "receivers.slack",
        "is a sender's name",
    ),
    ("[receivers.a]", 1, 12, "receivers.a", "it has no channel"),
    (
        "receivers = 5",
        1,
        13,
        "receivers",
        "must be a table, found a number",
    ),
    (
        "[receivers.a]\nslack = []",
        2,
        9,
        "receivers.a.slack",
        "the list is empty",
    ),
    ("  \n", 1, 1, "", "the file is empty"),
    (
        "[[silences]]\nname = \"a\"\nweekly = []\ntime_zone = \"UTC\"",
        3,
        10,
        "silences[0].weekly",
        "the list is empty",
    ),
    (
        "[[silences]]\nname = \"a\"\nmatch = { level = [] }",
        3,
        19,
        "silences[0].match.level",
        "the list is empty",
    ),
    (
        "[settings]\nextract = \"host=(?<host>.)\"",
        2,
        11,
        "settings.extract",
        "must begin with ~, as in \"~host=(?<host>",
    ),
    (
        "[settings]\nextract = \"~host=(.)\"",
        2,
        11,
        "settings.extract",
        "must have 1 to 16 named groups",
    ),
    (
        "[settings]\nextract = [\"~(?<a>.)\", \"~(?<a>\"]",
        2,
        24,
        "settings.extract",
        "cannot be read, or is too large",
    ),
    (
        "[settings]\nextract = \"~(?<a>\\\\w{9999})\"",
        2,
        11,
        "settings.extract",
        "cannot be read, or is too large",
    ),
    (
        "[settings]\nextract = [5]",
        2,
        12,
        "settings.extract",
        "must be a string, or a list of strings, found a number",
    ),
    (
        "[settings]\nextract = [\"~(?<a>.)\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\"]",
        2,
        11,
        "settings.extract",
        "has 17 expressions; at most 16 are read",
    ),
    (
        "[receivers.a]\nslack = { webhook_url = \"https://a.example\" }\n[[routes]]\nextract = \"x\"\nreceivers = [\"a\"]",
        4,
        11,
        "routes[0].extract",
        "must begin with ~",
    ),
    (
        "[settings]\nlevel_map = { sev9 = \"kritical\" }",
        2,
        22,
        "settings.level_map.sev9",
        "must be one of ok, info, warning, error, critical; did you mean critical?",
    ),
    (
        "[settings]\nlevel_map = { sev9 = 1 }",
        2,
        22,
        "settings.level_map.sev9",
        "must be the name of a level, found a number",
    ),
    (
        "[settings]\nlevel_map = { sev9 = \"error\", SEV-9 = \"ok\" }",
        2,
        39,
        "settings.level_map.SEV-9",
        "stands here twice",
    ),
    (
        "[settings]\nlevel_map = { \" \" = \"error\" }",
        2,
        21,
        "settings.level_map. ",
        "is blank",
    ),
    (
        "[settings]\nlevel_map = \"error\"",
        2,
        13,
        "settings.level_map",
        "must be a table, found a string",
    ),
    (
        "[settings]\nlevel_map = { sev9 = \"error\" }\n[[routes]]\nmatch = { level = \"sev8\" }",
        4,
        19,
        "routes[0].match.level",
        "must be one of ok, info, warning, error, critical",
    ),
    (
        "[settings]\nrow_filter = { fields = { host = [] } }",
        2,
        34,
        "settings.row_filter.fields.host",
        "the list is empty",
    ),
    (
        "[receivers.a]\nhttp = { webhook_url = \"https://a.example\", body_template = \"a\", http_body_template = \"b\" }",
        2,
        66,
        "receivers.a.http.http_body_template",
        "stands twice",
    ),
    (
        "[settings]\ntwilio_base_url = \"https://user:s3cret@twilio.example\"",
        2,
        19,
        "settings.twilio_base_url",
        "must be a URL without user name and password",
    ),
    (
        "[receivers.a]\nslak = {}",
        2,
        1,
        "receivers.a.slak",
        "did you mean slack?",
    ),
    (
        "[receivers.a]\nslack = \"https://\"",
        2,
        9,
        "receivers.a.slack",
        "must be a table",
    ),
    (
        "[receivers.a]\nslack = {}",
        2,
        9,
        "receivers.a.slack.slack_webhook_url",
        "slack_webhook_url is required",
    ),
    (
        "[receivers.a]\nslack = { webhook_ur = \"x\", webhook_url = \"https://a.example\" }",
        2,
        11,
        "receivers.a.slack.webhook_ur",
        "did you mean webhook_url?",
    ),
    (
        "[receivers.a]\nslack = { webhook_url = \"ftp://a.example\" }",
        2,
        25,
        "receivers.a.slack.slack_webhook_url",
        "has a scheme other than",
    ),
    (
        "[receivers.a]\nslack = { webhook_url = true }",
        2,
        25,
        "receivers.a.slack.webhook_url",
        "must be a string, { env",
    ),
    (
        "[receivers.a]\nslack = { webhook_url = { env = \"NOT_SET\" } }",
        2,
        25,
        "receivers.a.slack.webhook_url",
        "the environment variable NOT_SET is not set",
    ),
    (
        "[receivers.a]\nslack = { webhook_url = { file = \"none\" } }",
        2,
        25,
        "receivers.a.slack.webhook_url",
        "the file none is not there",
    ),
    (
        "[receivers.a]\nslack = { webhook_url = \"https://a.example\", slack_webhook_url = \"https://b.example\" }",
        2,
        46,
        "receivers.a.slack.slack_webhook_url",
        "stands twice",
    ),
    (
        "[receivers.a]\nhttp = { webhook_url = \"https://a.example\", method = \"GET\" }",
        2,
        54,
        "receivers.a.http.method",
        "must be POST, PUT or PATCH",
    ),
    (
        "[receivers.a]\nhttp = { webhook_url = \"https://a.example\", rate_limit = \"5\" }",
        2,
        58,
        "receivers.a.http.rate_limit",
        "messages per time",
    ),
    (
        "[receivers.a]\nhttp = { webhook_url = \"https://a.example\", signing_secret = \"whsec_x\" }",
        2,
        62,
        "receivers.a.http.signing_secret",
        "must be base64 after whsec_",
    ),
    (
        "[receivers.a]\nemail = { host = \"smtp.example.com\", from = \"a@example.com\", to = [\"b@example.com\", \"c\"] }",
        2,
        67,
        "receivers.a.email.email_to[1]",
        "email_to has no @ in its address",
    ),
    (
        "[receivers.a]\nemail = { host = \"smtp.example.com\", from = \"a@example.com\", to = \"b@example.com\", port = 70000 }",
        2,
        91,
        "receivers.a.email.email_port",
        "must be a number from 1 to 65535",
    ),
    (
        "[receivers.a]\nemail = { host = \"smtp.example.com\", from = \"a@example.com\", to = \"b@example.com\", proxy = \"http://proxy.example:3128\" }",
        2,
        92,
        "receivers.a.email.proxy",
        "email does not go by HTTP",
    ),
    (
        "[receivers.a]\nhttp = { webhook_url = \"https://a.example\", template = \"none\" }",
        2,
        56,
        "receivers.a.http.template",
        "no such template",
    ),
    (
        "[receivers.a]\nhttp = { webhook_url = \"https://a.example\", ca_file = \"token\" }",
        2,
        55,
        "receivers.a.http.ca_file",
        "it holds no certificate in PEM",
    ),
    (
        "[receivers.a]\nhttp = { webhook_url = \"https://a.example\", body_template = \"{{ x | nope }}\" }",
        2,
        61,
        "receivers.a.http.body_template",
        "there is no filter nope",
    ),
    (
        "[receivers.a]\nhttp = { webhook_url = \"https://a.example\", basic_auth = { username = \"a\" } }",
        2,
        58,
        "receivers.a.http.basic_auth",
        "{ username, password }",
    ),
    (
        "[receivers.a]\nsms = { sid = \"AC1\", token = \"t\", to_number = \"+15005550006\" }",
        2,
        7,
        "receivers.a.sms.twilio_from_number",
        "is required",
    ),
    (
        "[[routes]]\nreceivers = [\"onkall\"]\n[receivers.oncall]\nslack = { webhook_url = \"https://a.example\" }",
        2,
        14,
        "routes[0].receivers",
        "did you mean oncall?",
    ),
    (
        "[[routes]]\nmatch = { levl = \"error\" }",
        2,
        11,
        "routes[0].match.levl",
        "did you mean level?",
    ),
    (
        "[[routes]]\nmatch = { host = \"db1\" }",
        2,
        11,
        "routes[0].match.host",
        "A field is matched by fields = { host = … }",
    ),
    (
        "[[routes]]\nmatch = { level = \"!loud\" }",
        2,
        19,
        "routes[0].match.level",
        "must be one of ok, info",
    ),
    (
        "[[routes]]\nmatch = { \"field.host\" = \"db1\" }",
        2,
        11,
        "routes[0].match.field.host",
        "did you mean fields?",
    ),
    (
        "[[routes]]\nmatch = { tabel = \"cpu\" }",
        2,
        11,
        "routes[0].match.tabel",
        "did you mean table?",
    ),
    (
        "[[routes]]\nmatch = { fields = { host = \"!~(\" } }",
        2,
        29,
        "routes[0].match.fields.host",
        "regular expression",
    ),
    (
        "[[routes]]\nmatch = { level = \"loud\" }",
        2,
        19,
        "routes[0].match.level",
        "must be one of ok, info",
    ),
    (
        "[[routes]]\nmatch = { fields = { host = \"~(\" } }",
        2,
        29,
        "routes[0].match.fields.host",
        "regular expression",
    ),
    (
        "[[routes]]\ncontinue = \"yes\"",
        2,
        12,
        "routes[0].continue",
        "must be true or false",
    ),
    (
        "[[routes]]\nmatch = { level = \"error\" }",
        1,
        1,
        "routes[0]",
        "names no receiver",
    ),
    (
        "[routes]\nreceivers = []",
        1,
        1,
        "routes",
        "must be written [[routes]]",
    ),
    (
        "[templates.a]\ntext = \"{{\"",
        2,
        8,
        "templates.a.text",
        "this is not closed",
    ),
    ("[templates.a]", 1, 12, "templates.a", "it has no text"),
    (
        "[[silences]]\nweekly = [\"Sat 00:00-24:00\"]\nname = \"a\"",
        1,
        1,
        "silences[0]",
        "need a time_zone",
    ),
    (
        "[[silences]]\nname = \"a\"\ntime_zone = \"Europe/Berlim\"",
        3,
        13,
        "silences[0].time_zone",
        "did you mean Europe/Berlin?",
    ),
    (
        "[[silences]]\nname = \"a\"\nweekly = \"Sat 25:00-26:00\"\ntime_zone = \"UTC\"",
        3,
        10,
        "silences[0].weekly",
        "must be windows such as",
    ),
    (
        "[[silences]]\nfrom = \"yesterday\"\nname = \"a\"",
        2,
        8,
        "silences[0].from",
        "a time of RFC 3339",
    ),
    (
        "[[silences]]\nname = \"a\"\nfrom = 2026-01-02T00:00:00Z\nuntil = 2026-01-01T00:00:00Z",
        1,
        1,
        "silences[0]",
        "ends before it begins",
    ),
    (
        "[[silences]]\nmatch = {}",
        1,
        1,
        "silences[0]",
        "needs a name",
    ),
    ("a = 1\na = 2", 2, 1, "", "this key stands twice"),
    (
        "[receivers.a]\nslack = { webhook_url = \"x",
        2,
        27,
        "",
        "string is not closed",
    ),
    ("[receivers.a", 1, 13, "", "the file ends here"),
    ("key", 1, 4, "", "has no value"),
    ("a = s3cret", 1, 5, "", "strings stand in double quotes"),
];

#[test]
fn every_problem_has_its_line_column_path_and_words_and_quotes_no_value() {
    let mut wrong = Vec::new();
    for (text, line, column, path, words) in BAD {
        let errors = read(text).config.err().unwrap_or_default().errors;
        let found = errors.iter().any(|problem| {
            problem.location.position
                == Some(FilePosition {
                    line: *line,
                    column: *column,
                })
                && problem.location.path.as_deref().unwrap_or_default() == *path
                && problem.message.contains(words)
        });
        let shown: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert!(!shown.concat().contains("s3cret"), "{shown:?}");
        if !found {
            wrong.push(format!(
                "{text}\nexpected line {line}, column {column}: {path}: {words}\nfound {shown:#?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn an_error_of_a_whole_list_is_reported_once() {
    let text = "[receivers.a.email]\nhost = \"a b\"\nfrom = \"a@example.com\"\nto = [\"b@example.com\", \"c@example.com\"]";
    let errors = read(text).config.err().unwrap().errors;
    let shown: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert!(
        shown[0].contains("receivers.a.email.email_host"),
        "{shown:?}"
    );
}

#[test]
fn invalid_utf_8_is_reported_with_its_position() {
    let (directory, named) = world();
    for (bytes, line, column, message) in [
        (&b"a = 1\nb = \"\xc3\xa9\xff\""[..], 2, 7, "no UTF-8"),
        (b"\xff\xfe[\0a\0]\0", 1, 1, "UTF-16"),
    ] {
        let loaded = load(
            bytes,
            directory.path(),
            &named,
            OperatorSettings::default(),
            true,
        );
        let report = loaded.config.map(drop).unwrap_err();
        let position = report.errors[0].location.position.unwrap();
        assert_eq!((position.line, position.column), (line, column));
        assert!(report.errors[0].message.contains(message), "{report:?}");
    }
    let marked = "\u{feff}[receivers.a]\nslack = { webhook_url = \"https://a.example\" }\n";
    assert!(read(marked).config.is_ok());
}

#[test]
fn a_route_that_is_never_asked_is_warned_of() {
    let head = "[receivers.a]\nslack = { webhook_url = \"https://a.example\" }\n";
    let all = "[[routes]]\nreceivers = \"a\"\n";
    let some = "[[routes]]\nreceivers = \"a\"\nmatch = { level = \"error\" }\n";
    let warnings = |routes: &[&str]| {
        let loaded = read(&format!("{head}{}", routes.concat()));
        assert!(loaded.config.is_ok());
        let warnings = loaded.warnings.warnings.iter();
        warnings.map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        warnings(&[some, all, some]),
        [
            "line 8, column 1: routes[2]: is never asked: the route in line 6 matches everything; \
             give it continue = true, or put it last"
        ]
    );
    let continue_matching = format!("{all}continue = true\n");
    assert!(warnings(&[some, &continue_matching, some, all]).is_empty());
}

#[test]
fn a_field_that_is_matched_by_a_glob_is_warned_of_wherever_matchers_stand() {
    let loaded = read(
        "[settings]\nrow_filter = { fields = { host = \"web*\" } }\n[receivers.a]\nslack = { webhook_url = \"https://a.example\" }\n\
         [[routes]]\nreceivers = \"a\"\nmatch = { fields = { host = [\"db1\", \"db*\"], rack = \"~^r.*\" }, text = \"~disk*\" }\n\
         [[silences]]\nname = \"s\"\nmatch = { fields = { app = \"*-test\" } }\n",
    );
    assert!(loaded.config.is_ok());
    let warnings = loaded.warnings.warnings.iter();
    let meant: Vec<_> = warnings
        .filter_map(|warning| {
            let (_, meant) = warning.message.split_once("did you mean ")?;
            Some((warning.location.position.unwrap().line, meant.to_owned()))
        })
        .collect();
    assert_eq!(
        meant,
        [
            (2, "~^web?".to_owned()),
            (7, "~^db?".to_owned()),
            (10, r"~\-test$?".to_owned()),
        ]
    );
}

#[test]
fn all_problems_are_found_at_once_in_the_order_of_the_file() {
    let text = "[settings]\nmax_attempts = 0\nnope = 1\n[receivers.a]\nslack = {}\n[[routes]]\nreceivers = [\"b\"]";
    let report = read(text).config.map(drop).unwrap_err();
    let lines: Vec<_> = report
        .errors
        .iter()
        .map(|problem| problem.location.position.unwrap().line)
        .collect();
    assert_eq!(lines, [2, 3, 5, 7]);
}

#[test]
fn without_looking_up_secrets_count_as_being_in_order() {
    let (directory, _) = world();
    let text = GOOD
        .replace("SLACK_URL", "NOT_SET")
        .replace("\"token\"", "\"not-there\"");
    let loaded = load(
        text.as_bytes(),
        directory.path(),
        &BTreeMap::new(),
        OperatorSettings::default(),
        false,
    );
    assert!(loaded.config.is_ok());
    let loaded = load(
        text.as_bytes(),
        directory.path(),
        &BTreeMap::new(),
        OperatorSettings::default(),
        true,
    );
    assert_eq!(loaded.config.map(drop).unwrap_err().errors.len(), 4);
}

#[test]
fn a_secret_file_is_trimmed_and_limited() {
    const MARK: &str = "the file secret begins with a byte order mark, which is left out";
    const BREAKS: &str = "the file secret ends with several line breaks, which are left out";
    const BOTH: &str = "the file secret begins with a byte order mark and ends with several line breaks, which are left out";
    let (directory, named) = world();
    let path = directory.path().join("secret");
    let load = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let file = "[receivers.a]\nslack = { webhook_url = { file = \"secret\" } }";
        let file = file.as_bytes();
        load(
            file,
            directory.path(),
            &named,
            OperatorSettings::default(),
            true,
        )
    };
    for (before, after, warning) in [
        ("", "", None),
        ("", "\n", None),
        ("", "\r\n", None),
        ("", "\r", None),
        ("", "\n\n", Some(BREAKS)),
        ("", "\r\n\r\n\n", Some(BREAKS)),
        ("\u{feff}", "", Some(MARK)),
        ("\u{feff}", "\r\n", Some(MARK)),
        ("\u{feff}", "\n\n", Some(BOTH)),
    ] {
        let loaded = load(format!("{before}https://a.example/x{after}").as_bytes());
        let warnings = loaded.warnings.warnings.iter();
        let warnings: Vec<_> = warnings.map(|warning| warning.message.as_str()).collect();
        assert_eq!(warnings, Vec::from_iter(warning), "{before:?} {after:?}");
        let config = loaded.config.unwrap();
        let channel = &config.receivers[0].destinations[0].channel;
        assert_eq!(channel.destination().host.as_deref(), Some("a.example"));
    }
    let long = "x".repeat(64 * 1024 + 1);
    for (bytes, words) in [
        (b"".as_slice(), "is empty"),
        (b"\n", "is empty"),
        (b"\n\r\n\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"\xef\xbb\xbf\n\n", "is empty"),
        (b"\xff\xfeh\0t\0", "is UTF-16; save it as UTF-8"),
        (b"https://\xff.example", "is no UTF-8"),
        (b"https://a.example/x\n/y", "control character"),
        (long.as_bytes(), "longer than 65536 bytes"),
    ] {
        let report = load(bytes).config.unwrap_err();
        assert!(report.errors[0].message.contains(words), "{report:?}");
    }
}

#[test]
fn ten_thousand_receivers_and_routes_are_read() {
    use std::fmt::Write as _;
    let mut text = String::new();
    for n in 0..10_000 {
        let _ = writeln!(
            text,
            "[receivers.r{n}]\nslack = {{ webhook_url = \"https://hooks.example/{n}\" }}"
        );
        let _ = writeln!(
            text,
            "[[routes]]\nmatch = {{ fields = {{ host = \"~^db{}$\" }} }}\nreceivers = [\"r{n}\"]",
            n % 100
        );
    }
    let config = read(&text).config.unwrap();
    assert_eq!(
        (config.receivers.len(), config.routes.len()),
        (10_000, 10_000)
    );
}
