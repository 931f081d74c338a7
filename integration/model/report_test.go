package model

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"portsyncd/internal/switchtest"
)

// This file compares what the daemon reports about itself with the model, when switch and model
// agree on the databases.

const (
	// modelStall is max_stall_seconds of the model's configuration.
	modelStall = time.Second
	// modelMissing is how long the interface of a port may be missing.
	modelMissing = 2 * time.Second
	// modelQuiet is longer than each threshold.
	modelQuiet = max(modelStall, modelMissing) + 250*time.Millisecond
)

// wanted returns the report that the model expects. With quiet, no event happened for modelQuiet.
func (r *modelRun) wanted(quiet bool) *switchtest.ExpectedReport {
	r.T.Helper()
	d, links := r.m.daemon, r.KernelPorts()
	w := &switchtest.ExpectedReport{Ports: make(map[string]switchtest.ReportedPort), Series: switchtest.IdleSeries(), PendingKnown: true, Pending: []string{}, PendingWhy: make(map[string]string)}
	exists := make(map[string]bool) // as the daemon has them: without old interfaces
	for _, name := range d.known {
		exists[name] = true
	}
	configured, names := r.m.configured(), make(map[string]bool)
	for name := range configured {
		names[name] = true
		if r.configuredBefore != nil && r.configuredBefore[name] == nil && !exists[name] {
			d.expected[name] = true
		}
	}
	r.configuredBefore = configured
	for _, set := range []map[string]bool{d.pending, d.rows, d.rejected} {
		maps.Copy(names, set)
	}
	for name := range names {
		p := switchtest.ReportedPort{Name: name, State: "pending", Written: true}
		if exists[name] {
			p = links[name]
			row := d.wrote[name]
			p.Written = d.rows[name] && !d.rejected[name] &&
				p.Admin == switchtest.UpOrDown(row.admin) && p.Oper == switchtest.UpOrDown(row.oper) && int(p.MTU) == row.mtu
		}
		switch {
		case exists[name] && d.rows[name]:
			p.State = "present"
		case exists[name]:
			p.State = "pending"
		case d.wasThere[name] && !d.ignores(name):
			p.State = "absent"
		}
		p.Configured, p.InitPending = configured[name] != nil, d.pending[name]
		w.Ports[name] = p
	}
	maps.DeleteFunc(d.wasThere, func(name string, _ bool) bool { return !names[name] && !exists[name] })
	d.wantCounts(w, r.m.present(), len(configured))
	for name, fields := range configured {
		w.Series[fmt.Sprintf(`portsyncd_port_info{port=%q,alias="",description="",speed=%q,lanes=%q,index=""}`, name, fields["speed"], fields["lanes"])] = 1
	}
	for name, p := range w.Ports {
		if p.InitPending || p.Configured && p.State == "pending" {
			w.Pending = append(w.Pending, name)
			if p.Index == 0 && r.early == nil {
				w.PendingWhy[name] = d.whyAbsent(name)
			}
		}
	}
	slices.Sort(w.Pending)
	r.wantedHealth(w, quiet)
	return w
}

// ignores reports whether the daemon ignores the interface with the given name, if there is one.
func (d *modelDaemon) ignores(name string) bool {
	return !switchtest.IsPortName(name) || slices.Contains(slices.Collect(maps.Values(d.old)), name)
}

// whyAbsent returns a part of the reason why the daemon knows no interface of a port.
func (d *modelDaemon) whyAbsent(name string) string {
	switch {
	case !switchtest.IsPortName(name):
		return "are ignored"
	case slices.Contains(slices.Collect(maps.Values(d.old)), name):
		return "left over from an earlier run"
	}
	return "it has no interface"
}

// wantCounts adds the numbers of ports, and the state of PortConfigDone and PortInitDone.
func (d *modelDaemon) wantCounts(w *switchtest.ExpectedReport, present, configured int) {
	w.Series["portsyncd_ports_present"] = float64(present)
	w.Series["portsyncd_ports_pending"] = float64(len(d.pending))
	w.Series["portsyncd_ports_configured"] = float64(configured)
	w.Series["portsyncd_port_config_done"] = float64(switchtest.BoolToInt(d.configDone))
	w.Series["portsyncd_port_init_done"] = float64(switchtest.BoolToInt(d.initDone))
	if !d.initDone {
		w.Pending = append(w.Pending, "PortInitDone")
	}
}

