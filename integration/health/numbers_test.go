package health

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
	"portsyncd/netlinkraw"
)

// TestEveryNumber counts from outside what happens in a random storm and compares every family of
// the exposition exactly: interfaces made again, renames, bridges, a port that APPL_DB does not
// have, rejected writes, a closed connection, a flushed STATE_DB, and audits that find wrong rows.
// A new family fails the test until numberRules has a rule for it. The HTTP documents and the
// history must agree with the exposition and with one another.
//
// PORTSYNCD_MODEL_SEED is the seed of the storm, 1 by default.
func TestEveryNumber(t *testing.T) {
	sw, r := switchtest.NewWithRedis(t)
	if sw == nil {
		return
	}
	seed := switchtest.EnvNumber(t, "PORTSYNCD_MODEL_SEED", 1)
	t.Logf("PORTSYNCD_MODEL_SEED=%d", seed)
	for {
		o := newObserved(sw, r)
		o.random = rand.New(rand.NewPCG(uint64(seed), 1))
		if o.play() {
			o.compare()
			return
		}
		t.Logf("the machine stopped for %v, and a request of the daemon timed out; counting again", o.watch.Paused())
		o.clear()
	}
}

// play runs the daemon through the storms and faults. It returns false as soon as the test does not know
// what the daemon has counted (see interrupted).
func (o *observed) play() bool {
	o.T.Helper()
	for _, step := range []func(){
		o.Start,
		func() { o.storm(400) },
		o.refuseWrites,
		func() { o.storm(100) },
		o.closeConnections,
		func() { o.storm(100) },
		o.flushStateDB,
		func() { o.storm(100) },
		o.causeAuditMismatches,
	} {
		if step(); o.interrupted() {
			return false
		}
	}
	return true
}

// interrupted reports whether the daemon reconnected although the test closed no connection, after the
// machine was stopped: a request that is in progress then can time out.
func (o *observed) interrupted() bool {
	o.T.Helper()
	return o.watch.Paused() > time.Second &&
		o.web.Scrape().Samples["portsyncd_database_reconnects_total"] > o.resyncs["database_back"]
}

// lines returns the log lines of the daemon.
func (o *observed) lines() []switchtest.LogLine {
	lines, _ := o.Logs.From(o.logged)
	return lines
}

// clear ends the daemon and removes all that it and the test have made.
func (o *observed) clear() {
	o.T.Helper()
	o.d.Kill()
	o.ClearLinks()
	o.Do("APPL_DB", "FLUSHALL")
	o.NoError("remove the files", os.RemoveAll(o.Dir+"/numbers"))
}

// numberPorts is the number of configured ports. The next port has an interface and no row in
// APPL_DB.
const numberPorts = 8

// observed is a daemon and everything that the test counts about it.
type observed struct {
	*switchtest.Switch
	redis  *switchtest.RedisServer
	random *rand.Rand
	conf   string
	d      *switchtest.Daemon
	web    *switchtest.Client
	begun  time.Time
	watch  switchtest.Stopwatch
	logged int // log lines of an earlier daemon

	news     *switchtest.Record[linkMessage]
	commands *switchtest.Record[switchtest.RedisCommand]
	files    *switchtest.Record[string]
	answers  *answerCount
	answered map[string]float64 // HTTP requests answered before the last reading, by path and status
	marks    int

	fileFacts map[string]fileFacts // at the last reading, by label

	dumps   float64    // that resyncs requested
	dumped  linkCounts // what the dumps contained
	resyncs map[string]float64

	writes rowCounts // at the end
	facts  map[string]switchtest.ReportedPort
	final  switchtest.SelfReport
	read   time.Time // when final had been read
}

// linkCounts counts what a dump of the links contains.
type linkCounts struct {
	links    float64
	nameless float64 // interfaces whose names are not ports'
	unserved float64 // the port that APPL_DB does not have
}

