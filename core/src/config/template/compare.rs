//! Warns of comparisons of texts with numbers.
//!
//! A field may be a text even if it looks like a number: tags of rows are always texts. The template engine orders
//! values of different types by their type, so every text is greater than every number. It orders texts by their
//! characters, so "10" is less than "9". The engine reports no error for either, so this module warns of both.

use std::cell::Cell;
use std::collections::BTreeSet;

use minijinja::Environment;
use minijinja::machinery::{Instruction, Instructions};
use minijinja::value::Value;

use super::finding::{Finding, line};
use crate::text::shown;

/// The kind of a comparison.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Order,
    Equality,
}

pub fn comparison(instruction: &Instruction<'_>) -> Option<Comparison> {
    use Instruction::{CompareAndPreserve, Eq, Gt, Gte, Lt, Lte, Ne};
    match instruction {
        // `CompareAndPreserve`: all but the last comparison of a chain such as 0 < a < 9. The engine hides the
        // operator.
        Gt | Gte | Lt | Lte | CompareAndPreserve(_) => Some(Comparison::Order),
        Eq | Ne => Some(Comparison::Equality),
        _ => None,
    }
}

// When a template is rendered

const CHECK_ORDER: &str = "__check_order";
const CHECK_EQUALITY: &str = "__check_equality";

impl Comparison {
    /// Returns the name of the filter that checks both values before the comparison.
    pub const fn check(self) -> &'static str {
        match self {
            Comparison::Order => CHECK_ORDER,
            Comparison::Equality => CHECK_EQUALITY,
        }
    }
}

thread_local! {
    /// The first doubtful comparison of the template that this thread renders.
    static DOUBT: Cell<Option<(usize, &'static str)>> = const { Cell::new(None) };
}

pub fn add(environment: &mut Environment<'static>) {
    for comparison in [Comparison::Order, Comparison::Equality] {
        // The engine unpacks a list so that its first value is on top.
        let check = move |left: &Value, right: &Value, line: usize| {
            if let (Some(message), None) = (doubt(comparison, left, right), DOUBT.get()) {
                DOUBT.set(Some((line, message)));
            }
            Value::from(vec![right.clone(), left.clone()])
        };
        environment.add_filter(comparison.check(), check);
    }
}

/// Runs `work` and returns a warning of the first doubtful comparison in it.
pub fn with_doubt<T>(work: impl FnOnce() -> T) -> (T, Option<Finding>) {
    let outer = DOUBT.take();
    let result = work();
    let doubt = DOUBT.replace(outer);
    let warning = doubt.map(|(line, message)| Finding::warning(line, message.to_owned()));
    (result, warning)
}

fn doubt(comparison: Comparison, left: &Value, right: &Value) -> Option<&'static str> {
    let text = match (left.as_str(), right.as_str()) {
        (Some(left), Some(right)) => {
            let is_doubtful =
                comparison == Comparison::Order && is_number(left) && is_number(right);
            return is_doubtful.then_some(
                "two numbers are compared as texts, by their characters; write | float behind both",
            );
        }
        (Some(text), None) if right.is_number() => text,
        (None, Some(text)) if left.is_number() => text,
        _ => return None,
    };
    match comparison {
        Comparison::Order => Some(
            "a text is compared with a number, and a text is always more; write | float behind it",
        ),
        Comparison::Equality => is_number(text).then_some(
            "a text is compared with a number, and they are never equal; write | float behind it",
        ),
    }
}

fn is_number(text: &str) -> bool {
    text.trim().parse::<f64>().is_ok()
}

// When a template is read

/// Warns of comparisons of an unconverted field with a number in the source.
pub fn findings(instructions: &Instructions<'_>) -> Vec<Finding> {
    let all = || (0..).map_while(|at| Some((at, instructions.get(at)?)));
    let asked: BTreeSet<_> = all()
        .filter(|(_, instruction)| {
            matches!(instruction, Instruction::PerformTest(name, ..) if TYPE_TESTS.contains(name))
        })
        .filter_map(|(at, _)| field_before(instructions, at))
        .map(|(_, name)| name)
        .collect();
    let compared = all().filter(|(_, instruction)| match instruction {
        Instruction::PerformTest(name, Some(2), _) => COMPARING_TESTS.contains(name),
        instruction => comparison(instruction).is_some(),
    });
    let findings = compared.filter_map(|(at, _)| {
        let name = field_and_number(instructions, at).filter(|name| !asked.contains(name))?;
        let message = format!(
            "notification.fields.{0} may be a text, and a text is always more than a number; write \
             notification.fields.{0} | float",
            shown(&name)
        );
        Some(Finding::warning(line(instructions, at), message))
    });
    findings.collect()
}

/// A template that first tests the type is aware of it.
const TYPE_TESTS: &[&str] = &["number", "integer", "int", "float", "string"];
pub const COMPARING_TESTS: &[&str] = &[
    "eq",
    "equalto",
    "==",
    "ne",
    "!=",
    "lt",
    "lessthan",
    "<",
    "le",
    "<=",
    "gt",
    "greaterthan",
    ">",
    "ge",
    ">=",
];

/// Returns the name of the field if this instruction compares a field with a number in the source, in either order.
fn field_and_number(instructions: &Instructions<'_>, at: u32) -> Option<String> {
    if let Some(number) = number_before(instructions, at) {
        return field_before(instructions, number).map(|(_, name)| name);
    }
    let (field, name) = field_before(instructions, at)?;
    number_before(instructions, field).map(|_| name)
}

/// Returns the start of the number that ends before this instruction.
fn number_before(instructions: &Instructions<'_>, at: u32) -> Option<u32> {
    let last = at.checked_sub(1)?;
    match instructions.get(last)? {
        Instruction::Neg => number_before(instructions, last),
        Instruction::LoadConst(value) if value.is_number() => Some(last),
        _ => None,
    }
}

/// Returns the start and the name of `notification.fields.NAME` or `notification.fields["NAME"]` that ends before this
/// instruction.
fn field_before(instructions: &Instructions<'_>, at: u32) -> Option<(u32, String)> {
    let get = |steps| instructions.get(at.checked_sub(steps)?);
    let (name, steps) = match get(1)? {
        Instruction::GetAttr(name) => ((*name).to_owned(), 1),
        Instruction::GetItem => match get(2)? {
            Instruction::LoadConst(name) => (name.as_str()?.to_owned(), 2),
            _ => return None,
        },
        _ => return None,
    };
    match (get(steps + 2)?, get(steps + 1)?) {
        (Instruction::Lookup("notification"), Instruction::GetAttr("fields")) => {
            Some((at.checked_sub(steps + 2)?, name))
        }
        _ => None,
    }
}
