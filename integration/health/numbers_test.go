package health

import (
	"encoding/json"
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
	"portsyncd/internal/warmrestart"
	"portsyncd/netlinkraw"
)

// TestEveryNumber counts what happens in a random storm from outside, and compares
// every family of the exposition with that, to the last unit: re-creations,
// renames, bridges, a port that APPL_DB does not have, refused writes, a lost
// connection, an emptied STATE_DB, and audits that find rows wrong. The list of
// families is the daemon's own: a new one fails the test until numberRules says
// what it has to be. The documents and the history agree with it and with one
// another.
//
//	PORTSYNCD_MODEL_SEED  seed of the storm, by default 1
func TestEveryNumber(t *testing.T) {
	sw, r := switchtest.NewWithRedis(t)
	if sw == nil {
		return
	}
	o := newObserved(sw, r)
	seed := switchtest.EnvNumber(t, "PORTSYNCD_MODEL_SEED", 1)
	t.Logf("PORTSYNCD_MODEL_SEED=%d", seed)
	o.random = rand.New(rand.NewPCG(uint64(seed), 1))
	o.Start()
	o.storm(400)
	o.refuse()
	o.storm(100)
	o.cutOff()
	o.storm(100)
	o.empty()
	o.storm(100)
	o.audited()
	o.compare()
}

// numberPorts are the configured ports of the storm. The next one after them has
// an interface and no row in APPL_DB.
const numberPorts = 8

// observed is a daemon and all that is counted of it.
type observed struct {
	*switchtest.Switch
	redis  *switchtest.RedisServer
	random *rand.Rand
	conf   string
	d      *switchtest.Daemon
	web    *switchtest.Client
	begun  time.Time

	news     *switchtest.Record[linkNews]
	commands *switchtest.Record[switchtest.RedisCommand]
	files    *switchtest.Record[string]
	answers  *answerCount
	answered map[string]float64 // HTTP requests answered before the last reading, by path and status
	marks    int

	fileFacts map[string]fileFacts // at the last reading, by label

	dumps   float64    // that resyncs asked for
	dumped  linkCounts // what they showed
	resyncs map[string]float64

	writes rowCounts // at the end
	facts  map[string]switchtest.ReportedPort
	final  switchtest.SelfReport
}

// linkCounts is what a dump shows.
type linkCounts struct {
	links    float64
	nameless float64 // interfaces that have no port's name
	unserved float64 // the port that APPL_DB does not have
}

// countLinks returns what a dump of this moment shows.
func (o *observed) countLinks() (n linkCounts) {
	o.T.Helper()
	o.NoError("list the links", netlinkraw.ListLinks(func(l *netlinkraw.Link) {
		n.links++
		n.nameless += float64(switchtest.BoolToInt(!switchtest.IsPortName(string(l.Name))))
		n.unserved += float64(switchtest.BoolToInt(isUnserved(string(l.Name))))
	}))
	return n
}

// audits returns how many audits there were.
func (o *observed) audits() float64 {
	return o.writes.comparisons - o.resyncs["database_back"] - o.resyncs["database_flushed"]
}

// answerCount counts the HTTP requests that were answered, by path and status.
type answerCount struct {
	http.RoundTripper
	mu       sync.Mutex
	answered map[string]float64
}

// RoundTrip is http.RoundTripper's.
func (a *answerCount) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := a.RoundTripper.RoundTrip(r)
	if err == nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.answered[fmt.Sprintf("%s %d", r.URL.Path, response.StatusCode)]++
	}
	return response, err
}

// counted returns a copy.
func (a *answerCount) counted() map[string]float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.answered)
}

