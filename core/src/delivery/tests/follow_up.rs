//! Tests messages with a dedup key that was sent before.

use super::*;

/// Returns a delivery of this text by Discord, which edits resolved messages.
fn follow_up(text: &str, dedup_key: &str, status: Option<AlertStatus>) -> PlannedDelivery {
    let follow_up = Notification {
        status,
        dedup_key: Some(dedup_key.into()),
        ..Notification::plain(Json::String(text.to_owned()))
    };
    notification("discord", DISCORD, follow_up)
}

fn message(id: &str) -> Does {
    Answers(200, &[], json!({ "id": id }).to_string())
}

fn not_found() -> Does {
    let body = json!({"code": 10008, "message": "Unknown Message"});
    Answers(404, &[], body.to_string())
}

impl World {
    /// Sends these one after the other to their ends.
    async fn follow_ups(
        &self,
        deliveries: impl IntoIterator<Item = PlannedDelivery>,
    ) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for delivery in deliveries {
            let task = self.submit(vec![delivery], policy()).await;
            task.ended().await;
            outcomes.push(task.report(0).unwrap().outcome);
        }
        outcomes
    }

    fn methods(&self) -> Vec<&'static str> {
        self.seen().into_iter().map(|(_, method)| method).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_resolved_edits_the_last_message_of_its_key_and_then_the_key_is_over() {
    let world = World::new([message("1"), message("2"), message("2"), message("3")]);
    let outcomes = world
        .follow_ups([
            follow_up("a", "k", FIRING),
            follow_up("b", "k", FIRING),
            follow_up("c", "k", RESOLVED),
            follow_up("d", "k", RESOLVED),
        ])
        .await;
    assert_eq!(outcomes, ["1", "2", "2", "3"].map(delivered));
    assert_eq!(world.methods(), ["POST", "POST", "PATCH", "POST"]);
}

#[tokio::test(start_paused = true)]
async fn an_acknowledged_edits_and_the_key_goes_on() {
    let world = World::new((0..4).map(|_| message("1")));
    world
        .follow_ups([
            follow_up("a", "k", FIRING),
            follow_up("b", "k", Some(AlertStatus::Acknowledged)),
            follow_up("c", "k", RESOLVED),
            follow_up("d", "k", Some(AlertStatus::Acknowledged)),
        ])
        .await;
    assert_eq!(world.methods(), ["POST", "PATCH", "PATCH", "POST"]);
}

#[tokio::test(start_paused = true)]
async fn another_key_and_none_edit_nothing() {
    let world = World::new([message("1"), message("2"), message("3")]);
    let mut without = follow_up("c", "k", RESOLVED);
    if let Disposition::Send(sending) = &mut without.disposition {
        sending.dedup_key = None;
        sending.input = None;
    }
    world
        .follow_ups([
            follow_up("a", "k", FIRING),
            follow_up("b", "other", RESOLVED),
            without,
        ])
        .await;
    assert_eq!(world.methods(), ["POST"; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_resolved_that_is_accepted_with_its_firing_is_composed_when_its_turn_comes() {
    let slow = After(Duration::from_secs(1), Box::new(message("1")));
    let world = World::new([slow, message("1")]);
    let both = vec![follow_up("a", "k", FIRING), follow_up("b", "k", RESOLVED)];
    let task = world.submit(both, policy()).await;
    task.ended().await;
    assert_eq!(world.seen(), [(0.0, "POST"), (1.0, "PATCH")]);
}

#[tokio::test(start_paused = true)]
async fn a_missing_earlier_message_is_replaced_at_once() {
    let world = World::new([message("1"), not_found(), message("2")]);
    let task = world.follow_ups([follow_up("a", "k", FIRING), follow_up("b", "k", RESOLVED)]);
    assert_eq!(task.await.last(), Some(&delivered("2")));
    assert_eq!(world.seen(), [(0.0, "POST"), (0.0, "PATCH"), (0.0, "POST")]);
}

#[tokio::test(start_paused = true)]
async fn a_not_found_reply_to_a_new_message_is_a_refusal() {
    let world = World::new([not_found()]);
    let task = world
        .submit(vec![follow_up("a", "k", FIRING)], policy())
        .await;
    task.ended().await;
    assert_eq!(
        reason(&task.report(0).unwrap()),
        ("failed", Some("rejected"))
    );
}

#[tokio::test(start_paused = true)]
async fn an_edit_is_retried_like_any_message() {
    let busy = Answers(503, &[], String::new());
    let world = World::new([message("1"), busy, LOST, message("1")]);
    let outcomes = world
        .follow_ups([follow_up("a", "k", FIRING), follow_up("b", "k", RESOLVED)])
        .await;
    assert_eq!(outcomes.last(), Some(&delivered("1")));
    assert_eq!(world.methods(), ["POST", "PATCH", "PATCH", "PATCH"]);
}

#[tokio::test(start_paused = true)]
async fn a_split_message_neither_edits_nor_is_edited() {
    let long = "x".repeat(6_000);
    let world = World::new((1..=6).map(|n| message(&n.to_string())));
    world
        .follow_ups([
            follow_up("a", "k", FIRING),
            follow_up(&long, "k", RESOLVED),
            follow_up(&long, "l", FIRING),
            follow_up("b", "l", RESOLVED),
        ])
        .await;
    assert_eq!(world.methods(), ["POST"; 6]);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_forgotten_after_a_day() {
    let day = Duration::from_secs(24 * 60 * 60);
    for (passed, method) in [
        (day - Duration::from_secs(60), "PATCH"),
        (day + Duration::from_secs(60), "POST"),
    ] {
        let world = World::new([message("1"), message("1")]);
        world.follow_ups([follow_up("a", "k", FIRING)]).await;
        tokio::time::advance(passed).await;
        world.follow_ups([follow_up("b", "k", RESOLVED)]).await;
        assert_eq!(world.methods(), ["POST", method]);
    }
}
