//! Deliveries that an outbox keeps: what is stored of them, and what is asked and told at each step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::timeout;

use super::Task;
use crate::model::channel::Found;
use crate::model::outcome::Verdict;
use crate::model::plan::{ConfiguredIn, Delivery, DeliveryPolicy, Identity, Work};
use crate::model::report::DeliveryReport;
use crate::outbox::{
    Accepted, DeliveryId, KeptWork, NewDelivery, NewRequest, Outbox, OutboxError, Ownership, Seal,
    Target, Trouble,
};

/// How long a call waits for its request to be kept.
const KEEP_WITHIN: Duration = Duration::from_secs(2);

/// Where and how the deliveries of a request are kept.
#[derive(Clone)]
pub struct Keeping {
    pub outbox: Arc<dyn Outbox>,
    /// Seals the destinations that requests bring.
    pub seal: Option<Arc<Seal>>,
    /// The trigger's arguments.
    pub arguments: BTreeMap<String, String>,
    /// The request's JSON without its destinations.
    pub said: String,
    /// Whether workers deliver it, and this process does not.
    pub for_workers: bool,
}

/// Why a request was not kept. Nothing of it was sent.
#[derive(Debug)]
pub enum NotKept {
    Outbox(OutboxError),
    /// It brings destinations of its own, and there is no key to seal them with.
    NoKey,
}

impl Keeping {
    /// Keeps a request that has something to send.
    pub async fn keep(
        &self,
        task: &Task,
        identity: Identity,
        deliveries: &[(usize, Delivery)],
        policy: &DeliveryPolicy,
    ) -> Result<Accepted, NotKept> {
        let accepted = SystemTime::now();
        let deadline = accepted + policy.delivery_timeout;
        let request = NewRequest {
            task: task.id.clone(),
            identity,
            config: config_of(&self.arguments),
            arguments: self.arguments.clone(),
            said: self.said.clone(),
            warnings: task.warnings.clone(),
            accepted,
            deliveries: deliveries
                .iter()
                .zip(task.reports())
                .map(|((index, delivery), report)| {
                    let id = delivery_id(task, *index);
                    let work = self.work(&id, delivery, deadline)?;
                    Ok(NewDelivery { report, work })
                })
                .collect::<Result<_, NotKept>>()?,
        };
        let too_slow = || OutboxError::new(self.outbox.place(), Trouble::TooSlow);
        let kept = match self.for_workers {
            true => self.outbox.leave(request),
            false => self.outbox.accept(request),
        };
        let kept = timeout(KEEP_WITHIN, kept).await;
        kept.unwrap_or_else(|_| Err(too_slow()))
            .map_err(NotKept::Outbox)
    }

    fn work(
        &self,
        id: &DeliveryId,
        delivery: &Delivery,
        deadline: SystemTime,
    ) -> Result<Option<KeptWork>, NotKept> {
        let Work::Send(sending) = &delivery.work else {
            return Ok(None);
        };
        let target = match sending.configured_in.as_deref() {
            Some(ConfiguredIn::Receiver { name, index }) => Target::Receiver {
                name: name.clone(),
                index: *index,
            },
            Some(ConfiguredIn::Request(own)) => {
                let seal = self.seal.as_ref().ok_or(NotKept::NoKey)?;
                let sealed = seal.seal(id, own);
                Target::Sealed(sealed.ok_or_else(|| {
                    NotKept::Outbox(OutboxError::new(self.outbox.place(), Trouble::Broken))
                })?)
            }
            None => return Ok(None),
        };
        Ok(Some(KeptWork {
            target,
            deadline,
            composition: sending.composition.hash(),
            attempting: None,
        }))
    }
}

/// Under which configuration file a trigger's requests are kept.
pub fn config_of(arguments: &BTreeMap<String, String>) -> String {
    let path = arguments.get("config_file_path").map(|path| path.trim());
    path.unwrap_or_default().to_owned()
}

fn delivery_id(task: &Task, index: usize) -> DeliveryId {
    DeliveryId {
        task: task.id.clone(),
        index,
    }
}

/// One delivery that is kept.
pub struct Kept<'a> {
    outbox: &'a dyn Outbox,
    id: DeliveryId,
}

impl<'a> Kept<'a> {
    pub fn new(outbox: &'a dyn Outbox, task: &Task, index: usize) -> Self {
        Self {
            outbox,
            id: delivery_id(task, index),
        }
    }

    /// Whether it is still here that it is to be tried again.
    pub async fn owns(&self) -> Result<Ownership, OutboxError> {
        self.outbox.owns(&self.id).await
    }

    /// Notes that an attempt begins that must not be repeated.
    pub async fn attempting(&self, at: SystemTime) -> Result<Ownership, OutboxError> {
        self.outbox.attempting(&self.id, at).await
    }

    /// Notes what is known of such an attempt. Nobody waits for it: were it lost, it would be asked for.
    pub fn attempted(&self, verdict: &Verdict) {
        if let Verdict::Retry { .. } = verdict {
            drop(self.outbox.not_taken(&self.id));
        }
    }

    /// Notes that so many parts have arrived.
    pub async fn parts_done(&self, parts: usize) {
        let _ = self.outbox.parts_done(&self.id, parts).await;
    }

    pub async fn end(&self, report: &DeliveryReport) -> Result<(), OutboxError> {
        self.outbox.end(&self.id, report).await
    }

    /// Those of the messages that belong to no other delivery. Where that cannot be found out, none: rather ambiguous than
    /// counted twice.
    pub async fn free(&self, found: Vec<Found>) -> Vec<Found> {
        let names = found.iter().map(|found| found.message.clone()).collect();
        match self.outbox.taken(&self.id, names).await {
            Ok(taken) => found
                .into_iter()
                .filter(|found| !taken.contains(&found.message))
                .collect(),
            Err(_) => Vec::new(),
        }
    }
}
