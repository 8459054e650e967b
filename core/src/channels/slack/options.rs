//! The members of a message that the configuration sets. Slack's own webhooks ignore name, icon and channel; servers
//! with Slack's protocol use them <https://docs.slack.dev/reference/methods/chat.postMessage>.

use super::blocks::{Block, BlockText, PartMembers};
use super::parameters::{
    CHANNEL, ICON_EMOJI, ICON_URL, IMAGE, MENTIONS, THREAD_TS, UNFURL_LINKS, UNFURL_MEDIA, USERNAME,
};
use crate::channels::Fields;
use crate::channels::shared::addresses;
use crate::model::channel::ComposeContext;
use crate::model::problem::Problem;

/// `image_url` has at most 3,000 characters <https://docs.slack.dev/reference/block-kit/blocks/image-block>.
const ADDRESS: usize = 3_000;
/// A limit of this crate.
const MOST_MENTIONS: usize = 20;

#[derive(Debug)]
pub struct SlackOptions {
    pub of_each_part: PartMembers,
    image: Option<String>,
    mentions: Vec<String>,
}

impl SlackOptions {
    pub fn read(fields: &Fields<'_>) -> Result<Self, Problem> {
        Ok(Self {
            of_each_part: PartMembers {
                channel: fields.formed_or_none(&CHANNEL)?,
                username: fields.formed_or_none(&USERNAME)?,
                icon_emoji: fields.formed_or_none(&ICON_EMOJI)?,
                icon_url: addresses::address(fields, &ICON_URL, ADDRESS)?,
                thread_ts: fields.formed_or_none(&THREAD_TS)?,
                unfurl_links: fields.flag(&UNFURL_LINKS)?,
                unfurl_media: fields.flag(&UNFURL_MEDIA)?,
            },
            image: addresses::image(fields, &IMAGE, ADDRESS)?,
            mentions: fields.formed_list(&MENTIONS, MOST_MENTIONS)?,
        })
    }

    /// Returns the blocks below a rich notification's own: mentions and the image.
    pub fn blocks(&self, cx: &ComposeContext) -> impl Iterator<Item = Block> {
        let mentions = self.mentions.iter().map(|word| mention(word));
        let mentions = mentions.collect::<Vec<_>>().join(" ");
        let mentions = (cx.allow_mentions && !mentions.is_empty())
            .then(|| Block::section(BlockText::verbatim(mentions)));
        let image = self.image.clone().map(|image_url| Block::Image {
            image_url,
            alt_text: "Image",
        });
        mentions.into_iter().chain(image)
    }
}

/// Returns `<!here>`, `<@U…>` or `<!subteam^S…>` <https://docs.slack.dev/messaging/formatting-message-text>.
fn mention(word: &str) -> String {
    match word.chars().next() {
        Some('S') => format!("<!subteam^{word}>"),
        Some('U' | 'W') => format!("<@{word}>"),
        _ => format!("<!{word}>"),
    }
}
