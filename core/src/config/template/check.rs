//! Finds errors in a template. The messages are the plugin's own: the library's messages may quote the template or the
//! data.

use std::collections::BTreeSet;

use minijinja::machinery::{Instruction, Instructions, get_compiled_template};
use minijinja::{Error, ErrorKind, Template};

use super::filters::{FILTERS, FUNCTIONS};
use super::finding::{Finding, line};
use super::{MEMBERS, TOP, compare, limits};
use crate::text::{did_you_mean, nearest, shown};

/// Checks a parsed template, including parts that no notification has reached. The engine resolves a filter only at its
/// first use, which may be at night.
pub fn findings(template: &Template<'_, '_>) -> Vec<Finding> {
    let compiled = get_compiled_template(template);
    let instructions = &compiled.instructions;
    let own = own_names(instructions);
    let mut findings = Vec::new();
    for at in 0.. {
        let Some(instruction) = instructions.get(at) else {
            break;
        };
        let line = line(instructions, at);
        findings.extend(finding_of(instruction, &own, line));
        if puts_a_namespace_into_one(instructions, at) {
            findings.push(Finding::error(line, limits::CANNOT_STAND_INSIDE.to_owned()));
        }
    }
    if findings.is_empty() {
        findings = unknown_variables(template);
        findings.extend(compare::findings(instructions));
    }
    findings
}

/// The maximum number of instructions that fit on the stack of any thread.
const MAX_SHALLOW: u32 = 300;
/// The flag of a recursive loop (`compiler::instructions` of the library).
const RECURSIVE: u8 = 2;

/// Returns whether the template's length limits its nesting. Only repetition nests deeper: macros, recursive loops, and
/// objects that store values of a loop.
pub fn is_shallow(template: &Template<'_, '_>) -> bool {
    let instructions = &get_compiled_template(template).instructions;
    let nests = |instruction: &Instruction<'_>| match instruction {
        Instruction::PushLoop(flags) => flags & RECURSIVE != 0,
        Instruction::CallFunction(name, _) => matches!(*name, "namespace" | "loop" | "caller"),
        Instruction::BuildMacro(..)
        | Instruction::SetAttr(_)
        | Instruction::FastRecurse
        | Instruction::CallObject(_) => true,
        _ => false,
    };
    let mut all = (0..).map_while(|at| instructions.get(at));
    instructions.get(MAX_SHALLOW).is_none() && !all.any(nests)
}

/// Returns whether this instruction sets a member of a namespace to a namespace or to `loop`, as far as the source
/// shows.
fn puts_a_namespace_into_one(instructions: &Instructions<'_>, at: u32) -> bool {
    let before = |steps| at.checked_sub(steps).and_then(|at| instructions.get(at));
    let (Some(Instruction::SetAttr(_)), Some(Instruction::Lookup(value))) =
        (instructions.get(at), before(2))
    else {
        return false;
    };
    let mut is_namespace = (0..)
        .map_while(|at| Some((instructions.get(at)?, at)))
        .filter(|(instruction, _)| matches!(instruction, Instruction::StoreLocal(name) if name == value))
        .map(|(_, at)| {
            let made_by = at.checked_sub(1).and_then(|at| instructions.get(at));
            matches!(made_by, Some(Instruction::CallFunction("namespace", _)))
        })
        .peekable();
    *value == "loop" || is_namespace.peek().is_some() && is_namespace.all(|is| is)
}

/// Returns the names that a template defines: variables and macros.
fn own_names<'s>(instructions: &Instructions<'s>) -> BTreeSet<&'s str> {
    let all = (0..).map_while(|at| instructions.get(at));
    let named = all.filter_map(|instruction| match instruction {
        Instruction::StoreLocal(name) => Some(*name),
        _ => None,
    });
    named.chain(["loop", "caller"]).collect()
}

