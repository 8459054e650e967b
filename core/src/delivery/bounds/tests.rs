//! How callers share the limits.

use super::*;

fn caller(number: u64) -> Caller {
    Caller::Trigger(number)
}

/// Places for deliveries of one byte.
fn places(
    bounds: &Arc<Bounds>,
    number: u64,
    count: usize,
    max_in_flight: usize,
) -> Result<Vec<Place>, Full> {
    let own = bounds.usage(&caller(number));
    bounds.reserve(&own, &vec![1; count], 0, max_in_flight)
}

fn held_bytes(bounds: &Bounds) -> usize {
    bounds.all.bytes.load(Ordering::Relaxed)
}

#[test]
fn a_request_gets_room_for_all_its_deliveries_or_for_none() {
    let bounds = Arc::new(Bounds::default());
    let own = bounds.usage(&caller(0));
    let reserve = |sizes: &[usize], shared| bounds.reserve(&own, sizes, shared, 10);
    let first = reserve(&[10; 6], 0).unwrap();
    assert_eq!(reserve(&[10; 5], 0).err(), Some(Full::InFlight));
    assert_eq!(reserve(&[MAX_BYTES], 0).err(), Some(Full::Bytes));
    assert_eq!(reserve(&[0], MAX_BYTES).err(), Some(Full::Bytes));
    assert_eq!(bounds.in_flight(), 6);
    drop(first);
    assert_eq!(bounds.in_flight(), 0);
    assert!(reserve(&[MAX_BYTES], 0).is_ok());
}

#[test]
fn a_caller_finds_its_share_free_where_another_uses_all() {
    let bounds = Arc::new(Bounds::default());
    let first = places(&bounds, 1, 100, 100).unwrap();
    assert_eq!(places(&bounds, 1, 1, 100).err(), Some(Full::InFlight));
    let second = places(&bounds, 2, 25, 100).unwrap();
    assert_eq!(places(&bounds, 2, 1, 100).err(), Some(Full::InFlight));
    let _third = places(&bounds, 3, 1, 100).unwrap();
    drop((first, second));
    assert_eq!(bounds.in_flight(), 1);
    assert_eq!(places(&bounds, 2, 100, 100).err(), Some(Full::InFlight));
    assert!(places(&bounds, 2, 99, 100).is_ok());
}

#[test]
fn many_callers_use_twice_the_limit_together_and_no_more() {
    let bounds = Arc::new(Bounds::default());
    let kept: Vec<_> = (0..20)
        .filter_map(|n| places(&bounds, n, 25, 100).ok())
        .collect();
    assert_eq!(kept.len(), 8);
    assert_eq!(bounds.in_flight(), 200);
}

#[test]
fn the_least_limit_lets_each_caller_have_one() {
    let bounds = Arc::new(Bounds::default());
    let _first = places(&bounds, 1, 1, 1).unwrap();
    assert_eq!(places(&bounds, 1, 1, 1).err(), Some(Full::InFlight));
    let _second = places(&bounds, 2, 1, 1).unwrap();
    assert_eq!(places(&bounds, 3, 1, 1).err(), Some(Full::InFlight));
}

#[test]
fn bytes_and_rows_that_wait_have_shares_too() {
    let bounds = Arc::new(Bounds::default());
    let (first, second) = (bounds.usage(&caller(1)), bounds.usage(&caller(2)));
    let _all = bounds.room(&first, MAX_BYTES).unwrap();
    assert!(bounds.room(&first, 1).is_err());
    assert!(bounds.room(&second, MAX_BYTES / 4 + 1).is_err());
    assert!(bounds.room(&second, MAX_BYTES / 4).is_ok());
    // Rows that wait take no room from deliveries: they could never become any.
    let mut rows = bounds.waiting_room(&first, MAX_WAITING_BYTES).unwrap();
    assert!(bounds.waiting_room(&first, 1).is_err());
    assert!(bounds.waiting_room(&second, MAX_WAITING_BYTES / 4).is_ok());
    rows.shrink(10);
    assert!(bounds.waiting_room(&first, 10).is_ok());
}

#[test]
fn callers_that_use_nothing_are_forgotten() {
    let bounds = Arc::new(Bounds::default());
    for n in 0..100 {
        drop(places(&bounds, n, 1, 10).unwrap());
    }
    assert_eq!(bounds.callers.lock().unwrap().len(), 1);
}

#[test]
fn what_deliveries_share_is_counted_once_until_the_last_has_ended() {
    let bounds = Arc::new(Bounds::default());
    let own = bounds.usage(&caller(0));
    let mut places = bounds.reserve(&own, &[1, 2, 3], 100, 10).unwrap();
    assert_eq!(held_bytes(&bounds), 106);
    places.pop();
    assert_eq!(held_bytes(&bounds), 103);
    places.iter_mut().for_each(Place::give_back_bytes);
    assert_eq!(held_bytes(&bounds), 100);
    places.pop();
    assert_eq!((held_bytes(&bounds), bounds.in_flight()), (100, 1));
    places.pop();
    assert_eq!((held_bytes(&bounds), bounds.in_flight()), (0, 0));
    let accepted = bounds.reserve_accepted(&own, &[MAX_BYTES, MAX_BYTES], 1);
    assert_eq!(held_bytes(&bounds), 2 * MAX_BYTES + 1);
    drop(accepted);
    assert_eq!(held_bytes(&bounds), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_room_has_it_as_soon_as_it_is_there() {
    let bounds = Arc::new(Bounds::default());
    let mut taken = places(&bounds, 1, 10, 10).unwrap();
    let own = bounds.usage(&caller(1));
    let need = Need {
        deliveries: 2,
        bytes: 5,
    };
    let waiting = bounds.wait_for_room(&own, need, 10, || ());
    tokio::pin!(waiting);
    assert!(timeout(LOOK_EVERY * 3, &mut waiting).await.is_err());
    taken.pop();
    assert!(timeout(Duration::ZERO, &mut waiting).await.is_err());
    taken.pop();
    let reserved = timeout(Duration::ZERO, waiting).await.unwrap();
    assert_eq!(reserved.len(), 2);
    assert_eq!((bounds.in_flight(), held_bytes(&bounds)), (10, 13));
    assert_eq!(places(&bounds, 1, 1, 10).err(), Some(Full::InFlight));
}

#[test]
fn digests_give_way_where_they_hold_half_of_what_a_caller_has_or_half_of_all() {
    let bounds = Arc::new(Bounds::default());
    let mut others = places(&bounds, 1, 80, 100).unwrap();
    let mut mine = places(&bounds, 2, 20, 100).unwrap();
    let own = bounds.usage(&caller(2));
    assert!(!bounds.hold_much(&own, 100));
    mine[..9].iter_mut().for_each(|place| place.set_held(true));
    assert!(!bounds.hold_much(&own, 100));
    mine[9].set_held(true);
    assert!(bounds.hold_much(&own, 100));
    mine.iter_mut().for_each(|place| place.set_held(false));
    assert!(!bounds.hold_much(&own, 100));
    others[..50]
        .iter_mut()
        .for_each(|place| place.set_held(true));
    assert!(bounds.hold_much(&own, 100));
    drop(others);
    assert!(!bounds.hold_much(&own, 100));
}
