//! Who may use a connection when: shares of `max_connections`, so that nobody who is slow holds up everybody else.
//!
//! - A freed connection goes to the server or account that uses the fewest; between equals to the request that has waited
//!   the fewest turns, so that a request with a thousand destinations does not go before one with a single one (start-time
//!   fair queueing: Goyal, Vin, Cheng, 1996).
//! - A part is kept back for servers that use none, and as much for those of them that a request with few deliveries is for:
//!   they begin at once, whoever hangs.
//! - Destinations that were slow at their last attempt have a quarter together. So have mails, which may wait for ten minutes
//!   for the last reply; one mail server has half of that.
//! - Connections that are kept for the next message count as well (`idle`).

mod idle;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use self::idle::IdlePools;
use crate::panics::lock;
use crate::transport::{PoolKey, Transport};

/// Of `max_connections`, what is kept back for servers that use none, and as much for the first [`FEW`] of each request.
fn reserve(max_connections: usize) -> usize {
    (max_connections / 16).min(12)
}

/// Deliveries that a request has under way or waiting before the next one is one of many.
const FEW: usize = 8;

/// Of `max_connections`, what slow destinations have together, and what mails have.
fn quarter(max_connections: usize) -> usize {
    (max_connections / 4).max(1)
}

/// What somebody asks for who is about to make an attempt.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// `max_connections` of whoever asks.
    pub limit: usize,
    /// The account or server that the connection is for.
    pub party: u64,
    /// The request that the delivery belongs to.
    pub request: u64,
    pub class: Class,
    /// The connections of which one may be used again; none where a fresh one is needed.
    pub pool: Option<PoolKey>,
}

/// How long a connection may be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    Usual,
    /// The destination was slow a short while ago.
    Slow,
    Mail,
}

/// The connections of the process.
pub struct Connections {
    transport: Arc<dyn Transport>,
    shares: Mutex<Shares>,
}

impl Connections {
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self {
            transport,
            shares: Mutex::default(),
        }
    }

    /// A connection now, or a place in line.
    pub fn ask(self: &Arc<Self>, ask: Ask) -> Result<Connection, Box<Waiting>> {
        let mut shares = lock(&self.shares);
        let line = Line {
            class: ask.class,
            limit: ask.limit,
            is_one_of_many: shares.is_one_of_many(ask.request),
        };
        if let Some(held) = self.grant(&mut shares, line, &ask) {
            return Ok(Connection::new(self, held));
        }
        let (sender, receiver) = oneshot::channel();
        let place = shares.line_up(line, &ask, sender);
        Err(Box::new(Waiting {
            connections: Arc::clone(self),
            line,
            place,
            receiver,
        }))
    }

    /// Counts a connection for who asks, if there is one.
    fn grant(&self, shares: &mut Shares, line: Line, ask: &Ask) -> Option<Held> {
        if !shares.has_share(line, ask) {
            return None;
        }
        let close = |pool| self.transport.close_idle(pool);
        let in_use = shares.in_use;
        let pool = shares.idle.open(ask.pool, in_use, ask.limit, close);
        shares.take(ask);
        Some(Held {
            party: ask.party,
            request: ask.request,
            class: ask.class,
            is_one_of_many: line.is_one_of_many,
            pool,
        })
    }

    fn release(self: &Arc<Self>, held: &Held) {
        lock(&self.shares).give_back(held);
        loop {
            let next = self.next(&mut lock(&self.shares));
            let Some((sender, held)) = next else { return };
            // Whoever is gone meanwhile gives it back.
            let _ = sender.send(Connection::new(self, held));
        }
    }

    /// The next in line who may have a connection, with it.
    fn next(&self, shares: &mut Shares) -> Option<(oneshot::Sender<Connection>, Held)> {
        let (line, place, ask) = shares.first()?;
        let held = self.grant(shares, line, &ask)?;
        shares.turn = shares.turn.max(place.turn);
        // What was granted is the party's, whose places have moved.
        let place = Place {
            in_use: shares.in_use_by(place.party),
            ..place
        };
        let waiter = shares.leave(line, place)?;
        Some((waiter.sender, held))
    }
}

