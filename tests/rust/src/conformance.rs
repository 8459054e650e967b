//! The requirements of every store: a suite of functions over a [`StoreFixture`]. `conformance!` generates the tests
//! for one kind of store.

pub mod history;
pub mod keys;
pub mod kills;
pub mod last_notifications;
pub mod order;
pub mod requests;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use notifier_core::store::{Accepted, NewRequest, Store, StoredRequest};

/// One store, and the operations that a test needs.
pub trait StoreFixture: Sync {
    /// Opens the store as another process.
    fn open(&self) -> Arc<dyn Store>;

    /// Lets all leases expire.
    fn lapse(&self);

    /// Runs another process up to a step of [`kills::STEPS`] and kills it there.
    fn kill_at(&self, kill: kills::Kill) -> BoxFuture<'_, ()>;
}

/// Makes a test of each function of the suite; the attribute is the one of each test.
#[macro_export]
macro_rules! conformance {
    (#[$test:meta] $fixture:expr) => {
        $crate::conformance!(#[$test] $fixture;
            requests: [
                an_ended_request_is_removed,
                a_request_belongs_to_its_process_until_its_lease_has_run_out,
                progress_of_a_delivery_survives_its_process,
                ended_deliveries_of_a_request_are_not_repeated,
                requests_are_claimed_in_order_up_to_the_limit,
                requests_of_another_configuration_file_are_not_claimed,
                an_abandoned_request_is_not_stored,
                a_providers_message_belongs_to_one_delivery,
                an_owner_cannot_write_to_a_request_of_another,
                a_request_of_many_deliveries_is_stored_whole,
                many_concurrent_requests_are_all_stored,
                an_enqueued_request_goes_to_the_first_claimant,
                an_abandoned_enqueue_is_not_claimed,
                a_released_request_can_be_claimed_at_once,
                a_running_request_is_not_claimed_again,
            ],
            keys: [
                a_key_is_known_to_every_process,
                one_of_two_processes_gets_a_key,
                a_key_is_released_when_every_delivery_failed,
            ],
            order: [
                a_delivery_is_behind_an_older_one_of_its_key_that_another_process_has,
                claimed_requests_keep_their_order,
                an_unblocked_delivery_still_precedes_later_ones,
                a_delivery_waits_only_for_its_destination_and_configuration_file,
                a_delivery_waits_for_an_outcome_that_is_being_stored,
                a_delivery_waits_for_one_that_another_process_took_over,
                deliveries_of_a_key_keep_their_order_across_processes,
            ],
            history: [
                a_history_row_is_stored_until_it_is_written,
            ],
            last_notifications: [
                last_notifications_are_visible_to_every_process,
                the_last_ten_thousand_keys_of_destinations_are_known,
            ],
            kills: [
                a_process_killed_after_a_step_leaves_its_stored_state,
                a_process_killed_during_a_step_leaves_it_done_or_undone,
            ],
        );
    };
    (#[$test:meta] $fixture:expr; $($module:ident: $names:tt),* $(,)?) => {
        $($crate::conformance!(@module #[$test] $fixture; $module $names);)*
    };
    (@module #[$test:meta] $fixture:expr; $module:ident [$($name:ident),* $(,)?]) => {
        $(#[$test]
        async fn $name() {
            $crate::conformance::$module::$name(&$fixture).await;
        })*
    };
}

/// Gives back which deliveries are behind others.
async fn accept(store: &dyn Store, request: NewRequest) -> Vec<usize> {
    match store.accept(request).await.unwrap() {
        Accepted::New { behind } => behind,
        accepted => panic!("{accepted:?}"),
    }
}

async fn claim(store: &dyn Store) -> Vec<StoredRequest> {
    store.claim("notifier.toml", 1000).await.unwrap()
}
