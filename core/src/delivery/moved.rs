//! Destinations that have another address now.

use super::run::Run;
use crate::model::wire::Outbound;
use crate::observe::Event;

impl Run {
    /// Readdresses a message to where its destination is now, and says so in the answer and the log. `false`: the channel
    /// cannot.
    pub fn follow_move(&self, message: &mut Outbound, to: &str) -> bool {
        let channel = &self.sending.channel;
        let Some(what) = channel.readdress(message, to) else {
            return false;
        };
        self.warn(&what);
        true
    }

    /// Says in the answer and the log what is to be known of this destination.
    pub fn warn(&self, what: &str) {
        let destination = &self.sending.channel.destination().label;
        // The parts of a long text all find the same.
        if self.task.warn(format!("{destination}: {what}")) {
            let event = Event::DestinationWarning { destination, what };
            self.task.log.log(&event);
        }
    }
}