#[derive(Default)]
struct Shares {
    in_use: usize,
    /// Of these, by slow destinations and by mails.
    slow: usize,
    mail: usize,
    by_party: HashMap<u64, usize>,
    by_request: HashMap<u64, Request>,
    idle: IdlePools,
    /// Who waits: in each line the parties by the places of their first.
    lines: BTreeMap<Line, BTreeSet<Place>>,
    waiting: HashMap<(u64, Line), VecDeque<Waiter>>,
    /// The turn of the last who had to wait and got a connection.
    turn: u64,
    arrivals: u64,
}

/// Those to whom the same limits apply. The first of a line uses the fewest: what it may not have, the others may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Line {
    class: Class,
    limit: usize,
    is_one_of_many: bool,
}

/// Who comes first: the least is the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// By the party.
    in_use: usize,
    turn: u64,
    arrival: u64,
    party: u64,
}

struct Waiter {
    turn: u64,
    arrival: u64,
    request: u64,
    pool: Option<PoolKey>,
    sender: oneshot::Sender<Connection>,
}

#[derive(Default)]
struct Request {
    in_use: usize,
    waiting: usize,
    /// Of the next that has to wait.
    next_turn: u64,
}

impl Shares {
    fn in_use_by(&self, party: u64) -> usize {
        self.by_party.get(&party).copied().unwrap_or_default()
    }

    fn is_one_of_many(&self, request: u64) -> bool {
        let known = self.by_request.get(&request);
        known.is_some_and(|known| known.in_use + known.waiting >= FEW)
    }

    fn has_share(&self, line: Line, ask: &Ask) -> bool {
        let by_party = self.in_use_by(ask.party);
        let kept_back = match (by_party, line.is_one_of_many) {
            (0, false) => 0,
            (0, true) => 1,
            _ => 2,
        };
        let share = ask.limit - kept_back * reserve(ask.limit);
        let quarter = quarter(ask.limit);
        let has_room = match ask.class {
            Class::Usual => true,
            Class::Slow => self.slow < quarter,
            Class::Mail => self.mail < quarter && by_party < quarter.div_ceil(2),
        };
        has_room && self.in_use < share && self.idle.has_room(ask.pool, self.in_use, ask.limit)
    }

    fn take(&mut self, ask: &Ask) {
        self.in_use += 1;
        self.of_class(ask.class, |count| count + 1);
        self.change_party(ask.party, |in_use| in_use + 1);
        self.by_request.entry(ask.request).or_default().in_use += 1;
    }

    fn give_back(&mut self, held: &Held) {
        self.in_use -= 1;
        self.of_class(held.class, |count| count - 1);
        self.change_party(held.party, |in_use| in_use - 1);
        self.change_request(held.request, |request| request.in_use -= 1);
        if let Some(pool) = held.pool {
            self.idle.give_back(pool);
        }
    }

