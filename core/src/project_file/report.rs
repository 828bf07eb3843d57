//! What is wrong with a project file, told so that a person finds the place: `file:line:column: message`,
//! the line itself with the spot marked, and what to do about it.

use std::fmt;

use serde::Serialize;

use super::interpolate::Interpolated;

/// Longest part of a line that a report shows; lines of generated files can be very long.
const SHOWN_CHARS: usize = 120;
/// A file that is wrong everywhere (say, no project file at all) would flood the terminal.
const MAX_FINDINGS: usize = 100;

/// One thing that is wrong or doubtful.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// Where in the file's structure, e.g. `components.web.httpport`; empty for the file as a whole.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    #[serde(skip)]
    snippet: Snippet,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Snippet {
    text: String,
    /// Characters before the mark, as they stand in `text`.
    lead: String,
    marked: usize,
}

/// All that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub file: String,
    pub findings: Vec<Finding>,
    /// Findings beyond the first [`MAX_FINDINGS`].
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // the shape that serde asks for
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A finding at a place of the interpolated text, before lines and columns are known.
#[derive(Clone, Debug)]
pub(super) struct Raw {
    pub(super) at: Place,
    pub(super) path: String,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// Byte offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the text as it is after interpolation.
    Text(Span),
    /// In the file itself.
    Source(Span),
}

/// The file that findings are about.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
    /// `None` until the text could be interpolated.
    pub(super) interpolated: Option<&'a Interpolated>,
}

// === impl Raw ===

impl Raw {
    pub(super) fn new(at: Place, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { at, path: path.into(), message: message.into(), hint: None }
    }

    pub(super) fn text(at: Span, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Place::Text(at), path, message)
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

// === impl Source ===

impl Source<'_> {
    /// In the order of the file.
    pub(super) fn locate(&self, raw: Vec<Raw>) -> Vec<Finding> {
        let mut findings: Vec<Finding> = raw.into_iter().map(|raw| self.finding(raw)).collect();
        findings.sort_by_key(|finding| (finding.line, finding.column));
        findings.dedup();
        findings
    }

    fn finding(&self, raw: Raw) -> Finding {
        let span = match (raw.at, self.interpolated) {
            (Place::Source(span), _) | (Place::Text(span), None) => span,
            (Place::Text(span), Some(map)) => {
                Span { start: map.source_offset(span.start), end: map.source_offset(span.end) }
            }
        };
        let start = self.boundary(span.start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let rest = &self.text[line_start..];
        let line = rest[..rest.find('\n').unwrap_or(rest.len())].trim_end_matches('\r');
        let lead = self.text[line_start..start].trim_end_matches('\r');
        let end = self.boundary(span.end).clamp(start, line_start + line.len().max(start - line_start));
        Finding {
            line: self.text[..start].matches('\n').count() + 1,
            column: lead.chars().count() + 1,
            path: raw.path,
            message: raw.message,
            hint: raw.hint,
            snippet: Snippet::cut(line, lead, self.text[start..end].chars().count()),
        }
    }

    fn boundary(&self, offset: usize) -> usize {
        self.text.floor_char_boundary(offset)
    }
}

impl Snippet {
    fn cut(line: &str, lead: &str, marked: usize) -> Self {
        let skipped = lead.chars().count().saturating_sub(SHOWN_CHARS / 2);
        let text: String = line.chars().skip(skipped).take(SHOWN_CHARS).map(printable).collect();
        // Tabs stay tabs, so that the mark stands below what it marks.
        let lead: String = lead.chars().skip(skipped).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let marked = marked.clamp(1, text.chars().count().saturating_sub(lead.chars().count()).max(1));
        Self { text, lead, marked }
    }
}

/// Control characters would let a file write to the terminal.
fn printable(c: char) -> char {
    if c.is_control() && c != '\t' { '\u{fffd}' } else { c }
}

// === impl Finding ===

impl Finding {
    /// `file:line:column`, as editors understand it.
    pub fn location(&self, file: &str) -> String {
        format!("{file}:{}:{}", self.line, self.column)
    }

    /// The line with the spot marked and the hint below, without a line end.
    pub fn details(&self) -> String {
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let Snippet { text, lead, marked } = &self.snippet;
        let mut details = format!("{gutter} |\n{number} | {text}\n{gutter} | {lead}{}", "^".repeat(*marked));
        if let Some(hint) = &self.hint {
            details += &format!("\n{gutter} = {hint}");
        }
        details
    }
}

// === impl Report ===

impl Report {
    pub(super) fn new(file: &str, mut findings: Vec<Finding>) -> Self {
        let left_out = findings.len().saturating_sub(MAX_FINDINGS);
        findings.truncate(MAX_FINDINGS);
        Self { file: file.to_owned(), findings, left_out }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.findings.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}: {}\n{}", finding.location(&self.file), finding.message, finding.details())?;
        }
        match self.left_out {
            0 => Ok(()),
            more => write!(f, "\n… and {more} more"),
        }
    }
}

impl std::error::Error for Report {}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(text: &str, start: usize, end: usize) -> Finding {
        let source = Source { text, interpolated: None };
        let raw = Raw::text(Span { start, end }, "a.b", "is wrong").hint("do this");
        source.locate(vec![raw]).remove(0)
    }

    #[test]
    fn the_spot_is_marked() {
        let finding = located("one\n  two: 3\nfour\n", 6, 9);
        assert_eq!((finding.line, finding.column), (2, 3));
        assert_eq!(finding.details(), "  |\n2 |   two: 3\n  |   ^^^\n  = do this");
    }

    #[test]
    fn columns_count_characters_and_marks_end_with_the_line() {
        let finding = located("ä: ö\nx", 4, 8);
        assert_eq!((finding.line, finding.column), (1, 4));
        assert!(finding.details().contains("|    ^\n"), "{}", finding.details());
    }

    #[test]
    fn long_lines_and_control_characters_are_cut() {
        let text = format!("{}\u{1b}[31mX", "a".repeat(500));
        let finding = located(&text, 505, 506);
        let details = finding.details();
        assert!(details.lines().all(|line| line.chars().count() < SHOWN_CHARS + 10), "{details}");
        assert!(!details.contains('\u{1b}'));
    }

    #[test]
    fn the_end_of_the_file_is_a_place() {
        let finding = located("a\n", 2, 2);
        assert_eq!((finding.line, finding.column), (2, 1));
        assert_eq!(located("", 0, 0).line, 1);
    }
}
