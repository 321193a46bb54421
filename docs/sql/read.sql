-- 1. The page: the last turns of this person, straight from the log.
SELECT MAX("turnlog_event"."version") AS "head",
       MAX("turnlog_event"."version") FILTER (
         WHERE "turnlog_event"."type" = 'ConversationCleared') AS "cleared",
       MAX("turnlog_event"."version") FILTER (
         WHERE "turnlog_event"."type" = 'PayloadErased') AS "erased"
  FROM "turnlog_event"
  WHERE "turnlog_event"."stream_id" = 3;

SELECT "turnlog_event"."id", "turnlog_event"."stream_id", "turnlog_event"."version",
       "turnlog_event"."type", "turnlog_event"."schema", "turnlog_event"."turn_id",
       "turnlog_event"."actor_id", "turnlog_event"."recorded_at", "turnlog_event"."payload",
       "turnlog_event"."metadata", "turnlog_event"."salt", "turnlog_event"."digest",
       "turnlog_event"."hash"
  FROM "turnlog_event"
  WHERE ("turnlog_event"."stream_id" = 3
    AND "turnlog_event"."actor_id" IN (
      SELECT U0."id" AS "id" FROM "turnlog_actor" U0 WHERE U0."user_id" = 1)
    AND "turnlog_event"."turn_id" IS NOT NULL
    AND "turnlog_event"."version" > 0
    AND "turnlog_event"."version" <= 6)
  ORDER BY "turnlog_event"."version" DESC
  LIMIT 301;

-- 2. The model: the previous messages, from the message list, before each answer.
SELECT "turnlog_event"."payload" AS "stored"
  FROM "turnlog_message"
  INNER JOIN "turnlog_event"
    ON ("turnlog_message"."conversation_id" = "turnlog_event"."stream_id"
      AND "turnlog_message"."version" = "turnlog_event"."version")
  WHERE ("turnlog_message"."conversation_id" = 3
    AND "turnlog_message"."user_id" = 1
    AND "turnlog_event"."payload" IS NOT NULL)
  ORDER BY "turnlog_message"."version" ASC;
