-- What users registered. Bodies are the JSON of the management API.
CREATE TABLE revision (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    value INTEGER NOT NULL
) STRICT;
INSERT INTO revision (id, value) VALUES (1, 0);

CREATE TABLE components (
    name TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    body TEXT NOT NULL
) STRICT;

CREATE TABLE event_sources (
    name TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    body TEXT NOT NULL
) STRICT;
