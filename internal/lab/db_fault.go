package lab

import "time"

// Errors a server gives for a while, for [Fault.Error].
const (
	Loading     = ErrorReply("LOADING Redis is loading the dataset in memory")
	Busy        = ErrorReply("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.")
	OutOfMemory = ErrorReply("OOM command not allowed when used memory > 'maxmemory'.")
	ReadOnly    = ErrorReply("READONLY You can't write against a read only replica.")
)

// Fault is a disturbance of the server as its connections see it. The zero
// value is none.
type Fault struct {
	// Error is answered to each command instead of running it, but not to
	// those that only set a connection up (AUTH, HELLO, SELECT, CLIENT,
	// SUBSCRIBE and the like), which Redis answers even while it loads.
	Error ErrorReply
	// WritesOnly limits Error to commands that change data, scripts among
	// them.
	WritesOnly bool
	// Delay is how long each command waits before it is run.
	Delay time.Duration
	// CutAfter, if above 0, is how many bytes a connection may be sent,
	// counted from SetFault; then it is closed, perhaps within a reply.
	CutAfter int
}

// SetFault replaces the present fault.
func (db *DB) SetFault(f Fault) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.fault = f
	for _, c := range db.clients {
		c.sent = 0
	}
}

// refuse returns the error that stands in for a command, "" for none.
func (f Fault) refuse(cmd *command) ErrorReply {
	if cmd.flags&anytime != 0 || f.WritesOnly && cmd.flags&write == 0 {
		return ""
	}
	return f.Error
}

// admit counts n more bytes sent to c and returns how many of them may be.
func (f Fault) admit(c *client, n int) int {
	if f.CutAfter > 0 {
		n = min(n, max(0, f.CutAfter-c.sent))
	}
	c.sent += n
	return n
}

// pause waits for the fault's delay; false if the client went away meanwhile.
func (db *DB) pause(c *client) bool {
	db.mu.Lock()
	delay := db.fault.Delay
	db.mu.Unlock()
	if delay <= 0 {
		return true
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.dead:
		return false
	}
}
