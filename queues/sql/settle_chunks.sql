-- What a settle or checkpoint leaves of each leased chunk, `gone` jobs having left it, and the run's counts.
WITH counted AS (
    UPDATE queues_run
    SET succeeded = succeeded + %(n_succeeded)s::int, failed = failed + %(n_failed)s::int,
        retried = retried + %(n_retried)s::int, dead = dead + %(n_dead)s::int,
        cancelled = cancelled + %(n_cancelled)s::int, returned = returned + %(n_returned)s::int,
        p50_ms = coalesce(%(p50)s::float, p50_ms), p95_ms = coalesce(%(p95)s::float, p95_ms),
        max_ms = greatest(%(max)s::float, max_ms)
    WHERE id = %(run)s::bigint
)
UPDATE queues_chunk c
SET size = c.size - n.gone,
    succeeded = n.succeeded,
    cancelled = CASE WHEN n.state = 'cancelled' THEN c.size - n.gone - n.succeeded
                     ELSE c.cancelled + n.cancelled END,
    ended = n.ended,
    state = n.state,
    held_why = CASE WHEN n.state = 'held' THEN 'paused' ELSE c.held_why END,
    tries = c.tries + n.tried,
    run_at = CASE WHEN n.delay IS NULL THEN c.run_at
                  ELSE clock_timestamp() + make_interval(secs => n.delay) END,
    finished_at = CASE WHEN n.state IN ('done', 'cancelled') THEN clock_timestamp() END
FROM unnest(%(ids)s::bigint[], %(gone)s::int[], %(succeeded)s::int[], %(cancelled)s::int[], %(ended)s::bytea[],
            %(states)s::text[], %(tried)s::smallint[], %(delays)s::float[])
     AS n(id, gone, succeeded, cancelled, ended, state, tried, delay)
WHERE c.id = n.id AND c.run_id = %(run)s::bigint AND c.state = 'leased'
