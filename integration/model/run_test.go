package model

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/switchtest"
	"portsyncd/netlinkraw"
)

// modelTimeout is how long switch and model may differ after the end of a fault. The promised time
// is a second; the longest measured time is logged. fillTimeout is how long the daemon waits
// before it accepts a CONFIG_DB with fewer ports than before.
var modelTimeout = 5 * time.Second * switchtest.RaceFactor

const fillTimeout = 10 * time.Second

// modelRun is one sequence of events on a switch and on the model.
type modelRun struct {
	*switchtest.Switch
	m       *switchModel
	early   *switchModel            // if not nil: everything, or single rows of STATE_DB, may be as in this one
	redis   *switchtest.RedisServer // nil where the database is no process
	saved   map[string]modelTable   // the contents after a restart of the server
	conf    string
	kernel  *netlinkraw.Requester
	ports   map[string]*modelPort // interfaces by name
	serial  int                   // for names and values that were never used
	probing string                // the present name of the probe

	d       *switchtest.Daemon // nil if no daemon runs
	waiting bool               // the daemon has not connected yet
	held    bool               // the daemon is stopped
	losing  bool               // the daemon's queue has overrun and was not read since
	down    bool               // the server is dead
	paused  bool               // the server is stopped
	refuses bool               // the server refuses writes

	rows     *switchtest.Record[switchtest.RowEvent] // notifications about STATE_DB; nil while the server is down
	rowsRead int                                     // number of rows when both were last in sync
	before   map[string]bool                         // rows of STATE_DB's table at that time
	deaf     bool                                    // the record has a gap since then

	kernelSent *switchtest.Record[modelMessage] // messages of the kernel
	read       int                              // read messages of kernelSent
	marker     string                           // the present name of the interface that marks a moment
	queue      []modelMessage                   // read by the test but not yet processed by the model

	faults   map[string]int     // resyncs that must follow, by reason
	excused  map[string]bool    // reasons of resyncs that may follow
	revive   map[string]bool    // what the model would recheck before the connection was perhaps lost
	counters map[string]float64 // resync counters when both were last in sync

	web     *switchtest.Client // nil until it is used
	execed  time.Time          // when the daemon was started
	overran time.Time          // when its last overrun was noticed; zero if there was none
	// When the daemon had noticed the last flush, and had reconnected; zero if there was none.
	lastFlush, lastBack time.Time
	starts              int // restarts that the daemon's files may have

	changes map[string]switchtest.ReportedPort // ports at the end of the last daemon, with their last changes; nil if it was killed

	configuredBefore modelTable // ports of CONFIG_DB when both were last in sync; nil before the first report

	slowest time.Duration
	applied map[string]int
}

// modelPort is an interface as the test made it.
type modelPort struct {
	index  int32
	peer   string
	peerUp bool
	mtu    int
	member bool
}

// newModelRun prepares the switch: no daemon, empty databases, and only the test's auxiliary
// interfaces.
func newModelRun(sw *switchtest.Switch) *modelRun {
	sw.T.Helper()
	r := &modelRun{Switch: sw, m: newSwitchModel(), ports: make(map[string]*modelPort), conf: sw.Dir + "/model.conf",
		faults: make(map[string]int), excused: make(map[string]bool), counters: make(map[string]float64), applied: make(map[string]int)}
	r.redis, _ = sw.Server.(*switchtest.RedisServer)
	if r.redis != nil {
		sw.CloseConns()
		r.redis.Stop() // left by the last sequence
		os.Remove(switchtest.RedisDir + "/dump.rdb")
		sw.NoError("start the database", r.redis.Restart())
	}
	sw.Do("APPL_DB", "FLUSHALL")
	r.watchRows()
	r.forget()
	r.writeConf("")
	var err error
	r.kernel, err = netlinkraw.DialRequester()
	sw.NoError("rtnetlink", err)
	sw.T.Cleanup(func() { r.kernel.Close() })
	sw.ClearLinks()
	sw.NoError("make the bridge", sw.Links.AddBridge(switchtest.Bridge))
	sw.NoError("set the bridge up", sw.Links.SetUp(switchtest.Bridge, true))
	sw.NoError("make the spare", sw.Links.AddVeth(switchtest.SpareLink, "spare-peer"))
	r.marker = "mark"
	sw.NoError("make the marker", sw.Links.AddVeth(r.marker, "mark-peer"))
	r.kernelSent = watchKernel(sw)
	r.probing = "PortChannel9a" // which is never an old interface
	sw.NoError("make the probe", sw.Links.AddVeth(r.probing, "probe-peer"))
	r.ports[r.probing] = &modelPort{index: sw.LinkIndex(r.probing)}
	r.m.up[r.ports[r.probing].index] = false
	return r
}

