package switchtest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/sonicdb"
	"portsyncd/netlinkraw"
	"portsyncd/portsync"
)

// ExpectedReport is what a daemon should report.
type ExpectedReport struct {
	Ports           map[string]ReportedPort // by name, without LastChange, Speed and Lanes
	Series          map[string]float64
	RequiredReasons []string // health reasons that must be reported
	AllowedReasons  []string // health reasons that may be reported
	AllowEnded      bool     // any reason may be reported if its text says that its condition has ended
	// Pending has the names in /status.pending, or is nil if they are not compared.
	Pending []string
	// PendingWhy has a part of the reason that /status.pending must give for a name.
	PendingWhy map[string]string
	// PendingKnown is false if it is not known which ports PortInitDone waits for.
	PendingKnown bool
}

// portSeries returns the metrics of port p that must match its entry in /ports.
func (p *ReportedPort) portSeries() map[string]float64 {
	values := map[string]float64{"present": float64(BoolToInt(p.Present)), "written": float64(BoolToInt(p.Written)),
		"admin_up": float64(UpToInt(p.Admin)), "oper_up": float64(UpToInt(p.Oper)), "mtu_bytes": float64(p.MTU)}
	if p.Index != 0 { // without an interface they keep their last values
		values["carrier_up_changes_total"] = float64(p.CarrierUp)
		values["carrier_down_changes_total"] = float64(p.CarrierDown)
	}
	all := make(map[string]float64)
	for name, value := range values {
		all["portsyncd_port_"+name+portLabel(p.Name)] = value
	}
	return all
}

