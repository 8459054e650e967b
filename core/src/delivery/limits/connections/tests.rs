//! Fair shares, in paused time.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use super::shares::reserve;
use super::*;
use crate::model::policy::ClientKey;
use crate::model::wire::{HttpRequest, Outbound, Reply};
use crate::transport::{PoolKey, SendError};

/// Notes which pools were closed.
#[derive(Default)]
struct Pools(Mutex<Vec<PoolKey>>);

impl Transport for Pools {
    fn send<'a>(
        &'a self,
        _: &'a Outbound,
        _: &'a ClientKey,
        _: Duration,
    ) -> BoxFuture<'a, Result<Reply, SendError>> {
        unreachable!()
    }

    fn close_idle(&self, pool: PoolKey) {
        lock(&self.0).push(pool);
    }
}

fn connections() -> Arc<Connections> {
    Arc::new(Connections::new(Arc::new(Pools::default())))
}

fn ask(limit: usize, party: u64, request: u64) -> ConnectionRequest {
    ConnectionRequest {
        limit,
        party,
        request,
        class: ConnectionClass::Usual,
        pool: None,
    }
}

fn pool(server: u64) -> PoolKey {
    let request = HttpRequest {
        method: http::Method::POST,
        url: format!("http://server-{server}.example/").parse().unwrap(),
        headers: http::HeaderMap::new(),
        body: bytes::Bytes::new(),
        resend: crate::model::wire::ResendEffect::ShownTwice,
    };
    let client = ClientKey {
        private_addresses: crate::model::policy::PrivateAddresses::Allow,
        reuse: true,
        connect_timeout: Duration::from_secs(5),
        proxy: Arc::default(),
        tls: None,
    };
    PoolKey::of(&request, &client)
}

impl Connections {
    async fn get(self: &Arc<Self>, ask: ConnectionRequest) -> ConnectionPermit {
        match self.ask(ask) {
            Ok(connection) => connection,
            Err(waiting) => waiting.await.unwrap(),
        }
    }

    fn now(self: &Arc<Self>, ask: ConnectionRequest) -> Option<ConnectionPermit> {
        self.ask(ask).ok()
    }

    fn in_use(&self) -> usize {
        lock(&self.shares).in_use
    }

    /// No request remains.
    fn is_clean(&self) -> bool {
        let shares = lock(&self.shares);
        shares.in_use + shares.slow + shares.mail == 0
            && shares.by_party.is_empty()
            && shares.by_request.is_empty()
            && shares.lines.is_empty()
            && shares.waiting.is_empty()
    }
}

#[tokio::test]
async fn released_connections_go_to_live_waiters_in_order() {
    let connections = connections();
    let first = connections.get(ask(1, 1, 1)).await;
    let gone = connections.ask(ask(1, 2, 2)).err().unwrap();
    let second = connections.ask(ask(1, 3, 3)).err().unwrap();
    let third = connections.ask(ask(1, 4, 4)).err().unwrap();
    drop(gone);
    drop(first);
    let second = second.await.unwrap();
    assert_eq!(connections.in_use(), 1);
    drop(second);
    // Granted, and given up before it was looked at.
    drop(third);
    assert!(connections.is_clean());
}

#[tokio::test]
async fn a_party_at_its_own_limit_blocks_no_other() {
    let connections = connections();
    let held = [connections.now(ask(3, 1, 1)), connections.now(ask(3, 1, 1))];
    let mut low = connections.ask(ask(1, 2, 2)).err().unwrap();
    let third = connections.now(ask(3, 3, 3));
    assert!(third.is_some());
    let mut fourth = connections.ask(ask(3, 4, 4)).err().unwrap();
    drop(third);
    assert!((&mut fourth).now_or_never().is_some());
    drop(held);
    assert!((&mut low).now_or_never().is_some());
}

