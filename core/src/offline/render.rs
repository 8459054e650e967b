//! Renders the messages that each channel would get.

use jiff::Timestamp;
use serde::Serialize;

use crate::api::request::Request;
use crate::channels::CHANNELS;
use crate::config::Settings;
use crate::json::Json;
use crate::model::outcome::Failure;
use crate::model::plan::{Disposition, PlannedDelivery, PlannedSend};
use crate::model::problem::Problem;
use crate::routing::plan_at;
use crate::warnings::Warnings;

#[derive(Debug, Serialize)]
pub struct RenderReport {
    pub deliveries: Vec<RenderedDelivery>,
    pub warnings: Vec<String>,
}

/// One delivery.
#[derive(Debug, Serialize)]
pub struct RenderedDelivery {
    pub sender: String,
    pub receiver: Option<String>,
    /// The label in responses and log lines. `None`: its secrets were not looked up.
    pub destination: Option<String>,
    pub content_type: Option<String>,
    /// The request bodies in the order of sending.
    pub messages: Vec<String>,
    /// The number of SMS segments.
    pub segments: Option<u32>,
    /// The reason why there are no messages: `ignored`, or the reason of a failure.
    pub reason: Option<&'static str>,
    pub detail: Option<String>,
    pub path: Option<String>,
}

/// The task id, which is part of keys but of no body.
const TASK_ID: &str = "render";

impl RenderReport {
    /// Renders a request. Without a file, a request without destinations renders for every channel.
    pub(super) fn of(
        settings: &Settings,
        mut request: Request,
        has_file: bool,
        now: Timestamp,
        labels: bool,
    ) -> Result<Self, Problem> {
        request.dry_run = true;
        let names_no_receiver = request.receivers.is_empty() && request.senders.is_none();
        let made_up = names_no_receiver && !has_file;
        if made_up {
            request.senders = Some(samples());
        }
        let mut warnings = Warnings::default();
        warnings.extend_from(&settings.warnings);
        warnings.append(std::mem::take(&mut request.warnings), |warning| warning);
        let plan = plan_at(&request, settings, TASK_ID, now, &mut warnings);
        let plan = plan.map_err(|refusal| refusal.error(&request))?;
        let deliveries = plan.deliveries.into_iter().map(|delivery| {
            // A destination of the request contains no secret that needs a lookup.
            let labels = !made_up && (labels || delivery.receiver.is_none());
            rendered(delivery, labels)
        });
        Ok(Self {
            deliveries: deliveries.collect(),
            warnings: warnings.into_lines(),
        })
    }
}

/// Returns every channel with the configuration of its documentation.
fn samples() -> Vec<(String, Json)> {
    let sample = CHANNELS.iter().map(|spec| {
        let required = spec
            .parameters
            .iter()
            .filter(|parameter| parameter.required);
        let fields = required.map(|parameter| {
            let example = Json::String(parameter.example.to_owned());
            (parameter.name.to_owned(), example)
        });
        (spec.key.to_owned(), Json::Object(fields.collect()))
    });
    sample.collect()
}

fn rendered(delivery: PlannedDelivery, labels: bool) -> RenderedDelivery {
    let mut rendered = RenderedDelivery {
        sender: delivery.sender,
        receiver: delivery.receiver,
        destination: None,
        content_type: None,
        messages: Vec::new(),
        segments: None,
        reason: None,
        detail: None,
        path: None,
    };
    match delivery.disposition {
        Disposition::Preview(sending)
        | Disposition::Send(sending)
        | Disposition::Suppress { sending, .. } => {
            rendered.show(&sending, labels);
        }
        // Rendering does not use alert state.
        Disposition::Decided { .. } => {}
        Disposition::Ignore => rendered.reason = Some("ignored"),
        Disposition::Reject { failure, path } => {
            rendered.fail(&failure);
            rendered.path = path;
        }
    }
    rendered
}

impl RenderedDelivery {
    fn show(&mut self, sending: &PlannedSend, labels: bool) {
        let messages = &sending.messages.parts;
        self.destination = labels.then(|| sending.channel.destination().label.clone());
        let first = messages.first();
        self.content_type = first.map(|message| message.content_type().to_owned());
        let bodies = messages
            .iter()
            .map(|message| sending.channel.preview(message));
        self.messages = bodies.collect();
        self.segments = sending.messages.segments;
    }

    fn fail(&mut self, failure: &Failure) {
        self.reason = Some(failure.reason.code());
        self.detail = Some(match &failure.detail {
            Some(detail) => detail.as_str().to_owned(),
            None => failure.reason.sentence().to_owned(),
        });
    }
}
