//! What every store must do: a suite of functions over a [`StoreFixture`]. `conformance!` makes tests of all of them for one kind.

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
                what_has_ended_is_not_there_any_more,
                a_request_belongs_to_its_process_until_its_lease_has_run_out,
                what_was_noted_of_a_delivery_is_there_after_its_process,
                what_has_ended_of_a_request_is_not_done_again,
                requests_are_taken_over_in_their_order_and_not_more_than_asked_for,
                requests_of_another_configuration_file_are_left,
                what_nobody_waits_for_is_not_taken,
                a_providers_message_belongs_to_one_delivery,
                an_owner_may_note_nothing_of_what_is_anothers,
                a_request_of_many_deliveries_is_kept_whole,
                many_requests_at_once_are_all_kept,
                what_is_left_belongs_to_whoever_comes_first,
                what_is_left_and_unheard_of_is_not_taken,
                what_is_released_is_anothers_at_once,
                what_runs_in_this_process_is_not_claimed_again,
            ],
            keys: [
                a_key_is_known_to_every_process,
                of_two_processes_one_takes_a_key,
                a_key_of_which_everything_failed_is_forgotten,
            ],
            order: [
                a_delivery_is_behind_an_older_one_of_its_key_that_another_process_has,
                what_is_claimed_keeps_its_order,
                a_delivery_that_is_behind_nothing_any_more_lets_those_that_come_later_line_up,
                a_delivery_waits_only_for_its_destination_and_configuration_file,
                an_end_that_is_on_its_way_to_the_store_is_waited_for,
                a_delivery_waits_for_one_that_was_taken_from_its_process,
                deliveries_of_a_key_leave_in_their_order_whichever_process_has_them,
            ],
            history: [
                a_history_row_is_stored_until_it_is_written,
            ],
            last_notifications: [
                what_a_destination_was_told_last_is_known_to_every_process,
                the_last_ten_thousand_keys_of_destinations_are_known,
            ],
            kills: [
                a_process_that_is_killed_after_a_step_leaves_what_it_has_stored,
                a_process_that_is_killed_during_a_step_leaves_it_done_or_not_done,
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
