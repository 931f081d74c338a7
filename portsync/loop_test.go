package portsync_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"portsyncd/internal/lab"
	"portsyncd/internal/sonicdb"
	"portsyncd/internal/syslog"
	"portsyncd/internal/warmrestart"
	"portsyncd/metrics"
	"portsyncd/portsync"
)

// bench is a loop on a simulated kernel and an in-memory database.
type bench struct {
	t      *testing.T
	db     *lab.DB
	kernel *lab.SimKernel
	set    *metrics.Set
	status *portsync.Status
	loop   *portsync.Loop
	sample portsync.Sampler
	cancel func() // tells the loop to stop
	stop   func() // cancel, and wait until the loop has stopped
}

// newBench makes the parts; two ports are configured and popped already.
func newBench(t *testing.T) *bench { return newBenchWith(t, func(*portsync.Options) {}) }

// newBenchWith is newBench with other options.
func newBenchWith(t *testing.T, change func(*portsync.Options)) *bench {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "redis.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	return newBenchOn(t, listener, sonicdb.StaticMap("unix", socket), change)
}

// newFakeBench is like newBenchWith, but all connections stay within the process. The test must run in
// a synctest bubble, where waiting takes no time and the load of the machine does not matter.
func newFakeBench(t *testing.T, change func(*portsync.Options)) *bench {
	t.Helper()
	listener, databases := lab.NewPipes(), sonicdb.StaticMap("unix", "pipe")
	databases.SetDialer(listener)
	b := newBenchOn(t, listener, databases, change)
	time.Sleep(time.Millisecond) // a reading of 0 of the loop's clock means never
	return b
}

// newBenchOn makes the parts of newBenchWith. The in-memory database has that listener, and the loop
// connects to the databases of the map.
func newBenchOn(t *testing.T, listener net.Listener, databases *sonicdb.Map, change func(*portsync.Options)) *bench {
	t.Helper()
	b := &bench{
		t:      t,
		db:     lab.NewDB(lab.DBOptions{Databases: 16, Notify: "AKE"}),
		kernel: lab.NewSimKernel(),
		set:    metrics.NewSet(),
		status: &portsync.Status{},
	}
	go b.db.Serve(listener)
	t.Cleanup(func() { b.db.Close() })
	for _, port := range []string{"Ethernet0", "Ethernet4"} {
		b.do(lab.ConfigDB, "HSET", "PORT|"+port, "lanes", "0")
		b.do(lab.ApplDB, "HSET", "PORT_TABLE:"+port, "lanes", "0")
	}
	logs := syslog.New(syslog.Options{SocketPath: filepath.Join(t.TempDir(), "none"), Level: syslog.LevelNotice})
	o := portsync.Options{
		Links:   b.kernel,
		SetDown: func([]int32) []error { return nil },
		Open: &portsync.Connector{
			Map:   func() (*sonicdb.Map, error) { return databases, nil },
			Logs:  logs,
			Level: syslog.LevelNotice,
			Log:   slog.New(logs),
		},
		Log:         slog.New(logs),
		Status:      b.status,
		Metrics:     portsync.NewMetrics(b.set, b.status, true),
		EOIUTimeout: 10 * time.Second,
	}
	change(&o)
	b.sample = portsync.Sampler{Status: o.Status, Metrics: o.Metrics}
	b.loop = portsync.NewLoop(o)
	return b
}

// run runs the loop until the test ends.
func (b *bench) run() {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.loop.Run(ctx) }()
	b.cancel = cancel
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Errorf("Run: %v", err)
		}
		b.checkFailures()
	})
	b.t.Cleanup(b.stop)
}

func (b *bench) do(db int, args ...string) {
	b.t.Helper()
	if _, err := b.db.Do(db, args...); err != nil {
		b.t.Fatalf("%q: %v", args, err)
	}
}

// must fails the test on an error of the simulated kernel.
func (b *bench) must(errs ...error) {
	b.t.Helper()
	for _, err := range errs {
		if err != nil {
			b.t.Fatal(err)
		}
	}
}

// await waits until STATE_DB has the row with that MTU, "" for no row at all.
func (b *bench) await(port, mtu string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	row := func() map[string]string { return b.db.Hash(lab.StateDB, "PORT_TABLE|"+port) }
	if b.db.Await(ctx, func() bool { return row()["mtu"] == mtu }) != nil {
		b.t.Fatalf("%s is %v, expected mtu %q", port, row(), mtu)
	}
}

// awaitMoved waits until the counter of that series is not 0: the fault has been
// met.
func (b *bench) awaitMoved(series string) {
	b.t.Helper()
	b.awaitText("a value other than 0 of "+series, func(text string) bool {
		return strings.Contains(text, "\n"+series+" ") && !strings.Contains(text, "\n"+series+" 0\n")
	})
}

