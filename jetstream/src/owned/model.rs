//! Runs every interleaving of several holders of one request, with the decisions of [`super::fence`].
//!
//! A holder may stop between any two steps, for any time, while the others run. It may die at any step. A write may be
//! applied at any later time, or never, with no waiter for its reply. A request may move to another holder at any time,
//! because leases expire and consumers can be deleted.

use std::collections::HashSet;

use super::fence::{Fence, Inquiry, InquiryStep, ServerQuery, ServerReply};

/// The size of a search, and the protocol step that it omits to show that the model notices.
#[derive(Clone, Copy)]
struct Rules {
    deliveries: usize,
    holders: usize,
    /// Writes that land late or never.
    late_writes: usize,
    /// Attempts that the provider refuses.
    refusals: usize,
    finds_request: bool,
    finishes_only_when_all_have_ended: bool,
    trusts_unknown_writes: bool,
}

const PROTOCOL: Rules = Rules {
    deliveries: 1,
    holders: 2,
    late_writes: 2,
    refusals: 1,
    finds_request: true,
    finishes_only_when_all_have_ended: true,
    trusts_unknown_writes: false,
};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct Note {
    revision: u64,
    holder: usize,
    attempting: bool,
    ended: bool,
}

/// A write without a waiter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct Late {
    delivery: usize,
    over: u64,
    note: Note,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Purpose {
    Take { attempting: bool },
    Attempt,
    NotTaken,
    End,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Phase {
    Fetched,
    Ready,
    /// The provider may have accepted an earlier holder's attempt.
    Interrupted,
    Asking(Purpose, Inquiry, ServerQuery),
    /// The attempt is noted: the first byte may leave.
    MaySend,
    Refused,
    /// To be noted.
    Done,
    Ended,
    Lost,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Holder {
    Away,
    Holding(Vec<(Phase, Fence)>),
    Acknowledged,
    Gone,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct World {
    request: bool,
    notes: Vec<Option<Note>>,
    revision: u64,
    holders: Vec<Holder>,
    late: Vec<Late>,
    late_purge: bool,
    late_writes: usize,
    refusals: usize,
    /// The number of messages that the provider accepted, by delivery.
    sent: Vec<u8>,
    /// Whether the servers have an outcome: a note or a dead letter.
    ended: Vec<bool>,
}

impl World {
    fn new(rules: Rules) -> Self {
        let mut holders = vec![Holder::Away; rules.holders];
        // The process that accepted it.
        holders[0] = Holder::Holding(vec![(Phase::Ready, Fence::default()); rules.deliveries]);
        Self {
            request: true,
            notes: vec![None; rules.deliveries],
            revision: 0,
            holders,
            late: Vec::new(),
            late_purge: false,
            late_writes: rules.late_writes,
            refusals: rules.refusals,
            sent: vec![0; rules.deliveries],
            ended: vec![false; rules.deliveries],
        }
    }

    /// All worlds that one step leads to.
    fn steps(&self, rules: Rules) -> Vec<World> {
        let mut worlds = Vec::new();
        self.late_steps(&mut worlds);
        for (at, holder) in self.holders.iter().enumerate() {
            match holder {
                Holder::Away if self.request => {
                    let fetched = (Phase::Fetched, Fence::default());
                    worlds.push(self.with(at, Holder::Holding(vec![fetched; rules.deliveries])));
                }
                Holder::Holding(deliveries) => {
                    worlds.push(self.with(at, Holder::Gone));
                    self.finish(at, deliveries, rules, &mut worlds);
                    for (index, delivery) in deliveries.iter().enumerate() {
                        self.delivery_steps(at, index, *delivery, rules, &mut worlds);
                    }
                }
                Holder::Acknowledged => {
                    let mut purged = self.with(at, Holder::Gone);
                    purged.notes.fill(None);
                    worlds.push(purged);
                    let mut late = self.with(at, Holder::Gone);
                    late.late_purge = true;
                    worlds.push(late);
                }
                Holder::Away | Holder::Gone => {}
            }
        }
        worlds
    }

    fn with(&self, at: usize, holder: Holder) -> Self {
        let mut world = self.clone();
        world.holders[at] = holder;
        world
    }

    fn late_steps(&self, worlds: &mut Vec<World>) {
        for n in 0..self.late.len() {
            let mut world = self.clone();
            let late = world.late.remove(n);
            world.write(late);
            worlds.push(world);
        }
        if self.late_purge {
            let mut world = self.clone();
            world.late_purge = false;
            world.notes.fill(None);
            worlds.push(world);
        }
    }

    fn write(&mut self, late: Late) -> ServerReply {
        let current = self.notes[late.delivery].map_or(0, |note| note.revision);
        if current != late.over {
            return ServerReply::Conflict;
        }
        self.revision += 1;
        let revision = self.revision;
        self.notes[late.delivery] = Some(Note {
            revision,
            ..late.note
        });
        ServerReply::Written { revision }
    }

    /// Acknowledges the request, or leaves it to others.
    fn finish(
        &self,
        at: usize,
        deliveries: &[(Phase, Fence)],
        rules: Rules,
        worlds: &mut Vec<World>,
    ) {
        let is = |wanted: Phase| move |(phase, _): &(Phase, Fence)| *phase == wanted;
        let all_over = deliveries
            .iter()
            .all(|delivery| is(Phase::Ended)(delivery) || is(Phase::Lost)(delivery));
        if !all_over {
            return;
        }
        let finishes = match rules.finishes_only_when_all_have_ended {
            true => deliveries.iter().all(is(Phase::Ended)),
            false => deliveries.iter().any(is(Phase::Ended)),
        };
        let mut world = self.with(at, Holder::Gone);
        if finishes {
            world.holders[at] = Holder::Acknowledged;
            world.request = false;
        }
        worlds.push(world);
    }

    fn delivery_steps(
        &self,
        at: usize,
        delivery: usize,
        (phase, fence): (Phase, Fence),
        rules: Rules,
        worlds: &mut Vec<World>,
    ) {
        let moved = |phase: Phase, fence: Fence| {
            let mut world = self.clone();
            if let Holder::Holding(deliveries) = &mut world.holders[at] {
                deliveries[delivery] = (phase, fence);
            }
            world
        };
        let asks = |purpose, (inquiry, question)| Phase::Asking(purpose, inquiry, question);
        match phase {
            Phase::Fetched => {
                let note = self.notes[delivery];
                if note.is_some_and(|note| note.ended) {
                    let mut known = moved(Phase::Ended, fence);
                    known.ended[delivery] = true;
                    worlds.push(known);
                    return;
                }
                let inquiry = Fence::take(note.map_or(0, |note| note.revision));
                let attempting = note.is_some_and(|note| note.attempting);
                worlds.push(moved(asks(Purpose::Take { attempting }, inquiry), fence));
            }
            Phase::Ready => worlds.push(moved(asks(Purpose::Attempt, fence.write()), fence)),
            Phase::Interrupted | Phase::Done => {
                worlds.push(moved(asks(Purpose::End, fence.write()), fence));
            }
            Phase::MaySend => {
                let mut next = moved(Phase::Done, fence);
                next.sent[delivery] += 1;
                worlds.push(next);
                if self.refusals > 0 {
                    let mut refused = moved(Phase::Refused, fence);
                    refused.refusals -= 1;
                    worlds.push(refused);
                }
            }
            Phase::Refused => worlds.push(moved(asks(Purpose::NotTaken, fence.write()), fence)),
            Phase::Asking(purpose, inquiry, question) => {
                self.ask(
                    at,
                    delivery,
                    fence,
                    (purpose, inquiry, question),
                    rules,
                    worlds,
                );
            }
            Phase::Ended | Phase::Lost => {}
        }
    }

    fn ask(
        &self,
        at: usize,
        delivery: usize,
        mut fence: Fence,
        (purpose, mut inquiry, question): (Purpose, Inquiry, ServerQuery),
        rules: Rules,
        worlds: &mut Vec<World>,
    ) {
        let mut world = self.clone();
        let answer = match question {
            ServerQuery::ReadNote => match self.notes[delivery] {
                None => ServerReply::NoNote,
                Some(note) => ServerReply::Note {
                    revision: note.revision,
                    is_own: note.holder == at,
                },
            },
            ServerQuery::FindRequest => ServerReply::Request {
                is_there: self.request || !rules.finds_request,
            },
            ServerQuery::Write { over } => {
                let note = Note {
                    revision: 0,
                    holder: at,
                    attempting: match purpose {
                        Purpose::Take { attempting } => attempting,
                        Purpose::Attempt => true,
                        Purpose::NotTaken | Purpose::End => false,
                    },
                    ended: purpose == Purpose::End,
                };
                let late = Late {
                    delivery,
                    over,
                    note,
                };
                if self.late_writes > 0 {
                    worlds.push(self.unanswered(at, late, fence, purpose, rules));
                }
                world.write(late)
            }
        };
        let phase = match inquiry.next(&mut fence, answer) {
            InquiryStep::Ask(question) => Phase::Asking(purpose, inquiry, question),
            InquiryStep::Lost => Phase::Lost,
            InquiryStep::Own => match purpose {
                Purpose::Take { attempting: true } => Phase::Interrupted,
                Purpose::Take { .. } | Purpose::NotTaken => Phase::Ready,
                Purpose::Attempt => Phase::MaySend,
                Purpose::End => {
                    world.ended[delivery] = true;
                    Phase::Ended
                }
            },
        };
        world.settle(at, delivery, phase, fence, purpose);
        worlds.push(world);
    }

    /// The answer to a write does not come. The holder tries again later.
    fn unanswered(
        &self,
        at: usize,
        late: Late,
        fence: Fence,
        purpose: Purpose,
        rules: Rules,
    ) -> Self {
        let mut world = self.clone();
        world.late_writes -= 1;
        world.late.push(late);
        world.late.sort_unstable();
        let phase = match purpose {
            Purpose::Take { .. } => Phase::Lost,
            Purpose::Attempt if rules.trusts_unknown_writes => Phase::MaySend,
            Purpose::Attempt | Purpose::NotTaken => Phase::Ready,
            Purpose::End => Phase::Done,
        };
        world.settle(at, late.delivery, phase, fence, purpose);
        world
    }

    /// A holder that cannot take over one delivery releases the whole request.
    fn settle(&mut self, at: usize, delivery: usize, phase: Phase, fence: Fence, purpose: Purpose) {
        if matches!(purpose, Purpose::Take { .. }) && phase == Phase::Lost {
            self.holders[at] = Holder::Away;
        } else if let Holder::Holding(deliveries) = &mut self.holders[at] {
            deliveries[delivery] = (phase, fence);
        }
    }

    fn fault(&self) -> Option<&'static str> {
        if self.sent.iter().any(|sent| *sent > 1) {
            return Some("sent twice");
        }
        let lost = !self.request && !self.ended.iter().all(|ended| *ended);
        lost.then_some("lost")
    }
}

/// Visits every world; gives back the first fault, or how many there are.
fn explore(rules: Rules) -> Result<usize, &'static str> {
    let first = World::new(rules);
    let mut seen = HashSet::from([first.clone()]);
    let mut open = vec![first];
    while let Some(world) = open.pop() {
        for next in world.steps(rules) {
            if let Some(fault) = next.fault() {
                return Err(fault);
            }
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    Ok(seen.len())
}

#[test]
fn no_interleaving_of_two_holders_sends_twice_or_loses() {
    let worlds = explore(PROTOCOL).unwrap();
    assert!(worlds > 10_000, "{worlds}");
}

#[test]
fn no_interleaving_of_three_holders_sends_twice_or_loses() {
    let rules = Rules {
        holders: 3,
        late_writes: 1,
        refusals: 0,
        ..PROTOCOL
    };
    let worlds = explore(rules).unwrap();
    assert!(worlds > 10_000, "{worlds}");
}

#[test]
fn no_interleaving_of_a_request_with_two_deliveries_loses_one() {
    let rules = Rules {
        deliveries: 2,
        late_writes: 0,
        refusals: 0,
        ..PROTOCOL
    };
    let worlds = explore(rules).unwrap();
    assert!(worlds > 10_000, "{worlds}");
}

#[test]
fn each_rule_of_the_protocol_is_needed() {
    let rules = Rules {
        finds_request: false,
        ..PROTOCOL
    };
    assert_eq!(explore(rules), Err("sent twice"));
    let rules = Rules {
        trusts_unknown_writes: true,
        ..PROTOCOL
    };
    assert_eq!(explore(rules), Err("sent twice"));
    let rules = Rules {
        finishes_only_when_all_have_ended: false,
        deliveries: 2,
        late_writes: 0,
        ..PROTOCOL
    };
    assert_eq!(explore(rules), Err("lost"));
}
