//! What the store costs, for scrapers: nothing where it costs nothing.

use std::fmt::Write as _;

use maelstrom_core::ports::store::{Store, Usage};

const REQUESTS: &str = "maelstrom_store_requests_total";
const UNITS: &str = "maelstrom_store_capacity_units_total";

/// In the text format of Prometheus.
pub fn encode(store: &dyn Store) -> String {
    lines(&store.usage())
}

fn lines(usage: &[Usage]) -> String {
    let mut text = String::new();
    if usage.is_empty() {
        return text;
    }
    // Writing to memory can't fail.
    let _ = writeln!(text, "# HELP {REQUESTS} Requests to the store by what they were for.");
    let _ = writeln!(text, "# TYPE {REQUESTS} counter");
    for Usage { operation, requests, .. } in usage {
        let _ = writeln!(text, "{REQUESTS}{{operation=\"{operation}\"}} {requests}");
    }
    let _ = writeln!(
        text,
        "# HELP {UNITS} Capacity units that the store has billed; reading and writing differ."
    );
    let _ = writeln!(text, "# TYPE {UNITS} counter");
    for Usage { operation, read_units, write_units, .. } in usage {
        for (kind, units) in [("read", read_units), ("write", write_units)] {
            let _ = writeln!(text, "{UNITS}{{operation=\"{operation}\",kind=\"{kind}\"}} {units}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_with_what_they_cost() {
        let beat = Usage { operation: "beat", requests: 3, read_units: 0.0, write_units: 2.5 };
        let text = lines(&[beat]);
        assert!(text.contains("maelstrom_store_requests_total{operation=\"beat\"} 3\n"), "{text}");
        let units = "maelstrom_store_capacity_units_total{operation=\"beat\",kind=\"write\"} 2.5\n";
        assert!(text.contains(units), "{text}");
        assert_eq!(lines(&[]), "");
    }
}
