//! Templates: the operator's wording of a notification. A template can read only the notification and the request's
//! data.

mod check;
mod compare;
mod filters;
mod finding;
mod group;
mod limits;
mod members;
#[cfg(test)]
mod tests;
mod values;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use minijinja::machinery::{eval, get_compiled_template, make_string_output};
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};

pub use self::filters::{FILTERS, FUNCTIONS, Helper, SAMPLE, SAMPLE_TIME};
pub use self::finding::Finding;
use self::group::GroupValues;
pub use self::members::MEMBERS;
use self::values::value;
use super::report;
use crate::channels::LevelStyle;
use crate::json::Json;
use crate::model::notification::{AlertStatus, Level, Notification};
use crate::model::problem::{FilePosition, Location, Problem};
use crate::panics::catch_panic;
use crate::time_limit::{TimeLimited, Unfinished};

/// The fuel of one rendering. An instruction costs one unit, and so do 64 bytes of values that are made or read. This
/// allows a few passes over the longest text of a request.
const FUEL_PER_RENDERING: u64 = 200_000;
/// The fuel of all renderings of one request together, because the caller waits for them.
const FUEL_PER_REQUEST: u64 = 10 * FUEL_PER_RENDERING;
/// The time limit of all renderings of one request together.
const TIME_OF_A_REQUEST: Duration = Duration::from_secs(1);
/// The maximum nesting of calls of macros and recursive loops.
const MAX_RECURSION: usize = 100;
/// The maximum length of a template.
pub const MAX_SOURCE_BYTES: usize = 64 * 1024;

/// The templates of one configuration file.
pub struct Templates {
    environment: Arc<Environment<'static>>,
    /// The names of templates by their source. Equal templates share one name: ten thousand receivers may have the same
    /// template.
    known: HashMap<Box<str>, NamedTemplate>,
}

/// A template's name in the engine's environment, and whether the template is shallow.
type NamedTemplate = (Arc<str>, bool);

impl fmt::Debug for Templates {
    /// Hides the source, which belongs to the operator.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} templates", self.known.len())
    }
}

/// A compiled template.
#[derive(Clone, Debug)]
pub struct Template {
    /// The name in the engine's environment.
    name: Arc<str>,
    /// The position of its start in the file.
    position: FilePosition,
    /// Whether any thread's stack is large enough.
    shallow: bool,
}

impl Template {
    /// Returns an identifier that is equal for equal templates.
    pub fn id(&self) -> &Arc<str> {
        &self.name
    }

    /// Returns an error or a warning about the template. It quotes nothing from it.
    fn problem(&self, message: impl Into<String>) -> Problem {
        report::problem(Location::in_file(self.position, ""), message)
    }
}

impl Default for Templates {
    fn default() -> Self {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_fuel(Some(FUEL_PER_RENDERING));
        environment.set_recursion_limit(MAX_RECURSION);
        filters::add(&mut environment);
        limits::add(&mut environment);
        compare::add(&mut environment);
        Self {
            environment: Arc::new(environment),
            known: HashMap::new(),
        }
    }
}

impl Templates {
    /// Compiles a template and returns its findings. An error among them means no template. Recursion is as deep as the
    /// source.
    pub fn add(
        &mut self,
        source: &str,
        position: FilePosition,
    ) -> (Option<Template>, Vec<Finding>) {
        if source.len() > MAX_SOURCE_BYTES {
            let message = format!("is longer than {MAX_SOURCE_BYTES} bytes");
            return (None, vec![Finding::error(1, message)]);
        }
        let template = |(name, shallow): &NamedTemplate| Template {
            name: Arc::clone(name),
            position,
            shallow: *shallow,
        };
        if let Some(known) = self.known.get(source) {
            return (Some(template(known)), Vec::new());
        }
        let name: Arc<str> = self.known.len().to_string().into();
        // The loader is the only owner while it reads the file.
        let Some(environment) = Arc::get_mut(&mut self.environment) else {
            return (None, vec![Finding::error(1, "cannot be taken".to_owned())]);
        };
        if let Err(error) = environment.add_template_owned(name.to_string(), source.to_owned()) {
            return (None, vec![check::finding(&error)]);
        }
        let (findings, shallow) = match environment.get_template(&name) {
            Ok(compiled) => (check::findings(&compiled), check::is_shallow(&compiled)),
            Err(error) => (vec![check::finding(&error)], false),
        };
        if findings.iter().any(|finding| finding.is_error) {
            environment.remove_template(&name);
            return (None, findings);
        }
        let known = (name, shallow);
        let added = template(&known);
        self.known.insert(source.into(), known);
        (Some(added), findings)
    }
}