// checkFailures checks that the failure rate counts the same failed Redis requests as the metrics.
func (b *bench) checkFailures() {
	b.t.Helper()
	var line struct{ Exchanges, Failed uint64 }
	if err := json.Unmarshal(b.sample.Append(nil, time.Now(), portsync.Health{}, warmrestart.Counters{}), &line); err != nil {
		b.t.Fatal(err)
	}
	counted := uint64(0)
	for text := range strings.Lines(string(b.set.AppendText(nil))) {
		if strings.HasPrefix(text, "portsyncd_database_errors_total{") {
			n, err := strconv.ParseUint(strings.TrimSpace(text[strings.LastIndexByte(text, ' '):]), 10, 64)
			if err != nil {
				b.t.Fatal(err)
			}
			counted += n
		}
	}
	if line.Failed != counted || line.Exchanges < line.Failed {
		b.t.Errorf("the failure rate counts %d failures of %d requests, the metrics count %d failures", line.Failed, line.Exchanges, counted)
	}
}

// awaitValue waits until a series has a value.
func (b *bench) awaitValue(series, value string) {
	b.t.Helper()
	b.awaitText(series+" "+value, func(text string) bool { return strings.Contains(text, "\n"+series+" "+value+"\n") })
}

// awaitText waits until the metrics in text form are as wanted.
func (b *bench) awaitText(what string, wanted func(text string) bool) {
	b.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if wanted("\n" + string(b.set.AppendText(nil))) {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("no %s in the metrics", what)
		}
	}
}

func (b *bench) awaitInitDone() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if b.db.Await(ctx, func() bool { return b.db.Hash(lab.ApplDB, "_PORT_TABLE:PortInitDone") != nil }) != nil {
		b.t.Fatal("no PortInitDone")
	}
}

// start makes both ports and waits until all is said.
func (b *bench) start() {
	b.t.Helper()
	b.run()
	b.must(b.kernel.AddVeth("Ethernet0", "p0"), b.kernel.AddVeth("Ethernet4", "p4"))
	b.await("Ethernet0", "1500")
	b.await("Ethernet4", "1500")
	b.awaitInitDone()
	b.awaitValue("portsyncd_backlog_ports", "0") // the replies have arrived too
}

// TestStopWritesBacklog checks that a loop that must stop keeps its connections until it has written
// its backlog.
func TestStopWritesBacklog(t *testing.T) {
	b := newBench(t)
	b.start()
	b.db.SetFault(lab.Fault{Error: lab.OutOfMemory})
	b.must(b.kernel.SetMTU("Ethernet0", 9100))
	b.awaitMoved(`portsyncd_database_errors_total{kind="refused"}`)
	b.cancel()
	b.db.SetFault(lab.Fault{})
	b.stop()
	if row := b.db.Hash(lab.StateDB, "PORT_TABLE|Ethernet0"); row["mtu"] != "9100" {
		t.Errorf("after the stop the row is %v, want mtu 9100", row)
	}
}

// TestStopInterruptsRequest checks that a loop that must stop does not wait for the timeout of a request to
// which Redis does not reply: the loop closes the connection after the second for the backlog.
func TestStopInterruptsRequest(t *testing.T) {
	b := newBench(t)
	b.start()
	b.db.SetFault(lab.Fault{Delay: time.Hour})
	b.must(b.kernel.SetMTU("Ethernet0", 9100))
	b.awaitMoved("portsyncd_backlog_ports")
	b.stop()
	for _, d := range b.status.View(time.Now()).Databases {
		if d.Up || !strings.HasSuffix(d.Error, net.ErrClosed.Error()) {
			t.Errorf("after the stop %s is connected: %t, error %q, want the error of a closed connection", d.Name, d.Up, d.Error)
		}
	}
}

func TestLoopRunsOnce(t *testing.T) {
	b := newBench(t)
	b.start()
	if err := b.loop.Run(context.Background()); err != portsync.ErrConcurrentUse {
		t.Errorf("a second Run: %v, want ErrConcurrentUse", err)
	}
}

// TestLoopFollows checks that changes, a deletion and a re-creation of an interface reach
// STATE_DB.
func TestLoopFollows(t *testing.T) {
	b := newBench(t)
	b.start()
	b.must(b.kernel.SetMTU("Ethernet0", 9100))
	b.await("Ethernet0", "9100")
	b.must(b.kernel.Delete("Ethernet0"))
	b.await("Ethernet0", "")
	b.must(b.kernel.AddVeth("Ethernet0", "p0"))
	b.await("Ethernet0", "1500")
}

