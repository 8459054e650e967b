//! What templates make of a request: each template once, however many destinations have it.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use jiff::Timestamp;

use crate::api::request::Request;
use crate::config::file::{Config, RenderedParameter};
use crate::config::report;
use crate::config::template::{Renderer, Template, TemplateContext};
use crate::json::Json;
use crate::model::notification::Notification;
use crate::model::plan::Parameters;
use crate::model::problem::Problem;
use crate::text::{did_you_mean, shown, shown_value};
use crate::warnings::Warnings;

const BLANK: &str = "it makes a blank text";

pub struct Texts<'a> {
    request: &'a Request,
    config: &'a Config,
    /// The template that the request names, if there is such a one.
    named: Option<Template>,
    now: Timestamp,
    renderer: Renderer,
    given: Variant,
    /// What text templates made, by their ids; `None` of one that failed.
    variants: HashMap<Arc<str>, Option<Variant>>,
    /// What templates of parameters made, of which variant.
    parameters: HashMap<ParameterId, Result<Arc<str>, Problem>>,
    /// Of all notifications and parameters, and of the data where it outlives the request.
    bytes: usize,
    keeps_data: bool,
}

/// The ids of a parameter's template and of the variant that it looks at.
type ParameterId = (Arc<str>, Option<Arc<str>>);

/// The notification with the text that a template made, or as it came.
#[derive(Clone)]
pub struct Variant {
    pub notification: Arc<Notification>,
    /// In bytes.
    pub size: usize,
    /// The template's.
    id: Option<Arc<str>>,
    /// Made when a template looks at it, once for all who have this variant.
    seen: Rc<OnceCell<TemplateContext>>,
}

impl Variant {
    fn new(notification: Arc<Notification>, id: Option<Arc<str>>) -> Self {
        Self {
            size: notification.size(),
            notification,
            id,
            seen: Rc::default(),
        }
    }
}

impl<'a> Texts<'a> {
    pub fn new(
        request: &'a Request,
        notification: &Arc<Notification>,
        config: &'a Config,
        now: Timestamp,
        warnings: &mut Warnings,
    ) -> Self {
        let named = request.template.as_deref();
        let found = named.and_then(|name| config.template(name));
        if let (Some(name), None) = (named, found) {
            warnings.push(|| unknown(name, config));
        }
        let given = Variant::new(Arc::clone(notification), None);
        Self {
            request,
            config,
            named: found.cloned(),
            now,
            renderer: Renderer::new(&config.templates),
            bytes: given.size,
            given,
            variants: HashMap::new(),
            parameters: HashMap::new(),
            keeps_data: false,
        }
    }

    /// The notification with the text that a template makes: the request's, or else the destination's own. One that fails
    /// fails nothing: the text goes as it is.
    pub fn variant(&mut self, own: Option<&Template>, warnings: &mut Warnings) -> Variant {
        let Some(template) = self.named.clone().or_else(|| own.cloned()) else {
            return self.given.clone();
        };
        let id = template.id();
        if !self.variants.contains_key(id) {
            let made = match self.text(&template) {
                Ok(text) => Some(self.with_text(text, id)),
                Err(message) => {
                    let name = self.config.name_of(&template);
                    let name = shown(name.unwrap_or_default());
                    warnings.push(|| format!("template {name}: {message}; the text goes as it is"));
                    None
                }
            };
            let name = self.config.name_of(&template).unwrap_or_default();
            for warning in self.renderer.take_warnings() {
                let warning = report::in_response(&warning);
                warnings.push(|| format!("template {}: {warning}", shown(name)));
            }
            self.variants.insert(Arc::clone(id), made);
        }
        let made = self.variants.get(id).cloned().flatten();
        made.unwrap_or_else(|| self.given.clone())
    }

    fn with_text(&mut self, text: String, id: &Arc<str>) -> Variant {
        let notification = Notification {
            text: Json::String(text),
            ..Notification::clone(&self.given.notification)
        };
        let variant = Variant::new(Arc::new(notification), Some(Arc::clone(id)));
        self.bytes += variant.size;
        variant
    }

    fn text(&mut self, template: &Template) -> Result<String, String> {
        let given = self.given.clone();
        match self.render(template, &given) {
            Ok(text) if text.trim().is_empty() => Err(BLANK.to_owned()),
            Ok(text) => Ok(text),
            Err(problem) => Err(report::in_response(&problem)),
        }
    }

