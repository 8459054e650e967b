//! `/_standin/…`: the control API over HTTP. Its requests are not recorded. The Rust API calls the same functions.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::fault::FaultKind;
use crate::providers::Call;
use crate::reply::Reply;
use crate::rules::Rule;
use crate::tls::{self, Serve};
use crate::world::World;

pub const PREFIX: &str = "/_standin/";
const DEFAULT_WAIT_MS: u64 = 5_000;

/// A request for a TLS listener.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TlsRequest {
    cert_pem: String,
    key_pem: String,
    /// Clients must present a certificate of this authority. Empty: client certificates are not requested.
    client_ca_pem: String,
    /// The TLS handshake never ends.
    stall: bool,
}

pub async fn reply(world: &Arc<World>, call: Call, serve: Serve) -> Reply {
    let path = call.path.strip_prefix(PREFIX).unwrap_or_default();
    let reply = match call.method {
        Method::GET => {
            wait(world, &call, path).await;
            show(world, &call, path)
        }
        Method::POST => open(world, &call, path, serve),
        Method::DELETE => clear(world, path).then(|| Reply::json(200, &json!({ "ok": true }))),
        _ => None,
    };
    reply.unwrap_or_else(|| Reply::error(404, format!("no {} {}", call.method, call.path)))
}

/// `requests` and `messages` wait for a minimum number of entries: `?at_least=3&wait_ms=2000`.
async fn wait(world: &World, call: &Call, path: &str) {
    let number = |name| {
        call.parameter(name)
            .and_then(|value| value.parse::<u64>().ok())
    };
    let Some(minimum) = number("at_least").and_then(|n| usize::try_from(n).ok()) else {
        return;
    };
    let limit = Duration::from_millis(number("wait_ms").unwrap_or(DEFAULT_WAIT_MS));
    let prefix = call.parameter("path").unwrap_or_default();
    match path {
        "requests" => {
            world
                .wait(limit, |world| world.records.count(&prefix) >= minimum)
                .await
        }
        "messages" => {
            world
                .wait(limit, |world| world.messages.count() >= minimum)
                .await
        }
        _ => {}
    }
}

fn show(world: &World, call: &Call, path: &str) -> Option<Reply> {
    Some(match path {
        "health" => ok(
            &json!({ "ok": true, "pid": std::process::id(), "connections": world.connections() }),
        ),
        "requests" => ok(&world
            .records
            .list(&call.parameter("path").unwrap_or_default())),
        "messages" => ok(&world.messages.list()),
        "rules" => ok(&world.rules.list()),
        "sink" => ok(&world.sink.report()),
        "faults" => ok(&world.faults.list()),
        _ => ok(&world.faults.report(fault_port(path)?)?),
    })
}

fn open(world: &Arc<World>, call: &Call, path: &str, serve: Serve) -> Option<Reply> {
    let reply = match path {
        "rules" => add_rules(world, call),
        "faults" => open_fault(world, call),
        "tls" => open_tls(world, call, serve),
        _ => return None,
    };
    Some(reply.unwrap_or_else(|error| error))
}

/// Clears a resource. False: it does not exist.
fn clear(world: &World, path: &str) -> bool {
    match path {
        "requests" => world.records.clear(),
        "messages" => world.messages.clear(),
        "rules" => world.rules.clear(),
        "sink" => world.sink.clear(),
        "faults" => world.faults.close_all(),
        "all" => {
            world.faults.close_all();
            world.clear();
        }
        _ => return fault_port(path).is_some_and(|port| world.faults.close(port)),
    }
    true
}

fn fault_port(path: &str) -> Option<u16> {
    path.strip_prefix("faults/")?.parse().ok()
}

fn ok(value: &impl Serialize) -> Reply {
    match serde_json::to_vec(value) {
        Ok(body) => Reply::new(200, "application/json", body),
        Err(error) => Reply::error(500, error),
    }
}

/// The body as JSON, or a 400 reply.
fn parsed(call: &Call) -> Result<Value, Reply> {
    call.json().map_err(|e| bad(format!("not JSON: {e}")))
}

fn bad(sentence: impl std::fmt::Display) -> Reply {
    Reply::error(400, sentence)
}

fn add_rules(world: &World, call: &Call) -> Result<Reply, Reply> {
    let rules = Rule::from_json(parsed(call)?).map_err(bad)?;
    let added = rules.len();
    rules.into_iter().for_each(|rule| world.rules.add(rule));
    Ok(Reply::json(200, &json!({ "added": added })))
}

fn open_fault(world: &World, call: &Call) -> Result<Reply, Reply> {
    let kind = FaultKind::try_from(parsed(call)?).map_err(bad)?;
    let fault = world.open_fault(kind).map_err(|e| Reply::error(500, e))?;
    Ok(Reply::json(
        200,
        &json!({ "port": fault.port(), "url": format!("{}/", fault.url()) }),
    ))
}

fn open_tls(world: &Arc<World>, call: &Call, serve: Serve) -> Result<Reply, Reply> {
    let request: TlsRequest =
        serde_json::from_value(parsed(call)?).map_err(|e| bad(format!("tls: {e}")))?;
    let port = if request.stall {
        world.open_fault(FaultKind::Stall).map(|fault| fault.port())
    } else {
        let clients = Some(request.client_ca_pem.as_str()).filter(|pem| !pem.is_empty());
        tls::open(world, &request.cert_pem, &request.key_pem, clients, serve)
            .map(|addr| addr.port())
    };
    let port = port.map_err(bad)?;
    Ok(Reply::json(
        200,
        &json!({ "port": port, "url": format!("https://localhost:{port}") }),
    ))
}
