package statusview

import (
	"time"

	"portsyncd/internal/warmrestart"
)

// ReportSchema is the version of Report as JSON.
const ReportSchema = 1

// MostReportSamples is how many samples a Report carries at most: a plot cannot
// show more.
const MostReportSamples = warmrestart.MaxSamples

// Report is what the stored files say: what "portsyncd report" prints and its
// page plots.
type Report struct {
	Schema  int       `json:"schema"`
	Time    time.Time `json:"time"` // when it was made
	Version string    `json:"version"`
	Host    string    `json:"host"`
	Storage string    `json:"storage"` // the directory that was read

	Analysis *warmrestart.Analysis `json:"analysis"` // never nil
	Restarts []warmrestart.Restart `json:"restarts"` // those considered, oldest first
	// Samples are those considered, oldest first, thinned evenly to at most
	// MostReportSamples.
	Samples []warmrestart.Sample `json:"samples"`
	// Problems are what was wrong with the files and did not keep them from being
	// read: skipped lines, a backup in place of a file.
	Problems []string `json:"problems"`
}
