"""What Django's schema language cannot say: id blocks, storage settings, the partitioned archive."""

from django.db import migrations

# Blocks of ids from one place. A lock until commit would stall every other enqueuer, and `setval` beside
# somebody's `nextval` hands out the same ids twice: hence a session lock, given back on error too.
RESERVE_IDS = """
CREATE FUNCTION queues_reserve_ids(sequence regclass, wanted bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    first bigint;
BEGIN
    PERFORM pg_advisory_lock(7155, sequence::oid::int);
    BEGIN
        first := nextval(sequence);
        IF wanted > 1 THEN
            PERFORM setval(sequence, first + wanted - 1);
        END IF;
    EXCEPTION WHEN OTHERS THEN
        PERFORM pg_advisory_unlock(7155, sequence::oid::int);
        RAISE;
    END;
    PERFORM pg_advisory_unlock(7155, sequence::oid::int);
    RETURN first;
END $$;
CREATE SEQUENCE queues_job_id_seq AS bigint OWNED BY queues_job.id;
"""

# Room on the page for the second version of a row (HOT), and vacuum by count instead of by share:
# these tables grow to millions of rows, of which few change.
STORAGE = """
ALTER TABLE queues_job SET (fillfactor = 92, autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 10000, autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 50000);
ALTER TABLE queues_chunk SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 10000, autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 10000);
ALTER TABLE queues_run SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 10000);
ALTER TABLE queues_queue SET (fillfactor = 50, autovacuum_vacuum_threshold = 100);
ALTER TABLE queues_worker SET (fillfactor = 50, autovacuum_vacuum_threshold = 100);
"""

ARCHIVE = """
CREATE TABLE queues_archivedjob_new (LIKE queues_archivedjob INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
    PARTITION BY RANGE (id);
DROP TABLE queues_archivedjob;
ALTER TABLE queues_archivedjob_new RENAME TO queues_archivedjob;
ALTER TABLE queues_archivedjob ADD CONSTRAINT queues_archivedjob_pkey PRIMARY KEY (id);
CREATE INDEX archived_batch ON queues_archivedjob (batch_id, id);
CREATE INDEX archived_finished_at ON queues_archivedjob (finished_at, id);
"""


class Migration(migrations.Migration):
    dependencies = [("queues", "0001_tables")]
    operations = [
        migrations.RunSQL(
            RESERVE_IDS,
            "DROP FUNCTION queues_reserve_ids(regclass, bigint); DROP SEQUENCE queues_job_id_seq",
        ),
        migrations.RunSQL(STORAGE, migrations.RunSQL.noop),
        migrations.RunSQL(ARCHIVE, migrations.RunSQL.noop),
    ]
