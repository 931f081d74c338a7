package model

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"portsyncd/internal/switchtest"
)

// reducer computes the effects of the commands of MONITOR as scenario files describe them
// (testdata/scenarios/README.md).
type reducer struct {
	names map[int]string // of the databases by number

	rows    switchtest.Rows
	members map[string]bool // of sets: key and member
	effects streams
	first   map[string]int // key to the number of the daemon's first effect on it
	count   int

	unit   []switchtest.RedisCommand // one command, or those of a script
	script bool
	ours   bool // the unit is the test's own
}

func newReducer(names map[int]string) *reducer {
	return &reducer{names: names, rows: make(switchtest.Rows), members: make(map[string]bool),
		effects: make(streams), first: make(map[string]int)}
}

// take processes the next command. The effects of a script are known when the command after it is
// processed. A MULTI of the daemon would be an effect that matches nothing; in a MULTI of the
// test, each command stands for itself.
func (r *reducer) take(c switchtest.RedisCommand) {
	if c.Source == "lua" {
		r.unit = append(r.unit, c)
		return
	}
	r.finish()
	r.ours = strings.HasPrefix(c.Source, "127.0.0.1:")
	word := strings.ToLower(c.Args[0])
	if r.script = word == "eval" || word == "evalsha"; !r.script {
		r.unit = append(r.unit, c)
	}
}

// reads are commands without an effect.
var reads = strings.Fields(`auth client command config dbsize echo exists get hello hexists hget hgetall hkeys
	hlen hmget info keys mget ping psubscribe punsubscribe quit scan scard script select sismember smembers
	strlen subscribe time ttl type unsubscribe monitor`)

// write is one effect of a script or command, before the writes of a producer are combined.
type write struct {
	key, op string // key with its database
	fields  map[string]string
	content string
	changed bool
}

// finish ends a script or command.
func (r *reducer) finish() {
	unit := r.unit
	r.unit = nil
	var writes []write
	for _, c := range unit {
		writes = append(writes, r.apply(c)...)
	}
	if r.script {
		writes = produced(writes)
	}
	for i, w := range writes {
		if next := i + 1; next < len(writes) && writes[next].op == "HSET" && w.op == "HSET" && writes[next].key == w.key {
			writes[next].changed = writes[next].changed || w.changed // no client saw the state between
			continue
		}
		if w.changed {
			r.emit(w)
		}
	}
}

// apply executes one command and returns its writes.
func (r *reducer) apply(c switchtest.RedisCommand) []write {
	word, args := strings.ToLower(c.Args[0]), c.Args[1:]
	database, known := r.names[c.DB]
	if slices.Contains(reads, word) {
		return nil
	}
	if !known || len(args) == 0 {
		return []write{{key: rowKey(database, strings.Join(args, " ")), op: strings.ToUpper(word), changed: true}}
	}
	key := rowKey(database, args[0])
	row := func(op string, fields map[string]string) write {
		w := write{key: key, op: op, fields: fields}
		w.content, w.changed = r.rows.Apply(key, op, fields)
		return w
	}
	var out []write
	switch word {
	case "hset", "hmset":
		out = append(out, row("HSET", switchtest.FieldMap(args[1:])))
	case "hdel":
		gone := make(map[string]string)
		for _, f := range args[1:] {
			gone[f] = ""
		}
		out = append(out, row("HDEL", gone))
	case "set":
		out = append(out, row("SET", map[string]string{"": args[1]}))
	case "del", "unlink":
		for _, k := range args {
			key = rowKey(database, k)
			out = append(out, row("DEL", nil))
		}
	case "sadd", "srem":
		for _, member := range args[1:] {
			k := key + " " + member
			w := write{key: k, op: strings.ToUpper(word), changed: r.members[k] != (word == "sadd")}
			r.members[k] = word == "sadd"
			out = append(out, w)
		}
	default:
		out = append(out, write{key: key, op: strings.ToUpper(strings.Join(c.Args, " ")), changed: true})
	}
	return out
}

// produced combines the writes of a producer: the pending hash, the member of the key set, and the
// message. A script may produce several rows. A message belongs to the last member before it that has
// no message yet.
func produced(writes []write) []write {
	var out, rest []write
	fields := make(map[string]map[string]string)
	changed := make(map[string]bool)
	published := make(map[int]bool) // by the index of the member in rest
	member, stray := -1, false
	for _, w := range writes {
		database, key, _ := strings.Cut(w.key, " ")
		name, isPending := strings.CutPrefix(key, switchtest.PendingPrefix)
		switch {
		case database == "APPL_DB" && w.op == "HSET" && isPending:
			if fields[name] == nil {
				fields[name] = make(map[string]string)
			}
			maps.Copy(fields[name], w.fields)
			changed[name] = changed[name] || w.changed
		case strings.HasPrefix(w.op, "PUBLISH "+switchtest.TableChannel) && strings.HasSuffix(w.op, " G"):
			stray = stray || member < 0
			published[member], member = true, -1
		default:
			if rest = append(rest, w); w.op == "SADD" {
				member = len(rest) - 1
			}
		}
	}
	for i, w := range rest {
		name, isMember := strings.CutPrefix(w.key, "APPL_DB "+switchtest.KeySet+" ")
		if w.op != "SADD" || !isMember {
			out = append(out, w)
			continue
		}
		p := write{key: "APPL_DB " + switchtest.ApplPort + name, op: "PSET", fields: fields[name], changed: w.changed || changed[name]}
		if published[i] {
			p.op = "PSET+PUB"
		}
		delete(fields, name)
		out = append(out, p)
	}
	// What belongs to no member is half a producer set, which matches nothing.
	for name, f := range fields {
		out = append(out, write{key: "APPL_DB " + switchtest.PendingPrefix + name, op: "HSET", fields: f, content: switchtest.RowText(f), changed: true})
	}
	if stray {
		out = append(out, write{key: "APPL_DB " + switchtest.TableChannel, op: "PUBLISH", changed: true})
	}
	return out
}

// emit appends an effect to its stream.
func (r *reducer) emit(w write) {
	if r.ours && isPop(w.key) {
		return
	}
	i := item{content: w.content, ours: r.ours}
	if w.content == "" {
		if r.ours {
			return // a set or a message of the test's
		}
		i.op = operation(w.op, w.fields)
	}
	r.effects[w.key] = append(r.effects[w.key], i)
	if _, seen := r.first[w.key]; !seen && !r.ours {
		r.first[w.key] = r.count
	}
	r.count++
}

// isPop reports whether a write of the test is orchagent's: the streams of these keys have only
// the daemon's writes.
func isPop(key string) bool {
	return strings.HasPrefix(key, "APPL_DB "+switchtest.ApplPort) || strings.HasPrefix(key, "APPL_DB "+switchtest.PendingPrefix)
}

// operation returns the text of an operation that does not write a row.
func operation(op string, fields map[string]string) string {
	text, _ := json.Marshal(fields)
	return op + " " + string(text)
}
