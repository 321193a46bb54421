-- 1. The page, straight from the log: where the conversation stands, whether a turn is open, and the
-- branch that this person chose last.
SELECT "turnlog_event"."version" AS "version",
       COALESCE((
         SELECT U0."version" AS "version" FROM "turnlog_event" U0
           WHERE (U0."stream_id" = 3 AND U0."type" = 'ConversationCleared')
           ORDER BY 1 DESC LIMIT 1), 0) AS "coalesce1",
       COALESCE((
         SELECT U0."version" AS "version" FROM "turnlog_event" U0
           WHERE (U0."stream_id" = 3 AND U0."type" = 'PayloadErased')
           ORDER BY 1 DESC LIMIT 1), 0) AS "coalesce2",
       (SELECT U0."id" AS "id" FROM "turnlog_actor" U0
          WHERE U0."user_id" = 1 LIMIT 1) AS "subquery2",
       (SELECT V0."turn_id" AS "turn_id" FROM "turnlog_event" V0
          WHERE (V0."stream_id" = 3 AND V0."type" = 'TurnStarted'
            AND V0."version" = (
              SELECT U0."version" AS "version" FROM "turnlog_event" U0
                WHERE (U0."stream_id" = 3 AND U0."type" = 'TurnStarted')
                ORDER BY 1 DESC LIMIT 1)
            AND V0."actor_id" = (
              SELECT U0."id" AS "id" FROM "turnlog_actor" U0 WHERE U0."user_id" = 1 LIMIT 1)
            AND NOT (EXISTS(
              SELECT 1 AS "a" FROM "turnlog_event" U0
                WHERE (U0."stream_id" = 3 AND (U0."version" + 0) > (V0."version")
                  AND U0."turn_id" = (V0."turn_id")
                  AND NOT (U0."type" IN ('TurnStarted', 'TurnResumed', 'ToolApprovalRequested')))
                LIMIT 1)))
          ORDER BY V0."stream_id" ASC, V0."version" ASC LIMIT 1) AS "subquery3",
       (SELECT (
          SELECT U0."type" AS "type" FROM "turnlog_event" U0
            WHERE (U0."stream_id" = 3 AND U0."turn_id" = (V0."turn_id"))
            ORDER BY (U0."version" + 0) DESC LIMIT 1) AS "state" FROM "turnlog_event" V0
          WHERE (V0."stream_id" = 3 AND V0."type" = 'TurnStarted'
            AND V0."version" = (
              SELECT U0."version" AS "version" FROM "turnlog_event" U0
                WHERE (U0."stream_id" = 3 AND U0."type" = 'TurnStarted')
                ORDER BY 1 DESC LIMIT 1)
            AND V0."actor_id" = (
              SELECT U0."id" AS "id" FROM "turnlog_actor" U0 WHERE U0."user_id" = 1 LIMIT 1)
            AND NOT (EXISTS(
              SELECT 1 AS "a" FROM "turnlog_event" U0
                WHERE (U0."stream_id" = 3 AND (U0."version" + 0) > (V0."version")
                  AND U0."turn_id" = (V0."turn_id")
                  AND NOT (U0."type" IN ('TurnStarted', 'TurnResumed', 'ToolApprovalRequested')))
                LIMIT 1)))
          ORDER BY V0."stream_id" ASC, V0."version" ASC LIMIT 1) AS "subquery4",
       (SELECT (
          SELECT U0."metadata" AS "metadata" FROM "turnlog_event" U0
            WHERE (U0."stream_id" = 3 AND U0."turn_id" = (V0."turn_id"))
            ORDER BY (U0."version" + 0) DESC LIMIT 1) AS "of" FROM "turnlog_event" V0
          WHERE (V0."stream_id" = 3 AND V0."type" = 'TurnStarted'
            AND V0."version" = (
              SELECT U0."version" AS "version" FROM "turnlog_event" U0
                WHERE (U0."stream_id" = 3 AND U0."type" = 'TurnStarted')
                ORDER BY 1 DESC LIMIT 1)
            AND V0."actor_id" = (
              SELECT U0."id" AS "id" FROM "turnlog_actor" U0 WHERE U0."user_id" = 1 LIMIT 1)
            AND NOT (EXISTS(
              SELECT 1 AS "a" FROM "turnlog_event" U0
                WHERE (U0."stream_id" = 3 AND (U0."version" + 0) > (V0."version")
                  AND U0."turn_id" = (V0."turn_id")
                  AND NOT (U0."type" IN ('TurnStarted', 'TurnResumed', 'ToolApprovalRequested')))
                LIMIT 1)))
          ORDER BY V0."stream_id" ASC, V0."version" ASC LIMIT 1) AS "subquery5",
       (SELECT V0."version" AS "version" FROM "turnlog_event" V0
          WHERE (V0."stream_id" = 3 AND V0."type" = 'BranchChosen'
            AND V0."actor_id" = (
              SELECT U0."id" AS "id" FROM "turnlog_actor" U0 WHERE U0."user_id" = 1 LIMIT 1))
          ORDER BY 1 DESC LIMIT 1) AS "subquery6",
       (SELECT V0."payload" AS "payload" FROM "turnlog_event" V0
          WHERE (V0."stream_id" = 3 AND V0."type" = 'BranchChosen'
            AND V0."actor_id" = (
              SELECT U0."id" AS "id" FROM "turnlog_actor" U0 WHERE U0."user_id" = 1 LIMIT 1))
          ORDER BY V0."version" DESC LIMIT 1) AS "subquery7"
  FROM "turnlog_event"
  WHERE "turnlog_event"."stream_id" = 3
  ORDER BY 1 DESC
  LIMIT 1;

