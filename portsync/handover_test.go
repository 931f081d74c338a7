package portsync_test

import (
	"testing"
	"time"

	"portsyncd/internal/lab"
	"portsyncd/portsync"
)

// awaitConfigured waits until the status shows that many configured ports.
func (b *bench) awaitConfigured(n int64) {
	b.t.Helper()
	b.awaitView("the number of configured ports", func(v *portsync.View) bool { return v.Counts.Configured == n })
}

// TestConfiguredIsLive checks that the number of configured ports follows CONFIG_DB, and that
// nothing is produced for added ports.
func TestConfiguredIsLive(t *testing.T) {
	b := newBench(t)
	b.start()
	b.awaitConfigured(2)
	b.do(lab.ConfigDB, "HSET", "PORT|Ethernet8", "lanes", "8")
	b.awaitConfigured(3)
	b.do(lab.ConfigDB, "DEL", "PORT|Ethernet8", "PORT|Ethernet4")
	b.awaitConfigured(1)
	b.do(lab.ConfigDB, "FLUSHDB")
	b.awaitConfigured(0)
	b.do(lab.ConfigDB, "HSET", "PORT|Ethernet0", "lanes", "0")
	b.awaitConfigured(1)
	if row := b.db.Hash(lab.ApplDB, "_PORT_TABLE:Ethernet8"); row != nil {
		t.Errorf("a port that was added is produced: %v", row)
	}
}

// TestConfiguredAtAudit checks that an audit reads CONFIG_DB again on a server without keyspace
// notifications.
func TestConfiguredAtAudit(t *testing.T) {
	b := newBenchWith(t, func(o *portsync.Options) { o.AuditInterval = 50 * time.Millisecond })
	b.do(lab.ConfigDB, "CONFIG", "SET", "notify-keyspace-events", "")
	b.start()
	for range 2 { // the first time may be the read with which a session begins
		b.do(lab.ConfigDB, "HSET", "PORT|Ethernet8", "lanes", "8")
		b.awaitConfigured(3)
		b.do(lab.ConfigDB, "DEL", "PORT|Ethernet8")
		b.awaitConfigured(2)
	}
}
