SELECT json_object('blob', hex(data)) FROM turnlog_blob WHERE data IS NOT NULL;

SELECT json_object(
    'stream_id', stream_id, 'version', version, 'type', type, 'schema', "schema",
    'turn_id', turn_id, 'actor_id', actor_id,
    'recorded_at', strftime('%s', substr(recorded_at, 1, 19)) * 1000000
                   + substr(recorded_at || '.000000', 21, 6),
    'payload', payload, 'metadata', metadata,
    'salt', CASE WHEN salt IS NOT NULL THEN hex(salt) END,
    'digest', hex(digest), 'hash', hex(hash))
FROM turnlog_event ORDER BY stream_id, version;
