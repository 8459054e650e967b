//! Templates of a notification about a group of alerts.

use jiff::SignedDuration;

use super::*;
use crate::channels::group_notification;
use crate::model::group::{AlertGroup, GroupedAlert};

fn group() -> Notification {
    let at: Timestamp = "2026-11-25T02:46:12Z".parse().unwrap();
    let alert = |host: &str, status| GroupedAlert {
        key: host.into(),
        title: Some(format!("CPU of {host}")),
        text: "above 95 %".to_owned(),
        level: Some(Level::Critical),
        status,
        labels: vec![
            ("region".to_owned(), Json::String("eu".to_owned())),
            ("host".to_owned(), Json::String(host.to_owned())),
        ],
        link: None,
        starts_at: at - SignedDuration::from_mins(5),
        sent_levels: Vec::new(),
        ends_at: None,
    };
    let alerts = [("db1", AlertStatus::Firing), ("db2", AlertStatus::Resolved)];
    let alerts = alerts.map(|(host, status)| alert(host, status));
    let labels = vec![("region".to_owned(), "eu".to_owned())];
    let names = ("key".to_owned(), "team".to_owned());
    group_notification(AlertGroup::new(names, labels, alerts.to_vec(), at))
}

#[test]
fn a_template_sees_the_alerts_of_a_group() {
    let alert = "{% for alert in notification.alerts %}{{ alert.labels.host }} {{ alert.level }} {{ alert.status }} \
                 {{ alert.title }} {{ alert.text }} {{ alert.link }} {{ alert.starts_at | time(\"%H:%M\") }};{% endfor %}";
    for (source, expected) in [
        (
            alert,
            "db1 critical firing CPU of db1 above 95 %  02:41;db2 critical resolved CPU of db2 above 95 %  02:41;",
        ),
        (
            "{{ notification.counts.total }} {{ notification.counts.firing }} {{ notification.counts.critical }}",
            "2 1 2",
        ),
        ("{{ notification.group_labels.region }}", "eu"),
        (
            "{{ notification.common_labels | items | list | length }}",
            "1",
        ),
        ("{{ notification.status }}", "firing"),
    ] {
        let (templates, template, _) = template(source);
        let seen = TemplateContext::new(&group(), None, Timestamp::UNIX_EPOCH);
        for seen in [seen.with_text(&group()), seen] {
            let made = Renderer::new(&templates).render(template.as_ref().unwrap(), &seen);
            assert_eq!(made.unwrap(), expected, "{source}");
        }
    }
    // Another notification has none of these.
    assert_eq!(
        render("{% for alert in notification.alerts %}x{% endfor %}{{ notification.counts }}")
            .unwrap(),
        ""
    );
}
