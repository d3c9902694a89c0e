-- How long a statement may take here.
SELECT current_setting('statement_timeout')
