//! The table at the end: each goal beside what was measured.

use std::io::Write;

/// To stdout; a closed one is nothing to fail for.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Which way is better.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    AtMost {
        must: f64,
        target: f64,
    },
    AtLeast {
        must: f64,
        target: f64,
    },
    /// Told for orientation.
    None,
}

struct Row {
    what: String,
    measured: f64,
    unit: &'static str,
    goal: Goal,
}

#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Report {
    pub(crate) fn add(&mut self, what: impl Into<String>, measured: f64, unit: &'static str, goal: Goal) {
        self.rows.push(Row { what: what.into(), measured, unit, goal });
    }

    pub(crate) fn all_musts_met(&self) -> bool {
        self.rows.iter().all(Row::meets_must)
    }

    pub(crate) fn print(&self) {
        if self.rows.is_empty() {
            return;
        }
        let width = self.rows.iter().map(|row| row.what.chars().count()).max().unwrap_or(0);
        say("");
        say(&format!("{:width$}  {:>14}  {:>9}  {:>9}  met?", "", "measured", "must", "target"));
        for row in &self.rows {
            let (must, target) = row.bounds();
            let measured = format!("{:.2} {}", row.measured, row.unit);
            say(&format!("{:width$}  {measured:>14}  {must:>9}  {target:>9}  {}", row.what, row.verdict()));
        }
    }
}

impl Row {
    fn meets_must(&self) -> bool {
        match self.goal {
            Goal::AtMost { must, .. } => self.measured <= must,
            Goal::AtLeast { must, .. } => self.measured >= must,
            Goal::None => true,
        }
    }

    fn meets_target(&self) -> bool {
        match self.goal {
            Goal::AtMost { target, .. } => self.measured <= target,
            Goal::AtLeast { target, .. } => self.measured >= target,
            Goal::None => true,
        }
    }

    fn verdict(&self) -> &'static str {
        match self.goal {
            Goal::None => "",
            _ if !self.meets_must() => "NO",
            Goal::AtMost { must: f64::INFINITY, .. } if !self.meets_target() => "not the target",
            _ if !self.meets_target() => "must",
            _ => "target",
        }
    }

    fn bounds(&self) -> (String, String) {
        match self.goal {
            Goal::AtMost { must: f64::INFINITY, target } => (String::new(), format!("≤ {target}")),
            Goal::AtMost { must, target } => (format!("≤ {must}"), format!("≤ {target}")),
            Goal::AtLeast { must, target } => (format!("≥ {must}"), format!("≥ {target}")),
            Goal::None => (String::new(), String::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_measured_meets_no_must() {
        let mut report = Report::default();
        report.add("a", 0.9, "", Goal::AtMost { must: 1.0, target: 0.8 });
        report.add("b", 1.2, "", Goal::AtLeast { must: 1.0, target: 1.1 });
        assert!(report.all_musts_met());
        assert_eq!((report.rows[0].verdict(), report.rows[1].verdict()), ("must", "target"));
        report.add("c", f64::NAN, "", Goal::AtMost { must: 1.0, target: 0.8 });
        assert!(!report.all_musts_met());
    }
}