-- The last turns of this person: their ids and how large they are.
SELECT "turnlog_event"."turn_id" AS "turn_id",
       MIN("turnlog_event"."version") AS "first",
       COALESCE(SUM(LENGTH("turnlog_event"."payload")), 0) AS "size"
  FROM "turnlog_event"
  WHERE ("turnlog_event"."stream_id" = 3
    AND ("turnlog_event"."version" + 0) <= 6
    AND "turnlog_event"."turn_id" IN (
      SELECT V0."turn_id" AS "turn_id" FROM "turnlog_event" V0
        WHERE (V0."stream_id" = 3
          AND V0."actor_id" = 'c7f0f2b15d0c4f0f9d6f3a2a7c1e5b84'
          AND V0."turn_id" IS NOT NULL
          AND V0."version" <= 6
          AND V0."version" > 0
          AND NOT (EXISTS(
            SELECT 1 AS "a" FROM "turnlog_event" U0
              WHERE (U0."stream_id" = 3 AND (U0."version" + 0) < (V0."version")
                AND U0."turn_id" = (V0."turn_id"))
              LIMIT 1)))
        ORDER BY V0."version" DESC
        LIMIT 51))
  GROUP BY 1;

-- The events of as many turns as the page shows at once.
SELECT "turnlog_event"."id", "turnlog_event"."stream_id", "turnlog_event"."version",
       "turnlog_event"."type", "turnlog_event"."schema", "turnlog_event"."turn_id",
       "turnlog_event"."actor_id", "turnlog_event"."recorded_at", "turnlog_event"."payload",
       "turnlog_event"."metadata", "turnlog_event"."salt", "turnlog_event"."digest",
       "turnlog_event"."hash", ("turnlog_event"."version" + 0) AS "at"
  FROM "turnlog_event"
  WHERE ("turnlog_event"."stream_id" = 3
    AND ("turnlog_event"."version" + 0) <= 6
    AND "turnlog_event"."turn_id" IN ('25fe49bbb9144fbe9420a03c792288d3'))
  ORDER BY 14 ASC;

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
