-- Drops a partition of the archive in which nothing ended after a time and nothing is of a batch that is kept. It has been
-- looked at without a lock, so that readers are not held up in vain; asked again under it, because an archiver may have
-- added rows. The parent is locked first, as an insert does. One index look for each queue, and one for each batch kept.
DO $$
DECLARE
    name text := 'queues_archivedjob_p' || current_setting('batchconsole.partition');
    over boolean;
BEGIN
    LOCK TABLE ONLY queues_archivedjob IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('LOCK TABLE %%I IN ACCESS EXCLUSIVE MODE', name);
    EXECUTE format('SELECT NOT EXISTS (SELECT FROM queues_queue q WHERE EXISTS ('
                   'SELECT FROM %%1$I a WHERE a.queue_id = q.id AND a.finished_at >= $1)) '
                   'AND NOT EXISTS (SELECT FROM %%1$I a WHERE a.batch_id = ANY($2))', name)
        INTO over USING current_setting('batchconsole.older_than')::timestamptz,
                        current_setting('batchconsole.kept')::bigint[];
    IF over THEN
        EXECUTE format('DROP TABLE %%I', name);
    END IF;
END $$
