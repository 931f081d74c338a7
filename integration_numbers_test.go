package main

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

	"portsyncd/netlinkraw"
	"portsyncd/warmrestart"
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
	c, r := newRedisCell(t)
	if c == nil {
		return
	}
	o := newObserved(c, r)
	seed := number(t, "PORTSYNCD_MODEL_SEED", 1)
	t.Logf("PORTSYNCD_MODEL_SEED=%d", seed)
	o.random = rand.New(rand.NewPCG(uint64(seed), 1))
	o.start()
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
	*cell
	redis  *redisServer
	random *rand.Rand
	conf   string
	d      *program
	web    *site
	begun  time.Time

	news     *record[linkNews]
	commands *record[command]
	files    *record[string]
	answers  *answerCount
	answered map[string]float64 // HTTP requests answered before the last reading, by path and status
	marks    int

	fileFacts map[string]fileFacts // at the last reading, by label

	dumps   float64    // that resyncs asked for
	dumped  linkCounts // what they showed
	resyncs map[string]float64

	writes rowCounts // at the end
	facts  map[string]shownPort
	final  selfReport
}

// linkCounts is what a dump shows.
type linkCounts struct {
	links    float64
	nameless float64 // interfaces that have no port's name
	unserved float64 // the port that APPL_DB does not have
}

