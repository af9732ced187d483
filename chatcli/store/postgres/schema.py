"""The tables that chatcli adds to LangGraph's in a PostgreSQL database, which other programs may share."""

from chatcli.store.threads import ACCENTS, BETWEEN_WORDS

VERSION = 2
"""Kept in `chatcli_schema`; raised when a store that this code writes could not be read by older code.

Since version 2, values are compressed with a dictionary (`store.serde`); those of version 1 are left as they are.
"""

SEARCHED = 250_000
"""Characters of a message that are searched: a tsvector holds 1 MB at most, and refuses the row beyond that."""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def as_words(expression: str) -> str:
    """Return SQL for the text `expression`, cut into words as `store.words` does."""
    letters, plain = "".join(ACCENTS), "".join(ACCENTS.values())
    froms, tos = _quoted(letters + BETWEEN_WORDS), _quoted(plain + " " * len(BETWEEN_WORDS))
    # Without positions: half the size; phrases can't be searched.
    return f"strip(to_tsvector('simple', translate(left({expression}, {SEARCHED}), {froms}, {tos})))"


TABLES = f"""
CREATE TABLE IF NOT EXISTS chatcli_schema (version integer NOT NULL);

CREATE TABLE IF NOT EXISTS chatcli_threads (
    thread_id text PRIMARY KEY,
    title text NOT NULL,
    model text NOT NULL,
    turns integer NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS chatcli_threads_by_age ON chatcli_threads (updated_at DESC);

-- The texts of messages, for search and for quick display; LangGraph's checkpoints are authoritative.
CREATE TABLE IF NOT EXISTS chatcli_messages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    thread_id text NOT NULL,
    message_id text NOT NULL,
    checkpoint_id text NOT NULL,
    role text NOT NULL,
    text text NOT NULL,
    interrupted boolean NOT NULL,
    words tsvector GENERATED ALWAYS AS ({as_words("text")}) STORED,
    UNIQUE (thread_id, message_id)
);
CREATE INDEX IF NOT EXISTS chatcli_messages_by_checkpoint ON chatcli_messages (thread_id, checkpoint_id);
-- Without a list of what is yet to be sorted in: a third of the size, and no search has to read that list.
CREATE INDEX IF NOT EXISTS chatcli_messages_by_word ON chatcli_messages USING gin (words) WITH (fastupdate = off);

-- The answer that is on its way, in case the process is killed; one row a thread, gone when the turn ends.
-- Its text is UTF-8 in bytes, since a text column holds no NUL.
CREATE TABLE IF NOT EXISTS chatcli_journal (
    thread_id text PRIMARY KEY,
    question_id text NOT NULL,
    text bytea NOT NULL
);
"""

USAGE = """
CREATE TABLE IF NOT EXISTS chatcli_usage (
    thread_id text NOT NULL,
    checkpoint_id text NOT NULL,
    task_id text NOT NULL,
    idx integer NOT NULL,
    entries text NOT NULL,
    PRIMARY KEY (thread_id, checkpoint_id, task_id, idx)
)
"""
"""What was read of LangGraph's writes about tokens (`store.usage`); made where it is needed, and read again if lost."""

# With its owner's rights: another program that writes checkpoints to this database need not know our tables.
TRIGGER = """
CREATE OR REPLACE FUNCTION chatcli_index_thread() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO chatcli_threads AS known (thread_id, title, model, turns, created_at, updated_at)
    VALUES (
        NEW.thread_id,
        coalesce(NEW.metadata ->> 'chatcli_title', ''),
        coalesce(NEW.metadata ->> 'chatcli_model', ''),
        coalesce((NEW.metadata ->> 'chatcli_turn')::integer, (NEW.metadata ->> 'source' = 'input')::integer, 0),
        clock_timestamp(),
        clock_timestamp()
    )
    ON CONFLICT (thread_id) DO UPDATE SET
        title = CASE WHEN known.title = '' THEN excluded.title ELSE known.title END,
        model = coalesce(NEW.metadata ->> 'chatcli_model', known.model),
        turns = coalesce(
            (NEW.metadata ->> 'chatcli_turn')::integer,
            known.turns + (NEW.metadata ->> 'source' = 'input')::integer,
            known.turns),
        updated_at = excluded.updated_at;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER chatcli_index_thread AFTER INSERT ON checkpoints
FOR EACH ROW WHEN (NEW.checkpoint_ns = '') EXECUTE FUNCTION chatcli_index_thread();
"""

ADD_MESSAGE = """
INSERT INTO chatcli_messages (thread_id, message_id, checkpoint_id, role, text, interrupted)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (thread_id, message_id) DO UPDATE SET text = excluded.text, interrupted = excluded.interrupted
"""

REBUILD_THREADS = """
DELETE FROM chatcli_threads;
INSERT INTO chatcli_threads (thread_id, title, model, turns, created_at, updated_at)
SELECT last.thread_id,
    coalesce(first.metadata ->> 'chatcli_title', ''),
    coalesce(last.metadata ->> 'chatcli_model', ''),
    coalesce((last.metadata ->> 'chatcli_turn')::integer, 0),
    (first.checkpoint ->> 'ts')::timestamptz,
    (last.checkpoint ->> 'ts')::timestamptz
FROM (SELECT thread_id, min(checkpoint_id) AS low, max(checkpoint_id) AS high FROM checkpoints
    WHERE checkpoint_ns = '' GROUP BY thread_id) AS bounds
JOIN checkpoints AS first
    ON first.thread_id = bounds.thread_id AND first.checkpoint_ns = '' AND first.checkpoint_id = low
JOIN checkpoints AS last
    ON last.thread_id = bounds.thread_id AND last.checkpoint_ns = '' AND last.checkpoint_id = high;
"""
