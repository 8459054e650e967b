//! Cards <https://developers.google.com/workspace/chat/api/reference/rest/v1/cards>.

use serde::Serialize;

use crate::channels::shared::body;
use crate::channels::shared::names::NameRules;
use crate::channels::shared::rich::{self, FittedField};
use crate::text::{Limit, shorten, with_entities};

pub const FIELD_NAMES: NameRules = NameRules::any(Limit::json_bytes(200), "…");
const VALUE_LIMIT: Limit = Limit::json_bytes(2_000);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CardWithId {
    pub card_id: &'static str,
    pub card: Card,
}

#[derive(Serialize)]
pub struct Card {
    pub header: Header,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sections: Vec<Section>,
}

#[derive(Serialize)]
pub struct Header {
    pub title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subtitle: Option<String>,
}

#[derive(Serialize)]
pub struct Section {
    pub widgets: Vec<Widget>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Widget {
    #[serde(rename_all = "camelCase")]
    DecoratedText {
        text: String,
        wrap_text: bool,
    },
    ButtonList {
        buttons: [Button; 1],
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Button {
    text: String,
    on_click: OnClick,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OnClick {
    open_link: OpenLink,
}

#[derive(Serialize)]
pub struct OpenLink {
    url: String,
}

pub fn field(name: String, value: &str) -> FittedField<Widget> {
    let mut is_cut = false;
    let value = shorten(value, VALUE_LIMIT, "…", &mut is_cut);
    let field = Widget::DecoratedText {
        text: format!(
            "<b>{}</b>: {}",
            with_entities(&name),
            with_entities(&value).replace('\n', "<br>")
        ),
        wrap_text: true,
    };
    FittedField {
        length: body::json(&field).len(),
        field,
        is_cut,
    }
}

pub fn button(link: &str) -> Widget {
    Widget::ButtonList {
        buttons: [Button {
            text: rich::link_words(link),
            on_click: OnClick {
                open_link: OpenLink {
                    url: link.to_owned(),
                },
            },
        }],
    }
}