// wantedHealth adds the health reasons that follow from the history.
func (r *modelRun) wantedHealth(w *switchtest.ExpectedReport, quiet bool) {
	const minute = time.Minute
	switch since := time.Since(r.overran); {
	case r.overran.IsZero():
	case since < minute-switchtest.ReasonHold:
		w.RequiredReasons = append(w.RequiredReasons, "overrun")
	case since < minute+2*switchtest.ReasonHold:
		w.AllowedReasons = append(w.AllowedReasons, "overrun")
	}
	if time.Since(r.execed) > minute-switchtest.ReasonHold && !r.m.daemon.initDone {
		w.AllowedReasons = append(w.AllowedReasons, "port_init_late")
	}
	// Ports whose interface was deleted are missing. For a port that was added later, or whose
	// row was replaced, the interface has a minute to appear. The daemon reads CONFIG_DB a moment
	// after a flush, so interfaces that are created meanwhile may or may not count for this. If the
	// connection is lost in that moment, the daemon does not know that a row was replaced.
	missing, late := 0, 0
	recent := func(at time.Time) bool { return !at.IsZero() && time.Since(at) < minute+switchtest.ReasonHold }
	for name, p := range w.Ports {
		switch {
		case !p.Configured || p.Index != 0 || !switchtest.IsPortName(name):
		case p.State == "absent" && (recent(r.lastFlush) || r.m.daemon.expected[name] && recent(r.lastBack)):
			late++
		case p.State == "absent" && !r.m.daemon.expected[name]:
			missing++
		case time.Since(r.execed) > minute-switchtest.ReasonHold && (p.State == "absent" || r.m.daemon.initDone):
			late++
		}
	}
	switch {
	case missing > 0 && quiet:
		w.RequiredReasons = append(w.RequiredReasons, "ports_missing")
	case missing+late > 0:
		w.AllowedReasons = append(w.AllowedReasons, "ports_missing")
	}
	if quiet && late == 0 {
		w.Series["portsyncd_ports_missing"] = float64(missing)
	}
	for name := range r.m.daemon.rejected {
		if w.Ports[name].Index != 0 {
			w.RequiredReasons = append(w.RequiredReasons, "database_refusing")
			break
		}
	}
	if r.starts > 2 {
		w.AllowedReasons = append(w.AllowedReasons, "restart_storm")
	}
}

// reportDifference returns how the daemon's report differs from the model's, without health, whose
// reasons the daemon keeps for a while.
func (r *modelRun) reportDifference() string {
	r.T.Helper()
	report, err := r.client().SelfReport()
	if err != nil {
		return err.Error()
	}
	if wrong := report.Compare(r.wanted(false)); wrong != "" {
		return wrong
	}
	return report.Inconsistency()
}

// client returns an HTTP client for the daemon.
func (r *modelRun) client() *switchtest.Client {
	r.T.Helper()
	if r.web == nil {
		r.web = switchtest.NewClient(r.T, switchtest.HTTPAddress)
	}
	return r.web
}

// checkReport checks everything that the daemon reports after its health reasons have expired, and
// again after a quiet time longer than every threshold. The watchdog must be notified all the
// time.
func (r *modelRun) checkReport() {
	r.T.Helper()
	switchtest.Eventually(r.T, switchtest.SelfReportTimeout, func() string {
		r.receiveLate()
		return r.SelfReportProblem(r.client(), r.d, r.wanted(false))
	})
	r.rest()
	r.AwaitWatchdog(r.d)
}

// rest waits for a quiet time longer than every threshold and checks everything that the daemon
// reports. It returns true.
func (r *modelRun) rest() bool {
	r.T.Helper()
	time.Sleep(modelQuiet) // the quiet time itself
	// On a busy machine, a threshold may expire later, even between the requests for two documents.
	switchtest.Eventually(r.T, switchtest.SyncTimeout, func() string {
		r.receiveLate()
		if wrong := r.SelfReportProblem(r.client(), r.d, r.wanted(true)); wrong != "" {
			return fmt.Sprintf("after an idle time of %v: %s", modelQuiet, wrong)
		}
		return ""
	})
	return true
}
