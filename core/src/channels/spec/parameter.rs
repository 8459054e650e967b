//! The fields of a sender's configuration, as data.

/// A field of a sender's configuration.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    pub name: &'static str,
    pub kind: ParameterKind,
    pub required: bool,
    pub secret: bool,
    /// Whether only the operator may set it: what a request says there is left out, with a warning.
    pub operator_only: bool,
    /// Where the value comes from when the configuration has none.
    pub environment: Option<&'static str>,
    /// What its value must look like, where more than a string is wanted.
    pub form: Option<ValueFormat>,
    pub example: &'static str,
    pub description: &'static str,
}

/// The form of a value, as its provider gives it.
#[derive(Clone, Copy, Debug)]
pub struct ValueFormat {
    pub words: &'static str,
    pub fits: fn(&str) -> bool,
}

impl Parameter {
    /// A string that may be absent; a whole number is taken as well.
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

    /// Where a provider's API is, for tests and proxies; `own` is the provider's own address.
    pub const fn base_url(own: &'static str) -> Self {
        let description = "Address of the API; default: the provider's.";
        Self::new("base_url", own, description).operator_only()
    }

    /// Headers to send beside the channel's own.
    pub const fn headers(name: &'static str, example: &'static str) -> Self {
        let description = "Further headers: base64 of a JSON object of strings.";
        Self::new(name, example, description)
            .of(ParameterKind::Headers)
            .secret()
    }

    /// Whom to trust, where a server has a certificate of its owner's own authority. Read where the configuration file is,
    /// not by channels.
    pub const fn ca_file() -> Self {
        let description = "Authorities to trust besides the system's, in PEM.";
        Self::new("ca_file", "ca.pem", description)
            .of(ParameterKind::AuthorityFile)
            .operator_only()
    }

    /// What to show to a server that asks who comes. Read where the configuration file is, not by channels.
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

    /// `words` completes "must be …".
    pub const fn form(mut self, words: &'static str, fits: fn(&str) -> bool) -> Self {
        self.form = Some(ValueFormat { words, fits });
        self
    }

    pub const fn of(mut self, kind: ParameterKind) -> Self {
        self.kind = kind;
        self
    }
}

/// What every channel takes besides its parameters, in the configuration file alone. Read where the file is, not by channels.
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

/// What a field holds. In a request nearly all are strings; the others are the file's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    Text,
    /// One string, or a list of them.
    Texts,
    /// Mail addresses in one string or a list, of which each is a destination of its own.
    Destinations,
    /// A number up to 65535, also as a string.
    Port,
    Boolean,
    /// A table of strings; in a request base64 of a JSON object of strings.
    Headers,
    /// A table of strings.
    Table,
    /// A template for the whole of it.
    Template,
    /// A table of templates; in a request of strings.
    Templates,
    /// The path of certificates of authorities, in PEM.
    AuthorityFile,
    /// The path of a certificate and its key, in PEM.
    CertificateFile,
}

impl ParameterKind {
    /// As the file has it. In a request nearly all are strings.
    pub const fn word(self) -> &'static str {
        match self {
            ParameterKind::Text => "string",
            ParameterKind::Port => "number",
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