// forget deletes the daemon's files.
func (r *modelRun) forget() {
	r.starts, r.changes = 0, nil
	r.NoError("remove the state", os.RemoveAll(r.Dir+"/model"))
	r.Mkdir(r.Dir + "/model")
	r.Mkdir(r.Dir + "/model/metrics")
}

// writeConf writes the configuration. Audits are off except during the event audit, because they
// would restore at any time what the test deletes.
func (r *modelRun) writeConf(more string) {
	r.T.Helper()
	r.writeConfAudits(0, more)
}

// writeConfAudits is writeConf with the interval between audits in seconds.
func (r *modelRun) writeConfAudits(interval int, more string) {
	r.T.Helper()
	switchtest.WriteFile(r.T, r.conf, fmt.Sprintf("[health]\naudit_interval_secs = %d\nmax_failure_rate_percent = 100.0\nmax_stall_seconds = 1\n[warm_restart]\nstate_file = %q\n"+
		"[metrics]\nstorage_path = %q\n%s", interval, r.Dir+"/model/port_state.json", r.Dir+"/model/metrics", more))
}

// run executes the events, ends all faults and compares.
func (r *modelRun) run(events []modelEvent) {
	r.T.Helper()
	done := 0
	r.T.Cleanup(func() {
		if r.T.Failed() {
			r.T.Logf("after %s", spell(events[:done]))
		}
	})
	for _, e := range events {
		apply, known := modelOps[e.do]
		if !known {
			r.T.Fatalf("unknown event %v", e)
		}
		done++
		if apply(r, e.n, e.v) {
			r.applied[e.do]++
		} else {
			r.applied["(not applicable)"]++
		}
	}
	for _, op := range []string{"unpause", "back", "writable", "release", "start"} {
		modelOps[op](r, 0, 0)
	}
	r.awaitSync()
	r.checkReport()
}

// reachable reports whether the databases can be read and written.
func (r *modelRun) reachable() bool { return !r.down && !r.paused && !r.refuses }

// hset is HSET on the switch and in the model.
func (r *modelRun) hset(database, key string, fieldsAndValues ...string) {
	r.T.Helper()
	r.Do(database, append([]string{"HSET", key}, fieldsAndValues...)...)
	r.m.db[database].set(key, switchtest.FieldMap(fieldsAndValues))
}

// del is DEL on the switch and in the model.
func (r *modelRun) del(database, key string) {
	r.T.Helper()
	r.Do(database, "DEL", key)
	delete(r.m.db[database], key)
}

// awaitSync waits until switch and model are in sync, if they can be, and compares.
func (r *modelRun) awaitSync() {
	r.T.Helper()
	r.readLinks()
	r.checkUp()
	switch {
	case !r.reachable():
	case r.d == nil || r.held:
		r.compare(0)
		r.checkDeletions()
	default:
		r.probe()
		risen := r.awaitResyncs()
		back := risen["database_back"] || risen["database_flushed"]
		if r.revive != nil && !risen["database_back"] {
			r.m.daemon.toRecheck = r.revive // it was not lost
		}
		r.revive = nil
		if back {
			// The daemon compares STATE_DB with the kernel at some time between the messages.
			if r.early == nil {
				r.early = r.m.clone()
			}
			r.early.sweep()
			r.early.sweeping = true
		}
		var fill time.Duration
		if n := len(r.m.configured()); back && n > 0 && n < len(r.m.daemon.ports) {
			fill = fillTimeout
		}
		messages := append(r.queue, r.sent()...)
		r.queue = nil
		r.both(func(m *switchModel) {
			m.receive(messages)
			if risen["overrun"] {
				r.overran = time.Now()
				m.dump(false)
			}
			if back {
				r.lastBack = time.Now()
				m.databaseReconnected()
			}
			if risen["database_flushed"] { // perhaps CONFIG_DB, whose rows are new then
				r.lastFlush = time.Now()
				for name := range m.configured() {
					m.daemon.expected[name] = true
				}
			}
			m.recheck()
		})
		r.compare(fill)
		r.checkDeletions()
		r.early, r.m.sweeping = nil, false // also if r.m was the alternative
	}
}

