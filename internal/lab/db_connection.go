package lab

import (
	"strconv"
	"strings"
)

var connectionCommands = []command{
	{"ping", -1, pubsub, cmdPing},
	{"echo", 2, 0, cmdEcho},
	{"select", 2, anytime, cmdSelect},
	{"auth", -2, noScript | anytime | noAuth, cmdAuth},
	{"hello", -1, noScript | anytime | noAuth, cmdHello},
	{"client|id", 2, noScript | anytime, cmdClientID},
	{"client|setname", 3, noScript | anytime, cmdClientSetName},
	{"client|getname", 2, noScript | anytime, cmdClientGetName},
	{"client|tracking", -3, noScript | anytime, cmdClientTracking},
	{"client|kill", 4, noScript | anytime | unseen, cmdClientKill},
}

func cmdPing(r *request) Reply {
	if len(r.argv) > 2 {
		return errArity("ping")
	}
	message := ""
	if len(r.argv) == 2 {
		message = r.argv[1]
	}
	switch {
	case r.c.subscriptions() > 0:
		return bulks("pong", message)
	case len(r.argv) == 2:
		return message
	}
	return Status("PONG")
}

func cmdEcho(r *request) Reply { return r.argv[1] }

func cmdSelect(r *request) Reply {
	n, err := strconv.Atoi(r.argv[1])
	if err != nil {
		return errNotInt
	}
	if n < 0 || n >= len(r.db.keyspaces) {
		return ErrorReply("ERR DB index is out of range")
	}
	r.c.dbIndex = n
	return ok
}

// cmdAuth supports only the user "default".
func cmdAuth(r *request) Reply {
	if len(r.argv) > 3 {
		return errSyntax
	}
	given, user := r.argv[len(r.argv)-1], r.argv[1]
	// Hide the password from MONITOR.
	for i := range r.argv[1:] {
		r.argv[1+i] = "(redacted)"
	}
	if r.db.password == "" && len(r.argv) == 2 {
		return ErrorReply("ERR AUTH <password> called without any password configured for " +
			"the default user. Are you sure your configuration is correct?")
	}
	otherUser := len(r.argv) == 3 && user != "default"
	if otherUser || r.db.password != "" && given != r.db.password {
		return ErrorReply("WRONGPASS invalid username-password pair or user is disabled.")
	}
	r.c.authenticated = true
	return ok
}

// cmdHello accepts only RESP2.
func cmdHello(r *request) Reply {
	if len(r.argv) > 1 {
		switch v, err := strconv.Atoi(r.argv[1]); {
		case err != nil:
			return ErrorReply("ERR Protocol version is not an integer or out of range")
		case v != 2:
			return ErrorReply("NOPROTO unsupported protocol version")
		case len(r.argv) > 2:
			return ErrorReply("ERR Syntax error in HELLO option '" + r.argv[2] + "'")
		}
	}
	if !r.c.authenticated {
		return ErrorReply("NOAUTH HELLO must be called with the client already authenticated, otherwise " +
			"the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select " +
			"the RESP protocol version at the same time")
	}
	return []Reply{"server", "redis", "version", serverVersion, "proto", 2, "id", int(r.c.id),
		"mode", "standalone", "role", "master", "modules", []Reply{}}
}

func cmdClientID(r *request) Reply { return int(r.c.id) }

func cmdClientSetName(r *request) Reply {
	for _, b := range []byte(r.argv[2]) {
		if b < '!' || b > '~' {
			return ErrorReply("ERR Client names cannot contain spaces, newlines or special characters.")
		}
	}
	r.c.name = r.argv[2]
	return ok
}

func cmdClientGetName(r *request) Reply {
	if r.c.name == "" {
		return nil
	}
	return r.c.name
}

// cmdClientTracking implements CLIENT TRACKING ON|OFF [REDIRECT id] [BCAST] [PREFIX p ...]
// [NOLOOP]. Without REDIRECT, tracking requires RESP3 and therefore has no effect. Source:
// https://redis.io/docs/latest/commands/client-tracking/
func cmdClientTracking(r *request) Reply {
	t := &tracking{redirect: r.c.id}
	for opts := r.argv[3:]; len(opts) > 0; opts = opts[1:] {
		switch opt := lower(opts[0]); {
		case opt == "redirect" && len(opts) > 1:
			opts = opts[1:]
			id, err := strconv.ParseInt(opts[0], 10, 64)
			if err != nil {
				return errNotInt
			}
			if r.db.clients[id] == nil {
				return ErrorReply("ERR The client ID you want redirect to does not exist")
			}
			t.redirect = id
		case opt == "bcast":
			t.broadcast = true
		case opt == "prefix" && len(opts) > 1:
			opts = opts[1:]
			t.prefixes = append(t.prefixes, opts[0])
		case opt == "noloop":
			t.noLoop = true
		default:
			return errSyntax
		}
	}
	switch lower(r.argv[2]) {
	case "off":
		r.c.tracking = nil
		return ok
	case "on":
	default:
		return errSyntax
	}
	if !t.broadcast && len(t.prefixes) > 0 {
		return ErrorReply("ERR PREFIX option requires BCAST mode to be enabled")
	}
	if r.c.tracking != nil && r.c.tracking.broadcast != t.broadcast {
		return ErrorReply("ERR You can't switch BCAST mode on/off before disabling tracking for this client, " +
			"and then re-enabling it with a different mode.")
	}
	r.c.tracking = t
	return ok
}

// cmdClientKill implements CLIENT KILL ID id.
func cmdClientKill(r *request) Reply {
	if !strings.EqualFold(r.argv[2], "id") {
		return errSyntax
	}
	id, err := strconv.ParseInt(r.argv[3], 10, 64)
	if err != nil || id < 1 {
		return ErrorReply("ERR client-id should be greater than 0")
	}
	victim := r.db.clients[id]
	switch victim {
	case nil:
		return 0
	case r.c:
		r.c.quit = true
	default:
		victim.hangUp()
	}
	return 1
}
