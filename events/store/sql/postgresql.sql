-- The database itself refuses to change the log. Idempotent; run in migrations and after each
-- migrate. {schema} is the quoted schema of the tables. Row triggers, and none of them
-- "UPDATE OF column": that would forbid later changes of the column's type.

CREATE OR REPLACE FUNCTION {schema}.turnlog_refuse() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'turnlog: % is append-only; % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;

-- Erasure is the one exception: payload and salt of an event that a later PayloadErased of the
-- same stream names, both to null and nothing else. Only payloads of PayloadErased are parsed
-- (jsonb refuses what other payloads may hold).
CREATE OR REPLACE FUNCTION {schema}.turnlog_only_erase() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.payload IS NULL AND NEW.salt IS NULL
        AND OLD.type NOT IN ({never_erased})
        AND (NEW.id, NEW.stream_id, NEW.version, NEW.type, NEW.schema, NEW.turn_id, NEW.actor_id,
             NEW.recorded_at, NEW.metadata, NEW.digest, NEW.hash)
            IS NOT DISTINCT FROM
            (OLD.id, OLD.stream_id, OLD.version, OLD.type, OLD.schema, OLD.turn_id, OLD.actor_id,
             OLD.recorded_at, OLD.metadata, OLD.digest, OLD.hash)
        AND EXISTS (
            SELECT 1 FROM (
                SELECT e.payload FROM {schema}.turnlog_event e
                WHERE e.stream_id = OLD.stream_id AND e.version > OLD.version
                  AND e.type = 'PayloadErased'
                -- An erasure nulls right after it has said so: the last one is the one.
                ORDER BY e.version DESC) later
            WHERE (later.payload::jsonb -> 'versions') @> to_jsonb(OLD.version))
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'turnlog: % is append-only; % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE OR REPLACE TRIGGER turnlog_event_update BEFORE UPDATE ON {schema}.turnlog_event
    FOR EACH ROW EXECUTE FUNCTION {schema}.turnlog_only_erase();
CREATE OR REPLACE TRIGGER turnlog_event_delete BEFORE DELETE ON {schema}.turnlog_event
    FOR EACH ROW EXECUTE FUNCTION {schema}.turnlog_refuse();
CREATE OR REPLACE TRIGGER turnlog_event_truncate BEFORE TRUNCATE ON {schema}.turnlog_event
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.turnlog_refuse();
