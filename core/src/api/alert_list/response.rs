//! The response to a body with alerts.

use serde::Serialize;

use crate::api::response::{ErrorResponse, RequestResponse, RequestStatus, Results};
use crate::model::report::{DeliveryReport, RequestReport};

/// The combined status of all alerts of a body, and of each new alert.
#[derive(Debug, Serialize)]
pub struct AlertListResponse {
    pub status: RequestStatus,
    message: &'static str,
    /// Each alert has its own task.
    task_id: (),
    /// The worst result of each receiver.
    results: Results,
    deliveries: [(); 0],
    warnings: Vec<String>,
    alerts: Vec<AlertEntry>,
    /// The number of known alerts: they cause no new notification.
    unchanged: usize,
}

/// One alert.
#[derive(Debug, Serialize)]
pub struct AlertEntry {
    /// The index in the body.
    index: usize,
    #[serde(flatten)]
    response: AlertResponse,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum AlertResponse {
    Accepted(Box<RequestResponse>),
    Refused(Box<ErrorResponse>),
}

impl AlertListResponse {
    /// `accepted` and `refused` have the alerts' indexes in the body. `unchanged` counts further alerts.
    pub fn new(
        accepted: Vec<(usize, RequestReport)>,
        refused: Vec<(usize, ErrorResponse)>,
        unchanged: usize,
        warnings: Vec<String>,
    ) -> Self {
        let is_unchanged = |(_, report): &(usize, RequestReport)| {
            let mut outcomes = report.deliveries.iter().map(|delivery| &delivery.outcome);
            !report.deliveries.is_empty() && outcomes.all(|outcome| outcome.is_unchanged())
        };
        let (repeated, accepted): (Vec<_>, Vec<_>) = accepted.into_iter().partition(is_unchanged);
        let deliveries: Vec<DeliveryReport> = accepted
            .iter()
            .flat_map(|(_, report)| report.deliveries.iter().cloned())
            .collect();
        let unchanged = unchanged + repeated.len();
        let status = match (refused.is_empty(), accepted.len() + unchanged) {
            (true, _) => RequestStatus::of(&deliveries),
            (false, 0) => RequestStatus::Failed,
            (false, _) => RequestStatus::Partial,
        };
        let accepted = accepted.into_iter().map(|(index, report)| AlertEntry {
            index,
            response: AlertResponse::Accepted(Box::new(RequestResponse::new(report))),
        });
        let refused = refused.into_iter().map(|(index, error)| AlertEntry {
            index,
            response: AlertResponse::Refused(Box::new(error)),
        });
        let mut alerts: Vec<_> = accepted.chain(refused).collect();
        alerts.sort_by_key(|alert| alert.index);
        Self {
            status,
            message: "Alerts processed",
            task_id: (),
            results: Results::of(&deliveries),
            deliveries: [],
            warnings,
            alerts,
            unchanged,
        }
    }

    /// Returns the warnings about the whole body.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Returns the number of alerts in the response.
    pub const fn size(&self) -> usize {
        self.alerts.len()
    }
}
