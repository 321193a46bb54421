-- The database itself refuses to change the log. Idempotent; run in migrations and after each
-- migrate. {schema} is the quoted schema of the tables. Row triggers, and none of them
-- "UPDATE OF column": that would forbid later changes of the column's type.
--
-- Each function fixes its search_path and names the schema of each table: whoever fires the trigger
-- may have functions and operators of the same names.

CREATE OR REPLACE FUNCTION {schema}.turnlog_refuse() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'turnlog: % is append-only; % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;

-- Erasure is the one exception: payload and salt of an event that a later PayloadErased of the
-- same stream names, both to null and nothing else. Only payloads of PayloadErased are parsed
-- (jsonb refuses what other payloads may hold). Nothing is erased while the stream is held.
CREATE OR REPLACE FUNCTION {schema}.turnlog_only_erase() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.payload IS NULL AND NEW.salt IS NULL
        AND OLD.type NOT IN ({never_erased})
        AND (NEW.id, NEW.stream_id, NEW.version, NEW.type, NEW.schema, NEW.turn_id, NEW.actor_id,
             NEW.recorded_at, NEW.metadata, NEW.digest, NEW.hash)
            IS NOT DISTINCT FROM
            (OLD.id, OLD.stream_id, OLD.version, OLD.type, OLD.schema, OLD.turn_id, OLD.actor_id,
             OLD.recorded_at, OLD.metadata, OLD.digest, OLD.hash)
        AND (
            SELECT e.type FROM {schema}.turnlog_event e
            WHERE e.stream_id = OLD.stream_id AND e.type IN ('HoldPlaced', 'HoldLifted')
            ORDER BY e.version DESC LIMIT 1) IS DISTINCT FROM 'HoldPlaced'
        AND EXISTS (
            SELECT 1 FROM (
                SELECT e.payload FROM {schema}.turnlog_event e
                WHERE e.stream_id = OLD.stream_id AND e.version > OLD.version
                  AND e.type = 'PayloadErased'
                -- An erasure nulls right after it has said so: the last one is the one.
                ORDER BY e.version DESC) later
            WHERE (later.payload::pg_catalog.jsonb OPERATOR(pg_catalog.->) 'versions')
                OPERATOR(pg_catalog.@>) pg_catalog.to_jsonb(OLD.version))
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'turnlog: % is append-only; % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;

-- A number never changes hands: it is the stream of one conversation, or the pseudonym of one user.
CREATE OR REPLACE FUNCTION {schema}.turnlog_same_id() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.id = OLD.id THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'turnlog: a row of % keeps its id; % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE OR REPLACE FUNCTION {schema}.turnlog_own_stream() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM {schema}.turnlog_event e WHERE e.stream_id = NEW.id) THEN
        RAISE EXCEPTION 'turnlog: expected a number without events for a new conversation, found'
            ' those of another one under %: run migrate turnlog_events, which moves the numbers on', NEW.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;

-- The sequencer deletes a row once its events have positions.
CREATE OR REPLACE FUNCTION {schema}.turnlog_once_placed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM {schema}.turnlog_position p
        WHERE p.stream_id = OLD.stream_id AND p.version = OLD.last)
    THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'turnlog: the events of a row of % have no position yet; % is refused',
        TG_TABLE_NAME, TG_OP USING ERRCODE = 'integrity_constraint_violation';
END
$$;

-- A blob goes with the last event that refers to it, and what refers to it, with the event's payload.
CREATE OR REPLACE FUNCTION {schema}.turnlog_unless_used() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM {schema}.turnlog_blob_use u WHERE u.sha256 = OLD.sha256) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'turnlog: an event refers to this row of %; % is refused',
        TG_TABLE_NAME, TG_OP USING ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE OR REPLACE FUNCTION {schema}.turnlog_once_erased() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM {schema}.turnlog_event e
        WHERE e.stream_id = OLD.stream_id AND e.version = OLD.version AND e.payload IS NOT NULL)
    THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'turnlog: the payload that a row of % belongs to is there; % is refused',
        TG_TABLE_NAME, TG_OP USING ERRCODE = 'integrity_constraint_violation';
END
$$;

-- Who somebody is stays known while a conversation that they own, or took part in, is held.
CREATE OR REPLACE FUNCTION {schema}.turnlog_unless_held() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM {schema}.turnlog_event hold
        WHERE hold.type IN ('HoldPlaced', 'HoldLifted') AND hold.type = 'HoldPlaced'
          AND NOT EXISTS (
            SELECT 1 FROM {schema}.turnlog_event later
            WHERE later.stream_id = hold.stream_id AND later.version > hold.version
              AND later.type IN ('HoldPlaced', 'HoldLifted'))
          AND (EXISTS (
                SELECT 1 FROM {schema}.turnlog_conversation c
                WHERE c.id = hold.stream_id
                  AND (c.user_id = OLD.user_id OR c.owner_actor_id = OLD.id))
            OR EXISTS (
                SELECT 1 FROM {schema}.turnlog_event said
                WHERE said.stream_id = hold.stream_id
                  AND (said.actor_id = OLD.id
                    OR said.type = 'OwnerChanged' AND strpos(said.payload, OLD.id::text) > 0))))
    THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'turnlog: a conversation of this actor is under a legal hold; % of % is refused',
        TG_OP, TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE OR REPLACE TRIGGER turnlog_event_update BEFORE UPDATE ON {schema}.turnlog_event
    FOR EACH ROW EXECUTE FUNCTION {schema}.turnlog_only_erase();
