//! Limits the size of a template's values and the rendering time.
//!
//! The template engine charges fuel for instructions and for items that filters visit. It does not charge for the
//! inside of values. Printing, comparing, hashing and dropping visit everything in a value, at every depth. So a check
//! runs on every value that a template builds. The checks are instructions that this module adds to a compiled
//! template. The template engine's version is pinned, because another version may have other instructions.

use std::cell::Cell;
use std::time::{Duration, Instant};

use minijinja::machinery::{Instruction, Instructions};
use minijinja::value::{Rest, Value, ValueKind};
use minijinja::{Environment, Error, State};

use super::compare::comparison;
use super::filters::error;
use super::finding::line;

/// The CPU time that a template may use. On a busy machine, a thread gets only a part of the elapsed time.
const TIME_LIMIT: Duration = Duration::from_millis(100);
/// The elapsed time that a template may use.
pub const WALL_LIMIT: Duration = Duration::from_secs(1);
/// The maximum nesting of values. The data of a request nests at most 64 levels.
const MAX_DEPTH: usize = 128;
/// The maximum size of a value with everything in it. A member that occurs twice counts twice, because the engine
/// prints it twice.
const MAX_VALUE_BYTES: usize = 8 * 1024 * 1024;
/// The size of a value in addition to its text.
const NODE_BYTES: usize = 16;
/// The bytes of a checked value that cost one unit of fuel.
const BYTES_PER_FUEL: usize = 256;

/// The names of the checks. A template cannot call them: it may only use documented filters.
const CHECK_VALUE: &str = "__check_value";
const CHECK_MEMBER: &str = "__check_member";
const CHECK_TIME: &str = "__check_time";
const CHANGED: &str = "__changed";

/// Filters whose results need no check: a text, a number, or an existing value.
const WITHOUT_CONTAINERS: &[&str] = &[
    "duration",
    "age",
    "time",
    "number",
    "si",
    "bytes",
    "percent",
    "truncate",
    "oneline",
    "tojson",
    "urlencode",
    "escape_slack",
    "escape_discord",
    "escape",
    "e",
    "default",
    "d",
    "upper",
    "lower",
    "title",
    "capitalize",
    "trim",
    "replace",
    "indent",
    "format",
    "string",
    "int",
    "float",
    "bool",
    "round",
    "abs",
    "length",
    "count",
    "join",
    "first",
    "last",
    "min",
    "max",
    "attr",
    "pprint",
    "safe",
];

thread_local! {
    /// The start of the rendering on this thread.
    static BEGUN: Cell<Option<Begun>> = const { Cell::new(None) };
}

#[derive(Clone, Copy)]
struct Begun {
    at: Instant,
    /// The thread's CPU time at the start.
    processor: Option<Duration>,
}

/// Runs `work` within the time limits. The checks in it enforce them.
pub fn with_time_limits<T>(work: impl FnOnce() -> T) -> T {
    let begun = Begun {
        at: Instant::now(),
        processor: processor_time(),
    };
    let outer = BEGUN.replace(Some(begun));
    let result = work();
    BEGUN.set(outer);
    result
}

fn check_time() -> Result<(), Error> {
    let Some(begun) = BEGUN.get() else {
        return Ok(());
    };
    let elapsed = begun.at.elapsed();
    if elapsed < TIME_LIMIT {
        return Ok(());
    }
    if elapsed >= WALL_LIMIT {
        return Err(error(STARVED));
    }
    let processor = processor_time().zip(begun.processor);
    let used = processor.map_or(elapsed, |(now, before)| now.saturating_sub(before));
    match used < TIME_LIMIT {
        true => Ok(()),
        false => Err(error(TOO_LONG)),
    }
}

/// Returns the CPU time of this thread, if the system provides it.
#[cfg(unix)]
fn processor_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).ok()
}

#[cfg(not(unix))]
const fn processor_time() -> Option<Duration> {
    None
}

pub fn add(environment: &mut Environment<'static>) {
    environment.add_filter(CHECK_VALUE, |state: &State<'_, '_>, value: &Value| {
        check_time()?;
        check(state, value, Position::Variable)?;
        Ok::<_, Error>(materialized(value))
    });
    environment.add_filter(CHECK_MEMBER, |state: &State<'_, '_>, value: &Value| {
        check(state, value, Position::Inside)?;
        Ok::<_, Error>(value.clone())
    });
    environment.add_test(CHECK_TIME, |_: &Value| check_time().map(|()| true));
    environment.add_filter(
        CHANGED,
        |state: &mut State<'_, '_>, arguments: Rest<Value>| {
            let (receiver, values) = arguments
                .split_first()
                .ok_or_else(|| error("this is no loop"))?;
            for value in values {
                check(state, value, Position::Inside)?;
            }
            receiver.call_method(state, "changed", values)
        },
    );
}