func newObserved(sw *switchtest.Switch, r *switchtest.RedisServer) *observed {
	sw.T.Helper()
	o := &observed{Switch: sw, redis: r, conf: sw.Dir + "/numbers.conf", answers: &answerCount{answered: make(map[string]float64)},
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

// configure of the daemon: audits come when they are asked for.
func (o *observed) write(audit int) {
	o.T.Helper()
	switchtest.WriteFile(o.T, o.conf, fmt.Sprintf("[health]\naudit_interval_secs = %d\nmax_failure_rate_percent = 100.0\n"+
		"[warm_restart]\nstate_file = %q\n[metrics]\nstorage_path = %q\nexport_format = \"both\"\nsave_interval_secs = 1\n",
		audit, o.Dir+"/numbers/port_state.json", o.Dir+"/numbers/metrics"))
}

func (o *observed) Start() {
	o.T.Helper()
	o.write(0)
	o.begun = time.Now()
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
	o.rest()
}

// countDump notes that the daemon is to ask for all links of this moment.
func (o *observed) countDump() {
	o.T.Helper()
	n := o.countLinks()
	o.dumps++
	o.dumped.links += n.links
	o.dumped.nameless += n.nameless
	o.dumped.unserved += n.unserved
}

// rest waits until the kernel has nothing to tell and the daemon nothing to do.
func (o *observed) rest() {
	o.T.Helper()
	// The kernel may take a second to act on a carrier (net/core/link_watch.c).
	for n := -1; n != o.news.Len(); {
		n = o.news.Len()
		o.news.Await(n, 1100*time.Millisecond, func(linkNews) bool { return true })
	}
	o.CheckSelfReportAt(o.web, o.d)
}

// storm changes links at random, n times and without a pause.
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
	o.rest()
}

// refuse has the server refuse the row of one port for a while.
func (o *observed) refuse() {
	o.T.Helper()
	o.Do("STATE_DB", "SET", switchtest.StatePort+switchtest.PortName(1), "a string")
	for n := range 20 {
		o.NoError("set MTU", o.Links.SetMTU(switchtest.PortName(1), 1300+n))
		o.NoError("set MTU", o.Links.SetMTU(switchtest.PortName(2), 1300+n))
	}
	o.web.AwaitValue(`portsyncd_port_written{port="`+switchtest.PortName(1)+`"}`, 0)
	time.Sleep(300 * time.Millisecond) // the time for which it refuses
	o.Do("STATE_DB", "DEL", switchtest.StatePort+switchtest.PortName(1))
	o.rest()
}

// cutOff closes the daemon's connections.
func (o *observed) cutOff() {
	o.T.Helper()
	o.countDump()
	o.resyncs["database_back"]++
	o.Do("APPL_DB", "CLIENT", "KILL", "TYPE", "pubsub")
	o.awaitResyncs()
}

// empty empties STATE_DB.
func (o *observed) empty() {
	o.T.Helper()
	o.countDump()
	o.resyncs["database_flushed"]++
	o.Do("STATE_DB", "FLUSHDB")
	o.awaitResyncs()
}

// awaitResyncs waits until the daemon has noticed what was done to it.
func (o *observed) awaitResyncs() {
	o.T.Helper()
	for reason, n := range o.resyncs {
		o.web.AwaitValue(switchtest.ResyncSeries(reason), n)
	}
	o.rest()
}

// audited has audits find a row of which a field is gone, one that is wrong, and
// one of an interface that does not exist.
func (o *observed) audited() {
	o.T.Helper()
	o.Do("STATE_DB", "HDEL", switchtest.StatePort+switchtest.PortName(3), "mtu")
	o.Do("STATE_DB", "HSET", switchtest.StatePort+switchtest.PortName(4), "admin_status", "sideways")
	o.Do("STATE_DB", "HSET", switchtest.StatePort+switchtest.PortName(99), "state", "ok", "netdev_oper_status", "up")
	o.reloaded(1)
	switchtest.Eventually(o.T, switchtest.Timeout, func() string {
		if n := o.web.Scrape().Samples["portsyncd_audits_total"]; n < 2 {
			return fmt.Sprintf("%v audits", n)
		}
		return ""
	})
	o.reloaded(0)
	o.rest()
}

// reloaded gives the daemon another audit interval.
func (o *observed) reloaded(audit int) {
	o.T.Helper()
	o.write(audit)
	n := o.d.Notifications.Len()
	o.d.Signal(syscall.SIGHUP)
	o.d.AwaitNotification(n, switchtest.Timeout, "READY=1")
}

// compare reads everything once all is quiet, and holds each family to its rule.
func (o *observed) compare() {
	t := o.T
	t.Helper()
	resting := time.Now()
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		before := o.marked()
		o.fileFacts = o.look()
		o.answered = o.answers.counted()
		o.answered["/healthz 200"]++ // comes before the scrape
		var err error
		if o.final, err = o.web.SelfReport(); err != nil {
			return err.Error()
		}
		// An answer is counted a moment after it is sent.
		for _, f := range o.final.Metrics.Families {
			if f.Name == "portsyncd_http_requests_total" {
				if wrong := numberRules[f.Name].broken(o, f); len(wrong) > 0 {
					return strings.Join(wrong, "; ")
				}
			}
		}
		if last := o.lastSample(); last.Time.Before(resting) {
			return "no fresh sample"
		}
		if !maps.Equal(o.look(), o.fileFacts) {
			return "a file is being written"
		}
		if after := o.marked(); after != before {
			return "it is not at rest"
		}
		return ""
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
			t.Errorf("%s: nothing says what it has to be: add a rule to numberRules", f.Name)
			continue
		}
		for _, wrong := range rule.broken(o, f) {
			t.Errorf("%s (%s): %s", f.Name, f.Help, wrong)
		}
	}
	for name := range numberRules {
		if !names[name] {
			t.Errorf("%s has a rule and is not exposed", name)
		}
	}
	if wrong := o.final.Inconsistency(); wrong != "" {
		t.Error(wrong)
	}
	o.compareHistory()
	t.Logf("%d link messages, %v commands of the daemon's, %v rows written, %v deleted, %v refused, %d families",
		o.news.Len(), o.writes.commands, o.writes.sets, o.writes.deletes, o.writes.refusals, len(names))
}

