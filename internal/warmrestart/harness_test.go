package warmrestart

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/snapshot"
	"portsyncd/metrics"
	"portsyncd/netlinkraw"
)

// process is a Recorder in a simulated process of the daemon.
type process struct {
	*Recorder
	t    *testing.T
	set  *metrics.Set
	log  *logText
	fs   *brokenFS
	stop func() // ends Run and waits
}

// logText collects log lines.
type logText struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// count returns how many lines have all of the words.
func (l *logText) count(words ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			n++
		}
	}
	return n
}

// brokenFS is the file system of the machine, but creating files fails while an error is set.
type brokenFS struct {
	snapshot.FS
	errno    atomic.Int64
	creates  atomic.Int64 // tries
	renaming func(to string)
}

// hangingFS hangs in List until answer is closed.
type hangingFS struct {
	snapshot.FS
	answer chan struct{}
}

func (h hangingFS) List(dir string, each func(string)) error {
	<-h.answer
	return h.FS.List(dir, each)
}

func (b *brokenFS) Open(path string, flags int, mode os.FileMode) (snapshot.Handle, error) {
	if flags&os.O_CREATE != 0 {
		b.creates.Add(1)
		if errno := unix.Errno(b.errno.Load()); errno != 0 {
			return nil, &os.PathError{Op: "open", Path: path, Err: errno}
		}
	}
	return b.FS.Open(path, flags, mode)
}

func (b *brokenFS) Rename(from, to string) error {
	if b.renaming != nil {
		b.renaming(to)
	}
	return b.FS.Rename(from, to)
}

func (b *brokenFS) fail(errno unix.Errno) { b.errno.Store(int64(errno)) }

// config returns the configuration of a Recorder in a directory of the test.
func config(dir string) Config {
	return Config{
		StateFile: filepath.Join(dir, "state", "port_state.json"), StoragePath: filepath.Join(dir, "metrics"),
		Writer: "portsyncd test",
		Sample: func(c Counters) []byte {
			return encode(Sample{Time: time.Now(), Restarts: c, RestartsSum: c.Checksum()})
		},
		Text:     func(b []byte) []byte { return append(b, "text 1\n"...) },
		JSON:     func(b []byte) []byte { return append(b, "{}\n"...) },
		Settings: settings(),
	}
}

func settings() Settings {
	return Settings{SaveInterval: 300 * time.Second, Retention: 30 * 24 * time.Hour, MaxFileSize: 1 << 20, KeepRestarts: 100, ExportText: true}
}

// open creates a Recorder and reads the stored files without running it.
func open(t *testing.T, c Config) *process {
	t.Helper()
	p := &process{t: t, set: metrics.NewSet(), log: new(logText), fs: &brokenFS{FS: snapshot.OS}}
	c.Log, c.Families, c.FS = slog.New(slog.NewTextHandler(p.log, nil)), NewFamilies(p.set), p.fs
	p.Recorder = New(c)
	p.load()
	return p
}

// run starts Run.
func (p *process) run() *process {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { p.Run(ctx); close(ended) }()
	p.stop = func() { cancel(); <-ended }
	return p
}

// start opens a Recorder and starts Run.
func start(t *testing.T, c Config) *process {
	t.Helper()
	return open(t, c).run()
}

// exposed returns the value of a series, "" if there is none.
func (p *process) exposed(series string) string {
	for line := range strings.Lines(string(p.set.AppendText(nil))) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (p *process) wantExposed(series, want string) {
	p.t.Helper()
	if got := p.exposed(series); got != want {
		p.t.Errorf("%s is %q, want %q", series, got, want)
	}
}

func checkMetrics(schema int, text []byte) error { return decodeInto(new(metricsBody))(schema, text) }

// stored returns the body of metrics.json.
func stored(t *testing.T, c Config) metricsBody {
	t.Helper()
	f := snapshot.File{Path: filepath.Join(c.StoragePath, metricsFile), Schema: metricsSchema, Check: checkMetrics}
	got, err := f.Peek()
	if err != nil {
		t.Fatal(err)
	}
	var b metricsBody
	if err := json.Unmarshal(got.Body, &b); err != nil {
		t.Fatal(err)
	}
	return b
}

// warm and cold return the record of a start.
func warm(took time.Duration) Restart {
	return Restart{At: time.Now(), Kind: Warm, Reason: "test", Duration: took, EOIU: true, Compared: 2}
}

func cold(took time.Duration) Restart {
	r := warm(took)
	r.Kind = Cold
	return r
}

func somePorts(mtu uint32) []Port {
	return []Port{{Name: "Ethernet0", LinkState: netlinkraw.LinkState{Index: 3, Admin: true, Oper: true, MTU: mtu}},
		{Name: "Ethernet4", LinkState: netlinkraw.LinkState{Index: 5, MTU: 9100}}}
}

// files returns the names in a directory that begin with prefix.
func files(t *testing.T, dir, prefix string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	return names
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var discard = slog.New(slog.DiscardHandler)
