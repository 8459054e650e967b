//! A small server-like program around the plugin file: CPython embedded, tokio, jemalloc, calls on blocking threads.
//!
//! Usage: `embedding PLUGIN SITE_PACKAGES`. Each line on standard input is the JSON of one request,
//! `{"args": {…} or null, "body": {…}}`, and is run at once beside the others. On standard output each answer is a line
//! `{"answer": …, "status": …}` and each log row a line `{"log": "…"}`, in the order in which they come.
//! When standard input closes, `main` returns at once, whatever is under way.

use std::ffi::CString;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use tokio::io::{AsyncBufReadExt as _, BufReader};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// `influxdb3_local`, as far as the notifier uses it.
#[pyclass]
struct Local;

#[pymethods]
impl Local {
    #[pyo3(signature = (*args))]
    fn info(&self, args: &Bound<'_, PyTuple>) -> PyResult<()> {
        log(args)
    }

    #[pyo3(signature = (*args))]
    fn warn(&self, args: &Bound<'_, PyTuple>) -> PyResult<()> {
        log(args)
    }

    #[pyo3(signature = (*args))]
    fn error(&self, args: &Bound<'_, PyTuple>) -> PyResult<()> {
        log(args)
    }
}

fn log(args: &Bound<'_, PyTuple>) -> PyResult<()> {
    let line = PyDict::new(args.py());
    let texts = args
        .iter()
        .map(|arg| Ok(arg.str()?.to_string()))
        .collect::<PyResult<Vec<_>>>()?;
    line.set_item("log", texts.join(" "))?;
    print(&line)
}

/// One line of JSON, whole, also when several threads print.
fn print(value: &Bound<'_, PyDict>) -> PyResult<()> {
    let line: String = value
        .py()
        .import("json")?
        .call_method1("dumps", (value,))?
        .extract()?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}

/// Puts the wheel's directory on `sys.path`, as the server's virtual environment does.
fn prepare(site_packages: &str) -> PyResult<()> {
    Python::attach(|py| {
        let path = py.import("sys")?.getattr("path")?;
        path.call_method1("append", (site_packages,))?;
        Ok(())
    })
}

/// One call as the engine makes it: the source compiled and executed into fresh globals, then the function.
fn call(plugin: &Path, request: &str) -> PyResult<()> {
    let source = CString::new(std::fs::read(plugin)?)?;
    Python::attach(|py| {
        let json = py.import("json")?;
        let request = json.call_method1("loads", (request,))?;
        let body = json
            .call_method1("dumps", (request.get_item("body")?,))?
            .call_method0("encode")?;
        let globals = PyDict::new(py);
        py.run(&source, Some(&globals), None)?;
        let function = py.eval(c"process_request", Some(&globals), None)?;
        let empty = PyDict::new(py);
        let arguments = (
            Bound::new(py, Local)?,
            &empty,
            &empty,
            body,
            request.get_item("args")?,
        );
        let returned = function.call1(arguments)?;
        let answer = PyDict::new(py);
        let body = json.call_method1("loads", (returned.get_item(0)?,))?;
        answer.set_item("answer", body)?;
        answer.set_item("status", returned.get_item(1)?)?;
        print(&answer)
    })
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(plugin), Some(site_packages)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: embedding PLUGIN SITE_PACKAGES");
        std::process::exit(2);
    };
    prepare(&site_packages).expect("sys.path can be extended");
    let plugin: Arc<Path> = Path::new(&plugin).into();
    let mut requests = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(request)) = requests.next_line().await {
        let plugin = Arc::clone(&plugin);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = call(&plugin, &request) {
                eprintln!("{error}");
            }
        });
    }
}
