package statusview

import "cmp"

// portPage writes the page of a port.
func (w *htmlWriter) portPage(v *portPageView) {
	w.raw(`<!DOCTYPE html>
<html lang="en">
<head>
<title>`).text(v.Name).raw(` `).text(v.State).optional(` – `, v.Title, ``).raw(` – portsyncd</title>
`).head().raw(`
</head>
<body>
<a class="skip" href="#main">Skip to the port</a>
<header class="top">
<div class="name"><p class="quiet"><a href="/">`).text(cmp.Or(v.Title, "portsyncd")).raw(`</a></p>
<h1>`).text(v.Name).raw(`</h1>
`).optional(`<p class="quiet">`, v.Subtitle, `</p>`).raw(`</div>
<nav class="near" aria-label="Neighboring ports">`)
	if p := v.Previous; p != nil {
		w.raw(`<a rel="prev" href="`).text(p.Path).raw(`">← `).text(p.Name).raw(`</a>`)
	}
	if n := v.Next; n != nil {
		w.raw(` <a rel="next" href="`).text(n.Path).raw(`">`).text(n.Name).raw(` →</a>`)
	}
	w.raw(`</nav>
`).asOf(v.At).raw(`
</header>
`).stale().raw(`

<main id="main">
<section class="wide" aria-labelledby="h-port">
<h2 id="h-port" class="away">State</h2>
<div class="summary" role="status">
<p class="`).text(v.Tone).raw(`">port: <b>`).text(v.State).raw(`</b></p>
`).daemonSummary(&v.Daemon).raw(`</p>
</div>
`).reasons(v.Health.Reasons).raw("\n").counts(v.Properties).raw(`
</section>

<section class="wide" aria-labelledby="h-carrier">
<h2 id="h-carrier">Carrier in the last hour</h2>
<p>`).text(v.Carrier.Downs)
	if !v.Carrier.Complete {
		w.raw(`; older events are no longer in memory`)
	}
	w.raw(`.</p>
<figure class="chart strip carrier"><figcaption><span class="key up">up</span> <span class="key down">down</span> <span class="key flapping">flapping</span> gray: unknown, or no interface</figcaption>`).raw(v.Carrier.State).raw(`</figure>
<figure class="chart"><figcaption><span class="key">link-down transitions</span> per minute</figcaption>`).raw(v.Carrier.Plot).raw(`</figure>
</section>

<section class="wide" aria-labelledby="h-events">
<h2 id="h-events">Events</h2>
`)
	if len(v.Events) > 0 {
		w.events(v.Events)
	} else {
		w.raw(`<p class="empty">No event of this port is in memory.</p>`)
	}
	w.raw(`
<p class="quiet"><code>portsyncd events</code> lists all stored events. <a href="`).text(v.Query).raw(`">Events in JSON</a></p>
</section>
</main>

`).end()
}