// both changes the model and its alternative.
func (r *modelRun) both(do func(*switchModel)) {
	do(r.m)
	if r.early != nil {
		r.early.links, r.early.up = r.m.links, r.m.up
		do(r.early)
	}
}

// readLinks makes the kernel update the states of all interfaces, which otherwise may take a
// second, and reads them.
func (r *modelRun) readLinks() {
	r.T.Helper()
	for name, p := range r.ports {
		b := netlinkraw.AppendHeader(nil, unix.RTM_GETLINK, 0, 0, 0)
		b = netlinkraw.AppendIfinfomsg(b, unix.AF_UNSPEC, p.index, 0, 0)
		netlinkraw.FinishMessage(b, 0)
		r.NoError("look at "+name, r.kernel.Do(b))
	}
	r.readFacts()
}

// readFacts reads the current interfaces.
func (r *modelRun) readFacts() {
	r.T.Helper()
	clear(r.m.links)
	r.NoError("list the links", netlinkraw.ListLinks(func(l *netlinkraw.Link) {
		if p := r.ports[string(l.Name)]; p != nil && p.index == l.Index {
			r.m.links[l.Index] = modelLink{string(l.Name), l.Flags&unix.IFF_UP != 0, l.Flags&unix.IFF_RUNNING != 0, int(l.MTU)}
		}
	}))
	if len(r.m.links) != len(r.ports) {
		r.T.Fatalf("the kernel has %v, the test made %v", r.m.links, slices.Sorted(maps.Keys(r.ports)))
	}
}

// checkUp checks that the daemon changed the administrative state of old interfaces only.
func (r *modelRun) checkUp() {
	r.T.Helper()
	for index, l := range r.m.links {
		if l.admin != r.m.up[index] {
			r.T.Fatalf("%s is %s, want %s", l.name, switchtest.UpOrDown(l.admin), switchtest.UpOrDown(r.m.up[index]))
		}
	}
}

// probe waits until the daemon has processed all messages of the kernel: it renames an interface,
// and waits until the row of the old name is deleted (docs/PROTOCOL.md D7).
func (r *modelRun) probe() {
	r.T.Helper()
	p, key := r.ports[r.probing], switchtest.StatePort+r.probing
	r.hset("STATE_DB", key, "state", "ok")
	to := map[string]string{"PortChannel9a": "PortChannel9b", "PortChannel9b": "PortChannel9a"}[r.probing]
	r.rename(r.probing, to)
	r.m.links[p.index] = modelLink{name: to, mtu: r.m.links[p.index].mtu}
	r.probing = to
	switchtest.Eventually(r.T, modelTimeout, func() string {
		if !r.d.Alive() {
			return "the daemon has ended"
		}
		if r.Exists("STATE_DB", key) {
			return "the listener does not follow a rename"
		}
		return ""
	})
}

// rename renames an interface that is down.
func (r *modelRun) rename(name, to string) {
	r.T.Helper()
	r.NoError("rename", r.Links.Rename(name, to))
	r.ports[to] = r.ports[name]
	delete(r.ports, name)
}

