//! The URL option that allows a message to begin or join a thread.

use url::Url;

/// Adds or removes the option. Without it, the key of a thread has no effect (messages.create). Without a thread, the
/// option is an error, even in the configured URL (apprise, pull request 1376). A `threadKey` in the URL is a thread
/// too.
pub fn with_reply_option(url: &Url, has_thread: bool) -> Url {
    const OPTION: &str = "messageReplyOption";
    let has = |wanted| url.query_pairs().any(|(name, _)| name == wanted);
    let has_thread = has_thread || has("threadKey");
    let mut with_option = url.clone();
    match (has_thread, has(OPTION)) {
        (true, false) => {
            let mut query = with_option.query_pairs_mut();
            query.append_pair(OPTION, "REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD");
        }
        (false, true) => {
            let others = url.query_pairs().filter(|(name, _)| name != OPTION);
            with_option.query_pairs_mut().clear().extend_pairs(others);
        }
        _ => {}
    }
    with_option
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reply_option_stands_in_the_url_exactly_where_there_is_a_thread() {
        const OPTION: &str = "messageReplyOption=REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD";
        const FAIL: &str = "messageReplyOption=REPLY_MESSAGE_OR_FAIL";
        for (query, has_thread, expected) in [
            ("key=k", false, "key=k".to_owned()),
            ("key=k", true, format!("key=k&{OPTION}")),
            (&format!("{FAIL}&key=k"), false, "key=k".to_owned()),
            (&format!("{FAIL}&key=k"), true, format!("{FAIL}&key=k")),
            (
                &format!("threadKey=t&{FAIL}"),
                false,
                format!("threadKey=t&{FAIL}"),
            ),
            ("threadKey=t", false, format!("threadKey=t&{OPTION}")),
        ] {
            let url = Url::parse(&format!("https://chat.example/?{query}")).unwrap();
            let found = with_reply_option(&url, has_thread);
            assert_eq!(
                found.query(),
                Some(expected.as_str()),
                "{query} {has_thread}"
            );
        }
    }
}
