//! The kinds of things that the event journal tells: one closed list, so that filters, CLI and
//! dashboard can't miss one.

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        /// What kind of thing happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            pub const ALL: &'static [Kind] = &[$(Kind::$kind,)*];

            /// As it stands in a [`crate::wire::JournalEvent`].
            pub const fn name(self) -> &'static str {
                match self {
                    $(Kind::$kind => $name,)*
                }
            }
        }
    };
}

kinds! {
    /// A request found no instance; with the phases until it was served, in ms.
    ColdStart = "cold-start",
    /// The number of instances wanted has changed.
    Scale = "scale",
    /// Which node starts or stops an instance.
    Placement = "placement",
    /// Nothing has room for what is wanted.
    Unplaceable = "unplaceable",
    InstanceStarted = "instance-started",
    InstanceStopped = "instance-stopped",
    /// An instance could not be started.
    StartFailed = "start-failed",
    /// An instance ended by itself or failed its checks and is replaced.
    Restart = "restart",
    /// A running container was taken over after a restart of the daemon.
    Adopted = "adopted",
    /// A new version is rolled out, or has been.
    Deploy = "deploy",
    /// A standby instance was made ready, resumed or dropped.
    Standby = "standby",
    /// Images pulled, retagged, removed.
    Image = "image",
    /// A cron rule fired, was skipped, or failed.
    Cron = "cron",
    /// A queue or an activity can't be read, or can be again; its messages or tasks fail.
    Poller = "poller",
    /// A role was taken, lost or given back.
    Role = "role",
    /// Components or event sources were put, removed, enabled or disabled.
    Configuration = "configuration",
    /// The store or the container engine went away or came back.
    Dependency = "dependency",
    /// How a node is emptied, and how it leaves, step by step; with the milliseconds since it began.
    Drain = "drain",
    /// How many machines the group should have, and which of them could go.
    Capacity = "capacity",
    /// The node starts or stops.
    Node = "node",
}
