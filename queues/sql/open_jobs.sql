-- Which of these jobs a run still holds: in one of its leased chunks, with no state of their own and no bit.
SELECT j.id
FROM queues_job j JOIN queues_chunk c ON c.id = j.chunk_id
WHERE j.id = ANY(%(jobs)s::bigint[]) AND j.own_state IS NULL AND c.run_id = %(run)s::bigint AND c.state = 'leased'
  AND (c.ended IS NULL
       OR get_bit(c.ended, CASE WHEN c.first_id IS NOT NULL THEN (j.id - c.first_id)::int
                                ELSE array_position(c.job_ids, j.id) - 1 END) = 0)