#[tokio::test]
async fn free_connections_go_to_the_party_with_the_fewest() {
    let connections = connections();
    let mut held: Vec<_> = (0..10)
        .map(|_| connections.now(ask(10, 1, 1)).unwrap())
        .collect();
    let mut waiting: Vec<_> = [1, 1, 1, 1, 1, 2, 2, 2, 2, 2]
        .iter()
        .map(|party| (*party, connections.ask(ask(10, *party, 1)).err().unwrap()))
        .collect();
    let (mut order, mut got) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        held.pop();
        let first = |(_, waiting): &mut (_, Box<PendingConnection>)| waiting.now_or_never();
        let next = waiting.iter_mut().map(first).position(|one| {
            got.extend(one.flatten());
            got.len() > order.len()
        });
        order.push(waiting.remove(next.unwrap()).0);
    }
    assert_eq!(order, [2, 2, 2, 2, 2, 1, 1, 1, 1, 1]);
}

#[tokio::test]
async fn a_request_with_one_destination_does_not_wait_behind_one_with_a_thousand() {
    let connections = connections();
    let mut held: Vec<_> = (0..4)
        .map(|n| connections.now(ask(4, n, 1)).unwrap())
        .collect();
    let many: Vec<_> = (0..1000)
        .map(|n| connections.ask(ask(4, 1000 + n, 1)).err().unwrap())
        .collect();
    let mut one = connections.ask(ask(4, 3, 2)).err().unwrap();
    drop(held.drain(..2));
    assert!((&mut one).now_or_never().is_none(), "its server is in use");
    held.clear();
    assert!(one.now_or_never().is_some());
    drop(many);
    assert!(connections.is_clean());
}

#[tokio::test]
async fn a_part_is_kept_back_for_servers_and_requests_that_use_none() {
    for limit in [1, 2, 15, 16, 64, 128, 1024] {
        let connections = connections();
        let held: Vec<_> = std::iter::from_fn(|| connections.now(ask(limit, 1, 1))).collect();
        assert_eq!(held.len(), limit - 2 * reserve(limit), "{limit}");
        let servers = (2..).map_while(|party| connections.now(ask(limit, party, 1)));
        let servers: Vec<_> = servers.collect();
        assert_eq!(servers.len(), reserve(limit), "{limit}");
        let requests = (2..).map_while(|n| connections.now(ask(limit, 10_000 + n, n)));
        let requests: Vec<_> = requests.collect();
        assert_eq!(requests.len(), reserve(limit), "{limit}");
        assert_eq!(connections.in_use(), limit);
    }
}

#[tokio::test]
async fn slow_destinations_and_mails_get_a_quarter_each_and_a_mail_server_half_of_it() {
    for (limit, quarter) in [(1, 1), (3, 1), (64, 16), (1024, 256)] {
        let of = |class, party, request| ConnectionRequest {
            class,
            ..ask(limit, party, request)
        };
        let connections = connections();
        let slow = (0..).map_while(|n| connections.now(of(ConnectionClass::Slow, n, n)));
        assert_eq!(slow.collect::<Vec<_>>().len(), quarter);
        let one = (0..).map_while(|n| connections.now(of(ConnectionClass::Mail, 1, n)));
        let one: Vec<_> = one.collect();
        assert_eq!(one.len(), quarter.div_ceil(2));
        let others = (0..).map_while(|n| connections.now(of(ConnectionClass::Mail, 10_000 + n, n)));
        assert_eq!(one.len() + others.collect::<Vec<_>>().len(), quarter);
    }
}

#[tokio::test(start_paused = true)]
async fn idle_connections_and_those_in_use_are_within_the_limit() {
    let pools = Arc::new(Pools::default());
    let transport: Arc<dyn Transport> = Arc::clone(&pools) as _;
    let connections = Arc::new(Connections::new(transport));
    let reused = |limit, server, request| ConnectionRequest {
        pool: Some(pool(server)),
        ..ask(limit, server, request)
    };
    let mut kept = 0;
    for n in 0..1500 {
        let connection = connections.now(reused(128, n, n)).unwrap();
        kept += usize::from(connection.is_reusable());
    }
    assert_eq!(kept, 64, "half of the limit within 20 s");
    assert!(connections.now(reused(128, 1, 1)).unwrap().is_reusable());
    let held: Vec<_> = (0..64)
        .map(|n| connections.now(ask(128, 10_000 + n, n)).unwrap())
        .collect();
    assert!(lock(&pools.0).is_empty());
    let next = connections.now(ask(128, 20_000, 20_000)).unwrap();
    assert_eq!(*lock(&pools.0), [pool(0)], "used the longest ago");
    drop((held, next));
    tokio::time::advance(Duration::from_secs(20)).await;
    assert!(connections.now(reused(128, 5000, 1)).unwrap().is_reusable());
}