    fn of_class(&mut self, class: Class, change: impl FnOnce(usize) -> usize) {
        match class {
            Class::Usual => {}
            Class::Slow => self.slow = change(self.slow),
            Class::Mail => self.mail = change(self.mail),
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
        for (line, places) in &mut self.lines {
            let queue = self.waiting.get(&(party, *line));
            if let Some(first) = queue.and_then(VecDeque::front) {
                places.remove(&first.place(party, before));
                places.insert(first.place(party, after));
            }
        }
    }

    fn change_request(&mut self, request: u64, change: impl FnOnce(&mut Request)) {
        if let Some(known) = self.by_request.get_mut(&request) {
            change(known);
            if known.in_use + known.waiting == 0 {
                self.by_request.remove(&request);
            }
        }
    }

    fn line_up(&mut self, line: Line, ask: &Ask, sender: oneshot::Sender<Connection>) -> Place {
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
        let place = waiter.place(ask.party, 0);
        let in_use = self.in_use_by(ask.party);
        let queue = self.waiting.entry((ask.party, line));
        // Mostly there is one of a party, and ten thousand parties may wait.
        let queue = queue.or_insert_with(|| VecDeque::with_capacity(1));
        let index = queue.partition_point(|before| before.key() < waiter.key());
        let places = self.lines.entry(line).or_default();
        if index == 0 {
            if let Some(first) = queue.front() {
                places.remove(&first.place(ask.party, in_use));
            }
            places.insert(waiter.place(ask.party, in_use));
        }
        queue.insert(index, waiter);
        place
    }

    /// Takes somebody out of line.
    fn leave(&mut self, line: Line, place: Place) -> Option<Waiter> {
        let in_use = self.in_use_by(place.party);
        let queue = self.waiting.get_mut(&(place.party, line))?;
        let key = (place.turn, place.arrival);
        let index = queue.binary_search_by_key(&key, Waiter::key).ok()?;
        let waiter = queue.remove(index)?;
        let places = self.lines.get_mut(&line)?;
        if index == 0 {
            places.remove(&waiter.place(place.party, in_use));
            if let Some(first) = queue.front() {
                places.insert(first.place(place.party, in_use));
            }
        }
        if queue.is_empty() {
            self.waiting.remove(&(place.party, line));
        }
        if places.is_empty() {
            self.lines.remove(&line);
        }
        self.change_request(waiter.request, |request| request.waiting -= 1);
        Some(waiter)
    }

    /// The first of all lines who has a share.
    fn first(&self) -> Option<(Line, Place, Ask)> {
        let firsts = self.lines.iter().filter_map(|(line, places)| {
            let place = *places.first()?;
            let waiter = self.waiting.get(&(place.party, *line))?.front()?;
            let ask = Ask {
                limit: line.limit,
                party: place.party,
                request: waiter.request,
                class: line.class,
                pool: waiter.pool,
            };
            self.has_share(*line, &ask).then_some((*line, place, ask))
        });
        firsts.min_by_key(|(_, place, _)| *place)
    }
}

impl Waiter {
    const fn key(&self) -> (u64, u64) {
        (self.turn, self.arrival)
    }

    const fn place(&self, party: u64, in_use: usize) -> Place {
        Place {
            in_use,
            turn: self.turn,
            arrival: self.arrival,
            party,
        }
    }
}

/// A place in line. Gives nothing only where all connections are gone with the process.
pub struct Waiting {
    connections: Arc<Connections>,
    line: Line,
    place: Place,
    receiver: oneshot::Receiver<Connection>,
}

impl Future for Waiting {
    type Output = Option<Connection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.receiver).poll(cx).map(Result::ok)
    }
}

impl Drop for Waiting {
    /// What was granted meanwhile is given back with the receiver.
    fn drop(&mut self) {
        lock(&self.connections.shares).leave(self.line, self.place);
    }
}

/// A connection that may be used.
pub struct Connection(Box<(Arc<Connections>, Held)>);

#[derive(Debug)]
struct Held {
    party: u64,
    request: u64,
    class: Class,
    is_one_of_many: bool,
    pool: Option<PoolKey>,
}

impl Connection {
    fn new(connections: &Arc<Connections>, held: Held) -> Self {
        Self(Box::new((Arc::clone(connections), held)))
    }

    /// Whether its request had many under way already.
    pub fn is_one_of_many(&self) -> bool {
        self.0.1.is_one_of_many
    }

    /// Whether it may be one that was used before, and is kept for the next message.
    pub fn is_reusable(&self) -> bool {
        self.0.1.pool.is_some()
    }
}

impl Connection {
    /// Gives it back when the client has closed it, or has it ready for the next message: a task of the client does that, which
    /// runs before this one again. Else the next in line would open one more.
    pub async fn give_back(self) {
        if !lock(&self.0.0.shares).lines.is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let (connections, held) = &*self.0;
        connections.release(held);
    }
}
