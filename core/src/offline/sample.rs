//! Sample notifications with which `check` tests parameter templates. One has plain values; the other has values that
//! JSON must escape.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::read;
use super::render::RenderReport;
use crate::config::Settings;
use crate::config::file::RenderedParameter;

const PLAIN: &str = "x";
const HOSTILE: &str = "a \"quoted\" word\nand a second line \\";
/// The maximum number of receivers to test.
const MAX_SAMPLED_RECEIVERS: usize = 100;

/// Returns warnings that occur only for values with quotes and line breaks.
pub fn warnings(settings: &Settings, now: Timestamp) -> Vec<String> {
    let config = &settings.config;
    let (mut receivers, mut paths) = (Vec::new(), BTreeSet::new());
    for receiver in &config.receivers {
        let rendered = receiver
            .destinations
            .iter()
            .flat_map(|destination| &destination.rendered);
        let templates = rendered.flat_map(|rendered| match rendered {
            RenderedParameter::One(_, template) => vec![template],
            RenderedParameter::Table(_, members) => {
                members.iter().map(|(_, template)| template).collect()
            }
        });
        let mut has_templates = false;
        for template in templates {
            has_templates = true;
            paths.extend(config.templates.paths(template));
        }
        if has_templates && receivers.len() < MAX_SAMPLED_RECEIVERS {
            receivers.push(receiver.name.as_str());
        }
    }
    if receivers.is_empty() {
        return Vec::new();
    }
    let warnings = |value| {
        let request = request(&receivers, &paths, value).to_string();
        let request = read(request.as_bytes(), &config.read_options);
        let rendering =
            request.and_then(|request| RenderReport::of(settings, request, true, now, false));
        rendering.map_or_else(|_| Vec::new(), |rendering| rendering.warnings)
    };
    let plain = warnings(PLAIN);
    let mut hostile = warnings(HOSTILE);
    hostile.retain(|warning| !plain.contains(warning));
    hostile
}

/// Returns a request with this value at each path that a template may read.
fn request(receivers: &[&str], paths: &BTreeSet<String>, value: &str) -> Value {
    let (mut fields, mut data) = (Map::new(), Map::new());
    for path in paths {
        match path.split('.').collect::<Vec<_>>().as_slice() {
            ["notification", "fields", name, ..] => insert(&mut fields, &[name], value),
            ["data", rest @ ..] => insert(&mut data, rest, value),
            _ => {}
        }
    }
    json!({
        "notification_text": value, "title": value, "level": "critical", "status": "firing", "fields": fields,
        "link": "https://example.com/", "dedup_key": value, "data": data, "receivers": receivers,
    })
}

fn insert(object: &mut Map<String, Value>, path: &[&str], value: &str) {
    let Some((name, rest)) = path.split_first() else {
        return;
    };
    let member = object
        .entry(*name)
        .or_insert_with(|| match rest.is_empty() {
            true => value.into(),
            false => Value::Object(Map::new()),
        });
    // A shorter path may already have set a text here.
    if let Some(member) = member.as_object_mut() {
        insert(member, rest, value);
    }
}
