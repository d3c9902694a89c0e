-- The first rows of several parts, merged in the order that each of them has.
SELECT * FROM ({parts}) AS parts
ORDER BY {order}
LIMIT {limit:d} OFFSET {skip:d}
