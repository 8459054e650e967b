use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::config::{Environment, Named, from_file};
use crate::json::Json;

/// A route of a tree with the values that it matches and its children.
#[derive(Clone, Debug)]
struct Node {
    /// Empty: the route matches everything.
    matches: Vec<u8>,
    is_negated: bool,
    continues: bool,
    has_receiver: bool,
    children: Vec<Node>,
}

impl Node {
    fn is_match(&self, value: u8) -> bool {
        match self.matches.is_empty() {
            true => true,
            false => self.matches.contains(&value) != self.is_negated,
        }
    }
}

fn nodes() -> impl Strategy<Value = Vec<Node>> {
    let node = |children| {
        let matches = prop::collection::vec(0..4_u8, 0..3);
        let flags = any::<(bool, bool, bool)>();
        (matches, flags, children).prop_map(|(matches, flags, children)| Node {
            matches,
            is_negated: flags.0,
            continues: flags.1,
            has_receiver: flags.2,
            children,
        })
    };
    let leaf = node(Just(Vec::new()).boxed());
    let tree = leaf.prop_recursive(4, 40, 4, move |inner| {
        node(prop::collection::vec(inner, 0..4).boxed())
    });
    prop::collection::vec(tree, 0..5)
}

/// Writes the routes as a file. A route with its own receiver uses the receiver with the route's number.
fn write(text: &mut String, nodes: &[Node], path: &str, number: &mut usize) {
    for node in nodes {
        let _ = writeln!(text, "[[{path}]]\ncontinue = {}", node.continues);
        if node.has_receiver || path == "routes" {
            let _ = writeln!(text, "receivers = \"r{number}\"");
        }
        if !node.matches.is_empty() {
            let not = if node.is_negated { "!" } else { "" };
            let values: Vec<_> = node
                .matches
                .iter()
                .map(|value| format!("{not}{value}"))
                .collect();
            let _ = writeln!(text, "match = {{ fields.v = {values:?} }}");
        }
        *number += 1;
        write(text, &node.children, &format!("{path}.routes"), number);
    }
}

fn settings(nodes: &[Node]) -> Settings {
    let (mut text, mut number) = (String::new(), 0);
    write(&mut text, nodes, "routes", &mut number);
    for number in 0..=number {
        let _ = writeln!(
            text,
            "[receivers.r{number}]\nslack = {{ webhook_url = \"https://a.example\" }}"
        );
    }
    let _ = writeln!(text, "[settings]\ndefault_receivers = \"r{number}\"");
    read(&text)
}

fn read(text: &str) -> Settings {
    let (path, none) = (Path::new("/n.toml"), BTreeMap::new());
    let loaded = from_file(
        text.as_bytes(),
        path,
        &none,
        &Environment::default(),
        &Named::new(),
        true,
    );
    loaded
        .settings
        .unwrap_or_else(|error| panic!("{error:?}\n{text}"))
}

fn notification(value: u8) -> Arc<Notification> {
    let mut notification = Notification::plain(Json::String("x".to_owned()));
    notification.fields = vec![("v".to_owned(), Json::Number(value.to_string()))];
    Arc::new(notification)
}

/// Implements Alertmanager's `Route.Match` for a route and its descendants. Numbers count in the order of the file.
fn expected(node: &Node, value: u8, number: &mut usize) -> Vec<usize> {
    let own = *number;
    *number += 1;
    if !node.is_match(value) {
        *number += descendants(node);
        return Vec::new();
    }
    let all = siblings(&node.children, value, number);
    if all.is_empty() { vec![own] } else { all }
}

fn siblings(nodes: &[Node], value: u8, number: &mut usize) -> Vec<usize> {
    let (mut all, mut is_over) = (Vec::new(), false);
    for node in nodes {
        if is_over {
            *number += 1 + descendants(node);
            continue;
        }
        let matches = expected(node, value, number);
        is_over = !matches.is_empty() && !node.continues;
        all.extend(matches);
    }
    all
}

