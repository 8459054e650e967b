//! Requests and reports for tests of outboxes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use notifier_core::model::outcome::{Failure, MessageRef, Outcome, Reason};
use notifier_core::model::plan::Identity;
use notifier_core::model::report::DeliveryReport;
use notifier_core::store::{
    DeliveryId, NewDelivery, NewRequest, StoredRequest, StoredWork, Target,
};

pub fn id(task: &str, index: usize) -> DeliveryId {
    DeliveryId {
        task: task.to_owned(),
        index,
    }
}

pub fn request(task: &str) -> NewRequest {
    NewRequest {
        task: task.to_owned(),
        identity: Identity {
            scope: "settings".into(),
            key: None,
            fingerprint: [7; 32],
        },
        arguments: [("config_file_path".to_owned(), "notifier.toml".to_owned())].into(),
        config: "notifier.toml".to_owned(),
        request_json: r#"{"notification_text": "cpu \u2603 'hot'"}"#.to_owned(),
        dedup_key: None,
        warnings: vec!["be warned".to_owned()],
        accepted: SystemTime::now(),
        deliveries: vec![new_delivery(0)],
    }
}

pub fn keyed(task: &str, key: &str, body: u8) -> NewRequest {
    let mut request = request(task);
    request.identity.key = Some(key.to_owned());
    request.identity.fingerprint = [body; 32];
    request
}

pub fn new_delivery(index: usize) -> NewDelivery {
    NewDelivery {
        report: report(index, Outcome::Pending(None)),
        work: Some(StoredWork {
            target: match index % 2 {
                0 => Target::Receiver {
                    name: "on call".to_owned(),
                    index: index + 1,
                },
                _ => Target::Sealed(vec![0, 255, u8::try_from(index % 256).unwrap()]),
            },
            time_left: Duration::from_secs(24 * 3600),
            order_key: None,
            composition_hash: [u8::try_from(index % 256).unwrap(); 32],
            attempt_began: None,
        }),
    }
}

pub fn ended_at_once(index: usize) -> NewDelivery {
    NewDelivery {
        report: failed(index),
        work: None,
    }
}

pub fn delivered(index: usize, message: Option<&str>) -> DeliveryReport {
    let message = message.map(|name| MessageRef(name.to_owned()));
    report(index, Outcome::Delivered { message })
}

pub fn failed(index: usize) -> DeliveryReport {
    report(index, Outcome::Failed(Failure::new(Reason::Timeout)))
}

fn report(index: usize, outcome: Outcome) -> DeliveryReport {
    DeliveryReport {
        receiver: Some("on call".to_owned()),
        destination: Some("http example.com#1234".to_owned()),
        attempts: 1,
        parts: 3,
        elapsed: Duration::from_millis(5),
        ..DeliveryReport::new(index, "http".to_owned(), outcome)
    }
}

pub fn assert_same(taken: &StoredRequest, given: &NewRequest) {
    assert_eq!(taken.task, given.task);
    assert_eq!(taken.identity.scope, given.identity.scope);
    assert_eq!(taken.identity.key, given.identity.key);
    assert_eq!(taken.identity.fingerprint, given.identity.fingerprint);
    assert_eq!(taken.arguments, given.arguments);
    assert_eq!(taken.request_json, given.request_json);
    assert_eq!(taken.warnings, given.warnings);
    assert_eq!(taken.deliveries.len(), given.deliveries.len());
    for (taken, given) in taken.deliveries.iter().zip(&given.deliveries) {
        assert_same_work(taken.work.as_ref(), given.work.as_ref());
        assert_eq!(format!("{:?}", taken.report), format!("{:?}", given.report));
    }
}

/// Asserts equal work. The remaining time may be shorter by the test's own duration.
fn assert_same_work(taken: Option<&StoredWork>, given: Option<&StoredWork>) {
    let left = |work: Option<&StoredWork>| work.map_or(Duration::ZERO, |work| work.time_left);
    let used = left(given).checked_sub(left(taken)).unwrap();
    assert!(used < Duration::from_secs(60), "{used:?}");
    let with_the_same_time = taken.cloned().map(|work| StoredWork {
        time_left: left(given),
        ..work
    });
    assert_eq!(with_the_same_time.as_ref(), given);
}

pub fn time(milliseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(milliseconds)
}
