//! An operator's view of the streams and changes to them, while processes use them.

mod inspection;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::runtime::Runtime;

use self::inspection::{InspectedDelivery, InspectedRequest, Inspection};
use crate::nats::Nats;
use crate::server::{Servers, Session, StreamName};
use crate::stored::RequestRecord;
use notifier_core::store::OutboxServers;
use notifier_core::store::operator::{
    DeliveryFilter, ListedDelivery, Operator, Stats, StoredState, dropped,
};
use notifier_core::store::{StoreError, StoreErrorKind};

/// An operator's connection to the servers.
pub struct JetStreamOperator {
    runtime: Runtime,
    servers: Servers,
    session: Arc<dyn Session>,
    alive: BTreeMap<String, bool>,
}

impl JetStreamOperator {
    /// Connects, finds the streams, and creates missing ones.
    pub fn open(nats: OutboxServers) -> Result<Self, StoreError> {
        let servers = Servers::new(Box::new(Nats::new(nats)));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|_| servers.error(StoreErrorKind::Stopped))?;
        let session = runtime.block_on(servers.session())?;
        Ok(Self {
            session,
            runtime,
            servers,
            alive: BTreeMap::new(),
        })
    }

    /// Visits all messages that the filter may select, the oldest first, until `visit` returns false.
    fn each(
        &mut self,
        filter: &DeliveryFilter,
        visit: &mut dyn FnMut(&mut Inspection<'_>, InspectedRequest) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let session = Arc::clone(&self.session);
        let mut work = self.work(&*session);
        for (stream, is_dead) in [(StreamName::Work, false), (StreamName::Dead, true)] {
            let subject = if is_dead {
                "notifier.dead.>"
            } else {
                "notifier.work.>"
            };
            let mut from = 1;
            while let Some(message) = work.next(stream, subject, from)? {
                from = message.sequence + 1;
                let Some(stored) = RequestRecord::read(&message.payload) else {
                    continue;
                };
                let named = filter.task.as_ref();
                if named.is_some_and(|(task, _)| !stored.task.starts_with(task.as_str())) {
                    continue;
                }
                let inspected = work.inspect(&message, stored, is_dead)?;
                if !visit(&mut work, inspected)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn work<'a>(&'a mut self, session: &'a dyn Session) -> Inspection<'a> {
        Inspection {
            runtime: &self.runtime,
            servers: &self.servers,
            session,
            alive: &mut self.alive,
        }
    }
}

impl Operator for JetStreamOperator {
    fn list(
        &mut self,
        filter: &DeliveryFilter,
        limit: usize,
    ) -> Result<Vec<ListedDelivery>, StoreError> {
        let mut listed = Vec::new();
        self.each(filter, &mut |work, inspected| {
            for index in chosen(filter, &inspected, &StoredState::ALL) {
                if let Some(delivery) = inspected.deliveries.get(&index) {
                    listed.push(work.listed(&inspected, index, delivery));
                }
            }
            Ok(listed.len() < limit)
        })?;
        listed.sort_by(|a: &ListedDelivery, b| {
            (a.accepted, &a.task, a.report.index).cmp(&(b.accepted, &b.task, b.report.index))
        });
        listed.truncate(limit);
        Ok(listed)
    }

    fn request_json(&mut self, task: &str) -> Result<Option<String>, StoreError> {
        let mut request_json = None;
        let filter = DeliveryFilter {
            task: Some((task.to_owned(), None)),
            ..DeliveryFilter::default()
        };
        self.each(&filter, &mut |_, inspected| {
            if inspected.stored.task == task {
                request_json = Some(inspected.stored.request_json);
            }
            Ok(request_json.is_none())
        })?;
        Ok(request_json)
    }

    fn retry(&mut self, filter: &DeliveryFilter) -> Result<usize, StoreError> {
        // Collect first, then change: the iteration would find a remaining dead letter again.
        let mut letters = Vec::new();
        self.each(filter, &mut |_, inspected| {
            let indices: BTreeSet<_> = chosen(filter, &inspected, &[StoredState::Dead])
                .into_iter()
                .collect();
            if inspected.is_dead && !indices.is_empty() {
                letters.push((inspected, indices));
            }
            Ok(true)
        })?;
        let session = Arc::clone(&self.session);
        let work = self.work(&*session);
        let mut count = 0;
        for (mut inspected, indices) in letters {
            work.put_back(&mut inspected, &indices)?;
            count += indices.len();
        }
        Ok(count)
    }

    fn drop(&mut self, filter: &DeliveryFilter) -> Result<usize, StoreError> {
        let mut found = Vec::new();
        self.each(filter, &mut |_, inspected| {
            let indices = chosen(
                filter,
                &inspected,
                &[StoredState::Waiting, StoredState::Dead],
            );
            if !indices.is_empty() {
                found.push((inspected, indices));
            }
            Ok(true)
        })?;
        let session = Arc::clone(&self.session);
        let work = self.work(&*session);
        let mut count = 0;
        for (inspected, indices) in found {
            count += indices.len();
            if inspected.is_dead {
                work.remove_deliveries(&inspected, &indices.into_iter().collect())?;
                continue;
            }
            for index in indices {
                let Some(delivery) = inspected.deliveries.get(&index) else {
                    continue;
                };
                let report = dropped(&delivery.report);
                work.note_dropped(&inspected, index, &report)?;
            }
        }
        Ok(count)
    }

    fn stats(&mut self) -> Result<Stats, StoreError> {
        let mut stats = Stats::default();
        self.each(&DeliveryFilter::default(), &mut |_, inspected| {
            stats.requests += 1;
            for delivery in inspected.deliveries.values() {
                match delivery.state {
                    StoredState::Waiting => stats.waiting += 1,
                    StoredState::Dead => stats.dead += 1,
                    StoredState::Ended => stats.ended += 1,
                    StoredState::Dropped => stats.dropped += 1,
                }
            }
            if !inspected.is_dead {
                let accepted = i64::try_from(inspected.stored.accepted).unwrap_or(i64::MAX);
                stats.oldest = Some(stats.oldest.map_or(accepted, |oldest| oldest.min(accepted)));
            }
            Ok(true)
        })?;
        let session = Arc::clone(&self.session);
        let work = self.work(&*session);
        for stream in [
            StreamName::Work,
            StreamName::Dead,
            StreamName::History,
            StreamName::Attempts,
            StreamName::IdempotencyKeys,
        ] {
            stats.bytes += work.ask(session.info(stream))?.bytes;
        }
        Ok(stats)
    }
}

/// Indexes of the selected deliveries in these states.
fn chosen(
    filter: &DeliveryFilter,
    inspected: &InspectedRequest,
    states: &[StoredState],
) -> Vec<usize> {
    let index = filter.task.as_ref().and_then(|(_, index)| *index);
    let is_chosen = |(at, delivery): &(&usize, &InspectedDelivery)| {
        let report = &delivery.report;
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        let failure = report.outcome.failure();
        index.is_none_or(|index| index == **at)
            && states.contains(&delivery.state)
            && (filter.states.is_empty() || filter.states.contains(&delivery.state))
            && is(&filter.sender, Some(&report.sender))
            && is(&filter.receiver, report.receiver.as_deref())
            && is(&filter.reason, failure.map(|failure| failure.reason.code()))
    };
    let all = inspected.deliveries.iter().filter(is_chosen);
    all.map(|(index, _)| *index).collect()
}
