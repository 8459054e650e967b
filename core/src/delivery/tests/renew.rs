//! Content that the alert state replaces before anybody has seen it.

use super::*;
use crate::model::observer::{DeliveryObserver, Renewal};

/// Gives these answers, one for each question.
#[derive(Debug, Default)]
struct Script {
    renewals: Mutex<VecDeque<Option<&'static str>>>,
    ends: Mutex<Vec<Outcome>>,
}

const SUPERSEDED: &str = "";

impl DeliveryObserver for Script {
    fn ended(&self, _: &str, _: usize, outcome: &Outcome) {
        self.ends.lock().unwrap().push(outcome.clone());
    }

    fn renew(&self, _: &str, _: usize) -> Option<Renewal> {
        match self.renewals.lock().unwrap().pop_front()?? {
            SUPERSEDED => Some(Renewal::Superseded),
            text => match plain(text).disposition {
                Disposition::Send(planned) => Some(Renewal::Replaced(planned)),
                other => panic!("{other:?}"),
            },
        }
    }

    fn not_accepted(&self, _: &str) {}
}

/// Submits a delivery of "old" whose content is renewed so. Returns its outcome, the seconds of the attempts, and the bodies.
async fn renewed(
    steps: impl IntoIterator<Item = Does>,
    renewals: &[Option<&'static str>],
) -> (&'static str, Vec<f64>, Vec<bool>) {
    let world = World::new(steps);
    let observer = Arc::new(Script {
        renewals: Mutex::new(renewals.iter().copied().collect()),
        ends: Mutex::default(),
    });
    let given: Arc<dyn DeliveryObserver> = Arc::<Script>::clone(&observer);
    let submit = world.submit_with(vec![plain("old")], policy(), |request| {
        request.observer = Some(given);
    });
    let task = submit.await;
    task.ended().await;
    let outcome = task.report(0).unwrap().outcome;
    assert_eq!(
        observer.ends.lock().unwrap().as_slice(),
        std::slice::from_ref(&outcome)
    );
    if let Outcome::Suppressed { rule } = &outcome {
        assert_eq!(rule, "superseded");
    }
    let bodies = world.script.bodies.lock().unwrap();
    let is_new = bodies.iter().map(|body| body.contains("new")).collect();
    let attempts = world.script.seen(world.start);
    let attempts = attempts.into_iter().map(|(at, _)| at).collect();
    (outcome.code(), attempts, is_new)
}

#[tokio::test(start_paused = true)]
async fn the_present_content_is_sent_until_a_provider_may_have_seen_it() {
    for (steps, renewals, expected) in [
        // Before the first attempt.
        (vec![ok()], vec![Some("new")], ("delivered", vec![true])),
        (vec![ok()], vec![None], ("delivered", vec![false])),
        (vec![], vec![Some(SUPERSEDED)], ("suppressed", vec![])),
        // After an attempt that reached nobody.
        (
            vec![Breaks(Sent::No), ok()],
            vec![None, Some("new")],
            ("delivered", vec![false, true]),
        ),
        (
            vec![Breaks(Sent::No)],
            vec![None, Some(SUPERSEDED)],
            ("suppressed", vec![false]),
        ),
        // An attempt that may have arrived, or was answered, fixes the content.
        (
            vec![Breaks(Sent::Maybe), ok()],
            vec![None, Some("new")],
            ("delivered", vec![false, false]),
        ),
        (
            vec![Answers(503, &[], String::new()), ok()],
            vec![None, Some(SUPERSEDED)],
            ("delivered", vec![false, false]),
        ),
    ] {
        let (outcome, _, bodies) = renewed(steps, &renewals).await;
        assert_eq!((outcome, bodies), expected, "{renewals:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn other_content_keeps_the_backoff() {
    let unreached = || vec![Breaks(Sent::No), Breaks(Sent::No), Breaks(Sent::No), ok()];
    let (_, same, _) = renewed(unreached(), &[]).await;
    let (_, other, bodies) = renewed(unreached(), &[None, Some("new")]).await;
    assert_eq!(bodies, [false, true, true, true]);
    for (same, other) in same.iter().zip(&other) {
        // The backoff has a random part.
        assert!(
            (same - other).abs() <= same.max(*other) / 1.5 + 0.1,
            "{same} {other}"
        );
    }
}
