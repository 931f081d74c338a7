package sonicdb

// MirrorScript writes rows of one table only where another table has the key,
// all in one atomic call. It is for two databases of one instance: SELECT
// inside a script changes the script's database and not the caller's.
//
// KEYS are pairs, the key that must exist and the key to write. ARGV[1] is the
// number of the database of the second; then come four for each pair: one of
// the Mirror... words, and the values of netdev_oper_status, admin_status, mtu.
//
// The answer is a string with one letter for each pair: "1" the first key
// exists, "0" it does not (or was not asked for), "E" the write failed. After a
// blank the first error follows, if there was one.
var MirrorScript = NewScript(`local have, out, first = {}, {}, ''
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
return table.concat(out) .. first`)

// The words of MirrorScript.
const (
	MirrorSet        = "S" // set the row if the key exists
	MirrorReplace    = "R" // delete the row, then set it if the key exists
	MirrorDelete     = "D" // delete the row
	MirrorDeleteLook = "L" // delete the row and say whether the key exists
)
