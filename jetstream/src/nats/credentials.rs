//! The credentials for the servers.

use async_nats::ConnectOptions;
use notifier_core::secret::Secret;

/// Adds the credentials: the text of a `.creds` file, the seed of an nkey, `user:password`, or a token. `None`: the
/// form is unknown.
pub fn apply(credentials: &Secret, options: ConnectOptions) -> Option<ConnectOptions> {
    let text = credentials.expose().trim();
    if text.contains("-----BEGIN") {
        return options.credentials(text).ok();
    }
    let is_seed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    if text.len() == 58 && text.starts_with("SU") && text.chars().all(is_seed) {
        return Some(options.nkey(text.to_owned()));
    }
    Some(match text.split_once(':') {
        Some((user, password)) => options.user_and_password(user.to_owned(), password.to_owned()),
        None if text.is_empty() => return None,
        None => options.token(text.to_owned()),
    })
}
