package sonicdb

// MirrorScript atomically writes rows of one table whose keys exist in another table. Both
// databases must be on the same server. SELECT in a script does not change the connection's
// database.
//
// KEYS are pairs: the key that must exist and the key to write. ARGV[1] is the database number of
// the second key. For each pair, four arguments follow: a Mirror operation and the values of
// netdev_oper_status, admin_status and mtu.
//
// The reply is a string with one letter per pair: "1" if the first key exists, "0" if it does not
// exist or was not checked, "E" if the write failed. If a write failed, a space and the first error
// follow.
var MirrorScript = Script{Source: `local have, out, first = {}, {}, ''
for i = 1, #KEYS, 2 do
  if ARGV[2 * i] ~= 'D' then have[i] = redis.call('EXISTS', KEYS[i]) else have[i] = 0 end
end
redis.call('SELECT', ARGV[1])
for i = 1, #KEYS, 2 do
  local a, r = 2 * i, false
  if ARGV[a] ~= 'S' then r = redis.pcall('DEL', KEYS[i + 1]) end
  if have[i] == 1 and (ARGV[a] == 'S' or ARGV[a] == 'R') and not (type(r) == 'table') then
    r = redis.pcall('HSET', KEYS[i + 1], 'state', 'ok', 'netdev_oper_status', ARGV[a + 1], 'admin_status', ARGV[a + 2], 'mtu', ARGV[a + 3])
  end
  if type(r) == 'table' and r.err then
    out[#out + 1] = 'E'
    if first == '' then first = ' ' .. r.err end
  else
    out[#out + 1] = have[i] == 1 and '1' or '0'
  end
end
return table.concat(out) .. first`}

// Operations of MirrorScript.
const (
	MirrorSet         = "S" // set the row if the key exists
	MirrorReplace     = "R" // delete the row, then set it if the key exists
	MirrorDelete      = "D" // delete the row
	MirrorDeleteCheck = "L" // delete the row, and report whether the key exists
)
