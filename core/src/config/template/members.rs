//! The variables of a notification, as the documentation lists them.

/// The members of `notification` in a template.
#[derive(Debug)]
pub struct NotificationMember {
    pub name: &'static str,
    pub description: &'static str,
}

pub const MEMBERS: &[NotificationMember] = &[
    NotificationMember {
        name: "text",
        description: "`notification_text`, of any JSON type.",
    },
    NotificationMember {
        name: "title",
        description: "The headline.",
    },
    NotificationMember {
        name: "level",
        description: "`ok`, `info`, `warning`, `error` or `critical`; without it, the level that the text begins with, as in `[ERROR] disk full`.",
    },
    NotificationMember {
        name: "status",
        description: "`firing`, `acknowledged` or `resolved`.",
    },
    NotificationMember {
        name: "fields",
        description: "Name → string, number or boolean: `notification.fields.host`, `notification.fields[\"db.name\"]`.",
    },
    NotificationMember {
        name: "link",
        description: "The URL.",
    },
    NotificationMember {
        name: "timestamp",
        description: "Time of the event, by RFC 3339.",
    },
    NotificationMember {
        name: "dedup_key",
        description: "The key.",
    },
    NotificationMember {
        name: "emoji",
        description: "Always there: 🔴 🟠 🟡 🔵 🟢 by level, ✅ if resolved.",
    },
    NotificationMember {
        name: "alerts",
        description: "Of a [group](alerts.md#groups) or digest: the alerts, each with `labels`, `level`, `status`, `title`, `text`, `link`, `starts_at` and `ends_at`. At most 1,000.",
    },
    NotificationMember {
        name: "common_labels",
        description: "The labels that all alerts of the group have.",
    },
    NotificationMember {
        name: "group_labels",
        description: "The values of `group_by`: `notification.group_labels.region`.",
    },
    NotificationMember {
        name: "counts",
        description: "The number of alerts of the group: `total`, `firing`, `acknowledged`, `resolved`, and of each level.",
    },
];
