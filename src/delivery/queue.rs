//! One queue a destination, for the whole process: who may send when.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use crate::model::notification::State as AlertState;
use crate::model::outcome::Scope;
use crate::model::plan::Rate;
use crate::model::wire::Destination;

/// Attempts under way at one destination.
pub const PERMITS: usize = 8;
/// A gate stays closed no longer, whatever a header says: then one request tries again.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// All queues, and the gates of accounts above them.
#[derive(Default)]
pub struct Queues {
    queues: Mutex<HashMap<String, Arc<DestinationQueue>>>,
    accounts: Mutex<HashMap<String, Arc<Account>>>,
}

/// Pauses that hold for more than one destination.
#[derive(Default)]
struct Account {
    paused_until: Mutex<Option<Instant>>,
}

impl Account {
    fn paused_until(&self, now: Instant) -> Option<Instant> {
        let until = *self
            .paused_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        until.filter(|until| *until > now)
    }
}

impl Queues {
    pub fn get(&self, destination: &Destination) -> Arc<DestinationQueue> {
        let mut queues = lock(&self.queues);
        if let Some(queue) = queues.get(&destination.key) {
            return Arc::clone(queue);
        }
        let account = destination.account.as_ref().map(|key| {
            let mut accounts = lock(&self.accounts);
            Arc::clone(accounts.entry(key.clone()).or_default())
        });
        let queue = Arc::new(DestinationQueue {
            account,
            permits: destination.at_once.unwrap_or(PERMITS),
            tickets: AtomicU64::new(0),
            state: Mutex::default(),
        });
        queues.insert(destination.key.clone(), Arc::clone(&queue));
        queue
    }

    /// What the last in line for a dedup key says of its alert; `None`: nobody is in line.
    pub fn last_in_line(
        &self,
        destination: &Destination,
        dedup_key: &str,
    ) -> Option<Option<AlertState>> {
        let queue = lock(&self.queues).get(&destination.key).map(Arc::clone)?;
        let state = lock(&queue.state);
        state.lines.get(dedup_key).map(|last| last.state)
    }

    /// Forgets a queue that nobody has and that remembers nothing. Once in a while, forgets all such.
    pub fn release(&self, destination: &Destination, queue: Arc<DestinationQueue>) {
        let mut queues = lock(&self.queues);
        drop(queue);
        let now = Instant::now();
        if queues
            .get(&destination.key)
            .is_some_and(|queue| queue.is_idle(now))
        {
            queues.remove(&destination.key);
        }
        // Those whose pause has ended meanwhile, without anybody coming by.
        if queues.len() > 256 && fastrand::usize(..queues.len()) == 0 {
            queues.retain(|_, queue| !queue.is_idle(now));
        }
        drop(queues);
        let mut accounts = lock(&self.accounts);
        accounts.retain(|_, account| {
            Arc::strong_count(account) > 1 || account.paused_until(now).is_some()
        });
    }

    /// Destinations that are paused or refuse.
    pub fn paused(&self) -> usize {
        let now = Instant::now();
        let queues = lock(&self.queues);
        queues.values().filter(|queue| queue.is_closed(now)).count()
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        lock(&self.queues).len()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The way to one destination.
pub struct DestinationQueue {
    account: Option<Arc<Account>>,
    /// Attempts under way at once.
    permits: usize,
    tickets: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Who waits, by ticket.
    waiting: BTreeMap<u64, Arc<Notify>>,
    in_use: usize,
    /// After a 429 one request goes at a time, until one succeeds.
    half_open: bool,
    paused_until: Option<Instant>,
    refused_until: Option<Instant>,
    /// When the next message may leave, for each limit.
    next_by_rate: Vec<(Rate, Instant)>,
    /// The last in line for each dedup key.
    lines: HashMap<String, Last>,
}

struct Last {
    ticket: u64,
    /// What it says of its alert, where that is known.
    state: Option<AlertState>,
    done: watch::Receiver<()>,
}

/// Why an attempt was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAdmitted {
    /// The destination refused for good a short while ago.
    Refused,
    /// The deadline came first, or it is certain that it will.
    OutOfTime,
}

/// What an attempt asks for.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// From [`DestinationQueue::ticket`]; a retry keeps its place.
    pub ticket: u64,
    pub deadline: Instant,
    pub rate: Option<Rate>,
    /// A pause longer than this cannot be outlasted by any delivery of these settings.
    pub patience: Duration,
}

