package model

import (
	"strings"
	"testing"

	"portsyncd/internal/switchtest"
)

// TestMatches checks the comparison of effects against the rules of testdata/scenarios/README.md.
func TestMatches(t *testing.T) {
	// A row's contents are letters, "-" is no row; (x) is transient, ~x loose, and
	// [x] an operation.
	items := func(s string) (out []item) {
		for _, word := range strings.Fields(s) {
			var i item
			i.transient = strings.HasPrefix(word, "(")
			i.loose = strings.HasPrefix(word, "~")
			text := strings.Trim(word, "()~[]")
			switch {
			case strings.HasPrefix(word, "["):
				i.op = text
			case text == "-":
				i.content = switchtest.NoRow
			default:
				i.content = text
			}
			out = append(out, i)
		}
		return out
	}
	for _, c := range []struct {
		want, got      string
		loosely, exact bool // with transient items left out, and without
	}{
		{"a b", "a b", true, true},
		{"a b", "b", false, false},
		{"a b", "b a", false, false},
		{"a b", "a", false, false},
		{"a", "a b", false, false},
		{"", "a", false, false},
		{"a (b) c", "a b c", true, true},
		{"a (b) c", "a c", true, false},
		{"a (b) c", "a d c", false, false},
		{"a (b) a", "a", true, false}, // a is what the row contains anyway
		{"a a", "a", true, true},
		{"- a", "a", true, true}, // there was nothing to delete
		{"a - a", "a", false, false},
		{"a - a", "a - a", true, true},
		{"~a b", "x y a b", true, true},
		{"~a b", "x y b", false, false},
		{"[p] [p]", "[p] [p]", true, true},
		{"[p] [p]", "[p]", false, false},
		{"[p]", "p", false, false},
	} {
		want, got := items(c.want), items(c.got)
		if loosely := matches(want, got, false); loosely != c.loosely {
			t.Errorf("want %q, got %q: %v", c.want, c.got, loosely)
		}
		if exact := matches(want, got, true); exact != c.exact {
			t.Errorf("want %q, got %q, strictly: %v", c.want, c.got, exact)
		}
	}
}

// TestReduce checks the effects computed from lines of MONITOR.
func TestReduce(t *testing.T) {
	const client = "unix:/redis.sock"
	set := func(source string, words string) switchtest.RedisCommand {
		return switchtest.RedisCommand{DB: 0, Source: source, Args: strings.Fields(words)}
	}
	for _, c := range []struct {
		name     string
		commands []switchtest.RedisCommand
		key      string
		want     string // items, with a comma after each
	}{
		{"whole producer set", []switchtest.RedisCommand{
			set(client, "EVALSHA x"), set("lua", "HSET _PORT_TABLE:E0 a 1"),
			set("lua", "SADD PORT_TABLE_KEY_SET E0"), set("lua", "PUBLISH PORT_TABLE_CHANNEL@0 G"),
		}, "APPL_DB PORT_TABLE:E0", `PSET+PUB {"a":"1"},`},
		{"one row of two", []switchtest.RedisCommand{
			set(client, "EVALSHA x"), set("lua", "HSET _PORT_TABLE:E0 a 1"), set("lua", "SADD PORT_TABLE_KEY_SET E0"),
			set("lua", "PUBLISH PORT_TABLE_CHANNEL@0 G"), set("lua", "HSET _PORT_TABLE:E4 a 1"),
			set("lua", "SADD PORT_TABLE_KEY_SET E4"),
		}, "APPL_DB PORT_TABLE:E0", `PSET+PUB {"a":"1"},`},
		{"the other row of two", []switchtest.RedisCommand{
			set(client, "EVALSHA x"), set("lua", "SADD PORT_TABLE_KEY_SET E0"), set("lua", "HSET _PORT_TABLE:E4 a 1"),
			set("lua", "SADD PORT_TABLE_KEY_SET E4"), set("lua", "PUBLISH PORT_TABLE_CHANNEL@0 G"),
		}, "APPL_DB PORT_TABLE:E0", `PSET null,`},
		{"without message", []switchtest.RedisCommand{
			set(client, "EVALSHA x"), set("lua", "SADD PORT_TABLE_KEY_SET E0"), set("lua", "HSET _PORT_TABLE:E0 a 1"),
		}, "APPL_DB PORT_TABLE:E0", `PSET {"a":"1"},`},
		{"not atomic", []switchtest.RedisCommand{
			set(client, "HSET _PORT_TABLE:E0 a 1"), set(client, "SADD PORT_TABLE_KEY_SET E0"),
		}, "APPL_DB PORT_TABLE:E0", ""},
		{"not atomic, the hash shows", []switchtest.RedisCommand{
			set(client, "HSET _PORT_TABLE:E0 a 1"), set(client, "SADD PORT_TABLE_KEY_SET E0"),
		}, "APPL_DB _PORT_TABLE:E0", `{"a":"1"},`},
		{"unchanged writes are no effects", []switchtest.RedisCommand{
			set(client, "HSET k a 1"), set(client, "HSET k a 1"), set(client, "DEL other"), set(client, "HSET k b 2"),
		}, "APPL_DB k", `{"a":"1"},{"a":"1","b":"2"},`},
		{"the test's own writes count", []switchtest.RedisCommand{
			set("127.0.0.1:1", "HSET k a 1"), set(client, "DEL k"),
		}, "APPL_DB k", `{"a":"1"},nothing,`},
		{"orchagent's do not", []switchtest.RedisCommand{
			set("127.0.0.1:1", "HSET PORT_TABLE:E0 a 1"),
		}, "APPL_DB PORT_TABLE:E0", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newReducer(map[int]string{0: "APPL_DB"})
			for _, command := range append(c.commands, set(client, "PING")) {
				r.take(command)
			}
			var got string
			for _, i := range r.effects[c.key] {
				got += i.String() + ","
			}
			if got != c.want {
				t.Errorf("effects on %s: got %s, want %s", c.key, got, c.want)
			}
		})
	}
}
