// Command grafana generates the Grafana dashboards in this directory. The dashboards are described in Go,
// which is shorter and easier to review than JSON. Run it in the root of the repository:
//
//	go run ./deploy/grafana
//
// Tests check that the files are up to date and that Grafana can import them.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// dashboards returns all dashboards by file name.
func dashboards() map[string]dashboard {
	return map[string]dashboard{
		"portsyncd-fleet.json":  fleet(),
		"portsyncd-switch.json": oneSwitch(),
		"portsyncd-warm.json":   warmRestarts(),
		"portsyncd-port.json":   portDetail(),
	}
}

func main() {
	dir := filepath.Join("deploy", "grafana")
	for name, d := range dashboards() {
		text, err := render(d)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o644)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "grafana: write %s: %v\n", name, err)
			os.Exit(1)
		}
	}
}

// render returns d in the JSON format that Grafana imports.
func render(d dashboard) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(d.model())
	return b.Bytes(), err
}
