package lab

import (
	"strconv"

	"portsyncd/internal/sonicdb"
)

// registerOwn registers Go implementations of the scripts that the daemon and [Orchagent] use.
func (s *scripts) registerOwn() {
	s.known[sonicdb.SetScript.Source] = runSetScript
	s.known[popScript.Source] = runPopScript
	s.known[sonicdb.MirrorScript.Source] = runMirrorScript
}

// runSetScript implements sonicdb.SetScript.
func runSetScript(s ScriptCall) Reply {
	if len(s.Keys) < 2 || len(s.Args) < 2 || len(s.Args) > 2 && len(s.Keys) < 3 {
		return ErrorReply("ERR the set script requires channel, key set and pending hash; message, key and fields")
	}
	// The script also sets fields in chunks of this size; MONITOR must show the same commands.
	const slice = 1000
	for fields := s.Args[2:]; len(fields) > 0; fields = fields[min(slice, len(fields)):] {
		hset := append([]string{"HSET", s.Keys[2]}, fields[:min(slice, len(fields))]...)
		if e, isErr := s.Call(hset...).(ErrorReply); isErr {
			return e
		}
	}
	added := s.Call("SADD", s.Keys[1], s.Args[1])
	if added == 1 {
		added = s.Call("PUBLISH", s.Keys[0], s.Args[0])
	}
	if e, isErr := added.(ErrorReply); isErr {
		return e
	}
	return nil
}

// popScript moves rows from a ProducerStateTable to its table, like sonic-swss-common
// common/consumerstatetable.cpp. KEYS are the key set and the set of keys to delete first. ARGV are
// the maximum number of rows and the table name with its separator. For each row, the script
// returns an array with the key and an array of fields and values. A row without fields is a
// deletion.
var popScript = sonicdb.NewScript(`
local popped = {}
for _, key in ipairs(redis.call('SPOP', KEYS[1], ARGV[1])) do
	local row, pending = ARGV[2] .. key, '_' .. ARGV[2] .. key
	if redis.call('SREM', KEYS[2], key) == 1 then
		redis.call('DEL', row)
	end
	local fields = redis.call('HGETALL', pending)
	if #fields > 0 then
		redis.call('HSET', row, unpack(fields))
	end
	redis.call('DEL', pending)
	popped[#popped + 1] = {key, fields}
end
return popped
`)

// runPopScript implements popScript.
func runPopScript(s ScriptCall) Reply {
	if len(s.Keys) != 2 || len(s.Args) != 2 {
		return ErrorReply("ERR the pop script requires key set and delete set; a number and a table")
	}
	if _, err := strconv.Atoi(s.Args[0]); err != nil {
		return s.locate("ERR value is out of range, must be positive")
	}
	keys, isArray := s.Call("SPOP", s.Keys[0], s.Args[0]).([]Reply)
	if !isArray {
		return s.locate(errWrongType)
	}
	popped := []Reply{}
	for _, key := range keys {
		row, fields := s.Args[1]+key.(string), []Reply{}
		if s.Call("SREM", s.Keys[1], key.(string)) == 1 {
			s.Call("DEL", row)
		}
		if pending, isArray := s.Call("HGETALL", "_"+row).([]Reply); isArray {
			fields = pending
		}
		if len(fields) > 0 {
			hset := []string{"HSET", row}
			for _, f := range fields {
				hset = append(hset, f.(string))
			}
			s.Call(hset...)
		}
		s.Call("DEL", "_"+row)
		popped = append(popped, []Reply{key, fields})
	}
	return popped
}
