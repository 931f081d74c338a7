package statusview

import (
	"strings"
	"time"

	"portsyncd/internal/warmrestart"
)

// ReportSchema is the version of the JSON form of Report.
const ReportSchema = 1

// maxReportSamples is the largest number of samples in a Report, more than a plot can show.
const maxReportSamples = warmrestart.MaxSamples

// Report is the analysis of the stored history: the output of "portsyncd report" and its page.
type Report struct {
	Schema  int       `json:"schema"`
	Time    time.Time `json:"time"` // of the analysis
	Version string    `json:"version"`
	Host    string    `json:"host"`
	Storage string    `json:"storage"` // the directory that was read

	Analysis *warmrestart.Analysis `json:"analysis"` // never nil
	Restarts []warmrestart.Restart `json:"restarts"` // oldest first
	// Samples has the oldest sample first. It is thinned evenly to at most maxReportSamples.
	Samples []warmrestart.Sample `json:"samples"`
	// FlapMinutes has the minutes with the most link-down transitions, the worst first.
	FlapMinutes []FlapMinute `json:"flap_minutes"`
	// Problems are damages of the files that did not prevent the analysis, such as skipped lines or
	// the use of a backup.
	Problems []string `json:"problems"`
}

// FlapMinute has the link-down transitions of one minute.
type FlapMinute struct {
	Time      time.Time   `json:"time"`
	Flaps     uint64      `json:"flaps"`
	PortCount int         `json:"port_count"`
	Ports     []PortFlaps `json:"ports"` // those with the most flaps, the worst first
}

// PortFlaps has the link-down transitions of one port.
type PortFlaps struct {
	Port    string `json:"port"`
	PortHex string `json:"port_hex,omitempty"` // see warmrestart.HexUnlessUTF8
	Flaps   uint64 `json:"flaps"`
}

// portsText lists the ports of a minute in words.
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
