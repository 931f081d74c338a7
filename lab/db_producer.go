package lab

import "portsyncd/sonicdb"

// runSetScript does what sonicdb.SetScript does in Lua: KEYS are the channel,
// the key set, and the pending hash once for each field; ARGV are the message,
// the row's key, then field and value alternating.
func runSetScript(s ScriptCall) Reply {
	if len(s.Keys) < 2 || len(s.Args) < 2 || len(s.Args) > 2 && len(s.Keys) < 3 {
		return ErrorReply("ERR the set script wants channel, key set and pending hash; message, key and fields")
	}
	// In slices as the script has it, for the sake of equal MONITOR lines.
	const slice = 1000
	for fields := s.Args[2:]; len(fields) > 0; fields = fields[min(slice, len(fields)):] {
		hset := append([]string{"HSET", s.Keys[2]}, fields[:min(slice, len(fields))]...)
		if e, isErr := s.Call(hset...).(ErrorReply); isErr {
			return e
		}
	}
	switch added := s.Call("SADD", s.Keys[1], s.Args[1]).(type) {
	case ErrorReply:
		return added
	case int:
		if added == 1 {
			return errorOnly(s.Call("PUBLISH", s.Keys[0], s.Args[0]))
		}
	}
	return nil
}

// errorOnly is for scripts that return nothing: r if it is an error, else nil.
func errorOnly(r Reply) Reply {
	if e, isErr := r.(ErrorReply); isErr {
		return e
	}
	return nil
}

// registerOwn makes the scripts of the daemon and of [Orchagent] known.
func (s *scripts) registerOwn() {
	s.known[sonicdb.SetScript.Source] = runSetScript
}