fn finding_of(instruction: &Instruction<'_>, own: &BTreeSet<&str>, line: usize) -> Option<Finding> {
    let unknown = |message: &str, name: &str, known: &[&'static str]| {
        let meant = did_you_mean(name, known.iter().copied());
        let name = shown(name);
        let message = format!("there is no {message} {name}{meant}");
        Some(Finding::error(line, message))
    };
    match instruction {
        Instruction::ApplyFilter(name, ..) => {
            let known: Vec<_> = FILTERS.iter().map(|filter| filter.name).collect();
            (!known.contains(name)).then(|| unknown("filter", name, &known))?
        }
        Instruction::PerformTest(name, ..) => {
            let known = [TESTS, compare::COMPARING_TESTS].concat();
            (!known.contains(name)).then(|| unknown("test", name, &known))?
        }
        Instruction::CallFunction(name, _) => {
            let known: Vec<_> = FUNCTIONS.iter().map(|function| function.name).collect();
            let is_known = known.contains(name) || own.contains(name);
            (!is_known).then(|| unknown("function", name, &known))?
        }
        Instruction::CallMethod(name, _) if !METHODS.contains(name) => {
            let hint = FILTERS.iter().find(|filter| filter.name == *name);
            let message = match hint {
                Some(filter) => format!(
                    "values have no methods; write it as a filter, | {}",
                    filter.name
                ),
                None => format!(
                    "values have no methods, and there is no filter {} either",
                    shown(name)
                ),
            };
            Some(Finding::error(line, message))
        }
        _ => None,
    }
}

/// The tests after `is`, in addition to comparisons.
const TESTS: &[&str] = &[
    "undefined",
    "defined",
    "none",
    "boolean",
    "odd",
    "even",
    "divisibleby",
    "number",
    "integer",
    "int",
    "float",
    "string",
    "sequence",
    "iterable",
    "mapping",
    "startingwith",
    "endingwith",
    "lower",
    "upper",
    "sameas",
    "in",
    "true",
    "false",
];

/// The methods of `loop`.
const METHODS: &[&str] = &["cycle", "changed"];

/// Warns of unknown variables: the engine renders them as empty text without an error.
fn unknown_variables(template: &Template<'_, '_>) -> Vec<Finding> {
    let mut names: Vec<String> = template.undeclared_variables(true).into_iter().collect();
    names.sort();
    let source = template.source();
    let functions = FUNCTIONS.iter().map(|function| function.name);
    let tops: Vec<_> = TOP.into_iter().chain(functions).collect();
    let members: Vec<_> = MEMBERS.iter().map(|member| member.name).collect();
    let findings = names.iter().filter_map(|name| {
        let mut parts = name.split('.');
        let (top, member) = (parts.next()?, parts.next());
        let (unknown, known, before) = match (top, member) {
            ("notification", Some(member)) if !members.contains(&member) => {
                (member, &members, "notification.")
            }
            _ if !tops.contains(&top) => (top, &tops, ""),
            _ => return None,
        };
        let message = match nearest(unknown, known.iter().copied()) {
            Some(meant) => format!(
                "there is no {before}{}, so this is empty; did you mean {before}{meant}?",
                shown(unknown)
            ),
            None if before.is_empty() => format!(
                "there is no {}, so this is empty; a template sees notification and data",
                shown(unknown)
            ),
            None => format!(
                "there is no {before}{}, so this is empty; there are {}",
                shown(unknown),
                members.join(", ")
            ),
        };
        let before_it = source.split(&format!("{before}{unknown}")).next();
        let lines = before_it.map_or(0, |before| before.matches('\n').count());
        Some(Finding::warning(1 + lines, message))
    });
    findings.collect()
}

/// Converts an error of the library to a finding.
pub fn finding(error: &Error) -> Finding {
    Finding::error(error.line().unwrap_or(1), explain(error))
}

