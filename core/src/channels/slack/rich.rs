//! Slack's rich form: blocks, and one attachment with the colour bar beside time and fields
//! <https://docs.slack.dev/reference/block-kit/blocks>.
//!
//! Heading, text and link are blocks of the message, because Slack may hide an attachment behind "Show more". Values
//! are `plain_text` objects without markup. `mrkdwn` is for the caller's text and for constants.

use super::blocks::{Block, BlockText, Payload, SlackAttachment, UNIT};
use super::options::SlackOptions;
use super::{MARKUP, escape};
use crate::channels::shared::alert_list::{self, ListStyle};
use crate::channels::shared::compact::compact;
use crate::channels::shared::look_alikes::without_formatting;
use crate::channels::shared::names::NameRules;
use crate::channels::shared::rich::{self, FittedField, LevelStyle, RichMessage, Truncations};
use crate::channels::shared::texts::{fit, missing_warning};
use crate::model::channel::ComposeContext;
use crate::model::notification::Notification;
use crate::text::{Limit, Unit, cut, cut_markup, shorten};

/// "Characters" according to types in Slack's node SDK. Slack documents neither the unit nor whether `&`, `<` and `>`
/// count escaped, so this crate uses the larger count.
const HEADER_LIMIT: Limit = units(150);
/// The next two limits use the same count.
const MAX_SECTION_UNITS: usize = 3_000;
const MAX_FIELD_UNITS: usize = 2_000;
const MAX_FIELDS_PER_SECTION: usize = 10;
/// The limit for a message. This crate also counts the attachment's blocks.
const MAX_BLOCKS: usize = 50;
/// The heading, text, link and context.
const OTHER_BLOCKS: usize = 4;
/// From about 13,000 in all blocks on, Slack replies with the undocumented error `msg_blocks_too_long` (bolt-js, issue
/// 2509).
const MAX_UNITS_OF_ALL_BLOCKS: usize = 12_500;
/// The limit leaves room for the value beside a long name.
const FIELD_NAMES: NameRules = NameRules::any(units(200), "…");
/// The limit of the text in a notification's preview. The whole preview is shorter than a text's 4,000.
const MAX_PREVIEW_UNITS: usize = 1_800;
/// The limit of fields, time and link below a text. Only the entities of a hostile link reach it.
const TAIL_LIMIT: Limit = units(1_400);
/// The room for the context's constant words, which are not counted.
const CONTEXT_RESERVE_UNITS: usize = 300;

/// The list of alerts is counted after escaping.
const LIST: ListStyle = ListStyle {
    unit: Unit::Utf16,
    escape: |text| escape(&without_formatting(text)),
    link: Some(link),
    has_emoji: true,
};

const fn units(length: usize) -> Limit {
    Limit::new(length, UNIT)
}

/// Composes the message. `text` is the notification's text, `limit` the limit of a message with only a text.
pub fn compose<'a>(
    notification: &Notification,
    text: &str,
    cx: &ComposeContext,
    limit: Limit,
    options: &'a SlackOptions,
) -> RichMessage<Payload<'a>> {
    let mut cuts = Truncations::default();
    let heading = cuts.heading(notification, HEADER_LIMIT, |heading| heading);
    let heading = BlockText::plain(heading);
    let split = fit(
        notification,
        text,
        MAX_SECTION_UNITS,
        (limit, MARKUP),
        &LIST,
    );
    let mut parts = split.parts.into_iter();
    let text_block = BlockText::Mrkdwn {
        text: written(notification, parts.next().unwrap_or_default(), cx),
        verbatim: !cx.allow_mentions || notification.listed_group().is_some(),
    };
    let link = notification
        .link
        .as_deref()
        .map(link)
        .map(BlockText::verbatim);
    let link = cuts.link(link, |link| link.units() <= MAX_SECTION_UNITS);

    let taken = [Some(&heading), Some(&text_block), link.as_ref()];
    let taken: usize = taken.into_iter().flatten().map(BlockText::units).sum();
    let configured: Vec<_> = options.blocks(cx).collect();
    let most = (MAX_BLOCKS - OTHER_BLOCKS - configured.len()) * MAX_FIELDS_PER_SECTION;
    let room = MAX_UNITS_OF_ALL_BLOCKS.saturating_sub(taken + CONTEXT_RESERVE_UNITS);
    let fields = cuts.fields(notification, most, room, &FIELD_NAMES, draw);

    let blocks = [Block::Header { text: heading }, Block::section(text_block)].into_iter();
    let blocks = blocks.chain(link.map(Block::section));
    let context = context(notification, &cuts).into_iter();
    let beside: Vec<_> = context.chain(sections(fields)).collect();
    let attachment = (!beside.is_empty()).then(|| SlackAttachment {
        color: format!("#{:06X}", LevelStyle::of(notification).colour),
        blocks: beside,
    });
    RichMessage::new(
        Payload {
            text: preview(notification, text, cx),
            blocks: blocks.chain(configured).collect(),
            attachments: attachment.map(|attachment| [attachment]),
            options: &options.of_each_part,
        },
        parts,
        split.missing,
        cuts,
    )
}

