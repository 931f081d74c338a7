package model

import (
	"maps"
	"slices"
	"strings"
	"time"

	"portsyncd/internal/switchtest"
)

// This file compares what the daemon reports about itself with the model at any moment of a
// history, also during a fault.

// ask compares the daemon's report with the model now. While the server is paused, the daemon waits
// for a reply until its timeout; with v = 1 ask waits until the daemon has disconnected.
func (r *modelRun) ask(_, v int) bool {
	r.T.Helper()
	if r.d == nil || r.held {
		return false
	}
	switch {
	case r.reachable():
		r.awaitSync()
		switchtest.Eventually(r.T, modelTimeout, func() string {
			r.receiveLate()
			w := r.wanted(false)
			w.AllowEnded = true
			return r.SelfReportProblem(r.client(), r.d, w)
		})
	case r.paused:
		r.askPaused(v == 1)
	default:
		r.readLinks()
		switchtest.Eventually(r.T, modelTimeout, func() string {
			report, err := r.client().SelfReport()
			if err != nil {
				return err.Error()
			}
			return r.faultProblem(&report)
		})
	}
	return true
}

// askPaused is ask while the server is paused. Without wait it makes one request. With wait it waits
// until the report shows the kernel's state. If rows are to be written, the daemon waits for the
// reply: link messages must be shown as queued, and health must report stalled first and then
// database_down.
func (r *modelRun) askPaused(wait bool) {
	r.T.Helper()
	r.readLinks()
	var asked, sent time.Time // the last request, and the link message that must be queued
	stalled, queued := false, false
	// The daemon disconnects after a timeout of 2 s.
	switchtest.Eventually(r.T, 2*time.Second+modelTimeout, func() string {
		last := asked
		asked = time.Now()
		report, err := r.client().SelfReport()
		if err != nil {
			return err.Error()
		}
		wrong := r.faultProblem(&report)
		if !wait {
			return ""
		}
		_, due := r.duringFault(&report)
		codes := reasonCodes(&report)
		stalled = stalled || codes["stalled"] != ""
		queued = queued || !sent.IsZero() && report.Status.Backlog.Events > 0
		if report.Status.Backlog.Ports > 0 && sent.IsZero() && codes["database_down"] == "" {
			r.queue = append(r.queue, r.sent()...)
			sent = time.Now()
		}
		switch {
		case due && !queued && !sent.IsZero() && codes["database_down"] != "" && last.Sub(sent) > modelStall/4:
			r.T.Fatalf("no queued link message was shown before database_down: %+v", report.Status.Backlog)
		case wrong != "":
			return wrong
		case due && codes["database_down"] == "":
			return "health lacks database_down"
		case due && !stalled && !sent.IsZero() && asked.Sub(last) < modelStall/4:
			r.T.Fatalf("health lacked stalled before database_down: %+v", report.Health)
		}
		return ""
	})
}

// reasonCodes returns the texts of the health reasons by code.
func reasonCodes(report *switchtest.SelfReport) map[string]string {
	codes := make(map[string]string)
	for _, reason := range report.Health.Reasons {
		codes[reason.Code] = reason.Text
	}
	return codes
}

// faultProblem returns how a report during a fault of the server differs from the kernel and from
// what the databases had before the fault, or "". It fails at once if the report claims that a row
// was written, because no row can be.
func (r *modelRun) faultProblem(report *switchtest.SelfReport) string {
	r.T.Helper()
	w, due := r.duringFault(report)
	for _, p := range report.Status.Ports {
		if row, d := r.m.daemon.wrote[p.Name], r.m.daemon; p.Written && p.Index != 0 && !r.waiting &&
			!(d.rows[p.Name] && p.Admin == switchtest.UpOrDown(row.admin) && p.Oper == switchtest.UpOrDown(row.oper) && int(p.MTU) == row.mtu) {
			r.T.Fatalf("%s is reported as written during a fault: %+v; the row has %+v", p.Name, p, row)
		}
	}
	down := reasonCodes(report)["database_down"] != ""
	for _, db := range report.Status.Databases {
		if db.Up != !down || down && db.Error == "" {
			return "health and /status.databases differ: " + db.Name + ": " + db.Error
		}
	}
	if due && !down && report.Status.Backlog.WaitSeconds <= 0 {
		return "/status shows no time of the oldest change to be written"
	}
	return report.Problem(r.d, w)
}

