//! Waiting for a condition with a bound, instead of sleeping and hoping.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// Long enough for a loaded machine that starts containers; nothing healthy takes it.
pub const LONG: Duration = Duration::from_secs(60);
/// Between two looks at a condition.
const PERIOD: Duration = Duration::from_millis(20);

/// Looks until `probe` gives a value; `what` stands in the error when it never does, with what the last
/// look said.
pub async fn until<T, F, Fut>(what: &str, limit: Duration, mut probe: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let end = Instant::now() + limit;
    loop {
        let last = match probe().await {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if Instant::now() >= end {
            match last {
                Some(error) => bail!("waited {limit:?} for {what}; the last look failed: {error:#}"),
                None => bail!("waited {limit:?} for {what}, and it did not come"),
            }
        }
        tokio::time::sleep(PERIOD).await;
    }
}