fn explain(error: &Error) -> String {
    let detail = error.detail().unwrap_or_default();
    let has = |part: &str| detail.contains(part);
    match error.kind() {
        ErrorKind::SyntaxError => syntax(detail),
        ErrorKind::BadEscape => "a string has an escape that is not known".to_owned(),
        ErrorKind::UnknownFilter => "there is no such filter".to_owned(),
        ErrorKind::UnknownTest => "there is no such test".to_owned(),
        ErrorKind::UnknownFunction => "there is no such function".to_owned(),
        ErrorKind::UnknownMethod => "there is no such method".to_owned(),
        ErrorKind::UndefinedError => {
            "something is looked up in a value that is not there; ask for it first: {% if … %}"
                .to_owned()
        }
        ErrorKind::BadSerialization => "this value cannot be written as JSON".to_owned(),
        ErrorKind::OutOfFuel => {
            "it takes too long, or makes too much; a loop without end, perhaps?".to_owned()
        }
        ErrorKind::MissingArgument => "an argument is missing".to_owned(),
        ErrorKind::TooManyArguments => "there are too many arguments".to_owned(),
        ErrorKind::CannotUnpack => {
            "this has not as many parts as there are names for them".to_owned()
        }
        ErrorKind::InvalidOperation if has("recursion limit") => {
            "it calls itself too often".to_owned()
        }
        ErrorKind::InvalidOperation if has("too many elements") || has("too large") => {
            "it makes too much".to_owned()
        }
        ErrorKind::InvalidOperation if has("not iterable") => {
            "only lists and objects can be gone through".to_owned()
        }
        ErrorKind::InvalidOperation if has("unsupported types") || has("unable to calculate") => {
            "these values cannot be calculated with; | float makes a number of a text".to_owned()
        }
        // Errors of the plugin's own filters quote nothing.
        ErrorKind::InvalidOperation if detail.starts_with(super::filters::OWN_WORDS) => {
            detail.replacen(super::filters::OWN_WORDS, "", 1)
        }
        ErrorKind::InvalidOperation => "this cannot be done with such a value".to_owned(),
        _ => "it cannot be rendered".to_owned(),
    }
}

/// The parser's messages with the plugin's sentences. The first match applies.
const SYNTAX_ERRORS: &[(&str, &str)] = &[
    (
        "unexpected end of input, expected end of variable block",
        "this {{ is not closed; }} is missing",
    ),
    (
        "unexpected end of input, expected end of block",
        "this is not closed; %} is missing, or the {% end… %} tag that belongs to it",
    ),
    (
        "unexpected end of input",
        "this is not closed; }} or %} is missing",
    ),
    (
        "unexpected end of string",
        "a string is not closed; its quote is missing",
    ),
    (
        "unexpected end of comment",
        "a comment is not closed; #} is missing",
    ),
    ("unexpected end of raw block", "{% endraw %} is missing"),
    (
        "unknown statement include",
        "templates cannot include others",
    ),
    ("unknown statement import", "templates cannot import others"),
    (
        "unknown statement extends",
        "templates cannot extend others",
    ),
    (
        "unknown statement end",
        "nothing is open that this tag would close",
    ),
    (
        "unknown statement el",
        "this belongs into an {% if %} or a {% for %}",
    ),
    (
        "unknown statement",
        "there is no such tag; there are if, for, set, with, macro, filter, raw",
    ),
    ("recursion limits", "it nests too deep"),
    ("too large", "this number is too large"),
    ("reserved variable name", "this name is taken"),
    (", expected end of variable block", "}} is expected here"),
    (", expected end of block", "%} is expected here"),
    (
        ", expected in",
        "`in` is expected here: {% for item in list %}",
    ),
    (", expected identifier", "a name is expected here"),
    ("unexpected end of", "something is missing here"),
    ("unexpected character", "this character means nothing here"),
];

/// Returns the plugin's sentence for a parser message.
fn syntax(detail: &str) -> String {
    let known = SYNTAX_ERRORS.iter().find(|(part, _)| detail.contains(part));
    known
        .map_or("the syntax is wrong here", |(_, message)| message)
        .to_owned()
}
