-- Takes what was enqueued out of the bucket, which the same transaction has locked; it may go into debt.
UPDATE queues_enqueuebucket SET tokens = tokens - %(jobs)s::bigint WHERE queue_id = %(queue)s::bigint
