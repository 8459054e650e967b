//! Tracks who uses and who awaits connections, and selects the next waiter.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::idle::IdlePools;
use crate::transport::{NumberMap, PoolKey};

/// The part of `max_connections` that is reserved for servers without a connection, and as many for the first [`FEW_DELIVERIES`]
/// of each request.
pub fn reserve(max_connections: usize) -> usize {
    (max_connections / 16).min(12)
}

/// Deliveries that a request has under way or waiting before the next one is one of many.
pub const FEW_DELIVERIES: usize = 8;

/// Returns the share of `max_connections` for slow destinations, and for mails.
pub fn quarter(max_connections: usize) -> usize {
    (max_connections / 4).max(1)
}

/// A request for a connection, before an attempt.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionRequest {
    /// The caller's `max_connections`.
    pub limit: usize,
    /// The account or server that the connection is for.
    pub party: u64,
    /// The request that the delivery belongs to.
    pub request: u64,
    pub class: ConnectionClass,
    /// The pool with a reusable connection; `None` if the attempt needs a fresh one.
    pub pool: Option<PoolKey>,
}

/// How long a connection may be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnectionClass {
    Usual,
    /// The destination was slow a short while ago.
    Slow,
    Mail,
}

/// A connection in use.
#[derive(Debug)]
pub struct Grant {
    pub party: u64,
    pub request: u64,
    pub class: ConnectionClass,
    pub is_one_of_many: bool,
    pub pool: Option<PoolKey>,
}

/// The users of connections and the waiters. `S` notifies a waiter of its connection.
pub struct Shares<S> {
    pub in_use: usize,
    /// The connections in use by slow destinations, and by mails.
    pub slow: usize,
    pub mail: usize,
    pub by_party: NumberMap<u64, usize>,
    pub by_request: NumberMap<u64, RequestShare>,
    pub idle: IdlePools,
    /// The waiting parties of each line, by the position of their first waiter.
    pub lines: BTreeMap<WaitQueueKey, BTreeSet<WaiterPosition>>,
    pub waiting: HashMap<(u64, WaitQueueKey), VecDeque<Waiter<S>>>,
    /// The turn of the last who had to wait and got a connection.
    pub turn: u64,
    pub arrivals: u64,
}

/// Waiters with the same limits. The first one uses the fewest connections: if it is not admitted, no other is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaitQueueKey {
    pub class: ConnectionClass,
    pub limit: usize,
    pub is_one_of_many: bool,
}

/// The order of waiters: the least is the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WaiterPosition {
    /// By the party.
    pub in_use: usize,
    pub turn: u64,
    pub arrival: u64,
    pub party: u64,
}

pub struct Waiter<S> {
    pub turn: u64,
    pub arrival: u64,
    pub request: u64,
    pub pool: Option<PoolKey>,
    pub sender: S,
}

#[derive(Default)]
pub struct RequestShare {
    in_use: usize,
    waiting: usize,
    /// The turn of the next new waiter.
    next_turn: u64,
}

impl<S> Default for Shares<S> {
    fn default() -> Self {
        Self {
            in_use: 0,
            slow: 0,
            mail: 0,
            by_party: NumberMap::default(),
            by_request: NumberMap::default(),
            idle: IdlePools::default(),
            lines: BTreeMap::new(),
            waiting: HashMap::new(),
            turn: 0,
            arrivals: 0,
        }
    }
}

impl<S> Shares<S> {
    pub fn in_use_by(&self, party: u64) -> usize {
        self.by_party.get(&party).copied().unwrap_or_default()
    }

    pub fn is_one_of_many(&self, request: u64) -> bool {
        let known = self.by_request.get(&request);
        known.is_some_and(|known| known.in_use + known.waiting >= FEW_DELIVERIES)
    }

    pub fn has_share(&self, line: WaitQueueKey, ask: &ConnectionRequest) -> bool {
        let by_party = self.in_use_by(ask.party);
        let kept_back = match (by_party, line.is_one_of_many) {
            (0, false) => 0,
            (0, true) => 1,
            _ => 2,
        };
        let share = ask.limit - kept_back * reserve(ask.limit);
        let quarter = quarter(ask.limit);
        let has_room = match ask.class {
            ConnectionClass::Usual => true,
            ConnectionClass::Slow => self.slow < quarter,
            ConnectionClass::Mail => self.mail < quarter && by_party < quarter.div_ceil(2),
        };
        has_room && self.in_use < share && self.idle.has_room(ask.pool, self.in_use, ask.limit)
    }

    pub fn take(&mut self, ask: &ConnectionRequest) {
        self.in_use += 1;
        self.of_class(ask.class, |count| count + 1);
        self.change_party(ask.party, |in_use| in_use + 1);
        self.by_request.entry(ask.request).or_default().in_use += 1;
    }

