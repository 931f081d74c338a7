package lab

import (
	"crypto/sha1"
	"encoding/hex"
	"strconv"
	"strings"
)

var scriptCommands = []command{
	{"eval", -3, write | noScript, cmdEval},
	{"evalsha", -3, write | noScript, cmdEvalSHA},
	{"script|load", 3, noScript, cmdScriptLoad},
	{"script|exists", -3, noScript, cmdScriptExists},
	{"script|flush", -2, noScript, cmdScriptFlush},
}

// scripts holds the known and the loaded scripts.
type scripts struct {
	known  map[string]func(ScriptCall) Reply // by source
	loaded map[string]string                 // source by SHA-1 in hexadecimal
}

func (s *scripts) init() {
	s.known = make(map[string]func(ScriptCall) Reply)
	s.registerOwn()
	s.flush()
}

func (s *scripts) flush() { s.loaded = make(map[string]string) }

// ScriptCall is a call of a script with EVAL or EVALSHA. It is passed to the function that
// implements the script.
type ScriptCall struct {
	Keys, Args []string // KEYS and ARGV
	r          *request
	sha        string
}

// Call implements redis.call: it runs a command. If it returns an ErrorReply, the function must
// return that error, because Lua would abort the script.
func (s ScriptCall) Call(argv ...string) Reply {
	if len(argv) == 0 {
		return s.locate("ERR Please specify at least one argument for this redis lib call")
	}
	cmd, problem := lookup(argv)
	switch {
	case cmd == nil && strings.HasPrefix(string(problem), "ERR unknown command"):
		problem = "ERR Unknown Redis command called from script"
	case problem != "":
		problem = "ERR Wrong number of args calling Redis command from script"
	case cmd.flags&noScript != 0:
		problem = "ERR This Redis command is not allowed from script"
	}
	if problem != "" {
		return s.locate(problem)
	}
	c := s.r.c
	c.inLua = true
	reply := s.r.db.call(&request{s.r.db, c, cmd, argv})
	c.inLua = false
	if e, isErr := reply.(ErrorReply); isErr {
		return s.locate(e)
	}
	return reply
}

// locate appends the position in the script to an error reply, like Redis 7.0. The position is
// always line 1.
func (s ScriptCall) locate(e ErrorReply) ErrorReply {
	if strings.Contains(string(e), " script: ") {
		return e
	}
	return e + ErrorReply(" script: "+s.sha+", on @user_script:1.")
}

// RegisterScript makes fn the implementation of the script with the given source. fn must return a
// [Reply]. It is called with the database locked and must access the database only through its
// argument.
func (db *DB) RegisterScript(source string, fn func(ScriptCall) Reply) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.scripts.known[source] = fn
}

// function returns the implementation of source, or nil if the script is unknown. Besides
// registered scripts, it knows two scripts that tools use to mark their operations in MONITOR with
// a comment in the first line: one runs its arguments as a command, the other returns a number.
func (s *scripts) function(source string) func(ScriptCall) Reply {
	if fn := s.known[source]; fn != nil {
		return fn
	}
	if strings.HasPrefix(source, "--") {
		_, source, _ = strings.Cut(source, "\n")
	}
	if source == "return redis.call(unpack(ARGV))" {
		return func(s ScriptCall) Reply { return s.Call(s.Args...) }
	}
	if number, isReturn := strings.CutPrefix(source, "return "); isReturn {
		if n, err := strconv.Atoi(number); err == nil {
			return func(ScriptCall) Reply { return n }
		}
	}
	return nil
}

const errNoLua = ErrorReply("ERR Lua is not supported: the script is not registered")

// load stores source for EVALSHA and returns its SHA-1.
func (s *scripts) load(source string) string {
	sum := sha1.Sum([]byte(source))
	name := hex.EncodeToString(sum[:])
	s.loaded[name] = source
	return name
}

func cmdEval(r *request) Reply {
	if r.db.scripts.function(r.argv[1]) == nil {
		return errNoLua
	}
	return runScript(r, r.argv[1])
}

func cmdEvalSHA(r *request) Reply {
	source, has := r.db.scripts.loaded[lower(r.argv[1])]
	if !has {
		return ErrorReply("NOSCRIPT No matching script. Please use EVAL.")
	}
	return runScript(r, source)
}

func runScript(r *request, source string) Reply {
	n, err := strconv.Atoi(r.argv[2])
	switch {
	case err != nil:
		return errNotInt
	case n > len(r.argv)-3:
		return ErrorReply("ERR Number of keys can't be greater than number of args")
	case n < 0:
		return ErrorReply("ERR Number of keys can't be negative")
	}
	sha := r.db.scripts.load(source)
	call := ScriptCall{Keys: r.argv[3 : 3+n], Args: r.argv[3+n:], r: r, sha: sha}
	index := r.c.dbIndex
	defer func() { r.c.dbIndex = index }() // SELECT in a script does not change the client's database
	return r.db.scripts.function(source)(call)
}

func cmdScriptLoad(r *request) Reply {
	if r.db.scripts.function(r.argv[2]) == nil {
		return errNoLua
	}
	return r.db.scripts.load(r.argv[2])
}

func cmdScriptExists(r *request) Reply {
	out := []Reply{}
	for _, sha := range r.argv[2:] {
		n := 0
		if _, has := r.db.scripts.loaded[lower(sha)]; has {
			n = 1
		}
		out = append(out, n)
	}
	return out
}

func cmdScriptFlush(r *request) Reply {
	if len(r.argv) > 3 || len(r.argv) == 3 && lower(r.argv[2]) != "async" && lower(r.argv[2]) != "sync" {
		return ErrorReply("ERR SCRIPT FLUSH only support SYNC|ASYNC option")
	}
	r.db.scripts.flush()
	return ok
}
