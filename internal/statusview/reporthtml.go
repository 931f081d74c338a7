package statusview

import "cmp"

// reportPage writes the report page.
func (w *htmlWriter) reportPage(v *reportView) {
	// The policy is embedded in the page because the page is read from a file, without HTTP headers.
	policy := "default-src 'none'; img-src data:; style-src " + hashSource(pageStyle) + "; base-uri 'none'; form-action 'none'"
	w.raw(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="`).text(policy).raw(`">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>`).optional(``, v.Host, `: `).raw(`report – portsyncd</title>
<link rel="icon" href="data:,">
`).style().raw(`
</head>
<body>
<a class="skip" href="#main">Skip to the report</a>
<header class="top">
<div class="name"><h1>`).text(cmp.Or(v.Host, "portsyncd")).raw(`</h1>
<p class="quiet">portsyncd `).text(v.Version).raw(` · from <code>`).text(v.Storage).raw(`</code></p></div>
<p class="asof"><span>Report of <time datetime="`).text(v.At.Exact).raw(`">`).text(v.At.Text).raw(`</time> UTC`)
	if v.First.Exact != "" {
		w.raw(`<br>`).text(v.Restarts).raw(` and `).text(v.Samples).raw(`, `).time(v.First).raw(` to `).time(v.Last)
	}
	w.raw(`</span></p>
</header>

<main id="main">`)
	w.problemsSection(v.Problems)
	w.raw(`

<section class="wide" aria-label="Overview">`).tiles(v.Tiles).raw(`</section>

`)
	w.adviceSection(v)
	w.restartHistorySection(v)
	w.percentilesSection(v.Percentiles)
	w.samplesSections(v)
	w.anomaliesSection(v)
	w.linkDownsSection(v)
	w.countersSection(v)
	w.raw(`</main>
</body>
</html>
`)
}

func (w *htmlWriter) problemsSection(all []string) {
	if len(all) == 0 {
		return
	}
	w.raw(`
<section class="wide" aria-labelledby="h-problems">
<h2 id="h-problems">Corrupt files</h2>
<ul class="plain">`)
	for _, problem := range all {
		w.raw(`<li>`).text(problem).raw(`</li>`)
	}
	w.raw(`</ul>
</section>`)
}

func (w *htmlWriter) adviceSection(v *reportView) {
	w.raw(`<section class="wide" aria-labelledby="h-advice">
<h2 id="h-advice">Recommendations</h2>
`)
	if len(v.Advice) == 0 {
		w.raw(`<p class="empty">No recommendations.</p>`)
	} else {
		w.raw(`<ul class="advice">`)
		for i := range v.Advice {
			r := &v.Advice[i]
			w.raw("\n<li><p><b>").text(r.Text).raw(`</b>`).optional(` <code>`, r.Setting, `</code>`).
				raw(`</p><p class="quiet">`).text(r.Why).raw(`</p></li>`)
		}
		w.raw("\n</ul>")
	}
	w.raw(`
</section>

`)
}

func (w *htmlWriter) restartHistorySection(v *reportView) {
	w.raw(`<section class="wide" aria-labelledby="h-restarts">
<h2 id="h-restarts">Restarts</h2>
`)
	if v.RestartPlot == "" {
		w.raw(`<p class="empty">No restart is recorded.</p>`)
	} else {
		w.raw(`<figure class="chart"><figcaption><span class="key dot warm">warm</span> <span class="key dot cold">cold</span> <span class="key dot late">timed out</span> <span class="key dot odd">anomaly</span> <span class="key trend">trend</span> duration of the initial sync</figcaption>`).
			raw(v.RestartPlot).raw("</figure>\n").trend(v.SyncTrend).trend(v.RecoveryTrend)
	}
	w.raw(`
</section>

`)
}

// trend writes a trend, or nothing if t is nil.
func (w *htmlWriter) trend(t *trendView) *htmlWriter {
	if t == nil {
		return w
	}
	return w.raw(`<p><b class="state `).text(t.Tone).raw(`">`).text(t.Direction).raw(`</b> `).text(t.Text).
		raw(` <span class="quiet">`).text(t.Figures).raw(`</span></p>`)
}

func (w *htmlWriter) percentilesSection(all []percentileRow) {
	w.raw(`<section class="wide" aria-labelledby="h-percentiles">
<h2 id="h-percentiles">Durations</h2>
`)
	if len(all) == 0 {
		w.raw(`<p class="empty">No data.</p>
</section>

`)
		return
	}
	w.raw(`<div class="scroll" role="region" aria-label="Percentiles" tabindex="0"><table>
<thead><tr><th scope="col">Duration</th><th scope="col" class="n">Values</th><th scope="col" class="n">Minimum</th><th scope="col" class="n">Mean</th><th scope="col" class="n">p50</th><th scope="col" class="n">p95</th><th scope="col" class="n">p99</th><th scope="col" class="n">Maximum</th></tr></thead>
<tbody>`)
	for i := range all {
		p := &all[i]
		w.raw("\n").raw(`<tr><th scope="row">`).text(p.Name).raw(`</th>`).
			numbers(p.N, p.Min, p.Mean, p.P50, p.P95, p.P99, p.Max).raw(`</tr>`)
	}
	w.raw(`
</tbody></table></div>
`)
	for i := range all {
		p := &all[i]
		w.raw(`<figure class="chart strip"><figcaption>`).text(p.Name).
			raw(`: minimum to maximum, with <span class="key p50">p50</span> <span class="key p95">p95</span> <span class="key p99">p99</span>`)
		if p.Few {
			w.raw(` (few values: high percentiles are unreliable)`)
		}
		w.raw(`</figcaption>`).raw(p.Plot).raw("</figure>\n")
	}
	w.raw(`
</section>

`)
}

// samplesSections writes the plots of the samples.
func (w *htmlWriter) samplesSections(v *reportView) {
	w.raw(`<section aria-labelledby="h-latency">
<h2 id="h-latency">Latency, p99</h2>
`)
	if v.LatencyPlot == "" {
		w.raw(`<p class="empty">No sample has a latency.</p>`)
	} else {
		w.raw(`<figure class="chart"><figcaption><span class="key p99">p99</span> <span class="key dot odd">anomaly</span> <span class="key trend">trend</span> per sample</figcaption>`).
			raw(v.LatencyPlot).raw("</figure>\n").trend(v.LatencyTrend)
	}
	w.raw(`
</section>

<section aria-labelledby="h-messages">
<h2 id="h-messages">Link messages</h2>
`)
	if v.EventPlot == "" {
		w.raw(`<p class="empty">Fewer than two samples of one process.</p>`)
	} else {
		w.raw(`<figure class="chart"><figcaption><span class="key">link messages</span> <span class="key dot odd">anomaly</span> per second, between samples</figcaption>`).
			raw(v.EventPlot).raw(`</figure>`)
	}
	w.raw(`
</section>

`)
}

// anomaliesSection writes the anomalies and, if there were any, the storms.
func (w *htmlWriter) anomaliesSection(v *reportView) {
	w.raw(`<section aria-labelledby="h-anomalies">
<h2 id="h-anomalies">Anomalies</h2>
`)
	if len(v.Anomalies) == 0 {
		w.raw(`<p class="empty">No anomalies.</p>`)
	} else {
		w.raw(`<div class="scroll" role="region" aria-label="Anomalies" tabindex="0"><table>
<thead><tr><th scope="col">When</th><th scope="col">Series</th><th scope="col" class="n">Value</th><th scope="col" class="n">Median</th><th scope="col" class="n">Score</th></tr></thead>
<tbody>`)
		for i := range v.Anomalies {
			a := &v.Anomalies[i]
			w.raw("\n<tr><td>").time(a.At).raw(`</td><td>`).text(a.Series).raw(`</td>`).
				numbers(a.Value, a.Median, a.Score).raw(`</tr>`)
		}
		w.raw(`
</tbody></table></div><p class="quiet">`).optional(``, v.Unlisted, ` more have lower scores. `).
			raw(`The score is the modified z-score, computed from the median and the median absolute deviation.</p>`)
	}
	w.raw("\n")
	if len(v.Storms) > 0 {
		w.raw(`<h3>Storms</h3>
<ul class="plain">`)
		for i := range v.Storms {
			s := &v.Storms[i]
			w.raw(`<li>`).time(s.From).raw(` to `).time(s.To).raw(`: `).text(s.Text).raw(`</li>`)
		}
		w.raw(`</ul>`)
	}
	w.raw(`
</section>

`)
}

// linkDownsSection writes the ports with link-down transitions, and the minutes with the most of
// them.
func (w *htmlWriter) linkDownsSection(v *reportView) {
	w.raw(`<section aria-labelledby="h-downs">
<h2 id="h-downs">Ports with link-down transitions counted by the kernel</h2>
`)
	if len(v.LinkDowns) == 0 {
		w.raw(`<p class="empty">No link-down transitions.</p>`)
	} else {
		w.raw(`<div class="scroll" role="region" aria-label="Ports with link-down transitions" tabindex="0"><table>
<thead><tr><th scope="col">Port</th><th scope="col" class="n">Link downs</th><th scope="col" class="n">Highest penalty</th><th scope="col">Last</th></tr></thead>
<tbody>`)
		for i := range v.LinkDowns {
			d := &v.LinkDowns[i]
			w.raw("\n").raw(`<tr><th scope="row">`).text(d.Port)
			if d.Flapping {
				w.raw(` <span class="quiet">flapping</span>`)
			}
			w.raw(`</th>`).numbers(d.Downs).raw(`<td class="n">`).text(d.Penalty).raw(`<br><span class="quiet">`).time(d.PeakAt).
				raw(`</span></td><td>`).time(d.Last).raw(`</td></tr>`)
		}
		w.raw(`
</tbody></table></div>`)
	}
	w.raw("\n")
	if len(v.FlapMinutes) > 0 {
		w.raw(`<h3>Minutes with the most link-down transitions</h3>
<ul class="plain">`)
		for i := range v.FlapMinutes {
			m := &v.FlapMinutes[i]
			w.raw(`<li>`).time(m.At).raw(`: <b>`).text(m.Flaps).raw(`</b> `).text(m.Ports).raw(`</li>`)
		}
		w.raw(`</ul>`)
	}
	w.raw(`
</section>

`)
}

// countersSection writes the totals and the list of restarts.
func (w *htmlWriter) countersSection(v *reportView) {
	w.raw(`<section class="wide" aria-labelledby="h-counters">
<h2 id="h-counters">Totals since the first record</h2>
`).counts(v.Counters).raw("\n")
	if len(v.Rows) > 0 {
		w.raw(`<details><summary>List of `).number(int64(len(v.Rows))).raw(` restarts</summary><ol class="timeline">`).
			restarts(v.Rows).raw("\n</ol></details>")
	}
	w.raw(`
</section>
`)
}
