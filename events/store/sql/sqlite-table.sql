-- What is only added to. {same} says which row an INSERT OR REPLACE would delete.

CREATE TRIGGER {table}_insert BEFORE INSERT ON {table}
WHEN EXISTS (SELECT 1 FROM {table} WHERE {same})
BEGIN
    SELECT RAISE(ABORT, 'turnlog: {table} has this place already');
END;

CREATE TRIGGER {table}_update BEFORE UPDATE ON {table}
BEGIN
    SELECT RAISE(ABORT, 'turnlog: {table} is append-only; UPDATE is refused');
END;

CREATE TRIGGER {table}_delete BEFORE DELETE ON {table}
BEGIN
    SELECT RAISE(ABORT, 'turnlog: {table} is append-only; DELETE is refused');
END;
