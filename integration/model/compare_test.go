package model

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"portsyncd/internal/switchtest"
)

// Time limits of a step.
const (
	strictFor = 500 * time.Millisecond // until transient effects have been seen as well
	settleFor = 4 * time.Second        // until lasting effects have been seen
	quietFor  = 60 * time.Millisecond  // without a command of the daemon
)

// awaitEffects waits until the effects of all steps so far, and the links of this one, are as recorded,
// and then until the daemon has been idle for a moment.
func (p *player) awaitEffects(n int, step *scenarioStep) {
	p.T.Helper()
	watch := switchtest.StartStopwatch()
	for {
		p.catchUp()
		missing := p.missing(step, time.Since(watch.Begin) < strictFor)
		if missing == "" {
			break
		}
		ended := p.s.Alive && p.daemon != nil && step.Stop == "" && !p.daemon.Alive()
		if watch.Left(settleFor) <= 0 || ended {
			action, _ := json.Marshal(step)
			p.T.Fatalf("step %d %.200s: %s", n, action, missing)
		}
		p.awaitCommand(5 * time.Millisecond)
	}
	for p.awaitCommand(quietFor) {
		p.catchUp()
	}
}

// missing returns what has not happened yet, or "".
func (p *player) missing(step *scenarioStep, strict bool) string {
	free := regexps(p.s.FreeEffects)
	for _, key := range p.want.keys(nil, free) {
		if got := p.reducer.effects[key]; !matches(p.want[key], got, strict) {
			return difference(key, p.want[key], got)
		}
	}
	if step.Links == nil || p.s.FreeLinks {
		return ""
	}
	states := make(map[string]string)
	for name, facts := range switchtest.LinkStates(p.T) {
		states[name] = facts.Admin
	}
	if switchtest.RowText(states) != switchtest.RowText(step.Links) {
		return fmt.Sprintf("links are %v, want %v", states, step.Links)
	}
	return ""
}

// awaitCommand waits for a command of the daemon and reports whether there was one within the
// limit.
func (p *player) awaitCommand(limit time.Duration) bool {
	_, ok := p.seen.Await(p.taken, limit, func(c switchtest.RedisCommand) bool { return strings.HasPrefix(c.Source, "unix:") })
	return ok
}

// catchUp processes all commands that the server has run until now. MONITOR shows commands in
// their order, so all are known when the test's own marker appears.
func (p *player) catchUp() {
	p.T.Helper()
	mark := fmt.Sprintf("mark %d", p.taken)
	p.Do("APPL_DB", "ECHO", mark)
	isMark := func(c switchtest.RedisCommand) bool { return len(c.Args) == 2 && c.Args[1] == mark }
	if _, ok := p.seen.Await(p.taken, switchtest.Timeout, isMark); !ok {
		p.T.Fatal("MONITOR has ended")
	}
	commands, _ := p.seen.From(p.taken)
	for _, c := range commands {
		p.reducer.take(c)
	}
	p.taken += len(commands)
}

// compareEffects compares the complete streams of all keys.
func (p *player) compareEffects() {
	p.T.Helper()
	for _, key := range p.want.keys(p.reducer.effects, regexps(p.s.FreeEffects)) {
		if got := p.reducer.effects[key]; !matches(p.want[key], got, false) {
			p.T.Error(difference(key, p.want[key], got))
		}
	}
}

// difference returns two streams side by side.
func difference(key string, want, got []item) string {
	return fmt.Sprintf("effects on %s\n want %v\n  got %v", key, want, got)
}

// compareOrder checks the recorded order of effects on different keys.
func (p *player) compareOrder() {
	p.T.Helper()
	for _, pair := range p.s.Order {
		a, hasA := p.reducer.first[pair[0]]
		b, hasB := p.reducer.first[pair[1]]
		if hasA && hasB && a > b {
			p.T.Errorf("%s came after %s", pair[0], pair[1])
		}
	}
}

// compareFinal waits until the contents of the databases and the links are as recorded.
func (p *player) compareFinal() {
	p.T.Helper()
	switchtest.Eventually(p.T, 2*time.Second, func() string {
		var wrong []string
		for _, database := range []string{"APPL_DB", "CONFIG_DB", "STATE_DB"} {
			wrong = append(wrong, p.differing(database)...)
		}
		have, _ := json.Marshal(switchtest.LinkStates(p.T))
		want, _ := json.Marshal(p.s.FinalLinks)
		if string(have) != string(want) {
			wrong = append(wrong, fmt.Sprintf("links are %s, want %s", have, want))
		}
		return strings.Join(wrong, "\n")
	})
}

// differing compares a database with its recorded contents.
func (p *player) differing(database string) (wrong []string) {
	p.T.Helper()
	have, want := contents(p.Switch, database), make(map[string]string)
	for key, value := range p.s.Final[database] {
		if set, isSet := value.([]any); isSet {
			want[key] = fmt.Sprint(set)
		} else {
			want[key] = switchtest.RowText(fieldsOf(value))
		}
	}
	ignore := regexps(p.s.FinalIgnore)
	for _, m := range []map[string]string{have, want} {
		for key := range m {
			if have[key] != want[key] && !matchesAny(ignore, rowKey(database, key)) {
				wrong = append(wrong, fmt.Sprintf("%s %s is %s, want %s", database, key, have[key], want[key]))
			}
		}
	}
	slices.Sort(wrong)
	return slices.Compact(wrong)
}

// contents returns all rows of a database as text.
func contents(sw *switchtest.Switch, database string) map[string]string {
	sw.T.Helper()
	keys, err := sw.Conn(database).Keys("*")
	sw.NoError("list the keys", err)
	all := make(map[string]string)
	for _, key := range keys {
		switch kind := string(sw.Do(database, "TYPE", key).Str); kind {
		case "hash":
			all[key] = switchtest.RowText(sw.Row(database, key))
		case "set":
			members := sw.SetMembers(database, key)
			slices.Sort(members)
			all[key] = fmt.Sprint(members)
		case "string":
			all[key] = switchtest.RowText(map[string]string{"": string(sw.Do(database, "GET", key).Str)})
		default:
			all[key] = "a " + kind
		}
	}
	return all
}

func regexps(patterns []pattern) []*regexp.Regexp {
	out := make([]*regexp.Regexp, len(patterns))
	for i, p := range patterns {
		out[i] = p.Regexp
	}
	return out
}
