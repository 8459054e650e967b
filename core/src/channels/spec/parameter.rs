//! The fields of a sender's configuration, as data.

/// A field of a sender's configuration.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    pub name: &'static str,
    pub kind: ParameterKind,
    pub required: bool,
    pub secret: bool,
    /// Whether only the operator may set it. A request's value is ignored with a warning.
    pub operator_only: bool,
    /// The environment variable that replaces a missing value.
    pub environment: Option<&'static str>,
    /// The format of its value, if not every string is valid.
    pub form: Option<ValueFormat>,
    pub example: &'static str,
    pub description: &'static str,
}

/// The format of a value as its provider defines it.
#[derive(Clone, Copy, Debug)]
pub struct ValueFormat {
    pub words: &'static str,
    pub fits: fn(&str) -> bool,
}

impl Parameter {
    /// An optional string. A whole number is valid too.
    pub const fn new(name: &'static str, example: &'static str, description: &'static str) -> Self {
        Self {
            name,
            kind: ParameterKind::Text,
            required: false,
            secret: false,
            operator_only: false,
            environment: None,
            form: None,
            example,
            description,
        }
    }

    /// The base URL of a provider's API, for tests and proxies. `own` is the provider's own address.
    pub const fn base_url(own: &'static str) -> Self {
        let description = "Address of the API; default: the provider's.";
        Self::new("base_url", own, description).operator_only()
    }

    /// Headers in addition to the channel's own.
    pub const fn headers(name: &'static str, example: &'static str) -> Self {
        let description = "Further headers: base64 of a JSON object of strings.";
        Self::new(name, example, description)
            .of(ParameterKind::Headers)
            .secret()
    }

    /// The certificates of trusted authorities, for a server with a certificate of its owner's authority. The
    /// configuration file's reader reads it, not the channel.
    pub const fn ca_file() -> Self {
        let description = "Authorities to trust besides the system's, in PEM.";
        Self::new("ca_file", "ca.pem", description)
            .of(ParameterKind::AuthorityFile)
            .operator_only()
    }

    /// The client certificate for a server that requests one. The configuration file's reader reads it, not the
    /// channel.
    pub const fn client_certificate() -> Self {
        let description = "The client's certificate and key, in one PEM file.";
        Self::new("client_certificate", "client.pem", description)
            .of(ParameterKind::CertificateFile)
            .secret()
            .operator_only()
    }

    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    pub const fn operator_only(mut self) -> Self {
        self.operator_only = true;
        self
    }

    pub const fn or_environment(mut self, variable: &'static str) -> Self {
        self.environment = Some(variable);
        self
    }

    /// Sets the value's format. `words` completes "must be …".
    pub const fn form(mut self, words: &'static str, fits: fn(&str) -> bool) -> Self {
        self.form = Some(ValueFormat { words, fits });
        self
    }

    pub const fn of(mut self, kind: ParameterKind) -> Self {
        self.kind = kind;
        self
    }
}

/// Options of every channel besides its parameters, only in the configuration file. The file's reader reads them, not
/// the channel.
pub const OPTIONS: &[Parameter] = &[
    Parameter::new(
        "template",
        "short",
        "Template of the text; the request's wins.",
    )
    .operator_only(),
    Parameter::new(
        "rate_limit",
        "1/s",
        "Most messages in a time; wins over the setting.",
    )
    .operator_only(),
    Parameter::new(
        "allow_mentions",
        "false",
        "Whether texts may mention people and groups; wins over the setting.",
    )
    .of(ParameterKind::Boolean)
    .operator_only(),
    Parameter::new(
        "proxy",
        "http://proxy.example:3128",
        "HTTP proxy, with a password or without; wins over the environment's.",
    )
    .secret()
    .operator_only(),
];

/// The type of a field. In a request nearly all fields are strings; the other types occur in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    Text,
    /// One string, or a list of them.
    Texts,
    /// Mail addresses in one string or a list. Each address is its own destination.
    Destinations,
    /// A whole number, also as a string.
    Number,
    Boolean,
    /// A table of strings. A request has base64 of a JSON object of strings.
    Headers,
    /// A table of strings.
    Table,
    /// A template for the whole value.
    Template,
    /// A table of templates. A request has a table of strings.
    Templates,
    /// The path of the authorities' certificates in PEM.
    AuthorityFile,
    /// The path of a certificate and its key in PEM.
    CertificateFile,
}

impl ParameterKind {
    /// Returns the type's name in the configuration file. In a request nearly all fields are strings.
    pub const fn word(self) -> &'static str {
        match self {
            ParameterKind::Text => "string",
            ParameterKind::Number => "number",
            ParameterKind::Destinations | ParameterKind::Texts => "string or list of strings",
            ParameterKind::Boolean => "boolean",
            ParameterKind::Headers => "table of strings, or base64 of a JSON object of strings",
            ParameterKind::Table => "table of strings",
            ParameterKind::Template => "template",
            ParameterKind::Templates => "table of templates",
            ParameterKind::AuthorityFile | ParameterKind::CertificateFile => "path of a PEM file",
        }
    }
}
