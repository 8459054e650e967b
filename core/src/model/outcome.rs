//! The results of a message and of a delivery, with their reasons.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use super::wire::HttpRequest;
use crate::secret::Redactor;
use crate::text::{head, printable, without_page};

/// Declares [`Reason`] with one row for each reason: variant, code, sentence, hint.
macro_rules! reasons {
    ($($variant:ident $code:literal $sentence:literal $hint:literal;)*) => {
        /// The reason of a failed delivery. The set is closed: the codes are part of the contract, and docs/reasons.md
        /// describes each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($variant),* }

        impl Reason {
            pub const ALL: &'static [Reason] = &[$(Reason::$variant),*];

            /// Returns the stable code for programs.
            pub const fn code(self) -> &'static str {
                match self { $(Reason::$variant => $code),* }
            }

            /// Returns the reason as an English sentence.
            pub const fn sentence(self) -> &'static str {
                match self { $(Reason::$variant => $sentence),* }
            }

            /// Returns the reason with this code.
            pub fn from_code(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.code() == code)
            }

            /// Returns the advice to the reader.
            pub const fn hint(self) -> &'static str {
                match self { $(Reason::$variant => $hint),* }
            }
        }
    };
}

reasons! {
    // Errors before sending.
    InvalidConfig "invalid_config" "The sender's configuration cannot be used."
        "Correct the field that `path` names.";
    InvalidText "invalid_text" "The channel cannot send this notification_text."
        "Give notification_text as a string that is not blank.";
    MissingDedupKey "missing_dedup_key" "This channel acknowledges and closes only notifications with a dedup_key."
        "Give the dedup_key of the notification that opened the alert.";
    UnknownSender "unknown_sender" "There is no sender of this name."
        "Use the name of a channel.";
    UnknownReceiver "unknown_receiver" "There is no receiver of this name."
        "Use a receiver that the configuration file names.";
    AddressDenied "address_denied" "The operator's policy or the address guard does not allow this address."
        "Ask who runs the trigger: allowed_hosts and private_addresses decide; link-local and metadata addresses are always denied.";
    // Errors on the network.
    Dns "dns" "The host's name could not be resolved."
        "Check the host's name in the URL, and this server's name servers.";
    Connect "connect" "No connection could be made."
        "Check that the host and port are right and that a firewall lets this server out.";
    Tls "tls" "The TLS handshake failed."
        "Check the certificate that the server presents; a private CA must be in this server's store or in SSL_CERT_FILE.";
    Proxy "proxy" "The proxy that the environment names cannot be used."
        "Check HTTP_PROXY, HTTPS_PROXY and NO_PROXY in the server's environment, then restart the server.";
    Timeout "timeout" "The destination did not answer in time."
        "Check the destination; connect_timeout and attempt_timeout set how long one attempt may take.";
    ConnectionLost "connection_lost" "The connection broke before a reply came."
        "The provider may have accepted the message; check the destination.";
    MalformedReply "malformed_reply" "The reply is not a valid HTTP or SMTP reply."
        "Check that the URL leads to an HTTP server, on the right port; look there for the message before sending it again.";
    OutOfDescriptors "out_of_descriptors" "This process has no file descriptors left."
        "Raise the server's limit of open files (ulimit -n), or lower max_connections.";
    LostReply "lost_reply" "The reply was lost: the provider may have accepted the message."
        "Look for the message in the provider's log before sending it again.";
    // The provider's replies.
    Redirected "redirected" "The destination answered with a redirect, which is never followed."
        "Use the address that the redirect leads to, if you trust it.";
    RateLimited "rate_limited" "The provider limits the rate of messages."
        "Send less often to this destination, or allow more time with delivery_timeout.";
    TryLater "try_later" "The provider asked to try again later."
        "Nothing to do, unless it goes on: then look at the provider's status page.";
    ServerError "server_error" "The provider had an error of its own."
        "Nothing to do, unless it goes on: then look at the provider's status page.";
    Unauthorized "unauthorized" "The provider does not accept the credentials."
        "Check the token, key or webhook URL; it may have been revoked.";
    Forbidden "forbidden" "The provider does not allow this."
        "Check what the credentials may do, and the provider's rules for this destination.";
    UnknownDestination "unknown_destination" "The destination does not exist any more."
        "Make a new webhook and use its URL.";
    Archived "archived" "The channel is archived."
        "Unarchive the channel; a new webhook is not needed.";
    Rejected "rejected" "The provider refused the message."
        "Read `detail`: the provider's own words.";
    NoSmtputf8 "no_smtputf8" "The mail server takes no addresses beyond ASCII."
        "Give an address in ASCII, or a mail server that offers SMTPUTF8; email_from, email_cc and email_reply_to count too.";
    TooLarge "too_large" "The message is longer than the provider takes."
        "Shorten notification_text.";
    QuotaExhausted "quota_exhausted" "The account's quota is used up."
        "Raise the quota at the provider, or wait for the next period.";
    // Twilio's replies.
    InvalidNumber "invalid_number" "The number to send to is not valid."
        "Give twilio_to_number in E.164 form, such as +15005550006.";
    InvalidSenderNumber "invalid_sender_number" "The number to send from cannot be used."
        "Give a twilio_from_number that belongs to this Twilio account and can send such messages.";
    UnreachableNumber "unreachable_number" "The number cannot be reached by this kind of message."
        "Check the number, and that its region is enabled in the Twilio console.";
    OptedOut "opted_out" "The recipient has opted out."
        "The recipient can opt in again by texting START to the sender's number.";
    TrialAccount "trial_account" "A trial account can send to verified numbers only."
        "Verify the number in the Twilio console, or upgrade the account.";
    OutsideWindow "outside_window" "WhatsApp allows free text only within 24 hours of the recipient's last message."
        "Give content_sid: outside that time WhatsApp takes approved content templates only.";
    // Decisions of the notifier.
    DestinationDisabled "destination_disabled" "The destination permanently refused a recent message, so nothing was sent."
        "Fix the cause that the earlier failure names; the next attempt is possible after 10 minutes.";
    Expired "expired" "Its deadline passed while no process ran that could deliver it."
        "Send it all the same with `influxdb3-notifier outbox retry`, or drop it.";
    Sealed "sealed" "Its destination was sealed with another outbox_key, or the key is missing now."
        "Give the outbox_key under which it was accepted, then run `influxdb3-notifier outbox retry`.";
    Outbox "outbox" "The outbox could not be written, so this was not sent."
        "Look at the outbox's disk; the log says more.";
    Grouped "grouped" "A later notification of its group has it."
        "Nothing to do: group_wait and group_interval set when the group is notified.";
    Dropped "dropped" "An operator has dropped it from the outbox."
        "Nothing to do.";
    Internal "internal" "An internal error of the notifier."
        "Please report it, with the log line of the same time.";
}

