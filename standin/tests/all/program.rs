//! The program: one line when ready, an end when told.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_standin");

fn start(arguments: &[&str]) -> (Child, Value) {
    let mut command = Command::new(PROGRAM);
    let mut child = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut line = String::new();
    let out = child.stdout.take().expect("an output");
    BufReader::new(out).read_line(&mut line).expect("a line");
    (child, serde_json::from_str(&line).expect("JSON"))
}

#[test]
fn the_program_prints_its_address_and_stops_when_standard_input_closes() {
    let (mut child, ready) = start(&["--until-stdin-closes"]);
    assert_eq!(ready["pid"], child.id());
    let port = ready["port"].as_u64().expect("a port");
    assert_eq!(ready["url"], format!("http://127.0.0.1:{port}"));
    let addr = format!("127.0.0.1:{port}").parse().expect("an address");
    assert_eq!(
        crate::client::get(addr, "/_standin/health").json()["pid"],
        child.id()
    );
    drop(child.stdin.take());
    assert!(child.wait().expect("ends").success());
}

#[test]
fn the_program_stops_on_sigterm() {
    let (mut child, _) = start(&["--listen", "[::1]:0"]);
    let killed = Command::new("kill")
        .arg(child.id().to_string())
        .status()
        .expect("kill");
    assert!(killed.success() && child.wait().expect("ends").success());
}

#[test]
fn invalid_arguments_are_reported() {
    for (arguments, code, error) in [
        (&["--help"][..], 0, ""),
        (&["--nothing"], 2, "unknown option: --nothing"),
        (&["--listen"], 2, "needs a value"),
        (&["--listen", "0.0.0.0:0"], 1, "not a loopback address"),
    ] {
        let output = Command::new(PROGRAM)
            .args(arguments)
            .output()
            .expect("runs");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(error),
            "{arguments:?}"
        );
    }
}
