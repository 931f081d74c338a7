package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// command is one line of MONITOR.
type command struct {
	db     int
	source string // address of the client, "unix:PATH", or "lua" within a script
	argv   []string
}

// monitorLine is https://redis.io/docs/latest/commands/monitor/.
var monitorLine = regexp.MustCompile(`^\+[\d.]+ \[(\d+) ([^\]]*)\] (.*)$`)

// parseCommand reads a line of MONITOR.
func parseCommand(line string) (c command, err error) {
	m := monitorLine.FindStringSubmatch(line)
	if m == nil {
		return c, fmt.Errorf("no line of MONITOR: %q", line)
	}
	c.db, _ = strconv.Atoi(m[1])
	c.source = m[2]
	for rest := m[3]; rest != ""; rest = strings.TrimPrefix(rest, " ") {
		// Redis' sdscatrepr escapes a subset of what Go does.
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return c, fmt.Errorf("argument in %q: %w", line, err)
		}
		arg, err := strconv.Unquote(quoted)
		if err != nil {
			return c, fmt.Errorf("argument %s: %w", quoted, err)
		}
		c.argv, rest = append(c.argv, arg), rest[len(quoted):]
	}
	return c, nil
}

// monitor records every command that a server runs.
func monitor(address string) (*record[command], error) {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte("MONITOR\r\n")); err != nil {
		return nil, err
	}
	in := bufio.NewReader(conn)
	conn.SetReadDeadline(time.Now().Add(patience))
	if ok, err := in.ReadString('\n'); ok != "+OK\r\n" {
		return nil, fmt.Errorf("MONITOR: %q, %w", ok, err)
	}
	conn.SetReadDeadline(time.Time{})
	commands := new(record[command])
	go func() {
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			c, err := parseCommand(strings.TrimSuffix(line, "\r\n"))
			if err != nil {
				c = command{argv: []string{"unreadable", err.Error()}}
			}
			commands.add(c)
		}
	}()
	return commands, nil
}

// item is one entry in the stream of effects on one key.
type item struct {
	content string // what the row contains after it; "" if it is no row
	op      string // of what is no row, such as PSET+PUB, with its fields
	ours    bool   // the test's own write, not the daemon's

	// Of expected items only.
	transient bool // may be missing
	loose     bool // anything may come before it
}

// same reports whether two items are of the same kind and content.
func (i item) same(o item) bool { return i.content == o.content && i.op == o.op }

func (i item) String() string {
	s := i.content + i.op
	if i.transient {
		s = "(" + s + ")"
	}
	return s
}

// absent is the content of a row that does not exist.
const absent = "nothing"

// book applies writes to rows. A row is a map of fields, one that is a string
// has the one field "".
type book map[string]map[string]string

func rowKey(database, key string) string { return database + " " + key }

// apply carries out HSET, HDEL, SET or DEL and returns the content of the row
// afterwards, and whether that is another than before.
func (b book) apply(key, op string, fields map[string]string) (content string, changed bool) {
	before := contentOf(b[key])
	row := maps.Clone(b[key])
	switch op {
	case "DEL":
		row = nil
	case "SET":
		row = maps.Clone(fields)
	case "HDEL":
		maps.DeleteFunc(row, func(f, _ string) bool { _, gone := fields[f]; return gone })
	case "HSET":
		if row == nil {
			row = make(map[string]string)
		}
		maps.Copy(row, fields)
	}
	if len(row) == 0 {
		delete(b, key)
	} else {
		b[key] = row
	}
	content = contentOf(row)
	return content, content != before
}

// contentOf spells a row, with its fields sorted.
func contentOf(row map[string]string) string {
	if len(row) == 0 {
		return absent
	}
	text, _ := json.Marshal(row)
	return string(text)
}

// pairs makes a map of alternating fields and values.
func pairs(flat []string) map[string]string {
	m := make(map[string]string, len(flat)/2)
	for i := 0; i+1 < len(flat); i += 2 {
		m[flat[i]] = flat[i+1]
	}
	return m
}

// matches reports whether the observed items are what was recorded. A
// transient item may be missing unless strict is set; one that says what the
// row contains anyway may be missing in any case, since the write that it stands
// for need not be made. It follows all ways at a time: at holds how many of the
// wanted items may be behind us.
func matches(want, got []item, strict bool) bool {
	skip := func(at map[int]bool, present string) map[int]bool {
		for i := range len(want) {
			w := want[i]
			if at[i] && (w.transient && !strict || w.content != "" && w.content == present) {
				at[i+1] = true
			}
		}
		return at
	}
	present := absent
	at := skip(map[int]bool{0: true}, present)
	for _, g := range got {
		next := make(map[int]bool)
		for i := range at {
			if i == len(want) {
				continue
			}
			if want[i].same(g) {
				next[i+1] = true
			}
			if want[i].loose {
				next[i] = true
			}
		}
		if g.content != "" {
			present = g.content
		}
		at = skip(next, present)
	}
	return at[len(want)]
}

// streams holds the items on each key in their order.
type streams map[string][]item

// keys returns the keys of both, sorted, less those that a pattern matches.
func (s streams) keys(other streams, free []*regexp.Regexp) []string {
	all := make(map[string]bool)
	for _, m := range []streams{s, other} {
		for key := range m {
			all[key] = !matchesAny(free, key)
		}
	}
	maps.DeleteFunc(all, func(_ string, wanted bool) bool { return !wanted })
	return slices.Sorted(maps.Keys(all))
}

// matchesAny reports whether a pattern matches all of s.
func matchesAny(patterns []*regexp.Regexp, s string) bool {
	return slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool {
		return p.FindString(s) == s
	})
}
