package statusview

// The functions in this file write the parts that the pages share.

// head writes the content of the head element after the title.
func (w *htmlWriter) head() *htmlWriter {
	return w.raw(`<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
`).style()
}

// style writes the style sheet.
func (w *htmlWriter) style() *htmlWriter {
	return w.raw(`<style>`).raw(markup(pageStyle)).raw(`</style>`)
}

// asOf writes the time of the page.
func (w *htmlWriter) asOf(at moment) *htmlWriter {
	return w.raw(`<p class="asof"><span>As of <time datetime="`).text(at.Exact).raw(`">`).text(at.Text).raw(`</time> UTC</span>
<button type="button" id="pause" hidden aria-pressed="false">Pause</button></p>`)
}

// stale writes the message that the script shows if the daemon does not respond.
func (w *htmlWriter) stale() *htmlWriter {
	return w.raw(`<p id="stale" role="alert" hidden>No response from the daemon. This page shows its last state.</p>
<noscript><p class="note">JavaScript is off. Reload the page to update it.</p></noscript>`)
}

// daemonSummary begins the paragraph with the state of the daemon. The caller ends it.
func (w *htmlWriter) daemonSummary(d *summaryView) *htmlWriter {
	return w.raw(`<p class="`).text(d.Tone).raw(`">daemon: <b>`).text(d.Text).raw(`</b>`).
		optional(` <span>`, d.Note, `</span>`)
}

// reasons writes the health reasons, or nothing if there are none.
func (w *htmlWriter) reasons(all []reasonRow) *htmlWriter {
	if len(all) == 0 {
		return w
	}
	w.raw(`<ul class="reasons">`)
	for i := range all {
		r := &all[i]
		w.raw("\n").raw(`<li class="`).text(r.Tone).raw(`"><b>`).text(r.Text).
			raw(`</b> <span class="quiet">`).text(r.Severity).raw(` <code>`).text(r.Code).raw(`</code>`).
			optional(`, for `, r.Since.Ago, ``).raw(`, score −`).number(int64(r.Deduction)).raw(`</span></li>`)
	}
	return w.raw("\n</ul>")
}

// tiles writes the key figures of a page.
func (w *htmlWriter) tiles(all []tile) *htmlWriter {
	w.raw(`<dl class="tiles">`)
	for i := range all {
		t := &all[i]
		w.raw("\n<div").optional(` class="`, t.Tone, `"`).raw(`><dt>`).text(t.Name).
			raw(`</dt><dd><b>`).text(t.Value).raw(`</b>`).optional(` <span>`, t.Note, `</span>`).raw(`</dd></div>`)
	}
	return w.raw("\n</dl>")
}

// counts writes a list of named values.
func (w *htmlWriter) counts(all []tile) *htmlWriter {
	w.raw(`<dl class="counts">`)
	for i := range all {
		w.raw("\n<div><dt>").text(all[i].Name).raw(`</dt><dd>`).text(all[i].Value).raw(`</dd></div>`)
	}
	return w.raw("\n</dl>")
}

// restarts writes the items of a list of restarts.
func (w *htmlWriter) restarts(all []restartRow) *htmlWriter {
	for i := range all {
		r := &all[i]
		w.raw("\n").raw(`<li class="`).text(r.Tone).raw(`"><p class="when">`).time(r.At).
			optional(` <span class="quiet">`, r.At.Ago, ` ago</span>`).raw("</p>\n")
		w.raw(`<p><b>`).text(r.Kind).raw(`</b> start, initial sync <b>`).text(r.Duration).raw("</b></p>\n")
		w.raw(`<p>`).text(r.Reason).raw(` <span class="quiet">`)
		for i, fact := range r.Facts {
			if i > 0 {
				w.raw(`; `)
			}
			w.text(fact)
		}
		w.raw(`</span></p></li>`)
	}
	return w
}

// events writes a list of events. The names of listed ports are links.
func (w *htmlWriter) events(all []eventRow) *htmlWriter {
	w.raw(`<ol class="events">`)
	for i := range all {
		e := &all[i]
		w.raw("\n<li>").time(e.At).optional(` <span class="quiet">`, e.At.Ago, ` ago</span>`).raw(` <span class="port">`)
		if e.Path != "" {
			w.raw(`<a href="`).text(e.Path).raw(`">`).text(e.Port).raw(`</a>`)
		} else {
			w.text(e.Port)
		}
		w.raw(`</span> <span`).optional(` class="`, e.Tone, `"`).raw(`>`).text(e.Text).raw(`</span></li>`)
	}
	return w.raw("\n</ol>")
}

// end writes the list of endpoints, the script and the end of a page.
func (w *htmlWriter) end() *htmlWriter {
	return w.raw(`<footer><nav aria-label="Endpoints"><ul>
<li><a href="/status">/status</a> the daemon's state in JSON</li>
<li><a href="/ports">/ports</a> all ports in JSON</li>
<li><a href="/events">/events</a> recorded events in JSON</li>
<li><a href="/metrics">/metrics</a> metrics for Prometheus</li>
<li><a href="/metrics.json">/metrics.json</a> metrics in JSON</li>
<li><a href="/healthz">/healthz</a> health</li>
<li><a href="/readyz">/readyz</a> readiness</li>
</ul></nav></footer>
<script>`).raw(markup(pageScript)).raw(`</script>
</body>
</html>
`)
}
