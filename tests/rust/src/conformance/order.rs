//! Deliveries with the same order are sent in the order of their acceptance, in any process.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use notifier_core::store::{NewRequest, Ownership, Store};

use super::{StoreFixture, accept, claim};
use crate::fixtures::{delivered, failed, id, new_delivery, request};

pub async fn a_delivery_is_behind_an_older_one_of_its_key_that_another_process_has(
    fixture: &dyn StoreFixture,
) {
    let (one, other) = (fixture.open(), fixture.open());
    assert_eq!(accept(&*one, in_order("a", 1)).await, [0; 0]);
    // In one process, the deliveries of a key share a queue.
    assert_eq!(accept(&*one, in_order("b", 1)).await, [0; 0]);
    assert_eq!(accept(&*other, in_order("other key", 2)).await, [0; 0]);
    assert_eq!(accept(&*other, request("no key")).await, [0; 0]);
    assert_eq!(accept(&*other, in_order("c", 1)).await, [0]);
    // It is in no queue yet, so none waits behind it.
    assert_eq!(accept(&*other, in_order("d", 1)).await, [0]);
    for task in ["a", "b"] {
        assert!(other.has_older(&id("c", 0)).await.unwrap());
        assert!(!one.has_older(&id(task, 0)).await.unwrap());
        // However it ends.
        one.complete(&id(task, 0), &failed(0), None).await.unwrap();
    }
    assert!(!other.has_older(&id("c", 0)).await.unwrap());
    assert!(other.has_older(&id("d", 0)).await.unwrap());
}

pub async fn claimed_requests_keep_their_order(fixture: &dyn StoreFixture) {
    let (one, other) = (fixture.open(), fixture.open());
    for (outbox, task) in [(&one, "a"), (&other, "b"), (&one, "c")] {
        accept(&**outbox, in_order(task, 1)).await;
    }
    one.release().await.unwrap();
    let next = fixture.open();
    // A request is accepted before the process begins with its claimed ones.
    let claimed = claim(&*next).await;
    let behind: Vec<_> = claimed
        .iter()
        .map(|request| (request.task.as_str(), request.behind.len()))
        .collect();
    assert_eq!(behind, [("a", 0), ("c", 1)]);
    assert_eq!(accept(&*next, in_order("d", 1)).await, [0]);
    assert!(next.has_older(&id("c", 0)).await.unwrap());
    next.complete(&id("a", 0), &delivered(0, None), None)
        .await
        .unwrap();
    assert!(next.has_older(&id("c", 0)).await.unwrap());
    other
        .complete(&id("b", 0), &delivered(0, None), None)
        .await
        .unwrap();
    assert!(!next.has_older(&id("c", 0)).await.unwrap());
}

pub async fn an_unblocked_delivery_still_precedes_later_ones(fixture: &dyn StoreFixture) {
    let (one, other) = (fixture.open(), fixture.open());
    accept(&*one, in_order("a", 1)).await;
    assert_eq!(accept(&*other, in_order("b", 1)).await, [0]);
    one.complete(&id("a", 0), &delivered(0, None), None)
        .await
        .unwrap();
    assert_eq!(accept(&*other, in_order("c", 1)).await, [0]);
    assert!(!other.has_older(&id("b", 0)).await.unwrap());
    assert!(other.has_older(&id("c", 0)).await.unwrap());
    other
        .complete(&id("b", 0), &delivered(0, None), None)
        .await
        .unwrap();
    assert!(!other.has_older(&id("c", 0)).await.unwrap());
    assert_eq!(accept(&*other, in_order("d", 1)).await, [0; 0]);
}

pub async fn a_delivery_waits_only_for_its_destination_and_configuration_file(
    fixture: &dyn StoreFixture,
) {
    let (one, other) = (fixture.open(), fixture.open());
    let to = |task: &str, destinations: &[u8]| {
        let mut request = in_order(task, 1);
        let deliveries = destinations.iter().enumerate();
        request.deliveries = deliveries
            .map(|(index, destination)| {
                let mut delivery = new_delivery(index);
                delivery.work.as_mut().unwrap().order_key = Some([*destination; 32]);
                delivery
            })
            .collect();
        request
    };
    accept(&*one, to("a", &[1, 2])).await;
    accept(&*one, to("b", &[3])).await;
    let mut elsewhere = to("c", &[1]);
    elsewhere.config = "other.toml".to_owned();
    assert_eq!(accept(&*other, elsewhere).await, [0; 0]);
    accept(&*other, to("d", &[1, 2, 3, 4, 4])).await;
    let has_older = async |index| other.has_older(&id("d", index)).await.unwrap();
    let all = async || {
        let mut all = Vec::new();
        for index in 0..5 {
            all.push(has_older(index).await);
        }
        all
    };
    // Of two deliveries to the same destination, the second waits for the first.
    assert_eq!(all().await, [true, true, true, false, true]);
    one.complete(&id("a", 1), &delivered(1, None), None)
        .await
        .unwrap();
    assert_eq!(all().await, [true, false, true, false, true]);
    one.complete(&id("b", 0), &failed(0), None).await.unwrap();
    assert_eq!(all().await, [true, false, false, false, true]);
    one.complete(&id("a", 0), &delivered(0, None), None)
        .await
        .unwrap();
    other
        .complete(&id("d", 3), &delivered(3, None), None)
        .await
        .unwrap();
    assert_eq!(all().await, [false; 5]);
}

