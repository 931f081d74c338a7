// Package statusview renders the state and the history of the daemon: the status as JSON, text and
// HTML page, and the report in the same three forms. It reads no files and makes no requests.
//
// [portColumns] lists the columns of the table of ports, for the text and the page.
package statusview

import (
	"time"

	"portsyncd/internal/journal"
	"portsyncd/internal/warmrestart"
	"portsyncd/portsync"
)

// StatusSchema is the version of the JSON form of Status.
const StatusSchema = 1

// Status is the state of the daemon at one point in time. It is shown by the document /status, by
// "portsyncd status" and by the status page.
type Status struct {
	Schema   int       `json:"schema"`
	Time     time.Time `json:"time"`
	Version  string    `json:"version"`
	Host     string    `json:"host"`
	Instance string    `json:"instance,omitempty"` // NAMESPACE_ID on a multi-ASIC switch
	PID      int       `json:"pid"`
	Process  time.Time `json:"process"` // start of the process

	Health portsync.Health `json:"health"`
	portsync.View

	Events   []journal.Event       `json:"-"`        // newest last, for the page and the text of one port; nil if unknown; /events has them in JSON
	Restarts []warmrestart.Restart `json:"restarts"` // newest last, at most 50
}
