//! The installed wheel in an embedded interpreter. `make test` sets the variables that say where both are.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use standin::{Rule, Standin};

const PATIENCE: Duration = Duration::from_secs(20);

/// The embedding program, and the lines that it prints.
struct Server {
    process: Child,
    requests: Option<ChildStdin>,
    lines: Receiver<Value>,
}

impl Server {
    fn start() -> Self {
        let plugin = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../notifier_plugin.py");
        let mut process = Command::new(env!("CARGO_BIN_EXE_embedding"))
            .arg(plugin)
            .arg(variable("EMBEDDING_SITE_PACKAGES"))
            .env("PYTHONHOME", variable("EMBEDDING_PYTHONHOME"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        let requests = process.stdin.take();
        Self {
            process,
            requests,
            lines,
        }
    }

    fn send(&mut self, args: Value, body: Value) {
        let request = json!({ "args": args, "body": body });
        writeln!(self.requests.as_mut().unwrap(), "{request}").unwrap();
    }

    /// The next line for which `wanted` holds; lines before it are passed over.
    fn next(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self
                .lines
                .recv_timeout(left)
                .expect("the line that is waited for comes");
            if wanted(&line) {
                return line;
            }
        }
    }

    fn answer(&self) -> Value {
        self.next(|line| line.get("answer").is_some())
    }

    /// Closes standard input and waits for the end.
    fn exit(mut self) -> (ExitStatus, Duration) {
        drop(self.requests.take());
        let started = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return (status, started.elapsed());
            }
            if started.elapsed() > PATIENCE {
                self.process.kill().unwrap();
                panic!("the program hangs at its end");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make test`"))
}

fn notification(standin: &Standin, path: &str) -> Value {
    let webhook = format!("{}/hook/{path}", standin.url());
    json!({ "notification_text": "hello", "senders_config": { "http": { "http_webhook_url": webhook } } })
}

#[tokio::test]
async fn calls_that_come_together_are_all_delivered_and_answered() {
    let standin = Standin::start().await.unwrap();
    let mut server = Server::start();
    for n in 0..50 {
        server.send(Value::Null, notification(&standin, &n.to_string()));
    }
    for _ in 0..50 {
        let line = server.answer();
        assert_eq!(line["status"], 200, "{line}");
        assert_eq!(line["answer"]["results"]["http"], true, "{line}");
    }
    assert_eq!(standin.messages().len(), 50);
    let (status, _) = server.exit();
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn log_lines_of_background_work_come_after_the_call_has_returned() {
    let standin = Standin::start().await.unwrap();
    standin.rule(Rule {
        delay_ms: 300,
        ..Rule::at("/hook/*")
    });
    let mut server = Server::start();
    server.send(
        json!({ "response_timeout": "0s" }),
        notification(&standin, "late"),
    );
    let line = server.answer();
    assert_eq!(line["answer"]["results"]["http"], "pending", "{line}");
    server.next(|line| {
        line["log"]
            .as_str()
            .is_some_and(|text| text.contains("delivered"))
    });
    let (status, _) = server.exit();
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn the_process_ends_cleanly_and_at_once_with_work_in_flight() {
    let standin = Standin::start().await.unwrap();
    standin.rule(Rule {
        hang: true,
        ..Rule::at("/hook/*")
    });
    let mut server = Server::start();
    for n in 0..100 {
        server.send(
            json!({ "response_timeout": "0s" }),
            notification(&standin, &n.to_string()),
        );
    }
    for _ in 0..100 {
        server.answer();
    }
    let (status, took) = server.exit();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

/// The engine's threads have stacks of 2 MiB: what nests deeper than they hold would end the database.
#[tokio::test]
async fn a_template_that_nests_deep_ends_no_thread_of_the_engine() {
    let standin = Standin::start().await.unwrap();
    let mut server = Server::start();
    let templates = [
        format!("{{{{ {}1 }}}}", "not ".repeat(15_000)),
        format!("{{% set a = [] %}}{}{{{{ a | tojson }}}}", "{% set a = [[a]] %}".repeat(70)),
        format!("{{% set a = [] %}}{}{{{{ a | tojson }}}}", "{% set a = [[[[a]]]] %}".repeat(2_500)),
        "{% set s = namespace(x=[]) %}{% for i in range(9999) %}{% set s.x = [s.x] %}{% endfor %}{{ s.x | string }}"
            .to_owned(),
        "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}".to_owned(),
    ];
    for (n, template) in templates.iter().enumerate() {
        let file = std::env::temp_dir().join(format!("embedding-{}-{n}.toml", std::process::id()));
        let text = format!(
            "[templates.t]\ntext = '''{template}'''\n[receivers.r.http]\nwebhook_url = \"{}/hook/{n}\"\ntemplate = \"t\"\n",
            standin.url()
        );
        std::fs::write(&file, text).unwrap();
        server.send(
            json!({ "config_file_path": file.to_str().unwrap() }),
            json!({ "notification_text": "hello", "receivers": ["r"] }),
        );
        let line = server.answer();
        std::fs::remove_file(&file).unwrap();
        let answered = line["answer"]["results"]["r"] == true || line["status"] == 503;
        assert!(answered, "{line}");
    }
    let (status, _) = server.exit();
    assert!(status.success(), "{status}");
}
