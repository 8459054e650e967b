//! `/_standin/…`: the control over HTTP, never recorded. Each route is one call of what the Rust API calls too.

use std::sync::Arc;

use hyper::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::fault::FaultKind;
use crate::providers::Call;
use crate::reply::Reply;
use crate::rules::Rule;
use crate::tls;
use crate::world::World;

pub const PREFIX: &str = "/_standin/";

/// A request for a TLS listener.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TlsRequest {
    cert_pem: String,
    key_pem: String,
    /// The handshake never ends.
    stall: bool,
}

pub fn answer(world: &Arc<World>, call: Call) -> Reply {
    let path = call.path.strip_prefix(PREFIX).unwrap_or_default();
    let port = path
        .strip_prefix("faults/")
        .and_then(|port| port.parse().ok());
    match (call.method.clone(), path, port) {
        (Method::GET, "health", _) => ok(
            &json!({ "ok": true, "pid": std::process::id(), "connections": world.connections() }),
        ),
        (Method::GET, "requests", _) => ok(&world
            .records
            .list(&call.parameter("path").unwrap_or_default())),
        (Method::DELETE, "requests", _) => done(world.records.clear()),
        (Method::GET, "messages", _) => ok(&world.messages.list()),
        (Method::DELETE, "messages", _) => done(world.messages.clear()),
        (Method::GET, "rules", _) => ok(&world.rules.list()),
        (Method::POST, "rules", _) => add_rules(world, &call),
        (Method::DELETE, "rules", _) => done(world.rules.clear()),
        (Method::GET, "sink", _) => ok(&world.sink.report()),
        (Method::DELETE, "sink", _) => done(world.sink.clear()),
        (Method::GET, "faults", _) => ok(&world.faults.list()),
        (Method::POST, "faults", _) => open_fault(world, &call),
        (Method::DELETE, "faults", _) => done(world.faults.close_all()),
        (Method::GET, _, Some(port)) => world
            .faults
            .report(port)
            .map_or_else(|| no_fault(port), |report| ok(&report)),
        (Method::DELETE, _, Some(port)) if world.faults.close(port) => done(()),
        (Method::DELETE, _, Some(port)) => no_fault(port),
        (Method::POST, "tls", _) => open_tls(world, &call),
        (Method::DELETE, "all", _) => {
            world.faults.close_all();
            done(world.clear())
        }
        (method, ..) => Reply::error(404, format!("no {method} {}", call.path)),
    }
}

fn ok(value: &impl Serialize) -> Reply {
    match serde_json::to_vec(value) {
        Ok(body) => Reply::new(200, "application/json", body),
        Err(error) => Reply::error(500, error),
    }
}

fn done((): ()) -> Reply {
    Reply::json(200, &json!({ "ok": true }))
}

fn no_fault(port: u16) -> Reply {
    Reply::error(404, format!("no fault on port {port}"))
}

fn parsed(call: &Call) -> Result<Value, Reply> {
    call.json()
        .map_err(|e| Reply::error(400, format!("not JSON: {e}")))
}

fn add_rules(world: &World, call: &Call) -> Reply {
    match parsed(call).and_then(|value| Rule::from_json(value).map_err(|e| Reply::error(400, e))) {
        Ok(rules) => {
            let added = rules.len();
            rules.into_iter().for_each(|rule| world.rules.add(rule));
            Reply::json(200, &json!({ "added": added }))
        }
        Err(refusal) => refusal,
    }
}

fn open_fault(world: &World, call: &Call) -> Reply {
    let kind =
        parsed(call).and_then(|value| FaultKind::try_from(value).map_err(|e| Reply::error(400, e)));
    match kind.map(|kind| world.open_fault(kind)) {
        Ok(Ok(fault)) => Reply::json(
            200,
            &json!({ "port": fault.port(), "url": format!("{}/", fault.url()) }),
        ),
        Ok(Err(error)) => Reply::error(500, error),
        Err(refusal) => refusal,
    }
}

fn open_tls(world: &Arc<World>, call: &Call) -> Reply {
    let request = parsed(call).and_then(|value| {
        serde_json::from_value(value).map_err(|e| Reply::error(400, format!("tls: {e}")))
    });
    let TlsRequest {
        cert_pem,
        key_pem,
        stall,
    } = match request {
        Ok(request) => request,
        Err(refusal) => return refusal,
    };
    let port = if stall {
        world.open_fault(FaultKind::Stall).map(|fault| fault.port())
    } else {
        tls::open(world, &cert_pem, &key_pem).map(|addr| addr.port())
    };
    match port {
        Ok(port) => Reply::json(
            200,
            &json!({ "port": port, "url": format!("https://localhost:{port}") }),
        ),
        Err(error) => Reply::error(400, error),
    }
}