enum Step {
    Enter,
    Refused,
    Hopeless,
    /// Nothing happens before.
    Until(Instant),
    /// Others are first; with a rate limit it is known how long at least.
    Behind(Option<Instant>),
}

impl DestinationQueue {
    /// A place in the order of arrival. Taken when a delivery is accepted, so that the order is that of acceptance.
    pub fn ticket(&self) -> u64 {
        self.tickets.fetch_add(1, Ordering::Relaxed)
    }

    /// A place behind the deliveries with the same dedup key.
    pub fn line_up(
        self: &Arc<Self>,
        dedup_key: &str,
        ticket: u64,
        state: Option<AlertState>,
    ) -> Turn {
        let (done, next) = watch::channel(());
        let last = Last {
            ticket,
            state,
            done: next,
        };
        let line = lock(&self.state).lines.insert(dedup_key.to_owned(), last);
        Turn {
            queue: Arc::clone(self),
            dedup_key: dedup_key.to_owned(),
            ticket,
            before: line.map(|before| before.done),
            _done: done,
        }
    }

    /// Waits until an attempt may be made. `waiting` hears, whenever it changes, until when nothing will happen.
    pub async fn enter(
        self: &Arc<Self>,
        entry: Entry,
        mut waiting: impl FnMut(Option<Instant>),
    ) -> Result<Permit, NotAdmitted> {
        let call = Arc::new(Notify::new());
        let _place = Waiting::new(self, entry.ticket, &call);
        loop {
            let until = match self.step(&entry) {
                Step::Enter => {
                    return Ok(Permit {
                        queue: Arc::clone(self),
                    });
                }
                Step::Refused => return Err(NotAdmitted::Refused),
                Step::Hopeless => return Err(NotAdmitted::OutOfTime),
                Step::Until(instant) => {
                    waiting(Some(instant));
                    instant.min(entry.deadline)
                }
                Step::Behind(due) => {
                    waiting(due);
                    entry.deadline
                }
            };
            if Instant::now() >= entry.deadline {
                return Err(NotAdmitted::OutOfTime);
            }
            tokio::select! {
                () = call.notified() => {}
                () = sleep_until(until) => {}
            }
        }
    }

    fn step(&self, entry: &Entry) -> Step {
        let now = Instant::now();
        let mut state = lock(&self.state);
        if state.refused_until.is_some_and(|until| until > now) {
            return Step::Refused;
        }
        let own = state.paused_until.filter(|until| *until > now);
        let account = self
            .account
            .as_ref()
            .and_then(|account| account.paused_until(now));
        if let Some(until) = own.max(account) {
            return if until > now + entry.patience {
                Step::Hopeless
            } else {
                Step::Until(until)
            };
        }
        let next = entry.rate.map(|rate| (rate, state.next_by(rate, now)));
        let ahead = state.waiting.range(..entry.ticket).count();
        if ahead > 0 {
            let due = next.map(|(rate, next)| {
                next + rate.interval() * u32::try_from(ahead).unwrap_or(u32::MAX)
            });
            return Step::Behind(due.filter(|due| *due > now));
        }
        if state.in_use >= state.permits(self.permits) {
            return Step::Behind(None);
        }
        if let Some((rate, next)) = next {
            if next > now {
                return Step::Until(next);
            }
            state.taken(rate, now);
        }
        state.in_use += 1;
        Step::Enter
    }

