//! HTTP/1.1, and the processing of one request: record, rule, provider, reply.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;

use crate::control;
use crate::listen::accept;
use crate::providers::{Call, Provider, Verdict};
use crate::record::{Record, RequestOutcome};
use crate::reply::{CannedReply, Reply};
use crate::rules::AppliedRule;
use crate::tls::ServeFuture;
use crate::world::World;

/// No provider accepts a larger body.
const MAX_BODY: usize = 32 << 20;

/// Serves the providers until the task is aborted.
pub async fn run(world: Arc<World>, listener: TcpListener) {
    loop {
        let stream = accept(&listener).await;
        tokio::spawn(serve(Arc::clone(&world), stream, false));
    }
}

/// Serves one connection until it closes.
pub async fn serve<S>(world: Arc<World>, stream: S, tls: bool)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = world.next_connection();
    let service = service_fn(move |request| {
        let world = Arc::clone(&world);
        async move { dispatch(&world, connection, tls, request).await }
    });
    // The client disconnected, or did not send HTTP. The records show the outcome.
    let _ = hyper::server::conn::http1::Builder::new()
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// [`serve`], for listeners that the control opens.
pub fn serve_tls(world: Arc<World>, stream: TlsStream<TcpStream>) -> ServeFuture {
    Box::pin(serve(world, stream, true))
}

async fn dispatch(
    world: &Arc<World>,
    connection: u64,
    tls: bool,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let path = request.uri().path();
    if path.starts_with("/sink/") {
        return world.sink.reply(request).await;
    }
    let controls = path.starts_with(control::PREFIX);
    let (parts, body) = request.into_parts();
    let call = Call::new(&parts);
    let reply = if controls {
        match read(body).await {
            Ok(body) => control::reply(world, call.with_body(body), serve_tls).await,
            Err(error) => error.reply(),
        }
    } else {
        serve_provider(world, connection, tls, call, body).await
    };
    Ok(reply.into_response())
}

/// Processes a request to a provider, which is recorded as soon as its head arrives.
async fn serve_provider(
    world: &World,
    connection: u64,
    tls: bool,
    call: Call,
    body: Incoming,
) -> Reply {
    let provider = Provider::for_path(&call.path);
    let n = world
        .records
        .add(new_record(world, provider, &call, connection, tls));
    world.changed.notify_waiters();
    match read(body).await {
        Ok(body) => {
            world.records.set_body(n, body.clone());
            apply_rule(world, provider, call.with_body(body), n).await
        }
        Err(error) => {
            let reply = error.reply();
            // The client does not read a reply to an incomplete body.
            let status = matches!(error, BodyError::TooLong).then_some(reply.status);
            let problem = Some(error.sentence().to_owned());
            set_outcome(
                world,
                n,
                RequestOutcome {
                    status,
                    accepted: false,
                    problem,
                },
            );
            reply
        }
    }
}

/// Why a body cannot be read.
#[derive(Clone, Copy)]
enum BodyError {
    TooLong,
    Incomplete,
}

impl BodyError {
    fn sentence(self) -> &'static str {
        match self {
            Self::TooLong => "the body is too long",
            Self::Incomplete => "the body is incomplete",
        }
    }

    fn reply(self) -> Reply {
        let status = if matches!(self, Self::TooLong) {
            413
        } else {
            400
        };
        Reply::error(status, self.sentence())
    }
}

async fn read(body: Incoming) -> Result<Bytes, BodyError> {
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(BodyError::TooLong),
        Err(_) => Err(BodyError::Incomplete),
    }
}

fn new_record(
    world: &World,
    provider: &Provider,
    call: &Call,
    connection: u64,
    tls: bool,
) -> Record {
    let headers = call.headers.iter().map(|(name, value)| {
        (
            name.as_str().to_owned(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        )
    });
    Record {
        n: 0,
        provider: provider.name,
        method: call.method.to_string(),
        path: call.full_path.clone(),
        query: call.query.clone(),
        headers: headers.collect(),
        body: Bytes::new(),
        status: None,
        accepted: false,
        problem: None,
        connection,
        tls,
        at_ms: world.now_ms(),
    }
}

/// The provider's reply, or the reply of a rule. If the client disconnects, hyper drops this future, and the record has no
/// status.
async fn apply_rule(world: &World, provider: &Provider, mut call: Call, n: u64) -> Reply {
    let AppliedRule {
        rule,
        rate_limit_state,
    } = world.rules.apply(call.method.as_str(), &call.full_path);
    call.any_content_type = rule.any_content_type;
    call.rate_limit_state = rate_limit_state;
    let exceeded = call
        .rate_limit_state
        .as_ref()
        .is_some_and(|state| state.exceeded);
    let accepted_first =
        (rule.accept_first && !exceeded).then(|| handle(world, provider, &call, n));
    if rule.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(rule.delay_ms)).await;
    }
    if rule.hang {
        return std::future::pending().await;
    }
    let mut verdict = match (accepted_first, &rule.reply) {
        _ if exceeded => Verdict::rejected((provider.too_many)(&call), "over the rate limit"),
        (Some(verdict), Some(canned)) => Verdict {
            reply: canned_reply(canned),
            ..verdict
        },
        (Some(verdict), None) => verdict,
        // The message is not accepted, but the record has the provider's verdict.
        (None, Some(canned)) => Verdict {
            reply: canned_reply(canned),
            accepted: false,
            ..(provider.handle)(world, &call)
        },
        (None, None) => handle(world, provider, &call, n),
    };
    for (name, value) in &rule.headers {
        verdict.reply = verdict.reply.with(name, value);
    }
    let outcome = RequestOutcome {
        status: Some(verdict.reply.status),
        accepted: verdict.accepted,
        problem: verdict.problem,
    };
    set_outcome(world, n, outcome);
    verdict.reply
}

fn canned_reply(canned: &CannedReply) -> Reply {
    canned
        .to_reply()
        .unwrap_or_else(|sentence| Reply::error(500, sentence))
}

fn set_outcome(world: &World, n: u64, outcome: RequestOutcome) {
    world.records.set_outcome(n, outcome);
    world.changed.notify_waiters();
}

/// Calls the provider, and stores the accepted message before the reply is sent.
fn handle(world: &World, provider: &Provider, call: &Call, n: u64) -> Verdict {
    let mut verdict = (provider.handle)(world, call);
    if let Some(message) = verdict.message.take() {
        world.messages.add(message);
    }
    set_outcome(
        world,
        n,
        RequestOutcome {
            status: None,
            accepted: verdict.accepted,
            problem: verdict.problem.clone(),
        },
    );
    verdict
}