// awaitResyncs waits until the daemon has noticed the faults so far and its resyncs are over. It
// returns the reasons of all resyncs since the last call.
func (r *modelRun) awaitResyncs() (risen map[string]bool) {
	r.T.Helper()
	counts, looks := make(map[string]float64), 0
	client := switchtest.NewClient(r.T, switchtest.HTTPAddress)
	switchtest.Eventually(r.T, modelTimeout, func() string {
		metrics := client.Scrape()
		for _, reason := range []string{"overrun", "database_back", "database_flushed", "dump_failed", "dump_silent"} {
			counts[reason] = metrics.Value(r.T, switchtest.ResyncSeries(reason))
			if counts[reason]-r.counters[reason] < float64(r.faults[reason]) {
				return "no resync because of " + reason
			}
		}
		for series, want := range map[string]float64{`portsyncd_component_up{component="kernel"}`: 1,
			`portsyncd_component_up{component="database"}`: 1, "portsyncd_backlog_events": 0} {
			if got := metrics.Value(r.T, series); got != want {
				return fmt.Sprintf("%s is %v, want %v", series, got, want)
			}
		}
		if looks++; len(r.faults) > 0 && looks < 2 {
			return "scraping a second time, since a resync is counted before it begins"
		}
		return ""
	})
	risen = make(map[string]bool)
	for reason, n := range counts {
		if n == r.counters[reason] {
			continue
		}
		risen[reason] = true
		if r.faults[reason] == 0 && !r.excused[reason] {
			r.T.Fatalf("a resync with reason %s without a fault", reason)
		}
	}
	r.counters = counts
	clear(r.faults)
	clear(r.excused)
	return risen
}

// compare waits until the databases are as the model says.
func (r *modelRun) compare(more time.Duration) {
	r.T.Helper()
	var have map[string]modelTable
	took := switchtest.Eventually(r.T, modelTimeout+more, func() string {
		if r.d != nil && !r.d.Alive() {
			return fmt.Sprintf("the daemon has ended: %v", r.d.Cmd.ProcessState)
		}
		r.receiveLate()
		have = r.contents()
		wrong := r.disagreement(have)
		if wrong != "" && r.early != nil {
			r.m, r.early = r.early, r.m
			other := r.disagreement(have)
			if other == "" {
				return ""
			}
			r.m, r.early = r.early, r.m
			wrong += "\nor, with an earlier dump: " + other
		}
		return wrong
	})
	r.m.db = have
	if more == 0 {
		r.slowest = max(r.slowest, took)
	}
}

// disagreement returns how the databases and the daemon's report differ from the model, or "".
func (r *modelRun) disagreement(have map[string]modelTable) string {
	r.T.Helper()
	if wrong := r.difference(have); wrong != "" || r.d == nil || r.held {
		return wrong
	}
	return r.reportDifference()
}

// receiveLate gives the model the messages that the kernel sends late: the kernel may take a
// second to process a carrier change.
func (r *modelRun) receiveLate() {
	r.T.Helper()
	if r.d == nil || r.held {
		return
	}
	if late := r.sentSoFar(); len(late) > 0 {
		r.readFacts()
		r.both(func(m *switchModel) {
			m.receive(late)
			m.recheck()
		})
	}
}

// difference returns how contents differ from the model, or "".
func (r *modelRun) difference(have map[string]modelTable) string {
	var wrong []string
	for database, want := range r.m.db {
		keys := maps.Clone(want)
		maps.Copy(keys, have[database])
		for key := range keys {
			got, want := switchtest.RowText(have[database][key]), switchtest.RowText(want[key])
			if r.early != nil && database == "STATE_DB" && got == switchtest.RowText(r.early.db[database][key]) {
				continue
			}
			if got != want {
				wrong = append(wrong, fmt.Sprintf("%s %s is %s, the model says %s", database, key, got, want))
			}
		}
	}
	slices.Sort(wrong)
	return strings.Join(wrong, "\n")
}

// contents reads all databases.
func (r *modelRun) contents() map[string]modelTable {
	r.T.Helper()
	all := make(map[string]modelTable)
	for database := range r.m.db {
		conn, table := r.Conn(database), make(modelTable)
		keys, err := conn.Keys("*")
		r.NoError("list the keys", err)
		keys = slices.DeleteFunc(keys, func(k string) bool { return k == switchtest.KeySet })
		rows, err := conn.HGetAllMany(keys)
		r.NoError("read the rows", err)
		for _, row := range rows {
			switch {
			case row.Err != nil:
				table[row.Key] = jammedRow
			case len(row.Fields) > 0:
				table[row.Key] = make(map[string]string)
				for _, f := range row.Fields {
					table[row.Key][f.Field] = f.Value
				}
			}
		}
		if members := r.SetMembers(database, switchtest.KeySet); len(members) > 0 {
			table[switchtest.KeySet] = make(map[string]string)
			for _, m := range members {
				table[switchtest.KeySet][m] = ""
			}
		}
		all[database] = table
	}
	return all
}