/// Returns the caller's text: mrkdwn with mentions, or escaped if the operator forbids mentions.
pub fn as_allowed(text: String, cx: &ComposeContext) -> String {
    if cx.allow_mentions {
        text
    } else {
        escape(&text)
    }
}

/// Returns the text as it is sent. A list of alerts is already escaped.
fn written(notification: &Notification, text: String, cx: &ComposeContext) -> String {
    match notification.listed_group() {
        Some(_) => text,
        None => as_allowed(text, cx),
    }
}

/// Returns a link. A button would require a response from an app.
fn link(link: &str) -> String {
    // A bar would end the address.
    let url = escape(&link.replace('|', "%7C"));
    format!("<{url}|{}>", rich::link_words(link))
}

/// Returns the level, status, time and truncation note, all in constant words.
fn context(notification: &Notification, cuts: &Truncations) -> Option<Block> {
    let level = rich::level_below_heading(notification).map(|level| format!("*{level}*"));
    let time = notification.timestamp.map(|time| {
        let utc = rich::time_in_utc(time);
        match rich::unix_seconds(time) {
            // Slack shows the time in the reader's own time zone.
            Some(seconds) => format!("<!date^{seconds}^{{date_short_pretty}} at {{time}}|{utc}>"),
            None => utc,
        }
    });
    let phase = rich::phase(notification, time.as_deref());
    let line = rich::joined([level, phase, cuts.note()])?;
    Some(Block::Context {
        elements: [BlockText::verbatim(line)],
    })
}

fn draw(name: String, value: &str) -> FittedField<BlockText> {
    let mut is_cut = false;
    let room = units(MAX_FIELD_UNITS.saturating_sub(": ".len() + UNIT.of(&name)));
    let value = shorten(value, room, "…", &mut is_cut);
    let field = BlockText::plain(format!("{name}: {value}"));
    FittedField {
        length: field.units(),
        field,
        is_cut,
    }
}

/// Returns sections with two columns, as many as the fields need.
fn sections(fields: Vec<BlockText>) -> impl Iterator<Item = Block> {
    let mut fields = fields.into_iter().peekable();
    std::iter::from_fn(move || {
        fields.peek()?;
        Some(Block::Section {
            text: None,
            fields: fields.by_ref().take(MAX_FIELDS_PER_SECTION).collect(),
        })
    })
}

/// Returns the lines before and after the text of a message without blocks.
fn around(notification: &Notification, cuts: &mut Truncations) -> (String, String) {
    let look = LevelStyle::of(notification);
    let level = format!("{} {}", look.emoji, look.word);
    let lines = compact(notification, &level, cuts);
    let tail = lines.tail();
    (escape(&lines.head), escape(&cut(&tail, TAIL_LIMIT, "…")))
}

fn preview(notification: &Notification, text: &str, cx: &ComposeContext) -> String {
    // The blocks contain the truncation note. The preview's truncations need none.
    let (head, tail) = around(notification, &mut Truncations::default());
    let text = match notification.listed_group() {
        Some(group) => alert_list::text(group, MAX_PREVIEW_UNITS, &LIST),
        None => cut_markup(text, units(MAX_PREVIEW_UNITS), "…", MARKUP).into_owned(),
    };
    format!("{head}{}{tail}", written(notification, text, cx))
}

/// Returns the notification as text parts for workflows, which do not support blocks, and the warnings.
pub fn lines(
    notification: &Notification,
    text: &str,
    cx: &ComposeContext,
    limit: Limit,
) -> (Vec<String>, Vec<String>) {
    let mut cuts = Truncations::default();
    let (head, tail) = around(notification, &mut cuts);
    let room = limit.length - Unit::Utf16.of(&head) - Unit::Utf16.of(&tail);
    let split = fit(notification, text, room, (limit, MARKUP), &LIST);
    let parts = split.parts.into_iter();
    let mut parts: Vec<_> = parts.map(|part| written(notification, part, cx)).collect();
    if let Some(first) = parts.first_mut() {
        *first = format!("{head}{first}{tail}");
    }
    let mut warnings = cuts.warnings();
    warnings.extend(missing_warning(split.missing));
    (parts, warnings)
}
