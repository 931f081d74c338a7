package metrics

import (
	"html/template"
	"sync"
)

// landingPage is the page at / if Sources.Page is nil. Its argument is the version.
var landingPage = sync.OnceValue(func() *template.Template { return template.Must(template.New("page").Parse(landingHTML)) })

const landingHTML = `<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>portsyncd</title>
<style>body { font-family: sans-serif; margin: 2em }</style>
<h1>portsyncd</h1>
<p>{{with .}}Version {{.}}. {{end}}Copies the kernel's link state to SONiC's databases.</p>
<ul>
<li><a href="/metrics">/metrics</a>: metrics as Prometheus text
<li><a href="/metrics.json">/metrics.json</a>: metrics as JSON
<li><a href="/healthz">/healthz</a>: health of the daemon
<li><a href="/readyz">/readyz</a>: whether the databases are up to date
<li><a href="/ports">/ports</a>: all ports as JSON
</ul>
</html>
`