    pub fn give_back(&mut self, held: &Grant) {
        self.in_use -= 1;
        self.of_class(held.class, |count| count - 1);
        self.change_party(held.party, |in_use| in_use - 1);
        self.change_request(held.request, |request| request.in_use -= 1);
        if let Some(pool) = held.pool {
            self.idle.give_back(pool);
        }
    }

    fn of_class(&mut self, class: ConnectionClass, change: impl FnOnce(usize) -> usize) {
        match class {
            ConnectionClass::Usual => {}
            ConnectionClass::Slow => self.slow = change(self.slow),
            ConnectionClass::Mail => self.mail = change(self.mail),
        }
    }

    /// A party that uses more comes later.
    fn change_party(&mut self, party: u64, change: impl FnOnce(usize) -> usize) {
        let before = self.in_use_by(party);
        let after = change(before);
        match after {
            0 => self.by_party.remove(&party),
            after => self.by_party.insert(party, after),
        };
        for (line, positions) in &mut self.lines {
            let queue = self.waiting.get(&(party, *line));
            if let Some(first) = queue.and_then(VecDeque::front) {
                positions.remove(&first.position(party, before));
                positions.insert(first.position(party, after));
            }
        }
    }

    fn change_request(&mut self, request: u64, change: impl FnOnce(&mut RequestShare)) {
        if let Some(known) = self.by_request.get_mut(&request) {
            change(known);
            if known.in_use + known.waiting == 0 {
                self.by_request.remove(&request);
            }
        }
    }

    pub fn line_up(
        &mut self,
        line: WaitQueueKey,
        ask: &ConnectionRequest,
        sender: S,
    ) -> WaiterPosition {
        let request = self.by_request.entry(ask.request).or_default();
        let turn = request.next_turn.max(self.turn);
        request.next_turn = turn + 1;
        request.waiting += 1;
        self.arrivals += 1;
        let waiter = Waiter {
            turn,
            arrival: self.arrivals,
            request: ask.request,
            pool: ask.pool,
            sender,
        };
        let position = waiter.position(ask.party, 0);
        let in_use = self.in_use_by(ask.party);
        let queue = self.waiting.entry((ask.party, line));
        // Mostly there is one of a party, and ten thousand parties may wait.
        let queue = queue.or_insert_with(|| VecDeque::with_capacity(1));
        let index = queue.partition_point(|before| before.key() < waiter.key());
        let positions = self.lines.entry(line).or_default();
        if index == 0 {
            if let Some(first) = queue.front() {
                positions.remove(&first.position(ask.party, in_use));
            }
            positions.insert(waiter.position(ask.party, in_use));
        }
        queue.insert(index, waiter);
        position
    }

    /// Takes somebody out of line.
    pub fn leave(&mut self, line: WaitQueueKey, position: WaiterPosition) -> Option<Waiter<S>> {
        let in_use = self.in_use_by(position.party);
        let queue = self.waiting.get_mut(&(position.party, line))?;
        let key = (position.turn, position.arrival);
        let index = queue.binary_search_by_key(&key, Waiter::key).ok()?;
        let waiter = queue.remove(index)?;
        let positions = self.lines.get_mut(&line)?;
        if index == 0 {
            positions.remove(&waiter.position(position.party, in_use));
            if let Some(first) = queue.front() {
                positions.insert(first.position(position.party, in_use));
            }
        }
        if queue.is_empty() {
            self.waiting.remove(&(position.party, line));
        }
        if positions.is_empty() {
            self.lines.remove(&line);
        }
        self.change_request(waiter.request, |request| request.waiting -= 1);
        Some(waiter)
    }

    /// The first of all lines who has a share.
    pub fn first(&self) -> Option<(WaitQueueKey, WaiterPosition, ConnectionRequest)> {
        let firsts = self.lines.iter().filter_map(|(line, positions)| {
            let position = *positions.first()?;
            let waiter = self.waiting.get(&(position.party, *line))?.front()?;
            let ask = ConnectionRequest {
                limit: line.limit,
                party: position.party,
                request: waiter.request,
                class: line.class,
                pool: waiter.pool,
            };
            self.has_share(*line, &ask)
                .then_some((*line, position, ask))
        });
        firsts.min_by_key(|(_, position, _)| *position)
    }
}

impl<S> Waiter<S> {
    const fn key(&self) -> (u64, u64) {
        (self.turn, self.arrival)
    }

    const fn position(&self, party: u64, in_use: usize) -> WaiterPosition {
        WaiterPosition {
            in_use,
            turn: self.turn,
            arrival: self.arrival,
            party,
        }
    }
}
