-- The database itself refuses to change the log. Run in migrations and after each
-- migrate (SQLite loses triggers when a table is remade). INSERT OR REPLACE deletes without
-- firing delete triggers, hence the insert triggers.

CREATE TRIGGER turnlog_event_insert BEFORE INSERT ON turnlog_event
WHEN EXISTS (SELECT 1 FROM turnlog_event
             WHERE (stream_id = NEW.stream_id AND version = NEW.version) OR id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'turnlog: turnlog_event has this version already');
END;

CREATE TRIGGER turnlog_event_update BEFORE UPDATE ON turnlog_event
WHEN NOT (
    NEW.payload IS NULL AND NEW.salt IS NULL
    AND OLD.type NOT IN ({never_erased})
    AND NEW.id IS OLD.id AND NEW.stream_id IS OLD.stream_id AND NEW.version IS OLD.version
    AND NEW.type IS OLD.type AND NEW.schema IS OLD.schema AND NEW.turn_id IS OLD.turn_id
    AND NEW.actor_id IS OLD.actor_id AND NEW.recorded_at IS OLD.recorded_at
    AND NEW.metadata IS OLD.metadata AND NEW.digest IS OLD.digest AND NEW.hash IS OLD.hash
    AND (SELECT e.type FROM turnlog_event e
         WHERE e.stream_id = OLD.stream_id AND e.type IN ('HoldPlaced', 'HoldLifted')
         ORDER BY e.version DESC LIMIT 1) IS NOT 'HoldPlaced'
    -- An erasure nulls right after it has said so: the last one is the one. (The limit keeps the
    -- order from being left out.)
    AND EXISTS (
        SELECT 1 FROM (
            SELECT e.payload FROM turnlog_event e
            WHERE e.stream_id = OLD.stream_id AND e.version > OLD.version
              AND e.type = 'PayloadErased'
            ORDER BY e.version DESC LIMIT -1) later, json_each(later.payload, '$.versions') erased
        WHERE erased.value = OLD.version))
BEGIN
    SELECT RAISE(ABORT, 'turnlog: turnlog_event is append-only; UPDATE is refused');
END;

CREATE TRIGGER turnlog_event_delete BEFORE DELETE ON turnlog_event
BEGIN
    SELECT RAISE(ABORT, 'turnlog: turnlog_event is append-only; DELETE is refused');
END;

-- A number never changes hands: it is the stream of one conversation, or the pseudonym of one user.
CREATE TRIGGER turnlog_conversation_insert BEFORE INSERT ON turnlog_conversation
WHEN EXISTS (SELECT 1 FROM turnlog_conversation WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'turnlog: turnlog_conversation has this id already');
END;

-- Afterwards: before, the id is not known yet.
CREATE TRIGGER turnlog_conversation_stream AFTER INSERT ON turnlog_conversation
WHEN EXISTS (SELECT 1 FROM turnlog_event WHERE stream_id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'turnlog: expected a number without events for a new conversation, found those of another one: run migrate turnlog_events, which moves the numbers on');
END;

CREATE TRIGGER turnlog_conversation_update BEFORE UPDATE ON turnlog_conversation
WHEN NEW.id IS NOT OLD.id
BEGIN
    SELECT RAISE(ABORT, 'turnlog: a row of turnlog_conversation keeps its id; UPDATE is refused');
END;

CREATE TRIGGER turnlog_conversation_delete BEFORE DELETE ON turnlog_conversation
BEGIN
    SELECT RAISE(ABORT, 'turnlog: turnlog_conversation is append-only; DELETE is refused');
END;

CREATE TRIGGER turnlog_actor_update BEFORE UPDATE ON turnlog_actor
WHEN NEW.id IS NOT OLD.id
BEGIN
    SELECT RAISE(ABORT, 'turnlog: a row of turnlog_actor keeps its id; UPDATE is refused');
END;

