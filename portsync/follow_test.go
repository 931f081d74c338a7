package portsync

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"portsyncd/internal/lab"
	"portsyncd/internal/sonicdb"
	"portsyncd/internal/syslog"
)

// following is a session on an in-memory database whose loop is the test.
type following struct {
	t     *testing.T
	db    *lab.DB
	notes chan note
}

// follow opens a session on a server that sends the notifications of those classes.
func follow(t *testing.T, notify string) *following {
	t.Helper()
	f := &following{t: t, db: lab.NewDB(lab.DBOptions{Databases: 16, Notify: notify})}
	socket := filepath.Join(t.TempDir(), "redis.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	go f.db.Serve(listener)
	t.Cleanup(func() { f.db.Close() })
	logs := syslog.New(syslog.Options{SocketPath: filepath.Join(t.TempDir(), "none"), Level: syslog.LevelNotice})
	c := Connector{
		Map:    func() (*sonicdb.Map, error) { return sonicdb.StaticMap("unix", socket), nil },
		Logs:   logs,
		Level:  syslog.LevelNotice,
		Log:    slog.New(logs),
		status: new(Status),
	}
	f.do("HSET", "PORT|Ethernet0", "lanes", "0")
	s, err := c.open(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close() })
	f.notes = s.notes
	f.next("Ethernet0") // read without being asked, when the session begins
	return f
}

func (f *following) do(args ...string) {
	f.t.Helper()
	if _, err := f.db.Do(lab.ConfigDB, args...); err != nil {
		f.t.Fatalf("%q: %v", args, err)
	}
}

// next waits for the next read of CONFIG_DB, and compares what it found. A flush has
// a note of its own.
func (f *following) next(want ...string) {
	f.t.Helper()
	for {
		select {
		case n := <-f.notes:
			if n.kind == noteFlushed {
				continue
			}
			if n.kind != notePorts || !slices.Equal(n.ports, want) {
				f.t.Errorf("note %d %q, want the ports %q", n.kind, n.ports, want)
			}
			return
		case <-time.After(20 * time.Second):
			f.t.Fatalf("no note, want the ports %q", want)
		}
	}
}

// TestFollow checks that each kind of change of PORT leads to one read with the names of the rows.
func TestFollow(t *testing.T) {
	t.Parallel()
	f := follow(t, "AKE")
	for _, c := range []struct {
		name string
		does [][]string
		want []string
	}{
		{"a row is added", [][]string{{"HSET", "PORT|Ethernet8", "lanes", "8"}}, []string{"Ethernet0", "Ethernet8"}},
		{"a row is renamed", [][]string{{"RENAME", "PORT|Ethernet8", "PORT|Ethernet4"}}, []string{"Ethernet0", "Ethernet4"}},
		{"a row is renamed away", [][]string{{"RENAME", "PORT|Ethernet4", "ELSEWHERE"}}, []string{"Ethernet0"}},
		{"a row is renamed into the table", [][]string{{"RENAME", "ELSEWHERE", "PORT|Ethernet12"}}, []string{"Ethernet0", "Ethernet12"}},
		{"a row loses its last field", [][]string{{"HDEL", "PORT|Ethernet12", "lanes"}}, []string{"Ethernet0"}},
		{"a key is not a hash", [][]string{{"SET", "PORT|Ethernet16", "text"}}, []string{"Ethernet0"}},
		{"a row has a separator in its name", [][]string{{"HSET", "PORT|Ethernet0|x", "lanes", "0"}}, []string{"Ethernet0", "Ethernet0|x"}},
		{"the database is flushed", [][]string{{"FLUSHDB"}}, nil},
		{"the rows come back", [][]string{{"HSET", "PORT|Ethernet4", "lanes", "4"}, {"HSET", "PORT|Ethernet0", "lanes", "0"}},
			[]string{"Ethernet0", "Ethernet4"}},
		{"all rows are deleted", [][]string{{"DEL", "PORT|Ethernet4"}, {"DEL", "PORT|Ethernet0"}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.t = t
			for _, args := range c.does {
				f.do(args...)
			}
			f.next(c.want...)
		})
	}
}

