//! The reasons why an outbox cannot be used.

use std::fmt;

/// The operation failed and stored nothing. The text names the problem, the hint the correction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    /// The location of the outbox.
    pub location: String,
    pub kind: StoreErrorKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// There is no such file.
    Missing,
    /// There is no such directory.
    NoDirectory,
    AccessDenied,
    ReadOnly,
    NotAnOutbox,
    Damaged,
    Newer,
    Older,
    NoSpace,
    Busy,
    /// Another process has the alert state.
    LedByAnother,
    TimedOut,
    IoFailed,
    Stopped,
    /// This program has no backend for the scheme of the servers' URLs.
    NoBackend,
    Unreachable,
    Credentials,
    UnreadableCredentials,
    Tls,
    NoPermission,
    NoJetStream,
    NoLeader,
    OtherSettings,
    TooFewServers,
    TooLarge,
    Refused,
}

impl StoreError {
    pub fn new(location: impl Into<String>, kind: StoreErrorKind) -> Self {
        Self {
            location: location.into(),
            kind,
        }
    }

    /// Whether free disk space may repair it. SQLite also reports a log that cannot grow as a failed write.
    pub const fn is_disk_full(&self) -> bool {
        matches!(
            self.kind,
            StoreErrorKind::NoSpace | StoreErrorKind::IoFailed
        )
    }

    /// Whether a retry may succeed without a change by the operator.
    pub const fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            StoreErrorKind::NoSpace | StoreErrorKind::IoFailed | StoreErrorKind::Busy
        )
    }

    /// The advice to the operator.
    pub const fn hint(&self) -> &'static str {
        match self.kind {
            StoreErrorKind::Missing => "Give the path of the trigger's outbox.",
            StoreErrorKind::NoDirectory => {
                "Create the directory and let the server's user write there, or give another outbox."
            }
            StoreErrorKind::AccessDenied => {
                "Let the server's user read and write the file and its directory."
            }
            StoreErrorKind::ReadOnly => {
                "Let the server's user write the file and its directory, and mount the file system for writing."
            }
            StoreErrorKind::NotAnOutbox => {
                "Give another path: the file there belongs to something else."
            }
            StoreErrorKind::Damaged => {
                "Move the file, and those with -wal and -shm after its name, to a safe place: the next notification creates a \
                 new one. sqlite3's .recover may read the old one."
            }
            StoreErrorKind::Newer => {
                "Install the version of influxdb3-notifier that created it, or a newer one."
            }
            StoreErrorKind::Older => {
                "Deliver its notifications with the version that created it. Then move the file, and those with -wal and -shm \
                 after its name, to a safe place: this version creates a new one."
            }
            StoreErrorKind::NoSpace => {
                "Free space on its file system; on NATS raise the stream's max_bytes or the account's limits."
            }
            StoreErrorKind::Busy => {
                "Look for a program that keeps the file open for writing, such as sqlite3 or a backup."
            }
            StoreErrorKind::TimedOut => {
                "Put the file on a disk of this machine that is less busy; on NATS look how busy the servers are, and whether most of \
                 them run. Try again."
            }
            StoreErrorKind::LedByAnother => {
                "Let one server use this file with this configuration file: alert state has one leader for now."
            }
            StoreErrorKind::IoFailed => "Check the disk and the system's log.",
            StoreErrorKind::Stopped => "Restart the server, and report the log line before this.",
            StoreErrorKind::NoBackend => {
                "Give the path of a file, or use a program that has this backend."
            }
            StoreErrorKind::Unreachable => {
                "Check that the NATS servers run and that outbox has their addresses."
            }
            StoreErrorKind::Credentials => {
                "Set nats_credentials in the configuration file's [settings] to what the NATS server expects of this user."
            }
            StoreErrorKind::UnreadableCredentials => {
                "Set nats_credentials to the text of a .creds file, to an nkey's seed (SU…), to user:password or to a token."
            }
            StoreErrorKind::Tls => {
                "Set nats_ca_file to the authority that signed the NATS server's certificate, and nats_client_certificate \
                 where the server asks for one; the address must be a name in the certificate."
            }
            StoreErrorKind::NoPermission => {
                "Let the NATS user publish to $JS.API.>, $JS.ACK.>, $KV.notifier_attempts.>, $KV.notifier_idempotency_keys.>, \
                 $KV.notifier_last_notifications.>, notifier.> and subscribe to _INBOX.> and notifier.alive.*; or create the streams beforehand, as docs/cluster.md says."
            }
            StoreErrorKind::NoJetStream => {
                "Start the NATS server with JetStream (-js, or jetstream {} in its configuration), and enable it for the account."
            }
            StoreErrorKind::NoLeader => {
                "Try again in some seconds: the NATS servers elect a leader. If they do not, look whether most of them run and \
                 reach each other."
            }
            StoreErrorKind::OtherSettings => {
                "Give that stream another name or other subjects, or the settings that docs/cluster.md lists: the outbox \
                 changes no stream that is there."
            }
            StoreErrorKind::TooFewServers => {
                "Start the other servers of the cluster, or create the streams beforehand with fewer replicas, as docs/cluster.md says."
            }
            StoreErrorKind::TooLarge => {
                "Raise max_payload on the NATS server, or send a shorter text, or to fewer destinations at a time."
            }
            StoreErrorKind::Refused => "Check the NATS server's log.",
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = match self.kind {
            StoreErrorKind::Missing => "does not exist",
            StoreErrorKind::NoDirectory => "cannot be created: its directory does not exist",
            StoreErrorKind::AccessDenied => "cannot be opened: permission denied",
            StoreErrorKind::ReadOnly => "cannot be written",
            StoreErrorKind::NotAnOutbox => "is not an outbox file",
            StoreErrorKind::Damaged => "is damaged",
            StoreErrorKind::Newer => "was created by a newer version of influxdb3-notifier",
            StoreErrorKind::Older => "was created by an older version of influxdb3-notifier",
            StoreErrorKind::NoSpace => "has no space left",
            StoreErrorKind::Busy => "is locked by another program",
            StoreErrorKind::LedByAnother => "has its alert state in use by another process",
            StoreErrorKind::TimedOut => "did not store the notification in time",
            StoreErrorKind::IoFailed => "cannot be read or written",
            StoreErrorKind::Stopped => "has stopped in this process",
            StoreErrorKind::NoBackend => "needs a backend that this program does not have",
            StoreErrorKind::Unreachable => "cannot be reached",
            StoreErrorKind::Credentials => "does not accept the credentials",
            StoreErrorKind::UnreadableCredentials => {
                "cannot be reached: nats_credentials has no known form"
            }
            StoreErrorKind::Tls => "cannot be reached with TLS: a certificate is not accepted",
            StoreErrorKind::NoPermission => "denies this user a permission that the outbox needs",
            StoreErrorKind::NoJetStream => "has no JetStream",
            StoreErrorKind::NoLeader => "has no leader at the moment",
            StoreErrorKind::OtherSettings => "has other settings than an outbox needs",
            StoreErrorKind::TooFewServers => "has fewer servers than replicas",
            StoreErrorKind::TooLarge => "does not accept a request of this size",
            StoreErrorKind::Refused => "got an error from the server",
        };
        write!(f, "The outbox {} {problem}.", self.location)
    }
}

impl std::error::Error for StoreError {}
