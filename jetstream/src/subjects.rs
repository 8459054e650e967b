//! Names at the servers: subjects of messages, and keys of buckets.

use sha2::{Digest, Sha256};

use notifier_core::text::hex;

/// The token of a request without a dedup key.
const NO_KEY: &str = "-";

/// The subject of an open request, for its owner or for any process. `config` is the [`config_token`], `key` the
/// [`dedup_token`].
pub fn work(owner: &str, config: &str, key: Option<&str>, task: &str) -> String {
    let key = key.unwrap_or(NO_KEY);
    format!("notifier.work.{owner}.{config}.{key}.{}", token(task))
}

/// The subjects of an owner's requests under one configuration file.
pub fn works_of_owner(owner: &str, config: &str) -> String {
    format!("notifier.work.{owner}.{config}.>")
}

/// The subjects of all requests under one configuration file and dedup key.
pub fn works_of_key(config: &str, key: &str) -> String {
    format!("notifier.work.*.{config}.{key}.*")
}

/// The subject of a dead letter.
pub fn dead(config: &str, task: &str) -> String {
    format!("notifier.dead.{config}.{}", token(task))
}

/// The subject of a history row.
pub fn history(config: &str, line: &str) -> String {
    format!("notifier.history.{config}.{}", short_hash(&[line]))
}

/// The subjects of all history rows under one configuration file.
pub fn histories(config: &str) -> String {
    format!("notifier.history.{config}.*")
}

/// The subject on which a live owner answers.
pub fn alive(owner: &str) -> String {
    format!("notifier.alive.{owner}")
}

/// The token of a configuration file: its name without the directory, which differs between machines.
pub fn config_token(config: &str) -> String {
    let name = config.rsplit(['/', '\\']).next().unwrap_or_default();
    short_hash(&[name])
}

/// The token of a dedup key.
pub fn dedup_token(key: &str) -> String {
    short_hash(&[key])
}

/// The key of a delivery's note. It holds the request's sequence, since a redriven task has other notes.
pub fn attempt_key(task: &str, sequence: u64, index: usize) -> String {
    format!("attempt.{}.{sequence}.{index}", token(task))
}

/// The keys of all notes of a request.
pub fn attempt_keys(task: &str, sequence: u64) -> String {
    format!("attempt.{}.{sequence}.*", token(task))
}

/// The entry of an idempotency key.
pub fn idempotency_entry_key(scope: &str, key: &str) -> String {
    format!("key.{}", hash(&[scope, key]))
}

/// The key of a provider's message.
pub fn message_key(message: &str) -> String {
    format!("message.{}", hash(&[message]))
}

/// Text as one token of a subject.
pub fn token(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !text.is_empty() && text.len() <= 64 && text.chars().all(safe) {
        true => text.to_owned(),
        false => format!("x{}", short_hash(&[text])),
    }
}

fn short_hash(parts: &[&str]) -> String {
    hash(parts).chars().take(32).collect()
}

/// Each part has its length before it, so that different lists have different hashes.
fn hash(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.len().to_be_bytes());
        digest.update(part.as_bytes());
    }
    hex(&digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_file_is_known_by_its_name_wherever_it_lies() {
        let here = config_token("notifier.toml");
        for same in [
            "/etc/notifier.toml",
            "a/b/notifier.toml",
            r"C:\notifier.toml",
        ] {
            assert_eq!(config_token(same), here, "{same}");
        }
        for other in ["", "other.toml", "notifier.toml/other"] {
            assert_ne!(config_token(other), here, "{other}");
        }
    }

    #[test]
    fn a_task_is_one_token_of_a_subject_whatever_it_is_called() {
        assert_eq!(token("7b0c2f0e-5a54-4b0c"), "7b0c2f0e-5a54-4b0c");
        for text in ["", "a b", "a.b", "*", ">", "ü", &"a".repeat(65)] {
            let token = token(text);
            assert!(
                token.starts_with('x') && token.len() == 33,
                "{text} {token}"
            );
        }
    }
}
