//! The conformance tests of [`Capabilities`]: each channel does what it claims, and nothing else.

use super::*;
use crate::secret::digest;

const KEY: &str = "cpu-db1";
const EARLIER: &str = "471147114711";

fn about(status: AlertStatus, dedup_key: Option<&str>) -> Notification {
    Notification {
        status: Some(status),
        dedup_key: dedup_key.map(Into::into),
        ..rich()
    }
}

/// Returns the messages of a notification, each with its method and address.
fn sent(channel: &dyn Channel, notification: &Notification, cx: &ComposeContext) -> Vec<Sent> {
    let messages = channel.compose(notification, cx).unwrap();
    messages.parts.iter().map(Sent::of).collect()
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Sent {
    target: String,
    body: String,
}

impl Sent {
    fn of(message: &Outbound) -> Self {
        let body = String::from_utf8(message.body().into_owned()).unwrap();
        match message {
            Outbound::Http(request) => Self {
                target: format!("{} {}", request.method, request.url),
                body,
            },
            // Each mail has its own name.
            Outbound::Mail(mail) => Self {
                target: format!("{:?}", mail.thread),
                body,
            },
        }
    }

    fn names(&self, word: &str) -> bool {
        self.target.contains(word) || self.body.contains(word)
    }
}

fn targets(messages: &[Sent]) -> Vec<&str> {
    messages.iter().map(|sent| sent.target.as_str()).collect()
}

/// Runs `check` for every channel and every kind of notification.
fn each(check: impl Fn(&'static ChannelSpec, &dyn Channel, &Capabilities)) {
    for spec in CHANNELS {
        let channel = channel(spec);
        assert_eq!(channel.capabilities(), spec.capabilities, "{}", spec.key);
        check(spec, channel.as_ref(), channel.capabilities());
    }
}

#[test]
fn every_message_goes_by_the_protocol_of_its_channel_and_has_its_resend_effect() {
    each(|spec, channel, capabilities| {
        for status in AlertStatus::ALL {
            for message in composed(channel, &about(status, Some(KEY))) {
                let is_http = message.http().is_some();
                let claims_http = capabilities.protocol == Protocol::Http;
                assert_eq!(is_http, claims_http, "{}", spec.key);
                let changes_one =
                    status != AlertStatus::Firing && message.resend() != capabilities.resend;
                if changes_one {
                    // A repeated edit or a repeated end of an incident has no effect.
                    assert_ne!(capabilities.resend, ResendEffect::Forbidden, "{}", spec.key);
                    assert_eq!(message.resend(), ResendEffect::Deduplicated, "{}", spec.key);
                } else {
                    assert_eq!(message.resend(), capabilities.resend, "{}", spec.key);
                }
            }
        }
    });
}

#[test]
fn what_is_deduplicated_names_its_dedup_key_and_nothing_of_its_own() {
    each(|spec, channel, capabilities| {
        if capabilities.resend != ResendEffect::Deduplicated {
            return;
        }
        let of = |request, key| {
            let cx = ComposeContext::new(request);
            sent(channel, &about(AlertStatus::Firing, Some(key)), &cx)
        };
        assert_eq!(of("one", KEY), of("two", KEY), "{}", spec.key);
        assert_ne!(of("one", KEY), of("one", "another"), "{}", spec.key);
    });
}

#[test]
fn only_a_channel_that_edits_or_threads_by_reference_names_the_earlier_message() {
    let earlier = MessageRef(EARLIER.to_owned());
    each(|spec, channel, capabilities| {
        for status in AlertStatus::ALL {
            let cx = ComposeContext::new("key");
            let notification = about(status, Some(KEY));
            let alone = sent(channel, &notification, &cx);
            let earlier = Some(earlier.clone());
            let after = sent(channel, &notification, &ComposeContext { earlier, ..cx });
            let is_named = after.iter().any(|message| message.names(EARLIER));
            // A follow-up edits the firing message; a further firing is a new message.
            let edits = capabilities.follow_ups.edits && status.is_follow_up();
            let threads = capabilities.follow_ups.threads == Threading::ByReference;
            assert_eq!(is_named, edits || threads, "{} {status:?}", spec.key);
            assert_eq!(alone != after, edits || threads, "{} {status:?}", spec.key);
        }
    });
}

#[test]
fn only_a_channel_that_ties_messages_by_key_sends_another_message_for_another_key() {
    each(|spec, channel, capabilities| {
        let of = |key| {
            let cx = ComposeContext::new("key");
            sent(channel, &about(AlertStatus::Resolved, Some(key)), &cx)
        };
        let follow_ups = capabilities.follow_ups;
        let ties = follow_ups.threads == Threading::ByKey || follow_ups.incidents.is_some();
        // A user's server gets the key as a member and may use it.
        let shows_key = spec.key == "http";
        assert_eq!(of(KEY) != of("another"), ties || shows_key, "{}", spec.key);
    });
}

#[test]
fn only_a_channel_that_keeps_incidents_changes_one() {
    each(|spec, channel, capabilities| {
        let of = |status| {
            let cx = ComposeContext::new("key");
            sent(channel, &about(status, Some(KEY)), &cx)
        };
        let [firing, acknowledged, resolved] = AlertStatus::ALL.map(of);
        let Some(incidents) = capabilities.follow_ups.incidents else {
            assert_eq!(targets(&firing), targets(&resolved), "{}", spec.key);
            assert_eq!(targets(&firing), targets(&acknowledged), "{}", spec.key);
            return;
        };
        let names = |messages: &[Sent]| {
            let words = [KEY.to_owned(), digest(KEY)];
            messages
                .iter()
                .any(|message| words.iter().any(|word| message.names(word)))
        };
        for messages in [&firing, &acknowledged, &resolved] {
            assert!(names(messages), "{}: {messages:?}", spec.key);
        }
        assert_eq!(firing != resolved, incidents.resolves, "{}", spec.key);
        assert_eq!(
            firing != acknowledged,
            incidents.acknowledges,
            "{}",
            spec.key
        );
    });
}

#[test]
fn only_a_channel_that_shows_images_takes_their_addresses() {
    each(|spec, channel, capabilities| {
        let is_image = |one: &&Parameter| one.example.ends_with(".png");
        let image = spec.parameters.iter().find(is_image);
        let claims = capabilities.attachments == Attachments::ImageAddresses;
        assert_eq!(image.is_some(), claims, "{}", spec.key);
        let messages = sent(
            channel,
            &about(AlertStatus::Firing, Some(KEY)),
            &ComposeContext::new("key"),
        );
        if let Some(image) = image {
            assert!(messages[0].names(image.example), "{}", spec.key);
        }
    });
}

#[test]
fn a_text_of_any_length_goes_whole_is_split_or_is_cut_as_its_limit_says() {
    let text = "word ".repeat(100_000);
    let notification = Notification::plain(Json::String(text.clone()));
    each(|spec, channel, capabilities| {
        let messages = channel.compose(&notification, &ComposeContext::new("key"));
        let messages = messages.unwrap();
        let is_whole = String::from_utf8_lossy(&messages.parts[0].body()).contains(text.trim());
        let found = (
            is_whole,
            messages.parts.len() > 1,
            !messages.warnings.is_empty(),
        );
        let expected = match capabilities.limits.text {
            Length::Any => (true, false, false),
            Length::Split(..) => (false, true, true),
            Length::Cut(_) => (false, false, true),
        };
        assert_eq!(found, expected, "{}", spec.key);
        let at_once = channel.destination().at_once;
        assert_eq!(at_once, capabilities.limits.in_flight, "{}", spec.key);
    });
}

#[test]
fn the_capabilities_are_those_of_the_configuration_and_not_of_the_channels_name() {
    let spec = find("sms").unwrap();
    for (to, of) in [
        ("+15005550006", "sms"),
        ("whatsapp:+15005550006", "whatsapp"),
    ] {
        let value = |one: &Parameter| match one.name {
            "twilio_to_number" => Some(to.to_owned()),
            _ => example(one),
        };
        let channel = configured(spec, value).unwrap();
        assert_eq!(
            channel.capabilities(),
            find(of).unwrap().capabilities,
            "{to}"
        );
    }
}

#[test]
fn a_look_up_is_offered_where_a_second_sending_is_forbidden_and_the_provider_can_be_asked() {
    each(|spec, channel, capabilities| {
        let is_asked = channel.lookup().is_some();
        let is_forbidden = capabilities.resend == ResendEffect::Forbidden;
        assert!(!is_asked || is_forbidden, "{}", spec.key);
    });
}

#[test]
fn no_preview_shows_a_secret() {
    for spec in CHANNELS {
        let is_secret =
            |one: &&Parameter| one.secret && !one.operator_only && one.kind == ParameterKind::Text;
        for secret in spec.parameters.iter().filter(is_secret) {
            let value = marked(secret);
            let of = |one: &Parameter| match one.name == secret.name {
                true => Some(value.clone()),
                false => example(one),
            };
            let channel = configured(spec, of).unwrap();
            let needle = value.rsplit(['/', '=', ':']).next().unwrap();
            for status in AlertStatus::ALL {
                for message in composed(channel.as_ref(), &about(status, Some(KEY))) {
                    let preview = channel.preview(&message);
                    assert!(!preview.contains(needle), "{}: {preview}", spec.key);
                }
            }
        }
    }
}
