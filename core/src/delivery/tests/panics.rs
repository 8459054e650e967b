//! Tests the effects of a panic.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_transport_ends_that_delivery_alone() {
    let world = World::new([Panics, ok(), ok()]);
    let task = world
        .submit(
            vec![delivery("http", HTTP), delivery("http", OTHER)],
            policy(),
        )
        .await;
    task.ended().await;
    let outcomes: Vec<_> = task.reports().iter().map(|report| reason(report)).collect();
    assert!(
        outcomes.contains(&("failed", Some("internal"))),
        "{outcomes:?}"
    );
    assert!(outcomes.contains(&("delivered", None)), "{outcomes:?}");
    let next = world.submit(vec![delivery("http", HTTP)], policy()).await;
    next.ended().await;
    assert_eq!(next.report(0).unwrap().outcome.code(), "delivered");
    assert_eq!(world.dispatcher.gauges().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_classify_ends_that_delivery_alone() {
    let world = World::new([ok(), ok()]);
    let mut broken = delivery("http", HTTP);
    if let Disposition::Send(sending) = &mut broken.disposition {
        sending.channel = Arc::new(ClassifyPanics(Arc::clone(&sending.channel)));
    }
    let task = world.submit(vec![broken], policy()).await;
    task.ended().await;
    assert_eq!(
        reason(&task.report(0).unwrap()),
        ("failed", Some("internal"))
    );
    let next = world.submit(vec![delivery("http", HTTP)], policy()).await;
    next.ended().await;
    assert_eq!(next.report(0).unwrap().outcome.code(), "delivered");
}

#[derive(Debug)]
struct ClassifyPanics(Arc<dyn channels::Channel>);

impl channels::Channel for ClassifyPanics {
    fn capabilities(&self) -> &'static channels::Capabilities {
        self.0.capabilities()
    }

    fn destination(&self) -> &crate::model::wire::Destination {
        self.0.destination()
    }

    fn compose(
        &self,
        notification: &Notification,
        cx: &ComposeContext,
    ) -> Result<channels::Messages, Failure> {
        self.0.compose(notification, cx)
    }

    fn sign(&self, out: &mut Outbound, now: jiff::Timestamp) {
        self.0.sign(out, now);
    }

    fn classify(&self, _: &Outbound, _: &Reply) -> crate::model::outcome::Classification {
        panic!("classify")
    }

    fn preview(&self, out: &Outbound) -> String {
        self.0.preview(out)
    }

    fn lookup(&self) -> Option<&dyn crate::model::channel::Lookup> {
        self.0.lookup()
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_log_ends_no_delivery() {
    let world = World::new([After(Duration::from_secs(1), Box::new(ok())), ok()]);
    let task = world.submit(vec![delivery("http", HTTP)], policy()).await;
    task.log.hand_over(Arc::new(LogPanics));
    task.ended().await;
    assert_eq!(task.report(0).unwrap().outcome.code(), "delivered");
    let next = world.submit(vec![delivery("http", HTTP)], policy()).await;
    next.ended().await;
    assert_eq!(next.report(0).unwrap().outcome.code(), "delivered");
}
