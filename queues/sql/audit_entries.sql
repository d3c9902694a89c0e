-- Some entries of the audit by their ids, newest first: for a file of ten thousand, of which Django would make as many
-- objects.
SELECT id, at, actor, source, action, target, reason, outcome::text
FROM queues_auditentry
WHERE id = ANY(%(ids)s::bigint[])
ORDER BY at DESC, id DESC