// duringFault returns the report that the model expects while the databases do not execute writes.
// due reports whether a port differs from its row.
func (r *modelRun) duringFault(report *switchtest.SelfReport) (w *switchtest.ExpectedReport, due bool) {
	r.T.Helper()
	links := r.KernelPorts()
	r.queue = append(r.queue, r.sentSoFar()...)
	w = &switchtest.ExpectedReport{Ports: make(map[string]switchtest.ReportedPort), Series: switchtest.IdleSeries(), PendingKnown: true, Pending: []string{}, AllowEnded: true}
	down := r.down || reasonCodes(report)["database_down"] != ""
	w.Series[`portsyncd_component_up{component="database"}`] = float64(switchtest.BoolToInt(!down))
	if down {
		w.Pending = append(w.Pending, "databases")
		w.RequiredReasons = append(w.RequiredReasons, "database_down")
	}
	w.Series["portsyncd_backlog_ports"] = float64(report.Status.Backlog.Ports)
	if report.Status.Backlog.Ports > 0 {
		w.Pending = append(w.Pending, "write")
	}
	if r.waiting {
		w.Series["portsyncd_ready"], w.Series[`portsyncd_component_up{component="start"}`] = 0, 0
		delete(w.Series, `portsyncd_component_up{component="kernel"}`)
		delete(w.Series, "portsyncd_backlog_events") // they wait for the start
		w.RequiredReasons = append(w.RequiredReasons, "start_incomplete")
		w.AllowedReasons = append(w.AllowedReasons, "restart_storm")
		return w, false
	}
	after := r.m.clone()
	after.receive(r.queue)
	exists := make(map[string]bool)
	for _, name := range after.daemon.known {
		exists[name] = true
	}
	d, configured, got := r.m.daemon, r.m.configured(), make(map[string]switchtest.ReportedPort)
	for _, p := range report.Status.Ports {
		got[p.Name] = p
	}
	names := make(map[string]bool)
	for name := range configured {
		names[name] = true
	}
	maps.Copy(names, d.pending)
	maps.Copy(names, d.rows)
	for name := range d.rejected {
		names[name] = names[name] || exists[name]
	}
	maps.DeleteFunc(names, func(_ string, listed bool) bool { return !listed })
	unwritten, present := 0, 0
	for name := range names {
		p := switchtest.ReportedPort{Name: name, State: "pending", Written: got[name].Written}
		if exists[name] {
			p = links[name]
			p.State, p.Written = "pending", got[name].Written
		}
		row := d.wrote[name]
		switch {
		case exists[name] && d.rows[name]:
			p.State = "present"
			present++
		case !exists[name] && d.wasThere[name] && !after.daemon.ignores(name):
			p.State = "absent"
		}
		same := p.Admin == switchtest.UpOrDown(row.admin) && p.Oper == switchtest.UpOrDown(row.oper) && int(p.MTU) == row.mtu
		repaired := r.refuses && exists[name] && !d.rows[name] && d.toRecheck[name] // by an audit
		if d.rows[name] && !(exists[name] && same) || d.rejected[name] || repaired {
			p.Written = false
			// If APPL_DB does not have the port, the daemon may know that: it asked before the fault, or
			// the server refuses only writes.
			unknown := exists[name] && r.m.db["APPL_DB"][switchtest.ApplPort+name] == nil
			if !d.rejected[name] && !unknown {
				unwritten++
			}
		}
		p.Configured, p.InitPending = configured[name] != nil, d.pending[name]
		w.Ports[name] = p
		if p.InitPending || p.Configured && p.State == "pending" {
			w.Pending = append(w.Pending, name)
		}
	}
	w.Series["portsyncd_backlog_ports"] = float64(max(unwritten, report.Status.Backlog.Ports))
	d.wantCounts(w, present, len(configured))
	slices.Sort(w.Pending)
	r.wantedHealth(w, false)
	switch {
	case r.refuses && unwritten > 0:
		w.RequiredReasons = append(w.RequiredReasons, "database_refusing")
		if text := reasonCodes(report)["database_refusing"]; text != "" && !strings.Contains(text, "READONLY") {
			r.T.Fatalf("health does not contain the server's reply: %q", text)
		}
	case r.refuses:
		w.AllowedReasons = append(w.AllowedReasons, "database_refusing")
	case r.paused && !down:
		w.AllowedReasons = append(w.AllowedReasons, "stalled")
	}
	return w, unwritten > 0
}