-- Who somebody is stays known while a conversation that they own, or took part in, is held. (The
-- first condition is the index's own: SQLite looks for it word by word.)
CREATE TRIGGER turnlog_actor_delete BEFORE DELETE ON turnlog_actor
WHEN EXISTS (
    SELECT 1 FROM turnlog_event hold
    WHERE hold.type IN ('HoldPlaced', 'HoldLifted') AND +hold.type = 'HoldPlaced'
      AND NOT EXISTS (
        SELECT 1 FROM turnlog_event later
        WHERE later.stream_id = hold.stream_id AND later.version > hold.version
          AND later.type IN ('HoldPlaced', 'HoldLifted'))
      AND (EXISTS (
            SELECT 1 FROM turnlog_conversation c
            WHERE c.id = hold.stream_id
              AND (c.user_id = OLD.user_id OR c.owner_actor_id = OLD.id))
        OR EXISTS (
            SELECT 1 FROM turnlog_event said
            WHERE said.stream_id = hold.stream_id
              AND (said.actor_id = OLD.id
                OR said.type = 'OwnerChanged'
                AND instr(replace(said.payload, '-', ''), OLD.id) > 0))))
BEGIN
    SELECT RAISE(ABORT, 'turnlog: a conversation of this actor is under a legal hold; DELETE is refused');
END;

-- A text is deleted with the last turn that refers to it; finding that turn reads the log, so the
-- database does not look.
CREATE TRIGGER turnlog_content_update BEFORE UPDATE ON turnlog_content
BEGIN
    SELECT RAISE(ABORT, 'turnlog: turnlog_content is append-only; UPDATE is refused');
END;

-- A blob goes with the last event that refers to it, and what refers to it, with the event's payload.
CREATE TRIGGER turnlog_blob_insert BEFORE INSERT ON turnlog_blob
WHEN EXISTS (SELECT 1 FROM turnlog_blob WHERE sha256 = NEW.sha256)
BEGIN
    SELECT RAISE(ABORT, 'turnlog: turnlog_blob has this blob already');
END;

CREATE TRIGGER turnlog_blob_update BEFORE UPDATE ON turnlog_blob
BEGIN
    SELECT RAISE(ABORT, 'turnlog: turnlog_blob is append-only; UPDATE is refused');
END;

CREATE TRIGGER turnlog_blob_delete BEFORE DELETE ON turnlog_blob
WHEN EXISTS (SELECT 1 FROM turnlog_blob_use WHERE sha256 = OLD.sha256)
BEGIN
    SELECT RAISE(ABORT, 'turnlog: an event refers to this blob; DELETE is refused');
END;

CREATE TRIGGER turnlog_blob_use_insert BEFORE INSERT ON turnlog_blob_use
WHEN EXISTS (SELECT 1 FROM turnlog_blob_use
             WHERE (stream_id = NEW.stream_id AND version = NEW.version AND sha256 = NEW.sha256)
                OR id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'turnlog: turnlog_blob_use has this row already');
END;

CREATE TRIGGER turnlog_blob_use_update BEFORE UPDATE ON turnlog_blob_use
BEGIN
    SELECT RAISE(ABORT, 'turnlog: turnlog_blob_use is append-only; UPDATE is refused');
END;

CREATE TRIGGER turnlog_blob_use_delete BEFORE DELETE ON turnlog_blob_use
WHEN EXISTS (SELECT 1 FROM turnlog_event e
             WHERE e.stream_id = OLD.stream_id AND e.version = OLD.version
               AND e.payload IS NOT NULL)
BEGIN
    SELECT RAISE(ABORT, 'turnlog: the payload that refers to this blob is there; DELETE is refused');
END;

CREATE TRIGGER turnlog_pending_update BEFORE UPDATE ON turnlog_pending
BEGIN
    SELECT RAISE(ABORT, 'turnlog: turnlog_pending is append-only; UPDATE is refused');
END;

-- The sequencer deletes a row once its events have positions.
CREATE TRIGGER turnlog_pending_delete BEFORE DELETE ON turnlog_pending
WHEN NOT EXISTS (
    SELECT 1 FROM turnlog_position p
    WHERE p.stream_id = OLD.stream_id AND p.version = OLD.last)
BEGIN
    SELECT RAISE(ABORT, 'turnlog: the events of this row have no position yet; DELETE is refused');
END;
