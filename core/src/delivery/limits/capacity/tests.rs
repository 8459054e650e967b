//! Tests how callers share the limits.

use super::*;

fn caller(number: u64) -> Caller {
    Caller::Trigger(number)
}

/// Places for deliveries of one byte.
fn permits(
    capacity: &Arc<Capacity>,
    number: u64,
    count: usize,
    max_in_flight: usize,
) -> Result<Vec<InFlightPermit>, CapacityError> {
    let own = capacity.usage(&caller(number));
    capacity.reserve(&own, &vec![1; count], 0, max_in_flight)
}

fn held_bytes(capacity: &Capacity) -> usize {
    capacity.all.bytes.load(Ordering::Relaxed)
}

#[test]
fn a_request_gets_room_for_all_its_deliveries_or_for_none() {
    let capacity = Arc::new(Capacity::default());
    let own = capacity.usage(&caller(0));
    let reserve = |sizes: &[usize], shared| capacity.reserve(&own, sizes, shared, 10);
    let first = reserve(&[10; 6], 0).unwrap();
    assert_eq!(reserve(&[10; 5], 0).err(), Some(CapacityError::InFlight));
    assert_eq!(reserve(&[MAX_BYTES], 0).err(), Some(CapacityError::Bytes));
    assert_eq!(reserve(&[0], MAX_BYTES).err(), Some(CapacityError::Bytes));
    assert_eq!(capacity.in_flight(), 6);
    drop(first);
    assert_eq!(capacity.in_flight(), 0);
    assert!(reserve(&[MAX_BYTES], 0).is_ok());
}

#[test]
fn a_caller_finds_its_share_free_where_another_uses_all() {
    let capacity = Arc::new(Capacity::default());
    let first = permits(&capacity, 1, 100, 100).unwrap();
    assert_eq!(
        permits(&capacity, 1, 1, 100).err(),
        Some(CapacityError::InFlight)
    );
    let second = permits(&capacity, 2, 25, 100).unwrap();
    assert_eq!(
        permits(&capacity, 2, 1, 100).err(),
        Some(CapacityError::InFlight)
    );
    let _third = permits(&capacity, 3, 1, 100).unwrap();
    drop((first, second));
    assert_eq!(capacity.in_flight(), 1);
    assert_eq!(
        permits(&capacity, 2, 100, 100).err(),
        Some(CapacityError::InFlight)
    );
    assert!(permits(&capacity, 2, 99, 100).is_ok());
}

#[test]
fn many_callers_use_twice_the_limit_together_and_no_more() {
    let capacity = Arc::new(Capacity::default());
    let kept: Vec<_> = (0..20)
        .filter_map(|n| permits(&capacity, n, 25, 100).ok())
        .collect();
    assert_eq!(kept.len(), 8);
    assert_eq!(capacity.in_flight(), 200);
}

#[test]
fn the_least_limit_lets_each_caller_have_one() {
    let capacity = Arc::new(Capacity::default());
    let _first = permits(&capacity, 1, 1, 1).unwrap();
    assert_eq!(
        permits(&capacity, 1, 1, 1).err(),
        Some(CapacityError::InFlight)
    );
    let _second = permits(&capacity, 2, 1, 1).unwrap();
    assert_eq!(
        permits(&capacity, 3, 1, 1).err(),
        Some(CapacityError::InFlight)
    );
}

