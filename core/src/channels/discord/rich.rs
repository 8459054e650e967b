//! Discord's rich form: one embed <https://docs.discord.com/developers/resources/message#embed-object>.
//!
//! Title and fields are data, so a backslash precedes each of their Markdown characters. The text is Discord's
//! Markdown. The message contains no mentions.

use serde::Serialize;
use url::{Host, Url};

use super::MARKUP;
use super::markdown::escape;
use super::options::{AllowedMentions, Mentions, NewMessageOptions};
use crate::channels::shared::alert_list::ListStyle;
use crate::channels::shared::names::NameRules;
use crate::channels::shared::rich::{self, FittedField, LevelStyle, RichMessage, Truncations};
use crate::channels::shared::texts::fit;
use crate::model::notification::Notification;
use crate::text::{Limit, Unit, first_characters, shorten};

/// The unit is code points, as in all of Discord's limits (docs: message, embed limits).
const TITLE_LIMIT: Limit = Limit::code_points(256);
const MAX_DESCRIPTION_CODE_POINTS: usize = 4_096;
const MAX_FIELDS: usize = 25;
const FIELD_NAMES: NameRules = NameRules {
    clean: escape,
    ..NameRules::any(Limit::code_points(256), "…")
};
const VALUE_LIMIT: Limit = Limit::code_points(1_024);
/// The limit of title, description, names, values and footer together.
const MAX_EMBED_CODE_POINTS: usize = 6_000;
/// The maximum length of this crate's footer.
const MAX_FOOTER_CODE_POINTS: usize = 150;
/// The room that fields always leave for the text. Further messages can continue the text, but not the fields.
const MIN_TEXT_CODE_POINTS: usize = 2_000;
/// Longer values get their own row.
const MAX_INLINE_CODE_POINTS: usize = 40;
const UNIT: Unit = Unit::CodePoints;
const LIST: ListStyle = ListStyle {
    unit: UNIT,
    escape,
    // The brackets prevent a preview.
    link: Some(|link| format!("[{}](<{link}>)", rich::link_words(link))),
    has_emoji: true,
};

#[derive(Serialize)]
pub struct EmbedPayload<'a> {
    /// `null` removes the text of an earlier message.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Option<&'a str>>,
    embeds: [Embed<'a>; 1],
    allowed_mentions: AllowedMentions,
    #[serde(flatten)]
    options: Option<&'a NewMessageOptions>,
}

#[derive(Serialize)]
struct Embed<'a> {
    title: String,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    color: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<Field>,
    #[serde(skip_serializing_if = "Option::is_none")]
    footer: Option<Footer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<EmbedImage<'a>>,
    /// Discord shows it in the reader's own time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
}

#[derive(Serialize)]
struct Field {
    name: String,
    value: String,
    inline: bool,
}

#[derive(Serialize)]
struct Footer {
    text: String,
}

#[derive(Serialize)]
struct EmbedImage<'a> {
    url: &'a str,
}

/// Composes the embed. `text` is the notification's text, `limit` the limit of a message with only a text.
pub fn compose<'a>(
    notification: &'a Notification,
    text: &str,
    limit: Limit,
    image: Option<&'a str>,
) -> RichMessage<EmbedPayload<'a>> {
    let mut cuts = Truncations::default();
    let title = cuts.heading(notification, TITLE_LIMIT, |heading| escape(&heading));
    let (url, refused) = match notification.link.as_deref() {
        Some(link) if is_embeddable(link) => (Some(link), None),
        link => (None, link.map(Field::of_link)),
    };
    let refused = cuts.link(refused, |field| UNIT.of(&field.value) <= VALUE_LIMIT.length);

    let room = MAX_EMBED_CODE_POINTS
        - MAX_FOOTER_CODE_POINTS
        - UNIT.of(&title)
        - refused.as_ref().map_or(0, Field::length);
    let most = MAX_FIELDS - usize::from(refused.is_some());
    let left_to_fields = room - UNIT.of(text).min(MIN_TEXT_CODE_POINTS);
    let mut fields = cuts.fields(notification, most, left_to_fields, &FIELD_NAMES, draw);
    let fields_take: usize = fields.iter().map(Field::length).sum();
    let text_room = MAX_DESCRIPTION_CODE_POINTS.min(room - fields_take);
    let split = fit(notification, text, text_room, (limit, MARKUP), &LIST);
    let mut parts = split.parts.into_iter();
    fields.extend(refused);

    let time = notification.timestamp;
    let shown = time.filter(|time| rich::unix_seconds(*time).is_some());
    let time_text = time.filter(|_| shown.is_none()).map(rich::time_in_utc);
    let footer = rich::joined([
        rich::level_below_heading(notification).map(str::to_owned),
        rich::phase(notification, time_text.as_deref()),
        cuts.note(),
    ]);
    let embed = Embed {
        title,
        description: parts.next().unwrap_or_default(),
        url,
        color: LevelStyle::of(notification).colour,
        fields,
        footer: footer.map(|text| Footer { text }),
        image: image.map(|url| EmbedImage { url }),
        timestamp: shown.map(|time| time.to_string()),
    };
    RichMessage::new(
        EmbedPayload {
            content: None,
            embeds: [embed],
            allowed_mentions: AllowedMentions::default(),
            options: None,
        },
        parts,
        split.missing,
        cuts,
    )
}

impl<'a> EmbedPayload<'a> {
    /// Adds the members of a new message, and its mentions. Only the content can mention people.
    pub fn is_new(&mut self, options: &'a NewMessageOptions, mentions: Option<&'a Mentions>) {
        self.options = Some(options);
        if let Some(mentions) = mentions.filter(|mentions| !mentions.text.is_empty()) {
            self.content = Some(Some(&mentions.text));
            self.allowed_mentions = mentions.allowed.clone();
        }
    }

    /// Removes the content when editing a message, which may have been plain text.
    pub const fn replaces_text(&mut self) {
        self.content = Some(None);
    }
}

impl Field {
    fn of_link(link: &str) -> Self {
        Self {
            name: "Link".to_owned(),
            // The brackets prevent Markdown in the link.
            value: format!("<{link}>"),
            inline: false,
        }
    }

    fn length(&self) -> usize {
        UNIT.of(&self.name) + UNIT.of(&self.value)
    }
}

/// Whether Discord accepts the link in an embed. It refuses the whole message if an embed's address has no domain,
/// such as `http://grafana:3000/`: "not a well formed URL" (grafana, issue 65270; gitea, issue 11124: an IP address
/// passes).
fn is_embeddable(link: &str) -> bool {
    let Ok(url) = Url::parse(link) else {
        return false;
    };
    let is_label = |label: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !label.is_empty() && label.bytes().all(known)
    };
    let has_domain = match url.host() {
        Some(Host::Domain(name)) => name.contains('.') && name.split('.').all(is_label),
        Some(Host::Ipv4(_)) => true,
        Some(Host::Ipv6(_)) | None => false,
    };
    has_domain && url.username().is_empty() && url.password().is_none()
}

fn draw(name: String, value: &str) -> FittedField<Field> {
    let mut is_cut = false;
    let head = first_characters(value, rich::HEAD * VALUE_LIMIT.length);
    let field = Field {
        name,
        value: shorten(&escape(head), VALUE_LIMIT, "…", &mut is_cut),
        inline: UNIT.of(value) <= MAX_INLINE_CODE_POINTS && !value.contains('\n'),
    };
    FittedField {
        length: field.length(),
        field,
        is_cut,
    }
}

#[cfg(test)]
mod tests;
