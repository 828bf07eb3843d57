//! Colours by meaning, and only where they are wanted.

use std::io::IsTerminal;

use anstyle::{AnsiColor, Style};

/// Whether to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint(pub(crate) bool);

/// What a text means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tint {
    #[default]
    Plain,
    Good,
    Doubtful,
    Bad,
    /// Of less interest.
    Quiet,
    Strong,
    /// One of several things of a kind, told apart by colour.
    Nth(usize),
}

// === impl Paint ===

impl Paint {
    pub(crate) fn apply(self, tint: Tint, text: &str) -> String {
        let style = tint.style();
        if self.0 && !text.is_empty() && !style.is_plain() {
            format!("{}{text}{}", style.render(), style.render_reset())
        } else {
            text.to_owned()
        }
    }

    /// The same, unless standard error goes elsewhere.
    pub(crate) fn on_stderr(self) -> Self {
        Self(self.0 && std::io::stderr().is_terminal())
    }
}

// === impl Tint ===

impl Tint {
    fn style(self) -> Style {
        const SEVERAL: [AnsiColor; 6] = [
            AnsiColor::Cyan,
            AnsiColor::Yellow,
            AnsiColor::Green,
            AnsiColor::Magenta,
            AnsiColor::Blue,
            AnsiColor::BrightCyan,
        ];
        let color = |color: AnsiColor| Style::new().fg_color(Some(color.into()));
        match self {
            Self::Plain => Style::new(),
            Self::Good => color(AnsiColor::Green),
            Self::Doubtful => color(AnsiColor::Yellow),
            Self::Bad => color(AnsiColor::Red),
            Self::Quiet => Style::new().dimmed(),
            Self::Strong => Style::new().bold(),
            Self::Nth(index) => color(SEVERAL[index % SEVERAL.len()]),
        }
    }
}
