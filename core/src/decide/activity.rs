//! How busy something was, exactly: the integral of requests in flight over time, kept in cells that
//! are fed with `now`.
//!
//! A request counts from the moment it begins, while it runs, so one that runs for an hour is an hour of
//! activity and never looks idle. Two grids are kept: seconds for the windows that scaling looks at, and
//! twenty seconds for what the API reports. Memory is fixed, and a gap of any length costs the same.
//!
//! Never reads a clock: a `now` that lies behind the last one counts as the last one.

use std::time::Duration;

use crate::time::Moment;

/// Cells of the API's report: `ComponentInfo.activity` has at most ten, of 20 s each.
pub const REPORT_CELLS: usize = 10;
pub const REPORT_CELL: Duration = Duration::from_secs(20);
/// The longest window that can be asked for.
pub const WINDOW_MAX: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
/// The longest window in whole seconds, and the second that is running.
const SECOND_CELLS: usize = WINDOW_MAX.as_secs() as usize + 1;

/// Activity of an instance or of a component.
#[derive(Clone, Debug)]
pub struct Activity {
    since: Moment,
    /// Everything up to here is in the cells.
    at: Moment,
    level: u32,
    requests: u64,
    /// When the last request began or ended.
    last: Option<Moment>,
    seconds: Grid<SECOND_CELLS>,
    report: Grid<REPORT_CELLS>,
}

/// What a window saw.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Window {
    /// Request time over the window's length. Time before observation began counts as none.
    pub average: f64,
    /// Most at one time.
    pub peak: u32,
}

/// One cell of the API's report.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReportCell {
    /// Requests that began in it.
    pub requests: u64,
    /// Request time over elapsed time.
    pub concurrency: f64,
}

#[derive(Clone, Debug)]
struct Grid<const N: usize> {
    width: u64,
    cells: [Cell; N],
    current: usize,
    /// Where the current cell begins, in nanoseconds of [`Moment`].
    begin: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    /// Requests × nanoseconds.
    integral: u64,
    requests: u32,
    peak: u32,
}

// === impl Activity ===

impl Activity {
    pub fn new(now: Moment) -> Self {
        Self {
            since: now,
            at: now,
            level: 0,
            requests: 0,
            last: None,
            seconds: Grid::new(SECOND, now),
            report: Grid::new(REPORT_CELL, now),
        }
    }

    /// A request begins.
    #[inline]
    pub fn begin(&mut self, now: Moment) {
        self.set(self.level + 1, now);
        self.requests += 1;
        self.seconds.count();
        self.report.count();
    }

    /// A request ends.
    #[inline]
    pub fn end(&mut self, now: Moment) {
        self.set(self.level.saturating_sub(1), now);
    }

    /// Counts as activity without being a request: somebody asked for the component to be there.
    pub fn touch(&mut self, now: Moment) {
        self.set(self.level, now);
    }

    #[inline]
    fn set(&mut self, level: u32, now: Moment) {
        let now = now.max(self.at);
        self.advance(now);
        self.level = level;
        self.last = Some(now);
        self.seconds.reach(level);
        self.report.reach(level);
    }

    #[inline]
    fn advance(&mut self, now: Moment) {
        let (from, to) = (self.at.as_nanos(), now.as_nanos());
        if to > from {
            self.seconds.fill(from, to, self.level);
            self.report.fill(from, to, self.level);
            self.at = now;
        }
    }

    /// Requests that run now.
    pub fn level(&self) -> u32 {
        self.level
    }

    /// Requests that have begun, ever.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// When there was a request last: `now` while one runs; `None`: never.
    pub fn last_active(&self, now: Moment) -> Option<Moment> {
        if self.level > 0 { Some(now.max(self.at)) } else { self.last }
    }

    /// How long this has been watched.
    pub fn observed(&self, now: Moment) -> Duration {
        now.since(self.since)
    }

