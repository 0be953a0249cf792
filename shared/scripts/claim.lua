-- A gateway takes part in a job: its chunks are published to it from now on (hop 7).
-- KEYS  1 job hash
-- ARGV  1 gateway id   2 reader   3 if given, only if the job has not been given up
-- →     1, or 0 if there is no such job
local MOST = 4 -- gateways; one that nobody reads at costs a message each, one that is dropped reads the log
local reply_to, state, cancelled = unpack(redis.call('HMGET', KEYS[1], 'reply_to', 'state', 'cancelled'))
if not reply_to then return 0 end
if ARGV[3] and cancelled == 'left' and state ~= 'succeeded' then return 0 end
local gateways = { ARGV[1] }
for gateway in string.gmatch(reply_to, '%S+') do
    if gateway ~= ARGV[1] and #gateways < MOST then table.insert(gateways, gateway) end
end
redis.call('HSET', KEYS[1], 'reply_to', table.concat(gateways, ' '), 'reader', ARGV[2])
return 1
