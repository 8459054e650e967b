//! A digest leaves after the messages that it refers to.

use super::*;

fn busy() -> Does {
    Answers(503, &[], String::new())
}

fn slow(seconds: u64) -> Does {
    After(Duration::from_secs(seconds), Box::new(ok()))
}

fn per_batch(limit: u32) -> DeliveryPolicy {
    DeliveryPolicy {
        max_per_batch: Some(limit),
        ..policy()
    }
}

fn keyed(key: &str, text: &str) -> PlannedDelivery {
    let notified = Notification {
        dedup_key: Some(key.into()),
        ..Notification::plain(Json::String(text.to_owned()))
    };
    notification("http", HTTP, notified)
}

impl World {
    /// Accepts the rows of a batch without closing it.
    async fn fill(
        &self,
        batch: &Arc<ThrottleBatch>,
        rows: impl IntoIterator<Item = PlannedDelivery>,
        policy: &DeliveryPolicy,
    ) -> Vec<Arc<Task>> {
        let mut tasks = Vec::new();
        for row in rows {
            let with = |request: &mut SubmitRequest| request.batch = Some(Arc::clone(batch));
            let task = self.submit_with(vec![row], policy.clone(), with);
            tasks.push(task.await);
        }
        tasks
    }

    /// The first words of each message, in the order of sending.
    fn order(&self) -> Vec<String> {
        let said = self.said().into_iter();
        said.map(|said| said.lines().next().unwrap_or_default().to_owned())
            .collect()
    }
}

const TWO_MORE: &str = "and 2 more in the same batch";

