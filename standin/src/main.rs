//! The stand-ins as a program: prints one JSON line when it is ready, and serves until a signal.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use serde_json::json;
use standin::Standin;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

const HELP: &str = "\
Stand-ins for the providers of all channels, for tests, the demo and the benchmark.

Usage: standin [--listen 127.0.0.1:0] [--workers 2] [--until-stdin-closes]

  --listen ADDR          loopback address and port; port 0 selects a free port
  --workers N            number of server threads
  --until-stdin-closes   also stop when standard input closes, not only on SIGTERM and SIGINT
  --help                 this text

When ready it prints one line: {\"url\":\"http://127.0.0.1:PORT\",\"port\":PORT,\"pid\":PID}
Control: GET/DELETE URL/_standin/requests, messages, rules, sink; POST rules, faults, tls; GET health.
";

/// One for each connection. The usual soft limit of 1,024 is too low for a benchmark.
const MAX_FILE_DESCRIPTORS: u64 = 65_536;

struct Options {
    listen: SocketAddr,
    workers: usize,
    until_stdin_closes: bool,
}

fn main() -> ExitCode {
    match options(std::env::args().skip(1)) {
        Ok(None) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Ok(Some(options)) => finish(run(&options)),
        Err(sentence) => {
            eprintln!("standin: {sentence}\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

fn finish(end: std::io::Result<()>) -> ExitCode {
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("standin: {error}");
            ExitCode::FAILURE
        }
    }
}

/// None: `--help` was given.
fn options(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options {
        listen: ([127, 0, 0, 1], 0).into(),
        workers: 2,
        until_stdin_closes: false,
    };
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("{argument} needs a value"))
        };
        match argument.as_str() {
            "--listen" => {
                options.listen = value()?.parse().map_err(|e| format!("--listen: {e}"))?
            }
            "--workers" => {
                options.workers = value()?.parse().map_err(|e| format!("--workers: {e}"))?
            }
            "--until-stdin-closes" => options.until_stdin_closes = true,
            "--help" | "-h" => return Ok(None),
            other => return Err(format!("unknown option: {other}")),
        }
    }
    Ok(Some(options))
}

fn run(options: &Options) -> std::io::Result<()> {
    // Up to the hard limit. A lower limit is enough for tests.
    let _ = rlimit::increase_nofile_limit(MAX_FILE_DESCRIPTORS);
    let standin = Standin::start_on(options.listen, options.workers.max(1))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let ready = json!({ "url": standin.url(), "port": standin.addr().port(), "pid": std::process::id() });
        let mut out = std::io::stdout();
        writeln!(out, "{ready}").and_then(|()| out.flush())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = stdin_closed(), if options.until_stdin_closes => {}
        }
        Ok(())
    })
}

/// On a plain thread, because the runtime would wait for a blocking task when it stops.
async fn stdin_closed() {
    let (closed, wait) = oneshot::channel();
    std::thread::spawn(move || {
        // An error also means that standard input is closed.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = closed.send(());
    });
    let _ = wait.await;
}
