//! What an operator looks at and does, while processes go on working with the streams.

mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::runtime::Runtime;

use self::work::{InspectedDelivery, InspectedRequest, Inspection};
use crate::nats::Nats;
use crate::server::{Servers, Session, StreamName};
use crate::stored::RequestRecord;
use notifier_core::store::OutboxServers;
use notifier_core::store::operator::{
    DeliveryFilter, ListedDelivery, Operator, Stats, StoredState, dropped,
};
use notifier_core::store::{StoreError, StoreErrorKind};

/// An operator's own way to the servers.
pub struct JetStreamOperator {
    runtime: Runtime,
    servers: Servers,
    session: Arc<dyn Session>,
    alive: BTreeMap<String, bool>,
}

impl JetStreamOperator {
    /// Connects, and looks for the streams; those that are missing are made.
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

    /// Looks at all messages that a choice may be about, the oldest first, until `visit` has seen enough.
    fn each(
        &mut self,
        choice: &DeliveryFilter,
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
                let named = choice.task.as_ref();
                if named.is_some_and(|(task, _)| !stored.task.starts_with(task.as_str())) {
                    continue;
                }
                let looked = work.look(&message, stored, is_dead)?;
                if !visit(&mut work, looked)? {
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
        choice: &DeliveryFilter,
        limit: usize,
    ) -> Result<Vec<ListedDelivery>, StoreError> {
        let mut listed = Vec::new();
        self.each(choice, &mut |work, looked| {
            for place in chosen(choice, &looked, &StoredState::ALL) {
                if let Some(delivery) = looked.deliveries.get(&place) {
                    listed.push(work.listed(&looked, place, delivery));
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
        let choice = DeliveryFilter {
            task: Some((task.to_owned(), None)),
            ..DeliveryFilter::default()
        };
        self.each(&choice, &mut |_, looked| {
            if looked.stored.task == task {
                request_json = Some(looked.stored.request_json);
            }
            Ok(request_json.is_none())
        })?;
        Ok(request_json)
    }

    fn retry(&mut self, choice: &DeliveryFilter) -> Result<usize, StoreError> {
        // First seen, then changed: a letter that is left would be met again.
        let mut letters = Vec::new();
        self.each(choice, &mut |_, looked| {
            let places: BTreeSet<_> = chosen(choice, &looked, &[StoredState::Dead])
                .into_iter()
                .collect();
            if looked.is_dead && !places.is_empty() {
                letters.push((looked, places));
            }
            Ok(true)
        })?;
        let session = Arc::clone(&self.session);
        let work = self.work(&*session);
        let mut count = 0;
        for (mut looked, places) in letters {
            work.put_back(&mut looked, &places)?;
            count += places.len();
        }
        Ok(count)
    }

    fn drop(&mut self, choice: &DeliveryFilter) -> Result<usize, StoreError> {
        let mut found = Vec::new();
        self.each(choice, &mut |_, looked| {
            let places = chosen(choice, &looked, &[StoredState::Waiting, StoredState::Dead]);
            if !places.is_empty() {
                found.push((looked, places));
            }
            Ok(true)
        })?;
        let session = Arc::clone(&self.session);
        let work = self.work(&*session);
        let mut count = 0;
        for (looked, places) in found {
            count += places.len();
            if looked.is_dead {
                work.take_out(&looked, &places.into_iter().collect())?;
                continue;
            }
            for place in places {
                let Some(delivery) = looked.deliveries.get(&place) else {
                    continue;
                };
                let report = dropped(&delivery.report);
                work.note_dropped(&looked, place, &report)?;
            }
        }
        Ok(count)
    }

    fn stats(&mut self) -> Result<Stats, StoreError> {
        let mut stats = Stats::default();
        self.each(&DeliveryFilter::default(), &mut |_, looked| {
            stats.requests += 1;
            for delivery in looked.deliveries.values() {
                match delivery.state {
                    StoredState::Waiting => stats.waiting += 1,
                    StoredState::Dead => stats.dead += 1,
                    StoredState::Ended => stats.ended += 1,
                    StoredState::Dropped => stats.dropped += 1,
                }
            }
            if !looked.is_dead {
                let accepted = i64::try_from(looked.stored.accepted).unwrap_or(i64::MAX);
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
            StreamName::Known,
        ] {
            stats.bytes += work.ask(session.info(stream))?.bytes;
        }
        Ok(stats)
    }
}

/// Places of the deliveries that are meant, of those states.
fn chosen(
    choice: &DeliveryFilter,
    looked: &InspectedRequest,
    states: &[StoredState],
) -> Vec<usize> {
    let place = choice.task.as_ref().and_then(|(_, place)| *place);
    let is_chosen = |(at, delivery): &(&usize, &InspectedDelivery)| {
        let report = &delivery.report;
        let is = |given: &Option<String>, found: Option<&str>| {
            given.as_deref().is_none_or(|given| found == Some(given))
        };
        let failure = report.outcome.failure();
        place.is_none_or(|place| place == **at)
            && states.contains(&delivery.state)
            && (choice.states.is_empty() || choice.states.contains(&delivery.state))
            && is(&choice.sender, Some(&report.sender))
            && is(&choice.receiver, report.receiver.as_deref())
            && is(&choice.reason, failure.map(|failure| failure.reason.code()))
    };
    let all = looked.deliveries.iter().filter(is_chosen);
    all.map(|(place, _)| *place).collect()
}
