//! Magic numbers, which select a reply of the error dictionary. Those of Twilio's test credentials have Twilio's meaning.
//!
//! Sentences are Twilio's if they are documented. The HTTP status of most codes is not documented [Twilio error dictionary].

use Magic::{Ends, Fails};

/// The effect of a magic number.
pub enum Magic {
    /// An error: HTTP status, code, sentence.
    Fails(u16, u32, &'static str),
    /// A 201 whose message has this status and error code.
    Ends(&'static str, u32),
}

/// The field, the end of its value, and the effect. A prefix `whatsapp:` makes no difference.
pub const NUMBERS: [(&str, &str, Magic); 23] = [
    // Twilio's [Twilio docs: test credentials].
    (
        "To",
        "+15005550001",
        Fails(400, 21211, "The 'To' number is not a valid phone number."),
    ),
    (
        "To",
        "+15005550002",
        Fails(
            400,
            21612,
            "The 'To' phone number is not currently reachable using the 'From' number.",
        ),
    ),
    (
        "To",
        "+15005550003",
        Fails(
            400,
            21408,
            "Permission to send an SMS has not been enabled for the region of the 'To' number.",
        ),
    ),
    (
        "To",
        "+15005550004",
        Fails(400, 21610, "Attempt to send to unsubscribed recipient"),
    ),
    (
        "To",
        "+15005550009",
        Fails(400, 21614, "'To' number is not a valid mobile number"),
    ),
    (
        "From",
        "+15005550000",
        Fails(
            400,
            21212,
            "The 'From' number is not a valid phone number, shortcode, or alphanumeric sender ID.",
        ),
    ),
    (
        "From",
        "+15005550007",
        Fails(
            400,
            21606,
            "The 'From' phone number is not a valid, SMS-capable inbound phone number.",
        ),
    ),
    (
        "From",
        "+15005550008",
        Fails(
            429,
            21611,
            "This 'From' number has exceeded the maximum number of queued messages",
        ),
    ),
    // The stand-in's.
    (
        "To",
        "+15005550011",
        Fails(
            400,
            21608,
            "The number is unverified. Trial accounts cannot send messages to unverified numbers.",
        ),
    ),
    (
        "To",
        "+15005550012",
        Fails(
            429,
            21611,
            "This 'From' number has exceeded the maximum number of queued messages",
        ),
    ),
    (
        "To",
        "+15005550013",
        Fails(503, 21730, "The messaging service is under maintenance"),
    ),
    ("To", "+15005550014", Fails(429, 20429, "Too Many Requests")),
    (
        "To",
        "+15005550015",
        Fails(500, 20500, "Internal Server Error"),
    ),
    (
        "To",
        "+15005550016",
        Fails(503, 20503, "Service Unavailable"),
    ),
    ("To", "+15005550017", Ends("failed", 30008)),
    ("To", "+15005550018", Ends("undelivered", 30003)),
    ("To", "+15005550019", Ends("canceled", 0)),
    (
        "To",
        "+15005550020",
        Fails(400, 30034, "Message from an unregistered number"),
    ),
    ("To", "+15005550021", Fails(400, 30007, "Message filtered")),
    (
        "From",
        "+15005550031",
        Fails(
            400,
            21659,
            "The 'From' number is not a Twilio phone number or short code country mismatch",
        ),
    ),
    (
        "From",
        "+15005550032",
        Fails(
            400,
            21660,
            "Mismatch between the 'From' number and the account",
        ),
    ),
    (
        "From",
        "+15005550033",
        Fails(
            400,
            63007,
            "Twilio could not find a Channel with the specified From address",
        ),
    ),
    (
        "MessagingServiceSid",
        "0000",
        Fails(
            400,
            21703,
            "The Messaging Service contains no phone numbers",
        ),
    ),
];
