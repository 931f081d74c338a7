package lab

import (
	"strings"

	"portsyncd/internal/sonicdb"
)

// runMirrorScript implements sonicdb.MirrorScript.
func runMirrorScript(s ScriptCall) Reply {
	const perPair = 4
	pairs := len(s.Keys) / 2
	if len(s.Keys) != 2*pairs || len(s.Args) != 1+perPair*pairs {
		return ErrorReply("ERR the mirror script requires pairs of keys, a database and four arguments per pair")
	}
	exists := make([]bool, pairs)
	for i := range exists {
		if s.Args[1+perPair*i] != sonicdb.MirrorDelete {
			exists[i] = s.Call("EXISTS", s.Keys[2*i]) == Reply(1)
		}
	}
	if e, isErr := s.Call("SELECT", s.Args[0]).(ErrorReply); isErr {
		return e
	}
	var letters, first strings.Builder
	for i, has := range exists {
		e := s.mirror(has, s.Keys[2*i+1], s.Args[1+perPair*i:][:perPair])
		switch {
		case e != "":
			letters.WriteByte('E')
			if first.Len() == 0 {
				first.WriteString(" " + string(e))
			}
		case has:
			letters.WriteByte('1')
		default:
			letters.WriteByte('0')
		}
	}
	return letters.String() + first.String()
}

// mirror writes one row as sonicdb.MirrorScript does. It returns the error reply, or "" if there is
// none.
func (s ScriptCall) mirror(exists bool, key string, args []string) ErrorReply {
	word := args[0]
	if word != sonicdb.MirrorSet {
		if e := s.pcall("DEL", key); e != "" {
			return e
		}
	}
	if !exists || word != sonicdb.MirrorSet && word != sonicdb.MirrorReplace {
		return ""
	}
	return s.pcall("HSET", key, "state", "ok",
		"netdev_oper_status", args[1], "admin_status", args[2], "mtu", args[3])
}

// pcall implements redis.pcall and returns the error reply, if any. Unlike an error of redis.call,
// it does not include the position in the script.
func (s ScriptCall) pcall(argv ...string) ErrorReply {
	e, _ := s.Call(argv...).(ErrorReply)
	text, _, _ := strings.Cut(string(e), " script: ")
	return ErrorReply(text)
}
