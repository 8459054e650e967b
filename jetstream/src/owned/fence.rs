//! Decides whether a process may act on a delivery: which question to ask the servers next, and what a reply means.
//!
//! The code is pure, so [`model`](super::model) can run every interleaving of it. [`Fence`] remembers the revision of
//! the note that is certainly this holder's. An [`Inquiry`] reads or writes that note.
//! docs/decisions/0002-jetstream-outbox.md explains why this suffices.

/// The confirmed state of a delivery's holder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The revision of this holder's note; zero: it has none. It was written, and the request was in the stream after that.
    confirmed: u64,
}

/// A request to the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerQuery {
    /// Write the note over this revision; zero: create it.
    Write {
        over: u64,
    },
    ReadNote,
    /// Ask the stream's leader whether the request is there.
    FindRequest,
}

/// A reply of the servers. Without a reply the inquiry ends with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerReply {
    Written {
        revision: u64,
    },
    /// The note has another revision.
    Conflict,
    NoNote,
    Note {
        revision: u64,
        is_own: bool,
    },
    Request {
        is_there: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InquiryStep {
    Ask(ServerQuery),
    /// The delivery is this holder's.
    Own,
    /// Another process took it over, or an operator ended it.
    Lost,
}

/// One check of whether this holder owns the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Inquiry {
    /// Whether the inquiry writes a note, as before an attempt that must not be repeated.
    writes: bool,
    has_written: bool,
    /// The revision that counts once the request has been found in the stream.
    unconfirmed: u64,
}

impl Fence {
    /// Checks whether this holder owns the delivery.
    pub fn check(&self) -> (Inquiry, ServerQuery) {
        (Inquiry::new(false), ServerQuery::ReadNote)
    }

    /// Takes a delivery over from the writer of this revision; zero means no note. That note may also have been written
    /// after the request's end, so it confirms nothing.
    pub fn take(revision: u64) -> (Inquiry, ServerQuery) {
        (Inquiry::new(true), ServerQuery::Write { over: revision })
    }

    /// Writes a note if this holder owns the delivery.
    pub fn write(&self) -> (Inquiry, ServerQuery) {
        let over = self.confirmed;
        (Inquiry::new(true), ServerQuery::Write { over })
    }
}

impl Inquiry {
    const fn new(writes: bool) -> Self {
        Self {
            writes,
            has_written: false,
            unconfirmed: 0,
        }
    }

    pub fn next(&mut self, fence: &mut Fence, answer: ServerReply) -> InquiryStep {
        match answer {
            // No other process has written since the confirmed revision, so none owns the delivery.
            ServerReply::Written { revision } if fence.confirmed != 0 => {
                fence.confirmed = revision;
                InquiryStep::Own
            }
            // The end of the request removes its notes, so a note may be created after the end.
            ServerReply::Written { revision } => {
                self.has_written = true;
                self.find_request(revision)
            }
            ServerReply::Conflict => InquiryStep::Ask(ServerQuery::ReadNote),
            ServerReply::NoNote => {
                fence.confirmed = 0;
                self.find_request(0)
            }
            ServerReply::Note { is_own: false, .. } => InquiryStep::Lost,
            ServerReply::Note { revision, .. } if revision == fence.confirmed => {
                self.confirmed(fence)
            }
            // This holder's write without a reply. It may have been stored after the request's end.
            ServerReply::Note { revision, .. } => self.find_request(revision),
            ServerReply::Request { is_there: false } => InquiryStep::Lost,
            ServerReply::Request { is_there: true } => {
                fence.confirmed = self.unconfirmed;
                self.confirmed(fence)
            }
        }
    }

    const fn find_request(&mut self, revision: u64) -> InquiryStep {
        self.unconfirmed = revision;
        InquiryStep::Ask(ServerQuery::FindRequest)
    }

    const fn confirmed(&self, fence: &Fence) -> InquiryStep {
        match self.writes && !self.has_written {
            true => InquiryStep::Ask(ServerQuery::Write {
                over: fence.confirmed,
            }),
            false => InquiryStep::Own,
        }
    }
}