impl Templates {
    /// Returns the paths that a template reads, such as `notification.fields.host`.
    pub fn paths(&self, template: &Template) -> Vec<String> {
        let compiled = self.environment.get_template(&template.name);
        let paths = compiled.map(|compiled| compiled.undeclared_variables(true));
        paths.map_or_else(|_| Vec::new(), |paths| paths.into_iter().collect())
    }
}

/// The variables of a template for one notification. Cheap to clone.
#[derive(Clone)]
pub struct TemplateContext(Value);

impl TemplateContext {
    pub fn new(notification: &Notification, data: Option<&Json>, now: Timestamp) -> Self {
        let fields = notification.fields.iter();
        let fields = Value::from_pairs(fields.map(|(name, field)| (name.as_str(), value(field))));
        let group = notification.group.as_deref();
        let group = group.map_or_else(GroupValues::default, GroupValues::of);
        // Always defined, so that a template can always test for a member.
        let data = value(data.unwrap_or(&Json::Object(Vec::new())));
        Self::of(notification, fields, group, data, now.to_string().into())
    }

    /// Returns the same context with another text. Shares large values.
    pub fn with_text(&self, notification: &Notification) -> Self {
        let member = |of: &Value, name| of.get_attr(name).unwrap_or_default();
        let seen = member(&self.0, "notification");
        let fields = member(&seen, "fields");
        let group = GroupValues::from_members(|name| member(&seen, name));
        let [data, now] = ["data", filters::NOW].map(|name| member(&self.0, name));
        Self::of(notification, fields, group, data, now)
    }

    fn of(
        notification: &Notification,
        fields: Value,
        group: GroupValues,
        data: Value,
        now: Value,
    ) -> Self {
        let text = |text: Option<&str>| text.map_or(Value::UNDEFINED, Value::from);
        let timestamp = notification.timestamp.map(|time| time.to_string());
        let level = notification.level_for_rules();
        let look = LevelStyle::of(&Notification {
            level,
            status: notification.status,
            ..Notification::plain(Json::Null)
        });
        let seen = [
            ("text", to_value(&notification.text)),
            ("title", text(notification.title.as_deref())),
            ("level", text(level.map(Level::word))),
            ("status", text(notification.status.map(AlertStatus::word))),
            ("fields", fields),
            ("link", text(notification.link.as_deref())),
            ("timestamp", text(timestamp.as_deref())),
            ("dedup_key", text(notification.dedup_key.as_deref())),
            ("emoji", Value::from(look.emoji)),
            ("alerts", group.alerts),
            ("common_labels", group.common_labels),
            ("group_labels", group.group_labels),
            ("counts", group.counts),
        ];
        debug_assert!(
            seen.iter()
                .map(|(name, _)| *name)
                .eq(MEMBERS.iter().map(|member| member.name))
        );
        Self(Value::from_pairs([
            ("notification", Value::from_pairs(seen)),
            ("data", data),
            (filters::NOW, now),
        ]))
    }
}

/// The variables at the top level of a template.
pub const TOP: [&str; 2] = ["notification", "data"];

