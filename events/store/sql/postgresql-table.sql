-- What is only added to.

CREATE OR REPLACE TRIGGER {table}_update BEFORE UPDATE ON {schema}.{table}
    FOR EACH ROW EXECUTE FUNCTION {schema}.turnlog_refuse();
CREATE OR REPLACE TRIGGER {table}_delete BEFORE DELETE ON {schema}.{table}
    FOR EACH ROW EXECUTE FUNCTION {schema}.turnlog_refuse();
CREATE OR REPLACE TRIGGER {table}_truncate BEFORE TRUNCATE ON {schema}.{table}
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.turnlog_refuse();
