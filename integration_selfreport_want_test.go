package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/netlinkraw"
	"portsyncd/portsync"
	"portsyncd/sonicdb"
)

// wantedReport is what a daemon has to say about itself.
type wantedReport struct {
	ports  map[string]shownPort // by name, without the time of the last change
	series map[string]float64
	must   []string // reasons of health that there have to be
	may    []string // and those that there may be
	// pending are the names of what is waited for; nil: not compared.
	pending []string
	// awaited is false if it is not known which ports PortInitDone waits for.
	awaited bool
}

// portSeries are the series of a port that follow from what /ports shows of it.
func (p *shownPort) portSeries() map[string]float64 {
	values := map[string]float64{"present": float64(bit(p.Present)), "written": float64(bit(p.Written)),
		"admin_up": float64(bitOf(p.Admin)), "oper_up": float64(bitOf(p.Oper)), "mtu_bytes": float64(p.MTU)}
	if p.Index != 0 { // else they keep what they last were
		values["carrier_up_changes_total"] = float64(p.CarrierUp)
		values["carrier_down_changes_total"] = float64(p.CarrierDown)
	}
	all := make(map[string]float64)
	for name, value := range values {
		all["portsyncd_port_"+name+portLabel(p.Name)] = value
	}
	return all
}

// against says how a report is not what is wanted, "" if it is. It does not look
// at health.
func (r *selfReport) against(w *wantedReport) string {
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	series, seen, labels := maps.Clone(w.series), make(map[string]bool), make(map[string]bool)
	for _, got := range r.ports {
		seen[got.Name], labels[portLabel(got.Name)] = true, true
		want, known := w.ports[got.Name]
		if !known && !w.awaited && got.Awaited { // a port that CONFIG_DB had at the start
			want, known = shownPort{Name: got.Name, State: "pending", Awaited: true, Written: true}, true
		}
		if !w.awaited {
			want.Awaited = got.Awaited
		}
		if want.State == "" && !got.Present { // the history decides whether it is pending or absent
			want.State = got.State
		}
		want.Present, want.LastChange = want.State == "present", got.LastChange
		if !known || got != want {
			say("/ports has %+v, want %+v (wanted at all: %v)", got, want, known)
		}
		maps.Copy(series, want.portSeries())
	}
	for name := range w.ports {
		if !seen[name] {
			say("/ports lacks %s", name)
		}
	}
	for name, want := range series {
		if got, ok := r.metrics.samples[name]; !ok || got != want {
			say("%s is %v (there: %v), want %v", name, got, ok, want)
		}
	}
	for name := range r.metrics.samples {
		if at := strings.Index(name, `{port="`); at >= 0 && !labels[name[at:]] {
			say("there is a series %s of a port that /ports lacks", name)
		}
	}
	if w.pending != nil {
		var got []string
		for _, p := range r.status.Pending {
			got = append(got, p.What)
		}
		slices.Sort(got)
		if !slices.Equal(got, w.pending) {
			say("pending is %q, want %q", r.status.Pending, w.pending)
		}
	}
	slices.Sort(wrong)
	return strings.Join(wrong, "\n")
}

// sick says how the health of a report is not what is wanted.
func (r *selfReport) sick(w *wantedReport) string {
	codes := r.health.codes()
	for _, code := range w.must {
		if !slices.Contains(codes, code) {
			return fmt.Sprintf("health lacks %s: %+v", code, r.health)
		}
	}
	for _, code := range codes {
		if !slices.Contains(w.must, code) && !slices.Contains(w.may, code) {
			return fmt.Sprintf("health has %s: %+v", code, r.health)
		}
	}
	return ""
}

// told says how the status line of the service manager is not what health is.
func (d *program) told(r *selfReport) string {
	text := d.lastStatus()
	word, _, sick := strings.Cut(text, ", score ")
	if !sick && r.health.Status == portsync.Healthy {
		return ""
	}
	for _, code := range r.health.codes() {
		if !strings.Contains(text, code+": ") {
			word = "without " + code
		}
	}
	if word != r.health.Status {
		return fmt.Sprintf("the service manager shows %q, health is %+v", text, r.health)
	}
	return ""
}

// kernelFacts returns the ports of the kernel, by name, with what /ports shows of
// each interface.
func (c *cell) kernelFacts() map[string]shownPort {
	c.t.Helper()
	all := make(map[string]shownPort)
	c.must("list the links", netlinkraw.ListLinks(func(l *netlinkraw.Link) {
		name := string(l.Name)
		if !isPortName(name) || c.old[l.Index] || string(l.Kind) == "team" {
			return
		}
		all[name] = shownPort{
			Name: name, Index: l.Index, MTU: l.MTU,
			Admin: upOrDown(l.Flags&unix.IFF_UP != 0), Oper: upOrDown(l.Flags&unix.IFF_RUNNING != 0),
			CarrierUp: l.CarrierUp, CarrierDown: l.CarrierDown,
		}
	}))
	return all
}

