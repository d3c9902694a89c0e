-- Bounds each further statement: of the open transaction, or of the session.
SELECT set_config('statement_timeout', %s, %s)
