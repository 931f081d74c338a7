package model

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/switchtest"
)

// TestScenarios replays what was recorded on the C++ daemon. The binary, without arguments, must
// have the same effects on the databases and the links (testdata/scenarios/README.md).
func TestScenarios(t *testing.T) {
	switchtest.Parallel(t)
	files, err := filepath.Glob("testdata/scenarios/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			s := readScenario(t, file)
			sw := switchtest.NewWithoutDatabase(t)
			if sw == nil {
				return
			}
			databaseMap := switchtest.DefaultMap
			if s.DatabaseConfig != nil {
				databaseMap = string(s.DatabaseConfig)
			}
			sw.StartDatabase(databaseMap, switchtest.NewDatabaseServer(t))
			newPlayer(sw, s).play()
		})
	}
}

// scenario is a scenario file.
type scenario struct {
	Name           string
	About          string
	Defect         string
	Dropped        []string
	DatabaseConfig json.RawMessage `json:"database_config"`
	Init           struct {
		DB map[string]map[string]any // database, key, value
		IP []string
	}
	Steps       []scenarioStep
	Final       map[string]map[string]any
	FinalLinks  map[string]switchtest.LinkState `json:"final_links"`
	Alive       bool
	Order       [][2]string
	FreeEffects []pattern `json:"free_effects"`
	FreeLinks   bool      `json:"free_links"`
	FinalIgnore []pattern `json:"final_ignore"`
}

// scenarioStep has an action and its effects.
type scenarioStep struct {
	Start bool
	Stop  string
	Run   *struct {
		Args []string
		Exit int
	}
	Pop    bool
	IP     lines
	Redis  [][]string
	WaitMS int `json:"wait_ms"`

	Effects []effect
	Links   map[string]string // nil: not prescribed
	Loose   bool
}

// lines is a string or a list of strings.
type lines []string

func (l *lines) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*l = make(lines, 1)
		return json.Unmarshal(b, &(*l)[0])
	}
	return json.Unmarshal(b, (*[]string)(l))
}

// pattern is a regular expression for "DATABASE key".
type pattern struct{ *regexp.Regexp }

func (p *pattern) UnmarshalText(b []byte) (err error) {
	p.Regexp, err = regexp.Compile("^(?:" + string(b) + ")$")
	return err
}

// effect is [database, operation, key, fields], perhaps with "transient". The fields are an
// object, a list of names (HDEL), a string (SET) or null.
type effect struct {
	database, op, key string
	fields            map[string]string
	transient         bool
}

func (e *effect) UnmarshalJSON(b []byte) error {
	var all []any
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	if len(all) < 3 || len(all) > 5 {
		return fmt.Errorf("effect of %d elements: %s", len(all), b)
	}
	e.database, _ = all[0].(string)
	e.op, _ = all[1].(string)
	e.key, _ = all[2].(string)
	if len(all) > 3 {
		e.fields = fieldsOf(all[3])
	}
	e.transient = len(all) == 5 && all[4] == "transient"
	return nil
}

// fieldsOf returns the fields of a row in a scenario file.
func fieldsOf(v any) map[string]string {
	fields := make(map[string]string)
	switch v := v.(type) {
	case map[string]any:
		for f, value := range v {
			fields[f], _ = value.(string)
		}
	case []any:
		for _, f := range v {
			name, _ := f.(string)
			fields[name] = ""
		}
	case string:
		fields[""] = v
	}
	return fields
}

func readScenario(t *testing.T, file string) *scenario {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := new(scenario)
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(s); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return s
}

// player plays one scenario.
type player struct {
	*switchtest.Switch
	s        *scenario
	daemon   *switchtest.Daemon
	starts   int // of the daemon
	seen     *switchtest.Record[switchtest.RedisCommand]
	taken    int // of seen, by reducer
	reducer  *reducer
	expected switchtest.Rows
	want     streams // the effects of the steps so far
}

func newPlayer(sw *switchtest.Switch, s *scenario) *player {
	names := make(map[int]string)
	for _, name := range []string{"APPL_DB", "CONFIG_DB", "STATE_DB"} {
		names[sw.Databases[name].Number] = name
	}
	seen, err := switchtest.Monitor(sw.Databases["APPL_DB"].TCPAddress())
	sw.NoError("monitor", err)
	return &player{Switch: sw, s: s, seen: seen, reducer: newReducer(names), expected: make(switchtest.Rows), want: make(streams)}
}

