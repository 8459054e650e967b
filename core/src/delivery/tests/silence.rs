//! Tests which notifications a silence suppresses, and which `acknowledged` pass.

use super::*;

const PAGERDUTY: &str = r#"{"pagerduty_routing_key": "R0151XYZ0151XYZ0151XYZ0151XYZ015"}"#;
const ACKNOWLEDGED: Option<AlertStatus> = Some(AlertStatus::Acknowledged);

fn keyed(sender: &str, key: Option<&str>, status: Option<AlertStatus>) -> PlannedDelivery {
    let configuration = match sender {
        "pagerduty" => PAGERDUTY,
        _ => HTTP,
    };
    let text = Notification {
        status,
        dedup_key: key.map(Into::into),
        ..Notification::plain(Json::String("x".to_owned()))
    };
    notification(sender, configuration, text)
}

fn silenced(delivery: PlannedDelivery) -> PlannedDelivery {
    let plan = Plan {
        notification: Arc::new(Notification::plain(Json::Null)),
        deliveries: vec![delivery],
        shared_bytes: 0,
    };
    plan.silenced("planned work").deliveries.remove(0)
}

/// Returns whether each notification is sent. Any reply is a success.
async fn sent(
    deliveries: impl IntoIterator<Item = PlannedDelivery>,
    policy: DeliveryPolicy,
) -> Vec<bool> {
    let success = || {
        Answers(
            202,
            &[],
            json!({ "status": "success", "dedup_key": "k" }).to_string(),
        )
    };
    let world = World::new((0..9).map(|_| success()));
    let mut sent = Vec::new();
    for delivery in deliveries {
        let task = world.submit(vec![delivery], policy.clone()).await;
        task.ended().await;
        sent.push(match task.report(0).unwrap().outcome {
            Outcome::Delivered { .. } => true,
            Outcome::Suppressed { rule } if rule == "planned work" => false,
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(
        world.seen().len(),
        sent.iter().filter(|sent| **sent).count()
    );
    sent
}

#[tokio::test(start_paused = true)]
async fn an_acknowledged_passes_a_silence_only_where_alerts_are_kept() {
    for (sender, passes) in [("pagerduty", true), ("http", false)] {
        let deliveries = [
            keyed(sender, Some("k"), FIRING),
            silenced(keyed(sender, Some("k"), ACKNOWLEDGED)),
            silenced(keyed(sender, Some("other"), ACKNOWLEDGED)),
            silenced(keyed(sender, None, None)),
            keyed(sender, Some("k"), RESOLVED),
            // The alert is over.
            silenced(keyed(sender, Some("k"), ACKNOWLEDGED)),
        ];
        assert_eq!(
            sent(deliveries, policy()).await,
            [true, passes, false, false, true, false],
            "{sender}"
        );
    }
}
