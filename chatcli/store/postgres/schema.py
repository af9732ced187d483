"""The tables that chatcli adds to LangGraph's in a PostgreSQL database, which other programs may share."""

from chatcli.store.threads import ACCENTS, BETWEEN_WORDS

VERSION = 3
"""Kept in `chatcli_schema`; raised when a store that this code writes could not be read by older code.

Since version 2, values are compressed with a dictionary (`store.serde`); those of version 1 are left as they are.
Since version 3, the words of a message are in an index alone, not also in a column.
"""
REDUCED = 3
"""The version since which `chatcli_messages` has no column `words`, and `chatcli_threads` has one for the minute."""

SEARCHED = 250_000
"""Characters of a message that are searched: a tsvector holds 1 MB at most, and refuses the row beyond that."""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def as_words(expression: str) -> str:
    """Return SQL for the text `expression`, cut into words as `store.words` does."""
    separate = BETWEEN_WORDS, " " * len(BETWEEN_WORDS)
    fold = separate[0] + "".join(ACCENTS), separate[1] + "".join(ACCENTS.values())
    # A text of ASCII alone has no diacritics: to look for all of them takes four times as long.
    plain, folded = (
        f"translate(left({expression}, {SEARCHED}), {_quoted(a)}, {_quoted(b)})" for a, b in (separate, fold)
    )
    text = f"CASE WHEN octet_length({expression}) = length({expression}) THEN {plain} ELSE {folded} END"
    # Without positions: half the size; phrases can't be searched.
    return f"strip(to_tsvector('pg_catalog.simple', {text}))"


# A word's messages are found in the index, which must be asked for by the same expression: hence the function.
# Without a list of what is yet to be sorted in: a third of the size, and no search has to read that list.
# Without statistics: to collect them means cutting up thousands of texts, and with them the planner may prefer to cut
# up all of them to using the index.
WORDS = f"""
CREATE OR REPLACE FUNCTION chatcli_words(message text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT {as_words("message")} $$;
CREATE INDEX IF NOT EXISTS chatcli_messages_by_word ON chatcli_messages USING gin (chatcli_words(text))
WITH (fastupdate = off);
ALTER INDEX chatcli_messages_by_word ALTER COLUMN 1 SET STATISTICS 0;
"""

# A thread is updated with each checkpoint. As long as no indexed column changes, the server writes the row to the
# same page without a word to the indexes; so the index has the minute, not the time.
MINUTES = """
ALTER TABLE chatcli_threads ADD COLUMN IF NOT EXISTS updated_minute timestamptz
    GENERATED ALWAYS AS (date_bin('1 minute', updated_at, TIMESTAMPTZ '2000-01-01 00:00+00')) STORED;
CREATE INDEX IF NOT EXISTS chatcli_threads_by_minute ON chatcli_threads (updated_minute DESC);
"""

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
{MINUTES}

-- The texts of messages, for search and for quick display; LangGraph's checkpoints are authoritative.
CREATE TABLE IF NOT EXISTS chatcli_messages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    thread_id text NOT NULL,
    message_id text NOT NULL,
    checkpoint_id text NOT NULL,
    role text NOT NULL,
    text text NOT NULL,
    interrupted boolean NOT NULL,
    UNIQUE (thread_id, message_id)
);
CREATE INDEX IF NOT EXISTS chatcli_messages_by_checkpoint ON chatcli_messages (thread_id, checkpoint_id);
{WORDS}

-- The answer that is on its way, in case the process is killed; one row a thread, gone when the turn ends.
-- Its text is UTF-8 in bytes, since a text column holds no NUL.
CREATE TABLE IF NOT EXISTS chatcli_journal (
    thread_id text PRIMARY KEY,
    question_id text NOT NULL,
    text bytea NOT NULL
);
"""

# The locks are taken in the order in which a turn takes them, so that the two can't wait for each other.
# CLUSTER writes the messages without the column that was dropped.
FROM_VERSION_2 = f"""
LOCK TABLE chatcli_threads, chatcli_messages IN ACCESS EXCLUSIVE MODE;
ALTER TABLE chatcli_messages DROP COLUMN IF EXISTS words;
CLUSTER chatcli_messages USING chatcli_messages_pkey;
{WORDS}
DROP INDEX IF EXISTS chatcli_threads_by_age;
{MINUTES}
"""
"""Brings the tables of versions 1 and 2 up to date, in a transaction."""

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