    /// Closes the gate. Everybody who waits hears of it, to say how long it will take.
    fn pause(&self, wait: Duration, scope: Scope) {
        let until = Instant::now() + wait.min(LONGEST_PAUSE);
        let account = self.account.as_ref().filter(|_| scope == Scope::Account);
        if let Some(account) = account {
            let mut paused = lock(&account.paused_until);
            *paused = (*paused).max(Some(until));
        }
        let mut state = lock(&self.state);
        state.half_open = true;
        state.paused_until = state.paused_until.max(Some(until));
        state.call_all();
    }

    /// Whether nothing would be lost with it. Whoever has it, be it to try again in a while, must meet those who come.
    fn is_idle(self: &Arc<Self>, now: Instant) -> bool {
        let state = lock(&self.state);
        Arc::strong_count(self) == 1
            && !state.is_closed(now)
            && state.next_by_rate.iter().all(|(_, next)| *next <= now)
    }

    fn is_closed(&self, now: Instant) -> bool {
        lock(&self.state).is_closed(now)
    }
}

impl State {
    fn permits(&self, all: usize) -> usize {
        if self.half_open { 1 } else { all }
    }

    fn is_closed(&self, now: Instant) -> bool {
        let later = |until: Option<Instant>| until.is_some_and(|until| until > now);
        later(self.paused_until) || later(self.refused_until)
    }

    fn next_by(&self, rate: Rate, now: Instant) -> Instant {
        let known = self.next_by_rate.iter().find(|(known, _)| *known == rate);
        known.map_or(now, |(_, next)| *next)
    }

    fn taken(&mut self, rate: Rate, now: Instant) {
        self.next_by_rate
            .retain(|(known, next)| *known != rate && *next > now);
        self.next_by_rate.push((rate, now + rate.interval()));
    }

    fn call_first(&self) {
        if let Some((_, first)) = self.waiting.first_key_value() {
            first.notify_one();
        }
    }

    fn call_all(&self) {
        for waiting in self.waiting.values() {
            waiting.notify_one();
        }
    }
}

/// Somebody who waits to be let in.
struct Waiting<'a> {
    queue: &'a DestinationQueue,
    ticket: u64,
}

impl<'a> Waiting<'a> {
    fn new(queue: &'a DestinationQueue, ticket: u64, call: &Arc<Notify>) -> Self {
        lock(&queue.state).waiting.insert(ticket, Arc::clone(call));
        Self { queue, ticket }
    }
}

impl Drop for Waiting<'_> {
    /// Let in or gone: either way it is the next one's turn.
    fn drop(&mut self) {
        let mut state = lock(&self.queue.state);
        state.waiting.remove(&self.ticket);
        if state.waiting.is_empty() {
            // An empty tree keeps a node, and there may be ten thousand queues.
            state.waiting = BTreeMap::new();
        }
        state.call_first();
    }
}

/// The right to one attempt.
pub struct Permit {
    queue: Arc<DestinationQueue>,
}

impl Permit {
    /// The destination answered as it should: all permits are back.
    pub fn worked(&self) {
        let mut state = lock(&self.queue.state);
        if std::mem::take(&mut state.half_open) {
            state.call_first();
        }
    }

    pub fn pause(&self, wait: Duration, scope: Scope) {
        self.queue.pause(wait, scope);
    }

    /// Nothing leaves for `wait`, not even to be tried.
    pub fn refuse(&self, wait: Duration) {
        let mut state = lock(&self.queue.state);
        state.refused_until = Some(Instant::now() + wait);
        state.call_all();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = lock(&self.queue.state);
        state.in_use -= 1;
        state.call_first();
    }
}

/// A place in the line of a dedup key; the next one's turn comes when it is dropped.
pub struct Turn {
    queue: Arc<DestinationQueue>,
    dedup_key: String,
    ticket: u64,
    before: Option<watch::Receiver<()>>,
    _done: watch::Sender<()>,
}