CREATE OR REPLACE TRIGGER turnlog_event_delete BEFORE DELETE ON {schema}.turnlog_event
    FOR EACH ROW EXECUTE FUNCTION {schema}.turnlog_refuse();
CREATE OR REPLACE TRIGGER turnlog_event_truncate BEFORE TRUNCATE ON {schema}.turnlog_event
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.turnlog_refuse();

CREATE OR REPLACE TRIGGER turnlog_conversation_insert
    BEFORE INSERT ON {schema}.turnlog_conversation
    FOR EACH ROW EXECUTE FUNCTION {schema}.turnlog_own_stream();
CREATE OR REPLACE TRIGGER turnlog_conversation_update
    BEFORE UPDATE ON {schema}.turnlog_conversation
    FOR EACH ROW EXECUTE FUNCTION {schema}.turnlog_same_id();
CREATE OR REPLACE TRIGGER turnlog_conversation_delete
    BEFORE DELETE ON {schema}.turnlog_conversation
    FOR EACH ROW EXECUTE FUNCTION {schema}.turnlog_refuse();
CREATE OR REPLACE TRIGGER turnlog_conversation_truncate
    BEFORE TRUNCATE ON {schema}.turnlog_conversation
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.turnlog_refuse();

CREATE OR REPLACE TRIGGER turnlog_actor_update BEFORE UPDATE ON {schema}.turnlog_actor
    FOR EACH ROW EXECUTE FUNCTION {schema}.turnlog_same_id();
CREATE OR REPLACE TRIGGER turnlog_actor_delete BEFORE DELETE ON {schema}.turnlog_actor
    FOR EACH ROW EXECUTE FUNCTION {schema}.turnlog_unless_held();
CREATE OR REPLACE TRIGGER turnlog_actor_truncate BEFORE TRUNCATE ON {schema}.turnlog_actor
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.turnlog_refuse();

-- A text is deleted with the last turn that refers to it; finding that turn reads the log, so the
-- database does not look.
CREATE OR REPLACE TRIGGER turnlog_content_update BEFORE UPDATE ON {schema}.turnlog_content
    FOR EACH ROW EXECUTE FUNCTION {schema}.turnlog_refuse();
CREATE OR REPLACE TRIGGER turnlog_content_truncate BEFORE TRUNCATE ON {schema}.turnlog_content
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.turnlog_refuse();

CREATE OR REPLACE TRIGGER turnlog_blob_update BEFORE UPDATE ON {schema}.turnlog_blob
    FOR EACH ROW EXECUTE FUNCTION {schema}.turnlog_refuse();
CREATE OR REPLACE TRIGGER turnlog_blob_delete BEFORE DELETE ON {schema}.turnlog_blob
    FOR EACH ROW EXECUTE FUNCTION {schema}.turnlog_unless_used();
CREATE OR REPLACE TRIGGER turnlog_blob_truncate BEFORE TRUNCATE ON {schema}.turnlog_blob
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.turnlog_refuse();

CREATE OR REPLACE TRIGGER turnlog_blob_use_update BEFORE UPDATE ON {schema}.turnlog_blob_use
    FOR EACH ROW EXECUTE FUNCTION {schema}.turnlog_refuse();
CREATE OR REPLACE TRIGGER turnlog_blob_use_delete BEFORE DELETE ON {schema}.turnlog_blob_use
    FOR EACH ROW EXECUTE FUNCTION {schema}.turnlog_once_erased();
CREATE OR REPLACE TRIGGER turnlog_blob_use_truncate BEFORE TRUNCATE ON {schema}.turnlog_blob_use
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.turnlog_refuse();

CREATE OR REPLACE TRIGGER turnlog_pending_update BEFORE UPDATE ON {schema}.turnlog_pending
    FOR EACH ROW EXECUTE FUNCTION {schema}.turnlog_refuse();
CREATE OR REPLACE TRIGGER turnlog_pending_delete BEFORE DELETE ON {schema}.turnlog_pending
    FOR EACH ROW EXECUTE FUNCTION {schema}.turnlog_once_placed();
CREATE OR REPLACE TRIGGER turnlog_pending_truncate BEFORE TRUNCATE ON {schema}.turnlog_pending
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.turnlog_refuse();
