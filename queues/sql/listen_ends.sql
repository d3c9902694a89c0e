-- From now on this session hears of every batch that ends.
LISTEN queues_batch_end
