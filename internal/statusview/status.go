// Package statusview turns what the daemon knows and remembers into what people
// read: the status document and its table, the report, and the two pages. It
// fetches nothing and knows nothing of where the values come from.
package statusview

import (
	"time"

	"portsyncd/internal/warmrestart"
	"portsyncd/portsync"
)

// StatusSchema is the version of Status as JSON.
const StatusSchema = 1

// Status is the daemon at one moment: what /status serves, "portsyncd status"
// prints and the page at / shows.
type Status struct {
	Schema   int       `json:"schema"`
	Time     time.Time `json:"time"`
	Version  string    `json:"version"`
	Host     string    `json:"host"`
	Instance string    `json:"instance,omitempty"` // NAMESPACE_ID of a multi-ASIC box
	PID      int       `json:"pid"`
	Process  time.Time `json:"process"` // when the process began

	Health portsync.Health `json:"health"`
	portsync.View

	Restarts []warmrestart.Restart `json:"restarts"` // newest last, at most 50
}
