-- Values for the next partition statement of this transaction, which can take no parameters itself.
SELECT set_config('batchconsole.partition', %(number)s::text, true),
       set_config('batchconsole.partition_size', %(size)s::text, true),
       set_config('batchconsole.older_than', %(before)s::text, true),
       set_config('batchconsole.kept', %(kept)s::bigint[]::text, true)