    fn render(&mut self, template: &Template, of: &Variant) -> Result<String, Problem> {
        let given = &self.given;
        let data = self.request.data.as_deref();
        let seen = || TemplateContext::new(&given.notification, data, self.now);
        let seen = given.seen.get_or_init(seen);
        let seen = match of.id {
            None => seen.clone(),
            Some(_) => of
                .seen
                .get_or_init(|| seen.with_text(&of.notification))
                .clone(),
        };
        self.renderer.render(template, &seen)
    }

    /// What the templates of a destination's parameters make; one that fails is as if it were not there.
    pub fn parameters(
        &mut self,
        rendered: &[RenderedParameter],
        of: &Variant,
        path: &dyn fmt::Display,
        warnings: &mut Warnings,
    ) -> Vec<(&'static str, Arc<str>)> {
        let mut warn = |message: String| warnings.push(|| format!("{path}: {message}"));
        let made = make(rendered, |template| self.parameter(template, of), &mut warn);
        let doubts = self.renderer.take_warnings().into_iter();
        doubts.for_each(|doubt| warn(report::in_response(&doubt)));
        made
    }

    /// What makes the parameters of another notification, when this request has been answered.
    pub fn again(&mut self, rendered: &[RenderedParameter]) -> Arc<dyn Parameters> {
        self.keeps_data = true;
        Arc::new(DeferredTemplates {
            rendered: rendered.to_vec(),
            renderer: Renderer::new(&self.config.templates),
            data: self.request.data.clone(),
        })
    }

    /// What is made for several deliveries together, if it is kept for them.
    pub fn bytes(&self) -> usize {
        let data = self.request.data.as_deref().filter(|_| self.keeps_data);
        self.bytes + data.map_or(0, Json::size)
    }

    fn parameter(&mut self, template: &Template, of: &Variant) -> Result<Arc<str>, Problem> {
        let key = (Arc::clone(template.id()), of.id.clone());
        if let Some(known) = self.parameters.get(&key) {
            return known.clone();
        }
        let made: Result<Arc<str>, _> = self.render(template, of).map(Arc::from);
        self.bytes += made.as_ref().map_or(0, |made| made.len());
        self.parameters.insert(key, made.clone());
        made
    }
}

/// The parameters that templates make; of one that fails it is said why.
fn make(
    rendered: &[RenderedParameter],
    mut render: impl FnMut(&Template) -> Result<Arc<str>, Problem>,
    mut warn: impl FnMut(String),
) -> Vec<(&'static str, Arc<str>)> {
    let mut made = Vec::with_capacity(rendered.len());
    for parameter in rendered {
        let (name, text) = match parameter {
            RenderedParameter::One(name, template) => (*name, render(template)),
            RenderedParameter::Table(name, members) => (*name, object(members, &mut render)),
        };
        let message = match text {
            Ok(text) if text.trim().is_empty() => BLANK.to_owned(),
            Ok(text) => {
                made.push((name, text));
                continue;
            }
            Err(problem) => report::in_response(&problem),
        };
        warn(format!("{name}: {message}; sent without it"));
    }
    made
}

/// A JSON object of what the templates make.
fn object(
    members: &[(String, Template)],
    mut render: impl FnMut(&Template) -> Result<Arc<str>, Problem>,
) -> Result<Arc<str>, Problem> {
    let mut object = serde_json::Map::new();
    for (key, template) in members {
        object.insert(key.clone(), render(template)?.as_ref().into());
    }
    Ok(serde_json::Value::Object(object).to_string().into())
}

/// A destination's parameters, for notifications that no request brings.
struct DeferredTemplates {
    rendered: Vec<RenderedParameter>,
    renderer: Renderer,
    /// Of the request that the destination was chosen for.
    data: Option<Arc<Json>>,
}

impl Parameters for DeferredTemplates {
    fn render(
        &self,
        notification: &Notification,
        warnings: &mut Warnings,
    ) -> Vec<(&'static str, Arc<str>)> {
        let seen = TemplateContext::new(notification, self.data.as_deref(), Timestamp::now());
        let mut renderer = self.renderer.clone();
        let render = |template: &Template| renderer.render(template, &seen).map(Arc::from);
        let made = make(&self.rendered, render, |message| warnings.push(|| message));
        for warning in renderer.take_warnings() {
            warnings.push(|| report::in_response(&warning));
        }
        made
    }
}

impl fmt::Debug for DeferredTemplates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} parameters", self.rendered.len())
    }
}

fn unknown(name: &str, config: &Config) -> String {
    let known = config.named_templates.iter();
    let meant = did_you_mean(name, known.map(|(name, _)| name.as_str()));
    format!(
        "template: the configuration file has no template {}, so the text goes as it is{meant}",
        shown_value(name)
    )
}
