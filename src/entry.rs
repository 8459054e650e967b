//! The functions that `notifier_plugin.py` calls. They never panic, and `process_request` never raises.

use std::sync::Mutex;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::process::{
    call, connect, current_process, hand_over, internal_error, refused, respond, unusable,
    with_variables,
};
use super::response::PyResponse;
use super::values::{bytes, lower_case, strings};
use super::{engine, rows};
use notifier_core::delivery::config_of;
use notifier_core::panics::catch_panic;
use notifier_core::plugin::{Call, PLUGIN_APIS, Response, Scheduled};

/// Processes a request of a `request:` trigger. Never raises.
///
/// Returns `(body, status)` or `(body, status, headers)`. The body is a dict, or a str that the engine does not change.
#[pyfunction]
pub fn process_request<'py>(
    py: Python<'py>,
    plugin_api: &Bound<'py, PyAny>,
    influxdb3_local: &Bound<'py, PyAny>,
    query_parameters: &Bound<'py, PyAny>,
    request_headers: &Bound<'py, PyAny>,
    request_body: &Bound<'py, PyAny>,
    args: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyTuple>> {
    let response = catch_panic(|| {
        response(
            py,
            plugin_api,
            influxdb3_local,
            query_parameters,
            request_headers,
            request_body,
            args,
        )
    });
    let response = response.unwrap_or_else(|location| PyResponse::new(internal_error(&location)));
    // A panic in the log code must not fail the response.
    let _ = catch_panic(|| {
        engine::write(influxdb3_local, &response.config_log);
        connect(influxdb3_local, response.port.as_deref());
        hand_over(py, influxdb3_local, &response.log);
        write_history(influxdb3_local, args, HISTORY_TIME);
    });
    response.into_python(py)
}

/// Makes notifications from rows that were written to a table. Never raises; logs errors.
#[pyfunction]
pub fn process_writes(
    py: Python<'_>,
    plugin_api: &Bound<'_, PyAny>,
    influxdb3_local: &Bound<'_, PyAny>,
    table_batches: &Bound<'_, PyAny>,
    args: &Bound<'_, PyAny>,
) {
    let done = catch_panic(|| {
        check_plugin_api(plugin_api)?;
        let process = current_process()?;
        let tables = Mutex::new(rows::read(table_batches));
        let late = process.log.deferred_log(influxdb3_local.clone().unbind());
        let call = Call {
            trigger: engine::trigger_id(influxdb3_local),
            ..call(strings(args))
        };
        with_variables(py, process, call, |call| {
            process.notifier.process_writes(call, &tables, &late)
        })
    });
    finish(py, influxdb3_local, args, done, HISTORY_TIME);
}

/// Recovers the requests that stopped processes left in the outbox. Never raises; logs errors.
#[pyfunction]
pub fn process_scheduled_call(
    py: Python<'_>,
    plugin_api: &Bound<'_, PyAny>,
    influxdb3_local: &Bound<'_, PyAny>,
    call_time: &Bound<'_, PyAny>,
    args: &Bound<'_, PyAny>,
) {
    // The scheduled time does not matter.
    let _ = call_time;
    let done = catch_panic(|| {
        check_plugin_api(plugin_api)?;
        let process = current_process()?;
        with_variables(py, process, call(strings(args)), |call| {
            process.notifier.process_scheduled_call(call)
        })
    });
    finish(py, influxdb3_local, args, done, SCHEDULED_HISTORY_TIME);
}

/// The time limit for history writes in a call of a request or table trigger, because a caller waits for it.
const HISTORY_TIME: Duration = Duration::from_millis(10);
/// The time limit for history writes in a scheduled call. No caller waits for it.
const SCHEDULED_HISTORY_TIME: Duration = Duration::from_secs(1);

/// Writes the log lines and the history of a call that returns nothing.
fn finish(
    py: Python<'_>,
    influxdb3_local: &Bound<'_, PyAny>,
    args: &Bound<'_, PyAny>,
    done: Result<Result<Scheduled, Box<Response>>, String>,
    history: Duration,
) {
    let done = done.unwrap_or_else(|location| Err(Box::new(internal_error(&location))));
    let _ = catch_panic(|| {
        match done {
            Ok(Scheduled { lines, port }) => {
                engine::write(influxdb3_local, &lines);
                connect(influxdb3_local, port.as_deref());
            }
            Err(response) => hand_over(py, influxdb3_local, &response.log),
        }
        write_history(influxdb3_local, args, history);
    });
}

/// Writes the queued history rows of the trigger's configuration file.
fn write_history(influxdb3_local: &Bound<'_, PyAny>, args: &Bound<'_, PyAny>, time: Duration) {
    if let Ok(process) = current_process()
        && !process.notifier.history().is_empty()
    {
        let config = config_of(&strings(args));
        engine::write_history(influxdb3_local, &process.notifier, &config, time);
    }
}

/// Checks whether this wheel supports the calling plugin file.
fn check_plugin_api(plugin_api: &Bound<'_, PyAny>) -> Result<(), Box<Response>> {
    let plugin_api: Option<i64> = plugin_api.extract().ok();
    match plugin_api.is_some_and(|number| PLUGIN_APIS.contains(&number)) {
        true => Ok(()),
        false => Err(Box::new(wheel_incompatible())),
    }
}

#[allow(clippy::too_many_arguments)] // The engine's arguments.
fn response(
    py: Python<'_>,
    plugin_api: &Bound<'_, PyAny>,
    influxdb3_local: &Bound<'_, PyAny>,
    query_parameters: &Bound<'_, PyAny>,
    request_headers: &Bound<'_, PyAny>,
    request_body: &Bound<'_, PyAny>,
    args: &Bound<'_, PyAny>,
) -> PyResponse {
    if let Err(response) = check_plugin_api(plugin_api) {
        return PyResponse::new(*response);
    }
    let body = match bytes(request_body) {
        Ok(body) => body,
        Err(error) => return PyResponse::new(refused(400, &error)),
    };
    let call = Call {
        query: strings(query_parameters),
        headers: lower_case(strings(request_headers)),
        body,
        trigger: engine::trigger_id(influxdb3_local),
        ..call(strings(args))
    };
    respond(py, call, PyResponse::new)
}

fn wheel_incompatible() -> Response {
    unusable(
        "wheel_incompatible",
        "The installed influxdb3-notifier package does not fit this notifier_plugin.py: nothing was sent.",
        format!(
            "Write the file of this package, {version}, with: influxdb3-notifier install-plugin --force PLUGIN_DIR. \
             Or install the package that the file names as WHEEL_VERSION, with: influxdb3 install package \
             'influxdb3-notifier==X.Y.Z', and restart the server.",
            version = env!("CARGO_PKG_VERSION")
        ),
    )
}
