package lab

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// command is an entry of the command table.
type command struct {
	name  string // lower case; "client|id" for a subcommand
	arity int    // number of words including the name; -n means at least n
	flags commandFlag
	run   func(*request) Reply
}

type commandFlag uint8

const (
	write    commandFlag = 1 << iota // changes data
	noScript                         // not allowed in a script
	anytime                          // sets up the connection; not affected by faults
	unseen                           // not shown by MONITOR
	pubsub                           // allowed for subscribers
	noAuth                           // allowed before AUTH
	noQueue                          // not queued by MULTI
)

// request is a command that is being executed. The database lock is held during its execution.
type request struct {
	db   *DB
	c    *client
	cmd  *command
	argv []string // argv[0] is the command name as sent by the client
}

func (r *request) keys() keyspace { return r.db.keyspaces[r.c.dbIndex] }

func (r *request) touch(class eventClass, event, key string) {
	r.db.touch(r.c, class, event, key)
}

const (
	errWrongType = ErrorReply("WRONGTYPE Operation against a key holding the wrong kind of value")
	errSyntax    = ErrorReply("ERR syntax error")
	errNotInt    = ErrorReply("ERR value is not an integer or out of range")
)

func lower(s string) string { return strings.ToLower(s) }

func errArity(name string) ErrorReply {
	return ErrorReply("ERR wrong number of arguments for '" + name + "' command")
}

// The command table is made by the first call of commands, because the daemon, which has no use for
// it, would make it at each start.
var (
	commandsOnce sync.Once
	commandTable map[string]*command
	makeCommands func() map[string]*command
)

// init sets makeCommands. Initializing the variable directly would cause an initialization cycle,
// because EXEC and EVAL look up commands.
func init() {
	makeCommands = func() map[string]*command {
		return tableOf(keyCommands, hashCommands, setCommands, pubsubCommands, scriptCommands,
			connectionCommands, transactionCommands, serverCommands)
	}
}

// commands returns the command table. Subcommands are separate entries such as "client|id".
func commands() map[string]*command {
	commandsOnce.Do(func() { commandTable = makeCommands() })
	return commandTable
}

func tableOf(parts ...[]command) map[string]*command {
	table := make(map[string]*command)
	for _, part := range parts {
		for i := range part {
			table[part[i].name] = &part[i]
			if container, _, sub := strings.Cut(part[i].name, "|"); sub {
				table[container] = &command{name: container, arity: -2}
			}
		}
	}
	return table
}

// lookup returns the command for argv and checks the number of arguments.
func lookup(argv []string) (*command, ErrorReply) {
	name := lower(argv[0])
	cmd := commands()[name]
	if cmd == nil {
		return nil, errUnknown(argv)
	}
	if cmd.run == nil && len(argv) > 1 {
		if cmd = commands()[name+"|"+lower(argv[1])]; cmd == nil {
			return nil, ErrorReply(fmt.Sprintf("ERR unknown subcommand '%.128s'. Try %s HELP.",
				argv[1], strings.ToUpper(name)))
		}
	}
	if cmd.arity >= 0 && len(argv) != cmd.arity || len(argv) < -cmd.arity {
		return nil, errArity(cmd.name)
	}
	return cmd, ""
}

func errUnknown(argv []string) ErrorReply {
	const most = 128
	var args strings.Builder
	for _, a := range argv[1:] {
		if args.Len() >= most {
			break
		}
		fmt.Fprintf(&args, "'%.*s' ", most-args.Len(), a)
	}
	return ErrorReply(fmt.Sprintf("ERR unknown command '%.*s', with args beginning with: %s", most, argv[0], &args))
}

// process checks a client's command, then queues or runs it. The caller must hold the lock.
func (db *DB) process(c *client, argv []string) Reply {
	if strings.EqualFold(argv[0], "quit") {
		c.quit = true
		return ok
	}
	cmd, problem := lookup(argv)
	if problem == "" {
		problem = db.admission(c, cmd)
	}
	if problem != "" {
		c.dirty = c.inMulti
		return problem
	}
	if c.inMulti && cmd.flags&noQueue == 0 {
		c.queue = append(c.queue, argv)
		return Status("QUEUED")
	}
	return db.call(&request{db, c, cmd, argv})
}

// admission returns the error reply if client c must not run cmd now, or "" if it may.
func (db *DB) admission(c *client, cmd *command) ErrorReply {
	if !c.authenticated && cmd.flags&noAuth == 0 {
		return "NOAUTH Authentication required."
	}
	if c.conn != nil {
		if refusal := db.fault.refuse(cmd); refusal != "" {
			return refusal
		}
	}
	if c.subscriptions() > 0 && cmd.flags&pubsub == 0 {
		return ErrorReply(fmt.Sprintf("ERR Can't execute '%s': only (P|S)SUBSCRIBE / "+
			"(P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context", cmd.name))
	}
	return ""
}

// call runs a command and sends it to clients in MONITOR mode after it has run. As in Redis,
// scripts are sent before the commands that they call.
func (db *DB) call(r *request) Reply {
	script := strings.HasPrefix(r.cmd.name, "eval")
	if script {
		db.feedMonitors(r.c, r.argv)
	}
	reply := r.cmd.run(r)
	if !script && r.cmd.flags&unseen == 0 {
		db.feedMonitors(r.c, r.argv)
	}
	return reply
}

// feedMonitors sends a line to each client in MONITOR mode. Source:
// https://redis.io/docs/latest/commands/monitor/
func (db *DB) feedMonitors(c *client, argv []string) {
	if db.monitors == 0 {
		return
	}
	now := time.Now()
	source := c.addr
	if c.inLua {
		source = "lua"
	}
	line := fmt.Appendf(nil, "%d.%06d [%d %s]", now.Unix(), now.Nanosecond()/1000, c.dbIndex, source)
	for _, arg := range argv {
		line = appendQuoted(append(line, ' '), arg)
	}
	for _, m := range db.clients {
		if m.monitor {
			m.push(Status(line))
		}
	}
}
