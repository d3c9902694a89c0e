-- Fills the bucket of a queue with an enqueue rate by the time that has passed, and locks it until the transaction ends.
-- The first enqueue finds it full. `clock_timestamp()` is read when the lock is held, and so after any wait for it; time that
-- went backwards takes nothing away. A row of its own, so that only enqueuers wait for each other here.
INSERT INTO queues_enqueuebucket AS bucket (queue_id, tokens, filled_at)
VALUES (%(queue)s::bigint, %(burst)s::float, clock_timestamp())
ON CONFLICT (queue_id) DO UPDATE
SET tokens = least(%(burst)s::float, bucket.tokens + %(rate)s::float * greatest(
        0, extract(epoch FROM clock_timestamp() - bucket.filled_at)::float)),
    filled_at = clock_timestamp()
RETURNING tokens
