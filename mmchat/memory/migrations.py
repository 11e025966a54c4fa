"""The schema, as numbered steps. A step is never edited once released; a new one is added below it.

Why some tables carry both `number` and `id`: full-text rows and vectors need a small integer that
is never given out twice (AUTOINCREMENT, and an alias of the rowid, so VACUUM keeps it), while people
and other programs refer to the sortable text `id`.
"""

from __future__ import annotations

from sqlite_utils import Database, Migrations

MIGRATIONS = Migrations("mmchat")

_CONVERSATIONS = """
CREATE TABLE sessions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL DEFAULT '',
    model TEXT NOT NULL DEFAULT '',
    persona TEXT NOT NULL DEFAULT '',
    forked_from TEXT REFERENCES sessions(id) ON DELETE SET NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX sessions_by_update ON sessions(updated_at);
CREATE INDEX sessions_by_fork ON sessions(forked_from) WHERE forked_from IS NOT NULL;

CREATE TABLE turns (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
    parent_id TEXT REFERENCES turns(id) ON DELETE SET NULL,
    position INTEGER NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('system', 'user', 'assistant')),
    speaker TEXT NOT NULL DEFAULT '',
    text TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('complete', 'streaming', 'stopped', 'failed')),
    is_retired INTEGER NOT NULL DEFAULT 0 CHECK (is_retired IN (0, 1)),
    writer TEXT NOT NULL DEFAULT '',
    model TEXT NOT NULL DEFAULT '',
    engine TEXT NOT NULL DEFAULT '',
    notice TEXT NOT NULL DEFAULT '',
    usage TEXT,
    context TEXT,
    recalled TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (session_id, position)
);
CREATE INDEX turns_by_parent ON turns(parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX turns_by_speaker ON turns(speaker) WHERE speaker <> '';
CREATE INDEX turns_streaming ON turns(number) WHERE status = 'streaming';

CREATE TABLE blobs (
    sha256 TEXT PRIMARY KEY,
    size_bytes INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    file TEXT NOT NULL,
    created_at TEXT NOT NULL
);

CREATE TABLE attachments (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    turn_id TEXT NOT NULL REFERENCES turns(id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('image', 'audio')),
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL REFERENCES blobs(sha256),
    heard TEXT,
    seen TEXT,
    UNIQUE (turn_id, position)
);
CREATE INDEX attachments_by_blob ON attachments(sha256);

CREATE TABLE embeddings (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    owner_kind TEXT NOT NULL CHECK (owner_kind IN ('turn', 'attachment')),
    owner INTEGER NOT NULL,
    model TEXT NOT NULL,
    vector BLOB NOT NULL,
    UNIQUE (owner_kind, owner, model)
);
CREATE INDEX embeddings_in_order ON embeddings(owner_kind, model, number);

CREATE TABLE pins (
    turn_id TEXT PRIMARY KEY REFERENCES turns(id) ON DELETE CASCADE,
    created_at TEXT NOT NULL
);

CREATE TABLE ratings (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    turn_id TEXT NOT NULL REFERENCES turns(id) ON DELETE CASCADE,
    rating INTEGER NOT NULL,
    note TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL
);
CREATE INDEX ratings_by_turn ON ratings(turn_id);

CREATE VIRTUAL TABLE turns_fts USING fts5(words, senses, tokenize='porter unicode61 remove_diacritics 2');
CREATE VIRTUAL TABLE sessions_fts USING fts5(words, tokenize='porter unicode61 remove_diacritics 2');

CREATE TRIGGER turns_after_delete AFTER DELETE ON turns BEGIN
    DELETE FROM turns_fts WHERE rowid = old.number;
    DELETE FROM embeddings WHERE owner_kind = 'turn' AND owner = old.number;
END;
CREATE TRIGGER attachments_after_delete AFTER DELETE ON attachments BEGIN
    DELETE FROM embeddings WHERE owner_kind = 'attachment' AND owner = old.number;
END;
CREATE TRIGGER sessions_after_delete AFTER DELETE ON sessions BEGIN
    DELETE FROM sessions_fts WHERE rowid = old.number;
END;
"""


