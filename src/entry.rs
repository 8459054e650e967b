//! What the engine calls. Nothing here lets a panic or an exception through.

use std::sync::Mutex;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::answer::PyResponse;
use super::process::{
    call, connect, current_process, hand_over, internal_error, refused, respond, unusable,
    with_variables,
};
use super::values::{bytes, lower_case, strings};
use super::{engine, rows};
use notifier_core::delivery::config_of;
use notifier_core::panics::catch_panic;
use notifier_core::plugin::{Call, PLUGIN_APIS, Response, Scheduled};

/// Answers a request of the engine. Never raises.
///
/// Gives `(body, status)` or `(body, status, headers)`; the body is a dict, or a str that the engine passes on as it is.
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
    let answer = catch_panic(|| {
        answer(
            py,
            plugin_api,
            influxdb3_local,
            query_parameters,
            request_headers,
            request_body,
            args,
        )
    });
    let answer = answer.unwrap_or_else(|place| PyResponse::new(internal_error(&place)));
    // The answer goes, whatever becomes of the log.
    let _ = catch_panic(|| {
        engine::write(influxdb3_local, &answer.news);
        connect(influxdb3_local, answer.port.as_deref());
        hand_over(py, influxdb3_local, &answer.log);
        write_history(influxdb3_local, args, HISTORY_IN_A_CALL);
    });
    answer.into_python(py)
}

/// Makes notifications of the rows that were written to a table. Never raises; what is to be said is in the log.
#[pyfunction]
pub fn process_writes(
    py: Python<'_>,
    plugin_api: &Bound<'_, PyAny>,
    influxdb3_local: &Bound<'_, PyAny>,
    table_batches: &Bound<'_, PyAny>,
    args: &Bound<'_, PyAny>,
) {
    let done = catch_panic(|| {
        fits(plugin_api)?;
        let process = current_process()?;
        let tables = Mutex::new(rows::read(table_batches));
        let late = process.log.late(influxdb3_local.clone().unbind());
        let call = Call {
            trigger: engine::trigger_mark(influxdb3_local),
            ..call(strings(args))
        };
        with_variables(py, process, call, |call| {
            process.notifier.process_writes(call, &tables, &late)
        })
    });
    finish(py, influxdb3_local, args, done, HISTORY_IN_A_CALL);
}

/// Goes on with what former processes have left in the outbox. Never raises; what is to be said is in the log.
#[pyfunction]
pub fn process_scheduled_call(
    py: Python<'_>,
    plugin_api: &Bound<'_, PyAny>,
    influxdb3_local: &Bound<'_, PyAny>,
    call_time: &Bound<'_, PyAny>,
    args: &Bound<'_, PyAny>,
) {
    // Nothing depends on when it was to be.
    let _ = call_time;
    let done = catch_panic(|| {
        fits(plugin_api)?;
        let process = current_process()?;
        with_variables(py, process, call(strings(args)), |call| {
            process.notifier.process_scheduled_call(call)
        })
    });
    finish(py, influxdb3_local, args, done, HISTORY_IN_A_SCHEDULED_CALL);
}

/// How long an answer, and the writers of a table, wait for the history.
const HISTORY_IN_A_CALL: Duration = Duration::from_millis(10);
/// Nobody waits for a scheduled call.
const HISTORY_IN_A_SCHEDULED_CALL: Duration = Duration::from_secs(1);

/// Writes the lines of a call that answers nothing, and the history.
fn finish(
    py: Python<'_>,
    influxdb3_local: &Bound<'_, PyAny>,
    args: &Bound<'_, PyAny>,
    done: Result<Result<Scheduled, Box<Response>>, String>,
    history: Duration,
) {
    let done = done.unwrap_or_else(|place| Err(Box::new(internal_error(&place))));
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

/// Writes what deliveries have left for the history, where they ended under the same configuration file.
fn write_history(influxdb3_local: &Bound<'_, PyAny>, args: &Bound<'_, PyAny>, time: Duration) {
    if let Ok(process) = current_process()
        && !process.notifier.history().is_empty()
    {
        let config = config_of(&strings(args));
        engine::write_history(influxdb3_local, &process.notifier, &config, time);
    }
}

/// Whether this wheel works with the plugin file that calls.
fn fits(plugin_api: &Bound<'_, PyAny>) -> Result<(), Box<Response>> {
    let plugin_api: Option<i64> = plugin_api.extract().ok();
    match plugin_api.is_some_and(|number| PLUGIN_APIS.contains(&number)) {
        true => Ok(()),
        false => Err(Box::new(wheel_incompatible())),
    }
}

#[allow(clippy::too_many_arguments)] // What the engine passes.
fn answer(
    py: Python<'_>,
    plugin_api: &Bound<'_, PyAny>,
    influxdb3_local: &Bound<'_, PyAny>,
    query_parameters: &Bound<'_, PyAny>,
    request_headers: &Bound<'_, PyAny>,
    request_body: &Bound<'_, PyAny>,
    args: &Bound<'_, PyAny>,
) -> PyResponse {
    if let Err(response) = fits(plugin_api) {
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
        trigger: engine::trigger_mark(influxdb3_local),
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
