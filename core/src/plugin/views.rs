//! The views of the plugin's state.

use super::refusals::{error_detail, outbox_error, silent};
use super::{Body, Call, CallLog, Notifier, PLUGIN_APIS, RecoveryMode, Response};
use crate::alerts::view::{AlertsView, ViewFilter};
use crate::api::response::Results;
use crate::api::view::{self, StatusView};
use crate::channels::CHANNELS;
use crate::config::SettingsResult;
use crate::config::template;
use crate::model::problem::{Location, Problem};
use crate::observe::{Gauges, KEPT, TaskLog};
use crate::time_limit::files;
use crate::transport;

impl Notifier {
    pub(super) fn view(
        &self,
        view: &str,
        call: &Call,
        settings: &SettingsResult,
        broken: Option<&Problem>,
    ) -> Response {
        let error = |code, message: &str, hint: &str| {
            let error = Problem {
                code,
                message: message.to_owned(),
                location: Location::path("view"),
                hint: hint.to_owned(),
            };
            // A view writes no log line.
            silent(self.refused(400, None, &error))
        };
        if !call.body.is_empty() {
            return error(
                "view_with_body",
                "A view takes no body.",
                "Leave out `view` to send a notification, or the body to look at the view.",
            );
        }
        let body = match view {
            "status" => Body::Status(Box::new(self.status_view(settings, broken))),
            "alerts" => match self.alerts_view(call, settings) {
                Ok(view) => Body::AlertsView(Box::new(view)),
                Err(response) => return silent(*response),
            },
            "metrics" => Body::Metrics(self.sink.metrics.render(self.gauges())),
            _ => {
                let known = view::NAMES.join(", ");
                return error(
                    "unknown_view",
                    "There is no such view.",
                    &format!("The views are: {known}."),
                );
            }
        };
        Response {
            status: 200,
            retry_after: None,
            body,
            pending_log_lines: Vec::new(),
            log: CallLog::Closed(TaskLog::new(None)),
            port: None,
        }
    }

    fn alerts_view(
        &self,
        call: &Call,
        settings: &SettingsResult,
    ) -> Result<AlertsView, Box<Response>> {
        let refused = |status, error: &Problem| Box::new(self.refused(status, None, error));
        let settings = settings.as_ref().map_err(|error| refused(503, error))?;
        let filter = ViewFilter::read(&call.query, settings);
        let filter = filter.map_err(|error| refused(400, &error))?;
        if !settings.config.alerts.is_state_on() {
            return Ok(AlertsView::new("off"));
        }
        let open = self.outbox(call, settings, RecoveryMode::Once);
        let open = open.map_err(|error| refused(503, &outbox_error(&error)))?;
        let open = open.map(|(open, _)| open);
        let mut view = AlertsView::new(match settings.config.alerts.is_in_memory {
            true => "memory",
            false => "outbox",
        });
        if let Some(scope) = self.alerts(call, settings, open.as_ref())? {
            scope.show(&mut view, &filter, settings);
        }
        Ok(view)
    }

    pub(super) fn gauges(&self) -> Gauges {
        Gauges {
            outbox_depth: self.runtime.block_on(self.outboxes.depth()),
            waiting_rows: self.lanes.waiting(),
            dropped_history_rows: self.history.dropped(),
            abandoned_template_threads: template::abandoned_threads(),
            alerts: self.alerts.gauges(),
            abandoned_file_threads: files::abandoned_threads() + transport::abandoned_threads(),
            ..self.dispatcher.gauges()
        }
    }

    fn status_view(&self, settings: &SettingsResult, broken: Option<&Problem>) -> StatusView {
        let shown = |error: &Problem, message| {
            let detail = error_detail(error);
            Some(view::ViewError { message, detail })
        };
        let (status, error) = match (settings, broken) {
            (Err(error), _) => ("unusable", shown(error, error.message.clone())),
            (Ok(_), Some(error)) => (
                "outdated",
                shown(error, format!("{} {KEPT}", error.message)),
            ),
            (Ok(_), None) => ("ok", None),
        };
        let settings = settings.as_ref().ok();
        let receivers = settings.map(|settings| settings.config.receivers.iter());
        let receivers = receivers.into_iter().flatten();
        let gauges = self.gauges();
        StatusView {
            status,
            results: Results::default(),
            version: env!("CARGO_PKG_VERSION"),
            plugin_api: PLUGIN_APIS,
            channels: CHANNELS.iter().map(|spec| spec.key).collect(),
            receivers: receivers.map(|receiver| receiver.name.clone()).collect(),
            in_flight: gauges.in_flight,
            pending: gauges.pending,
            paused: gauges.paused_destinations,
            last_errors: self.sink.errors.all(),
            warnings: settings.map_or_else(Vec::new, |settings| settings.warnings.clone()),
            error,
        }
    }
}
