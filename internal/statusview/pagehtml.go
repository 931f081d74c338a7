package statusview

import (
	"cmp"
)

// The functions in this file write the status page.

// statusPage writes the page.
func (w *htmlWriter) statusPage(v *pageView) {
	w.raw(`<!DOCTYPE html>
<html lang="en">
<head>
<title>`).optional(``, v.Title, `: `).text(v.Daemon.Text).raw(`, `).text(v.Links.Text).raw(` – portsyncd</title>
`).head().raw(`
</head>
<body>
<a class="skip" href="#panel">Skip to the front panel</a>
<header class="top">
<div class="name"><h1>`).text(cmp.Or(v.Title, "portsyncd")).raw(`</h1>
<p class="quiet">portsyncd `).text(v.Version).raw(` · PID `).number(int64(v.PID)).raw(` · up `).text(v.Up).raw(`</p></div>
`).asOf(v.At).raw(`
</header>
`).stale().raw(`

<main>
`)
	w.healthSection(v)
	w.panelSection(&v.Panel)
	w.eventsSection(v.Events)
	w.pendingSection(v.Pending)
	w.databasesSection(v)
	w.hourSections(&v.Hour)
	w.restartsSection(v)
	w.raw(`<section class="wide" aria-labelledby="h-counts">
<h2 id="h-counts">Totals since the start</h2>
`).counts(v.Counts).raw(`
</section>

`)
	w.minutesSection(v.Hour.Minutes)
	w.raw(`</main>

`).end()
}

func (w *htmlWriter) healthSection(v *pageView) {
	w.raw(`<section class="wide" aria-labelledby="h-health">
<h2 id="h-health" class="away">Health</h2>
<div class="summary" role="status">
`).daemonSummary(&v.Daemon)
	if v.Daemon.Note == "" && v.Health.Since.Exact != "" {
		w.raw(` <span>since `).time(v.Health.Since).raw(`</span>`)
	}
	w.raw(`</p>
<p class="`).text(v.Links.Tone).raw(`">ports: <b>`).text(v.Links.Text).raw(`</b>`).optional(` <span>`, v.Links.Note, `</span>`).raw(`</p>
</div>
`).reasons(v.Health.Reasons).raw("\n").tiles(v.Tiles).raw(`
</section>

`)
}

// panelSection writes the front panel and the table of ports.
func (w *htmlWriter) panelSection(p *panelView) {
	w.raw(`<section class="wide panel`)
	if p.Dense {
		w.raw(` dense`)
	}
	w.raw(`" id="panel" aria-labelledby="h-panel" tabindex="-1">
<h2 id="h-panel">Front panel</h2>
`)
	if p.Ports == 0 {
		w.raw(`<p class="empty">No port is configured and no port has an interface.</p>
</section>

`)
		return
	}
	w.raw(`<p class="quiet">`).number(int64(p.Ports)).raw(` ports`).optional(`; all names begin with <code>`, p.Prefix, `</code>`).raw(`</p>
<fieldset class="filter"><legend>Show</legend>
<label><input type="radio" name="show" value="all" checked><span>all <b>`).number(int64(p.Ports)).raw(`</b></span></label>`)
	for _, s := range p.States {
		w.raw("\n").raw(`<label class="`).text(s.State)
		if s.Count == 0 {
			w.raw(` none`)
		}
		w.raw(`"><input type="radio" name="show" value="`).text(s.State).raw(`"><span>`).text(s.State).raw(` <b>`).number(int64(s.Count)).raw(`</b></span></label>`)
	}
	w.raw(`
</fieldset>
<ol class="cells">`).raw(p.Cells).raw(`
</ol>
<details><summary>Table of ports</summary>
<div class="scroll" role="region" aria-label="Ports" tabindex="0"><table class="ports">
<thead><tr>`).raw(p.Headings).raw(`</tr></thead>
<tbody>`).raw(p.Rows).raw(`
</tbody></table></div></details>
</section>

`)
}

func (w *htmlWriter) eventsSection(all []eventRow) {
	w.raw(`<section class="wide" aria-labelledby="h-events">
<h2 id="h-events">Recent events</h2>
`)
	if len(all) > 0 {
		w.events(all).raw(`
<p class="quiet">These are the newest events. <code>portsyncd events</code> lists all stored events.</p>`)
	} else {
		w.raw(`<p class="empty">No event is recorded.</p>`)
	}
	w.raw(`
</section>

`)
}

func (w *htmlWriter) pendingSection(all []pendingRow) {
	w.raw(`<section aria-labelledby="h-pending">
<h2 id="h-pending">Pending</h2>
`)
	if len(all) == 0 {
		w.raw(`<p class="empty">Nothing is pending.</p>
</section>

`)
		return
	}
	w.raw(`<div class="scroll" role="region" aria-label="Pending" tabindex="0"><table>
<thead><tr><th scope="col">What</th><th scope="col">Reason</th><th scope="col" class="n">For</th></tr></thead>
<tbody>`)
	for i := range all {
		w.raw("\n").raw(`<tr><th scope="row">`).text(all[i].What).raw(`</th><td>`).text(all[i].Why).raw(`</td><td class="n">`).text(all[i].For).raw(`</td></tr>`)
	}
	w.raw(`
</tbody></table></div>
</section>

`)
}

