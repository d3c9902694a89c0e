-- Leases due chunks of one queue, in priority order, up to a number of jobs, and creates their run.
--
-- due: what the first index rows hold, unlocked, says how many chunks are wanted; only that many are
--   locked. A fixed large LIMIT would lock hundreds of big chunks and starve the other workers.
-- One index descent for each priority (LATERAL): rows of a high priority that are not yet due are never
--   walked over. `statement_timestamp()` and not `clock_timestamp()`: a volatile bound can use no index.
-- `wants` are aims of `handlers`, whose jobs take unlike times, learned from their last runs; whose turn it is shows only
--   here. `want` is for all others. What is locked for a handler with a larger aim is let go with this statement.
-- taken: judged over the rows that are locked here. A count would let two workers fire one flush.
-- id = ANY(ARRAY(...)): the join form becomes a hash join under a generic plan and grows with the table.
WITH queue AS MATERIALIZED (
    SELECT id, max_runs, rate_limit, flush_jobs, flush_bytes, flush_seconds,
           acknowledge IN ('all_or_nothing', 'last_successful') AS one_batch
    FROM queues_queue
    WHERE id = %(queue)s::bigint AND (paused_at IS NULL OR paused_until <= statement_timestamp())
),
aims AS MATERIALIZED (
    SELECT handler, want FROM unnest(%(handlers)s::text[], %(wants)s::bigint[]) AS aim(handler, want)
),
most AS MATERIALIZED (
    SELECT greatest(%(want)s::bigint, max(want)) AS want FROM aims
),
due AS MATERIALIZED (
    SELECT count(*) AS chunks
    FROM (
        SELECT sum(size) OVER line - size AS jobs_before, sum(bytes) OVER line - bytes AS bytes_before
        FROM (
            SELECT x.*
            FROM generate_series(0, 4) AS p(priority) CROSS JOIN LATERAL (
                SELECT c.id, c.priority, c.run_at, c.size, c.bytes
                FROM queues_chunk c
                WHERE c.queue_id = %(queue)s::bigint AND c.state = 'ready' AND c.priority = p.priority
                  AND c.run_at <= statement_timestamp()
                ORDER BY c.run_at, c.id
                LIMIT %(look)s::bigint
            ) x
            LIMIT %(look)s::bigint
        ) first
        WINDOW line AS (ORDER BY priority, run_at, id ROWS UNBOUNDED PRECEDING)
    ) summed
    WHERE jobs_before < (SELECT want FROM most) AND bytes_before < %(max_bytes)s::bigint
),
slot AS MATERIALIZED (
    SELECT s.id
    FROM queues_queueslot s, queue q
    WHERE s.queue_id = q.id AND q.max_runs IS NOT NULL AND s.run_id IS NULL AND s.number <= q.max_runs
      AND (SELECT chunks FROM due) > 0
    LIMIT 1
    FOR UPDATE OF s SKIP LOCKED
),
bucket AS MATERIALIZED (
    SELECT q.id, least(coalesce(q.rate_burst, greatest(q.rate_limit, 1)),
                       q.rate_tokens + q.rate_limit
                       * extract(epoch FROM clock_timestamp() - q.rate_filled_at)::float) AS tokens
    FROM queues_queue q
    WHERE q.id = %(queue)s::bigint AND q.rate_limit IS NOT NULL AND (SELECT chunks FROM due) > 0
    FOR NO KEY UPDATE
),
gate AS MATERIALIZED (
    SELECT CASE WHEN q.rate_limit IS NOT NULL THEN ceil(b.tokens)::bigint END AS want
    FROM queue q LEFT JOIN bucket b ON b.id = q.id
    WHERE (q.max_runs IS NULL OR EXISTS (SELECT FROM slot)) AND (q.rate_limit IS NULL OR b.tokens > 0)
),
locked AS MATERIALIZED (
    SELECT x.*
    FROM generate_series(0, 4) AS p(priority) CROSS JOIN LATERAL (
        SELECT c.id, c.priority, c.run_at, c.created_at, c.size, c.succeeded, c.cancelled, c.bytes, c.handler,
               c.batch_id, c.solo
        FROM queues_chunk c
        WHERE c.queue_id = %(queue)s::bigint AND c.state = 'ready' AND c.priority = p.priority
          AND c.run_at <= statement_timestamp()
        ORDER BY c.run_at, c.id
        LIMIT (SELECT chunks FROM due)
        FOR UPDATE SKIP LOCKED
    ) x
    WHERE EXISTS (SELECT FROM gate)
    LIMIT (SELECT chunks FROM due)
),
head AS MATERIALIZED (
    SELECT l.handler, l.batch_id, l.solo, coalesce(a.want, %(want)s::bigint) AS want
    FROM (SELECT * FROM locked ORDER BY priority, run_at, id LIMIT 1) l LEFT JOIN aims a ON a.handler = l.handler
),
fitting AS MATERIALIZED (
    SELECT l.*, sum(l.size) OVER line - l.size AS jobs_before,
           sum(l.bytes) OVER line - l.bytes AS bytes_before, row_number() OVER line AS place
    FROM locked l, head h, queue q
    WHERE l.handler = h.handler AND l.solo = h.solo
      AND (NOT q.one_batch OR l.batch_id IS NOT DISTINCT FROM h.batch_id)
    WINDOW line AS (ORDER BY l.priority, l.run_at, l.id ROWS UNBOUNDED PRECEDING)
),
flush AS MATERIALIZED (
    SELECT q.id
    FROM queue q
    WHERE (q.flush_jobs IS NULL AND q.flush_bytes IS NULL AND q.flush_seconds IS NULL)
       OR (SELECT coalesce(sum(size) >= q.flush_jobs, false) OR coalesce(sum(bytes) >= q.flush_bytes, false)
                  OR coalesce(min(greatest(run_at, created_at)) <= statement_timestamp()
                              - make_interval(secs => q.flush_seconds), false)
                  OR coalesce(bool_or(solo), false)
           FROM fitting)
),
taken AS MATERIALIZED (
    SELECT f.*
    FROM fitting f, gate g, head h
    WHERE f.jobs_before < least(h.want, g.want) AND f.bytes_before < %(max_bytes)s::bigint
      AND (NOT f.solo OR f.place = 1) AND EXISTS (SELECT FROM flush)
),
run AS (
    INSERT INTO queues_run (queue_id, worker_id, handler, lease_until, careful, chunks, claimed, wanted, bytes, wait_ms)
    SELECT %(queue)s::bigint, %(worker)s::uuid, min(handler),
           clock_timestamp() + make_interval(secs => %(lease)s::float), bool_or(solo), count(*),
           sum(size - succeeded - cancelled), (SELECT want FROM head), sum(bytes),
           extract(epoch FROM clock_timestamp() - min(greatest(run_at, created_at)))::float * 1000
    FROM taken
    HAVING count(*) > 0
    RETURNING id, claimed
),
slot_taken AS (
    UPDATE queues_queueslot SET run_id = (SELECT id FROM run)
    WHERE id = (SELECT id FROM slot) AND EXISTS (SELECT FROM run)
),
bucket_taken AS (
    UPDATE queues_queue
    SET rate_tokens = (SELECT tokens FROM bucket) - (SELECT claimed FROM run), rate_filled_at = clock_timestamp()
    WHERE id = (SELECT id FROM bucket) AND EXISTS (SELECT FROM run)
)
UPDATE queues_chunk
SET state = 'leased', run_id = (SELECT id FROM run), run_ids = run_ids || (SELECT id FROM run)
WHERE id = ANY(ARRAY(SELECT id FROM taken))
RETURNING run_id, id, batch_id, handler, priority, extract(epoch FROM run_at)::float, size, succeeded, cancelled,
          bytes, first_id, span, job_ids, ended, losses, tries, solo, has_keys