// atRest are the series of a daemon that has nothing left to do.
func atRest() map[string]float64 {
	return map[string]float64{
		"portsyncd_backlog_ports": 0, "portsyncd_backlog_events": 0, "portsyncd_ready": 1,
		`portsyncd_component_up{component="database"}`: 1, `portsyncd_component_up{component="kernel"}`: 1,
		`portsyncd_component_up{component="start"}`: 1,
	}
}

// configuredNow returns the names of the ports that CONFIG_DB has. A key that is no
// hash is no port.
func (c *cell) configuredNow() map[string]bool {
	c.t.Helper()
	db := c.conn("CONFIG_DB")
	keys, err := db.Keys(configPort + "*")
	c.must("list the ports", err)
	for _, key := range keys {
		db.Send("HLEN", key)
	}
	c.must("ask for the length of the rows", db.Flush())
	names := make(map[string]bool)
	for _, key := range keys {
		r, err := db.Receive()
		var refused sonicdb.ServerError
		if errors.As(err, &refused) {
			continue
		}
		c.must("read the length of "+key, err)
		if r.Int > 0 {
			names[strings.TrimPrefix(key, configPort)] = true
		}
	}
	return names
}

// wantedReport is what the kernel and the databases say that a daemon has to say,
// if it has nothing left to do.
func (c *cell) wantedReport() *wantedReport {
	c.t.Helper()
	w := &wantedReport{ports: make(map[string]shownPort), series: atRest()}
	configured := c.configuredNow()
	for name := range configured {
		w.ports[name] = shownPort{Name: name, Configured: true, Written: true}
	}
	present := 0
	for name, p := range c.kernelFacts() {
		row := c.row("STATE_DB", statePort+name)
		p.Configured = configured[name]
		if row["netdev_oper_status"] != "" {
			p.State = "present"
			present++
		}
		p.Written = row["netdev_oper_status"] == p.Oper && row["admin_status"] == p.Admin &&
			row["mtu"] == strconv.Itoa(int(p.MTU)) && row["state"] == "ok"
		if p.Configured || p.State != "" {
			w.ports[name] = p
		}
	}
	w.series["portsyncd_ports_present"] = float64(present)
	w.series["portsyncd_ports_configured"] = float64(len(configured))
	if c.exists("APPL_DB", applPort+initDone) {
		w.awaited = true
		w.series["portsyncd_ports_pending"] = 0
	}
	return w
}

// reportWithin is how long a report may take to be right, reasons of health that
// linger included.
const reportWithin = healthLingers + 2*time.Second*raceFactor

// truthful waits until the daemon says about itself what is so, as the kernel and
// the databases have it: all documents agree, nothing is waited for, health has no
// reason but those that may be there, and the watchdog is fed.
func (c *cell) truthful(d *program, may ...string) {
	c.t.Helper()
	c.truthfulAt(newSite(c.t, httpAddress), d, may...)
}

// truthfulAt is truthful for a daemon that serves elsewhere.
func (c *cell) truthfulAt(s *site, d *program, may ...string) {
	c.t.Helper()
	eventually(c.t, reportWithin, func() string {
		w := c.wantedReport()
		w.may = slices.Clone(may)
		for _, p := range w.ports {
			if p.Configured && p.Index == 0 {
				w.may = append(w.may, "ports_missing") // after a while
			}
		}
		if _, drops := c.netlinkSocket(); drops > 0 {
			w.may = append(w.may, "overrun")
		}
		return c.untrue(s, d, w)
	})
	c.fed(d)
}

// shown waits until the daemon shows the ports as the kernel and the databases have
// them, in all of its documents. It does not look at health, of which reasons
// linger.
func (c *cell) shown() {
	c.t.Helper()
	s := newSite(c.t, httpAddress)
	eventually(c.t, patience, func() string {
		r, err := s.selfReport()
		if err != nil {
			return err.Error()
		}
		if wrong := r.against(c.wantedReport()); wrong != "" {
			return wrong
		}
		return r.disagreement()
	})
}

// untrue says what is not true of what a daemon says.
func (c *cell) untrue(s *site, d *program, w *wantedReport) string {
	c.t.Helper()
	r, err := s.selfReport()
	if err != nil {
		return err.Error()
	}
	for _, problem := range []string{r.against(w), r.disagreement(), r.sick(w), d.told(&r)} {
		if problem != "" {
			return problem
		}
	}
	return ""
}

// fed waits for a sign of life to the watchdog.
func (c *cell) fed(d *program) {
	c.t.Helper()
	if !d.watched {
		return
	}
	if _, ok := d.states.await(d.states.len(), 4*feedEvery*raceFactor, func(s string) bool { return s == "WATCHDOG=1" }); !ok {
		c.t.Fatalf("the watchdog is not fed within %v", 4*feedEvery*raceFactor)
	}
}
