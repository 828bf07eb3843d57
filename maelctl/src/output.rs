//! Everything that maelctl says. Results go to standard output in the form asked for, remarks and
//! failures to standard error. Nothing else in this program prints.

mod paint;
mod table;
mod words;

use std::io::{self, ErrorKind, IsTerminal, Write};

use maelstrom_core::project_file::{Finding, Report};
use serde::Serialize;

pub(crate) use paint::{Paint, Tint};
pub(crate) use table::{Cell, Table};
pub(crate) use words::{age, clock, count, mib, since, span};

use crate::{
    cli::Format,
    failure::{Exit, Failure},
    settings::Settings,
};

#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) format: Format,
    pub(crate) paint: Paint,
    headers: bool,
}

/// A result in the form asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rendered {
    /// For standard output, with its line end.
    pub(crate) text: String,
    /// For standard error, e.g. that there is nothing.
    pub(crate) remark: Option<String>,
}

// === impl Output ===

impl Output {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { format: settings.format, paint: Paint(settings.color), headers: settings.headers }
    }

    /// Without colours, before or without settings.
    pub(crate) fn plain(format: Format) -> Self {
        Self { format, paint: Paint(false), headers: true }
    }

    /// A list: `named` says what its things are called when there are none.
    pub(crate) fn list<T: Serialize>(
        &self,
        items: &[T],
        named: &str,
        name: impl Fn(&T) -> String,
        table: impl FnOnce(&[T], bool) -> Table,
    ) -> Result<Rendered, Failure> {
        let text = match self.format {
            Format::Json => json(&items)?,
            Format::Yaml => yaml(&items)?,
            Format::Name => items.iter().map(|item| name(item) + "\n").collect(),
            Format::Table | Format::Wide if items.is_empty() => {
                return Ok(Rendered { text: String::new(), remark: Some(format!("No {named} found")) });
            }
            Format::Table | Format::Wide => self.table(&table(items, self.format == Format::Wide)),
        };
        Ok(Rendered { text, remark: None })
    }

    /// One thing.
    pub(crate) fn one<T: Serialize>(
        &self,
        item: &T,
        name: impl FnOnce() -> String,
        text: impl FnOnce() -> String,
    ) -> Result<Rendered, Failure> {
        let text = match self.format {
            Format::Json => json(item)?,
            Format::Yaml => yaml(item)?,
            Format::Name => name() + "\n",
            Format::Table | Format::Wide => text(),
        };
        Ok(Rendered { text, remark: None })
    }

    pub(crate) fn table(&self, table: &Table) -> String {
        table.render(self.headers, self.paint)
    }

    pub(crate) fn print(&self, rendered: &Rendered) -> Result<(), Failure> {
        self.write(&rendered.text)?;
        if let Some(remark) = &rendered.remark {
            self.remark(remark);
        }
        Ok(())
    }

    /// To standard output, as it is.
    pub(crate) fn write(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            // Whoever read it has seen enough: `maelctl … | head -1` is no failure.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
            Err(error) => Err(Failure::new(Exit::Failed, format!("cannot write the output: {error}"))),
        }
    }

    /// Clears the terminal first, if it is one.
    pub(crate) fn show_again(&self, rendered: &Rendered) -> Result<(), Failure> {
        if io::stdout().is_terminal() && self.format != Format::Json {
            const HOME_AND_CLEAR: &str = "\x1b[H\x1b[2J";
            self.write(HOME_AND_CLEAR)?;
        }
        self.print(rendered)
    }

    /// A remark on standard error.
    pub(crate) fn remark(&self, text: &str) {
        say(text);
    }

    pub(crate) fn warnings(&self, file: &str, warnings: &[Finding]) {
        let paint = self.paint.on_stderr();
        for warning in warnings {
            let place = paint.apply(Tint::Strong, &warning.location(file));
            let kind = paint.apply(Tint::Doubtful, "warning");
            say(&format!("{place}: {kind}: {}\n{}", warning.message, warning.details()));
        }
    }

    /// Tells why the command failed.
    pub(crate) fn failure(&self, failure: &Failure) {
        if self.format == Format::Json {
            say(&failure.to_json().to_string());
        } else if !failure.message.is_empty() {
            let label = self.paint.on_stderr().apply(Tint::Bad, "error");
            say(&format!("maelctl: {label}: {}", failure.message));
            if let Some(hint) = &failure.hint {
                say(&format!("  {hint}"));
            }
        }
    }

    /// All that is wrong with a project file; the failure that comes with it is silent.
    pub(crate) fn report(&self, report: &Report) -> Failure {
        let failure = Failure::silent(Exit::Usage);
        if self.format == Format::Json {
            let failure = Failure::usage(format!("{} is not a project file", report.file));
            return match serde_json::to_value(report) {
                Ok(data) => failure.data(data),
                Err(_) => failure,
            };
        }
        let paint = self.paint.on_stderr();
        for finding in &report.findings {
            let place = paint.apply(Tint::Strong, &finding.location(&report.file));
            say(&format!("{place}: {}\n{}", paint.apply(Tint::Bad, &finding.message), finding.details()));
        }
        let problems = count(report.findings.len() + report.left_out, "problem");
        say(&format!("maelctl: {} in {}; nothing was changed", problems, report.file));
        failure
    }

    /// Asks for a yes. Without a terminal to ask on, the answer is yes: scripts mean what they say.
    pub(crate) fn confirm(&self, question: &str, yes: bool) -> Result<(), Failure> {
        if yes || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Ok(());
        }
        let mut stderr = io::stderr().lock();
        let asked = write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush());
        drop(stderr);
        let mut answer = String::new();
        let read = asked.and_then(|()| io::stdin().read_line(&mut answer));
        match read {
            Ok(_) if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") => Ok(()),
            _ => Err(Failure::new(Exit::Failed, "nothing was done").hint("-y answers yes beforehand")),
        }
    }
}

/// To standard error. When that fails, there is nobody left to tell.
fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value);
    text.map(|text| text + "\n")
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot write JSON: {error}")))
}

fn yaml<T: Serialize>(value: &T) -> Result<String, Failure> {
    let text = serde_saphyr::to_string(value);
    text.map_err(|error| Failure::new(Exit::Failed, format!("cannot write YAML: {error}")))
}
