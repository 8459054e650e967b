//! Plans the deliveries of an ended process again from the outbox.

use jiff::Timestamp;

use super::limits::Bytes;
use super::planner::{PlannedTarget, Planner};
use crate::api::request::Request;
use crate::channels::{self, Fields, Origin};
use crate::config::Settings;
use crate::json::{self, Path};
use crate::model::outcome::{Failure, Reason};
use crate::model::plan::{Disposition, PlannedDelivery, Resume};
use crate::model::report::DeliveryReport;
use crate::store::{self, DeliveryId, StoredRequest, StoredWork};
use crate::warnings::Warnings;

/// Recovered deliveries by their indexes in the request.
pub struct RecoveredPlan {
    pub deliveries: Vec<(usize, PlannedDelivery)>,
    /// The bytes that they share.
    pub shared_bytes: usize,
}

/// Plans the open deliveries of a recovered request as before, with the same key and indexes. Rejects a delivery that
/// it cannot plan, and omits none.
pub fn recover_plan(
    kept: &StoredRequest,
    request: &Request,
    settings: &Settings,
    warnings: &mut Warnings,
) -> RecoveredPlan {
    let key = kept.identity.key.as_deref().unwrap_or(&kept.task);
    let mut planner = Planner::new(
        request,
        &request.notification,
        settings,
        key,
        Timestamp::now(),
        warnings,
    );
    let open = kept.deliveries.iter().enumerate();
    let open =
        open.filter_map(|(index, delivery)| Some((index, delivery, delivery.work.as_ref()?)));
    let again = open.map(|(index, delivery, work)| {
        planner.first = index;
        planner.bytes = Bytes::default();
        let id = DeliveryId {
            task: kept.task.clone(),
            index,
        };
        let report = &delivery.report;
        let disposition = planner.again(&id, report, work);
        let delivery = PlannedDelivery {
            sender: report.sender.clone(),
            receiver: report.receiver.clone(),
            disposition,
            origin: report.origin.clone(),
        };
        (index, delivery)
    });
    RecoveredPlan {
        deliveries: again.collect(),
        shared_bytes: planner.shared_bytes(),
    }
}

impl<'a> Planner<'a> {
    /// Returns the step for an earlier delivery.
    fn again(
        &mut self,
        id: &DeliveryId,
        report: &DeliveryReport,
        kept: &StoredWork,
    ) -> Disposition {
        let reject = |failure: Failure| Disposition::Reject {
            failure,
            path: None,
        };
        if kept.attempt_began.is_none() && kept.time_left.is_zero() {
            return reject(Failure::new(Reason::Expired));
        }
        let target = match &kept.target {
            store::Target::Receiver { name, index } => {
                self.receiver_again(name, *index, &report.sender)
            }
            store::Target::Sealed(sealed) => self.sealed_again(id, &report.sender, sealed),
        };
        let target = match target {
            Ok(target) => target,
            Err(failure) => return reject(*failure),
        };
        let path = target.path.clone();
        let disposition = self.disposition(target);
        match disposition.unwrap_or_else(|_| reject(Failure::new(Reason::TooLarge))) {
            Disposition::Send(mut sending) => {
                let same = sending.messages.hash() == kept.composition_hash;
                if !same && report.parts_delivered > 0 {
                    self.warnings.push(|| {
                        format!(
                            "{path}: composed anew after a restart it is another message: all of it is sent, though \
                             {} of {} parts had arrived",
                            report.parts_delivered, report.parts
                        )
                    });
                }
                sending.resume = Some(Box::new(Resume {
                    parts_done: if same { report.parts_delivered } else { 0 },
                    attempting: kept.attempt_began,
                    time_left: kept.time_left,
                }));
                Disposition::Send(sending)
            }
            Disposition::Preview(_) => reject(
                Failure::new(Reason::InvalidConfig)
                    .with_detail(Some("dry_run is on: nothing is sent".into()))
                    .with_hint("Turn dry_run off, then run `influxdb3-notifier outbox retry`."),
            ),
            other => other,
        }
    }

    fn receiver_again(
        &self,
        name: &str,
        index: usize,
        sender: &str,
    ) -> Result<PlannedTarget<'a>, Box<Failure>> {
        let at = self.settings.config.by_name.get(name);
        let receiver = at.and_then(|at| self.settings.config.receivers.get(*at));
        let gone = || {
            let detail = "since the notification was accepted this receiver, or its destination, has left the configuration file";
            let failure = Failure::new(Reason::UnknownReceiver).with_detail(Some(detail.into()));
            let hint = "Put it back into the file, then run `influxdb3-notifier outbox retry`.";
            Box::new(failure.with_hint(hint))
        };
        let receiver = receiver.ok_or_else(gone)?;
        let destination = receiver.destinations.get(index);
        let destination = destination.filter(|destination| destination.sender == sender);
        Ok(self.file_target(receiver, destination.ok_or_else(gone)?, index))
    }

    fn sealed_again(
        &mut self,
        id: &DeliveryId,
        sender: &str,
        sealed: &[u8],
    ) -> Result<PlannedTarget<'a>, Box<Failure>> {
        let seal = self
            .settings
            .outbox
            .as_ref()
            .and_then(|outbox| outbox.seal.as_ref());
        let opened = seal.and_then(|seal| seal.open(id, sealed));
        let configuration = opened.and_then(|opened| json::parse(opened.expose()).ok());
        let sealed = || Box::new(Failure::new(Reason::Sealed));
        let configuration = configuration.ok_or_else(sealed)?.json;
        let spec =
            channels::find(sender).ok_or_else(|| Box::new(Failure::new(Reason::UnknownSender)))?;
        let path = Path::root().key("senders_config").key(sender);
        let (members, index) = Fields::from_stored(&configuration).ok_or_else(sealed)?;
        let mut warnings = Warnings::default();
        let mut fields = Fields::new(
            spec.key,
            Origin::Request,
            spec.parameters,
            members,
            path.clone(),
            &mut warnings,
        );
        let target = self.requested(spec, fields.at(index), &path);
        target.map_err(|disposition| match *disposition {
            Disposition::Reject { failure, .. } => Box::new(failure),
            _ => Box::new(Failure::new(Reason::Internal)),
        })
    }
}
