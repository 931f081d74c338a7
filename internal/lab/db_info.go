package lab

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// serverVersion is the Redis version that the server reports.
const serverVersion = "7.0.15"

var serverCommands = []command{
	{"info", -1, anytime, cmdInfo},
	{"config|get", -3, noScript | anytime | unseen, cmdConfigGet},
	{"config|set", -4, noScript | anytime | unseen, cmdConfigSet},
	{"monitor", 1, noScript | anytime | unseen, cmdMonitor},
	{"time", 1, anytime, cmdTime},
	{"command", -1, anytime, cmdCommand},
}

// cmdInfo implements INFO. It returns only the lines that common tools need, regardless of the
// requested section.
func cmdInfo(r *request) Reply {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("# Server")
	line("redis_version:%s", serverVersion)
	line("redis_mode:standalone")
	line("process_id:%d", os.Getpid())
	line("uptime_in_seconds:%d", int(time.Since(r.db.started).Seconds()))
	line("")
	line("# Clients")
	line("connected_clients:%d", len(r.db.clients))
	line("")
	line("# Persistence")
	line("loading:0")
	line("")
	line("# Replication")
	line("role:master")
	line("")
	line("# Keyspace")
	for i, ks := range r.db.keyspaces {
		if len(ks) > 0 {
			line("db%d:keys=%d,expires=0,avg_ttl=0", i, len(ks))
		}
	}
	return b.String()
}

// settings returns the names and values of all CONFIG parameters. Only notify-keyspace-events can
// be changed.
func (db *DB) settings() [][2]string {
	return [][2]string{
		{"databases", strconv.Itoa(len(db.keyspaces))},
		{"notify-keyspace-events", db.notify.String()},
	}
}

func cmdConfigGet(r *request) Reply {
	out := []Reply{}
	for _, s := range r.db.settings() {
		for _, pattern := range r.argv[2:] {
			if globMatch(lower(pattern), s[0]) {
				out = append(out, s[0], s[1])
				break
			}
		}
	}
	return out
}

func cmdConfigSet(r *request) Reply {
	if len(r.argv)%2 != 0 {
		return errArity("config|set")
	}
	for i := 2; i < len(r.argv); i += 2 {
		if lower(r.argv[i]) != "notify-keyspace-events" {
			return ErrorReply("ERR Unknown option or number of arguments for CONFIG SET - '" + r.argv[i] + "'")
		}
		class, err := parseEventClass(r.argv[i+1])
		if err != nil {
			return ErrorReply("ERR CONFIG SET failed (possibly related to argument 'notify-keyspace-events') - " +
				"Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
		}
		r.db.notify = class
	}
	return ok
}

func cmdMonitor(r *request) Reply {
	if r.c.conn == nil {
		return ErrorReply("ERR monitor requires a connection")
	}
	if !r.c.monitor {
		r.c.monitor = true
		r.db.monitors++
	}
	return ok
}

func cmdTime(*request) Reply {
	now := time.Now()
	return bulks(strconv.FormatInt(now.Unix(), 10), strconv.Itoa(now.Nanosecond()/1000))
}

// cmdCommand implements COMMAND. It returns an empty list, which clients accept.
func cmdCommand(*request) Reply { return []Reply{} }
