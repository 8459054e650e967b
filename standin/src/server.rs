//! Listening, HTTP/1.1, and the way of one request: record, order, provider, answer.

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
use crate::providers::{Answer, Call, Provider};
use crate::record::{End, Record};
use crate::reply::{CannedReply, Reply};
use crate::rules::Order;
use crate::tls::Serving;
use crate::world::World;

/// No provider takes more; a test that sends more wants to see it refused.
const MAX_BODY: usize = 32 << 20;

/// Serves the providers until the task is aborted.
pub async fn run(world: Arc<World>, listener: TcpListener) {
    loop {
        let stream = accept(&listener).await;
        tokio::spawn(serve(Arc::clone(&world), stream, false));
    }
}

/// One connection, to its end.
pub async fn serve<S>(world: Arc<World>, stream: S, tls: bool)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = world.next_connection();
    let service = service_fn(move |request| {
        let world = Arc::clone(&world);
        async move { dispatch(&world, connection, tls, request).await }
    });
    // An error here is a client that went away or spoke no HTTP: the records show what came of it.
    let _ = hyper::server::conn::http1::Builder::new()
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// [`serve`], for listeners that the control opens.
pub fn serve_tls(world: Arc<World>, stream: TlsStream<TcpStream>) -> Serving {
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
        return world.sink.answer(request).await;
    }
    let controls = path.starts_with(control::PREFIX);
    let (parts, body) = request.into_parts();
    let call = Call::new(&parts);
    let reply = if controls {
        match read(body).await {
            Ok(body) => control::answer(world, call.with_body(body), serve_tls).await,
            Err(unread) => unread.reply(),
        }
    } else {
        recorded(world, connection, tls, call, body).await
    };
    Ok(reply.into_response())
}

/// A request to a provider: on record from its head on.
async fn recorded(world: &World, connection: u64, tls: bool, call: Call, body: Incoming) -> Reply {
    let provider = Provider::of(&call.path);
    let n = world
        .records
        .arrive(arrival(world, provider, &call, connection, tls));
    world.changed.notify_waiters();
    match read(body).await {
        Ok(body) => {
            world.records.set_body(n, body.clone());
            provide(world, provider, call.with_body(body), n).await
        }
        Err(unread) => {
            let reply = unread.reply();
            // Nobody reads the answer to a body that broke off.
            let status = matches!(unread, Unread::TooLong).then_some(reply.status);
            let problem = Some(unread.sentence().to_owned());
            end(
                world,
                n,
                End {
                    status,
                    accepted: false,
                    problem,
                },
            );
            reply
        }
    }
}

/// Why there is no body.
#[derive(Clone, Copy)]
enum Unread {
    TooLong,
    BrokenOff,
}

impl Unread {
    fn sentence(self) -> &'static str {
        match self {
            Self::TooLong => "the body is too long",
            Self::BrokenOff => "the body broke off",
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

async fn read(body: Incoming) -> Result<Bytes, Unread> {
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Unread::TooLong),
        Err(_) => Err(Unread::BrokenOff),
    }
}

fn arrival(world: &World, provider: &Provider, call: &Call, connection: u64, tls: bool) -> Record {
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

/// The provider's answer, or what a rule orders in its place. When the client goes away meanwhile this future is dropped
/// and the record stays without a status.
async fn provide(world: &World, provider: &Provider, mut call: Call, n: u64) -> Reply {
    let Order { rule, pace } = world.rules.order(call.method.as_str(), &call.full_path);
    call.any_content_type = rule.any_content_type;
    call.pace = pace;
    let exceeded = call.pace.as_ref().is_some_and(|pace| pace.exceeded);
    let taken = (rule.take && !exceeded).then(|| take(world, provider, &call, n));
    if rule.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(rule.delay_ms)).await;
    }
    if rule.hang {
        return std::future::pending().await;
    }
    let mut answer = match (taken, &rule.reply) {
        _ if exceeded => Answer::refused((provider.too_many)(&call), "over the rate limit"),
        (Some(taken), Some(canned)) => Answer {
            reply: ordered(canned),
            ..taken
        },
        (Some(taken), None) => taken,
        // Not taken, but what the provider objects to is worth knowing all the same.
        (None, Some(canned)) => Answer {
            reply: ordered(canned),
            accepted: false,
            ..(provider.answer)(world, &call)
        },
        (None, None) => take(world, provider, &call, n),
    };
    for (name, value) in &rule.headers {
        answer.reply = answer.reply.with(name, value);
    }
    let ended = End {
        status: Some(answer.reply.status),
        accepted: answer.accepted,
        problem: answer.problem,
    };
    end(world, n, ended);
    answer.reply
}

fn ordered(canned: &CannedReply) -> Reply {
    canned
        .to_reply()
        .unwrap_or_else(|sentence| Reply::error(500, sentence))
}

fn end(world: &World, n: u64, end: End) {
    world.records.end(n, end);
    world.changed.notify_waiters();
}

/// Lets the provider judge, and keeps what it accepts, before any answer is on its way.
fn take(world: &World, provider: &Provider, call: &Call, n: u64) -> Answer {
    let mut answer = (provider.answer)(world, call);
    if let Some(message) = answer.message.take() {
        world.messages.accept(message);
    }
    end(
        world,
        n,
        End {
            status: None,
            accepted: answer.accepted,
            problem: answer.problem.clone(),
        },
    );
    answer
}
