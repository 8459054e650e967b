//! Tests when a message is retried, and the report when no time is left.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_cut_short_attempt_reports_the_earlier_failure() {
    let hangs = After(Duration::from_secs(60), Box::new(ok()));
    let world = World::new([Answers(503, &[], String::new()), hangs]);
    let short = DeliveryPolicy {
        delivery_timeout: Duration::from_secs(5),
        ..policy()
    };
    let task = world.submit(vec![delivery("http", HTTP)], short).await;
    task.ended().await;
    let report = task.report(0).unwrap();
    assert_eq!(reason(&report), ("failed", Some("server_error")));
    assert_eq!((report.http_status, report.attempts), (Some(503), 2));
}

/// Two deliveries of one connection. The first holds it for as long; the second has 10 s, and 5 s for an attempt.
async fn two_of_one_connection(holds: u64, then: Does) -> (World, DeliveryReport) {
    let hangs = After(Duration::from_secs(holds), Box::new(ok()));
    let world = World::new([hangs, then]);
    let one = DeliveryPolicy {
        max_connections: 1,
        attempt_timeout: Duration::from_secs(60),
        ..policy()
    };
    let short = DeliveryPolicy {
        delivery_timeout: Duration::from_secs(10),
        attempt_timeout: Duration::from_secs(5),
        ..one.clone()
    };
    let first = world.submit(vec![delivery("http", HTTP)], one).await;
    let second = world.submit(vec![delivery("http", OTHER)], short).await;
    second.ended().await;
    let report = second.report(0).unwrap();
    first.ended().await;
    assert_eq!(first.report(0).unwrap().outcome.code(), "delivered");
    (world, report)
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_connection_takes_nothing_from_the_first_attempt() {
    for holds in [0, 4, 9, 11, 14] {
        let then = After(Duration::from_secs(4), Box::new(ok()));
        let (world, report) = two_of_one_connection(holds, then).await;
        assert_eq!(report.attempts, 1);
        assert_eq!(reason(&report), ("delivered", None), "after {holds} s");
        assert_eq!(world.start.elapsed(), Duration::from_secs(holds + 4));
    }
}

#[tokio::test(start_paused = true)]
async fn who_gets_no_connection_in_time_says_so() {
    let (world, report) = two_of_one_connection(16, Panics).await;
    assert_eq!(reason(&report), ("failed", Some("timeout")));
    assert_eq!(report.attempts, 0);
    assert_eq!(report.elapsed, Duration::from_secs(15));
    assert_eq!(world.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pause_applies_to_waiting_retries() {
    let failing = Answers(503, &[], String::new());
    let limited = Answers(429, &[("retry-after", "60")], String::new());
    let world = World::new([failing, ok(), limited, ok(), ok()]);
    let slowly = || DeliveryPolicy {
        initial_backoff: Duration::from_secs(10),
        ..policy()
    };
    let first = world.submit(vec![delivery("http", HTTP)], slowly());
    let first = first.await;
    while first.report(0).unwrap().outcome.failure().is_none() {
        tokio::task::yield_now().await;
    }
    let second = world.submit(vec![delivery("http", HTTP)], slowly());
    second.await.ended().await;
    let third = world.submit(vec![delivery("http", HTTP)], slowly());
    let third = third.await;
    first.ended().await;
    third.ended().await;
    let times: Vec<_> = world.seen().into_iter().map(|(at, _)| at).collect();
    assert_eq!(times, [0.0, 0.0, 0.0, 60.0, 60.0]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_no_clock_can_tell_ends_the_delivery() {
    let limited = Answers(
        429,
        &[("retry-after", "10000000000000000000")],
        String::new(),
    );
    let world = World::new([limited]);
    let task = world.submit(vec![delivery("http", HTTP)], policy()).await;
    task.ended().await;
    assert_eq!(
        reason(&task.report(0).unwrap()),
        ("failed", Some("rate_limited"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_jumps_changes_no_wait() {
    // Dates are compared with the wall clock of their reply; everything else is monotonic.
    let dated = |date| Answers(429, date, String::new());
    let past = dated(&[("retry-after", "Thu, 01 Jan 1970 00:00:10 GMT")]);
    let future = dated(&[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")]);
    let world = World::new([past.clone(), past, ok()]);
    let task = world.submit(vec![delivery("http", HTTP)], policy()).await;
    task.ended().await;
    assert_eq!(task.report(0).unwrap().outcome.code(), "delivered");
    check_gaps("a past date", &world.times(), &[1.0, 2.0]);
    let begun = Instant::now();
    let world = World::new([future]);
    let task = world.submit(vec![delivery("http", HTTP)], policy()).await;
    task.ended().await;
    assert_eq!(
        reason(&task.report(0).unwrap()),
        ("failed", Some("rate_limited"))
    );
    assert!(begun.elapsed() < Duration::from_secs(1), "no endless wait");
}

/// Checks the waits between requests, with a spread of 20 %.
fn check_gaps(case: &str, times: &[f64], backoffs: &[f64]) {
    assert_eq!(times.len(), backoffs.len() + 1, "{case}: {times:?}");
    for (pair, backoff) in times.windows(2).zip(backoffs) {
        let gap = pair[1] - pair[0];
        assert!(gap > backoff * 0.8 - 0.11, "{case}: {times:?}");
        assert!(gap < backoff * 1.2 + 0.11, "{case}: {times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_wait_that_a_provider_names_is_shorter_than_the_backoff() {
    let values = [
        "0",
        "0.001",
        "0.5",
        "",
        "-1",
        "soon",
        "Thu, 01 Jan 1970 00:00:10 GMT",
    ];
    for (status, value) in [429, 408, 425, 503]
        .into_iter()
        .flat_map(|status| values.map(|value| (status, value)))
    {
        let header: &'static [_] = Box::leak(Box::new([("retry-after", value)]));
        let world = World::always(move || Answers(status, header, String::new()));
        let task = world.submit(vec![delivery("http", HTTP)], policy()).await;
        task.ended().await;
        let case = format!("{status} {value:?}");
        let times = world.times();
        // Within five minutes, however the waits are spread. Only a 429 is no attempt that counts.
        assert!(
            times.len() <= if status == 429 { 12 } else { 10 },
            "{case}: {times:?}"
        );
        let mut doubled = vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0];
        doubled.resize(times.len().max(6), 60.0);
        check_gaps(&case, &times, &doubled[..times.len() - 1]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_in_trouble_that_names_a_day_does_not_end_the_delivery() {
    let day: &[_] = &[("retry-after", "86400")];
    for status in [500, 503, 408, 425] {
        let world = World::new([Answers(status, day, String::new()), ok()]);
        let task = world.submit(vec![delivery("http", HTTP)], policy()).await;
        task.ended().await;
        assert_eq!(task.report(0).unwrap().outcome, SENT, "{status}");
        // `max_backoff`.
        assert_eq!(world.times(), [0.0, 60.0], "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_deliveries_do_not_hammer_a_destination_that_always_limits() {
    let limited = || Answers(429, &[("retry-after", "0")], String::new());
    let world = World::always(move || After(Duration::from_millis(100), Box::new(limited())));
    let many = (0..100).map(|_| delivery("http", HTTP)).collect();
    let task = world.submit(many, policy()).await;
    task.ended().await;
    for index in 0..100 {
        let report = task.report(index).unwrap();
        assert_eq!(reason(&report), ("failed", Some("rate_limited")));
    }
    let times = world.times();
    let burst = times.iter().filter(|at| **at == 0.0).count();
    assert_eq!(burst, 8, "the permits of a destination");
    // One at a time, each after twice the previous wait.
    assert!(times.len() <= burst + 10, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_storm_is_delivered_as_fast_as_the_provider_allows() {
    let last = Mutex::new(None::<Instant>);
    let one_a_second = move || {
        let (now, mut last) = (Instant::now(), last.lock().unwrap());
        if last.is_some_and(|last| now - last < Duration::from_millis(900)) {
            return Answers(429, &[("retry-after", "1")], String::new());
        }
        *last = Some(now);
        ok()
    };
    let world = World::always(one_a_second);
    let storm = (0..100).map(|_| delivery("http", HTTP)).collect();
    let patient = DeliveryPolicy {
        delivery_timeout: Duration::from_secs(180),
        ..policy()
    };
    let task = world.submit(storm, patient).await;
    task.ended().await;
    for index in 0..100 {
        assert_eq!(task.report(index).unwrap().outcome, SENT, "{index}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_resend_waits_for_its_backoff_however_early_the_provider_was_asked() {
    let resend = DeliveryPolicy {
        on_ambiguous: OnAmbiguous::Resend,
        initial_backoff: Duration::from_secs(100),
        max_backoff: Duration::from_secs(100),
        ..policy()
    };
    let asked = [listed(&[]), listed(&[]), listed(&[])];
    let world = World::new([vec![LOST], asked.to_vec(), vec![accepted_reply("SM1")]].concat());
    world.sms(resend).await;
    let mut posts = world.seen();
    posts.retain(|(_, method)| *method == "POST");
    assert!(posts[1].0 >= 80.0, "{posts:?}");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_finds_no_connection_after_a_rate_limit_pauses_nothing() {
    let hangs = After(Duration::from_secs(20), Box::new(ok()));
    let world = World::new([Answers(429, &[], String::new()), hangs]);
    let one_connection = DeliveryPolicy {
        max_connections: 1,
        delivery_timeout: Duration::from_secs(10),
        ..policy()
    };
    let limited = world
        .submit(vec![delivery("http", HTTP)], one_connection.clone())
        .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let once = DeliveryPolicy {
        max_attempts: 1,
        delivery_timeout: Duration::from_secs(60),
        ..one_connection
    };
    world.submit(vec![delivery("http", OTHER)], once).await;
    limited.ended().await;
    assert_eq!(world.start.elapsed().as_secs(), 10);
    let report = limited.report(0).unwrap();
    assert_eq!(reason(&report), ("failed", Some("rate_limited")));
    assert_eq!(report.attempts, 1);
    assert_eq!(world.dispatcher.gauges().paused_destinations, 0);
}