pub async fn a_delivery_waits_for_an_outcome_that_is_being_stored(fixture: &dyn StoreFixture) {
    let outbox = fixture.open();
    for n in 0..20 {
        accept(&*outbox, in_order(&format!("t{n}"), 1)).await;
    }
    for n in 1..20 {
        drop(outbox.complete(&id(&format!("t{}", n - 1), 0), &delivered(0, None), None));
        let has_older = outbox.has_older(&id(&format!("t{n}"), 0));
        assert!(!has_older.await.unwrap(), "{n}");
    }
}

pub async fn a_delivery_waits_for_one_that_another_process_took_over(fixture: &dyn StoreFixture) {
    let (one, other) = (fixture.open(), fixture.open());
    for task in ["a", "b"] {
        assert_eq!(accept(&*one, in_order(task, 1)).await, [0; 0]);
    }
    fixture.lapse();
    let [taken, _] = <[_; 2]>::try_from(claim(&*other).await).unwrap();
    assert_eq!(taken.task, "a");
    for task in ["a", "b"] {
        assert_eq!(
            one.check_lease(&id(task, 0)).await.unwrap(),
            Ownership::Lost
        );
    }
    assert_eq!(accept(&*one, in_order("c", 1)).await, [0]);
    for task in ["a", "b"] {
        assert!(one.has_older(&id("c", 0)).await.unwrap());
        other
            .complete(&id(task, 0), &delivered(0, None), None)
            .await
            .unwrap();
    }
    assert!(!one.has_older(&id("c", 0)).await.unwrap());
}

/// Three processes accept requests. One releases its requests, and the others continue with them.
pub async fn deliveries_of_a_key_keep_their_order_across_processes(fixture: &dyn StoreFixture) {
    const COUNT: usize = 45;
    let processes: [Process; 3] = std::array::from_fn(|_| Process::new(fixture.open()));
    let left = Arc::new(Mutex::new(Vec::new()));
    for n in 0..COUNT {
        let process = &processes[n * 7 % 5 % 3];
        let task = format!("{n:02}");
        let behind = accept(&*process.outbox, in_order(&task, 1)).await;
        process.run(task, !behind.is_empty(), &left);
        if n == COUNT / 2 {
            processes[0].outbox.release().await.unwrap();
        }
        if n % 5 == 0 {
            for process in &processes[1..] {
                process.claim(&left).await;
            }
        }
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    let expected: Vec<_> = (0..COUNT).map(|n| format!("{n:02}")).collect();
    let told = || left.lock().unwrap().clone();
    while told().last() != expected.last() {
        assert!(Instant::now() < deadline, "{:?}", told());
        for process in &processes {
            process.claim(&left).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A delivery that was released at the moment of its end may have been sent twice.
    let mut left = told();
    assert!(left.is_sorted(), "{left:?}");
    left.dedup();
    assert_eq!(left, expected);
}

/// A process that makes its deliveries of one dedup key, one after the other.
struct Process {
    outbox: Arc<dyn Store>,
    line: Arc<Mutex<Queue>>,
}

impl Process {
    fn new(outbox: Arc<dyn Store>) -> Self {
        Self {
            outbox,
            line: Arc::default(),
        }
    }

    async fn claim(&self, left: &Arc<Mutex<Vec<String>>>) {
        for request in claim(&*self.outbox).await {
            self.run(request.task, !request.behind.is_empty(), left);
        }
    }

    /// Works like delivery code: a delivery waits for its turn in the process, and asks for older ones if required.
    fn run(&self, task: String, is_behind: bool, left: &Arc<Mutex<Vec<String>>>) {
        let delivery = id(&task, 0);
        let running = self.outbox.running().start(delivery.clone()).unwrap();
        let (outbox, line, left) = (
            Arc::clone(&self.outbox),
            Arc::clone(&self.line),
            Arc::clone(left),
        );
        let mut turn = line.lock().unwrap().join();
        let must_ask = is_behind || line.lock().unwrap().waiting.len() > 1;
        tokio::spawn(async move {
            loop {
                while line.lock().unwrap().waiting.first() != Some(&turn) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                if !must_ask || !outbox.has_older(&delivery).await.unwrap() {
                    break;
                }
                line.lock().unwrap().waiting.remove(&turn);
                tokio::time::sleep(Duration::from_millis(3)).await;
                turn = line.lock().unwrap().join();
            }
            if outbox.check_lease(&delivery).await.unwrap() == Ownership::Owned {
                left.lock().unwrap().push(task);
            }
            let ended = outbox.complete(&delivery, &delivered(0, None), None);
            line.lock().unwrap().waiting.remove(&turn);
            ended.await.unwrap();
            drop(running);
        });
    }
}

#[derive(Default)]
struct Queue {
    waiting: BTreeSet<usize>,
    next: usize,
}

impl Queue {
    fn join(&mut self) -> usize {
        self.next += 1;
        self.waiting.insert(self.next);
        self.next
    }
}

/// With a dedup key; deliveries of equal numbers wait for each other.
pub fn in_order(task: &str, key: u8) -> NewRequest {
    let mut request = request(task);
    request.dedup_key = Some(key.to_string().as_str().into());
    if let Some(work) = &mut request.deliveries[0].work {
        work.order_key = Some([key; 32]);
    }
    request
}
