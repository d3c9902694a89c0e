-- The operations among some that were about jobs of a batch with its parts. Each is entered by the index of its items at
-- the first job of the batch: one look where no other batch has jobs among its numbers, else at so many items at most,
-- and whose jobs these are.
SELECT o.id
FROM unnest(%(operations)s::bigint[]) AS o(id)
WHERE EXISTS (
    SELECT
    FROM (
        SELECT i.job_id FROM queues_operationitem i
        WHERE i.operation_id = o.id AND i.job_id BETWEEN %(first)s::bigint AND %(last)s::bigint
        ORDER BY i.job_id LIMIT %(items)s::int
    ) i
    WHERE %(alone)s::boolean
       OR EXISTS (SELECT FROM queues_job j WHERE j.id = i.job_id AND j.batch_id = ANY(%(batches)s::bigint[]))
       OR EXISTS (SELECT FROM queues_archivedjob a WHERE a.id = i.job_id AND a.batch_id = ANY(%(batches)s::bigint[]))
)