/// A provider's own words: printable, without secrets, at most 300 characters. For an HTML page, its title.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail(String);

impl Detail {
    pub const MAX_CHARACTERS: usize = 300;
    /// The maximum length of text that is read. Providers' errors are shorter, and the limit makes hostile replies
    /// cheap.
    const READ_BYTES: usize = 4 * 1024;

    /// Returns `None` if no printable character remains.
    pub fn new(text: &str, redactor: &Redactor) -> Option<Self> {
        let read = head(text, Self::READ_BYTES);
        let redacted = redactor.redact(read);
        let words = without_page(&redacted);
        let cut = read.len() < text.len() && matches!(words, Cow::Borrowed(_));
        let clean = printable(&words);
        let clean = clean.trim();
        if clean.is_empty() {
            return None;
        }
        if clean.chars().count() <= Self::MAX_CHARACTERS && !cut {
            return Some(Self(clean.to_owned()));
        }
        let mut short: String = clean.chars().take(Self::MAX_CHARACTERS - 1).collect();
        short.push('…');
        Some(Self(short))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for Detail {
    /// Makes a detail of a constant sentence.
    fn from(sentence: &'static str) -> Self {
        Self(sentence.to_owned())
    }
}

/// Why a message was not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub reason: Reason,
    pub detail: Option<Detail>,
    /// A hint that replaces the reason's own hint.
    pub hint: Option<Cow<'static, str>>,
}

impl Failure {
    pub fn new(reason: Reason) -> Self {
        Self {
            reason,
            detail: None,
            hint: None,
        }
    }

    pub fn with_detail(mut self, detail: Option<Detail>) -> Self {
        self.detail = detail;
        self
    }

    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn hint(&self) -> &str {
        self.hint.as_deref().unwrap_or(self.reason.hint())
    }
}

impl fmt::Display for Failure {
    /// Formats the failure as `unknown_destination: Slack: no_service`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match &self.detail {
            Some(detail) => detail.as_str(),
            None => self.reason.sentence(),
        };
        write!(f, "{}: {text}", self.reason.code())
    }
}

/// The provider's name for an accepted message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MessageRef(pub String);

