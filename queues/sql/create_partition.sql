-- A partition of the archive for a range of ids. Made aside and attached: unlike CREATE ... PARTITION OF that
-- does not lock out readers and archivers. The advisory lock lets one of two archivers do it; the other looks into
-- pg_class for what came of it, because to_regclass may still answer from a cache of before the wait.
DO $$
DECLARE
    number bigint := current_setting('batchconsole.partition')::bigint;
    size bigint := current_setting('batchconsole.partition_size')::bigint;
    name text := 'queues_archivedjob_p' || number;
BEGIN
    PERFORM pg_advisory_xact_lock(7155, 1);
    IF NOT EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                   WHERE i.inhparent = 'queues_archivedjob'::regclass AND c.relname = name) THEN
        EXECUTE format('CREATE TABLE %%I (LIKE queues_archivedjob INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
        EXECUTE format('ALTER TABLE queues_archivedjob ATTACH PARTITION %%I FOR VALUES FROM (%%s) TO (%%s)',
                       name, number * size, (number + 1) * size);
    END IF;
END $$