// countLinks returns what a dump contains now.
func (o *observed) countLinks() (n linkCounts) {
	o.T.Helper()
	o.NoError("list the links", netlinkraw.ListLinks(func(l *netlinkraw.Link) {
		n.links++
		n.nameless += float64(switchtest.BoolToInt(!switchtest.IsPortName(string(l.Name))))
		n.unserved += float64(switchtest.BoolToInt(isNotAccepted(string(l.Name))))
	}))
	return n
}

// audits returns how many audits there were.
func (o *observed) audits() float64 {
	return o.writes.comparisons - o.resyncs["database_back"] - o.resyncs["database_flushed"]
}

// answerCount counts HTTP responses by path and status.
type answerCount struct {
	http.RoundTripper
	mu       sync.Mutex
	answered map[string]float64
}

// RoundTrip implements http.RoundTripper.
func (a *answerCount) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := a.RoundTripper.RoundTrip(r)
	if err == nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.answered[fmt.Sprintf("%s %d", r.URL.Path, response.StatusCode)]++
	}
	return response, err
}

// counted returns a copy of the counts.
func (a *answerCount) counted() map[string]float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.answered)
}

func newObserved(sw *switchtest.Switch, r *switchtest.RedisServer) *observed {
	sw.T.Helper()
	o := &observed{Switch: sw, redis: r, watch: switchtest.StartStopwatch(), conf: sw.Dir + "/numbers.conf", answers: &answerCount{answered: make(map[string]float64)},
		resyncs: map[string]float64{"start": 1}}
	sw.ConfigurePorts(numberPorts)
	for _, ops := range []error{sw.Links.AddBridge(switchtest.Bridge), sw.Links.AddVeth("uplink", "uplink-peer"), sw.Links.AddVeth("mark", "mark-peer")} {
		sw.NoError("make interfaces", ops)
	}
	o.news = observeLinks(sw)
	var err error
	o.commands, err = switchtest.Monitor(sw.Databases["APPL_DB"].TCPAddress())
	sw.NoError("MONITOR", err)
	o.files = observeFiles(sw, sw.Dir+"/numbers", sw.Dir+"/numbers/metrics")
	return o
}

// write writes the configuration. Audits run only when the test shortens their interval.
func (o *observed) write(audit int) {
	o.T.Helper()
	switchtest.WriteFile(o.T, o.conf, fmt.Sprintf("[health]\naudit_interval_secs = %d\nmax_failure_rate_percent = 100.0\n"+
		"[warm_restart]\nstate_file = %q\n[metrics]\nstorage_path = %q\nexport_format = \"both\"\nsave_interval_secs = 1\n",
		audit, o.Dir+"/numbers/port_state.json", o.Dir+"/numbers/metrics"))
}

func (o *observed) Start() {
	o.T.Helper()
	o.write(0)
	o.begun, o.logged = time.Now(), o.Logs.Len()
	o.countDump()
	o.d = o.Switch.Start(switchtest.StartOptions{Args: []string{"-c", o.conf}})
	o.d.AwaitReady()
	o.web = switchtest.NewClient(o.T, switchtest.HTTPAddress)
	o.answers.RoundTripper = o.web.HTTP.Transport
	o.web.HTTP.Transport = o.answers
	o.PopPortTable()
	for n := range numberPorts {
		o.AddPort(switchtest.PortName(n))
	}
	o.AwaitInitDone()
	o.AddPort(switchtest.PortName(numberPorts))
	o.awaitIdle()
}

// countDump adds the links of this moment, which the daemon is about to dump.
func (o *observed) countDump() {
	o.T.Helper()
	n := o.countLinks()
	o.dumps++
	o.dumped.links += n.links
	o.dumped.nameless += n.nameless
	o.dumped.unserved += n.unserved
}

// awaitIdle waits until the kernel sends no more messages and the daemon has none left to process.
func (o *observed) awaitIdle() {
	o.T.Helper()
	// The kernel may take a second to act on a carrier (net/core/link_watch.c).
	for n := -1; n != o.news.Len(); {
		n = o.news.Len()
		o.news.Await(n, 1100*time.Millisecond, func(linkMessage) bool { return true })
	}
	o.CheckSelfReportAt(o.web, o.d)
}