impl Turn {
    /// Waits until the delivery before has ended, however it ended.
    pub async fn wait(&mut self) {
        if let Some(mut before) = self.before.take() {
            // An error says that the one before is gone.
            while before.changed().await.is_ok() {}
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = lock(&self.queue.state);
        let last = state.lines.get(&self.dedup_key).map(|last| last.ticket);
        if last == Some(self.ticket) {
            state.lines.remove(&self.dedup_key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(key: &str, account: Option<&str>) -> Destination {
        Destination {
            label: key.to_owned(),
            key: key.to_owned(),
            host: None,
            account: account.map(str::to_owned),
            at_once: None,
        }
    }

    fn entry(queue: &DestinationQueue) -> Entry {
        Entry {
            ticket: queue.ticket(),
            deadline: Instant::now() + Duration::from_secs(300),
            rate: None,
            patience: Duration::from_secs(300),
        }
    }

    async fn enter(queue: &Arc<DestinationQueue>) -> Result<Permit, NotAdmitted> {
        queue.enter(entry(queue), |_| {}).await
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn eight_at_a_time_in_the_order_of_their_tickets() {
        let queue = Queues::default().get(&destination("a", None));
        let first: Vec<_> =
            futures_util::future::join_all((0..PERMITS).map(|_| enter(&queue))).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let tickets: Vec<_> = (0..5).map(|_| entry(&queue)).collect();
        let waiting: Vec<_> = tickets
            .into_iter()
            .rev()
            .map(|entry| {
                let (queue, order) = (Arc::clone(&queue), Arc::clone(&order));
                tokio::spawn(async move {
                    let permit = queue.enter(entry, |_| {}).await;
                    lock(&order).push(entry.ticket);
                    drop(permit);
                })
            })
            .collect();
        tokio::time::sleep(seconds(1)).await;
        assert!(lock(&order).is_empty());
        drop(first);
        for task in waiting {
            task.await.unwrap();
        }
        let order = lock(&order).clone();
        assert_eq!(order, [8, 9, 10, 11, 12]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_allows_few_at_once_gets_no_more() {
        let queue = Queues::default().get(&Destination {
            at_once: Some(2),
            ..destination("a", None)
        });
        let both = futures_util::future::join_all((0..2).map(|_| enter(&queue))).await;
        let third = tokio::time::timeout(seconds(1), enter(&queue)).await;
        assert!(third.is_err());
        drop(both);
        assert!(enter(&queue).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_pause_one_goes_until_one_has_worked() {
        let queue = Queues::default().get(&destination("a", None));
        enter(&queue)
            .await
            .unwrap()
            .pause(seconds(2), Scope::Destination);
        let started = Instant::now();
        let probe = enter(&queue).await.unwrap();
        assert_eq!(started.elapsed(), seconds(2));
        let second = tokio::time::timeout(seconds(1), enter(&queue)).await;
        assert!(second.is_err(), "half open");
        probe.worked();
        assert!(enter(&queue).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_of_the_account_holds_for_its_other_destinations() {
        let queues = Queues::default();
        let a = queues.get(&destination("a", Some("account")));
        let b = queues.get(&destination("b", Some("account")));
        let c = queues.get(&destination("c", None));
        enter(&a).await.unwrap().pause(seconds(3), Scope::Account);
        let started = Instant::now();
        assert!(enter(&c).await.is_ok());
        assert_eq!(started.elapsed(), seconds(0));
        assert!(enter(&b).await.is_ok());
        assert_eq!(started.elapsed(), seconds(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_turns_away_those_who_wait_and_those_who_come() {
        let queue = Queues::default().get(&destination("a", None));
        let permits = futures_util::future::join_all((0..PERMITS).map(|_| enter(&queue))).await;
        let waiting = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { enter(&queue).await.err() }
        });
        tokio::task::yield_now().await;
        permits
            .first()
            .unwrap()
            .as_ref()
            .unwrap()
            .refuse(seconds(600));
        assert_eq!(waiting.await.unwrap(), Some(NotAdmitted::Refused));
        assert_eq!(enter(&queue).await.err(), Some(NotAdmitted::Refused));
        tokio::time::advance(seconds(601)).await;
        drop(permits);
        assert!(enter(&queue).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_limit_spaces_messages_and_says_how_long_each_waits() {
        let queue = Queues::default().get(&destination("a", None));
        let rate = Rate {
            messages: 2,
            per: seconds(1),
        };
        let started = Instant::now();
        let tasks: Vec<_> = (0..5)
            .map(|_| Entry {
                rate: Some(rate),
                ..entry(&queue)
            })
            .map(|entry| {
                let queue = Arc::clone(&queue);
                tokio::spawn(async move {
                    let mut said = None;
                    drop(queue.enter(entry, |due| said = said.or(due)).await);
                    (said, Instant::now())
                })
            })
            .collect();
        for (place, task) in tasks.into_iter().enumerate() {
            let (said, at) = task.await.unwrap();
            let wait = Duration::from_millis(500) * u32::try_from(place).unwrap();
            assert_eq!(at - started, wait);
            if place > 0 {
                assert!(said.is_some_and(|due| due <= at), "{place}: {said:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_past_the_deadline_or_for_a_pause_that_nobody_can_outlast() {
        let queue = Queues::default().get(&destination("a", None));
        enter(&queue)
            .await
            .unwrap()
            .pause(seconds(60), Scope::Destination);
        let started = Instant::now();
        let short = Entry {
            deadline: started + seconds(10),
            ..entry(&queue)
        };
        assert_eq!(
            queue.enter(short, |_| {}).await.err(),
            Some(NotAdmitted::OutOfTime)
        );
        assert_eq!(started.elapsed(), seconds(10));
        let impatient = Entry {
            patience: seconds(20),
            ..entry(&queue)
        };
        assert_eq!(
            queue.enter(impatient, |_| {}).await.err(),
            Some(NotAdmitted::OutOfTime)
        );
        assert_eq!(started.elapsed(), seconds(10));
    }

    #[tokio::test(start_paused = true)]
    async fn one_dedup_key_goes_one_after_another_in_the_order_of_acceptance() {
        let queue = Queues::default().get(&destination("a", None));
        let (first, second) = (queue.line_up("k", 0, None), queue.line_up("k", 1, None));
        let mut other = queue.line_up("other", 2, None);
        other.wait().await;
        let waiting = tokio::spawn(async move {
            let mut second = second;
            second.wait().await;
            Instant::now()
        });
        let started = Instant::now();
        tokio::time::sleep(seconds(1)).await;
        drop(first);
        assert_eq!(waiting.await.unwrap() - started, seconds(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_remembers_nothing_is_forgotten() {
        let queues = Queues::default();
        let (quiet, paused) = (destination("quiet", None), destination("paused", None));
        for (destination, left) in [(&quiet, 0), (&paused, 1)] {
            let queue = queues.get(destination);
            let permit = enter(&queue).await.unwrap();
            if destination.key == "paused" {
                permit.pause(seconds(1), Scope::Destination);
            }
            drop(permit);
            queues.release(destination, queue);
            assert_eq!(queues.len(), left);
        }
        assert_eq!(queues.paused(), 1);
    }

    #[test]
    fn a_queue_that_somebody_has_is_the_one_that_all_others_get() {
        let queues = Queues::default();
        let destination = destination("a", None);
        let has = queues.get(&destination);
        queues.release(&destination, queues.get(&destination));
        assert!(Arc::ptr_eq(&has, &queues.get(&destination)));
        queues.release(&destination, has);
        assert_eq!(queues.len(), 0);
    }
}
