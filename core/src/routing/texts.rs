//! Renders the templates of a request. Each template renders once for all destinations.

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
    /// The template that the request names, if it exists.
    named: Option<Template>,
    now: Timestamp,
    renderer: Renderer,
    original: Variant,
    /// The results of text templates by their ids. `None`: the template failed.
    variants: HashMap<Arc<str>, Option<Variant>>,
    /// The results of parameter templates, by template and variant.
    parameters: HashMap<ParameterId, Result<Arc<str>, Problem>>,
    /// The bytes of all notifications and parameters, and of the data if it outlives the request.
    bytes: usize,
    keeps_data: bool,
}

/// The ids of a parameter's template and of its variant.
type ParameterId = (Arc<str>, Option<Arc<str>>);

/// The notification with the text of a template, or with its own text.
#[derive(Clone)]
pub struct Variant {
    pub notification: Arc<Notification>,
    /// The size in bytes.
    pub size: usize,
    /// The template's id.
    id: Option<Arc<str>>,
    /// The template context. The first template to need it creates it for all users of this variant.
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
        let original = Variant::new(Arc::clone(notification), None);
        Self {
            request,
            config,
            named: found.cloned(),
            now,
            renderer: Renderer::new(&config.templates),
            bytes: original.size,
            original,
            variants: HashMap::new(),
            parameters: HashMap::new(),
            keeps_data: false,
        }
    }

    /// Returns the notification with the text of the request's template, or else of the destination's template. If the
    /// template fails, returns the original text.
    pub fn variant(&mut self, own: Option<&Template>, warnings: &mut Warnings) -> Variant {
        let Some(template) = self.named.clone().or_else(|| own.cloned()) else {
            return self.original.clone();
        };
        let id = template.id();
        if !self.variants.contains_key(id) {
            let variant = match self.text(&template) {
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
            self.variants.insert(Arc::clone(id), variant);
        }
        let variant = self.variants.get(id).cloned().flatten();
        variant.unwrap_or_else(|| self.original.clone())
    }

    fn with_text(&mut self, text: String, id: &Arc<str>) -> Variant {
        let notification = Notification {
            text: Json::String(text),
            is_templated: true,
            ..Notification::clone(&self.original.notification)
        };
        let variant = Variant::new(Arc::new(notification), Some(Arc::clone(id)));
        self.bytes += variant.size;
        variant
    }

    fn text(&mut self, template: &Template) -> Result<String, String> {
        let original = self.original.clone();
        match self.render(template, &original) {
            Ok(text) if text.trim().is_empty() => Err(BLANK.to_owned()),
            Ok(text) => Ok(text),
            Err(problem) => Err(report::in_response(&problem)),
        }
    }

    fn render(&mut self, template: &Template, of: &Variant) -> Result<String, Problem> {
        let original = &self.original;
        let data = self.request.data.as_deref();
        let seen = || TemplateContext::new(&original.notification, data, self.now);
        let seen = original.seen.get_or_init(seen);
        let seen = match of.id {
            None => seen.clone(),
            Some(_) => of
                .seen
                .get_or_init(|| seen.with_text(&of.notification))
                .clone(),
        };
        self.renderer.render(template, &seen)
    }

    /// Renders the templates of a destination's parameters. Omits a parameter whose template fails.
    pub fn parameters(
        &mut self,
        rendered: &[RenderedParameter],
        of: &Variant,
        path: &dyn fmt::Display,
        warnings: &mut Warnings,
    ) -> Vec<(&'static str, Arc<str>)> {
        let mut warn = |message: String| warnings.push(|| format!("{path}: {message}"));
        let parameters =
            render_parameters(rendered, |template| self.parameter(template, of), &mut warn);
        let doubts = self.renderer.take_warnings().into_iter();
        doubts.for_each(|doubt| warn(report::in_response(&doubt)));
        parameters
    }

    /// Returns a renderer of these parameters for other notifications after the response to this request.
    pub fn again(&mut self, rendered: &[RenderedParameter]) -> Arc<dyn Parameters> {
        self.keeps_data = true;
        Arc::new(DeferredTemplates {
            rendered: rendered.to_vec(),
            renderer: Renderer::new(&self.config.templates),
            data: self.request.data.clone(),
        })
    }

    /// Returns the memory of results that several deliveries share, if they store them.
    pub fn bytes(&self) -> usize {
        let data = self.request.data.as_deref().filter(|_| self.keeps_data);
        self.bytes + data.map_or(0, Json::size)
    }

    fn parameter(&mut self, template: &Template, of: &Variant) -> Result<Arc<str>, Problem> {
        let key = (Arc::clone(template.id()), of.id.clone());
        if let Some(known) = self.parameters.get(&key) {
            return known.clone();
        }
        let text: Result<Arc<str>, _> = self.render(template, of).map(Arc::from);
        self.bytes += text.as_ref().map_or(0, |text| text.len());
        self.parameters.insert(key, text.clone());
        text
    }
}

/// Renders a destination's parameters, with a warning for each failure.
fn render_parameters(
    rendered: &[RenderedParameter],
    mut render: impl FnMut(&Template) -> Result<Arc<str>, Problem>,
    mut warn: impl FnMut(String),
) -> Vec<(&'static str, Arc<str>)> {
    let mut parameters = Vec::with_capacity(rendered.len());
    for parameter in rendered {
        let (name, text) = match parameter {
            RenderedParameter::One(name, template) => (*name, render(template)),
            RenderedParameter::Table(name, members) => (*name, object(members, &mut render)),
        };
        let message = match text {
            Ok(text) if text.trim().is_empty() => BLANK.to_owned(),
            Ok(text) => {
                parameters.push((name, text));
                continue;
            }
            Err(problem) => report::in_response(&problem),
        };
        warn(format!("{name}: {message}; sent without it"));
    }
    parameters
}

/// Renders a JSON object of templates.
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

/// A destination's parameters for notifications without a request.
struct DeferredTemplates {
    rendered: Vec<RenderedParameter>,
    renderer: Renderer,
    /// The data of the request for which the destination was selected.
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
        let parameters =
            render_parameters(&self.rendered, render, |message| warnings.push(|| message));
        for warning in renderer.take_warnings() {
            warnings.push(|| report::in_response(&warning));
        }
        parameters
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