// TestLoopOverrun checks that a resync recovers from lost messages, deletions included (D1).
func TestLoopOverrun(t *testing.T) {
	b := newBench(t)
	b.kernel.QueueLimit = 2
	b.start()
	b.db.SetFault(lab.Fault{Delay: 20 * time.Millisecond}) // so that some are lost
	for i := range 200 {
		b.must(b.kernel.SetMTU("Ethernet0", 2000+i))
	}
	b.must(b.kernel.Delete("Ethernet4"))
	b.db.SetFault(lab.Fault{})
	b.awaitMoved(`portsyncd_resyncs_total{reason="overrun"}`)
	b.await("Ethernet0", "2199")
	b.await("Ethernet4", "")
}

// TestLoopDisconnected checks that changes during a disconnect are written after the reconnect,
// and that nothing is produced a second time (D3).
func TestLoopDisconnected(t *testing.T) {
	b := newBench(t)
	b.start()
	b.do(lab.ApplDB, "DEL", "PORT_TABLE_KEY_SET", "_PORT_TABLE:PortConfigDone", "_PORT_TABLE:PortInitDone")
	for _, marker := range []string{"PortConfigDone", "PortInitDone"} {
		b.do(lab.ApplDB, "HSET", "PORT_TABLE:"+marker, "popped", "yes")
	}
	b.db.SetFault(lab.Fault{CutAfter: 1})
	b.db.Disconnect()
	b.awaitMoved(`portsyncd_database_errors_total{kind="io"}`)
	b.must(b.kernel.SetMTU("Ethernet0", 9100), b.kernel.Delete("Ethernet4"))
	b.db.SetFault(lab.Fault{})
	b.await("Ethernet0", "9100")
	b.await("Ethernet4", "")
	if b.db.Hash(lab.ApplDB, "_PORT_TABLE:PortConfigDone") != nil {
		t.Error("the configuration was produced again on mere reconnection")
	}
}

// TestLoopFlushed checks that a flushed server gets the configuration and the markers again, and
// the rows once orchagent has popped the ports.
func TestLoopFlushed(t *testing.T) {
	b := newBench(t)
	b.start()
	b.do(lab.StateDB, "FLUSHDB")
	b.await("Ethernet0", "1500")
	b.do(0, "FLUSHALL")
	b.awaitInitDone()
	if b.db.Hash(lab.ApplDB, "_PORT_TABLE:Ethernet4") == nil {
		t.Error("PortInitDone without the configuration before it")
	}
	b.do(lab.ApplDB, "HSET", "PORT_TABLE:Ethernet4", "lanes", "0")
	b.await("Ethernet4", "1500")
}

// TestLoopRecreatedBeforePop checks a port that is created again, and one that is created for the
// first time, between a flush of APPL_DB and the pop by orchagent.
func TestLoopRecreatedBeforePop(t *testing.T) {
	b := newBench(t)
	b.run()
	b.must(b.kernel.AddVeth("Ethernet0", "p0"))
	b.await("Ethernet0", "1500")
	b.do(0, "FLUSHALL")
	b.awaitMoved(`portsyncd_resyncs_total{reason="database_flushed"}`)
	b.must(b.kernel.Delete("Ethernet0"), b.kernel.AddVeth("Ethernet0", "p0"), b.kernel.AddVeth("Ethernet4", "p4"))
	for _, port := range []string{"Ethernet0", "Ethernet4"} {
		b.do(lab.ApplDB, "HSET", "PORT_TABLE:"+port, "lanes", "0")
		b.await(port, "1500")
	}
	b.awaitInitDone()
}

// TestLoopMessageBeforeFlushNotice checks a link message that arrives after APPL_DB lost its rows and
// before the loop knows. The row is updated once orchagent has popped the port again.
func TestLoopMessageBeforeFlushNotice(t *testing.T) {
	b := newBench(t)
	b.start()
	b.do(lab.ApplDB, "DEL", "PORT_TABLE:Ethernet0", "PORT_TABLE:Ethernet4", "PORT_TABLE_KEY_SET", "_PORT_TABLE:PortConfigDone")
	b.must(b.kernel.SetMTU("Ethernet0", 9100))
	b.awaitMoved(`portsyncd_events_ignored_total{reason="unknown"}`)
	b.db.Disconnect()
	b.awaitMoved(`portsyncd_database_reconnects_total`)
	b.awaitInitDone()
	b.do(lab.ApplDB, "HSET", "PORT_TABLE:Ethernet0", "lanes", "0")
	b.await("Ethernet0", "9100")
}