/// Returns the instructions with added checks. A check runs after the construction of a value and before its storage
/// inside another value. Checks also run in each round of a loop and before comparisons.
pub fn with_checks<'s>(plain: &Instructions<'s>) -> Instructions<'s> {
    let mut checked = Instructions::new(plain.name(), plain.source());
    let mut positions = Vec::new();
    for at in 0.. {
        let Some(instruction) = plain.get(at) else {
            break;
        };
        let at_line = u16::try_from(line(plain, at)).unwrap_or(u16::MAX);
        let mut add = |instruction| checked.add_with_line(instruction, at_line);
        let check = |name| Instruction::ApplyFilter(name, Some(1), UNCACHED);
        match instruction {
            // The namespace is above the value on the stack.
            Instruction::SetAttr(_) => {
                positions.push(add(Instruction::Swap));
                add(check(CHECK_MEMBER));
                add(Instruction::Swap);
                add(instruction.clone());
            }
            Instruction::CallMethod("changed", count) => {
                positions.push(add(Instruction::ApplyFilter(CHANGED, *count, UNCACHED)));
            }
            Instruction::Iterate(_) => {
                positions.push(add(instruction.clone()));
                add(Instruction::LoadConst(Value::UNDEFINED));
                add(Instruction::PerformTest(CHECK_TIME, Some(1), UNCACHED));
                add(Instruction::DiscardTop);
            }
            _ if let Some(comparison) = comparison(instruction) => {
                positions.push(add(Instruction::LoadConst(Value::from(at_line))));
                add(Instruction::ApplyFilter(
                    comparison.check(),
                    Some(3),
                    UNCACHED,
                ));
                add(Instruction::UnpackList(2));
                add(instruction.clone());
            }
            _ => {
                positions.push(add(instruction.clone()));
                if builds_a_value(instruction) {
                    add(check(CHECK_VALUE));
                }
            }
        }
    }
    retarget(&mut checked, &positions);
    checked
}

/// The engine then looks the filter up at each call.
const UNCACHED: u8 = u8::MAX;

fn builds_a_value(instruction: &Instruction<'_>) -> bool {
    match instruction {
        Instruction::BuildList(_)
        | Instruction::BuildTuple(_)
        | Instruction::BuildMap(_)
        | Instruction::Add
        | Instruction::Mul
        | Instruction::Slice
        | Instruction::CallMethod(..)
        | Instruction::CallObject(_) => true,
        Instruction::CallFunction(name, _) => !matches!(*name, "now" | "debug" | "loop"),
        Instruction::ApplyFilter(name, ..) => !WITHOUT_CONTAINERS.contains(name),
        _ => false,
    }
}

/// Adjusts jumps to the moved instructions. `positions` maps each old index to the new one.
fn retarget(instructions: &mut Instructions<'_>, positions: &[u32]) {
    for at in 0.. {
        let Some(instruction) = instructions.get_mut(at) else {
            return;
        };
        if let Instruction::Jump(target)
        | Instruction::JumpIfFalse(target)
        | Instruction::JumpIfFalseOrPop(target)
        | Instruction::JumpIfTrueOrPop(target)
        | Instruction::Iterate(target)
        | Instruction::BuildMacro(_, target, _) = instruction
        {
            let position = usize::try_from(*target)
                .ok()
                .and_then(|target| positions.get(target));
            // The end of the program has no instruction.
            *target = position.copied().unwrap_or(u32::MAX);
        }
    }
}

const TOO_LONG: &str = "it takes longer than 100 ms";
pub const STARVED: &str = "it is not done within 1 s";
pub const CANNOT_STAND_INSIDE: &str =
    "a namespace and `loop` cannot be put into a list, an object or a namespace";

/// The position of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    /// Inside a variable or an argument.
    Variable,
    /// Inside a list, an object or a namespace.
    Inside,
}

/// Checks that a value is finite, small enough, and immutable. A namespace and a loop can change. Inside another value,
/// they could later contain that value, or grow after its check.
fn check(state: &State<'_, '_>, value: &Value, position: Position) -> Result<(), Error> {
    let mut left = MAX_VALUE_BYTES;
    let result = measure(value, position, 0, &mut left);
    let bytes = MAX_VALUE_BYTES - left;
    state.consume_fuel((bytes / BYTES_PER_FUEL) as u64)?;
    result
}

fn measure(value: &Value, position: Position, depth: usize, left: &mut usize) -> Result<(), Error> {
    let bytes = NODE_BYTES + value.as_str().map_or(0, str::len);
    *left = left
        .checked_sub(bytes)
        .ok_or_else(|| error("it makes too much"))?;
    let Some(object) = value.as_object() else {
        return Ok(());
    };
    if depth > MAX_DEPTH {
        return Err(error("lists and objects nest too deep"));
    }
    // Both are maps. The code below measures their members.
    if can_change(object.type_name()) && position == Position::Inside {
        return Err(error(CANNOT_STAND_INSIDE));
    }
    let mut inside = |value: &Value| measure(value, Position::Inside, depth + 1, left);
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            for item in value.try_iter()?.checked() {
                inside(&item?)?;
            }
        }
        ValueKind::Map => {
            for (key, member) in object.try_iter_pairs().into_iter().flatten() {
                inside(&key)?;
                inside(&member)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Returns whether an object of this type can change later.
fn can_change(type_name: &str) -> bool {
    type_name.ends_with("::Namespace") || type_name.ends_with("::Loop")
}

/// Returns the value with all members in memory. A lazy value costs more each time another lazy value wraps it: ten
/// such steps cost a thousand times as much.
fn materialized(value: &Value) -> Value {
    let type_name = value.as_object().map_or("", |object| object.type_name());
    match value.kind() {
        ValueKind::Iterable => members(value),
        ValueKind::Seq if type_name.ends_with("::MergeSeq") => members(value),
        ValueKind::Map if type_name.ends_with("::MergeDict") => {
            let pairs = value.as_object().and_then(|object| object.try_iter_pairs());
            Value::from_pairs(pairs.into_iter().flatten())
        }
        _ => value.clone(),
    }
}

fn members(value: &Value) -> Value {
    let members = value.try_iter().into_iter().flatten();
    Value::from(members.collect::<Vec<_>>())
}
