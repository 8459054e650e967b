//! `[receivers.NAME]`: named sets of destinations.

use super::state_keys::SEND_RESOLVED;
use super::tree::{Node, TableEntry, Value};
use super::{FileDestination, Loader};
use crate::channels;
use crate::json::Path;
use crate::text::nearest;

/// A named set of destinations.
#[derive(Debug)]
pub struct Receiver {
    pub name: String,
    pub destinations: Vec<FileDestination>,
    /// Whether the receiver gets a notification when an alert resolves.
    pub send_resolved: bool,
}

impl Loader<'_> {
    pub fn receivers(&mut self, node: &Node) -> Vec<Receiver> {
        let Some(table) = self.table(node, "receivers") else {
            return Vec::new();
        };
        let receivers = table.iter().filter_map(|member| self.receiver(member));
        receivers.collect()
    }

    fn receiver(&mut self, member: &TableEntry) -> Option<Receiver> {
        let path = Path::root().key("receivers").key(&member.key);
        if channels::find(&member.key).is_some() {
            let message = format!(
                "{} is a sender's name, and results stand under names: choose another",
                member.key
            );
            self.report.error(member.position, path.as_str(), &message);
        }
        if member.key.trim().is_empty() {
            self.report
                .error(member.position, path.as_str(), "a receiver needs a name");
        }
        let table = self.table(&member.node, path.as_str())?;
        let is_channel = |member: &&TableEntry| member.key != SEND_RESOLVED;
        if !table.iter().any(|member| is_channel(&member)) {
            let known: Vec<_> = channels::CHANNELS.iter().map(|spec| spec.key).collect();
            let message = format!(
                "it has no channel; give one or several of {}",
                known.join(", ")
            );
            self.report.error(member.position, path.as_str(), &message);
        }
        let send_resolved = table.iter().find(|member| !is_channel(member));
        let send_resolved =
            send_resolved.is_none_or(|member| self.send_resolved(member, &path.key(SEND_RESOLVED)));
        let mut destinations = Vec::new();
        for channel in table.iter().filter(is_channel) {
            let Some(spec) = channels::find(&channel.key) else {
                self.unknown_channel(channel, &path);
                continue;
            };
            let path = path.key(spec.key);
            match &channel.node.value {
                Value::Array(nodes) if nodes.is_empty() => {
                    let message = "the list is empty: nobody would be told";
                    self.report
                        .error(channel.node.position, path.as_str(), message);
                }
                Value::Array(nodes) => {
                    for (index, node) in nodes.iter().enumerate() {
                        destinations.extend(self.destination(spec, node, path.index(index)));
                    }
                }
                _ => destinations.extend(self.destination(spec, &channel.node, path)),
            }
        }
        Some(Receiver {
            name: member.key.clone(),
            destinations,
            send_resolved,
        })
    }

    fn unknown_channel(&mut self, channel: &TableEntry, path: &Path) {
        let names = channels::CHANNELS.iter().map(|spec| spec.key);
        let message = match nearest(&channel.key, names.clone().chain([SEND_RESOLVED])) {
            Some(meant) => format!("there is no such channel; did you mean {meant}?"),
            None => format!(
                "there is no such channel; there are {}",
                names.collect::<Vec<_>>().join(", ")
            ),
        };
        self.report
            .error(channel.position, path.key(&channel.key).as_str(), &message);
    }
}
