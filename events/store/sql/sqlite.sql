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