// Compare describes how r differs from the expected report w. It returns "" if they match. It does
// not compare the health state.
func (r *SelfReport) Compare(w *ExpectedReport) string {
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	series, seen, labels := maps.Clone(w.Series), make(map[string]bool), make(map[string]bool)
	for _, got := range r.ports {
		seen[got.Name], labels[portLabel(got.Name)] = true, true
		want, known := w.Ports[got.Name]
		if !known && !w.PendingKnown && got.InitPending { // a port that CONFIG_DB had at the start
			want, known = ReportedPort{Name: got.Name, State: "pending", InitPending: true, Written: true}, true
		}
		if !w.PendingKnown {
			want.InitPending = got.InitPending
		}
		if want.State == "" && !got.Present { // the history decides whether it is pending or absent
			want.State = got.State
		}
		want.Present, want.LastChange = want.State == "present", got.LastChange
		want.Speed, want.Lanes = got.Speed, got.Lanes // compared with portsyncd_port_info
		if !known || got != want {
			say("/ports has %+v, want %+v (wanted at all: %v)", got, want, known)
		}
		maps.Copy(series, want.portSeries())
	}
	for name := range w.Ports {
		if !seen[name] {
			say("/ports lacks %s", name)
		}
	}
	for name, want := range series {
		if got, ok := r.Metrics.Samples[name]; !ok || got != want {
			say("%s is %v (exists: %v), want %v", name, got, ok, want)
		}
	}
	for name := range r.Metrics.Samples {
		if label := portInSeries.FindString(name); label != "" && !labels[label+"}"] {
			say("series %s is of a port that /ports lacks", name)
		}
	}
	if w.Pending != nil {
		var got []string
		for _, p := range r.Status.Pending {
			got = append(got, p.What)
			if why := w.PendingWhy[p.What]; !strings.Contains(p.Why, why) {
				say("%s is pending because %q, want %q", p.What, p.Why, why)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, w.Pending) {
			say("pending is %q, want %q", r.Status.Pending, w.Pending)
		}
	}
	slices.Sort(wrong)
	return strings.Join(wrong, "\n")
}

// portInSeries matches the brace and the label port in a series, up to the quote that ends its value.
var portInSeries = regexp.MustCompile(`\{port="(?:[^"\\]|\\.)*"`)

// ReasonHold is how long the daemon keeps a health reason after its cause has ended.
const ReasonHold = 2 * time.Second

// healthProblem describes a health reason that is missing or not allowed. It returns "" if there is
// none.
func (r *SelfReport) healthProblem(w *ExpectedReport) string {
	codes := r.Health.codes()
	for _, code := range w.RequiredReasons {
		if !slices.Contains(codes, code) {
			return fmt.Sprintf("health lacks %s: %+v", code, r.Health)
		}
	}
	for _, reason := range r.Health.Reasons {
		ended := w.AllowEnded && strings.HasPrefix(reason.Text, "the condition has ended")
		if !ended && !slices.Contains(w.RequiredReasons, reason.Code) && !slices.Contains(w.AllowedReasons, reason.Code) {
			return fmt.Sprintf("health has %s: %+v", reason.Code, r.Health)
		}
	}
	return ""
}

// statusLineProblem describes how the systemd status line contradicts the health state in r. It
// returns "" if they are consistent.
func (d *Daemon) statusLineProblem(r *SelfReport) string {
	text := d.LastStatus()
	word, _, sick := strings.Cut(text, ", score ")
	if !sick && r.Health.Status == portsync.Healthy {
		return ""
	}
	if strings.HasPrefix(text, "waiting for the databases: ") && slices.Contains(r.Health.codes(), "database_down") {
		return ""
	}
	for _, code := range r.Health.codes() {
		if !strings.Contains(text, code+": ") {
			word = "without " + code
		}
	}
	if word != r.Health.Status {
		return fmt.Sprintf("the service manager shows %q, health is %+v", text, r.Health)
	}
	return ""
}

// KernelPorts returns, by name, the state of each port's interface in the kernel in the form in
// which /ports should show it.
func (sw *Switch) KernelPorts() map[string]ReportedPort {
	sw.T.Helper()
	all := make(map[string]ReportedPort)
	sw.NoError("list the links", netlinkraw.ListLinks(func(l *netlinkraw.Link) {
		name := string(l.Name)
		if !IsPortName(name) || sw.IgnoredLinks[l.Index] || string(l.Kind) == "team" {
			return
		}
		all[name] = ReportedPort{
			Name: name, Index: l.Index, MTU: l.MTU,
			Admin: UpOrDown(l.Flags&unix.IFF_UP != 0), Oper: UpOrDown(l.Flags&unix.IFF_RUNNING != 0),
			CarrierUp: l.CarrierUp, CarrierDown: l.CarrierDown,
		}
	}))
	return all
}

// IdleSeries returns the metrics that must have a certain value while the daemon is idle, with that
// value.
func IdleSeries() map[string]float64 {
	return map[string]float64{
		"portsyncd_backlog_ports": 0, "portsyncd_backlog_events": 0, "portsyncd_ready": 1,
		`portsyncd_component_up{component="database"}`: 1, `portsyncd_component_up{component="kernel"}`: 1,
		`portsyncd_component_up{component="start"}`: 1,
	}
}

// configuredNow returns the names of the ports in CONFIG_DB. It ignores keys that are not hashes.
func (sw *Switch) configuredNow() map[string]bool {
	sw.T.Helper()
	db := sw.Conn("CONFIG_DB")
	keys, err := db.Keys(ConfigPort + "*")
	sw.NoError("list the ports", err)
	for _, key := range keys {
		db.Send("HLEN", key)
	}
	sw.NoError("request the lengths of the rows", db.Flush())
	names := make(map[string]bool)
	for _, key := range keys {
		r, err := db.Receive()
		var refused sonicdb.ServerError
		if errors.As(err, &refused) {
			continue
		}
		sw.NoError("read the length of "+key, err)
		if r.Int > 0 {
			names[strings.TrimPrefix(key, ConfigPort)] = true
		}
	}
	return names
}

// ExpectedReport returns the report that an idle daemon should give, which is derived from the
// kernel and the databases.
func (sw *Switch) ExpectedReport() *ExpectedReport {
	sw.T.Helper()
	w := &ExpectedReport{Ports: make(map[string]ReportedPort), Series: IdleSeries()}
	configured := sw.configuredNow()
	for name := range configured {
		w.Ports[name] = ReportedPort{Name: name, Configured: true, Written: true}
	}
	present := 0
	for name, p := range sw.KernelPorts() {
		row := sw.Row("STATE_DB", StatePort+name)
		p.Configured = configured[name]
		if row["netdev_oper_status"] != "" {
			p.State = "present"
			present++
		}
		p.Written = row["netdev_oper_status"] == p.Oper && row["admin_status"] == p.Admin &&
			row["mtu"] == strconv.Itoa(int(p.MTU)) && row["state"] == "ok"
		if p.Configured || p.State != "" {
			w.Ports[name] = p
		}
	}
	w.Series["portsyncd_ports_present"] = float64(present)
	w.Series["portsyncd_ports_configured"] = float64(len(configured))
	if sw.Exists("APPL_DB", ApplPort+InitDone) {
		w.PendingKnown = true
		w.Series["portsyncd_ports_pending"] = 0
	}
	return w
}

// SelfReportTimeout is the maximum time until a report must be correct. It includes the time for
// which health reasons are kept.
const SelfReportTimeout = ReasonHold + 2*time.Second*RaceFactor

// CheckSelfReport waits until everything that the daemon reports matches the kernel and the
// databases. No port may be pending, only the health reasons in may may be active, and the daemon
// must notify the watchdog. A reason is also allowed if the kernel, the databases or the count of failed
// requests show its cause.
func (sw *Switch) CheckSelfReport(d *Daemon, may ...string) {
	sw.T.Helper()
	sw.CheckSelfReportAt(NewClient(sw.T, HTTPAddress), d, may...)
}

// CheckSelfReportAt is like CheckSelfReport, for a daemon with another HTTP address.
func (sw *Switch) CheckSelfReportAt(client *Client, d *Daemon, may ...string) {
	sw.T.Helper()
	Eventually(sw.T, SelfReportTimeout, func() string {
		w := sw.ExpectedReport()
		w.AllowedReasons = slices.Clone(may)
		for _, p := range w.Ports {
			if p.Configured && p.Index == 0 {
				w.AllowedReasons = append(w.AllowedReasons, "ports_missing") // after a while
			}
		}
		if sw.NetlinkSocket().Drops > 0 {
			w.AllowedReasons = append(w.AllowedReasons, "overrun")
		}
		r, err := client.SelfReport()
		if err != nil {
			return err.Error()
		}
		// How many requests fail during a fault depends on its duration, which depends on the machine.
		const minFailures = 3 // as in package portsync
		if r.Metrics.sum("portsyncd_database_errors_total{") >= minFailures {
			w.AllowedReasons = append(w.AllowedReasons, "failure_rate")
		}
		return r.Problem(d, w)
	})
	sw.AwaitWatchdog(d)
}

// AwaitReportedPorts waits until all HTTP documents show the port states in the kernel and the
// databases. It does not check the health state, because the daemon reports health reasons for some
// time after they end.
func (sw *Switch) AwaitReportedPorts() {
	sw.T.Helper()
	client := NewClient(sw.T, HTTPAddress)
	Eventually(sw.T, Timeout, func() string {
		r, err := client.SelfReport()
		if err != nil {
			return err.Error()
		}
		if wrong := r.Compare(sw.ExpectedReport()); wrong != "" {
			return wrong
		}
		return r.Inconsistency()
	})
}

// SelfReportProblem returns the first difference between what the daemon reports and what is
// expected, or "".
func (sw *Switch) SelfReportProblem(client *Client, d *Daemon, w *ExpectedReport) string {
	sw.T.Helper()
	r, err := client.SelfReport()
	if err != nil {
		return err.Error()
	}
	return r.Problem(d, w)
}

// Problem returns the first difference between the report of d and what is expected, or "".
func (r *SelfReport) Problem(d *Daemon, w *ExpectedReport) string {
	return cmp.Or(r.Compare(w), r.Inconsistency(), r.healthProblem(w), d.statusLineProblem(r))
}
