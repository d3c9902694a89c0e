"""The state of a job as one expression for every statement that asks for it."""

from django.db import migrations

# First hit wins: its own state, its bit, its chunk's. The same rule as `domain.states.job_state`; a test holds the two
# together. Plain SQL, so that PostgreSQL writes it into the statement that calls it.
JOB_STATE = """
CREATE FUNCTION queues_job_state(
    own_state text, ended bytea, place integer, chunk_state text, held_why text, due boolean, failures integer
) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN own_state IS NOT NULL THEN own_state
        WHEN ended IS NOT NULL AND get_bit(ended, place) = 1 THEN 'succeeded'
        WHEN chunk_state = 'ready' AND due THEN 'waiting'
        WHEN chunk_state = 'ready' AND failures > 0 THEN 'retrying'
        WHEN chunk_state = 'ready' THEN 'scheduled'
        WHEN chunk_state = 'leased' THEN 'running'
        WHEN chunk_state = 'parked' AND held_why = 'trashed' THEN 'trashed'
        WHEN chunk_state = 'parked' THEN 'dead'
        WHEN chunk_state = 'done' THEN 'succeeded'
        ELSE chunk_state
    END
$$
"""
DROP = "DROP FUNCTION queues_job_state(text, bytea, integer, text, text, boolean, integer)"


class Migration(migrations.Migration):
    dependencies = [("queues", "0006_operations")]

    operations = [migrations.RunSQL(JOB_STATE, DROP)]