// marked returns how many commands the daemon has sent, once all that came before
// now are known.
func (o *observed) marked() float64 {
	o.T.Helper()
	o.marks++
	text := fmt.Sprintf("mark %d", o.marks)
	o.Do("APPL_DB", "ECHO", text)
	if _, ok := o.commands.Await(0, switchtest.Timeout, func(c switchtest.RedisCommand) bool { return len(c.Args) == 2 && c.Args[1] == text }); !ok {
		o.T.Fatal("MONITOR has ended")
	}
	return count(o.commands, func(c switchtest.RedisCommand) bool { return strings.HasPrefix(c.Source, "unix:") })
}

// Count works out what the observers have seen.
func (o *observed) count() {
	o.T.Helper()
	book := newRowBook(o.Databases["STATE_DB"].Number)
	commands, _ := o.commands.From(0)
	for _, c := range commands {
		book.take(c)
	}
	book.endScript()
	o.writes, o.facts = book.rowCounts, o.KernelPorts()
}

// lastSample returns the newest line of the history.
func (o *observed) lastSample() (last warmrestart.Sample) {
	o.T.Helper()
	for _, s := range o.samples() {
		last = s
	}
	return last
}

// Samples returns the lines of the history.
func (o *observed) samples() (all []warmrestart.Sample) {
	o.T.Helper()
	text, _ := os.ReadFile(o.Dir + "/numbers/metrics/history.jsonl")
	for line := range strings.Lines(string(text)) {
		var s warmrestart.Sample
		if strings.HasSuffix(line, "\n") && json.Unmarshal([]byte(line), &s) == nil {
			all = append(all, s)
		}
	}
	return all
}

// compareHistory compares the last line of the history with /status, and the flaps
// of all lines with the kernel's messages.
func (o *observed) compareHistory() {
	o.T.Helper()
	last, counts := o.lastSample(), o.final.Status.Counts
	for name, got := range map[string]any{
		"events": last.Events, "writes": last.Writes, "resyncs": last.Resyncs, "repairs": last.Repairs,
		"ports_configured": last.Configured, "ports_present": last.Present, "ports_up": last.Up,
	} {
		if fmt.Sprint(got) != fmt.Sprint(counts[name]) {
			o.T.Errorf("history.jsonl: %s is %v, /status says %v", name, got, counts[name])
		}
	}
	if last.Health != o.final.Health.Status || last.Score != o.final.Health.Score {
		o.T.Errorf("history.jsonl: health is %s, %d, /healthz says %+v", last.Health, last.Score, o.final.Health)
	}
	got := make(map[string]float64)
	for _, s := range o.samples() {
		for _, f := range s.Flaps {
			got[f.Port] += float64(f.Downs)
		}
	}
	if want := o.flaps(); !maps.Equal(got, want) {
		o.T.Errorf("history.jsonl: flaps are %v, the kernel told of %v", got, want)
	}
}

// flaps is how often the carrier of each port went, as the kernel's messages tell:
// the growth of the count of each interface, from 0 on since all are made while the
// daemon listens. What an interface does under another name is not the port's.
func (o *observed) flaps() map[string]float64 {
	flaps, known, away := make(map[string]float64), make(map[int32]uint32), make(map[int32]bool)
	news, _ := o.news.From(0)
	for _, m := range news {
		switch {
		case !m.counted:
		case !switchtest.IsPortName(m.name):
			away[m.index] = true
		default:
			if from := known[m.index]; m.down > from && !away[m.index] {
				flaps[m.name] += float64(m.down - from)
			}
			known[m.index] = m.down
			delete(away, m.index)
		}
	}
	return flaps
}

// sortedKeys are the keys of a map of series.
func sortedKeys(m map[string]float64) []string { return slices.Sorted(maps.Keys(m)) }