// TestLoopRefused checks that no change is lost while a server refuses all commands (D4).
func TestLoopRefused(t *testing.T) {
	for _, refusal := range []lab.ErrorReply{lab.Loading, lab.Busy, lab.OutOfMemory, lab.ReadOnly} {
		t.Run(refusal.Error()[:4], func(t *testing.T) {
			b := newBench(t)
			b.start()
			b.db.SetFault(lab.Fault{Error: refusal})
			b.must(b.kernel.SetMTU("Ethernet0", 9100), b.kernel.Delete("Ethernet4"))
			b.awaitMoved(`portsyncd_database_errors_total{kind="refused"}`)
			b.db.SetFault(lab.Fault{})
			b.await("Ethernet0", "9100")
			b.await("Ethernet4", "")
		})
	}
}

// TestLoopLoadingAtStart checks that a start waits for a server that loads its data.
func TestLoopLoadingAtStart(t *testing.T) {
	b := newBench(t)
	b.db.SetFault(lab.Fault{Error: lab.Loading})
	b.run()
	b.must(b.kernel.AddVeth("Ethernet0", "p0"), b.kernel.AddVeth("Ethernet4", "p4"))
	time.Sleep(50 * time.Millisecond) // a few tries; nothing tells that one was made
	b.db.SetFault(lab.Fault{})
	b.await("Ethernet0", "1500")
	b.awaitInitDone()
}

// TestLoopScriptsFlushed checks that the script is sent again to a server that has lost it.
func TestLoopScriptsFlushed(t *testing.T) {
	b := newBench(t)
	b.run()
	b.must(b.kernel.AddVeth("Ethernet0", "p0"))
	b.await("Ethernet0", "1500")
	b.do(0, "SCRIPT", "FLUSH")
	b.must(b.kernel.AddVeth("Ethernet4", "p4"))
	b.await("Ethernet4", "1500")
	b.awaitInitDone()
}

// TestLoopRowOfAnotherType checks that a key of another type does not delay other rows and is
// written once it can be.
func TestLoopRowOfAnotherType(t *testing.T) {
	b := newBench(t)
	b.do(lab.StateDB, "SET", "PORT_TABLE|Ethernet0", "in the way")
	b.run()
	b.must(b.kernel.AddVeth("Ethernet0", "p0"), b.kernel.AddVeth("Ethernet4", "p4"))
	b.await("Ethernet4", "1500")
	b.awaitMoved(`portsyncd_database_errors_total{kind="refused"}`)
	b.do(lab.StateDB, "DEL", "PORT_TABLE|Ethernet0")
	b.await("Ethernet0", "1500")
	b.awaitInitDone()
}

// TestLoopInterruptedDumps checks that interrupted dumps are repeated (D2).
func TestLoopInterruptedDumps(t *testing.T) {
	b := newBench(t)
	b.kernel.InterruptDumps(3)
	b.must(b.kernel.AddVeth("Ethernet0", "p0"), b.kernel.AddVeth("Ethernet4", "p4"))
	b.run()
	b.await("Ethernet0", "1500")
	b.awaitInitDone()
	deadline := time.Now().Add(10 * time.Second)
	for !b.status.Ready() {
		if time.Now().After(deadline) {
			t.Fatal("the initial sync did not end")
		}
		time.Sleep(time.Millisecond)
	}
}

// TestLoopStopsWithoutDatabase checks that Run returns soon after the end of its context while it
// cannot connect.
func TestLoopStopsWithoutDatabase(t *testing.T) {
	b := newBench(t)
	b.db.Close()
	b.run()
	begin := time.Now()
	b.stop()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the end took %v", took)
	}
}

// TestLoopDenied checks that writes denied by the access control list are shown with the error of
// the server, and are made once they are permitted.
func TestLoopDenied(t *testing.T) {
	for _, denied := range []lab.ErrorReply{
		"NOPERM this user has no permissions to run the 'evalsha' command",
		"ERR The user executing the script can't run this command or subcommand",
	} {
		b := newBench(t)
		b.db.SetFault(lab.Fault{Error: denied, WritesOnly: true})
		b.run()
		b.must(b.kernel.AddVeth("Ethernet0", "p0"), b.kernel.AddVeth("Ethernet4", "p4"))
		b.awaitMoved(`portsyncd_database_errors_total{kind="refused"}`)
		if v := b.status.View(time.Now()); v.Start.ConfigDone {
			t.Errorf("%s: PortConfigDone is said to be written", denied)
		}
		b.db.SetFault(lab.Fault{})
		b.await("Ethernet0", "1500")
		b.awaitInitDone()
		if b.db.Hash(lab.ApplDB, "_PORT_TABLE:PortConfigDone") == nil {
			t.Errorf("%s: no PortConfigDone", denied)
		}
		b.db.SetFault(lab.Fault{Error: denied, WritesOnly: true})
		b.must(b.kernel.SetMTU("Ethernet0", 9100))
		b.awaitMoved(`portsyncd_database_errors_total{kind="refused"}`)
		b.db.SetFault(lab.Fault{})
		b.await("Ethernet0", "9100")
	}
}
