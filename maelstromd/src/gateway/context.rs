//! What is known of a request beside its head, from its arrival on.

use std::time::Duration;

use http::HeaderMap;
use maelstrom_core::time::Moment;

use super::{
    admission::Malformed,
    headers::{DEADLINE_NANO, START_NANO, TIMEOUT_MS},
};
use crate::clock;

/// Which listener a request came through, and so what of it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Anybody.
    Public,
    /// Peers, containers, and the node itself.
    Private,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    pub(super) side: Side,
    /// Address of the client that connected; none for the node's own requests and those of a peer, which
    /// has said it already.
    pub(super) client: Option<&'a str>,
    /// A peer has sent it: its headers say all that there is to say.
    pub(super) relayed: bool,
    /// As the client wrote it, port and all.
    pub(super) host: &'a str,
    pub(super) arrived: Moment,
    pub(super) deadline: Moment,
    /// The deadline in Unix nanoseconds, for those behind.
    pub(super) deadline_nano: u64,
    /// Arrival at the first node, in Unix nanoseconds.
    pub(super) start_nano: u64,
    /// The client asks for another protocol.
    pub(super) upgrade: bool,
}

/// How long a request has, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) deadline: Moment,
    pub(super) deadline_nano: u64,
    pub(super) start_nano: u64,
}

// === impl Term ===

impl Term {
    /// `limit` is the component's; a trusted caller may shorten it. The time that remains wins over the
    /// clock time, since hosts' clocks differ.
    pub(super) fn new(
        side: Side,
        headers: &HeaderMap,
        arrived: Moment,
        limit: Duration,
    ) -> Result<Self, Malformed> {
        let unix = clock::unix_nanos();
        let mut left = limit;
        let mut start_nano = unix;
        if side == Side::Private {
            let timeout = number(headers, &TIMEOUT_MS, "MAELSTROM-TIMEOUT-MS")?;
            let deadline = number(headers, &DEADLINE_NANO, "MAELSTROM-DEADLINE-NANO")?;
            let asked = match (timeout, deadline) {
                (Some(millis), _) => Some(Duration::from_millis(millis)),
                (None, Some(nano)) => Some(Duration::from_nanos(nano.saturating_sub(unix))),
                (None, None) => None,
            };
            left = asked.map_or(limit, |asked| asked.min(limit));
            start_nano = number(headers, &START_NANO, "MAELSTROM-START-NANO")?.unwrap_or(unix);
        }
        let nanos = u64::try_from(left.as_nanos()).unwrap_or(u64::MAX);
        Ok(Self { deadline: arrived + left, deadline_nano: unix.saturating_add(nanos), start_nano })
    }
}

fn number(
    headers: &HeaderMap,
    name: &http::HeaderName,
    shown: &'static str,
) -> Result<Option<u64>, Malformed> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    number.map(Some).ok_or(Malformed::NotANumber(shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_callers_shorten_the_deadline_and_the_time_left_wins() {
        let limit = Duration::from_secs(10);
        let arrived = Moment::from_millis(5_000);
        let soon = (clock::unix_nanos() + 2_000_000_000).to_string();
        let late = (clock::unix_nanos() + 2_000_000_000_000).to_string();
        let of = |side, headers: &[(http::HeaderName, &str)]| {
            let headers = headers.iter().map(|(n, v)| (n.clone(), v.parse().unwrap())).collect();
            Term::new(side, &headers, arrived, limit).map(|term| term.deadline.since(arrived).as_millis())
        };
        assert_eq!(of(Side::Public, &[(DEADLINE_NANO, &soon)]), Ok(10_000));
        assert_eq!(of(Side::Public, &[(TIMEOUT_MS, "nonsense")]), Ok(10_000));
        let clocked = of(Side::Private, &[(DEADLINE_NANO, &soon)]).unwrap();
        assert!((1_000..=2_000).contains(&clocked), "{clocked}");
        assert_eq!(of(Side::Private, &[(DEADLINE_NANO, &late)]), Ok(10_000));
        assert_eq!(of(Side::Private, &[(DEADLINE_NANO, &soon), (TIMEOUT_MS, "7000")]), Ok(7_000));
        assert_eq!(of(Side::Private, &[(DEADLINE_NANO, "1")]), Ok(0));
        assert_eq!(
            of(Side::Private, &[(DEADLINE_NANO, "x")]),
            Err(Malformed::NotANumber("MAELSTROM-DEADLINE-NANO"))
        );
    }
}
