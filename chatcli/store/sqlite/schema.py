"""The tables that chatcli adds to LangGraph's, in the same SQLite database."""

VERSION = 2
"""Kept as the database's `user_version`; raised when a store that this code writes could not be read by older code.

Since version 2, values are compressed with a dictionary (`store.serde`); those of version 1 are left as they are.
"""

MARK = 0x63_68_74_00 + VERSION
"""Kept as the database's `application_id`: the version again, so that a damaged one is not taken for a newer one."""

SEARCHED = 8_000_000
"""Characters of a message that are searched: what the largest windows hold. The index takes noise ever more slowly."""

TABLES = """
CREATE TABLE IF NOT EXISTS threads (
    thread_id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    model TEXT NOT NULL,
    turns INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS threads_by_age ON threads (updated_at DESC, thread_id, title, model, turns, created_at);

-- The texts of messages, for search and for quick display; LangGraph's checkpoints are authoritative.
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY,
    thread_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    checkpoint_id TEXT NOT NULL,
    role TEXT NOT NULL,
    text TEXT NOT NULL,
    interrupted INTEGER NOT NULL,
    UNIQUE (thread_id, message_id)
);
CREATE INDEX IF NOT EXISTS messages_by_checkpoint ON messages (thread_id, checkpoint_id);
CREATE VIRTUAL TABLE IF NOT EXISTS messages_fts USING fts5 (
    -- Without positions: half the size; phrases can't be searched.
    text, content = 'messages', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2', detail = 'none'
);

-- The answer in progress, in case the process is killed: one row for each thread, deleted when the turn ends.
CREATE TABLE IF NOT EXISTS journal (
    thread_id TEXT PRIMARY KEY,
    question_id TEXT NOT NULL,
    text TEXT NOT NULL
) WITHOUT ROWID;
"""

USAGE = """
CREATE TABLE IF NOT EXISTS usage (
    thread_id TEXT NOT NULL,
    checkpoint_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    idx INTEGER NOT NULL,
    entries TEXT NOT NULL,
    PRIMARY KEY (thread_id, checkpoint_id, task_id, idx)
) WITHOUT ROWID
"""
"""What was read of LangGraph's writes about tokens (`store.usage`); made where it is needed, and read again if lost."""

# Two statements instead of an upsert: LangGraph's INSERT OR REPLACE imposes its conflict policy on the trigger's
# statements (https://sqlite.org/lang_createtrigger.html).
TRIGGERS = f"""
CREATE TRIGGER IF NOT EXISTS index_thread AFTER INSERT ON checkpoints WHEN NEW.checkpoint_ns = '' BEGIN
    INSERT INTO threads (thread_id, title, model, turns, created_at, updated_at)
        SELECT NEW.thread_id, '', '', 0, strftime('%Y-%m-%dT%H:%M:%fZ'), ''
        WHERE NOT EXISTS (SELECT 1 FROM threads WHERE thread_id = NEW.thread_id);
    UPDATE threads SET
        title = CASE WHEN title = '' THEN
            coalesce(json_extract(CAST(NEW.metadata AS TEXT), '$.chatcli_title'), '') ELSE title END,
        model = coalesce(json_extract(CAST(NEW.metadata AS TEXT), '$.chatcli_model'), model),
        turns = coalesce(
            json_extract(CAST(NEW.metadata AS TEXT), '$.chatcli_turn'),
            turns + (json_extract(CAST(NEW.metadata AS TEXT), '$.source') = 'input')),
        updated_at = strftime('%Y-%m-%dT%H:%M:%fZ')
        WHERE thread_id = NEW.thread_id;
END;
CREATE TRIGGER IF NOT EXISTS index_text AFTER INSERT ON messages BEGIN
    INSERT INTO messages_fts (rowid, text) VALUES (NEW.id, substr(NEW.text, 1, {SEARCHED}));
END;
CREATE TRIGGER IF NOT EXISTS reindex_text AFTER UPDATE OF text ON messages BEGIN
    INSERT INTO messages_fts (messages_fts, rowid, text) VALUES ('delete', OLD.id, substr(OLD.text, 1, {SEARCHED}));
    INSERT INTO messages_fts (rowid, text) VALUES (NEW.id, substr(NEW.text, 1, {SEARCHED}));
END;
CREATE TRIGGER IF NOT EXISTS forget_text AFTER DELETE ON messages BEGIN
    INSERT INTO messages_fts (messages_fts, rowid, text) VALUES ('delete', OLD.id, substr(OLD.text, 1, {SEARCHED}));
END;
"""  # noqa: S608 - a number of ours

ADD_MESSAGE = """
INSERT INTO messages (thread_id, message_id, checkpoint_id, role, text, interrupted) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (thread_id, message_id) DO UPDATE SET text = excluded.text, interrupted = excluded.interrupted
"""

REBUILD_THREADS = """
DELETE FROM threads WHERE thread_id NOT IN (SELECT thread_id FROM checkpoints);
INSERT INTO threads (thread_id, title, model, turns, created_at, updated_at)
SELECT last.thread_id,
    coalesce(json_extract(CAST(first.metadata AS TEXT), '$.chatcli_title'), ''),
    coalesce(json_extract(CAST(last.metadata AS TEXT), '$.chatcli_model'), ''),
    coalesce(json_extract(CAST(last.metadata AS TEXT), '$.chatcli_turn'), 0),
    strftime('%Y-%m-%dT%H:%M:%fZ'), strftime('%Y-%m-%dT%H:%M:%fZ')
FROM (SELECT thread_id, min(checkpoint_id) AS low, max(checkpoint_id) AS high FROM checkpoints
    WHERE checkpoint_ns = '' GROUP BY thread_id) AS bounds
JOIN checkpoints AS first
    ON first.thread_id = bounds.thread_id AND first.checkpoint_ns = '' AND first.checkpoint_id = low
JOIN checkpoints AS last
    ON last.thread_id = bounds.thread_id AND last.checkpoint_ns = '' AND last.checkpoint_id = high
WHERE true  -- else SQLite takes the next words for a join's (https://sqlite.org/lang_upsert.html)
ON CONFLICT (thread_id) DO UPDATE SET model = excluded.model, turns = excluded.turns;
"""
"""What only the index has, titles that a user gave and dates, is kept if it exists."""

REBUILD = f"BEGIN IMMEDIATE; {TABLES} {TRIGGERS} {REBUILD_THREADS} PRAGMA user_version = 0; COMMIT;"
"""Makes the index of threads; version 0 lets the next session index the messages, whose text only LangGraph reads."""