/// Returns undefined for `null`, which would otherwise render as a word.
fn to_value(json: &Json) -> Value {
    match json {
        Json::Null => Value::UNDEFINED,
        json => value(json),
    }
}

/// Renders the templates of one request within the request's limits.
#[derive(Clone)]
pub struct Renderer {
    environment: Arc<Environment<'static>>,
    fuel: u64,
    time: Duration,
    warnings: Vec<Problem>,
}

impl Renderer {
    pub fn new(templates: &Templates) -> Self {
        Self {
            environment: Arc::clone(&templates.environment),
            fuel: FUEL_PER_REQUEST,
            time: TIME_OF_A_REQUEST,
            warnings: Vec::new(),
        }
    }

    /// Renders the template for a notification.
    pub fn render(
        &mut self,
        template: &Template,
        seen: &TemplateContext,
    ) -> Result<String, Problem> {
        if self.fuel == 0 || self.time.is_zero() {
            let message = "the templates of this request have taken too long already";
            return Err(template.problem(message));
        }
        let started = Instant::now();
        let rendered = self.render_within_limits(template, seen);
        self.time = self.time.saturating_sub(started.elapsed());
        let fuel = rendered
            .as_ref()
            .map_or(FUEL_PER_RENDERING, |rendered| rendered.fuel);
        self.fuel = self.fuel.saturating_sub(fuel);
        let placed = |finding: Finding| template.problem(finding.with_line());
        let rendered = rendered.map_err(placed)?;
        self.warnings.extend(rendered.warning.map(placed));
        Ok(rendered.text)
    }

    /// Returns the warnings of renderings since the last call.
    pub fn take_warnings(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.warnings)
    }

    /// A switch to another thread takes longer than most templates.
    fn render_within_limits(
        &self,
        template: &Template,
        seen: &TemplateContext,
    ) -> Result<RenderedText, Finding> {
        let environment = Arc::clone(&self.environment);
        let (name, seen) = (Arc::clone(&template.name), seen.clone());
        let work = move || render(&environment, &name, seen);
        let rendered = match template.shallow {
            true => catch_panic(work).map_err(|_| Unfinished::Failed),
            false => THREADS.run(limits::WALL_LIMIT, work),
        };
        rendered.unwrap_or_else(|unfinished| {
            let message = match unfinished {
                Unfinished::TimeLimit => limits::STARVED,
                Unfinished::Failed => "it cannot be rendered on this machine now",
            };
            Err(Finding::error(1, message.to_owned()))
        })
    }
}

/// Threads for templates that can nest calls. Their stacks are large enough for the nesting of values.
static THREADS: TimeLimited = TimeLimited::new("notifier-text", 16 * 1024 * 1024);

/// Returns the number of threads that still render after their caller stopped waiting.
pub fn abandoned_threads() -> usize {
    THREADS.abandoned()
}

struct RenderedText {
    text: String,
    fuel: u64,
    warning: Option<Finding>,
}

fn render(
    environment: &Environment<'_>,
    name: &str,
    seen: TemplateContext,
) -> Result<RenderedText, Finding> {
    let template = environment
        .get_template(name)
        .map_err(|error| check::finding(&error))?;
    let compiled = get_compiled_template(&template);
    let instructions = limits::with_checks(&compiled.instructions);
    let mut text = String::with_capacity(compiled.buffer_size_hint);
    let mut output = make_string_output(&mut text);
    let eval = || {
        let escape = compiled.initial_auto_escape.clone();
        eval(
            environment,
            &instructions,
            seen.0,
            &compiled.blocks,
            &mut output,
            escape,
        )
    };
    let (state, warning) = compare::with_doubt(|| limits::with_time_limits(eval));
    let (_, state) = state.map_err(|error| check::finding(&error))?;
    let fuel = state.fuel_levels().map_or(0, |(used, _)| used);
    Ok(RenderedText {
        text,
        fuel,
        warning,
    })
}
