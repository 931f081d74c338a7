package metrics

import (
	"html/template"
	"sync"
)

// landingPage is what / shows where there is no better page. It is executed with
// the version.
var landingPage = sync.OnceValue(func() *template.Template { return template.Must(template.New("page").Parse(landingSource)) })

const landingSource = `<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>portsyncd</title>
<style>body { font-family: sans-serif; margin: 2em }</style>
<h1>portsyncd</h1>
<p>{{with .}}Version {{.}}. {{end}}Carries the kernel's link state into SONiC's databases.</p>
<ul>
<li><a href="/metrics">/metrics</a>: Prometheus text
<li><a href="/metrics.json">/metrics.json</a>: the same as JSON
<li><a href="/healthz">/healthz</a>: is it well
<li><a href="/readyz">/readyz</a>: has it caught up
<li><a href="/ports">/ports</a>: every port as JSON
</ul>
</html>
`