// TestFollowIgnoresOthers checks that rows of other tables cause no read.
func TestFollowIgnoresOthers(t *testing.T) {
	f := follow(t, "AKE")
	f.do("HSET", "PORT_QOS_MAP|Ethernet0", "pfc_enable", "3")
	f.do("HSET", "PORTCHANNEL|PortChannel1", "mtu", "9100")
	if _, err := f.db.Do(lab.StateDB, "HSET", "PORT|Ethernet99", "mtu", "9100"); err != nil {
		t.Fatal(err)
	}
	select {
	case n := <-f.notes:
		t.Errorf("note %d %q", n.kind, n.ports)
	case <-time.After(3 * followDelay): // a read would have ended
	}
}

// TestFollowCoalesces checks that a config reload that writes 512 rows over half a second causes
// at most one read per followDelay, and a complete one at the end.
func TestFollowCoalesces(t *testing.T) {
	t.Parallel()
	f := follow(t, "AKE")
	var all []string
	reads, begun := 0, time.Now()
	count := func() {
		for {
			select {
			case <-f.notes:
				reads++
			default:
				return
			}
		}
	}
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for i := range 512 {
		name := fmt.Sprintf("Ethernet%d", i)
		all = append(all, name)
		f.do("HSET", "PORT|"+name, "lanes", "0")
		f.do("HSET", "PORT|"+name, "admin_status", "up")
		<-pace.C
		count()
	}
	took := time.Since(begun)
	slices.Sort(all)
	for {
		n := <-f.notes
		reads++
		if len(n.ports) == len(all) {
			if !slices.Equal(n.ports, all) {
				t.Errorf("the last read found %q", n.ports)
			}
			break
		}
		if time.Since(begun) > 20*time.Second {
			t.Fatalf("%d ports are found, want %d", len(n.ports), len(all))
		}
	}
	if most := int(took/followDelay) + 2; reads > most {
		t.Errorf("%d reads for 1024 writes within %v, want at most %d", reads, took, most)
	}
}

// TestFollowWithoutNotifications checks that the follower reads a server without notifications
// when reread is called.
func TestFollowWithoutNotifications(t *testing.T) {
	f := follow(t, "")
	f.do("HSET", "PORT|Ethernet4", "lanes", "4")
	select {
	case n := <-f.notes:
		t.Errorf("note %d %q", n.kind, n.ports)
	case <-time.After(3 * followDelay): // longer than a read takes
	}
	// TestConfiguredAtAudit checks what reread does.
}

// TestFollowRetries checks that a refused read is retried, and that the second refusal is reported to the
// loop. If Redis denies only the values, the ports must not be reported without them.
func TestFollowRetries(t *testing.T) {
	t.Parallel()
	for _, fault := range []lab.Fault{
		{Error: lab.Busy},
		{Command: "hmget", Error: "NOPERM this user has no permissions to run the 'hmget' command"},
	} {
		f := follow(t, "AKE")
		f.db.SetFault(fault)
		f.do("HSET", "PORT|Ethernet4", "lanes", "4")
		select {
		case n := <-f.notes:
			t.Errorf("%s: note %d %q", fault.Error, n.kind, n.ports)
		case <-time.After(3 * followDelay): // longer than the first read, which is refused
		}
		if n := <-f.notes; n.kind != noteUnread || !isServerError(n.err) { // after the second read
			t.Errorf("%s: note %d, %v", fault.Error, n.kind, n.err)
		}
		f.db.SetFault(lab.Fault{})
		f.next("Ethernet0", "Ethernet4")
	}
}

// TestFollowEnds checks that the end of a session ends its follower in every state.
func TestFollowEnds(t *testing.T) {
	logs := syslog.New(syslog.Options{SocketPath: filepath.Join(t.TempDir(), "none")})
	db, err := sonicdb.StaticMap("unix", filepath.Join(t.TempDir(), "nobody")).Database("CONFIG_DB")
	if err != nil {
		t.Fatal(err)
	}
	for _, due := range []bool{false, true} { // it waits to be woken, or to try again
		s := &session{notes: make(chan note), done: make(chan struct{})}
		f := newFollower(context.Background(), db, s, slog.New(logs))
		if due {
			f.reread()
		}
		ended := make(chan struct{})
		go func() { f.run(); close(ended) }()
		close(s.done)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatalf("it runs on after its session (a read was due: %v)", due)
		}
	}
}
