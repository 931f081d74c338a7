// Grafana writes the dashboards of this directory from their description in Go,
// which is shorter and easier to compare than their JSON:
//
//	go run ./deploy/grafana
//
// A test holds the files to what this program writes, and to the rules that a
// dashboard must follow.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// dashboards are all there are, by the name of their file.
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

// render returns a dashboard as Grafana imports it.
func render(d dashboard) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(d.model())
	return b.Bytes(), err
}
