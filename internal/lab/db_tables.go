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
	if len(s.Keys) < 2 {
		return ErrorReply("ERR the set script requires channel and key set")
	}
	refused, args := []Reply{}, s.Args
	for _, pending := range s.Keys[2:] {
		if len(args) < 2 {
			return ErrorReply("ERR the set script requires the key and the number of fields of each row")
		}
		key := args[0]
		n, err := strconv.Atoi(args[1])
		if args = args[2:]; err != nil || n < 0 || 2*n > len(args) {
			return ErrorReply("ERR the set script requires the fields of each row")
		}
		e := setFields(s, pending, args[:2*n])
		if args = args[2*n:]; e != "" {
			refused = append(refused, key, string(e))
			continue
		}
		added := s.Call("SADD", s.Keys[1], key)
		if added == 1 {
			added = s.Call("PUBLISH", s.Keys[0], "G")
		}
		if e, isErr := added.(ErrorReply); isErr {
			return e
		}
	}
	return refused
}

// setFields sets the pending fields of one row. It returns the last error reply, or "" if there is
// none. The script also sets fields in parts of this size; MONITOR must show the same commands.
func setFields(s ScriptCall, pending string, fields []string) (err ErrorReply) {
	const part = 1000
	for ; len(fields) > 0; fields = fields[min(part, len(fields)):] {
		hset := append([]string{"HSET", pending}, fields[:min(part, len(fields))]...)
		if e, isErr := s.Call(hset...).(ErrorReply); isErr {
			err = e
		}
	}
	return err
}

// popScript moves rows from a ProducerStateTable to its table, like sonic-swss-common
// common/consumerstatetable.cpp. KEYS are the key set and the set of keys to delete first. ARGV are
// the maximum number of rows and the table name with its separator. For each row, the script
// returns an array with the key and an array of fields and values. A row without fields is a
// deletion.
var popScript = sonicdb.Script{Source: `
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
`}

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