    /// The window that ends at `now` and begins `length` before it, or up to a second earlier: at the
    /// second's edge. `length` is cut to [`WINDOW_MAX`].
    pub fn window(&mut self, length: Duration, now: Moment) -> Window {
        let now = now.max(self.at);
        self.advance(now);
        self.seconds.window(length.min(WINDOW_MAX), now)
    }

    /// The API's report, newest first, as far back as this was watched.
    pub fn report(&mut self, now: Moment) -> Vec<ReportCell> {
        let now = now.max(self.at);
        self.advance(now);
        self.report.report(self.since, now)
    }
}

// === impl Grid ===

impl<const N: usize> Grid<N> {
    fn new(width: Duration, now: Moment) -> Self {
        let width = (Moment::ZERO + width).as_nanos();
        Self { width, cells: [Cell::default(); N], current: 0, begin: now.as_nanos() }
    }

    #[inline]
    fn count(&mut self) {
        self.cells[self.current].requests = self.cells[self.current].requests.saturating_add(1);
    }

    #[inline]
    fn reach(&mut self, level: u32) {
        let cell = &mut self.cells[self.current];
        cell.peak = cell.peak.max(level);
    }

    /// Adds `level` from `from` to `to`; `from` lies in the current cell or at its end.
    #[inline]
    fn fill(&mut self, from: u64, to: u64, level: u32) {
        if to < self.begin + self.width {
            self.cells[self.current].add(level, to - from);
        } else {
            self.fill_over_edges(from, to, level);
        }
    }

    #[cold]
    fn fill_over_edges(&mut self, mut from: u64, to: u64, level: u32) {
        // A gap longer than the grid leaves nothing of what was in it.
        let kept = self.width * N as u64;
        let ahead = to - self.begin;
        if ahead > kept + self.width {
            self.begin += (ahead - kept) / self.width * self.width;
            self.cells = [Cell::default(); N];
            self.cells[self.current].peak = level;
            from = from.max(self.begin);
        }
        while to >= self.begin + self.width {
            let edge = self.begin + self.width;
            self.cells[self.current].add(level, edge - from);
            from = edge;
            self.begin = edge;
            self.current = (self.current + 1) % N;
            self.cells[self.current] = Cell { peak: level, ..Cell::default() };
        }
        self.cells[self.current].add(level, to - from);
    }

    fn window(&self, length: Duration, now: Moment) -> Window {
        let whole = usize::try_from((Moment::ZERO + length).as_nanos().div_ceil(self.width)).unwrap_or(N);
        let cells = (whole + 1).min(N);
        let elapsed = (cells as u64 - 1) * self.width + (now.as_nanos() - self.begin);
        let (mut integral, mut peak) = (0_u64, 0);
        for back in 0..cells {
            let cell = &self.cells[(self.current + N - back) % N];
            integral = integral.saturating_add(cell.integral);
            peak = peak.max(cell.peak);
        }
        let average = if elapsed == 0 { 0.0 } else { integral as f64 / elapsed as f64 };
        Window { average, peak }
    }

    fn report(&self, since: Moment, now: Moment) -> Vec<ReportCell> {
        let mut cells = Vec::with_capacity(N);
        let (mut begin, mut end) = (self.begin, now.as_nanos());
        for back in 0..N {
            let cell = &self.cells[(self.current + N - back) % N];
            let elapsed = end - begin;
            let concurrency = if elapsed == 0 { 0.0 } else { cell.integral as f64 / elapsed as f64 };
            cells.push(ReportCell { requests: u64::from(cell.requests), concurrency });
            if begin <= since.as_nanos() {
                break;
            }
            (begin, end) = (begin - self.width, begin);
        }
        cells
    }
}

impl Cell {
    #[inline]
    fn add(&mut self, level: u32, nanos: u64) {
        self.integral = self.integral.saturating_add(u64::from(level).saturating_mul(nanos));
    }
}

#[cfg(test)]
#[path = "activity_tests.rs"]
mod tests;
