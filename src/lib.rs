//! The extension module `influxdb3_notifier._native`. Only this crate uses pyo3.

mod engine;
mod entry;
mod log;
mod offline;
mod outbox;
mod process;
mod response;
mod rows;
mod send;
mod slice;
mod values;
mod worker;

use pyo3::prelude::*;

use notifier_core::model::notification::{AlertStatus, Level};
use notifier_core::model::outcome::Reason;

/// The functions and classes for `notifier_plugin.py` and the command line.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    notifier_core::panics::install_panic_hook();
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add(
        "PLUGIN_APIS",
        pyo3::types::PyTuple::new(module.py(), notifier_core::plugin::PLUGIN_APIS)?,
    )?;
    let tuple = |words: Vec<&'static str>| pyo3::types::PyTuple::new(module.py(), words);
    module.add("LEVELS", tuple(Level::ALL.map(Level::word).into())?)?;
    module.add(
        "STATUSES",
        tuple(AlertStatus::ALL.map(AlertStatus::word).into())?,
    )?;
    let reasons = Reason::ALL.iter().map(|reason| reason.code());
    module.add("REASONS", tuple(reasons.collect())?)?;
    module.add_function(wrap_pyfunction!(plugin_source, module)?)?;
    module.add_function(wrap_pyfunction!(channels, module)?)?;
    module.add_function(wrap_pyfunction!(offline::check, module)?)?;
    module.add_function(wrap_pyfunction!(offline::routes, module)?)?;
    module.add_function(wrap_pyfunction!(offline::render, module)?)?;
    module.add_function(wrap_pyfunction!(offline::check_templates, module)?)?;
    module.add_function(wrap_pyfunction!(offline::is_level, module)?)?;
    module.add_function(wrap_pyfunction!(send::send, module)?)?;
    module.add_function(wrap_pyfunction!(entry::process_request, module)?)?;
    module.add_function(wrap_pyfunction!(entry::process_scheduled_call, module)?)?;
    module.add_function(wrap_pyfunction!(entry::process_writes, module)?)?;
    module.add_function(wrap_pyfunction!(worker::work, module)?)?;
    module.add_function(wrap_pyfunction!(worker::stop_work, module)?)?;
    module.add_function(wrap_pyfunction!(worker::metrics, module)?)?;
    let stop = wrap_pyfunction!(process::stop, module)?;
    let atexit = module.py().import("atexit")?;
    atexit.call_method1("register", (stop,))?;
    module.add("OutboxError", module.py().get_type::<outbox::OutboxError>())?;
    module.add_class::<outbox::PyDeliveryFilter>()?;
    module.add_class::<outbox::Outbox>()
}

/// The description of every channel as a JSON list, for `influxdb3-notifier channels`.
#[pyfunction]
fn channels() -> String {
    let all = notifier_core::channels::CHANNELS.iter();
    let all: Vec<_> = all
        .map(|spec| notifier_core::channels::describe(spec))
        .collect();
    serde_json::Value::Array(all).to_string()
}

/// This wheel's plugin file, for `influxdb3-notifier install-plugin`.
#[pyfunction]
const fn plugin_source() -> &'static str {
    include_str!("../notifier_plugin.py")
}
