//! Tests digests and the outcomes of their members.

use super::*;
use crate::model::notification::Level;
use crate::model::plan::Parameters;

#[tokio::test(start_paused = true)]
async fn a_failed_digest_fails_its_members() {
    let refused = Answers(400, &[], "no".to_owned());
    let world = World::new([ok(), refused]);
    let tasks = world
        .requests(["a", "b", "c"].map(plain), per_minute(1))
        .await;
    for task in &tasks[1..] {
        task.ended().await;
        let report = task.report(0).unwrap();
        assert_eq!(reason(&report), ("failed", Some("rejected")));
        assert_eq!((report.attempts, report.http_status), (1, Some(400)));
    }
    // A lost reply without a lookup is ambiguous too.
    let world = World::new([accepted_reply("SM1"), LOST]);
    let report = DeliveryPolicy {
        on_ambiguous: OnAmbiguous::Report,
        ..per_minute(1)
    };
    let text = |text: &str| {
        let text = Notification::plain(Json::String(text.to_owned()));
        notification("sms", SMS, text)
    };
    let tasks = world.requests(["a", "b", "c"].map(text), report).await;
    for task in &tasks[1..] {
        task.ended().await;
        let report = task.report(0).unwrap();
        assert_eq!(reason(&report), ("ambiguous", Some("lost_reply")));
    }
    assert_eq!(world.dispatcher.gauges().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_digest_is_retried_like_any_message() {
    let busy = Answers(503, &[], String::new());
    let world = World::new([ok(), busy, LOST, ok()]);
    let tasks = world
        .requests(["a", "b", "c"].map(plain), per_minute(1))
        .await;
    assert_eq!(outcomes(&tasks).await[2], suppressed("max_per_minute"));
    assert_eq!(world.times().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_digest_loses_nothing() {
    let world = World::new([ok(), Panics]);
    let tasks = world
        .requests(["a", "b", "c"].map(plain), per_minute(1))
        .await;
    outcomes(&tasks).await;
    for task in &tasks[1..] {
        let report = task.report(0).unwrap();
        assert_eq!(reason(&report), ("failed", Some("internal")));
    }
    assert_eq!(world.dispatcher.gauges().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_log_of_the_first_keeps_no_digest_back() {
    let world = World::new([ok(), ok()]);
    let tasks = world
        .requests(["a", "b", "c"].map(plain), per_minute(1))
        .await;
    tasks[1].log.hand_over(Arc::new(LogPanics));
    let told = suppressed("max_per_minute");
    assert_eq!(outcomes(&tasks[1..]).await, [told.clone(), told]);
    assert_eq!(world.dispatcher.gauges().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn the_log_has_the_outcome_of_each_delivery() {
    let world = World::new([ok(), ok()]);
    let tasks = world
        .requests(["a", "b", "c"].map(plain), per_minute(1))
        .await;
    outcomes(&tasks).await;
    let lines = |task: &Task| -> Vec<String> {
        let lines = task.log.take().into_iter();
        lines.map(|line| line.text).collect()
    };
    let (first, second) = (lines(&tasks[1]), lines(&tasks[2]));
    let destination = tasks[1].report(0).unwrap().destination.unwrap();
    let told = format!("{destination}: suppressed by max_per_minute");
    let digest = format!(
        "{destination}: a digest of 2 notifications, as max_per_minute asks; the first is of {}",
        tasks[1].id
    );
    assert!(first[0].ends_with(&digest), "{first:?}");
    assert!(
        first[1].contains(&format!("{destination}: delivered in")),
        "{first:?}"
    );
    // The digest has its own task name, because no request asked for it.
    assert_eq!(first[0].split(']').next(), first[1].split(']').next());
    assert!(!first[0].starts_with(&format!("notifier [{}]", tasks[1].id)));
    assert_eq!(first[2], format!("notifier [{}] {told}", tasks[1].id));
    assert_eq!(second, [format!("notifier [{}] {told}", tasks[2].id)]);
}

#[derive(Debug)]
struct Loud;

impl Parameters for Loud {
    fn render(
        &self,
        notification: &Notification,
        warnings: &mut Warnings,
    ) -> Vec<(&'static str, Arc<str>)> {
        warnings.push(|| "be warned".to_owned());
        let text = notification.as_text().unwrap().to_uppercase();
        vec![("body_template", format!("{text:?}").into())]
    }
}

#[tokio::test(start_paused = true)]
async fn a_digest_takes_the_form_that_its_destination_asks_for() {
    let templated = |text: &str| {
        let mut delivery = plain(text);
        if let Disposition::Send(sending) = &mut delivery.disposition {
            sending.input.as_mut().unwrap().parameters = Some(Arc::new(Loud));
        }
        delivery
    };
    let world = World::new([ok(), ok()]);
    let tasks = world
        .requests(["a", "b", "c"].map(templated), per_minute(1))
        .await;
    outcomes(&tasks).await;
    let body = world.script.bodies.lock().unwrap().pop().unwrap();
    assert_eq!(body, r#""AND 2 MORE IN THE LAST MINUTE\n- B\n- C""#);
    let lines = tasks[1].log.take();
    assert!(
        lines.iter().any(|line| line.text.ends_with("be warned")),
        "{lines:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_digest_is_rich_where_the_first_was() {
    let rich = |title: &str, level, status| Notification {
        title: Some(title.to_owned()),
        level: Some(level),
        status,
        link: Some(format!("http://example.com/{title}")),
        ..Notification::plain(Json::String("text".to_owned()))
    };
    let storm = [
        rich("a", Level::Info, FIRING),
        rich("b", Level::Warning, FIRING),
        rich("c", Level::Critical, RESOLVED),
    ];
    let world = World::new([ok(), ok()]);
    let storm = storm.map(|rich| notification("http", HTTP, rich));
    let tasks = world.requests(storm, per_minute(1)).await;
    outcomes(&tasks).await;
    let body = world.script.bodies.lock().unwrap().pop().unwrap();
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        body,
        json!({
            "message": "and 2 more in the last minute: 1 critical, 1 warning; 1 firing, 1 resolved\n- [warning] b http://example.com/b\n- [critical] c, resolved http://example.com/c",
            "title": "2 more notifications",
            "level": "critical",
            "link": "http://example.com/b",
        })
    );
}
