-- Admit a job, if there is room before its model (hop 2).
-- KEYS  1 job hash   2 jobs of the model that wait   3 its jobs that have no end   4… the lists of its queue
-- ARGV  1 job id   2 now   3 the job's deadline (Unix seconds)   4 most jobs that may wait
--       5 most messages in the lists   6 seconds to keep the records   7… the record's fields and values
-- →     nil if admitted (again, if the reply was lost), or how many wait already
-- A job that is cancelled waits no more, but its message stays in its list until a worker drops it: so both
-- the jobs and the messages have a bound.
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[2])
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) then
    local waiting, messages = redis.call('ZCARD', KEYS[2]), 0
    for list = 4, #KEYS do messages = messages + redis.call('LLEN', KEYS[list]) end
    if waiting >= tonumber(ARGV[4]) then return waiting end
    if messages >= tonumber(ARGV[5]) then return messages end
end
redis.call('HSET', KEYS[1], unpack(ARGV, 7))
redis.call('EXPIRE', KEYS[1], ARGV[6])
for jobs = 2, 3 do
    redis.call('ZADD', KEYS[jobs], ARGV[3], ARGV[1])
    -- Never sooner: another job may have more time than this one.
    redis.call('EXPIRE', KEYS[jobs], ARGV[6], 'NX')
    redis.call('EXPIRE', KEYS[jobs], ARGV[6], 'GT')
end
return nil