fn descendants(node: &Node) -> usize {
    node.children
        .iter()
        .map(|child| 1 + descendants(child))
        .sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_tree_is_walked_as_alertmanager_walks_it(nodes in nodes()) {
        let settings = settings(&nodes);
        for value in 0..4 {
            let routed = route(&settings, &notification(value));
            prop_assert_eq!(&routed.routes, &siblings(&nodes, value, &mut 0), "{}", value);
        }
    }

    /// A value that matches a top-level route reaches its receivers or those of a descendant. Other values reach the
    /// default receivers. Nothing reaches a receiver twice.
    #[test]
    fn every_notification_reaches_a_receiver(nodes in nodes()) {
        let settings = settings(&nodes);
        let config = &settings.config;
        for value in 0..4 {
            let routed = route(&settings, &notification(value));
            let reached: Vec<_> = routed.receivers.iter().map(|reached| reached.receiver).collect();
            prop_assert!(!reached.is_empty());
            let mut each = reached.clone();
            each.sort_unstable();
            each.dedup();
            prop_assert_eq!(each.len(), reached.len());
            let mut first = 0;
            let mut is_matched = false;
            for node in &nodes {
                let end = config.routes[first].end;
                if node.is_match(value) {
                    let below: Vec<_> = (first..end).flat_map(|index| &config.routes[index].receivers).collect();
                    prop_assert!(reached.iter().any(|receiver| below.contains(&receiver)));
                    is_matched = true;
                    if !node.continues {
                        break;
                    }
                }
                first = end;
            }
            prop_assert_eq!(reached == settings.default_receivers, !is_matched);
        }
    }
}

#[test]
fn a_parent_applies_where_no_child_matches() {
    let settings = read(
        r#"
[receivers.all]
slack = { webhook_url = "https://a.example" }
[receivers.critical]
slack = { webhook_url = "https://b.example" }
[receivers.log]
slack = { webhook_url = "https://c.example" }

[[routes]]
match = { fields.host = "~^db" }
receivers = "all"
continue = true
[[routes.routes]]
match = { level = "critical" }
receivers = "critical"
[[routes]]
match = { level = "!ok" }
receivers = "log"
"#,
    );
    let reached = |host: &str, level: &str| {
        let mut notification = Notification::plain(Json::String("x".to_owned()));
        notification.level = crate::model::notification::Level::parse(level);
        notification.fields = vec![("host".to_owned(), Json::String(host.to_owned()))];
        let routed = route(&settings, &Arc::new(notification));
        let names = routed.receivers.iter().map(|reached| {
            let receiver = settings.config.receivers.get(reached.receiver).unwrap();
            receiver.name.clone()
        });
        names.collect::<Vec<_>>()
    };
    assert_eq!(reached("db1", "critical"), ["critical", "log"]);
    assert_eq!(reached("db1", "error"), ["all", "log"]);
    assert_eq!(reached("db1", "ok"), ["all"]);
    assert_eq!(reached("web1", "critical"), ["log"]);
    assert_eq!(reached("web1", "ok"), [""; 0]);
}

#[test]
fn a_child_sees_the_fields_that_its_parent_makes() {
    let settings = read(
        r#"
[receivers.a]
slack = { webhook_url = "https://a.example" }
[receivers.b]
slack = { webhook_url = "https://b.example" }
[receivers.c]
slack = { webhook_url = "https://c.example" }

[[routes]]
receivers = "a"
extract = '~on (?<host>\w+)'
continue = true
[[routes.routes]]
match = { fields.host = "db1" }
extract = '~disk (?<disk>\w+)'
receivers = "b"
[[routes]]
match = { fields.disk = "sda" }
receivers = "c"
"#,
    );
    let routes = |text: &str| {
        let notification = Notification::plain(Json::String(text.to_owned()));
        let routed = route(&settings, &Arc::new(notification));
        (routed.routes, routed.notification.fields.len())
    };
    assert_eq!(routes("disk sda on db1"), (vec![1, 2], 2));
    assert_eq!(routes("disk sda on db2"), (vec![0], 1));
    assert_eq!(routes("disk sdb on db1"), (vec![1], 2));
    assert_eq!(routes("nothing"), (vec![0], 0));
}
