//! What pollers of queues and activities do, decided purely: how many there are and how much each may have
//! in flight, which node has which, how much each asks for, which queue is looked at next, when to try again after trouble, when a
//! message's invisibility is extended, what a component's answer means for its messages.

mod answer;
mod appetite;
mod batch;
mod keeper;
mod lanes;
mod order;
mod patience;
mod share;
mod spread;

pub use answer::{MAX_PAUSE, Verdict, judge, pause, retry_after};
pub use appetite::{Hands, Pace, appetite};
pub use batch::{Event, MAX_ANSWER, kept, lambda_event};
pub use keeper::{Extension, Keeper};
pub use lanes::{Lane, Lanes};
pub use order::{FRONT_EVERY, Look, Order};
pub use patience::{FIRST_PAUSE, LAST_PAUSE, Patience};
pub use share::{Capacity, Limits, MAX_POLLERS, shares};
pub use spread::{RoleView, Spread};
