// Grafana writes the dashboards in this directory from a description in Go, which is shorter and easier
// to review than their JSON:
//
//	go run ./deploy/grafana
//
// Tests compare the files with the output of this program and check them against the rules of Grafana.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// dashboards maps file names to dashboards.
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

// render returns a dashboard in the format that Grafana imports.
func render(d dashboard) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(d.model())
	return b.Bytes(), err
}
