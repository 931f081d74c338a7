package portsync_test

import (
	"testing"
	"time"

	"portsyncd/internal/lab"
)

// TestStarted checks that Started is closed after PortConfigDone is written, and that it is closed
// soon if the databases cannot be reached.
func TestStarted(t *testing.T) {
	for _, reachable := range []bool{true, false} {
		b := newBench(t)
		if !reachable {
			b.db.Close()
		}
		b.run()
		select {
		case <-b.loop.Started():
		case <-time.After(10 * time.Second):
			t.Fatalf("reachable %v: Started is not closed", reachable)
		}
		if got := len(b.db.Hash(lab.ApplDB, "_PORT_TABLE:PortConfigDone")) > 0; got != reachable {
			t.Errorf("reachable %v: PortConfigDone written: %v", reachable, got)
		}
		b.stop()
	}
}
