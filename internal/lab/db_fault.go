package lab

import "time"

// Temporary errors of a server, for [Fault.Error].
const (
	Loading     = ErrorReply("LOADING Redis is loading the dataset in memory")
	Busy        = ErrorReply("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.")
	OutOfMemory = ErrorReply("OOM command not allowed when used memory > 'maxmemory'.")
	ReadOnly    = ErrorReply("READONLY You can't write against a read only replica.")
)

// Fault describes faults of the server that its connections observe. The zero value has none.
type Fault struct {
	// Error is the reply to each command, which is not run. It does not apply to commands that
	// set up a connection (AUTH, HELLO, SELECT, CLIENT, SUBSCRIBE and similar ones), which Redis
	// executes even while it loads.
	Error ErrorReply
	// WritesOnly limits Error to commands that change data, including scripts.
	WritesOnly bool
	// Delay is the time before each command is run.
	Delay time.Duration
	// CutAfter, if above 0, is the number of bytes sent to each connection after SetFault. The
	// connection is then closed, possibly within a reply.
	CutAfter int
}

// SetFault replaces the current fault.
func (db *DB) SetFault(f Fault) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.fault = f
	for _, c := range db.clients {
		c.sent = 0
	}
}

// refuse returns the error for a command, "" if it may run.
func (f Fault) refuse(cmd *command) ErrorReply {
	if cmd.flags&anytime != 0 || f.WritesOnly && cmd.flags&write == 0 {
		return ""
	}
	return f.Error
}

// admit returns how many of n bytes may be sent to c, and counts them.
func (f Fault) admit(c *client, n int) int {
	if f.CutAfter > 0 {
		n = min(n, max(0, f.CutAfter-c.sent))
	}
	c.sent += n
	return n
}

// pause waits for the delay. It returns false if the client disconnected meanwhile.
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