// play runs the scenario and compares.
func (p *player) play() {
	p.T.Helper()
	for database, rows := range p.s.Init.DB {
		for key, value := range rows {
			p.load(database, key, value)
		}
	}
	p.IPLink(p.s.Init.IP...)
	for i := range p.s.Steps {
		step := &p.s.Steps[i]
		p.expect(step)
		p.act(step)
		p.awaitEffects(i, step)
	}
	p.compareEffects()
	p.compareOrder()
	p.compareFinal()
	alive := p.daemon != nil && p.daemon.Alive()
	if alive != p.s.Alive {
		p.T.Errorf("alive at the end: %v, want %v", alive, p.s.Alive)
	}
	if alive {
		var may []string
		if p.starts > 2 {
			may = append(may, "restart_storm")
		}
		p.CheckSelfReport(p.daemon, may...)
	}
}

// load writes a row of init.db.
func (p *player) load(database, key string, value any) {
	p.T.Helper()
	fields := fieldsOf(value)
	args := []string{"HSET", key}
	op := "HSET"
	switch v := value.(type) {
	case string:
		args, op = []string{"SET", key, v}, "SET"
	case []any:
		args, op = []string{"SADD", key}, ""
		args = slices.AppendSeq(args, maps.Keys(fields))
	default:
		for f, v := range fields {
			args = append(args, f, v)
		}
	}
	if len(fields) == 0 {
		return
	}
	p.Do(database, args...)
	if op != "" {
		p.expectWrite(effect{database: database, op: op, key: key, fields: fields}, item{ours: true})
	}
}

// expect adds the effects of a step, those of its own writes first.
func (p *player) expect(step *scenarioStep) {
	for _, words := range step.Redis {
		e := effect{database: words[0], op: strings.ToUpper(words[1]), key: words[2]}
		switch rest := words[3:]; e.op {
		case "HSET":
			e.fields = switchtest.FieldMap(rest)
		case "HDEL":
			e.fields = make(map[string]string)
			for _, f := range rest {
				e.fields[f] = ""
			}
		case "SET":
			e.fields = map[string]string{"": rest[0]}
		}
		p.expectWrite(e, item{ours: true})
	}
	for _, e := range step.Effects {
		p.expectWrite(e, item{transient: e.transient, loose: step.Loose})
	}
}

func (p *player) expectWrite(e effect, i item) {
	key := rowKey(e.database, e.key)
	switch e.op {
	case "HSET", "DEL", "HDEL", "SET":
		var changed bool
		i.content, changed = p.expected.Apply(key, e.op, e.fields)
		if !changed && i.ours || i.ours && isPop(key) {
			return
		}
	default:
		if i.ours {
			return
		}
		i.op = operation(e.op, e.fields)
	}
	p.want[key] = append(p.want[key], i)
}

// act executes the action of a step.
func (p *player) act(step *scenarioStep) {
	p.T.Helper()
	switch {
	case step.Start:
		p.startAgain()
	case step.Stop != "":
		p.daemon.Signal(unix.SignalNum("SIG" + step.Stop))
		p.daemon.Wait(switchtest.Timeout)
	case step.Run != nil:
		d := p.Start(switchtest.StartOptions{Args: step.Run.Args})
		if status := d.Wait(switchtest.Timeout); status.ExitStatus() != step.Run.Exit {
			p.T.Errorf("%q: exit status %d, want %d", step.Run.Args, status.ExitStatus(), step.Run.Exit)
		}
	case step.Pop:
		p.PopPortTable()
	case step.IP != nil:
		p.IPLink(step.IP...)
	case step.Redis != nil:
		for _, words := range step.Redis {
			p.Do(words[0], words[1:]...)
		}
	case step.WaitMS != 0:
		time.Sleep(time.Duration(step.WaitMS) * time.Millisecond)
	default:
		p.T.Fatal("a step without an action")
	}
}

// startAgain starts the daemon and records the interfaces that it ignores from then on, if its log
// says so.
func (p *player) startAgain() {
	p.T.Helper()
	existing, lines := p.KernelPorts(), p.Logs.Len()
	p.daemon = p.StartReady()
	p.starts++
	clear(p.IgnoredLinks)
	if _, ignores := p.Logs.Await(lines, 0, func(l switchtest.LogLine) bool { return l.Has("an earlier run") }); !ignores {
		return
	}
	for name, link := range existing {
		p.IgnoredLinks[link.Index] = strings.HasPrefix(name, "Ethernet")
	}
}