#[tokio::test(start_paused = true)]
async fn a_batchs_digest_leaves_after_its_messages_and_their_retries() {
    // The results of the two messages, and when the digest leaves.
    let cases: [(Vec<Does>, &[&str], f64); 4] = [
        (vec![ok(), ok(), ok()], &["a", "b", TWO_MORE], 0.0),
        (vec![ok(), slow(9), ok()], &["a", "b", TWO_MORE], 9.0),
        // One message waits for its retry.
        (
            vec![busy(), ok(), ok(), ok()],
            &["a", "b", "a", TWO_MORE],
            1.0,
        ),
        // One message is refused.
        (
            vec![Answers(400, &[], String::new()), ok(), ok()],
            &["a", "b", TWO_MORE],
            0.0,
        ),
    ];
    for (script, order, seconds) in cases {
        let world = World::new(script);
        let batch = world.dispatcher.batch();
        let rows = ["a", "b", "c", "d"].map(plain);
        let tasks = world.fill(&batch, rows, &per_batch(2)).await;
        batch.close();
        let told = suppressed("max_per_batch");
        assert_eq!(outcomes(&tasks[2..]).await, [told.clone(), told]);
        assert_eq!(world.order(), order);
        let left = world.times().pop().unwrap();
        assert!((left - seconds).abs() <= 0.2, "{left}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_minutes_digest_leaves_after_its_messages_and_their_retries() {
    // Retries come after some 1, 3, 7, 15, 31, 63 and 123 seconds.
    let world = World::new([vec![busy(), ok()], vec![busy(); 6], vec![ok(), ok()]].concat());
    let storm = ["a", "b", "c", "d"].map(plain);
    let tasks = world.requests(storm, per_minute(2)).await;
    let told = suppressed("max_per_minute");
    assert_eq!(outcomes(&tasks).await, [SENT, SENT, told.clone(), told]);
    assert_eq!(
        world.order().last().unwrap(),
        "and 2 more in the last minute"
    );
    let times = world.times();
    assert_eq!(times[times.len() - 2], times[times.len() - 1]);
    assert!(*times.last().unwrap() > 61.0, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_digest_leaves_after_earlier_messages_of_the_keys_that_it_mentions() {
    // The message of the key is of an earlier minute. Its retries come after some 1, 3, 7, 15, 31, 63, 123, 183 and 243 s.
    let script = [
        vec![busy(); 7],
        vec![ok()],
        vec![busy(); 2],
        vec![ok(), ok()],
    ];
    let world = World::new(script.concat());
    let first = world.requests([keyed("k", "first")], per_minute(1)).await;
    tokio::time::sleep(Duration::from_secs(85)).await;
    let storm = [plain("passes"), keyed("k", "second"), plain("x")];
    let tasks = world.requests(storm, per_minute(1)).await;
    outcomes(&tasks).await;
    assert_eq!(outcomes(&first).await, [SENT]);
    let order = world.order();
    assert_eq!(
        order[7..],
        [
            "passes",
            "first",
            "first",
            "first",
            "and 2 more in the last minute"
        ]
    );
    let times = world.times();
    assert_eq!(times[10], times[11]);
}

#[tokio::test(start_paused = true)]
async fn digests_of_one_batch_leave_in_order() {
    let world = World::new([slow(9), busy(), ok(), ok()]);
    let (batch, policy) = (world.dispatcher.batch(), per_batch(1));
    let mut tasks = world
        .fill(&batch, ["a", "b", "c"].map(plain), &policy)
        .await;
    batch.close();
    tasks.extend(
        world
            .fill(&batch, ["d", "e", "f"].map(plain), &policy)
            .await,
    );
    batch.close();
    outcomes(&tasks).await;
    let three = "and 3 more in the same batch";
    assert_eq!(world.order(), ["a", TWO_MORE, TWO_MORE, three]);
}

#[tokio::test(start_paused = true)]
async fn a_minutes_digest_leaves_after_that_of_the_minute_before() {
    // The first digest is retried until after the second minute.
    let busy = (0..7).map(|_| busy());
    let world = World::new([ok()].into_iter().chain(busy).chain([ok(), ok()]));
    let mut tasks = world
        .requests(["a", "b", "c"].map(plain), per_minute(1))
        .await;
    tokio::time::sleep(Duration::from_secs(61)).await;
    tasks.extend(
        world
            .requests(["d", "e", "f"].map(plain), per_minute(1))
            .await,
    );
    outcomes(&tasks).await;
    let order = world.order();
    assert!(
        order[1..=8]
            .iter()
            .all(|said| said == "and 2 more in the last minute")
    );
    assert_eq!(order[9..], ["and 3 more in the last minute"]);
}

#[tokio::test(start_paused = true)]
async fn a_digest_waits_for_no_other_destination_and_for_no_later_message() {
    let slow_one = |text: &str| {
        let text = Notification::plain(Json::String(text.to_owned()));
        notification("http", OTHER, text)
    };
    let world = World::new([slow(9), ok(), slow(9), ok()]);
    let (batch, policy) = (world.dispatcher.batch(), per_batch(1));
    let other = world.fill(&batch, [slow_one("other")], &policy).await;
    let tasks = world
        .fill(&batch, ["a", "b", "c"].map(plain), &policy)
        .await;
    outcomes(&tasks[..1]).await;
    let later = world.requests([plain("later")], policy).await;
    tokio::task::yield_now().await;
    batch.close();
    outcomes(&tasks).await;
    assert_eq!(world.order(), ["other", "a", "later", TWO_MORE]);
    assert_eq!(world.start.elapsed(), Duration::ZERO);
    outcomes(&[other, later].concat()).await;
}

#[tokio::test(start_paused = true)]
async fn where_there_is_no_room_a_digest_waits_no_longer_than_an_attempt_takes() {
    let world = World::new([busy(), busy(), busy(), busy(), ok(), ok()]);
    let batch = world.dispatcher.batch();
    let policy = DeliveryPolicy {
        max_in_flight: 10,
        attempt_timeout: Duration::from_secs(10),
        ..per_batch(1)
    };
    let rows = (0..10).map(|n| plain(&n.to_string()));
    let tasks = world.fill(&batch, rows, &policy).await;
    let with = |request: &mut SubmitRequest| request.batch = Some(Arc::clone(&batch));
    let more = world.try_submit(vec![plain("x")], policy, with).await;
    assert!(more.is_none());
    outcomes(&tasks).await;
    let digest = "and 9 more in the same batch";
    assert_eq!(world.order(), ["0", "0", "0", "0", digest, "0"]);
    assert_eq!(world.times()[4], 10.0);
}