_REMEMBER_MORE = """
ALTER TABLE sessions ADD COLUMN archived_at TEXT;
ALTER TABLE sessions ADD COLUMN deleted_at TEXT;
CREATE INDEX sessions_in_trash ON sessions(deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE session_tags (
    session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
    tag TEXT NOT NULL,
    PRIMARY KEY (session_id, tag)
);
CREATE INDEX session_tags_by_tag ON session_tags(tag);

CREATE TABLE summaries (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
    last_turn_id TEXT NOT NULL REFERENCES turns(id) ON DELETE CASCADE,
    text TEXT NOT NULL,
    model TEXT NOT NULL DEFAULT '',
    is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX summaries_by_session ON summaries(session_id);

CREATE TABLE facts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    text TEXT NOT NULL,
    origin TEXT NOT NULL CHECK (origin IN ('said', 'told')),
    turn_id TEXT REFERENCES turns(id) ON DELETE CASCADE,
    is_edited INTEGER NOT NULL DEFAULT 0 CHECK (is_edited IN (0, 1)),
    vector_model TEXT NOT NULL DEFAULT '',
    vector BLOB,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX facts_by_turn ON facts(turn_id) WHERE turn_id IS NOT NULL;
"""

_TELL_FACTS_APART = """
ALTER TABLE facts ADD COLUMN topic TEXT NOT NULL DEFAULT '';
ALTER TABLE facts ADD COLUMN said_key TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX facts_by_key ON facts(said_key) WHERE said_key <> '';

CREATE TABLE forgotten_facts (
    turn_id TEXT NOT NULL REFERENCES turns(id) ON DELETE CASCADE,
    said_key TEXT NOT NULL,
    PRIMARY KEY (turn_id, said_key)
);
"""

_ORDER_RETIRED = """
ALTER TABLE turns ADD COLUMN retired_order INTEGER NOT NULL DEFAULT 0;
CREATE INDEX turns_retired ON turns(session_id, parent_id) WHERE is_retired;
"""

_REMEMBER_SOURCES = """
ALTER TABLE sessions ADD COLUMN source TEXT NOT NULL DEFAULT '';
CREATE INDEX sessions_by_source ON sessions(source) WHERE source <> '';
"""

_CODE_VECTORS = """
CREATE TABLE vector_codes (
    owner_kind TEXT NOT NULL,
    model TEXT NOT NULL,
    after INTEGER NOT NULL,
    last INTEGER NOT NULL,
    rows BLOB NOT NULL,
    centre BLOB NOT NULL,
    codes BLOB NOT NULL,
    PRIMARY KEY (owner_kind, model, after)
);
"""

_KEEP_DRAFTS = """
CREATE TABLE drafts (
    number INTEGER PRIMARY KEY,
    session_id TEXT UNIQUE REFERENCES sessions(id) ON DELETE CASCADE,
    writer TEXT NOT NULL DEFAULT '',
    content TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
"""

_PLAY_ROLES = """
ALTER TABLE sessions ADD COLUMN role TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN memory_scope TEXT NOT NULL DEFAULT '';
CREATE INDEX sessions_by_role ON sessions(role) WHERE role <> '';
CREATE INDEX sessions_by_scope ON sessions(memory_scope) WHERE memory_scope <> '';
"""

_UNDERSTAND = """
ALTER TABLE turns ADD COLUMN understood TEXT;
ALTER TABLE turns ADD COLUMN prepared TEXT NOT NULL DEFAULT '';

CREATE TABLE hand_overs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
    reason TEXT NOT NULL,
    text TEXT NOT NULL,
    created_at TEXT NOT NULL
);
CREATE INDEX hand_overs_by_session ON hand_overs(session_id);
"""

_READ_DOCUMENTS = """
CREATE TABLE documents (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    shelf TEXT NOT NULL DEFAULT '',
    root TEXT NOT NULL,
    path TEXT NOT NULL,
    title TEXT NOT NULL DEFAULT '',
    media_type TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    reader TEXT NOT NULL DEFAULT '',
    problem TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (shelf, path)
);

CREATE TABLE passages (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    document_id TEXT NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    heading TEXT NOT NULL DEFAULT '',
    page INTEGER,
    line INTEGER,
    text TEXT NOT NULL,
    UNIQUE (document_id, position)
);

CREATE TABLE passage_embeddings (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    owner INTEGER NOT NULL,
    model TEXT NOT NULL,
    vector BLOB NOT NULL,
    UNIQUE (owner, model)
);
CREATE INDEX passage_embeddings_in_order ON passage_embeddings(model, number);

CREATE VIRTUAL TABLE passages_fts USING fts5(
    words, headings, tokenize='porter unicode61 remove_diacritics 2'
);
CREATE TRIGGER passages_after_delete AFTER DELETE ON passages BEGIN
    DELETE FROM passages_fts WHERE rowid = old.number;
    DELETE FROM passage_embeddings WHERE owner = old.number;
END;
"""