// storm changes links at random, n times without a pause.
func (o *observed) storm(n int) {
	o.T.Helper()
	away, member := make(map[string]bool), make(map[string]bool)
	back := func(name string) {
		o.NoError("rename back", o.Links.Rename("away-"+name, name))
		delete(away, name)
		o.SetUp(name)
	}
	for range n {
		name := switchtest.PortName(o.random.IntN(numberPorts))
		if away[name] {
			back(name)
			continue
		}
		switch o.random.IntN(12) {
		case 0:
			o.NoError("delete", o.Links.Delete(name))
			delete(member, name)
			o.AddPort(name)
		case 1:
			o.NoError("set down", o.Links.SetUp(name, false))
			o.NoError("rename", o.Links.Rename(name, "away-"+name))
			away[name] = true
		case 2:
			if member[name] {
				o.NoError("leave the bridge", o.Links.NoMaster(name))
			} else {
				o.NoError("join the bridge", o.Links.SetMaster(name, switchtest.Bridge))
			}
			member[name] = !member[name]
		case 3, 4:
			o.NoError("flap", o.Links.SetUp(switchtest.PeerName(name), false))
			o.NoError("flap", o.Links.SetUp(switchtest.PeerName(name), true))
		case 5:
			o.NoError("set down", o.Links.SetUp(name, false))
			o.NoError("set up", o.Links.SetUp(name, true))
		case 6:
			o.NoError("touch", o.Links.SetTxQueueLen(name, 1000+o.random.IntN(1000)))
		case 7:
			o.NoError("change the uplink", o.Links.SetMTU("uplink", 1400+o.random.IntN(100)))
		case 8:
			o.NoError("change the port without a row", o.Links.SetMTU(switchtest.PortName(numberPorts), 1400+o.random.IntN(100)))
		default:
			o.NoError("set MTU", o.Links.SetMTU(name, 1400+o.random.IntN(100)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(away)) {
		back(name)
	}
	o.awaitIdle()
}

// refuseWrites makes the server reject the row of one port for a while.
func (o *observed) refuseWrites() {
	o.T.Helper()
	o.Do("STATE_DB", "SET", switchtest.StatePort+switchtest.PortName(1), "a string")
	for n := range 20 {
		o.NoError("set MTU", o.Links.SetMTU(switchtest.PortName(1), 1300+n))
		o.NoError("set MTU", o.Links.SetMTU(switchtest.PortName(2), 1300+n))
	}
	o.web.AwaitValue(`portsyncd_port_written{port="`+switchtest.PortName(1)+`"}`, 0)
	time.Sleep(300 * time.Millisecond) // the time for which the server rejects writes
	o.Do("STATE_DB", "DEL", switchtest.StatePort+switchtest.PortName(1))
	o.awaitIdle()
}

// closeConnections closes the daemon's connections.
func (o *observed) closeConnections() {
	o.T.Helper()
	o.countDump()
	o.resyncs["database_back"]++
	o.Do("APPL_DB", "CLIENT", "KILL", "TYPE", "pubsub")
	o.awaitResyncs()
}

// flushStateDB flushes STATE_DB.
func (o *observed) flushStateDB() {
	o.T.Helper()
	o.countDump()
	o.resyncs["database_flushed"]++
	o.Do("STATE_DB", "FLUSHDB")
	o.awaitResyncs()
}

// awaitResyncs waits until the daemon has resynced after the faults.
func (o *observed) awaitResyncs() {
	o.T.Helper()
	switchtest.Eventually(o.T, switchtest.Timeout, func() string {
		samples := o.web.Scrape().Samples
		for reason, n := range o.resyncs { // compare checks that there were not more
			if got := samples[switchtest.ResyncSeries(reason)]; got < n {
				return fmt.Sprintf("%v resyncs for %s, want %v", got, reason, n)
			}
		}
		return ""
	})
	o.awaitIdle()
}

// causeAuditMismatches lets audits find a row without a field, a wrong row, and a row without an
// interface.
func (o *observed) causeAuditMismatches() {
	o.T.Helper()
	o.Do("STATE_DB", "HDEL", switchtest.StatePort+switchtest.PortName(3), "mtu")
	o.Do("STATE_DB", "HSET", switchtest.StatePort+switchtest.PortName(4), "admin_status", "sideways")
	o.Do("STATE_DB", "HSET", switchtest.StatePort+switchtest.PortName(99), "state", "ok", "netdev_oper_status", "up")
	o.reload(1)
	switchtest.Eventually(o.T, switchtest.Timeout, func() string {
		if n := o.web.Scrape().Samples["portsyncd_audits_total"]; n < 2 {
			return fmt.Sprintf("%v audits", n)
		}
		return ""
	})
	o.reload(0)
	o.awaitIdle()
}

// reload gives the daemon another audit interval.
func (o *observed) reload(audit int) {
	o.T.Helper()
	o.write(audit)
	n := o.d.Notifications.Len()
	o.d.Signal(syscall.SIGHUP)
	o.d.AwaitNotification(n, switchtest.Timeout, "READY=1")
}

// compare checks each family against its rule once the daemon is idle.
func (o *observed) compare() {
	t := o.T
	t.Helper()
	resting := time.Now()
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		before := o.commandsSent()
		o.fileFacts = o.readFiles()
		o.answered = o.answers.counted()
		o.answered["/healthz 200"]++ // comes before the scrape
		var err error
		if o.final, err = o.web.SelfReport(); err != nil {
			return err.Error()
		}
		o.read = time.Now()
		// A response is counted a moment after it is sent.
		for _, f := range o.final.Metrics.Families {
			if f.Name == "portsyncd_http_requests_total" {
				if wrong := numberRules[f.Name].problem(o, f); len(wrong) > 0 {
					return strings.Join(wrong, "; ")
				}
			}
		}
		if last := o.lastSample(); last.Time.Before(resting) {
			return "no fresh sample"
		}
		if !maps.Equal(o.readFiles(), o.fileFacts) {
			return "a file is being written"
		}
		if after := o.commandsSent(); after != before {
			return "the daemon is not idle"
		}
		return o.final.Inconsistency()
	})
	o.count()
	names := make(map[string]bool)
	for _, f := range o.final.Metrics.Families {
		names[f.Name] = true
		if !strings.HasPrefix(f.Name, "portsyncd_") {
			continue
		}
		rule, ok := numberRules[f.Name]
		if !ok {
			t.Errorf("%s has no rule: add one to numberRules", f.Name)
			continue
		}
		for _, wrong := range rule.problem(o, f) {
			t.Errorf("%s (%s): %s", f.Name, f.Help, wrong)
		}
	}
	for name := range numberRules {
		if !names[name] {
			t.Errorf("%s has a rule and is not exposed", name)
		}
	}
	o.compareHistory()
	t.Logf("%d link messages, %v commands of the daemon, %v rows written, %v deleted, %v rejected, %d families",
		o.news.Len(), o.writes.commands, o.writes.sets, o.writes.deletes, o.writes.refusals, len(names))
}

// commandsSent returns how many commands the daemon has sent until now.
func (o *observed) commandsSent() float64 {
	o.T.Helper()
	o.marks++
	text := fmt.Sprintf("mark %d", o.marks)
	o.Do("APPL_DB", "ECHO", text)
	if _, ok := o.commands.Await(0, switchtest.Timeout, func(c switchtest.RedisCommand) bool { return len(c.Args) == 2 && c.Args[1] == text }); !ok {
		o.T.Fatal("MONITOR has ended")
	}
	return count(o.commands, func(c switchtest.RedisCommand) bool { return strings.HasPrefix(c.Source, "unix:") })
}

// count computes what the observers have seen.
func (o *observed) count() {
	o.T.Helper()
	book := newRowTracker(o.Databases["STATE_DB"].Number)
	commands, _ := o.commands.From(0)
	for _, c := range commands {
		book.take(c)
	}
	book.endScript()
	o.writes, o.facts = book.rowCounts, o.KernelPorts()
}

// sortedKeys returns the sorted keys of a map of series.
func sortedKeys(m map[string]float64) []string { return slices.Sorted(maps.Keys(m)) }