#[tokio::test(start_paused = true)]
async fn a_pool_keeps_its_peak_until_the_client_closes_it() {
    let connections = connections();
    let reused = |server, request| ConnectionRequest {
        pool: Some(pool(server)),
        ..ask(64, server, request)
    };
    let mut held: Vec<_> = (0..50)
        .map(|n| connections.now(reused(1, n)).unwrap())
        .collect();
    held.truncate(1);
    // 49 are idle in a pool that is in use, so there is room for 14 others.
    let others = |from: u64| (from..).map_while(|n| connections.now(ask(64, n, n)));
    assert_eq!(others(1000).collect::<Vec<_>>().len(), 14);
    let again: Vec<_> = (0..49).map(|n| connections.now(reused(1, n))).collect();
    assert!(again.iter().all(Option::is_some), "the idle ones are used");
    drop(again);
    for _ in 0..3 {
        tokio::time::advance(Duration::from_secs(40)).await;
        held.push(connections.now(reused(1, 1)).unwrap());
        held.pop();
    }
    assert_eq!(others(2000).collect::<Vec<_>>().len(), 62);
    drop(held);
    assert_eq!(
        others(3000).collect::<Vec<_>>().len(),
        64,
        "the pool is closed"
    );
}

/// Other deliveries: the time of each request, its server, its request, and how long it holds the connection.
#[derive(Clone, Debug)]
struct Other {
    after: u64,
    party: u64,
    request: u64,
    holds: u64,
    class: ConnectionClass,
    limit: usize,
}

const HOLD: u64 = 15_000;

fn other() -> impl Strategy<Value = Other> {
    let class = prop_oneof![
        4 => Just(ConnectionClass::Usual),
        1 => Just(ConnectionClass::Slow),
        1 => Just(ConnectionClass::Mail)
    ];
    let holds = prop_oneof![0..50u64, Just(HOLD), Just(HOLD), 0..=HOLD];
    let limit = prop_oneof![4 => Just(64usize), 1 => 1..64usize];
    (0..40_000u64, 0..700u64, 0..20u64, holds, class, limit).prop_map(
        |(after, party, request, holds, class, limit)| Other {
            after,
            party,
            request,
            holds,
            class,
            limit,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// One delivery to an unused server begins within one attempt's duration, and mostly at once, whatever the
    /// deliveries of twenty other requests do.
    #[test]
    fn a_delivery_begins_within_the_time_of_one_attempt_whatever_others_do(
        others in proptest::collection::vec(other(), 0..1500),
        at in 0..40_000u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let waited = runtime.block_on(async {
            let connections = connections();
            let tasks: Vec<_> = others.into_iter().map(|other| {
                let connections = Arc::clone(&connections);
                tokio::spawn(async move {
                    sleep(Duration::from_millis(other.after)).await;
                    let Other { party, request, class, limit, .. } = other;
                    let asked = ConnectionRequest { class, ..ask(limit, party, request) };
                    let connection = connections.get(asked).await;
                    sleep(Duration::from_millis(other.holds)).await;
                    let (in_use, slow, mail) = {
                        let shares = lock(&connections.shares);
                        (shares.in_use, shares.slow, shares.mail)
                    };
                    assert!(in_use <= 64 && slow <= 16 && mail <= 16);
                    drop(connection);
                })
            }).collect();
            sleep(Duration::from_millis(at)).await;
            let asked = Instant::now();
            drop(connections.get(ask(64, 1_000_000, 1_000_000)).await);
            let waited = asked.elapsed();
            for task in tasks {
                task.await.unwrap();
            }
            assert!(connections.is_clean());
            waited
        });
        prop_assert!(waited <= Duration::from_millis(HOLD), "{waited:?}");
    }
}