@MIGRATIONS()
def m001_create_conversations(db: Database) -> None:
    """Sessions, turns, their files, vectors, pins, ratings and the full-text index.

    Rows of `turns_fts` and `sessions_fts` hold the text as `memory.text_search.indexed` spells it
    (Chinese as overlapping pairs); the store writes them, triggers only remove them.
    """
    db.executescript(_CONVERSATIONS)


@MIGRATIONS()
def m002_remember_more(db: Database) -> None:
    """Archive, trash and tags of conversations; summaries that stand for old turns; facts about the user.

    A summary stands for the turns of its conversation up to `last_turn_id`; at most one of a conversation is
    active. A fact was `said` in a turn, or `told` outright with /remember.
    """
    db.executescript(_REMEMBER_MORE)


@MIGRATIONS()
def m003_tell_facts_apart(db: Database) -> None:
    """What a fact is about, so that a newer one takes the place of an older; what was forgotten.

    `said_key` is a hash of the words as they were said, which stays when the text is edited: the same words
    are one fact, and words that were forgotten are not learnt from their turn again.
    """
    db.executescript(_TELL_FACTS_APART)


@MIGRATIONS()
def m004_order_retired(db: Database) -> None:
    """Which turns of a conversation were taken out of view together, and after which others.

    `retired_order` counts such acts within a conversation; 0 is before all of them. What was in view together
    comes back together, whatever the clock said.
    """
    db.executescript(_ORDER_RETIRED)


@MIGRATIONS()
def m005_remember_sources(db: Database) -> None:
    """Where an imported conversation comes from, e.g. 'chatgpt:' and its id there; '' for those that began here.

    What is imported twice is known by it.
    """
    db.executescript(_REMEMBER_SOURCES)


@MIGRATIONS()
def m006_code_vectors(db: Database) -> None:
    """Vectors in short, so that a million of them are searched without reading them: see `memory.vector_codes`.

    Derived from `embeddings` (`after` < number <= `last`) and made anew when lost: the table may be emptied at
    any time, and should be when embeddings get other numbers.
    """
    db.executescript(_CODE_VECTORS)


@MIGRATIONS()
def m007_order_by_time(db: Database) -> None:
    """Turns by the time they were said: "what did we talk about last week" read all of a million turns without."""
    db.execute("CREATE INDEX turns_by_time ON turns(created_at)")


@MIGRATIONS()
def m008_keep_drafts(db: Database) -> None:
    """What was typed and not sent, as JSON.

    Without a `session_id` it is of a conversation that has not begun, in the window of the program `writer`.
    """
    db.executescript(_KEEP_DRAFTS)


@MIGRATIONS()
def m009_play_roles(db: Database) -> None:
    """Whom the assistant plays in a conversation, and with which others it shares its memory.

    `role` is a role's name, with its language where that is not its own ("tutor:zh"); `persona` is the system text
    that was told, kept in case the role's file goes. Conversations recall those of the same `memory_scope` only; ''
    is that of all roles that share the user's memory.
    """
    db.executescript(_PLAY_ROLES)


@MIGRATIONS()
def m010_understand(db: Database) -> None:
    """What messages are taken to want, as JSON of `domain.Understood`, and why a reply was not drawn from the model.

    `hand_overs` is what people were told of conversations that were handed over to them.
    """
    db.executescript(_UNDERSTAND)


@MIGRATIONS()
def m011_read_documents(db: Database) -> None:
    """What the user's documents say, in passages: all of it can be made again from the files.

    A `shelf` is '' for the user's own documents, or the name of the role that they belong to. `root` is what was
    added: the file, or a folder that it lies in. `reader` names the code that cut it; another one cuts it again.
    Rows of `passages_fts` hold the text as `memory.text_search.indexed` spells it.
    """
    db.executescript(_READ_DOCUMENTS)


def known_names(migrations: Migrations = MIGRATIONS) -> tuple[str, ...]:
    """Names of all steps this program knows, in order."""
    return tuple(step.name for step in migrations._migrations)
