BEGIN;

-- The facts: only ever inserted, and only if the head is still the one that was decided by. On
-- PostgreSQL this statement and those below are one.
INSERT INTO turnlog_event (
    "stream_id", "version", "type", "schema", "turn_id", "actor_id", "recorded_at",
    "payload", "metadata", "salt", "digest", "hash"
)
SELECT * FROM (VALUES (
    3, 5, 'MessageAppended', 1,
    '25fe49bbb9144fbe9420a03c792288d3', '1348e87ba5114db591827e1048ef7584',
    '2026-11-22 20:46:12.140351',
    '{"_type":"HumanMessage","_value":{"content":"hello","additional_kwargs":{},"response_metadata":{},"type":"human","name":null,"id":null}}',
    '{"tools_at":[]}', X'7A7D...', X'21E1...', X'2052...'
), (
    3, 6, 'MessageAppended', 1,
    '25fe49bbb9144fbe9420a03c792288d3', '1348e87ba5114db591827e1048ef7584',
    '2026-11-22 20:46:12.140351',
    '{"_type":"AIMessage","_value":{"content":"你好，请问我可以帮你点什么咖啡吗？","additional_kwargs":{},"response_metadata":{},"type":"ai","name":null,"id":"run-7c97e77c-847b-4ec9-a874-03317f4f7712","tool_calls":[],"invalid_tool_calls":[],"usage_metadata":{"input_tokens":139,"output_tokens":14,"total_tokens":153}}}',
    '{"tools_at":[]}', X'A505...', X'82D2...', X'054F...'
))
WHERE (SELECT hash FROM turnlog_event WHERE stream_id = 3 ORDER BY version DESC LIMIT 1) = X'7B1C...';

-- They have no place in the whole log's order yet.
INSERT INTO turnlog_pending (stream_id, first, last) VALUES (3, 5, 6);

-- How many rows the message list must gain. If the database keeps fewer, the append fails.
SELECT count(*) FROM (
  SELECT e.stream_id, e.version,
      (SELECT a.user_id FROM turnlog_actor a WHERE a.id = e.actor_id) AS user_id,
      e.actor_id, e.turn_id, e.recorded_at
    FROM (SELECT * FROM turnlog_event
            WHERE stream_id = 3 AND version BETWEEN 5 AND 6) e
    WHERE e.type IN ('MessageAppended', 'ToolOutputRecorded') AND e.payload IS NOT NULL
      AND coalesce(
        (SELECT max(c.version) FROM turnlog_event c
           WHERE c.stream_id = e.stream_id AND c.type = 'ConversationCleared')
          <= coalesce(
            (SELECT min(t.version + 0) FROM turnlog_event t
               WHERE t.stream_id = e.stream_id AND t.turn_id = e.turn_id),
            e.version),
        true)
      AND coalesce(
        (SELECT coalesce(
             (SELECT min(t.version + 0) FROM turnlog_event t
                WHERE t.stream_id = e.stream_id AND t.turn_id = e.turn_id),
             e.version) > chosen.version
           OR EXISTS (
             SELECT 1 FROM json_each(chosen.payload, '$.kept') AS kept
               WHERE coalesce(
                 (SELECT min(t.version + 0) FROM turnlog_event t
                    WHERE t.stream_id = e.stream_id AND t.turn_id = e.turn_id),
                 e.version)
               BETWEEN json_extract(kept.value, '$[0]') AND json_extract(kept.value, '$[1]'))
           FROM turnlog_event chosen
           WHERE chosen.stream_id = e.stream_id AND chosen.type = 'BranchChosen'
             AND (chosen.actor_id = e.actor_id
               OR (chosen.actor_id IS NULL AND e.actor_id IS NULL))
           ORDER BY chosen.version DESC LIMIT 1),
        true)
);

-- The message list says which events are listed, and for whom; the words stay in the events. Listed
-- is what was not cleared meanwhile, and is in the branch that its person chose last.
INSERT INTO turnlog_message
    (conversation_id, version, user_id, actor_id, turn_id, created_at)
  SELECT e.stream_id, e.version,
      (SELECT a.user_id FROM turnlog_actor a WHERE a.id = e.actor_id) AS user_id,
      e.actor_id, e.turn_id, e.recorded_at
    FROM (SELECT * FROM turnlog_event
            WHERE stream_id = 3 AND version BETWEEN 5 AND 6) e
    WHERE e.type IN ('MessageAppended', 'ToolOutputRecorded') AND e.payload IS NOT NULL
      AND coalesce(
        (SELECT max(c.version) FROM turnlog_event c
           WHERE c.stream_id = e.stream_id AND c.type = 'ConversationCleared')
          <= coalesce(
            (SELECT min(t.version + 0) FROM turnlog_event t
               WHERE t.stream_id = e.stream_id AND t.turn_id = e.turn_id),
            e.version),
        true)
      AND coalesce(
        (SELECT coalesce(
             (SELECT min(t.version + 0) FROM turnlog_event t
                WHERE t.stream_id = e.stream_id AND t.turn_id = e.turn_id),
             e.version) > chosen.version
           OR EXISTS (
             SELECT 1 FROM json_each(chosen.payload, '$.kept') AS kept
               WHERE coalesce(
                 (SELECT min(t.version + 0) FROM turnlog_event t
                    WHERE t.stream_id = e.stream_id AND t.turn_id = e.turn_id),
                 e.version)
               BETWEEN json_extract(kept.value, '$[0]') AND json_extract(kept.value, '$[1]'))
           FROM turnlog_event chosen
           WHERE chosen.stream_id = e.stream_id AND chosen.type = 'BranchChosen'
             AND (chosen.actor_id = e.actor_id
               OR (chosen.actor_id IS NULL AND e.actor_id IS NULL))
           ORDER BY chosen.version DESC LIMIT 1),
        true);

COMMIT;