#[test]
fn bytes_and_rows_that_wait_have_shares_too() {
    let capacity = Arc::new(Capacity::default());
    let (first, second) = (capacity.usage(&caller(1)), capacity.usage(&caller(2)));
    let _all = capacity.reserve_bytes(&first, MAX_BYTES).unwrap();
    assert!(capacity.reserve_bytes(&first, 1).is_err());
    assert!(capacity.reserve_bytes(&second, MAX_BYTES / 4 + 1).is_err());
    assert!(capacity.reserve_bytes(&second, MAX_BYTES / 4).is_ok());
    // Rows that wait take no room from deliveries: they could never become any.
    let mut rows = capacity
        .reserve_waiting_bytes(&first, MAX_WAITING_BYTES)
        .unwrap();
    assert!(capacity.reserve_waiting_bytes(&first, 1).is_err());
    assert!(
        capacity
            .reserve_waiting_bytes(&second, MAX_WAITING_BYTES / 4)
            .is_ok()
    );
    rows.shrink(10);
    assert!(capacity.reserve_waiting_bytes(&first, 10).is_ok());
}

#[test]
fn callers_that_use_nothing_are_forgotten() {
    let capacity = Arc::new(Capacity::default());
    for n in 0..100 {
        drop(permits(&capacity, n, 1, 10).unwrap());
    }
    assert_eq!(capacity.callers.lock().unwrap().len(), 1);
}

#[test]
fn shared_bytes_count_once_until_the_last_delivery_ends() {
    let capacity = Arc::new(Capacity::default());
    let own = capacity.usage(&caller(0));
    let mut permits = capacity.reserve(&own, &[1, 2, 3], 100, 10).unwrap();
    assert_eq!(held_bytes(&capacity), 106);
    permits.pop();
    assert_eq!(held_bytes(&capacity), 103);
    permits.iter_mut().for_each(InFlightPermit::give_back_bytes);
    assert_eq!(held_bytes(&capacity), 100);
    permits.pop();
    assert_eq!((held_bytes(&capacity), capacity.in_flight()), (100, 1));
    permits.pop();
    assert_eq!((held_bytes(&capacity), capacity.in_flight()), (0, 0));
    let accepted = capacity.reserve_accepted(&own, &[MAX_BYTES, MAX_BYTES], 1);
    assert_eq!(held_bytes(&capacity), 2 * MAX_BYTES + 1);
    drop(accepted);
    assert_eq!(held_bytes(&capacity), 0);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_gets_capacity_as_soon_as_it_is_free() {
    let capacity = Arc::new(Capacity::default());
    let mut held = permits(&capacity, 1, 10, 10).unwrap();
    let own = capacity.usage(&caller(1));
    let need = Need {
        deliveries: 2,
        bytes: 5,
    };
    let waiting = capacity.wait_for(&own, need, 10, || ());
    tokio::pin!(waiting);
    assert!(timeout(LOOK_EVERY * 3, &mut waiting).await.is_err());
    held.pop();
    assert!(timeout(Duration::ZERO, &mut waiting).await.is_err());
    held.pop();
    let reserved = timeout(Duration::ZERO, waiting).await.unwrap();
    assert_eq!(reserved.len(), 2);
    assert_eq!((capacity.in_flight(), held_bytes(&capacity)), (10, 13));
    assert_eq!(
        permits(&capacity, 1, 1, 10).err(),
        Some(CapacityError::InFlight)
    );
}

#[test]
fn digests_yield_at_half_of_the_callers_or_the_total_capacity() {
    let capacity = Arc::new(Capacity::default());
    let mut others = permits(&capacity, 1, 80, 100).unwrap();
    let mut mine = permits(&capacity, 2, 20, 100).unwrap();
    let own = capacity.usage(&caller(2));
    assert!(!capacity.is_mostly_held(&own, 100));
    mine[..9]
        .iter_mut()
        .for_each(|permit| permit.set_held(true));
    assert!(!capacity.is_mostly_held(&own, 100));
    mine[9].set_held(true);
    assert!(capacity.is_mostly_held(&own, 100));
    mine.iter_mut().for_each(|permit| permit.set_held(false));
    assert!(!capacity.is_mostly_held(&own, 100));
    others[..50]
        .iter_mut()
        .for_each(|permit| permit.set_held(true));
    assert!(capacity.is_mostly_held(&own, 100));
    drop(others);
    assert!(!capacity.is_mostly_held(&own, 100));
}
