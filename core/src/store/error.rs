//! Why an outbox cannot be used, in words of our own.

use std::fmt;

/// Nothing was kept. Says what was found, and what mends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    /// Where the outbox is.
    pub place: String,
    pub kind: StoreErrorKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// There is no such file.
    Missing,
    /// There is no such directory.
    NotThere,
    MayNotBeOpened,
    ReadOnly,
    NoOutbox,
    Damaged,
    Newer,
    Older,
    Full,
    Busy,
    TooSlow,
    Broken,
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
    pub fn new(place: impl Into<String>, kind: StoreErrorKind) -> Self {
        Self {
            place: place.into(),
            kind,
        }
    }

    /// Whether room on the disk may mend it. A log that cannot grow is also said to be a failed write.
    pub const fn is_for_want_of_room(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Full | StoreErrorKind::Broken)
    }

    /// Whether it may be over in a while by itself.
    pub const fn may_pass(&self) -> bool {
        matches!(
            self.kind,
            StoreErrorKind::Full | StoreErrorKind::Broken | StoreErrorKind::Busy
        )
    }

    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        match self.kind {
            StoreErrorKind::Missing => "Give the path that the trigger's outbox leads to.",
            StoreErrorKind::NotThere => {
                "Make the directory, and let the server's user write there; or give another outbox."
            }
            StoreErrorKind::MayNotBeOpened => {
                "Let the server's user read and write the file and its directory."
            }
            StoreErrorKind::ReadOnly => {
                "Let the server's user write the file and its directory, and mount the file system for writing."
            }
            StoreErrorKind::NoOutbox => {
                "Give another path: the file there belongs to something else."
            }
            StoreErrorKind::Damaged => {
                "Move the file and those with -wal and -shm after its name to a safe place: a new one is made. What it \
                 held may be read with sqlite3's .recover."
            }
            StoreErrorKind::Newer => {
                "Install the version of influxdb3-notifier that made it, or a newer one."
            }
            StoreErrorKind::Older => {
                "Deliver what it holds with the version that made it; then move the file and those with -wal and -shm after \
                 its name to a safe place: a new one is made."
            }
            StoreErrorKind::Full => {
                "Make room on its file system; on NATS raise the stream's max_bytes or the account's limits."
            }
            StoreErrorKind::Busy => {
                "Look for a program that keeps the file open for writing, such as sqlite3 or a backup."
            }
            StoreErrorKind::TooSlow => {
                "Put the file on a disk of this machine that is less busy; on NATS look how busy the servers are, and whether most of \
                 them run. Try again."
            }
            StoreErrorKind::Broken => "Look at the disk and at the system's log.",
            StoreErrorKind::Stopped => "Restart the server, and report the log line before this.",
            StoreErrorKind::NoBackend => {
                "Give the path of a file, or use a program that has this backend."
            }
            StoreErrorKind::Unreachable => {
                "Look whether the NATS servers run, and whether outbox names their addresses."
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
                "Let the NATS user publish to $JS.API.>, $JS.ACK.>, $KV.notifier_attempts.>, $KV.notifier_known.>, \
                 $KV.notifier_lasts.>, notifier.> and subscribe to _INBOX.> and notifier.alive.*; or make the streams beforehand, as docs/cluster.md says."
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
                "Start the other servers of the cluster, or make the streams beforehand with fewer replicas, as docs/cluster.md says."
            }
            StoreErrorKind::TooLarge => {
                "Raise max_payload on the NATS server, or send a shorter text, or to fewer destinations at a time."
            }
            StoreErrorKind::Refused => "Look at the NATS server's log.",
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            StoreErrorKind::Missing => "is not there",
            StoreErrorKind::NotThere => "cannot be made: its directory is not there",
            StoreErrorKind::MayNotBeOpened => "may not be opened",
            StoreErrorKind::ReadOnly => "cannot be written",
            StoreErrorKind::NoOutbox => "is no outbox",
            StoreErrorKind::Damaged => "is damaged",
            StoreErrorKind::Newer => "was made by a newer version",
            StoreErrorKind::Older => "was made by an older version",
            StoreErrorKind::Full => "finds no more room",
            StoreErrorKind::Busy => "is locked by another program",
            StoreErrorKind::TooSlow => "did not take the notification in time",
            StoreErrorKind::Broken => "cannot be read or written",
            StoreErrorKind::Stopped => "has stopped in this process",
            StoreErrorKind::NoBackend => "needs a backend that this program lacks",
            StoreErrorKind::Unreachable => "cannot be reached",
            StoreErrorKind::Credentials => "does not accept the credentials",
            StoreErrorKind::UnreadableCredentials => {
                "cannot be used with nats_credentials, which are of no known form"
            }
            StoreErrorKind::Tls => "cannot be reached by TLS: the certificates do not fit",
            StoreErrorKind::NoPermission => "does not permit this user what is needed",
            StoreErrorKind::NoJetStream => "has no JetStream",
            StoreErrorKind::NoLeader => "has no leader at present",
            StoreErrorKind::OtherSettings => "has other settings than an outbox needs",
            StoreErrorKind::TooFewServers => "finds fewer servers than it is to have copies",
            StoreErrorKind::TooLarge => "takes no request as large as this one",
            StoreErrorKind::Refused => "was refused by the server",
        };
        write!(f, "The outbox {} {what}.", self.place)
    }
}

impl std::error::Error for StoreError {}
