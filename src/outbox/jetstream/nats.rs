//! How the servers are reached, and as whom.

use async_nats::ConnectOptions;

use crate::model::secret::Secret;

/// How the servers are reached.
#[derive(Clone)]
pub struct Nats {
    /// URLs without a user: `nats://host:4222`, `tls://host:4222`.
    pub servers: Vec<String>,
    pub credentials: Option<Credentials>,
    pub tls: Option<rustls::ClientConfig>,
}

/// What `nats_credentials` says: the text of a `.creds` file, an nkey's seed, `user:password`, or a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials(Secret);

impl Credentials {
    pub fn new(secret: Secret) -> Self {
        Self(secret)
    }

    pub fn apply(&self, options: ConnectOptions) -> Option<ConnectOptions> {
        let text = self.0.expose().trim();
        if text.contains("-----BEGIN") {
            return options.credentials(text).ok();
        }
        let is_seed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
        if text.len() == 58 && text.starts_with("SU") && text.chars().all(is_seed) {
            return Some(options.nkey(text.to_owned()));
        }
        Some(match text.split_once(':') {
            Some((user, password)) => {
                options.user_and_password(user.to_owned(), password.to_owned())
            }
            None if text.is_empty() => return None,
            None => options.token(text.to_owned()),
        })
    }
}