/// The result of an attempt for the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    Delivered {
        message: Option<MessageRef>,
        /// A warning to the caller and the operator.
        warning: Option<&'static str>,
    },
    /// The message was certainly not delivered. A retry is useful, but not before `after`.
    Retry {
        failure: Failure,
        after: Option<Duration>,
    },
    /// The provider may have accepted the message.
    Ambiguous(Failure),
    /// The failure is permanent.
    Reject(Failure),
    /// The earlier message no longer exists or cannot be changed, so the message is composed again without the
    /// reference. A message without a reference is rejected.
    Stale(Failure),
    /// The destination has a new address.
    Moved(Box<Moved>),
}

impl AttemptResult {
    /// Returns the reason why the message was not delivered.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            AttemptResult::Delivered { .. } => None,
            AttemptResult::Retry { failure, .. }
            | AttemptResult::Ambiguous(failure)
            | AttemptResult::Reject(failure)
            | AttemptResult::Stale(failure) => Some(failure),
            AttemptResult::Moved(moved) => Some(&moved.failure),
        }
    }
}

/// A destination with a new address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The message to the new address.
    pub next: HttpRequest,
    /// The change for the operator to make.
    pub warning: String,
    /// The failure if the message has already moved before.
    pub failure: Failure,
}

/// The result of an attempt, for the message and for other deliveries to the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classification {
    pub result: AttemptResult,
    pub queue: Option<QueueDirective>,
}

impl From<AttemptResult> for Classification {
    fn from(result: AttemptResult) -> Self {
        Self {
            result,
            queue: None,
        }
    }
}

/// Directives that delay or end other deliveries to the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueDirective {
    /// Sends nothing before `wait` and the queue's own backoff have passed.
    Pause {
        wait: Option<Duration>,
        scope: PauseScope,
    },
    /// Deliveries end at once with `destination_disabled`.
    Disable { wait: Duration },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseScope {
    Destination,
    Account,
}

/// The result or the progress of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Delivered {
        message: Option<MessageRef>,
    },
    Failed(Failure),
    Pending(Option<Failure>),
    Ambiguous(Failure),
    Suppressed {
        rule: String,
    },
    DryRun,
    /// The operator ignores destinations in requests.
    Ignored,
}

impl Outcome {
    pub const fn code(&self) -> &'static str {
        match self {
            Outcome::Delivered { .. } => "delivered",
            Outcome::Failed(_) => "failed",
            Outcome::Pending(_) => "pending",
            Outcome::Ambiguous(_) => "ambiguous",
            Outcome::Suppressed { .. } => "suppressed",
            Outcome::DryRun => "dry_run",
            Outcome::Ignored => "ignored",
        }
    }

    /// The rule name of an event that changes nothing.
    pub const UNCHANGED: &str = "unchanged";
    /// The rule name of an event that ends an unknown alert.
    pub const NOT_FIRING: &str = "not_firing";

    /// The rule name of a notification whose content was no longer true before it could be sent.
    pub const SUPERSEDED: &str = "superseded";

    /// Whether an event repeats that an alert is firing.
    pub fn is_unchanged(&self) -> bool {
        matches!(self, Outcome::Suppressed { rule } if rule == Self::UNCHANGED)
    }

    /// Whether an event ends an alert that is unknown.
    pub fn is_not_firing(&self) -> bool {
        matches!(self, Outcome::Suppressed { rule } if rule == Self::NOT_FIRING)
    }

    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Outcome::Failed(failure) | Outcome::Ambiguous(failure) => Some(failure),
            Outcome::Pending(failure) => failure.as_ref(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_code_a_sentence_and_a_hint_of_its_own() {
        let mut codes: Vec<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert!(reason.sentence().ends_with('.'), "{}", reason.code());
            assert!(reason.hint().ends_with('.'), "{}", reason.code());
        }
    }

    #[test]
    fn a_detail_is_clean_printable_text_of_at_most_300_characters() {
        let redactor = Redactor::new(["s3cret-token"]);
        let table = [
            ("  plain\r\nwords\t", "plain words"),
            ("bell\u{7} \u{1b}[31mred\u{1b}[0m", "bell [31mred[0m"),
            ("nul\0 and \u{202e}override", "nul and override"),
            ("echo s3cret-\u{0}token", "echo ***"),
            (
                "<html><title>s3cret-token\n&\u{1b}[2J</title>",
                "an HTML page, \"*** &[2J\"",
            ),
        ];
        for (text, shown) in table {
            assert_eq!(Detail::new(text, &redactor).unwrap().as_str(), shown);
        }
        assert_eq!(Detail::new(" \u{0} ", &redactor), None);
        let long = Detail::new(&"ä".repeat(10_000_000), &redactor).unwrap();
        assert_eq!(long.as_str().chars().count(), 300);
        assert!(long.as_str().ends_with('…'));
    }
}
