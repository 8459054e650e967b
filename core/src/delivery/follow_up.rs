//! Compares a delivery with the last notification of its dedup key at its destination. It may be a repeat, or edit or
//! answer that message, and it becomes the last notification.

use super::last_notifications::{
    self, DeliveredNotification, EarlierNotification, REPEAT_INTERVAL,
};
use super::state::Delivery;
use crate::model::outcome::MessageRef;
use crate::model::wire::Outbound;
use crate::store::LastNotificationStore;

/// The action on a delivery after comparing it with the last notification.
pub enum FollowUp {
    /// Send it as composed.
    None,
    /// Do not send it.
    Suppressed { rule: String },
    /// This message edits or answers the earlier one.
    Update(Box<Outbound>),
}

impl Delivery {
    /// Decides when its turn has come: only then is the last notification known.
    pub async fn follow_up(&self) -> FollowUp {
        let Some(key) = self.notification_key().filter(|_| self.depends_on_last()) else {
            return FollowUp::None;
        };
        let last = &self.services.last_notifications;
        let last = last.get(&key, self.store()).await;
        if let Some(silence) = &self.planned.silence
            && !last.as_ref().is_some_and(EarlierNotification::is_open)
        {
            let rule = silence.to_string();
            return FollowUp::Suppressed { rule };
        }
        let Some(last) = last else {
            return FollowUp::None;
        };
        if self.is_repeat_of(&last) {
            let rule = REPEAT_INTERVAL.to_owned();
            return FollowUp::Suppressed { rule };
        }
        self.update(&last).map_or(FollowUp::None, FollowUp::Update)
    }

    /// Returns whether the last notification can change the action.
    fn depends_on_last(&self) -> bool {
        self.planned.channel.capabilities().refers_to_earlier()
            || self.policy.repeat_interval.is_some()
            || self.planned.silence.is_some()
    }

    fn is_repeat_of(&self, last: &EarlierNotification) -> bool {
        let interval = self.policy.repeat_interval;
        let state = self.planned.state().zip(interval);
        state.is_some_and(|(state, interval)| last.is_repeat(state, interval))
    }

    /// The one message that follows up on an earlier one. A split message never does.
    fn update(&self, last: &EarlierNotification) -> Option<Box<Outbound>> {
        let input = self.planned.input.as_ref()?;
        let channel = self.planned.channel.as_ref();
        let refers_to_earlier = channel.capabilities().refers_to_earlier();
        let earlier = last.message().filter(|_| refers_to_earlier)?;
        let composed = input.follow_up(channel, earlier);
        let [message] = <[_; 1]>::try_from(composed.ok()?.parts).ok()?;
        Some(Box::new(message))
    }

    /// Stores the notification as the destination's last one.
    pub fn remember_notification(&self, parts: usize, message: Option<&MessageRef>) {
        let Some(key) = self.notification_key() else {
            return;
        };
        let delivered = DeliveredNotification {
            parts,
            message,
            suppresses_repeats: self.policy.repeat_interval.is_some(),
        };
        let last = &self.services.last_notifications;
        last.delivered(&key, &self.planned, delivered, self.store());
    }

    /// Notes that the message of the last notification does not exist any more.
    pub fn forget_last_notification(&self) {
        if let Some(key) = self.notification_key() {
            self.services
                .last_notifications
                .set(&key, None, self.store());
        }
    }

    /// Notes that the destination may know another state than that of the last notification.
    pub async fn forget_last_state(&self) {
        if let Some(key) = self.notification_key() {
            let last = &self.services.last_notifications;
            last.forget_state(&key, self.store()).await;
        }
    }

    /// Returns the key of the last notification.
    fn notification_key(&self) -> Option<String> {
        last_notifications::key(&self.planned)
    }

    fn store(&self) -> Option<&dyn LastNotificationStore> {
        Some(self.progress.entry.as_ref()?.last_notifications())
    }
}
