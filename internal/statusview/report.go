package statusview

import (
	"strings"
	"time"

	"portsyncd/internal/warmrestart"
)

// ReportSchema is the schema version of the JSON encoding of Report.
const ReportSchema = 1

// maxReportSamples is the maximum number of samples in a Report. It exceeds what a plot can show.
const maxReportSamples = warmrestart.MaxSamples

// Report is the analysis of the stored history. "portsyncd report" prints it as text, JSON or an
// HTML page.
type Report struct {
	Schema  int       `json:"schema"`
	Time    time.Time `json:"time"` // time of the analysis
	Version string    `json:"version"`
	Host    string    `json:"host"`
	Storage string    `json:"storage"` // directory from which the history was read

	Analysis *warmrestart.Analysis `json:"analysis"` // never nil
	Restarts []warmrestart.Restart `json:"restarts"` // oldest first
	// Samples holds at most maxReportSamples evenly spaced samples, oldest first.
	Samples []warmrestart.Sample `json:"samples"`
	// FlapMinutes holds the minutes with the most link-down transitions, in descending order.
	FlapMinutes []FlapMinute `json:"flap_minutes"`
	// Problems describes file damage that did not prevent the analysis, such as skipped lines or
	// the use of a backup.
	Problems []string `json:"problems"`
}

// FlapMinute holds the link-down transitions of one minute.
type FlapMinute struct {
	Time      time.Time   `json:"time"`
	Flaps     uint64      `json:"flaps"`
	PortCount int         `json:"port_count"`
	Ports     []PortFlaps `json:"ports"` // ports with the most flaps, in descending order
}

// PortFlaps holds the number of link-down transitions of one port.
type PortFlaps struct {
	Port    string `json:"port"`
	PortHex string `json:"port_hex,omitempty"` // see warmrestart.HexUnlessUTF8
	Flaps   uint64 `json:"flaps"`
}

// portsText returns the names of the ports in m with their numbers of link-down transitions, as
// text.
func (m *FlapMinute) portsText() string {
	var parts []string
	for _, p := range m.Ports {
		parts = append(parts, p.Port+" "+grouped(p.Flaps))
	}
	if n := m.PortCount - len(m.Ports); n > 0 {
		parts = append(parts, grouped(n)+" more")
	}
	return strings.Join(parts, ", ")
}
