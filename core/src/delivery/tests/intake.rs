//! Tests the memory and the log lines of an accepted request.

use super::*;
use crate::delivery::MAX_BYTES;
use crate::model::plan::ConfiguredIn;
use crate::observe::{History, MAX_LINES, Recorder};
use crate::secret::Secret;

fn rejected(number: usize) -> PlannedDelivery {
    PlannedDelivery {
        origin: None,
        sender: format!("sender {number}"),
        receiver: None,
        disposition: Disposition::Reject {
            failure: Failure::new(Reason::UnknownSender),
            path: None,
        },
    }
}

fn for_many() -> DeliveryPolicy {
    DeliveryPolicy {
        max_in_flight: 1_000,
        ..policy()
    }
}

pub fn silenced() -> PlannedDelivery {
    let mut delivery = delivery("http", HTTP);
    delivery.disposition = match delivery.disposition {
        Disposition::Send(sending) => Disposition::Suppress {
            sending,
            rule: "night".to_owned(),
        },
        other => other,
    };
    delivery
}

#[tokio::test(start_paused = true)]
async fn of_many_deliveries_that_are_not_tried_the_first_have_lines_and_rows_and_one_line_has_their_number()
 {
    for (count, lines, last) in [
        (3, 3, "sender 2: failed"),
        (MAX_LINES, MAX_LINES, "sender 99: failed"),
        (250, MAX_LINES + 1, "and 150 more deliveries were not tried"),
    ] {
        let world = World::new([]);
        let history = Arc::new(History::default());
        let notification = Notification::plain(Json::Null);
        let recorder = Recorder::new(&history, "n.toml", &"t".into(), &notification, None);
        let deliveries = (0..count).map(rejected).collect();
        let task = world
            .submit_with(deliveries, for_many(), |request| {
                request.log = TaskLog::new(Some("id".to_owned())).recording(Some(recorder));
            })
            .await;
        let written = task.log.take();
        assert_eq!(written.len(), 1 + lines);
        assert!(written.last().unwrap().text.contains(last), "{written:?}");
        let rows = std::iter::from_fn(|| history.next("n.toml"));
        assert_eq!(rows.count(), count.min(MAX_LINES));
        assert!(task.has_failed());
        assert_eq!(task.reports().len(), count);
    }
}

#[tokio::test(start_paused = true)]
async fn silenced_deliveries_have_bounded_log_lines() {
    let world = World::new([]);
    let task = world
        .submit((0..150).map(|_| silenced()).collect(), for_many())
        .await;
    let written = task.log.take();
    assert_eq!(written.len(), 1 + MAX_LINES + 1);
    let last = written.last().unwrap();
    assert!(last.text.contains("and 50 more deliveries"), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn deliveries_of_every_kind_take_a_place_among_those_in_flight() {
    let world = World::new([]);
    let policy = || DeliveryPolicy {
        max_in_flight: 5,
        ..policy()
    };
    let mixed = |count| {
        let mut deliveries: Vec<_> = (0..count).map(rejected).collect();
        deliveries.push(silenced());
        deliveries
    };
    assert!(world.try_submit(mixed(5), policy(), |_| {}).await.is_none());
    assert!(world.try_submit(mixed(4), policy(), |_| {}).await.is_some());
    // They have ended, and their places are free.
    assert_eq!(world.dispatcher.gauges().in_flight, 0);
    assert!(world.try_submit(mixed(4), policy(), |_| {}).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn shared_texts_and_warnings_count_towards_the_byte_limit() {
    for change in [
        |request: &mut SubmitRequest| request.plan.shared_bytes = MAX_BYTES,
        |request: &mut SubmitRequest| request.warnings = vec!["w".repeat(MAX_BYTES)],
    ] {
        let world = World::new([ok()]);
        let deliveries = || vec![delivery("http", HTTP)];
        let accepted = world.try_submit(deliveries(), policy(), change).await;
        assert!(accepted.is_none());
        assert_eq!(world.dispatcher.gauges().in_flight, 0);
        let accepted = world.try_submit(deliveries(), policy(), |_| {}).await;
        assert!(accepted.is_some());
    }
}

#[test]
fn a_delivery_holds_its_address_its_headers_and_its_configuration_besides_its_body() {
    let size = |configuration: &str| delivery("http", configuration).size();
    let url = |path: &str| format!(r#"{{"http_webhook_url": "https://example.com/{path}"}}"#);
    let grown = size(&url(&"p".repeat(1_000))) - size(&url(""));
    assert!((1_000..1_100).contains(&grown), "{grown}");
    let mut configured = delivery("http", HTTP);
    let before = configured.size();
    if let Disposition::Send(sending) = &mut configured.disposition {
        sending.configuration_bytes = 5_000;
        sending.configured_in = Some(Box::new(ConfiguredIn::Request(Secret::new("s".repeat(70)))));
    }
    assert_eq!(configured.size() - before, 5_070);
    configured.receiver = Some("r".repeat(30));
    assert_eq!(configured.size() - before, 5_100);
}
