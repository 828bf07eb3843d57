-- Who lives, who acts in which role, and which cron rule was claimed last for when.
CREATE TABLE heartbeats (
    node TEXT PRIMARY KEY NOT NULL,
    incarnation TEXT NOT NULL,
    beat INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    peer_url TEXT NOT NULL,
    written_at INTEGER NOT NULL
) STRICT;

CREATE TABLE roles (
    role TEXT PRIMARY KEY NOT NULL,
    owner TEXT,
    incarnation TEXT NOT NULL,
    term INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT;

CREATE TABLE fires (
    rule TEXT PRIMARY KEY NOT NULL,
    due INTEGER NOT NULL,
    claimant TEXT NOT NULL
) STRICT;
