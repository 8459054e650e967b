//! The destinations of a group, as the configuration file is now.

use std::collections::HashSet;

use super::group::{Group, RouteRef};
use super::log::{DestinationId, GroupDestination};
use crate::config::Settings;
use crate::config::file::Receiver;

/// Finds destinations in the configuration file as it is now.
pub trait Destinations {
    /// The destinations of a route; none, if the file has no such route any more.
    fn of_route(&self, route: &RouteRef) -> Vec<GroupDestination>;

    /// A destination that was notified; `None`: the file has no such receiver any more.
    fn by_id(&self, id: &DestinationId) -> Option<GroupDestination>;
}

/// The destinations that a group's notifications concern: those of its route, then those that know an alert and that the
/// route does not have any more.
pub fn of_group(group: &Group, destinations: &dyn Destinations) -> Vec<GroupDestination> {
    let mut all = destinations.of_route(&group.route);
    let current: HashSet<DestinationId> = all.iter().map(|target| target.id.clone()).collect();
    let others = group.log.iter().filter(|(id, _)| !current.contains(*id));
    let former = others.filter(|(_, entry)| !entry.sent.is_empty());
    let former = former.filter_map(|(id, _)| destinations.by_id(id));
    all.extend(former.map(|target| GroupDestination {
        is_former: true,
        ..target
    }));
    all
}

impl Destinations for Settings {
    /// An address that several receivers have counts once.
    fn of_route(&self, route: &RouteRef) -> Vec<GroupDestination> {
        let config = &self.config;
        let by_name = |name: &String| config.by_name.get(name).copied();
        let indexes: Vec<usize> = match route {
            RouteRef::Route(key) => {
                let index = config.routes_by_key.get(key.as_str());
                let route = index.and_then(|index| config.routes.get(*index));
                route.map_or_else(Vec::new, |route| route.receivers.clone())
            }
            RouteRef::DefaultReceivers => self.default_receivers.clone(),
            RouteRef::Receivers(names) => names.iter().filter_map(by_name).collect(),
        };
        let mut known = HashSet::new();
        let mut targets = Vec::new();
        let receivers = indexes.iter();
        for receiver in receivers.filter_map(|index| config.receivers.get(*index)) {
            for (index, destination) in receiver.destinations.iter().enumerate() {
                if known.insert(destination.channel.destination().key.as_str()) {
                    targets.extend(target(receiver, index));
                }
            }
        }
        targets
    }

    fn by_id(&self, id: &DestinationId) -> Option<GroupDestination> {
        let receiver = *self.config.by_name.get(&id.receiver)?;
        let target = target(self.config.receivers.get(receiver)?, id.place)?;
        (target.id.sender == id.sender).then_some(target)
    }
}

fn target(receiver: &Receiver, index: usize) -> Option<GroupDestination> {
    let destination = receiver.destinations.get(index)?;
    Some(GroupDestination {
        id: DestinationId {
            receiver: receiver.name.clone(),
            sender: destination.sender.to_owned(),
            place: index,
        },
        send_resolved: receiver.send_resolved,
        keeps_incidents: destination.channel.capabilities().keeps_incidents(),
        is_former: false,
    })
}
