package statusview

import (
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
	// Problems are damages of the files that did not prevent the analysis, such as skipped lines or
	// the use of a backup.
	Problems []string `json:"problems"`
}
