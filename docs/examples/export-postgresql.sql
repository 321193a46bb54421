SELECT json_build_object('blob', encode(data, 'hex')) FROM turnlog_blob WHERE data IS NOT NULL;

SELECT json_build_object(
    'stream_id', stream_id, 'version', version, 'type', type, 'schema', schema,
    'turn_id', turn_id, 'actor_id', actor_id,
    'recorded_at', (extract(epoch FROM recorded_at) * 1000000)::bigint,
    'payload', payload, 'metadata', metadata,
    'salt', encode(salt, 'hex'), 'digest', encode(digest, 'hex'), 'hash', encode(hash, 'hex'))
FROM turnlog_event ORDER BY stream_id, version;