// countLinks returns what a dump of this moment shows.
func (o *observed) countLinks() (n linkCounts) {
	o.t.Helper()
	o.must("list the links", netlinkraw.ListLinks(func(l *netlinkraw.Link) {
		n.links++
		n.nameless += float64(bit(!isPortName(string(l.Name))))
		n.unserved += float64(bit(isUnserved(string(l.Name))))
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

func newObserved(c *cell, r *redisServer) *observed {
	c.t.Helper()
	o := &observed{cell: c, redis: r, conf: c.dir + "/numbers.conf", answers: &answerCount{answered: make(map[string]float64)},
		resyncs: map[string]float64{"start": 1}}
	c.configure(numberPorts)
	for _, ops := range []error{c.links.AddBridge(modelBridge), c.links.AddVeth("uplink", "uplink-peer"), c.links.AddVeth("mark", "mark-peer")} {
		c.must("make interfaces", ops)
	}
	o.news = c.observeLinks()
	var err error
	o.commands, err = monitor(c.places["APPL_DB"].tcp())
	c.must("MONITOR", err)
	o.files = c.observeFiles(c.dir+"/numbers", c.dir+"/numbers/metrics")
	return o
}

// configure of the daemon: audits come when they are asked for.
func (o *observed) write(audit int) {
	o.t.Helper()
	writeFile(o.t, o.conf, fmt.Sprintf("[health]\naudit_interval_secs = %d\nmax_failure_rate_percent = 100.0\n"+
		"[warm_restart]\nstate_file = %q\n[metrics]\nstorage_path = %q\nexport_format = \"both\"\nsave_interval_secs = 1\n",
		audit, o.dir+"/numbers/port_state.json", o.dir+"/numbers/metrics"))
}

func (o *observed) start() {
	o.t.Helper()
	o.write(0)
	o.begun = time.Now()
	o.countDump()
	o.d = o.cell.start(launch{args: []string{"-c", o.conf}})
	o.d.awaitReady()
	o.web = newSite(o.t, httpAddress)
	o.answers.RoundTripper = o.web.client.Transport
	o.web.client.Transport = o.answers
	o.pop()
	for n := range numberPorts {
		o.addPort(portName(n))
	}
	o.awaitInitDone()
	o.addPort(portName(numberPorts))
	o.rest()
}

// countDump notes that the daemon is to ask for all links of this moment.
func (o *observed) countDump() {
	o.t.Helper()
	n := o.countLinks()
	o.dumps++
	o.dumped.links += n.links
	o.dumped.nameless += n.nameless
	o.dumped.unserved += n.unserved
}

// rest waits until the kernel has nothing to tell and the daemon nothing to do.
func (o *observed) rest() {
	o.t.Helper()
	// The kernel may take a second to act on a carrier (net/core/link_watch.c).
	for n := -1; n != o.news.len(); {
		n = o.news.len()
		o.news.await(n, 1100*time.Millisecond, func(linkNews) bool { return true })
	}
	o.truthfulAt(o.web, o.d)
}

// storm changes links at random, n times and without a pause.
func (o *observed) storm(n int) {
	o.t.Helper()
	away, member := make(map[string]bool), make(map[string]bool)
	back := func(name string) {
		o.must("rename back", o.links.Rename("away-"+name, name))
		delete(away, name)
		o.setUp(name)
	}
	for range n {
		name := portName(o.random.IntN(numberPorts))
		if away[name] {
			back(name)
			continue
		}
		switch o.random.IntN(12) {
		case 0:
			o.must("delete", o.links.Delete(name))
			delete(member, name)
			o.addPort(name)
		case 1:
			o.must("set down", o.links.SetUp(name, false))
			o.must("rename", o.links.Rename(name, "away-"+name))
			away[name] = true
		case 2:
			if member[name] {
				o.must("leave the bridge", o.links.NoMaster(name))
			} else {
				o.must("join the bridge", o.links.SetMaster(name, modelBridge))
			}
			member[name] = !member[name]
		case 3, 4:
			o.must("flap", o.links.SetUp(peerName(name), false))
			o.must("flap", o.links.SetUp(peerName(name), true))
		case 5:
			o.must("set down", o.links.SetUp(name, false))
			o.must("set up", o.links.SetUp(name, true))
		case 6:
			o.must("touch", o.links.SetTxQueueLen(name, 1000+o.random.IntN(1000)))
		case 7:
			o.must("change the uplink", o.links.SetMTU("uplink", 1400+o.random.IntN(100)))
		case 8:
			o.must("change the port without a row", o.links.SetMTU(portName(numberPorts), 1400+o.random.IntN(100)))
		default:
			o.must("set MTU", o.links.SetMTU(name, 1400+o.random.IntN(100)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(away)) {
		back(name)
	}
	o.rest()
}

// refuse has the server refuse the row of one port for a while.
func (o *observed) refuse() {
	o.t.Helper()
	o.do("STATE_DB", "SET", statePort+portName(1), "a string")
	for n := range 20 {
		o.must("set MTU", o.links.SetMTU(portName(1), 1300+n))
		o.must("set MTU", o.links.SetMTU(portName(2), 1300+n))
	}
	o.web.awaitValue(`portsyncd_port_written{port="`+portName(1)+`"}`, 0)
	time.Sleep(300 * time.Millisecond) // the time for which it refuses
	o.do("STATE_DB", "DEL", statePort+portName(1))
	o.rest()
}

// cutOff closes the daemon's connections.
func (o *observed) cutOff() {
	o.t.Helper()
	o.countDump()
	o.resyncs["database_back"]++
	o.do("APPL_DB", "CLIENT", "KILL", "TYPE", "pubsub")
	o.awaitResyncs()
}

// empty empties STATE_DB.
func (o *observed) empty() {
	o.t.Helper()
	o.countDump()
	o.resyncs["database_flushed"]++
	o.do("STATE_DB", "FLUSHDB")
	o.awaitResyncs()
}

// awaitResyncs waits until the daemon has noticed what was done to it.
func (o *observed) awaitResyncs() {
	o.t.Helper()
	for reason, n := range o.resyncs {
		o.web.awaitValue(resyncSeries(reason), n)
	}
	o.rest()
}

// audited has audits find a row of which a field is gone, one that is wrong, and
// one of an interface that does not exist.
func (o *observed) audited() {
	o.t.Helper()
	o.do("STATE_DB", "HDEL", statePort+portName(3), "mtu")
	o.do("STATE_DB", "HSET", statePort+portName(4), "admin_status", "sideways")
	o.do("STATE_DB", "HSET", statePort+portName(99), "state", "ok", "netdev_oper_status", "up")
	o.reloaded(1)
	eventually(o.t, patience, func() string {
		if n := o.web.scrape().samples["portsyncd_audits_total"]; n < 2 {
			return fmt.Sprintf("%v audits", n)
		}
		return ""
	})
	o.reloaded(0)
	o.rest()
}

// reloaded gives the daemon another audit interval.
func (o *observed) reloaded(audit int) {
	o.t.Helper()
	o.write(audit)
	n := o.d.states.len()
	o.d.signal(syscall.SIGHUP)
	o.d.awaitState(n, patience, "READY=1")
}

// compare reads everything once all is quiet, and holds each family to its rule.
func (o *observed) compare() {
	t := o.t
	t.Helper()
	resting := time.Now()
	eventually(t, patience, func() string {
		before := o.marked()
		o.fileFacts = o.look()
		o.answered = o.answers.counted()
		o.answered["/healthz 200"]++ // comes before the scrape
		var err error
		if o.final, err = o.web.selfReport(); err != nil {
			return err.Error()
		}
		// An answer is counted a moment after it is sent.
		for _, f := range o.final.metrics.families {
			if f.name == "portsyncd_http_requests_total" {
				if wrong := numberRules[f.name].broken(o, f); len(wrong) > 0 {
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
	for _, f := range o.final.metrics.families {
		names[f.name] = true
		if !strings.HasPrefix(f.name, "portsyncd_") {
			continue
		}
		rule, ok := numberRules[f.name]
		if !ok {
			t.Errorf("%s: nothing says what it has to be: add a rule to numberRules", f.name)
			continue
		}
		for _, wrong := range rule.broken(o, f) {
			t.Errorf("%s (%s): %s", f.name, f.help, wrong)
		}
	}
	for name := range numberRules {
		if !names[name] {
			t.Errorf("%s has a rule and is not exposed", name)
		}
	}
	if wrong := o.final.disagreement(); wrong != "" {
		t.Error(wrong)
	}
	o.compareHistory()
	t.Logf("%d link messages, %v commands of the daemon's, %v rows written, %v deleted, %v refused, %d families",
		o.news.len(), o.writes.commands, o.writes.sets, o.writes.deletes, o.writes.refusals, len(names))
}

// marked returns how many commands the daemon has sent, once all that came before
// now are known.
func (o *observed) marked() float64 {
	o.t.Helper()
	o.marks++
	text := fmt.Sprintf("mark %d", o.marks)
	o.do("APPL_DB", "ECHO", text)
	if _, ok := o.commands.await(0, patience, func(c command) bool { return len(c.argv) == 2 && c.argv[1] == text }); !ok {
		o.t.Fatal("MONITOR has ended")
	}
	return count(o.commands, func(c command) bool { return strings.HasPrefix(c.source, "unix:") })
}

// count works out what the observers have seen.
func (o *observed) count() {
	o.t.Helper()
	book := newRowBook(o.places["STATE_DB"].number)
	commands, _ := o.commands.from(0)
	for _, c := range commands {
		book.take(c)
	}
	book.endScript()
	o.writes, o.facts = book.rowCounts, o.kernelFacts()
}

// lastSample returns the newest line of the history.
func (o *observed) lastSample() (last warmrestart.Sample) {
	o.t.Helper()
	for _, s := range o.samples() {
		last = s
	}
	return last
}

// samples returns the lines of the history.
func (o *observed) samples() (all []warmrestart.Sample) {
	o.t.Helper()
	text, _ := os.ReadFile(o.dir + "/numbers/metrics/history.jsonl")
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
	o.t.Helper()
	last, counts := o.lastSample(), o.final.status.Counts
	for name, got := range map[string]any{
		"events": last.Events, "writes": last.Writes, "resyncs": last.Resyncs, "repairs": last.Repairs,
		"ports_configured": last.Configured, "ports_present": last.Present, "ports_up": last.Up,
	} {
		if fmt.Sprint(got) != fmt.Sprint(counts[name]) {
			o.t.Errorf("history.jsonl: %s is %v, /status says %v", name, got, counts[name])
		}
	}
	if last.Health != o.final.health.Status || last.Score != o.final.health.Score {
		o.t.Errorf("history.jsonl: health is %s, %d, /healthz says %+v", last.Health, last.Score, o.final.health)
	}
	got := make(map[string]float64)
	for _, s := range o.samples() {
		for _, f := range s.Flaps {
			got[f.Port] += float64(f.Downs)
		}
	}
	if want := o.flaps(); !maps.Equal(got, want) {
		o.t.Errorf("history.jsonl: flaps are %v, the kernel told of %v", got, want)
	}
}

// flaps is how often the carrier of each port went, as the kernel's messages tell:
// the growth of the count of each interface, from 0 on since all are made while the
// daemon listens. What an interface does under another name is not the port's.
func (o *observed) flaps() map[string]float64 {
	flaps, known, away := make(map[string]float64), make(map[int32]uint32), make(map[int32]bool)
	news, _ := o.news.from(0)
	for _, m := range news {
		switch {
		case !m.counted:
		case !isPortName(m.name):
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
