package lab

import "time"

// Temporary server errors for [Fault.Error].
const (
	Loading     = ErrorReply("LOADING Redis is loading the dataset in memory")
	Busy        = ErrorReply("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.")
	OutOfMemory = ErrorReply("OOM command not allowed when used memory > 'maxmemory'.")
	ReadOnly    = ErrorReply("READONLY You can't write against a read only replica.")
)

// Fault describes a server fault that is simulated on all connections. The zero value means no
// fault.
type Fault struct {
	// Error is the reply to each command, which is not executed. Commands that set up a connection
	// (AUTH, HELLO, SELECT, CLIENT, SUBSCRIBE and similar) are not affected, because Redis executes
	// them even while it is loading.
	Error ErrorReply
	// Command, if not "", limits Error to one command, in lower case.
	Command string
	// WritesOnly limits Error to commands that write data, including scripts.
	WritesOnly bool
	// Delay is how long each command is delayed.
	Delay time.Duration
	// CutAfter, if greater than 0, is the number of bytes after which each connection is closed,
	// counted from SetFault. The last reply may be incomplete.
	CutAfter int
}

// SetFault replaces the current fault with f.
func (db *DB) SetFault(f Fault) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.fault = f
	for _, c := range db.clients {
		c.sent = 0
	}
}

// refuse returns the error reply with which the fault rejects a command, or "" if the command may
// run.
func (f Fault) refuse(cmd *command) ErrorReply {
	if cmd.flags&anytime != 0 || f.Command != "" && f.Command != cmd.name || f.WritesOnly && cmd.flags&write == 0 {
		return ""
	}
	return f.Error
}

// admit returns how many of the next n bytes the fault allows to be sent to client c. It adds them
// to the client's count.
func (f Fault) admit(c *client, n int) int {
	if f.CutAfter > 0 {
		n = min(n, max(0, f.CutAfter-c.sent))
	}
	c.sent += n
	return n
}

// pause waits for the delay of the fault. It returns false if the client disconnects first.
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