func (w *htmlWriter) databasesSection(v *pageView) {
	w.raw(`<section aria-labelledby="h-databases">
<h2 id="h-databases">Databases</h2>
<div class="scroll" role="region" aria-label="Databases" tabindex="0"><table>
<thead><tr><th scope="col">Database</th><th scope="col">Connection</th><th scope="col">Since</th><th scope="col">Address</th></tr></thead>
<tbody>`)
	for i := range v.Databases {
		d := &v.Databases[i]
		w.raw("\n").raw(`<tr><th scope="row">`).text(d.Name)
		if d.Up {
			w.raw(`</th><td><b class="state good">connected</b></td><td>`)
		} else {
			w.raw(`</th><td><b class="state bad">disconnected</b></td><td>`)
		}
		w.time(d.Since).raw(`</td><td><code>`).text(d.Address).raw(`</code>`).optional(`<br>`, d.Error, ``).raw(`</td></tr>`)
	}
	w.raw(`
</tbody></table></div>
<p class="quiet">Backlog: `).number(v.Backlog.Ports).raw(` rows to write, `).number(v.Backlog.Events).raw(` link messages to process`)
	if v.Backlog.WaitSeconds != 0 {
		w.raw(`, oldest `).text(v.Wait)
	}
	w.raw(`. Last resync `).time(v.Resync).raw(`, last audit `).time(v.Audit).raw(`.</p>
</section>

`)
}

// hourSections writes the plots of the last hour.
func (w *htmlWriter) hourSections(h *hourView) {
	w.raw(`<section aria-labelledby="h-rate">
<h2 id="h-rate">Link messages</h2>
<figure class="chart"><figcaption><span class="key">messages</span> per minute in the last hour</figcaption>`).raw(h.Rate).raw(`</figure>
</section>

<section aria-labelledby="h-latency">
<h2 id="h-latency">Latency</h2>
<figure class="chart"><figcaption><span class="key p99">p99</span> <span class="key p50">p50</span> from the link message to the acknowledged write, per minute</figcaption>`).raw(h.Latency).raw(`</figure>
</section>

`)
}

// restartsSection writes this start and the list of earlier ones.
func (w *htmlWriter) restartsSection(v *pageView) {
	w.raw(`<section class="wide" aria-labelledby="h-restarts">
<h2 id="h-restarts">Restarts</h2>
<p>`)
	switch {
	case v.Start.Kind == "" && v.Start.Reason == "":
		w.raw(`The kind of this start is not decided yet.`)
	case v.Start.Kind == "":
		w.text(v.Start.Reason).raw(`.`)
	default:
		w.raw(`This start was <b>`).text(v.Start.Kind).raw(`</b>`).optional(`: `, v.Start.Reason, ``)
		if v.Start.Ready {
			w.raw(`; the initial sync took `).text(v.Sync).raw(`.`)
		} else {
			w.raw(`; the initial sync is in progress.`)
		}
	}
	w.raw("</p>\n")
	if v.Timeline == "" {
		w.raw(`<p class="empty">No restart is recorded.</p>`)
	} else {
		w.raw(`<figure class="chart"><figcaption><span class="key dot warm">warm</span> <span class="key dot cold">cold</span> <span class="key dot late">timed out</span> duration of the initial sync</figcaption>`).
			raw(v.Timeline).raw("</figure>\n").raw(`<ol class="timeline" reversed>`).restarts(v.Recent).raw("\n</ol>")
		if len(v.Older) > 0 {
			w.raw("\n<details><summary>").number(int64(len(v.Older))).raw(` older restarts</summary><ol class="timeline">`).
				restarts(v.Older).raw("\n</ol></details>")
		}
	}
	w.raw(`
</section>

`)
}

// minutesSection writes the table of the last hour.
func (w *htmlWriter) minutesSection(minutes []minuteRow) {
	w.raw(`<section class="wide" aria-labelledby="h-minutes">
<details><summary><h2 id="h-minutes">Table of the last hour</h2></summary>
<div class="scroll" role="region" aria-label="Last hour" tabindex="0"><table>
<thead><tr><th scope="col">Minute</th><th scope="col" class="n">Link messages</th><th scope="col" class="n">Writes</th><th scope="col" class="n">p50</th><th scope="col" class="n">p99</th><th scope="col" class="n">Maximum</th></tr></thead>
<tbody>`)
	for i := range minutes {
		m := &minutes[i]
		w.raw("\n<tr><td>").time(m.At).raw(`</td>`).numbers(m.Events, m.Writes, m.P50, m.P99, m.Max).raw(`</tr>`)
	}
	w.raw(`
</tbody></table></div></details>
</section>
`)
}

// numbers writes right-aligned cells of a table.
func (w *htmlWriter) numbers(all ...string) *htmlWriter {
	for _, s := range all {
		w.raw(`<td class="n">`).text(s).raw(`</td>`)
	}
	return w
}
